"""Marks, finds and deletes what a lab made in no namespace, such as a PriorityClass. Such objects
outlive the lab's namespace, so each carries a label with its name.

The label is part of the request that creates the object, and it's the only record. So the lab's
next start finds everything that a killed kernel left.
https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from labhelpers.errors import LabError, Refused
from labhelpers.kube.waiting import wait_until

if TYPE_CHECKING:
    from labhelpers.kube.client import Connection

__all__ = ["BESIDE", "IN_THE_WAY", "labelled", "made", "remove"]

# A label on everything that a lab has outside of its own namespace. Its value is that namespace.
BESIDE = "podlab-beside"
# Groups whose objects can keep a namespace from going: an aggregated API without a backend (nobody
# knows what it has there), and webhooks that are asked about each deletion.
IN_THE_WAY = ("apiregistration.k8s.io", "admissionregistration.k8s.io")
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
    given = body["metadata"].get("labels") or {}
    if not isinstance(given, dict):
        return body  # The server refuses it, and names the field.
    labels = {**given, BESIDE: connection.namespace}
    return {**body, "metadata": {**body["metadata"], "labels": labels}}


def made(connection: "Connection", owner: str) -> list[str]:
    """Lists what the lab with this namespace made outside of it, except namespaces, as ``kubectl
    delete`` takes it: "priorityclasses/high"."""
    return [f"{connection.kinds.plural(kind)}/{name}" for kind, name in _made(connection, owner)]


def remove(connection: "Connection", owner: str, *, only: Collection[str] = ()) -> None:
    """Deletes what the lab made outside of its namespace, and waits until it's gone.

    Args:
        only: API groups; all of them, if there are none.

    Raises:
        TimedOut: one of them isn't gone in time, because of a finalizer, for instance.
    """
    found = _made(connection, owner, only)
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


def _made(
    connection: "Connection", owner: str, only: Collection[str] = ()
) -> list[tuple[str, str]]:
    return [
        (kind, each["metadata"]["name"])
        for kind in connection.kinds.cluster_scoped()
        if not only or kind.partition("/")[0] in only
        for each in connection.list(kind, label_selector=f"{BESIDE}={owner}")["items"]
    ]
