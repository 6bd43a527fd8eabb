"""Exercise c of lab 19: a Pod that leaves evidence behind when it crashes."""

from labhelpers.errors import LabError
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.patience import patient
from labhelpers.polling import poll

QUESTION = """
ledger crashes once, while it reads its book, and leaves a dump. With the dump it recovers, which
takes 8 seconds. Today it never recovers, and nobody knows why.

Design the Pod so that
1. ledger is restarted once, recovers from its dump, and isn't killed while it does;
2. someone who may read the Pod's status, but not its logs, can see there why it crashed;
3. a hanging ledger is still restarted: its liveness probe stays.

The command stays as it is.
"""

HINTS = [
    "The dump is in /dump. What does a restart do to a file that isn't in a volume?",
    "A probe that holds back the liveness probe: lab 11 has it.",
    "The field is terminationMessagePolicy, or the app's own file: but the command stays.",
]

DEBRIEF = [
    "The dump went with the first container's files. An emptyDir outlives a restart, because it "
    "belongs to the Pod.",
    "A startup probe holds the liveness probe back, and FallbackToLogsOnError copies the last "
    "lines of the log into the status.",
    "An app that recovers slowly and is probed at once never recovers, most of all when there's "
    "much to recover.",
]

RECOVERY_SECONDS = 40


def check(lab, path):
    pod = expected_pod(lab, "ledger")
    container = pod.raw["spec"]["containers"][0]
    if "torn" not in " ".join(container["command"]):
        raise NotYet("the command was changed")
    if "livenessProbe" not in container:
        raise NotYet("a hanging ledger is never restarted: there's no liveness probe")

    def has_recovered() -> bool:
        try:
            done = pod.exec("app", ["test", "-e", "/tmp/recovered"]).returncode == 0
        except LabError:  # the container is between two runs
            done = False
        return done or _status(pod).get("restartCount", 0) > 1

    poll(has_recovered, timeout_seconds=patient(RECOVERY_SECONDS), every_seconds=0.5)
    status = _status(pod)
    if status.get("restartCount") != 1:
        raise NotYet(f"it was restarted {status.get('restartCount')} times, and should be once")
    if not status["state"].get("running"):
        raise NotYet("it doesn't run")
    if "torn" not in status["lastState"].get("terminated", {}).get("message", ""):
        raise NotYet("it has recovered, and the Pod's status doesn't say why it had crashed")
    return "it was restarted once and has recovered, and its status says why it crashed"


def _status(pod):
    return (pod.raw["status"].get("containerStatuses") or [{}])[0]
