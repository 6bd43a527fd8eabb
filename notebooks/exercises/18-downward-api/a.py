"""Exercise a of lab 18: a cache that plans with another container's limit."""

from labhelpers.exercises import NotYet, expected_pod
from labhelpers.kube import fields
from labhelpers.patience import patient
from labhelpers.polling import poll

QUESTION = """
Ticket: "The container cache of the Pod shop is OOM-killed again and again. That can't be: it fills
only three quarters of LIMIT_MIB, and kubectl describe says 64 there, which is right."

Find the cause with kubectl, and fix it. Both limits stay as they are. LIMIT_MIB still has to come
from Kubernetes, so that it's right after the limit has been changed.
"""

HINTS = [
    "kubectl logs shop -c cache --previous says how much it wanted. Compare that with its limit.",
    "kubectl describe works the value out by itself, and not always as the kubelet does. See what "
    "the manifest asks for: kubectl get pod shop -o yaml.",
    "Whose limit does LIMIT_MIB ask for? A reference without containerName means its own container.",
]

DEBRIEF = [
    "LIMIT_MIB was web's limit: 128. Three quarters of that are 96 MiB, and cache may have 64.",
    "resourceFieldRef means its own container, unless containerName names another. kubectl "
    "describe works the value out by itself, and was wrong here.",
    "A block of env copied from the neighbour brings its containerName along. The heap follows "
    "the wrong limit, and every review misses it.",
]

LIMITS = {"web": "128Mi", "cache": "64Mi"}
FILLED_SECONDS = 40


def check(lab, path):
    pod = expected_pod(lab, "shop")
    raw = pod.raw
    containers = {each["name"]: each for each in raw["spec"]["containers"]}
    limits = {
        name: each.get("resources", {}).get("limits", {}).get("memory")
        for name, each in containers.items()
    }
    if limits != LIMITS:
        raise NotYet(f"the limits are {_said(limits)}, and should stay {_said(LIMITS)}")
    env = {each["name"]: each for each in containers["cache"].get("env", ())}
    if "resourceFieldRef" not in env.get("LIMIT_MIB", {}).get("valueFrom", {}):
        raise NotYet("LIMIT_MIB doesn't come from Kubernetes any more")
    poll(
        lambda: _ended(pod) or "filled" in _log(pod),
        timeout_seconds=patient(FILLED_SECONDS),
        every_seconds=0.3,
    )
    if reason := _ended(pod):
        raise NotYet(f"cache has ended: {reason}", "kubectl logs shop -c cache --previous")
    if "filled" not in _log(pod):
        raise NotYet("cache hasn't filled its memory yet")
    said = pod.exec("cache", "echo $LIMIT_MIB").stdout.strip()
    if said != "64":
        raise NotYet(f"LIMIT_MIB is {said}, and cache has a limit of 64Mi")
    return "cache is told its own limit, has filled three quarters of it, and runs"


def _said(limits):
    return ", ".join(f"{name} {limit or 'none'}" for name, limit in limits.items())


def _log(pod):
    running = [
        each["name"] for each in fields.statuses(pod.raw) if "running" in (each.get("state") or {})
    ]
    return pod.logs("cache") if "cache" in running else ""


def _ended(pod):
    """Why the container cache has ended at least once; "" if it hasn't."""
    for each in fields.statuses(pod.raw):
        if each["name"] == "cache":
            for state in (each.get("state") or {}, each.get("lastState") or {}):
                if "terminated" in state:
                    return state["terminated"].get("reason", "it has ended")
    return ""
