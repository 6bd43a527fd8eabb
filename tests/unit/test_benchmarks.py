"""The arithmetic and the table of the benchmarks: what is measured there is not measured here."""

import pytest

from benchmarks.labs import length
from benchmarks.table import Result, markdown


def test_a_ratio_is_taken_pair_by_pair_and_not_of_medians():
    # The second round was slow on both sides. Of the medians it would be 12/10.
    result = Result("up", "ratio", (11.0, 40.0, 12.0), (10.0, 40.0, 8.0), goal=1.10)
    assert result.value == 1.1
    assert result.met


@pytest.mark.parametrize(
    ("result", "value", "met"),
    [
        (Result("x", "difference", (0.5, 0.9), (0.4, 0.6), goal=0.1), 0.2, False),
        (Result("x", "median", (1.0, 9.0, 2.0), goal=2.0), 2.0, True),
        (Result("x", "median", (7.0,)), 7.0, None),
    ],
)
def test_figures_and_goals(result, value, met):
    assert result.value == pytest.approx(value)
    assert result.met is met
    assert result.as_dict()["met"] is met


@pytest.mark.parametrize(("ours", "by_hand"), [((), ()), ((1.0,), ()), ((1.0, 2.0), (1.0,))])
def test_a_missing_round_is_no_figure(ours, by_hand):
    with pytest.raises(ValueError):
        _ = Result("x", "ratio", ours, by_hand).value


def test_the_table_says_what_was_missed_and_by_how_much():
    text = markdown(
        [
            Result("up", "ratio", (12.0, 13.0), (10.0, 10.0), goal=1.10),
            Result("delay", "median", (0.004,), goal=0.030, note="counted from the sending."),
            Result("image", "median", (701e6,), unit="B"),
        ]
    )
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    assert rows[2:] == [
        ["up", "12.5 s", "10.0 s", "ratio 1.25 (1.20 to 1.30, 2 rounds)", "at most 1.10", "**no**"],
        ["delay", "4.0 ms", "–", "median 4.0 ms", "at most 30.0 ms", "yes"],
        ["image", "701 MB", "–", "median 701 MB", "–", "–"],
    ]
    assert text.endswith("- delay: counted from the sending.")


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0),
        ([(1, 2), (5, 6)], 2),
        ([(0, 2), (1, 3)], 3),
        ([(5, 6), (0, 9), (1, 2)], 9),
        ([[3, 4], [3, 4]], 1),
    ],
    ids=["none", "apart", "over each other", "within one another", "the same twice"],
)
def test_a_second_is_counted_once_however_many_wait_in_it(spans, seconds):
    assert length(spans) == seconds
