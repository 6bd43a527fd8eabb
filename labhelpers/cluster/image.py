"""The node image, and what goes with it: kind, kubectl and busybox.

There are two image sources, and the cluster is the same with either. From a registry comes kind's
own node image, by digest. Without a registry, an image of the same Kubernetes is built here from Go
modules and Debian packages (build.py), or comes in a bundle. ``PODLAB_DOOR=registry`` or ``build``
chooses the source. Otherwise an image on this machine comes first, then a registry that answers,
then the build.
"""

import json
import os
import platform
import re
import shutil
import tomllib
from pathlib import Path

from labhelpers import paths
from labhelpers.cluster import build, docker, engine, go_programs, progress
from labhelpers.cluster.build_steps import cached
from labhelpers.cluster.progress import Step
from labhelpers.errors import LabError
from labhelpers.files import made_atomically, write_atomically
from labhelpers.paths import ClusterFiles

__all__ = [
    "asked_name",
    "bundled_name",
    "busybox_image",
    "image_record",
    "known_images",
    "kubectl_program",
    "load_busybox",
    "mirror",
    "node_image",
    "note_programs",
    "offline",
    "pins",
    "pull",
    "put_image",
    "record_image",
    "recorded_image",
    "source",
    "use_programs",
]

SOURCES = ("registry", "build")
FIRST_WORD_SECONDS = 15  # until a registry has said which layers an image has


def pins() -> dict[str, str]:
    """``[tool.podlab]`` of pyproject.toml: the images that come from a registry."""
    text = (paths.repository() / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["tool"]["podlab"]


def offline() -> bool:
    """Whether ``PODLAB_OFFLINE=1`` forbids all access to a network."""
    return os.environ.get("PODLAB_OFFLINE") == "1"


def source() -> str:
    """The image source that ``PODLAB_DOOR`` asks for: "registry", "build", or "" for either."""
    return os.environ.get("PODLAB_DOOR", "")


def mirror() -> str:
    """``PODLAB_REGISTRY``: the registry, with a path if it has one, that all images come from
    instead of Docker Hub; "" for Docker Hub.

    Raises:
        LabError: no image's name can begin with it.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, PODLAB_REGISTRY="mirror.example/hub"):
    ...     asked_name("busybox:1.35.0@sha256:8c40")
    'mirror.example/hub/library/busybox:1.35.0@sha256:8c40'
    """
    text = os.environ.get("PODLAB_REGISTRY", "").strip().removesuffix("/")
    # A first part without dot, colon or "localhost" would be a name on Docker Hub.
    host = text.partition("/")[0]
    good = re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*", text)
    if text and not (good and (host == "localhost" or "." in host or ":" in host)):
        raise LabError(
            "PODLAB_REGISTRY isn't a registry.",
            f"PODLAB_REGISTRY={text}",
            "Set it to a host, with a port and a path if it has them, such as mirror.example/hub,"
            " without https://; or unset it.",
        )
    return text


def asked_name(pinned: str) -> str:
    """The name by which a pinned image is pulled: Docker Hub's own, or the mirror's. The digest is
    the same."""
    if not mirror():
        return pinned
    full = pinned if "/" in pinned.partition("@")[0] else f"library/{pinned}"
    return f"{mirror()}/{full}"


def known_images() -> list[str]:
    """The node images that this checkout can use and the engine may have already: the one that was
    built here, and kind's own."""
    pinned = pins()["node_image"]
    built, kinds = [recorded_image()], [bundled_name(pinned), asked_name(pinned), pinned]
    names = {"registry": kinds, "build": built}.get(source(), built + kinds)
    return [name for name in dict.fromkeys(names) if name]


def bundled_name(image: str) -> str:
    """The name of an image in a bundle. `docker save` keeps names and drops digests, so an image
    that is named by its digest gets a name of ours.

    >>> bundled_name("kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e362")
    'podlab-node:v1.37.0-a1ed56cfb0e7'
    >>> bundled_name("podlab-node:v1.37.0-0123456789ab")
    'podlab-node:v1.37.0-0123456789ab'
    """
    name, _, digest = image.partition("@sha256:")
    return f"podlab-{name.rpartition('/')[2]}-{digest[:12]}" if digest else image


# --- What was built or loaded ---------------------------------------------------------------------


def image_record() -> Path:
    """The file that says which node image was built or loaded, and from which inputs."""
    return paths.cache() / "node-image.json"


def recorded_image() -> str:
    """The image that was built or loaded for this checkout; "" if there is none."""
    try:
        record = json.loads(image_record().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return record.get("image", "") if record.get("inputs") == build.inputs_digest() else ""


def record_image(image: str) -> None:
    """Records that this image belongs to the build's inputs as they are now."""
    record = {"image": image, "inputs": build.inputs_digest()}
    write_atomically(image_record(), json.dumps(record) + "\n")


# --- The programs ---------------------------------------------------------------------------------


def use_programs(image: str) -> None:
    """Provides kind and kubectl in ``paths.tools()``, in the versions of this checkout.

    Args:
        image: the node image, which has kubectl inside.

    Raises:
        LabError: a program can't be built, or the disk is full.
    """
    sources = {"kind": go_programs.kind_program, "kubectl": lambda: kubectl_program(image)}
    for name, wanted in program_notes(image).items():
        place, note = paths.tools() / name, note_of(name)
        if place.exists() and note.exists() and note.read_text(encoding="utf-8") == wanted:
            continue
        program = sources[name]()
        with progress.step(f"{name} in {paths.tools()}"):
            with made_atomically(place) as new:
                shutil.copy2(program, new)
                new.chmod(0o755)
            write_atomically(note, wanted)


def program_notes(image: str) -> dict[str, str]:
    """The note of each program that belongs to this checkout."""
    return {"kind": f"kind {go_programs.KIND.version}", "kubectl": f"kubectl for {image}"}


def note_of(name: str) -> Path:
    return paths.tools() / f".{name}.version"


def note_programs(image: str) -> None:
    """Notes that the programs in ``paths.tools()`` belong to this image: they came with its bundle,
    so they needn't be built."""
    for name, text in program_notes(image).items():
        write_atomically(note_of(name), text)


def kubectl_program(image: str) -> Path:
    """Gets kubectl, without a build where possible: the program in the node image runs on a Linux
    of the same architecture."""
    if platform.system() != "Linux":
        return go_programs.build_kubectl()

    def copy(step: Step, target: Path) -> None:
        made = docker.run("create", image)
        try:
            # A link in our image, a file in kind's.
            program = f"{made}:/usr/bin/kubectl"
            docker.run("cp", "--follow-link", program, target, timeout_seconds=120)
        finally:
            docker.run("rm", made, check=False)

    place = paths.cache() / "kubectl" / image.rsplit(":", 1)[1][:40] / "kubectl"
    return cached("kubectl from the node image", place, copy)


# --- The images -----------------------------------------------------------------------------------


def node_image() -> str:
    """Returns the image that the node is made from; pulls or builds it if it isn't here.

    Raises:
        LabError: no source has it; names each one that was tried.
    """
    if image := docker.first_present(known_images()):
        return image
    chosen = source()
    if chosen not in ("", *SOURCES):
        raise LabError(
            "PODLAB_DOOR isn't an image source.",
            chosen,
            "Set it to registry or build, or leave it unset.",
        )
    why = "PODLAB_DOOR=build" if chosen == "build" else "PODLAB_OFFLINE=1"
    tried = f"the registry was not asked ({why})"
    if chosen != "build" and not offline():
        try:
            return pull(asked_name(pins()["node_image"]))
        except LabError as refused:
            if chosen == "registry":
                raise
            tried = refused.seen
    if reason := why_no_build():
        raise LabError(
            "No node image found, and this machine can't build one.",
            f"{tried}; {reason}",
            f"Check the network{or_the_mirror()}, or bring a bundle: `podlab bundle load FILE`.",
        )
    with progress.step("packages for the build") as step:
        engine.start(step, building=True)
    image = build.image()
    record_image(image)
    return image


def or_the_mirror() -> str:
    """What to check beside the network."""
    return f" and PODLAB_REGISTRY={mirror()}" if mirror() else " (behind a mirror: PODLAB_REGISTRY)"


def why_no_build() -> str:
    """Why the node image can't be built here; "" if it can."""
    if source() == "registry":
        return "PODLAB_DOOR=registry rules out a build"
    return engine.why_no_packages().replace("an engine", "a build")


def pull(image: str) -> str:
    """Pulls an image by digest. Gives up after a few seconds if a registry doesn't answer, but not
    if it's slow. The engine asks, because the client knows neither the engine's mirrors nor its
    proxy."""
    log = paths.cache() / "logs" / "pull.log"
    with progress.step(f"image {image.partition('@')[0]}") as step:
        step.say("asking the registry")
        try:
            step.run(
                ["docker", "pull", image],
                log=log,
                timeout_seconds=3600,
                first_word_seconds=FIRST_WORD_SECONDS,
            )
        except LabError as error:
            raise type(error)(error.happened, error.seen, pull_advice(image, log)) from error
    return image


def pull_advice(image: str, log: Path) -> str:
    """What to do where an image can't be pulled."""
    bundle = "or bring a bundle: `podlab bundle load FILE`."
    if mirror():
        digest = image.partition("@")[2]
        return (
            f"PODLAB_REGISTRY={mirror()} was asked. Check that it has the image with the digest"
            f" {digest} (copy it whole: `skopeo copy --all`), and whether it needs `docker login`;"
            f" {bundle} The log: {log}"
        )
    return (
        "Check the network. Behind a mirror of Docker Hub, set PODLAB_REGISTRY, such as"
        f" PODLAB_REGISTRY=mirror.example/hub; {bundle} The log: {log}"
    )


def busybox_image() -> str:
    """Returns the busybox that goes with kind's own node image: the one from a bundle, else the one
    with the pinned digest, which is pulled if it isn't here."""
    pinned = pins()["busybox_image"]
    asked = asked_name(pinned)
    return docker.first_present([bundled_name(pinned), asked, pinned]) or pull(asked)


def load_busybox(files: ClusterFiles) -> None:
    """Puts busybox on a node that was made from kind's own image, under both names that the labs
    use. An image that was built here has it inside."""
    wanted = [build.BUSYBOX, build.BUSYBOX_UNPULLABLE]
    listing = docker.run(
        "exec", files.container, "ctr", "--namespace=k8s.io", "images", "list", "-q"
    )
    if not set(wanted) <= set(listing.splitlines()):
        put_image(files, busybox_image(), wanted)


def put_image(files: ClusterFiles, image: str, names: list[str]) -> None:
    """Copies one image from the engine to the node, for the node's own platform only.

    Args:
        files: the cluster.
        image: its name on the engine.
        names: its names on the node.
    """
    passing = f"podlab-passing:{os.getpid()}"
    on_node = f"docker.io/library/{passing}"
    ctr = ["exec", "--interactive", files.container, "ctr", "--namespace=k8s.io", "images"]
    docker.run("tag", image, passing)
    try:
        with docker.piped("save", passing) as archive:
            docker.run(*ctr, "import", "-", stdin=archive, timeout_seconds=120)
        for name in names:
            docker.run(*ctr, "tag", "--force", on_node, name)
        docker.run(*ctr, "remove", on_node)
    finally:
        docker.run("rmi", "--no-prune", passing, check=False)
