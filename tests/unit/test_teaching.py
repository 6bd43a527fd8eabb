"""What a teacher is told fits the notebooks, and a plan fits the time."""

import json
import runpy
import subprocess
import sys

import pytest

from labhelpers import contents, paths, teaching
from labhelpers.cli import main
from labhelpers.errors import LabError
from labhelpers.teaching import Lab, Section

SCRIPT = paths.repository() / "docs" / "write_teaching.py"


def lab(number: str, minutes: int, core: int) -> Lab:
    """A lab of two sections, of which the first is its core."""
    both = [
        Section("One", words=200 * core),
        Section("Two", words=200 * (minutes - core)),
    ]
    return Lab(number, f"Lab {number}", "Why?", both, ["One"], ["So what?"], ["All."])


@pytest.mark.parametrize("number", [each.number for each in teaching.labs()])
def test_what_it_says_of_a_lab_fits_the_notebook(number):
    [told] = teaching.advice(number)
    headings = [section.heading for section in told.sections]
    assert [heading for heading in told.core if heading not in headings] == []
    assert 0 < len(told.core) < len(headings), "a core that is all, or nothing, chooses nothing"
    assert told.core == [heading for heading in headings if heading in told.core]
    assert told.exercises and len(told.discuss) in (2, 3) and len(told.wrong) in (2, 3)


def test_the_page_is_up_to_date():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_what_was_measured_is_about_labs_that_there_are():
    measured = json.loads((paths.repository() / "notebooks/run_seconds.json").read_text())["labs"]
    assert measured and set(measured) <= set(contents.labs())


def test_minutes_are_what_is_read_guessed_and_measured():
    assert Section("", words=400, lines=15, predictions=2, seconds=60).minutes == 6
    assert Section("", words=400).minutes == 2


@pytest.mark.parametrize("text", ["", "soon", "90x", "1h30m2s"])
def test_a_time_that_is_none_is_told(text):
    with pytest.raises(LabError, match="isn't a time"):
        teaching.minutes_of(text)


def test_a_plan_takes_cores_then_whole_labs_and_breaks():
    labs = [lab("01", 30, 15), lab("02", 30, 15), lab("03", 30, 15)]
    assert "01 · Lab 01 (core), 25 min" in teaching.plan(30, labs)
    assert "No time for 02, 03" in teaching.plan(30, labs)
    two = teaching.plan(65, labs)
    assert "(all), 40 min" not in two and "02 · Lab 02 (core)" in two and "Break" not in two
    more = teaching.plan(110, labs)
    assert "01 · Lab 01 (all), 40 min" in more and "Break, 10 min" in more
    assert teaching.plan(110, labs) == more, "the same plan every time"


@pytest.mark.parametrize("minutes", range(25, 200, 7))
def test_a_plan_ends_in_time(minutes):
    text = teaching.plan(minutes, [lab("01", 30, 15), lab("02", 40, 20), lab("03", 20, 15)])
    [end] = [line for line in text.splitlines() if "End." in line]
    hours, rest = end.split()[0].split(":")
    assert int(hours) * 60 + int(rest) <= minutes


def test_a_time_that_is_too_short_is_told(capsys):
    assert main(["plan", "5m"]) == 1
    assert capsys.readouterr().err.startswith("5 minutes are too short.")
    assert main(["plan", "90m", "--labs", "99"]) == 1
    assert "There is no plan for lab 99." in capsys.readouterr().err


def test_the_labs_are_planned_in_the_order_they_were_named(capsys):
    assert main(["plan", "90m", "--labs", "7,2"]) == 0
    told = capsys.readouterr().out
    assert told.index("07 · ") < told.index("02 · ")


def test_seconds_go_to_their_section_and_only_if_all_cells_are_there():
    seconds = runpy.run_path(str(SCRIPT))["seconds"]
    code = {"cell_type": "code", "source": "x"}
    book = {"cells": [code, {"cell_type": "markdown", "source": "## A\nb"}, code, code]}
    assert seconds(book, {0: 1.0, 1: 2.0, 2: 0.5}) == {"": 1.0, "A": 2.5}
    assert seconds(book, {0: 1.0, 1: 2.0}) == {}
