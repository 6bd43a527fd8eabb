"""Asking again and again, for what tells nobody when it has changed."""

import time
from collections.abc import Callable
from typing import Any

__all__ = ["poll"]


def poll(
    ask: Callable[[], Any],
    *,
    timeout_seconds: float,
    every_seconds: float = 0.1,
    wait: Callable[[float], object] = time.sleep,
) -> Any:
    """Asks until the answer is true, or the time is over, and returns the last answer.

    Args:
        ask: the question. It is asked at least once, and once more when the time is over.
        timeout_seconds: how long it may take.
        every_seconds: the pause between two questions.
        wait: waits for so many seconds, or for less where something is known to have happened.

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
