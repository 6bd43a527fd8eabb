"""What to type to do by hand what a helper did, shown below the cell that first uses it."""

import re

from labhelpers.outcomes import by_hand, shown_only
from labhelpers.transcript import Transcript

__all__ = ["FirstUses"]

# Below the first use of these, a notebook shows the line to type: what a reader uses on Pods.
TAUGHT = ("Pod.", "Container.", "Pause.", "Resource.", "Recording.", "Lab.apply", "Lab.finish")
LONGEST_LINE = 260


class FirstUses:
    """Those of one lab.

    Args:
        transcript: what its helpers did.
    """

    def __init__(self, transcript: Transcript):
        self._transcript = transcript
        self._typed: set[str] = set()

    def tell(self) -> None:
        """Shows the lines of helpers that are new since the last call; of each kind of line one."""
        for use in self._transcript.first_use():
            # A script for the node is no line to type, and a check's file is a test's own.
            lines = [line for line in use.lines if len(line) <= LONGEST_LINE and "\n" not in line]
            new = [line for line in lines if _shape(line) not in self._typed]
            if new and use.helper.startswith(TAUGHT):
                self._typed.update(map(_shape, new))
                shown_only(by_hand(new, use.python))


def _shape(line: str) -> str:
    """A line without what differs from Pod to Pod, so that each kind is shown once.

    >>> _shape("kubectl get pod one-app") == _shape("kubectl get pod two-apps")
    True
    """
    return re.sub(r"(?<=pod[ /])\S+|[0-9a-f]{4,}", "", line)
