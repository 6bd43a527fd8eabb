"""Exercise c of lab 17: root inside, an ordinary uid outside, and one directory to write to."""

import re

from labhelpers.errors import Refused
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The image of the Pod legacy insists on being root. The namespace is going to enforce restricted, and
nobody grants exceptions.

Design the Pod so that all of these hold:
1. restricted admits it.
2. Its process is uid 0 inside the container, and an unprivileged uid on the node.
3. It can write to /data, but not to /, /tmp, /var or /etc.
"""

HINTS = [
    "kubectl apply --dry-run=server in the namespace that ends in -restricted names what's missing.",
    "One line of the Pod's spec makes restricted stop asking for runAsNonRoot, because root is "
    "somebody else on the node then.",
    "Make the root file system read-only. A volume that's mounted stays writable: an emptyDir will "
    "do.",
]

DEBRIEF = [
    "hostUsers: false makes root inside an unprivileged uid on the node. Then restricted "
    "doesn't insist on runAsNonRoot.",
    "Which user a process is depends on who looks. Root in a user namespace of its own is an "
    "unprivileged user on the node.",
    "An old image insists on root, and somebody asks for an exception for the whole namespace. "
    "One line of the spec makes it unnecessary.",
]

LABEL = "pod-security.kubernetes.io/enforce"
WRITABLE, CLOSED = "/data", ("/", "/tmp", "/var", "/etc")


def check(lab, path):
    body = {"metadata": {"labels": {LABEL: "restricted"}}}
    lab.connection.patch("Namespace", lab.namespace, body)
    pod = expected_pod(lab, "legacy")
    lab.connection.delete("Pod", "legacy", grace_seconds=1)
    pod.wait_until("gone", timeout_seconds=30)
    try:
        lab.apply(path)  # the label is certainly there now
    except Refused as error:
        # Which rules are broken; hint 1 says how to see which field each of them needs.
        broken = re.sub(r" \([^()]*\)", "", error.message.partition(": ")[2])
        raise NotYet(f"restricted rejects the Pod: {broken}") from error
    finally:
        # The starter is applied before the check, and has to be admitted then.
        lab.connection.patch("Namespace", lab.namespace, {"metadata": {"labels": {LABEL: None}}})
    pod.wait_until("Ready", timeout_seconds=60)
    inside = pod.exec("app", ["id", "-u"]).stdout.strip()
    if inside != "0":
        raise NotYet(f"the process is uid {inside} inside the container, and should be 0")
    outside = pod.container("app").process.uid
    if outside <= 65535:
        raise NotYet(f"the process is uid {outside} on the node")
    if pod.exec("app", ["touch", f"{WRITABLE}/probe"]).returncode:
        raise NotYet(f"the process can't write to {WRITABLE}")
    for directory in CLOSED:
        if pod.exec("app", ["touch", f"{directory.rstrip('/')}/probe"]).returncode == 0:
            raise NotYet(f"restricted admits the Pod, but it can write to {directory}")
    return (
        f"restricted admits root, who is an unprivileged uid on the node and writes to {WRITABLE}"
    )
