"""What a CPU limit does to a steady demand, limit by limit: how often it throttles, and how much it
leaves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labhelpers.charts.canvas import (
    INK,
    KEY_HEIGHT,
    KEY_WIDTH,
    SOFT,
    WIDTH_INCHES,
    Panel,
    Sheet,
    key_rows,
    line_style,
)
from labhelpers.charts.chart import Chart, records

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["COLUMNS", "doses"]

COLUMNS = ("limit_cpus", "throttled", "cpus")
WITHIN_SHARE, WITHIN_CPUS = 0.1, 0.05
TALL, GAP = 1.35, 0.62


def doses(frame: "DataFrame", title: str, demand_cpus: float) -> Chart:
    """The share of throttled periods, and the CPUs used, against the limit; both with what follows
    from the demand.

    Args:
        frame: a row for each limit that was tried, with the columns ``COLUMNS``: the limit in CPUs,
            the share of periods that were throttled, the CPUs used. A row that lacks one of them is
            left out; without any row, only what is predicted is drawn.
        title: the question that the picture answers.
        demand_cpus: what would be used without a limit. No limit of the frame may be so near to it
            that noise decides.

    The finding says of the limits below the demand, and of those above, how often it was throttled.
    As predicted is a tenth more or less; and a twentieth of a CPU for what was used below the
    demand. Above it, how much is used depends on the node's other programs, so nothing is said.

    >>> import pandas
    >>> rows = [(0.2, 1.0, 0.2), (1.2, 0.0, 0.96)]
    >>> doses(pandas.DataFrame(rows, columns=list(COLUMNS)), "How often?", 1.0)
    below the demand throttled in nearly every period, above it in hardly any · \
below the demand it used its limit
    """
    rows = [row for row in records(frame) if None not in row.values()]
    finding = _finding(rows, demand_cpus)
    names = ("limit, CPUs", "throttled periods, %", "CPUs used")
    spoken = (frame.astype(float) * [1, 100, 1]).set_axis(names, axis="columns")
    return Chart(
        lambda: _draw(rows, title, finding, demand_cpus), finding, frame, title, spoken.round(2)
    )


def _finding(rows: Sequence[dict], demand: float) -> str:
    if not rows:
        return "nothing measured yet"
    below = [row for row in rows if row["limit_cpus"] < demand]
    above = [row for row in rows if row["limit_cpus"] >= demand]
    said = []
    if below:
        said.append(
            f"below the demand throttled in {_how_often(below, 1.0, 'nearly every period')}"
        )
    if above:
        said.append(f"above it in {_how_often(above, 0.0, 'hardly any')}")
    parts = [", ".join(said)]
    if below:
        off = [row for row in below if abs(row["cpus"] - row["limit_cpus"]) > WITHIN_CPUS]
        parts.append(
            "below the demand it used "
            + (", ".join(f"{row['cpus']:.2f} CPUs under {row['limit_cpus']:g}" for row in off)
               if off else "its limit")
        )  # fmt: skip
    return " · ".join(parts)


def _how_often(rows: Sequence[dict], predicted: float, words: str) -> str:
    off = [row for row in rows if abs(row["throttled"] - predicted) > WITHIN_SHARE]
    if not off:
        return words
    return ", ".join(f"{100 * row['throttled']:.0f} % at {row['limit_cpus']:g}" for row in off)


def _draw(rows: Sequence[dict], title: str, finding: str, demand: float) -> "Figure":
    left, right = 0.75, WIDTH_INCHES - 1.0
    keys = key_rows(_keys())
    sheet = Sheet(0.55 + 2 * TALL + GAP + 0.66 + KEY_HEIGHT * len(keys), title, finding)
    last = max([demand, *(row["limit_cpus"] for row in rows)]) * 1.04
    most = max([demand, *(row["cpus"] for row in rows)])
    upper = (left, sheet.top + 0.55, right - left, TALL)
    lower = (left, upper[1] + TALL + GAP, right - left, TALL)
    axes = (("", "periods that were throttled, %"), ("CPU limit, in CPUs", "CPUs used"))
    often = sheet.panel(upper, (0.0, last), 106.0, axes[0])
    much = sheet.panel(lower, (0.0, last), most * 1.1, axes[1])
    x = often.at(demand)
    sheet.line([x, x], [upper[1] - 0.12, much.bottom], SOFT, width=0.9, zorder=1)
    sheet.say(x, upper[1] - 0.2, f"its demand: {demand:g} CPU", color=INK, ha="center")
    ramp = [(0.0, 0.0), (demand, demand), (last, demand)]
    _line(often, [(0.0, 100.0), (demand, 100.0), (demand, 0.0), (last, 0.0)])
    _line(much, ramp)
    for row in rows:
        _dot(often, row["limit_cpus"], 100 * row["throttled"])
        _dot(much, row["limit_cpus"], row["cpus"])
    if {0.0, 1.0} == {round(row["throttled"], 1) for row in rows}:
        for panel, what, why in ((often, "a cliff", "whether"), (much, "a slope", "how much")):
            y = panel.high(panel.up / 2)
            sheet.say(right + 0.1, y, what, color=INK, size=9, weight="bold")
            sheet.say(right + 0.1, y + 0.17, why, color=SOFT)
    sheet.legend(much.bottom + 0.62, keys)
    return sheet.figure


def _line(panel: Panel, points: list[tuple[float, float]]) -> None:
    panel.line(points, *line_style("predicted"), width=2.2)


def _dot(panel: Panel, x: float, y: float) -> None:
    _sign(panel.sheet, panel.at(x), panel.high(y))


def _sign(sheet: Sheet, x: float, y: float) -> None:
    color, _ = line_style("measured")
    sheet.axes.plot([x], [y], marker="o", markersize=6.5, color=color, markeredgecolor="white",
                    linestyle="none", zorder=4)  # fmt: skip


def _keys() -> list:
    def line(sheet: Sheet, x: float, y: float) -> None:
        color, dash = line_style("predicted")
        sheet.line([x, x + KEY_WIDTH], [y, y], color, dash=dash)

    def dot(sheet: Sheet, x: float, y: float) -> None:
        _sign(sheet, x + KEY_WIDTH / 2, y)

    return [("predicted from the demand", line), ("measured at this limit", dot)]
