"""Exercise b of lab 15: what is needed only before the app starts is counted only then."""

from labhelpers.errors import Impossible
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.formulas import quantity

LICENCE, OFFERED = "example.com/licence", 2

QUESTION = """
While it is checked, the node offers two units of example.com/licence. The Pod render has two steps: prepare
needs two of them, and is done in a moment; work needs one, and begins after that. As it stands, both are
counted together, and the Pod stays Pending. Change it so that it becomes Ready, and prepare still has two.
The Pod keeps its name, and the two steps keep their names, their commands and their licences.
"""

HINTS = [
    (
        "Both are containers that run side by side, so their numbers are added. What if they did"
        " not run side by side?"
    ),
    (
        "A Pod has another list beside containers, of what has to end before those begin. lab.count"
        " counts the larger of the two, not the sum."
    ),
    "initContainers: with prepare in it, and containers: with work alone.",
]


def check(lab, path):
    pod = expected_pod(lab, "render")
    spec = pod.raw["spec"]
    licences = {
        each["name"]: quantity(each.get("resources", {}).get("limits", {}).get(LICENCE, 0))
        for each in (*spec.get("initContainers", ()), *spec["containers"])
    }
    for name, needed in (("prepare", 2), ("work", 1)):
        if licences.get(name) != needed:
            raise NotYet(
                f"{name} has {licences.get(name, 'no container, and so 0')} of the {needed}"
                " licences that it needs"
            )
    # Made anew once the licences are there: what the scheduler says of a Pod that has waited may be
    # some seconds old.
    pod.delete(timeout_seconds=30, grace_seconds=1)
    lab.offer(LICENCE, OFFERED)
    try:
        lab.apply(path)
        pod.wait_until("Ready", timeout_seconds=60)
        count = lab.count(LICENCE)
    except Impossible as impossible:
        waits = lab.count(LICENCE).waits.get("render", 0)
        raise NotYet(f"{OFFERED} on offer, and the Pod waiting for {waits}") from impossible
    finally:
        lab.withdraw(LICENCE)
    ended = pod.container("prepare")
    if ended.state != "terminated" or ended.exit_code != 0:
        raise NotYet(
            "prepare has not done its work", "It has to end by itself, before work begins."
        )
    return (
        f"two licences for prepare, then one for work, and the Pod was given {count.has['render']}"
    )
