"""Exercise c of lab NN: a name for the container itself, in its own hosts file."""

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
A program in the Pod alias connects to db.internal, and nobody can change the program. In a test,
that name has to lead to the container itself.

Design the Pod so that both of these hold:
1. In the container app, /etc/hosts says that db.internal is 127.0.0.1.
2. The process of app isn't root, so it can't have written that file.
"""

HINTS = [
    "The kubelet writes /etc/hosts. Which field of the Pod adds lines to it?",
    "kubectl explain pod.spec.hostAliases, and pod.spec.containers.securityContext",
]

DEBRIEF = [
    "hostAliases let the kubelet write the line. A process that isn't root couldn't have "
    "written /etc/hosts itself.",
    "/etc/hosts belongs to the kubelet, which writes it at each start. Fields of the spec say "
    "what goes in.",
    "A start script that appends to /etc/hosts works as root, and fails on the day when "
    "runAsNonRoot arrives.",
]

NAME, ADDRESS = "db.internal", "127.0.0.1"


def check(lab, path):
    pod = expected_pod(lab, "alias").wait_until("Ready", timeout_seconds=30)
    lines = pod.exec("app", ["cat", "/etc/hosts"]).stdout.splitlines()
    words = [line.partition("#")[0].split() for line in lines]
    if not any(line[0] == ADDRESS and NAME in line[1:] for line in words if line):
        raise NotYet(f"/etc/hosts in app has no line that says {NAME} is {ADDRESS}")
    uid = pod.exec("app", ["id", "-u"]).stdout.strip()
    if uid == "0":
        raise NotYet("the process of app is root: uid 0")
    return f"{NAME} is {ADDRESS} in app, and its process is uid {uid}"
