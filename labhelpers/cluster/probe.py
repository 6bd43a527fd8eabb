"""Runs a program that may be missing, silent or broken. Returns the outcome, and never raises."""

import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from labhelpers.patience import patient

__all__ = ["NO_ANSWER", "Probe", "probe"]

NO_ANSWER = "no answer within"


class Probe(NamedTuple):
    """What came of it.

    Attributes:
        code: the exit code; 127, 126 or 124, as a shell has it, if the program didn't end by
            itself.
        printed: its standard output.
        said: its standard error, or why there is none.
        trouble: "missing", "not run" or "slow"; "" if the program ended by itself, whatever its
            exit code.
    """

    code: int
    printed: str
    said: str
    trouble: str = ""


def probe(command: Sequence[str], seconds: float) -> Probe:
    """Runs a program without input, for at most ``seconds`` times ``PODLAB_PATIENCE``.

    >>> probe(["no-such-program"], 5)
    Probe(code=127, printed='', said="no-such-program isn't installed", trouble='missing')
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
        return Probe(127, "", f"{command[0]} isn't installed", "missing")
    except subprocess.TimeoutExpired:
        return Probe(124, "", f"{NO_ANSWER} {limit:g} s", "slow")
    except OSError as error:
        return Probe(126, "", str(error.strerror), "not run")
    return Probe(done.returncode, done.stdout, done.stderr)
