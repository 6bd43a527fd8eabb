"""Data in, a picture and its finding out. No cluster in sight, and no widget.

Each chart answers the question in its title. Its ``finding`` is a sentence computed from the data
that the picture shows, and never written: it stands under the picture for the eye, and it is the
chart's plain text, which the strict comparison of notebooks reads. How it looks is in ``drawing``;
what is said is here.
"""

import base64
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labhelpers.charts import canvas
from labhelpers.charts.canvas import ending, missing
from labhelpers.errors import LabError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = [
    "COLUMNS",
    "SAMPLE_COLUMNS",
    "TELL",
    "Chart",
    "division",
    "facts",
    "latencies",
    "ledger",
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
        self.figure().savefig(out, format="png", dpi=canvas.DOTS_PER_INCH)
        small = io.BytesIO()
        # A palette holds these flat colours in a third of the bytes; a picture that Pillow writes
        # anew has no software and no date in it.
        Image.open(out).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(
            small, format="png", optimize=True
        )
        return small.getvalue()

    def __repr__(self) -> str:
        return self.finding

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict, dict]:
        # Half the dots, so that the picture is sharp on a dense screen; the metadata are no part of
        # the strict comparison.
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.finding}
        return data, {"image/png": {"width": int(canvas.WIDTH_INCHES * 96)}}


def matrix(frame: "DataFrame", title: str) -> Chart:
    """Who shares what: a row for each container, a column for each kind of namespace, the inode
    number in the cell.

    Equal numbers in a column are one namespace: they get one letter and one colour. A namespace
    with only one container in it is pale. Rows named ``pod/container`` are drawn in groups, one for
    each Pod.

    Args:
        frame: the inode numbers; index: names of containers; columns: kinds of namespaces. A
            missing number stays blank.
        title: the question that the picture answers.

    Raises:
        LabError: the frame is empty.

    >>> import pandas
    >>> matrix(pandas.DataFrame({"net": [7, 7], "pid": [8, 9]}, index=["app", "log"]), "Who shares what?")
    net: one shared by all · pid: each its own
    """
    if frame.empty:
        raise LabError(
            "There is nothing to draw.",
            "a frame without cells",
            "Look whether the Pod is running: pod.phase.",
        )
    said: dict[str, list[str]] = {}
    for column in frame.columns:
        said.setdefault(_sharing(frame[column]), []).append(str(column))
    finding = " · ".join(f"{', '.join(columns)}: {words}" for words, columns in said.items())
    return Chart(lambda: canvas.draw_matrix(frame, title, finding), finding, frame)


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
    rows = [
        {key: None if missing(value) else value for key, value in row.items()}
        for row in intervals.to_dict("records")
    ]
    lanes: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        lanes.setdefault((row["kind"], row["lane"]), []).append(row)
    containers = {
        lane: _container_words(own) for (kind, lane), own in lanes.items() if kind == "container"
    }
    return {
        "containers": containers,
        "pause": _stayed(lanes.get(("pause", "pause"), []), "same process", "another process"),
        "network": _stayed(lanes.get(("network", "network"), []), "same", "another"),
        "address": _stayed(lanes.get(("address", "address"), []), "same", "changed"),
    }


def timeline(
    intervals: "DataFrame",
    title: str,
    lanes: Sequence[str] | None = None,
    tell: Sequence[str] = TELL,
    marks: Iterable[tuple[float, str]] = (),
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

    Raises:
        LabError: no such lane, nothing of that name to tell, or no intervals at all.
    """
    there = list(dict.fromkeys(intervals["lane"]))
    if not there:
        raise LabError(
            "There is nothing to draw.",
            "the recording saw no Pod of that name",
            "Apply the manifest inside the with block.",
        )
    usual = [
        lane
        for lane in there
        if intervals.loc[intervals["lane"] == lane, "kind"].iloc[0] != "condition"
    ]
    shown = usual if lanes is None else list(lanes)
    if unknown := [lane for lane in shown if lane not in there]:
        raise LabError(
            f"The recording has no lane {unknown[0]!r}.",
            f"its lanes are {', '.join(there)}",
            "Name one of these.",
        )
    known = facts(intervals)
    sentences = []
    for subject in tell:
        if subject == "containers":
            sentences += [f"{name}: {words}" for name, words in known["containers"].items()]
        elif subject in known["containers"]:
            sentences.append(f"{subject}: {known['containers'][subject]}")
        elif subject in ("pause", "network", "address"):
            sentences.append(
                f"{'network namespace' if subject == 'network' else subject}:"
                f" {known[subject] or 'never seen'}"
            )
        else:
            names = [*TELL, *known["containers"]]
            raise LabError(
                f"The finding cannot speak of {subject!r}.",
                f"it knows {', '.join(names)}",
                "Name some of these in tell.",
            )
    finding = " · ".join(sentences)
    return Chart(
        lambda: canvas.draw_timeline(intervals, shown, sorted(marks), title, finding),
        finding,
        intervals,
    )


@dataclass(frozen=True)
class _Show:
    """One way to show samples: the axis, the size of its unit, and how near a measured value has to
    come to a predicted one."""

    axis: str
    unit: float
    within: float
    least: float = 0.0  # the axis reaches at least so far, in its unit
    bar_seconds: float = 0.0  # drawn as bars, each for so long; else as a line


SHOWS = {
    "memory": _Show("memory, MiB", 1 << 20, 4 << 20, 1.0),
    "cpu": _Show("CPU time used a second, in cores", 1.0, 0.1, 0.1),
    "throttling": _Show(
        "periods that were throttled, %", 0.01, 0.1, 100.0, bar_seconds=0.5
    ),  # five of the kernel's usual periods
}
NEAR = 0.95  # of the limit


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
    >>> frame = pandas.DataFrame({"time_seconds": [0.0, 1.0], "cpu_usage_seconds": [5.0, 5.5], "run": [1, 1]})
    >>> measured(frame, "cpu", 0, 1)
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
        frame: as ``samples.Samples.frame`` gives it; the columns are ``SAMPLE_COLUMNS``. Empty, it
            draws what else is given.
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
    marks say, what was predicted, and what became of the container. A prediction is held against
    all of its stretch.

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
        raise LabError(
            "The samples do not hold what is to be shown.",
            f"the node keeps no {needs}",
            "Show something else of them.",
        )
    sentences = [_samples_words(frame, show)]
    told: dict[str, int] = {}
    for _, words in marks:
        told[words] = told.get(words, 0) + 1
    sentences += [
        words if count == 1 else f"{words} {_times(count)}" for words, count in told.items()
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
    note = _rate_words(frame)
    return Chart(
        lambda: canvas.draw_samples(
            _curves(frame, show), way, title, finding, note, marks, intervals, steps
        ),
        finding,
        frame,
    )


def _rate_words(frame: "DataFrame") -> str:
    """How close the samples lie. It stands in the picture alone, for it differs from run to run."""
    gaps = frame.groupby("run")["time_seconds"].diff().dropna().astype(float) if len(frame) else []
    return (
        f"{1 / gaps.mean():.0f} samples a second, the longest gap {1000 * gaps.max():.0f} ms"
        if len(gaps)
        else ""
    )


HARDLY = 0.05  # of the limit


def parts(frame: "DataFrame", title: str, limit_bytes: int | None = None) -> Chart:
    """What memory is used for, at several moments: a bar for each moment, made of its parts,
    against the limit.

    The finding says of each moment which part was the largest, or that there was hardly anything:
    under a twentieth of the limit, or of the longest bar where there is no limit.

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
        raise LabError(
            "There is nothing to draw.", "a frame without cells", "Give it a row for each moment."
        )
    scale = limit_bytes or frame.sum(axis=1).max()
    said = [
        f"{moment}: "
        + (
            f"mostly {row.idxmax()}"
            if row.sum() >= HARDLY * scale and row.sum()
            else "hardly anything"
        )
        for moment, row in frame.iterrows()
    ]
    finding = " · ".join(said)
    return Chart(lambda: canvas.draw_parts(frame, title, finding, limit_bytes), finding, frame)


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
    second at each end is left out, for the scheduler takes some tenths of a second to spread what
    runs over the cores.

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
    lines = {name: _curves(frame, "cpu").get("measured", []) for name, frame in frames.items()}
    axis, table = SHOWS["cpu"].axis, _side_by_side(found, predicted, before)
    return Chart(
        lambda: canvas.draw_division(lines, axis, levels, (start, end), title, finding),
        finding,
        table,
    )


def _begin(frame: "DataFrame") -> float:
    """When it began to use CPU time."""
    return next(
        (
            at
            for at, cpus in _curves(frame, "cpu").get("measured", [])
            if cpus is not None and cpus > BUSY_CPUS
        ),
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
    curves = [_curves(frame, "cpu").get("measured", []) for frame in frames.values()]
    busy = [
        {round(at / 0.1) for at, cpus in curve if cpus is not None and cpus > BUSY_CPUS}
        for curve in curves
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
    if missing := [name for name, own in seconds.items() if not own]:
        raise LabError(
            "There is nothing to draw.",
            f"no piece of work of {missing[0]}",
            "Let some be done first.",
        )
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
        lambda: canvas.draw_latencies(seconds, frame, predicted, marks or {}, title, finding),
        finding,
        frame,
    )


def _percentiles(seconds: Mapping[str, Sequence[float]]) -> "DataFrame":
    """Milliseconds: a row for each kind, a column for each percentile, by the nearest rank."""
    import pandas

    ranked = {name: sorted(own) for name, own in seconds.items()}
    rows = [
        [1000 * own[math.ceil(part / 100 * len(own)) - 1] for part in PERCENTILES.values()]
        for own in ranked.values()
    ]
    return pandas.DataFrame(rows, columns=list(PERCENTILES), index=list(ranked)).round().astype(int)


def table(frame: "DataFrame", title: str, finding: str) -> Chart:
    """A table as a picture, for values that differ from node to node; what is compared is the
    finding.

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
        raise LabError(
            "There is nothing to draw.", "a frame without rows", "Give it a row for each value."
        )
    return Chart(lambda: canvas.draw_table(frame, title, str(finding)), str(finding), frame)


def ledger(frame: "DataFrame", title: str) -> Chart:
    """The account of a counted resource at several moments: a box for each piece on offer, with who
    has it; and who waits for how many.

    The finding says for each moment who has how many, who waits, and how many are free.

    Args:
        frame: a row for each entry, with the columns ``moment``, ``state`` ("offered", "has" or
            "waits"), ``who`` ("" for what is offered) and ``pieces``. Moments are drawn in the
            order in which they come.
        title: the question that the picture answers.

    Raises:
        LabError: the frame is empty.

    >>> import pandas
    >>> rows = [("one", "offered", "", 1), ("one", "has", "first", 1), ("one", "waits", "second", 1)]
    >>> ledger(pandas.DataFrame(rows, columns=["moment", "state", "who", "pieces"]), "Who has it?")
    one: first has 1, second waits for 1
    """
    if frame.empty:
        raise LabError(
            "There is nothing to draw.",
            "an account without entries",
            "Give it a row for each entry.",
        )
    said, free = [], {}
    for moment, rows in frame.groupby("moment", sort=False):
        words = [f"{row.who} has {row.pieces}" for row in rows.itertuples() if row.state == "has"]
        words += [
            f"{row.who} waits for {row.pieces}" for row in rows.itertuples() if row.state == "waits"
        ]
        pieces = rows.groupby("state")["pieces"].sum()
        free[moment] = int(pieces.get("offered", 0) - pieces.get("has", 0))
        words += [f"{free[moment]} free"] if free[moment] or not words else []
        said.append(f"{moment}: {', '.join(words)}")
    finding = " · ".join(said)
    return Chart(lambda: canvas.draw_ledger(frame, free, title, finding), finding, frame)


def _look_up(show: str) -> _Show:
    if show not in SHOWS:
        raise LabError(
            f"Samples cannot be shown as {show!r}.",
            f"there are {', '.join(SHOWS)}",
            "Use one of these.",
        )
    return SHOWS[show]


def _samples_words(frame: "DataFrame", show: str) -> str:
    """The first sentence of the finding."""
    if not len(frame):
        return "nothing sampled yet"
    if show == "memory":
        limits = frame["memory_limit_bytes"].dropna()
        if limits.empty:
            return "memory has no limit"
        # Each sample against the limit of its own moment; the kernel's mark against it too, for it
        # misses nothing.
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


def _sharing(column: Any) -> str:
    """The words for one column of the matrix."""
    groups: dict[Any, list[str]] = {}
    for name, value in column.items():
        if not missing(value):
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
        words.append(
            f"{alone[0]} has its own" if len(alone) == 1 else f"{_listed(alone)} each their own"
        )
    return "; ".join(words)


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


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
        return f"{words}, restarted {_times(restarts)}" + ("" if alive else ", not running")
    return words if ends and ends[-1]["exit_code"] == 0 else f"{words}, not restarted"


def _stayed(rows: list[dict], same: str, another: str) -> str | None:
    if not rows:
        return None
    if not rows[-1]["ongoing"]:
        return "gone"
    return same if len({row["value"] for row in rows}) == 1 else another


def _curves(frame: "DataFrame", show: str) -> canvas.Curves:
    """What is drawn of samples."""
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
    window, middle = (SHOWS[show].bar_seconds, 0.0) if SHOWS[show].bar_seconds else (0.2, 0.1)
    for times, over, under in _counters(frame, show):
        edges = [
            times[0] + number * window for number in range(int((times[-1] - times[0]) / window) + 1)
        ]
        at = [min(int(place), len(times) - 1) for place in times.searchsorted(edges)]
        for edge, first, last in zip(edges[1:], at, at[1:], strict=False):
            if under[last] > under[first]:
                found["measured"].append(
                    (edge - middle, (over[last] - over[first]) / (under[last] - under[first]))
                )
        found["measured"].append((times[-1], None))
    return found
