"""What is made of the processes that the node prints."""

import re
import subprocess
from pathlib import Path

import pytest

from labhelpers.errors import LabError
from labhelpers.node import processes
from labhelpers.node.processes import (
    Clock,
    Process,
    ProcessWatch,
    first_process,
    parse,
    snapshot_script,
)

RECORDED = Path(__file__).parent / "recorded"
A, B = "a" * 64, "b" * 64


def process(pid, ticks, container_id=A, state="S"):
    return Process(
        pid,
        1,
        "sleep",
        "sleep 9",
        "containerd-shim",
        container_id,
        ticks,
        1.0,
        0,
        state,
        {},
        1,
        "/",
    )


def recorded_look():
    text = (RECORDED / "look.txt").read_text()
    uid = re.search(r"pod([0-9a-f_]{36})", text)[1].replace("_", "-")
    return text, uid


def test_a_recorded_look():
    """A Pod with a container that sleeps, and one that sleeps with two children, of which one is
    dead and not reaped."""
    look = parse(*recorded_look(), 1.0, 2.0)
    assert [
        (each.command, each.parent_command, each.state, each.pid_in_container)
        for each in look.processes
    ] == [
        ("pause", "containerd-shim", "S", 1),
        ("sleep", "containerd-shim", "S", 1),
        ("sleep", "containerd-shim", "S", 1),
        ("sleep", "sleep", "S", 6),
        ("sh", "sleep", "Z", 7),
    ]
    pause, a, b, child, dead = look.processes
    assert pause.namespaces == {
        "net": 4026532819,
        "ipc": 4026532892,
        "uts": 4026532891,
        "pid": 4026532893,
        "mnt": 4026532890,
        "user": 4026531837,
        "cgroup": 4026532254,
    }
    assert {each.namespaces["net"] for each in (pause, a, b, child)} == {4026532819}
    assert len({each.namespaces["pid"] for each in (pause, a, b)}) == 3
    assert look.node_network == 4026532185
    assert (b.command_line, child.parent_pid, child.command_line) == (
        "sleep 3601",
        b.pid,
        "sleep 3602",
    )
    assert [each.container_id[:6] for each in look.processes] == [
        "bf1283",
        "223c0e",
        "1aa7d9",
        "1aa7d9",
        "1aa7d9",
    ]
    assert (a.started_ticks, round(a.started_seconds, 2)) == (232641, 1795501369.33)
    assert (look.begin_seconds, round(look.end_seconds - look.begin_seconds, 2)) == (
        1795501369.499796772,
        0.01,
    )
    assert set(dead.namespaces) == {"pid", "user"}


def test_a_look_that_was_cut_short_is_an_error_and_not_an_empty_pod():
    text, uid = recorded_look()
    with pytest.raises(LabError, match="cut short"):
        parse(text[: len(text) // 2], uid, 1.0, 2.0)


def test_a_process_that_ended_during_the_look_keeps_what_was_seen_of_it():
    stat = "stat 7 (sl) eep) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1234 0 0"
    [found] = parse(f"begin 100.00 1000.0\n{stat}\nend 100.01\n", "uid", 1.0, 2.0).processes
    assert (found.command, found.pid, found.started_ticks, found.started_seconds) == (
        "sl) eep",
        7,
        1234,
        912.34,
    )
    assert (found.namespaces, found.container_id) == ({}, "")


def test_the_first_process_is_the_oldest_that_lives():
    zombie, first, child, other = (
        process(5, 90, state="Z"),
        process(30, 100),
        process(20, 200),
        process(2, 1, B),
    )
    assert first_process([child, other, first, zombie], A) is first
    assert first_process([process(31, 100), first], A) is first
    assert first_process([zombie, other], A) is None
    runc = {"command": "runc:[1:CHILD]"}, {"command": "exe", "parent_command": "runc"}
    assert (
        first_process([*(Process(**{**vars(process(9, 80)), **what}) for what in runc), first], A)
        is first
    )


def test_the_same_process_is_the_same_id_and_start():
    assert process(7, 100) == process(7, 100, state="R")
    assert process(7, 100) != process(7, 101)
    assert len({process(7, 100), process(7, 100, state="R"), process(7, 101)}) == 2


@pytest.mark.parametrize(
    ("name", "words", "command"),
    [
        ("pause", ["/pause"], "pause"),
        ("exe", ["/bin/sleep", "9"], "sleep"),
        ("busybox", ["sh"], "sh"),
        ("exe", [], "exe"),
    ],
)
def test_a_busybox_is_called_by_its_applet(name, words, command):
    assert processes._applet(name, words) == command


def test_the_clock_is_narrowed_by_each_question():
    assert Clock.between([(0, 50.5, 1), (10, 60.2, 10.4)]) == Clock(50.0, 0.2)


class FakeLines:
    """The loop of looks, in a shell of this machine, over a folder instead of /proc."""

    def __init__(self, script, folder):
        script = script.replace("cd /proc", f"cd {folder}")
        self.shell = subprocess.Popen(
            ["bash", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def send(self, text):
        self.shell.stdin.write(text)
        self.shell.stdin.flush()

    def __iter__(self):
        return (line.rstrip("\n") for line in self.shell.stdout)

    def close(self):
        self.shell.communicate()


def test_looks_read_all_only_where_something_has_changed(tmp_path):
    """A process, at first still runc on its way; then the program; then dead."""

    def is_now(name, state, parent):
        (tmp_path / "7/stat").write_text(
            f"7 ({name}) {state} 5 {' '.join(map(str, range(5, 22)))} 900 23\n"
        )
        (tmp_path / "5/comm").write_text(f"{parent}\n")

    for folder in ("5", "7"):
        (tmp_path / folder).mkdir()
    (tmp_path / "uptime").write_text("100.00 1.00\n")
    (tmp_path / "7/cgroup").write_text(f"0::/kubepods-pod1.slice/cri-containerd-{A}.scope\n")
    (tmp_path / "7/status").write_text("Uid:\t65534\t0\nNSpid:\t7\t1\n")
    (tmp_path / "7/cmdline").write_bytes(b"sleep\x009\x00")
    is_now("runc:[2:INIT]", "S", "runc")
    looks = ProcessWatch(
        FakeLines(f"while read -r; do\n{snapshot_script('1')}\ndone", tmp_path), "1"
    )
    try:
        first = looks.look()
        (tmp_path / "7/status").unlink()  # what is not read again cannot be missed
        again = looks.look()
        (tmp_path / "7/status").write_text("Uid:\t0\t0\nNSpid:\t7\t1\n")
        is_now("sleep", "S", "runc")
        renamed = looks.look()
        is_now("sleep", "S", "containerd-shim")
        program = looks.look()
        is_now("sleep", "R", "containerd-shim")
        busy = looks.look()
        is_now("sleep", "Z", "containerd-shim")
        dead = looks.look()
        (tmp_path / "7/cgroup").unlink()
        gone = looks.look()
    finally:
        looks.close()
    [one] = first.processes
    assert (one.command, one.uid, one.runs) == ("runc:[2:INIT]", 65534, False)
    assert again.processes == first.processes
    assert again.begin_seconds > first.begin_seconds
    assert [each.command for each in renamed.processes] == ["sleep"]
    [one] = program.processes
    assert (one.command, one.uid, one.parent_command, one.runs) == (
        "sleep",
        0,
        "containerd-shim",
        True,
    )
    assert busy.processes[0] is program.processes[0]
    assert [each.runs for each in dead.processes] == [False]
    assert gone.processes == ()
    assert first.cpu_seconds > 0, "its programs have cost something"
    assert all(0 <= each.cpu_seconds < 1 for each in (first, again, program, busy, dead, gone))
