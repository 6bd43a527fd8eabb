"""Measures while nobody else uses the CPUs much: no formula knows how long a container waits for
others."""

import math
import time
from collections.abc import Callable
from typing import Any

__all__ = ["measure_while_idle", "used_by_others"]

OTHERS_SHARE = 0.25  # of all CPUs. On two CPUs, an idle cluster uses 0.1 to 0.15.


def measure_while_idle(
    measure: Callable[[], Any],
    used: Callable[[], tuple[float, float]],
    *,
    timeout_seconds: float,
) -> Any:
    """Measures, and repeats it while others use more than a quarter of the CPUs.

    Args:
        measure: measures, and returns the result.
        used: returns ``used_by_others`` as of now.
        timeout_seconds: after this time there is no further repetition. The result is the one for
            which others used the least.
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
        if share <= OTHERS_SHARE or end > deadline:
            return calmest


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
