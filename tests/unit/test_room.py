"""Whether one machine carries a room."""

import pytest

from labhelpers.cluster import doctor, room
from labhelpers.cluster.machine import MachineFacts

GB = 1000**3
BIG = {"ServerVersion": "29.1", "KernelVersion": "6.18.0", "MemTotal": 64 * GB, "NCPU": 16}


def facts(free=200 * GB, instances=8192, **info):
    return MachineFacts(docker_info={**BIG, **info}, free_bytes=free, inotify_instances=instances)


def judged(machine, people=30):
    return {each.name.removeprefix("room: "): each for each in room.judge(machine, people)}


def test_a_big_machine_carries_thirty():
    found = judged(facts())
    assert all(each.ok for each in found.values())
    assert room.verdict(list(found.values()), 30) == "This machine carries a room of 30."


@pytest.mark.parametrize(
    ("machine", "what", "fix"),
    [
        (facts(MemTotal=16 * GB), "memory", "It's enough for 10."),
        (facts(NCPU=2), "processors", "It's enough for 7."),
        (facts(free=20 * GB), "disk", "Free 12 GB more."),
        (facts(instances=128), "inotify", "sysctl -w fs.inotify.max_user_instances=2048"),
    ],
)
def test_what_is_short_is_said_and_for_how_many_it_is_enough(machine, what, fix):
    found = judged(machine)
    assert [name for name, each in found.items() if each.ok is False] == [what]
    assert fix in found[what].fix
    told = room.verdict(list(found.values()), 30)
    assert told == f"This machine is too small for a room of 30: {what}."


def test_the_number_that_is_said_to_fit_fits():
    machine = facts(MemTotal=16 * GB)
    assert judged(machine, 10)["memory"].ok is True
    assert judged(machine, 11)["memory"].ok is False


def test_few_processors_are_a_note_because_only_labs_at_once_need_more():
    found = judged(facts(NCPU=8))
    assert found["processors"].ok is None
    assert found["processors"].fix == "It's enough for 16 at once; more have to wait."
    assert room.verdict(list(found.values()), 30).endswith("with the notes above.")


def test_what_is_not_known_is_no_refusal():
    found = judged(MachineFacts(system="Darwin"))
    assert {each.ok for each in found.values()} == {None}


def test_doctor_ends_with_the_room(monkeypatch):
    monkeypatch.setattr(doctor, "gather", lambda *_, **__: facts(MemTotal=16 * GB))
    text, works = doctor.report("a-cluster-that-nobody-made", people=30)
    assert "NO    room: memory" in text
    assert "too small for a room of 30" in text.splitlines()[-1]
    assert not works
