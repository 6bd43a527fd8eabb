"""Reads a Pod's status the way kubectl and the kubelet do: kubectl's STATUS column, and the outcome
of a resize. Dicts in, plain values out."""

from collections.abc import Mapping

from labhelpers import formulas
from labhelpers.kube import fields

__all__ = ["CONDITIONS", "PHASES", "kubectl_status", "reached", "resized"]

PHASES = ("Pending", "Running", "Succeeded", "Failed")
CONDITIONS = (
    "PodScheduled",
    "PodReadyToStartContainers",
    "Initialized",
    "ContainersReady",
    "Ready",
)


def reached(raw: dict, goal: str) -> bool:
    """Whether the goal is the object's phase, or a condition that is True.

    >>> reached({"status": {"phase": "Bound"}}, "Bound"), reached({}, "Ready")
    (True, False)
    """
    return raw.get("status", {}).get("phase") == goal or fields.is_true(raw, goal)


def kubectl_status(raw: dict) -> str:
    """kubectl's STATUS column, decided in the order of kubectl's own printPod."""
    spec, status, conditions = raw.get("spec", {}), raw.get("status", {}), fields.conditions(raw)
    phase = status.get("phase", "")
    reason = status.get("reason") or phase
    if conditions.get("PodScheduled", {}).get("reason") == "SchedulingGated":
        reason = "SchedulingGated"

    sidecars = {
        container["name"]
        for container in spec.get("initContainers") or []
        if container.get("restartPolicy") == "Always"
    }
    initializing = False
    for number, container in enumerate(status.get("initContainerStatuses") or []):
        state = container.get("state") or {}
        ended, waiting_for = state.get("terminated"), (state.get("waiting") or {}).get("reason", "")
        if ended and ended["exitCode"] == 0:
            continue
        if container.get("name") in sidecars and container.get("started"):
            continue
        if ended:
            reason = "Init:" + _end(ended)
        elif waiting_for and waiting_for != "PodInitializing":
            reason = "Init:" + waiting_for
        else:
            reason = f"Init:{number}/{len(spec['initContainers'])}"
        initializing = True
        break

    if not initializing or conditions.get("Initialized", {}).get("status") == "True":
        running, error = False, ""
        # From the last to the first, so that the first container decides.
        for container in reversed(status.get("containerStatuses") or []):
            state = container.get("state") or {}
            if (state.get("waiting") or {}).get("reason"):
                reason = state["waiting"]["reason"]
            elif state.get("terminated"):
                reason = _end(state["terminated"])
                error = reason if state["terminated"]["exitCode"] != 0 else error
            elif container.get("ready") and "running" in state:
                running = True
        if reason == "Completed":
            if running and conditions.get("Ready", {}).get("status") == "True":
                reason = "Running"
            elif error:
                reason = error
            elif running:
                reason = "NotReady"

    if raw["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif phase not in ("Succeeded", "Failed"):
            reason = "Terminating"
    return reason


def _end(terminated: dict) -> str:
    if terminated.get("reason"):
        return terminated["reason"]
    return (
        f"Signal:{terminated['signal']}"
        if terminated.get("signal")
        else f"ExitCode:{terminated['exitCode']}"
    )


def resized(raw: dict, container: str, generation: int) -> tuple[str, str] | None:
    """The outcome of a resize, with the kubelet's words; None while it's unknown.

    https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/#pod-resize-status
    """
    status, conditions = raw.get("status", {}), fields.conditions(raw)
    pending, progress = (
        conditions.get("PodResizePending", {}),
        conditions.get("PodResizeInProgress", {}),
    )
    # A condition may still be about the previous resize.
    if pending.get("status") == "True":
        is_of_this = pending.get("observedGeneration", 0) >= generation
        return (
            (pending["reason"].lower(), pending.get("message", ""))
            if is_of_this and pending.get("reason")
            else None
        )
    if progress.get("status") == "True":
        is_of_this = progress.get("observedGeneration", 0) >= generation
        return (
            ("error", progress.get("message", ""))
            if is_of_this and progress.get("reason") == "Error"
            else None
        )
    if status.get("observedGeneration", 0) < generation:
        return None
    wanted = (
        next(each for each in fields.containers(raw) if each["name"] == container).get("resources")
        or {}
    )
    found = next((each for each in fields.statuses(raw) if each["name"] == container), {})
    # For requests, compare what was allocated: a CPU request that is read back from a cgroup is
    # rounded.
    allocated, held = (
        found.get("allocatedResources") or {},
        (found.get("resources") or {}).get("limits") or {},
    )
    is_so = _has(allocated, wanted.get("requests")) and _has(held, wanted.get("limits"))
    return ("done", "") if is_so else None


def _has(found: Mapping, wanted: Mapping | None) -> bool:
    amounts = {name: amount for name, amount in (wanted or {}).items() if name in ("cpu", "memory")}
    return all(
        name in found and formulas.quantity(found[name]) == formulas.quantity(amount)
        for name, amount in amounts.items()
    )
