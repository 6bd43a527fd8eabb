"""A connection to an API server in memory, for tests of what is done with it. What goes over the
wire is tested on fake_api.py."""

import copy
from collections.abc import Callable

from labhelpers.errors import Refused
from labhelpers.transcript import Transcript

IN_NO_NAMESPACE = ("Namespace", "Node", "PriorityClass")


class FakeKinds:
    def verbs(self, kind: str) -> tuple:
        return ()

    def is_namespaced(self, kind: str) -> bool:
        return kind.rpartition("/")[2] not in IN_NO_NAMESPACE

    def cluster_scoped(self) -> list[str]:
        return ["scheduling.k8s.io/v1/PriorityClass"]

    def plural(self, kind: str) -> str:
        kind = kind.rpartition("/")[2].lower()
        return f"{kind}es" if kind.endswith("s") else f"{kind}s"


class FakeConnection:
    """Objects by kind, namespace and name, with versions that count up.

    Args:
        objects: what is there, as the API has it. A missing namespace is the connection's own.
        namespace: the connection's own.

    Attributes:
        calls: what was written, in order: "create Lease one", "delete Pod one grace 0".
        meanwhile: what another kernel does just before the next write, once.
        refusal: what ``apply`` raises, while it is set.
    """

    cluster_uid = "uid"

    def __init__(self, *objects: dict, namespace: str = "lab"):
        self.namespace, self.transcript, self.kinds = namespace, Transcript(), FakeKinds()
        self.calls: list[str] = []
        self.meanwhile: Callable[[], object] | None = None
        self.refusal: Exception | None = None
        self._objects: dict[tuple[str, str, str], dict] = {}
        self._version = 0
        for body in objects:
            self.put(body)

    def within(self, namespace: str) -> "FakeConnection":
        """The same objects, seen from another namespace."""
        other = copy.copy(self)
        other.namespace = namespace
        return other

    def put(self, body: dict) -> dict:
        """Keeps an object, as somebody else would write it."""
        self._version += 1
        body = copy.deepcopy(body)
        metadata = body["metadata"]
        metadata["resourceVersion"] = str(self._version)
        metadata.setdefault("uid", f"uid-{metadata['name']}")
        key = self._key(body["kind"], metadata["name"], metadata.get("namespace"))
        self._objects[key] = body
        return copy.deepcopy(body)

    def find(self, kind: str, name: str, namespace: str | None = None) -> dict | None:
        """An object; None where there is none."""
        return copy.deepcopy(self._objects.get(self._key(kind, name, namespace)))

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict:
        return self.find(kind, name, namespace) or self._refuse("NotFound")

    def list(self, kind: str, namespace: str | None = None, *, label_selector: str = "") -> dict:
        of_kind, place, _ = self._key(kind, "", namespace)
        label, _, value = label_selector.partition("=")
        items = [
            copy.deepcopy(body)
            for (of, where, _), body in self._objects.items()
            if of == of_kind
            and (namespace == "" or where == place)
            and (not label or body["metadata"].get("labels", {}).get(label) == value)
        ]
        return {"metadata": {"resourceVersion": str(self._version)}, "items": items}

    def create(self, body: dict) -> dict:
        self._write(f"create {body['kind']} {body['metadata']['name']}")
        metadata = body["metadata"]
        if self.find(body["kind"], metadata["name"], metadata.get("namespace")):
            self._refuse("AlreadyExists")
        return self.put(body)

    def apply(self, body: dict, dry_run: bool = False) -> dict:
        if self.refusal:
            raise self.refusal
        name = body["metadata"]["name"]
        self._write(f"apply {body['kind']} {name}")
        before = self.find(body["kind"], name, body["metadata"].get("namespace")) or {}
        return body if dry_run else self.put(_merged(before, body))

    def patch(self, kind: str, name: str, body: dict, namespace: str | None = None, **_) -> dict:
        self._write(f"patch {kind.rpartition('/')[2]} {name}")
        there = self.get(kind, name, namespace)
        version = there["metadata"]["resourceVersion"]
        if body.get("metadata", {}).get("resourceVersion", version) != version:
            self._refuse("Conflict")
        return self.put(_merged(there, body))

    def delete(
        self, kind: str, name: str, namespace: str | None = None, grace_seconds: int | None = None
    ) -> None:
        grace = "" if grace_seconds is None else f" grace {grace_seconds}"
        self._write(f"delete {kind.rpartition('/')[2]} {name}{grace}")
        self._objects.pop(self._key(kind, name, namespace), None)

    def _key(self, kind: str, name: str, namespace: str | None) -> tuple[str, str, str]:
        kind = kind.rpartition("/")[2]
        place = "" if kind in IN_NO_NAMESPACE else namespace or self.namespace
        return kind, place, name

    def _write(self, call: str) -> None:
        if self.meanwhile:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        self.calls.append(call)

    def _refuse(self, reason: str) -> dict:
        raise Refused("No.", "", "", reason=reason)


def _merged(there: dict, change: dict) -> dict:
    """As a merge patch does it: https://www.rfc-editor.org/rfc/rfc7396"""
    merged = dict(there)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            before = merged.get(key)
            merged[key] = _merged(before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = value
    return merged
