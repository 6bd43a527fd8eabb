"""Every notebook of the labs is held to every house rule (tests/rules.py), and every exercise to
that of debriefings (tests/debriefs.py)."""

import nbformat
import pytest

from labhelpers import paths
from labhelpers.exercises import Exercise
from tests import debriefs, rules
from tests.complaints import expect_none

FOLDER = paths.repository() / "notebooks"
LABS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
TEMPLATE = FOLDER / "TEMPLATE.ipynb"


def named(value) -> str:
    return getattr(value, "stem", getattr(value, "__name__", str(value)))


@pytest.mark.parametrize("rule", rules.RULES, ids=named)
@pytest.mark.parametrize("path", LABS, ids=named)
def test_a_lab_keeps_the_rule(path, rule):
    expect_none(rule(nbformat.read(path, as_version=4), path), path.name)


@pytest.mark.parametrize("rule", rules.FORM, ids=named)
def test_the_template_keeps_the_rule(rule):
    assert list(rule(nbformat.read(TEMPLATE, as_version=4), TEMPLATE)) == []


@pytest.mark.parametrize("path", LABS, ids=named)
def test_the_file_is_as_the_writer_writes_it(path):
    assert (
        path.read_text(encoding="utf-8")
        == nbformat.writes(nbformat.read(path, as_version=4)) + "\n"
    )


EXERCISES = sorted(FOLDER.glob("exercises/*/?.py"))


def exercise_of(path):
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", EXERCISES, ids=exercise_of)
def test_an_exercise_has_its_debriefing(path):
    module = Exercise(path.parent.name, path.stem).module
    expect_none(debriefs.complaints(module), str(path.relative_to(FOLDER)))
