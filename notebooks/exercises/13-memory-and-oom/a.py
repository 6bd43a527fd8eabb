"""Exercise a of lab 13: the container has to stay up with little memory, and its probe has to notice
when the app hangs."""

from labhelpers.exercises import NotYet, expected_pod
from labhelpers.patience import patient
from labhelpers.polling import poll

QUESTION = """
Ticket: "shop is restarted every few seconds, with exit code 137. So it runs out of memory. We have
doubled the limit twice, from 16Mi to 64Mi, and it didn't help. How much does it need?"

Find the cause with kubectl. Then fix it, and set the limit back to 16Mi. The container app has to
stay up. When the app hangs, its liveness probe still has to restart it. The Pod and its container
keep their names.
"""

HINTS = [
    "137 only says SIGKILL. What is the reason beside it? kubectl describe pod shop, Last State.",
    "The reason isn't OOMKilled each time, so look for another killer first. kubectl events --for "
    "pod/shop names who, and why.",
    "The liveness probe asks for a page. Which page does the app have?",
]

DEBRIEF = [
    "The probe asked for /healthz, and the app has only /health. The kubelet restarted it, and "
    "SIGKILL gave the 137.",
    "137 means SIGKILL, and the kernel isn't the only sender. An OOM kill says OOMKilled. A "
    "failed probe leaves the events Unhealthy and Killing.",
    "Memory limits get doubled week after week because of 137. The Events in kubectl describe "
    "would have named the probe in a minute.",
]

STAYS_SECONDS, NOTICED_SECONDS = 10.0, 40.0
LIMIT_BYTES = 16 << 20


def check(lab, path):
    pod = expected_pod(lab, "shop")
    app = pod.container("app").wait_until("running", timeout_seconds=30)
    if poll(lambda: pod.now().container("app").restarts, timeout_seconds=STAYS_SECONDS):
        raise NotYet("within ten seconds, the container app was restarted")
    limit = app.cgroup.memory_limit_bytes
    if limit != LIMIT_BYTES:
        raise NotYet(
            "the container app stays up, but "
            + ("it has no limit" if limit is None else f"its limit is {limit >> 20} MiB"),
            "Set the limit to 16Mi.",
        )
    before = pod.now().container("app").restarts
    lab.node.kill(app, "STOP")
    if not poll(
        lambda: pod.now().container("app").restarts > before,
        timeout_seconds=patient(NOTICED_SECONDS),
        every_seconds=0.5,
    ):
        lab.node.kill(app, "CONT")
        raise NotYet(
            f"the app hung for {NOTICED_SECONDS:g} s, and nobody restarted its container",
            "Keep the liveness probe, and let it ask for something that exists.",
        )
    return "the app stays up with 16 MiB; when it hung, its liveness probe restarted it"
