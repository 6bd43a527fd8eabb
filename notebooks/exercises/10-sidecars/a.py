"""Exercise a of lab 10: a startup probe that asks the app, which waits for the probe."""

from labhelpers.errors import LabError
from labhelpers.exercises import NotYet, expected_pod, first_log

QUESTION = """
Ticket: "As an ordinary container our proxy worked. Now it's a native sidecar, and gate never gets
past Init:0/1. It's even restarted from time to time. Its log shows no error: it listens as always."

Find the cause with kubectl, and fix it. proxy stays a native sidecar, and app has to find it
listening when it starts: app's first line is then "proxy is there". Leave the commands of both
containers as they are.
"""

HINTS = [
    "Why is proxy restarted? kubectl describe pod gate has an event that says so.",
    "Whose port does the probe ask? And who waits for whom?",
    "The probe has to ask something that proxy can answer before there is an app.",
]

DEBRIEF = [
    "The startup probe asked port 8081, which is app's. app waited for proxy to be started, and "
    "proxy waited for app.",
    "Whatever comes after a sidecar waits for its startup probe. So the probe may ask only what "
    "the sidecar can answer alone.",
    "A mesh proxy whose probe asks the app never gets past Init:0/1. Every log is clean, and "
    "only the events mention the probe.",
]


def check(lab, path):
    pod = expected_pod(lab, "gate")
    inits = {each["name"]: each for each in pod.raw["spec"].get("initContainers") or []}
    if inits.get("proxy", {}).get("restartPolicy") != "Always":
        raise NotYet("proxy isn't a native sidecar", "Keep it one.")
    try:
        pod.wait_until("Ready", timeout_seconds=10)
    except LabError as error:
        raise NotYet(f"gate is still {pod.kubectl_status}") from error
    if (said := first_log(pod, "app")) != "proxy is there":
        raise NotYet(f"gate is Ready, but app started too early and says: {said}")
    return "gate is Ready, and app found proxy listening at its start"
