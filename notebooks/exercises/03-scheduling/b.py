"""Exercise b of lab 03: which Pods does the scheduler preempt?"""

import yaml

from labhelpers.exercises import NotYet
from labhelpers.kube import fields
from labhelpers.kube.manifests import Manifest
from labhelpers.outcomes import listed
from labhelpers.patience import patient
from labhelpers.polling import poll

QUESTION = """
A node has six seats, and all are taken:

    Pod     priority   seats
    low           10       1
    mid           20       3
    top           30       2

A Pod with priority 40 is created and needs three seats. The scheduler begins with "all three could
go". Then it spares as many as it can, the highest priority first.

Which Pods are preempted? Write their names into the ConfigMap victims, separated by commas. The
check creates the Pods and compares.
"""

HINTS = [
    "Without the three, six seats are free, and the new Pod takes three. Which of the others fit "
    "beside it? Begin with top.",
    "top fits: 3 + 2 = 5. Does mid fit, too? And then low: don't stop at the first that doesn't.",
    "A lower priority doesn't mean that you're the first to go. It means that you're the last to be "
    "spared.",
]

DEBRIEF = [
    "Without the three, six seats are free. new takes three and top two. mid doesn't fit any "
    "more, and low takes the last one.",
    "The scheduler thinks away all Pods of lower priority. Then it spares as many as fit, the "
    "highest priority first.",
    "A tiny batch Pod survives, and your larger, more important service is preempted. Priority "
    "says who is spared first, not who goes first.",
]

SEAT, SEATS, NEEDS = "example.com/slot", 6, 3
PODS = {"low": (10, 1), "mid": (20, 3), "top": (30, 2)}
NEW = ("new", 40, NEEDS)
GONE_SECONDS, RUN_SECONDS = 30, 60


def check(lab, path):
    said = lab.connection.get("ConfigMap", "victims").get("data", {}).get("names", "")
    guess = sorted(name.strip() for name in said.split(",") if name.strip())
    if not guess:
        raise NotYet("no name is in the ConfigMap", "Write one or more of low, mid and top.")
    if unknown := sorted(set(guess) - set(PODS)):
        raise NotYet(f"there's no Pod {listed(unknown)}", "Write one or more of low, mid and top.")
    found = _preempted(lab)
    if guess != found:
        raise NotYet(f"{listed(guess)} isn't what the scheduler preempted")
    return f"the scheduler preempted {listed(found)}, and spared the rest"


def _preempted(lab) -> list[str]:
    """The Pods that the scheduler deletes, when all are on the node and the new one comes."""
    everyone = [*PODS, NEW[0]]
    lab.offer(SEAT, SEATS)
    try:
        for name, (priority, seats) in PODS.items():
            _create(lab, name, priority, seats)
        for name in PODS:
            lab.pod(name).wait_until("Ready", timeout_seconds=RUN_SECONDS)
        _create(lab, *NEW)
        lab.pod(NEW[0]).wait_until("Ready", timeout_seconds=RUN_SECONDS)
        there = {pod["metadata"]["name"]: pod for pod in lab.connection.list("Pod")["items"]}
        return sorted(name for name in PODS if name not in there or _is_victim(there[name]))
    finally:
        for name in everyone:
            lab.connection.delete("Pod", name, grace_seconds=0)
        poll(
            lambda: not _there(lab, everyone),
            timeout_seconds=patient(GONE_SECONDS),
            every_seconds=0.3,
        )
        for name in everyone:
            lab.connection.delete("PriorityClass", _priority_class(lab, name))
        lab.withdraw(SEAT)


def _there(lab, names: list[str]) -> list[str]:
    found = [pod["metadata"]["name"] for pod in lab.connection.list("Pod")["items"]]
    return [name for name in names if name in found]


def _is_victim(pod: dict) -> bool:
    target = fields.conditions(pod).get("DisruptionTarget", {})
    return target.get("reason") == "PreemptionByScheduler"


def _priority_class(lab, name: str) -> str:
    return f"{lab.namespace}-{name}"


def _create(lab, name: str, priority: int, seats: int) -> None:
    """A Pod and its PriorityClass, as one manifest: the API server's admission hears of a new
    class a moment later, and ``Manifest.apply`` knows that."""
    own = _priority_class(lab, name)
    priority_class = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": own},
        "value": priority,
    }
    container = {
        "name": "app",
        "image": "busybox:1.35.0",
        "command": ["sleep", "3600"],
        "resources": {"limits": {SEAT: seats}},
    }
    spec = {"priorityClassName": own, "terminationGracePeriodSeconds": 1, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    text = yaml.safe_dump_all([priority_class, pod])
    Manifest.parse(text, f"the Pod {name}").apply(lab.connection)
