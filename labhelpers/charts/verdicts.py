"""What becomes of each case under each condition: rows, columns, and a word for each cell."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from labhelpers.charts.canvas import (
    INK,
    KEY_WIDTH,
    LINE,
    NARROW,
    PALE,
    PALETTE,
    WIDTH_INCHES,
    Box,
    Sheet,
    key_rows,
    missing,
)
from labhelpers.charts.chart import Chart, nothing_to_draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["Mark", "verdicts"]

ROW, BESIDE_LINE = 0.25, 0.13  # in inches
CELL, WIDEST_CELL = 0.74, 1.1
BESIDE_LETTERS = 34
SHORT = 9  # letters of a sign that fit into the narrowest cell at full size


@dataclass(frozen=True)
class Mark:
    """How a verdict is drawn.

    Attributes:
        color: which colour of the palette, with its hatch; None is pale.
        sign: what stands in the cell.
    """

    color: int | None = None
    sign: str = ""


def verdicts(
    frame: "DataFrame", title: str, finding: str, marks: Mapping[str, Mark], beside: str = ""
) -> Chart:
    """A row for each case, a column for each condition, and in each cell what became of it.

    Where the sign in a cell isn't the verdict's own word, there's a legend. A cell with a verdict
    that has no mark stays empty.

    Args:
        frame: the verdicts; index: the cases; columns: the conditions.
        title: the question that the picture answers.
        finding: the answer.
        marks: for each verdict, how it's drawn.
        beside: a column of the frame whose words stand beside the cells, not in one.

    Raises:
        LabError: the frame is empty.

    >>> import pandas
    >>> frame = pandas.DataFrame({"crash": ["kept", "gone"]}, index=["volume", "root"])
    >>> marks = {"kept": Mark(sign="kept"), "gone": Mark(1, "gone")}
    >>> verdicts(frame, "What outlives a crash?", "volume outlives it", marks)
    volume outlives it
    """
    if frame.empty:
        raise nothing_to_draw("a frame without cells", "Measure at least one case.")
    return Chart(
        lambda: _draw(frame, title, finding, marks, beside),
        finding,
        frame.rename_axis(frame.index.name or "").reset_index(),
        title,
    )


def _draw(
    frame: "DataFrame", title: str, finding: str, marks: Mapping[str, Mark], beside: str
) -> "Figure":
    columns = [each for each in frame.columns if each != beside]
    words = frame[beside] if beside else [""] * len(frame)
    lines = [textwrap.wrap(each, BESIDE_LETTERS) for each in words]
    heights = [max(ROW, BESIDE_LINE * len(each) + 0.06) for each in lines]
    left = 0.35 + NARROW * max(len(str(name)) for name in frame.index)
    room = (WIDTH_INCHES - 0.25 - left) / len(columns)
    cell = CELL if beside else min(WIDEST_CELL, room)
    keys = [(name, partial(_key, mark)) for name, mark in marks.items() if mark.sign != name]
    sheet = Sheet(0.3 + sum(heights) + (0.35 if keys else 0.08), title, finding)
    for number, column in enumerate(columns):
        sheet.say(left + cell * (number + 0.5), sheet.top + 0.12, str(column), ha="center")
    end = left + cell * len(columns) + 0.12
    sheet.say(end, sheet.top + 0.12, beside)
    y = sheet.top + 0.26
    for (name, row), told, height in zip(frame.iterrows(), lines, heights, strict=True):
        sheet.say(left - 0.1, y + height / 2, str(name), size=7.5, color=INK, ha="right")
        for number, column in enumerate(columns):
            box = (left + cell * number + 0.03, y + 0.02, cell - 0.06, height - 0.04)
            if not missing(row[column]) and row[column] in marks:
                _cell(sheet, box, marks[row[column]])
        for number, line in enumerate(told):
            at = y + height / 2 + BESIDE_LINE * (number - (len(told) - 1) / 2)
            sheet.say(end, at, line, size=7, color=INK)
        y += height
    if keys:
        sheet.legend(y + 0.18, key_rows(keys))
    return sheet.figure


def _cell(sheet: Sheet, box: Box, mark: Mark) -> None:
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    if mark.color is None:
        sheet.box(box, facecolor=PALE, edgecolor=LINE, linewidth=0.8)
        sheet.say(x, y, mark.sign, size=7.5, color=INK, ha="center", va="center_baseline")
    else:
        sheet.filled(box, PALETTE[mark.color])
        if mark.sign:
            sheet.chip(x, y, mark.sign, 7.5 if len(mark.sign) > SHORT else 9)


def _key(mark: Mark, sheet: Sheet, x: float, y: float) -> None:
    _cell(sheet, (x, y - 0.08, KEY_WIDTH, 0.16), mark)
