"""`make test` as such: what it says of what did not run, and what it ends afterwards. No part of it
is run here."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from labhelpers import paths
from labhelpers.cluster import docker, lifecycle
from tests import CLUSTER, HALF, ROOM, labs, run


def part(name, code):
    return run.Part(name, [sys.executable, "-c", code])


@pytest.fixture
def parts(monkeypatch):
    """A run of three parts; the code of the first may be changed."""
    chosen = [part("cluster up", "0"), part("side by side", "0"), part("cluster down", "0")]
    monkeypatch.setattr(run, "parts", lambda: chosen)
    monkeypatch.setattr(sys, "argv", ["run"])
    return chosen


def test_a_whole_run_left_nothing_out(parts, capsys):
    assert run.main() == 0
    assert capsys.readouterr().out.endswith("Nothing was left out.\n")


def test_what_was_not_run_for_want_of_a_cluster_is_named(parts, capsys):
    parts[0].command[-1] = "exit(1)"
    assert run.main() == 1
    said = capsys.readouterr().out
    assert "Not run here, and why:\n  all of side by side: there is no cluster\n" in said
    assert "Nothing was left out." not in said
    assert parts[-1].code == 0


def test_what_was_not_run_after_a_ctrl_c_is_named(parts, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(run.subprocess, "call", interrupted)
    parts.insert(0, part("unit", "0"))
    assert run.main() == 1
    told = capsys.readouterr().out
    assert "FAILED (130)" in told
    assert [line for line in told.splitlines() if "interrupted before" in line] == [
        f"  all of {name}: the run was interrupted before"
        for name in ("cluster up", "side by side", "cluster down")
    ]


@pytest.mark.parametrize(
    ("programs", "user", "there"),
    [
        ({"apt-get"}, 0, True),
        ({"apt-get", "google-chrome"}, 0, False),
        ({"apt-get"}, 1000, False),
        (set(), 0, False),
    ],
)
def test_a_browser_is_fetched_where_that_can_be(monkeypatch, programs, user, there):
    monkeypatch.setattr(run.shutil, "which", lambda name: name if name in programs else None)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert (run.parts()[0].name == "browser") is there
    assert "browser" not in run.UNIT


def test_every_example_is_run():
    """Those in tests/unit are run with it."""
    folders = ("labhelpers", "kind", "benchmarks", "docs", "tests")
    modules = [
        path.relative_to(paths.repository())
        for folder in folders
        for path in paths.repository().glob(f"{folder}/**/*.py")
    ]
    examples = [
        str(path)
        for path in modules
        if re.search(
            "^ *>>> ", (paths.repository() / path).read_text(encoding="utf-8"), re.MULTILINE
        )
    ]
    assert len(examples) > 20
    assert [path for path in examples if not path.startswith((*run.EXAMPLES, "tests/unit"))] == []


def test_the_labs_that_run_backwards_do_not_all_begin_at_once():
    command = next(part.command for part in run.parts() if part.name == "labs again")
    workers = int(command[-1].removeprefix("--numprocesses="))
    assert 1 < workers < len([name for name in labs.WRITTEN if not labs.has_the_node(name)])
    assert "--backwards" in command


def test_clean_ends_every_cluster_of_the_tests_and_then_the_engine(monkeypatch):
    done = []
    monkeypatch.setattr(
        run.subprocess,
        "call",
        lambda command, **more: done.append([*command[2:], more["env"]["PODLAB_CLUSTER"]]),
    )
    monkeypatch.setattr(docker, "run", lambda *words, **_: done.append(words))
    monkeypatch.setattr(lifecycle, "stop_engine", lambda: done.append("engine"))
    assert run.clean() == 0
    removed = [("rm", "--force", "--volumes", f"{name}-control-plane") for name in (HALF, ROOM)]
    assert done == [["labhelpers.cli", "down", CLUSTER], *removed, "engine"]


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("INT", 130), ("", 0)])
def test_ci_cleans_up_also_when_it_is_ended(tmp_path, name, code):
    """Stand-ins: a `make` that sends its parent the signal, and a Python of the project that notes
    what it is asked."""
    script = tmp_path / ".ci" / "run"
    script.parent.mkdir()
    shutil.copy(paths.repository() / ".ci" / "run", script)
    programs = {
        "make": f"kill -{name} $PPID" if name else "exit 0",
        "python3": f"echo {tmp_path}/python",
        "python": f'echo "$@" >>{tmp_path}/asked',
    }
    for program, text in programs.items():
        (tmp_path / program).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / program).chmod(0o755)
    done = subprocess.run(
        [script], env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, timeout=30
    )
    assert done.returncode == code
    assert (tmp_path / "asked").read_text() == "-m tests.run clean\n"
