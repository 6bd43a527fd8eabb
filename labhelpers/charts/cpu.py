"""CPU time: how it is divided among containers that all want it, and whether a node is full."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from labhelpers.charts.canvas import (
    ALARM,
    INK,
    KEY_HEIGHT,
    KEY_WIDTH,
    PALETTE,
    SOFT,
    WIDTH_INCHES,
    Look,
    Panel,
    Sheet,
    key_rows,
    line_style,
)
from labhelpers.charts.chart import Chart, nothing_to_draw
from labhelpers.charts.samples import curve, measured
from labhelpers.errors import LabError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["division", "room"]

BUSY_CPUS = 0.05
SETTLE_SECONDS = 0.5
GAP_SECONDS = 1
STEP_SECONDS = 0.2  # of the areas
TIMES = 5  # as often as its request, alone: true on any node, and no matter of some per cent


def division(
    frames: "Mapping[str, DataFrame]",
    title: str,
    predicted: Mapping[str, float],
    *,
    requested: Mapping[str, float],
    node_cpus: float,
    within: float = 0.02,
) -> Chart:
    """How CPU time divides among containers while all of them want it. What each uses over time is
    drawn one on top of the other, up to the node's CPUs, with the border that is predicted.

    While all want it: the longest time in which each uses more than a twentieth of a core; half a
    second at each end is left out, because the scheduler takes some tenths of a second to spread
    what runs over the cores.

    Args:
        frames: by name, samples as ``samples.Samples.frame`` gives them, on one time axis; the
            first is at the bottom.
        title: the question that the picture answers.
        predicted: by name, the part of the CPU time of all of them.
        requested: by name, the CPUs of the request.
        node_cpus: the CPUs of the node.
        within: how near the measured part has to come to the predicted one, as a part of all.

    The finding says whether one that was alone used more than five times its request, and whether
    the time was divided as predicted.

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
    alone = {name: cpus for name, cpus in before.items() if cpus > BUSY_CPUS}
    sentences = [
        f"alone, {name} used {'' if cpus > TIMES * requested[name] else 'no '}more than"
        f" {TIMES} times its request"
        for name, cpus in alone.items()
    ]
    off = [name for name in found if abs(found[name] - predicted[name]) > within]
    sentences.append(
        "together, they got CPU time in the ratio of their weights"
        if not off
        else "together, not in the ratio of their weights: "
        + ", ".join(
            f"{name} got {found[name]:.2f} instead of {predicted[name]:.2f}" for name in off
        )
    )
    finding = " · ".join(sentences)
    table = _side_by_side(found, predicted, before, requested)
    areas = _areas(frames)
    levels = (predicted, sum(used.values()), (start, end))
    notes = [
        ((_begin(frames[name]), first), f"alone: {cpus / requested[name]:.0f} × its request")
        for name, cpus in alone.items()
    ]
    notes.append(((first, last), " : ".join(f"{100 * part:.0f}" for part in found.values()) + " %"))
    return Chart(
        lambda: _draw_division(areas, levels, notes, requested, node_cpus, title, finding),
        finding,
        table,
        title,
        table.round(3),
    )


def _areas(frames: "Mapping[str, DataFrame]") -> "DataFrame":
    """The CPUs that each used, step by step: index: seconds at which a step ends."""
    import numpy
    import pandas

    last = max(frame["time_seconds"].max() for frame in frames.values())
    edges = numpy.arange(0.0, last, STEP_SECONDS)
    used = {
        name: numpy.diff(
            numpy.interp(edges, *(frame[["time_seconds", "cpu_usage_seconds"]].dropna()
                                  .astype(float).to_numpy().T))
        ) / STEP_SECONDS
        for name, frame in frames.items()
    }  # fmt: skip
    return pandas.DataFrame(used, index=edges[1:])


def _draw_division(
    areas: "DataFrame", levels: tuple[Mapping[str, float], float, tuple[float, float]],
    notes: list[tuple[tuple[float, float], str]], requested: Mapping[str, float],
    node_cpus: float, title: str, finding: str,
) -> "Figure":  # fmt: skip
    predicted, total, stretch = levels
    left, right, tall = 0.75, WIDTH_INCHES - 1.45, 2.5
    names = [str(name) for name in areas.columns]
    looks = {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(names)}
    keys = key_rows(_area_keys(looks))
    sheet = Sheet(0.62 + tall + 0.66 + KEY_HEIGHT * len(keys), title, finding)
    most = max(node_cpus, areas.sum(axis=1).max()) * 1.05
    box = (left, sheet.top + 0.62, right - left, tall)
    across = (float(areas.index[0]) - STEP_SECONDS, float(areas.index[-1]))
    panel = sheet.panel(box, across, most, ("seconds since the recording began", ""))
    sheet.say(0.25, sheet.top + 0.14, "CPUs used, one on top of the other")
    below = areas.iloc[:, 0] * 0
    for name in names:
        above = below + areas[name]
        _area(panel, below, above, looks[name])
        below = above
    color, dash = line_style("limit")
    sheet.line([left, right], [panel.high(node_cpus)] * 2, color, dash=dash)
    node = f"node: {node_cpus:g} CPUs"
    sheet.say(right + 0.1, panel.high(node_cpus), node, size=9, color=ALARM)
    border = 0.0
    for name in names[:-1]:
        border += predicted[name] * total
        panel.line([(at, border) for at in stretch], *line_style("predicted"), width=2.4, zorder=3)
    border = 0.0
    for name in names:
        part = predicted[name] * total
        sheet.chip(panel.at(sum(stretch) / 2), panel.high(border + part / 2), name)
        border += part
    for number, name in enumerate(names):
        y = panel.bottom - 0.12 - 0.3 * number
        words = f"{name} requests {requested[name]:g}"
        sheet.say(right + 0.1, y, words, size=8, color=INK)
        sheet.line([right - 0.12, right + 0.06], [panel.high(requested[name])] * 2, INK, width=2.2,
                   zorder=5)  # fmt: skip
    for (start, end), words in notes:
        x = (panel.at(start), panel.at(end))
        sheet.line(x, [box[1] - 0.1] * 2, SOFT, width=1.2)
        for edge in x:
            sheet.line([edge] * 2, [box[1] - 0.14, box[1] - 0.06], SOFT, width=1.2)
        sheet.say(sum(x) / 2, box[1] - 0.24, words, size=9, color=INK, ha="center", weight="bold")
    sheet.legend(panel.bottom + 0.62, keys)
    return sheet.figure


def _area(panel: Panel, below: "DataFrame", above: "DataFrame", look: Look) -> None:
    fill, ink, hatch = look
    xs = [panel.at(at) for at in below.index]
    low, high = [panel.high(y) for y in below], [panel.high(y) for y in above]
    panel.sheet.axes.fill_between(xs, low, high, facecolor=fill, linewidth=0, zorder=1)
    panel.sheet.axes.fill_between(xs, low, high, facecolor="none", edgecolor=ink, hatch=hatch,
                                  linewidth=0, alpha=0.22, zorder=1)  # fmt: skip
    panel.sheet.line(xs, high, "white", width=1.0, zorder=2)


def _area_keys(looks: Mapping[str, Look]) -> list:
    def patch(look: Look):
        return lambda sheet, x, y: sheet.filled((x, y - 0.07, KEY_WIDTH, 0.14), look)

    def line(sheet: Sheet, x: float, y: float) -> None:
        color, dash = line_style("predicted")
        sheet.line([x, x + KEY_WIDTH], [y, y], color, dash=dash)

    def tick(sheet: Sheet, x: float, y: float) -> None:
        sheet.line([x + 0.08, x + KEY_WIDTH - 0.08], [y, y], INK, width=2.2)

    keys = [(name, patch(look)) for name, look in looks.items()]
    return [*keys, ("border predicted by the weights", line), ("request", tick)]


ROOM_HEIGHT, ROOM_BAR = 0.5, 0.3


def room(frame: "DataFrame", title: str, node_cpus: float) -> Chart:
    """Whether something more fits on a node, counted in more than one way. Each way is a bar made
    of what is there and what comes, against what the node has.

    Args:
        frame: CPUs; index: the ways to count; two columns: what is there, what comes.
        title: the question that the picture answers.
        node_cpus: what the node has.

    Raises:
        LabError: the frame is empty.

    >>> import pandas
    >>> counts = {"there": [1.5, 0.25], "new": [0.75, 0.75]}
    >>> room(pandas.DataFrame(counts, index=["requests", "use"]), "Is there room?", 2)
    requests: no room · use: room
    """
    if frame.empty:
        raise nothing_to_draw("a frame without rows", "Count in one way at least.")
    said = [
        f"{way}: {'room' if sum(row) <= node_cpus else 'no room'}" for way, row in frame.iterrows()
    ]
    finding = " · ".join(said)
    spoken = frame.assign(**{"the node has": node_cpus}).add_suffix(", CPUs").round(2)
    return Chart(
        lambda: _draw_room(frame, title, finding, node_cpus), finding, frame, title, spoken
    )


def _draw_room(frame: "DataFrame", title: str, finding: str, node_cpus: float) -> "Figure":
    left = 0.25 + 0.078 * max(len(str(name)) for name in frame.index) + 0.14
    right, tall = WIDTH_INCHES - 0.35, ROOM_HEIGHT * len(frame)
    looks = dict(zip(map(str, frame.columns), PALETTE, strict=False))
    keys = key_rows(
        [
            (
                name,
                lambda sheet, x, y, look=look: sheet.filled((x, y - 0.07, KEY_WIDTH, 0.14), look),
            )
            for name, look in looks.items()
        ]
    )
    sheet = Sheet(0.4 + tall + 0.62 + KEY_HEIGHT * len(keys), title, finding)
    most = max(node_cpus, frame.sum(axis=1).max()) * 1.08
    box = (left, sheet.top + 0.35, right - left, tall)
    panel = sheet.panel(box, (0.0, most), 0.0, ("CPUs", ""))
    for number, (name, row) in enumerate(frame.iterrows()):
        middle = box[1] + ROOM_HEIGHT * (number + 0.5)
        sheet.name(left - 0.14, middle, str(name))
        start = 0.0
        for look, amount in zip(looks.values(), row, strict=True):
            x, end = panel.at(start), panel.at(start + amount)
            sheet.filled((x, middle - ROOM_BAR / 2, max(end - x, 0.02), ROOM_BAR), look)
            if end - x > 0.4:
                sheet.chip((x + end) / 2, middle, f"{amount:.2f}")
            start += amount
    x = panel.at(node_cpus)
    color, dash = line_style("limit")
    sheet.line([x, x], [box[1] - 0.08, panel.bottom], color, dash=dash)
    sheet.say(x, box[1] - 0.17, f"node: {node_cpus:g} CPUs", size=9, color=ALARM, ha="center")
    sheet.legend(panel.bottom + 0.62, keys)
    return sheet.figure


def _begin(frame: "DataFrame") -> float:
    """When it began to use CPU time."""
    return next(
        (at for at, cpus in curve(frame, "cpu") if cpus is not None and cpus > BUSY_CPUS),
        0.0,
    )


def _side_by_side(
    found: Mapping[str, float], predicted: Mapping[str, float], alone_cpus: Mapping[str, float],
    requested: Mapping[str, float],
) -> "DataFrame":  # fmt: skip
    """A row for each container: its part of the CPU time while all wanted it, the predicted one,
    the CPUs that it used before, and those that it requests."""
    import pandas

    return pandas.DataFrame(
        {
            "measured": found,
            "predicted": {name: predicted[name] for name in found},
            "alone_cpus": alone_cpus,
            "requested_cpus": {name: requested[name] for name in found},
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
