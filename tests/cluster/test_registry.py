"""Behind a mirror, for real: a registry on the loopback of an engine of the tests' own, and images
that come from it by digest. It needs no cluster, only root on Linux and a `docker-registry`.

Where there's none, the program is taken out of Debian's package. Installing the package would leave
a service on the machine that holds port 5000."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from labhelpers.cluster import docker, image, packages
from labhelpers.cluster.engine_record import Record
from labhelpers.errors import LabError
from tests.cluster import test_engine
from tests.cluster.test_engine import BUSYBOX, second, start

__all__ = ["second"]  # the fixture

PROGRAM = "docker-registry"
INSTALLED = shutil.which(PROGRAM, path=packages.search_path())
PORT = 5055
MIRROR = f"127.0.0.1:{PORT}/hub"
pytestmark = [
    *(mark for mark in test_engine.pytestmark if mark.name != "rota"),
    pytest.mark.rota(group="registry"),
    pytest.mark.skipif(
        not INSTALLED and shutil.which("apt-get") is None,
        reason=f"there's no {PROGRAM}, and no apt-get to fetch it with",
    ),
]
CONFIGURATION = """version: 0.1
storage: {filesystem: {rootdirectory: FOLDER}}
http: {addr: "127.0.0.1:PORT"}
"""


def in_the_engines_network(*words: str | Path) -> list[str]:
    """The second engine has a network namespace, and so a loopback, of its own."""
    return ["nsenter", f"--net=/proc/{Record.read().pid}/ns/net", *map(str, words)]


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> str | Path:
    if INSTALLED:
        return INSTALLED
    folder = tmp_path_factory.mktemp("package")
    fetch = f"apt-get -q update; apt-get -q download {PROGRAM} && dpkg-deb -x *.deb ."
    done = subprocess.run(
        ["sh", "-c", fetch], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "usr/bin" / PROGRAM


@pytest.fixture
def registry(program, second, tmp_path, monkeypatch):
    """A registry that has a node image and a busybox under the names of a mirror, and pins that
    name them by digest; the engine has neither of them any more."""
    monkeypatch.setenv("PODLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PODLAB_DOOR", raising=False)
    start(second)
    subprocess.run(in_the_engines_network("ip", "link", "set", "lo", "up"), check=True)
    settings = tmp_path / "registry.yaml"
    folder = str(tmp_path / "registry")
    settings.write_text(CONFIGURATION.replace("FOLDER", folder).replace("PORT", str(PORT)))
    with (tmp_path / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            in_the_engines_network(program, "serve", settings), stdout=log, stderr=log
        )
    try:
        pins = fill(tmp_path)
        monkeypatch.setattr(image, "pins", lambda: pins)
        monkeypatch.setenv("PODLAB_REGISTRY", MIRROR)
        yield process
    finally:
        process.kill()
        process.wait()


def fill(tmp_path: Path) -> dict[str, str]:
    tree = tmp_path / "image" / "bin"
    tree.mkdir(parents=True)
    shutil.copy(BUSYBOX, tree / "busybox")
    pins = {}
    for pin, name in (
        ("node_image", "kindest/node:v0.0.1"),
        ("busybox_image", "library/busybox:0.0.1"),
    ):
        (tree / "name").write_text(pin)
        tar = ["tar", "-C", tree.parent, "-cf", tmp_path / "image.tar", "."]
        subprocess.run(tar, check=True, timeout=60)
        docker.run("import", tmp_path / "image.tar", f"{MIRROR}/{name}")
        push(f"{MIRROR}/{name}")
        digests = docker.run("inspect", "--format", "{{index .RepoDigests 0}}", f"{MIRROR}/{name}")
        docker.run("rmi", "--force", docker.run("images", "--quiet", f"{MIRROR}/{name}"))
        pins[pin] = f"{name.removeprefix('library/')}@{digests.partition('@')[2]}"
    assert docker.run("images", "--quiet") == ""
    return pins


def push(name: str) -> None:
    """The registry may only just be starting."""
    deadline = time.monotonic() + 30
    while True:
        try:
            docker.run("push", name)
            return
        except LabError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_both_images_come_from_the_mirror_by_their_digests(registry):
    pins = image.pins()
    assert image.node_image() == f"{MIRROR}/{pins['node_image']}"
    assert image.busybox_image() == (f"{MIRROR}/library/{pins['busybox_image']}")
    assert docker.has_image(f"{MIRROR}/{pins['node_image']}")
    # And from now on nobody is asked.
    registry.kill()
    assert image.node_image() == f"{MIRROR}/{pins['node_image']}"


def test_what_the_mirror_does_not_have_is_told_at_once(registry, monkeypatch):
    monkeypatch.setenv("PODLAB_DOOR", "registry")
    pins = image.pins()
    name, _, digest = pins["node_image"].partition("@")
    other = f"{name}@sha256:{digest[-1] * 64}"
    monkeypatch.setattr(image, "pins", lambda: {**pins, "node_image": other})
    begin = time.monotonic()
    with pytest.raises(LabError) as caught:
        image.node_image()
    assert "manifest unknown" in caught.value.seen
    assert f"PODLAB_REGISTRY={MIRROR} was asked" in caught.value.do
    assert other.partition("@")[2] in caught.value.do
    registry.kill()
    registry.wait()
    with pytest.raises(LabError, match="connection refused"):
        image.node_image()
    assert time.monotonic() - begin < 60


def test_a_registry_that_never_answers_is_given_up(second, tmp_path, monkeypatch):
    """A socket that takes connections and says nothing, as behind some firewalls."""
    monkeypatch.setenv("PODLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PODLAB_DOOR", "registry")
    monkeypatch.setenv("PODLAB_REGISTRY", MIRROR)
    monkeypatch.setattr(image, "FIRST_WORD_SECONDS", 3)
    start(second)
    subprocess.run(in_the_engines_network("ip", "link", "set", "lo", "up"), check=True)
    program = f"nc -l -p {PORT} -s 127.0.0.1 >/dev/null; sleep 60"
    silent = subprocess.Popen(
        in_the_engines_network(BUSYBOX, "sh", "-c", f"while :; do {program}; done"),
        start_new_session=True,
    )
    try:
        time.sleep(0.5)
        with pytest.raises(LabError, match="PODLAB_REGISTRY=") as caught:
            image.node_image()
        assert "PODLAB_REGISTRY" in caught.value.do
    finally:
        os.killpg(silent.pid, 9)
        silent.wait()
