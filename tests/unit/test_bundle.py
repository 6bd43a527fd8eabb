"""A bundle between two machines, with a docker client that keeps names as Docker's classic image
store does."""

import io
import json
import os
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from labhelpers import paths
from labhelpers.cluster import bundle, engine, environment, image, progress
from labhelpers.cluster.bundle_manifest import read_manifest
from labhelpers.errors import LabError

# What a store has is the list of its images' names. `save` drops digests: an image without another
# name comes out of `load` nameless.
DOCKER = """#!/bin/sh
touch "$NAMES"
case "$1" in
    image) grep -xF "$5" "$NAMES" ;;
    tag) grep -qxF "$2" "$NAMES" && echo "$3" >> "$NAMES" ;;
    rmi) grep -vxF "$3" "$NAMES" > "$NAMES.new"; mv "$NAMES.new" "$NAMES" ;;
    save) shift; for name; do grep -xF "$name" "$NAMES" | grep -v @; done; true ;;
    load) cat >> "$NAMES" ;;
    *) exit 1 ;;
esac
"""


class Machine:
    """Its own image store and caches; ``use`` goes there."""

    def __init__(self, folder: Path, monkeypatch, images=()):
        self.folder, self.monkeypatch = folder, monkeypatch
        folder.mkdir()
        self.names.write_text("".join(f"{image}\n" for image in images))

    @property
    def names(self) -> Path:
        return self.folder / "names"

    @property
    def images(self) -> list[str]:
        return self.names.read_text().split()

    def use(self) -> None:
        self.monkeypatch.setenv("NAMES", str(self.names))
        self.monkeypatch.setenv("PODLAB_CACHE", str(self.folder / "cache"))


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Makes machines on which pip, Go and the registry are not asked."""

    def run(self, command, **_):
        if "wheel" in command:
            (Path(command[command.index("--wheel-dir") + 1]) / "podlab-1.whl").touch()
            return
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir()
        with zipfile.ZipFile(folder / "kubernetes-1.whl", "w") as wheel:
            wheel.writestr("kubernetes-1.dist-info/METADATA", "Name: kubernetes")

    def programs(_):
        paths.tools().mkdir(parents=True, exist_ok=True)
        for name in ("kind", "kubectl"):
            (paths.tools() / name).write_text(name)

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER)
    (tmp_path / "bin" / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PODLAB_OFFLINE", "1")
    monkeypatch.delenv("PODLAB_DOOR", raising=False)
    monkeypatch.setattr(engine, "start", lambda step: None)
    monkeypatch.setattr(image, "use_programs", programs)
    monkeypatch.setattr(image, "pull", lambda name: pytest.fail(f"{name} was asked for"))
    monkeypatch.setattr("labhelpers.cluster.progress.Step.run", run)
    return lambda name, *images: Machine(tmp_path / name, monkeypatch, images)


def test_what_a_registry_gave_is_there_on_a_machine_without_one(machine, tmp_path):
    pinned = [image.pins()[name] for name in ("node_image", "busybox_image")]
    ours = [image.bundled_name(each) for each in pinned]
    giver, offline = machine("giver", *pinned), machine("offline")
    giver.use()
    bundle.save(tmp_path / "bundle.tar")
    assert giver.images == pinned, "the names that it needed meanwhile are gone"
    assert bundle.read_manifest(tmp_path / "bundle.tar")["images"] == ours
    assert "wheels/podlab-1.whl" in bundle.read_manifest(tmp_path / "bundle.tar")["parts"]
    offline.use()
    bundle.load(tmp_path / "bundle.tar")
    assert offline.images == ours
    assert [path.name for path in paths.cache().iterdir()] == ["bin"], "nobody reads wheels there"
    assert [image.node_image(), image.busybox_image()] == ours
    # And on from there.
    bundle.save(tmp_path / "next.tar")
    assert offline.images == ours


@pytest.mark.parametrize(
    ("ended_by", "told"),
    [(OSError(28, "No space left on device"), LabError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_an_end_in_the_last_file_leaves_nothing(machine, tmp_path, monkeypatch, ended_by, told):
    giver, target = machine("giver", "podlab-node:built"), tmp_path / "stick"
    giver.use()
    image.record_image("podlab-node:built")
    target.mkdir()
    (target / "bundle.tar").write_text("yesterday's")
    monkeypatch.setattr(tarfile.TarFile, "add", lambda *_, **__: (_ for _ in ()).throw(ended_by))
    with pytest.raises(told):
        bundle.save(target / "bundle.tar")
    assert list(target.iterdir()) == [target / "bundle.tar"]
    assert (target / "bundle.tar").read_text() == "yesterday's"


def test_a_podlab_without_a_checkout_says_where_a_bundle_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "checkout", lambda: None)
    with pytest.raises(LabError, match="saved in a clone of the repository"):
        bundle.save(tmp_path / "bundle.tar")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def this_is(monkeypatch):
    """A patch release of this Python's family."""
    family = sys.version_info[:2]
    monkeypatch.setattr(sys, "version_info", (*family, 7, "final", 0))
    return ".".join(map(str, family))


@pytest.mark.parametrize(
    ("wheels", "patch"),
    [
        ([""], 0),
        (["Requires-Python: >={}"], 0),
        (["Requires-Python: >={}", "Requires-Python: >={}.5"], 5),
        (["Requires-Python: !={}.0,>=3.8"], 1),
        (['Requires-Dist: b; python_full_version < "{}.4"'], 4),
        (['Requires-Dist: c<2; python_full_version < "{}.4"', "Name: C"], 0),
        (['Requires-Dist: b; sys_platform == "win32"'], 0),
    ],
)
def test_a_bundle_knows_the_least_python_that_its_wheels_accept(this_is, wheels, patch):
    texts = [text.format(this_is) for text in wheels]
    texts = [text if "Name: " in text else f"Name: a\n{text}" for text in texts]
    assert bundle.least_python([*map(message_from_string, texts)]) == f"{this_is}.{patch}"


@pytest.mark.parametrize("there", [True, False])
def test_wheels_are_for_every_patch_release_where_they_can_be_had(
    this_is, monkeypatch, tmp_path, there
):
    asked = []

    def run(self, command, **_):
        words = [str(word) for word in command]
        asked.append("--python-version" in words)
        folder = Path(words[words.index("--dest") + 1])
        folder.mkdir()
        if asked[-1]:
            assert words[words.index("--python-version") + 1] == f"{this_is}.0"
            if not there:
                (folder / "half.whl").write_text("half")
                raise LabError("pip failed.", "no matching distribution", "")
        least = "" if there else f"Requires-Python: >={this_is}.5"
        with zipfile.ZipFile(folder / "a-1.whl", "w") as wheel:
            wheel.writestr("a-1.dist-info/METADATA", f"Name: a\n{least}")

    monkeypatch.setattr("labhelpers.cluster.progress.Step.run", run)
    step = progress.Step("wheels", io.StringIO())
    least = bundle.download_wheels(step, tmp_path / "wheels")
    assert (asked, least) == (
        ([True], f"{this_is}.0") if there else ([True, False], f"{this_is}.5")
    )
    assert [path.name for path in (tmp_path / "wheels").iterdir()] == ["a-1.whl"]


def test_a_bundle_for_a_later_python_is_refused_before_an_environment_is_begun(
    tmp_path, monkeypatch, capsys
):
    family = ".".join(map(str, sys.version_info[:2]))
    text = json.dumps({"python": family, "python_least": f"{family}.99"}).encode()
    with tarfile.open(tmp_path / "room.tar", "w") as archive:
        info = tarfile.TarInfo("manifest.json")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "environment"))
    assert environment.main(["--bundle", str(tmp_path / "room.tar")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "The bundle needs another Python." and f"{family}.99" in lines[1]
    assert not (tmp_path / "environment").exists()


def test_a_file_that_may_not_be_read_is_not_called_something_else(closed_folder):
    for name, told in {
        closed_folder: "The bundle can't be read.",
        closed_folder.parent: "The bundle can't be read.",
        Path(os.devnull): "This file isn't a podlab bundle.",
        closed_folder.parent / "none.tar": "There is no such file.",
    }.items():
        with pytest.raises(LabError) as caught:
            read_manifest(name)
        assert caught.value.happened == told
