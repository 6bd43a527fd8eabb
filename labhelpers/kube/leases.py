"""Records which kernel owns a lab's namespace, and which one has the node to itself, by a Lease.

An owner is a process: ``{"host", "pid", "started"}``, as JSON in an annotation. A process id alone
may be reused; together with the process's start it's unique.
"""

import json
import os
import socket
from collections.abc import Mapping

import psutil

from labhelpers.errors import LabError, Refused
from labhelpers.kube.client import MARK, NODE_NAMESPACE, Connection

__all__ = [
    "OWNER",
    "give_node",
    "is_alive",
    "live_owner",
    "owner",
    "owner_of",
    "started",
    "take_node",
    "this_process",
]

OWNER = f"{MARK}/holder"
LEASE = ("coordination.k8s.io/v1/Lease", "node-exclusive", NODE_NAMESPACE)


def this_process() -> dict[str, str | int]:
    """This process, as an owner.

    >>> this_process() == this_process(), is_alive(this_process())
    (True, True)
    """
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid())}


def owner() -> dict[str, str]:
    """The annotation that names this process, for an object that it takes."""
    return {OWNER: json.dumps(this_process())}


def owner_of(obj: Mapping) -> dict | None:
    """The owner that an object names; None if it names none, or can't be parsed.

    >>> owner_of({"metadata": {"annotations": {"podlab/holder": "a joke"}}}) is None
    True
    """
    try:
        found = json.loads(obj["metadata"]["annotations"][OWNER])
        return found if {"host", "pid", "started"} <= set(found) else None
    except (KeyError, ValueError, TypeError):
        return None


def live_owner(obj: Mapping, take_over: bool = False) -> dict | None:
    """The owner of an object, if that is another process that still runs; None if this process may
    take the object. With ``take_over`` it always may."""
    found = owner_of(obj)
    return (
        found if found and found != this_process() and not take_over and is_alive(found) else None
    )


def is_alive(process: Mapping) -> bool:
    """Whether an owner still runs. One on another machine can't be checked, and counts as alive."""
    return process["host"] != socket.gethostname() or started(process["pid"]) == process["started"]


def started(pid: int) -> str:
    """When a process started, as a text that never changes; "" if there is no such process, or if
    it's a zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        # Linux counts from the boot. Seconds since 1970 would change if somebody sets the clock.
        return f"{process.create_time() - (psutil.boot_time() if psutil.LINUX else 0):.2f}"
    except psutil.NoSuchProcess:
        return ""


def take_node(connection: Connection, lab: str, *, take_over: bool = False) -> None:
    """Takes the Lease by which one kernel at a time changes, fills or loads the node. If this
    kernel has it already, nothing happens.

    Args:
        connection: an open connection.
        lab: the lab's name, for the error that another kernel gets.
        take_over: take it even if another kernel seems to hold it.

    Raises:
        LabError: another live kernel holds it.

    https://kubernetes.io/docs/concepts/architecture/leases/
    """
    kind, name, namespace = LEASE
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {MARK: "lab"},
        "annotations": owner(),
    }
    body = {
        "apiVersion": kind.rpartition("/")[0],
        "kind": "Lease",
        "metadata": metadata,
        "spec": {"holderIdentity": lab},
    }
    for _ in range(3):
        try:
            connection.create(body)
            return
        except Refused as error:
            if error.reason != "AlreadyExists":
                raise
        try:
            there = connection.get(kind, name, namespace)
            if found := live_owner(there, take_over):
                raise _held(there["spec"].get("holderIdentity", "another lab"), found)
            # With the version that was read: if two kernels find it free, one gets a Conflict.
            version = {"resourceVersion": there["metadata"]["resourceVersion"]}
            connection.patch(
                kind,
                name,
                {"metadata": {**version, "annotations": owner()}, "spec": body["spec"]},
                namespace,
            )
            return
        except Refused as error:
            if error.reason not in ("NotFound", "Conflict"):
                raise
    raise LabError(
        "This lab can't have the node to itself.",
        "other kernels took it again and again",
        "Shut down the other labs' kernels, then run this cell again.",
    )


def give_node(connection: Connection) -> None:
    """Releases the node, if this kernel has it."""
    kind, name, namespace = LEASE
    try:
        there = connection.get(kind, name, namespace)
    except Refused as error:
        if error.reason != "NotFound":
            raise
        return
    if owner_of(there) == this_process():
        connection.delete(kind, name, namespace)


def _held(lab: str, process: Mapping) -> LabError:
    return LabError(
        f"The lab {lab} has the node to itself, and this lab needs it too.",
        f"held by process {process['pid']} on {process['host']}",
        "Run the last cell of that lab, or shut its kernel down; then run this cell again.",
    )
