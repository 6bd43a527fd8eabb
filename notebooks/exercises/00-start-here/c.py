"""Exercise c of lab 00: a diary that outlives a crash and ends with its Pod."""

import time

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The Pod witness has two containers. app appends a line to /notes/diary at each start. reader is there
for people who want to read the diary with kubectl exec, also while app is down. Today reader has no
such file, and a crash of app takes the diary with it.

Design the Pod so that all three hold:
1. After app has crashed and been restarted, reader shows two lines in /notes/diary.
2. Another Pod from the same file begins with one line.
3. A process in reader can't change the diary or remove it.
No hostPath: nothing may stay on the node. The Pod and its containers keep their names.
"""

HINTS = [
    "A container's own files end with the container, and no other container sees them. A volume "
    "belongs to the Pod. The file of exercise b has one.",
    "Both containers can mount the same volume, each at a path of its own choice.",
    "A volume mount can be read-only: kubectl explain pod.spec.containers.volumeMounts",
]

DEBRIEF = [
    "The diary was one of app's own files. It ended with app's container, and reader never saw it.",
    "A container's own files end with the container. An emptyDir ends with the Pod, and every "
    "container of the Pod can mount it.",
    "A heap dump in the container's own /tmp is gone after the restart, just when somebody "
    "wants to read it.",
]
WRITES_SECONDS = 10


def check(lab, path):
    pod = expected_pod(lab, "witness").wait_until("Ready", timeout_seconds=60)
    _expect(pod, 1, "after the first start of app")
    app = pod.container("app")
    lab.node.kill(app)
    app.wait_until("restarted", timeout_seconds=30)
    _expect(pod, 2, "after a crash of app")
    for change in ("echo x >> /notes/diary", "rm /notes/diary"):
        if pod.exec("reader", change).returncode == 0:
            raise NotYet("a process in reader could change the diary")
    pod.delete(timeout_seconds=30, grace_seconds=1)
    lab.apply(path)
    pod.wait_until("Ready", timeout_seconds=60)
    _expect(pod, 1, "in another Pod from the same file")
    return "the diary outlived the crash, ended with its Pod, and reader can only read it"


def _expect(pod, wanted, when):
    deadline = time.monotonic() + WRITES_SECONDS
    while (there := _lines(pod)) < wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    if there != wanted:
        raise NotYet(f"{when} reader shows {there} lines in /notes/diary and should show {wanted}")


def _lines(pod) -> int:
    return len(pod.exec("reader", ["cat", "/notes/diary"]).stdout.splitlines())
