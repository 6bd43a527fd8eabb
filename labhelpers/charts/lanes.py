"""Lanes of a timeline: bars for what is there, words for what isn't, marks for what happens at a
moment, and what stands above them and goes across."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from labhelpers.charts.canvas import (
    ALARM,
    CALM,
    DOTS,
    INK,
    KEY_WIDTH,
    NARROW,
    NOTE,
    PALETTE,
    SOFT,
    WIDE,
    Sheet,
    Sign,
    letters,
    line_style,
    missing,
    width_of,
)

__all__ = [
    "LANE_HEIGHT",
    "Above",
    "Lane",
    "at_a_moment",
    "draw_lane",
    "ending",
    "is_there",
    "lane_keys",
    "run_letters",
]

THERE = ("running", "set", "True")  # the states that are drawn as a full bar
RUNS = ("container", "pause", "network")
LANE_HEIGHT, BAR_HEIGHT = 0.56, 0.26
# A container's end: the marker, its colour, how large it is, and what it's filled with. A ring in
# grey is neither the cross of an error nor the disc of an end without one.
END_SIGNS = {
    "done": ("o", CALM, 6, CALM),
    "bad": ("x", ALARM, 7, ALARM),
    "unknown": ("o", SOFT, 6, "none"),
}
LEFTMOST = 0.25  # inches from the card's edge
PREDICTED, PREDICTED_DASH = line_style("predicted")

Marks = Sequence[tuple[float, str]]
Notes = Sequence[tuple[float, float, str]]


@dataclass(frozen=True)
class Lane:
    """A lane of your own beside a recording's, on the same axis: what a server would have
    answered, or what a client got.

    Args:
        name: what the lane is called.
        source: where it comes from, in two or three words: "the server's log".
        spans: (from, to, words), in seconds: a bar with its words. Equal words have one colour.
        points: (seconds, words, good), in seconds: a mark at a moment, such as a probe that passed
            or failed. The legend has the words.
        order: the words of spans in the order of their colours. Two pictures with the same order
            have the same colour for the same words; without one, the first words come first.

    Example::

        spans, points = [(0, 5, "200"), (5, 9, "503")], [(1, "passed", True), (6, "failed", False)]
        answers = Lane("the server answers", "what we told it", spans)
        probes = Lane("probes", "the server's log", points=points)
        life.chart("When does traffic stop?", [answers, probes, "Ready", "endpoint ready"])
    """

    name: str
    source: str
    spans: Sequence[tuple[float, float, str]] = ()
    points: Sequence[tuple[float, str, bool]] = ()
    order: Sequence[str] = ()

    def rows(self) -> list[dict[str, Any]]:
        """The lane as rows of a recording's table."""
        order = list(dict.fromkeys([*self.order, *(words for _, _, words in self.spans)]))
        return [
            {"lane": self.name, "kind": "span", "state": words, "value": words, "reason": None,
             "start": start, "end": end, "look": order.index(words)}
            for start, end, words in self.spans
        ] + [
            {"lane": self.name, "kind": "point", "state": words, "value": "good" if good else "bad",
             "reason": None, "start": seconds, "end": seconds}
            for seconds, words, good in self.points
        ]  # fmt: skip


class Above:
    """What stands above the lanes, and goes across them: lines for what we did, dashed ones for
    what was predicted, shaded spans for what there is to see. Words that would run into each other
    get a row each. Words that would run across the next predicted line stand left of their own."""

    def __init__(
        self,
        marks: Marks,
        notes: Notes,
        at: Callable[[float], float],
        right: float,
        predicted: Marks = (),
    ) -> None:
        self.marks, self.notes, self.predicted, self._at = marks, notes, predicted, at
        self._words: list[tuple[float, str, str, int, str]] = []
        rows: list[float] = []  # how far each row is full, from the left
        wanted = [(at(start), words, INK) for start, _, words in notes]
        wanted += [(at(seconds), words, PREDICTED) for seconds, words in predicted]
        before: tuple[float, str] | None = None
        for seconds, words in marks:
            # Equal words that are near each other stand there once.
            if (
                before is None
                or words != before[1]
                or at(seconds) - before[0] > NARROW * len(words) + 0.1
            ):
                wanted.append((at(seconds), words, ALARM))
                before = (at(seconds), words)
        lines = [at(seconds) for seconds, _ in predicted]
        placed = []
        for x, words, color in wanted:
            width = NARROW * len(words) + 0.1
            left = x - 0.05 - width
            is_crossed = x in lines and any(x < line < x + width for line in lines)
            if is_crossed and left >= LEFTMOST:
                placed.append((left, width, x - 0.05, words, color, "right"))
            else:
                start = min(x + 0.05, right - width + 0.1)
                placed.append((start, width, start, words, color, "left"))
        for start, width, x, words, color, side in sorted(placed):
            row = next((number for number, end in enumerate(rows) if end <= start), len(rows))
            rows[row : row + 1] = [start + width]
            self._words.append((x, words, color, row, side))
        self.inches = 0.07 + 0.15 * len(rows) if rows else 0.0

    def draw(self, sheet: Sheet, top: float, bottom: float) -> None:
        for start, end, _ in self.notes:
            x, width = self._at(start), max(self._at(end) - self._at(start), 0.03)
            box = (x, top - 0.04, width, bottom - top + 0.04)
            sheet.box(box, round_by=0.01, facecolor=NOTE, alpha=0.45, zorder=0.5)
        for seconds, _ in self.marks:
            sheet.upright(self._at(seconds), (top - 0.06, bottom), ALARM)
        for seconds, _ in self.predicted:
            sheet.upright(self._at(seconds), (top - 0.06, bottom), PREDICTED, dash=PREDICTED_DASH)
        for x, words, color, row, side in self._words:
            y = top - 0.11 - 0.15 * row
            weight = "bold" if color == INK else "normal"
            sheet.say(x, y, words, size=7.5, color=color, ha=side, weight=weight, zorder=4)


def is_there(row: dict) -> bool:
    """Whether a row is drawn as a full bar."""
    return row["kind"] == "span" or row["state"] in THERE


def outcome(row: dict) -> str:
    """How a container ended: "done", "bad", or "unknown" where nobody has said how.

    >>> outcome({"exit_code": 0, "signal": None}), outcome({"exit_code": 137, "signal": 9})
    ('done', 'bad')
    >>> outcome({"exit_code": None, "signal": None})
    'unknown'
    """
    if row["exit_code"] is None and not row["signal"]:
        return "unknown"
    return "done" if row["exit_code"] == 0 else "bad"


def at_a_moment(row: dict) -> bool:
    return row["kind"] in ("point", "event")


def lane_keys(
    rows: list[dict], lanes: Sequence[str], notes: Notes = (), predicted: Marks = ()
) -> list[tuple[str, Sign]]:
    """What the signs mean, of those that are there."""
    points = dict.fromkeys(
        (row["state"], row["value"] == "good") for row in rows if row["kind"] == "point"
    )
    happened = any(row["kind"] == "event" for row in rows)
    rows = [row for row in rows if not at_a_moment(row)]
    ends = [row for row in rows if row["state"] == "terminated"]
    outcomes = {outcome(row) for row in ends}
    signs = {
        "killed": any(row["signal"] for row in ends),
        "ended with an error": any(outcome(row) == "bad" and not row["signal"] for row in ends),
    }
    not_so = [row for row in rows if not is_there(row) and row["state"] != "terminated"]
    absent = {
        "condition False (reason)": any(row["kind"] == "condition" for row in not_so),
        "waiting (reason)": any(row["kind"] == "container" for row in not_so),
    }
    there = {
        "running": any(is_there(row) and row["kind"] in RUNS for row in rows),
        "condition True": any(is_there(row) and row["kind"] == "condition" for row in rows),
    }
    by_lane = [[row for row in rows if row["lane"] == lane] for lane in lanes]
    lettered = any(any(run_letters(own)) for own in by_lane)
    restarted = any(_starts_again(own, number) for own in by_lane for number in range(len(own)))
    keys: list[tuple[str, Sign, object]] = [
        (" or ".join(words for words, so in there.items() if so), _key_there, any(there.values())),
        ("a, then a new one: b", _key_same, lettered),
        ("restarted", _key_restarted, restarted),
        ("ended somewhere in the pale part", _key_pale, any(_fades(row) for row in rows)),
        (" or ".join(words for words, so in signs.items() if so), _key_killed, any(signs.values())),
        ("ended with exit code 0", _key_done, "done" in outcomes),
        ("ended, exit code unknown", _key_unknown, "unknown" in outcomes),
        ("not running", _key_dotted, ends),
        (", ".join(words for words, so in absent.items() if so), _key_dashed, not_so),
    ]
    keys += [(words, _key_done if good else _key_killed, True) for words, good in points]
    keys += [("event", _key_event, happened), ("predicted", _key_predicted, predicted)]
    keys += [("what to look at", _key_note, notes)]
    return [(words, sign) for words, sign, there in keys if there]


def _fades(row: dict) -> bool:
    return is_there(row) and bool(row.get("end_resolution")) and not row.get("ongoing")


def _starts_again(rows: list[dict], number: int) -> bool:
    """Whether a container's run is one after another of the same lane."""
    row = rows[number]
    return row["kind"] == "container" and is_there(row) and any(map(is_there, rows[:number]))


def _key_there(sheet: Sheet, x: float, y: float) -> None:
    sheet.filled((x, y - 0.075, KEY_WIDTH, 0.15), PALETTE[0])


def _key_restarted(sheet: Sheet, x: float, y: float) -> None:
    sheet.line([x + KEY_WIDTH / 2] * 2, [y - 0.1, y + 0.1], INK, width=1.4)


def _key_note(sheet: Sheet, x: float, y: float) -> None:
    sheet.box((x, y - 0.075, KEY_WIDTH, 0.15), round_by=0.01, facecolor=NOTE, alpha=0.45)


def _key_same(sheet: Sheet, x: float, y: float) -> None:
    half = KEY_WIDTH / 2
    for number, letter in enumerate("ab"):
        sheet.filled((x + half * number, y - 0.075, half, 0.15), PALETTE[number])
        middle = x + half * (number + 0.5)
        sheet.say(middle, y, letter, color=INK, ha="center", va="center_baseline")


def _key_pale(sheet: Sheet, x: float, y: float) -> None:
    sheet.filled((x, y - 0.075, KEY_WIDTH, 0.15), PALETTE[0], alpha=0.35)
    sheet.filled((x, y - 0.075, KEY_WIDTH / 2, 0.15), PALETTE[0])


def _key_killed(sheet: Sheet, x: float, y: float) -> None:
    _end_sign(sheet, x + KEY_WIDTH / 2, y, "bad")


def _key_done(sheet: Sheet, x: float, y: float) -> None:
    _end_sign(sheet, x + KEY_WIDTH / 2, y, "done")


def _key_unknown(sheet: Sheet, x: float, y: float) -> None:
    _end_sign(sheet, x + KEY_WIDTH / 2, y, "unknown")


def _key_dotted(sheet: Sheet, x: float, y: float) -> None:
    sheet.line([x, x + KEY_WIDTH], [y, y], SOFT, dash=DOTS, width=1.4)


def _key_dashed(sheet: Sheet, x: float, y: float) -> None:
    sheet.frame((x, y - 0.06, KEY_WIDTH, 0.12))


def _key_event(sheet: Sheet, x: float, y: float) -> None:
    _event_sign(sheet, x + KEY_WIDTH / 2, y)


def _key_predicted(sheet: Sheet, x: float, y: float) -> None:
    sheet.line([x + KEY_WIDTH / 2] * 2, [y - 0.1, y + 0.1], PREDICTED, dash=PREDICTED_DASH)


def _event_sign(sheet: Sheet, x: float, y: float) -> None:
    sheet.axes.plot([x], [y], marker="D", color=INK, markersize=4.5)


def _end_sign(sheet: Sheet, x: float, y: float, how: str) -> None:
    marker, color, size, filled = END_SIGNS[how]
    sheet.axes.plot(
        [x],
        [y],
        marker=marker,
        color=color,
        markerfacecolor=filled,
        markersize=size,
        markeredgewidth=2,
    )


def run_letters(rows: list[dict]) -> list[str]:
    """A letter for each row of a lane that holds something; none where there is nothing to tell
    apart."""
    there = [row["value"] if is_there(row) else None for row in rows]
    found = letters(there)
    named = ("address", "condition", "span")  # these say what they are in words
    worth = len(set(filter(None, found))) > 1 and rows[0]["kind"] not in named
    return found if worth else [""] * len(rows)


def draw_lane(
    sheet: Sheet, rows: list[dict], at: Callable[[float], float], middle: float, right: float
) -> None:
    """One lane: bars for what is there, words for what is not, and a sign at each end of a
    container. All words of a lane are on its bar or above it; below it stand those that have no
    place there."""
    top = middle - BAR_HEIGHT / 2
    above, below = top - 0.065, top + BAR_HEIGHT + 0.065
    _draw_moments(sheet, [row for row in rows if at_a_moment(row)], at, middle, right)
    rows = [row for row in rows if not at_a_moment(row)]
    marks = run_letters(rows)
    order = list(dict.fromkeys(row["value"] for row in rows if is_there(row)))
    said, said_until = "", 0.0
    for number, (row, mark) in enumerate(zip(rows, marks, strict=True)):
        start, end = at(row["start"]), at(row["end"])
        before = rows[number - 1] if number else None
        if is_there(row):
            look = PALETTE[row.get("look", order.index(row["value"])) % len(PALETTE)]
            _draw_bar(sheet, row, mark, look, at, middle, right)
            if _starts_again(rows, number):
                sheet.line([start] * 2, [top - 0.07, top + BAR_HEIGHT + 0.04], INK, width=1.4)
                if before is None or not _said_together(before, start - at(before["start"])):
                    spots = [(start + 0.05, above, "left"), (start - 0.05, above, "right")]
                    sheet.words(spots, "restarted", INK, right, optional=True)
        elif row["state"] == "terminated":
            how = outcome(row)
            color = END_SIGNS[how][1]
            follows = rows[number + 1] if number + 1 < len(rows) else None
            # It ended somewhere in the pale part of the bar: by the end of that, surely, and before
            # what comes next.
            start = at(row["start"] + (row["start_resolution"] or 0.0))
            start = min(start, end) if follows else start
            sheet.line([start, max(end, start + 0.03)], [middle] * 2, color, dash=DOTS, width=1.4)
            _end_sign(sheet, start, middle, how)
            killed_by_kernel = row["reason"] == "OOMKilled"
            words = "OOMKilled" if killed_by_kernel else ending(row).partition(" ")[2] or "ended"
            if follows and is_there(follows) and _said_together(row, end - start):
                words += ", restarted"
            # Two ends of one kind that are near each other: one word for both. The same holds where
            # there's no place for a second one.
            if words != said or start > said_until:
                spots = [(start + 0.03, above, "left"), (start - 0.03, above, "right")]
                spots.append((end - 0.03, above, "right"))
                if not said.startswith(words):
                    spots += [(start - 0.03, below, "left"), (start + 0.03, below, "right")]
                clear = start + 0.1
                if end - clear > NARROW * len(words) + 0.1:
                    spots.insert(0, (clear, middle - 0.09, "left"))
                sheet.words(spots, words, color, right, optional=said.startswith(words))
                said, said_until = words, start + NARROW * len(words)
        else:
            sheet.frame((start, top + 0.03, max(end - start, 0.02), BAR_HEIGHT - 0.06))
            words = row["reason"] or row["state"]
            if end - start > width_of(words) + 0.06:
                sheet.say((start + end) / 2, middle, words, size=7.5, ha="center")
            else:
                spots = [(start, above, "left"), (end, above, "right")]
                spots += [(start, below, "left"), (end, below, "right")]
                sheet.words(spots, words, SOFT, right)


def _draw_moments(
    sheet: Sheet, rows: list[dict], at: Callable[[float], float], middle: float, right: float
) -> None:
    """Signs at moments. Events have their reason above them, once for equal ones that are near each
    other; points have theirs in the legend."""
    above = middle - BAR_HEIGHT / 2 - 0.065
    said_until: dict[str, float] = {}
    for row in rows:
        x = at(row["start"])
        if row["kind"] == "point":
            _end_sign(sheet, x, middle, "done" if row["value"] == "good" else "bad")
            continue
        _event_sign(sheet, x, middle)
        words = row["state"]
        if x >= said_until.get(words, -1.0):
            spots = [(x - 0.03, above, "left"), (x + 0.03, above, "right")]
            below = middle + BAR_HEIGHT / 2 + 0.065
            spots += [(x - 0.03, below, "left"), (x + 0.03, below, "right")]
            sheet.words(spots, words, INK, right)
            said_until[words] = x + NARROW * len(words) + 0.3


def _said_together(ended: dict, inches: float) -> bool:
    """Whether an end and the restart after it are so near that they are one phrase."""
    return ended["state"] == "terminated" and inches < 1.0


def _draw_bar(
    sheet: Sheet, row: dict, mark: str, look: tuple[str, str, str],
    at: Callable[[float], float], middle: float, right: float,
) -> None:  # fmt: skip
    top, start = middle - BAR_HEIGHT / 2, at(row["start"])
    # The end is known to lie in a range: full colour where it surely was, fading where it may have
    # been.
    blur = row["end_resolution"] if _fades(row) else 0.0
    sure, late = max(at(row["end"] - blur), start), at(row["end"] + blur)
    if late - sure > 0.02:
        sheet.filled((start, top, late - start, BAR_HEIGHT), look, alpha=0.35)
    sheet.filled((start, top, max(sure - start, 0.02), BAR_HEIGHT), look)
    text = {"address": row["value"], "condition": row["state"], "span": row["state"]}.get(
        row["kind"], mark
    )
    if missing(text):
        return
    wanted = WIDE * len(text) + 0.15
    room = sure if sure - start > wanted else late
    if room - start > wanted:
        sheet.chip_in(start, room, middle, text)
    elif row["kind"] in ("address", "span"):
        above, below = top - 0.065, top + BAR_HEIGHT + 0.065
        spots = [(start, above, "left"), (late, above, "right")]
        sheet.words([*spots, (start, below, "left"), (late, below, "right")], text, INK, right)


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
