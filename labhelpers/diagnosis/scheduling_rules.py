"""Rules about a Pod without a node: what holds it, and what the scheduler says. Each takes what was
seen, and returns a finding or None."""

import re

from labhelpers.diagnosis.seen import Claimed, Seen
from labhelpers.diagnosis.verdicts import Evidence, Finding, status, steady

__all__ = ["gated", "never_scheduled", "unschedulable"]

# As long as this, a scheduler may just not have come to it.
SCHEDULER_SECONDS, OTHER_SCHEDULER_SECONDS = 30, 5
DEFAULT_SCHEDULER = "default-scheduler"


def gated(seen: Seen) -> Finding | None:
    """A scheduling gate keeps the scheduler from looking at the Pod."""
    gates = seen.spec.get("schedulingGates")
    if not gates or seen.spec.get("nodeName"):
        return None
    names = ", ".join(gate["name"] for gate in gates)
    return Finding(
        (status(seen, f"it has the gates {names}; no event says so", ".spec.schedulingGates"),),
        f"The scheduler isn't looking at this Pod: the gate {names} is closed.",
        "Whoever set the gate removes it when its condition is met. Find that controller.",
        "03",
    )


# The scheduler's own words, in pkg/scheduler/framework/plugins; what they mean, what to do, the
# lab. `{0}` is the group in brackets.
SHORTAGES = (
    (
        r"Insufficient (cpu|memory|ephemeral-storage)",
        "not enough free {0} for its request",
        "Request less, or make room. `kubectl describe nodes` shows what is allocated.",
        "03",
    ),
    (
        r"Insufficient ([\w./-]+[\w/-])",
        "no free {0}",
        "`kubectl describe nodes` shows whether a node advertises it: look for it in Allocatable.",
        "15",
    ),
    (
        r"Too many pods",
        "the node already has as many Pods as its kubelet allows",
        "Delete Pods, or add a node.",
        "03",
    ),
    (
        r"didn't match Pod's node affinity/selector",
        "the node's labels don't match its nodeSelector or node affinity",
        "Compare spec.nodeSelector and spec.affinity with `kubectl get nodes --show-labels`.",
        "03",
    ),
    (
        r"(?:had|were with) untolerated taint",
        "the node has a taint that it doesn't tolerate",
        "`kubectl describe nodes` shows the taints. Add a toleration, or remove the taint.",
        "03",
    ),
    (
        r"didn't match pod affinity rules",
        "the node has no Pod that its podAffinity asks for",
        "Check the labels in spec.affinity.podAffinity with `kubectl get pods --show-labels`.",
        "03",
    ),
    (
        r"didn't (?:match|satisfy existing) pod(?:s)? anti-affinity rules",
        "the node has a Pod that an anti-affinity rule keeps it away from",
        "Use fewer replicas than nodes, or prefer instead of require: see"
        " spec.affinity.podAntiAffinity.",
        "03",
    ),
    (
        r"didn't match pod topology spread constraints \(missing required label\)",
        "the node doesn't have the label that topologySpreadConstraints names in topologyKey",
        "Label the nodes, or use a topologyKey that they have, such as kubernetes.io/hostname.",
        "03",
    ),
    (
        r"didn't match pod topology spread constraints(?! \()",
        "it would make the spread more uneven than maxSkew allows",
        "Make room where fewer Pods are, raise maxSkew, or use ScheduleAnyway.",
        "03",
    ),
    (
        r"didn't have free ports for the requested pod ports",
        "its hostPort is already taken",
        "Use a Service instead of a hostPort, or another port.",
        "03",
    ),
    (
        r"were unschedulable",
        "the node is cordoned",
        "`kubectl uncordon NODE` ends that, once the maintenance is over.",
        "03",
    ),
    (
        r"volume node affinity conflict|didn't match PersistentVolume's node affinity",
        "its volume is on another node or in another zone",
        "`kubectl describe pv` shows where it is. Make room there.",
        "16",
    ),
    (
        r"ReadWriteOncePod access mode already in-use",
        "another Pod uses its claim, and the access mode is ReadWriteOncePod",
        "`kubectl describe pvc` shows which Pod uses it (Used By). End that Pod first.",
        "16",
    ),
    (
        r"exceed max volume count",
        "the node has as many volumes as it can take",
        "Spread Pods with volumes over more nodes.",
        "16",
    ),
    (
        r"didn't find available persistent volumes to bind",
        "no PersistentVolume is available for its claim",
        "Create a PersistentVolume that fits, or use a StorageClass that makes volumes.",
        "16",
    ),
)
OF_CLAIMS = re.compile(
    r'persistentvolumeclaim "(?P<name>[^"]+)" (?P<how>not found|is being deleted)'
    r"|unbound immediate PersistentVolumeClaims|bound to non-existent persistentvolume"
)


def unschedulable(seen: Seen) -> Finding | None:
    """The scheduler has looked, and no node fits. It says so in a condition, which stays; its
    event goes after an hour."""
    condition = seen.condition("PodScheduled")
    if condition.get("status") != "False" or condition.get("reason") == "SchedulingGated":
        return None
    message = condition.get("message", "")
    says = f"PodScheduled is False, {condition.get('reason')}: {message}"
    evidence = (status(seen, says, ".status.conditions"),)
    if found := OF_CLAIMS.search(message):
        return _unbound(seen, evidence, found["name"], found["how"])
    reasons = _shortages(message)
    if "no nodes available" in message:
        return Finding(
            evidence, "The cluster has no nodes.", "`kubectl get nodes` lists them.", "03"
        )
    if not reasons:
        return Finding(
            evidence,
            "The scheduler finds no node for this Pod.",
            "Its message says why, node by node.",
            "03",
        )
    _, means, next_, lab = reasons[0]
    if len(reasons) > 1:
        means = "; ".join(f"{count} of them: {why}" for count, why, *_ in reasons)
    return Finding(evidence, f"No node fits this Pod: {means}.", next_, lab)


def _shortages(message: str) -> list[tuple[str, str, str, str]]:
    """How many nodes, what is wrong with them, what to do, the lab; in the order of the message.

    >>> many = "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."
    >>> [each[:2] for each in _shortages(many)]
    [('1', 'not enough free cpu for its request'), ('2', 'the node is cordoned')]
    """
    found = {}
    why_not = message.partition("preemption:")[0].partition("nodes are available: ")[2]
    for part in re.finditer(r"(\d+) (.+?)(?=, \d+ |\.? *$)", why_not.strip()):
        for pattern, means, next_, lab in SHORTAGES:
            if told := re.search(pattern, part[2]):
                words = means.format(*told.groups())
                found.setdefault(words, (part[1], words, next_, lab))
                break
    return list(found.values())


def _unbound(
    seen: Seen, evidence: tuple[Evidence, ...], name: str | None, how: str | None
) -> Finding:
    if how == "is being deleted":
        return Finding(
            evidence,
            f"The Pod's claim {name} is being deleted, so no new Pod may use it.",
            "Wait until it's gone, then create it again.",
            "16",
        )
    missing = name or next((claim.name for claim in seen.claims if claim.body is None), "")
    if missing:
        line = f"{seen.kubectl} get pvc {missing}"
        return Finding(
            (*evidence, Evidence(f'persistentvolumeclaims "{missing}" not found', line)),
            f"The Pod's volume names a PersistentVolumeClaim {missing}, and there is none.",
            "Create the claim in the Pod's namespace, or correct claimName.",
            "16",
        )
    for claim in seen.claims:
        if claim.body and claim.body.get("status", {}).get("phase") != "Bound":
            return _pending_claim(seen, evidence, claim)
    return Finding(
        evidence,
        "A PersistentVolumeClaim of the Pod isn't bound to a volume.",
        f"`{seen.kubectl} describe pvc` says why, at the end.",
        "16",
    )


def _pending_claim(seen: Seen, evidence: tuple[Evidence, ...], claim: Claimed) -> Finding:
    phase = claim.body.get("status", {}).get("phase", "Pending")
    line = f"{seen.kubectl} describe pvc {claim.name}"
    more = [Evidence(f"claim {claim.name} is {phase}", line)]
    why, next_ = "isn't bound to a volume", "`kubectl get pv,storageclass` shows what there is."
    if failed := [each for each in claim.events if each.get("type") == "Warning"]:
        says = failed[-1].get("message", "")
        more.append(Evidence(steady(f"event {failed[-1]['reason']}: {says}"), line))
        if found := re.search(r'storageclass\S* "([^"]+)" not found', says):
            why = f"names a StorageClass {found[1]} that doesn't exist"
            next_ = "`kubectl get storageclass` lists them. A claim can't be changed: create it"
            next_ += " again."
    return Finding(
        (*evidence, *more),
        f"The Pod waits for its PersistentVolumeClaim {claim.name}, which {why}.",
        next_,
        "16",
    )


def never_scheduled(seen: Seen) -> Finding | None:
    """No scheduler has looked at the Pod: there's no event and no condition."""
    if seen.spec.get("nodeName") or seen.phase != "Pending" or seen.condition("PodScheduled"):
        return None
    name = seen.spec.get("schedulerName", DEFAULT_SCHEDULER)
    if name == DEFAULT_SCHEDULER:
        patience, verdict = SCHEDULER_SECONDS, "No scheduler has looked at this Pod."
        next_ = "Check that kube-scheduler runs: `kubectl -n kube-system get pods`."
    else:
        patience = OTHER_SCHEDULER_SECONDS
        verdict = f"The Pod waits for a scheduler named {name}, and none has looked at it."
        next_ = f"Correct spec.schedulerName, or start the scheduler {name}."
    if seen.age_seconds < patience:
        return None
    return Finding(
        (
            status(seen, f"spec.schedulerName is {name}", ".spec.schedulerName"),
            status(seen, "it has no node, no condition and no event"),
        ),
        verdict,
        next_,
        "03",
    )
