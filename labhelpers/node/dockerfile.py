"""Makes an image from a short Dockerfile: another image's layers, a few files more, and what the
Dockerfile says about the process. Nothing here touches the node: ``edits`` reads and writes there.
"""

import hashlib
import io
import json
import shlex
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labhelpers.errors import LabError

__all__ = ["Dockerfile", "archive"]

KNOWN = ("FROM", "COPY", "ENV", "ENTRYPOINT", "CMD", "USER")


@dataclass(frozen=True)
class Dockerfile:
    """The lines of a Dockerfile that copy files, and those that say how the process starts.

    Attributes:
        base: the image after FROM.
        copies: the files beside the Dockerfile that it copies, by their paths in the image.
        user: the user of the process; "" if there is no such line.
        env: the variables that it sets.
        entrypoint, cmd: the words; None if there is no such line.

    >>> Dockerfile.read('FROM busybox:1.35.0\\nENV PORT=80 NAME="a b"\\nCMD ["httpd", "-f"]')
    Dockerfile(base='busybox:1.35.0', env={'PORT': '80', 'NAME': 'a b'}, entrypoint=None, \
cmd=['httpd', '-f'], copies={}, user='')
    """

    base: str
    env: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    copies: dict[str, str] = field(default_factory=dict)
    user: str = ""

    @classmethod
    def read(cls, text: str) -> "Dockerfile":
        """Reads it.

        Raises:
            LabError: a line has another instruction, or words that aren't in JSON's form; with its
                number.
        """
        found: dict[str, Any] = {"env": {}, "copies": {}}
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            instruction, _, rest = line.strip().partition(" ")
            if instruction not in KNOWN:
                raise _wrong(number, line, f"Use {', '.join(KNOWN)} only.")
            if instruction == "FROM":
                found["base"] = rest.strip()
            elif instruction == "USER":
                found["user"] = rest.strip()
            elif instruction == "COPY":
                *files, folder = rest.split()
                if not files or not (folder.startswith("/") and folder.endswith("/")):
                    raise _wrong(number, line, "Write COPY FILE /FOLDER/.")
                found["copies"].update({f"{folder[1:]}{file}": file for file in files})
            elif instruction == "ENV":
                pairs = [word.partition("=") for word in shlex.split(rest)]
                if not pairs or not all(sign and name for name, sign, _ in pairs):
                    raise _wrong(number, line, "Write ENV NAME=value.")
                found["env"].update({name: value for name, _, value in pairs})
            else:
                found[instruction.lower()] = _words(number, line, rest)
        if not found.get("base"):
            raise LabError(
                "The Dockerfile has no FROM.", "its first line is missing", "FROM busybox:1.35.0"
            )
        return cls(**found)

    def layer(self, folder: Path) -> bytes:
        """The files that it copies, as a layer; no bytes if it copies none.

        Args:
            folder: where the files are.

        Raises:
            LabError: one of them can't be read.
        """
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for path, file in self.copies.items():
                try:
                    content = (folder / file).read_bytes()
                except OSError as error:
                    raise LabError(
                        f"The Dockerfile copies a file that can't be read: {file}.",
                        f"{folder}: {error.strerror}",
                        "COPY names files beside the Dockerfile.",
                    ) from error
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(content), 0o644
                tar.addfile(entry, io.BytesIO(content))
        return out.getvalue() if self.copies else b""

    def config(self, base: Mapping, layer: bytes = b"") -> dict[str, Any]:
        """An image's configuration, made from that of its base as Docker makes it.

        Args:
            base: the base's configuration.
            layer: see ``layer``.

        A new ENTRYPOINT drops the base's CMD: https://docs.docker.com/reference/dockerfile/#cmd

        >>> base = {"os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]}}
        >>> Dockerfile("busybox", {"PORT": "80"}, ["httpd"]).config(base)
        {'os': 'linux', 'config': {'Env': ['PATH=/bin', 'PORT=80'], 'Cmd': None, \
'Entrypoint': ['httpd']}}
        """
        before = base.get("config") or {}
        env = dict(line.split("=", 1) for line in before.get("Env") or [])
        started = {"Env": [f"{name}={value}" for name, value in {**env, **self.env}.items()]}
        if self.entrypoint is not None:
            started |= {"Entrypoint": self.entrypoint, "Cmd": None}
        if self.cmd is not None:
            started["Cmd"] = self.cmd
        if self.user:
            started["User"] = self.user
        made = {**base, "config": {**before, **started}}
        if layer:
            files = base["rootfs"]
            made["rootfs"] = {**files, "diff_ids": [*files["diff_ids"], _digest(layer)]}
        return made


def archive(name: str, manifest: Mapping, config: Mapping, layer: bytes = b"") -> tuple[bytes, str]:
    """An archive that containerd imports. The layers of the base aren't in it, because they're on
    the node.

    Args:
        name: of the new image.
        manifest: of the base.
        config: of the new image.
        layer: what it has beside the base's layers.

    Returns:
        A compressed tar archive, and the digest of the configuration, which is the image's id.
        https://github.com/opencontainers/image-spec/blob/main/image-layout.md
    """
    blobs: dict[str, bytes] = {}

    def described(media_type: str, body: Mapping | bytes) -> dict[str, Any]:
        blob = body if isinstance(body, bytes) else json.dumps(body).encode()
        digest = _digest(blob)
        blobs[f"blobs/{digest.replace(':', '/')}"] = blob
        return {"mediaType": media_type, "digest": digest, "size": len(blob)}

    of_config = described(manifest["config"]["mediaType"], config)
    made = {**manifest, "config": of_config}
    if layer:
        # In the form of the base's own layers, but not compressed: the OCI's form or Docker's.
        media_type = manifest["layers"][0]["mediaType"].removesuffix("+gzip").removesuffix(".gzip")
        made["layers"] = [*manifest["layers"], described(media_type, layer)]
    of_manifest = described(manifest["mediaType"], made)
    named = {**of_manifest, "annotations": {"io.containerd.image.name": name}}
    blobs["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [named]}).encode()
    blobs["oci-layout"] = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, blob in blobs.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(blob)
            tar.addfile(entry, io.BytesIO(blob))
    return out.getvalue(), of_config["digest"]


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _words(number: int, line: str, rest: str) -> list[str]:
    try:
        words = json.loads(rest)
    except ValueError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _wrong(number, line, 'Write the words as in JSON: ["httpd", "-f"].')
    return words


def _wrong(number: int, line: str, do: str) -> LabError:
    return LabError("The Dockerfile can't be used here.", f"line {number}: {line.strip()}", do)
