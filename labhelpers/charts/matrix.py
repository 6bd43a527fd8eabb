"""Who shares what: containers against kinds of namespaces."""

from typing import TYPE_CHECKING, Any

from labhelpers.charts.canvas import (
    INK,
    KEY_WIDTH,
    LINE,
    PALE,
    PALETTE,
    SOFT,
    WIDTH_INCHES,
    Box,
    Sheet,
    key_rows,
    letters,
    missing,
)
from labhelpers.charts.chart import Chart, nothing_to_draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["matrix"]

ROW_HEIGHT, CELL_HEIGHT = 0.42, 0.34
# What a process sees through each kind of namespace, in plain words.
PLAIN = {
    "net": "network",
    "ipc": "messages",
    "uts": "host name",
    "pid": "processes",
    "mnt": "files",
    "user": "users",
}


def matrix(frame: "DataFrame", title: str, mark: str = "") -> Chart:
    """Who shares what: a row for each container, a column for each kind of namespace.

    Equal numbers in a column are one namespace: they get one letter and one colour. A namespace
    with only one container in it is pale. Rows named ``pod/container`` are drawn in groups, one for
    each Pod; where all containers of a Pod share, the words below name the Pod.

    Args:
        frame: the inode numbers; index: names of containers; columns: kinds of namespaces. A
            missing number stays blank.
        title: the question that the picture answers.
        mark: the column that has the answer; it gets a frame.

    Raises:
        LabError: the frame is empty.

    >>> import pandas
    >>> inodes = {"net": [7, 7], "pid": [8, 9]}
    >>> matrix(pandas.DataFrame(inodes, index=["app", "log"]), "Who shares what?")
    net: one shared by all · pid: each its own
    """
    if frame.empty:
        raise nothing_to_draw("a frame without cells", "Is the Pod running? Look at pod.phase.")
    said: dict[str, list[str]] = {}
    for column in frame.columns:
        said.setdefault(_sharing(frame[column]), []).append(str(column))
    finding = " · ".join(f"{', '.join(columns)}: {words}" for words, columns in said.items())
    spoken = frame.apply(letters)
    return Chart(lambda: _draw(frame, title, finding, mark), finding, frame, title, spoken)


def _sharing(column: Any) -> str:
    """The words for one column."""
    groups: dict[Any, list[str]] = {}
    for name, value in column.items():
        if not missing(value):
            groups.setdefault(value, []).append(str(name))
    if not groups:
        return "none seen"
    found = [_pods_of(names, list(groups.values())) for names in groups.values()]
    if len(groups) == 1:
        only = next(iter(groups.values()))
        return "one shared by all" if len(only) > 1 else f"{only[0]} has its own"
    if all(len(names) == 1 for names in groups.values()):
        return "each its own"
    shared = [names for names in found if len(names) > 1]
    alone = [names[0] for names in found if len(names) == 1]
    pods = {row.split("/")[0] for names in groups.values() for row in names if "/" in row}
    if not shared and pods and pods <= set(alone):
        others = [name for name in alone if name not in pods]
        return "each Pod its own" + "".join(f"; {name} has its own" for name in others)
    words = [f"one shared by {_listed(names)}" for names in shared]
    if alone:
        words.append(
            f"{alone[0]} has its own" if len(alone) == 1 else f"{_listed(alone)} each their own"
        )
    return "; ".join(words)


def _pods_of(names: list[str], groups: list[list[str]]) -> list[str]:
    """The names of those that share a namespace, with a Pod's own name for all its containers.

    >>> _pods_of(["node", "web/app", "web/log"], [["node", "web/app", "web/log"], ["db/app"]])
    ['node', 'web']
    >>> _pods_of(["web/app"], [["web/app"], ["web/log"]])
    ['web/app']
    """
    elsewhere = {name.split("/")[0] for group in groups if group != names for name in group}
    whole = (name.split("/")[0] for name in names)
    return list(
        dict.fromkeys(
            pod if pod not in elsewhere else name for name, pod in zip(names, whole, strict=True)
        )
    )


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _draw(frame: "DataFrame", title: str, finding: str, mark: str) -> "Figure":
    names = [str(name) for name in frame.index]
    grouped = any("/" in name for name in names)
    left = 0.25 + max(0.9, 0.088 * max(map(len, names)) + 0.2)
    step = min(1.05, (WIDTH_INCHES - 0.25 - left) / len(frame.columns))
    places, y = [], 0.50
    for number, name in enumerate(names):
        if grouped and number and name.split("/")[0] != names[number - 1].split("/")[0]:
            y += 0.14
        places.append(y)
        y += ROW_HEIGHT
    sheet = Sheet(y + 0.34, title, finding)
    same = "same letter and colour in a column: the same namespace"
    keys = [(same, _key_shared), ("not shared", _key_own)]
    sheet.legend(sheet.top + y + 0.18, key_rows(keys))
    for number, column in enumerate(frame.columns):
        x = left + step * number
        if column == mark:
            box = (x + 0.005, sheet.top + 0.01, step - 0.01, y + 0.02)
            sheet.box(box, facecolor="none", edgecolor=INK, linewidth=1.6)
        word = PLAIN.get(str(column), "")
        sheet.say(x + step / 2, sheet.top + 0.16, word, size=9.5, color=INK, ha="center")
        sheet.say(x + step / 2, sheet.top + 0.35, str(column), size=8.5, ha="center")
        marks = letters(frame[column])
        shared = [each for each in dict.fromkeys(marks) if each and marks.count(each) > 1]
        for sign, place in zip(marks, places, strict=True):
            top = sheet.top + place + (ROW_HEIGHT - CELL_HEIGHT) / 2
            box = (x + 0.05, top, step - 0.1, CELL_HEIGHT)
            _draw_cell(sheet, box, sign, shared.index(sign) if sign in shared else None)
    for name, place in zip(names, places, strict=True):
        sheet.name(left - 0.12, sheet.top + place + ROW_HEIGHT / 2, name)
    return sheet.figure


def _draw_cell(sheet: Sheet, box: Box, mark: str, group: int | None) -> None:
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    if not mark:
        sheet.say(x, y, "–", size=9, ha="center")
    elif group is None:
        sheet.box(box, facecolor=PALE, edgecolor=LINE, linewidth=0.8)
        sheet.say(x, y, mark, size=9, ha="center", va="center_baseline")
    else:
        sheet.filled(box, PALETTE[group % len(PALETTE)])
        sheet.chip(x, y, mark)


def _key_shared(sheet: Sheet, x: float, y: float) -> None:
    sheet.filled((x, y - 0.075, KEY_WIDTH, 0.15), PALETTE[0])
    sheet.say(x + KEY_WIDTH / 2, y, "a", color=INK, ha="center", va="center_baseline")


def _key_own(sheet: Sheet, x: float, y: float) -> None:
    sheet.box((x, y - 0.075, KEY_WIDTH, 0.15), facecolor=PALE, edgecolor=SOFT, linewidth=0.8)
