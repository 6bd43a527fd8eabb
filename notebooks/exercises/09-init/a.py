"""Exercise a of lab 09: the Pod has to get past its init container, which still has to wait."""

from labhelpers.errors import TimedOut
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
Ticket: "frontend never starts. kubectl get shows Init:0/1 for hours, and no restarts. Its backend
is up and Ready, and a colleague swears that its Service is fine."

Find the cause with kubectl, and fix it. frontend still has to wait for the backend in an init
container. Both Pods and the Service keep their names.
"""

HINTS = [
    "What does the init container say? kubectl logs frontend -c wait",
    "Compare what it connects to with what the Service has: kubectl get service backend.",
    "A Service is reached at its own port, which needn't be the container's port.",
]

DEBRIEF = [
    "wait asked the Service for port 8080, and the Service has only port 80. 8080 is the port "
    "of the container behind it.",
    "A Service has its own port, and targetPort is the container's. A loop that waits never "
    "fails, so nothing restarts and no event warns.",
    "One wrong number, and a release hangs in Init:0/1 for hours. Let such a loop say what it "
    "waits for, and give up.",
]


def check(lab, path):
    pod = expected_pod(lab, "frontend")
    inits = pod.raw["spec"].get("initContainers") or []
    if not any("backend" in str(each) for each in inits):
        raise NotYet("no init container waits for backend", "Keep the init container.")
    try:
        pod.wait_until("Ready", timeout_seconds=20)
    except TimedOut as error:
        raise NotYet(f"frontend is still {pod.kubectl_status}") from error
    return "frontend waited for its backend and is Ready"
