"""Exercise a of lab 02: the check makes an orphan in the reader's container. The node shows who
adopts it, and whether it's reaped. Then the app is killed, and the container has to restart."""

import time

from labhelpers.errors import LabError, TimedOut
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
Ticket: "worker starts a short helper (sleep 1) every two seconds. After some hours nothing starts in
it any more: can't fork, Resource temporarily unavailable. Memory and CPU are fine. It can't be
zombies, because we were told that pause reaps them."

Find the cause with kubectl. Then fix it in the container app: its command and args are yours to
change, its image stays. Any process that becomes an orphan there has to be reaped within two
seconds. When the app itself (sleep 3600) ends, the container has to end too, so that Kubernetes
restarts it. The helpers are still needed, and the Pod keeps its name. Containers must not see each
other's processes here, so don't share the process namespace.
"""

HINTS = [
    "Try kubectl exec worker -- ps -o pid,ppid,stat,args, twice. What grows, and who is its parent?",
    "Orphans go to PID 1 of their PID namespace. What program is PID 1 here, and does it ever "
    "wait for a child? Look at the word exec.",
    "A shell that waits for one child collects every child that has ended. So let the shell stay "
    "PID 1, start the app in the background, and let the shell wait for the app alone: a bare wait "
    "waits for the endless loop of helpers, too. In a shell, $! is the last background process.",
]

DEBRIEF = [
    "exec made sleep PID 1. It never waits for a child, so each orphan that it adopted stayed a "
    "zombie, until no PID was left.",
    "Orphans go to PID 1 of their PID namespace. In a container that's your own program, not "
    "pause, unless the Pod shares its processes.",
    "An app that starts helper programs runs for days, then can't fork any more, with CPU and "
    "memory idle. A small init, tini, reaps.",
]

ORPHAN = "sleep 86399"
APP, HELPER = "sleep 3600", "sleep 1"
REAPED_SECONDS, RESTARTED_SECONDS = 2.0, 20.0


def check(lab, path):
    pod = expected_pod(lab, "worker")
    pod.wait_until("Ready", timeout_seconds=60)
    app = pod.container("app").process
    _helpers_are_started(pod)

    done = pod.exec("app", f"{ORPHAN} >/dev/null 2>&1 & exit 0")
    if done.returncode:
        raise NotYet(
            f"no shell could be started in the container app: {done.stderr.strip()}",
            "Use the image of the starter.",
        )
    orphan = pod.process(ORPHAN, timeout_seconds=20)
    adopter = orphan.parent_command
    if app.namespaces["pid"] == lab.node.node_namespaces()["pid"]:
        lab.node.kill(orphan)
        raise NotYet("the Pod is in the node's own PID namespace: it sees every process there")
    pause = pod.pause.process
    lab.node.kill(orphan)
    is_gone = _gone(lab, orphan)
    if app.namespaces["pid"] == pause.namespaces["pid"]:
        raise NotYet(
            f"{adopter} reaped the orphan, but the containers share one PID namespace"
            if is_gone
            else f"{adopter} left a zombie, and the containers share one PID namespace",
            "Leave shareProcessNamespace out: the container's own PID 1 has to reap.",
        )
    if not is_gone:
        raise NotYet(
            "two seconds after an orphan in app had ended, it was still in the process table"
        )
    _ends_with_its_app(lab, pod)
    return (
        f"{adopter} is PID 1 of the container: it adopted the orphan and reaped it, "
        "and when the app ended, the container was restarted"
    )


def _ends_with_its_app(lab, pod):
    container = pod.container("app")
    try:
        process = pod.process(APP, timeout_seconds=10)
    except TimedOut as error:
        raise NotYet(f"orphans are reaped, but the app ({APP}) isn't running") from error
    lab.node.kill(process)
    try:
        container.wait_until("restarted", timeout_seconds=RESTARTED_SECONDS)
    except TimedOut as error:
        raise NotYet(
            f"orphans are reaped, but {RESTARTED_SECONDS:g} seconds after the app ({APP}) had been "
            "killed, its container hadn't been restarted",
            "PID 1 has to end when the app ends: what is it waiting for?",
        ) from error


def _helpers_are_started(pod):
    try:
        pod.process(HELPER, timeout_seconds=10)
    except LabError as error:
        raise NotYet(
            f"no helper ({HELPER}) was started within ten seconds",
            "Keep the loop that starts the helpers: the worker needs them.",
        ) from error


def _gone(lab, process):
    """Whether nothing is left of a process that was killed, not even a zombie."""
    deadline = time.monotonic() + REAPED_SECONDS
    while time.monotonic() < deadline:
        if not _is_there(lab, process):
            return True
        time.sleep(0.1)
    return not _is_there(lab, process)


def _is_there(lab, process):
    # By /proc, not by cgroup: on cgroup v1 a zombie has left its cgroup.
    return lab.node.run(f"test -e /proc/{process.pid} && echo yes || echo no").strip() == "yes"
