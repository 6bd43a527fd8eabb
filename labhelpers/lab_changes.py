"""What a lab asks of its node and changes on it, and the namespaces that it adds."""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from labhelpers import formulas, namespaces, paths
from labhelpers.arguments import checked
from labhelpers.errors import LabError
from labhelpers.kube.client import Connection
from labhelpers.kube.manifests import Manifest
from labhelpers.node.edits import EXTENDED, Edits
from labhelpers.pods import Pod
from labhelpers.transcript import Transcript, told

__all__ = ["LabChanges"]


@checked
class LabChanges:
    """The part of ``Lab`` that counts the node's resources, and changes the node for a while.

    ``withdraw``, ``finish`` and the next ``start`` put each change back: see ``node.edits``.
    """

    namespace: str
    connection: Connection
    transcript: Transcript
    _edits: Edits

    @told
    def free(self, resource: str) -> Decimal:
        """Returns what the scheduler counts as free on the node: allocatable, less what the Pods
        there request, used or not.

        Args:
            resource: such as "cpu" (the answer is in CPUs), "memory" (in bytes), "nvidia.com/gpu".

        Example::

            lab.free("cpu")
        """
        counted = self.count(resource)
        if not EXTENDED.fullmatch(resource) and not (
            counted.offered or counted.has or counted.waits
        ):
            there = self.connection.list("Node")["items"][0]["status"]["allocatable"]
            raise LabError(
                f"The node has no resource {resource!r}.",
                f"it has {', '.join(there)}",
                "Use one of these names.",
            )
        return counted.free

    @told
    def count(self, resource: str) -> formulas.Count:
        """Counts a resource as the scheduler does: what the node advertises, who has how much,
        who waits. See ``formulas.count``.

        Pods of this lab go by their name, others with their namespace before it.

        Example::

            lab.count("nvidia.com/gpu").waits
        """
        nodes, pods = (
            self.connection.list("Node")["items"],
            self.connection.list("Pod", namespace="")["items"],
        )
        for pod in pods:
            if pod["metadata"]["namespace"] == self.namespace:
                del pod["metadata"]["namespace"]
        names = " ".join(node["metadata"]["name"] for node in nodes)
        self.transcript.note(
            f"kubectl describe node {names} | sed -n '/^Allocatable/,/^System/p;"
            " /^Allocated/,/^Events/p'"
        )
        return formulas.count(resource, nodes, pods)

    @told
    def offer(self, resource: str, count: int) -> str:
        """Writes an extended resource into the node's status. ``withdraw``, ``finish`` and
        the next ``start`` take it off again.

        Args:
            resource: its name, with a domain, such as "nvidia.com/gpu".
            count: how many pieces there are; a later offer of the same replaces it. 0 is what the
                kubelet writes when a plugin's devices are gone.

        Returns:
            The resource's name.

        Raises:
            LabError: it is no name of such a resource; or another live kernel has offered it.

        Example::

            lab.offer("nvidia.com/gpu", 1)
        """
        return self._edits.offer(resource, count)

    @told
    def offer_hugepages(self, count: int) -> str:
        """Sets huge pages of the node's default size aside, beside those that the machine has
        already. The kubelet counts them only at its start, so it's restarted. ``withdraw``,
        ``finish`` and the next ``start`` give them back.

        Args:
            count: how many pages; a later offer replaces it.

        Returns:
            The resource's name on this node, such as "hugepages-2Mi".

        Raises:
            LabError: the node has no huge pages; or not so many to give, and then it is as it was.
            TimedOut: the kubelet did not come back.

        Example::

            huge = lab.offer_hugepages(4)
        """
        return self._edits.offer_hugepages(count)

    @told
    def reserve_directory(self, path: str) -> str:
        """Reserves a directory on the node for hostPath volumes. It starts out missing or empty.
        ``finish`` and the next ``start`` remove it with everything in it.

        Args:
            path: /var/lib/podlab-NAME.

        Returns:
            The path.

        Raises:
            LabError: it's another path; or another live kernel has reserved it.

        Example::

            lab.reserve_directory("/var/lib/podlab-uploads")
        """
        return self._edits.directory(path)

    @told
    def build_image(self, dockerfile: str | Path) -> str:
        """Makes an image on the node from a Dockerfile. ``withdraw(name)``, ``finish`` and the next
        ``start`` remove it.

        Args:
            dockerfile: the name of a file in ``manifests/<lab>/``, or the path of another. It may
                have FROM an image that is on the node, COPY of files beside it, ENV, ENTRYPOINT,
                CMD and USER.

        Returns:
            The image's name: that of web.Dockerfile is localhost:1/web:1.

        Raises:
            LabError: a line of it can't be used here; or another live kernel has made the image.

        Example::

            lab.build_image("web.Dockerfile")
        """
        path = self._manifest(dockerfile)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:  # no file; not UTF-8; a NUL in its name
            raise LabError(
                f"The Dockerfile {dockerfile!s} can't be read.",
                str(error),
                f"Check its name. Without a folder, it's in {path.parent}.",
            ) from error
        name = f"localhost:1/{path.stem}:1"
        self.transcript.note(
            f"docker build -t {name} -f {os.path.relpath(path)} {os.path.relpath(path.parent)}",
            f"kind load docker-image {name} --name {paths.cluster_name()}",
        )
        with self.transcript.quietly():
            return self._edits.image(name, text, path.parent)

    @told
    def label_node(self, label: str) -> str:
        """Labels the node, as ``kubectl label node`` does. ``withdraw(key)``, ``finish`` and the
        next ``start`` put it back.

        Args:
            label: "disktype=ssd". The key isn't one of Kubernetes' own, but
                topology.kubernetes.io/zone and /region are fine, and so is
                node.kubernetes.io/exclude-disruption.

        Returns:
            The key.

        Raises:
            LabError: it isn't such a label; or another live kernel has set it.
            Refused: the API server doesn't take it.

        Example::

            lab.label_node("disktype=ssd")
        """
        return self._edits.label(label)

    @told
    def taint_node(self, taint: str) -> str:
        """Taints the node, as ``kubectl taint node`` does. ``withdraw(name)``, ``finish`` and the
        next ``start`` put it back.

        Args:
            taint: "KEY=VALUE:EFFECT". With NoExecute every Pod that doesn't tolerate it is evicted,
                the cluster's DNS as well.

        Returns:
            Its name, such as "maintenance:NoExecute".

        Raises:
            LabError: it isn't such a taint; or another live kernel has set it.

        Example::

            lab.taint_node("maintenance=true:NoSchedule")
        """
        return self._edits.taint(taint)

    @told
    def stop_kubelet(self, seconds: int) -> str:
        """Stops the kubelet for a while: the node is lost. Its start is armed on the node before.
        ``withdraw("kubelet")``, ``finish`` and the next ``start`` wait for it.

        Meanwhile nothing on the node can be asked: exec, logs and ``lab.node`` go through it.

        Args:
            seconds: 5 to 300.

        Returns:
            "kubelet", for ``withdraw``.

        Raises:
            LabError: it isn't such a number; or another live kernel has stopped it.

        Example::

            lab.stop_kubelet(seconds=60)
        """
        return self._edits.stop_kubelet(seconds)

    @told
    def add_static_pod(self, manifest: str | Path) -> Pod:
        """Writes a Pod's manifest into the kubelet's own folder on the node. ``withdraw(name)``,
        ``finish`` and the next ``start`` remove it.

        Args:
            manifest: as for ``apply``; one Pod.

        Returns:
            A handle on its mirror Pod in the API.

        Raises:
            LabError: it isn't one Pod.
            Refused: the API server wouldn't take it as an ordinary Pod.

        Example::

            lab.add_static_pod("static-web.yaml").wait_until("Ready", timeout_seconds=30)
        """
        bodies = Manifest.read(self._manifest(manifest)).rehearse(
            self.connection, self._node.images
        )
        if [body["kind"] for body in bodies] != ["Pod"]:
            raise LabError(
                f"{manifest} isn't a static Pod.",
                f"it has {', '.join(body['kind'] for body in bodies)}",
                "Write one Pod into it.",
            )
        return self.pod(self._edits.static_pod(bodies[0]))

    @told
    def withdraw(self, name: str) -> None:
        """Puts back one thing that the lab changed on the node. Pods are not asked; but huge pages
        in use stay, and that is an error.

        Args:
            name: as ``offer``, ``label_node`` and the like returned it; of a static Pod, its name
                in the manifest.

        Raises:
            LabError: huge pages that are in use; or a name of nothing that the lab has changed.
        """
        self._edits.withdraw(name)

    @told
    def add_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """Creates a namespace beside the lab's own, with other labels. ``finish`` and the next
        ``start`` delete it.

        Args:
            name: what is added to the name of the lab's own namespace.
            labels: the new namespace's labels.

        Returns:
            Its name, such as "lab-17-pod-security-baseline".

        Raises:
            LabError: one of that name, left from before, couldn't be deleted.

        Example::

            lab.add_namespace("baseline", {"pod-security.kubernetes.io/enforce": "baseline"})
        """
        namespace = namespaces.add(self.connection, name, labels)
        said = "".join(f" {key}={value}" for key, value in (labels or {}).items())
        self.transcript.note(
            f"kubectl create namespace {namespace}",
            *([f"kubectl label namespace {namespace}{said}"] if said else []),
        )
        return namespace
