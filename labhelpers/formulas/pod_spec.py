"""Reads a Pod's spec as Kubernetes does: its containers, their requests and limits, the Pod's own,
and what the scheduler counts.

The API server's defaults are applied here too: a limit without a request is also the request
(SetDefaults_Pod in pkg/apis/core/v1/defaults.go).
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

from labhelpers.errors import LabError
from labhelpers.formulas.quantities import amounts, most, plus

__all__ = [
    "CONTAINER_LISTS",
    "container_of",
    "containers_of",
    "effective_requests",
    "has_pod_level",
    "limits_of",
    "pod_level",
    "requests_of",
    "spec_of",
    "total",
]

CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


def effective_requests(spec: Mapping) -> dict[str, Decimal]:
    """What the scheduler counts for a Pod, for each resource.

    That's the sum of the containers and sidecars, or what is needed while an init container runs
    (its own request and those of the sidecars before it), whichever is larger. Pod-level requests
    replace that. The RuntimeClass's overhead is added.

    Rests on PodRequests in staging/src/k8s.io/component-helpers/resource/helpers.go;
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers

    >>> init = [{"name": "big", "resources": {"requests": {"memory": "300Mi"}}}]
    >>> app = {"name": "app", "resources": {"requests": {"memory": "100Mi"}}}
    >>> effective_requests({"initContainers": init, "containers": [app]})
    {'memory': Decimal('314572800')}
    """
    spec = spec_of(spec)
    found = {
        **total(spec, requests_of),
        **(pod_level(spec, "requests") if has_pod_level(spec, "requests") else {}),
    }
    return plus(found, amounts(spec.get("overhead")))


def spec_of(spec: Mapping) -> Mapping:
    """The spec of a Pod, or the spec itself."""
    return spec.get("spec", spec)


def containers_of(spec: Mapping, *groups: str) -> list[Mapping]:
    """The containers of these lists, in the spec's order.

    >>> containers_of({"containers": [{"name": "app"}]}, "initContainers", "containers")
    [{'name': 'app'}]
    """
    return [container for group in groups for container in spec.get(group) or []]


def container_of(spec: Mapping, name: str) -> Mapping:
    """The container of this name, from any list.

    Raises:
        LabError: there is none.
    """
    found = {each["name"]: each for each in containers_of(spec, *CONTAINER_LISTS)}
    if name not in found:
        raise LabError(
            f"The Pod has no container {name!r}.",
            f"its containers are {', '.join(found)}",
            "Use one of these names.",
        )
    return found[name]


def limits_of(container: Mapping) -> dict[str, Decimal]:
    """A container's limits, by resource.

    >>> limits_of({"resources": {"limits": {"cpu": "500m"}}})
    {'cpu': Decimal('0.500')}
    """
    return amounts((container.get("resources") or {}).get("limits"))


def requests_of(container: Mapping) -> dict[str, Decimal]:
    """A container's requests, by resource: a limit without a request is also the request.

    >>> requests_of({"resources": {"limits": {"cpu": "500m"}}})
    {'cpu': Decimal('0.500')}
    """
    return {**limits_of(container), **amounts((container.get("resources") or {}).get("requests"))}


def has_pod_level(spec: Mapping, *which: str) -> bool:
    """Whether the Pod has resources of its own: requests, limits, or any.

    Rests on IsPodLevelResourcesSet and IsPodLevelRequestsSet in
    staging/src/k8s.io/component-helpers/resource/helpers.go.
    """
    return any(pod_level(spec, each) for each in which or ("requests", "limits"))


def pod_level(spec: Mapping, which: str) -> dict[str, Decimal]:
    """The Pod-level "requests" or "limits". With a limit but no request, the request is the
    containers' sum, or else the limit.

    Rests on defaultPodRequests in pkg/apis/core/v1/defaults.go.
    """
    own = spec.get("resources") or {}
    listed = {
        name: amount for name, amount in amounts(own.get(which)).items() if _is_pod_level(name)
    }
    limits = {
        name: amount for name, amount in amounts(own.get("limits")).items() if _is_pod_level(name)
    }
    if which == "limits" or not limits:
        return listed
    summed = {
        name: amount
        for name, amount in total(spec, requests_of).items()
        if name in ("cpu", "memory")
    }
    return {**limits, **summed, **listed}


def _is_pod_level(name: str) -> bool:
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def total(spec: Mapping, of: Callable[[Mapping], dict[str, Decimal]]) -> dict[str, Decimal]:
    """What the Pod needs at most at any one time, by resource.

    Args:
        of: what counts of a container: ``requests_of`` or ``limits_of``.

    Rests on aggregateContainerResourcesByFn in
    staging/src/k8s.io/component-helpers/resource/helpers.go.
    """
    running: dict[str, Decimal] = {}
    for container in containers_of(spec, "containers"):
        running = plus(running, of(container))
    sidecars: dict[str, Decimal] = {}
    starting: dict[str, Decimal] = {}
    for container in containers_of(spec, "initContainers"):
        if container.get("restartPolicy") == "Always":
            running, sidecars = plus(running, of(container)), plus(sidecars, of(container))
            starting = most(starting, sidecars)
        else:
            starting = most(starting, plus(sidecars, of(container)))
    return most(running, starting)
