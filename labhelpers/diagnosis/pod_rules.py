"""Rules about a Pod as a whole: how it ends, what its node does, and what keeps its containers from
being made. Each takes what was seen, and returns a finding or None."""

import re

from labhelpers.diagnosis.seen import Seen, seconds_between, times
from labhelpers.diagnosis.verdicts import Evidence, Finding, event, matching, status, steady
from labhelpers.kube import fields

__all__ = [
    "disrupted",
    "held_by_finalizer",
    "mount_failed",
    "node_lost",
    "node_not_ready",
    "not_ended_in_time",
    "readiness_gate",
    "rejected",
    "sandbox_failed",
]

# What a kubelet may need after the grace period has ended, before it's late.
LATE_SECONDS = 30


# --- A Pod that is being deleted


def held_by_finalizer(seen: Seen) -> Finding | None:
    """A finalizer keeps the object after its containers have ended."""
    finalizers = seen.metadata.get("finalizers") or []
    is_working = any(box.running for box in seen.boxes())
    if not seen.metadata.get("deletionTimestamp") or not finalizers or is_working:
        return None
    names = ", ".join(finalizers)
    return Finding(
        (
            status(seen, f"it is being deleted, and has the finalizers {names}", ".metadata"),
            status(seen, "none of its containers is running"),
        ),
        f"The Pod's containers have ended, but the finalizer {names} keeps the object:"
        " whoever set it hasn't removed it.",
        "Find the controller that sets this finalizer, and why it doesn't remove it. Removing it"
        " by hand skips what that controller had to clean up.",
        "19",
    )


def node_lost(seen: Seen) -> Finding | None:
    """Nobody on the Pod's node answers, so what the API says about the Pod is old."""
    name = seen.spec.get("nodeName", "")
    if seen.phase in ("Succeeded", "Failed"):
        return None
    if seen.node_is_missing and not seen.status.get("containerStatuses"):
        return Finding(
            (
                status(seen, f"spec.nodeName is {name}, and no container has a status"),
                Evidence(f'nodes "{name}" not found', f"{seen.kubectl} get node {name}"),
            ),
            f"There is no node {name}: no kubelet has seen this Pod.",
            "Leave out spec.nodeName, and let the scheduler choose. The garbage collector will"
            " delete this Pod.",
            "03",
        )
    if seen.node_is_missing:
        evidence = Evidence(f'nodes "{name}" not found', f"{seen.kubectl} get node {name}")
    elif _ready(seen.node).get("status") == "Unknown":
        evidence = _node(seen)
    else:
        return None
    deleting = bool(seen.metadata.get("deletionTimestamp"))
    says = "it is being deleted" if deleting else f"its phase is {seen.phase}, as last reported"
    stays = " Until then the Pod stays Terminating." if deleting else ""
    return Finding(
        (status(seen, says), evidence),
        f"The kubelet on node {name} has stopped reporting, so nobody knows whether the Pod's"
        f" containers still run.{stays}",
        "Bring the node back, or make sure that it's off. Force deletion removes only the object:"
        " the containers may still run.",
        "08",
    )


def node_not_ready(seen: Seen) -> Finding | None:
    """The node's kubelet itself says that it can't run Pods, and none of this Pod's has started."""
    if _ready(seen.node).get("status") != "False" or any(box.has_started for box in seen.boxes()):
        return None
    return Finding(
        (_node(seen),),
        f"The node {seen.spec['nodeName']} isn't Ready, so its kubelet doesn't start the Pod.",
        "The node's condition says why, such as a network plugin that's missing.",
        "03",
    )


def _ready(node: dict | None) -> dict:
    return fields.conditions(node).get("Ready", {})


def _node(seen: Seen) -> Evidence:
    name, ready = seen.spec["nodeName"], _ready(seen.node)
    says = f"node {name}: Ready is {ready['status']}, {ready.get('reason')}: {ready.get('message')}"
    return Evidence(steady(says), f"{seen.kubectl} describe node {name}")


DISRUPTIONS = {
    "PreemptionByScheduler": (
        "The scheduler preempted this Pod to make room for one with a higher priority.",
        "Give it a higher priorityClassName, or give the cluster more room. A controller makes"
        " another Pod; a bare Pod stays gone.",
        "03",
    ),
    "DeletionByTaintManager": (
        "The Pod is deleted because its node got a NoExecute taint that it doesn't tolerate.",
        "`kubectl describe node` shows the taint. A toleration keeps the Pod, with"
        " tolerationSeconds for a while.",
        "03",
    ),
    "EvictionByEvictionAPI": (
        "Somebody evicted this Pod through the eviction API, as kubectl drain does.",
        "It isn't a fault of the Pod. A PodDisruptionBudget limits how many go at a time.",
        "19",
    ),
    "DeletionByPodGC": (
        "The garbage collector deletes this Pod, because its node is gone.",
        "A controller makes another Pod. Leave out spec.nodeName, and let the scheduler choose.",
        "03",
    ),
}


def disrupted(seen: Seen) -> Finding | None:
    """The condition DisruptionTarget says who ended a Pod that did nothing wrong."""
    condition = seen.condition("DisruptionTarget")
    reason = condition.get("reason", "")
    if condition.get("status") != "True" or reason not in DISRUPTIONS:
        return None
    verdict, next_, lab = DISRUPTIONS[reason]
    says = f"condition DisruptionTarget: {reason}: {condition.get('message', '')}"
    found = seen.last_event("Preempted", "TaintManagerEviction")
    more = (event(seen, found),) if found else ()
    return Finding((status(seen, says, ".status.conditions"), *more), verdict, next_, lab)


def not_ended_in_time(seen: Seen) -> Finding | None:
    """The grace period is over, and the kubelet still reports running containers."""
    deadline = seen.metadata.get("deletionTimestamp")
    if not deadline or seconds_between(deadline, seen.now) < LATE_SECONDS:
        return None
    says = "its grace period has ended, and the object is still there"
    found = seen.last_event("FailedKillPod", "FailedPreStopHook")
    if not found:
        return None
    return Finding(
        (status(seen, says), event(seen, found)),
        "The kubelet can't end the Pod's containers.",
        "The event says why. If it's the container runtime, look at the kubelet's log on the node.",
        "08",
    )


# --- A Pod that the kubelet rejected or evicted: phase Failed, with a reason for the whole Pod

# The reason, or how it begins; what the message has to match; the verdict, what to do, the lab.
REJECTIONS = (
    (
        "Evicted",
        r"Usage of EmptyDir volume \"(?P<what>[^\"]+)\"",
        "The Pod was evicted: its emptyDir {what} has grown past its sizeLimit.",
        "Write less, or raise sizeLimit. A controller makes another Pod; a bare Pod stays Failed.",
        "16",
    ),
    (
        "Evicted",
        r"ephemeral local storage usage exceeds",
        "The Pod was evicted: it has used more disk than its ephemeral-storage limit.",
        "The limit counts the writable layer, logs and emptyDir volumes. Write less, or raise it.",
        "16",
    ),
    (
        "Evicted",
        r"low on resource: (?P<what>[\w.-]+)",
        "The kubelet evicted the Pod because its node was running out of {what}.",
        "Request what the Pod really uses: Pods that use more than they request go first.",
        "14",
    ),
    ("Evicted", "", "The kubelet evicted the Pod.", "The message says why.", "14"),
    (
        "DeadlineExceeded",
        "",
        "The Pod ran longer than its activeDeadlineSeconds, so the kubelet ended it.",
        "Raise spec.activeDeadlineSeconds, or find out why the Pod took so long.",
        "07",
    ),
    (
        "NodeAffinity",
        "",
        "spec.nodeName puts the Pod on a node that its own nodeSelector or affinity excludes, so"
        " the kubelet rejected it.",
        "Leave out spec.nodeName: the scheduler finds a node that matches.",
        "03",
    ),
    (
        "OutOf(?P<what>.+)",
        "",
        "The kubelet rejected the Pod: the node doesn't have enough free {what}.",
        "Leave out spec.nodeName, so that the scheduler counts first, or request less.",
        "03",
    ),
    (
        "NodePorts",
        "",
        "The kubelet rejected the Pod: another Pod on the node has its hostPort.",
        "Use a Service instead of a hostPort, or another port.",
        "03",
    ),
    (
        "UnexpectedAdmissionError",
        "",
        "The kubelet couldn't set up what the Pod requests on this node, such as a device, and"
        " rejected it.",
        "The message names the plugin. The Pod stays Failed: delete it, and let a controller make"
        " another.",
        "15",
    ),
    (
        "SysctlForbidden",
        "",
        "The kubelet rejected the Pod: it sets a sysctl that isn't allowed on this node.",
        "Leave out the sysctl, or have the node's kubelet allow it (--allowed-unsafe-sysctls).",
        "17",
    ),
    (
        "AppArmor",
        "",
        "The kubelet rejected the Pod: it can't apply the AppArmor profile on this node.",
        "Load the profile on the node, or choose a node that has AppArmor.",
        "17",
    ),
    (
        "Preempting",
        "",
        "The kubelet ended the Pod to make room for a critical one, such as a static Pod.",
        "A controller makes another Pod. A higher priority protects it.",
        "03",
    ),
    (
        "NodeShutdown|Terminated|NodeLost",
        "",
        "The Pod ended because its node was shut down or lost.",
        "A controller makes another Pod elsewhere; a bare Pod stays Failed.",
        "08",
    ),
)


def rejected(seen: Seen) -> Finding | None:
    """The kubelet ended or rejected the whole Pod, and says why in status.reason."""
    reason, message = seen.status.get("reason", ""), seen.status.get("message", "")
    if seen.phase != "Failed" or not reason:
        return None
    evidence = (status(seen, f"phase Failed, reason {reason}: {message}"),)
    for pattern, says, verdict, next_, lab in REJECTIONS:
        named, told = re.fullmatch(pattern, reason), re.search(says, message)
        if named and told:
            words = {**named.groupdict(), **told.groupdict()}
            return Finding(evidence, verdict.format(**words), next_, lab)
    return Finding(
        evidence,
        f"The kubelet ended or rejected the Pod, with the reason {reason}.",
        "Its message says why.",
        "07",
    )


# --- A Pod whose containers can't be made yet


def sandbox_failed(seen: Seen) -> Finding | None:
    """The runtime can't make the Pod's sandbox: its pause container and its network."""
    if fields.is_true(seen.body, "PodReadyToStartContainers") or seen.phase != "Pending":
        return None
    tries = seen.newest_events("FailedCreatePodSandBox")
    if not tries:
        return None
    [found, *_], failed = tries, sum(map(times, tries))
    message = found.get("message", "")
    if handler := re.search(r'no runtime for "([^"]+)" is configured', message):
        why = f": it has no runtime handler {handler[1]}, which the Pod's RuntimeClass names"
        next_ = "Correct spec.runtimeClassName, or configure the handler on the node."
    elif failed == 1:
        return None  # on a busy node a first try may fail, and the next one succeeds
    elif re.search(r"network|cni", message, re.I):
        why = ": the network plugin fails"
        next_ = "Look at the network plugin's Pods on that node."
    else:
        why, next_ = "", "The event says why. The kubelet's log on the node says more."
    return Finding(
        (event(seen, found),), f"The node can't make the Pod's sandbox{why}.", next_, "02"
    )


# The kubelet's words, in pkg/volume and pkg/kubelet/volumemanager.
MOUNTS = (
    (
        r'(secret|configmap) "([^"]+)" not found',
        "The volume {volume} needs a {0} {1}, and there is none in the namespace.",
        "Create it, or correct the name. Or mark the volume's source as optional: true.",
        "05",
    ),
    (
        r"references non-existent (?:config|secret) key: (\S+)",
        "The volume {volume} asks for a key {0} that its ConfigMap or Secret doesn't have.",
        "Compare the volume's items with the keys: `kubectl describe` lists them.",
        "05",
    ),
    (
        r"hostPath type check failed(?:, |: )(\S+)",
        "The volume {volume} needs {0} on the node, and it's missing there or of another type.",
        "Create it on the node, or use type: DirectoryOrCreate.",
        "16",
    ),
    (
        r"Multi-Attach error",
        "The volume {volume} is still attached to another node, and it can be attached only once.",
        "Find the Pod that uses it there, perhaps a Terminating one. After it's gone, the volume"
        " follows.",
        "16",
    ),
    (
        r'persistentvolumeclaim "([^"]+)" not found',
        "The volume {volume} names a PersistentVolumeClaim {0}, and there is none.",
        "Create the claim in the Pod's namespace, or correct claimName.",
        "16",
    ),
)
NOT_YET = "not registered|failed to sync (?:secret|configmap) cache"


def mount_failed(seen: Seen) -> Finding | None:
    """The kubelet can't mount a volume, so no container has been made. The Pod's status doesn't
    say so: only the event does."""
    if seen.phase != "Pending" or any(box.has_started for box in seen.boxes()):
        return None
    # The sandbox comes after the volumes, so with a sandbox the event is old.
    if fields.is_true(seen.body, "PodReadyToStartContainers"):
        return None
    found = seen.last_event("FailedMount", "FailedAttachVolume", "FailedMapVolume")
    if not found or re.search(NOT_YET, found.get("message", "")):
        return None
    message = found.get("message", "")
    volume = re.search(r'volume "([^"]+)"', message)
    words = {"volume": steady(volume[1]) if volume else "of the Pod"}
    if matched := matching(MOUNTS, message):
        groups, verdict, next_, lab = matched
        return Finding((event(seen, found),), verdict.format(*groups, **words), next_, lab)
    return Finding(
        (event(seen, found),),
        f"The kubelet can't mount the volume {words['volume']}, so no container is made.",
        "The event says why. The kubelet keeps trying.",
        "16",
    )


# --- A Pod whose containers are fine


def readiness_gate(seen: Seen) -> Finding | None:
    """All containers are ready, and a readiness gate isn't True."""
    gates = [gate["conditionType"] for gate in seen.spec.get("readinessGates") or []]
    closed = [gate for gate in gates if seen.condition(gate).get("status") != "True"]
    if not closed or not fields.is_true(seen.body, "ContainersReady"):
        return None
    names = ", ".join(closed)
    return Finding(
        (
            status(seen, "ContainersReady is True, Ready is False"),
            status(seen, f"readiness gate {names}: the condition isn't True"),
        ),
        f"The containers are ready, but nobody has set the condition {names}, which is one of the"
        " Pod's readiness gates.",
        "Find the controller that should set it, such as that of a load balancer.",
        "11",
    )
