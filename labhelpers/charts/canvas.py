"""Pictures: what ``charts`` has computed, drawn with matplotlib. Nothing is decided here, and no
finding is made.

Areas have the colours of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people without
full colour vision can tell apart, and each its letter and hatch; lines have darker ones, and each
its dash. The background is opaque, so that a picture is the same in JupyterLab's dark theme. All is
in inches from the upper left corner.
"""

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = [
    "DOTS_PER_INCH",
    "WIDTH_INCHES",
    "Curves",
    "draw_division",
    "draw_latencies",
    "draw_ledger",
    "draw_matrix",
    "draw_parts",
    "draw_samples",
    "draw_table",
    "draw_timeline",
    "ending",
    "letters",
    "missing",
]

WIDTH_INCHES = 7.0
DOTS_PER_INCH = 144
PAPER, INK, SOFT, LINE = "#fbfaf7", "#1d2733", "#6b7480", "#d9d6cf"
WIDE, NARROW = 0.078, 0.062  # about the width of a letter at 9 and at 7.5 points, in inches
THERE = ("running", "set", "True")  # the states that are drawn as a full bar
FONT = "DejaVu Sans"  # comes with matplotlib, so a picture is the same on every machine

# (fill, text on it, hatch) by first appearance: the first is plain, each other one has a hatch of
# its own.
LOOKS = (
    ("#56b4e9", INK, ""),
    ("#e69f00", INK, "///"),
    ("#009e73", "white", "..."),
    ("#cc79a7", INK, "xxx"),
    ("#f0e442", INK, "\\\\\\"),
    ("#0072b2", "white", "|||"),
    ("#d55e00", "white", "---"),
)
ALARM, CALM = (
    "#b34700",
    "#00664b",
)  # the palette's vermilion and green, darkened until they can be read as text
# By name, (seconds, value) in order; a value is None where a line breaks off, between two runs of a
# container.
Curves = Mapping[str, list[tuple[float, float | None]]]


def letters(values: Iterable[Any]) -> list[str]:
    """A letter for each value: equal values have equal letters, in order of first appearance; a
    missing value has "".

    >>> letters([4026532001, 4026532002, 4026532001, None])
    ['a', 'b', 'a', '']
    """
    seen: dict[Any, str] = {}
    return [
        "" if missing(value) else seen.setdefault(value, _letter(len(seen))) for value in values
    ]


def _letter(number: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[number % 26] * (number // 26 + 1)


def missing(value: Any) -> bool:
    # pandas' NA is the one value that answers no question of equality.
    return (
        value is None
        or type(value).__name__ == "NAType"
        or value == ""
        or (isinstance(value, float) and math.isnan(value))
    )


def ending(row: dict) -> str:
    if row["signal"]:
        # The one reason that says more than the signal does: who sent it.
        because = (
            f" (OOMKilled, exit code {int(row['exit_code'])})"
            if row["reason"] == "OOMKilled"
            else ""
        )
        return f"by signal {int(row['signal'])}{because}"
    return f"with exit code {int(row['exit_code'])}" if row["exit_code"] is not None else ""


def _figure(height_inches: float, title: str, finding: str) -> "tuple[Figure, Any, float]":
    """A figure with the title above and the finding below; axes that measure in inches; and the
    height that is left between the two."""
    from matplotlib.figure import Figure

    above = textwrap.wrap(title, 62) or [""]
    below = _lines(finding.split(" · "))
    head, foot = 0.30 + 0.24 * len(above), 0.30 + 0.19 * len(below)
    height = head + height_inches + foot
    figure = Figure(figsize=(WIDTH_INCHES, height), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, WIDTH_INCHES)
    axes.set_ylim(height, 0)
    axes.axis("off")
    for number, line in enumerate(above):
        axes.text(
            0.25,
            0.34 + 0.24 * number,
            line,
            size=12.5,
            weight="bold",
            color=INK,
            family=FONT,
            va="center",
        )
    top = height - foot
    axes.plot([0.25, WIDTH_INCHES - 0.25], [top + 0.06] * 2, color=LINE, linewidth=0.8)
    for number, line in enumerate(below):
        axes.text(
            0.25, top + 0.24 + 0.19 * number, line, size=8.5, color=INK, family=FONT, va="center"
        )
    return figure, axes, head


def _lines(parts: list[str], width: int = 104) -> list[str]:
    """The parts of a finding in lines, broken between parts where that is possible."""
    lines: list[str] = []
    for number, part in enumerate(parts):
        words = part + ("\u00a0·" if number < len(parts) - 1 else "")
        if lines and len(lines[-1]) + 1 + len(words) <= width:
            lines[-1] += " " + words
        else:
            lines += textwrap.wrap(words, width, break_on_hyphens=False)
    return lines


Box = tuple[float, float, float, float]  # x, y, width, height, in inches


def _box(axes: Any, box: Box, **style: Any) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y, width, height = box
    round_by = min(0.05, width / 2, height / 2)
    shape = f"round,pad=0,rounding_size={round_by:.4f}"
    axes.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle=shape, **{"linewidth": 0, **style})
    )


def _filled(axes: Any, box: Box, look: tuple[str, str, str], **style: Any) -> None:
    fill, ink, hatch = look
    _box(axes, box, facecolor=fill, **style)
    if hatch:
        _box(axes, box, facecolor="none", edgecolor=ink, hatch=hatch, alpha=0.22)


def _chip(axes: Any, x: float, y: float, text: str, color: str = INK) -> None:
    """A letter on a patch of paper, so that no hatch runs through it."""
    axes.text(
        x, y, text, size=9, weight="bold", color=color, family=FONT, ha="center", va="center_baseline",
        bbox={"boxstyle": "round,pad=0.18,rounding_size=0.25", "facecolor": PAPER, "edgecolor": "none"},
    )  # fmt: skip


def draw_matrix(frame: "DataFrame", title: str, finding: str) -> "Figure":
    names = [str(name) for name in frame.index]
    grouped = any("/" in name for name in names)
    left = 0.25 + max(0.9, 0.088 * max(map(len, names)) + 0.2)
    step = min(1.05, (WIDTH_INCHES - 0.25 - left) / len(frame.columns))
    row_height, cell = 0.42, 0.34
    places, y = [], 0.32
    for number, name in enumerate(names):
        if grouped and number and name.split("/")[0] != names[number - 1].split("/")[0]:
            y += 0.14
        places.append(y)
        y += row_height
    figure, axes, top = _figure(y + 0.3, title, finding)
    words = "equal letters in one column: one and the same; each column counts from a"
    axes.text(0.25, top + y + 0.14, words, size=8, color=SOFT, family=FONT, ha="left", va="center")
    for number, column in enumerate(frame.columns):
        x = left + step * number
        axes.text(
            x + step / 2,
            top + 0.12,
            str(column),
            size=9.5,
            color=SOFT,
            family=FONT,
            ha="center",
            va="center",
        )
        marks = letters(frame[column])
        for row, mark in enumerate(marks):
            at = (x + 0.05, top + places[row] + (row_height - cell) / 2, step - 0.1, cell)
            middle = (at[0] + at[2] / 2, at[1] + cell / 2)
            if not mark:
                axes.text(*middle, "–", size=9, color=SOFT, family=FONT, ha="center", va="center")
            elif marks.count(mark) > 1:
                shared = [each for each in dict.fromkeys(marks) if each and marks.count(each) > 1]
                _filled(axes, at, LOOKS[shared.index(mark) % len(LOOKS)])
                _chip(axes, *middle, mark)
            else:
                _box(axes, at, facecolor="#f1efea", edgecolor=LINE, linewidth=0.8)
                axes.text(
                    *middle,
                    mark,
                    size=9,
                    color=SOFT,
                    family=FONT,
                    ha="center",
                    va="center_baseline",
                )
    for row, name in enumerate(names):
        axes.text(
            left - 0.12,
            top + places[row] + row_height / 2,
            name,
            size=9.5,
            color=INK,
            family=FONT,
            ha="right",
            va="center",
        )
    return figure


def draw_timeline(
    intervals: "DataFrame",
    lanes: Sequence[str],
    marks: Sequence[tuple[float, str]],
    title: str,
    finding: str,
) -> "Figure":
    rows = [
        {key: None if missing(value) else value for key, value in row.items()}
        for row in intervals.to_dict("records")
    ]
    named = {"network": "network namespace"}
    longest = max(len(named.get(lane, lane)) for lane in lanes)
    left, right = 0.25 + max(0.8, 0.08 * longest + 0.16), WIDTH_INCHES - 0.3
    lane_height, above = 0.56, 0.22 if marks else 0.0
    legend = _lines(_timeline_legend([row for row in rows if row["lane"] in lanes]))
    figure, axes, top = _figure(
        above + lane_height * len(lanes) + 0.58 + 0.19 * len(legend), title, finding
    )
    top += above
    last = max(0.1, *(row["end"] for row in rows), *(seconds for seconds, _ in marks))
    scale = (right - left) / last

    def at(seconds: float) -> float:
        return left + min(max(seconds, 0.0), last) * scale

    bottom = top + lane_height * len(lanes)
    step = _round_step(last)
    for number in range(int(last / step + 1e-9) + 1):
        x = at(number * step)
        axes.plot([x, x], [top + 0.02, bottom + 0.05], color=LINE, linewidth=0.7, zorder=0)
        axes.text(
            x,
            bottom + 0.16,
            f"{number * step:g}",
            size=8,
            color=SOFT,
            family=FONT,
            ha="center",
            va="center",
        )
    below = {"size": 8, "color": SOFT, "family": FONT, "va": "center"}
    axes.text(right, bottom + 0.36, "seconds since the recording began", ha="right", **below)
    for number, line in enumerate(legend):
        axes.text(0.25, bottom + 0.58 + 0.19 * number, line, ha="left", **below)
    _draw_marks(axes, marks, at, (top - 0.06, bottom), right)
    for number, lane in enumerate(lanes):
        middle = top + lane_height * (number + 0.5)
        axes.text(
            left - 0.14,
            middle,
            named.get(lane, lane),
            size=9.5,
            color=INK,
            family=FONT,
            ha="right",
            va="center",
        )
        own = [row for row in rows if row["lane"] == lane]
        _draw_lane(axes, own, at, middle, right)
    return figure


def _timeline_legend(rows: list[dict]) -> list[str]:
    """What the signs mean, of those that are there."""
    ends = [row for row in rows if row["state"] == "terminated"]
    there = {
        "one colour and letter in a lane: one and the same": True,
        "pale: it ended somewhere in here": any(
            row["end_resolution"] and not row["ongoing"] for row in rows if row["state"] in THERE
        ),
        "✕ ended by a signal or an error": any(row["exit_code"] != 0 for row in ends),
        "● ended with exit code 0": any(row["exit_code"] == 0 for row in ends),
        "dotted: not running": bool(ends),
        "dashed: not so, and the API's word for why": any(
            row["state"] not in THERE and row["state"] != "terminated" for row in rows
        ),
    }
    return [words for words, so in there.items() if so]


def _draw_marks(
    axes: Any,
    marks: Sequence[tuple[float, str]],
    at: Callable[[float], float],
    ends: tuple[float, float],
    right: float,
) -> None:
    """Lines across, each with its words at the upper end; once where equal words would run into
    each other."""
    for number, (seconds, words) in enumerate(marks):
        axes.plot([at(seconds)] * 2, [ends[0] - 0.04, ends[1]], color=ALARM, linewidth=1.1)
        if (
            not number
            or words != marks[number - 1][1]
            or at(seconds) - at(marks[number - 1][0]) > NARROW * len(words) + 0.1
        ):
            _words(axes, at(seconds) + 0.05, ends[0], words, ALARM, (right, at(seconds) - 0.05))


MEASURED, LIMIT, EXPECTED = "#0072b2", "#b34700", INK


def draw_samples(
    curves: Curves, way: Any, title: str, finding: str, note: str, marks, intervals, steps
) -> "Figure":
    """``way``: what the axis says, the size of its unit, how far it reaches at least, and how many
    seconds a bar stands for (0: a line). ``note``: a line below."""
    rows = (
        []
        if intervals is None
        else [
            {k: None if missing(v) else v for k, v in row.items()}
            for row in intervals.to_dict("records")
        ]
    )
    lanes = list(dict.fromkeys(row["lane"] for row in rows))
    panel, lane_height = 2.3, 0.56
    longest = max([len(lane) for lane in lanes], default=0)
    left, right = 0.25 + max(0.75, 0.08 * longest + 0.16), WIDTH_INCHES - 0.3
    figure, axes, head = _figure(0.42 + panel + lane_height * len(lanes) + 0.62, title, finding)
    top = head + 0.42
    bottom = top + panel
    times = [seconds for line in curves.values() for seconds, _ in line]
    last = max(
        [
            0.1,
            *times,
            *(row["end"] for row in rows),
            *(seconds for seconds, _ in marks),
            *(end for _, end, _ in steps),
        ]
    )
    heights = [
        value / way.unit for line in curves.values() for _, value in line if value is not None
    ] + [value / way.unit for *_, value in steps]
    most = max([way.least, *heights]) * 1.06

    def at(seconds: float) -> float:
        return left + min(max(seconds, 0.0), last) * (right - left) / last

    def high(value: float) -> float:
        return bottom - value / way.unit / most * panel

    end = bottom + lane_height * len(lanes) + (0.08 if lanes else 0)
    small = {"size": 8, "color": SOFT, "family": FONT, "va": "center"}
    step = _round_step(last)
    for number in range(int(last / step + 1e-9) + 1):
        x = at(number * step)
        axes.plot([x, x], [top, end + 0.05], color=LINE, linewidth=0.7, zorder=0)
        axes.text(x, end + 0.16, f"{number * step:g}", ha="center", **small)
    axes.text(right, end + 0.36, "seconds since the recording began", ha="right", **small)
    axes.text(0.25, end + 0.36, note, ha="left", **small)
    step = _round_step(most)
    for number in range(int(most / step + 1e-9) + 1):
        y = bottom - number * step / most * panel
        axes.plot([left, right], [y, y], color=LINE, linewidth=0.7, zorder=0)
        axes.text(left - 0.1, y, f"{number * step:g}", ha="right", **small)
    x = 0.25
    axes.text(x, head + 0.12, way.axis, ha="left", **small)
    x = right
    legend = [
        (name, *_line_style(name))
        for name in ("predicted", "limit", "measured")
        if name in curves or (name == "predicted" and steps)
    ]
    for name, color, style in legend:
        x -= 0.075 * len(name)
        axes.text(x, head + 0.12, name, ha="left", **{**small, "color": color})
        axes.plot(
            [x - 0.36, x - 0.08], [head + 0.12] * 2, color=color, linewidth=1.6, linestyle=style
        )
        x -= 0.55
    if way.bar_seconds:
        points = [point for piece in _pieces(curves.get("measured", [])) for point in piece]
        bars = [
            (at(seconds - way.bar_seconds), at(seconds), min(high(value), bottom - 0.015))
            for seconds, value in points
        ]
        if bars:
            left_sides, right_sides, tops = zip(*bars, strict=True)
            widths = [
                max(end - start - 0.02, 0.01)
                for start, end in zip(left_sides, right_sides, strict=True)
            ]
            axes.bar(
                left_sides,
                [y - bottom for y in tops],
                widths,
                bottom,
                align="edge",
                color=LOOKS[0][0],
                linewidth=0,
            )
    else:
        for name, line in curves.items():
            color, style = _line_style(name)
            for piece in _pieces(line):
                xs, ys = [at(seconds) for seconds, _ in piece], [high(value) for _, value in piece]
                axes.plot(
                    xs, ys, color=color, linewidth=1.6, linestyle=style, solid_joinstyle="round"
                )
    for start, until, value in steps:
        color, style = _line_style("predicted")
        axes.plot(
            [at(start), at(until)], [high(value)] * 2, color=color, linewidth=1.6, linestyle=style
        )
    _draw_marks(axes, marks, at, (top - 0.06, end), right)
    for number, lane in enumerate(lanes):
        middle = bottom + 0.08 + lane_height * (number + 0.5)
        axes.text(
            left - 0.14, middle, lane, size=9.5, color=INK, family=FONT, ha="right", va="center"
        )
        _draw_lane(axes, [row for row in rows if row["lane"] == lane], at, middle, right)
    return figure


def _line_style(name: str) -> tuple[str, Any]:
    return {
        "measured": (MEASURED, "-"),
        "limit": (LIMIT, (0, (4, 2))),
        "predicted": (EXPECTED, (0, (1, 1.2))),
    }[name]


def _pieces(line: list) -> list[list]:
    """A line as its unbroken pieces."""
    pieces: list[list] = [[]]
    for seconds, value in line:
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((seconds, value))
    return [piece for piece in pieces if piece]


def draw_parts(frame: "DataFrame", title: str, finding: str, limit_bytes: int | None) -> "Figure":
    row_height, bar = 0.44, 0.27
    longest = max(len(str(name)) for name in frame.index)
    left, right = 0.25 + 0.075 * longest + 0.2, WIDTH_INCHES - 0.45
    figure, axes, head = _figure(0.42 + row_height * len(frame) + 0.42, title, finding)
    top = head + 0.42
    end = top + row_height * len(frame)
    most = max(frame.sum(axis=1).max(), limit_bytes or 0, 1 << 20) / (1 << 20) * 1.04
    small = {"size": 8, "color": SOFT, "family": FONT, "va": "center"}

    def at(mebibytes: float) -> float:
        return left + mebibytes / most * (right - left)

    step = _round_step(most)
    for number in range(int(most / step + 1e-9) + 1):
        x = at(number * step)
        axes.plot([x, x], [top, end + 0.05], color=LINE, linewidth=0.7, zorder=0)
        axes.text(x, end + 0.16, f"{number * step:g}", ha="center", **small)
    axes.text(right, end + 0.34, "memory, MiB", ha="right", **small)
    x = left
    for number, part in enumerate(frame.columns):
        _filled(axes, (x, head + 0.05, 0.24, 0.15), LOOKS[number % len(LOOKS)])
        axes.text(x + 0.32, head + 0.125, str(part), ha="left", **small)
        x += 0.32 + 0.075 * len(str(part)) + 0.3
    if limit_bytes:
        color, style = _line_style("limit")
        axes.plot(
            [at(limit_bytes / (1 << 20))] * 2,
            [top - 0.1, end + 0.05],
            color=color,
            linewidth=1.6,
            linestyle=style,
        )
        axes.text(
            at(limit_bytes / (1 << 20)),
            head + 0.2,
            "limit",
            ha="center",
            **{**small, "color": color},
        )
    for number, (name, row) in enumerate(frame.iterrows()):
        middle = top + row_height * (number + 0.5)
        axes.text(
            left - 0.14,
            middle,
            str(name),
            size=9.5,
            color=INK,
            family=FONT,
            ha="right",
            va="center",
        )
        x = left
        for place, amount in enumerate(row):
            width = amount / (1 << 20) / most * (right - left)
            if width > 0.015:
                _filled(axes, (x, middle - bar / 2, width, bar), LOOKS[place % len(LOOKS)])
            x += max(width, 0.0)
    return figure


def _grid(
    axes: Any, frame: Box, across: tuple[float, float], up: float, words: tuple[str, str]
) -> "tuple[Callable, Callable]":
    """Lines with numbers, and words, for two axes inside a frame: across from one number to
    another, upwards from 0. Gives both scales."""
    left, top, width, height = frame
    small = {"size": 8, "color": SOFT, "family": FONT, "va": "center"}

    def at(value: float) -> float:
        return (
            left
            + (min(max(value, across[0]), across[1]) - across[0]) / (across[1] - across[0]) * width
        )

    def high(value: float) -> float:
        return top + height - min(max(value, 0.0), up) / up * height

    step = _round_step(across[1] - across[0])
    for number in range(math.ceil(across[0] / step - 1e-9), int(across[1] / step + 1e-9) + 1):
        axes.plot(
            [at(number * step)] * 2, [top, top + height + 0.05], color=LINE, linewidth=0.7, zorder=0
        )
        axes.text(
            at(number * step), top + height + 0.16, f"{number * step:g}", ha="center", **small
        )
    step = _round_step(up)
    for number in range(int(up / step + 1e-9) + 1):
        axes.plot(
            [left, left + width], [high(number * step)] * 2, color=LINE, linewidth=0.7, zorder=0
        )
        axes.text(left - 0.1, high(number * step), f"{number * step:g}", ha="right", **small)
    axes.text(left + width, top + height + 0.36, words[0], ha="right", **small)
    axes.text(0.25, top - 0.3, words[1], ha="left", **small)
    return at, high


# A line of the second kind can be told from one of the first without its colour.
LINES = (
    ("#0072b2", "-"),
    ("#b34700", (0, (5, 1.5))),
    ("#00664b", (0, (2, 1))),
    ("#7a4a6b", (0, (6, 1, 1, 1))),
)


def _legend(axes: Any, x: float, y: float, entries: Sequence[tuple[str, str, Any]]) -> None:
    """Names with their lines, from x to the left."""
    for name, color, style in reversed(entries):
        x -= 0.075 * len(name)
        axes.text(x, y, name, size=8, color=color, family=FONT, ha="left", va="center")
        axes.plot([x - 0.36, x - 0.08], [y] * 2, color=color, linewidth=1.6, linestyle=style)
        x -= 0.55


def draw_division(
    lines: Curves, axis: str, levels: Mapping[str, float], stretch, title: str, finding: str
) -> "Figure":
    panel, left, right = 2.3, 0.75, WIDTH_INCHES - 0.3
    figure, axes, head = _figure(0.42 + panel + 0.48, title, finding)
    curves = {name: _pieces(line) for name, line in lines.items()}
    points = [point for pieces in curves.values() for piece in pieces for point in piece]
    first, last = min(at for at, _ in points), max(at for at, _ in points)
    words = ("seconds since the recording began", axis)
    most = max(cpus for _, cpus in points) * 1.06
    at, high = _grid(
        axes, (left, head + 0.42, right - left, panel), (min(first, 0.0), last), most, words
    )
    entries = [(name, *LINES[number % len(LINES)]) for number, name in enumerate(lines)]
    for name, color, style in entries:
        for piece in curves[name]:
            axes.plot(
                [at(x) for x, _ in piece],
                [high(y) for _, y in piece],
                color=color,
                linewidth=1.6,
                linestyle=style,
            )
        axes.plot(
            [at(edge) for edge in stretch],
            [high(levels[name])] * 2,
            color=INK,
            linewidth=1.6,
            linestyle=(0, (1, 1.2)),
        )
    _legend(axes, right, head + 0.12, [*entries, ("predicted", *_line_style("predicted"))])
    return figure


def draw_latencies(
    seconds, percent: "DataFrame", predicted, marks, title: str, finding: str
) -> "Figure":
    kinds, panel, left, right = list(seconds), 2.1, 0.75, WIDTH_INCHES - 0.3
    row, rows = 0.2, 0.24 + 0.2 * len(seconds)
    figure, axes, head = _figure(0.42 + panel + 0.55 + rows, title, finding)
    last = (
        1000
        * max(
            [
                *(took for own in seconds.values() for took in own),
                *(most for _, most in predicted.values()),
                *marks.values(),
            ]
        )
        * 1.05
    )
    axis = "milliseconds from the begin of a burst to its end"
    frame = (left, head + 0.42, right - left, panel)
    at, high = _grid(axes, frame, (0.0, last), 104.0, (axis, "bursts that were done by then, %"))
    for number, name in enumerate(kinds):
        color, style = LINES[number % len(LINES)]
        least, most = (1000 * bound for bound in predicted[name])
        band = (at(least) - 0.02, frame[1], max(at(most) - at(least), 0.0) + 0.04, panel)
        _box(axes, band, facecolor=color, alpha=0.13)
        own = sorted(1000 * took for took in seconds[name])
        xs = [0.0, *(x for x in own for _ in (0, 1)), last]
        ys = [
            0.0,
            *(100 * (place + half) / len(own) for place in range(len(own)) for half in (0, 1)),
            100.0,
        ]
        axes.plot(
            [at(x) for x in xs], [high(y) for y in ys], color=color, linewidth=1.6, linestyle=style
        )
    for words, moment in marks.items():
        axes.plot(
            [at(1000 * moment)] * 2, [frame[1] - 0.1, frame[1] + panel], color=ALARM, linewidth=1.1
        )
        _words(
            axes,
            at(1000 * moment) + 0.05,
            frame[1] - 0.06,
            words,
            ALARM,
            (right, at(1000 * moment) - 0.05),
        )
    small = {"size": 8, "family": FONT, "va": "center"}
    y = frame[1] + panel + 0.62
    places = [right - 0.15 - 0.75 * number for number in range(len(percent.columns))][::-1]
    axes.text(0.25, y, "shaded: predicted. Milliseconds, measured:", ha="left", color=SOFT, **small)
    for place, column in zip(places, percent.columns, strict=True):
        axes.text(place, y, column, ha="right", color=SOFT, **small)
    for number, name in enumerate(kinds):
        color, style = LINES[number % len(LINES)]
        y += row
        axes.plot([0.25, 0.6], [y] * 2, color=color, linewidth=1.6, linestyle=style)
        axes.text(0.7, y, name, ha="left", color=INK, **small)
        for place, value in zip(places, percent.loc[name], strict=True):
            axes.text(place, y, f"{value}", ha="right", color=INK, **small)
    return figure


def draw_table(frame: "DataFrame", title: str, finding: str) -> "Figure":
    row, columns = 0.27, [str(column) for column in frame.columns]
    cells = [
        ["" if missing(value) else str(value) for value in values]
        for values in frame.itertuples(index=False)
    ]
    widths = [
        max(len(line[number]) for line in [columns, *cells]) for number in range(len(columns))
    ]
    size = min(1.0, (WIDTH_INCHES - 0.5) / (0.078 * sum(widths) + 0.3 * (len(widths) - 1)))
    starts = [
        0.25 + size * sum(0.078 * width + 0.3 for width in widths[:number])
        for number in range(len(widths))
    ]
    figure, axes, head = _figure(0.42 + row * len(cells), title, finding)
    for start, column in zip(starts, columns, strict=True):
        axes.text(
            start,
            head + 0.14,
            column,
            size=9 * size,
            color=SOFT,
            family=FONT,
            ha="left",
            va="center",
        )
    for number, line in enumerate(cells):
        y = head + 0.3 + row * number
        axes.plot([0.25, WIDTH_INCHES - 0.25], [y] * 2, color=LINE, linewidth=0.7, zorder=0)
        for start, text in zip(starts, line, strict=True):
            axes.text(
                start,
                y + row / 2,
                text,
                size=9 * size,
                color=INK,
                family=FONT,
                ha="left",
                va="center",
            )
    return figure


def draw_ledger(frame: "DataFrame", free: Mapping[str, int], title: str, finding: str) -> "Figure":
    row_height, box, wide, gap = 0.52, 0.34, 0.92, 0.08
    moments = list(dict.fromkeys(frame["moment"]))
    left = 0.25 + 0.078 * max(len(str(moment)) for moment in moments) + 0.25
    offered = [
        int(frame[(frame["moment"] == each) & (frame["state"] == "offered")]["pieces"].sum())
        for each in moments
    ]
    had = [
        int(frame[(frame["moment"] == each) & (frame["state"] == "has")]["pieces"].sum())
        for each in moments
    ]
    most = max(
        int(frame[(frame["moment"] == each) & (frame["state"] == "waits")]["pieces"].sum())
        for each in moments
    )
    shown = max([1, *offered, *had])
    wide = min(wide, (WIDTH_INCHES - 0.5 - left) / (shown + max(1, most)) - gap)
    # Never so near that the words above the boxes run into the line.
    split = max(left + shown * (wide + gap) + 0.2, left + 1.4)
    names = list(dict.fromkeys(frame[frame["who"] != ""]["who"]))
    figure, axes, head = _figure(0.4 + row_height * len(moments) + 0.06, title, finding)
    small = {"size": 8, "color": SOFT, "family": FONT, "va": "center", "ha": "left"}
    axes.text(left, head + 0.2, "who has the units", **small)
    axes.text(split, head + 0.2, "waiting", **small)
    top = head + 0.4
    axes.plot(
        [split - 0.14] * 2,
        [head + 0.1, top + row_height * len(moments) - 0.06],
        color=LINE,
        linewidth=1.2,
    )
    for number, moment in enumerate(moments):
        middle = top + row_height * (number + 0.42)
        rows = frame[frame["moment"] == moment]
        axes.text(
            left - 0.18,
            middle,
            str(moment),
            size=9.5,
            color=INK,
            family=FONT,
            ha="right",
            va="center",
        )
        x = left
        for row in rows[rows["state"] == "has"].itertuples():
            for _ in range(int(row.pieces)):
                _filled(
                    axes, (x, middle - box / 2, wide, box), LOOKS[names.index(row.who) % len(LOOKS)]
                )
                _chip(axes, x + wide / 2, middle, str(row.who))
                x += wide + gap
        for _ in range(free[moment]):
            _box(
                axes,
                (x, middle - box / 2, wide, box),
                facecolor="none",
                edgecolor=SOFT,
                linewidth=1,
                linestyle=(0, (3, 2)),
            )
            axes.text(x + wide / 2, middle, "free", **{**small, "ha": "center"})
            x += wide + gap
        if x == left:
            axes.text(left, middle, "nothing", **small)
        x = split
        for row in rows[rows["state"] == "waits"].itertuples():
            for _ in range(int(row.pieces)):
                _filled(
                    axes,
                    (x, middle - box / 2, wide, box),
                    LOOKS[names.index(row.who) % len(LOOKS)],
                    alpha=0.35,
                )
                _chip(axes, x + wide / 2, middle, str(row.who))
                x += wide + gap
    return figure


def _draw_lane(
    axes: Any, rows: list[dict], at: Callable[[float], float], middle: float, right: float
) -> None:
    """One lane: bars with letters for what is there, words for what is not, and a mark at each
    restart."""
    bar = 0.26
    y = middle - bar / 2
    solid = [row for row in rows if row["state"] in THERE]
    marks = letters(row["value"] for row in solid)
    order = list(dict.fromkeys(marks))
    said, said_until = "", 0.0
    for row in rows:
        start, end = at(row["start"]), at(row["end"])
        if row["state"] in THERE:
            number = next(number for number, each in enumerate(solid) if each is row)
            mark, look = marks[number], LOOKS[order.index(marks[number]) % len(LOOKS)]
            # The end is known to lie in a range: full colour where it surely was, fading where it
            # may have been.
            blur = 0.0 if row["ongoing"] else row["end_resolution"] or 0.0
            sure, late = max(at(row["end"] - blur), start), at(row["end"] + blur)
            if late - sure > 0.02:
                _filled(axes, (start, y, late - start, bar), look, alpha=0.35)
            _filled(axes, (start, y, max(sure - start, 0.02), bar), look)
            text = (
                row["value"]
                if row["kind"] == "address"
                else row["state"]
                if row["kind"] == "condition"
                else mark
            )
            room = sure if sure - start > WIDE * len(text or "") + 0.15 else late
            if room - start > WIDE * len(text or "") + 0.15:
                _chip(axes, (start + room) / 2, middle, text or "")
            elif row["kind"] == "address":
                _words(axes, start, y - 0.065, text, INK, (right, right))
            if row["kind"] == "container" and number:
                axes.plot(
                    [start, start],
                    [y - 0.07, y + bar + 0.04],
                    color=INK,
                    linewidth=1.4,
                    solid_capstyle="butt",
                )
                _words(axes, start + 0.05, y - 0.065, "restarted", INK, (right, start - 0.05))
        elif row["state"] == "terminated":
            done = row["exit_code"] == 0
            color = CALM if done else ALARM
            axes.plot(
                [start, max(end, start + 0.03)],
                [middle, middle],
                color=color,
                linewidth=1.4,
                linestyle=(0, (1, 1.2)),
            )
            axes.plot(
                [start],
                [middle],
                marker="o" if done else "x",
                color=color,
                markersize=6 if done else 7,
                markeredgewidth=2,
            )
            words = ending(row).partition(" ")[2] or "ended"
            # two ends of one kind that are near each other: one word for both
            if words != said or start > said_until:
                clear = at(row["start"] + (row["start_resolution"] or 0.0)) + 0.1
                # between the bars, away from what the next lane has above itself
                if end - clear > NARROW * len(words) + 0.1:
                    _words(axes, clear, middle - 0.08, words, color, (right, right))
                else:
                    _words(axes, start - 0.03, y + bar + 0.075, words, color, (right, right))
                said, said_until = words, start + NARROW * len(words)
        else:
            style = {
                "facecolor": "none",
                "edgecolor": SOFT,
                "linewidth": 0.8,
                "linestyle": (0, (3, 2)),
            }
            _box(axes, (start, y + 0.03, max(end - start, 0.02), bar - 0.06), **style)
            words = row["reason"] or row["state"]
            if end - start > NARROW * len(words) + 0.1:
                axes.text(
                    (start + end) / 2,
                    middle,
                    words,
                    size=7.5,
                    color=SOFT,
                    family=FONT,
                    ha="center",
                    va="center",
                )
            else:
                _words(axes, start, y - 0.055, words, SOFT, (right, right))


def _words(
    axes: Any, x: float, y: float, words: str, color: str, edge: tuple[float, float]
) -> None:
    """Small words that begin at x; where they would run over the edge's first number, they end at
    its second."""
    over = x + NARROW * len(words) > edge[0]
    axes.text(
        edge[1] if over else x, y, words, size=7.5, color=color, family=FONT, ha="right" if over else "left", va="center", zorder=4,
        bbox={"boxstyle": "square,pad=0.08", "facecolor": PAPER, "edgecolor": "none"},  # so that no line runs through them
    )  # fmt: skip


def _round_step(last: float) -> float:
    """The distance of the marks on the axis: 1, 2 or 5 of some power of ten, four to nine of
    them."""
    power = 10.0 ** math.floor(math.log10(last / 4))
    return next(size * power for size in (1, 2, 5, 10) if last / (size * power) <= 9)
