"""Slides from a lab's core."""

import re

import pytest

from labhelpers import teaching
from labhelpers.cli import main


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    file = tmp_path_factory.mktemp("slides") / "02.html"
    assert main(["slides", "02", str(file)]) == 0
    return file.read_text(encoding="utf-8")


def test_they_load_nothing_from_anywhere(deck):
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']*""", re.sub(r"<a .*?>", "", deck)) == []
    assert "@import" not in deck and "<script src" not in deck


def test_they_have_the_problem_the_core_and_the_questions(deck):
    [lab] = teaching.advice("02")
    assert deck.index("The problem.") < deck.index(lab.core[0]) < deck.index("Remember")
    assert [heading for heading in lab.core if heading not in deck] == []
    assert "What does pause cost?" not in deck, "that's not in the core"
    assert lab.discuss[1] in deck


def test_a_question_comes_before_its_answer(deck):
    assert deck.index("You run kill -9 1 inside") < deck.index("measured: nothing happens")
    assert "<li>kill fails: not permitted</li>" in deck


def test_each_slide_has_its_number(deck):
    numbers = [int(number) for number in re.findall(r'<section id="(\d+)">', deck)]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 10
    assert f"02 · 1 of {len(numbers)}" in deck
