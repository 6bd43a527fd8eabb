"""Marks, finds and deletes what a lab made in no namespace, such as a PriorityClass. Such objects
outlive the lab's namespace, so each carries a label with its name.

The label is part of the request that creates the object, and it's the only record. So the lab's
next start finds everything that a killed kernel left.
https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
"""

from typing import TYPE_CHECKING

from labhelpers.errors import LabError, Refused
from labhelpers.kube.waiting import wait_until

if TYPE_CHECKING:
    from labhelpers.kube.client import Connection

__all__ = ["BESIDE", "labelled", "made", "remove"]

# A label on everything that a lab has outside of its own namespace. Its value is that namespace.
BESIDE = "podlab-beside"
GONE_SECONDS = 60


def labelled(connection: "Connection", body: dict) -> dict:
    """Adds the label of the lab whose namespace the connection is in.

    Raises:
        LabError: there is an object of this name that this lab didn't make.
    """
    kind, name = f"{body['apiVersion']}/{body['kind']}", body["metadata"]["name"]
    try:
        there = connection.get(kind, name)
    except Refused as error:
        if error.reason != "NotFound":
            raise
    else:
        if (there["metadata"].get("labels") or {}).get(BESIDE) != connection.namespace:
            raise LabError(
                f"{body['kind']} {name} exists already, and this lab didn't make it, so nothing"
                " was applied.",
                f"it lacks the label {BESIDE}={connection.namespace}",
                "Give yours another name.",
            )
    labels = {**(body["metadata"].get("labels") or {}), BESIDE: connection.namespace}
    return {**body, "metadata": {**body["metadata"], "labels": labels}}


def made(connection: "Connection", owner: str) -> list[str]:
    """Lists what the lab with this namespace made outside of it, except namespaces, as ``kubectl
    delete`` takes it: "priorityclasses/high"."""
    return [f"{connection.kinds.plural(kind)}/{name}" for kind, name in _made(connection, owner)]


def remove(connection: "Connection", owner: str) -> None:
    """Deletes what the lab made outside of its namespace, and waits until it's gone.

    Raises:
        TimedOut: one of them isn't gone in time, because of a finalizer, for instance.
    """
    found = _made(connection, owner)
    for kind, name in found:
        connection.delete(kind, name)
    for kind, name in found:
        wait_until(
            connection,
            kind,
            name,
            lambda there: there is None,
            what="gone",
            timeout_seconds=GONE_SECONDS,
        )


def _made(connection: "Connection", owner: str) -> list[tuple[str, str]]:
    return [
        (kind, each["metadata"]["name"])
        for kind in connection.kinds.cluster_scoped()
        for each in connection.list(kind, label_selector=f"{BESIDE}={owner}")["items"]
    ]
