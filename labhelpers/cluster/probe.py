"""A program that is asked something and may be missing, silent or ill: what came of it, never an
exception."""

import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from labhelpers.patience import patient

__all__ = ["NO_ANSWER", "Probe", "probe"]

NO_ANSWER = "no answer within"


class Probe(NamedTuple):
    """What came of it.

    Attributes:
        code: the exit code; a shell's for it where the program didn't end: 127, 126 or 124.
        printed: on its standard output.
        said: on its standard error; or why there is nothing.
        trouble: "missing", "not run" or "slow"; "" where the program ended by itself, whatever its
            exit code.
    """

    code: int
    printed: str
    said: str
    trouble: str = ""


def probe(command: Sequence[str], seconds: float) -> Probe:
    """Runs a program, without input, for at most so many seconds times ``PODLAB_PATIENCE``.

    >>> probe(["no-such-program"], 5)
    Probe(code=127, printed='', said='no-such-program is not there', trouble='missing')
    """
    limit = patient(seconds)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return Probe(127, "", f"{command[0]} is not there", "missing")
    except subprocess.TimeoutExpired:
        return Probe(124, "", f"{NO_ANSWER} {limit:g} s", "slow")
    except OSError as error:
        return Probe(126, "", str(error.strerror), "not run")
    return Probe(done.returncode, done.stdout, done.stderr)
