"""Which value each place shows, over seconds: a bar for as long as a value is seen."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from labhelpers.charts.canvas import (
    INK,
    KEY_WIDTH,
    NARROW,
    PALETTE,
    SOFT,
    WIDE,
    WIDTH_INCHES,
    Look,
    Panel,
    Sheet,
    key_rows,
)
from labhelpers.charts.chart import Chart, nothing_to_draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["values"]

LANE, BAR, MARK_LINE = 0.42, 0.26, 0.15  # in inches


def values(
    frame: "DataFrame", title: str, finding: str, marks: Sequence[tuple[float, str]] = ()
) -> Chart:
    """A lane for each place, and on it a bar for each value that the place showed. Equal values
    have one colour and hatch in all lanes.

    Args:
        frame: a row for each bar: ``place``, ``value``, and ``start`` and ``end`` in seconds.
            Places are drawn in the order in which they come.
        title: the question that the picture answers.
        finding: the answer.
        marks: what was done, and when: (seconds, words). A line goes through all lanes there.

    Raises:
        LabError: the frame is empty.

    >>> import pandas
    >>> rows = [("file", "old", 0, 3), ("file", "new", 3, 9), ("env", "old", 0, 9)]
    >>> frame = pandas.DataFrame(rows, columns=["place", "value", "start", "end"])
    >>> values(frame, "Who shows the new value?", "only the file", [(1, "changed")])
    only the file
    """
    if frame.empty:
        raise nothing_to_draw("a frame without bars", "Give it a row for each value and place.")
    spoken = frame.round({"start": 1, "end": 1})
    return Chart(lambda: _draw(frame, title, finding, marks), finding, frame, title, spoken)


def _draw(
    frame: "DataFrame", title: str, finding: str, marks: Sequence[tuple[float, str]]
) -> "Figure":
    places = list(dict.fromkeys(frame["place"]))
    looks = {value: PALETTE[n % len(PALETTE)] for n, value in enumerate(_in_order(frame))}
    left = 0.45 + WIDE * max(len(str(place)) for place in places)
    above = 0.12 + MARK_LINE * len(marks)
    height = LANE * len(places)
    sheet = Sheet(above + height + 0.72, title, finding)
    top = sheet.top + above
    box = (left, top, WIDTH_INCHES - 0.35 - left, height)
    across = (min(0.0, float(frame["start"].min())), float(frame["end"].max()))
    panel = sheet.panel(box, across, 0, ("seconds", ""))
    for number, place in enumerate(places):
        middle = top + LANE * (number + 0.5)
        sheet.name(left - 0.12, middle, str(place))
        for row in frame[frame["place"] == place].itertuples():
            begin, end = panel.at(row.start), panel.at(row.end)
            bar = (begin, middle - BAR / 2, max(end - begin - 0.015, 0.03), BAR)
            sheet.filled(bar, looks[row.value], round_by=0.03)
            if bar[2] > WIDE * len(str(row.value)) + 0.2:
                sheet.chip(begin + bar[2] / 2, middle, str(row.value))
    for number, (at, words, to_right) in enumerate(_rows(panel, marks)):
        x, y = panel.at(at), sheet.top + 0.08 + MARK_LINE * number
        sheet.line([x, x], [y + 0.05, top + height], SOFT, dash=(0, (3, 2)), width=1)
        ha = "left" if to_right else "right"
        sheet.say(x + (0.06 if to_right else -0.06), y, words, size=7.5, color=INK, ha=ha)
    keys = [(str(value), partial(_key, look)) for value, look in looks.items()]
    sheet.legend(top + height + 0.58, key_rows(keys))
    return sheet.figure


def _key(look: Look, sheet: Sheet, x: float, y: float) -> None:
    sheet.filled((x, y - 0.075, KEY_WIDTH, 0.15), look, round_by=0.03)


def _rows(panel: Panel, marks: Sequence[tuple[float, str]]) -> list[tuple[float, str, bool]]:
    """The marks from top to bottom, and whether the words stand to the right of their line: so
    that no line runs through another's words."""
    placed = [
        (at, words, panel.at(at) + 0.06 + NARROW * len(words) < WIDTH_INCHES - 0.2)
        for at, words in sorted(marks)
    ]
    return [each for each in reversed(placed) if not each[2]] + [each for each in placed if each[2]]


def _in_order(frame: "DataFrame") -> list:
    return list(dict.fromkeys(frame.sort_values("start", kind="stable")["value"]))
