"""The account of a counted resource: who has been given how much, and who waits."""

from typing import TYPE_CHECKING

from labhelpers.charts.canvas import LINE, PALETTE, SOFT, WIDTH_INCHES, Sheet
from labhelpers.charts.chart import Chart, nothing_to_draw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["ledger"]

ROW_HEIGHT, BOX_HEIGHT, GAP = 0.52, 0.34, 0.08
WIDEST = 1.7  # of a box


def ledger(frame: "DataFrame", title: str) -> Chart:
    """Who has a counted resource at several moments, and who waits for how many. Each piece that
    the node advertises is a box.

    The finding says for each moment who has how many, who waits, and how many are free.

    Args:
        frame: a row for each entry, with the columns ``moment``, ``state`` ("offered", "has" or
            "waits"), ``who`` ("" for what is offered) and ``pieces``. Moments are drawn in the
            order in which they come.
        title: the question that the picture answers.

    Raises:
        LabError: the frame is empty.

    >>> import pandas
    >>> rows = [("at one", "offered", "", 1), ("at one", "has", "first", 1)]
    >>> ledger(pandas.DataFrame(rows, columns=["moment", "state", "who", "pieces"]), "Who has it?")
    at one: first has 1
    """
    if frame.empty:
        raise nothing_to_draw("an account without entries", "Give it a row for each entry.")
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
    return Chart(lambda: _draw(frame, free, title, finding), finding, frame, title)


def _draw(frame: "DataFrame", free: "Mapping[str, int]", title: str, finding: str) -> "Figure":
    moments = list(dict.fromkeys(frame["moment"]))
    left = 0.25 + 0.078 * max(len(str(moment)) for moment in moments) + 0.25
    count = frame.groupby(["moment", "state"])["pieces"].sum().unstack(fill_value=0)
    has, waits, offered = (
        int(count[state].max()) if state in count else 0 for state in ("has", "waits", "offered")
    )
    shown = max(1, offered, has)
    wide = min(WIDEST, (WIDTH_INCHES - 0.5 - left) / (shown + max(1, waits)) - GAP)
    # Never so near that the words above the boxes run into the line.
    split = max(left + shown * (wide + GAP) + 0.2, left + 1.4)
    names = [who for who in dict.fromkeys(frame["who"]) if who]
    sheet = Sheet(0.46 + ROW_HEIGHT * len(moments), title, finding)
    top = sheet.top + 0.4
    sheet.say(left, sheet.top + 0.2, "allocated to")
    sheet.say(split, sheet.top + 0.2, "waiting")
    ends = [sheet.top + 0.1, top + ROW_HEIGHT * len(moments) - 0.06]
    sheet.line([split - 0.14] * 2, ends, LINE, width=1.2)

    def boxes(
        x: float, middle: float, rows: "DataFrame", began: dict[str, float], **style: float
    ) -> float:
        """A box for each piece; gives where the next one would begin, and keeps where each Pod's
        begin."""
        for row in rows.itertuples():
            look = PALETTE[names.index(row.who) % len(PALETTE)]
            began[row.who] = x
            for _ in range(int(row.pieces)):
                sheet.filled((x, middle - BOX_HEIGHT / 2, wide, BOX_HEIGHT), look, **style)
                sheet.chip(x + wide / 2, middle, str(row.who))
                x += wide + GAP
        return x

    waited: dict[str, float] = {}  # where the Pods that wait stand, one moment before
    for number, moment in enumerate(moments):
        has_it: dict[str, float] = {}
        middle = top + ROW_HEIGHT * (number + 0.42)
        rows = frame[frame["moment"] == moment]
        sheet.name(left - 0.18, middle, str(moment))
        x = boxes(left, middle, rows[rows["state"] == "has"], has_it)
        for _ in range(free[moment]):
            sheet.frame((x, middle - BOX_HEIGHT / 2, wide, BOX_HEIGHT))
            sheet.say(x + wide / 2, middle, "free", ha="center")
            x += wide + GAP
        if x == left:
            sheet.say(left, middle, "none advertised")
        for who in has_it.keys() & waited.keys():
            _draw_arrow(
                sheet,
                (waited[who] + wide * 0.15, middle - ROW_HEIGHT + BOX_HEIGHT / 2),
                (has_it[who] + wide, middle),
            )
        waited = {}
        boxes(split, middle, rows[rows["state"] == "waits"], waited, alpha=0.35)
    return sheet.figure


def _draw_arrow(sheet: Sheet, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """From where a Pod waited to what it has been given."""
    style = {"arrowstyle": "-|>", "color": SOFT, "linewidth": 1.3, "shrinkA": 1, "shrinkB": 1}
    bent = {"connectionstyle": "angle,angleA=-90,angleB=0,rad=6"}
    sheet.axes.annotate("", xy=end, xytext=begin, arrowprops={**style, **bent})
