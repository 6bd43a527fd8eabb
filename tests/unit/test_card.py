"""labhelpers.card: the table, the card, and what to do next."""

import re
from dataclasses import replace

import pytest

from labhelpers import card, contents
from labhelpers.card import Row
from labhelpers.record import Record

FRESH = Row("00-start-here", "Start here", 20, claims=4, exercises=3, open=("a", "b", "c"))
SECOND = replace(FRESH, lab="02-pause", title="Who keeps the Pod together?", claims=8)
BEGUN = replace(SECOND, seen=6, right=2, wrong=1, late=1, minutes=24, used="2026-11-28T02", hints=1)
READ = replace(BEGUN, seen=8, open=("b", "c"), checks=3)
DONE = replace(READ, open=())


@pytest.mark.parametrize(
    ("labs", "says"),
    [
        ([FRESH, SECOND], "lab 00, Start here (20 minutes): podlab open 00"),
        ([FRESH, BEGUN], "2 more claims of lab 02, Who keeps the Pod together: podlab open 02"),
        ([FRESH, replace(BEGUN, seen=7)], "1 more claim of lab 02"),
        ([FRESH, READ], "exercise b of lab 02"),
        ([FRESH, DONE], "lab 00, Start here"),
        ([FRESH, DONE, replace(FRESH, lab="03-x", title="X")], "lab 03, X (20 minutes)"),
        ([replace(DONE, lab="01-a", used="1"), replace(READ, used="2")], "exercise b of lab 02"),
        ([replace(READ, lab="01-a", used="1"), replace(DONE, used="2")], "exercise b of lab 01"),
        ([replace(DONE, lab="01-a"), replace(READ, used="1")], "exercise b of lab 02"),
        ([DONE], "Nothing: you've seen every claim and passed every exercise."),
        ([], "No lab is written yet."),
    ],
)
def test_there_is_one_thing_to_do_next(labs, says):
    assert card.next_step(labs).startswith(says)


def test_the_table_has_a_line_for_each_lab_and_the_totals():
    lines = card.table([FRESH, READ]).splitlines()
    assert len({len(line) for line in lines[1:7]}) == 1, "the columns are in line"
    words = [line.split() for line in lines]
    assert words[1][-6:] == ["seen", "right", "wrong", "late", "exercises", "minutes"]
    assert words[3] == ["00-start-here", "0/4", "·", "·", "·", "0/3", "·"]
    assert words[4] == ["02-pause", "8/8", "2", "1", "1", "1/3", "24"]
    assert words[6] == ["0", "of", "2", "labs", "done", "8/12", "2", "1", "1", "1/6", "24"]
    assert lines[-1].startswith("Next: exercise b of lab 02")


def test_what_there_is_comes_from_claims_yaml(tmp_path):
    record = Record(tmp_path / "progress.json")
    record.claim("02-pause", "B1")
    record.claim("02-pause", "Z9")  # such as one that has been withdrawn
    record.checked("02-pause", "a", True)
    labs = {row.lab: row for row in card.rows(record)}
    written = [lab for lab in contents.labs().values() if "notebook" in lab]
    assert len(labs) == len(written)
    pause = labs["02-pause"]
    assert (pause.seen, pause.claims, pause.open, pause.passed) == (1, 8, ("b", "c"), 1)


def test_the_card_says_in_words_what_its_bars_show():
    shown = card.card("02-pause", [FRESH, READ], notice="a <notice>")
    words = re.sub(r"<[^>]*>", "|", shown)
    for part in (
        "02 · Who keeps the Pod together?",
        "8 of 8",
        "2 right · 1 wrong · 1 late",
        "1 of 3 passed, b and c to go · 3 checks, 1 hint",
        "24 minutes",
        "0 of 2 done · 8 of 12 claims · 2 of 4 predictions right · 1 of 6 exercises · 24\u00a0min",
        "a &lt;notice&gt;",
    ):
        assert part in words, part
    assert "<code>podlab open 02</code>" in shown
    assert "none committed" in card.card("00-start-here", [FRESH, READ])


def test_a_lab_that_is_not_listed_has_no_card():
    assert card.card("98-new-lab", [FRESH]) == ""


def test_scores_are_added_up_lab_by_lab(tmp_path):
    record = Record(tmp_path / "progress.json")
    record.predicted("02-pause", "missed", [None], "stays")
    assert card.scores(record) == "No prediction has been committed yet."
    record.predicted("02-pause", "address", ["stays"], "stays")
    record.predicted("02-pause", "ready", ["False", "True"], "True")
    record.predicted("00-start-here", "again", ["neither"], "neither")
    assert [line.split() for line in card.scores(record).splitlines()] == [
        ["lab", "right", "wrong", "late"],
        ["00-start-here", "1", "0", "0"],
        ["02-pause", "1", "1", "1"],
        ["all", "labs", "2", "1", "1"],
    ]
