"""What a Pod's spec becomes in the cgroup of a container, and of the Pod: shares, weight, quota,
memory limit, and the OOM score.

Only this module and ``node.cgroups`` know cgroup versions.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from labhelpers.errors import LabError
from labhelpers.formulas.pod_spec import (
    container_of,
    containers_of,
    effective_requests,
    has_pod_level,
    limits_of,
    pod_level,
    requests_of,
    spec_of,
    total,
)
from labhelpers.formulas.quantities import amounts, milli, plus, whole

__all__ = [
    "PERIOD_US",
    "Values",
    "cgroup_values",
    "cpu_shares",
    "cpu_weight",
    "memory_limit_bytes",
    "oom_score_adj",
    "pod_cgroup_values",
    "qos_class",
    "quota",
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
    spec = spec_of(spec)
    own = container_of(spec, container)
    # Missing and zero mean the same here: the kubelet checks IsZero.
    limits = {name: amount for name, amount in limits_of(own).items() if amount}
    limits = {**(pod_level(spec, "limits") if has_pod_level(spec) else {}), **limits}
    request = requests_of(own).get("cpu", limits.get("cpu"))
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
    spec = spec_of(spec)
    if qos_class(spec) == "BestEffort":
        return _values(
            version, MIN_SHARES, (None, period_us), None, conversion=conversion, adjusted=None
        )
    on_pod = pod_level(spec, "limits") if has_pod_level(spec) else {}
    limits = {**total(spec, limits_of), **on_pod}
    limits = plus(
        limits,
        {
            name: amount
            for name, amount in amounts(spec.get("overhead")).items()
            if limits.get(name)
        },
    )
    every = containers_of(spec, "initContainers", "containers")
    held = {
        name: limits.get(name)
        for name in ("cpu", "memory")
        if on_pod.get(name) or all(limits_of(each).get(name) for each in every)
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


def cpu_shares(request: str | int | float | Decimal | None) -> int:
    """The shares for a CPU request: 1024 for each CPU, rounded down, between 2 and 262144. This is
    ``cpu.shares`` of cgroup version 1.

    Rests on MilliCPUToShares in pkg/kubelet/cm/helpers_linux.go.

    >>> cpu_shares("1"), cpu_shares("100m"), cpu_shares("1m"), cpu_shares(None)
    (1024, 102, 2, 2)
    """
    return min(max(milli(request) * SHARES_PER_CPU // 1000, MIN_SHARES), MAX_SHARES)


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
    thousandths = milli(limit)
    if not thousandths:
        return None, period_us
    quota_us = max(thousandths * period_us // 1000, MIN_QUOTA_US)
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
    return whole(limit) // page_bytes * page_bytes or None


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
    spec = spec_of(spec)
    if has_pod_level(spec):
        return _class_of(pod_level(spec, "requests"), pod_level(spec, "limits"))
    classes = {
        _class_of(requests_of(each), limits_of(each))
        for each in containers_of(spec, "initContainers", "containers")
    }
    return classes.pop() if len(classes) == 1 else "Burstable" if classes else "BestEffort"


def _class_of(requests: Mapping[str, Decimal], limits: Mapping[str, Decimal]) -> str:
    """requirementsQOS in pkg/apis/core/v1/helper/qos/qos.go."""
    pairs = [
        (requests.get(name, Decimal(0)), limits.get(name, Decimal(0))) for name in ("cpu", "memory")
    ]
    if any(request != limit for request, limit in pairs):
        return "Burstable"
    given = [bool(limit) for _, limit in pairs]
    return "Guaranteed" if all(given) else "Burstable" if any(given) else "BestEffort"


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
    spec = spec_of(spec)
    own = container_of(spec, container)
    adjusted = _adjusted(spec, own, node_memory_bytes)
    return adjusted if floor is None else max(adjusted, floor)


def _adjusted(spec: Mapping, own: Mapping, node_memory_bytes: int) -> int:
    if spec.get("priorityClassName") == "system-node-critical":
        return GUARANTEED_ADJ
    fixed = {"Guaranteed": GUARANTEED_ADJ, "BestEffort": BEST_EFFORT_ADJ}.get(qos_class(spec))
    if fixed is not None:
        return fixed
    more = 0  # each container's part of what the Pod-level request adds to the containers' sum
    if has_pod_level(spec, "requests"):
        left = whole(pod_level(spec, "requests").get("memory")) - whole(
            total(spec, requests_of).get("memory")
        )
        more = max(0, left) // len(containers_of(spec, "initContainers", "containers"))
    adjusted = 1000 - 1000 * (whole(requests_of(own).get("memory")) + more) // node_memory_bytes
    if own.get("restartPolicy") == "Always" and own in containers_of(spec, "initContainers"):
        least = min(
            whole(requests_of(each).get("memory")) for each in containers_of(spec, "containers")
        )
        adjusted = min(adjusted, 1000 - 1000 * (least + more) // node_memory_bytes)
    return min(max(adjusted, 1000 + GUARANTEED_ADJ), BEST_EFFORT_ADJ - 1)
