"""The half that judges: a pure function from what was read to a diagnosis.

The rules are tables, and the first one that finds something has the verdict. Their order is that of
a Pod's life, because an earlier trouble explains a later one: an image that can't be pulled also
leaves the Pod not Ready. Two things come first, because they make everything else old news: the end
of the whole Pod, and a node that's lost.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from labhelpers.diagnosis import container_rules as container
from labhelpers.diagnosis import object_rules as of_object
from labhelpers.diagnosis import pod_rules as pod
from labhelpers.diagnosis import scheduling_rules as scheduling
from labhelpers.diagnosis.seen import Box, Seen, seconds_between
from labhelpers.diagnosis.verdicts import Diagnosis, Evidence, Finding, event, status
from labhelpers.kube import pod_status

__all__ = ["CONTAINER_RULES", "OBJECT_RULES", "POD_RULES", "judge"]

DOCS = "https://kubernetes.io/docs"
POD_DOCS = f"{DOCS}/concepts/workloads/pods"
SOURCE = "https://github.com/kubernetes/kubernetes/blob/v1.37.0/pkg"

# As long as this after its start, a Pod that isn't Ready, without a complaint, is just starting.
STARTING_SECONDS = 60
LAST_EVENTS = 3


class Rule(NamedTuple):
    """A function that looks for one fault, and the page or the source that it rests on."""

    find: Callable[..., Finding | None]
    source: str


# A Pod, before its containers are looked at.
POD_RULES = (
    # It's over, or going to be. A node that's lost comes before a finalizer: with no kubelet to
    # report, the containers' states are old.
    Rule(pod.rejected, f"{DOCS}/concepts/scheduling-eviction/node-pressure-eviction/"),
    Rule(pod.node_lost, f"{DOCS}/concepts/architecture/nodes/#condition"),
    Rule(pod.held_by_finalizer, f"{DOCS}/concepts/overview/working-with-objects/finalizers/"),
    Rule(pod.disrupted, f"{POD_DOCS}/disruptions/#pod-disruption-conditions"),
    Rule(pod.not_ended_in_time, f"{POD_DOCS}/pod-lifecycle/#pod-termination"),
    # It has no node. A gate comes first: the scheduler hasn't looked, so it has nothing to say.
    Rule(scheduling.gated, f"{DOCS}/concepts/scheduling-eviction/pod-scheduling-readiness/"),
    Rule(scheduling.unschedulable, f"{DOCS}/concepts/scheduling-eviction/kube-scheduler/"),
    Rule(
        scheduling.never_scheduled,
        f"{DOCS}/tasks/extend-kubernetes/configure-multiple-schedulers/",
    ),
    # It has a node, and none of its containers can be made.
    Rule(pod.node_not_ready, f"{DOCS}/concepts/architecture/nodes/#condition"),
    # Volumes are mounted before the sandbox.
    Rule(pod.mount_failed, f"{SOURCE}/kubelet/volumemanager/volume_manager.go"),
    Rule(pod.sandbox_failed, f"{SOURCE}/kubelet/kuberuntime/kuberuntime_sandbox.go"),
)

# Each container in the order of starting. For a container, too, the rules follow its life.
CONTAINER_RULES = (
    Rule(container.image_missing, f"{DOCS}/concepts/containers/images/"),
    Rule(container.misconfigured, f"{SOURCE}/kubelet/kuberuntime/kuberuntime_container.go"),
    Rule(
        container.not_created,
        f"{DOCS}/tasks/inject-data-application/define-command-argument-container/",
    ),
    # What the kubelet did to the container explains its exit code, so it comes before the crash.
    Rule(container.hook_failed, f"{DOCS}/concepts/containers/container-lifecycle-hooks/"),
    Rule(container.oom_killed, f"{DOCS}/tasks/configure-pod-container/assign-memory-resource/"),
    Rule(
        container.probe_killed, f"{DOCS}/concepts/configuration/liveness-readiness-startup-probes/"
    ),
    Rule(container.sandbox_replaced, f"{SOURCE}/kubelet/kuberuntime/kuberuntime_manager.go"),
    Rule(
        container.perhaps_oom_killed,
        f"{DOCS}/tasks/configure-pod-container/assign-memory-resource/",
    ),
    Rule(container.crashed, f"{POD_DOCS}/pod-lifecycle/#container-states"),
    Rule(container.done_but_restarted, f"{POD_DOCS}/pod-lifecycle/#restart-policy"),
    Rule(container.still_initializing, f"{POD_DOCS}/init-containers/"),
    Rule(container.not_past_startup, f"{POD_DOCS}/sidecar-containers/"),
    Rule(
        container.never_ready, f"{DOCS}/concepts/configuration/liveness-readiness-startup-probes/"
    ),
)

# A Pod whose containers have no fault.
LAST_POD_RULES = (Rule(pod.readiness_gate, f"{POD_DOCS}/pod-lifecycle/#pod-readiness-gate"),)

# What makes Pods, and Services: what is wrong with themselves. Then their Pods are looked at.
OBJECT_RULES = (
    Rule(of_object.wants_none, f"{DOCS}/concepts/workloads/controllers/"),
    Rule(of_object.pods_refused, f"{DOCS}/reference/access-authn-authz/admission-controllers/"),
)
LAST_OBJECT_RULES = (Rule(of_object.job_failed, f"{DOCS}/concepts/workloads/controllers/job/"),)
SERVICE_RULES = (
    Rule(of_object.no_selector, f"{DOCS}/concepts/services-networking/service/"),
    Rule(of_object.selects_nothing, f"{DOCS}/tasks/debug/debug-application/debug-service/"),
    Rule(of_object.no_ports, f"{DOCS}/concepts/services-networking/service/#field-spec-ports"),
)


def judge(seen: Seen) -> Diagnosis:
    """Says what is wrong, from what was read and nothing else."""
    found = _judge(seen)
    if seen.denied and found:
        allowed = tuple(Evidence("not allowed to read this", line) for line in seen.denied)
        found = replace(found, evidence=found.evidence + allowed)
    return found


def _judge(seen: Seen) -> Diagnosis:
    if seen.kind == "Pod":
        return _pod(seen)
    return _service(seen) if seen.kind == "Service" else _controller(seen)


def _pod(seen: Seen) -> Diagnosis:
    if found := _first(POD_RULES, seen):
        return _fault(seen, found)
    if seen.metadata.get("deletionTimestamp"):
        if seconds_between(seen.metadata["deletionTimestamp"], seen.now) < pod.LATE_SECONDS:
            return _healthy(seen, "It's being deleted, within its grace period.")
        return _unknown(seen)
    if seen.phase != "Succeeded":
        for box in _in_order_of_blame(seen):
            if found := _first(CONTAINER_RULES, box):
                return _fault(seen, found)
    if found := _first(LAST_POD_RULES, seen):
        return _fault(seen, found)
    if seen.phase == "Succeeded":
        return _healthy(seen, "Completed: every container has ended with exit code 0.")
    if seen.is_ready:
        return _healthy(seen, "Running and Ready.")
    if _is_starting(seen):
        return _healthy(seen, _starting(seen))
    if image := _is_pulling(seen):
        return _healthy(seen, f"It's starting: the node is pulling the image {image}.")
    if done := [box for box in seen.boxes() if _has_done(box)]:
        names = ", ".join(box.name for box in done)
        return _healthy(seen, f"Not Ready, because {names} has ended with exit code 0.")
    return _unknown(seen)


def _in_order_of_blame(seen: Seen) -> list[Box]:
    """The order of starting. In a Pod that has failed, the kubelet ended the sidecars after the
    app, and their exit codes say nothing."""
    boxes = seen.boxes()
    return sorted(boxes, key=lambda box: box.is_sidecar) if seen.phase == "Failed" else boxes


def _starting(seen: Seen) -> str:
    """How far it is, for those who wonder."""
    probed = [
        f"the startup probe of {box.words} hasn't passed yet"
        for box in seen.boxes()
        if box.running and not box.status.get("started") and box.spec.get("startupProbe")
    ]
    where = pod_status.kubectl_status(seen.body)
    return f"It's starting: {probed[0]}." if probed else f"It's starting ({where})."


def _is_pulling(seen: Seen) -> str:
    """The image that's being pulled: a large one may take minutes."""
    found = seen.last_event("Pulling", "Pulled", "Failed")
    waits = any(box.waiting and not box.has_started for box in seen.boxes())
    is_pulling = waits and found and found["reason"] == "Pulling"
    return found["message"].rpartition("image ")[2].strip('"') if is_pulling else ""


def _has_done(box: Box) -> bool:
    """Whether a container has ended well, and isn't restarted."""
    ended = box.state.get("terminated") or {}
    return not box.is_init and ended.get("exitCode") == 0


def _is_starting(seen: Seen) -> bool:
    """Whether so little time has passed that nothing needs to be wrong."""
    if seen.phase == "Pending":
        last = max(
            [seen.metadata["creationTimestamp"]]
            + [
                box.state["terminated"]["finishedAt"]
                for box in seen.boxes()
                if box.is_init and (box.state.get("terminated") or {}).get("finishedAt")
            ]
        )
        return seconds_between(last, seen.now) < STARTING_SECONDS or any(
            box.is_init and box.running for box in seen.boxes()
        )
    working = [box for box in seen.boxes() if box.running and not box.status.get("ready")]
    return bool(working) and all(box.running_seconds() < _time_to_be_ready(box) for box in working)


def _time_to_be_ready(box: Box) -> float:
    probe = box.spec.get("readinessProbe") or {}
    waits = probe.get("initialDelaySeconds", 0) + probe.get("periodSeconds", 10)
    startup = box.spec.get("startupProbe") or {}
    starts = startup.get("initialDelaySeconds", 0)
    starts += startup.get("periodSeconds", 0) * startup.get("failureThreshold", 0)
    return STARTING_SECONDS + waits + starts


def _controller(seen: Seen) -> Diagnosis:
    if found := _first(OBJECT_RULES, seen):
        return _fault(seen, found)
    if len(seen.parts) == 1 and seen.parts[0].kind == "ReplicaSet":
        below = _controller(seen.parts[0])
        if below:
            return replace(below, about=f"{seen.kind} {seen.name}, {below.about}")
        return replace(below, about=_about(seen))
    if below := _of_pods(seen):
        return below
    if found := _first(LAST_OBJECT_RULES, seen):
        return _fault(seen, found)
    if seen.kind == "Job" and not seen.parts:
        return _healthy(seen, "It has no Pod now.")
    if not seen.parts and seen.age_seconds < STARTING_SECONDS:
        return _healthy(seen, "It has just been created.")
    if not seen.parts:
        return _unknown(seen)
    return _healthy(seen, f"No fault in its Pods ({len(seen.parts)}).")


def _of_pods(seen: Seen) -> Diagnosis | None:
    """The diagnosis of the first Pod in trouble."""
    for each in seen.parts:
        if found := _pod(each):
            return replace(found, about=f"{seen.kind} {seen.name}, {found.about}")
    return None


def _service(seen: Seen) -> Diagnosis:
    if found := _first(SERVICE_RULES, seen):
        return _fault(seen, found)
    if not seen.parts or any(each.is_ready for each in seen.parts):
        return _healthy(seen, "It has Pods that are Ready.")
    if below := _of_pods(seen):
        none = Evidence("no Pod that it selects is Ready", _pods_line(seen))
        return replace(
            below,
            evidence=(none, *below.evidence),
            verdict=f"The Service has no Pod that is Ready. {below.verdict}",
        )
    return _healthy(seen, "Its Pods are starting.")


def _pods_line(service: Seen) -> str:
    labels = ",".join(f"{key}={value}" for key, value in service.spec["selector"].items())
    return f"{service.kubectl} get pods -l {labels}"


def _first(rules: tuple[Rule, ...], about: Seen | Box) -> Finding | None:
    return next((found for rule in rules if (found := rule.find(about))), None)


def _about(seen: Seen) -> str:
    return f"{seen.kind} {seen.name}"


def _fault(seen: Seen, found: Finding) -> Diagnosis:
    return Diagnosis(_about(seen), "fault", found.evidence, found.verdict, found.next, found.lab)


def _healthy(seen: Seen, says: str) -> Diagnosis:
    return Diagnosis(_about(seen), "healthy", (), says)


def _unknown(seen: Seen) -> Diagnosis:
    """What there is, without a verdict that it doesn't carry."""
    evidence = []
    if seen.kind == "Pod":
        evidence.append(status(seen, f"STATUS is {pod_status.kubectl_status(seen.body)}"))
    for each in (seen.status.get("conditions") or [])[:8]:
        if each["status"] != "True" and each.get("reason"):
            says = f"{each['type']} is {each['status']}, {each['reason']}: {each.get('message')}"
            evidence.append(status(seen, says, ".status.conditions"))
    warnings = [each for each in seen.events if each.get("type") == "Warning"]
    evidence += [event(seen, each) for each in warnings[-LAST_EVENTS:]]
    where = f"`{seen.kubectl} describe {seen.kind.lower()} {seen.name}`"
    node = seen.spec.get("nodeName")
    more = f", then at the kubelet's log on {node}" if node else ""
    return Diagnosis(
        _about(seen),
        "unknown",
        tuple(evidence) or (status(seen, "nothing that tells a cause"),),
        "Not enough evidence for a verdict.",
        f"Look at {where}{more}.",
        "19",
    )
