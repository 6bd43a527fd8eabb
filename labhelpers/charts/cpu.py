"""CPU time: how it is divided among containers that all want it, and how long work takes."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from labhelpers.charts.canvas import (
    ALARM,
    INK,
    LINES,
    SOFT,
    WIDTH_INCHES,
    Points,
    Sheet,
    line_style,
    pieces,
)
from labhelpers.charts.chart import Chart, nothing_to_draw
from labhelpers.charts.samples import SHOWS, curve, measured
from labhelpers.errors import LabError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["division", "latencies"]

BUSY_CPUS = 0.05
SETTLE_SECONDS = 0.5
GAP_SECONDS = 1


def division(
    frames: "Mapping[str, DataFrame]",
    title: str,
    predicted: Mapping[str, float],
    *,
    within: float = 0.02,
) -> Chart:
    """How CPU time divides among containers while all of them want it: the cores that each uses,
    over time, and the parts predicted.

    While all want it: the longest time in which each uses more than a twentieth of a core; half a
    second at each end is left out, because the scheduler takes some tenths of a second to spread
    what runs over the cores.

    Args:
        frames: by name, samples as ``samples.Samples.frame`` gives them, on one time axis.
        title: the question that the picture answers.
        predicted: by name, the part of the CPU time of all of them.
        within: how near the measured part has to come to the predicted one, as a part of all.

    The finding says of each whether it used more while it was alone, and whether the time was
    divided as predicted.

    Raises:
        LabError: they never wanted it at the same time.
    """
    first, last = _together(frames)
    start, end = first + SETTLE_SECONDS, last - SETTLE_SECONDS
    used = {name: measured(frame, "cpu", start, end) or 0.0 for name, frame in frames.items()}
    found = {name: cpus / sum(used.values()) for name, cpus in used.items()}
    before = {
        name: measured(frame, "cpu", _begin(frame) + SETTLE_SECONDS, first - SETTLE_SECONDS) or 0.0
        for name, frame in frames.items()
    }
    sentences = [
        f"{name} alone: {'more' if cpus > used[name] * 1.1 else 'not more'}"
        for name, cpus in before.items()
        if cpus > BUSY_CPUS
    ]
    off = [name for name in found if abs(found[name] - predicted[name]) > within]
    sentences.append(
        "divided as predicted: "
        + (", ".join(f"{name} got {found[name]:.2f} of it" for name in off) if off else "yes")
    )
    finding = " · ".join(sentences)
    total = sum(used.values())
    levels = {name: part * total for name, part in predicted.items()}
    lines = {name: curve(frame, "cpu") for name, frame in frames.items()}
    table = _side_by_side(found, predicted, before)
    return Chart(
        lambda: _draw_division(lines, levels, (start, end), title, finding),
        finding,
        table,
        title,
        table.round(3),
    )


def _draw_division(
    lines: Mapping[str, Points], levels: Mapping[str, float], stretch: tuple[float, float],
    title: str, finding: str,
) -> "Figure":  # fmt: skip
    runs = {name: list(pieces(line)) for name, line in lines.items()}
    points = [point for own in runs.values() for piece in own for point in piece]
    moments = [at for at, _ in points]
    left, right = 0.75, WIDTH_INCHES - 0.2 - 0.075 * max(map(len, lines))
    sheet = Sheet(0.42 + 2.3 + 0.48, title, finding)
    panel = sheet.panel(
        (left, sheet.top + 0.42, right - left, 2.3),
        (min(0.0, *moments), max(moments)),
        max(cpus for _, cpus in points) * 1.06,
        ("seconds since the recording began", SHOWS["cpu"].axis),
    )
    ends = []
    for number, (name, line) in enumerate(lines.items()):
        color, dash = LINES[number % len(LINES)]
        panel.line(line, color, dash)
        panel.line([(at, levels[name]) for at in stretch], *line_style("predicted"))
        middle, above = panel.at(sum(stretch) / 2), panel.high(levels[name]) - 0.11
        sheet.words([(middle, above, "left")], "predicted", INK, right)
        ends.append((name, color, *runs[name][-1][-1]))
    panel.label_ends(ends)
    return sheet.figure


def _begin(frame: "DataFrame") -> float:
    """When it began to use CPU time."""
    return next(
        (at for at, cpus in curve(frame, "cpu") if cpus is not None and cpus > BUSY_CPUS),
        0.0,
    )


def _side_by_side(
    found: Mapping[str, float], predicted: Mapping[str, float], alone_cpus: Mapping[str, float]
) -> "DataFrame":
    """A row for each container: its part of the CPU time while all wanted it, the predicted one,
    and the CPUs that it used before."""
    import pandas

    return pandas.DataFrame(
        {
            "measured": found,
            "predicted": {name: predicted[name] for name in found},
            "alone_cpus": alone_cpus,
        }
    )


def _together(frames: "Mapping[str, DataFrame]") -> tuple[float, float]:
    """From when to when all of them use CPU time."""
    busy = [
        {
            round(at / 0.1)
            for at, cpus in curve(frame, "cpu")
            if cpus is not None and cpus > BUSY_CPUS
        }
        for frame in frames.values()
    ]
    # Windows are 0.2 s wide and each container has its own: a tenth of a second more on both sides
    # lets them meet.
    tenths = sorted(
        set.intersection(
            *({near for each in own for near in (each - 1, each, each + 1)} for own in busy)
        )
        if busy
        else ()
    )
    runs: list[list[int]] = []
    for tenth in tenths:
        # On a loaded node no sample comes for some tenths of a second: that is no end.
        if runs and tenth - runs[-1][-1] <= GAP_SECONDS * 10:
            runs[-1] += range(runs[-1][-1] + 1, tenth + 1)
        else:
            runs.append([tenth])
    longest = max(runs, key=len, default=[0])
    if len(longest) < (2 * SETTLE_SECONDS + 1) * 10:
        seen = ", ".join(
            f"{name} for {len(own) / 5:.0f} s" for name, own in zip(frames, busy, strict=True)
        )
        raise LabError(
            "They did not want CPU time at the same time.",
            f"used: {seen}",
            "Let them run together for some seconds.",
        )
    return longest[0] / 10, longest[-1] / 10


PERCENTILES = {"p50": 50, "p90": 90, "longest": 100}


def latencies(
    seconds: Mapping[str, Sequence[float]],
    title: str,
    predicted: Mapping[str, tuple[float, float]],
    *,
    within_seconds: float = 0.02,
    marks: Mapping[str, float] | None = None,
) -> Chart:
    """How long each of many equal pieces of work took: which part of them was done after how long,
    with the predicted range of each kind.

    Args:
        seconds: by kind, how long each took.
        title: the question that the picture answers.
        predicted: by kind, the least and the most, in seconds.
        within_seconds: how far outside of the range one may lie: what clocks can tell apart.
        marks: by words, other moments to be marked, in seconds.

    The finding says of each kind whether at least nine in ten were as predicted: one in ten may
    have waited for some other program.

    Raises:
        LabError: there is none of a kind.

    >>> latencies({"free": [0.05] * 9 + [0.4]}, "How long?", {"free": (0.05, 0.05)})
    free: as predicted: yes
    """
    if without := [name for name, own in seconds.items() if not own]:
        raise nothing_to_draw(f"no piece of work of {without[0]}", "Let some be done first.")
    sentences = []
    for name, own in seconds.items():
        least, most = predicted[name]
        fit = [took for took in own if least - within_seconds <= took <= most + within_seconds]
        sentences.append(
            f"{name}: as predicted:"
            f" {'yes' if len(fit) >= 0.9 * len(own) else f'{len(fit)} of {len(own)}'}"
        )
    finding = " · ".join(sentences)
    frame = _percentiles(seconds)
    return Chart(
        lambda: _draw_latencies(seconds, frame, predicted, marks or {}, title, finding),
        finding,
        frame,
        title,
        frame.add_suffix(", ms"),
    )


def _draw_latencies(
    seconds: Mapping[str, Sequence[float]], percent: "DataFrame",
    predicted: Mapping[str, tuple[float, float]], marks: Mapping[str, float],
    title: str, finding: str,
) -> "Figure":  # fmt: skip
    tall, left, right = 2.1, 0.75, WIDTH_INCHES - 0.3
    longest = [*(max(own) for own in seconds.values()), *(most for _, most in predicted.values())]
    last = 1000 * max([*longest, *marks.values()]) * 1.05
    sheet = Sheet(0.42 + tall + 0.79 + 0.2 * len(seconds), title, finding)
    box = (left, sheet.top + 0.42, right - left, tall)
    axes = ("milliseconds from the start of a burst to its end", "bursts that were done by then, %")
    panel = sheet.panel(box, (0.0, last), 104.0, axes)
    styles = {name: LINES[number % len(LINES)] for number, name in enumerate(seconds)}
    for name, (color, dash) in styles.items():
        least, most = (panel.at(1000 * bound) for bound in predicted[name])
        band = (least - 0.02, box[1], most - least + 0.04, tall)
        sheet.box(band, facecolor=color, alpha=0.13)
        own = sorted(1000 * took for took in seconds[name])
        steps = [
            (x, 100 * (rank + half) / len(own)) for rank, x in enumerate(own) for half in (0, 1)
        ]
        panel.line([(0.0, 0.0), *steps, (last, 100.0)], color, dash)
    for words, moment in marks.items():
        x = panel.at(1000 * moment)
        sheet.upright(x, (box[1] - 0.1, panel.bottom), ALARM)
        spots = [(x + 0.05, box[1] - 0.06, "left"), (x - 0.05, box[1] - 0.06, "right")]
        sheet.words(spots, words, ALARM, right)
    y = panel.bottom + 0.62
    places = [right - 0.15 - 0.75 * number for number in range(len(percent.columns))][::-1]
    sheet.say(0.25, y, "shaded: predicted. Milliseconds, measured:")
    for row, name in enumerate(["", *seconds]):
        if name:
            color, dash = styles[name]
            sheet.line([0.25, 0.6], [y + 0.2 * row] * 2, color, dash=dash)
            sheet.say(0.7, y + 0.2 * row, name, color=INK)
        for place, column in zip(places, percent.columns, strict=True):
            value = percent.loc[name, column] if name else column
            sheet.say(place, y + 0.2 * row, f"{value}", color=INK if name else SOFT, ha="right")
    return sheet.figure


def _percentiles(seconds: Mapping[str, Sequence[float]]) -> "DataFrame":
    """Milliseconds: a row for each kind, a column for each percentile, by the nearest rank."""
    import pandas

    ranked = {name: sorted(own) for name, own in seconds.items()}
    rows = [
        [1000 * own[math.ceil(part / 100 * len(own)) - 1] for part in PERCENTILES.values()]
        for own in ranked.values()
    ]
    return pandas.DataFrame(rows, columns=list(PERCENTILES), index=list(ranked)).round().astype(int)
