"""Lets a test fail with complaints as plain lines, all of them: who adds a lab reads these."""

from collections.abc import Iterable

import pytest


def expect_none(complaints: Iterable[str], where: str = "") -> None:
    """Fails if there are complaints, without a traceback: pytest's shows only the first of a list.

    Args:
        complaints: what is wrong, a line each.
        where: the file that they're about.
    """
    lines = [f"{where}: {each}" if where else each for each in complaints]
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)
