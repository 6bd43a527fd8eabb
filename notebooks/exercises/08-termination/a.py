"""Exercise a of lab 08: a shell with a trap that waits for its foreground command first."""

from concurrent.futures import ThreadPoolExecutor

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
Ticket: "Orders get lost in every rollout. The server saves them when it gets SIGTERM, we've tested
that. It's started by a script, and yes, the script passes SIGTERM on: look at the trap. Still, each
Pod takes the whole 8 seconds to go, and the log never says: orders saved."

Find the cause with kubectl. Then change the container's start so that a deleted Pod first writes
"orders saved", then "signed off", and ends with exit code 0 within 5 seconds. The server is what it
is: it needs a second for its orders. The Pod keeps its name.
"""

HINTS = [
    "Does PID 1 have a handler for SIGTERM? kubectl exec orders -- grep SigCgt /proc/1/status. "
    "So who's waiting for whom? kubectl exec orders -- ps",
    "A shell runs a trap only when its foreground command has ended. Which command could be in the "
    "background?",
    "A trap ends a wait early. What has to be waited for after that?",
]

DEBRIEF = [
    "The shell waited for the server in the foreground, so its trap never had a turn. After 8 "
    "seconds SIGKILL ended both.",
    "A shell runs a trap once its foreground command has ended. With the child in the "
    "background, the signal interrupts wait at once.",
    "Every rollout takes exactly the grace period, and the last requests are lost: the start "
    "script swallows SIGTERM. Often exec is all it needs.",
]
SECONDS = 5.0


def check(lab, path):
    pod = expected_pod(lab, "orders").wait_until("Ready", timeout_seconds=30)
    log = f"/api/v1/namespaces/{lab.namespace}/pods/orders/log?container=app&follow=true"
    with ThreadPoolExecutor() as beside, lab.recording("orders") as life:
        said = beside.submit(lab.connection.raw, log)
        pod.wait_until(lambda now: now.container("app").state == "running", timeout_seconds=30)
        lab.connection.delete("Pod", "orders")
        pod.wait_until("gone", timeout_seconds=60)
    lines = [line for line in said.result().splitlines() if line in ("orders saved", "signed off")]
    for words in ("orders saved", "signed off"):
        if words not in lines:
            raise NotYet(f'{_how(life)}, and the log has no "{words}"')
    if lines != ["orders saved", "signed off"]:
        raise NotYet(f"the log says: {', then '.join(lines)}")
    took = _took(life)
    if took > SECONDS or _exit_code(life) != 0:
        raise NotYet(f"both lines are in the log, but {_how(life)} after {took:.0f} s")
    return f"orders saved, then signed off; {_how(life)}"


def _ended(life):
    rows = life.intervals
    return rows[(rows["lane"] == "app") & (rows["state"] == "terminated")].iloc[-1]


def _took(life):
    marked = (v.seconds for v in life.versions if v.obj["metadata"].get("deletionTimestamp"))
    return float(_ended(life)["start"]) - next(marked)


def _exit_code(life):
    return int(_ended(life)["exit_code"])


def _how(life):
    code = _exit_code(life)
    return (
        "the container was killed" if code == 137 else f"the container ended with exit code {code}"
    )
