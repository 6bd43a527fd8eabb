"""A Pod's states as a machine, and the way that each of some Pods took through it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from labhelpers.charts.canvas import (
    INK,
    KEY_HEIGHT,
    KEY_WIDTH,
    LINE,
    LINES,
    NOTE,
    PALE,
    PAPER,
    SOFT,
    Points,
    Sheet,
    Sign,
    key_rows,
    letters,
)
from labhelpers.charts.chart import Chart, nothing_to_draw, times

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["COLUMNS", "STATES", "states"]

COLUMNS = ("pod", "state", "seconds")


@dataclass(frozen=True)
class State:
    """Where a state stands: its column and row; and what kubectl's STATUS says meanwhile."""

    phase: str
    column: int
    row: int
    status: str = ""


STATES = {
    "waits for a node": State("Pending", 0, 0, "Pending"),
    "waits for a sandbox": State("Pending", 0, 1, "ContainerCreating, …"),
    "runs init containers": State("Pending", 0, 2, "Init:0/1"),
    "creates containers": State("Pending", 0, 3, "PodInitializing, …"),
    "runs, not Ready": State("Running", 1, 0, "Running"),
    "Ready": State("Running", 1, 1, "Running"),
    "no container runs": State("Running", 1, 2, "Error, CrashLoopBackOff"),
    "being deleted": State("Running", 1, 3, "Terminating"),
    "Succeeded": State("Succeeded", 2, 0, "Completed"),
    "Failed": State("Failed", 2, 1.5, "Error, Evicted, …"),
    "gone": State("", 2, 3),
}
# What there is to see before any Pod has gone there.
WAYS = (
    ("waits for a node", "waits for a sandbox"),
    ("waits for a sandbox", "runs init containers"),
    ("waits for a sandbox", "creates containers"),
    ("runs init containers", "creates containers"),
    ("creates containers", "runs, not Ready"),
    ("creates containers", "Ready"),
    ("runs, not Ready", "Ready"),
    ("Ready", "no container runs"),
    ("no container runs", "Ready"),
    ("no container runs", "Succeeded"),
    ("no container runs", "Failed"),
    ("Ready", "being deleted"),
    ("being deleted", "Failed"),
    ("being deleted", "gone"),
    ("Succeeded", "gone"),
    ("Failed", "gone"),
)
LEFTS, WIDE, TALL, PITCH = (0.45, 2.72, 4.99), 1.56, 0.54, 0.82
HEAD = 0.32  # from a frame's top to its first state
APART = 0.055  # two lines on one way
LETTER = 0.054  # the width of one, at 6.6 points


def states(frame: "DataFrame", title: str) -> Chart:
    """The states of Pods, grouped by phase, with the ways that were taken. Each Pod is a line, and
    in each state stands the second in which it was first there. The last state is marked.

    Args:
        frame: a row for each step, in order, with the columns ``COLUMNS``: ``pod``, ``state`` (one
            of ``STATES``) and ``seconds``. Up to four Pods.
        title: the question that the picture answers.

    Raises:
        LabError: the frame has a state that isn't known, or more Pods than there are lines. An
            empty one is the machine before any Pod has gone there.

    >>> import pandas
    >>> steps = [("web", "creates containers", 1.0), ("web", "Ready", 2.0)]
    >>> states(pandas.DataFrame(steps, columns=list(COLUMNS)), "Which way?")
    web: Pending → Running
    """
    pods = list(dict.fromkeys(frame["pod"]))
    if len(pods) > len(LINES):
        raise nothing_to_draw(f"{len(pods)} Pods", f"Name up to {len(LINES)} of them.")
    if unknown := set(frame["state"]) - set(STATES):
        raise nothing_to_draw(f"no state {sorted(unknown)}", f"Use one of {', '.join(STATES)}.")
    steps = {pod: _steps(frame[frame["pod"] == pod]) for pod in pods}
    said = [f"{pod}: {_phases(own)}" for pod, own in steps.items()]
    finding = " · ".join(said) or "no Pod has been seen yet"
    return Chart(lambda: _draw(steps, title, finding), finding, frame, title)


Steps = list[tuple[str, float]]


def _steps(rows: "DataFrame") -> Steps:
    return list(zip(rows["state"], rows["seconds"], strict=True))


def _phases(steps: Steps) -> str:
    """The phases one after the other.

    >>> _phases([("Ready", 1.0), ("no container runs", 2.0), ("Ready", 3.0), ("gone", 4.0)])
    'Running, restarted once → gone'
    """
    told: list[str] = []
    restarts = sum(
        before == "no container runs" and STATES[state].phase == "Running"
        and state != "being deleted"
        for (before, _), (state, _) in pairwise(steps)
    )  # fmt: skip
    for state, _ in steps:
        phase = STATES[state].phase or state
        if not told or told[-1] != phase:
            told.append(phase)
    again = f"Running, restarted {times(restarts)}" if restarts else "Running"
    return " → ".join(again if phase == "Running" else phase for phase in told)


def _draw(steps: dict[str, Steps], title: str, finding: str) -> "Figure":
    pods = list(steps)
    marks = dict(zip(pods, letters(pods), strict=True))
    keys = key_rows(_keys(pods, marks))
    sheet = Sheet(HEAD + 3 * PITCH + TALL + 0.5 + KEY_HEIGHT * len(keys), title, finding)
    top = sheet.top + HEAD + 0.06
    _draw_frames(sheet, top)
    for way in WAYS:
        _draw_way(sheet, _way(*way, top), LINE, "-", 1.2)
    for number, own in enumerate(steps.values()):
        color, dash = LINES[number]
        apart = (number - (len(pods) - 1) / 2) * APART
        walked = dict.fromkeys(pairwise(state for state, _ in own))
        for before, after in walked:
            _draw_way(sheet, _way(before, after, top, apart), color, dash, 1.7)
    for name in STATES:
        _draw_state(sheet, name, top, steps, marks)
    sheet.legend(top + 3 * PITCH + TALL + 0.3, keys)
    return sheet.figure


def _corner(name: str, top: float) -> tuple[float, float]:
    state = STATES[name]
    return LEFTS[state.column], top + PITCH * state.row


def _draw_frames(sheet: Sheet, top: float) -> None:
    """A frame around the states of each phase."""
    for phase in dict.fromkeys(state.phase for state in STATES.values() if state.phase):
        own = [name for name, state in STATES.items() if state.phase == phase]
        x, first = _corner(own[0], top)
        last = _corner(own[-1], top)[1]
        box = (x - 0.16, first - HEAD + 0.04, WIDE + 0.32, last - first + TALL + HEAD + 0.04)
        sheet.box(box, round_by=0.08, facecolor=PALE, edgecolor=LINE, linewidth=0.9, zorder=0.2)
        words = f"phase {phase}"
        sheet.say(x - 0.06, first - HEAD / 2 + 0.02, words, size=8.5, color=INK, weight="bold")


def _draw_state(
    sheet: Sheet, name: str, top: float, steps: dict[str, Steps], marks: dict[str, str]
) -> None:
    x, y = _corner(name, top)
    state = STATES[name]
    there = [pod for pod, own in steps.items() if own[-1][0] == name]
    been = {pod: [at for state_, at in own if state_ == name] for pod, own in steps.items()}
    been = {pod: moments for pod, moments in been.items() if moments}
    edge, width = (INK, 2.2) if there else (SOFT, 1.2) if been else (LINE, 0.9)
    fill = NOTE if there else PAPER
    box = (x, y, WIDE, TALL)
    sheet.box(box, round_by=0.07, facecolor=PAPER, edgecolor=edge, linewidth=width, zorder=2)
    if there:
        sheet.box(box, round_by=0.07, facecolor=fill, alpha=0.45, zorder=2.1)
    color = INK if been else SOFT
    style = {"zorder": 3, "weight": "bold" if been else "normal"}
    title = {"Succeeded": "all ended with 0", "Failed": "ended in failure"}.get(name, name)
    sheet.say(x + 0.08, y + 0.11, title, size=8, color=color, **style)
    if state.status:
        sheet.say(x + 0.08, y + 0.27, state.status, size=6.8, style="italic", zorder=3)
    place = x + 0.08
    for pod, moments in been.items():
        words = f"{marks[pod]} {_short(moments[0])}"
        words += f" ×{len(moments)}" if len(moments) > 1 else ""
        color = LINES[list(steps).index(pod)][0]
        sheet.say(place, y + 0.43, words, size=6.6, color=color, weight="bold", zorder=3)
        place += LETTER * len(words) + 0.07


def _short(seconds: float) -> str:
    """
    >>> _short(0.42), _short(12.42)
    ('0.4', '12')
    """
    return f"{seconds:.1f}" if seconds < 9.95 else f"{seconds:.0f}"


def _way(before: str, after: str, top: float, apart: float = 0.0) -> Points:
    """The corners of the line from one state to another; ``apart`` moves it to one side."""
    (x, y), (to_x, to_y) = _corner(before, top), _corner(after, top)
    one, other = STATES[before], STATES[after]
    middle, to_middle = y + TALL / 2 + apart, to_y + TALL / 2 + apart
    if one.column != other.column:
        gutter = LEFTS[other.column] - 0.33 + apart + 0.03 * other.row
        if one.column > other.column:
            gutter, x, to_x = LEFTS[one.column] - 0.33 + apart, x - WIDE, to_x + WIDE
        return [(x + WIDE, middle), (gutter, middle), (gutter, to_middle), (to_x, to_middle)]
    if other.row - one.row in (1, 1.5):
        across = x + WIDE / 2 + apart
        return [(across, y + TALL), (across, to_y)]
    # Past the states between them: on the left, but on the way out of phase Running on the right.
    right = one.column > 0 and other.row > one.row
    edge, side = (x + WIDE, x + WIDE + 0.09) if right else (x, x - 0.09)
    arrives = to_middle - (0.12 if right else 0)
    side += apart * 0.6
    return [(edge, middle), (side, middle), (side, arrives), (edge, arrives)]


def _draw_way(sheet: Sheet, points: Points, color: str, dash: object, width: float) -> None:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    sheet.line(xs, ys, color, dash=dash, width=width, zorder=1.5, solid_joinstyle="round")
    (x, y), (to_x, to_y) = points[-2:]
    if x == to_x:
        marker, at = ("v", (to_x, to_y - 0.035)) if to_y > y else ("^", (to_x, to_y + 0.035))
    else:
        marker, at = (">", (to_x - 0.035, to_y)) if to_x > x else ("<", (to_x + 0.035, to_y))
    sheet.axes.plot(*at, marker=marker, color=color, markersize=4.5, markeredgewidth=0, zorder=1.6)


def _keys(pods: Sequence[str], marks: dict[str, str]) -> list[tuple[str, Sign]]:
    def way(number: int) -> Sign:
        color, dash = LINES[number]
        return lambda sheet, x, y: sheet.line(
            [x, x + KEY_WIDTH], [y, y], color, dash=dash, width=1.8
        )

    def last(sheet: Sheet, x: float, y: float) -> None:
        box = (x, y - 0.07, KEY_WIDTH, 0.14)
        sheet.box(box, facecolor=NOTE, alpha=0.45)
        sheet.box(box, facecolor="none", edgecolor=INK, linewidth=1.6)

    def status(sheet: Sheet, x: float, y: float) -> None:
        sheet.say(x + KEY_WIDTH / 2, y, "Abc", size=6.8, style="italic", ha="center")

    keys = [(f"{marks[pod]}: {pod}", way(number)) for number, pod in enumerate(pods)]
    words = "its last state; numbers are seconds"
    return [*keys, (words, last), ("in kubectl's column STATUS", status)]
