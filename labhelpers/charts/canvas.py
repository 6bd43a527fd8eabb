"""The paper that all pictures are drawn on: a sheet with its title and finding, panels with two
axes, words that keep out of each other's way, legends with drawn keys, colours and hatches.

Areas have the colours of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people without
full colour vision can tell apart, and each has its letter and hatch. Lines have darker colours, and
each has its dash. Everything is measured in inches from the upper left corner.
"""

import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass

__all__ = [
    "DOTS_PER_INCH",
    "LINES",
    "PALETTE",
    "ROUND_INCHES",
    "WIDTH_INCHES",
    "Box",
    "Look",
    "Panel",
    "Points",
    "Sheet",
    "key_rows",
    "letters",
    "line_style",
    "missing",
    "pieces",
    "provenance",
    "set_provenance",
    "ticks",
    "width_of",
]

WIDTH_INCHES = 7.0
DOTS_PER_INCH = 144
ROUND_INCHES = 0.12  # the corners of the card
PAPER, INK, SOFT, LINE = "#fbfaf7", "#1d2733", "#6b7480", "#d9d6cf"
PALE = "#f1efea"
NOTE = "#f0e442"  # a highlighter
WIDE, NARROW = 0.078, 0.062  # about the width of a letter at 9 and at 7.5 points, in inches
GAP = 0.05  # between two labels side by side
FONT = "DejaVu Sans"  # comes with matplotlib, so a picture is the same on every machine

Box = tuple[float, float, float, float]  # x, y, width, height, in inches
Look = tuple[str, str, str]  # fill, text on it, hatch
# (x, y) in order; y is None where the line breaks off, between two runs of a container.
Points = Sequence[tuple[float, float | None]]

# By first appearance: the first is plain, each other one has a hatch of its own.
PALETTE: tuple[Look, ...] = (
    ("#56b4e9", INK, ""),
    ("#e69f00", INK, "///"),
    ("#009e73", "white", "..."),
    ("#cc79a7", INK, "xxx"),
    ("#f0e442", INK, "\\\\\\"),
    ("#0072b2", "white", "|||"),
    ("#d55e00", "white", "---"),
)
# The palette's vermilion and green, darkened until they can be read as text.
ALARM, CALM = "#b34700", "#00664b"
# A line of the second kind can be told from one of the first without its colour.
LINES = (
    ("#0072b2", "-"),
    ("#b34700", (0, (5, 1.5))),
    ("#00664b", (0, (2, 1))),
    ("#7a4a6b", (0, (6, 1, 1, 1))),
)
DOTS = (0, (1, 1.2))
_STYLES: dict[str, tuple[str, Any]] = {
    "measured": ("#0072b2", "-"),
    "limit": (ALARM, (0, (4, 2))),
    "predicted": (INK, DOTS),
}

_provenance: str | Callable[[], str] = ""


def set_provenance(text: str | Callable[[], str]) -> None:
    """What every picture from now on says in its corner: what it was measured on. "" says nothing.
    A function is called when the first picture is drawn.

    Example::

        set_provenance("Kubernetes 1.37.0 · containerd 2.4 · cgroup v2 · Linux 6.18")
    """
    global _provenance
    _provenance = text


def provenance() -> str:
    """What pictures say in their corner at present."""
    if callable(_provenance):
        set_provenance(_provenance())
    return _provenance


def line_style(name: str) -> tuple[str, Any]:
    """Colour and dash of the line called "measured", "limit" or "predicted" in every picture."""
    return _STYLES[name]


def missing(value: Any) -> bool:
    """Whether a cell of a frame is empty. pandas' NA is the one value that answers no question of
    equality."""
    return (
        value is None
        or type(value).__name__ == "NAType"
        or value == ""
        or (isinstance(value, float) and math.isnan(value))
    )


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


def ticks(first: float, last: float) -> list[float]:
    """Round numbers for the marks of an axis.

    >>> ticks(0, 3.4)
    [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    """
    from matplotlib.ticker import MaxNLocator

    near = (last - first) * 1e-9
    return [
        float(each)
        for each in MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(first, last)
        if first - near <= each <= last + near
    ]


def pieces(points: Points) -> Iterator[list[tuple[float, float]]]:
    """A line as its unbroken pieces.

    >>> list(pieces([(0, 1), (1, 2), (1, None), (3, 1)]))
    [[(0, 1), (1, 2)], [(3, 1)]]
    """
    piece: list[tuple[float, float]] = []
    for x, y in [*points, (0.0, None)]:
        if y is not None:
            piece.append((x, y))
        elif piece:
            yield piece
            piece = []


Sign = Callable[["Sheet", float, float], None]  # draws a key: from x on, around y
KEY_WIDTH, KEY_HEIGHT = 0.34, 0.21


def key_rows(keys: Sequence[tuple[str, Sign]]) -> list[list[tuple[float, str, Sign]]]:
    """A legend in rows: for each key its place from the left, its words and its sign."""
    rows: list[list[tuple[float, str, Sign]]] = []
    x = WIDTH_INCHES
    for words, sign in keys:
        width = KEY_WIDTH + 0.08 + 0.068 * len(words)
        if x + width > WIDTH_INCHES - 0.25:
            rows.append([])
            x = 0.25
        rows[-1].append((x, words, sign))
        x += width + 0.2
    return rows


class Sheet:
    """A card with a title above, a finding below, and room between them.

    Args:
        height_inches: of the room.
        title: the question that the picture answers.
        finding: the answer; its parts are divided by " · ".

    Attributes:
        figure: matplotlib's own.
        axes: all of it, measured in inches from the upper left corner.
        top: where the room begins.
    """

    def __init__(self, height_inches: float, title: str, finding: str):
        from matplotlib.figure import Figure

        above, below = textwrap.wrap(title, 62) or [""], _wrapped(finding)
        said = provenance()
        self.top = 0.30 + 0.24 * len(above)
        bottom = self.top + height_inches
        height = bottom + 0.30 + 0.19 * len(below) + (0.14 if said else 0)
        self.figure: Figure = Figure(figsize=(WIDTH_INCHES, height), facecolor=PAPER)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_xlim(0, WIDTH_INCHES)
        self.axes.set_ylim(height, 0)
        self.axes.axis("off")
        self._taken: list[Box] = []
        for number, line in enumerate(above):
            self.say(0.25, 0.34 + 0.24 * number, line, size=12.5, color=INK, weight="bold")
        if finding:
            self.line([0.25, WIDTH_INCHES - 0.25], [bottom + 0.06] * 2, LINE, width=0.8)
        for number, line in enumerate(below):
            self.say(0.25, bottom + 0.24 + 0.19 * number, line, size=8.5, color=INK)
        if said:
            self.say(WIDTH_INCHES - 0.25, height - 0.13, said, size=6.5, ha="right")
        edge = 0.008
        self.box(
            (edge, edge, WIDTH_INCHES - 2 * edge, height - 2 * edge),
            round_by=ROUND_INCHES,
            facecolor="none",
            edgecolor="#b9b5ab",
            linewidth=1,
        )

    def say(
        self, x: float, y: float, words: str, *, size: float = 8, color: str = SOFT,
        ha: str = "left", **style: Any,
    ) -> None:  # fmt: skip
        """Words at a place."""
        style = {"va": "center", **style}
        self.axes.text(x, y, words, size=size, color=color, family=FONT, ha=ha, **style)

    def name(self, x: float, y: float, words: str) -> None:
        """What a lane or a row is called, to the left of x."""
        self.say(x, y, words, size=9.5, color=INK, ha="right")

    def line(
        self, xs: Sequence[float], ys: Sequence[float], color: str, *, dash: Any = "-",
        width: float = 1.6, **style: Any,
    ) -> None:  # fmt: skip
        self.axes.plot(xs, ys, color=color, linewidth=width, linestyle=dash, **style)

    def upright(self, x: float, ends: tuple[float, float], color: str, *, dash: Any = "-") -> None:
        """A line across, which words keep away from."""
        self.line([x, x], ends, color, dash=dash, width=1.1)
        self._taken.append((x - 0.01, ends[0], 0.02, ends[1] - ends[0]))

    def box(self, box: Box, *, round_by: float = 0.05, **style: Any) -> None:
        from matplotlib.patches import FancyBboxPatch

        x, y, width, height = box
        shape = f"round,pad=0,rounding_size={min(round_by, width / 2, height / 2):.4f}"
        style = {"linewidth": 0, **style}
        self.axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, **style))

    def filled(self, box: Box, look: Look, **style: Any) -> None:
        """A box with a colour and a hatch of the palette."""
        fill, ink, hatch = look
        self.box(box, facecolor=fill, **style)
        if hatch:
            self.box(box, facecolor="none", edgecolor=ink, hatch=hatch, alpha=0.22)

    def frame(self, box: Box) -> None:
        """A dashed box for what is not there."""
        dash = (0, (3, 2))
        self.box(box, facecolor="none", edgecolor=SOFT, linewidth=0.8, linestyle=dash)

    def chip(self, x: float, y: float, text: str, size: float = 9) -> None:
        """Words on a patch of paper, so that no hatch runs through them."""
        self.axes.text(
            x, y, text, size=size, weight="bold", color=INK, family=FONT, ha="center",
            va="center_baseline", zorder=3,
            bbox={"boxstyle": "round,pad=0.18,rounding_size=0.25", "facecolor": PAPER,
                  "edgecolor": "none"},
        )  # fmt: skip

    def chip_in(self, left: float, right: float, y: float, text: str) -> None:
        """A chip somewhere between two edges, away from the lines across; in the middle where that
        is free."""
        half = WIDE * len(text) / 2 + 0.06
        spots = [left + (right - left) * part for part in (0.5, 0.35, 0.65, 0.2, 0.8)]
        inside = [x for x in spots if left + half <= x <= right - half] or spots[:1]
        free = [x for x in inside if self._is_free((x - half, y - 0.08, 2 * half, 0.16))]
        self.chip((free or inside)[0], y, text)

    def words(
        self, places: Sequence[tuple[float, float, str]], words: str, color: str, right: float,
        *, optional: bool = False,
    ) -> None:  # fmt: skip
        """Small words at the first place that is free and inside the picture.

        Args:
            places: (x, y, "left" or "right"): where they begin, or end.
            right: the edge that they must not cross.
            optional: leave them out where no place is free.
        """
        width = NARROW * len(words)
        boxes = [
            (x - (width if ha == "right" else 0), y - 0.055, width, 0.11) for x, y, ha in places
        ]
        inside = [
            number
            for number, (x, _, width, _) in enumerate(boxes)
            if x >= 0.2 and x + width <= right + 0.02
        ]
        free = [number for number in inside if self._is_free(boxes[number])]
        if optional and not free:
            return
        best = (free or inside or [len(places) - 1])[0]
        x, y, ha = places[best]
        self._taken.append(boxes[best])
        paper = {"boxstyle": "square,pad=0.08", "facecolor": PAPER, "edgecolor": "none"}
        self.say(x, y, words, size=7.5, color=color, ha=ha, zorder=4, bbox=paper)

    def reserve(self, box: Box) -> None:
        """Keeps small words away from what is there."""
        self._taken.append(box)

    def _is_free(self, box: Box) -> bool:
        x, y, width, height = box
        return not any(
            x < left + across + GAP
            and left < x + width + GAP
            and y < top + down
            and top < y + height
            for left, top, across, down in self._taken
        )

    def legend(self, y: float, rows: list[list[tuple[float, str, Sign]]]) -> None:
        """Keys with their words, as ``key_rows`` has placed them; y is the first row's middle."""
        for number, row in enumerate(rows):
            for x, words, sign in row:
                sign(self, x, y + KEY_HEIGHT * number)
                self.say(x + KEY_WIDTH + 0.08, y + KEY_HEIGHT * number, words)

    def panel(
        self, box: Box, across: tuple[float, float], up: float, words: tuple[str, str],
        *, below: float = 0.0,
    ) -> "Panel":  # fmt: skip
        """Two axes inside a box: a grid with round numbers, and words for both.

        Args:
            box: in inches.
            across: first and last number of the horizontal axis.
            up: last number of the vertical one, which begins at 0. 0: there is none.
            words: what the horizontal axis says, and the vertical one, with their units.
            below: how much further down the grid goes, in inches: for lanes on the same axis.
        """
        left, top, width, height = box
        panel = Panel(self, box, across, up)
        end = top + height + below
        for tick in ticks(*across):
            x = panel.at(tick)
            self.line([x, x], [top, end + 0.05], LINE, width=0.7, zorder=0)
            self.say(x, end + 0.16, f"{tick:g}", ha="center")
        for tick in ticks(0, up) if up else ():
            y = panel.high(tick)
            self.line([left, left + width], [y, y], LINE, width=0.7, zorder=0)
            self.say(left - 0.1, y, f"{tick:g}", ha="right")
        self.say(left + width, end + 0.36, words[0], ha="right")
        self.say(0.25, top - 0.3, words[1])
        return panel


@dataclass(frozen=True)
class Panel:
    """Two axes on a sheet: ``at`` and ``high`` give the place of a number, in inches."""

    sheet: Sheet
    box: Box
    across: tuple[float, float]
    up: float

    @property
    def right(self) -> float:
        return self.box[0] + self.box[2]

    @property
    def bottom(self) -> float:
        return self.box[1] + self.box[3]

    def at(self, value: float) -> float:
        first, last = self.across
        return self.box[0] + (min(max(value, first), last) - first) / (last - first) * self.box[2]

    def high(self, value: float) -> float:
        return self.bottom - min(max(value, 0.0), self.up) / self.up * self.box[3]

    def line(self, points: Points, color: str, dash: Any = "-", **style: Any) -> None:
        """A line through points, broken where a value is None."""
        for piece in pieces(points):
            xs, ys = [self.at(x) for x, _ in piece], [self.high(y) for _, y in piece]
            self.sheet.line(xs, ys, color, dash=dash, solid_joinstyle="round", **style)

    def label_ends(self, ends: Iterable[tuple[str, str, float, float]]) -> None:
        """Names of lines beside their ends: (name, colour, x, y). Ends that lie close together are
        moved apart."""
        lowest = self.box[1] - 0.14
        for name, color, x, y in sorted(ends, key=lambda end: self.high(end[3])):
            place = max(self.high(y), lowest + 0.14)
            self.sheet.words([(self.at(x) + 0.07, place, "left")], name, color, WIDTH_INCHES - 0.1)
            lowest = place


def width_of(words: str, size: float = 7.5) -> float:
    """How wide words are when drawn, in inches.

    Args:
        size: in points.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), words, size=size, prop=FontProperties(family=FONT))
    return float(path.get_extents().width) / 72


def _wrapped(finding: str, width: int = 104) -> list[str]:
    """A finding in lines, broken between its parts where that is possible.

    >>> _wrapped("net: one · pid: two · mnt: two", 20)
    ['net: one · pid: two', 'mnt: two']
    """
    lines: list[str] = []
    for part in finding.split(" · "):
        if lines and len(lines[-1]) + 3 + len(part) <= width:
            lines[-1] += f" · {part}"
        else:
            lines += textwrap.wrap(part, width, break_on_hyphens=False)
    return lines
