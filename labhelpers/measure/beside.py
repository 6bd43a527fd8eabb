"""Turns what happens beside a recorded Pod into rows of the same table: whether traffic reaches it,
events, and the conditions of other objects such as Jobs."""

from collections.abc import Mapping, Sequence
from typing import Any

from labhelpers.kube import fields
from labhelpers.measure.changes import Version
from labhelpers.measure.life import row, rows_of

__all__ = ["EVENTS", "beside", "endpoint", "events"]

EVENTS = "events"  # the lane
EVENT_KINDS = ("Event", "v1/Event")
ENDPOINTS = "endpoint ready"  # the lane, or the end of its name
SERVICE = "kubernetes.io/service-name"


def beside(
    seen: Mapping[str, Sequence[Version]], pods: Sequence[str], ended: float
) -> list[dict[str, Any]]:
    """Makes the rows of the other kinds of objects.

    Args:
        seen: versions by kind.
        pods: the names of the Pods that are recorded.
        ended: when the recording ended, in seconds since it began.
    """
    rows = []
    for kind, versions in seen.items():
        if kind in EVENT_KINDS:
            found = [each for each in events(versions) if _is_about(each, pods, seen)]
            rows += [
                row(EVENTS, "event", state=each["reason"], value=each["message"],
                    reason=each["type"], start=each["seconds"], end=each["seconds"])
                for each in found
            ]  # fmt: skip
        elif kind.rpartition("/")[2] == "EndpointSlice":
            rows += _endpoints(versions, pods, ended)
        else:
            rows += _conditions(versions, ended)
    return rows


def events(versions: Sequence[Version]) -> list[dict[str, Any]]:
    """The events since the recording began: one dict per event and repetition.

    Kubernetes stores a repeated event as one object with a rising count, so each new version is
    another repetition. https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
    """
    return [
        {
            "seconds": version.seconds,
            "object": f"{version.obj['involvedObject'].get('kind', '')}/"
            f"{version.obj['involvedObject'].get('name', '')}",
            "type": version.obj.get("type", ""),
            "reason": version.obj.get("reason", ""),
            "message": version.obj.get("message", ""),
            "count": version.obj.get("count") or 1,
        }
        for version in versions
        if version.event in ("ADDED", "MODIFIED", "LISTED")
    ]


def endpoint(slices: Sequence[dict], pod: str) -> tuple[str, str] | None:
    """What a Service's EndpointSlices say about one Pod: (``ready``, reason), or None if it's in
    none of them. The reason is "terminating", with "serving" if the Pod still answers.

    https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions

    >>> ready = {"ready": False, "serving": True, "terminating": True}
    >>> found = {"targetRef": {"kind": "Pod", "name": "web"}, "conditions": ready}
    >>> endpoint([{"endpoints": [found]}], "web")
    ('False', 'terminating, serving')
    """
    found = [
        each.get("conditions") or {}
        for slice_ in slices
        for each in slice_.get("endpoints") or []
        if (each.get("targetRef") or {}).get("kind") == "Pod" and each["targetRef"]["name"] == pod
    ]
    if not found:
        return None
    # One that doesn't say is ready: "a nil value should be interpreted as true".
    ready = any(each.get("ready") is not False for each in found)
    words = [word for word in ("terminating", "serving") if any(each.get(word) for each in found)]
    return str(ready), ", ".join(words) if "terminating" in words else ""


def _endpoints(versions: Sequence[Version], pods: Sequence[str], ended: float) -> list[dict]:
    """Makes a lane for each Pod and each Service that has it. If there's only one Pod or Service,
    the lane's name leaves it out."""
    found: dict[tuple[str, str], list] = {}
    for service in dict.fromkeys(filter(None, map(_service, versions))):
        slices: dict[str, dict] = {}
        for version in [each for each in versions if _service(each) == service]:
            slices.pop(version.uid, None)
            if version.event != "DELETED":
                slices[version.uid] = version.obj
            for pod in pods:
                step = (_since(version), endpoint(list(slices.values()), pod))
                found.setdefault((pod, service), []).append(step)
    found = {of: steps for of, steps in found.items() if any(said for _, said in steps)}
    services = {service for _, service in found}
    rows = []
    for (pod, service), steps in found.items():
        names = [pod] * (len(pods) > 1) + [service] * (len(services) > 1)
        lane = ": ".join([*names, ENDPOINTS])
        rows += rows_of(lane, "condition", steps, _as_condition, ended)
    return rows


def _service(version: Version) -> str:
    return (version.obj["metadata"].get("labels") or {}).get(SERVICE, "")


def _conditions(versions: Sequence[Version], ended: float) -> list[dict]:
    """Makes lanes such as "pi: Complete" from the conditions of any object, such as a Job."""
    rows = []
    for name in dict.fromkeys(version.name for version in versions):
        own = [version for version in versions if version.name == name]
        for condition in dict.fromkeys(each for version in own for each in version.conditions):
            steps = []
            for version in own:
                there = fields.conditions(version.obj) if version.event != "DELETED" else {}
                said = there.get(condition)
                steps.append((_since(version), said and (said["status"], said.get("reason"))))
            lane = f"{name}: {condition}"
            rows += rows_of(lane, "condition", steps, _as_condition, ended)
    return rows


def _since(version: Version) -> float:
    return 0.0 if version.event == "FOUND" else version.seconds


def _as_condition(said: tuple[str, str | None]) -> dict:
    status, reason = said
    return {"state": status, "value": status, "reason": reason or None}


def _is_about(event: dict, pods: Sequence[str], seen: Mapping[str, Sequence[Version]]) -> bool:
    """Whether an event is about a recorded Pod, or about another object that is followed."""
    kind, _, name = event["object"].partition("/")
    if kind == "Pod":
        return name in pods
    return any(
        name == version.name
        for of, versions in seen.items()
        if of.rpartition("/")[2] == kind
        for version in versions
    )
