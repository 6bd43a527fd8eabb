"""Counts a resource of the node as the scheduler does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from labhelpers.formulas.pod_spec import effective_requests
from labhelpers.formulas.quantities import quantity

__all__ = [
    "Count",
    "count",
]


@dataclass(frozen=True)
class Count:
    """How much of one resource the scheduler has allocated.

    Attributes:
        offered: what is allocatable on all nodes.
        has: by Pod, what is allocated to it, whether it uses it or not.
        waits: by Pod, what it requests and isn't allocated yet.
    """

    offered: Decimal
    has: Mapping[str, Decimal]
    waits: Mapping[str, Decimal]

    @property
    def free(self) -> Decimal:
        """What is left for the next Pod; negative if more is allocated than allocatable."""
        return self.offered - sum(self.has.values(), Decimal(0))


def count(resource: str, nodes: Sequence[Mapping], pods: Sequence[Mapping]) -> Count:
    """Counts a resource as the scheduler does: it adds up requests, and doesn't look at usage.

    Args:
        resource: such as "cpu", "memory", "nvidia.com/gpu".
        nodes, pods: as the API returns them. A Pod that has ended doesn't count.

    Rests on NodeInfo in pkg/scheduler/framework/types.go;
    https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/

    >>> node = {"metadata": {"name": "n"}, "status": {"allocatable": {"nvidia.com/gpu": "1"}}}
    >>> spec = {"containers": [{"name": "app", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}
    >>> first = {"metadata": {"name": "a"}, "spec": {**spec, "nodeName": "n"}}
    >>> second = {"metadata": {"name": "b"}, "spec": spec}
    >>> found = count("nvidia.com/gpu", [node], [first, second])
    >>> found.free, list(found.has), list(found.waits)
    (Decimal('0'), ['a'], ['b'])
    """
    has, waits = {}, {}
    names = [node["metadata"]["name"] for node in nodes]
    for pod in pods:
        asked = effective_requests(pod).get(resource, Decimal(0))
        placed = pod["spec"].get("nodeName")
        if (
            asked
            and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
            and (not placed or placed in names)
        ):
            (has if placed else waits)[_full_name(pod)] = asked
    offered = sum(
        (quantity(node["status"]["allocatable"].get(resource, 0)) for node in nodes), Decimal(0)
    )
    return Count(offered, has, waits)


def _full_name(pod: Mapping) -> str:
    metadata = pod["metadata"]
    return "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
