"""Exercise c of lab 08: a server that answers for a while after SIGTERM, and ends in time."""

import time

from labhelpers.errors import LabError
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The Pod shop is a web server on port 8080. Its clients learn of a deletion up to 3 seconds late, and
its node is drained every week: 8 seconds for each Pod, no more. The same command also runs outside
of Kubernetes, where nobody runs a hook, and has to end in the same way there.

Design the Pod's end so that
1. there's no preStop hook,
2. every request in the first 3 seconds after the deletion is answered,
3. 8 seconds after the deletion the Pod is gone,
4. its container isn't killed: it ends with exit code 0.
The server stays busybox httpd, and the Pod keeps its name.
"""

HINTS = [
    "Delete the Pod as it is and look: kubectl get pod shop --watch. What does PID 1 do with "
    "SIGTERM? kubectl exec shop -- grep SigCgt /proc/1/status",
    "busybox httpd has no handler for SIGTERM, so something else has to be PID 1. Does the server "
    "have to end as soon as PID 1 gets the signal?",
    "A handler may take its time. Who answers requests meanwhile, and when does SIGKILL come?",
]

DEBRIEF = [
    "As PID 1, httpd ignored SIGTERM and was killed after 30 seconds. Now a shell waits 4 "
    "seconds, while httpd goes on answering.",
    "The deletion and the news of it travel separately, so requests still come after SIGTERM. "
    "Serve them, then end with exit code 0.",
    "Each rollout brings a handful of 502s: the server closes its port at SIGTERM, and load "
    "balancers hear of it seconds later.",
]
ANSWERS_SECONDS, GONE_SECONDS, PAUSE_SECONDS = 3.0, 8.0, 0.2


def check(lab, path):
    pod = expected_pod(lab, "shop").wait_until("Ready", timeout_seconds=60)
    if any((each.get("lifecycle") or {}).get("preStop") for each in pod.raw["spec"]["containers"]):
        raise NotYet("it has a preStop hook, and outside of Kubernetes nobody runs that")
    with lab.recording("shop") as life:
        lab.connection.delete("Pod", "shop")
        began = time.monotonic()
        while (at := time.monotonic() - began) < ANSWERS_SECONDS:
            _ask(lab, at)
            time.sleep(PAUSE_SECONDS)
        _wait_until_gone(lab, began + GONE_SECONDS)
    rows = life.intervals
    code = int(
        rows[(rows["lane"] == "app") & (rows["state"] == "terminated")]["exit_code"].iloc[-1]
    )
    if code != 0:
        raise NotYet(f"it answered for 3 s and was gone in time, but its exit code is {code}")
    return "it answered for 3 s after its deletion, was gone within 8 s, and nobody had to kill it"


def _ask(lab, at):
    try:
        lab.connection.raw(f"/api/v1/namespaces/{lab.namespace}/pods/shop:8080/proxy/hostname")
    except LabError as error:
        raise NotYet(f"{at:.1f} s after the deletion a request got no answer") from error


def _wait_until_gone(lab, deadline):
    def is_there():
        return bool(lab.connection.list("Pod", field_selector="metadata.name=shop")["items"])

    while is_there():
        if time.monotonic() > deadline:
            raise NotYet(
                f"it answered for 3 s, but {GONE_SECONDS:g} s after the deletion it's there"
            )
        time.sleep(PAUSE_SECONDS)
