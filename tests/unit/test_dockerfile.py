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
    "line",
    ["RUN ls", "COPY a b", "COPY /etc/", "ENV", "ENV PORT", "CMD ls", 'CMD "ls"', "ENTRYPOINT [1]"],
)
def test_a_line_that_it_cannot_follow_is_named(line):
    with pytest.raises(LabError, match="can't be used") as error:
        Dockerfile.read(f"FROM busybox:1.35.0\n{line}")
    assert error.value.seen == f"line 2: {line}"


def test_user_and_copied_files(tmp_path):
    (tmp_path / "passwd").write_text("clerk:x:1000:1000::/:\n")
    read = Dockerfile.read("FROM busybox:1.35.0\nCOPY passwd /etc/\nUSER clerk")
    layer = read.layer(tmp_path)
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert tar.extractfile("etc/passwd").read() == b"clerk:x:1000:1000::/:\n"
    config = read.config(BASE, layer)
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    assert config["rootfs"]["diff_ids"] == ["sha256:1", digest]
    assert config["config"]["User"] == "clerk"
    assert Dockerfile.read("FROM busybox:1.35.0").layer(tmp_path) == b""
    with pytest.raises(LabError, match="can't be read: group"):
        Dockerfile.read("FROM busybox:1.35.0\nCOPY group /etc/").layer(tmp_path)


@pytest.mark.parametrize(
    ("of_base", "of_files"),
    [
        ("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar"),
        (
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "application/vnd.docker.image.rootfs.diff.tar",
        ),
    ],
)
def test_the_archive_has_the_copied_files(of_base, of_files):
    manifest = {
        "mediaType": "manifest",
        "config": {"mediaType": "config"},
        "layers": [{"digest": "sha256:layer", "mediaType": of_base}],
    }
    packed, _ = archive("localhost:1/web:1", manifest, BASE, b"a layer")
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        blobs = [tar.extractfile(each).read() for each in tar]
    assert b"a layer" in blobs
    [made] = [json.loads(each) for each in blobs if b'"layers"' in each]
    digest = f"sha256:{hashlib.sha256(b'a layer').hexdigest()}"
    added = {"mediaType": of_files, "digest": digest, "size": 7}
    assert made["layers"] == [*manifest["layers"], added]


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
