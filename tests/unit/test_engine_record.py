"""Whose engine, and whose processes. What is ended rests on this."""

import os
import subprocess

import pytest

from labhelpers.cluster import engine_record
from labhelpers.cluster.engine_record import EngineProcess, Record
from tests.unit.engines import linux, recorded

OURS, STRANGE = "a" * 64, "b" * 64


@pytest.fixture
def record(tmp_path, monkeypatch):
    """The record of an engine that had one container."""
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(engine_record, "EXEC_ROOT", tmp_path / "exec")
    (tmp_path / "exec" / "containerd" / OURS).mkdir(parents=True)
    return Record(10, 1010, "boot", str(tmp_path / "data"))


@pytest.fixture
def running(record, monkeypatch):
    """Says which processes run."""

    def say(*processes):
        there = [
            EngineProcess(
                each.pid,
                tuple(w.replace("EXEC_ROOT", str(engine_record.EXEC_ROOT)) for w in each.command),
                each.cgroups,
            )
            for each in processes
        ]
        monkeypatch.setattr(engine_record, "processes", lambda: iter(there))

    return say


CONTAINERD = EngineProcess(
    11, ("containerd", "--config", "EXEC_ROOT/containerd/containerd.toml"), "0::/"
)
SHIM = EngineProcess(
    12,
    ("/usr/bin/containerd-shim-runc-v2", "-id", OURS, "-address", "/run/containerd.sock"),
    "0::/",
)
INSIDE_V1 = EngineProcess(13, ("/sbin/init",), f"4:memory:/docker/{OURS}\n1:cpu:/docker/{OURS}")
INSIDE_V2 = EngineProcess(14, ("kubelet",), f"0::/system.slice/docker-{OURS}.scope/kubelet")
NESTED_ENGINE = EngineProcess(15, ("dockerd",), f"0::/docker/{OURS}")
STRANGERS = [
    EngineProcess(20, ("/sbin/init",), f"0::/docker/{STRANGE}"),
    EngineProcess(21, ("/usr/bin/containerd-shim-runc-v2", "-id", STRANGE), "0::/"),
    EngineProcess(22, ("containerd", "--config", "/var/run/docker/containerd.toml"), "0::/"),
    EngineProcess(23, ("docker", "logs", OURS), "0::/"),
    EngineProcess(24, ("vi", "EXEC_ROOT-notes"), "0::/"),
]


def test_what_an_engine_of_ours_left_is_told_from_everything_else(running, record):
    left = [CONTAINERD, SHIM, INSIDE_V1, INSIDE_V2, NESTED_ENGINE]
    running(*left, *STRANGERS)
    found = {process.pid for process in engine_record.remains(record)}
    assert found == {process.pid for process in left}


def test_containers_that_a_foreign_engine_took_over_are_its_own(running, record):
    foreign = EngineProcess(30, ("/usr/bin/dockerd", "-H", "fd://"), "0::/")
    running(CONTAINERD, SHIM, INSIDE_V1, foreign)
    assert {process.pid for process in engine_record.remains(record)} == {CONTAINERD.pid}


@linux
def test_the_processes_of_this_machine_are_read_without_zombies(sleeper):
    zombie = subprocess.Popen(["true"])
    try:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        found = {process.pid: process for process in engine_record.processes()}
    finally:
        zombie.wait()
    assert found[sleeper.pid].command == ("sleep", "100")
    assert found[sleeper.pid].cgroups.splitlines()[0].count(":") >= 2
    assert zombie.pid not in found


@linux
def test_the_start_is_the_one_that_the_kernel_tells(sleeper):
    """Oracle: field 22 of /proc/PID/stat. psutil counts from the boot, known to a second."""
    with open(f"/proc/{sleeper.pid}/stat", encoding="ascii") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    limit = engine_record.SAME_START_SECONDS * os.sysconf("SC_CLK_TCK")
    assert abs(engine_record.started_ticks(sleeper.pid) - ticks) < limit


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
def test_ours_is_the_same_process_not_the_same_number(record, sleeper, changes, alive):
    recorded(sleeper, **changes).write()
    assert engine_record.is_alive(Record.read()) is alive


@linux
def test_an_engine_that_has_ended_is_not_alive(record):
    process = subprocess.Popen(["sleep", "100"])
    kept = recorded(process)
    assert engine_record.is_alive(kept)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not engine_record.is_alive(kept), "a zombie counts as alive"
    process.wait()
    assert not engine_record.is_alive(kept)
