"""Exercise c of lab 15: three programs that need four seats, on a node that advertises three."""

from labhelpers.exercises import NotYet
from labhelpers.formulas import quantity
from labhelpers.polling import poll

SEAT, ADVERTISED = "example.com/seat", 3
NEEDS = {"prepare": 2, "work": 1, "proof": 1}
START_SECONDS, GONE_SECONDS = 40, 30

QUESTION = """
Three programs need seats: prepare two, work one, proof one. In one Pod, side by side, that's four,
and the node advertises three. Design it so that they can do with three:

1. prepare has ended with exit code 0 before work begins.
2. work and proof run at the same time, and each can be replaced without the other.
3. Every container keeps its name, its image, its command and its seats.

Write as many Pods as you like into the file, with a line of three dashes (---) between two of them.
While your file is checked, the node advertises three.
"""

HINTS = [
    "Containers that run side by side are added up. Which of the three needn't run beside another "
    "one?",
    "Under initContainers a Pod has what has to end before its containers begin. It gets the larger "
    "of the two sums, not both.",
    "Two Pods: one with prepare and work, one with proof. How many does each of them request?",
]

DEBRIEF = [
    "Side by side they needed four. prepare ends before work begins, so one Pod needs two "
    "seats, and proof's Pod needs the third.",
    "An init container's seats are used again by the containers after it. What has to be "
    "replaced alone needs a Pod of its own.",
    "Preprocessing, training and evaluation hold a GPU each, and take turns in using them. The "
    "cluster is full, and two thirds are idle.",
]


def check(lab, path):
    with lab.tools.advertised(SEAT, ADVERTISED):
        # Created again once they are advertised: what the scheduler says about a Pod that has
        # waited may be some seconds old.
        for pod in _pods(lab):
            lab.pod(pod["metadata"]["name"]).delete(timeout_seconds=GONE_SECONDS, grace_seconds=1)
        lab.apply(path)
        poll(lambda: _runs(lab), timeout_seconds=START_SECONDS)
        count, found = lab.count(SEAT), _containers(lab)
        free = f"of {ADVERTISED} seats {count.free} are free"
    for name, needed in NEEDS.items():
        if name not in found:
            raise NotYet(f"no Pod has a container {name}")
        has = found[name]["seats"]
        if has != needed:
            raise NotYet(f"{name} has {has} of the {needed} seats that it needs")
    if waiting := [name for name in ("work", "proof") if "running" not in found[name]["state"]]:
        wanted = ", ".join(f"{who} waits for {int(n)}" for who, n in count.waits.items())
        raise NotYet(f"{waiting[0]} doesn't run: {free}, and {wanted or 'nobody waits for any'}")
    if found["work"]["pod"] == found["proof"]["pod"]:
        raise NotYet("work and proof are in one Pod: replacing one replaces the other")
    ended = found["prepare"]["state"].get("terminated", {})
    if ended.get("exitCode") != 0:
        raise NotYet("prepare has not ended well")
    if ended["finishedAt"] > found["work"]["state"]["running"]["startedAt"]:
        raise NotYet("work began before prepare had ended")
    return f"prepare has ended, work and proof run in two Pods, and {free}"


def _pods(lab) -> list[dict]:
    """The Pods of the three programs, however they were made."""
    return [
        pod
        for pod in lab.connection.list("Pod")["items"]
        if "deletionTimestamp" not in pod["metadata"]
        and NEEDS.keys() & {each["name"] for each in _specs(pod)}
    ]


def _specs(pod: dict) -> list[dict]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def _containers(lab) -> dict[str, dict]:
    """By name: the container's Pod, its seats, and its state."""
    found = {}
    for pod in _pods(lab):
        status = pod["status"]
        states = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
        state = {each["name"]: each["state"] for each in states}
        for each in _specs(pod):
            limits = each.get("resources", {}).get("limits", {})
            found[each["name"]] = {
                "pod": pod["metadata"]["name"],
                "seats": quantity(limits.get(SEAT, 0)),
                "state": state.get(each["name"], {}),
            }
    return found


def _runs(lab) -> bool:
    found = _containers(lab)
    return all("running" in found.get(name, {}).get("state", {}) for name in ("work", "proof"))
