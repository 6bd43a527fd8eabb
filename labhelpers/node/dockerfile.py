"""Makes an image from a short Dockerfile: another image's layers, with what the Dockerfile says
about the process. Nothing here touches the node: ``edits`` reads and writes there."""

import hashlib
import io
import json
import shlex
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labhelpers.errors import LabError

__all__ = ["Dockerfile", "archive"]

KNOWN = ("FROM", "ENV", "ENTRYPOINT", "CMD")


@dataclass(frozen=True)
class Dockerfile:
    """The lines of a Dockerfile that say how the process starts.

    Attributes:
        base: the image after FROM.
        env: the variables that it sets.
        entrypoint, cmd: the words; None if there is no such line.

    >>> Dockerfile.read('FROM busybox:1.35.0\\nENV PORT=80 NAME="a b"\\nCMD ["httpd", "-f"]')
    Dockerfile(base='busybox:1.35.0', env={'PORT': '80', 'NAME': 'a b'}, entrypoint=None, \
cmd=['httpd', '-f'])
    """

    base: str
    env: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None

    @classmethod
    def read(cls, text: str) -> "Dockerfile":
        """Reads it.

        Raises:
            LabError: a line has another instruction, or words that aren't in JSON's form; with its
                number.
        """
        found: dict[str, Any] = {"env": {}}
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            instruction, _, rest = line.strip().partition(" ")
            if instruction not in KNOWN:
                raise _wrong(number, line, f"Use {', '.join(KNOWN)} only.")
            if instruction == "FROM":
                found["base"] = rest.strip()
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

    def config(self, base: Mapping) -> dict[str, Any]:
        """An image's configuration, made from that of its base as Docker makes it.

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
        return {**base, "config": {**before, **started}}


def archive(name: str, manifest: Mapping, config: Mapping) -> tuple[bytes, str]:
    """An archive that containerd imports. It has no layers, because those of the base are on the
    node.

    Args:
        name: of the new image.
        manifest: of the base.
        config: of the new image.

    Returns:
        A compressed tar archive, and the digest of the configuration, which is the image's id.
        https://github.com/opencontainers/image-spec/blob/main/image-layout.md
    """
    blobs: dict[str, bytes] = {}

    def described(media_type: str, body: Mapping) -> dict[str, Any]:
        blob = json.dumps(body).encode()
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        blobs[f"blobs/{digest.replace(':', '/')}"] = blob
        return {"mediaType": media_type, "digest": digest, "size": len(blob)}

    of_config = described(manifest["config"]["mediaType"], config)
    of_manifest = described(manifest["mediaType"], {**manifest, "config": of_config})
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
