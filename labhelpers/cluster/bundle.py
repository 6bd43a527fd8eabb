"""Saves and loads, as one file, everything that a classroom without a network needs: node image,
busybox, kind, kubectl and the Python wheels, podlab's own among them.

The file is a plain tar of compressed parts. A machine with nothing but Python can extract the
wheels (``make lab BUNDLE=FILE`` does, or tar), and then ``podlab bundle load`` does the rest.
``manifest.json`` comes first and names every part with its SHA-256.
"""

import io
import json
import os
import platform
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from labhelpers import files, paths
from labhelpers.cluster import build, docker, engine, image, progress
from labhelpers.cluster.bundle_download import sha256
from labhelpers.cluster.bundle_manifest import (
    MANIFEST,
    read_manifest,
    refuse_other_machine,
    refuse_other_python,
)
from labhelpers.errors import LabError

__all__ = ["load", "save"]

# 128 MiB: the multicall program is in the node image twice, on the node and in its images. This
# window is large enough to find the second copy.
WINDOW_LOG = 27


def save(file: Path) -> str:
    """Writes the bundle of this checkout, for machines with the same system, architecture and
    Python version.

    Args:
        file: the file to write; it appears only when it's complete.

    Returns:
        A sentence with the file's size.

    Raises:
        LabError: a part isn't available, the disk is full, or this isn't a checkout; leaves nothing
            behind.
    """
    if paths.checkout() is None:
        raise LabError(
            "A bundle is saved in a clone of the repository.",
            "this podlab was installed from a wheel, and can only load a bundle",
            "Clone the repository, and run `make lab` there once. Then save the bundle.",
        )
    file = file.absolute()
    if not file.parent.is_dir():
        raise LabError(
            "Can't write the bundle.",
            f"there is no folder {file.parent}",
            "Create the folder, or choose another.",
        )
    with progress.step("Docker engine") as step:
        engine.start(step)
    node_image = image.node_image()
    image.use_programs(node_image)
    images = [node_image, image.busybox_image()] if is_kinds(node_image) else [node_image]
    names = [image.bundled_name(each) for each in images]
    with scratch(file.parent) as folder:
        with progress.step("images") as step:
            with under_own_names(images):
                save_images(names, folder / "images.tar.zst")
            step.say(f"{(folder / 'images.tar.zst').stat().st_size / 1e6:.0f} MB")
        with progress.step("wheels") as step:
            least = download_wheels(step, folder / "wheels")
            build_wheel(step, folder / "wheels")
        with progress.step("programs"):
            for name in ("kind", "kubectl"):
                compress(paths.tools() / name, folder / f"{name}.zst")
        with progress.step(file.name):
            parts = sorted(path for path in folder.rglob("*") if path.is_file())
            manifest = {
                **here(),
                "python_least": least,
                "image": names[0],
                "inputs": build.inputs_digest(),
                "images": names,
                "parts": {str(path.relative_to(folder)): sha256(path) for path in parts},
            }
            with tarfile.open(folder / "bundle.tar", "w") as archive:
                text = (json.dumps(manifest, indent=1) + "\n").encode()
                info = tarfile.TarInfo(MANIFEST)
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text))
                for path in parts:
                    archive.add(path, arcname=str(path.relative_to(folder)))
            (folder / "bundle.tar").replace(file)
    return (
        f"{file}: {file.stat().st_size / 1e6:.0f} MB for {platform.system()} {platform.machine()},"
        f" Python {here()['python']}"
    )


def load(file: Path) -> str:
    """Puts everything from a bundle in its place; ``podlab up`` then needs no network.

    Args:
        file: what ``save`` wrote.

    Raises:
        LabError: it isn't a bundle, is damaged, or is for another machine or another checkout.
            Nothing has been changed.
    """
    manifest = read_manifest(file)
    refuse_other_python(manifest)
    refuse_unsuitable(
        manifest,
        here(),
        build.inputs_digest(),
        image.bundled_name(image.pins()["node_image"]),
    )
    with scratch(paths.cache()) as folder:
        with progress.step("checking the bundle"):
            files.extract_tar(file, folder)
            damaged = [
                name
                for name, wanted in manifest["parts"].items()
                if sha256(folder / name) != wanted
            ]
            if damaged:
                raise LabError(
                    "The bundle is damaged; nothing was changed.",
                    ", ".join(damaged),
                    "Copy the bundle again.",
                )
        with progress.step("Docker engine") as step:
            engine.start(step)
        with progress.step("images"):
            load_images(folder / "images.tar.zst")
        with progress.step("programs"):
            paths.tools().mkdir(parents=True, exist_ok=True)
            for name in ("kind", "kubectl"):
                unpack_program(folder / f"{name}.zst", paths.tools() / name)
            image.note_programs(manifest["image"])
        if not is_kinds(manifest["image"]):  # the pin identifies kind's own
            image.record_image(manifest["image"])
    return "The bundle is loaded. `podlab up` doesn't need the network now."


def download_wheels(step: progress.Step, folder: Path) -> str:
    """Downloads the wheels for every patch release of this Python, such as 3.11.2 beside 3.11.7. If
    a newest wheel requires a later release, pip takes an older wheel. If there is none, downloads
    those for this patch release and later ones.

    Returns:
        The lowest Python that they all accept, such as "3.11.0".
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    log = paths.cache() / "logs" / "bundle.log"
    first = f"{here()['python']}.0"
    for more in (["--python-version", first], []):
        words = [*command, "--dest", folder, *more, *requirements()]
        try:
            step.run(words, log=log, timeout_seconds=900)
        except LabError:
            if not more:
                raise
            step.say(f"none for Python {first}, so those for {platform.python_version()}")
            files.remove(folder)
        else:
            break
    return least_python([wheel_metadata(wheel) for wheel in sorted(folder.glob("*.whl"))])


def build_wheel(step: progress.Step, folder: Path) -> None:
    """Builds podlab's own wheel beside the others. What builds it is among these."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--find-links", folder, "--wheel-dir", folder, paths.checkout()]
    step.run(command, log=paths.cache() / "logs" / "bundle.log", timeout_seconds=300)


def wheel_metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def least_python(wheels: Sequence[Message]) -> str:
    """The lowest patch release of this Python on which all of these packages install, by what they
    require of Python and of each other.

    >>> least_python([message_from_bytes(b"Name: a")]).endswith(".0")
    True
    """
    there = {canonicalize_name(wheel["Name"]) for wheel in wheels}
    family, patch = here()["python"], sys.version_info[2]
    releases = [f"{family}.{number}" for number in range(patch + 1)]

    def fits(release: str) -> bool:
        at = {"python_full_version": release, "python_version": family, "extra": ""}
        return all(
            SpecifierSet(wheel.get("Requires-Python", "")).contains(release)
            and all(
                canonicalize_name(required.name) in there
                for text in wheel.get_all("Requires-Dist", [])
                if (required := Requirement(text)).marker is not None
                and "python_full_version" in str(required.marker)
                and required.marker.evaluate(at)
            )
            for wheel in wheels
        )

    return next((release for release in releases if fits(release)), releases[-1])


def requirements() -> list[str]:
    """What ``pip install -e .`` needs: the dependencies and the build's."""
    import tomllib

    project = tomllib.loads((paths.repository() / "pyproject.toml").read_text())
    return [*project["project"]["dependencies"], *project["build-system"]["requires"], "pip"]


def is_kinds(name: str) -> bool:
    """Whether an image is kind's own node image, by digest or by our name, and not one that was
    built here, which has busybox inside."""
    return image.bundled_name(name) == image.bundled_name(image.pins()["node_image"])


def here() -> dict[str, str]:
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "python": ".".join(map(str, sys.version_info[:2])),
    }


def refuse_unsuitable(
    manifest: dict, machine: dict[str, str], inputs: str, registry_image: str
) -> None:
    """Raises unless the bundle is for this machine and this checkout.

    >>> machine = {"system": "Linux", "machine": "aarch64", "python": "3.12"}
    >>> manifest = {**machine, "image": "podlab-node:x", "inputs": "i"}
    >>> refuse_unsuitable(manifest, machine, "i", "kindest/node")
    """
    refuse_other_machine(manifest, machine)
    if manifest["image"] != registry_image and manifest.get("inputs") != inputs:
        raise LabError(
            "The bundle is for another version of the labs.",
            manifest["image"],
            "Save one from this checkout, or check out the version that the bundle was saved from.",
        )


@contextmanager
def under_own_names(images: list[str]) -> Iterator[None]:
    """Gives images that are named by digest a name of ours as well, inside the block."""
    given = [each for each in images if image.bundled_name(each) != each]
    try:
        for each in given:
            docker.run("tag", each, image.bundled_name(each))
        yield
    finally:
        for each in given:
            docker.run("rmi", "--no-prune", image.bundled_name(each), check=False)


def save_images(images: list[str], target: Path) -> None:
    import zstandard

    parameters = zstandard.ZstdCompressionParameters.from_level(
        9, window_log=WINDOW_LOG, enable_ldm=True, threads=os.cpu_count() or 1
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    with docker.piped("save", *images) as archive, target.open("wb") as file:
        compressor.copy_stream(archive, file)


def load_images(source: Path) -> None:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=2**WINDOW_LOG)
    with source.open("rb") as file, docker.piped("load", "--quiet", into=True) as archive:
        decompressor.copy_stream(file, archive)


def compress(source: Path, target: Path) -> None:
    import zstandard

    with source.open("rb") as read, target.open("wb") as write:
        zstandard.ZstdCompressor(level=9, threads=os.cpu_count() or 1).copy_stream(read, write)


def unpack_program(source: Path, target: Path) -> None:
    import zstandard

    with files.made_atomically(target) as new:
        with source.open("rb") as read, new.open("wb") as write:
            zstandard.ZstdDecompressor().copy_stream(read, write)
        new.chmod(0o755)


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A temporary folder on the disk of the result. A full disk becomes a LabError."""
    parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".podlab-bundle-", dir=parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise LabError(
            "Couldn't finish the bundle; nothing was changed.",
            str(error),
            "Free some space, then run the command again.",
        ) from error
