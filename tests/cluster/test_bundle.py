"""A bundle made here and loaded on a machine that has nothing and reaches nothing: empty caches, no
Go, no index, no registry."""

import os
import subprocess
import sys
import tarfile

import pytest

from labhelpers import paths
from labhelpers.cluster import build, bundle, docker, go_programs, image, lifecycle
from labhelpers.errors import LabError
from tests import ROOM

pytestmark = [pytest.mark.cluster, pytest.mark.rota(group="bundle"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "room.tar"
    assert str(path) in bundle.save(path)
    yield path
    path.unlink()


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """The environment of a machine with nothing: what is asked of the network goes to a port where
    nobody listens."""
    monkeypatch.setenv("PODLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PODLAB_OFFLINE", "1")
    monkeypatch.setenv("GOPROXY", "off")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    return tmp_path


def test_what_the_bundle_holds(file):
    with tarfile.open(file) as archive:
        names = archive.getnames()
    assert {"manifest.json", "images.tar.zst", "kind.zst", "kubectl.zst"} < set(names)
    for package in ("kubernetes", "podlab"):
        assert any(name.startswith(f"wheels/{package}-") for name in names)


def test_a_room_without_a_network_gets_its_cluster(file, bare, monkeypatch):
    name = bundle.read_manifest(file)["image"]
    subprocess.run(
        ["docker", "rmi", "--force", "--no-prune", name], capture_output=True, timeout=60
    )
    assert not docker.has_image(name)
    # The engine's record lies in the state folder; here the engine counts as the reader's own.
    forbid_builds(monkeypatch)
    bundle.load(file)
    lifecycle.up(ROOM)
    try:
        assert lifecycle.status(ROOM).state == "running"
        assert lifecycle.status(ROOM).image == name
        command = [
            paths.tools() / "kubectl",
            "--kubeconfig",
            paths.kubeconfig(ROOM),
            "get",
            "--raw=/readyz",
        ]
        assert subprocess.run(command, capture_output=True, text=True, timeout=30).stdout == "ok"
    finally:
        lifecycle.down(ROOM)


def forbid_builds(monkeypatch):
    for module, name in (
        (go_programs, "build_program"),
        (build, "build_rootfs"),
        (go_programs, "go"),
    ):
        monkeypatch.setattr(
            module, name, lambda *_, called=name, **__: pytest.fail(f"{called} was called")
        )


def test_its_wheels_make_an_environment(file, bare):
    target = bare / "venv"
    subprocess.run([sys.executable, "-m", "venv", target], check=True, timeout=120)
    environment = {**os.environ, "VIRTUAL_ENV": str(target)}
    command = [sys.executable, "-m", "labhelpers.cluster.environment", "--bundle", file]
    done = subprocess.run(
        command,
        cwd=paths.repository(),
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = subprocess.run(
        [target / "bin/python", "-c", "import labhelpers.lab, jupyterlab, nbclient; print('yes')"],
        capture_output=True,
        text=True,
    )
    assert seen.stdout == "yes\n", seen.stderr


def test_a_folder_without_a_checkout_works_in_a_room_without_a_network(file, bare):
    """All that the room has is Python, an engine and the bundle. The lab says there, word for word,
    what is stored."""
    environment = {**os.environ, "PODLAB_CLUSTER": ROOM}
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "PODLAB_HOME"):
        environment.pop(name, None)

    def run(program, *words, cwd=bare, timeout=300):
        command = [bare / "venv" / "bin" / program, *words]
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    with tarfile.open(file) as archive:
        wheels = [each for each in archive.getmembers() if each.name.startswith("wheels/")]
        archive.extractall(bare, wheels)
    subprocess.run([sys.executable, "-m", "venv", bare / "venv"], check=True, timeout=120)
    run("pip", "install", "--no-index", "--find-links", "wheels", "podlab")
    run("podlab", "init", "labs")
    labs = bare / "labs"
    run("podlab", "bundle", "load", file, cwd=labs)
    try:
        run("podlab", "up", cwd=labs)
        refresh = ["-m", "labhelpers.stored", "refresh", "notebooks/00_start_here.ipynb"]
        said = run("python", *refresh, cwd=labs, timeout=600)
        assert "refreshed in" in said and "has changed" not in said, said
    finally:
        run("podlab", "down", cwd=labs)


@pytest.mark.parametrize(
    ("damage", "words"),
    [("cut", "This file isn't a podlab bundle."), ("bend", "The bundle is damaged")],
)
def test_a_damaged_bundle_changes_nothing(file, bare, damage, words):
    bad = bare / "bad.tar"
    content = bytearray(file.read_bytes())
    if damage == "cut":
        content = content[:1000]
    else:
        content[-2_000_000] ^= 1
    bad.write_bytes(content)
    with pytest.raises(LabError, match=words):
        bundle.load(bad)
    assert not paths.tools().exists()
    assert not image.image_record().exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"machine": "riscv64"}, "another machine"),
        ({"python": "3.10"}, "another Python"),
        ({"python_least": "3.99.0"}, "another Python"),
        ({"inputs": "old"}, "another version"),
    ],
)
def test_a_bundle_for_something_else_is_refused(file, change, words):
    with pytest.raises(LabError, match=words):
        registry_image = image.bundled_name(image.pins()["node_image"])
        changed = {**bundle.read_manifest(file), **change}
        bundle.refuse_other_python(changed)
        bundle.refuse_unsuitable(
            changed,
            bundle.here(),
            build.inputs_digest(),
            registry_image,
        )


def test_a_full_disk_leaves_no_half_bundle(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], capture_output=True
    ).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        with pytest.raises(LabError) as caught:
            bundle.save(disk / "room.tar")
        assert "No space left on device" in caught.value.seen
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)
