"""Data in, a picture and its finding out. No cluster in sight, and no widget.

Each chart answers the question in its title. Its ``finding`` is a sentence computed from the data that the picture shows, and never
written: it stands under the picture for the eye, and it is the chart's plain text, which the strict comparison of notebooks reads.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people without full colour vision can tell apart; a letter and
a hatch say the same once more. The background is opaque, so that a picture is the same in JupyterLab's dark theme.
"""

import base64
import io
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labhelpers.errors import LabError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = [
    "COLUMNS",
    "SAMPLE_COLUMNS",
    "TELL",
    "WIDTH_INCHES",
    "Chart",
    "division",
    "facts",
    "latencies",
    "ledger",
    "letters",
    "matrix",
    "measured",
    "parts",
    "samples",
    "table",
    "timeline",
]

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
SAMPLE_COLUMNS = (
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
TELL = ("containers", "pause", "network", "address")

WIDTH_INCHES = 7.0
DOTS_PER_INCH = 144
PAPER, INK, SOFT, LINE = "#fbfaf7", "#1d2733", "#6b7480", "#d9d6cf"
WIDE, NARROW = 0.078, 0.062  # about the width of a letter at 9 and at 7.5 points, in inches
THERE = ("running", "set", "True")  # the states that are drawn as a full bar
FONT = "DejaVu Sans"  # comes with matplotlib, so a picture is the same on every machine

# (fill, text on it, hatch) by first appearance: the first is plain, each other one has a hatch of its own.
LOOKS = (
    ("#56b4e9", INK, ""),
    ("#e69f00", INK, "///"),
    ("#009e73", "white", "..."),
    ("#cc79a7", INK, "xxx"),
    ("#f0e442", INK, "\\\\\\"),
    ("#0072b2", "white", "|||"),
    ("#d55e00", "white", "---"),
)
ALARM, CALM = "#b34700", "#00664b"  # the palette's vermilion and green, darkened until they can be read as text


class Chart:
    """A picture with its finding. In a notebook it shows as the picture; as text it is the finding.

    Args:
        draw: makes the matplotlib ``Figure``; called once, when the picture is first wanted.
        finding: the sentence that the data give.
        table: the data, as a frame.

    >>> chart = Chart(lambda: None, "net: one shared by all", None)
    >>> chart
    net: one shared by all
    """

    def __init__(self, draw: "Callable[[], Figure]", finding: str, table: "DataFrame"):
        self._draw = draw
        self.finding = finding
        self.table = table

    def figure(self) -> "Figure":
        """The picture as a new matplotlib ``Figure``, to be changed or saved in another format."""
        return self._draw()

    @cached_property
    def png(self) -> bytes:
        """The picture as PNG. Equal data give equal bytes: no date and no version is in them."""
        from PIL import Image  # comes with matplotlib

        out = io.BytesIO()
        self.figure().savefig(out, format="png", dpi=DOTS_PER_INCH)
        small = io.BytesIO()
        # A palette holds these flat colours in a third of the bytes; a picture that Pillow writes anew has no software and no date in it.
        Image.open(out).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
        return small.getvalue()

    def __repr__(self) -> str:
        return self.finding

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict, dict]:
        # Half the dots, so that the picture is sharp on a dense screen; the metadata are no part of the strict comparison.
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.finding}
        return data, {"image/png": {"width": int(WIDTH_INCHES * 96)}}


def letters(values: Iterable[Any]) -> list[str]:
    """A letter for each value: equal values have equal letters, in order of first appearance; a missing value has "".

    >>> letters([4026532001, 4026532002, 4026532001, None])
    ['a', 'b', 'a', '']
    """
    seen: dict[Any, str] = {}
    return ["" if _missing(value) else seen.setdefault(value, _letter(len(seen))) for value in values]


def matrix(frame: "DataFrame", title: str) -> Chart:
    """Who shares what: a row for each container, a column for each kind of namespace, the inode number in the cell.

    Equal numbers in a column are one namespace: they get one letter and one colour. A namespace with only one container in it is pale.
    Rows named ``pod/container`` are drawn in groups, one for each Pod.

    Args:
        frame: the inode numbers; index: names of containers; columns: kinds of namespaces. A missing number stays blank.
        title: the question that the picture answers.

    Raises:
        LabError: the frame is empty.

    >>> import pandas
    >>> matrix(pandas.DataFrame({"net": [7, 7], "pid": [8, 9]}, index=["app", "log"]), "Who shares what?")
    net: one shared by all · pid: each its own
    """
    if frame.empty:
        raise LabError("There is nothing to draw.", "a frame without cells", "Look whether the Pod is running: pod.phase.")
    said: dict[str, list[str]] = {}
    for column in frame.columns:
        said.setdefault(_sharing(frame[column]), []).append(str(column))
    finding = " · ".join(f"{', '.join(columns)}: {words}" for words, columns in said.items())
    return Chart(lambda: _draw_matrix(frame, title, finding), finding, frame)


def facts(intervals: "DataFrame") -> dict[str, Any]:
    """What a life's intervals say about what stayed and what did not.

    Args:
        intervals: as ``recording.Recording.intervals`` gives them; the columns are ``COLUMNS``.

    Returns:
        ``containers``: words for each container, as "same process" or "ended by signal 9, restarted once";
        ``pause``: "same process", "another process" or "gone"; ``network``: "same", "another" or "gone";
        ``address``: "same", "changed" or "gone". None where it was never seen.
    """
    rows = [{key: None if _missing(value) else value for key, value in row.items()} for row in intervals.to_dict("records")]
    lanes: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        lanes.setdefault((row["kind"], row["lane"]), []).append(row)
    containers = {lane: _container_words(own) for (kind, lane), own in lanes.items() if kind == "container"}
    return {
        "containers": containers,
        "pause": _stayed(lanes.get(("pause", "pause"), []), "same process", "another process"),
        "network": _stayed(lanes.get(("network", "network"), []), "same", "another"),
        "address": _stayed(lanes.get(("address", "address"), []), "same", "changed"),
    }


def timeline(intervals: "DataFrame", title: str, lanes: Sequence[str] | None = None, tell: Sequence[str] = TELL) -> Chart:
    """A Pod's life: a lane for each container, for pause, for the network namespace and for the address, over seconds.

    A bar of one colour and one letter is one and the same thing; after a break comes another. Where a bar fades out, the end lies
    somewhere in the faded part.

    Args:
        intervals: as ``recording.Recording.intervals`` gives them.
        title: the question that the picture answers.
        lanes: the lanes to draw, top to bottom; left out: address, network, pause and the containers. Conditions are lanes: "Ready".
        tell: what the finding speaks of, in this order: "containers" or a container's name, "pause", "network", "address". Nobody
            promises an address: leave it out where the text is compared and the sandbox is a new one.

    Raises:
        LabError: no such lane, nothing of that name to tell, or no intervals at all.
    """
    there = list(dict.fromkeys(intervals["lane"]))
    if not there:
        raise LabError("There is nothing to draw.", "the recording saw no Pod of that name", "Apply the manifest inside the with block.")
    usual = [lane for lane in there if intervals.loc[intervals["lane"] == lane, "kind"].iloc[0] != "condition"]
    shown = usual if lanes is None else list(lanes)
    if unknown := [lane for lane in shown if lane not in there]:
        raise LabError(f"The recording has no lane {unknown[0]!r}.", f"its lanes are {', '.join(there)}", "Name one of these.")
    known = facts(intervals)
    sentences = []
    for subject in tell:
        if subject == "containers":
            sentences += [f"{name}: {words}" for name, words in known["containers"].items()]
        elif subject in known["containers"]:
            sentences.append(f"{subject}: {known['containers'][subject]}")
        elif subject in ("pause", "network", "address"):
            sentences.append(f"{'network namespace' if subject == 'network' else subject}: {known[subject] or 'never seen'}")
        else:
            names = [*TELL, *known["containers"]]
            raise LabError(f"The finding cannot speak of {subject!r}.", f"it knows {', '.join(names)}", "Name some of these in tell.")
    finding = " · ".join(sentences)
    return Chart(lambda: _draw_timeline(intervals, shown, title, finding), finding, intervals)


@dataclass(frozen=True)
class _Show:
    """One way to show samples: the axis, the size of its unit, and how near a measured value has to come to a predicted one."""

    axis: str
    unit: float
    within: float
    least: float = 0.0  # the axis reaches at least so far, in its unit


SHOWS = {
    "memory": _Show("memory, MiB", 1 << 20, 4 << 20, 1.0),
    "cpu": _Show("CPU time used a second, in cores", 1.0, 0.1, 0.1),
    "throttling": _Show("periods that were throttled, %", 0.01, 0.1, 100.0),
}
WINDOW_SECONDS = 0.5  # five of the kernel's usual periods
NEAR = 0.95  # of the limit


def measured(frame: "DataFrame", show: str, start_seconds: float, end_seconds: float) -> float | None:
    """One number for a stretch of samples.

    Args:
        frame: as ``samples.Samples.frame`` gives it.
        show: "memory": the most, in bytes; "cpu": cores; "throttling": of the periods in which it wanted to run, the share in which its
            quota did not last.
        start_seconds, end_seconds: the stretch; None where nothing was measured in it.

    >>> import pandas
    >>> frame = pandas.DataFrame({"time_seconds": [0.0, 1.0], "cpu_usage_seconds": [5.0, 5.5], "run": [1, 1]})
    >>> measured(frame, "cpu", 0, 1)
    0.5
    """
    _look_up(show)
    part = frame[(frame["time_seconds"] >= start_seconds) & (frame["time_seconds"] <= end_seconds)]
    if show == "memory":
        found = part["memory_bytes"].max()
        return None if part.empty or _missing(found) else float(found)
    more, base = 0.0, 0.0
    for _, over, under in _counters(part, show):
        more += over[-1] - over[0]
        base += under[-1] - under[0]
    return float(more / base) if base else None


def _counters(frame: "DataFrame", show: str) -> Iterator[tuple[Any, Any, Any]]:
    """For each run: times, and the two counters whose growth is divided, as arrays; of the samples that have both."""
    over, under = {"cpu": ("cpu_usage_seconds", "time_seconds"), "throttling": ("throttled_periods", "periods")}[show]
    for _, run in frame.groupby("run"):
        there = run[list(dict.fromkeys(["time_seconds", over, under]))].dropna().astype(float)
        if len(there) > 1:
            yield there["time_seconds"].to_numpy(), there[over].to_numpy(), there[under].to_numpy()


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
    """A container's samples over time; with marks across, and lanes of its life below, on one axis. Live and stored, it is this picture.

    Args:
        frame: as ``samples.Samples.frame`` gives it; the columns are ``SAMPLE_COLUMNS``. Empty, it draws what else is given.
        title: the question that the picture answers.
        show: "memory" against the limit; "cpu", the cores used; "throttling", the share of periods in which the quota did not last.
        marks: (seconds, words): what happened at a moment.
        intervals: rows as ``recording.Recording.intervals`` gives them, whose lanes are drawn below.
        predicted: (start, end, value): what was to be expected from when to when; memory in bytes, CPU in cores, throttling as a share.
        within: how near the measured value has to come to count as predicted, in the unit of the value.

    The finding says of memory whether it came to the limit, of throttling how often, then what the marks say, what was predicted, and what
    became of the container. A prediction is held against all of its stretch.

    Raises:
        LabError: there is no such way to show samples, or they lack what it needs.

    >>> import pandas
    >>> frame = pandas.DataFrame({"time_seconds": [0.0, 1.0], "memory_bytes": [1 << 20, 1 << 22], "memory_limit_bytes": [1 << 22] * 2})
    >>> samples(frame.assign(memory_peak_bytes=1 << 22, run=1), "How far does it get?")
    memory came to its limit
    """
    way = _look_up(show)
    marks, steps = sorted(marks), [tuple(step) for step in predicted]
    needs = {"memory": "memory_bytes", "cpu": "cpu_usage_seconds", "throttling": "periods"}[show]
    if len(frame) and frame[needs].isna().all():
        raise LabError("The samples do not hold what is to be shown.", f"the node keeps no {needs}", "Show something else of them.")
    sentences = [_samples_words(frame, show)]
    told: dict[str, int] = {}
    for _, words in marks:
        told[words] = told.get(words, 0) + 1
    sentences += [words if count == 1 else f"{words} {_times(count)}" for words, count in told.items()]
    if steps:
        bound = way.within if within is None else within
        found = [(value, measured(frame, show, start, end)) for start, end, value in steps]
        off = sum(1 for value, seen in found if seen is None or abs(seen - value) > bound)
        sentences.append("as predicted: yes" if not off else f"as predicted: {len(steps) - off} of {len(steps)}")
    if intervals is not None and len(intervals):
        sentences += [f"{name}: {words}" for name, words in facts(intervals)["containers"].items()]
    finding = " · ".join(sentences)
    return Chart(lambda: _draw_samples(frame, title, finding, show, marks, intervals, steps), finding, frame)


HARDLY = 0.05  # of the limit


def parts(frame: "DataFrame", title: str, limit_bytes: int | None = None) -> Chart:
    """What memory is used for, at several moments: a bar for each moment, made of its parts, against the limit.

    The finding says of each moment which part was the largest, or that there was hardly anything: under a twentieth of the limit, or of
    the longest bar where there is no limit.

    Args:
        frame: bytes; index: names of the moments, top to bottom; columns: names of the parts.
        title: the question that the picture answers.
        limit_bytes: the limit of all parts together; None: there is none.

    Raises:
        LabError: the frame is empty.

    >>> import pandas
    >>> frame = pandas.DataFrame({"programs": [0, 3 << 20], "files": [9, 1 << 20]}, index=["before", "after"])
    >>> parts(frame, "Who has it?", limit_bytes=4 << 20)
    before: hardly anything · after: mostly programs
    """
    if frame.empty:
        raise LabError("There is nothing to draw.", "a frame without cells", "Give it a row for each moment.")
    scale = limit_bytes or frame.sum(axis=1).max()
    said = [
        f"{moment}: " + (f"mostly {row.idxmax()}" if row.sum() >= HARDLY * scale and row.sum() else "hardly anything")
        for moment, row in frame.iterrows()
    ]
    finding = " · ".join(said)
    return Chart(lambda: _draw_parts(frame, title, finding, limit_bytes), finding, frame)


BUSY_CPUS = 0.05
SETTLE_SECONDS = 0.5
GAP_SECONDS = 1


def division(frames: "Mapping[str, DataFrame]", title: str, predicted: Mapping[str, float], *, within: float = 0.05) -> Chart:
    """How CPU time divides among containers while all of them want it: the cores that each uses, over time, and the parts predicted.

    While all want it: the longest time in which each uses more than a twentieth of a core; half a second at each end is left out, for the
    scheduler takes some tenths of a second to spread what runs over the cores.

    Args:
        frames: by name, samples as ``samples.Samples.frame`` gives them, on one time axis.
        title: the question that the picture answers.
        predicted: by name, the part of the CPU time of all of them.
        within: how near the measured part has to come to the predicted one, as a part of all.

    The finding says of each whether it used more while it was alone, and whether the time was divided as predicted.

    Raises:
        LabError: they never wanted it at the same time.
    """
    first, last = _together(frames)
    start, end = first + SETTLE_SECONDS, last - SETTLE_SECONDS
    used = {name: (measured(frame, "cpu", start, end) or 0.0) for name, frame in frames.items()}
    found = {name: cpus / sum(used.values()) for name, cpus in used.items()}
    before = {name: measured(frame, "cpu", _begin(frame) + SETTLE_SECONDS, first - SETTLE_SECONDS) or 0.0 for name, frame in frames.items()}
    sentences = [f"{name} alone: {'more' if cpus > used[name] * 1.1 else 'not more'}" for name, cpus in before.items() if cpus > BUSY_CPUS]
    off = [name for name in found if abs(found[name] - predicted[name]) > within]
    sentences.append("divided as predicted: " + (", ".join(f"{name} got {found[name]:.2f} of it" for name in off) if off else "yes"))
    finding = " · ".join(sentences)
    total = sum(used.values())
    levels = {name: part * total for name, part in predicted.items()}
    return Chart(lambda: _draw_division(frames, levels, (start, end), title, finding), finding, _side_by_side(found, predicted, before))


def _begin(frame: "DataFrame") -> float:
    """When it began to use CPU time."""
    return next((at for at, cpus in _curves(frame, "cpu").get("measured", []) if cpus is not None and cpus > BUSY_CPUS), 0.0)


def _side_by_side(found: Mapping[str, float], predicted: Mapping[str, float], alone_cpus: Mapping[str, float]) -> "DataFrame":
    """A row for each container: its part of the CPU time while all wanted it, the predicted one, and the CPUs that it used before."""
    import pandas

    return pandas.DataFrame({"measured": found, "predicted": {name: predicted[name] for name in found}, "alone_cpus": alone_cpus})


def _together(frames: "Mapping[str, DataFrame]") -> tuple[float, float]:
    """From when to when all of them use CPU time."""
    curves = [_curves(frame, "cpu").get("measured", []) for frame in frames.values()]
    busy = [{round(at / 0.1) for at, cpus in curve if cpus is not None and cpus > BUSY_CPUS} for curve in curves]
    # Windows are 0.2 s wide and each container has its own: a tenth of a second more on both sides lets them meet.
    tenths = sorted(set.intersection(*({near for each in own for near in (each - 1, each, each + 1)} for own in busy)) if busy else ())
    runs: list[list[int]] = []
    for tenth in tenths:
        # On a loaded node no sample comes for some tenths of a second: that is no end.
        if runs and tenth - runs[-1][-1] <= GAP_SECONDS * 10:
            runs[-1] += range(runs[-1][-1] + 1, tenth + 1)
        else:
            runs.append([tenth])
    longest = max(runs, key=len, default=[0])
    if len(longest) < (2 * SETTLE_SECONDS + 1) * 10:
        seen = ", ".join(f"{name} for {len(own) / 5:.0f} s" for name, own in zip(frames, busy, strict=True))
        raise LabError("They did not want CPU time at the same time.", f"used: {seen}", "Let them run together for some seconds.")
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
    """How long each of many equal pieces of work took: which part of them was done after how long, with the predicted range of each kind.

    Args:
        seconds: by kind, how long each took.
        title: the question that the picture answers.
        predicted: by kind, the least and the most, in seconds.
        within_seconds: how far outside of the range one may lie: what clocks can tell apart.
        marks: by words, other moments to be marked, in seconds.

    The finding says of each kind whether at least nine in ten were as predicted: one in ten may have waited for some other program.

    Raises:
        LabError: there is none of a kind.

    >>> latencies({"free": [0.05] * 9 + [0.4]}, "How long?", {"free": (0.05, 0.05)})
    free: as predicted: yes
    """
    if missing := [name for name, own in seconds.items() if not own]:
        raise LabError("There is nothing to draw.", f"no piece of work of {missing[0]}", "Let some be done first.")
    sentences = []
    for name, own in seconds.items():
        least, most = predicted[name]
        fit = [took for took in own if least - within_seconds <= took <= most + within_seconds]
        sentences.append(f"{name}: as predicted: {'yes' if len(fit) >= 0.9 * len(own) else f'{len(fit)} of {len(own)}'}")
    finding = " · ".join(sentences)
    frame = _percentiles(seconds)
    return Chart(lambda: _draw_latencies(seconds, predicted, marks or {}, title, finding), finding, frame)


def _percentiles(seconds: Mapping[str, Sequence[float]]) -> "DataFrame":
    """Milliseconds: a row for each kind, a column for each percentile, by the nearest rank."""
    import pandas

    ranked = {name: sorted(own) for name, own in seconds.items()}
    rows = [[1000 * own[math.ceil(part / 100 * len(own)) - 1] for part in PERCENTILES.values()] for own in ranked.values()]
    return pandas.DataFrame(rows, columns=list(PERCENTILES), index=list(ranked)).round().astype(int)


def table(frame: "DataFrame", title: str, finding: str) -> Chart:
    """A table as a picture, for values that differ from node to node; what is compared is the finding.

    Args:
        frame: what is shown; the index is left out.
        title: the question that the picture answers.
        finding: what was computed from the values: a verdict.

    Raises:
        LabError: the frame is empty.

    >>> import pandas
    >>> table(pandas.DataFrame({"file": ["cpu.shares"], "found": [102]}), "What is there?", "as predicted for this node")
    as predicted for this node
    """
    if frame.empty:
        raise LabError("There is nothing to draw.", "a frame without rows", "Give it a row for each value.")
    return Chart(lambda: _draw_table(frame, title, str(finding)), str(finding), frame)


def ledger(frame: "DataFrame", title: str) -> Chart:
    """The account of a counted resource at several moments: a box for each piece on offer, with who has it; and who waits for how many.

    The finding says for each moment who has how many, who waits, and how many are free.

    Args:
        frame: a row for each entry, with the columns ``moment``, ``state`` ("offered", "has" or "waits"), ``who`` ("" for what is offered)
            and ``pieces``. Moments are drawn in the order in which they come.
        title: the question that the picture answers.

    Raises:
        LabError: the frame is empty.

    >>> import pandas
    >>> rows = [("one", "offered", "", 1), ("one", "has", "first", 1), ("one", "waits", "second", 1)]
    >>> ledger(pandas.DataFrame(rows, columns=["moment", "state", "who", "pieces"]), "Who has it?")
    one: first has 1, second waits for 1
    """
    if frame.empty:
        raise LabError("There is nothing to draw.", "an account without entries", "Give it a row for each entry.")
    said = []
    for moment, rows in frame.groupby("moment", sort=False):
        words = [f"{row.who} has {row.pieces}" for row in rows.itertuples() if row.state == "has"]
        words += [f"{row.who} waits for {row.pieces}" for row in rows.itertuples() if row.state == "waits"]
        free = _free_pieces(rows)
        words += [f"{free} free"] if free or not words else []
        said.append(f"{moment}: {', '.join(words)}")
    finding = " · ".join(said)
    return Chart(lambda: _draw_ledger(frame, title, finding), finding, frame)


def _free_pieces(rows: "DataFrame") -> int:
    """What is offered, less what is had."""
    pieces = rows.groupby("state")["pieces"].sum()
    return int(pieces.get("offered", 0) - pieces.get("has", 0))


def _look_up(show: str) -> _Show:
    if show not in SHOWS:
        raise LabError(f"Samples cannot be shown as {show!r}.", f"there are {', '.join(SHOWS)}", "Use one of these.")
    return SHOWS[show]


def _samples_words(frame: "DataFrame", show: str) -> str:
    """The first sentence of the finding."""
    if not len(frame):
        return "nothing sampled yet"
    if show == "memory":
        limits = frame["memory_limit_bytes"].dropna()
        if limits.empty:
            return "memory has no limit"
        # Each sample against the limit of its own moment; the kernel's mark against it too, for it misses nothing.
        most = frame[["memory_bytes", "memory_peak_bytes"]].max(axis=1)
        return "memory came to its limit" if (most >= NEAR * frame["memory_limit_bytes"]).any() else "memory stayed below its limit"
    if show == "cpu":
        return "CPU time was used" if (measured(frame, "cpu", -math.inf, math.inf) or 0) > 0.01 else "hardly any CPU time was used"
    share = measured(frame, "throttling", -math.inf, math.inf)
    if share is None:
        return "no period was counted"
    return "throttled in no period" if share == 0 else f"throttled in {'nearly all' if share >= NEAR else 'some'} periods"


def _missing(value: Any) -> bool:
    # pandas' NA is the one value that answers no question of equality.
    return value is None or type(value).__name__ == "NAType" or value == "" or (isinstance(value, float) and math.isnan(value))


def _letter(number: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[number % 26] * (number // 26 + 1)


def _sharing(column: Any) -> str:
    """The words for one column of the matrix."""
    groups: dict[Any, list[str]] = {}
    for name, value in column.items():
        if not _missing(value):
            groups.setdefault(value, []).append(str(name))
    shared = [names for names in groups.values() if len(names) > 1]
    alone = [names[0] for names in groups.values() if len(names) == 1]
    if not groups:
        return "none seen"
    if not shared:
        return "each its own" if len(alone) > 1 else f"{alone[0]} has its own"
    if len(shared) == 1 and not alone:
        return "one shared by all"
    words = [f"one shared by {_listed(names)}" for names in shared]
    if alone:
        words.append(f"{alone[0]} has its own" if len(alone) == 1 else f"{_listed(alone)} each their own")
    return "; ".join(words)


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _ending(row: dict) -> str:
    if row["signal"]:
        # The one reason that says more than the signal does: who sent it.
        because = f" (OOMKilled, exit code {int(row['exit_code'])})" if row["reason"] == "OOMKilled" else ""
        return f"by signal {int(row['signal'])}{because}"
    return f"with exit code {int(row['exit_code'])}" if row["exit_code"] is not None else ""


def _container_words(rows: list[dict]) -> str:
    """What became of one container, from its intervals in order."""
    runs = [row for row in rows if row["state"] == "running"]
    ends = [row for row in rows if row["state"] == "terminated"]
    alive = bool(runs) and runs[-1]["ongoing"]
    if not runs and not ends:
        return f"never ran ({rows[-1]['reason']})" if rows[-1]["reason"] else "never ran"
    # The API counts restarts, and the node sees processes: the status lags, and a look can miss a short one.
    counts = [row["restarts"] or 0 for row in rows]
    restarts = int(max(max(counts) - min(counts), len({row["value"] for row in runs}) - 1))
    if alive and not ends and not restarts:
        # One that was there when the recording began reaches over its left edge.
        return "same process" if rows[0]["state"] == "running" and rows[0]["start"] <= 0 else "started once"
    how = list(dict.fromkeys(filter(None, map(_ending, ends))))
    words = " ".join(filter(None, ["ended", ", then ".join(how)]))
    if restarts:
        return f"{words}, restarted {_times(restarts)}" + ("" if alive else ", not running")
    return words if ends and ends[-1]["exit_code"] == 0 else f"{words}, not restarted"


def _stayed(rows: list[dict], same: str, another: str) -> str | None:
    if not rows:
        return None
    if not rows[-1]["ongoing"]:
        return "gone"
    return same if len({row["value"] for row in rows}) == 1 else another


# ---- drawing ---------------------------------------------------------------------------------------------------------------------------


def _figure(height_inches: float, title: str, finding: str) -> "tuple[Figure, Any, float]":
    """A figure with the title above and the finding below; axes that measure in inches; and the height that is left between the two."""
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
        axes.text(0.25, 0.34 + 0.24 * number, line, size=12.5, weight="bold", color=INK, family=FONT, va="center")
    top = height - foot
    axes.plot([0.25, WIDTH_INCHES - 0.25], [top + 0.06] * 2, color=LINE, linewidth=0.8)
    for number, line in enumerate(below):
        axes.text(0.25, top + 0.24 + 0.19 * number, line, size=8.5, color=INK, family=FONT, va="center")
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
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, **{"linewidth": 0, **style}))


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


def _draw_matrix(frame: "DataFrame", title: str, finding: str) -> "Figure":
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
    figure, axes, top = _figure(y + 0.05, title, finding)
    for number, column in enumerate(frame.columns):
        x = left + step * number
        axes.text(x + step / 2, top + 0.12, str(column), size=9.5, color=SOFT, family=FONT, ha="center", va="center")
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
                axes.text(*middle, mark, size=9, color=SOFT, family=FONT, ha="center", va="center_baseline")
    for row, name in enumerate(names):
        axes.text(left - 0.12, top + places[row] + row_height / 2, name, size=9.5, color=INK, family=FONT, ha="right", va="center")
    return figure


def _draw_timeline(intervals: "DataFrame", lanes: Sequence[str], title: str, finding: str) -> "Figure":
    rows = [{key: None if _missing(value) else value for key, value in row.items()} for row in intervals.to_dict("records")]
    named = {"network": "network namespace"}
    longest = max(len(named.get(lane, lane)) for lane in lanes)
    left, right = 0.25 + max(0.8, 0.08 * longest + 0.16), WIDTH_INCHES - 0.3
    lane_height = 0.50
    figure, axes, top = _figure(lane_height * len(lanes) + 0.58, title, finding)
    last = max(0.1, *(row["end"] for row in rows))
    scale = (right - left) / last

    def at(seconds: float) -> float:
        return left + min(max(seconds, 0.0), last) * scale

    bottom = top + lane_height * len(lanes)
    step = _round_step(last)
    for number in range(int(last / step + 1e-9) + 1):
        x = at(number * step)
        axes.plot([x, x], [top + 0.02, bottom + 0.05], color=LINE, linewidth=0.7, zorder=0)
        axes.text(x, bottom + 0.16, f"{number * step:g}", size=8, color=SOFT, family=FONT, ha="center", va="center")
    below = {"size": 8, "color": SOFT, "family": FONT, "va": "center"}
    axes.text(right, bottom + 0.36, "seconds since the recording began", ha="right", **below)
    pale = any(not row["ongoing"] and row["end_resolution"] and row["lane"] in lanes for row in rows)
    axes.text(0.25, bottom + 0.36, "one colour, one letter: the same one" + ("; pale: it ended somewhere in here" if pale else ""), **below)
    for number, lane in enumerate(lanes):
        middle = top + lane_height * (number + 0.5)
        axes.text(left - 0.14, middle, named.get(lane, lane), size=9.5, color=INK, family=FONT, ha="right", va="center")
        own = [row for row in rows if row["lane"] == lane]
        _draw_lane(axes, own, at, middle, right)
    return figure


MEASURED, LIMIT, EXPECTED = "#0072b2", "#b34700", INK


def _draw_samples(frame, title, finding, show, marks, intervals, steps) -> "Figure":  # noqa: PLR0917
    way = SHOWS[show]
    rows = [] if intervals is None else [{k: None if _missing(v) else v for k, v in row.items()} for row in intervals.to_dict("records")]
    lanes = list(dict.fromkeys(row["lane"] for row in rows))
    panel, lane_height = 2.3, 0.50
    curves = _curves(frame, show)
    longest = max([len(lane) for lane in lanes], default=0)
    left, right = 0.25 + max(0.75, 0.08 * longest + 0.16), WIDTH_INCHES - 0.3
    figure, axes, head = _figure(0.42 + panel + lane_height * len(lanes) + 0.62, title, finding)
    top = head + 0.42
    bottom = top + panel
    times = [seconds for line in curves.values() for seconds, _ in line]
    last = max([0.1, *times, *(row["end"] for row in rows), *(seconds for seconds, _ in marks), *(end for _, end, _ in steps)])
    heights = [value / way.unit for line in curves.values() for _, value in line if value is not None] + [
        value / way.unit for *_, value in steps
    ]
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
    step = _round_step(most)
    for number in range(int(most / step + 1e-9) + 1):
        y = bottom - number * step / most * panel
        axes.plot([left, right], [y, y], color=LINE, linewidth=0.7, zorder=0)
        axes.text(left - 0.1, y, f"{number * step:g}", ha="right", **small)
    x = 0.25
    axes.text(x, head + 0.12, way.axis, ha="left", **small)
    x = right
    legend = [
        (name, *_line_style(name)) for name in ("predicted", "limit", "measured") if name in curves or (name == "predicted" and steps)
    ]
    for name, color, style in legend:
        x -= 0.075 * len(name)
        axes.text(x, head + 0.12, name, ha="left", **{**small, "color": color})
        axes.plot([x - 0.36, x - 0.08], [head + 0.12] * 2, color=color, linewidth=1.6, linestyle=style)
        x -= 0.55
    if show == "throttling":
        points = [point for piece in _pieces(curves.get("measured", [])) for point in piece]
        bars = [(at(seconds - WINDOW_SECONDS), at(seconds), min(high(value), bottom - 0.015)) for seconds, value in points]
        if bars:
            left_sides, right_sides, tops = zip(*bars, strict=True)
            widths = [max(end - start - 0.02, 0.01) for start, end in zip(left_sides, right_sides, strict=True)]
            axes.bar(left_sides, [y - bottom for y in tops], widths, bottom, align="edge", color=LOOKS[0][0], linewidth=0)
    else:
        for name, line in curves.items():
            color, style = _line_style(name)
            for piece in _pieces(line):
                xs, ys = [at(seconds) for seconds, _ in piece], [high(value) for _, value in piece]
                axes.plot(xs, ys, color=color, linewidth=1.6, linestyle=style, solid_joinstyle="round")
    for start, until, value in steps:
        color, style = _line_style("predicted")
        axes.plot([at(start), at(until)], [high(value)] * 2, color=color, linewidth=1.6, linestyle=style)
    for number, (seconds, words) in enumerate(marks):
        axes.plot([at(seconds)] * 2, [top - 0.1, end], color=ALARM, linewidth=1.1)
        if not number or words != marks[number - 1][1] or at(seconds) - at(marks[number - 1][0]) > NARROW * len(words) + 0.1:
            _words(axes, at(seconds) + 0.05, top - 0.06, words, ALARM, (right, at(seconds) - 0.05))
    for number, lane in enumerate(lanes):
        middle = bottom + 0.08 + lane_height * (number + 0.5)
        axes.text(left - 0.14, middle, lane, size=9.5, color=INK, family=FONT, ha="right", va="center")
        _draw_lane(axes, [row for row in rows if row["lane"] == lane], at, middle, right)
    return figure


def _line_style(name: str) -> tuple[str, Any]:
    return {"measured": (MEASURED, "-"), "limit": (LIMIT, (0, (4, 2))), "predicted": (EXPECTED, (0, (1, 1.2)))}[name]


def _curves(frame: "DataFrame", show: str) -> dict[str, list[tuple[float, float | None]]]:
    """What is drawn: (seconds, value) by name; a value is None where a line breaks off, between two runs."""
    if not len(frame):
        return {}
    found: dict[str, list] = {"measured": []}
    if show == "memory":
        for _, run in frame.groupby("run"):
            for name, column in (("limit", "memory_limit_bytes"), ("measured", "memory_bytes")):
                points = run[["time_seconds", column]].dropna().astype(float)
                if len(points):
                    found.setdefault(name, []).extend(points.itertuples(index=False, name=None))
                    found[name].append((points["time_seconds"].iloc[-1], None))
        return found
    window, middle = (WINDOW_SECONDS, 0.0) if show == "throttling" else (0.2, 0.1)
    for times, over, under in _counters(frame, show):
        edges = [times[0] + number * window for number in range(int((times[-1] - times[0]) / window) + 1)]
        at = [min(int(place), len(times) - 1) for place in times.searchsorted(edges)]
        for edge, first, last in zip(edges[1:], at, at[1:], strict=False):
            if under[last] > under[first]:
                found["measured"].append((edge - middle, (over[last] - over[first]) / (under[last] - under[first])))
        found["measured"].append((times[-1], None))
    return found


def _pieces(line: list) -> list[list]:
    """A line as its unbroken pieces."""
    pieces: list[list] = [[]]
    for seconds, value in line:
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((seconds, value))
    return [piece for piece in pieces if piece]


def _draw_parts(frame: "DataFrame", title: str, finding: str, limit_bytes: int | None) -> "Figure":
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
        axes.plot([at(limit_bytes / (1 << 20))] * 2, [top - 0.1, end + 0.05], color=color, linewidth=1.6, linestyle=style)
        axes.text(at(limit_bytes / (1 << 20)), head + 0.2, "limit", ha="center", **{**small, "color": color})
    for number, (name, row) in enumerate(frame.iterrows()):
        middle = top + row_height * (number + 0.5)
        axes.text(left - 0.14, middle, str(name), size=9.5, color=INK, family=FONT, ha="right", va="center")
        x = left
        for place, amount in enumerate(row):
            width = amount / (1 << 20) / most * (right - left)
            if width > 0.015:
                _filled(axes, (x, middle - bar / 2, width, bar), LOOKS[place % len(LOOKS)])
            x += max(width, 0.0)
    return figure


def _grid(axes: Any, frame: Box, across: tuple[float, float], up: float, words: tuple[str, str]) -> "tuple[Callable, Callable]":
    """Lines with numbers, and words, for two axes inside a frame: across from one number to another, upwards from 0. Gives both scales."""
    left, top, width, height = frame
    small = {"size": 8, "color": SOFT, "family": FONT, "va": "center"}

    def at(value: float) -> float:
        return left + (min(max(value, across[0]), across[1]) - across[0]) / (across[1] - across[0]) * width

    def high(value: float) -> float:
        return top + height - min(max(value, 0.0), up) / up * height

    step = _round_step(across[1] - across[0])
    for number in range(math.ceil(across[0] / step - 1e-9), int(across[1] / step + 1e-9) + 1):
        axes.plot([at(number * step)] * 2, [top, top + height + 0.05], color=LINE, linewidth=0.7, zorder=0)
        axes.text(at(number * step), top + height + 0.16, f"{number * step:g}", ha="center", **small)
    step = _round_step(up)
    for number in range(int(up / step + 1e-9) + 1):
        axes.plot([left, left + width], [high(number * step)] * 2, color=LINE, linewidth=0.7, zorder=0)
        axes.text(left - 0.1, high(number * step), f"{number * step:g}", ha="right", **small)
    axes.text(left + width, top + height + 0.36, words[0], ha="right", **small)
    axes.text(0.25, top - 0.3, words[1], ha="left", **small)
    return at, high


# A line of the second kind can be told from one of the first without its colour.
LINES = (("#0072b2", "-"), ("#b34700", (0, (5, 1.5))), ("#00664b", (0, (2, 1))), ("#7a4a6b", (0, (6, 1, 1, 1))))


def _legend(axes: Any, x: float, y: float, entries: Sequence[tuple[str, str, Any]]) -> None:
    """Names with their lines, from x to the left."""
    for name, color, style in reversed(entries):
        x -= 0.075 * len(name)
        axes.text(x, y, name, size=8, color=color, family=FONT, ha="left", va="center")
        axes.plot([x - 0.36, x - 0.08], [y] * 2, color=color, linewidth=1.6, linestyle=style)
        x -= 0.55


def _draw_division(frames, levels, stretch, title, finding) -> "Figure":
    panel, left, right = 2.3, 0.75, WIDTH_INCHES - 0.3
    figure, axes, head = _figure(0.42 + panel + 0.48, title, finding)
    curves = {name: _pieces(_curves(frame, "cpu").get("measured", [])) for name, frame in frames.items()}
    points = [point for pieces in curves.values() for piece in pieces for point in piece]
    first, last = min(at for at, _ in points), max(at for at, _ in points)
    words = ("seconds since the recording began", SHOWS["cpu"].axis)
    most = max(cpus for _, cpus in points) * 1.06
    at, high = _grid(axes, (left, head + 0.42, right - left, panel), (min(first, 0.0), last), most, words)
    entries = [(name, *LINES[number % len(LINES)]) for number, name in enumerate(frames)]
    for name, color, style in entries:
        for piece in curves[name]:
            axes.plot([at(x) for x, _ in piece], [high(y) for _, y in piece], color=color, linewidth=1.6, linestyle=style)
        axes.plot([at(edge) for edge in stretch], [high(levels[name])] * 2, color=INK, linewidth=1.6, linestyle=(0, (1, 1.2)))
    _legend(axes, right, head + 0.12, [*entries, ("predicted", *_line_style("predicted"))])
    return figure


def _draw_latencies(seconds, predicted, marks, title, finding) -> "Figure":
    kinds, panel, left, right = list(seconds), 2.1, 0.75, WIDTH_INCHES - 0.3
    row, rows = 0.2, 0.24 + 0.2 * len(seconds)
    figure, axes, head = _figure(0.42 + panel + 0.55 + rows, title, finding)
    last = (
        1000 * max([*(took for own in seconds.values() for took in own), *(most for _, most in predicted.values()), *marks.values()]) * 1.05
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
        ys = [0.0, *(100 * (place + half) / len(own) for place in range(len(own)) for half in (0, 1)), 100.0]
        axes.plot([at(x) for x in xs], [high(y) for y in ys], color=color, linewidth=1.6, linestyle=style)
    for words, moment in marks.items():
        axes.plot([at(1000 * moment)] * 2, [frame[1] - 0.1, frame[1] + panel], color=ALARM, linewidth=1.1)
        _words(axes, at(1000 * moment) + 0.05, frame[1] - 0.06, words, ALARM, (right, at(1000 * moment) - 0.05))
    small = {"size": 8, "family": FONT, "va": "center"}
    y = frame[1] + panel + 0.62
    percent = _percentiles(seconds)
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


def _draw_table(frame: "DataFrame", title: str, finding: str) -> "Figure":
    row, columns = 0.27, [str(column) for column in frame.columns]
    cells = [["" if _missing(value) else str(value) for value in values] for values in frame.itertuples(index=False)]
    widths = [max(len(line[number]) for line in [columns, *cells]) for number in range(len(columns))]
    size = min(1.0, (WIDTH_INCHES - 0.5) / (0.078 * sum(widths) + 0.3 * (len(widths) - 1)))
    starts = [0.25 + size * sum(0.078 * width + 0.3 for width in widths[:number]) for number in range(len(widths))]
    figure, axes, head = _figure(0.42 + row * len(cells), title, finding)
    for start, column in zip(starts, columns, strict=True):
        axes.text(start, head + 0.14, column, size=9 * size, color=SOFT, family=FONT, ha="left", va="center")
    for number, line in enumerate(cells):
        y = head + 0.3 + row * number
        axes.plot([0.25, WIDTH_INCHES - 0.25], [y] * 2, color=LINE, linewidth=0.7, zorder=0)
        for start, text in zip(starts, line, strict=True):
            axes.text(start, y + row / 2, text, size=9 * size, color=INK, family=FONT, ha="left", va="center")
    return figure


def _draw_ledger(frame: "DataFrame", title: str, finding: str) -> "Figure":
    row_height, box, wide, gap = 0.52, 0.34, 0.92, 0.08
    moments = list(dict.fromkeys(frame["moment"]))
    left = 0.25 + 0.078 * max(len(str(moment)) for moment in moments) + 0.25
    offered = [int(frame[(frame["moment"] == each) & (frame["state"] == "offered")]["pieces"].sum()) for each in moments]
    had = [int(frame[(frame["moment"] == each) & (frame["state"] == "has")]["pieces"].sum()) for each in moments]
    most = max(int(frame[(frame["moment"] == each) & (frame["state"] == "waits")]["pieces"].sum()) for each in moments)
    shown = max([1, *offered, *had])
    wide = min(wide, (WIDTH_INCHES - 0.5 - left) / (shown + max(1, most)) - gap)
    # Never so near that the words above the boxes run into the line.
    split = max(left + shown * (wide + gap) + 0.2, left + 1.4)
    names = list(dict.fromkeys(frame[frame["who"] != ""]["who"]))
    figure, axes, head = _figure(0.4 + row_height * len(moments) + 0.06, title, finding)
    small = {"size": 8, "color": SOFT, "family": FONT, "va": "center", "ha": "left"}
    axes.text(left, head + 0.2, "offered by the node", **small)
    axes.text(split, head + 0.2, "waiting", **small)
    top = head + 0.4
    axes.plot([split - 0.14] * 2, [head + 0.1, top + row_height * len(moments) - 0.06], color=LINE, linewidth=1.2)
    for number, moment in enumerate(moments):
        middle = top + row_height * (number + 0.42)
        rows = frame[frame["moment"] == moment]
        axes.text(left - 0.18, middle, str(moment), size=9.5, color=INK, family=FONT, ha="right", va="center")
        x = left
        for row in rows[rows["state"] == "has"].itertuples():
            for _ in range(int(row.pieces)):
                _filled(axes, (x, middle - box / 2, wide, box), LOOKS[names.index(row.who) % len(LOOKS)])
                _chip(axes, x + wide / 2, middle, str(row.who))
                x += wide + gap
        for _ in range(_free_pieces(rows)):
            _box(axes, (x, middle - box / 2, wide, box), facecolor="none", edgecolor=SOFT, linewidth=1, linestyle=(0, (3, 2)))
            axes.text(x + wide / 2, middle, "free", **{**small, "ha": "center"})
            x += wide + gap
        if x == left:
            axes.text(left, middle, "nothing", **small)
        x = split
        for row in rows[rows["state"] == "waits"].itertuples():
            for _ in range(int(row.pieces)):
                _filled(axes, (x, middle - box / 2, wide, box), LOOKS[names.index(row.who) % len(LOOKS)], alpha=0.35)
                _chip(axes, x + wide / 2, middle, str(row.who))
                x += wide + gap
    return figure


def _draw_lane(axes: Any, rows: list[dict], at: Callable[[float], float], middle: float, right: float) -> None:
    """One lane: bars with letters for what is there, words for what is not, and a mark at each restart."""
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
            # The end is known to lie in a range: full colour where it surely was, fading where it may have been.
            blur = 0.0 if row["ongoing"] else row["end_resolution"] or 0.0
            sure, late = max(at(row["end"] - blur), start), at(row["end"] + blur)
            if late - sure > 0.02:
                _filled(axes, (start, y, late - start, bar), look, alpha=0.35)
            _filled(axes, (start, y, max(sure - start, 0.02), bar), look)
            text = row["value"] if row["kind"] == "address" else row["state"] if row["kind"] == "condition" else mark
            room = sure if sure - start > WIDE * len(text or "") + 0.15 else late
            if room - start > WIDE * len(text or "") + 0.15:
                _chip(axes, (start + room) / 2, middle, text or "")
            elif row["kind"] == "address":
                _words(axes, start, y - 0.065, text, INK, (right, right))
            if row["kind"] == "container" and number:
                axes.plot([start, start], [y - 0.07, y + bar + 0.04], color=INK, linewidth=1.4, solid_capstyle="butt")
                _words(axes, start + 0.05, y - 0.065, "restarted", INK, (right, start - 0.05))
        elif row["state"] == "terminated":
            done = row["exit_code"] == 0
            color = CALM if done else ALARM
            axes.plot([start, max(end, start + 0.03)], [middle, middle], color=color, linewidth=1.4, linestyle=(0, (1, 1.2)))
            axes.plot([start], [middle], marker="o" if done else "x", color=color, markersize=6 if done else 7, markeredgewidth=2)
            words = _ending(row).partition(" ")[2] or "ended"
            if words != said or start > said_until:  # two ends of one kind that are near each other: one word for both
                _words(axes, start - 0.03, y + bar + 0.075, words, color, (right, right))
                said, said_until = words, start + NARROW * len(words)
        else:
            style = {"facecolor": "none", "edgecolor": SOFT, "linewidth": 0.8, "linestyle": (0, (3, 2))}
            _box(axes, (start, y + 0.03, max(end - start, 0.02), bar - 0.06), **style)
            words = row["reason"] or row["state"]
            if end - start > NARROW * len(words) + 0.1:
                axes.text((start + end) / 2, middle, words, size=7.5, color=SOFT, family=FONT, ha="center", va="center")
            else:
                _words(axes, start, y - 0.055, words, SOFT, (right, right))


def _words(axes: Any, x: float, y: float, words: str, color: str, edge: tuple[float, float]) -> None:  # noqa: PLR0917
    """Small words that begin at x; where they would run over the edge's first number, they end at its second."""
    over = x + NARROW * len(words) > edge[0]
    axes.text(
        edge[1] if over else x, y, words, size=7.5, color=color, family=FONT, ha="right" if over else "left", va="center", zorder=4,
        bbox={"boxstyle": "square,pad=0.08", "facecolor": PAPER, "edgecolor": "none"},  # so that no line runs through them
    )  # fmt: skip


def _round_step(last: float) -> float:
    """The distance of the marks on the axis: 1, 2 or 5 of some power of ten, four to nine of them."""
    power = 10.0 ** math.floor(math.log10(last / 4))
    return next(size * power for size in (1, 2, 5, 10) if last / (size * power) <= 9)
