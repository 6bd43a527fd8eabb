"""Exercise a of lab 15: two licences are offered while the check looks; each of the two containers
has to be given one."""

from labhelpers.errors import Impossible
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.formulas import quantity

LICENCE, OFFERED = "example.com/licence", 2

QUESTION = """
While it is checked, the node offers two units of example.com/licence. The Pod pair stays Pending. Change it so
that it becomes Ready, and each of its two containers still has a licence. The Pod keeps its name, and its
containers are still called left and right.
"""

HINTS = [
    (
        "The scheduler adds up what the containers of a Pod ask for: !kubectl describe pod pair,"
        " and count."
    ),
    "Two are offered, and two containers want one each. There are no halves.",
    "In both containers: limits: {example.com/licence: 1}",
]


def check(lab, path):
    pod = expected_pod(lab, "pair")
    limits = {
        each["name"]: each.get("resources", {}).get("limits", {})
        for each in pod.raw["spec"]["containers"]
    }
    # Made anew once the licences are there: what the scheduler says of a Pod that has waited may be
    # some seconds old.
    pod.delete(timeout_seconds=30, grace_seconds=1)
    lab.offer(LICENCE, OFFERED)
    try:
        lab.apply(path)
        pod.wait_until("Ready", timeout_seconds=60)
        count = lab.count(LICENCE)
    except Impossible as impossible:
        count = lab.count(LICENCE)
        raise NotYet(
            f"{OFFERED} on offer, and the Pod waiting for {count.waits.get('pair', 0)}"
        ) from impossible
    finally:
        lab.withdraw(LICENCE)
    for name in ("left", "right"):
        if not quantity(limits.get(name, {}).get(LICENCE, 0)):
            raise NotYet(
                f"the container {name} has no licence",
                "The Pod's licences are not shared: each container is given its own.",
            )
    return f"{count.has['pair']} licences were given to the Pod, and each of its containers has one"
