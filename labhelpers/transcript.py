"""What helpers did, as lines that you can paste: a page for each call, kept per thread.

A public helper is marked ``@told``. The outermost call begins a new page, and helpers that it calls
add their lines to it. Each thread has pages of its own, so what a live picture or a slider does in
the background never shows up as what the reader did last.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["FirstUse", "Page", "Transcript", "told"]


@dataclass
class Page:
    """What one call did.

    Attributes:
        helper: the helper that was called, such as "Pod.wait_until"; "" for what no helper did.
        lines: lines of kubectl or shell that do the same when pasted, in order, each once.
        python: lines of the official ``kubernetes`` client that do the same; often there are none.
    """

    helper: str
    lines: list[str] = field(default_factory=list)
    python: list[str] = field(default_factory=list)


class FirstUse(NamedTuple):
    """A helper that was used for the first time, and its lines on that page."""

    helper: str
    lines: list[str]
    python: list[str]


class Transcript(threading.local):
    """The pages of one lab. Each thread sees only its own.

    Args:
        checks: called with the helper's name before each page begins; what one raises ends the
            call. The list is shared by all threads, and may grow.

    Attributes:
        page: the last one.

    >>> transcript = Transcript()
    >>> with transcript.helper("Pod.phase"):
    ...     transcript.note("kubectl get pod one-app")
    >>> transcript.page.lines
    ['kubectl get pod one-app']
    >>> transcript.first_use()
    [FirstUse(helper='Pod.phase', lines=['kubectl get pod one-app'], python=[])]
    >>> transcript.first_use()
    []
    """

    # Called once in each thread that looks at it: that is how threading.local works.
    def __init__(self, checks: list[Callable[[str], None]] | None = None) -> None:
        self.checks = [] if checks is None else checks
        self.page = Page("")
        self._is_open, self._is_quiet = False, False
        self._shown: set[str] = set()
        self._new: list[Page] = []

    @contextlib.contextmanager
    def helper(self, name: str) -> Iterator[None]:
        """Begins a page, unless a helper further out has begun one."""
        if self._is_open or self._is_quiet:
            yield
            return
        self.check(name)
        self.page, self._is_open = Page(name), True
        if name not in self._shown:
            self._new.append(self.page)
        try:
            yield
        finally:
            self._is_open = False

    def check(self, name: str) -> None:
        """What is checked before a helper's page begins, for one that has nothing to paste."""
        if not (self._is_open or self._is_quiet):
            for check in self.checks:
                check(name)

    @contextlib.contextmanager
    def quietly(self) -> Iterator[None]:
        """What is done in this block is a detail that nobody has to paste."""
        before, self._is_quiet = self._is_quiet, True
        try:
            yield
        finally:
            self._is_quiet = before

    def note(self, *lines: str, python: str = "") -> None:
        """Adds lines to the page. A line that is on it already isn't repeated, so a helper that
        asks again and again shows its line once. Outside any helper each call is a page of its own.

        Args:
            lines: kubectl or shell.
            python: the line of the official client that does the same, if there is one.
        """
        if self._is_quiet:
            return
        if not self._is_open:
            self.page = Page("")
        self.page.lines += [line for line in dict.fromkeys(lines) if line not in self.page.lines]
        if python and python not in self.page.python:
            self.page.python.append(python)

    def first_use(self) -> list[FirstUse]:
        """Helpers that this thread has used for the first time since the last call, each once,
        in order. Those that had nothing to show wait for a use that has."""
        found = []
        for page in self._new:
            if page.lines and page.helper not in self._shown:
                self._shown.add(page.helper)
                found.append(FirstUse(page.helper, list(page.lines), list(page.python)))
        self._new.clear()
        return found


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a public helper: what a call of it does is a page of ``self.transcript``.

    Below ``property`` it marks a property. An object whose ``transcript`` is None does nothing that
    could be told, such as one that is frozen.
    """

    @functools.wraps(function)
    def call(self, *arguments, **more):
        if self.transcript is None:
            return function(self, *arguments, **more)
        with self.transcript.helper(f"{type(self).__name__}.{function.__name__}"):
            return function(self, *arguments, **more)

    return call
