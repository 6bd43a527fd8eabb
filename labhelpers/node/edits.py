"""Changes the node for a lab: labels, taints, extended resources, huge pages, directories, images,
static Pods, and a kubelet that is stopped for a while. Each change is recorded first, and undone at
the end (``node/undo``).
"""

import base64
import json
import re
import shlex
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from labhelpers.errors import LabError, Refused
from labhelpers.formulas import effective_requests
from labhelpers.kube import leases
from labhelpers.kube.client import MARK, Connection
from labhelpers.kube.waiting import wait_until
from labhelpers.node.dockerfile import Dockerfile, archive
from labhelpers.node.hugepages import HugePages
from labhelpers.node.kubelet import Kubelet
from labhelpers.node.node import Node
from labhelpers.node.record import Change
from labhelpers.node.undo import Undo
from labhelpers.polling import poll
from labhelpers.transcript import told

__all__ = ["Edits"]

WRITE_SECONDS, POD_SECONDS, IMAGE_SECONDS = 60, 60, 20
# Losing a Pod takes some seconds. No lab should stop the kubelet for longer than this.
SHORTEST_STOP_SECONDS, LONGEST_STOP_SECONDS = 5, 300
# kubernetes.io, "Extended resources": a name with a domain, and not one of Kubernetes' own.
LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DOMAIN = rf"(?!(?:[^/]*\.)?kubernetes\.io/){LABEL}(\.{LABEL})*"
EXTENDED = re.compile(
    rf"(?=[^/]{{1,253}}/.{{1,63}}$){DOMAIN}/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
)
# Controllers act on Kubernetes' own labels and taints. The first two are those that a cloud
# provider sets. The third lets the only node be lost like one of many: when all nodes are silent,
# the control plane suspects itself, and evicts nobody.
# https://kubernetes.io/docs/reference/labels-annotations-taints/
# https://kubernetes.io/docs/concepts/architecture/nodes/#rate-limits-on-eviction
KEY = re.compile(
    rf"(?:topology\.kubernetes\.io/(?:zone|region)|node\.kubernetes\.io/exclude-disruption"
    rf"|(?:(?!(?:[^/]*\.)?(?:kubernetes|k8s)\.io/){LABEL}(?:\.{LABEL})*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)"
)
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
# Only directories with such a name are ever removed from the node's disk.
DIRECTORY = re.compile(r"/var/lib/podlab-[a-z0-9]+(-[a-z0-9]+)*")
# Nobody answers at localhost:1, so such an image is never pulled. The node has a busybox there.
IMAGE = re.compile(r"localhost:1/(?!busybox:)[a-z0-9]+(-[a-z0-9]+)*:1")
IMAGES, CONTENT = (f"ctr --namespace k8s.io {part}" for part in ("images", "content"))
STATIC_POD = "/etc/kubernetes/manifests/podlab-{name}.json"
# They'd keep Pods from ending, or from being deleted.
BEFORE_PODS = ("kubelet", "static Pod", "taint")


class Edits:
    """The changes that a lab makes to its node.

    Args:
        connection: to the lab's namespace.
        node: the node from the inside.
        cluster: the cluster's name, if not that of this process.
    """

    def __init__(self, connection: Connection, node: Node, cluster: str | None = None):
        self._connection, self._node = connection, node
        self.transcript = connection.transcript
        self._kubelet = Kubelet(connection, node)
        how: dict[str, Callable[[Change], None]] = {
            "capacity": self._uncount,
            "huge pages": self._put_back_pages,
            "directory": self._remove_directory,
            "image": self._remove_image,
            "label": self._unlabel,
            "taint": self._untaint,
            "static Pod": self._remove_static_pod,
            "kubelet": self._start_kubelet,
        }
        self.undo = Undo(connection, how, first=BEFORE_PODS, cluster=cluster)
        self._pages = HugePages(connection, node, self.undo, self._kubelet)

    @told
    def offer(self, resource: str, count: int) -> str:
        """Advertises an extended resource on the node's status. It's only a number: this much can
        be allocated, and nothing else changes.

        It sets both capacity and allocatable. The kubelet would update allocatable by itself, some
        seconds later.

        https://kubernetes.io/docs/tasks/administer-cluster/extended-resource-node/
        """
        if not EXTENDED.fullmatch(resource):
            do = "Name it DOMAIN/NAME, such as nvidia.com/gpu." + (
                " Huge pages: lab.offer_hugepages." if "huge" in resource else ""
            )
            raise LabError(
                f"{resource!r} isn't a valid extended resource name.",
                "an extended resource has a domain that isn't one of Kubernetes' own",
                do,
            )
        _must_be_a_count(count, least=0)
        there = self._body()["status"]["capacity"].get(resource)
        with self.undo.change(
            "capacity",
            resource,
            f"{resource} on the node's status: {count}",
            before=there,
            after=str(count),
        ):
            self._count(resource, str(count))
        return resource

    @told
    def offer_hugepages(self, count: int) -> str:
        """Reserves huge pages of the node's default size, in addition to those that the machine
        has, and restarts the kubelet, so that it counts them.

        https://kubernetes.io/docs/tasks/manage-hugepages/scheduling-hugepages/
        """
        _must_be_a_count(count)
        return self._pages.offer(count)

    @told
    def directory(self, path: str) -> str:
        """Reserves a directory on the node for hostPath volumes. It's removed at the end, with
        everything in it. If it exists already, it's removed now.

        https://kubernetes.io/docs/concepts/storage/volumes/#hostpath
        """
        if not DIRECTORY.fullmatch(path):
            raise LabError(
                f"{path!r} isn't a directory that a lab may have on the node.",
                "a lab's directory is /var/lib/podlab-NAME, in lowercase letters",
                "For example: /var/lib/podlab-uploads.",
            )
        what, put_back = f"the directory {path}", f"{path}: removed"
        with self.undo.change("directory", path, what, put_back=put_back, before=None, after=""):
            self._run(_remove(path))
        return path

    @told
    def label(self, label: str) -> str:
        """Labels the node: ``"disktype=ssd"``. Returns the key."""
        key, sign, value = label.partition("=")
        if not KEY.fullmatch(key) or not sign:
            raise LabError(
                f"{label!r} isn't a label that a lab may give to the node.",
                "a label is KEY=VALUE, and its key isn't one of Kubernetes' own",
                "For example: disktype=ssd, or topology.kubernetes.io/zone=a.",
            )
        there = self._labels().get(key)
        what = f"the node's label {label}"
        with self.undo.change("label", key, what, before=there, after=value):
            self.transcript.note(f"kubectl label node {self._name} {label} --overwrite")
            self._patch({"metadata": {"labels": {key: value}}})
        return key

    @told
    def taint(self, taint: str) -> str:
        """Taints the node: ``"maintenance=true:NoExecute"``. Returns the key and the effect.

        https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
        """
        pair, _, effect = taint.rpartition(":")
        key, _, value = pair.partition("=")
        if not KEY.fullmatch(key) or effect not in EFFECTS:
            raise LabError(
                f"{taint!r} isn't a taint that a lab may give to the node.",
                f"a taint is KEY=VALUE:EFFECT; effects: {', '.join(EFFECTS)}",
                "For example: maintenance=true:NoExecute.",
            )
        name, what = f"{key}:{effect}", f"the node's taint {taint}"
        there = _taint(self._body(), name)
        with self.undo.change("taint", name, what, before=there, after=value):
            self.transcript.note(f"kubectl taint node {self._name} {taint} --overwrite")
            self._set_taint(name, value)
        return name

    @told
    def image(self, name: str, dockerfile: str, folder: Path = Path()) -> str:
        """Makes an image on the node, from the layers of one that is there, files that a Dockerfile
        copies, and what it says about the process. Returns its name.

        Args:
            name: localhost:1/NAME:1.
            dockerfile: its text. See ``Dockerfile``.
            folder: where the files are that it copies.
        """
        if not IMAGE.fullmatch(name):
            raise LabError(
                f"{name!r} isn't a name that a lab may give to an image.",
                "a lab's image is localhost:1/NAME:1, in lowercase letters",
                "For example: localhost:1/web:1.",
            )
        read = Dockerfile.read(dockerfile)
        manifest = self._manifest_of(read.base)
        layer = read.layer(folder)
        config = read.config(self._content(manifest["config"]["digest"]), layer)
        packed, identity = archive(name, manifest, config, layer)
        what, put_back = f"the image {name}", f"the image {name}: removed"
        with self.undo.change("image", name, what, put_back=put_back, before=None, after=identity):
            text = base64.b64encode(packed).decode()
            self._run(f"echo {text} | base64 -d | gunzip | {IMAGES} import -")
            # The kubelet's view of images follows a moment later, under the image's id.
            if not poll(lambda: identity in self._images(), timeout_seconds=IMAGE_SECONDS):
                raise LabError(
                    f"The container runtime doesn't know the image {name}.",
                    f"it was imported {IMAGE_SECONDS} s ago",
                    "Run the cell again.",
                )
        return name

    @told
    def static_pod(self, pod: Mapping) -> str:
        """Writes a Pod's manifest to the kubelet's own folder on the node, bypassing the API
        server. Returns the name of its mirror Pod.

        https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
        """
        name = pod["metadata"]["name"]
        body = {**pod, "metadata": {**pod["metadata"], "namespace": self._connection.namespace}}
        file = STATIC_POD.format(name=name)
        text = base64.b64encode(json.dumps(body, indent=1).encode()).decode()
        with self.undo.change(
            "static Pod",
            name,
            f"the static Pod {file}",
            put_back=f"static Pod {name}: removed",
            before=None,
            after=f"{name}-{self._name}",
        ):
            # The kubelet reads whatever is in its folder, even half a file.
            whole = f"/tmp/podlab-{name}.json"
            self._run(f"echo {text} | base64 -d > {whole} && mv {whole} {file}")
        return f"{name}-{self._name}"

    @told
    def stop_kubelet(self, seconds: int) -> str:
        """Stops the kubelet for this many seconds. Its restart is scheduled first."""
        if (
            isinstance(seconds, bool)
            or not isinstance(seconds, int)
            or not SHORTEST_STOP_SECONDS <= seconds <= LONGEST_STOP_SECONDS
        ):
            raise LabError(
                f"The kubelet can't be stopped for {seconds!r} seconds.",
                f"{SHORTEST_STOP_SECONDS} to {LONGEST_STOP_SECONDS} whole seconds",
                "For example: lab.stop_kubelet(seconds=60).",
            )
        with self.undo.change(
            "kubelet",
            "kubelet",
            f"the kubelet, stopped for {seconds} s",
            put_back="kubelet: running",
            before="",
            after=str(seconds),
        ):
            self._kubelet.stop(seconds)
        return "kubelet"

    @told
    def withdraw(self, name: str) -> None:
        """Undoes a change: removes an extended resource from the node's status, returns huge pages
        to the machine's memory, removes a label or a taint."""
        there = self.undo.withdraw(name, self._must_be_free)
        if not there and name not in self.undo.made_here:
            offered = ", ".join(each.name for each in self.undo.changes()) or "nothing"
            raise LabError(
                f"No lab has changed {name!r} on the node, so it stays as it is.",
                f"changed: {offered}",
                "Use one of the names that were changed.",
            )

    @told
    def put_back(self, *, first: bool = False) -> None:
        """Undoes everything that this kernel changed. See ``Undo.put_back``."""
        self.undo.put_back(first=first)

    @told
    def mend(self, *, first: bool = False) -> list[str]:
        """Undoes everything that this kernel changed, and kernels that have ended. See
        ``Undo.mend``."""
        return self.undo.mend(first=first)

    # --- One undo for each kind. If somebody else has changed the value since, theirs stays.

    def _uncount(self, change: Change) -> None:
        self._end_pods(change)
        self._count(change.name, change.before)

    def _put_back_pages(self, change: Change) -> None:
        self._end_pods(change)
        self._pages.put_back(change)

    def _remove_directory(self, change: Change) -> None:
        self._run(_remove(change.name))

    def _remove_image(self, change: Change) -> None:
        names = {change.name, str(change.after)}
        remove = f"{IMAGES} rm {' '.join(map(shlex.quote, sorted(names)))}"

        def are_gone() -> bool:
            # The runtime may write the id once more while it hears that the name is gone.
            self._run(f"{remove} && sleep 0.2")
            return not names & self._images()

        poll(are_gone, timeout_seconds=IMAGE_SECONDS)

    def _unlabel(self, change: Change) -> None:
        if self._labels().get(change.name) == change.after:
            self._patch({"metadata": {"labels": {change.name: change.before}}})

    def _untaint(self, change: Change) -> None:
        if _taint(self._body(), change.name) == change.after:
            self._set_taint(change.name, change.before)

    def _remove_static_pod(self, change: Change) -> None:
        self._run(f"rm -f -- {shlex.quote(STATIC_POD.format(name=change.name))}")
        # The kubelet ends its containers, then deletes the mirror Pod.
        wait_until(
            self._connection.within(change.namespace),
            "Pod",
            str(change.after),
            lambda pod: pod is None,
            what="gone",
            timeout_seconds=POD_SECONDS,
        )

    def _start_kubelet(self, change: Change) -> None:
        self._kubelet.start(int(change.after))

    # --- What they're built on

    def _must_be_free(self, change: Change) -> None:
        if change.of_pages:
            self._pages.refuse_in_use(change)

    def _end_pods(self, change: Change) -> None:
        """Ends the Pods of a lab whose kernel has ended, if they still use what is to be undone."""
        if not change.is_left:
            return
        try:
            there = self._connection.get("Namespace", change.namespace)
        except Refused:
            return
        if (
            there["metadata"].get("labels", {}).get(MARK) == "lab"
            and leases.owner_of(there) == change.holder
        ):
            for pod in self._connection.list("Pod", change.namespace)["items"]:
                if change.name in effective_requests(pod):
                    self._connection.delete(
                        "Pod", pod["metadata"]["name"], change.namespace, grace_seconds=0
                    )

    def _count(self, resource: str, count: str | int | None) -> None:
        change = {"status": {part: {resource: count} for part in ("capacity", "allocatable")}}
        self.transcript.note(
            f"kubectl patch node {self._name} --subresource=status --type=merge --patch"
            f" {shlex.quote(json.dumps(change))}"
        )
        self._patch(change, subresource="status")

    def _set_taint(self, name: str, value: str | int | None) -> None:
        key, _, effect = name.rpartition(":")
        for _ in range(5):
            body = self._body()
            taints = [each for each in _taints(body) if _name_of(each) != name]
            if value is not None:
                taints.append({"key": key, "value": value, "effect": effect})
            # Kubernetes taints nodes itself, and a patch replaces the whole list.
            version = {"resourceVersion": body["metadata"]["resourceVersion"]}
            try:
                self._patch({"metadata": version, "spec": {"taints": taints}})
                return
            except Refused as error:
                if error.reason != "Conflict":
                    raise
        raise LabError(
            "The node's taints couldn't be changed.",
            "somebody else changed the node again and again",
            "Run the cell again.",
        )

    def _patch(self, change: dict, subresource: str | None = None) -> None:
        self._connection.patch("Node", self._name, change, subresource=subresource)

    def _body(self) -> dict:
        return self._connection.list("Node")["items"][0]

    @cached_property
    def _name(self) -> str:
        return self._body()["metadata"]["name"]

    def _labels(self) -> dict[str, str]:
        return self._body()["metadata"].get("labels") or {}

    def _manifest_of(self, image: str) -> dict:
        """The manifest of an image that is on the node, for the node's own platform."""
        full = image if image.count("/") else f"docker.io/library/{image}"
        listed = [line.split() for line in self._run(f"{IMAGES} list").splitlines()]
        digest = next((words[2] for words in listed if words[0] == full), None)
        if digest is None:
            raise LabError(
                f"The image {image} isn't on the node.",
                "the Dockerfile's FROM names it",
                "Use busybox:1.35.0.",
            )
        found = self._content(digest)
        architecture = self._body()["status"]["nodeInfo"]["architecture"]
        for each in found.get("manifests", ()):  # a list for several platforms
            if each.get("platform", {}).get("architecture") == architecture:
                found = self._content(each["digest"])
                break
        # In the OCI's form the media type may stand in what points to the manifest only.
        return {"mediaType": "application/vnd.oci.image.manifest.v1+json", **found}

    def _content(self, digest: str) -> dict:
        return json.loads(self._run(f"{CONTENT} get {digest}"))

    def _images(self) -> set[str]:
        return set(self._run(f"{IMAGES} list --quiet").split())

    def _run(self, script: str) -> str:
        return self._node.run(script, timeout_seconds=WRITE_SECONDS)


def _taints(node: Mapping) -> list[dict]:
    return node.get("spec", {}).get("taints") or []


def _name_of(taint: Mapping) -> str:
    return f"{taint['key']}:{taint['effect']}"


def _taint(node: Mapping, name: str) -> str | None:
    """The value of the taint ``"key:Effect"``; None if the node doesn't have it."""
    return next((each.get("value", "") for each in _taints(node) if _name_of(each) == name), None)


def _remove(path: str) -> str:
    if not DIRECTORY.fullmatch(path):  # The path may come from the file.
        raise LabError(
            f"{path!r} isn't a lab's directory, so it stays.",
            "a lab's directory is /var/lib/podlab-NAME",
            "Correct its path in node-changes.json, beside the kubeconfig.",
        )
    return f"rm -rf -- {shlex.quote(path)}"


def _must_be_a_count(count: object, least: int = 1) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < least:
        raise LabError(
            "The count isn't valid.", repr(count), f"Use a whole number of units, {least} or more."
        )
