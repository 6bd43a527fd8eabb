"""Exercise a of lab 11: a liveness probe that waits long enough for neither answer nor start."""

from labhelpers.exercises import NotYet, expected_pod
from labhelpers.measure.verdicts import Verdicts
from labhelpers.polling import poll

QUESTION = """
Ticket: "Since we added the health check, report is restarted every few seconds. Without the check it
starts in twelve seconds and runs for days. Then kubectl exec report -- sh -c 'sleep 2; test -e
/tmp/ok' ends with exit code 0."

Find out with kubectl what is wrong. Then fix the Pod so that it runs with the check. The liveness
probe's command stays as it is, and the app has to be restarted when /tmp/ok is gone. The Pod keeps
its name.
"""

HINTS = [
    "What do the events say about the probe? kubectl events --for pod/report",
    "How long may one probe take? kubectl explain pod.spec.containers.livenessProbe",
    "Fix that, and read the events again. How old is the container when it's killed?",
]

DEBRIEF = [
    "The probe takes 2 seconds and may take 1, the default, so it never passed. It also began "
    "long before the app was up.",
    "Each probe has its own timeout, 1 second if you don't set it. Liveness begins at once, "
    "unless a startup probe holds it back.",
    "Under load the health check takes 1.1 seconds, and the kubelet restarts healthy replicas, "
    "at the moment you need them most.",
]
SECONDS = 60


def check(lab, path):
    pod = expected_pod(lab, "report")
    app = pod.container("app").wait_until("running", timeout_seconds=30)
    probe = pod.raw["spec"]["containers"][0].get("livenessProbe", {})
    if "sleep 2" not in str(probe.get("exec")):
        raise NotYet("the liveness probe has another command", "Keep the command of the probe.")
    with Verdicts(lab.connection) as verdicts:

        def passed():
            return len(verdicts.of("report", "liveness", "passed"))

        def restarts():
            return pod.now().container("app").restarts

        poll(lambda: passed() >= 2 or restarts(), timeout_seconds=SECONDS, every_seconds=0.2)
        if restarts():
            raise NotYet("report was restarted before its liveness probe had passed")
        if passed() < 2:
            raise NotYet(f"in {SECONDS} seconds the probe didn't pass twice")
        pod.exec("app", ["rm", "/tmp/ok"])
        app.wait_until("restarted", timeout_seconds=60)
    return "the probe passes, and report is restarted when /tmp/ok is gone"
