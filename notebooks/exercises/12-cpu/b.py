"""Exercise b of lab 12: the smallest limit that still keeps a promise, computed and then measured."""

from labhelpers import paths
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
One request to report needs 90 ms of CPU time, on one thread. It has to be answered within 160 ms,
even if it comes at the worst moment. Other containers need the node as well, so the limit should be
no larger than necessary.

Compute the smallest limit that keeps this promise, in whole tenths of a CPU (100m, 200m, …), and
set it. Leave the rest as it is.
"""

HINTS = [
    "At the worst moment the burst begins with a period. How much of the 90 ms is done in the first "
    "period, how much in the next?",
    "The last period counts only as far as it's needed: a burst with w waits takes w · 100 ms, and "
    "then what is left of the 90 ms.",
    "lab.formulas.burst_seconds(0.09, limit_cpus=0.2) computes it for one limit.",
]

BURST, DEADLINE = 0.09, 0.16
STEP, COUNT = 0.1, 20
CLOCK = 0.03  # hundredths of a second, read twice; the kernel books CPU time at its ticks
SCRIPT = paths.repository() / "notebooks" / "manifests" / "12-cpu" / "work.sh"


def check(lab, path):
    pod = expected_pod(lab, "report").wait_until("Ready", timeout_seconds=60)
    limit = pod.container("app").cgroup.cpu_limit_cores
    if limit is None:
        raise NotYet("the container has no limit at all", "Find the smallest one that's enough.")
    worst = lab.formulas.burst_seconds(BURST, limit_cpus=limit)
    if worst > DEADLINE:
        raise NotYet(f"at the worst moment a request takes {1000 * worst:.0f} ms")
    smaller = round(limit - STEP, 3)
    if smaller > 0 and lab.formulas.burst_seconds(BURST, limit_cpus=smaller) <= DEADLINE:
        raise NotYet(f"{limit:g} CPUs keep the promise, but a smaller limit is enough, too")
    took = pod.undisturbed(lambda: _bursts(pod), timeout_seconds=30)
    late = [each for each in took if each > DEADLINE + CLOCK]
    if len(late) > COUNT / 10:
        raise NotYet(
            f"{len(late)} of {COUNT} requests were late although the limit is right: the node is busy",
            "Try again when it's quiet.",
        )
    return f"no request takes longer than {1000 * worst:.0f} ms, and a smaller limit would be too small"


def _bursts(pod):
    words = ["sh", "-c", SCRIPT.read_text("utf-8"), "work", f"{1000 * BURST:.0f}", str(COUNT)]
    return [int(each) / 1000 for each in pod.exec("app", words).stdout.split()]
