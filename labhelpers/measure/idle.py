"""Measures while nobody else uses the CPUs much: no formula knows how long a container waits for
others."""

import math
import time
from collections.abc import Callable
from typing import Any

__all__ = ["OTHERS_SHARE", "may_take", "measure_while_idle", "used_by_others"]

OTHERS_SHARE = 0.25  # of all CPUs. On two CPUs, an idle cluster uses 0.1 to 0.15.


def measure_while_idle(
    measure: Callable[[], Any],
    used: Callable[[], tuple[float, float]],
    *,
    timeout_seconds: float,
    most: float = OTHERS_SHARE,
) -> Any:
    """Measures, and repeats it while others use more of the CPUs than they may.

    Args:
        measure: measures, and returns the result.
        used: returns ``used_by_others`` as of now.
        timeout_seconds: after this time there is no further repetition. The result is the one for
            which others used the least.
        most: the share of the CPUs that others may use.
    """
    deadline = time.monotonic() + timeout_seconds
    least, calmest = math.inf, None
    while True:
        begin, before = used()
        found = measure()
        end, after = used()
        share = (after - before) / (end - begin)
        if share < least:
            least, calmest = share, found
        if share <= most or end > deadline:
            return calmest


def may_take(needs_cpus: float, stat: str) -> float:
    """The part of the CPUs that others may take where something needs so many of them: they have to
    leave twice as much. A quarter is always allowed: a quiet cluster takes some of it.

    >>> one = "cpu0 1 0 1 9 0 0 0 0"
    >>> [may_take(needs, f"cpu 2 0 2 18 0 0 0 0\\n{one}\\n{one}") for needs in (0.1, 0.6, 0.9)]
    [0.9, 0.4, 0.25]
    """
    return max(OTHERS_SHARE, 1 - 2 * needs_cpus / _cpus(stat))


def _cpus(stat: str) -> int:
    return sum(line.startswith("cpu") for line in stat.splitlines()) - 1


def used_by_others(stat: str, own_cpu_seconds: float) -> tuple[float, float]:
    """Returns the time, and how long a CPU has worked for others so far, on average, in seconds.

    Args:
        stat: ``/proc/stat``, which covers the whole machine, even in a container. It counts in
            hundredths of a second.
        own_cpu_seconds: the CPU time that the Pod in question has used.
    """
    lines = [line.split() for line in stat.splitlines() if line.startswith("cpu")]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, lines[0][1:9])
    used = (user + nice + system + irq + softirq + steal) / 100 - own_cpu_seconds
    return time.monotonic(), used / (len(lines) - 1)
