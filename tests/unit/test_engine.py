"""The engine's decisions, without an engine: what is read, what is asked for, whom it may end. The
real one is in tests/cluster."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labhelpers import paths
from labhelpers.cluster import engine, progress
from labhelpers.errors import LabError, TimedOut

SHIM = paths.repository() / "kind" / "engine" / "runtime-shim"
DEBIAN = "ID=debian\nPRETTY_NAME=x\n"
OURS, STRANGE = "a" * 64, "b" * 64

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("PODLAB_OFFLINE", raising=False)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    # Whatever a test here ends or unmounts, it must not be of the engine of this machine: an early
    # version of this file ended a cluster.
    monkeypatch.setattr(engine, "EXEC_ROOT", tmp_path / "exec")
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


def forbid(monkeypatch, *names):
    for name in names:
        monkeypatch.setattr(
            engine, name, lambda *_, called=name, **__: pytest.fail(f"{called} was called")
        )


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
    monkeypatch.setattr(engine, "answering_version", lambda: "27.1")
    forbid(monkeypatch, "_install", "_launch", "_close", "_iptables", "_signal")
    output = io.StringIO()
    with progress.step("Docker engine", output=output) as step:
        assert engine.start(step, closed=True) == "27.1"
    assert output.getvalue().endswith("Docker engine: Docker 27.1 answers\n")


def test_where_none_can_be_started_nothing_is_changed(monkeypatch):
    monkeypatch.setattr(engine, "answering_version", lambda: "")
    monkeypatch.setattr(engine, "_here", lambda: ("Linux", "ID=fedora\n", True, ""))
    forbid(monkeypatch, "_install", "_launch")
    with (
        pytest.raises(LabError) as caught,
        progress.step("Docker engine", output=io.StringIO()) as step,
    ):
        engine.start(step)
    assert caught.value.happened == "No Docker engine answers."
    assert "fedora" in caught.value.seen


def fake_proc(root: Path, *processes) -> Path:
    """A /proc of (pid, command, cgroup, state)."""
    for pid, command, cgroup, state in processes:
        folder = root / str(pid)
        folder.mkdir(parents=True)
        fields = [state, "1"] + ["0"] * 17 + [str(1000 + pid)] + ["0"] * 10
        (folder / "stat").write_text(f"{pid} (a name) with (brackets) {' '.join(fields)}")
        words = [word.replace("EXEC_ROOT", str(engine.EXEC_ROOT)) for word in command]
        (folder / "cmdline").write_bytes("\0".join(words).encode() + b"\0")
        (folder / "cgroup").write_text(cgroup)
    (root / "meminfo").write_text("")
    return root


@pytest.fixture
def record(tmp_path):
    (tmp_path / "exec" / "containerd" / OURS).mkdir(parents=True)
    return engine.Record(10, 1010, "boot", str(tmp_path / "data"))


CONTAINERD = (11, ("containerd", "--config", "EXEC_ROOT/containerd/containerd.toml"), "0::/", "S")
SHIM_PROCESS = (
    12,
    (
        "/usr/bin/containerd-shim-runc-v2",
        "-id",
        OURS,
        "-address",
        "/run/containerd/containerd.sock",
    ),
    "0::/",
    "S",
)
INSIDE_V1 = (13, ("/sbin/init",), f"4:memory:/docker/{OURS}\n1:cpu:/docker/{OURS}", "S")
INSIDE_V2 = (14, ("kubelet",), f"0::/system.slice/docker-{OURS}.scope/kubelet", "S")
NESTED_ENGINE = (15, ("dockerd",), f"0::/docker/{OURS}", "S")
STRANGERS = [
    (20, ("/sbin/init",), f"0::/docker/{STRANGE}", "S"),
    (21, ("/usr/bin/containerd-shim-runc-v2", "-id", STRANGE), "0::/", "S"),
    (22, ("containerd", "--config", "/var/run/docker/containerd/containerd.toml"), "0::/", "S"),
    (23, ("docker", "logs", OURS), "0::/", "S"),
    (24, ("vi", "EXEC_ROOT-notes"), "0::/", "S"),
    (25, ("sh",), f"0::/docker/{OURS}", "Z"),
    (26, (), "0::/", "S"),
]


def test_what_an_engine_of_ours_left_is_told_from_all_else(tmp_path, record):
    left = [CONTAINERD, SHIM_PROCESS, INSIDE_V1, INSIDE_V2, NESTED_ENGINE]
    proc = fake_proc(tmp_path / "proc", *left, *STRANGERS)
    assert {process.pid for process in engine.remains(record, proc)} == {
        process[0] for process in left
    }


def test_containers_that_a_strange_engine_took_over_are_its_own(tmp_path, record):
    proc = fake_proc(
        tmp_path / "proc",
        CONTAINERD,
        SHIM_PROCESS,
        INSIDE_V1,
        (30, ("/usr/bin/dockerd", "-H", "fd://"), "0::/", "S"),
    )
    assert {process.pid for process in engine.remains(record, proc)} == {CONTAINERD[0]}


# --- ours or not ----------------------------------------------------------------------------------


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "100"])
    yield process
    process.kill()
    process.wait()


def recorded(process, **changes) -> engine.Record:
    found = engine._process(Path("/proc") / str(process.pid))
    return engine.Record(
        **{
            "pid": process.pid,
            "started_ticks": found.started_ticks,
            "boot_id": engine._boot_id(),
            "data_root": str(engine.DATA_ROOT),
        }
        | changes
    )


@linux
@pytest.mark.parametrize(
    ("changes", "alive"),
    [
        ({}, True),
        ({"started_ticks": 1}, False),
        ({"boot_id": "another"}, False),
        ({"pid": 0}, False),
    ],
)
def test_ours_is_the_same_process_not_the_same_number(sleeper, changes, alive):
    recorded(sleeper, **changes).write()
    assert engine.started_by_us() is alive


@linux
@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"pid": 1}'])
def test_without_a_whole_record_nothing_is_ended(monkeypatch, text):
    if text is not None:
        path = paths.engine_state() / "engine.json"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    forbid(monkeypatch, "_signal", "_iptables", "_unmount")
    assert engine.stop(timeout_seconds=5) is False
    assert engine.started_by_us() is False


@linux
def test_after_a_reboot_the_record_is_dropped_and_nobody_is_ended(monkeypatch, sleeper):
    recorded(sleeper, boot_id="another", closed=(("iptables", "DOCKER-USER", "eth0"),)).write()
    forbid(monkeypatch, "_signal", "_iptables", "_unmount")
    assert engine.stop(timeout_seconds=5) is False
    assert engine.Record.read() is None


@linux
def test_stop_ends_the_engine_and_takes_back_its_rules(monkeypatch, sleeper, tmp_path):
    calls = []
    monkeypatch.setattr(engine, "_iptables", lambda *words, **_: calls.append(words))
    recorded(sleeper, closed=(("iptables", "DOCKER-USER", "eth0"),)).write()
    assert engine.stop(timeout_seconds=10) is True
    assert sleeper.wait(5) == -15
    assert calls == [("iptables", "-D", "DOCKER-USER", "-o", "eth0", "-j", "DROP")]
    assert engine.stop(timeout_seconds=10) is False


@linux
def test_stop_says_what_it_could_not_end(monkeypatch, sleeper, tmp_path):
    monkeypatch.setattr(
        engine, "remains", lambda *_: [engine.Found(4194304, 1, "D", ("containerd-shim",), "")]
    )
    recorded(sleeper).write()
    with pytest.raises(TimedOut) as caught:
        engine.stop(timeout_seconds=0.4)
    assert caught.value.seen == "still running: containerd-shim (4194304)"
    assert engine.Record.read() is not None


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
    monkeypatch.setattr(engine, "answering_version", lambda: "")
    monkeypatch.setattr(engine, "_here", lambda: ("Linux", DEBIAN, True, ""))
    monkeypatch.setattr(engine, "_install", lambda *_: None)
    monkeypatch.setattr(engine, "_strange_engines", lambda *_: [])
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


# --- settings, packages, network ------------------------------------------------------------------


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


class Recorder:
    """Stands in for a step: remembers what was run, fails what it is told to fail."""

    def __init__(self, *failing):
        self.failing, self.ran = failing, []

    def say(self, _):
        pass

    def run(self, command, **_):
        words = [word for word in command if not word.startswith("-") and "::" not in word][1:]
        self.ran.append(words)
        if words[0] in self.failing:
            raise LabError(f"{words[0]} failed", "", "")


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine with nothing installed; the policy file in a folder of the test's own."""
    monkeypatch.setattr(engine, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(engine, "_missing", list)
    monkeypatch.setattr(shutil, "which", lambda name, **_: {"docker": "/usr/bin/docker"}.get(name))


def test_only_what_is_missing_is_installed(bare, monkeypatch):
    step = Recorder()
    engine._install(step, ("docker.io", "jq"))
    assert step.ran == [["update"], ["install", "docker.io", "jq"]]
    monkeypatch.setattr(engine, "_missing", lambda _: [])
    engine._install(step, ("docker.io", "jq"))
    assert len(step.ran) == 2


def test_debians_engine_does_not_push_out_another(bare, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    step = Recorder()
    engine._install(step, ("docker.io", "jq"))
    assert step.ran[-1] == ["install", "jq"]


def test_the_client_is_installed_where_it_is_a_package_of_its_own(bare, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    step = Recorder()
    engine._install(step, ("docker.io",))
    assert step.ran[-1] == ["install", "docker-cli"]


def test_a_broken_source_matters_only_if_the_installation_fails(bare):
    engine._install(Recorder("update"), ("docker.io",))
    with pytest.raises(LabError, match="update failed"):
        engine._install(Recorder("update", "install"), ("docker.io",))
    with pytest.raises(LabError, match="install failed"):
        engine._install(Recorder("install"), ("docker.io",))


def test_no_service_starts_while_packages_are_installed_and_a_machines_own_policy_is_kept(bare):
    with pytest.raises(KeyboardInterrupt), engine._no_services():
        assert engine.POLICY.stat().st_mode & 0o111 and "exit 101" in engine.POLICY.read_text()
        raise KeyboardInterrupt
    assert not engine.POLICY.exists()
    engine.POLICY.write_text("#!/bin/sh\nexit 0\n")
    with engine._no_services():
        pass
    assert engine.POLICY.read_text() == "#!/bin/sh\nexit 0\n"


ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
wlan0\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0
"""
ROUTES_6 = f"""fd{"0" * 30} 40 {"0" * 32} 00 {"0" * 32} 00000100 00000001 00000000 00000001     eth1
{"0" * 32} 00 {"0" * 32} 00 fd{"0" * 29}1 00000400 00000002 00000000 00000003     eth0
{"0" * 32} 00 {"0" * 32} 00 {"0" * 32} ffffffff 00000001 00000000 00200200       lo
"""


def test_the_uplinks_are_the_devices_of_default_routes():
    assert engine.uplinks(ROUTES, ROUTES_6) == (["eth0", "wlan0"], ["eth0"])
    assert engine.uplinks("", "") == ([], [])


class Tables:
    """iptables as far as it is used here."""

    def __init__(self):
        self.rules, self.packets = [], 0

    def __call__(self, tool, *words, check=True):
        match words:
            case ["-v", "-S", chain]:
                return "".join(
                    f"-A {chain} {' '.join(rule[2:4])} -c {self.packets} 0 -j DROP\n"
                    for rule in self.rules
                    if rule[:2] == (tool, chain)
                )
            case ["-I", chain, *rest]:
                self.rules.insert(0, (tool, chain, *rest))
            case ["-D", chain, *rest]:
                self.rules.remove((tool, chain, *rest))
        return ""


@linux
def test_the_uplink_is_closed_once_and_its_counter_read(monkeypatch, sleeper):
    tables = Tables()
    monkeypatch.setattr(engine, "_iptables", tables)
    monkeypatch.setattr(
        engine,
        "_wanted_rules",
        lambda: [("iptables", "DOCKER-USER", "eth0"), ("ip6tables", "FORWARD", "eth0")],
    )
    recorded(sleeper).write()
    with pytest.raises(LabError, match="The uplink is not closed"):
        engine.uplink_packets_dropped()
    engine.close_uplink()
    engine.close_uplink()
    assert len(tables.rules) == 2
    assert set(engine.Record.read().closed) == {
        ("iptables", "DOCKER-USER", "eth0"),
        ("ip6tables", "FORWARD", "eth0"),
    }
    tables.packets = 3
    assert engine.uplink_packets_dropped() == 6


@linux
def test_the_uplink_of_a_strange_engine_is_not_closed(monkeypatch):
    forbid(monkeypatch, "_iptables")
    with pytest.raises(LabError, match="not one that podlab started"):
        engine.close_uplink()


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
