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
# Those of 12 load the CPUs, and those of 20 count requests, which a busy machine answers too late.
# The others look at their own Pods only. Those of 20 attack each answer with two to seven attacks.
ALONE = [pytest.mark.alone]
CAPSTONE = [*ALONE, pytest.mark.rota(group="capstone"), pytest.mark.timeout(1500)]
MARKS = {"12-cpu": ALONE, "20-capstone": CAPSTONE}


def each_starter(*marks):
    """All starters, with the marks of their lab; these marks where a lab has none."""
    return [
        pytest.param(
            path, id=f"{path.parent.name}/{path.stem}", marks=MARKS.get(path.parent.name, marks)
        )
        for path in STARTERS
    ]


def exercise(starter, connection, lab_namespace):
    lab_name = starter.parent.name
    return Exercise(lab_name, starter.stem, Lab(lab_name, connection.within(lab_namespace)))


@pytest.mark.parametrize("starter", each_starter())
def test_a_check_tells_right_from_wrong(starter, connection, lab_namespace):
    asked = exercise(starter, connection, lab_namespace)
    # There may be more mistakes than one: a-wrong.yaml, a-wrong-start.yaml.
    wrongs = sorted((ANSWERS / asked.lab_name).glob(f"{starter.stem}-wrong*.yaml"))
    assert wrongs
    for wrong in wrongs:
        first_line = wrong.read_text(encoding="utf-8").splitlines()[0]
        assert first_line.startswith(SAYS)
        mistaken = asked.check(wrong)
        assert not mistaken.passed, mistaken
        assert first_line.removeprefix(SAYS) in mistaken.text
    verdict = asked.check(asked.solution_path)
    assert verdict.passed, verdict


@pytest.mark.parametrize("starter", each_starter(pytest.mark.rota(group="answers")))
def test_another_right_answer_passes(starter, connection, lab_namespace):
    other = ANSWERS / starter.parent.name / f"{starter.stem}-other.yaml"
    verdict = exercise(starter, connection, lab_namespace).check(other)
    assert verdict.passed, verdict
