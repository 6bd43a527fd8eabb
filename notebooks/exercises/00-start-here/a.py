"""Exercise a of lab 00: a Pod that keeps restarting; its log says why."""

from labhelpers.exercises import NotYet, expected_pod, first_log

QUESTION = """
Ticket: "greeter has been in CrashLoopBackOff since we deployed it. It should write its host name to
its log and then stay up. The image is fine, and the node is healthy. Has the cluster broken it?"

Find the cause with kubectl get, describe and logs. Then fix the file: the log has the host name,
and the Pod goes on running. The Pod keeps its name.
"""

HINTS = [
    "kubectl get pod greeter shows that the container ends each time. What did it write before "
    "that? kubectl logs greeter, or kubectl logs greeter --previous.",
    "The log names a file that isn't there. Which one did the author mean?",
    "The host name is in /etc/hostname.",
]

DEBRIEF = [
    "cat couldn't open /etc/hostnam and ended with exit code 1. && then skipped sleep, so the "
    "container ended, and the kubelet restarted it.",
    "CrashLoopBackOff is the wait before the next start, not the cause. The cause is in the "
    "exit code and in the last log.",
    "Right after a restart the log of the new container is often empty. kubectl logs --previous "
    "has the last words of the one that crashed.",
]


def check(lab, path):
    pod = expected_pod(lab, "greeter")
    name = pod.now().raw["spec"]["containers"][0]["name"]
    pod.wait_until(
        lambda now: (
            now.conditions.get("Ready") == "True" or now.container(name).exit_code is not None
        ),
        timeout_seconds=60,
    )
    # The API may still call a container ready that has just ended. Only the node knows at once.
    if pod.container(name).exit_code is not None or name not in set(pod.processes()["container"]):
        raise NotYet("its container ended, so the kubelet starts it again and again")
    if "greeter" not in (said := first_log(pod, name)):
        last = (said.splitlines() or ["nothing"])[-1]
        raise NotYet(f'its log ends in "{last}" and should have the host name')
    return "its log has the host name, and the container keeps running"
