"""Exercise c of lab 02: the app's log shows whether the reloader reaches it. A look from inside the
app shows whether the reloader's file is safe."""

import time

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The Pod reload has two containers. Every two seconds reloader sends SIGHUP to app, and app writes
"reloaded" to its log. Or so the author thought: no error anywhere, and the log of app stays empty.

Design the Pod so that both of these hold, with two containers of these names:
1. Within ten seconds after a request of reloader, app writes "reloaded" to its log.
2. No process in app can read the token that reloader keeps in its own /tmp/token.
Any mechanism will do: a signal, a file, something else. Only hostPID is off limits: the node's own
processes are none of this Pod's business.
"""

HINTS = [
    "What does app write to /dev/shm/pid? Read it in both containers, then check with ps in each "
    "which process has that PID.",
    "With one process namespace for the Pod, the signal arrives. Now look from app: "
    "kubectl exec reload -c app -- sh -c 'ls -d /proc/*/root/*'. Each /proc/PID/root shows the "
    "files of that process, and both containers run as root, so app can read them all.",
    "There are two ways out. Keep sharing processes: a user other than root can't look through "
    "/proc/PID/root of another user's process, and root may signal anybody (runAsUser). Or stop "
    "sharing: what else do both containers already see, that isn't a process?",
]

DEBRIEF = [
    "app wrote its PID, which is 1. In reloader's PID namespace, 1 is reloader itself: it "
    "signalled itself, and the kernel dropped the signal.",
    "A PID means something only in its PID namespace. To share processes is to share files, "
    "through /proc/PID/root, unless the users differ.",
    "Turn on shareProcessNamespace for a config reloader, and any sidecar that runs as root can "
    "read the app's keys.",
]

RELOADED, RELOADED_SECONDS = "reloaded", 10.0
TOKEN = "/tmp/token"


def check(lab, path):
    pod = expected_pod(lab, "reload")
    for name in ("app", "reloader"):
        pod.container(name).wait_until("running", timeout_seconds=60)
    _must_be_reloaded(pod)
    if pod.container("app").namespaces["pid"] == lab.node.node_namespaces()["pid"]:
        raise NotYet("app sees every process of the node", "Leave hostPID out.")
    kept = pod.exec("reloader", ["cat", TOKEN])
    token = kept.stdout.strip()
    if kept.returncode or not token:
        raise NotYet(f"reloader has no token in its {TOKEN}", "Keep the line that writes it.")
    # Everything that app can reach: its own files, and those of each process that it sees.
    look = f'cat {TOKEN}; for each in /proc/[0-9]*; do cat "$each/root/"{TOKEN}; done 2>&1; true'
    found = pod.exec("app", look).stdout
    if token in found.splitlines():
        raise NotYet("app was reloaded, but it can read the token, through /proc/PID/root")
    return "app was reloaded, and it can't read the token"


def _must_be_reloaded(pod):
    deadline = time.monotonic() + RELOADED_SECONDS
    while RELOADED not in pod.logs("app"):
        if time.monotonic() > deadline:
            raise NotYet(f'ten seconds went by, and the log of app has no "{RELOADED}" in it')
        time.sleep(0.5)
