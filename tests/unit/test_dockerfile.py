"""labhelpers.node.dockerfile: what a Dockerfile says, and the archive that containerd imports."""

import hashlib
import io
import json
import tarfile

import pytest

from labhelpers.errors import LabError
from labhelpers.node.dockerfile import Dockerfile, archive

BASE = {
    "architecture": "amd64",
    "rootfs": {"diff_ids": ["sha256:1"]},
    "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], "User": "1000"},
}


def made(text):
    return Dockerfile.read(f"# a comment\n\nFROM busybox:1.35.0\n{text}").config(BASE)["config"]


@pytest.mark.parametrize(
    ("text", "entrypoint", "cmd"),
    [
        ("", None, ["sh"]),
        ('CMD ["ls"]', None, ["ls"]),
        ('ENTRYPOINT ["echo"]', ["echo"], None),  # the base's CMD goes
        ('ENTRYPOINT ["echo"]\nCMD ["cmd"]', ["echo"], ["cmd"]),
        ('CMD ["cmd"]\nENTRYPOINT ["echo"]', ["echo"], ["cmd"]),
    ],
)
def test_entrypoint_and_cmd(text, entrypoint, cmd):
    assert (made(text).get("Entrypoint"), made(text)["Cmd"]) == (entrypoint, cmd)


def test_the_rest_is_the_bases():
    assert made('ENV WEB_PORT=8080 WORDS="a b"\nENV PATH=/usr/bin') == {
        "Env": ["PATH=/usr/bin", "WEB_PORT=8080", "WORDS=a b"],
        "Cmd": ["sh"],
        "User": "1000",
    }
    config = Dockerfile("busybox:1.35.0").config(BASE)
    assert {name: config[name] for name in ("architecture", "rootfs")} == {
        name: BASE[name] for name in ("architecture", "rootfs")
    }


@pytest.mark.parametrize(
    "line", ["RUN ls", "COPY a b", "ENV", "ENV PORT", "CMD ls", 'CMD "ls"', "ENTRYPOINT [1]"]
)
def test_a_line_that_it_cannot_follow_is_named(line):
    with pytest.raises(LabError, match="can't be used") as error:
        Dockerfile.read(f"FROM busybox:1.35.0\n{line}")
    assert error.value.seen == f"line 2: {line}"


def test_without_a_base_there_is_no_image():
    with pytest.raises(LabError, match="no FROM"):
        Dockerfile.read("ENV A=b")


def test_the_archive_leads_from_its_index_to_the_configuration():
    manifest = {
        "schemaVersion": 2,
        "mediaType": "manifest",
        "config": {"mediaType": "config", "digest": "old", "size": 1},
        "layers": [{"digest": "sha256:layer"}],
    }
    packed, identity = archive("localhost:1/web:1", manifest, BASE)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        blobs = {each.name: tar.extractfile(each).read() for each in tar}

    def follow(to):
        blob = blobs["blobs/" + to["digest"].replace(":", "/")]
        assert to["digest"] == f"sha256:{hashlib.sha256(blob).hexdigest()}"
        assert to["size"] == len(blob)
        return json.loads(blob)

    [named] = json.loads(blobs["index.json"])["manifests"]
    assert named["annotations"] == {"io.containerd.image.name": "localhost:1/web:1"}
    inner = follow(named)
    assert inner["layers"] == manifest["layers"]
    assert (inner["config"]["digest"], follow(inner["config"])) == (identity, BASE)
