"""How long each of many equal pieces of work took: a dot for each, a row for each kind."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labhelpers.charts.canvas import (
    ALARM,
    CALM,
    INK,
    KEY_HEIGHT,
    KEY_WIDTH,
    SOFT,
    WIDTH_INCHES,
    Panel,
    Sheet,
    key_rows,
)
from labhelpers.charts.chart import Chart, nothing_to_draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["ENOUGH", "Scale", "strips"]

ROW_HEIGHT, BAND_HEIGHT = 0.6, 0.5
CLOCK_SECONDS = 0.01  # dots of one reading of the clock stand side by side
COLUMNS, DOT_INCHES = 3, 0.062
ENOUGH = 0.9  # one in ten may have waited for some other program
BAND = "#c9d3da"

Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Scale:
    """What the axis shows.

    Attributes:
        words: what takes so long.
        one: what a dot is.
        unit: "ms" or "s".
    """

    words: str = "duration of a burst"
    one: str = "one burst"
    unit: str = "ms"

    @property
    def per_second(self) -> float:
        return 1000.0 if self.unit == "ms" else 1.0

    def of(self, seconds: float) -> float:
        """A number as people read it: whole milliseconds, or tenths of a second.

        >>> Scale().of(0.05), Scale(unit="s").of(61.23)
        (50, 61.2)
        """
        return round(1000 * seconds) if self.unit == "ms" else round(seconds, 1)


BURSTS = Scale()


def strips(
    seconds: Mapping[str, Sequence[float]],
    title: str,
    predicted: Ranges,
    *,
    within: tuple[float, float] = (0.0, 0.0),
    myths: Mapping[str, float] | None = None,
    myth: str = "",
    beside: Mapping[str, Mapping[str, str]] | None = None,
    scale: Scale = BURSTS,
) -> Chart:
    """How long each of many equal pieces of work took, beside what was predicted.

    Args:
        seconds: by kind, how long each took.
        title: the question that the picture answers.
        predicted: by kind, the least and the most, in seconds.
        within: how far below the least and above the most one may lie, in seconds: what the clocks
            can tell apart.
        myths: by kind, what somebody might expect instead, in seconds; ``myth`` says why.
        beside: more columns to the right of the dots: by heading, a word for each kind.
        scale: what the axis shows.

    The finding says of each kind whether at least nine in ten were as predicted.

    Raises:
        LabError: there is none of a kind.

    >>> strips({"free": [0.05] * 9 + [0.4]}, "How long?", {"free": (0.05, 0.05)})
    free: 50 ms, as predicted
    """
    if without := [name for name, own in seconds.items() if not own]:
        raise nothing_to_draw(f"no piece of work of {without[0]}", "Let some be done first.")
    reach = {name: (least - within[0], most + within[1])
             for name, (least, most) in predicted.items()}  # fmt: skip
    finding = " · ".join(
        _sentence(name, own, predicted, reach, scale) for name, own in seconds.items()
    )
    frame = _summary(seconds, scale)
    shown = f"{{:g}} {scale.unit}".format
    columns = {name: frame[name].map(shown).to_dict() for name in frame}
    return Chart(
        lambda: _draw(seconds, reach, (myths or {}, myth), {**columns, **(beside or {})},
                      title, finding, scale),
        finding,
        frame,
        title,
        frame.add_suffix(f", {scale.unit}").assign(**(beside or {})),
    )  # fmt: skip


def _sentence(
    name: str, own: Sequence[float], predicted: Ranges, reach: Ranges, scale: Scale
) -> str:
    fit = sum(_is_inside(took, reach[name]) for took in own)
    words = " to ".join(dict.fromkeys(f"{scale.of(bound):g}" for bound in predicted[name]))
    if fit >= ENOUGH * len(own):
        return f"{name}: {words} {scale.unit}, as predicted"
    return f"{name}: {fit} of {len(own)} took {words} {scale.unit}"


def _is_inside(took: float, reach: tuple[float, float]) -> bool:
    return reach[0] - 1e-9 <= took <= reach[1] + 1e-9


def _summary(seconds: Mapping[str, Sequence[float]], scale: Scale) -> "DataFrame":
    """A row for each kind; the median by the nearest rank."""
    import pandas

    ranked = {name: sorted(own) for name, own in seconds.items()}
    rows = [
        (scale.of(own[math.ceil(len(own) / 2) - 1]), scale.of(own[-1])) for own in ranked.values()
    ]
    return pandas.DataFrame(rows, columns=["median", "longest"], index=list(ranked))


def _draw(
    seconds: Mapping[str, Sequence[float]], reach: Ranges, wrong: tuple[Mapping[str, float], str],
    columns: Mapping[str, Mapping[str, str]], title: str, finding: str, scale: Scale,
) -> "Figure":  # fmt: skip
    myths, myth = wrong
    tall = ROW_HEIGHT * len(seconds)
    left = 0.25 + 0.078 * max(map(len, seconds)) + 0.14
    widths = {name: 0.14 + 0.068 * max(map(len, [name, *words.values()]))
              for name, words in columns.items()}  # fmt: skip
    right = WIDTH_INCHES - 0.5 - sum(widths.values())
    outside = any(not _is_inside(each, reach[name]) for name in seconds for each in seconds[name])
    keys = key_rows(_keys(myth if myths else "", scale.one, outside=outside))
    sheet = Sheet(0.3 + tall + 0.62 + KEY_HEIGHT * len(keys), title, finding)
    longest = max([*(max(own) for own in seconds.values()), *(most for _, most in reach.values()),
                   *myths.values()])  # fmt: skip
    box = (left, sheet.top + 0.25, right - left, tall)
    axis = (0.0, scale.per_second * longest * 1.03)
    panel = sheet.panel(box, axis, 0.0, (f"{scale.words}, {scale.unit}", ""))
    place = right + 0.2
    for name, width in widths.items():
        place += width
        sheet.say(place, box[1] - 0.1, name, ha="right")
        for number, kind in enumerate(seconds):
            middle = box[1] + ROW_HEIGHT * (number + 0.5)
            sheet.say(place, middle, columns[name][kind], color=INK, ha="right")
    for number, (name, own) in enumerate(seconds.items()):
        middle = box[1] + ROW_HEIGHT * (number + 0.5)
        sheet.name(left - 0.14, middle, name)
        start, end = (panel.at(scale.per_second * bound) for bound in reach[name])
        _band(sheet, (start, middle - BAND_HEIGHT / 2, end - start, BAND_HEIGHT))
        _dots(panel, own, middle, reach[name], scale)
        if name in myths:
            _diamond(sheet, panel.at(scale.per_second * myths[name]), middle)
    sheet.legend(panel.bottom + 0.6, keys)
    return sheet.figure


def _band(sheet: Sheet, box: tuple[float, float, float, float]) -> None:
    sheet.box(box, facecolor=BAND, edgecolor=SOFT, linewidth=0.6, alpha=0.75)


def _dots(
    panel: Panel, own: Sequence[float], middle: float, reach: tuple[float, float], scale: Scale
) -> None:
    """Durations of one reading of the clock, packed side by side around the row's middle. On a
    scale of seconds, where a dot is wider than a reading, those under one dot are stacked."""
    clock, columns = CLOCK_SECONDS, COLUMNS
    if scale.unit == "s":
        clock, columns = DOT_INCHES / (panel.at(1.0) - panel.at(0.0)), 1
    at_once: dict[int, list[float]] = {}
    for took in own:
        at_once.setdefault(round(took / clock), []).append(took)
    for reading, those in at_once.items():
        rows = math.ceil(len(those) / columns)
        for number, took in enumerate(those):
            row, column = divmod(number, columns)
            in_row = min(columns, len(those) - row * columns)
            x = panel.at(scale.per_second * clock * reading)
            x += (column - (in_row - 1) / 2) * DOT_INCHES
            inside = _is_inside(clock * reading if columns > 1 else took, reach)
            _dot(panel.sheet, x, middle + (row - (rows - 1) / 2) * DOT_INCHES, inside=inside)


def _dot(sheet: Sheet, x: float, y: float, *, inside: bool) -> None:
    marker, color = ("o", CALM) if inside else ("X", ALARM)
    style = {"color": color, "markersize": 4.2, "markeredgewidth": 0, "linestyle": "none"}
    sheet.axes.plot([x], [y], marker=marker, zorder=4, **style)


def _diamond(sheet: Sheet, x: float, y: float) -> None:
    sheet.axes.plot([x], [y], marker="D", markersize=7.5, markerfacecolor="none",
                    markeredgecolor=ALARM, markeredgewidth=1.5, zorder=5)  # fmt: skip


def _keys(myth: str, one: str, *, outside: bool) -> list:
    def band(sheet: Sheet, x: float, y: float) -> None:
        _band(sheet, (x, y - 0.07, KEY_WIDTH, 0.14))

    def dot(inside: bool):
        return lambda sheet, x, y: _dot(sheet, x + KEY_WIDTH / 2, y, inside=inside)

    def diamond(sheet: Sheet, x: float, y: float) -> None:
        _diamond(sheet, x + KEY_WIDTH / 2, y)

    keys = [("predicted", band), (one, dot(True))]
    keys += [("outside", dot(False))] if outside else []
    return [*keys, (myth, diamond)] if myth else keys
