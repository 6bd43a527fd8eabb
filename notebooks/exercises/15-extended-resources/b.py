"""Exercise b of lab 15: how many channels a Pod with init containers and a sidecar takes."""

from labhelpers.errors import Impossible, LabError
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.formulas import quantity

CHANNEL = "example.com/channel"
ANNOTATION = "channels"
NEEDS = {"proxy": 1, "prepare": 4, "work": 2, "upload": 1}

QUESTION = """
The Pod report has four containers with channels. proxy is a sidecar: an init container that keeps
running (restartPolicy: Always), so it's there while prepare runs, and later beside the apps. prepare
runs after it, and ends before work and upload begin.

Work out, on paper, the smallest number of example.com/channel with which the Pod can start. Write it
into the annotation channels. The check makes the node advertise as many, and then one fewer. The
containers stay as they are.
"""

HINTS = [
    "What runs at the same time is added up. What runs one after the other isn't: the largest moment "
    "counts. How many moments does this Pod have?",
    "While prepare runs: proxy and prepare. After that: proxy, work and upload. The Pod gets the "
    "larger of the two sums, for all its life.",
    "https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers",
]

DEBRIEF = [
    "While prepare runs, it's 1 + 4. Later it's 1 + 2 + 1. The larger of the two is 5.",
    "What runs at the same time adds up. What runs one after the other doesn't, and the Pod "
    "keeps the larger sum for life.",
    "An init container takes four GPUs for a minute, the app uses one for weeks, and three stay "
    "reserved for nobody.",
]


def check(lab, path):
    pod = expected_pod(lab, "report")
    raw = pod.raw
    answer = _answer(raw)
    has = {
        each["name"]: quantity(each.get("resources", {}).get("limits", {}).get(CHANNEL, 0))
        for each in (*raw["spec"].get("initContainers", ()), *raw["spec"]["containers"])
    }
    if has != NEEDS:
        raise NotYet("the containers or their channels have changed", "Change the annotation only.")
    if not _starts(lab, pod, path, answer):
        raise NotYet(f"with {answer} the Pod doesn't start")
    if _starts(lab, pod, path, answer - 1):
        raise NotYet(f"with {answer - 1} the Pod starts, too")
    return f"with {answer} the Pod starts, and with {answer - 1} it doesn't"


def _answer(raw: dict) -> int:
    said = raw["metadata"].get("annotations", {}).get(ANNOTATION, "")
    if not said.isdigit() or not 1 <= int(said) <= 20:
        raise NotYet(f'the annotation channels says "{said}"', "Write a number in double quotes.")
    return int(said)


def _starts(lab, pod, path, count: int) -> bool:
    pod.delete(timeout_seconds=30, grace_seconds=1)
    with lab.tools.advertised(CHANNEL, count):
        lab.apply(path)
        try:
            pod.wait_until("Ready", timeout_seconds=60)
        except Impossible:
            return False
        except LabError as error:
            raise NotYet(f"with {count} the Pod is scheduled, but: {error.seen}") from error
        finally:
            pod.delete(timeout_seconds=30, grace_seconds=1)
    return True
