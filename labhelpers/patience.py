"""How much longer than usual podlab waits: ``PODLAB_PATIENCE=5`` multiplies every limit that proves
nothing. What a test or a proof measures against is a claim, and stays as it is.

Standard library only, because the environment is made by a Python that has nothing else.
"""

import math
import os

from labhelpers.errors import LabError

__all__ = ["advice", "factor", "patient"]

VARIABLE, MOST = "PODLAB_PATIENCE", 100


def factor() -> float:
    """``PODLAB_PATIENCE``, or 1.

    Raises:
        LabError: it isn't a number from 1 to 100.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, PODLAB_PATIENCE="soon"):
    ...     factor()
    Traceback (most recent call last):
    labhelpers.errors.LabError: PODLAB_PATIENCE isn't a number from 1 to 100.
    Seen: PODLAB_PATIENCE=soon
    Do:   Set it to a number such as 5, or unset it.
    """
    text = os.environ.get(VARIABLE, "").strip()
    try:
        number = float(text or 1)
    except ValueError:
        number = math.nan
    if not 1 <= number <= MOST:  # NaN is in no range
        raise LabError(
            f"{VARIABLE} isn't a number from 1 to {MOST}.",
            f"{VARIABLE}={text}",
            "Set it to a number such as 5, or unset it.",
        )
    return number


def patient(seconds: float) -> float:
    """A limit in seconds, as long as this machine needs it.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, PODLAB_PATIENCE="2.5"):
    ...     patient(30)
    75.0
    """
    return seconds * factor()


def advice(do: str = "") -> str:
    """What to do about a limit that ran out, with the way to a longer one.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, PODLAB_PATIENCE="5"):
    ...     advice("Look at the log.")
    'Look at the log. If this machine is only slow, set PODLAB_PATIENCE=10 to wait longer.'
    """
    now = factor()
    wanted = min(MOST, 5 if now < 5 else 2 * now)
    slow = f"If this machine is only slow, set {VARIABLE}={wanted:g} to wait longer."
    return f"{do} {slow}".strip() if now < MOST else do
