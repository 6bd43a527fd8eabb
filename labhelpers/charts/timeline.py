"""A Pod's life over seconds: a lane for each container, for pause, the network namespace, the
address and each condition."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labhelpers.charts.canvas import KEY_HEIGHT, LINE, WIDTH_INCHES, Sheet, key_rows
from labhelpers.charts.chart import Chart, nothing_to_draw, records, times
from labhelpers.charts.lanes import (
    LANE_HEIGHT,
    Above,
    Lane,
    Marks,
    Notes,
    draw_lane,
    ending,
    is_there,
    lane_keys,
    run_letters,
)
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
NAMED = {"network": "network namespace"}


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
    lanes: Sequence[str | Lane] | None = None,
    tell: Sequence[str] = TELL,
    marks: Iterable[tuple[float, str]] = (),
    notes: Iterable[tuple[float, float, str]] = (),
    predicted: Iterable[tuple[float, str]] = (),
) -> Chart:
    """A Pod's life over seconds, with a lane each: containers, pause, the network namespace, the
    address.

    A bar of one colour and one letter is one and the same thing; after a break comes another. Where
    a bar fades out, the end lies somewhere in the faded part.

    Args:
        intervals: as ``recording.Recording.intervals`` gives them.
        title: the question that the picture answers.
        lanes: the lanes to draw, top to bottom; left out: address, network, pause and the
            containers. Conditions are lanes: "Ready", and so are "endpoint ready" and "events"
            where the recording follows these. A ``Lane`` is one of your own.
        tell: what the finding speaks of, in this order: "containers" or a container's name,
            "pause", "network", "address". Nobody promises an address: leave it out where the text
            is compared and the sandbox is a new one.
        marks: (seconds, words): what we did at a moment; drawn across, and no part of the finding.
        notes: (from, to, words), in seconds: what the picture shows there. It is shaded across all
            lanes, and no part of the finding. ``when`` finds such spans.
        predicted: (seconds, words): when something should happen, by arithmetic; a dashed line
            across, and no part of the finding.

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
    asked = set(intervals.loc[intervals["kind"].isin(("condition", "event")), "lane"])
    wanted = list(lanes) if lanes is not None else [each for each in there if each not in asked]
    own = {lane.name: lane for lane in wanted if isinstance(lane, Lane)}
    shown = [lane.name if isinstance(lane, Lane) else lane for lane in wanted]
    for lane in shown:
        if lane not in there and lane not in own:
            raise _no_lane(lane, intervals)
    finding = " · ".join(_sentences(facts(intervals), tell))
    across = sorted(marks), sorted(notes), sorted(predicted)
    rows = [row for row in records(intervals) if row["lane"] in shown and row["lane"] not in own]
    sources = {lane: _source([row for row in rows if row["lane"] == lane]) for lane in shown}
    for name, lane in own.items():
        rows += lane.rows()
        sources[name] = lane.source
    return Chart(
        lambda: _draw(rows, sources, *across, title, finding),
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
    how = list(dict.fromkeys(filter(None, map(ending, ends))))
    words = " ".join(filter(None, ["ended", ", then ".join(how)]))
    if restarts:
        return f"{words}, restarted {times(restarts)}" + ("" if alive else ", not running")
    return words if ends and ends[-1]["exit_code"] == 0 else f"{words}, not restarted"


def _stayed(rows: list[dict], same: str, another: str) -> str | None:
    if not rows:
        return None
    if not rows[-1]["ongoing"]:
        return "gone"
    return same if len({row["value"] for row in rows}) == 1 else another


def spoken(
    rows: list[dict],
    lanes: Sequence[str],
    marks: Marks,
    notes: Notes = (),
    predicted: Marks = (),
) -> "DataFrame":
    """The same in words: what was so, from when to when. A blank is before the recording began, or
    after it ended."""
    import pandas

    lines: list[tuple[str, str, Any, Any]] = []
    for lane in lanes:
        own = [row for row in rows if row["lane"] == lane]
        marked = run_letters(own)
        for row, letter in zip(own, marked, strict=True):
            words = row["value"] if row["kind"] == "address" else row["state"]
            said = [f"{words} {letter}".strip()]
            said += [ending(row) or "exit code unknown"] if row["state"] == "terminated" else []
            unsure = row.get("start_resolution") or 0
            said += [f"± {unsure:.2f} s"] if row["state"] == "terminated" and unsure else []
            said += [f"({row['reason']})"] if row["reason"] and not is_there(row) else []
            name = NAMED.get(lane, lane)
            start = None if row["start"] < 0 else row["start"]
            end = None if row.get("ongoing") else row["end"]
            lines.append((name, " ".join(filter(None, said)), start, end))
    lines += [("we did", words, at, at) for at, words in marks]
    lines += [("note", words, start, end) for start, end, words in notes]
    lines += [("predicted", words, at, at) for at, words in predicted]
    frame = pandas.DataFrame(lines, columns=["lane", "what", "from, s", "to, s"])
    return frame.astype({"from, s": "float64", "to, s": "float64"}).round(2)


# --- how it is drawn ------------------------------------------------------------------------------


def _draw(
    rows: list[dict],
    sources: Mapping[str, str],
    marks: Marks,
    notes: Notes,
    predicted: Marks,
    title: str,
    finding: str,
) -> "Figure":
    """``sources``: where each lane comes from; the lanes top to bottom are its keys."""
    lanes = list(sources)
    names = [NAMED.get(lane, lane) for lane in lanes]
    left, right = 0.25 + max(0.8, 0.08 * max(map(len, names)) + 0.16), WIDTH_INCHES - 0.3
    moments = [*(seconds for seconds, _ in (*marks, *predicted)), *(end for _, end, _ in notes)]
    last = max([0.1, *moments, *(row["end"] for row in rows)])

    def at(seconds: float) -> float:
        return left + min(max(seconds, 0.0), last) * (right - left) / last

    above = Above(marks, notes, at, right, predicted)
    keys = key_rows(lane_keys(rows, lanes, notes, predicted))
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
        if sources[lane] != source:
            source = sources[lane]
            y = middle - LANE_HEIGHT * 0.42
            if number:
                sheet.line([0.25, left - 0.1], [y - 0.09] * 2, LINE, width=0.8)
            sheet.say(left - 0.14, y, source, size=7.5, ha="right", style="italic")
            sheet.reserve((0.25, y - 0.055, left - 0.39, 0.11))
        draw_lane(sheet, own, at, middle, right)
    sheet.legend(panel.bottom + 0.6, keys)
    return sheet.figure


def _source(rows: list[dict]) -> str:
    """Where a lane comes from: the API may say for seconds what is no longer so on the node."""
    reported = {row["kind"] for row in rows} & {"address", "condition", "event"}
    return "the API reports" if reported else "on the node"
