"""Follows containers' logs with kubectl until the last container has ended: a deleted Pod's logs
are deleted with it."""

import re
import subprocess
from typing import NamedTuple

from labhelpers.node.logs import seconds
from labhelpers.patience import patient

__all__ = ["LogFollower", "LogLine", "read"]

END_SECONDS = 30.0  # the stream of containers that are being stopped ends by itself


class LogLine(NamedTuple):
    """A line of a log.

    Attributes:
        seconds: when it was written, since 1970, by the node's clock. ``life.seconds_of`` places
            it on a recording's axis.
    """

    pod: str
    container: str
    seconds: float
    text: str


def read(printed: str) -> list[LogLine]:
    """Reads what ``kubectl logs --prefix --timestamps`` prints, and sorts it by time.

    >>> read("[pod/shop/app] 1970-01-01T00:00:01.5Z it ends")
    [LogLine(pod='shop', container='app', seconds=1.5, text='it ends')]
    """
    found = re.findall(r"(?m)^\[pod/([^/]+)/([^\]]+)\] (\S+Z) ?(.*)$", printed)
    lines = [LogLine(pod, name, seconds(stamp), text) for pod, name, stamp, text in found]
    return sorted(lines, key=lambda line: line.seconds)


class LogFollower:
    """Follows logs while the ``with`` block runs, and until they end.

    Args:
        which: the words of ``kubectl logs`` that say which logs: a Pod's name, ``--selector``.

    Attributes:
        command: what is run, word by word.
        printed: all that it printed, once the block has ended. lines: the same, read.

    A block that fails ends it at once.

    Example::

        with LogFollower("web", "--all-containers") as logs:
            pod.delete(timeout_seconds=60)
        logs.lines[-1].text
    """

    def __init__(self, *which: str):
        self.command = ["kubectl", "logs", *which, "--follow", "--prefix", "--timestamps"]
        self.printed = ""
        self.lines: list[LogLine] = []

    def __enter__(self) -> "LogFollower":
        self._process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        limit = 0 if kind else patient(END_SECONDS)
        try:
            self.printed, _ = self._process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.printed, _ = self._process.communicate()
        self.lines = read(self.printed)
