"""Exercise b of lab 12: the smallest limit that still keeps a promise. The verdict is computed from
the kernel's quota; how often it runs out is counted."""

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
    "A burst that waits once takes 100 ms, and then what is left of the 90 ms. Waiting twice is too "
    "often: that's more than 200 ms.",
    "lab.formulas.burst_seconds(0.09, limit_cpus=0.2) computes it for one limit.",
]

DEBRIEF = [
    "With 500m: 50 ms of work, 50 of waiting, 40 of work, 140 in all. With 400m it waits twice, "
    "and takes 210.",
    "A limit hands out CPU time every 100 ms. What doesn't fit waits for the next period, so "
    "latency grows in steps.",
    "Somebody saves a tenth of a CPU, from 500m to 400m, and the slowest requests go from 140 "
    "to 210 ms.",
]

BURST, DEADLINE, STEP = 0.09, 0.16, 0.1
COUNT = 15
SCRIPT = paths.notebooks() / "manifests" / "12-cpu" / "work.sh"


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
    # A busy node makes a burst last longer, but its quota doesn't run out more often.
    waits = _throttled(pod)
    if waits > 1.1 * COUNT:
        raise NotYet(f"{COUNT} requests were throttled {waits} times, so some waited twice")
    return (
        f"no request takes longer than {1000 * worst:.0f} ms: {COUNT} of them were throttled no more"
        " than once each, and with a smaller limit they'd have to wait twice"
    )


def _throttled(pod):
    """How often the quota ran out in so many bursts."""
    before = pod.container("app").cgroup.throttled_periods
    words = ["sh", "-c", SCRIPT.read_text("utf-8"), "work", f"{1000 * BURST:.0f}", str(COUNT)]
    pod.exec("app", words, timeout_seconds=60)
    return pod.container("app").cgroup.throttled_periods - before
