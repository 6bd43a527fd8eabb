"""Exercise a of lab 03: a Pod that may run beside two kinds of disks, and runs beside none."""

from labhelpers.errors import LabError
from labhelpers.exercises import NotYet, expected_pod
from labhelpers.kube import fields
from labhelpers.patience import patient
from labhelpers.polling import poll

QUESTION = """
Ticket: "fast may run on a node with an SSD or with NVMe, that's what we've written. The node has the
label disktype=nvme, we've checked. Still, its event says that the node didn't match. We've tried
disktype=ssd as well, with the same event. Is the scheduler broken?"

Find out with kubectl what the Pod really asks for. Then fix the file: fast runs on a node with
disktype=ssd and on one with disktype=nvme. It must not run on a node with disktype=hdd, nor on one
without the label. The check labels the node, one value after the other.
"""

HINTS = [
    "kubectl get pod fast -o jsonpath-as-json={.spec.affinity}: two expressions in one term. "
    "Does a node have to match one of them, or both?",
    "All matchExpressions of a term have to match; of several nodeSelectorTerms one is enough. And "
    "there's a third condition, in another field of the spec.",
    "kubectl explain pod.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
    " says it. A nodeSelector has to match as well: take it out.",
]

DEBRIEF = [
    "The two expressions in one term asked for a label that's ssd and nvme at once. And "
    "nodeSelector wanted ssd as well.",
    'Expressions in one term are joined by "and", terms by "or". A nodeSelector has to match, '
    "too, whatever the affinity says.",
    'The event names both in one breath: "node affinity/selector". Read both fields, because a '
    "Helm chart may have added the one you didn't write.",
]

DECIDED_SECONDS, GONE_SECONDS = 30, 30
RUNS = {"ssd": True, "nvme": True, "hdd": False, "": False}


def check(lab, path):
    pod = expected_pod(lab, "fast")
    for disk, wanted in RUNS.items():
        where = f"on a node with disktype={disk}" if disk else "on a node without the label"
        # Created again for each label: a Pod that has waited is looked at again some seconds later.
        pod.delete(timeout_seconds=GONE_SECONDS, grace_seconds=1)
        if disk:
            lab.label_node(f"disktype={disk}")
        try:
            lab.apply(path)
            found = _placed(lab)
        finally:
            if disk:
                lab.withdraw("disktype")
        if found == wanted:
            continue
        raise NotYet(f"{where}, fast {'gets' if found else 'does not get'} the node")
    return "fast runs with an SSD and with NVMe, and nowhere else"


def _placed(lab) -> bool:
    """Whether the scheduler has found a node for the Pod, once it has decided."""

    def scheduled() -> dict:
        found = fields.conditions(lab.connection.get("Pod", "fast"))
        return found.get("PodScheduled", {})

    said = poll(scheduled, timeout_seconds=patient(DECIDED_SECONDS), every_seconds=0.2)
    if not said:
        raise NotYet("the scheduler doesn't look at fast", "Does it have a nodeName?")
    if said["status"] == "True":
        try:
            lab.pod("fast").wait_until("Ready", timeout_seconds=60)
        except LabError as error:
            raise NotYet(f"fast has the node, but doesn't run: {error.seen}") from error
    return said["status"] == "True"
