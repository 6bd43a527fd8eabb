"""``%kubectl get pods``: kubectl's real output in a notebook, with a time limit, never a failure
that passes unseen.

What it shows (ages, addresses, names with random endings) is HTML, which nobody compares. So it
never proves anything, and kubectl's failure has to be an error of the cell.
"""

import re
import shlex
import subprocess
from collections.abc import Callable, Sequence

from labhelpers.errors import LabError, Refused, TimedOut
from labhelpers.kube.wire import unreachable
from labhelpers.outcomes import as_printed, shown_only
from labhelpers.patience import advice, patient

__all__ = ["kubectl", "register", "run"]

TIMEOUT_SECONDS = 60
_REFUSED = re.compile(r"^Error from server \((?P<reason>\w+)\): (?P<message>.*)", re.S | re.M)
_INVALID = re.compile(r"^The \S+ \S+ is invalid: .*", re.S | re.M)
_UNREACHABLE = re.compile(r"^(?:The connection|Unable to connect) to the server\b.*", re.M)
# kubectl 1.37 says so at random after an exec, about its own connection.
_NOISE = re.compile(r"^.*Unknown stream id \d+, discarding message\n?", re.M)


def kubectl(line: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Runs kubectl and shows what it prints.

    Args:
        line: its arguments, quoted as in a shell. There is no shell: no pipes, no redirections.
        timeout_seconds: limit, in seconds.

    Raises:
        Refused: the API server said no; ``with lab.refused("Forbidden"):`` expects that.
        TimedOut: it came to its limit, as ``--watch`` does.
        Unreachable: the API server didn't answer.
        LabError: kubectl failed otherwise, or there is a pipe.

    Example, in a notebook, with a Python variable in braces::

        %kubectl get pods -o wide
        %kubectl describe pod {pod.name}
    """
    words = shlex.split(line)
    if shell := {"|", ">", "<", "&&", ";", "2>/dev/null"} & set(words):
        raise LabError(
            "%kubectl runs kubectl alone, without a shell.",
            f"{shell.pop()} in: {line}",
            f"Use !kubectl {line}",
        )
    done = run(words, timeout_seconds=timeout_seconds)
    _show(done.stdout + done.stderr)
    if done.returncode:
        raise _failure(line, done.returncode, done.stderr or done.stdout)


def run(
    words: Sequence[str], *, check: bool = False, timeout_seconds: float = TIMEOUT_SECONDS
) -> subprocess.CompletedProcess:
    """Runs kubectl, and shows nothing.

    Args:
        words: its arguments.
        check: whether a failure is an error.
        timeout_seconds: limit, in seconds.

    Returns:
        Its exit code, stdout and stderr, without what kubectl says of its own connection.

    Raises:
        TimedOut: it came to its limit.
        Refused, LabError: with check, as kubectl() does.

    >>> run(["get", "nodes", "--output=name"]).stdout                      # doctest: +SKIP
    'node/podlab-control-plane\\n'
    """
    timeout_seconds = patient(timeout_seconds)
    try:
        done = subprocess.run(
            ["kubectl", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimedOut(
            f"kubectl {words[0] if words else ''} was stopped after {timeout_seconds:g} s.".replace(
                "  ", " "
            ),
            shlex.join(["kubectl", *words]),
            advice("Leave out --watch, or wait with pod.wait_until(…)."),
        ) from error
    done.stderr = _NOISE.sub("", done.stderr)
    if check and done.returncode:
        raise _failure(shlex.join(words), done.returncode, done.stderr or done.stdout)
    return done


def register(check: Callable[[str], None]) -> None:
    """Makes ``%kubectl`` known to the notebook's IPython; elsewhere it does nothing.

    Args:
        check: called before each line; what it raises ends the line.
    """
    from IPython import get_ipython

    def checked(line: str) -> None:
        check("%kubectl")
        kubectl(line)

    if shell := get_ipython():
        shell.register_magic_function(checked, "line", "kubectl")


def _show(text: str) -> None:
    if text.strip():
        shown_only(as_printed(text))


def _failure(line: str, code: int, complaint: str) -> LabError:
    """What a failing kubectl is told as.

    >>> print(_failure("get pod x", 1, 'Error from server (NotFound): pods "x" not found'))
    The API server refused: NotFound.
    Seen: pods "x" not found
    Do:   Compare it with what you asked for: kubectl get pod x
    """
    if refused := _REFUSED.search(complaint):
        reason, message = refused["reason"], refused["message"].strip()
    elif _INVALID.search(complaint):
        reason, message = "Invalid", complaint.strip()
    elif silent := _UNREACHABLE.search(complaint):
        return unreachable("kubectl", f"run kubectl {line}", silent[0])
    else:
        return LabError(
            f"kubectl ended with exit code {code}.",
            complaint.strip()[-400:] or "no message",
            f"Run it in a terminal: kubectl {line}",
        )
    return Refused(
        f"The API server refused: {reason}.",
        message,
        f"Compare it with what you asked for: kubectl {line}",
        reason=reason,
        message=message,
    )
