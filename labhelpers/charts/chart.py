"""A picture with its finding: what every kind of picture is made into.

Each chart answers the question in its title. Its ``finding`` is a sentence computed from the data
that the picture shows: it stands under the picture, and it is the chart's plain text, which the
strict comparison of notebooks reads. No cluster and no widget is known here.
"""

import base64
import html
import io
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labhelpers.charts import canvas
from labhelpers.charts.canvas import WIDTH_INCHES, missing
from labhelpers.errors import LabError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["Chart", "nothing_to_draw", "records", "times"]

SPOKEN_ROWS = 40
COLORS = 96


class Chart:
    """A picture with its finding. In a notebook it shows as the picture; as text it is the finding.

    Args:
        draw: makes the matplotlib ``Figure``; called once, when the picture is first wanted.
        finding: the sentence that the data give.
        table: the data, as a frame.
        title: the question that the picture answers.
        spoken: the same data for somebody who can't see the picture: a short frame, in words and
            round numbers. Left out: ``table``.

    >>> chart = Chart(lambda: None, "net: one shared by all", None)
    >>> chart
    net: one shared by all
    """

    def __init__(
        self,
        draw: "Callable[[], Figure]",
        finding: str,
        table: "DataFrame",
        title: str = "",
        spoken: "DataFrame | None" = None,
    ):
        self._draw = draw
        self.finding, self.table, self.title = finding, table, title
        self._spoken = table if spoken is None else spoken

    def figure(self) -> "Figure":
        """The picture as a new matplotlib ``Figure``, to be changed or saved in another format."""
        return self._draw()

    @cached_property
    def png(self) -> bytes:
        """The picture as PNG. Equal data give equal bytes: no date and no version is in them."""
        from PIL import Image, ImageDraw  # comes with matplotlib

        out = io.BytesIO()
        self.figure().savefig(out, format="png", dpi=canvas.DOTS_PER_INCH)
        # A palette holds these flat colours in a third of the bytes, and a picture that Pillow
        # writes again has no software and no date in it.
        picture = Image.open(out).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        colors = [*picture.getpalette(), *(255,) * 3 * COLORS][: 3 * COLORS]
        picture.putpalette([*colors, 255, 255, 255])  # one more, for what is outside of the card
        outside = Image.new("1", picture.size, 1)
        width, height = picture.size
        ImageDraw.Draw(outside).rounded_rectangle(
            (0, 0, width - 1, height - 1), canvas.ROUND_INCHES * canvas.DOTS_PER_INCH, fill=0
        )
        picture.paste(COLORS, mask=outside)
        small = io.BytesIO()
        picture.save(small, format="png", optimize=True, transparency=COLORS)
        return small.getvalue()

    def __repr__(self) -> str:
        return self.finding

    @property
    def alternative(self) -> str:
        """The picture in words, as HTML: its question, its answer, its data. It is folded, so that
        it takes one line."""
        from labhelpers.tables import html_table  # loads pandas

        rows = self._spoken
        left = len(rows) - SPOKEN_ROWS
        more = f"<p>… and {left} more rows.</p>" if left > 0 else ""
        words = [f"{self.title} {self.finding}".strip(), canvas.provenance()]
        return (
            "<details><summary>Text alternative</summary>"
            + "".join(f"<p>{html.escape(each)}</p>" for each in words if each)
            + html_table(rows.head(SPOKEN_ROWS))
            + f"{more}</details>"
        )

    def display(self, sentence: str = "") -> None:
        """Shows the picture, then its text alternative.

        Args:
            sentence: what is compared; left out: the finding.

        These are two outputs. In one, JupyterLab would show the HTML in place of the picture. An
        ``alt`` isn't possible: JupyterLab, nbconvert and GitHub make none out of a stored picture,
        and GitHub removes pictures that are inside HTML.
        """
        from IPython.display import display

        data = {
            "image/png": base64.b64encode(self.png).decode(),
            "text/plain": sentence or self.finding,
        }
        # Half the dots, so that the picture is sharp on a dense screen.
        size = {"image/png": {"width": int(WIDTH_INCHES * 96)}}
        display(data, raw=True, metadata=size)
        display({"text/html": self.alternative}, raw=True)

    def _ipython_display_(self) -> None:
        self.display()


def nothing_to_draw(seen: str, do: str) -> LabError:
    return LabError("There is nothing to draw.", seen, do)


def records(frame: "DataFrame") -> list[dict[str, Any]]:
    """The rows of a frame, with None for what is missing."""
    return [
        {key: None if missing(value) else value for key, value in row.items()}
        for row in frame.to_dict("records")
    ]


def times(count: int) -> str:
    """
    >>> times(1), times(2), times(3)
    ('once', 'twice', '3 times')
    """
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
