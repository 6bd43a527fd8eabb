"""Exercise b of lab 02: the app is killed, and then pause; each time the app's own log says how
often it has started."""

from labhelpers.exercises import NotYet, expected_pod, first_log

QUESTION = """
The app of the Pod counter counts its starts and writes the count as the first line of its log.
It keeps the count in a file of its container, so the count is lost when the container ends.

Make the count live exactly as long as the sandbox. After the app is killed, the next one says 2.
After pause is killed, the next one says 1 again. The Pod and its container keep their names.
"""

HINTS = [
    "Three lifetimes: a container's own files end with the container, and a volume ends with the "
    "Pod. You need something between the two.",
    "Something in the container is mounted from the sandbox. Look for it with "
    "kubectl exec counter -- df: read the last column.",
    "Shared memory belongs to the sandbox, as IPC does. Its directory is /dev/shm.",
]

DEBRIEF = [
    "/tmp belongs to the container, so the count ended with it. /dev/shm belongs to the "
    "sandbox, which outlives a killed app.",
    "There are three lifetimes: a container's own files end with it, /dev/shm ends with the "
    "sandbox, and a volume ends with the Pod.",
    "A node reboot replaces the sandbox and keeps the Pod. Its name and UID are the same, but "
    "/dev/shm is empty.",
]


def check(lab, path):
    pod = expected_pod(lab, "counter")
    app = pod.container("app")
    app.wait_until("running", timeout_seconds=30)
    _expect(pod, 1, "the first app says {} and should say 1: it counts wrongly")
    lab.node.kill(app)
    app.wait_until("restarted", timeout_seconds=30)
    said = "after the app was killed, the next one says {} and should say 2"
    _expect(pod, 2, f"{said}: the count ended with its container")

    # A new Pod for the second kill: a container that ends twice within ten seconds has to wait.
    pod.delete(timeout_seconds=30, grace_seconds=1)
    lab.apply(path)
    app = pod.container("app").wait_until("running", timeout_seconds=30)
    _expect(pod, 1, "the app of a new Pod says {} and should say 1: the count outlived the Pod")
    lab.node.kill(pod.pause)
    app.wait_until("restarted", timeout_seconds=60)
    said = "after pause was killed, the next app says {} and should say 1"
    _expect(pod, 1, f"{said}: the count outlived pause")
    return "the count outlived the app and ended with pause"


def _expect(pod, wanted, otherwise):
    said = (first_log(pod, "app").split() or ["nothing"])[0]
    if said != str(wanted):
        raise NotYet(otherwise.format(said))
