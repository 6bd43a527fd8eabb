"""Windows in which something is predicted to happen, and the moments at which it did."""

from typing import TYPE_CHECKING

from labhelpers.charts.canvas import (
    ALARM,
    CALM,
    INK,
    KEY_HEIGHT,
    KEY_WIDTH,
    PALETTE,
    WIDTH_INCHES,
    Sheet,
    key_rows,
)
from labhelpers.charts.chart import Chart, nothing_to_draw, records

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["COLUMNS", "windows"]

COLUMNS = ("group", "lane", "earliest", "latest", "measured")
HEAD_HEIGHT, LANE_HEIGHT, BAR_HEIGHT = 0.3, 0.3, 0.18


def windows(
    frame: "DataFrame", title: str, *, tolerance_seconds: float = 0.0, axis: str = "seconds"
) -> Chart:
    """Windows as bars, and what was measured as a dot on each: a group of lanes for each trial.

    Args:
        frame: a row for each window, with the columns ``COLUMNS``; the seconds from ``earliest`` to
            ``latest``, and ``measured``, which is missing where nothing was measured yet.
        title: the question that the picture answers.
        tolerance_seconds: how far outside of its window a dot may lie: what the measurement knows.
        axis: what the seconds count from, in words.

    Raises:
        LabError: the frame is empty.

    >>> import pandas
    >>> rows = [("a", "restart", 4, 6, 5.1), ("b", "restart", 1, 2, None)]
    >>> windows(pandas.DataFrame(rows, columns=list(COLUMNS)), "When?")
    1 moment measured, and it lies in its window
    """
    if frame.empty:
        raise nothing_to_draw("no window at all", "Predict something first.")
    rows = records(frame)
    finding = _finding(rows, tolerance_seconds)
    return Chart(
        lambda: _draw(rows, title, finding, axis, tolerance_seconds), finding, frame, title
    )


def _is_inside(row: dict, tolerance: float) -> bool:
    return row["earliest"] - tolerance <= row["measured"] <= row["latest"] + tolerance


def _finding(rows: list[dict], tolerance: float) -> str:
    measured = [row for row in rows if row["measured"] is not None]
    outside = [row for row in measured if not _is_inside(row, tolerance)]
    if not measured:
        return "predicted, and not measured yet"
    if outside:
        said = {f"{row['lane']} ({row['group']})" for row in outside}
        return f"outside of its window: {', '.join(sorted(said))}"
    within = f", give or take {tolerance:g} s" if tolerance else ""
    if len(measured) == 1:
        return f"1 moment measured, and it lies in its window{within}"
    return f"{len(measured)} moments measured, and each lies in its window{within}"


def _draw(rows: list[dict], title: str, finding: str, axis: str, tolerance: float) -> "Figure":
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    tall = HEAD_HEIGHT * len(groups) + LANE_HEIGHT * len(rows)
    longest = max(len(row["lane"]) for row in rows)
    left, right = 0.25 + max(0.8, 0.08 * longest + 0.16), WIDTH_INCHES - 0.35
    keys = key_rows(_keys(rows, tolerance))
    sheet = Sheet(tall + 0.6 + KEY_HEIGHT * len(keys), title, finding)
    last = max(max(row["latest"], row["measured"] or 0) for row in rows)
    panel = sheet.panel(
        (left, sheet.top + 0.05, right - left, tall), (0.0, max(1.0, last * 1.05)), 0.0, (axis, "")
    )
    y = panel.box[1]
    for group, lanes in groups.items():
        sheet.say(0.25, y + HEAD_HEIGHT * 0.6, group, size=8, color=INK, weight="bold")
        y += HEAD_HEIGHT
        for row in lanes:
            middle = y + LANE_HEIGHT / 2
            sheet.name(left - 0.14, middle, row["lane"])
            start, end = panel.at(row["earliest"]), panel.at(row["latest"])
            box = (start, middle - BAR_HEIGHT / 2, max(end - start, 0.03), BAR_HEIGHT)
            sheet.filled(box, PALETTE[0], alpha=0.6)
            if row["measured"] is not None:
                inside = _is_inside(row, tolerance)
                ends = [panel.at(row["measured"] + by) for by in (-tolerance, tolerance)]
                sheet.line(ends, [middle] * 2, CALM if inside else ALARM, width=1.2)
                _dot(sheet, panel.at(row["measured"]), middle, inside=inside)
            y += LANE_HEIGHT
    sheet.legend(panel.bottom + 0.6, keys)
    return sheet.figure


def _dot(sheet: Sheet, x: float, y: float, *, inside: bool) -> None:
    marker, color = ("o", CALM) if inside else ("X", ALARM)
    sheet.axes.plot(
        [x], [y], marker=marker, color=color, markersize=6, markeredgecolor="white", zorder=4
    )


def _keys(rows: list[dict], tolerance: float) -> list:
    measured = [row for row in rows if row["measured"] is not None]

    def bar(sheet: Sheet, x: float, y: float) -> None:
        sheet.filled((x, y - 0.06, KEY_WIDTH, 0.12), PALETTE[0], alpha=0.6)

    def dot(inside: bool):
        return lambda sheet, x, y: _dot(sheet, x + KEY_WIDTH / 2, y, inside=inside)

    kinds = {_is_inside(row, tolerance) for row in measured}
    keys = [("predicted window", bar)]
    keys += [("measured", dot(True))] if True in kinds else []
    keys += [("measured, outside", dot(False))] if False in kinds else []
    return keys
