"""Exercise c of lab 09: pause is killed, and the init container must have done its work once."""

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The init container of the Pod ledger books an order: it appends a line to a file in a volume. After
a node reboot the customer was charged twice.

Design the Pod so that after pause is killed the file /books/orders still has exactly one line. The
line has to be written by an init container, and an emptyDir volume holds the file.
"""

HINTS = [
    "The init container runs again. What does it find in the volume that the first run left?",
    "Make the second run notice that the work is done, or write so that twice is the same as once.",
]

DEBRIEF = [
    "With pause gone, the Pod got a new sandbox, and its init containers ran again. The second "
    "run appended a second line.",
    "An init container runs at least once, not exactly once. Twice has to give the same as "
    "once: here > instead of >>.",
    "A node reboots, and all its Pods run their init containers again: migrations, "
    "registrations, payments. If a payment isn't safe to repeat, somebody pays twice.",
]


def check(lab, path):
    pod = expected_pod(lab, "ledger")
    app = pod.container("app").wait_until("running", timeout_seconds=30)
    if not pod.raw["spec"].get("initContainers"):
        raise NotYet("the Pod has no init container", "An init container has to write the order.")
    _expect_one(pod, "at first")
    lab.node.kill(pod.pause)
    app.wait_until("restarted", timeout_seconds=60)
    _expect_one(pod, "after pause was killed")
    return (
        "the file has one order, before and after the new sandbox. Outside the Pod there's no such "
        "file: send a key with each order, by which the other side recognises it (an idempotency "
        "key)"
    )


def _expect_one(pod, when):
    lines = pod.exec("app", ["cat", "/books/orders"]).stdout.splitlines()
    if len(lines) != 1:
        raise NotYet(f"{when} the file has {len(lines)} lines and should have 1")
