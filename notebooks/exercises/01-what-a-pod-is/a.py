"""Exercise a of lab 01: two programs that want one port, in one Pod."""

import time

from labhelpers.errors import LabError
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
Ticket: "In our Pod shop one of the two containers always crashes, web or metrics, and it isn't always
the same one. Each of them runs for days in a Pod of its own, so the images are fine. We even gave
metrics a port of its own in the manifest, 9090. Is it the memory?"

Find the cause with kubectl. Then fix the file: both run in this one Pod, web still answers on
port 8080, and metrics answers on localhost, too. The Pod and its containers keep their names, and
the two commands stay as they are.
"""

HINTS = [
    "Ask the container that crashed for its last words: kubectl logs shop -c metrics --previous, "
    "or the same for web.",
    "Two containers of a Pod have one network, and in it there's one port 8080. Which ports do the "
    "two programs really take? containerPort only informs. Read the commands.",
    "Both commands take the port from the environment variable PORT, or 8080 if it isn't set.",
]

DEBRIEF = [
    "Both programs took port 8080, because PORT wasn't set. Whichever came second found the "
    "port in use, and crashed.",
    "The containers of a Pod share one network, and so one set of ports. containerPort only "
    "informs: it opens nothing and moves nothing.",
    "Inject a sidecar whose admin port is the app's port, and one of them crashes. Which one it "
    "is can change with each start.",
]
SECONDS = 30
NAMES = ("web", "metrics")


def check(lab, path):
    pod = expected_pod(lab, "shop")
    spec = pod.raw["spec"]
    containers = [*spec["containers"], *spec.get("initContainers", [])]
    named = {each["name"] for each in containers}
    if missing := [name for name in NAMES if name not in named]:
        raise NotYet(
            f"the Pod shop has no container {missing[0]}: in a Pod of its own it has another "
            "network, and another localhost"
        )
    pod.wait_until(
        lambda now: now.conditions.get("Ready") == "True" or _ended(now), timeout_seconds=60
    )
    answers, deadline = {}, time.monotonic() + SECONDS
    while time.monotonic() < deadline and not _ended(pod.now()):
        answers = _answers(pod)
        if answers.get(8080) == "web" and "metrics" in answers.values():
            return "both run in one Pod, and each answers on a port of its own"
        time.sleep(0.2)
    if _ended(pod.now()):
        # Which one it is differs from run to run, and finding out is the reader's part.
        raise NotYet(
            "one of the two has ended: kubectl describe pod shop tells which one. Look at what it "
            "said last"
        )
    told = ", ".join(f'port {port} "{answer}"' for port, answer in answers.items()) or "nobody"
    raise NotYet(
        f'localhost is answered by {told}; it should be "web" on 8080, "metrics" on another'
    )


def _ended(now) -> str:
    """The name of a container that has ended, restarted or not; "" where both go on."""
    return next((name for name in NAMES if now.container(name).exit_code is not None), "")


def _answers(pod) -> dict[int, str]:
    """Each port that somebody listens on in the Pod's network, and what is answered there."""
    try:
        # The fourth word of a line is the state, 0A: listening. The second is address:port, in
        # hexadecimal.
        table = pod.exec("web", "cat /proc/net/tcp /proc/net/tcp6").stdout.splitlines()
        lines = [line.split() for line in table]
        ports = sorted({int(line[1].rpartition(":")[2], 16) for line in lines if line[3] == "0A"})
        return {port: _page(pod, port) for port in ports}
    except LabError:  # a container that has ended, which the API doesn't know yet
        return {}


def _page(pod, port: int) -> str:
    return pod.exec("web", f"wget -q -O - localhost:{port}", timeout_seconds=5).stdout.strip()
