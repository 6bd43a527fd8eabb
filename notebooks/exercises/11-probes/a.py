"""Exercise a of lab 11: a liveness probe whose check takes longer than the probe waits."""

from labhelpers.exercises import NotYet, expected_pod
from labhelpers.measure.verdicts import Verdicts
from labhelpers.polling import poll

QUESTION = """
Ticket: "Since we added the health check, report is restarted every few seconds. Nothing is wrong
with it: kubectl exec report -- sh -c 'sleep 2; test -e /tmp/ok' ends with exit code 0."

Find the cause with kubectl. Then fix the Pod so that its probe passes. The check is what it is: it
takes two seconds, and the app has to be restarted when /tmp/ok is gone. The Pod keeps its name.
"""

HINTS = [
    "What do the events say about the probe? kubectl events --for pod/report",
    "How long may one probe take? kubectl explain pod.spec.containers.livenessProbe",
]
SECONDS = 25


def check(lab, path):
    pod = expected_pod(lab, "report")
    app = pod.container("app").wait_until("running", timeout_seconds=30)
    probe = pod.raw["spec"]["containers"][0].get("livenessProbe", {})
    if "sleep 2" not in str(probe.get("exec")):
        raise NotYet("the liveness probe has another command", "Keep the command of the probe.")
    with Verdicts(lab.connection) as verdicts:

        def results():
            return [each.result for each in verdicts.of("report", "liveness")]

        poll(lambda: len(results()) >= 2, timeout_seconds=SECONDS, every_seconds=0.2)
        if "failed" in results():
            raise NotYet("a liveness probe of report failed although /tmp/ok is there")
        if len(results()) < 2:
            raise NotYet(f"in {SECONDS} seconds the probe didn't pass twice")
        pod.exec("app", ["rm", "/tmp/ok"])
        app.wait_until("restarted", timeout_seconds=60)
    return "the probe passes, and report is restarted when /tmp/ok is gone"
