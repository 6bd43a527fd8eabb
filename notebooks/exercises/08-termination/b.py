"""Exercise b of lab 08: the smallest grace period for two containers with hooks."""

import math

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The Pod pair has two containers, each with a preStop hook:

  app       its hook takes 3 s, and after SIGTERM it needs 3.5 s
  metrics   its hook takes 5 s, and after SIGTERM it needs 1.2 s

Compute the smallest terminationGracePeriodSeconds, in whole seconds, with which both containers end
by themselves. Change only that number.
"""

HINTS = [
    "Both containers are stopped at the same time. Which one is the last?",
    "For each container: its hook and what it needs after SIGTERM come out of one grace period.",
]

DEBRIEF = [
    "The containers stop side by side. app takes 3 + 3.5 seconds, metrics takes 5 + 1.2, and "
    "the longer one decides: 7.",
    "The clock starts before the preStop hook, not after it. Hook and SIGTERM share the grace "
    "period, in each container on its own.",
    "Somebody adds a preStop sleep of 20 seconds and keeps the default of 30. The app's "
    "shutdown of 15 is now cut off.",
]
LONGEST = 6.5


def check(lab, path):
    pod = expected_pod(lab, "pair").wait_until("Ready", timeout_seconds=30)
    grace = pod.raw["spec"]["terminationGracePeriodSeconds"]
    with lab.recording("pair") as life:
        lab.connection.delete("Pod", "pair")
        pod.wait_until("gone", timeout_seconds=90)
    marked = next(v.seconds for v in life.versions if v.obj["metadata"].get("deletionTimestamp"))
    rows = life.intervals
    ends = rows[(rows["kind"] == "container") & (rows["state"] == "terminated")]
    killed = sorted(ends[ends["exit_code"] == 137]["lane"])
    if killed:
        raise NotYet(f"with {grace} s, {' and '.join(killed)} had to be killed")
    took = float(ends["start"].max()) - marked
    if took < LONGEST - 0.5:
        raise NotYet(
            f"both had ended after {took:.1f} s: that's sooner than hook and app take",
            "Change only the grace period.",
        )
    if grace > math.ceil(took):
        raise NotYet(f"both end by themselves, but {grace} s is more than the longest needs")
    return f"with {grace} s both containers end by themselves, and a second less would be too short"
