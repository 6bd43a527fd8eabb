"""How a machine is read: what is asked, and what an answer that fails is worth."""

import os
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from labhelpers.cluster import machine
from labhelpers.paths import ClusterFiles


def test_a_closed_machine_is_never_asked_for_a_registry(monkeypatch):
    asked = []
    monkeypatch.setattr(machine, "_run", lambda command: asked.append(command) or (1, "", "no"))
    monkeypatch.delenv("PODLAB_DOOR", raising=False)
    monkeypatch.setenv("PODLAB_OFFLINE", "1")
    assert (
        machine.gather(ClusterFiles("podlab"), node_images=["x"], registry_image="y").registry
        is None
    )
    assert not [command for command in asked if "manifest" in command]
    monkeypatch.delenv("PODLAB_OFFLINE")
    assert (
        machine.gather(ClusterFiles("podlab"), node_images=["x"], registry_image="y").registry
        == "no"
    )
    monkeypatch.setenv("PODLAB_DOOR", "build")
    assert (
        machine.gather(ClusterFiles("podlab"), node_images=["x"], registry_image="y").registry
        is None
    )
    monkeypatch.delenv("PODLAB_DOOR")
    monkeypatch.setattr(machine, "_run", lambda command: asked.append(command) or (0, "", ""))
    asked.clear()
    assert machine.gather(
        ClusterFiles("podlab"), node_images=["x"], registry_image="y"
    ).node_images == ["x"]
    assert not [command for command in asked if "manifest" in command]


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ([sys.executable, "-c", "import sys; sys.exit('one\\ntwo\\n\\n')"], 1, "two"),
        (["no-such-program"], 127, "no-such-program isn't installed"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], 124, "no answer within 0.5 s"),
    ],
)
def test_a_program_that_fails_is_missing_or_hangs_is_an_answer_too(
    monkeypatch, command, code, words
):
    monkeypatch.setattr(machine, "PROBE_SECONDS", 0.5 if code == 124 else 30)
    assert machine._run(command) == (code, "", words)


def test_the_disk_of_the_cache_is_looked_at_before_there_is_a_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_run", lambda _: (1, "", "no"))
    monkeypatch.setenv("PODLAB_CACHE", str(tmp_path / "not" / "yet"))
    facts = machine.gather(ClusterFiles("podlab"))
    assert facts.cache_free_bytes > 0 and not facts.build_begun
    (tmp_path / "not" / "yet" / "go").mkdir(parents=True)
    assert machine.gather(ClusterFiles("podlab")).build_begun


def test_an_engine_that_prints_nonsense_does_not_answer(monkeypatch):
    monkeypatch.setattr(machine, "_run", lambda _: (0, "not json", ""))
    assert not machine.gather(ClusterFiles("podlab")).answers


def test_a_port_that_is_taken_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "in use" in machine._bind_wanted(str(taken.getsockname()[1]))
    assert machine._bind_wanted("0") == ""
    assert machine._bind_wanted("lab") == "not a number"
    assert machine._bind_wanted("70000") != ""


@pytest.mark.parametrize("variable", ["PODLAB_STATE", "PODLAB_CACHE"])
def test_files_that_cannot_be_used_are_seen(closed_folder, monkeypatch, variable):
    monkeypatch.setattr(machine, "_run", lambda _: (1, "", "no"))
    monkeypatch.setenv("PODLAB_STATE", tempfile.gettempdir())
    monkeypatch.setenv("PODLAB_CACHE", tempfile.gettempdir())
    assert machine.gather(ClusterFiles("no-such")).files_trouble == ("", "", "")
    for folder, seen in {
        closed_folder: (str(closed_folder), "can't be read and written by this user"),
        closed_folder / "below": (str(closed_folder), "can't be read and written by this user"),
        Path(os.devnull): (os.devnull, "is not a folder"),
    }.items():
        monkeypatch.setenv(variable, str(folder))
        assert machine.gather(ClusterFiles("no-such")).files_trouble == (*seen, variable)
