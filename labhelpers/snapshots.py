"""One object, Pod or container as it was at one moment. It never changes."""

from collections.abc import Callable

from labhelpers.errors import LabError
from labhelpers.kube import fields, pod_status
from labhelpers.transcript import Transcript, told

__all__ = ["ContainerSnapshot", "PodFacts", "PodSnapshot", "Snapshot"]


class Snapshot:
    """An object as it was at one moment. ``raw`` is the API server's own answer, and never changes.

    Args:
        raw: the object as a dict.

    >>> Snapshot({"kind": "Secret", "metadata": {"name": "key", "uid": "1"}}).uid
    '1'
    """

    transcript: Transcript | None = None

    def __init__(self, raw: dict):
        self._raw = raw

    def _look(self, path: str | None) -> dict:
        """Returns the object. A live handle asks the API server, and notes the kubectl line that
        shows its ``path`` ("": all of it; None: kubectl's row)."""
        return self._raw

    @property
    @told
    def raw(self) -> dict:
        """The API server's own answer, as a dict."""
        return self._look("")

    @property
    @told
    def uid(self) -> str:
        """The object's uid, which differs from that of another object with the same name."""
        return self._look("{.metadata.uid}")["metadata"]["uid"]

    def __repr__(self) -> str:
        return f"{self._raw['kind']} {self._raw['metadata']['name']}, frozen"


class PodFacts:
    """What a Pod can tell, live or frozen; it's all read from ``_look``."""

    _look: Callable[[str], dict]
    transcript: Transcript | None

    @property
    @told
    def phase(self) -> str:
        """The phase: Pending, Running, Succeeded or Failed.
        https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase"""
        return self._look("{.status.phase}").get("status", {}).get("phase", "")

    @property
    @told
    def address(self) -> str:
        """The Pod's IP address as the API has it; "" while there is none."""
        return self._look("{.status.podIP}").get("status", {}).get("podIP", "")

    @property
    @told
    def conditions(self) -> dict[str, str]:
        """The status of each condition ("True", "False" or "Unknown"), in the API's order."""
        found = self._look("{.status.conditions}").get("status", {}).get("conditions") or []
        return {condition["type"]: condition["status"] for condition in found}

    @property
    @told
    def kubectl_status(self) -> str:
        """The STATUS column of ``kubectl get pods``. It isn't a field of the Pod: kubectl computes
        it from many.

        Rests on printPod in pkg/printers/internalversion/printers.go of Kubernetes 1.37.
        """
        return pod_status.kubectl_status(self._look(None))


class PodSnapshot(PodFacts, Snapshot):
    """A Pod at one moment: everything that the API says about it, from the same answer.

    Example::

        before = pod.now()
        ...
        pod.now().container("app").restarts - before.container("app").restarts
    """

    def container(self, name: str) -> "ContainerSnapshot":
        """Returns one container at that moment. Raises LabError if the Pod has none of that
        name."""
        return ContainerSnapshot(self._raw, name)

    def __repr__(self) -> str:
        return f"Pod {self._raw['metadata']['name']}, frozen: {self.kubectl_status}"


class ContainerSnapshot:
    """A container at one moment, frozen, with every property of a ``Container`` that comes from the
    API.

    Raises:
        LabError: the Pod has no container of that name.

    >>> spec = {"containers": [{"name": "app", "image": "busybox:1.35.0"}]}
    >>> raw = {"metadata": {"name": "p"}, "spec": spec, "status": {}}
    >>> ContainerSnapshot(raw, "app").state
    'waiting'
    """

    transcript: Transcript | None = None

    def __init__(self, raw: dict, name: str):
        self._raw, self.name = raw, name
        self._spec()

    def _look(self, field: str) -> dict:
        return self._raw

    def _spec(self) -> dict:
        specs = {container["name"]: container for container in fields.containers(self._raw)}
        if self.name not in specs:
            raise LabError(
                f"The Pod {self._raw['metadata']['name']} has no container {self.name!r}.",
                f"its containers are {', '.join(specs)}",
                "Use one of these names.",
            )
        return specs[self.name]

    def _status(self, field: str) -> dict:
        found = self._look(field)
        return next(
            (status for status in fields.statuses(found) if status["name"] == self.name), {}
        )

    @property
    @told
    def restarts(self) -> int:
        """How often the container has been restarted."""
        return self._status("restartCount").get("restartCount", 0)

    @property
    @told
    def state(self) -> str:
        """The state: "waiting", "running" or "terminated". By Kubernetes' definition, a container
        without a status is waiting."""
        return next(iter(self._status("state").get("state") or {}), "waiting")

    @property
    @told
    def reason(self) -> str:
        """Why it's waiting or has terminated; "" while it's running, or if the kubelet gives no
        reason."""
        return next(iter((self._status("state").get("state") or {}).values()), {}).get("reason", "")

    @property
    @told
    def exit_code(self) -> int | None:
        """The exit code of its last end, in the present state or before a restart; None if it has
        never ended."""
        status = self._status("lastState.terminated.exitCode")
        ends = [(status.get(state) or {}).get("terminated") for state in ("state", "lastState")]
        return next((end["exitCode"] for end in ends if end), None)

    @property
    @told
    def ready(self) -> bool:
        """Whether the kubelet counts it as ready."""
        return self._status("ready").get("ready", False)

    @property
    @told
    def id(self) -> str:
        """The runtime's id of the container, without ``containerd://``; "" while there is none. It
        changes with each restart."""
        return fields.bare(self._status("containerID").get("containerID", ""))

    @property
    @told
    def image(self) -> str:
        """The image as the spec names it."""
        return self._spec()["image"]

    def __repr__(self) -> str:
        return f"container {self.name} of Pod {self._raw['metadata']['name']}"
