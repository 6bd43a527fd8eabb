"""Computes, from a Pod's spec alone, the numbers that a node will have. Nothing here asks a
cluster.

Each formula names its source, as a path in Kubernetes 1.37
(https://github.com/kubernetes/kubernetes/tree/v1.37.0) unless it names another project. Only this
module and ``cgroups`` know cgroup versions.

If a function takes ``spec``, it's a Pod or its ``spec``, as a dict, from a manifest or from the
API. The API server's defaults are applied here too: a limit without a request is also the request
(SetDefaults_Pod in pkg/apis/core/v1/defaults.go).
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException

from labhelpers.errors import LabError

__all__ = [
    "PERIOD_US",
    "Count",
    "Values",
    "burst_seconds",
    "cgroup_values",
    "contention_split",
    "count",
    "cpu_shares",
    "cpu_weight",
    "effective_requests",
    "memory_limit_bytes",
    "oom_score_adj",
    "pod_cgroup_values",
    "qos_class",
    "quantity",
    "quota",
    "throttled_seconds",
    "throttled_share",
    "weight_conversion",
]

# QuotaPeriod in pkg/kubelet/cm/helpers_linux.go; a kubelet may be configured differently
# (cpuCFSQuotaPeriod)
PERIOD_US = 100_000
MIN_QUOTA_US = 1000
# a hundredth of a CPU, in microseconds per second: systemd's unit
HUNDREDTH_US = 10_000
MIN_SHARES, MAX_SHARES, SHARES_PER_CPU = 2, 262_144, 1024
MAX_WEIGHT = 10_000
GUARANTEED_ADJ, BEST_EFFORT_ADJ = -997, 1000

# ParseQuantity in apimachinery's pkg/api/resource/quantity.go.
QUANTITY = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE])?")
CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


# --- Quantities and what the kernel is given ------------------------------------------------------


def quantity(text: str | int | float | Decimal) -> Decimal:
    """Converts a Kubernetes quantity to an exact number of CPUs, bytes or units.

    Raises:
        LabError: it isn't a quantity.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/

    >>> quantity("250m"), quantity("64Mi"), quantity("1e3")
    (Decimal('0.250'), Decimal('67108864'), Decimal('1E+3'))
    """
    from kubernetes.utils.quantity import parse_quantity

    # The client accepts more than the API server does: "1K", "1 Gi".
    try:
        return parse_quantity(str(text)) if QUANTITY.fullmatch(str(text)) else _no_quantity(text)
    except (ValueError, DecimalException):
        return _no_quantity(text)


def cpu_shares(request: str | int | float | Decimal | None) -> int:
    """The shares for a CPU request: 1024 for each CPU, rounded down, between 2 and 262144. This is
    ``cpu.shares`` of cgroup version 1.

    Rests on MilliCPUToShares in pkg/kubelet/cm/helpers_linux.go.

    >>> cpu_shares("1"), cpu_shares("100m"), cpu_shares("1m"), cpu_shares(None)
    (1024, 102, 2, 2)
    """
    return min(max(_milli(request) * SHARES_PER_CPU // 1000, MIN_SHARES), MAX_SHARES)


def cpu_weight(shares: int, conversion: str = "new") -> int:
    """The weight of cgroup version 2 (``cpu.weight``, 1 to 10000) for shares of version 1.

    Two conversions are in use. The runtime writes the container's cgroup. From version 1.3.2 on,
    runc uses the new conversion, a curve through the smallest value, the default (1024 shares are
    weight 100) and the largest; before, it used the old one, a straight line. The kubelet writes
    the Pod's cgroup, and still uses the straight line. ``weight_conversion`` tells which one a node
    used.

    Args:
        shares: what ``cpu_shares`` returned.
        conversion: "new" or "old".

    Rests on ConvertCPUSharesToCgroupV2Value in github.com/opencontainers/cgroups v0.1.0 utils.go
    (new), and on getCPUWeight in pkg/kubelet/cm/cgroup_manager_linux.go (old).

    >>> [cpu_weight(shares) for shares in (2, 102, 307, 1024, 262144)]
    [1, 17, 40, 100, 10000]
    >>> [cpu_weight(shares, "old") for shares in (2, 102, 307, 1024, 262144)]
    [1, 4, 12, 39, 10000]
    """
    if conversion not in ("new", "old"):
        raise LabError(
            f"There is no conversion {conversion!r}.", "shares into a weight", 'Use "new" or "old".'
        )
    shares = min(max(shares, MIN_SHARES), MAX_SHARES)
    if conversion == "old":
        return 1 + (shares - MIN_SHARES) * (MAX_WEIGHT - 1) // (MAX_SHARES - MIN_SHARES)
    if shares in (MIN_SHARES, MAX_SHARES):
        return 1 if shares == MIN_SHARES else MAX_WEIGHT
    log = math.log2(shares)
    return math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))


def weight_conversion(shares: int, weight: int) -> str:
    """Tells which conversion a node used, "new" or "old", from one container's shares and its
    weight.

    Rests on ``cpu_weight``, which has the sources of both.

    Raises:
        LabError: neither gives that weight, or both do (2 and 262144 shares).

    >>> weight_conversion(102, 17), weight_conversion(102, 4)
    ('new', 'old')
    """
    fits = [conversion for conversion in ("new", "old") if cpu_weight(shares, conversion) == weight]
    if len(fits) != 1:
        seen = (
            f"{shares} shares and weight {weight}; the new one gives {cpu_weight(shares)}, the old"
            f" one {cpu_weight(shares, 'old')}"
        )
        raise LabError(
            "These numbers don't show which conversion to weights was used.",
            seen,
            "Use a container that requests 100m of CPU.",
        )
    return fits[0]


def quota(
    limit: str | int | float | Decimal | None, period_us: int = PERIOD_US, driver: str = "systemd"
) -> tuple[int | None, int]:
    """The CPU time that a CPU limit allows in each period (the quota), and the period, both in
    microseconds. The quota is None without a limit.

    They are ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us`` on cgroup version 1, ``cpu.max`` on
    version 2. The quota is at least 1000, so a limit of 5m means 10m. systemd counts in hundredths
    of a CPU, so with its driver the quota is rounded up to the next one: 15m means 20m.

    Args:
        limit: the limit in CPUs.
        period_us: the period in microseconds.
        driver: what writes the cgroups, "systemd" or "cgroupfs"
            (https://kubernetes.io/docs/setup/production-environment/container-runtimes/).

    Rests on MilliCPUToQuota in pkg/kubelet/cm/helpers_linux.go, and on addCPUQuota in
    github.com/opencontainers/cgroups v0.1.0 systemd/common.go.

    >>> quota("500m"), quota("5m"), quota(None)
    ((50000, 100000), (1000, 100000), (None, 100000))
    >>> quota("15m"), quota("15m", driver="cgroupfs")
    ((2000, 100000), (1500, 100000))
    """
    if driver not in ("systemd", "cgroupfs"):
        raise LabError(
            f"There is no cgroup driver {driver!r}.",
            "the driver is what writes the cgroups",
            'Use "systemd" or "cgroupfs".',
        )
    milli = _milli(limit)
    if not milli:
        return None, period_us
    quota_us = max(milli * period_us // 1000, MIN_QUOTA_US)
    per_second_us = quota_us * 1_000_000 // period_us
    if driver == "systemd" and per_second_us % HUNDREDTH_US:
        quota_us = (per_second_us // HUNDREDTH_US + 1) * HUNDREDTH_US * period_us // 1_000_000
    return quota_us, period_us


def memory_limit_bytes(
    limit: str | int | float | Decimal | None, page_bytes: int = 4096
) -> int | None:
    """The memory limit as the kernel stores it: whole pages, rounded down. None without a limit.

    Multiples of 64 KiB are exact with every page size that Linux supports.

    Rests on calculateLinuxResources in pkg/kubelet/kuberuntime/kuberuntime_container_linux.go, and
    on page_counter_memparse in the kernel's mm/page_counter.c.

    >>> memory_limit_bytes("64Mi"), memory_limit_bytes("100M"), memory_limit_bytes(None)
    (67108864, 99999744, None)
    """
    return _whole(limit) // page_bytes * page_bytes or None


# --- A Pod's spec ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Values:
    """What a container's (or a Pod's) cgroup will have. The names are those of ``cgroups.Cgroup``.

    Attributes:
        version: the cgroup version, 1 or 2.
        cpu_shares: what the runtime gets on both versions; in a file on version 1 only.
        cpu_weight: version 2 only, else None.
        cpu_quota_us, cpu_period_us: microseconds of CPU time in each period; the quota is None
            without a limit.
        memory_limit_bytes: None without a limit.
        oom_score_adj: None if the node's memory wasn't given.
    """

    version: int
    cpu_shares: int
    cpu_weight: int | None
    cpu_quota_us: int | None
    cpu_period_us: int
    memory_limit_bytes: int | None
    oom_score_adj: int | None = None


def qos_class(spec: Mapping) -> str:
    """The Pod's QoS class: "Guaranteed", "Burstable" or "BestEffort".

    Guaranteed: each container has limits on CPU and memory, and requests equal to them. BestEffort:
    no container has a request or a limit for either. Burstable: everything else. If the Pod has
    Pod-level resources, only those count.

    Rests on ComputePodQOS in pkg/apis/core/v1/helper/qos/qos.go;
    https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/

    >>> app = {"name": "app", "resources": {"limits": {"cpu": "1", "memory": "64Mi"}}}
    >>> qos_class({"containers": [app]})
    'Guaranteed'
    >>> qos_class({"containers": [{"name": "app", "resources": {"limits": {"cpu": "1"}}}]})
    'Burstable'
    """
    spec = _spec(spec)
    if _pod_level_set(spec):
        return _class_of(_pod_level(spec, "requests"), _pod_level(spec, "limits"))
    classes = {
        _class_of(_requests(each), _limits(each))
        for each in _containers(spec, "initContainers", "containers")
    }
    return classes.pop() if len(classes) == 1 else "Burstable" if classes else "BestEffort"


def oom_score_adj(
    spec: Mapping, container: str, node_memory_bytes: int, floor: int | None = None
) -> int:
    """What the kernel adds to the OOM score of a container's processes when the node is out of
    memory: the process with the highest score is killed first.

    -997 for Guaranteed Pods and for system-node-critical ones, 1000 for BestEffort. In between, a
    container that requests a tenth of the node's memory gets 900, but never less than 3 or more
    than 999. A sidecar isn't killed before the regular containers.

    Args:
        container: the container's name.
        node_memory_bytes: the node's whole memory: ``status.capacity.memory`` of the Node.
        floor: the lowest value that the runtime may set. If it lacks CAP_SYS_RESOURCE, it can't go
            below its own value, and is configured not to try (restrict_oom_score_adj in
            containerd). None: no floor.

    Raises:
        LabError: the Pod has no container of that name.

    Rests on GetContainerOOMScoreAdjust in pkg/kubelet/qos/policy.go, and on restrictOOMScoreAdj in
    containerd's internal/cri/opts/spec_linux_opts.go. It doesn't count resource claims (DRA).

    >>> spec = {"containers": [{"name": "app", "resources": {"requests": {"memory": "1Gi"}}}]}
    >>> oom_score_adj(spec, "app", node_memory_bytes=10 * 1024**3)
    900
    >>> app = {"name": "app", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}
    >>> oom_score_adj({"containers": [app]}, "app", 10 * 1024**3, floor=1)
    1
    """
    spec = _spec(spec)
    own = _container(spec, container)
    adjusted = _adjusted(spec, own, node_memory_bytes)
    return adjusted if floor is None else max(adjusted, floor)


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
    spec = _spec(spec)
    found = {
        **_sum(spec, _requests),
        **(_pod_level(spec, "requests") if _pod_level_set(spec, "requests") else {}),
    }
    return _plus(found, _amounts(spec.get("overhead")))


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


def cgroup_values(
    spec: Mapping,
    container: str,
    version: int,
    *,
    conversion: str = "new",
    driver: str = "systemd",
    period_us: int = PERIOD_US,
    page_bytes: int = 4096,
    node_memory_bytes: int | None = None,
    floor: int | None = None,
) -> Values:
    """Predicts a container's cgroup from the spec alone, for either cgroup version.

    A container without a limit of its own has the Pod-level limit, if there is one.

    Args:
        container: the container's name.
        version: the cgroup version, 1 or 2.
        conversion: from shares to a weight, on version 2: see ``cpu_weight``.
        driver, period_us, page_bytes: the node's: see ``quota`` and ``memory_limit_bytes``.
        node_memory_bytes, floor: as for ``oom_score_adj``, which is None in the result without the
            first.

    Raises:
        LabError: the Pod has no container of that name.

    Rests on generateLinuxContainerResources in
    pkg/kubelet/kuberuntime/kuberuntime_container_linux.go.

    >>> asks = {"requests": {"cpu": "100m"}, "limits": {"cpu": "500m", "memory": "64Mi"}}
    >>> spec = {"containers": [{"name": "app", "resources": asks}]}
    >>> cgroup_values(spec, "app", 1).cpu_shares, cgroup_values(spec, "app", 2).cpu_weight
    (102, 17)
    """
    spec = _spec(spec)
    own = _container(spec, container)
    # Missing and zero mean the same here: the kubelet checks IsZero.
    limits = {name: amount for name, amount in _limits(own).items() if amount}
    limits = {**(_pod_level(spec, "limits") if _pod_level_set(spec) else {}), **limits}
    request = _requests(own).get("cpu", limits.get("cpu"))
    return _values(
        version,
        cpu_shares(request),
        quota(limits.get("cpu"), period_us, driver),
        memory_limit_bytes(limits.get("memory"), page_bytes),
        conversion=conversion,
        adjusted=(
            None
            if node_memory_bytes is None
            else oom_score_adj(spec, container, node_memory_bytes, floor)
        ),
    )


def pod_cgroup_values(
    spec: Mapping,
    version: int,
    *,
    conversion: str = "old",
    driver: str = "systemd",
    period_us: int = PERIOD_US,
    page_bytes: int = 4096,
) -> Values:
    """Predicts the Pod's own cgroup, which contains those of its containers.

    Shares come from everything that the Pod requests. There's a limit, their sum, only if every
    container has one, or a Pod-level limit. The kubelet writes this cgroup, with its own conversion
    to a weight (see ``cpu_weight``).

    Rests on ResourceConfigForPod in pkg/kubelet/cm/helpers_linux.go.

    >>> app = {"name": "app", "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}}
    >>> pods = ([app], [app, {"name": "free"}])
    >>> tuple(pod_cgroup_values({"containers": pod}, 1).cpu_quota_us for pod in pods)
    (50000, None)
    """
    spec = _spec(spec)
    if qos_class(spec) == "BestEffort":
        return _values(
            version, MIN_SHARES, (None, period_us), None, conversion=conversion, adjusted=None
        )
    on_pod = _pod_level(spec, "limits") if _pod_level_set(spec) else {}
    limits = {**_sum(spec, _limits), **on_pod}
    limits = _plus(
        limits,
        {
            name: amount
            for name, amount in _amounts(spec.get("overhead")).items()
            if limits.get(name)
        },
    )
    every = _containers(spec, "initContainers", "containers")
    held = {
        name: limits.get(name)
        for name in ("cpu", "memory")
        if on_pod.get(name) or all(_limits(each).get(name) for each in every)
    }
    shares = cpu_shares(effective_requests(spec).get("cpu"))
    limit_bytes = memory_limit_bytes(held.get("memory"), page_bytes)
    return _values(
        version,
        shares,
        quota(held.get("cpu"), period_us, driver),
        limit_bytes,
        conversion=conversion,
        adjusted=None,
    )


# --- What it comes to -----------------------------------------------------------------------------


def throttled_share(demand_cpus: float, limit_cpus: float) -> float:
    """The fraction of periods in which a steady demand is throttled: all of them if it's above the
    limit, else none.

    The kernel counts a period (``nr_periods``) only if something was runnable in it, and counts it
    as throttled (``nr_throttled``) if the quota ran out, no matter for how long.
    ``throttled_seconds`` has the duration.

    Args:
        demand_cpus: the CPUs that would be used without a limit: 1 for each busy thread, at most
            the CPUs of the node.
        limit_cpus: the limit in CPUs.

    Rests on do_sched_cfs_period_timer in the kernel's kernel/sched/fair.c;
    https://docs.kernel.org/scheduler/sched-bwc.html#statistics

    >>> tuple(throttled_share(demand_cpus=demand, limit_cpus=0.2) for demand in (1, 0.1))
    (1.0, 0.0)
    """
    return 1.0 if demand_cpus > limit_cpus else 0.0


def throttled_seconds(demand_cpus: float, limit_cpus: float, wall_seconds: float) -> float:
    """How long a steady demand is throttled in a given time, in seconds, summed over CPUs: what it
    wanted beyond the limit.

    ``throttled_time`` (version 1) or ``throttled_usec`` (version 2) grows by this if only the
    container has a quota. If the Pod's cgroup has the same quota, part of that time is counted
    there instead.

    Rests on https://docs.kernel.org/scheduler/sched-bwc.html#statistics

    >>> round(throttled_seconds(demand_cpus=1, limit_cpus=0.2, wall_seconds=10), 6)
    8.0
    """
    return max(0.0, demand_cpus - limit_cpus) * wall_seconds


def burst_seconds(
    burst_cpu_seconds: float,
    limit_cpus: float | None,
    period_seconds: float = 0.1,
    *,
    threads: int = 1,
) -> float:
    """The time that a burst of work takes under a limit, in the worst case: it starts with a
    period, of which nothing has been used.

    Each period begins with a new quota, so a burst that needs three of them waits twice. If it
    starts late in a period, the next quota comes earlier, and it takes up to ``(1 - limit /
    threads)`` of a period less. Without a limit it takes its CPU time.

    Args:
        burst_cpu_seconds: the CPU time that the burst needs, in seconds.
        limit_cpus: the limit in CPUs; None for no limit.
        period_seconds: the period of the quota.
        threads: how many threads share the burst evenly, each on a CPU of its own.

    Rests on https://docs.kernel.org/scheduler/sched-bwc.html

    >>> round(burst_seconds(0.060, limit_cpus=0.2), 3), burst_seconds(0.060, limit_cpus=None)
    (0.22, 0.06)
    """
    quota_seconds = math.inf if limit_cpus is None else limit_cpus * period_seconds
    if limit_cpus is None or limit_cpus >= threads or burst_cpu_seconds <= 0:
        return max(0.0, burst_cpu_seconds) / threads
    # Rounded to nanoseconds, so that three quotas of 0.02 s are 0.06 s.
    waits = math.ceil(round(burst_cpu_seconds / quota_seconds, 9)) - 1
    return waits * period_seconds + (burst_cpu_seconds - waits * quota_seconds) / threads


def contention_split(
    weights: Mapping[str, float], cpus: float, demand_cpus: Mapping[str, float] | None = None
) -> dict[str, float]:
    """How CPU time is divided among cgroups that compete for it: the CPUs that each gets.

    Args:
        weights: shares or weights by name: of containers in one Pod, or of Pods in one parent.
        cpus: the CPUs that they have together.
        demand_cpus: what one would use alone, by name, if that's less than everything. The others
            share what it leaves.

    Rests on
    https://docs.kernel.org/scheduler/sched-design-CFS.html#group-scheduler-extensions-to-cfs and
    https://docs.kernel.org/admin-guide/cgroup-v2.html#weights

    >>> contention_split({"small": 1024, "big": 3072}, cpus=2)
    {'small': 0.5, 'big': 1.5}
    >>> contention_split({"small": 1024, "big": 3072}, cpus=2, demand_cpus={"big": 1.0})
    {'small': 1.0, 'big': 1.0}
    """
    demand, given, left = dict(demand_cpus or {}), {}, dict(weights)
    while left:
        total = sum(left.values())
        free = cpus - sum(given.values())
        content = {
            name: demand[name]
            for name, weight in left.items()
            if demand.get(name, math.inf) <= free * weight / total
        }
        given |= content or {name: free * weight / total for name, weight in left.items()}
        left = {name: weight for name, weight in left.items() if name not in given}
    return {name: given[name] for name in weights}


def _no_quantity(text: object) -> Decimal:
    raise LabError(
        f"{text!r} isn't a quantity.",
        "a quantity is a number, perhaps with a suffix",
        'Write it like "500m", "1.5", "64Mi", or "100M".',
    )


# --- Reading a spec -------------------------------------------------------------------------------


def _spec(spec: Mapping) -> Mapping:
    return spec.get("spec", spec)


def _containers(spec: Mapping, *groups: str) -> list[Mapping]:
    return [container for group in groups for container in spec.get(group) or []]


def _container(spec: Mapping, name: str) -> Mapping:
    found = {each["name"]: each for each in _containers(spec, *CONTAINER_LISTS)}
    if name not in found:
        raise LabError(
            f"The Pod has no container {name}.",
            f"its containers are {', '.join(found)}",
            "Use one of these names.",
        )
    return found[name]


def _amounts(listed: Mapping | None) -> dict[str, Decimal]:
    return {name: quantity(amount) for name, amount in (listed or {}).items()}


def _limits(container: Mapping) -> dict[str, Decimal]:
    return _amounts((container.get("resources") or {}).get("limits"))


def _requests(container: Mapping) -> dict[str, Decimal]:
    """SetDefaults_Pod: a limit without a request is also the request."""
    return {**_limits(container), **_amounts((container.get("resources") or {}).get("requests"))}


def _is_pod_level(name: str) -> bool:
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def _pod_level_set(spec: Mapping, *which: str) -> bool:
    """IsPodLevelResourcesSet and IsPodLevelRequestsSet in
    staging/src/k8s.io/component-helpers/resource/helpers.go."""
    return any(_pod_level(spec, each) for each in which or ("requests", "limits"))


def _pod_level(spec: Mapping, which: str) -> dict[str, Decimal]:
    """The Pod-level requests or limits. defaultPodRequests: with a limit but no request, the
    request is the containers' sum, or else the limit."""
    own = spec.get("resources") or {}
    listed = {
        name: amount for name, amount in _amounts(own.get(which)).items() if _is_pod_level(name)
    }
    limits = {
        name: amount for name, amount in _amounts(own.get("limits")).items() if _is_pod_level(name)
    }
    if which == "limits" or not limits:
        return listed
    summed = {
        name: amount for name, amount in _sum(spec, _requests).items() if name in ("cpu", "memory")
    }
    return {**limits, **summed, **listed}


def _plus(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {
        name: one.get(name, Decimal(0)) + other.get(name, Decimal(0)) for name in {**one, **other}
    }


def _most(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {
        name: max(one.get(name, Decimal(0)), other.get(name, Decimal(0)))
        for name in {**one, **other}
    }


def _sum(spec: Mapping, amounts) -> dict[str, Decimal]:
    """aggregateContainerResourcesByFn in
    staging/src/k8s.io/component-helpers/resource/helpers.go."""
    total: dict[str, Decimal] = {}
    for container in _containers(spec, "containers"):
        total = _plus(total, amounts(container))
    sidecars: dict[str, Decimal] = {}
    starting: dict[str, Decimal] = {}
    for container in _containers(spec, "initContainers"):
        if container.get("restartPolicy") == "Always":
            total, sidecars = _plus(total, amounts(container)), _plus(sidecars, amounts(container))
            starting = _most(starting, sidecars)
        else:
            starting = _most(starting, _plus(sidecars, amounts(container)))
    return _most(total, starting)


def _class_of(requests: Mapping[str, Decimal], limits: Mapping[str, Decimal]) -> str:
    """requirementsQOS in pkg/apis/core/v1/helper/qos/qos.go."""
    pairs = [
        (requests.get(name, Decimal(0)), limits.get(name, Decimal(0))) for name in ("cpu", "memory")
    ]
    if any(request != limit for request, limit in pairs):
        return "Burstable"
    given = [bool(limit) for _, limit in pairs]
    return "Guaranteed" if all(given) else "Burstable" if any(given) else "BestEffort"


def _adjusted(spec: Mapping, own: Mapping, node_memory_bytes: int) -> int:
    if spec.get("priorityClassName") == "system-node-critical":
        return GUARANTEED_ADJ
    fixed = {"Guaranteed": GUARANTEED_ADJ, "BestEffort": BEST_EFFORT_ADJ}.get(qos_class(spec))
    if fixed is not None:
        return fixed
    more = 0  # each container's part of what the Pod-level request adds to the containers' sum
    if _pod_level_set(spec, "requests"):
        left = _whole(_pod_level(spec, "requests").get("memory")) - _whole(
            _sum(spec, _requests).get("memory")
        )
        more = max(0, left) // len(_containers(spec, "initContainers", "containers"))
    adjusted = 1000 - 1000 * (_whole(_requests(own).get("memory")) + more) // node_memory_bytes
    if own.get("restartPolicy") == "Always" and own in _containers(spec, "initContainers"):
        least = min(
            _whole(_requests(each).get("memory")) for each in _containers(spec, "containers")
        )
        adjusted = min(adjusted, 1000 - 1000 * (least + more) // node_memory_bytes)
    return min(max(adjusted, 1000 + GUARANTEED_ADJ), BEST_EFFORT_ADJ - 1)


def _values(
    version: int,
    shares: int,
    quota_and_period: tuple[int | None, int],
    limit_bytes: int | None,
    *,
    conversion: str,
    adjusted: int | None,
) -> Values:
    if version not in (1, 2):
        raise LabError(
            f"There is no cgroup version {version!r}.",
            "Linux has 1 and 2",
            "Use lab.node.cgroup_version.",
        )
    weight = cpu_weight(shares, conversion) if version == 2 else None
    return Values(version, shares, weight, *quota_and_period, limit_bytes, adjusted)


def _milli(amount: str | int | float | Decimal | None) -> int:
    """Thousandths, rounded up as MilliValue in apimachinery's pkg/api/resource/quantity.go does."""
    return 0 if amount is None else math.ceil(quantity(amount) * 1000)


def _whole(amount: str | int | float | Decimal | None) -> int:
    """Rounded up, as Value in apimachinery's pkg/api/resource/quantity.go does."""
    return 0 if amount is None else math.ceil(quantity(amount))
