"""Creates and deletes a lab's own namespaces, which belong to one kernel at a time."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from labhelpers import paths
from labhelpers.errors import LabError, Refused, TimedOut
from labhelpers.files import write_atomically
from labhelpers.kube import cluster_scoped, fields, leases
from labhelpers.kube.client import MARK, Connection
from labhelpers.kube.cluster_scoped import BESIDE
from labhelpers.kube.waiting import wait_until
from labhelpers.polling import poll

__all__ = ["EMPTY_SECONDS", "add", "added", "find", "kubeconfig", "remove", "remove_added", "take"]

EMPTY_SECONDS = 60
VOLUMES_SECONDS = 60
# RFC 2606 reserves this domain, so no controller has it: whoever set such a finalizer was a lab.
OWN_FINALIZERS = "example.com/"
RELEASE_TRIES = 5
USABLE_SECONDS = 30


def take(connection: Connection, namespace: str, take_over: bool) -> None:
    """Creates a fresh namespace that this kernel owns."""
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": {MARK: "lab"}, "annotations": leases.owner()},
    }
    for _ in range(3):
        there = find(connection, namespace)
        if there is not None:
            if holder := leases.live_owner(there, take_over):
                raise _held(namespace, holder)
            # Without the lab's label, it was made by somebody else.
            if there["metadata"].get("labels", {}).get(MARK) != "lab":
                raise LabError(
                    f"The namespace {namespace} wasn't made by a lab, so nothing was done to it.",
                    f"it exists, without the label {MARK}=lab",
                    f"If you need nothing in it: kubectl delete namespace {namespace}",
                )
            remove(connection, namespace, grace_seconds=0)
        try:
            connection.create(body)
            remove_added(connection, namespace, grace_seconds=0)
            return
        except Refused as error:
            # Another kernel was faster: check whose it is now.
            if error.reason != "AlreadyExists":
                raise
    raise LabError(
        f"This kernel couldn't get the namespace {namespace}.",
        "other kernels took it again and again",
        "Shut down the other kernels of this lab, then run the cell again.",
    )


def add(connection: Connection, name: str, labels: Mapping[str, str] | None = None) -> str:
    """Creates another namespace for the lab, empty and ready for Pods. An earlier one of this name
    is deleted first. ``remove_added`` deletes it, at the lab's end and at its next start.

    Args:
        connection: to the lab's own namespace.
        name: the suffix to the name of the lab's own namespace.
        labels: the new namespace's labels.

    Returns:
        Its name.

    Raises:
        LabError: the earlier one couldn't be deleted.

    Example::

        add(connection, "strict", {"pod-security.kubernetes.io/enforce": "restricted"})
    """
    owner = connection.namespace
    namespace = f"{owner}-{name}"
    if find(connection, namespace) is not None:
        remove(connection, namespace, grace_seconds=0)
    marks = {MARK: "lab", BESIDE: owner}
    connection.create(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {**(labels or {}), **marks}},
        }
    )
    wait_until_usable(connection, namespace)
    return namespace


def wait_until_usable(connection: Connection, namespace: str) -> None:
    """Waits until two objects exist without which a Pod is rejected, or waits for its token
    volume."""
    for kind, given in (("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")):
        wait_until(
            connection,
            kind,
            given,
            lambda found: found is not None,
            what="there",
            timeout_seconds=USABLE_SECONDS,
            namespace=namespace,
        )


def added(connection: Connection, owner: str) -> list[str]:
    """The other namespaces of a lab."""
    return [
        each["metadata"]["name"]
        for each in connection.list("Namespace")["items"]
        if each["metadata"].get("labels", {}).get(BESIDE) == owner
    ]


def remove_added(connection: Connection, owner: str, grace_seconds: int) -> None:
    """Deletes what a lab has outside its own namespace: other namespaces, and cluster-scoped
    objects. The deletion of all namespaces is requested before it waits for the first."""
    names = added(connection, owner)
    for name in names:
        connection.delete("Namespace", name)
    for name in names:
        remove(connection, name, grace_seconds)
    cluster_scoped.remove(connection, owner)


def check_held(connection: Connection, namespace: str) -> None:
    """Raises unless this kernel still has the lab. After ``finish``, or after another kernel's
    ``take_over``, it hasn't.

    Raises:
        LabError: it hasn't.
    """
    name, there = namespace.removeprefix("lab-"), find(connection, namespace)
    if there is None or there["metadata"].get("deletionTimestamp"):
        raise LabError(
            f"The lab {name} has ended.",
            f"the namespace {namespace} is {'gone' if there is None else 'being deleted'}",
            "Run the lab's first cell again.",
        )
    holder = leases.owner_of(there)
    if holder != leases.this_process():
        process = f"process {holder['pid']} on {holder['host']}" if holder else "nobody"
        raise LabError(
            f"Another kernel has taken the lab {name}, so nothing was done.",
            f"the namespace {namespace} is held by {process}",
            f'Continue there. To take it back: start("{name}", take_over=True).',
        )


def find(connection: Connection, namespace: str) -> dict | None:
    try:
        return connection.get("Namespace", namespace)
    except Refused as error:
        if error.reason == "NotFound":
            return None
        raise


def _held(namespace: str, holder: dict) -> LabError:
    name = namespace.removeprefix("lab-")
    return LabError(
        f"Another kernel holds the lab {name}.",
        f"process {holder['pid']} on {holder['host']}",
        f'Shut that kernel down, or continue there. To take the lab from it: start("{name}",'
        " take_over=True).",
    )


def remove(connection: Connection, namespace: str, grace_seconds: int) -> None:
    """Deletes a namespace and waits until it's gone, with the PersistentVolumes of its claims. What
    could keep it from going goes first, then the namespace, so that no controller recreates a Pod
    in between."""
    cluster_scoped.remove(connection, namespace, only=cluster_scoped.IN_THE_WAY)
    labels = ((find(connection, namespace) or {}).get("metadata") or {}).get("labels") or {}
    connection.delete("Namespace", namespace)
    for pod in connection.list("Pod", namespace)["items"]:
        name = pod["metadata"]["name"]
        connection.delete("Pod", name, namespace, grace_seconds=grace_seconds)
        if MARK in labels or BESIDE in labels:
            _release(connection, namespace, name)
    try:
        wait_until(
            connection,
            "Namespace",
            namespace,
            lambda found: found is None,
            what="gone",
            timeout_seconds=EMPTY_SECONDS,
        )
    except TimedOut as error:
        raise LabError(
            f"The contents of {namespace} could not be removed within {EMPTY_SECONDS} s.",
            "; ".join(_held_back(connection, namespace)) or error.seen,
            f"Remove the finalizers: kubectl edit KIND NAME --namespace {namespace}, under"
            " metadata.finalizers. Then run the cell again.",
        ) from error
    _wait_for_volumes(connection, namespace)


def _release(connection: Connection, namespace: str, name: str) -> None:
    """Removes the finalizers that a lab has set on a Pod. Others stay, and the error names them."""
    for _ in range(RELEASE_TRIES):
        try:
            there = connection.get("Pod", name, namespace)["metadata"]
            finalizers = there.get("finalizers") or []
            kept = [each for each in finalizers if not each.startswith(OWN_FINALIZERS)]
            if kept == finalizers:
                return
            # A patch replaces the whole list. With the version that was read, it can't take along
            # a finalizer that was added in the meantime: that's a Conflict.
            version = {"resourceVersion": there["resourceVersion"]}
            connection.patch("Pod", name, {"metadata": {**version, "finalizers": kept}}, namespace)
            return
        except Refused as error:
            if error.reason == "NotFound":
                return
            if error.reason != "Conflict":
                raise


def _wait_for_volumes(connection: Connection, namespace: str) -> None:
    """Waits for PersistentVolumes, which aren't in a namespace. After their claims are gone, the
    provisioner deletes the data and then the objects, which takes some seconds."""
    left: list[str] = []

    def are_gone() -> bool:
        left[:] = [
            each["metadata"]["name"]
            for each in connection.list("PersistentVolume")["items"]
            if (each["spec"].get("claimRef") or {}).get("namespace") == namespace
        ]
        return not left

    if not poll(are_gone, timeout_seconds=VOLUMES_SECONDS, every_seconds=0.3):
        raise LabError(
            f"Volumes of {namespace} are still there after {VOLUMES_SECONDS} s.",
            f"PersistentVolumes: {', '.join(left)}",
            "Read their events: kubectl describe pv. Then run the cell again.",
        )


def _held_back(connection: Connection, namespace: str) -> Iterator[str]:
    """What keeps a namespace from being deleted. While Pods are left, Kubernetes 1.37 counts
    nothing in the namespace's conditions."""
    for pod in connection.list("Pod", namespace)["items"]:
        yield (
            f"Pod {pod['metadata']['name']}:"
            f" {', '.join(pod['metadata'].get('finalizers') or ['no finalizer'])}"
        )
    for condition in fields.conditions(find(connection, namespace)).values():
        if condition["status"] == "True" and condition["type"].startswith("Namespace"):
            yield condition.get("message", condition["type"])


def kubeconfig(name: str, namespace: str) -> Path:
    """Writes the cluster's kubeconfig, with the lab's namespace in it, to a file of the lab's own,
    and to the terminals' file."""
    config = yaml.safe_load(paths.kubeconfig().read_text(encoding="utf-8"))
    for context in config["contexts"]:
        context["context"]["namespace"] = namespace
    path = paths.state() / "labs" / f"{name}.kubeconfig"
    for file in (path, paths.terminal_kubeconfig()):
        # It contains the administrator's key.
        write_atomically(file, yaml.safe_dump(config), private=True)
    return path
