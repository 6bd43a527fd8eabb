"""What memory is used for, at several moments."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from labhelpers.charts.canvas import (
    ALARM,
    INK,
    KEY_WIDTH,
    PALETTE,
    WIDTH_INCHES,
    Sheet,
    key_rows,
    line_style,
)
from labhelpers.charts.chart import Chart, nothing_to_draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["parts"]

HARDLY = 0.05  # of the limit
MIB = 1 << 20
ROW_HEIGHT, BAR_HEIGHT = 0.44, 0.27


def parts(
    frame: "DataFrame",
    title: str,
    limit_bytes: int | None = None,
    *,
    finding: str = "",
    mark: tuple[str, Mapping[str, int]] = ("", {}),
    notes: Mapping[str, str] | None = None,
) -> Chart:
    """What memory is used for, at several moments: a bar for each moment, made of its parts,
    against the limit.

    The finding says of each moment which part was the largest, or that there was hardly anything:
    under a twentieth of the limit, or of the longest bar where there is no limit.

    Args:
        frame: bytes; index: names of the moments, top to bottom; columns: names of the parts.
        title: the question that the picture answers.
        limit_bytes: the limit of all parts together; None: there is none.
        finding: the answer, where there is a better one than a sentence for each moment.
        mark: what a stroke on each bar is called, and where it is, in bytes, by moment.
        notes: words behind a bar, by moment: what happened there.

    Raises:
        LabError: the frame is empty.

    >>> import pandas
    >>> used = {"programs": [0, 3 << 20], "files": [9, 1 << 20]}
    >>> parts(pandas.DataFrame(used, index=["before", "after"]), "Who has it?", 4 << 20)
    before: hardly anything · after: mostly programs
    """
    if frame.empty:
        raise nothing_to_draw("a frame without cells", "Give it a row for each moment.")
    scale = limit_bytes or frame.sum(axis=1).max()
    said = [
        f"{moment}: mostly {row.idxmax()}"
        if row.sum() >= HARDLY * scale and row.sum()
        else f"{moment}: hardly anything"
        for moment, row in frame.iterrows()
    ]
    finding = finding or " · ".join(said)
    spoken = (frame / MIB).round(1).add_suffix(", MiB")
    if mark[0]:
        spoken[f"{mark[0]}, MiB"] = [round(mark[1].get(name, 0) / MIB, 1) for name in frame.index]
    if notes:
        spoken["what happened"] = [notes.get(name, "") for name in frame.index]
    return Chart(
        lambda: _draw(frame, title, finding, limit_bytes, mark, notes or {}),
        finding,
        frame,
        title,
        spoken,
    )


def _draw(
    frame: "DataFrame", title: str, finding: str, limit_bytes: int | None,
    mark: tuple[str, Mapping[str, int]], notes: Mapping[str, str],
) -> "Figure":  # fmt: skip
    left = 0.25 + 0.075 * max(len(str(name)) for name in frame.index) + 0.2
    right, tall = WIDTH_INCHES - 0.45, ROW_HEIGHT * len(frame)
    most = max(frame.sum(axis=1).max(), limit_bytes or 0, MIB) / MIB * 1.04
    looks = {str(part): PALETTE[number % len(PALETTE)] for number, part in enumerate(frame.columns)}

    def sign(part: str):
        return lambda sheet, x, y: sheet.filled((x, y - 0.075, KEY_WIDTH, 0.15), looks[part])

    words, marked = mark
    signs = [(part, sign(part)) for part in looks] + ([(words, _key_mark)] if words else [])
    keys = key_rows(signs)
    above = 0.21 * len(keys) + 0.25
    sheet = Sheet(above + tall + 0.42, title, finding)
    box = (left, sheet.top + above, right - left, tall)
    panel = sheet.panel(box, (0.0, most), 0.0, ("memory, MiB", ""))
    sheet.legend(sheet.top + 0.12, keys)
    for number, (name, row) in enumerate(frame.iterrows()):
        middle = box[1] + ROW_HEIGHT * (number + 0.5)
        sheet.name(left - 0.14, middle, str(name))
        start = 0.0
        for part, amount in zip(looks, row, strict=True):
            x, width = panel.at(start / MIB), panel.at(amount / MIB) - left
            if width > 0.015:
                sheet.filled((x, middle - BAR_HEIGHT / 2, width, BAR_HEIGHT), looks[part])
            start += max(amount, 0)
        if start < HARDLY * most * MIB / 5:
            sheet.say(left + 0.08, middle, "≈ 0")
        if str(name) in marked:
            x = panel.at(marked[str(name)] / MIB)
            sheet.line([x, x], [middle - 0.17, middle + 0.17], INK, width=2.2, zorder=5)
        if note := notes.get(str(name)):
            x = max(panel.at(start / MIB), panel.at(marked.get(str(name), 0) / MIB))
            sheet.say(x + 0.1, middle, note, color=ALARM, weight="bold")
    if limit_bytes:
        color, dash = line_style("limit")
        x = panel.at(limit_bytes / MIB)
        sheet.line([x, x], [box[1] - 0.05, panel.bottom + 0.05], color, dash=dash)
        sheet.say(x, box[1] - 0.13, f"limit {limit_bytes / MIB:g} MiB", color=color, ha="center")
    return sheet.figure


def _key_mark(sheet: Sheet, x: float, y: float) -> None:
    sheet.line([x + KEY_WIDTH / 2] * 2, [y - 0.09, y + 0.09], INK, width=2.2)
