"""Exercise c of lab 20: shop is replaced without a failed request, and ends in time."""

QUESTION = """
Your file begins with an answer to exercise b. Two attacks are left, and they pull in opposite
directions: replace wants old Pods to answer for a while, end wants them gone.

Design the Deployment so that it passes both. Then the check runs the other five again, because
a change for one promise may break another. All seven take about three minutes.
"""

HINTS = [
    "replace: when is a new Pod Ready, and when does it answer? Nothing asks app yet (lab 11).",
    "end: who is PID 1 of app, and does it have a handler for SIGTERM? (lab 08, exercise c)",
    "replace fails again once app ends at once? Requests still come for some seconds after the"
    " deletion (lab 08). Add up hook and handler, and compare with the grace period.",
]

DEBRIEF = [
    "New Pods got requests only once app answered. Old ones answered for 5 s after their deletion, "
    "and then ended by themselves.",
    "A rollout needs both ends: readiness says when requests may come, and the hook covers those "
    "that come after the deletion.",
    "Most failed requests of a release come from one of these ends. Nobody sees them without load, "
    "so test a release under load.",
]


def check(lab, path):
    # In this order, fresh Pods are needed once only: after oom.
    lab.tools.run(["replace", "end", "restricted", "start", "slow", "oom", "kill"])
    return "all seven attacks: no promise was broken"
