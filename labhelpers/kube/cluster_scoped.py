"""Objects that live in no namespace and that a lab made, such as a PriorityClass: they outlive the
lab's namespace, so each carries a label with the name of it.

The label is in the request that creates the object, and it's the only record: a kernel that is
killed leaves nothing that the lab's next start doesn't find.
https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
"""

from typing import TYPE_CHECKING

from labhelpers.errors import LabError, Refused
from labhelpers.kube.waiting import wait_until

if TYPE_CHECKING:
    from labhelpers.kube.client import Connection

__all__ = ["BESIDE", "labelled", "made", "remove"]

# On whatever a lab has outside of its own namespace: the name of that.
BESIDE = "podlab-beside"
GONE_SECONDS = 60


def labelled(connection: "Connection", body: dict) -> dict:
    """The object with the label of the lab whose namespace the connection is in.

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
                f"{body['kind']} {name} is there already, and this lab didn't make it, so nothing"
                " was applied.",
                f"it lacks the label {BESIDE}={connection.namespace}",
                "Give yours another name.",
            )
    labels = {**(body["metadata"].get("labels") or {}), BESIDE: connection.namespace}
    return {**body, "metadata": {**body["metadata"], "labels": labels}}


def made(connection: "Connection", owner: str) -> list[str]:
    """What the lab with this namespace made outside of it, other namespaces apart, as ``kubectl
    delete`` takes it: "priorityclasses/high"."""
    return [f"{connection.kinds.plural(kind)}/{name}" for kind, name in _made(connection, owner)]


def remove(connection: "Connection", owner: str) -> None:
    """Deletes what the lab made outside of its namespace, and waits until it's gone.

    Raises:
        TimedOut: something holds one of them.
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
