"""labhelpers.charts.windows: predicted windows, and what was measured."""

import pandas
import pytest

from labhelpers.charts.windows import COLUMNS, windows
from labhelpers.errors import LabError


def chart(*rows, **how):
    return windows(pandas.DataFrame(rows, columns=list(COLUMNS)), "When?", **how)


INSIDE, OUTSIDE = ("period 2", "gives up", 4, 6, 5.5), ("period 1", "gives up", 2, 3, 3.4)
OPEN = ("period 3", "gives up", 6, 9, None)


@pytest.mark.parametrize(
    ("rows", "how", "finding"),
    [
        ([OPEN], {}, "predicted, and not measured yet"),
        ([INSIDE, OPEN], {}, "1 moment measured, and it lies in its window"),
        ([INSIDE, INSIDE], {}, "2 moments measured, and each lies in its window"),
        ([INSIDE, OUTSIDE], {}, "outside of its window: gives up (period 1)"),
        ([INSIDE, OUTSIDE], {"tolerance_seconds": 0.5}, "2 moments measured, and each lies in its"
         " window, give or take 0.5 s"),
    ],
)  # fmt: skip
def test_the_finding_speaks_of_what_was_measured(rows, how, finding):
    assert str(chart(*rows, **how)) == finding


def test_it_can_be_drawn_and_read():
    found = chart(INSIDE, OUTSIDE, OPEN, axis="seconds after the start")
    said = [text.get_text() for text in found.figure().axes[0].texts]
    assert {"period 1", "gives up", "seconds after the start", "measured, outside"} <= set(said)
    assert "measured" in found.alternative
    assert found.png.startswith(b"\x89PNG")


def test_nothing_to_draw_is_told():
    with pytest.raises(LabError, match="nothing to draw"):
        chart()
