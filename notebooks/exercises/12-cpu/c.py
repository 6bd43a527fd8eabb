"""Exercise c of lab 12: who waits for whom is decided by requests, and who may use idle CPUs by the
lack of a limit."""

import time

from labhelpers import paths
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
web answers requests in bursts of 50 ms of CPU time. batch computes on every CPU for hours. They're
in one Pod, pair, because batch warms web's cache.

Design the requests and limits so that
1. while batch computes, nine of ten bursts of web take at most 80 ms,
2. while web is idle, batch gets more than half of the node's CPU time,
3. both requests together are at most 500m.
"""

HINTS = [
    "Which of the two numbers makes somebody wait although CPUs are idle? Who has it?",
    "A burst of web shares its CPU with a loop of batch. What part of it must web get, to be done in "
    "80 ms instead of 50?",
    "In the kernel a request is a weight: it costs batch nothing while web is idle.",
]

MOST_REQUESTED, BURST_SECONDS, ENOUGH = 0.5, 0.08, 0.9
CLOCK_SECONDS, COUNT, HALF = 0.01, 20, 0.5
MANIFESTS = paths.repository() / "notebooks" / "manifests" / "12-cpu"


def check(lab, path):
    pod = expected_pod(lab, "pair").wait_until("Ready", timeout_seconds=60)
    requested = float(lab.formulas.effective_requests(pod.raw).get("cpu", 0))
    if requested > MOST_REQUESTED:
        raise NotYet(f"together they request {requested * 1000:.0f}m")
    share = pod.undisturbed(lambda: _share_of_batch(lab, pod), timeout_seconds=20)
    if share < HALF:
        raise NotYet("while web is idle, batch gets less than half of the node's CPU time")
    before = pod.container("web").cgroup.throttled_periods or 0
    took = pod.undisturbed(lambda: _bursts(pod), timeout_seconds=40)
    throttled = (pod.container("web").cgroup.throttled_periods or 0) - before
    quick = sum(each <= BURST_SECONDS + CLOCK_SECONDS for each in took)
    if quick < ENOUGH * COUNT:
        raise NotYet(
            "while batch computes, fewer than nine of ten bursts of web are done in 80 ms"
            + (", and web is throttled" if throttled > COUNT / 10 else "")
        )
    return "web's bursts are quick while batch computes, and batch has the node while web is idle"


def _share_of_batch(lab, pod):
    """The part of the node's CPU time that batch gets alone."""
    _compute(pod, seconds=4)
    time.sleep(1)
    before, began = pod.container("batch").cgroup.cpu_seconds, time.monotonic()
    time.sleep(2)
    used = pod.container("batch").cgroup.cpu_seconds - before
    share = used / (time.monotonic() - began) / float(lab.count("cpu").offered)
    time.sleep(2)
    return share


def _bursts(pod):
    """How long bursts of web take while batch computes, in seconds."""
    script = (MANIFESTS / "work.sh").read_text("utf-8")
    _compute(pod, seconds=8)
    time.sleep(1)
    done = pod.exec("web", ["sh", "-c", script, "work", "50", str(COUNT)])
    time.sleep(2)
    return [int(each) / 1000 for each in done.stdout.split()]


def _compute(pod, seconds):
    script = (MANIFESTS / "loops.sh").read_text("utf-8")
    pod.exec("batch", ["sh", "-c", script, "loops", str(seconds), "0"])
