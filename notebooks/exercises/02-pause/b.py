"""Exercise b of lab 02: the app is killed, and then pause, and each time the app's own log is asked
how often it has started."""

from labhelpers.exercises import NotYet, expected_pod, first_log

QUESTION = """
The app of the Pod counter counts its starts, and writes the number as the first line of its log.
It keeps the count in a file of its container, and so it forgets it whenever it dies.
Make the count live exactly as long as the sandbox: when the app is killed, the next one says 2;
when pause is killed, the next one says 1 again. The Pod keeps its name, and its container the name app.
"""

HINTS = [
    (
        "Look for a place that is neither the container's own file system nor a volume: a volume is"
        " the Pod's, and outlives pause."
    ),
    (
        "Something in the container is mounted from the sandbox. Put !kubectl exec counter -- df"
        " into a cell, and read the last column."
    ),
    "Shared memory is a matter of ipc, and ipc is what pause holds. Its directory is /dev/shm.",
]


def check(lab, path):
    pod = expected_pod(lab, "counter")
    app = pod.container("app")
    app.wait_until("running", timeout_seconds=30)
    _expect(pod, 1, "the first app says {}, and should say 1: it counts wrongly")
    lab.node.kill(app)
    app.wait_until("restarted", timeout_seconds=30)
    _expect(
        pod,
        2,
        "after the app was killed, the next one says {}, and should say 2: its count died with its"
        " container",
    )

    # A Pod of its own for the second death: a container that dies twice within ten seconds is made
    # to wait.
    pod.delete(timeout_seconds=30, grace_seconds=1)
    lab.apply(path)
    app = pod.container("app").wait_until("running", timeout_seconds=30)
    _expect(pod, 1, "the app of a new Pod says {}, and should say 1: its count outlived the Pod")
    lab.node.kill(pod.pause)
    app.wait_until("restarted", timeout_seconds=60)
    _expect(
        pod,
        1,
        "after pause was killed, the next app says {}, and should say 1: its count outlived pause",
    )
    return "the count outlived the app, and died with pause"


def _expect(pod, wanted, otherwise):
    said = (first_log(pod, "app").split() or ["nothing"])[0]
    if said != str(wanted):
        raise NotYet(otherwise.format(said))
