"""Every exercise of every lab, on the cluster: its check tells a right answer from a wrong one,
however either is written. What it says of the starter is stored in the lab's notebook."""

import pytest

from labhelpers import paths
from labhelpers.exercises import Exercise
from labhelpers.lab import Lab
from tests.labs import NOTEBOOKS

pytestmark = pytest.mark.cluster

ANSWERS = paths.repository() / "tests" / "exercises"
STARTERS = sorted(NOTEBOOKS.glob("exercises/*/*.yaml"))
SAYS = "# says: "
# Those of 12 load the CPUs, and those of 20 count requests that a busy node answers too late. The
# others look at their own Pods only. Those of 20 attack each answer with two to seven attacks; a
# isn't reliable yet: its `wait` asks without a limit, and may hang at an address that is gone.
ALONE = [pytest.mark.alone]
CAPSTONE = [*ALONE, pytest.mark.rota(group="capstone"), pytest.mark.timeout(1500)]
MARKS = {
    "12-cpu": ALONE,
    "20-capstone": CAPSTONE,
}


def given(starter):
    lab, name = starter.parent.name, f"{starter.parent.name}/{starter.stem}"
    return pytest.param(starter, id=name, marks=MARKS.get(lab, ()))


@pytest.mark.parametrize("starter", [given(path) for path in STARTERS])
def test_a_check_tells_right_from_wrong(starter, connection, lab_namespace):
    lab_name, key = starter.parent.name, starter.stem
    other = ANSWERS / lab_name / f"{key}-other.yaml"
    exercise = Exercise(lab_name, key, Lab(lab_name, connection.within(lab_namespace)))
    # There may be more mistakes than one: a-wrong.yaml, a-wrong-start.yaml.
    wrongs = sorted((ANSWERS / lab_name).glob(f"{key}-wrong*.yaml"))
    assert wrongs
    for wrong in wrongs:
        first_line = wrong.read_text(encoding="utf-8").splitlines()[0]
        assert first_line.startswith(SAYS)
        mistaken = exercise.check(wrong)
        assert not mistaken.passed, mistaken
        assert first_line.removeprefix(SAYS) in mistaken.text
    for right in (exercise.solution_path, other):
        verdict = exercise.check(right)
        assert verdict.passed, f"{right.name}: {verdict}"
