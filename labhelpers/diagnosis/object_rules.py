"""Rules about what makes Pods, and about Services."""

import difflib
import re

from labhelpers.diagnosis.seen import Seen
from labhelpers.diagnosis.verdicts import Evidence, Finding, event, status
from labhelpers.kube import fields

__all__ = [
    "job_failed",
    "no_ports",
    "no_selector",
    "pods_refused",
    "selects_nothing",
    "wants_none",
]

MOST_LABELS = 3
# The API server's words when a controller may not create a Pod.
REFUSALS = (
    (
        r"exceeded quota: ([^,]+)",
        "the namespace's ResourceQuota {0} is used up",
        "`kubectl describe resourcequota` shows what is used. Request less, or raise the quota.",
        "14",
    ),
    (
        r"failed quota: ([^:]+): must specify (.+?)(?: for: |$)",
        "the namespace's ResourceQuota {0} demands {1}, and the Pod's template doesn't set it",
        "Set it in every container, or give the namespace a LimitRange with defaults.",
        "14",
    ),
    (
        r"(?:minimum|maximum) (\w+) usage per|max(?:imum)? limit to request ratio",
        "the namespace's LimitRange doesn't allow its requests or limits",
        "`kubectl describe limitrange` shows what is allowed.",
        "14",
    ),
    (
        r'violates PodSecurity "(\w+):',
        "the namespace enforces the Pod Security level {0}, and the Pod's template violates it",
        "The message names each field. Set them in the template's securityContext.",
        "17",
    ),
    (
        r'error looking up service account \S+: serviceaccount "([^"]+)" not found',
        "there is no ServiceAccount {0} in the namespace",
        "Create it, or correct serviceAccountName. The controller tries again by itself.",
        "04",
    ),
    (
        r"no PriorityClass with name (\S+) was found",
        "there is no PriorityClass {0}",
        "Create it, or correct priorityClassName. The controller tries again by itself.",
        "04",
    ),
    (
        r"admission webhook \"([^\"]+)\" denied",
        "the admission webhook {0} denies it",
        "The message is the webhook's own.",
        "17",
    ),
    (
        r"failed calling webhook \"([^\"]+)\"",
        "the admission webhook {0} doesn't answer",
        "Look at the Pods of that webhook's Service.",
        "17",
    ),
    (
        r"ValidatingAdmissionPolicy '([^']+)'",
        "the ValidatingAdmissionPolicy {0} denies it",
        "The message is the policy's own.",
        "17",
    ),
)


def pods_refused(seen: Seen) -> Finding | None:
    """The API server refuses the Pods, so there's no Pod to look at. Only the controller's events
    say so."""
    found = seen.last_event("FailedCreate")
    wanted = seen.spec.get("replicas", seen.spec.get("parallelism", 1))
    if seen.kind == "DaemonSet":
        wanted = seen.status.get("desiredNumberScheduled", 0)
    if not found or len(seen.parts) >= wanted:
        return None
    message = found.get("message", "")
    evidence = (event(seen, found), status(seen, f"it has {len(seen.parts)} of {wanted} Pods"))
    for pattern, means, next_, lab in REFUSALS:
        if told := re.search(pattern, message):
            why = means.format(*told.groups())
            return Finding(
                evidence, f"The API server refuses to create the Pods: {why}.", next_, lab
            )
    return Finding(
        evidence, "The API server refuses to create the Pods.", "The event says why.", "17"
    )


def wants_none(seen: Seen) -> Finding | None:
    """Nobody has asked for a Pod."""
    if seen.kind == "DaemonSet":
        if seen.status.get("desiredNumberScheduled", 1):
            return None
        return Finding(
            (status(seen, "desiredNumberScheduled is 0", ".status"),),
            "No node matches the DaemonSet's nodeSelector, affinity and tolerations.",
            "Compare them with `kubectl get nodes --show-labels`.",
            "03",
        )
    if seen.spec.get("suspend"):
        return Finding(
            (status(seen, "spec.suspend is true", ".spec.suspend"),),
            "The Job is suspended, so it has no Pod.",
            "Set spec.suspend to false.",
        )
    if seen.kind == "Job" or seen.spec.get("replicas", 1):
        return None
    return Finding(
        (status(seen, "spec.replicas is 0", ".spec.replicas"),),
        f"The {seen.kind} asks for 0 Pods, so there is none.",
        f"`{seen.kubectl} scale {seen.kind.lower()} {seen.name} --replicas=1`, unless an autoscaler"
        " or somebody wanted it so.",
    )


def job_failed(seen: Seen) -> Finding | None:
    """A Job that has given up, when none of its Pods says why any more."""
    failed = fields.conditions(seen.body).get("Failed", {})
    if seen.kind != "Job" or failed.get("status") != "True":
        return None
    reason = failed.get("reason", "")
    says = f"Failed is True, {reason}: {failed.get('message', '')}"
    why = {
        "DeadlineExceeded": "it ran longer than its activeDeadlineSeconds",
        "BackoffLimitExceeded": "its Pods failed more often than backoffLimit allows",
    }.get(reason, f"the reason is {reason}")
    return Finding(
        (status(seen, says, ".status.conditions"),),
        f"The Job has given up: {why}.",
        f"`{seen.kubectl} logs job/{seen.name}` shows a Pod's log, if one is left.",
        "07",
    )


# --- Services


def no_selector(seen: Seen) -> Finding | None:
    """Without a selector, somebody has to make the Service's endpoints."""
    is_external = seen.spec.get("type") == "ExternalName"
    if seen.spec.get("selector") or is_external or _addresses(seen):
        return None
    return Finding(
        (status(seen, "it has no selector"), _endpoints(seen, "it has no endpoints")),
        "The Service has no selector, so it never gets endpoints by itself.",
        "Set spec.selector to the Pods' labels, or create an EndpointSlice by hand.",
        "19",
    )


def selects_nothing(seen: Seen) -> Finding | None:
    """No Pod has the labels."""
    selector = seen.spec.get("selector")
    if not selector or seen.parts:
        return None
    words = ",".join(f"{key}={value}" for key, value in selector.items())
    line = f"{seen.kubectl} get pods --show-labels"
    evidence = [
        status(seen, f"its selector is {words}"),
        Evidence(f"no Pod in the namespace has {words}", f"{seen.kubectl} get pods -l {words}"),
    ]
    for key in selector:
        others = sorted({labels[key] for labels in seen.labels_nearby if labels.get(key)})
        if others and selector[key] not in others:
            near = difflib.get_close_matches(selector[key], others, n=MOST_LABELS, cutoff=0)
            says = f"Pods here have {', '.join(f'{key}={value}' for value in near)}"
            evidence.append(Evidence(says + (", …" if len(others) > len(near) else ""), line))
    return Finding(
        tuple(evidence),
        "The Service selects nothing: no Pod in its namespace has the labels of its selector.",
        "Correct spec.selector, or the labels of the Pods (in a Deployment: of its template).",
        "19",
    )


def no_ports(seen: Seen) -> Finding | None:
    """A targetPort is named, and no container names a port so."""
    ready = [pod for pod in seen.parts if pod.is_ready]
    there = {
        port.get("name")
        for pod in ready
        for spec in fields.containers(pod.body)
        for port in spec.get("ports") or []
    }
    for port in seen.spec.get("ports") or []:
        target = port.get("targetPort")
        if ready and isinstance(target, str) and not target.isdecimal() and target not in there:
            return Finding(
                (
                    status(seen, f"targetPort is {target}"),
                    Evidence(
                        f"no container of its Pods has a port named {target}",
                        f"{seen.kubectl} get pod {ready[0].name} -o yaml",
                    ),
                ),
                f"The Service sends to a port named {target}, and its Pods have no port of that"
                " name.",
                "Name the port in the container's ports, or use its number as targetPort.",
                "06",
            )
    return None


def _addresses(seen: Seen) -> list[str]:
    return [
        address
        for each in seen.endpoints
        for endpoint in each.get("endpoints") or []
        for address in endpoint.get("addresses") or []
    ]


def _endpoints(seen: Seen, says: str) -> Evidence:
    line = f"{seen.kubectl} get endpointslices -l kubernetes.io/service-name={seen.name}"
    return Evidence(says, line)
