"""Each rule of the form bites: the stored lab 02 keeps them all, and is damaged in one place."""

import re

import nbformat
import pytest

from labhelpers import paths
from tests import form
from tests.complaints import expect_none

PATH = paths.repository() / "notebooks" / "02_pause.ipynb"


def replaced(old, new, kind="markdown"):
    def damage(notebook):
        cells = [each for each in notebook.cells if each.cell_type == kind and old in each.source]
        assert cells, old
        for each in cells:
            each.source = each.source.replace(old, new)

    return damage


def source(text):
    def damage(notebook):
        next(each for each in notebook.cells if each.cell_type == "code").source = text

    return damage


def said(text):
    def damage(notebook):
        for each in notebook.cells:
            if 'lab.prove("B3"' in each.source:
                for output in each.outputs:
                    output.get("data", {}).pop("text/plain", None)
                if text:
                    each.outputs[1].data["text/plain"] = text

    return damage


def without_kubectl(notebook):
    for each in notebook.cells:
        each.source = re.sub(r"^%kubectl .*$", "", each.source, flags=re.MULTILINE)


BROKEN = [
    (form.has_its_card, replaced("**The problem.**", ""), "no > **The problem.**"),
    (form.has_its_card, replaced("20 minutes", "a while"), "how many minutes"),
    (
        form.shows_no_claim_ids,
        replaced("## Kill pause", "## Kill pause (B4)"),
        "B4 is a claim's id",
    ),
    (
        form.has_no_note_to_its_author,
        replaced("## Kill pause", "> ✎ Say why.\n\n## Kill pause"),
        "a note to its author",
    ),
    (
        form.is_short,
        replaced("## Kill pause", "## Kill pause\n" + "word " * 2000),
        "words; at most",
    ),
    (
        form.is_short,
        lambda notebook: notebook.cells.append(nbformat.v4.new_code_cell("1")),
        "36 code cells",
    ),
    (form.cells_are_what_a_reader_would_write, source("a = 1\n" * 9), "9 lines"),
    (form.cells_are_what_a_reader_would_write, source("a = " + "1" * 88), "more than 88"),
    (form.cells_are_what_a_reader_would_write, source("!ls 2>/dev/null"), "hides errors"),
    (
        form.cells_are_what_a_reader_would_write,
        source("[[b for b in a] for a in c]"),
        "comprehension in a comprehension",
    ),
    (
        form.cells_are_what_a_reader_would_write,
        source('lab.node.run("while true; do sleep 1; done")'),
        "shell loop",
    ),
    (form.shows_kubectl, without_kubectl, "fewer than two lines"),
    (form.what_is_shown_has_its_sentence, said(""), "shows something and has no sentence"),
    (form.what_is_shown_has_its_sentence, said(""), "proves a claim and has no sentence"),
    (form.what_is_shown_has_its_sentence, said("(1, True)"), "which says nothing"),
    (form.asks_and_answers_in_order, replaced('lab.predict("ready"', "print(", "code"), "answered"),
    (form.has_a_schematic, replaced("pictures/02-pause.svg", "x.png"), "0 schematics"),
    (form.has_a_schematic, replaced("02-pause.svg", "gone.svg"), "gone.svg is not there"),
    (
        form.has_three_exercises,
        replaced('lab.exercise("c")', "1", "code"),
        "lab.exercise is called",
    ),
    (form.closes_with_what_to_keep, replaced("**On Monday.**", ""), "no **On Monday.**"),
    (form.closes_with_what_to_keep, replaced("(https://", "("), "0 links"),
]


@pytest.mark.parametrize(
    ("rule", "damage", "words"),
    BROKEN,
    ids=[f"{rule.__name__}: {words}" for rule, _, words in BROKEN],
)
def test_a_rule_of_the_form_bites(rule, damage, words):
    notebook = nbformat.read(PATH, as_version=4)
    assert list(rule(notebook, PATH)) == []
    damage(notebook)
    assert words in "\n".join(rule(notebook, PATH))


def test_every_rule_has_been_seen_to_bite():
    assert {rule for rule, _, _ in BROKEN} == set(form.FORM)


@pytest.mark.parametrize(
    "path", sorted(PATH.parent.glob("[0-9][0-9]_*.ipynb")), ids=lambda p: p.stem
)
def test_every_lab_keeps_the_form(path):
    notebook = nbformat.read(path, as_version=4)
    expect_none((words for rule in form.FORM for words in rule(notebook, path)), path.name)


def small(monkeypatch, tmp_path, exercises):
    monkeypatch.setitem(form.labs.LABS, "77", {"small": True})
    folder = tmp_path / "exercises" / "77-small"
    folder.mkdir(parents=True)
    for name in exercises:
        (folder / f"{name}.py").touch()
    cells = [f'lab.{verb}("{name}")' for name in exercises for verb in ("exercise", "check")]
    cells += ['lab.predict("where", "Where?", ["a", "b"])', 'lab.reveal("where", "a")']
    code = [nbformat.v4.new_code_cell(each) for each in cells]
    return nbformat.v4.new_notebook(cells=code), tmp_path / "77_small.ipynb"


PARTS = [form.asks_and_answers_in_order, form.has_a_schematic, form.has_three_exercises]


@pytest.mark.parametrize("exercises", ["", "a", "ab", "abc"])
def test_a_small_lab_may_have_fewer_parts(monkeypatch, tmp_path, exercises):
    notebook, path = small(monkeypatch, tmp_path, exercises)
    assert [words for rule in PARTS for words in rule(notebook, path)] == []


def test_a_lab_that_is_not_small_has_every_part(monkeypatch, tmp_path):
    notebook, path = small(monkeypatch, tmp_path, "a")
    form.labs.LABS.pop("77")
    for rule in PARTS:
        assert list(rule(notebook, path))


def test_a_small_lab_asks_something_and_shows_the_exercises_that_it_has(monkeypatch, tmp_path):
    notebook, path = small(monkeypatch, tmp_path, "ab")
    notebook.cells = [each for each in notebook.cells if '"b"' not in each.source]
    assert "called for ['a']; for ['a', 'b']" in next(form.has_three_exercises(notebook, path))
    notebook.cells = []
    assert "0 predictions; one to five" in next(form.asks_and_answers_in_order(notebook, path))
