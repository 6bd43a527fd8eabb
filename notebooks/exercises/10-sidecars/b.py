"""Exercise b of lab 10: the smallest grace period in which all three can end by themselves."""

from labhelpers.errors import LabError
from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
The Pod flush has an app and two native sidecars. On SIGTERM, app needs 1 second to end, proxy 3
and logs 2.5. logs loses data if it's killed.

Compute the smallest terminationGracePeriodSeconds with which all three end by themselves. Change
only that number. The check deletes the Pod, and looks at the exit codes.
"""

HINTS = [
    "One grace period covers the whole Pod. Who uses it up before it's logs' turn?",
    "They stop one after the other: add up what each of them needs, and round up.",
]

DEBRIEF = [
    "They stop one after the other: app in 1 second, then proxy in 3, then logs in 2.5. That's "
    "6.5, so 7.",
    "One grace period covers the whole Pod. Sidecars stop after the apps, the last one first, "
    "and get what's left of it.",
    "The app takes its time to shut down, and the log shipper, last in line, is killed with the "
    "most interesting lines unsent.",
]
SMALLEST_SECONDS = 7
NEEDS = {"app": "sleep 1;", "proxy": "sleep 3;", "logs": "sleep 2.5;"}


def check(lab, path):
    pod = expected_pod(lab, "flush")
    spec = pod.raw["spec"]
    commands = {
        each["name"]: " ".join(each["command"])
        for each in [*(spec.get("initContainers") or []), *spec["containers"]]
    }
    if any(words not in commands.get(name, "") for name, words in NEEDS.items()):
        raise NotYet("another command than the starter's", "Change only the grace period.")
    pod.wait_until("Ready", timeout_seconds=30)
    with lab.recording("flush") as life:
        pod.delete(timeout_seconds=60)
    killed = {name: code for name in NEEDS if (code := _exit_code(life, name)) != 0}
    if killed:
        seen = ", ".join(f"{name} with exit code {code}" for name, code in killed.items())
        raise NotYet(f"these didn't end by themselves: {seen}")
    if (grace := spec["terminationGracePeriodSeconds"]) > SMALLEST_SECONDS:
        raise NotYet(f"all three ended by themselves, and less than {grace} s is enough")
    return f"all three ended by themselves within {grace} s of grace"


def _exit_code(life, name: str) -> int:
    rows = life.intervals
    ended = rows[(rows["lane"] == name) & (rows["state"] == "terminated")]
    if ended.empty:
        raise LabError(f"{name} wasn't seen to end.", "the Pod is gone", "Check again.")
    return int(ended["exit_code"].iloc[-1])
