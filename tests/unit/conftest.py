"""What several unit tests share: an API server on the loopback and a docker client, both of which
answer what they are told to."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from labhelpers import cells
from labhelpers.cluster import docker as docker_client
from labhelpers.errors import LabError
from labhelpers.kube.connect import connect
from tests.unit.engines import says
from tests.unit.fake_api import FakeApi


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "state"))
    server = FakeApi()
    yield server
    server.stop()


@pytest.fixture
def connection(fake, tmp_path):
    connection = connect(fake.kubeconfig(tmp_path), "lab")
    yield connection
    connection.close()


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A docker client that answers from a table (first words → output, None for a failure) and
    writes down what it was asked."""
    answers, asked = {}, []

    def answer(*words, check=True, **_):
        words = [str(word) for word in words]
        asked.append(words)
        for begin, output in answers.items():
            if words[: len(begin)] == list(begin):
                if output is None and check:
                    raise LabError(
                        f"docker {words[0]} failed.", "no such thing", "Run `podlab doctor`."
                    )
                return output or ""
        return ""

    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PODLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PODLAB_DOOR", raising=False)
    monkeypatch.delenv("PODLAB_OFFLINE", raising=False)
    monkeypatch.setattr(docker_client, "run", answer)
    says(monkeypatch, "20.10")
    answer.answers, answer.asked = answers, asked
    return answer


@pytest.fixture
def sleeper():
    """A process that stands in for dockerd."""
    process = subprocess.Popen(["sleep", "100"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def closed_folder():
    """A folder that this process can neither read nor write. Root can do both, so a test that root
    runs is somebody else meanwhile."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "closed").mkdir(mode=0o700)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    else:
        (folder / "closed").chmod(0)
    try:
        yield folder / "closed"
    finally:
        if root:
            os.seteuid(0)
        else:
            (folder / "closed").chmod(0o700)
        shutil.rmtree(folder)


class SmallDisk:
    """A file system of its own.

    Args:
        folder: where it's mounted.
    """

    def __init__(self, folder: Path):
        self.folder, self._filler = folder, folder / "filler"

    def fill(self, *, but_bytes: int = 0) -> None:
        """Leaves nothing free, or so much."""
        with contextlib.suppress(OSError), self._filler.open("wb", buffering=0) as filler:
            while filler.write(b"x" * 4096):
                pass
        os.truncate(self._filler, self._filler.stat().st_size - but_bytes)

    def free(self) -> None:
        self._filler.unlink()


@pytest.fixture
def small_disk():
    """64 KiB of memory, mounted. Its folder can be filled to the last byte."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    folder = tempfile.mkdtemp(prefix="podlab-disk-")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "podlab-test", folder]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        os.rmdir(folder)
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")
    try:
        yield SmallDisk(Path(folder))
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        os.rmdir(folder)


@pytest.fixture
def shell(monkeypatch):
    """An IPython, whose hooks end with the test."""
    # Without the file of history, whose thread would outlive the test.
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    monkeypatch.setattr(cells, "_hooks", {})
    yield shell
    for event, hook in cells._hooks.items():
        shell.events.unregister(event, hook)
    InteractiveShell.clear_instance()
