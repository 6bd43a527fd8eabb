"""The engine's decisions, without an engine: what is read, what is asked for, whom it may end. The
real one is in tests/cluster."""

import io
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from labhelpers import paths
from labhelpers.cluster import docker, engine, engine_record, packages, progress, uplink
from labhelpers.cluster.engine_record import EngineProcess, Record
from labhelpers.errors import LabError, TimedOut
from tests.unit.engines import NONE, linux, recorded, says

SHIM = paths.repository() / "kind" / "engine" / "runtime-shim"
DEBIAN = "ID=debian\nPRETTY_NAME=x\n"


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("PODLAB_OFFLINE", raising=False)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    # Whatever a test here ends or unmounts, it must not be of the engine of this machine: an early
    # version of this file ended a cluster.
    monkeypatch.setattr(engine_record, "EXEC_ROOT", tmp_path / "exec")
    monkeypatch.setattr(engine, "DATA_ROOT", tmp_path / "data")
    signal_, unmount = engine._signal, engine._unmount

    def only_children(pid, number):
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        assert str(pid) in children or not Path(f"/proc/{pid}").exists(), (
            f"process {pid} is none of this test's"
        )
        signal_(pid, number)

    def only_here(*roots):
        assert all(root.is_relative_to(tmp_path) for root in roots), roots
        unmount(*roots)

    monkeypatch.setattr(engine, "_signal", only_children)
    monkeypatch.setattr(engine, "_unmount", only_here)


def forbid(monkeypatch, *functions):
    """Fails the test if one of them is called: (module, name) each."""
    for module, name in functions:
        monkeypatch.setattr(
            module, name, lambda *_, called=name, **__: pytest.fail(f"{called} was called")
        )


INSTALL, IPTABLES = (packages, "install"), (uplink, "iptables")
LAUNCH, SIGNAL, UNMOUNT = ((engine, name) for name in ("_launch", "_signal", "_unmount"))


# --- who may get an engine ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "release", "root", "endpoint", "reason"),
    [
        ("Linux", DEBIAN, True, "", ""),
        ("Linux", 'ID="ubuntu"\n', True, "unix:///var/run/docker.sock", ""),
        ("Linux", 'ID=linuxmint\nID_LIKE="ubuntu debian"\n', True, "unix:///run/docker.sock", ""),
        ("Linux", "ID=fedora\n", True, "", "this Linux is fedora"),
        ("Linux", "", True, "", "this Linux is unknown"),
        ("Linux", DEBIAN, False, "", "only root"),
        ("Darwin", "", True, "", "this is Darwin"),
        (
            "Linux",
            DEBIAN,
            True,
            "tcp://192.0.2.1:2375",
            "looks for its engine at tcp://192.0.2.1:2375",
        ),
    ],
)
def test_where_an_engine_can_be_started(system, release, root, endpoint, reason):
    said = engine.can_start_here(system, release, root, endpoint)
    assert said == "" if reason == "" else reason in said


def test_an_engine_that_answers_is_left_as_it_is_even_on_a_closed_machine(monkeypatch):
    says(monkeypatch, "27.1")
    forbid(monkeypatch, INSTALL, LAUNCH, IPTABLES, SIGNAL)
    output = io.StringIO()
    with progress.step("Docker engine", output=output) as step:
        assert engine.start(step, closed=True) == "27.1"
    assert output.getvalue().endswith("Docker engine: Docker 27.1 answers\n")


def test_where_none_can_be_started_nothing_is_changed(monkeypatch):
    says(monkeypatch, NONE)
    monkeypatch.setattr(engine, "_here", lambda: ("Linux", "ID=fedora\n", True, ""))
    forbid(monkeypatch, INSTALL, LAUNCH)
    with (
        pytest.raises(LabError) as caught,
        progress.step("Docker engine", output=io.StringIO()) as step,
    ):
        engine.start(step)
    assert caught.value.happened == "No Docker engine answers."
    assert "fedora" in caught.value.seen


@pytest.mark.parametrize("kind", ["broken", "podman", "forbidden", "slow"])
def test_a_client_that_would_not_reach_an_engine_gets_none(monkeypatch, kind):
    says(monkeypatch, docker.Answer(trouble="its own words", kind=kind))
    monkeypatch.setattr(engine, "_here", lambda: ("Linux", DEBIAN, True, ""))
    monkeypatch.setattr(engine_record, "foreign_engines", lambda *_: [])
    forbid(monkeypatch, INSTALL, LAUNCH)
    begin = time.monotonic()
    with pytest.raises(LabError, match="its own words"):
        engine.start(progress.Step("Docker engine", io.StringIO()))
    assert time.monotonic() - begin < 5


# --- ours or not ----------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"pid": 1}'])
def test_without_a_whole_record_nothing_is_ended(monkeypatch, text):
    if text is not None:
        path = paths.engine_state() / "engine.json"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    forbid(monkeypatch, SIGNAL, IPTABLES, UNMOUNT)
    assert engine.stop(timeout_seconds=5) is False
    assert engine.started_by_us() is False


@linux
def test_after_a_reboot_the_record_is_dropped_and_nobody_is_ended(monkeypatch, sleeper):
    recorded(sleeper, boot_id="another", closed=(("iptables", "DOCKER-USER", "eth0"),)).write()
    forbid(monkeypatch, SIGNAL, IPTABLES, UNMOUNT)
    assert engine.stop(timeout_seconds=5) is False
    assert Record.read() is None


@linux
def test_stop_ends_the_engine_and_takes_back_its_rules(monkeypatch, sleeper, tmp_path):
    calls = []
    monkeypatch.setattr(uplink, "iptables", lambda *words, **_: calls.append(words))
    recorded(sleeper, closed=(("iptables", "DOCKER-USER", "eth0"),)).write()
    assert engine.stop(timeout_seconds=10) is True
    assert sleeper.wait(5) == -15
    assert calls == [("iptables", "-D", "DOCKER-USER", "-o", "eth0", "-j", "DROP")]
    assert engine.stop(timeout_seconds=10) is False


@linux
def test_stop_says_what_it_could_not_end(monkeypatch, sleeper, tmp_path):
    monkeypatch.setattr(
        engine_record, "remains", lambda *_: [EngineProcess(4194304, ("containerd-shim",))]
    )
    recorded(sleeper).write()
    with pytest.raises(TimedOut) as caught:
        engine.stop(timeout_seconds=0.4)
    assert caught.value.seen == "still running: containerd-shim (4194304)"
    assert Record.read() is not None


# --- a start that fails ---------------------------------------------------------------------------


@linux
@pytest.mark.parametrize(
    ("script", "limit", "kind", "seen"),
    [
        (
            (
                "#!/bin/sh\n[ $1 = --help ] && exit\necho 'level=info msg=\"ready\"'; echo 'failed"
                " to start daemon: no iptables' >&2; exit 1\n"
            ),
            10,
            LabError,
            "failed to start daemon: no iptables",
        ),
        (
            (
                "#!/bin/sh\n[ $1 = --help ] && exit\necho 'level=info msg=\"still loading\"'; exec"
                " sleep 100\n"
            ),
            3,
            TimedOut,
            "still loading",
        ),
    ],
    ids=["ends", "hangs"],
)
def test_a_start_that_fails_says_why_in_the_engines_own_words(
    monkeypatch, tmp_path, script, limit, kind, seen
):
    program = tmp_path / "bin" / "dockerd"
    program.parent.mkdir()
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    says(monkeypatch, NONE)
    monkeypatch.setattr(engine, "_here", lambda: ("Linux", DEBIAN, True, ""))
    monkeypatch.setattr(packages, "install", lambda *_: None)
    monkeypatch.setattr(engine_record, "foreign_engines", lambda *_: [])
    engine.engine_log().parent.mkdir(parents=True)
    engine.engine_log().write_text(
        f"{engine.LOG_MARK} long ago\nfailed to start daemon: an error of last week\n"
    )
    try:
        with (
            pytest.raises(kind) as caught,
            progress.step("Docker engine", output=io.StringIO()) as step,
        ):
            engine.start(step, data_root=engine.DATA_ROOT, timeout_seconds=limit)
        assert type(caught.value) is kind
        assert caught.value.seen == seen
        assert str(engine.engine_log()) in caught.value.do
    finally:
        engine.stop(timeout_seconds=10)


# --- settings -----------------------------------------------------------------------------------


def test_the_machines_own_settings_are_kept_where_they_are_not_ours():
    theirs = json.dumps(
        {
            "registry-mirrors": ["https://mirror"],
            "hosts": ["tcp://0.0.0.0:2375"],
            "data-root": "/big",
            "runtimes": {"x": {}},
        }
    )
    chosen = engine.settings(theirs, None, Path("/state/runtime-shim"), True)
    assert chosen["registry-mirrors"] == ["https://mirror"]
    assert chosen["hosts"] == ["unix:///var/run/docker.sock"]
    assert chosen["data-root"] == "/big"
    assert chosen["default-runtime"] == "podlab" and set(chosen["runtimes"]) == {"x", "podlab"}
    assert engine.settings(theirs, Path("/bigger"), None, True)["data-root"] == "/bigger"


def test_the_shim_and_private_cgroups_come_only_where_they_are_wanted():
    assert not {"default-runtime", "runtimes", "default-cgroupns-mode"} & set(
        engine.settings("", None, None, False)
    )
    assert engine.settings("", None, None, True)["default-cgroupns-mode"] == "private"


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_broken_settings_of_the_machine_are_named(text):
    with pytest.raises(LabError, match=r"daemon\.json is not a JSON object"):
        engine.settings(text, None, None, True)


# --- the runtime shim -----------------------------------------------------------------------------

ASKED = {
    "args": ["sh"],
    "capabilities": {
        "bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"],
        "effective": ["CAP_SYS_RESOURCE"],
        "ambient": None,
    },
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 18446744073709551615, "soft": 1}],
    "oomScoreAdj": -998,
    "user": {"uid": 0},
}
GRANTED = {
    "args": ["sh"],
    "capabilities": {"bounding": ["CAP_CHOWN"], "effective": [], "ambient": None},
    "user": {"uid": 0},
}


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not there")
@pytest.mark.parametrize(
    ("words", "name", "asked", "granted"),
    [
        (
            ["--root", "/r", "create", "--bundle", "{}", "ID"],
            "config.json",
            {"process": ASKED, "root": 1},
            {"process": GRANTED, "root": 1},
        ),
        (["run", "--bundle={}", "ID"], "config.json", {"process": ASKED}, {"process": GRANTED}),
        (["exec", "--process", "{}/p", "--detach", "ID"], "p", ASKED, GRANTED),
        (["exec", "--process={}/p", "ID"], "p", {"args": ["sh"]}, {"args": ["sh"]}),
        (["exec", "-p", "{}/p", "run"], "p", ASKED, GRANTED),
        (["state", "create"], "config.json", {"process": ASKED}, {"process": ASKED}),
        (["delete", "--force", "ID"], "config.json", {"process": ASKED}, {"process": ASKED}),
    ],
)
def test_the_shim_takes_out_what_cannot_be_given_and_passes_everything_on(
    tmp_path, words, name, asked, granted
):
    runc = tmp_path / "runc"
    runc.write_text('#!/bin/sh\nfor word; do echo "[$word]"; done\nexit 7\n')
    runc.chmod(0o755)
    (tmp_path / name).write_text(json.dumps(asked))
    words = [word.format(tmp_path) for word in words] + ["a  b", ""]
    done = subprocess.run(
        [SHIM, *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PODLAB_RUNC": str(runc)},
    )
    assert done.returncode == 7
    assert done.stdout == "".join(f"[{word}]\n" for word in words)
    assert json.loads((tmp_path / name).read_text()) == granted


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not there")
def test_the_shim_starts_nothing_that_it_could_not_edit(tmp_path):
    (tmp_path / "config.json").write_text("{")
    done = subprocess.run(
        [SHIM, "create", "--bundle", tmp_path, "ID"],
        capture_output=True,
        text=True,
        env={**os.environ, "PODLAB_RUNC": "true"},
    )
    assert done.returncode != 0
    assert (tmp_path / "config.json").read_text() == "{"
