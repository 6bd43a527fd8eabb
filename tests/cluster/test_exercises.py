"""Every exercise of every lab, on the cluster: its check tells a right answer from a wrong one, however either is written."""

import pytest
import yaml

from labhelpers import places
from labhelpers.exercises import Exercise
from labhelpers.lab import Lab

pytestmark = pytest.mark.cluster

NOTEBOOKS = places.repository() / "notebooks"
ANSWERS = places.repository() / "tests" / "exercises"
LABS = yaml.safe_load((NOTEBOOKS / "claims.yaml").read_text(encoding="utf-8"))["labs"]
STARTERS = sorted(NOTEBOOKS.glob("exercises/*/*.yaml"))
SAYS = "# says: "


def marks(starter):
    needs = LABS.get(starter.parent.name[:2], {}).get("needs")
    return [pytest.mark.alone] if needs == "node-exclusive" else []


@pytest.mark.parametrize("starter", [pytest.param(path, id=f"{path.parent.name}/{path.stem}", marks=marks(path)) for path in STARTERS])
def test_a_check_tells_right_from_wrong(starter, connection, lab_namespace):
    lab_name, key = starter.parent.name, starter.stem
    wrong, other = (ANSWERS / lab_name / f"{key}-{kind}.yaml" for kind in ("wrong", "other"))
    exercise = Exercise(lab_name, key, Lab(lab_name, connection.within(lab_namespace)))
    first_line = wrong.read_text(encoding="utf-8").splitlines()[0]
    assert first_line.startswith(SAYS)

    untouched = exercise.check(starter)
    assert not untouched.passed, untouched
    mistaken = exercise.check(wrong)
    assert not mistaken.passed, mistaken
    assert first_line.removeprefix(SAYS) in mistaken.text
    for right in (exercise.solution_path, other):
        verdict = exercise.check(right)
        assert verdict.passed, f"{right.name}: {verdict}"
