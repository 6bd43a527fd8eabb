"""Exercise a of lab 15: two licences are advertised, and the Pod requests four."""

from labhelpers.errors import Impossible
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.formulas import quantity

LICENCE, ADVERTISED = "example.com/licence", 2

QUESTION = """
Ticket: "render has been Pending since we added the container that ships its logs. The app needs two
units of example.com/licence, the node advertises two, and kubectl describe node says that none is
allocated. So why does the scheduler call it Insufficient? The log shipper needs no licence at all."

Find the cause with kubectl. Then fix the file: the Pod becomes Ready, and app still has two. The Pod
and its two containers keep their names. While your file is checked, the node advertises two.
"""

HINTS = [
    "What does the scheduler want to allocate? kubectl describe pod render, and read the limits of "
    "every container.",
    "Containers that run side by side are added up. Someone has copied more than they should have.",
    "Take the limits out of shipper.",
]

DEBRIEF = [
    "shipper had a copy of app's limits. Together they requested four, and two were advertised: "
    "Insufficient, with none allocated.",
    "The scheduler adds up all containers of a Pod and allocates all of it or nothing. "
    '"Insufficient" is about that sum.',
    "A copied line for a GPU in a sidecar keeps a training Pod Pending beside an idle GPU. Read "
    "the limits of every container.",
]


def check(lab, path):
    pod = expected_pod(lab, "render")
    spec = pod.raw["spec"]
    there = [*spec.get("initContainers", ()), *spec["containers"]]
    has = {
        each["name"]: quantity(each.get("resources", {}).get("limits", {}).get(LICENCE, 0))
        for each in there
    }
    for name in ("app", "shipper"):
        if name not in has:
            raise NotYet(f"the Pod render has no container {name}", "Keep both containers.")
    if has["app"] != 2:
        raise NotYet(f"app has {has['app']} licences and needs 2", "Leave app as it was.")
    # Created again once they are advertised: what the scheduler says about a Pod that has waited
    # may be some seconds old.
    pod.delete(timeout_seconds=30, grace_seconds=1)
    with lab.tools.advertised(LICENCE, ADVERTISED):
        try:
            lab.apply(path)
            pod.wait_until("Ready", timeout_seconds=60)
        except Impossible as impossible:
            raise NotYet(
                f"the Pod is still Pending, with {ADVERTISED} advertised and none allocated"
            ) from impossible
        return f"app has two licences, and the Pod requests {lab.count(LICENCE).has['render']}"
