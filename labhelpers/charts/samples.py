"""A container's samples over time: memory against its limit, CPU used, or how often it was
throttled."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labhelpers.charts.canvas import (
    ALARM,
    INK,
    PALETTE,
    WIDTH_INCHES,
    Panel,
    Sheet,
    line_style,
    missing,
    pieces,
)
from labhelpers.charts.chart import Chart, records, times
from labhelpers.charts.lanes import LANE_HEIGHT, Above, draw_lane
from labhelpers.charts.timeline import facts, spoken
from labhelpers.errors import LabError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["COLUMNS", "SHOWS", "curve", "measured", "samples"]

COLUMNS = (
    "time_seconds",
    "memory_bytes",
    "memory_peak_bytes",
    "memory_limit_bytes",
    "cpu_usage_seconds",
    "periods",
    "throttled_periods",
    "throttled_seconds",
    "run",
)


@dataclass(frozen=True)
class Show:
    """One way to show samples: the axis, the size of its unit, and how near a measured value has to
    come to a predicted one."""

    axis: str
    line: str  # what the line is called
    unit: float
    within: float
    least: float = 0.0  # the axis reaches at least so far, in its unit
    bar_seconds: float = 0.0  # drawn as bars, each for so long; else as a line


SHOWS = {
    "memory": Show("memory, MiB", "in use", 1 << 20, 4 << 20, 1.0),
    "cpu": Show("CPU time used a second, in cores", "used", 1.0, 0.1, 0.1),
    # A bar is five of the kernel's usual periods.
    "throttling": Show(
        "periods that were throttled, %", "throttled", 0.01, 0.1, 100.0, bar_seconds=0.5
    ),
}
NEAR = 0.95  # of the limit


# --- what it says ---------------------------------------------------------------------------------


def measured(
    frame: "DataFrame", show: str, start_seconds: float, end_seconds: float
) -> float | None:
    """One number for a stretch of samples.

    Args:
        frame: as ``samples.Samples.frame`` gives it.
        show: "memory": the most, in bytes; "cpu": cores; "throttling": of the periods in which it
            wanted to run, the share in which its quota did not last.
        start_seconds, end_seconds: the stretch; None where nothing was measured in it.

    >>> import pandas
    >>> samples = {"time_seconds": [0.0, 1.0], "cpu_usage_seconds": [5.0, 5.5], "run": [1, 1]}
    >>> measured(pandas.DataFrame(samples), "cpu", 0, 1)
    0.5
    """
    _look_up(show)
    part = frame[(frame["time_seconds"] >= start_seconds) & (frame["time_seconds"] <= end_seconds)]
    if show == "memory":
        found = part["memory_bytes"].max()
        return None if part.empty or missing(found) else float(found)
    more, base = 0.0, 0.0
    for _, over, under in _counters(part, show):
        more += over[-1] - over[0]
        base += under[-1] - under[0]
    return float(more / base) if base else None


def samples(
    frame: "DataFrame",
    title: str,
    *,
    show: str = "memory",
    marks: Iterable[tuple[float, str]] = (),
    intervals: "DataFrame | None" = None,
    predicted: Iterable[tuple[float, float, float]] = (),
    within: float | None = None,
) -> Chart:
    """A container's samples over time; with marks across, and lanes of its life below, on one axis.
    Live and stored, it is this picture.

    Args:
        frame: as ``samples.Samples.frame`` gives it; the columns are ``COLUMNS``. Empty, it draws
            what else is given.
        title: the question that the picture answers.
        show: "memory" against the limit; "cpu", the cores used; "throttling", the share of periods
            in which the quota did not last.
        marks: (seconds, words): what happened at a moment.
        intervals: rows as ``recording.Recording.intervals`` gives them, whose lanes are drawn
            below.
        predicted: (start, end, value): what was to be expected from when to when; memory in bytes,
            CPU in cores, throttling as a share.
        within: how near the measured value has to come to count as predicted, in the unit of the
            value.

    The finding says of memory whether it came to the limit, of throttling how often, then what the
    marks say, what was predicted, and what became of the container. A prediction is compared with
    all of its stretch.

    Raises:
        LabError: there is no such way to show samples, or they lack what it needs.

    >>> import pandas
    >>> used = {"time_seconds": [0.0, 1.0], "memory_bytes": [1 << 20, 1 << 22], "run": 1}
    >>> frame = pandas.DataFrame(used).assign(memory_limit_bytes=1 << 22, memory_peak_bytes=0)
    >>> samples(frame, "How far does it get?")
    memory came to its limit
    """
    way = _look_up(show)
    marks, steps = sorted(marks), [tuple(step) for step in predicted]
    needs = {"memory": "memory_bytes", "cpu": "cpu_usage_seconds", "throttling": "periods"}[show]
    if len(frame) and frame[needs].isna().all():
        raise LabError(
            "The samples do not hold what is to be shown.",
            f"the node keeps no {needs}",
            "Show something else of them.",
        )
    sentences = [_first_sentence(frame, show)]
    told: dict[str, int] = {}
    for _, words in marks:
        told[words] = told.get(words, 0) + 1
    sentences += [
        words if count == 1 else f"{words} {times(count)}" for words, count in told.items()
    ]
    if steps:
        bound = way.within if within is None else within
        found = [(value, measured(frame, show, start, end)) for start, end, value in steps]
        off = sum(1 for value, seen in found if seen is None or abs(seen - value) > bound)
        sentences.append(
            "as predicted: yes" if not off else f"as predicted: {len(steps) - off} of {len(steps)}"
        )
    if intervals is not None and len(intervals):
        sentences += [f"{name}: {words}" for name, words in facts(intervals)["containers"].items()]
    finding = " · ".join(sentences)
    rows = [] if intervals is None else records(intervals)
    return Chart(
        lambda: _draw(frame, show, title, finding, marks, rows, steps),
        finding,
        frame,
        title,
        _spoken(frame, show, rows, marks),
    )


def _look_up(show: str) -> Show:
    if show not in SHOWS:
        raise LabError(
            f"Samples cannot be shown as {show!r}.",
            f"there are {', '.join(SHOWS)}",
            "Use one of these.",
        )
    return SHOWS[show]


def _first_sentence(frame: "DataFrame", show: str) -> str:
    if not len(frame):
        return "nothing sampled yet"
    if show == "memory":
        limits = frame["memory_limit_bytes"].dropna()
        if limits.empty:
            return "memory has no limit"
        # Each sample against the limit of its own moment; the kernel's mark against it too, because
        # it misses nothing.
        most = frame[["memory_bytes", "memory_peak_bytes"]].max(axis=1)
        return (
            "memory came to its limit"
            if (most >= NEAR * frame["memory_limit_bytes"]).any()
            else "memory stayed below its limit"
        )
    if show == "cpu":
        return (
            "CPU time was used"
            if (measured(frame, "cpu", -math.inf, math.inf) or 0) > 0.01
            else "hardly any CPU time was used"
        )
    share = measured(frame, "throttling", -math.inf, math.inf)
    if share is None:
        return "no period was counted"
    return (
        "throttled in no period"
        if share == 0
        else f"throttled in {'nearly all' if share >= NEAR else 'some'} periods"
    )


def _counters(frame: "DataFrame", show: str) -> Iterator[tuple[Any, Any, Any]]:
    """For each run: times, and the two counters whose growth is divided, as arrays; of the samples
    that have both."""
    over, under = {
        "cpu": ("cpu_usage_seconds", "time_seconds"),
        "throttling": ("throttled_periods", "periods"),
    }[show]
    for _, run in frame.groupby("run"):
        there = run[list(dict.fromkeys(["time_seconds", over, under]))].dropna().astype(float)
        if len(there) > 1:
            yield there["time_seconds"].to_numpy(), there[over].to_numpy(), there[under].to_numpy()


def curve(frame: "DataFrame", show: str) -> list[tuple[float, float | None]]:
    """What is drawn of samples: (seconds, value), with None where a run of the container ends."""
    found: list[tuple[float, float | None]] = []
    if not len(frame):
        return found
    if show == "memory":
        for _, run in frame.groupby("run"):
            points = run[["time_seconds", "memory_bytes"]].dropna().astype(float)
            found += points.itertuples(index=False, name=None)
            found += [(points["time_seconds"].iloc[-1], None)] if len(points) else []
        return found
    window, middle = (SHOWS[show].bar_seconds, 0.0) if SHOWS[show].bar_seconds else (0.2, 0.1)
    for moments, over, under in _counters(frame, show):
        edges = [
            moments[0] + number * window
            for number in range(int((moments[-1] - moments[0]) / window) + 1)
        ]
        at = [min(int(place), len(moments) - 1) for place in moments.searchsorted(edges)]
        for edge, first, last in zip(edges[1:], at, at[1:], strict=False):
            if under[last] > under[first]:
                share = (over[last] - over[first]) / (under[last] - under[first])
                found.append((edge - middle, share))
        found.append((moments[-1], None))
    return found


def _limit(frame: "DataFrame") -> list[tuple[float, float]]:
    """The limit over time. A container that is restarted has it in between, too."""
    points = frame[["time_seconds", "memory_limit_bytes"]].dropna().astype(float)
    return list(points.itertuples(index=False, name=None))


def _spoken(
    frame: "DataFrame", show: str, rows: list[dict], marks: Sequence[tuple[float, str]]
) -> "DataFrame":
    """The same in words and some twenty numbers."""
    import pandas

    way = SHOWS[show]
    points = [point for piece in pieces(curve(frame, show)) for point in piece]
    step = max(1, math.ceil(len(points) / 20))
    parts = [points[number : number + step] for number in range(0, len(points), step)]
    most = [max(part, key=lambda point: point[1]) for part in parts]
    said = spoken(rows, list(dict.fromkeys(row["lane"] for row in rows)), marks)
    numbers = [(way.axis, f"{value / way.unit:.3g}", at, at) for at, value in most]
    told = pandas.DataFrame(numbers, columns=list(said.columns))
    return pandas.concat([each for each in (said, told) if len(each)] or [said]).round(2)


# --- how it is drawn ------------------------------------------------------------------------------


def _draw(
    frame: "DataFrame", show: str, title: str, finding: str,
    marks: Sequence[tuple[float, str]], rows: list[dict],
    steps: Sequence[tuple[float, float, float]],
) -> "Figure":  # fmt: skip
    way = SHOWS[show]
    line = curve(frame, show)
    limit = _limit(frame) if show == "memory" and len(frame) else []
    lanes = list(dict.fromkeys(row["lane"] for row in rows))
    tall, below = 2.3, LANE_HEIGHT * len(lanes) + (0.08 if lanes else 0)
    longest = max([len(lane) for lane in lanes], default=0)
    ends = _ends(way, line, limit, steps)
    left = 0.25 + max(0.75, 0.08 * longest + 0.16)
    right = WIDTH_INCHES - 0.2 - 0.075 * max((len(name) for name, *_ in ends), default=1)
    moments = [seconds for seconds, _ in [*line, *limit, *marks]]
    last = max([0.1, *moments, *(row["end"] for row in rows), *(end for _, end, _ in steps)])
    values = [value for _, value in [*line, *limit] if value is not None]
    most = max(
        [way.least, *(value / way.unit for value in [*values, *(each[2] for each in steps)])]
    )

    def at(seconds: float) -> float:
        return left + min(max(seconds, 0.0), last) * (right - left) / last

    above = Above(marks, (), at, right)
    head = max(0.42, 0.3 + above.inches)
    sheet = Sheet(head + tall + below + 0.48, title, finding)
    panel = sheet.panel(
        (left, sheet.top + head, right - left, tall),
        (0.0, last),
        most * 1.06,
        ("seconds since the recording began", ""),
        below=below,
    )
    sheet.say(0.25, sheet.top + 0.12, way.axis)
    if way.bar_seconds:
        _draw_bars(panel, line, way)
    else:
        panel.line(_scaled(line, way), *line_style("measured"))
        ended = any(row["state"] == "terminated" for row in rows)
        _draw_falls(panel, _scaled(line, way), last_too=ended and show == "memory")
    if limit:
        panel.line(_scaled(limit, way), *line_style("limit"))
    for start, end, value in steps:
        panel.line([(start, value / way.unit), (end, value / way.unit)], *line_style("predicted"))
    above.draw(sheet, panel.box[1], panel.bottom + below)
    panel.label_ends((name, color, x, y / way.unit) for name, color, x, y in ends)
    for number, lane in enumerate(lanes):
        middle = panel.bottom + 0.08 + LANE_HEIGHT * (number + 0.5)
        sheet.name(left - 0.14, middle, lane)
        own = [row for row in rows if row["lane"] == lane]
        draw_lane(sheet, own, panel.at, middle, right)
    return sheet.figure


def _ends(way: Show, line: list, limit: list, steps: Sequence) -> list[tuple[str, str, float, Any]]:
    """Where the lines end, and what they are called there."""
    points = [point for piece in pieces(line) for point in piece]
    ends = [(way.line, line_style("measured")[0], *points[-1])] if points else []
    ends = [] if way.bar_seconds else ends  # bars are what the axis says
    if limit:
        ends.append((f"limit {limit[-1][1] / way.unit:g} MiB", ALARM, *limit[-1]))
    if steps:
        ends.append(("predicted", INK, steps[-1][1], steps[-1][2]))
    return ends


def _scaled(line: Sequence[tuple[float, float | None]], way: Show) -> list:
    return [(x, None if y is None else y / way.unit) for x, y in line]


def _draw_falls(panel: Panel, line: list, *, last_too: bool) -> None:
    """Where a run of the container ends, everything is given back."""
    runs = list(pieces(line))
    for piece in runs if last_too else runs[:-1]:
        x, y = piece[-1]
        color, _ = line_style("measured")
        panel.line([(x, y), (x, 0.0)], color, (0, (2, 1)), width=1.2)


def _draw_bars(panel: Panel, line: list, way: Show) -> None:
    for piece in pieces(line):
        for seconds, value in piece:
            x = panel.at(seconds - way.bar_seconds)
            width = max(panel.at(seconds) - x - 0.02, 0.01)
            top = min(panel.high(value / way.unit), panel.bottom - 0.015)
            panel.sheet.box(
                (x, top, width, panel.bottom - top), round_by=0.01, facecolor=PALETTE[0][0]
            )
