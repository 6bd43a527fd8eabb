"""Switches for the lines of a spec, and a verdict that follows them. No widget here: a plain model
that tests drive."""

from collections.abc import Callable, Mapping

from labhelpers.arguments import must_differ
from labhelpers.errors import LabError
from labhelpers.outcomes import Shown

__all__ = ["Toggles"]


class Toggles:
    """Lines that are on or off, and what a judge says about those that are on.

    Args:
        lines: each line's text, and whether it's on at first.
        judge: from the lines that are on, in their order, to a table and its sentence.

    Raises:
        LabError: there are no lines, or an empty one.

    Attributes:
        on: each line's text, and whether it's on now.
        verdict: the judge's latest; None where the judge failed.
        error: what the judge failed with, in three lines; "" where it didn't.

    >>> toggles = Toggles({"a": True, "b": True}, lambda on: Shown("", f"on: {', '.join(on)}"))
    >>> toggles
    on: a, b
    >>> toggles.switch("a", False)
    >>> toggles
    on: b
    """

    def __init__(self, lines: Mapping[str, bool], judge: Callable[[list[str]], Shown]):
        must_differ("lines", [*lines])
        self.on = dict(lines)
        self._judge = judge
        self.verdict: Shown | None = None
        self.error = ""
        # What the view is told with; the model doesn't know whether there is one.
        self.changed: Callable[[], None] = lambda: None
        self._look()

    def __repr__(self) -> str:
        return self.error or str(self.verdict)

    def switch(self, line: str, on: bool) -> None:
        """Turns a line on or off, and asks the judge.

        Raises:
            LabError: there is no such line.
        """
        if line not in self.on:
            raise LabError(
                "There is no such line.", repr(line), f"Use one of these: {', '.join(self.on)}."
            )
        self.on[line] = on
        self._look()
        self.changed()

    def _look(self) -> None:
        """The judge asks a cluster, which may not answer: the view says so, and the next switch
        tries again."""
        try:
            lines = [line for line, is_on in self.on.items() if is_on]
            self.verdict, self.error = self._judge(lines), ""
        except LabError as error:
            self.verdict, self.error = None, str(error)
