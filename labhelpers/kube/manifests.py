"""Reads manifests, checks them for what YAML hides, and lets the server apply them.

Unknown fields, wrong types and rules are left to the API server. Its words become three lines.
https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
"""

import codecs
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from labhelpers.errors import LabError, Refused
from labhelpers.kube import cluster_scoped, kinds, yaml_reader
from labhelpers.kube import images as kube_images
from labhelpers.kube.client import Connection
from labhelpers.kube.refusals import explained, missing
from labhelpers.kube.yaml_reader import Document, invisible, shown
from labhelpers.polling import poll

__all__ = ["Manifest"]

# etcd stores at most 1.5 MiB, and a dry run doesn't ask it:
# https://etcd.io/docs/v3.6/dev-guide/limit/
_LARGEST_BYTES = 1_572_864
_KNOWN_SECONDS = 5
# Kinds that no lab applies: what such a manifest does, and what else there is.
_NEVER_APPLIED = {
    "Namespace": (
        "creates a namespace",
        "everything goes into the lab's own namespace, which is emptied at the end",
    ),
    "Node": ("has a node in it", "the kubelet registers its node by itself"),
}


class Manifest:
    """One or more objects in YAML, ready to be applied. A List's items are objects like any others.

    Attributes:
        documents: one dictionary per object, as written.
        name: what errors call it.
        text: the YAML itself.
        path: the file, or None.

    >>> text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"
    >>> manifest = Manifest.parse(text, "a.yaml")
    >>> manifest.documents[0]["kind"]
    'ConfigMap'
    """

    def __init__(self, text: str, name: str, path: Path | None = None):
        self.text, self.name, self.path = text, name, path
        self._read = yaml_reader.read(text, name)
        for document in self._read:
            self._check_document(document)
        self._check_twice()
        self.documents: list[dict] = [document.value for document in self._read]
        if not self.documents:
            raise LabError(
                f"{name} is empty.",
                "no object in it",
                "Write a manifest: apiVersion, kind, metadata, spec.",
            )

    def __repr__(self) -> str:
        return f"{self.name}: " + ", ".join(map(_called, self.documents))

    @classmethod
    def read(cls, path: Path | str) -> "Manifest":
        """Reads a file.

        Raises:
            LabError: no such file; not YAML; a bare word that YAML reads as a boolean; a duplicate
                key; not a Kubernetes object; a Namespace. It names the line.
        """
        path = Path(path)
        try:
            text = _decoded(path.read_bytes(), path.name)
        except FileNotFoundError as error:
            there = (
                ", ".join(sorted(file.name for file in path.parent.glob("*.yaml")))
                or "no manifest at all"
            )
            raise LabError(
                f"There is no manifest {shown(path.name)}.",
                f"in the folder {shown(str(path.parent))}: {there}",
                "Check the name. A manifest from the web has to be saved as a file first.",
            ) from error
        except (OSError, ValueError) as error:  # a name with a NUL in it
            raise LabError(
                f"{shown(path.name)} can't be read.", str(error), "Check the name of the file."
            ) from error
        return cls(text, path.name, path)

    @classmethod
    def parse(cls, text: str, name: str) -> "Manifest":
        """Reads a text; ``name`` is what errors call it."""
        return cls(text, name)

    def apply(
        self, connection: Connection, images: Callable[[], Collection[str]] | None = None
    ) -> list[dict]:
        """Applies every document in the connection's namespace, and returns the objects as the
        server then has them.

        Several documents are tried as a whole first, so that a wrong second one doesn't leave the
        first behind. If one refers to an earlier one, such as a Pod to its ServiceAccount, it's
        tried without the reference. A dry run can't foresee everything, such as a quota in front of
        a Pod. If the server rejects an object later, the error names what was applied before.

        Args:
            images: returns the images on the node. It's called if the cluster's own list, which is
                up to a minute old, lacks one.

        Raises:
            LabError: an image isn't on the node; a namespace isn't the lab's; or a cluster-scoped
                object exists already, and this lab didn't make it.
            Refused: an unknown field, a wrong type, a rule; the server's own words are in
                ``message``.
        """
        bodies = self._bodies(connection, images)
        if len(bodies) > 1:
            self._try_all(connection, bodies)
        objects: list[dict] = []
        for number, (document, body) in enumerate(zip(self._read, bodies, strict=True)):
            try:
                objects.append(_applied(connection, body, bodies[:number]))
            except Refused as error:
                told = self._explained(connection, error, document)
                raise _behind(told, objects) if objects else told from error
        connection.transcript.note(
            self._line("apply --server-side --force-conflicts --field-manager=podlab")
        )
        return objects

    def rehearse(
        self, connection: Connection, images: Callable[[], Collection[str]] | None = None
    ) -> list[dict]:
        """Lets the server try every document, and store none. Returns them as they'd be sent.

        Args, Raises: as for ``apply``.
        """
        bodies = self._bodies(connection, images)
        self._try_all(connection, bodies)
        return bodies

    def _bodies(
        self, connection: Connection, images: Callable[[], Collection[str]] | None
    ) -> list[dict]:
        self.check_namespace(connection)
        kube_images.check(self.name, self._read, connection, images)
        return [self._labelled(connection, document) for document in self._read]

    def _try_all(self, connection: Connection, bodies: Sequence[dict]) -> None:
        for number, (document, body) in enumerate(zip(self._read, bodies, strict=True)):
            self._rehearse(connection, document, body, bodies[:number])

    def check_namespace(self, connection: Connection) -> None:
        """Refuses an object that names another namespace than the connection's.

        Raises:
            LabError: it does; with the line.
        """
        for document in self._read:
            place = document.value["metadata"].get("namespace")
            if place and place != connection.namespace:
                raise LabError(
                    f"{self.name} names a namespace.",
                    f"line {document.place('metadata.namespace').line}: namespace: {place}",
                    "Delete that line: everything goes into the lab's own namespace, which is"
                    " emptied at the end.",
                )

    def cluster_scoped(self, connection: Connection) -> list[str]:
        """Its cluster-scoped objects, such as "PriorityClass high"."""
        return [
            _called(document)
            for document in self.documents
            if not connection.kinds.is_namespaced(f"{document['apiVersion']}/{document['kind']}")
        ]

    def _labelled(self, connection: Connection, document: Document) -> dict:
        """Adds the lab's label to a cluster-scoped object, so that it's found and deleted."""
        body = document.value
        kind = f"{body['apiVersion']}/{body['kind']}"
        try:
            is_namespaced = connection.kinds.is_namespaced(kind)
            verbs = connection.kinds.verbs(kind)
        except Refused:
            raise
        except LabError as error:
            raise _at_line(error, document.place("kind").line) from error
        if verbs and "patch" not in verbs:
            raise self._not_applied(body["kind"], document, verbs)
        return body if is_namespaced else cluster_scoped.labelled(connection, body)

    def _rehearse(
        self, connection: Connection, document: Document, body: dict, earlier: list[dict]
    ) -> None:
        """Refuses what the server would reject, before anything is applied."""
        try:
            found = connection.apply(body, dry_run=True)
        except Refused as error:
            lighter = missing(error, body, earlier)
            if lighter is None:
                raise self._explained(connection, error, document) from error
            if lighter != body:
                self._rehearse(connection, document, lighter, earlier)
            return
        size = len(json.dumps(found, ensure_ascii=False).encode())
        if size > _LARGEST_BYTES:
            raise LabError(
                f"{self.name}: {_called(body)} is too large for the cluster's database, so nothing"
                " was applied.",
                f"line {document.line}: {size} bytes; etcd takes {_LARGEST_BYTES}",
                "Make it smaller, or split it into several objects.",
            )

    def delete(self, connection: Connection, grace_seconds: int | None = None) -> None:
        """Requests the deletion of every object in it, last first, and returns at once. A missing
        object isn't an error."""
        for document in reversed(self.documents):
            connection.delete(
                f"{document['apiVersion']}/{document['kind']}",
                document["metadata"]["name"],
                grace_seconds=grace_seconds,
            )
        grace = "" if grace_seconds is None else f" --grace-period={grace_seconds}"
        connection.transcript.note(self._line(f"delete --ignore-not-found --wait=false{grace}"))

    def images(self) -> list[str]:
        """The images that it names, in order.

        >>> spec = "{containers: [{image: b}]}"
        >>> pod = f"{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {spec}}}"
        >>> Manifest.parse(pod, "a").images()
        ['b']
        """
        return list(kube_images.named(self._read))

    def _line(self, verb: str) -> str:
        if self.path is not None:
            path, here = self.path.resolve(), Path.cwd()
            return (
                f"kubectl {verb} -f {path.relative_to(here) if path.is_relative_to(here) else path}"
            )
        return f"kubectl {verb} -f - <<'END'\n{self.text.rstrip()}\nEND"

    def _check_document(self, document: Document) -> None:
        body, line = document.value, document.line
        if not isinstance(body, dict):
            raise LabError(
                f"{self.name} is YAML, but it isn't a Kubernetes object.",
                f"line {line}: what begins here is a"
                f" {'list' if isinstance(body, list) else 'single value'}",
                "Begin each object with apiVersion, kind and metadata, and separate objects with"
                " --- lines.",
            )
        metadata = body.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        needed = {
            "apiVersion": body.get("apiVersion"),
            "kind": body.get("kind"),
            "metadata.name": metadata.get("name"),
        }
        absent = [key for key, value in needed.items() if value in (None, "")]
        if absent == ["metadata.name"] and str(needed["kind"]).endswith("List"):
            within = isinstance(body.get("items"), list)
            raise LabError(
                f"{self.name} has a List that can't be applied.",
                f"line {line}: " + ("it's inside a List" if within else "it has no list of items"),
                "Write the objects themselves, with --- lines between them.",
            )
        if absent == ["metadata.name"] and str(needed["kind"]).endswith("Review"):
            raise self._not_applied(needed["kind"], document, ["create"])
        if absent:
            raise LabError(
                f"{self.name} is YAML, but it isn't a Kubernetes object.",
                f"line {line}: it lacks {', '.join(absent)}",
                f"Add {', '.join(absent)}.",
            )
        for key, value in needed.items():
            place = document.place(key)
            if not isinstance(value, str):
                raise LabError(
                    f"{self.name}: what names an object has to be text.",
                    f"line {place.line}: {key} {place.written or value}",
                    f'Write it in quotes: "{place.written}".' if place.written else "Write a word.",
                )
            if invisible(value):
                raise self._hidden(key, value, place.line)
        try:
            kinds.check_name(body["kind"], metadata["name"])
        except LabError as error:
            raise _at_line(error, document.place("metadata.name").line) from error
        if found := _NEVER_APPLIED.get(body["kind"]):
            happened, do = found
            raise LabError(
                f"{self.name} {happened}.",
                f"line {line}: a {body['kind']} {metadata['name']}",
                f"Delete that object: {do}.",
            )

    def _not_applied(self, kind: str, document: Document, verbs: Sequence[str]) -> LabError:
        """The error about a kind that's never changed: a question to the API server, mostly."""
        do = "Leave it out: the cluster makes such objects by itself."
        if "create" in verbs:
            do = f"Send it with `kubectl create -o yaml -f {self.name}`, which prints the answer."
        return LabError(
            f"{self.name}: a {kind} can't be applied.",
            f"line {document.place('kind').line}: the API server allows only {', '.join(verbs)}",
            do,
        )

    def _check_twice(self) -> None:
        lines: dict[str, int] = {}
        for document in self._read:
            group = document.value["apiVersion"].rpartition("/")[0]
            called = _called(document.value)
            if (key := f"{group}/{called}") in lines:
                raise LabError(
                    f"{self.name} has {called} twice.",
                    f"lines {lines[key]} and {document.line}; only the last would count",
                    "Keep one of them, or rename one.",
                )
            lines[key] = document.line

    def _hidden(self, what: str, value: str, line: int) -> LabError:
        return LabError(
            f"{self.name}: {what} contains an invisible character.",
            f"line {line}: {invisible(value)} in {shown(value)}",
            "Type that line again.",
        )

    def _explained(self, connection: Connection, error: Refused, document: Document) -> Refused:
        def again(body: dict) -> Refused | None:
            try:
                connection.apply(body, dry_run=True)
            except Refused as refused:
                return refused
            return None

        return explained(error, self.name, document, again)


def _applied(connection: Connection, body: dict, earlier: list[dict]) -> dict:
    """Applies it. The server may notice an object that was applied before it a moment later."""
    refusals: list[Refused] = []

    def ask() -> list[dict]:
        try:
            return [connection.apply(body)]
        except Refused as error:
            if missing(error, body, earlier) is None:
                raise
            refusals.append(error)
            return []

    if not (found := poll(ask, timeout_seconds=_KNOWN_SECONDS)):
        raise refusals[-1]
    return found[0]


def _decoded(data: bytes, name: str) -> str:
    """The text of a file. Windows' PowerShell writes UTF-16, which kubectl reads, too.

    Raises:
        LabError: it isn't text; with the line.
    """
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    utf16 = utf16 and not data.startswith(codecs.BOM_UTF32_LE)
    try:
        text = data.decode("utf-16" if utf16 else "utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LabError(
            f"{name} isn't a text file.", f"line {line}: {error}", "Save it as a UTF-8 text file."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _called(body: dict) -> str:
    return f"{body['kind']} {body['metadata']['name']}"


def _at_line(error: LabError, line: int) -> LabError:
    return LabError(error.happened, f"line {line}: {error.seen}", error.do)


def _behind(error: Refused, objects: list[dict]) -> Refused:
    """Adds the names of what was applied before it."""
    names = ", ".join(_called(body) for body in objects)
    return Refused(
        error.happened,
        error.seen,
        f"{error.do} Applied before it, from the same file: {names}.",
        reason=error.reason,
        message=error.message,
        code=error.code,
    )
