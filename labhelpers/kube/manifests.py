"""Manifests: YAML in, checked for what YAML hides, then applied by the server; its words become
three lines.

What only YAML can tell is told here (a bare ``no`` that became a boolean, a key given twice), for
after parsing it is too late. What the API can tell is left to the API: unknown fields, wrong types,
rules. https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
"""

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import yaml

from labhelpers.errors import LabError, Refused
from labhelpers.kube import cluster_scoped
from labhelpers.kube.client import Connection

__all__ = ["Manifest"]

# kubectl's YAML is version 1.1: it reads each of these words, bare, as a boolean. PyYAML agrees
# except for y and n.
_BOOLEAN_WORDS = {"y": True, "yes": True, "on": True, "n": False, "no": False, "off": False}
_PULLED_FROM_NOWHERE = (  # The registry that no lab has: what a failing pull is shown with.
    "localhost:1/"
)
# What the API server's words for types mean in YAML.
_TYPES = {
    "string": ("string", 'Put it in quotes: "{value}".'),
    "numeric": ("number", "Write the number without quotes."),
    "boolean": ("boolean", "Write true or false, without quotes."),
    "list": ("list", "Write its items in lines of their own that begin with a dash, or in [ ]."),
    "map": ("mapping", "Write lines of `name: value`, indented."),
}
_known_images: dict[str, set[str]] = {}


class _Loader(yaml.SafeLoader):
    """Without PyYAML's own readings that kubectl does not share: dates, and 1:30 as ninety."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Manifest:
    """One or more documents of YAML, ready to be applied.

    Attributes:
        documents: list of dictionaries, one a document, as written.
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
        self._nodes: list[yaml.Node] = []
        self.documents: list[dict] = list(self._read())
        if not self.documents:
            raise LabError(
                f"{name} is empty.",
                "no YAML document in it",
                "Write a manifest: apiVersion, kind, metadata, spec.",
            )

    def __repr__(self) -> str:
        return f"{self.name}: " + ", ".join(
            f"{document['kind']} {document['metadata']['name']}" for document in self.documents
        )

    @classmethod
    def read(cls, path: Path | str) -> "Manifest":
        """Read a file.

        Raises:
            LabError: no such file; not YAML; a bare word that YAML reads as a boolean; a key given
                twice; not a Kubernetes object; a namespace of its own. The line is in the text.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            there = (
                ", ".join(sorted(file.name for file in path.parent.glob("*.yaml")))
                or "no manifest at all"
            )
            raise LabError(
                f"There is no manifest {path.name}.", f"in its folder: {there}", "Check the name."
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise LabError(
                f"{path.name} cannot be read as text.", str(error), "Save it as a UTF-8 text file."
            ) from error
        return cls(text, path.name, path)

    @classmethod
    def parse(cls, text: str, name: str) -> "Manifest":
        """The same from text; ``name`` is what errors call it."""
        return cls(text, name)

    def apply(
        self, connection: Connection, images: Callable[[], Collection[str]] | None = None
    ) -> list[dict]:
        """Apply every document in the connection's namespace, and return the objects as the server
        then has them.

        A manifest of several documents is tried as a whole first, so that a wrong second one does
        not leave the first behind.

        Args:
            images: asked for the images on the node when the cluster's own list lacks one, for that
                list is up to a minute old.

        Raises:
            LabError: an image is not on the node, where nothing is pulled; or an object in no
                namespace is there already, and this lab didn't make it.
            Refused: an unknown field, a wrong type, a rule; the server's own words are in
                ``message``.
        """
        self._check_images(connection, images)
        documents = [self._labelled(connection, document) for document in self.documents]
        if len(documents) > 1:
            for document in documents:
                try:
                    connection.apply(document, dry_run=True)
                except Refused as error:
                    # Anything else may well be right once the documents before it are there.
                    if _is_about_the_text(error):
                        raise self._explained(error, document) from error
        objects = []
        for document in documents:
            try:
                objects.append(connection.apply(document))
            except Refused as error:
                raise self._explained(error, document) from error
        connection.transcript.note(
            self._line("apply --server-side --force-conflicts --field-manager=podlab")
        )
        return objects

    def cluster_scoped(self, connection: Connection) -> list[str]:
        """The objects in it that live in no namespace: "PriorityClass high"."""
        return [
            f"{document['kind']} {document['metadata']['name']}"
            for document in self.documents
            if not connection.kinds.is_namespaced(f"{document['apiVersion']}/{document['kind']}")
        ]

    def _labelled(self, connection: Connection, document: dict) -> dict:
        """What lives in no namespace gets the lab's label, so that it's found and deleted."""
        kind = f"{document['apiVersion']}/{document['kind']}"
        if connection.kinds.is_namespaced(kind):
            return document
        return cluster_scoped.labelled(connection, document)

    def delete(self, connection: Connection, grace_seconds: int | None = None) -> None:
        """Ask for the deletion of every object in it, last first, and return at once. What is not
        there is no error."""
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
        return list(
            dict.fromkeys(image for document in self.documents for image in _images(document))
        )

    def _line(self, verb: str) -> str:
        if self.path is not None:
            path, here = self.path.resolve(), Path.cwd()
            return (
                f"kubectl {verb} -f {path.relative_to(here) if path.is_relative_to(here) else path}"
            )
        return f"kubectl {verb} -f - <<'END'\n{self.text.rstrip()}\nEND"

    def _read(self) -> Iterator[dict]:
        try:
            loader = _Loader(self.text)
            while loader.check_node():
                node = loader.get_node()
                self._check_node(node)
                document = loader.construct_document(node)
                if document is not None:
                    self._check_document(document, node.start_mark.line + 1)
                    self._nodes.append(node)
                    yield document
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            seen = f"line {mark.line + 1}: {error.problem or error.context}"
            do = "Look at that line and the one above: indentation, a missing colon, a tab."
            raise LabError(f"{self.name} is not YAML.", seen, do) from error
        except (yaml.YAMLError, ValueError) as error:
            raise LabError(
                f"{self.name} is not YAML.", str(error), "Save it as plain UTF-8 text."
            ) from error

    def _check_node(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.ScalarNode):
            word = node.value.lower()
            if node.style is None and word in _BOOLEAN_WORDS:
                raise LabError(
                    f"{self.name}: YAML does not read the bare word {node.value} as text.",
                    f"line {node.start_mark.line + 1}: {node.value} is read as the boolean"
                    f" {str(_BOOLEAN_WORDS[word]).lower()}",
                    f'Write "{node.value}" where text is meant, true or false where a boolean is'
                    " meant.",
                )
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._check_node(item)
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                self._check_node(key)
                line = key.start_mark.line + 1
                if str(key.value) in lines:
                    raise LabError(
                        f"{self.name}: the key {key.value} stands twice in one mapping.",
                        f"lines {lines[str(key.value)]} and {line}; only the last would count",
                        "Keep one of them.",
                    )
                lines[str(key.value)] = line
                self._check_node(value)

    def _check_document(self, document: object, line: int) -> None:
        if not isinstance(document, dict):
            raise LabError(
                f"{self.name} is YAML, but no Kubernetes object.",
                f"line {line}: the top level is a"
                f" {'list' if isinstance(document, list) else 'single value'}",
                "A manifest begins with apiVersion, kind and metadata; several stand in one file"
                " with --- between them.",
            )
        metadata = document.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        needed = {
            "apiVersion": document.get("apiVersion"),
            "kind": document.get("kind"),
            "metadata.name": metadata.get("name"),
        }
        missing = [key for key, value in needed.items() if not value]
        if missing:
            raise LabError(
                f"{self.name} is YAML, but no Kubernetes object.",
                f"line {line}: it lacks {', '.join(missing)}",
                f"Add {', '.join(missing)}.",
            )
        wrong = [f"{key} {value}" for key, value in needed.items() if not isinstance(value, str)]
        if wrong:
            raise LabError(
                f"{self.name}: what names an object is text.",
                f"line {line}: {', '.join(wrong)}",
                "Write it in quotes.",
            )
        if "namespace" in metadata or document["kind"] == "Namespace":
            raise LabError(
                f"{self.name} brings a namespace of its own.",
                f"line {line}: "
                + (
                    f"namespace: {metadata['namespace']}"
                    if "namespace" in metadata
                    else f"a Namespace {metadata['name']}"
                ),
                "Take it out: everything goes into the lab's own namespace, which is emptied at the"
                " end.",
            )

    def _check_images(
        self, connection: Connection, images: Callable[[], Collection[str]] | None
    ) -> None:
        wanted = {image for image in self.images() if not image.startswith(_PULLED_FROM_NOWHERE)}
        known = _known_images.setdefault(connection.cluster_uid, set())
        if missing := _absent(wanted, known):
            nodes = connection.raw("/api/v1/nodes")["items"]
            known.update(
                name
                for node in nodes
                for image in node["status"].get("images") or []
                for name in image.get("names") or []
            )
            missing = _absent(wanted, known)
        if missing and images is not None:
            known.update(images())
            missing = _absent(wanted, known)
        if missing:
            there = sorted(
                name.removeprefix("docker.io/library/") for name in known if "@" not in name
            )
            raise LabError(
                f"{self.name} names an image that is not on the node, and the labs pull nothing.",
                f"{', '.join(missing)}; on the node: {', '.join(there) or 'none'}",
                "Take one of those, with its tag.",
            )

    def _explained(self, error: Refused, document: dict) -> Refused:
        happened, seen, do = self._in_three_lines(error.message, document)
        return Refused(
            happened,
            seen or error.seen,
            do or error.do,
            reason=error.reason,
            message=error.message,
            code=error.code,
        )

    def _in_three_lines(self, message: str, document: dict) -> tuple[str, str, str]:
        what = f"{document['kind']} {document['metadata']['name']}"
        if match := re.search(
            r"(?:\): |errors:\n\s*)?(\S+): field not declared in schema", message
        ) or re.search(r'unknown field "(\S+)"', message):
            field = match[1].lstrip(".")
            seen = f"{self._line_of(field, document)}: {field}"
            return (
                f"{self.name}: {what} has no such field.",
                seen,
                (
                    "Check its name and its indentation: `kubectl explain"
                    f" {_for_explain(document, field)}`."
                ),
            )
        if match := re.search(
            r"(\S+): expected (string|boolean|numeric|list|map)\b.*?, got (.+)", message
        ):
            field, wanted = match[1].lstrip("."), match[2]
            value = re.sub(r"^&(?:\S*?\{Value:|\{)(.*)\}$", r"\1", match[3].strip())
            seen = f"{self._line_of(field, document)}: {value}"
            return (
                f"{self.name}: {field} must be a {_TYPES[wanted][0]}.",
                seen,
                _TYPES[wanted][1].format(value=value.strip('"')),
            )
        if match := re.search(
            r"cannot unmarshal (\S+) into Go (?:struct field (\S+)|value) of type (\S+)", message
        ):
            field, wanted = match[2] or "a value", match[3].rpartition(".")[2]
            do = "Put it in quotes." if wanted == "string" else f"Write a {wanted}."
            return f"{self.name}: {field} must be a {wanted}, and is a {match[1]}.", message, do
        if "pod updates may not change fields" in message:
            seen = message.partition("\n")[0]
            return (
                f"{what} exists, and most of a Pod's spec cannot be changed.",
                seen,
                f"Delete it first: `kubectl delete {what.lower()}`.",
            )
        do = "The message names the field: correct it." if "typed patch object" in message else ""
        return f"The API server refused {self.name} ({what}).", "", do

    def _line_of(self, field: str, document: dict) -> str:
        """The line of a field that the server names, such as
        ``spec.containers[name="app"].command``."""
        node = self._nodes[self.documents.index(document)]
        line = 0
        for key, item_key, item_value, number in re.findall(
            r'([^.\[\]]+)|\[(\w+)="(.*?)"\]|\[(\d+)\]', field
        ):
            if isinstance(node, yaml.MappingNode) and key:
                inner = {
                    name.value: (name.start_mark.line, value) for name, value in node.value
                }.get(key)
            elif isinstance(node, yaml.SequenceNode) and number:
                inner = dict(enumerate((item.start_mark.line, item) for item in node.value)).get(
                    int(number)
                )
            elif isinstance(node, yaml.SequenceNode) and item_key:
                names = {
                    part.value: item
                    for item in node.value
                    for name, part in getattr(item, "value", ())
                    if name.value == item_key
                }
                inner = (
                    (names[item_value].start_mark.line, names[item_value])
                    if item_value in names
                    else None
                )
            else:
                inner = None
            # A key with a dot in it, such as a label's: the file is all that can be said.
            if inner is None:
                return self.name
            line, node = inner
        return f"line {line + 1}"


def _is_about_the_text(error: Refused) -> bool:
    return (
        error.reason in ("BadRequest", "Invalid")
        or "failed to create typed patch object" in error.message
    )


def _for_explain(document: dict, field: str) -> str:
    """The field's parent as `kubectl explain` wants it: pod.spec.containers."""
    parts = re.sub(r"\[.*?\]", "", field).split(".")[:-1]
    return ".".join([document["kind"].lower(), *parts])


def _images(value: object) -> Iterator[str]:
    """Images of containers, wherever a Pod's spec stands in a document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("containers", "initContainers", "ephemeralContainers") and isinstance(
                inner, list
            ):
                yield from (
                    item["image"]
                    for item in inner
                    if isinstance(item, dict) and isinstance(item.get("image"), str)
                )
            else:
                yield from _images(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _images(inner)


def _absent(wanted: Collection[str], known: Collection[str]) -> list[str]:
    return sorted(
        image for image in wanted if _full_name(image) not in known and image not in known
    )


def _full_name(image: str) -> str:
    """As the node lists it.

    >>> _full_name("busybox:1.35.0"), _full_name("busybox")
    ('docker.io/library/busybox:1.35.0', 'docker.io/library/busybox:latest')
    >>> _full_name("registry.k8s.io/pause:3.10")
    'registry.k8s.io/pause:3.10'
    """
    first, slash, _ = image.partition("/")
    if not slash:
        image = f"docker.io/library/{image}"
    elif "." not in first and ":" not in first and first != "localhost":
        image = f"docker.io/{image}"
    return image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"
