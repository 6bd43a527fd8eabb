"""Tables that people can read, copy and search: HTML with aligned columns, and one sentence."""

import html
from collections.abc import Callable

import pandas

__all__ = ["Table", "html_table"]

_LEFT, _RIGHT = "text-align:left", "text-align:right"


class Table(pandas.DataFrame):
    """A DataFrame that a notebook shows as an HTML table; what CI compares is a sentence about it.

    Columns and rows can be picked as in any DataFrame. The sentence is computed from what is left.

    Example::

        table = Table({"command": ["pause", "sleep"]})
        table = table.saying(lambda frame: f"{len(frame)} processes")
        table[["command"]]
    """

    _metadata = ["_sentence"]  # noqa: RUF012 (pandas' own way to keep an attribute)
    _sentence: Callable[[pandas.DataFrame], str] | None = None

    @property
    def _constructor(self):
        return Table

    def saying(self, sentence: Callable[[pandas.DataFrame], str]) -> "Table":
        """The same table with its sentence: a function from the frame to words that are the same
        on every node."""
        told = self.copy()
        told._sentence = sentence
        return told

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        sentence = str(self._sentence(self)) if self._sentence else ""
        shown = html_table(self) + (f"<p>{html.escape(sentence)}</p>" if sentence else "")
        return {"text/html": shown, "text/plain": sentence or self.to_string()}


def html_table(frame: pandas.DataFrame) -> str:
    """A frame as an HTML table: numbers to the right with thousands separators, words to the left.

    Args:
        frame: its columns become the header. Units belong into their names ("memory, MiB"). An
            index that is more than row numbers becomes the first column.

    >>> html_table(pandas.DataFrame({"bytes": [1234567]})).partition("</thead>")[2]
    '<tbody><tr><td style="text-align:right">1,234,567</td></tr></tbody></table>'
    """
    if not isinstance(frame.index, pandas.RangeIndex):
        frame = pandas.DataFrame(frame.reset_index(names=frame.index.name or ""))
    styles = [_RIGHT if _is_number(frame[column]) else _LEFT for column in frame.columns]
    head = "".join(_cell("th", *pair) for pair in zip(frame.columns, styles, strict=True))
    rows = (zip(row, styles, strict=True) for row in frame.itertuples(index=False))
    cells = ("".join(_cell("td", _words(value), style) for value, style in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(tag: str, value: object, style: str) -> str:
    return f'<{tag} style="{style}">{html.escape(str(value))}</{tag}>'


def _is_number(column: pandas.Series) -> bool:
    return pandas.api.types.is_numeric_dtype(column) and not pandas.api.types.is_bool_dtype(column)


def _words(value: object) -> str:
    """
    >>> [_words(value) for value in (16384, 2.50, 0.17, float("nan"), None, True, "a")]
    ['16,384', '2.5', '0.17', '', '', 'True', 'a']
    """
    if value is None or (isinstance(value, float) and pandas.isna(value)):
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int) or pandas.api.types.is_integer(value):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    return str(value)
