"""Exercise c of lab 11: a slow start, a dependency and a hang, each with the right probe."""

from labhelpers.errors import LabError, TimedOut
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.polling import poll

QUESTION = """
The app of the Pod checkout needs 8 seconds to start. Then there are two files: /tmp/alive while the
app itself is well, and /tmp/db while its database answers. Today both are in one liveness probe.

Design the probes so that
1. checkout starts without a restart,
2. at most 15 seconds after /tmp/db has gone, it gets no traffic; it isn't restarted, even if the
   database is away for minutes,
3. when /tmp/db is back, it gets traffic again within 10 seconds,
4. when /tmp/alive is missing, it is restarted within 20 seconds.
"""

HINTS = [
    "Three problems, three consequences: which probe has which consequence?",
    "A restart helps when /tmp/alive is missing. Does it help when the database is down?",
]

DEBRIEF = [
    "The database was part of the liveness probe, so its outage restarted checkout. That "
    "brought no database back, and cost 8 seconds each time.",
    "Liveness: would a restart help? Readiness: can it serve right now? Startup: is it still "
    "starting? Each condition goes where its consequence helps.",
    "The database stumbles for a minute, all replicas restart together, and their reconnects "
    "bring it down for an hour.",
]


# A liveness probe that is quick enough for 4. gives up within 20 seconds, also when it looks at the
# wrong file. One that outlasts this never gives up.
OUTAGE_SECONDS = 25


def check(lab, path):
    pod = expected_pod(lab, "checkout")
    app = pod.container("app").wait_until("running", timeout_seconds=30)
    _wait_for_the_start(pod)
    _until(pod, lambda now: _is_ready(now) or _restarts(now), "it didn't become Ready", 60)
    if _restarts(pod.now()):
        raise NotYet("it was restarted while it started")
    pod.exec("app", ["rm", "/tmp/db"])
    _until(
        pod,
        lambda now: not _is_ready(now) or _restarts(now),
        "/tmp/db has been missing for 15 seconds, but it's still Ready",
        15,
    )
    _is_left_alone(pod, OUTAGE_SECONDS)
    pod.exec("app", ["touch", "/tmp/db"])
    _until(pod, "Ready", "/tmp/db is back, but it isn't Ready after 10 seconds", 10)
    pod.exec("app", ["rm", "/tmp/alive"])
    _until(pod, _restarts, "20 seconds without /tmp/alive, and no restart", 20)
    app.wait_until("running", timeout_seconds=30)
    return "it started without a restart, sat out the database's outage, and restarted for its own"


def _wait_for_the_start(pod):
    """Waits until the app has written its files, or was restarted. Without a startup probe, Ready
    doesn't say so."""

    def is_over():
        if _restarts(pod.now()):
            return True
        try:
            return {"alive", "db"} <= set(pod.exec("app", ["ls", "/tmp"]).stdout.split())
        except LabError:  # The container has just ended.
            return False

    poll(is_over, timeout_seconds=60, every_seconds=0.5)


def _until(pod, goal, otherwise, seconds):
    try:
        pod.wait_until(goal, timeout_seconds=seconds)
    except TimedOut as error:
        raise NotYet(otherwise) from error


def _is_left_alone(pod, seconds):
    try:
        pod.wait_until(_restarts, timeout_seconds=seconds)
    except TimedOut:
        return
    raise NotYet("it was restarted although only its database was away")


def _is_ready(now):
    return now.conditions.get("Ready") == "True"


def _restarts(now):
    return now.container("app").restarts
