"""Checks the images that a manifest names. Labs never pull images, so each has to be on the
node."""

import re
from collections.abc import Callable, Collection, Iterable

from labhelpers.errors import LabError
from labhelpers.kube.client import Connection
from labhelpers.kube.yaml_reader import Document, invisible, shown

__all__ = ["check", "named"]

_PULLED_FROM_NOWHERE = (  # A registry that doesn't exist, with which labs show a failing pull.
    "localhost:1/"
)
_CONTAINER = re.compile(r"\.(containers|initContainers|ephemeralContainers)\[\d+\]$")
_known: dict[str, set[str]] = {}


def named(documents: Iterable[Document]) -> dict[str, int]:
    """The images of containers, wherever a document has a Pod's spec, and the line of each."""
    found: dict[str, int] = {}

    def look(document: Document, value: object, path: str) -> None:
        if isinstance(value, list):
            for number, inner in enumerate(value):
                look(document, inner, f"{path}[{number}]")
        elif isinstance(value, dict):
            if isinstance(image := value.get("image"), str) and _CONTAINER.search(path):
                found.setdefault(image, document.place(f"{path}.image").line)
            for key, inner in value.items():
                look(document, inner, f"{path}.{key}")

    for document in documents:
        look(document, document.value, "")
    return found


def check(
    name: str,
    documents: Iterable[Document],
    connection: Connection,
    ask: Callable[[], Collection[str]] | None,
) -> None:
    """Refuses an image that isn't on the node.

    Args:
        name: what errors call the manifest.
        ask: returns the images on the node. It's called if the cluster's own list, which is up to a
            minute old, lacks one.

    Raises:
        LabError: an image isn't there, or has an invisible character in its name; with the line.
    """
    lines = named(documents)
    for image, line in lines.items():
        if invisible(image):
            raise LabError(
                f"{name}: an image's name contains an invisible character.",
                f"line {line}: {invisible(image)} in {shown(image)}",
                "Type the name again.",
            )
    known = _known.setdefault(connection.cluster_uid, set())
    if absent := _absent(lines, known):
        nodes = connection.raw("/api/v1/nodes")["items"]
        known.update(
            name
            for node in nodes
            for image in node["status"].get("images") or []
            for name in image.get("names") or []
        )
        absent = _absent(lines, known)
    if absent and ask is not None:
        known.update(ask())
        absent = _absent(lines, known)
    if absent:
        there = sorted(each.removeprefix("docker.io/library/") for each in known if "@" not in each)
        raise LabError(
            f"{name} uses an image that isn't on the node. Labs never pull images.",
            ", ".join(f"line {lines[image]}: {shown(image)}" for image in absent)
            + f"; on the node: {', '.join(there) or 'none'}",
            "Use one of those, with its tag.",
        )


def _absent(wanted: Iterable[str], known: Collection[str]) -> list[str]:
    return sorted(
        image
        for image in wanted
        if not image.startswith(_PULLED_FROM_NOWHERE)
        and _full_name(image) not in known
        and image not in known
    )


def _full_name(image: str) -> str:
    """An image's name as the node lists it.

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
