"""What a CPU limit costs in time, and how cgroups share the CPUs."""

import math
from collections.abc import Mapping

from labhelpers.errors import LabError

__all__ = [
    "burst_seconds",
    "contention_split",
    "throttled_seconds",
    "throttled_share",
]


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

    Raises:
        LabError: a limit, a period or a number of threads that isn't above 0.

    Rests on https://docs.kernel.org/scheduler/sched-bwc.html

    >>> round(burst_seconds(0.060, limit_cpus=0.2), 3), burst_seconds(0.060, limit_cpus=None)
    (0.22, 0.06)
    """
    given = (math.inf if limit_cpus is None else limit_cpus, period_seconds, threads)
    if not all(each > 0 for each in given):  # NaN isn't
        raise LabError(
            "No burst ends like this.",
            f"limit_cpus={limit_cpus}, period_seconds={period_seconds}, threads={threads}",
            "Use numbers above 0, and limit_cpus=None for no limit.",
        )
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
