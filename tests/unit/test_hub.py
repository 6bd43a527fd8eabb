"""One big machine for a room: names, passwords, seats, and what a participant's kernel gets."""

import asyncio
import json
import os
import pwd
import stat
import sys
from types import SimpleNamespace

import pytest

from labhelpers import paths
from labhelpers.cluster import lifecycle
from labhelpers.errors import LabError
from labhelpers.hub import desk, people, seats
from labhelpers.hub.people import Entrance, Person
from labhelpers.hub.turns import Turns

ADA = Person("ada")


@pytest.fixture
def entrance(tmp_path):
    return Entrance(tmp_path, room="blue", teacher="green")


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "-ada",
        "ada-",
        "<script>alert(1)</script>",
        "a/b",
        "..",
        "{{ 7 }}",
        "x" * 21,
        "ада",
        "%2e",
    ],
)
def test_a_name_that_no_cluster_can_have_is_refused(typed):
    with pytest.raises(LabError, match="can't be part of a cluster's name"):
        people.a_name(typed)


def test_the_longest_name_fits_a_unix_user_and_a_kernels_socket():
    person = Person("x" * people.LONGEST_NAME)
    assert len(person.unix_user) <= 32
    assert len(f"{person.home}/.run/kernel-{'0' * 36}-ipc-5") <= 107
    assert paths.ClusterFiles(person.cluster).container


def test_a_second_person_of_that_name_isnt_let_in_and_the_first_comes_back(entrance, tmp_path):
    assert entrance.admit("Ada", "blue", "first-word") == "ada"
    with pytest.raises(LabError, match="Somebody has the name ada already"):
        entrance.admit("ada", "blue", "other-word")
    again = Entrance(tmp_path)  # the hub restarts
    assert again.room == "blue" and again.admit(" ADA ", "blue", "first-word") == "ada"
    again.forget("ada")
    assert again.admit("ada", "blue", "other-word") == "ada"
    assert again.names() == ["ada"]


@pytest.mark.parametrize(
    ("name", "room", "password", "seen"),
    [
        ("ada", "red", "first-word", "pass-phrase of this room"),
        ("ada", "", "first-word", "pass-phrase of this room"),
        ("ada", "blue", "short", "too short"),
        ("teacher", "blue", "first-word", "pass-phrase of this room"),
    ],
)
def test_who_isnt_let_in_takes_no_name(entrance, name, room, password, seen):
    with pytest.raises(LabError, match=seen):
        entrance.admit(name, room, password)
    assert entrance.names() == []


def test_what_the_entrance_keeps_is_private_and_no_password_is_in_it(entrance, tmp_path):
    entrance.admit("ada", "blue", "first-word")
    kept = [path for path in tmp_path.iterdir() if path.is_file()]
    assert {path.name for path in kept} == {"people.json", "room", "teacher"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert "first-word" not in (tmp_path / "people.json").read_text()


def test_a_damaged_list_of_participants_is_named(entrance, tmp_path):
    (tmp_path / "people.json").write_text("{")
    with pytest.raises(LabError, match=r"people\.json"):
        entrance.admit("ada", "blue", "first-word")


def test_a_full_disk_lets_nobody_new_in_and_everybody_else(small_disk):
    entrance = Entrance(small_disk.folder, "blue")
    entrance.admit("Ada", "blue", "adas own")
    small_disk.fill()
    with pytest.raises(LabError, match="No space left") as caught:
        entrance.admit("Bob", "blue", "bobs own")
    assert "full" in caught.value.do
    assert entrance.admit("Ada", "blue", "adas own") == "ada"
    small_disk.free()
    assert entrance.admit("Bob", "blue", "bobs own") == "bob"


def test_pass_phrases_are_made_where_none_is_given(tmp_path):
    made = Entrance(tmp_path)
    assert made.room != made.teacher and len(made.room) == 10
    assert Entrance(tmp_path).room == made.room


# --- Seats ----------------------------------------------------------------------------------------


@pytest.fixture
def status(monkeypatch):
    """What `podlab status` says of ADA's cluster."""
    now = SimpleNamespace(value=lifecycle.Status(ADA.cluster, "absent"))
    monkeypatch.setattr(lifecycle, "status", lambda _: now.value)
    return now


@pytest.fixture
def useradd(monkeypatch):
    """No user is made: the commands, and what the next one answers."""
    asked = SimpleNamespace(commands=[], code=0, errors="")

    def run(command, **_):
        asked.commands.append(command)
        return SimpleNamespace(returncode=asked.code, stderr=asked.errors)

    monkeypatch.setattr(seats.subprocess, "run", run)
    return asked


def test_a_user_is_made_once_with_a_home_that_only_they_read(status, useradd, monkeypatch):
    seats.make_user(ADA)
    [command] = useradd.commands
    assert command[0] == "useradd" and command[-1] == "podlab-ada" and "HOME_MODE=0700" in command
    user = SimpleNamespace(pw_gecos=seats.MARK)
    monkeypatch.setattr(pwd, "getpwnam", lambda _: user)
    seats.make_user(ADA)
    assert len(useradd.commands) == 1


def test_a_cluster_that_the_room_didnt_make_is_nobodys_seat(status, useradd):
    status.value = lifecycle.Status(ADA.cluster, "running")
    with pytest.raises(LabError, match="isn't this room's"):
        seats.make_user(ADA)
    assert useradd.commands == []


def test_a_user_of_the_machine_is_never_a_participant(status, useradd, monkeypatch):
    monkeypatch.setattr(pwd, "getpwnam", lambda _: SimpleNamespace(pw_gecos="Ada Lovelace"))
    assert not seats.is_ours(ADA)
    with pytest.raises(LabError, match="is taken here"):
        seats.make_user(ADA)
    assert useradd.commands == []


def test_a_full_disk_is_said_in_three_lines(status, useradd):
    useradd.code, useradd.errors = 1, "useradd: /etc/passwd: No space left on device"
    with pytest.raises(LabError) as caught:
        seats.make_user(ADA)
    assert "No space left" in caught.value.seen and "space" in caught.value.do


def test_a_participant_gets_nothing_of_roots(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/opt/of-root:/usr/bin")
    given = seats.Seats(tmp_path).environment(ADA)
    assert "/opt/of-root" not in given["PATH"]
    assert given["PATH"].startswith(f"{tmp_path}/shared/bin:")
    assert given["PODLAB_CLUSTER"] == "podlab-ada" and given["PODLAB_HOME"].startswith(
        given["HOME"]
    )
    assert given["KUBECONFIG"].startswith(given["HOME"])


def test_a_cluster_that_died_is_one_line(status, tmp_path):
    room = seats.Seats(tmp_path)
    status.value = lifecycle.Status(ADA.cluster, "running")
    assert asyncio.run(room.trouble(ADA)) == ""
    status.value = lifecycle.Status(ADA.cluster, "stopped", detail="its container is exited")
    line = asyncio.run(room.trouble(ADA))
    assert "podlab-ada" in line and "exited" in line and "Stop My Server" in line
    assert "\n" not in line


@pytest.fixture
def podlab(monkeypatch, tmp_path):
    """A `podlab` of the test's own: a script in Python."""

    def is_now(script):
        (tmp_path / "podlab.py").write_text(script)
        monkeypatch.setattr(seats, "_PODLAB", (sys.executable, str(tmp_path / "podlab.py")))

    return is_now


def test_progress_is_said_line_by_line_and_a_failure_keeps_its_three_lines(podlab, tmp_path):
    podlab(
        "import os, sys\n"
        "print('cluster', os.environ['PODLAB_CLUSTER'], sys.argv[1], flush=True)\n"
        "sys.exit('Full.\\nSeen: 0 bytes free\\nDo:   Free some.')"
    )
    said = []
    with pytest.raises(LabError) as caught:
        asyncio.run(seats.Seats(tmp_path)._up(ADA, said.append))
    assert said == ["cluster podlab-ada up"]
    assert str(caught.value) == "Full.\nSeen: 0 bytes free\nDo:   Free some."
    assert seats.one_line(caught.value) == "Full. Seen: 0 bytes free. Do: Free some."


def test_whoever_has_no_seat_leaves_without_a_podlab_down(podlab, tmp_path):
    podlab(f"open({str(tmp_path / 'ran')!r}, 'w')")
    asyncio.run(seats.Seats(tmp_path).leave(Person("nobody-has-this")))
    assert not (tmp_path / "ran").exists()


def test_kubectl_is_shared_and_nobody_writes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_CACHE", str(tmp_path / "cache"))
    paths.tools().mkdir(parents=True)
    (paths.tools() / "kubectl").write_text("1")
    room = seats.Seats(tmp_path / "hub")
    room._share_kubectl()
    shared = tmp_path / "hub/shared/bin/kubectl"
    assert shared.read_text() == "1" and stat.S_IMODE(shared.stat().st_mode) == 0o555


def test_a_record_is_taken_over_but_no_link_is_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "root"))
    monkeypatch.setattr(Person, "home", property(lambda _: tmp_path / "home"))
    record = tmp_path / "home/.local/state/podlab/podlab-ada" / seats.RECORD
    record.parent.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    record.symlink_to(tmp_path / "secret")
    seats._take_over_record(ADA)
    taken = paths.state(ADA.cluster) / seats.RECORD
    assert not taken.exists()
    record.unlink()
    record.write_text("[]")
    seats._take_over_record(ADA)
    assert taken.read_text() == "[]"


def test_a_python_that_participants_cant_run_is_refused(tmp_path):
    with pytest.raises(LabError, match="Participants can't run this Python"):
        seats.refuse_private_python(str(tmp_path / "python"))


# --- The desk -------------------------------------------------------------------------------------


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PODLAB_HOME", str(tmp_path / "podlab"))
    monkeypatch.setenv("PODLAB_CLUSTER", "podlab-ada")
    monkeypatch.setattr(os, "umask", lambda _: 0o022)
    return tmp_path


def test_a_desk_has_the_labs_a_private_kubeconfig_and_kernels_without_ports(at_home):
    arguments = desk.prepare("apiVersion: v1\n")
    assert stat.S_IMODE(paths.kubeconfig().stat().st_mode) == 0o600
    assert (at_home / "podlab/notebooks/00_start_here.ipynb").is_file()
    assert "--KernelManager.transport=ipc" in arguments
    assert "--ServerApp.default_url=/lab/tree/00_start_here.ipynb" in arguments


def test_a_desk_that_was_left_is_as_it_was(at_home):
    desk.prepare("a")
    mine = at_home / "podlab/notebooks/mine"
    mine.mkdir(exist_ok=True)
    (mine / "answer.yaml").write_text("mine")
    desk.prepare("b")
    assert paths.kubeconfig().read_text() == "b" and (mine / "answer.yaml").read_text() == "mine"


def test_a_desk_on_a_full_disk_says_so_in_three_lines(at_home, small_disk, monkeypatch, capsys):
    monkeypatch.setenv("PODLAB_HOME", str(small_disk.folder / "podlab"))
    small_disk.fill()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(read=lambda: "a"))
    assert desk.main() == 1
    said = capsys.readouterr()
    assert "No space left on device" in said.err and len(said.err.splitlines()) == 3
    assert not said.out


def test_the_desk_hands_over_its_arguments_as_json(at_home, monkeypatch, capsys):
    monkeypatch.setattr(desk, "prepare", lambda text: [text])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(read=lambda: "--x"))
    assert desk.main() == 0
    assert json.loads(capsys.readouterr().out) == ["--x"]


# --- Turns ----------------------------------------------------------------------------------------


def test_thirty_who_start_at_once_get_their_turn_in_order_three_at_a_time():
    turns, began, said, most = Turns(3), [], {}, []

    async def start(number: int) -> None:
        async with turns.turn(said.setdefault(number, []).append):
            began.append(number)
            most.append(len(began) - ended[0])
            await asyncio.sleep(0)
            ended[0] += 1

    async def all_at_once() -> None:
        await asyncio.gather(*map(start, range(30)))

    ended = [0]
    asyncio.run(all_at_once())
    assert began == list(range(30)) and max(most) == 3
    assert not said[0] and said[3] == ["waiting for a turn: you're next"]
    assert said[29][0] == "waiting for a turn: 26 are before you"
    assert said[29][-1] == "waiting for a turn: you're next"


def test_who_fails_or_gives_up_keeps_nobody_waiting():
    async def room() -> list[str]:
        turns, began = Turns(1), []

        async def start(name: str, fails: bool = False) -> None:
            async with turns.turn(lambda _: None):
                began.append(name)
                await asyncio.sleep(0)
                if fails:
                    raise LabError("Full.", "0 bytes", "Free some.")

        tasks = [asyncio.create_task(start(*one)) for one in (("a", True), ("b",), ("c",), ("d",))]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with turns.turn(lambda _: began.append("it should be free")):
            return began

    assert asyncio.run(room()) == ["a", "c", "d"]
