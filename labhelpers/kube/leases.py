"""Who holds what: the mark of a kernel on what it has taken, and the Lease by which a lab has the
node to itself.

A mark is ``{"host", "pid", "started"}``, as JSON. A pid alone may be given again; with its start it
is one process for ever.
"""

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from labhelpers.errors import LabError, Refused
from labhelpers.kube.client import MARK, NODE_NAMESPACE, Connection

__all__ = ["HOLDER", "give_node", "is_alive", "mark", "me", "of", "other", "started", "take_node"]

HOLDER = f"{MARK}/holder"
LEASE = ("coordination.k8s.io/v1/Lease", "node-exclusive", NODE_NAMESPACE)


def me() -> dict[str, str | int]:
    """The mark of this process.

    >>> me() == me(), is_alive(me())
    (True, True)
    """
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid())}


def mark() -> dict[str, str]:
    """The annotation with the mark of this process, for what it takes."""
    return {HOLDER: json.dumps(me())}


def of(body: Mapping) -> dict | None:
    """The mark that an object carries; None where it has none that can be read.

    >>> of({"metadata": {"annotations": {"podlab/holder": "a joke"}}}) is None
    True
    """
    try:
        holder = json.loads(body["metadata"]["annotations"][HOLDER])
        return holder if {"host", "pid", "started"} <= set(holder) else None
    except (KeyError, ValueError, TypeError):
        return None


def other(body: Mapping, take_over: bool = False) -> dict | None:
    """The mark of another live process on an object: whoever holds it against us. With
    ``take_over`` nobody does."""
    holder = of(body)
    return holder if holder and holder != me() and not take_over and is_alive(holder) else None


def is_alive(holder: Mapping) -> bool:
    """Whether the process that left this mark still runs. One on another machine cannot be looked
    at, and counts as alive."""
    return holder["host"] != socket.gethostname() or started(holder["pid"]) == holder["started"]


def started(pid: int) -> str:
    """When a process started, as a text that is the same whenever it is asked; "" where none
    lives."""
    try:
        # The name in parentheses may hold anything. Behind it stand the state and, as field 22 of
        # all, the start.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return ""
    return subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()


def take_node(connection: Connection, lab: str, *, take_over: bool = False) -> None:
    """Takes the Lease by which one kernel at a time changes, fills or loads the node. Again, by the
    same kernel: nothing happens.

    Args:
        connection: an open connection.
        lab: the lab's name, for whoever comes second.
        take_over: take it even though another kernel seems to hold it.

    Raises:
        LabError: another live kernel has it.

    https://kubernetes.io/docs/concepts/architecture/leases/
    """
    kind, name, namespace = LEASE
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {MARK: "lab"},
        "annotations": mark(),
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
            if holder := other(there, take_over):
                raise _held(there["spec"].get("holderIdentity", "another lab"), holder)
            # With the version that was looked at: of two that find it free, one gets a Conflict.
            version = {"resourceVersion": there["metadata"]["resourceVersion"]}
            connection.patch(
                kind,
                name,
                {"metadata": {**version, "annotations": mark()}, "spec": body["spec"]},
                namespace,
            )
            return
        except Refused as error:
            if error.reason not in ("NotFound", "Conflict"):
                raise
    raise LabError(
        "The node could not be taken.",
        "other kernels took it again and again",
        "Close the other notebooks, then run it again.",
    )


def give_node(connection: Connection) -> None:
    """Gives the node back, if this kernel has it."""
    kind, name, namespace = LEASE
    try:
        there = connection.get(kind, name, namespace)
    except Refused as error:
        if error.reason != "NotFound":
            raise
        return
    if of(there) == me():
        connection.delete(kind, name, namespace)


def _held(lab: str, holder: Mapping) -> LabError:
    return LabError(
        f"The lab {lab} has the node to itself, and this lab needs it, too.",
        f"held by process {holder['pid']} on {holder['host']}",
        "Run the last cell of that lab, or shut its kernel down; then run this cell again.",
    )
