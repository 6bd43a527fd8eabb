"""Exercise c of lab 07: which exit is final, and what about none at all. The deadline has to leave
time for two restarts, with the kubelet's waits between them."""

import copy
from datetime import datetime

from labhelpers.errors import TimedOut
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The exit code of the Pod batch says what happened: 0 is done, 75 means that a service was busy, and
anything else is a bug. Sometimes it hangs.

Design the Pod so that
1. after exit code 75 the container is started again, and after a second 75 once more,
2. after any other failure the Pod is Failed, and nothing was restarted,
3. after exit code 0 it is Succeeded,
4. if it hangs, it's Failed within 40 seconds of its start.
The check runs copies of your Pod, with other commands. Keep the Pod's name, and one container.
"""

HINTS = [
    "Which of the three policies is right for everything but 75? Start there.",
    "The rest is one rule for one exit code, and one field of the Pod that has nothing to do with"
    " exit codes.",
    "That field counts from the Pod's start, and waiting counts, too. How long can the kubelet wait"
    " before each of the two restarts?",
]

DEBRIEF = [
    "OnFailure restarts after every code but 0, so a bug ran again and again. Never, with a "
    "rule for 75, restarts after 75 alone.",
    "Exit codes decide about restarts. activeDeadlineSeconds limits the time, from the Pod's "
    "start, with all waiting included.",
    "A job that retries a bug keeps the cluster busy all night. One that hangs without a "
    "deadline blocks tomorrow's run as well.",
]
COMMANDS = {
    "75": ["sh", "-c", "exit 75"],
    "1": ["sh", "-c", "exit 1"],
    "0": ["sh", "-c", "exit 0"],
    "hangs": ["sleep", "3600"],
}
# The kubelet acts on a deadline some seconds late.
SECONDS, LATE_SECONDS = 40, 5
# The first restart comes at once. The second comes after 10 s, or up to half longer.
TRIES, LATEST_TRY = 2, 15
OVER = ("Succeeded", "Failed")


def check(lab, path):
    raw = expected_pod(lab, "batch").now().raw
    _leaves_time(raw["spec"].get("activeDeadlineSeconds"))
    copies = {name: lab.pod(f"batch-{name}") for name in COMMANDS}
    try:
        for name, pod in copies.items():
            lab.connection.delete("Pod", pod.name, grace_seconds=0)
            pod.wait_until("gone", timeout_seconds=30)
            lab.connection.create(_copy(raw, pod.name, lab.namespace, COMMANDS[name]))
        _ends(copies["1"], "Failed", "exit code 1")
        _ends(copies["0"], "Succeeded", "exit code 0")
        _is_restarted(copies["75"])
        _is_ended(copies["hangs"])
    finally:
        for pod in copies.values():
            lab.connection.delete("Pod", pod.name, grace_seconds=0)
    return "75 is tried again twice, 1 is Failed, 0 is Succeeded, and one that hangs is ended"


def _leaves_time(deadline):
    """Arithmetic first: whether a second restart comes in time shouldn't depend on luck."""
    if deadline is not None and deadline <= LATEST_TRY:
        raise NotYet(f"with a deadline of {deadline} s, the second restart may come too late")


def _copy(raw, name, namespace, command):
    spec = copy.deepcopy(raw["spec"])
    spec.pop("nodeName", None)
    app = spec["containers"][0]
    app["command"] = command
    app.pop("args", None)
    return {"apiVersion": "v1", "kind": "Pod", "spec": spec,
            "metadata": {"name": name, "namespace": namespace}}  # fmt: skip


def _restarts(now) -> int:
    return sum(each["restartCount"] for each in now.raw["status"].get("containerStatuses") or [])


def _is_restarted(pod):
    pod.wait_until(lambda now: _restarts(now) >= TRIES or _is_over(now), timeout_seconds=90)
    restarts = _restarts(pod.now())
    if restarts < TRIES:
        times = "wasn't tried again" if not restarts else "was tried again only once"
        raise NotYet(f"exit code 75 {times}")


def _is_ended(pod):
    try:
        pod.wait_until("Failed", timeout_seconds=2 * SECONDS)
    except TimedOut as error:
        raise NotYet(f"one that hangs isn't Failed after {2 * SECONDS} s") from error
    status = pod.raw["status"]
    [container] = status["containerStatuses"]
    ended = container["state"].get("terminated") or container["lastState"]["terminated"]
    took = _seconds(ended["finishedAt"]) - _seconds(status["startTime"])
    if took > SECONDS + LATE_SECONDS:
        raise NotYet(f"one that hangs is ended after {took:.0f} s")


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _ends(pod, phase, what):
    pod.wait_until(lambda now: _restarts(now) or _is_over(now), timeout_seconds=60)
    now = pod.now()
    if _restarts(now):
        raise NotYet(f"{what} was restarted, and should be final")
    if now.phase != phase:
        raise NotYet(f"after {what} the Pod is {now.phase}")


def _is_over(now) -> bool:
    return now.phase in OVER
