"""What is measured while others leave the CPUs alone: no formula knows how long a container waits
for others."""

import math
import time
from collections.abc import Callable
from typing import Any

__all__ = ["OTHERS_SHARE", "may_take", "measure_while_idle", "used_by_others"]

OTHERS_SHARE = 0.25  # of all CPUs. On two, a quiet cluster takes 0.1 to 0.15.


def measure_while_idle(
    measure: Callable[[], Any],
    used: Callable[[], tuple[float, float]],
    *,
    timeout_seconds: float,
    most: float = OTHERS_SHARE,
) -> Any:
    """Measures again while others take more of the CPUs than they may.

    Args:
        measure: does it, and returns what it found.
        used: gives ``used_by_others`` of the moment.
        timeout_seconds: after that it is not begun again, and what is given is what was found while
            they took least.
        most: the part of the CPUs that others may take.
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
    """The time, and how long until now a CPU has worked on average for others, in seconds.

    Args:
        stat: ``/proc/stat``. In a container, too, it is the whole machine's. It counts hundredths
            of a second.
        own_cpu_seconds: what the Pod in question has used.
    """
    lines = [line.split() for line in stat.splitlines() if line.startswith("cpu")]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, lines[0][1:9])
    used = (user + nice + system + irq + softirq + steal) / 100 - own_cpu_seconds
    return time.monotonic(), used / (len(lines) - 1)
