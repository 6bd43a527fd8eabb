"""`make test` as such: what it runs, what it runs a second time, what it says of what did not run,
and what it ends afterwards. No part of the real one is run here."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from labhelpers import paths
from labhelpers.cluster import docker, lifecycle
from tests import CLUSTER, HALF, ROOM, SEATS, SECOND, SESSION, labs, outcomes, run
from tests.outcomes import Case, Part, Run

ROOT = paths.repository()


def part(name, code, **more):
    return Part(name, [sys.executable, "-c", code], **more)


@pytest.fixture
def parts(monkeypatch):
    """A run of three parts; the code of the first may be changed."""
    chosen = [part("cluster up", "0"), part("side by side", "0"), part("cluster down", "0")]
    monkeypatch.setattr(run, "parts", lambda *_: chosen)
    monkeypatch.setattr(sys, "argv", ["run"])
    monkeypatch.setenv("PODLAB_ROTA", "all")
    return chosen


def test_a_whole_run_left_nothing_out(parts, capsys):
    assert run.main() == 0
    assert capsys.readouterr().out.endswith("Nothing was left out.\n")


def test_what_is_left_to_other_commits_is_named(parts, capsys, monkeypatch):
    monkeypatch.setenv("PODLAB_ROTA", "kills")
    assert run.main() == 0
    said = capsys.readouterr().out
    assert (
        "(`make test-all` runs them): "
        "labs-again, browser, bundle, engines, registry, load, session, hub, capstone, "
        "answers\n" in said
    )


def test_without_a_cluster_what_was_not_run_is_named(parts, capsys):
    parts[0].command[-1] = "exit(1)"
    assert run.main() == 1
    said = capsys.readouterr().out
    assert "Not run here, and why:\n  all of side by side: there is no cluster\n" in said
    assert "Nothing was left out." not in said
    assert parts[-1].code == 0


def test_what_was_not_run_after_a_ctrl_c_is_named(parts, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(outcomes.subprocess, "call", interrupted)
    monkeypatch.setattr(run, "git", lambda *_: "")
    parts.insert(0, part("unit", "0"))
    assert run.main() == 1
    told = capsys.readouterr().out
    assert "FAILED (130)" in told
    assert [line for line in told.splitlines() if "interrupted before" in line] == [
        f"  all of {name}: the run was interrupted before"
        for name in ("cluster up", "side by side", "cluster down")
    ]


@pytest.mark.parametrize("code", [0, 1])
def test_a_part_that_runs_meanwhile_is_shown_and_judged_before_what_follows(parts, capfd, code):
    """It ends only when the part beside it has begun."""
    seen = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.05)\n"
    mark = paths.repository() / f"seen-{os.getpid()}"
    parts[0] = part("cluster up", f"{seen}print('up now'); exit({code})", meanwhile=True)
    parts[0].command.append(str(mark))
    parts.insert(1, part("unit", "import sys; open(sys.argv[1], 'w')"))
    parts[1].command.append(str(mark))
    try:
        assert run.main() == code
    finally:
        mark.unlink()
    said = capfd.readouterr().out
    assert said.index("=== unit") < said.index("up now") < said.index("=== cluster down")
    assert parts[2].code == (None if code else 0)


@pytest.mark.parametrize(
    ("words", "group", "seen"), [(["ring"], "", "ring"), ([], "oom", "PODLAB_ROTA is all, labs-")]
)
def test_what_there_is_not_is_refused(parts, monkeypatch, capsys, words, group, seen):
    monkeypatch.setattr(sys, "argv", ["run", *words])
    monkeypatch.setenv("PODLAB_ROTA", group)
    assert run.main() == 2
    assert seen in capsys.readouterr().err


# --- What runs when -------------------------------------------------------------------------------


def test_over_the_commits_each_group_has_its_turn_in_either_order_of_the_labs():
    turns = {(run.rota(number)[0], number % 2) for number in range(2 * len(run.ROTA))}
    assert turns == {(name, order) for name in run.ROTA for order in (0, 1)}
    assert run.rota(5, "all") == run.ROTA


def test_half_of_the_commits_run_the_labs_backwards_and_the_rota_the_other_way():
    for number in (0, 1):
        turned = {
            part.name: "--backwards" in part.command
            for part in run.parts(number, ["labs-again"])
            if "tests.notebooks.plugin" in part.command
        }
        assert turned == {
            "side by side": number == 1,
            "own node": number == 1,
            "own node, second cluster": number == 1,
            "alone": number == 1,
            "rota: labs again": number == 0,
            "rota: labs again, alone": number == 0,
        }


def test_a_lab_that_has_its_node_runs_on_one_of_the_two():
    by_name = {part.name: part.command for part in run.parts(0, [])}
    first, second = by_name["own node"], by_name["own node, second cluster"]
    own = {name for name in labs.WRITTEN if "own_node" in {mark.name for mark in labs.marks(name)}}
    there = {name for name in own if f"notebooks/{name}" in second}
    assert there and {f"notebooks/{name}" for name in there} == set(run.ON_THE_SECOND)
    assert {name for name in own if f"notebooks/{name}" in first} == own - there != set()


def test_every_group_of_the_rota_has_tests_and_every_mark_a_group():
    marked = {
        name
        for path in (ROOT / "tests").glob("*/test_*.py")
        if path.parent.name in ("cluster", "browser")
        for name in re.findall(r'rota\(group="([\w-]+)"\)', path.read_text(encoding="utf-8"))
    }
    assert marked == set(run.ROTA) - {"labs-again"}
    assert set(run.OF_THE_MAKING) < set(run.ROTA)


def test_the_two_labs_of_the_browser_are_two_and_each_has_its_turn():
    expressions = {
        run.two_labs(number)
        for number in range(0, 2 * len(run.ROTA) * len(labs.WRITTEN), 2 * len(run.ROTA))
    }
    two = [re.findall(r"\b\d\d_\w+", words) for words in expressions]
    assert {len(each) for each in two} == {2}
    shared = {name for name in labs.WRITTEN if not labs.has_the_node(name)}
    assert {f"{name}.ipynb" for each in two for name in each} == shared - {labs.CELL_BY_CELL}


def test_the_commit_is_that_of_a_fresh_clone_too(tmp_path, monkeypatch):
    """A clone that has one commit, and no names of its own."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(origin)]
    subprocess.run(["git", "init", "-q", str(origin)], check=True)
    for folder in ("docs", "kind"):
        (origin / folder).mkdir()
        (origin / folder / "a").touch()
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-q", "-m", folder], check=True)
    monkeypatch.setattr(run, "REPOSITORY", origin)
    number, changed = run.commit_number(), ["diff", "--name-only", "HEAD~1", "HEAD", "--"]
    assert run.git(*changed, *run.MAKING) == "kind/a"
    assert run.git(*changed, "docs") == ""
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{origin}", str(clone)], check=True)
    monkeypatch.setattr(run, "REPOSITORY", clone)
    assert run.commit_number() == number != 0
    assert run.git(*changed, *run.MAKING) == ""
    monkeypatch.setattr(run, "REPOSITORY", tmp_path)
    assert run.commit_number() == 0


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
    assert (run.parts(0, [])[0].name == "browser") is there
    assert "browser" not in run.UNIT


def test_every_example_is_run():
    """Those in tests/unit are run with it."""
    folders = ("labhelpers", "kind", "benchmarks", "docs", "tests")
    modules = [
        path.relative_to(ROOT) for folder in folders for path in ROOT.glob(f"{folder}/**/*.py")
    ]
    examples = [
        str(path)
        for path in modules
        if re.search("^ *>>> ", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(examples) > 20
    assert [path for path in examples if not path.startswith((*run.EXAMPLES, "tests/unit"))] == []


def test_the_labs_that_run_again_do_not_all_begin_at_once():
    command = run.rota_parts("labs-again", 0)[0].command
    workers = int(command[-1].removeprefix("--numprocesses="))
    assert 1 < workers < len([name for name in labs.WRITTEN if not labs.has_the_node(name)])


# --- A second time --------------------------------------------------------------------------------


ONCE = """
import pathlib
def fails_once(number):
    mark = pathlib.Path(__file__).with_name(f"mark-{number}")
    if not mark.exists():
        mark.touch()
        raise AssertionError(f"the first time, number {number}")
"""


def second_time(tmp_path, monkeypatch, tests, *notebooks):
    """A whole run, for real, over these tests and labs. Returns it, with the names of what has run
    in the second pass."""
    (tmp_path / "test_them.py").write_text(ONCE + tests)
    monkeypatch.setattr(outcomes, "REPOSITORY", tmp_path)
    monkeypatch.setitem(run.ENVIRONMENT, "PYTHONPATH", str(ROOT))
    monkeypatch.setitem(run.ENVIRONMENT, "PODLAB_CLUSTER", f"podlab-again-{os.getpid()}")
    command = [*run.PYTEST, "-p", "tests.notebooks.plugin", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(tmp_path), "test_them.py", *notebooks]
    whole = Run([Part("side by side", command, once_more=True), part("cluster down", "0")])
    run.execute(whole, tmp_path)
    return whole, sorted(f"{case.file}::{case.name}" for case in whole.again.cases)


def test_what_fails_once_is_flaky_and_a_lab_runs_again_as_a_whole(tmp_path, monkeypatch):
    from tests.unit.test_notebook_run import notebook

    count = "open('count', 'a').write('x'); len(open('count').read())"
    # The second cell is right in a kernel of its own only: `a` goes on from what it was.
    cells = ("a = 0", ""), ("a += 1; a", "1"), (count, "2"), ("a", "1")
    notebook(tmp_path / "lab.ipynb", *cells)
    tests = "def test_flaky(): fails_once(1)\ndef test_good(): pass\n"
    whole, again = second_time(tmp_path, monkeypatch, tests, "lab.ipynb")
    assert again == [*(f"lab.ipynb::Cell {n}" for n in range(4)), "test_them.py::test_flaky"]
    assert set(whole.flaky) == {"lab.ipynb", "test_them.py::test_flaky"}
    assert whole.code == 0
    assert [each.name for each in whole.parts] == [
        "side by side",
        "again, what failed",
        "cluster down",
    ]
    told = whole.table()
    assert "FLAKY: test_them.py::test_flaky failed, then passed." in told
    assert "the first time, number 1" in told and "'2' == '1'" in told
    assert "x1B" not in told
    assert re.search(r"side by side +flaky .* 3 passed, 2 failed, 1 skipped", told)
    assert "FAILED" not in told


def test_what_fails_twice_fails_the_run(tmp_path, monkeypatch):
    tests = "def test_flaky(): fails_once(1)\ndef test_bad(): assert False\n"
    whole, again = second_time(tmp_path, monkeypatch, tests)
    assert again == ["test_them.py::test_bad", "test_them.py::test_flaky"]
    assert set(whole.flaky) == {"test_them.py::test_flaky"}
    assert whole.code == 1
    assert "FAILED twice: test_them.py::test_bad" in whole.table()


def played(first, second, *, code=1, once_more=True):
    """A run whose tests a, b, … failed at first, and whose second pass found these."""
    cases = [Case("t.py", name, failure="once") for name in first]
    whole = Run([Part("side by side", [], once_more=once_more, code=code, cases=cases)])
    found = [Case("t.py", name, failure=text, skip=skip) for name, text, skip in second]
    whole.again = Part("again", [], code=int(any(each.failure for each in found)), cases=found)
    return whole


PASSES = [(name, None, None) for name in "abc"]


@pytest.mark.parametrize(
    ("whole", "code"),
    [
        (played("ab", PASSES[:2]), 0),
        (played("abc", PASSES), 1),
        (played("ab", [PASSES[0], ("b", "twice", None)]), 1),
        (played("ab", PASSES[:1]), 1),
        (played("a", [("a", None, "no browser")]), 1),
        (played("a", PASSES[:1], code=2), 1),
        (played("", [], code=1), 1),
        (played("a", PASSES[:1], once_more=False), 1),
    ],
    ids=[
        "two flaky",
        "three flaky",
        "one twice",
        "one not run again",
        "one skipped the second time",
        "a run that broke off",
        "no test failed, but something was left behind",
        "a unit test",
    ],
)
def test_when_a_run_has_failed(whole, code):
    assert whole.code == code


def test_a_second_pass_that_breaks_off_makes_nothing_flaky():
    whole = played("a", PASSES[:1])
    whole.again.code = 3
    assert (whole.flaky, whole.code) == ({}, 1)


def test_where_much_failed_nothing_runs_again(tmp_path):
    names = "abcdefg"[: outcomes.RUN_AGAIN_AT_MOST + 1]
    whole = played(names, [])
    whole.again = None
    run.run_again(whole, tmp_path / "again.xml")
    assert whole.again is None
    assert whole.table().count("FAILED, and not run a second time: t.py::") == len(names)


def test_a_labs_seconds_stand_beside_its_budget(monkeypatch):
    monkeypatch.setattr(
        outcomes,
        "LABS",
        {"00": {"notebook": "a.ipynb", "seconds": 20}, "01": {"notebook": "b.ipynb"}, "02": {}},
    )
    cases = [Case(f"notebooks/{name}.ipynb", "Cell", 12.4) for name in "aab"]
    told = Run([Part("x", [], code=0, cases=cases)]).table()
    assert "\n  00     25 s of 20 s\n  01     12 s\n" in told


# --- The end --------------------------------------------------------------------------------------


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
    others = [f"{name}-control-plane" for name in (HALF, ROOM, *SESSION, *SEATS)]
    removed = [("rm", "--force", "--volumes", name) for name in others]
    down = [["labhelpers.cli", "down", name] for name in (SECOND, CLUSTER)]
    assert done == [*down, *removed, "engine"]


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


def test_jupyterhub_is_fetched_for_its_group_only_and_goes_afterwards(parts, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "npm" else None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(run, "HUB_PYTHON", tmp_path)
    assert [each.command[-1].count(run.PROXY) for each in run.hub()] == [1]
    assert run.PROXY in (ROOT / "docs/workshop.md").read_text()
    monkeypatch.setattr(shutil, "which", lambda name: name)
    assert run.hub() == []
    monkeypatch.setattr(run, "HUB", tmp_path / "hub")
    run.HUB.mkdir()
    assert run.main() == 0 and run.HUB.is_dir(), "this run didn't fetch it"
    parts.insert(0, part("hub", "0"))
    assert run.main() == 0 and not run.HUB.exists()
