"""A Pod's life over seconds: a lane for each container, for pause, the network namespace, the
address and each condition."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labhelpers.charts.canvas import (
    ALARM,
    CALM,
    DOTS,
    INK,
    KEY_HEIGHT,
    KEY_WIDTH,
    NARROW,
    NOTE,
    PALETTE,
    SOFT,
    WIDE,
    WIDTH_INCHES,
    Sheet,
    Sign,
    key_rows,
    letters,
    missing,
)
from labhelpers.charts.chart import Chart, nothing_to_draw, records, times
from labhelpers.errors import LabError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["COLUMNS", "TELL", "facts", "timeline", "when"]

COLUMNS = (
    "lane",
    "kind",
    "state",
    "value",
    "reason",
    "exit_code",
    "signal",
    "restarts",
    "start",
    "end",
    "start_resolution",
    "end_resolution",
    "ongoing",
)
TELL = ("containers", "pause", "network", "address")
THERE = ("running", "set", "True")  # the states that are drawn as a full bar
NAMED = {"network": "network namespace"}
LANE_HEIGHT, BAR_HEIGHT = 0.56, 0.26

Marks = Sequence[tuple[float, str]]
Notes = Sequence[tuple[float, float, str]]


# --- what it says ---------------------------------------------------------------------------------


def facts(intervals: "DataFrame") -> dict[str, Any]:
    """What a life's intervals say about what stayed and what did not.

    Args:
        intervals: as ``recording.Recording.intervals`` gives them; the columns are ``COLUMNS``.

    Returns:
        ``containers``: words for each container, as "same process" or "ended by signal 9, restarted
        once";
        ``pause``: "same process", "another process" or "gone"; ``network``: "same", "another" or
        "gone";
        ``address``: "same", "changed" or "gone". None where it was never seen.
    """
    lanes: dict[tuple[str, str], list[dict]] = {}
    for row in records(intervals):
        lanes.setdefault((row["kind"], row["lane"]), []).append(row)
    return {
        "containers": {
            lane: _container_words(own)
            for (kind, lane), own in lanes.items()
            if kind == "container"
        },
        "pause": _stayed(lanes.get(("pause", "pause"), []), "same process", "another process"),
        "network": _stayed(lanes.get(("network", "network"), []), "same", "another"),
        "address": _stayed(lanes.get(("address", "address"), []), "same", "changed"),
    }


def when(intervals: "DataFrame", states: Mapping[str, str]) -> list[tuple[float, float]]:
    """From when to when several lanes were each in a state, at the same time.

    Args:
        intervals: as ``recording.Recording.intervals`` gives them.
        states: a state for each lane.

    Raises:
        LabError: there is no such lane.

    >>> import pandas
    >>> rows = [("Ready", "True", 0, 5), ("app", "running", 0, 2), ("app", "terminated", 2, 3)]
    >>> life = pandas.DataFrame(rows, columns=["lane", "state", "start", "end"])
    >>> when(life, {"Ready": "True", "app": "terminated"})
    [(2, 3)]
    """
    found: list[tuple[float, float]] | None = None
    for lane, state in states.items():
        own = intervals[intervals["lane"] == lane]
        if own.empty:
            raise _no_lane(lane, intervals)
        own = own[own["state"] == state]
        spans = list(zip(own["start"].tolist(), own["end"].tolist(), strict=True))
        found = spans if found is None else [
            (max(one[0], other[0]), min(one[1], other[1]))
            for one in found
            for other in spans
            if max(one[0], other[0]) < min(one[1], other[1])
        ]  # fmt: skip
    return found or []


def timeline(
    intervals: "DataFrame",
    title: str,
    lanes: Sequence[str] | None = None,
    tell: Sequence[str] = TELL,
    marks: Iterable[tuple[float, str]] = (),
    notes: Iterable[tuple[float, float, str]] = (),
) -> Chart:
    """A Pod's life: a lane for each container, for pause, for the network namespace and for the
    address, over seconds.

    A bar of one colour and one letter is one and the same thing; after a break comes another. Where
    a bar fades out, the end lies somewhere in the faded part.

    Args:
        intervals: as ``recording.Recording.intervals`` gives them.
        title: the question that the picture answers.
        lanes: the lanes to draw, top to bottom; left out: address, network, pause and the
            containers. Conditions are lanes: "Ready".
        tell: what the finding speaks of, in this order: "containers" or a container's name,
            "pause", "network", "address". Nobody promises an address: leave it out where the text
            is compared and the sandbox is a new one.
        marks: (seconds, words): what we did at a moment; drawn across, and no part of the finding.
        notes: (from, to, words), in seconds: what the picture shows there. It is shaded across all
            lanes, and no part of the finding. ``when`` finds such spans.

    Raises:
        LabError: no such lane, nothing of that name to tell, or no intervals at all.

    Example::

        gaps = when(life.intervals, {"Ready": "True", "app": "terminated"})
        notes = [(start, end, "Ready, but nothing is running") for start, end in gaps]
        timeline(life.intervals, "The app is killed. What changes?", notes=notes)
    """
    there = list(dict.fromkeys(intervals["lane"]))
    if not there:
        raise nothing_to_draw(
            "the recording saw no Pod of that name", "Apply the manifest inside the with block."
        )
    conditions = set(intervals.loc[intervals["kind"] == "condition", "lane"])
    shown = list(lanes) if lanes is not None else [each for each in there if each not in conditions]
    for lane in shown:
        if lane not in there:
            raise _no_lane(lane, intervals)
    finding = " · ".join(_sentences(facts(intervals), tell))
    across = sorted(marks), sorted(notes)
    rows = [row for row in records(intervals) if row["lane"] in shown]
    return Chart(
        lambda: _draw(rows, shown, *across, title, finding),
        finding,
        intervals,
        title,
        spoken(rows, shown, *across),
    )


def _no_lane(lane: str, intervals: "DataFrame") -> LabError:
    there = dict.fromkeys(intervals["lane"])
    return LabError(
        f"The recording has no lane {lane!r}.",
        f"its lanes are {', '.join(there)}",
        "Name one of these.",
    )


def _sentences(known: dict[str, Any], tell: Sequence[str]) -> list[str]:
    sentences = []
    for subject in tell:
        if subject == "containers":
            sentences += [f"{name}: {words}" for name, words in known["containers"].items()]
        elif subject in known["containers"]:
            sentences.append(f"{subject}: {known['containers'][subject]}")
        elif subject in TELL:
            sentences.append(f"{NAMED.get(subject, subject)}: {known[subject] or 'never seen'}")
        else:
            raise LabError(
                f"The finding cannot speak of {subject!r}.",
                f"it knows {', '.join([*TELL, *known['containers']])}",
                "Name some of these in tell.",
            )
    return sentences


def _container_words(rows: list[dict]) -> str:
    """What became of one container, from its intervals in order."""
    runs = [row for row in rows if row["state"] == "running"]
    ends = [row for row in rows if row["state"] == "terminated"]
    alive = bool(runs) and runs[-1]["ongoing"]
    if not runs and not ends:
        return f"never ran ({rows[-1]['reason']})" if rows[-1]["reason"] else "never ran"
    # The API counts restarts, and the node sees processes: the status lags, and a look can miss a
    # short one.
    counts = [row["restarts"] or 0 for row in rows]
    restarts = int(max(max(counts) - min(counts), len({row["value"] for row in runs}) - 1))
    if alive and not ends and not restarts:
        # One that was there when the recording began reaches over its left edge.
        return (
            "same process"
            if rows[0]["state"] == "running" and rows[0]["start"] <= 0
            else "started once"
        )
    how = list(dict.fromkeys(filter(None, map(_ending, ends))))
    words = " ".join(filter(None, ["ended", ", then ".join(how)]))
    if restarts:
        return f"{words}, restarted {times(restarts)}" + ("" if alive else ", not running")
    return words if ends and ends[-1]["exit_code"] == 0 else f"{words}, not restarted"


def _ending(row: dict) -> str:
    if row["signal"]:
        # The one reason that says more than the signal does: who sent it.
        because = (
            f" (OOMKilled, exit code {int(row['exit_code'])})"
            if row["reason"] == "OOMKilled"
            else ""
        )
        return f"by signal {int(row['signal'])}{because}"
    return f"with exit code {int(row['exit_code'])}" if row["exit_code"] is not None else ""


def _stayed(rows: list[dict], same: str, another: str) -> str | None:
    if not rows:
        return None
    if not rows[-1]["ongoing"]:
        return "gone"
    return same if len({row["value"] for row in rows}) == 1 else another


def spoken(rows: list[dict], lanes: Sequence[str], marks: Marks, notes: Notes = ()) -> "DataFrame":
    """The same in words: what was so, from when to when. A blank is before the recording began, or
    after it ended."""
    import pandas

    lines: list[tuple[str, str, Any, Any]] = []
    for lane in lanes:
        own = [row for row in rows if row["lane"] == lane]
        marked = _letters(own)
        for row, letter in zip(own, marked, strict=True):
            words = row["value"] if row["kind"] == "address" else row["state"]
            said = [f"{words} {letter}".strip()]
            said += [_ending(row)] if row["state"] == "terminated" else []
            said += [f"({row['reason']})"] if row["reason"] and row["state"] not in THERE else []
            name = NAMED.get(lane, lane)
            start = None if row["start"] < 0 else row["start"]
            end = None if row["ongoing"] else row["end"]
            lines.append((name, " ".join(filter(None, said)), start, end))
    lines += [("we did", words, at, at) for at, words in marks]
    lines += [("note", words, start, end) for start, end, words in notes]
    frame = pandas.DataFrame(lines, columns=["lane", "what", "from, s", "to, s"])
    return frame.astype({"from, s": "float64", "to, s": "float64"}).round(2)


# --- how it is drawn ------------------------------------------------------------------------------


def _draw(
    rows: list[dict], lanes: Sequence[str], marks: Marks, notes: Notes, title: str, finding: str
) -> "Figure":
    names = [NAMED.get(lane, lane) for lane in lanes]
    left, right = 0.25 + max(0.8, 0.08 * max(map(len, names)) + 0.16), WIDTH_INCHES - 0.3
    moments = [*(seconds for seconds, _ in marks), *(end for _, end, _ in notes)]
    last = max([0.1, *moments, *(row["end"] for row in rows)])

    def at(seconds: float) -> float:
        return left + min(max(seconds, 0.0), last) * (right - left) / last

    above = Above(marks, notes, at, right)
    keys = key_rows(_keys(rows, lanes))
    tall = LANE_HEIGHT * len(lanes)
    sheet = Sheet(above.inches + tall + 0.58 + KEY_HEIGHT * len(keys), title, finding)
    top = sheet.top + above.inches
    words = ("seconds since the recording began", "")
    panel = sheet.panel((left, top, right - left, tall), (0.0, last), 0.0, words)
    above.draw(sheet, top, panel.bottom)
    source = ""
    for number, (lane, name) in enumerate(zip(lanes, names, strict=True)):
        middle = top + LANE_HEIGHT * (number + 0.5)
        own = [row for row in rows if row["lane"] == lane]
        sheet.name(left - 0.14, middle, name)
        draw_lane(sheet, own, at, middle, right)
        if (of_lane := _source(own)) != source:
            source = of_lane
            sheet.say(left - 0.14, middle - LANE_HEIGHT * 0.42, source, size=7.5, ha="right")
    sheet.legend(panel.bottom + 0.6, keys)
    return sheet.figure


def _source(rows: list[dict]) -> str:
    """Where a lane comes from: the API may say for seconds what is no longer so on the node."""
    reported = {row["kind"] for row in rows} & {"address", "condition"}
    return "the API reports" if reported else "on the node"


class Above:
    """What stands above the lanes, and goes across them: lines for what we did, shaded spans for
    what there is to see. Words that would run into each other get a row each."""

    def __init__(
        self, marks: Marks, notes: Notes, at: Callable[[float], float], right: float
    ) -> None:
        self.marks, self.notes, self._at = marks, notes, at
        self._words: list[tuple[float, str, str, int]] = []
        rows: list[float] = []  # how far each row is full, from the left
        wanted = [(at(start), words, INK) for start, _, words in notes]
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
        for x, words, color in sorted(wanted):
            width = NARROW * len(words) + 0.1
            start = min(x + 0.05, right - width + 0.1)
            row = next((number for number, end in enumerate(rows) if end <= start), len(rows))
            rows[row : row + 1] = [start + width]
            self._words.append((start, words, color, row))
        self.inches = 0.07 + 0.15 * len(rows) if rows else 0.0

    def draw(self, sheet: Sheet, top: float, bottom: float) -> None:
        for start, end, _ in self.notes:
            x, width = self._at(start), max(self._at(end) - self._at(start), 0.03)
            box = (x, top - 0.04, width, bottom - top + 0.04)
            sheet.box(box, round_by=0.01, facecolor=NOTE, alpha=0.45, zorder=0.5)
        for seconds, _ in self.marks:
            sheet.upright(self._at(seconds), (top - 0.06, bottom), ALARM)
        for x, words, color, row in self._words:
            y = top - 0.11 - 0.15 * row
            weight = "bold" if color == INK else "normal"
            sheet.say(x, y, words, size=7.5, color=color, weight=weight, zorder=4)


def _keys(rows: list[dict], lanes: Sequence[str]) -> list[tuple[str, Sign]]:
    """What the signs mean, of those that are there."""
    ends = [row for row in rows if row["state"] == "terminated"]
    signs = {
        "killed": any(row["signal"] for row in ends),
        "ended with an error": any(row["exit_code"] != 0 and not row["signal"] for row in ends),
    }
    not_so = [row for row in rows if row["state"] not in THERE and row["state"] != "terminated"]
    absent = {
        "condition False (reason)": any(row["kind"] == "condition" for row in not_so),
        "waiting (reason)": any(row["kind"] == "container" for row in not_so),
    }
    lettered = any(any(_letters([row for row in rows if row["lane"] == lane])) for lane in lanes)
    keys: list[tuple[str, Sign, object]] = [
        ("a, then a new one: b", _key_same, lettered),
        ("ended within the pale part", _key_pale, any(_fades(row) for row in rows)),
        (" or ".join(words for words, so in signs.items() if so), _key_killed, any(signs.values())),
        ("ended with exit code 0", _key_done, any(row["exit_code"] == 0 for row in ends)),
        ("not running", _key_dotted, ends),
        (", ".join(words for words, so in absent.items() if so), _key_dashed, not_so),
    ]
    return [(words, sign) for words, sign, there in keys if there]


def _fades(row: dict) -> bool:
    return row["state"] in THERE and bool(row["end_resolution"]) and not row["ongoing"]


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
    _end_sign(sheet, x + KEY_WIDTH / 2, y, done=False)


def _key_done(sheet: Sheet, x: float, y: float) -> None:
    _end_sign(sheet, x + KEY_WIDTH / 2, y, done=True)


def _key_dotted(sheet: Sheet, x: float, y: float) -> None:
    sheet.line([x, x + KEY_WIDTH], [y, y], SOFT, dash=DOTS, width=1.4)


def _key_dashed(sheet: Sheet, x: float, y: float) -> None:
    sheet.frame((x, y - 0.06, KEY_WIDTH, 0.12))


def _end_sign(sheet: Sheet, x: float, y: float, *, done: bool) -> None:
    size, color = (6, CALM) if done else (7, ALARM)
    sheet.axes.plot(
        [x], [y], marker="o" if done else "x", color=color, markersize=size, markeredgewidth=2
    )


def _letters(rows: list[dict]) -> list[str]:
    """A letter for each row of a lane that holds something; none where there is nothing to tell
    apart."""
    there = [row["value"] if row["state"] in THERE else None for row in rows]
    found = letters(there)
    worth = len(set(filter(None, found))) > 1 and rows[0]["kind"] not in ("address", "condition")
    return found if worth else [""] * len(rows)


def draw_lane(
    sheet: Sheet, rows: list[dict], at: Callable[[float], float], middle: float, right: float
) -> None:
    """One lane: bars for what is there, words for what is not, and a sign at each end of a
    container. All words of a lane are on its bar or above it."""
    top = middle - BAR_HEIGHT / 2
    above = top - 0.065
    marks = _letters(rows)
    order = list(dict.fromkeys(row["value"] for row in rows if row["state"] in THERE))
    said, said_until = "", 0.0
    for number, (row, mark) in enumerate(zip(rows, marks, strict=True)):
        start, end = at(row["start"]), at(row["end"])
        before = rows[number - 1] if number else None
        if row["state"] in THERE:
            look = PALETTE[order.index(row["value"]) % len(PALETTE)]
            _draw_bar(sheet, row, mark, look, at, middle, right)
            if row["kind"] == "container" and any(each["state"] in THERE for each in rows[:number]):
                sheet.line([start] * 2, [top - 0.07, top + BAR_HEIGHT + 0.04], INK, width=1.4)
                if before is None or not _said_together(before, start - at(before["start"])):
                    spots = [(start + 0.05, above, "left"), (start - 0.05, above, "right")]
                    sheet.words(spots, "restarted", INK, right, optional=True)
        elif row["state"] == "terminated":
            done = row["exit_code"] == 0
            color = CALM if done else ALARM
            sheet.line([start, max(end, start + 0.03)], [middle] * 2, color, dash=DOTS, width=1.4)
            _end_sign(sheet, start, middle, done=done)
            killed_by_kernel = row["reason"] == "OOMKilled"
            words = "OOMKilled" if killed_by_kernel else _ending(row).partition(" ")[2] or "ended"
            follows = rows[number + 1] if number + 1 < len(rows) else None
            if follows and follows["state"] in THERE and _said_together(row, end - start):
                words += ", restarted"
            # Two ends of one kind that are near each other: one word for both.
            if words != said or start > said_until:
                spots = [(start + 0.03, above, "left"), (start - 0.03, above, "right")]
                spots.append((end - 0.03, above, "right"))
                clear = at(row["start"] + (row["start_resolution"] or 0.0)) + 0.1
                if end - clear > NARROW * len(words) + 0.1:
                    spots.insert(0, (clear, middle - 0.09, "left"))
                sheet.words(spots, words, color, right)
                said, said_until = words, start + NARROW * len(words)
        else:
            sheet.frame((start, top + 0.03, max(end - start, 0.02), BAR_HEIGHT - 0.06))
            words = row["reason"] or row["state"]
            if end - start > NARROW * len(words) + 0.1:
                sheet.say((start + end) / 2, middle, words, size=7.5, ha="center")
            else:
                spots = [(start, above, "left"), (end, above, "right")]
                sheet.words(spots, words, SOFT, right)


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
    text = {"address": row["value"], "condition": row["state"]}.get(row["kind"], mark)
    if missing(text):
        return
    wanted = WIDE * len(text) + 0.15
    room = sure if sure - start > wanted else late
    if room - start > wanted:
        sheet.chip_in(start, room, middle, text)
    elif row["kind"] == "address":
        sheet.words([(start, top - 0.065, "left"), (late, top - 0.065, "right")], text, INK, right)
