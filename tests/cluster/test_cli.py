"""`podlab check` and `podlab reset`, as a reader calls them. What the notebooks call is tested in
test_exercises."""

import shutil
import subprocess
import sys

import pytest

from labhelpers import paths

pytestmark = pytest.mark.cluster


@pytest.fixture
def podlab(tmp_path, monkeypatch):
    """The command, with a folder of one's own for what a reader writes."""
    monkeypatch.setenv("PODLAB_MINE", str(tmp_path))

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "labhelpers.cli", *words],
            capture_output=True,
            text=True,
            timeout=120,
        )

    run.mine = tmp_path / "00-start-here" / "a.yaml"
    return run


def test_an_exercise_is_checked_solved_and_put_back(podlab):
    untouched = podlab("check", "00", "a")
    assert (untouched.returncode, untouched.stdout[:10]) == (1, "a: not yet"), untouched.stderr
    starter = podlab.mine.read_text()
    solutions = paths.repository() / "notebooks" / "solutions" / "00-start-here"
    shutil.copytree(solutions, podlab.mine.parent, dirs_exist_ok=True)
    solved = podlab("check", "00-start-here")
    assert (solved.returncode, solved.stdout[:9]) == (0, "a: passed"), solved.stdout + solved.stderr
    assert "Your manifest says the same as the solution." in solved.stdout
    assert podlab("progress").stdout.split("00-start-here")[1].split()[:5][-1] == "3/3"
    answer = podlab.mine.read_text()
    assert podlab("reset", "00").returncode == 0
    assert podlab.mine.read_text() == starter
    assert podlab.mine.with_name("a.yaml.bak").read_text() == answer


def test_an_exercise_that_is_not_there_is_told(podlab):
    asked = podlab("check", "00", "z")
    assert asked.returncode == 1
    assert len(asked.stderr.splitlines()) == 3
