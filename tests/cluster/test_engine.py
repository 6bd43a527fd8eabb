"""A second engine of our own beside whatever runs here: started, killed in every way, ended. It
needs no cluster, only root on Linux.

It lives in a network namespace of its own: an engine that shares the machine's network would take
over docker0 and the rules of iptables.
"""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labhelpers.cluster import docker as docker_client
from labhelpers.cluster import engine, engine_record, packages, progress
from labhelpers.cluster.engine_record import Record

BUSYBOX = shutil.which("busybox")
MISSING = [
    name
    for name in ("dockerd", "docker", "unshare", "busybox")
    if shutil.which(name, path=packages.search_path()) is None
]
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.rota(group="engines"),
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0,
        reason="only root on Linux can start an engine",
    ),
    pytest.mark.skipif(bool(MISSING), reason=f"not there: {', '.join(MISSING)}"),
    pytest.mark.skipif(
        engine.needs_shim() and shutil.which("jq") is None, reason="the runtime shim needs jq"
    ),
]


@pytest.fixture
def second(tmp_path, monkeypatch):
    """The folders of a second engine. At the end nothing of it is left, whatever the test did."""
    # Short: a socket's path has at most 107 characters.
    root = Path("/run") / f"podlab-test-{os.getpid()}"
    program = tmp_path / "bin" / "dockerd"
    program.parent.mkdir()
    dockerd = shutil.which("dockerd", path=packages.search_path())
    program.write_text(f'#!/bin/sh\nexec unshare --net {dockerd} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{root}/docker.sock")
    monkeypatch.delenv("PODLAB_OFFLINE", raising=False)
    monkeypatch.setattr(engine, "SOCKET", f"unix://{root}/docker.sock")
    monkeypatch.setattr(engine_record, "EXEC_ROOT", root / "exec")
    monkeypatch.setattr(engine_record, "foreign_engines", lambda *_: [])  # the first engine is one
    monkeypatch.setattr(packages, "install", lambda *_: None)
    root.mkdir()
    yield tmp_path / "data"
    engine.stop(timeout_seconds=60)
    shutil.rmtree(root, ignore_errors=True)
    assert str(root) not in Path("/proc/self/mountinfo").read_text()
    assert str(tmp_path / "data") not in Path("/proc/self/mountinfo").read_text()


def start(data: Path) -> str:
    output = io.StringIO()
    with progress.step("Second engine", output=output) as step:
        engine.start(step, data_root=data)
    return output.getvalue()


def docker(*words: str) -> str:
    return subprocess.run(
        ["docker", *words], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def run_privileged(tmp_path: Path) -> None:
    tree = tmp_path / "tree" / "bin"
    tree.mkdir(parents=True)
    shutil.copy(BUSYBOX, tree / "busybox")
    (tree / "sh").symlink_to("busybox")
    (tree / "sleep").symlink_to("busybox")
    subprocess.run(
        ["tar", "-C", tree.parent, "-cf", tmp_path / "image.tar", "."], check=True, timeout=60
    )
    docker("import", str(tmp_path / "image.tar"), "busybox:test")
    # kind starts its node with this restart policy. The trap makes it end on TERM; without it the
    # first process would ignore that.
    how = ["--name", "one", "--privileged", "--restart", "on-failure:1", "--network", "none"]
    docker("run", "-d", *how, "busybox:test", "sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait")


def kill_hard(everything: bool) -> None:
    record = Record.read()
    os.kill(record.pid, signal.SIGKILL)
    for process in engine_record.remains(record):
        if everything and "containerd" in Path(process.command[0]).name:
            os.kill(process.pid, signal.SIGKILL)


def wait_until_running(seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while docker("inspect", "--format", "{{.State.Running}}", "one") != "true":
        assert time.monotonic() < deadline, docker("ps", "-a")
        time.sleep(0.1)


def test_an_engine_runs_privileged_containers_and_a_second_start_does_nothing(second, tmp_path):
    start(second)
    first = Record.read()
    run_privileged(tmp_path)
    docker("create", "--name", "plain", "busybox:test", "sh")
    assert docker("inspect", "--format", "{{.HostConfig.CgroupnsMode}}", "plain") == "private"
    assert "answers, started by podlab" in start(second)
    assert Record.read() == first
    assert engine.stop(timeout_seconds=60) is True
    assert engine_record.remains(first) == []
    assert docker_client.ask().version == ""
    assert engine.stop(timeout_seconds=60) is False


@pytest.mark.parametrize(
    "everything", [False, True], ids=["dockerd", "dockerd, containerd and shims"]
)
def test_killed_hard_and_started_again_it_has_its_container_back(second, tmp_path, everything):
    start(second)
    run_privileged(tmp_path)
    kill_hard(everything)
    assert "answers" not in start(second)
    if not everything:
        # A new dockerd ends in good order what it finds running, and what ended well is not
        # restarted: that is for `podlab up` to do.
        docker("start", "one")
    wait_until_running()
    assert docker("exec", "one", "sh", "-c", "echo alive") == "alive"


def test_stop_ends_what_a_killed_engine_left(second, tmp_path, eventually):
    start(second)
    run_privileged(tmp_path)
    record = Record.read()
    kill_hard(everything=True)
    # The container outlives its engine; its shell may only now come to start the sleep.
    eventually(
        lambda: [process for process in engine_record.remains(record) if "sleep" in process.command]
    )
    assert engine.stop(timeout_seconds=60) is True
    assert engine_record.remains(record) == []
