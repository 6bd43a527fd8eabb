"""A bundle between two machines, with a docker client that keeps names as Docker's classic image
store does."""

import os
import tarfile
from pathlib import Path

import pytest

from labhelpers import paths
from labhelpers.cluster import bundle, engine, image
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
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir()
        (folder / "kubernetes-1.whl").write_text("wheel")

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
