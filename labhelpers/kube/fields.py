"""Reads fields of raw API objects: dicts in, plain values out. ``None`` stands for an object that
doesn't exist."""

import copy
from collections.abc import Mapping
from typing import Any

from labhelpers.formulas import CONTAINER_LISTS

__all__ = [
    "GROUPS",
    "bare",
    "changed",
    "conditions",
    "containers",
    "group",
    "ids",
    "is_true",
    "statuses",
]

# The lists of a Pod's containers: in its status, and in its spec.
GROUPS = {f"{name.removesuffix('s')}Statuses": name for name in CONTAINER_LISTS}


def containers(pod: Mapping[str, Any]) -> list[dict]:
    """All containers of the spec, init containers first.

    >>> spec = {"containers": [{"name": "app"}], "initContainers": [{"name": "first"}]}
    >>> [each["name"] for each in containers({"spec": spec})]
    ['first', 'app']
    """
    return [each for group in GROUPS.values() for each in pod.get("spec", {}).get(group) or []]


def statuses(pod: Mapping[str, Any]) -> list[dict]:
    """The status of each container that has one, in the order of ``containers``."""
    return [each for group in GROUPS for each in pod.get("status", {}).get(group) or []]


def group(pod: Mapping[str, Any], container: str) -> str:
    """The list in the status that has a container of the spec: ``containerStatuses``, or that of
    its kind.

    >>> group({"spec": {"initContainers": [{"name": "first"}]}}, "first")
    'initContainerStatuses'
    """
    return next(
        key
        for key, specs in GROUPS.items()
        if any(each["name"] == container for each in pod["spec"].get(specs) or [])
    )


def bare(container_id: str) -> str:
    """A container's id without the runtime's name before it.

    >>> bare("containerd://ab12"), bare("")
    ('ab12', '')
    """
    return container_id.rpartition("://")[2]


def ids(status: Mapping[str, Any]) -> list[str]:
    """All ids in a container's status: its own, and those of terminated runs.

    >>> before = {"terminated": {"containerID": "containerd://a"}}
    >>> ids({"containerID": "containerd://b", "state": {"running": {}}, "lastState": before})
    ['b', 'a']
    """
    ends = [(status.get(key) or {}).get("terminated") or {} for key in ("state", "lastState")]
    named = [bare(each.get("containerID") or "") for each in (status, *ends)]
    return list(dict.fromkeys(filter(None, named)))


def conditions(body: Mapping[str, Any] | None) -> dict[str, dict]:
    """The whole conditions of its status, by type."""
    return {each["type"]: each for each in (body or {}).get("status", {}).get("conditions") or []}


def is_true(body: Mapping[str, Any] | None, condition: str) -> bool:
    """Whether a condition, such as Ready, is True.

    >>> ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    >>> is_true(ready, "Ready"), is_true(None, "Ready")
    (True, False)
    """
    return conditions(body).get(condition, {}).get("status") == "True"


def changed(body: Mapping[str, Any], changes: Mapping[tuple, Any]) -> dict:
    """A copy of a manifest with some fields set, or taken out where the value is None.

    Args:
        changes: values by the way to the field: keys, and numbers in lists.

    >>> body = {"spec": {"hostPID": True, "containers": [{"name": "app"}]}}
    >>> changed(body, {("spec", "hostPID"): None, ("spec", "containers", 0, "tty"): True})
    {'spec': {'containers': [{'name': 'app', 'tty': True}]}}
    """
    made = copy.deepcopy(dict(body))
    for path, value in changes.items():
        at = made
        for step in path[:-1]:
            at = at[step] if isinstance(step, int) else at.setdefault(step, {})
        if value is None:
            at.pop(path[-1], None)
        else:
            at[path[-1]] = copy.deepcopy(value)
    return made
