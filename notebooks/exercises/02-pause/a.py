"""Exercise a of lab 02: an orphan is made in the reader's Pod, and the node is asked who takes it
and what becomes of it."""

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The Pod reaper has one container, app. Change the Pod so that pause reaps the orphans of app:
when a process of app loses its parent, pause becomes its new parent, and when that process ends, too,
no zombie is left. The Pod keeps its name, and app keeps running.
"""

HINTS = [
    (
        "An orphan goes to process number 1 of its process namespace. Who is number 1 in your"
        " container?"
    ),
    (
        "pause would have to be number 1 of the namespace that the app is in. One line of the spec"
        " makes the Pod's process namespaces one."
    ),
    "It stands in the spec of the Pod, not of the container: shareProcessNamespace.",
]

ORPHAN = "sleep 86399"


def check(lab, path):
    pod = expected_pod(lab, "reaper")
    pod.now().container("app")
    pod.wait_until("Ready", timeout_seconds=60)
    done = pod.exec("app", f"{ORPHAN} >/dev/null 2>&1 & exit 0")
    if done.returncode:
        raise NotYet(
            f"the container app could not run a shell: {done.stderr.strip()}",
            "Use the image that is in the starter.",
        )
    orphan = pod.process(ORPHAN, timeout_seconds=20)
    pause = pod.pause.process
    parent = f"{orphan.parent_command} took the orphan, not pause"
    in_the_nodes = pause.namespaces["pid"] == lab.node.node_namespaces()["pid"]
    lab.node.kill(orphan)
    if in_the_nodes:
        raise NotYet(
            f"{parent}: the Pod is in the node's own process namespace, and there pause is not"
            " number 1"
        )
    if orphan.parent_pid != pause.pid:
        raise NotYet(
            f"{parent}: number 1 in the process namespace of app is not pause, which is in"
            " another one"
        )
    # Who reaps needs a moment of CPU time for it.
    wait = f"n=0; while [ -e /proc/{orphan.pid} ] && [ $((n += 1)) -le 50 ]; do sleep 0.1; done"
    state = lab.node.run(
        f"{wait}; sed -n 's/^State:.//p' /proc/{orphan.pid}/status 2>/dev/null || true"
    ).strip()
    if state:
        raise NotYet(f"pause took the orphan, but did not reap it: its state is {state}")
    return "pause took the orphan, and when it ended nothing was left of it"
