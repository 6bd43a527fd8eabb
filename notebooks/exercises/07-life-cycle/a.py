"""Exercise a of lab 07: exit code 137 that isn't about memory."""

from labhelpers.exercises import NotYet, expected_pod
from labhelpers.kube.pod_status import PHASES

QUESTION = """
Ticket: "nightly fails every night: STATUS Error, exit code 137, and its log just stops. 137 means
out of memory, so we've doubled the limit, twice. It doesn't help."

Find the cause with kubectl. Then change the Pod so that it comes to its end, which takes about 8
seconds. If it hangs one day, it has to be ended within a minute, as before. It keeps its name.
"""

HINTS = [
    "137 is 128 + 9: somebody sent SIGKILL. kubectl describe pod nightly says more than one reason.",
    "Look at the Pod's own status.reason, not at the container's: kubectl get pod nightly -o yaml.",
]

DEBRIEF = [
    "activeDeadlineSeconds: 4 ended a Pod that needs 8 seconds. SIGTERM did nothing, SIGKILL "
    "followed: exit code 137, and the Pod's reason is DeadlineExceeded.",
    "137 is 128 + 9: somebody sent SIGKILL. Who it was is in the reasons, the container's and "
    "the Pod's, not in the number.",
    "The data grows, and one night the job takes longer than its deadline. More memory changes "
    "nothing: kubectl describe has the reason.",
]
MINUTE = 60


def check(lab, path):
    pod = expected_pod(lab, "nightly")
    pod.wait_until(lambda now: now.phase in PHASES[2:], timeout_seconds=90)
    now = pod.now()
    if now.phase != "Succeeded":
        raise NotYet(f"nightly is {now.phase}, with exit code {now.container('app').exit_code}")
    deadline = now.raw["spec"].get("activeDeadlineSeconds")
    if not deadline or deadline > MINUTE:
        raise NotYet("nightly Succeeded, but one that hangs wouldn't be ended within a minute")
    return f"nightly Succeeded, and one that hangs is ended after {deadline} s"
