"""What a helper gives back to a notebook: what people see, and the sentence that CI compares.

Every result has two channels. *Shown* is HTML or a picture, and nobody compares it, so real
addresses, ages and sizes may stand in it. *Compared* is one sentence with words, computed from what
was measured; it is the same on every cluster on which the same thing is true.
"""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labhelpers.errors import LabError, Refused

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "Attempt",
    "Claim",
    "ClaimTable",
    "Refusal",
    "Remains",
    "Resize",
    "Shown",
    "Text",
    "as_printed",
    "by_hand",
    "frame_of",
    "listed",
    "shown_only",
]


LONG_CHARACTERS = 240
WIDE_LETTERS = 100  # about as many fit into a cell's output


class Text(str):
    """A text that a notebook shows as it is, without quotes.

    >>> Text("two\\nlines")
    two
    lines
    """

    def __repr__(self) -> str:
        return str(self)


def frame_of(rows: Sequence, columns: Sequence[str] | None = None) -> "DataFrame":
    """A table for ``Shown``. pandas loads here, and not with the proof file that imports this.

    Args:
        rows: a dict for each row, or a tuple where ``columns`` names their parts.

    >>> frame_of([("crash", 1)], ["what", "times"])["times"].tolist()
    [1]
    """
    import pandas

    return pandas.DataFrame(rows, columns=None if columns is None else list(columns))


def listed(words: Iterable[object]) -> str:
    """Words as they stand in a sentence.

    >>> listed(["pause"]), listed(["pause", "sleep"]), listed(["net", "ipc", "uts"])
    ('pause', 'pause and sleep', 'net, ipc and uts')
    """
    *first, last = [str(word) for word in words] or [""]
    return f"{', '.join(first)} and {last}" if first else last


class Shown:
    """A result in two channels: a table or a chart for people, a sentence for the comparison.

    Args:
        what: a DataFrame (shown as an HTML table), a Chart, or a text (shown in fixed width).
        sentence: what it means, in words, computed from what was measured. It is another sentence
            when the claim is false.

    Raises:
        LabError: the sentence isn't one: it's empty or a single word.

    >>> print(Shown("a   b", "a and b are there"))
    a and b are there
    >>> Shown("a", "yes")
    Traceback (most recent call last):
    labhelpers.errors.LabError: A result needs a sentence.
    Seen: 'yes'
    Do:   Say in words what was measured.
    """

    def __init__(self, what: Any, sentence: str):
        if len(str(sentence).split()) < 2:
            raise LabError(
                "A result needs a sentence.", repr(sentence), "Say in words what was measured."
            )
        self.what, self.sentence = what, str(sentence)

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return self.sentence

    @property
    def html(self) -> str:
        """A table or a text as people see it, with the sentence below. Not for charts."""
        return _as_html(self.what) + f"<p>{html.escape(self.sentence)}</p>"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        words = f"<p>{html.escape(self.sentence)}</p>"
        if hasattr(self.what, "png"):
            self.what.display(self.sentence)
            if self.sentence != str(self.what):  # a chart has its own finding in the picture
                shown_only(words)
        else:
            display({"text/html": self.html, "text/plain": self.sentence}, raw=True)


def by_hand(lines: Sequence[str], python: Sequence[str] = ()) -> str:
    """What a helper did, in grey: the lines to try by hand, and those of the Python client.

    >>> by_hand(["kubectl get pod one-app"])
    '<p style="color:gray"><small>by hand: <code>kubectl get pod one-app</code></small></p>'
    """
    said = [f"by hand: <code>{html.escape(line)}</code>" for line in lines]
    said += [f"in Python: <code>{html.escape(line)}</code>" for line in python]
    words = f"<small>{'<br>'.join(said)}</small>"
    if sum(map(len, (*lines, *python))) > LONG_CHARACTERS:
        words = f"<details><summary><small>by hand</small></summary>{words}</details>"
    return f'<p style="color:gray">{words}</p>'


def as_printed(text: str) -> str:
    """What a program prints, in fixed width. Wide lines of a table scroll, so that its columns stay
    in line; a wide sentence, such as a warning, wraps.

    >>> as_printed("a  b\\n")
    '<pre style="white-space:pre;overflow-x:auto;font-family:monospace">a  b</pre>'
    """
    style = "white-space:pre;overflow-x:auto;font-family:monospace"
    lines = "\n".join(map(_line, text.rstrip().split("\n")))
    return f'<pre style="{style}">{lines}</pre>'


def _line(text: str) -> str:
    """
    >>> _line("Warning: " + 20 * "words ")[:30]
    '<span style="white-space:pre-w'
    """
    escaped = html.escape(text)
    if len(text) <= WIDE_LETTERS or "  " in text.strip():
        return escaped
    return f'<span style="white-space:pre-wrap;overflow-wrap:anywhere">{escaped}</span>'


def shown_only(markup: str) -> None:
    """Shows HTML that nobody compares, such as the output of kubectl. It never proves anything."""
    from IPython.display import display

    display({"text/html": markup}, raw=True)


def _as_html(what: Any) -> str:
    if isinstance(what, str):
        return as_printed(what)
    from labhelpers.tables import html_table  # loads pandas

    return html_table(what)


# --- Claims ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """A claim of a lab: the true sentence, what people often say instead, what was measured."""

    claim: str
    myth: str = ""
    measured: str = "not in this run"


class ClaimTable(list):
    """The claims of a lab. Those that correct a myth come first, in a table of their own.

    >>> ClaimTable([Claim("pause holds namespaces.", "pause is the parent.", "parent: the shim")])
    pause holds namespaces.
        not: pause is the parent.
        measured: parent: the shim
    """

    def __repr__(self) -> str:
        lines = []
        for each in self:
            myth = [f"    not: {each.myth}"] if each.myth else []
            lines += [each.claim, *myth, f"    measured: {each.measured}"]
        return "\n".join(lines) or "This lab claims nothing."

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{self}</p>"
        myths = [each for each in self if each.myth]
        return _rows(
            ("What is true", "You may hear", "What you measured"),
            [(each.claim, each.myth, each.measured) for each in myths],
        ) + _rows(
            ("What is true" + (", too" if myths else ""), "What you measured"),
            [(each.claim, each.measured) for each in self if not each.myth],
        )


def _rows(head: Sequence[str], rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    left = 'style="text-align:left"'
    titles = "".join(f"<th {left}>{title}</th>" for title in head)
    body = "".join(
        f"<tr>{''.join(f'<td {left}>{html.escape(words)}</td>' for words in row)}</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


# --- What a block, or a lab, ended in -------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Remains:
    """What a lab has left behind.

    Attributes:
        namespace: whether its namespace is still there.
        processes: names of processes of its Pods on the node.
        threads: names of threads of the helpers in this kernel.
        objects: what it made outside of its namespace: "priorityclasses/high".

    >>> Remains(False, [], [])
    nothing is left: no namespace, no processes, no threads
    >>> Remains(False, ["sleep"], [])
    still there: processes (sleep)
    """

    namespace: bool
    processes: list[str]
    threads: list[str]
    objects: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        left = ["namespace"] if self.namespace else []
        left += [
            f"{what} ({', '.join(sorted(names))})"
            for what, names in (
                ("processes", self.processes),
                ("threads", self.threads),
                ("objects", self.objects),
            )
            if names
        ]
        return (
            f"still there: {', '.join(left)}"
            if left
            else "nothing is left: no namespace, no processes, no threads"
        )


class Attempt:
    """``with lab.attempt() as users: …``: where the node cannot do it, the lab says so in three
    lines and goes on.

    Attributes:
        shows: what the block has measured; set it there.
        error: what ended the block; None where nothing did.

    >>> from labhelpers.errors import TimedOut
    >>> with Attempt() as users:
    ...     users.shows = "65536 ids"
    >>> users
    65536 ids
    >>> with Attempt() as users:
    ...     seen = "FailedCreatePodSandBox"
    ...     raise TimedOut("Pod own-users did not become Ready.", seen, "Look at its events.")
    >>> users
    This node did not do it. Nothing after this needs it: go on.
    Seen: Pod own-users did not become Ready. FailedCreatePodSandBox
    Do:   Look at its events.
    """

    def __init__(self):
        self.shows: object = None
        self.error: LabError | None = None

    def __enter__(self) -> "Attempt":
        return self

    def __exit__(self, kind, error, trace) -> bool:
        self.error = error if isinstance(error, LabError) else None
        return self.error is not None

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if self.error is None and hasattr(self.shows, "_ipython_display_"):
            self.shows._ipython_display_()  # a table or a picture keeps its form
        else:
            display({"text/plain": repr(self)}, raw=True)

    def __repr__(self) -> str:
        if self.error is None:
            return str(self.shows)
        seen = f"{self.error.happened} {self.error.seen}"
        return str(
            LabError(
                "This node did not do it. Nothing after this needs it: go on.", seen, self.error.do
            )
        )


class Refusal:
    """``with lab.refused("Forbidden", says="runAsNonRoot") as refusal:`` fails when nothing is
    refused, or for another reason.

    Args:
        reason: Kubernetes' own word.
        says: what the server's own sentence has to contain.

    Attributes:
        message: afterwards, the server's own words.

    >>> with Refusal("Forbidden", "quota") as refusal:
    ...     why = {"reason": "Forbidden", "message": "exceeded quota: small"}
    ...     raise Refused("The Pod was refused.", "", "", **why)
    >>> refusal.message
    exceeded quota: small
    """

    def __init__(self, reason: str, says: str = ""):
        if not reason:
            raise LabError(
                "A rejection needs a reason.",
                "an empty text",
                'For example: lab.refused("Forbidden", says="runAsNonRoot").',
            )
        self.reason, self.says = reason, says
        self.message = Text("")

    def __enter__(self) -> "Refusal":
        return self

    def __exit__(self, kind, error, trace) -> bool:
        expected = self.reason + (f', with "{self.says}" in it' if self.says else "")
        if error is None:
            raise LabError(
                "Nothing was refused.",
                f"expected: {expected}",
                "Look at what the cell sends: it is allowed.",
            )
        if not isinstance(error, Refused):
            return False
        if error.reason != self.reason or self.says not in error.message:
            raise LabError(
                "It was refused for another reason.",
                f"{error.reason}: {error.message}",
                f"Expected: {expected}.",
            ) from error
        self.message = Text(error.message)
        return True


@dataclass(frozen=True)
class Resize:
    """What became of a resize in place.

    Attributes:
        outcome: "done", "deferred" or "error".
        message: the kubelet's own words; "" when it is done.
        seconds: how long it took until that was known.
    """

    outcome: str
    message: str
    seconds: float

    def __repr__(self) -> str:
        return self.outcome
