"""Asks repeatedly, for things that don't notify anybody when they change."""

import reprlib
import time
from collections.abc import Callable
from typing import Any

from labhelpers.errors import LabError

__all__ = ["must_be_seconds", "poll"]

# Multiplied by the most patience, a socket still takes it.
YEAR_SECONDS = 366 * 24 * 3600


def poll(
    ask: Callable[[], Any],
    *,
    timeout_seconds: float,
    every_seconds: float = 0.1,
    wait: Callable[[float], object] = time.sleep,
) -> Any:
    """Asks until the answer is true, or the time is over, and returns the last answer.

    Args:
        ask: the question. It's asked at least once, and once more when the time is over.
        timeout_seconds: how long it may take.
        every_seconds: the pause between two questions.
        wait: waits for the given number of seconds, or less if something has happened.

    >>> answers = iter([0, 0, 3])
    >>> poll(lambda: next(answers), timeout_seconds=1, every_seconds=0)
    3
    >>> poll(lambda: [], timeout_seconds=0)
    []
    """
    deadline = time.monotonic() + timeout_seconds
    while not (answer := ask()) and (left := deadline - time.monotonic()) > 0:
        wait(min(every_seconds, left))
    return answer


def must_be_seconds(value: object, name: str = "timeout_seconds") -> None:
    """Raises unless a limit is a number of seconds, from none to a year.

    Args:
        name: what the caller calls it.

    Raises:
        LabError: it's something else.

    >>> must_be_seconds(30)
    >>> must_be_seconds("30s")
    Traceback (most recent call last):
        ...
    labhelpers.errors.LabError: '30s' isn't a number of seconds.
    Seen: a str
    Do:   Write the number alone: timeout_seconds=30.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and 0 <= value <= YEAR_SECONDS:  # NaN is in no range
        return
    raise LabError(
        f"{reprlib.repr(value)} isn't a number of seconds.",
        "it isn't between 0 and a year" if number else f"a {type(value).__name__}",
        f"Write the number alone: {name}=30.",
    )
