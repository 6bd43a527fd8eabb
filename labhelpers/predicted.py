"""What the formulas say of a Pod's containers on a node, and whether the node agrees."""

from collections.abc import Iterator, Mapping
from typing import Any

from labhelpers import formulas
from labhelpers.kube import fields
from labhelpers.node import cgroups
from labhelpers.outcomes import Text

__all__ = ["COMPARED", "Comparison", "Predicted", "compare"]

# What is predicted of a container and can be read from its cgroup, for each version of cgroups.
COMPARED = {
    1: ("cpu_shares", "cpu_quota_us", "cpu_period_us", "memory_limit_bytes"),
    2: ("cpu_weight", "cpu_quota_us", "cpu_period_us", "memory_limit_bytes"),
}


class Predicted(Mapping):
    """What the formulas say of a Pod's containers on this node, from the Pod's spec:
    ``predicted["app"].cpu_shares``.

    Each value is an ``formulas.Values``. It is a frozen one: the spec is that of the moment when
    it was made.

    Args:
        raw: the Pod, or its spec, as a dict.
        inputs: what has to be known of the node: ``node.formula_inputs``.
        pod_conversion: into the weight of the Pod's own cgroup: ``node.pod_conversion``.

    >>> spec = {"containers": [{"name": "app", "resources": {"requests": {"cpu": "100m"}}}]}
    >>> predicted = Predicted(spec, {"version": 1})
    >>> predicted["app"].cpu_shares, predicted.qos_class
    (102, 'Burstable')
    """

    def __init__(self, raw: dict, inputs: Mapping, pod_conversion: str = "old"):
        self._spec, self._inputs, self._pod_conversion = (
            raw.get("spec", raw),
            dict(inputs),
            pod_conversion,
        )

    def __getitem__(self, container: str) -> formulas.Values:
        return formulas.cgroup_values(self._spec, container, **self._inputs)

    def __iter__(self) -> Iterator[str]:
        return (container["name"] for container in fields.containers({"spec": self._spec}))

    def __len__(self) -> int:
        return len(fields.containers({"spec": self._spec}))

    @property
    def qos_class(self) -> str:
        """ "Guaranteed", "Burstable" or "BestEffort"."""
        return formulas.qos_class(self._spec)

    @property
    def pod(self) -> formulas.Values:
        """Of the Pod's own cgroup, which the containers' lie in."""
        inputs = {
            name: self._inputs[name]
            for name in ("version", "driver", "period_us", "page_bytes")
            if name in self._inputs
        }
        return formulas.pod_cgroup_values(self._spec, **inputs, conversion=self._pod_conversion)

    def files(self, container: str) -> dict[str, str]:
        """What ``cat`` will show of each file of the container's cgroup that holds a request or a
        limit, by the file's name."""
        return cgroups.written(self[container])

    def on_version(self, version: int) -> "Predicted":
        """The same, on a node of the other version of cgroups, with today's conversions of shares
        into weights.

        >>> predicted = Predicted({"containers": [{"name": "app"}]}, {"version": 1})
        >>> predicted.on_version(2).files("app")["cpu.max"]
        'max 100000'
        """
        inputs = {name: value for name, value in self._inputs.items() if name != "conversion"}
        return Predicted(self._spec, {**inputs, "version": version})

    def __repr__(self) -> str:
        return f"predicted for {', '.join(self)}: {self.qos_class}"


class Comparison(Text):
    """A sentence, and the ``table`` (a DataFrame) that it is about: columns container, value,
    predicted, found.

    >>> Comparison("as predicted for this node")
    as predicted for this node
    """

    table = None


def compare(predicted: Predicted, found: Mapping[str, Mapping[str, Any]]) -> Comparison:
    """Holds what is predicted of containers against what the node has.

    Args:
        predicted: of the Pod.
        found: of each container that runs, a value by its name.

    Returns:
        "as predicted for this node", or each value that differs.
    """
    import pandas

    rows = [
        (name, value, getattr(predicted[name], value), measured)
        for name, values in found.items()
        for value, measured in values.items()
    ]
    others = [
        f"{name}: {value} is {measured}, predicted {said}"
        for name, value, said, measured in rows
        if said != measured
    ]
    words = "; ".join(others) or "as predicted for this node"
    comparison = Comparison(words if rows else "nothing of the Pod runs")
    # As objects: a column of numbers with a gap would turn into floating point.
    comparison.table = pandas.DataFrame(
        rows, columns=["container", "value", "predicted", "found"], dtype=object
    )
    return comparison
