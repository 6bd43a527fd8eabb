"""Exercise b of lab 00: which restartPolicy completes a Pod with a container that fails once."""

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The Pod import has two containers. load ends well at once, with exit code 0. fetch fails at its first
start, with exit code 3, and ends well at its second. A note of its first start is in a volume.

Work it out first, on paper: what will STATUS and RESTARTS show with restartPolicy Always, with
OnFailure, and with Never? RESTARTS adds up both containers. Then change the file so that
kubectl get pod import shows STATUS Completed and RESTARTS 1, and stays so. The containers keep
their names, commands and volume.
"""

HINTS = [
    "Always restarts a container whenever it ends, even with exit code 0. Never doesn't restart "
    "it, even after a failure.",
    "Completed means that every container ended with exit code 0 and isn't restarted.",
    "kubectl explain pod.spec.restartPolicy lists the three values.",
]

DEBRIEF = [
    "Always restarted load after exit code 0, again and again. Never would have left fetch at "
    "exit code 3, and the Pod Failed.",
    "restartPolicy looks at a container's exit code: Always ignores it, OnFailure restarts if "
    "it isn't 0, Never doesn't restart.",
    "A migration in a Pod with the default, Always, runs again after every success. You see "
    "CrashLoopBackOff with exit code 0.",
]


def check(lab, path):
    pod = expected_pod(lab, "import")

    def settled(now) -> bool:
        return now.phase in ("Succeeded", "Failed") or now.container("load").restarts > 0

    pod.wait_until(settled, timeout_seconds=60)
    now = pod.now()
    if now.container("load").restarts:
        raise NotYet("load had ended well, and it was started again")
    restarts = now.container("fetch").restarts
    if now.phase == "Failed":
        raise NotYet(f"fetch failed and wasn't restarted: the Pod is {now.phase}")
    if restarts != 1:
        raise NotYet(f"the Pod is Completed, but RESTARTS is {restarts}")
    return "the Pod is Completed, and RESTARTS is 1"
