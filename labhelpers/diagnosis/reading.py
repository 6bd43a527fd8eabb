"""The half that asks: a small set of GET requests about one object and what it refers to.

It never reads a Secret or a ConfigMap: the kubelet's own messages name the one that's missing, and
its key. What the reader may not read is left out, and said.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from labhelpers.diagnosis.seen import Box, Claimed, Seen, last_seen
from labhelpers.errors import LabError, Refused
from labhelpers.kube.kinds import check_name

__all__ = ["Reading"]

CORE, APPS, BATCH = "/api/v1", "/apis/apps/v1", "/apis/batch/v1"
# The kind, where it is in the API, and what people type.
KINDS = {
    "Pod": (CORE, "pods", "pod pods po"),
    "Deployment": (APPS, "deployments", "deployment deployments deploy"),
    "StatefulSet": (APPS, "statefulsets", "statefulset statefulsets sts"),
    "DaemonSet": (APPS, "daemonsets", "daemonset daemonsets ds"),
    "ReplicaSet": (APPS, "replicasets", "replicaset replicasets rs"),
    "Job": (BATCH, "jobs", "job jobs"),
    "Service": (CORE, "services", "service services svc"),
    "PersistentVolumeClaim": (CORE, "persistentvolumeclaims", ""),
    "Event": (CORE, "events", ""),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices", ""),
    "Node": (CORE, "nodes", ""),
}
WORDS = {word: kind for kind, (_, _, words) in KINDS.items() for word in words.split()}
# A Pod's name begins with the name of what made it. A Service comes last: it makes none.
MAKERS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet")
LOG_LINES = 3
MOST_PODS = 20


class Reading:
    """Asks one API server about objects of one namespace.

    Args:
        get: sends a GET request for a path, and returns the body: a dict if it's JSON, else text.
            Raises Refused.
        namespace: where the objects are.
        kubectl: how a line of kubectl begins that reads the same: "kubectl -n shop".
        now: what time it is.

    Attributes:
        lines: what was asked, as lines of kubectl to type, each once.
    """

    def __init__(
        self,
        get: Callable[[str], dict | str],
        namespace: str,
        kubectl: str = "kubectl",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        check_name("Namespace", namespace)
        self._get, self._namespace, self._kubectl, self._now = get, namespace, kubectl, now
        self._denied: list[str] = []
        self.lines: list[str] = []

    def of(self, target: str) -> Seen:
        """Finds what is meant, and reads what there is to know about it.

        Args:
            target: "kind/name", or a name alone: that of a Pod, else of a controller, else the
                beginning of a Pod's name, else a Service's name.

        Raises:
            LabError: there is nothing of that name, or the kind isn't one that it knows.
            Refused: the reader may not read it.
        """
        kind, _, name = target.partition("/")
        if name:
            known = WORDS.get(kind.lower().partition(".")[0])
            if not known:
                raise LabError(
                    f"There are no diagnoses of a {kind}.",
                    target,
                    f"Ask about a Pod, or one of {', '.join([*MAKERS, 'Service'])}.",
                )
            if body := self._find(known, name, is_needed=True):
                return self._read(known, body)
            raise self._nothing(known, name, is_exact=True)
        name = target
        for known in ("Pod", *MAKERS):
            if body := self._find(known, name, is_needed=known == "Pod"):
                return self._read(known, body)
        begins = [
            pod
            for pod in self._list("Pod", f"get pods | grep ^{name}-")
            if pod["metadata"]["name"].startswith(f"{name}-")
        ]
        if begins:
            return self._read("Pod", begins[0])
        if body := self._find("Service", name):
            return self._read("Service", body)
        raise self._nothing("Pod", name, is_exact=False)

    def _nothing(self, kind: str, name: str, *, is_exact: bool) -> LabError:
        seen = f"nor does a Pod's name begin with {name}-; looked for {', '.join(MAKERS)}"
        return LabError(
            f"There is no {kind} {name} in the namespace {self._namespace}.",
            self.lines[0] if is_exact else seen,
            f"See what there is: {self._kubectl} get all. Another namespace: -n NAMESPACE.",
        )

    def _read(self, kind: str, body: dict) -> Seen:
        self._denied = []
        if kind == "Pod":
            seen = self._pod(body)
        elif kind == "Service":
            seen = self._service(body)
        else:
            seen = self._controller(kind, body)
        seen.denied = list(dict.fromkeys(self._denied))
        return seen

    def _pod(self, body: dict) -> Seen:
        seen = self._seen("Pod", body)
        node = seen.spec.get("nodeName")
        if node and (not seen.is_ready or seen.metadata.get("deletionTimestamp")):
            seen.node = self._find("Node", node)
            denied = any(line.endswith(f" get node {node}") for line in self._denied)
            seen.node_is_missing = seen.node is None and not denied
        if seen.phase == "Pending" and not any(box.has_started for box in seen.boxes()):
            for volume in seen.spec.get("volumes") or []:
                if name := _claim_of(volume, seen.name):
                    seen.claims.append(self._claim(name))
        for box in seen.boxes():
            if box.ended and box.ended.get("reason") not in ("StartError", "OOMKilled"):
                seen.logs[box.name] = self._log(box)
        return seen

    def _claim(self, name: str) -> Claimed:
        body = self._find("PersistentVolumeClaim", name)
        return Claimed(name, body, self._events(body) if body else [])

    def _log(self, box: Box) -> str:
        # While it waits to be restarted, its log is still that of the run that ended.
        previous = bool(box.running)
        query = urlencode(
            {
                "container": box.name,
                "tailLines": LOG_LINES,
                "previous": str(previous).lower(),
            }
        )
        line = f"logs {box.seen.name} -c {box.name}{' --previous' if previous else ''}"
        path = f"{self._path('Pod', box.seen.name)}/log?{query}"
        return str(self._ask(path, f"{line} --tail={LOG_LINES}") or "")

    def _controller(self, kind: str, body: dict) -> Seen:
        seen = self._seen(kind, body)
        selector = _selector(seen.spec.get("selector") or {})
        if not selector:
            return seen
        below = "ReplicaSet" if kind == "Deployment" else "Pod"
        uid = seen.metadata["uid"]
        owned = [
            each
            for each in self._list(below, f"get {below.lower()}s -l {selector}", selector)
            if any(owner["uid"] == uid for owner in each["metadata"].get("ownerReferences") or [])
        ]
        if below == "ReplicaSet":
            wanted = [each for each in owned if each["spec"].get("replicas")]
            newest = sorted(wanted, key=_revision)[-1:]
            seen.parts = [self._controller("ReplicaSet", each) for each in newest]
        else:
            seen.parts = [self._pod(each) for each in _worst_first(owned)[:MOST_PODS]]
        return seen

    def _service(self, body: dict) -> Seen:
        seen = self._seen("Service", body)
        of_it = f"kubernetes.io/service-name={seen.name}"
        seen.endpoints = self._list("EndpointSlice", f"get endpointslices -l {of_it}", of_it)
        if labels := seen.spec.get("selector"):
            selector = _selector({"matchLabels": labels})
            pods = self._list("Pod", f"get pods -l {selector}", selector)
            seen.parts = [self._pod(pod) for pod in _worst_first(pods)[:MOST_PODS]]
            if not pods:
                nearby = self._list("Pod", "get pods --show-labels")
                seen.labels_nearby = [each["metadata"].get("labels") or {} for each in nearby]
        return seen

    def _seen(self, kind: str, body: dict) -> Seen:
        return Seen(
            kind,
            body["metadata"]["name"],
            self._kubectl,
            self._now(),
            {"kind": kind, **body},
            self._events({"kind": kind, **body}),
        )

    def _events(self, body: dict) -> list[dict]:
        """The events about an object, oldest first, found by its uid: an earlier object of the same
        name may have left some."""
        metadata = body["metadata"]
        # A static Pod's events carry the uid of the file, which its mirror Pod has noted.
        mirror = (metadata.get("annotations") or {}).get("kubernetes.io/config.mirror")
        query = urlencode({"fieldSelector": f"involvedObject.uid={mirror or metadata['uid']}"})
        line = f"events --for {body.get('kind', 'PersistentVolumeClaim').lower()}/"
        answer = self._ask(f"{self._path('Event')}?{query}", f"{line}{metadata['name']}")
        return sorted((answer or {}).get("items", []), key=last_seen)

    def _find(self, kind: str, name: str, *, is_needed: bool = False) -> dict | None:
        line = f"get {kind.lower()} {name} -o yaml"
        return self._ask(self._path(kind, name), line, is_needed=is_needed)

    def _list(self, kind: str, line: str, selector: str = "") -> list[dict]:
        query = f"?{urlencode({'labelSelector': selector})}" if selector else ""
        return (self._ask(self._path(kind) + query, line) or {}).get("items", [])

    def _path(self, kind: str, name: str | None = None) -> str:
        prefix, plural, _ = KINDS[kind]
        place = "" if kind == "Node" else f"/namespaces/{quote(self._namespace, safe='')}"
        if name is None:
            return f"{prefix}{place}/{plural}"
        check_name(kind, name)
        return f"{prefix}{place}/{plural}/{quote(name, safe='')}"

    def _ask(self, path: str, line: str, *, is_needed: bool = False):
        line = f"{self._kubectl} {line}"
        if line not in self.lines:
            self.lines.append(line)
        try:
            return self._get(path)
        except Refused as error:
            if error.code == 403 and not is_needed:
                self._denied.append(line.removesuffix(" -o yaml"))
            elif error.code not in (400, 404):
                raise
            return None


def _claim_of(volume: dict, pod: str) -> str:
    if "persistentVolumeClaim" in volume:
        return volume["persistentVolumeClaim"]["claimName"]
    return f"{pod}-{volume['name']}" if "ephemeral" in volume else ""


def _selector(selector: dict) -> str:
    """A label selector as a query has it. What only matchExpressions say is filtered by owner.

    >>> _selector({"matchLabels": {"app": "web", "tier": "front"}})
    'app=web,tier=front'
    """
    return ",".join(f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items())


def _revision(replica_set: dict) -> int:
    notes = replica_set["metadata"].get("annotations") or {}
    return int(notes.get("deployment.kubernetes.io/revision", "0"))


def _worst_first(pods: list[dict]) -> list[dict]:
    """Pods that aren't Ready before those that are, the newest first: that's the one in trouble."""
    newest = sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"], reverse=True)
    return sorted(newest, key=_is_ready)


def _is_ready(pod: dict) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
