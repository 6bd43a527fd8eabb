"""Moments, and the clock that the kernel's log is stamped by."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labhelpers.errors import LabError
from labhelpers.node.processes import Clock

__all__ = ["KernelClock", "Moment", "stamped"]


@dataclass(frozen=True, eq=False)
class Moment:
    """A moment of a recording, and how well it is known: it lies within ``resolution_seconds`` on
    either side of ``seconds``.

    Two moments that are closer than what is known of them cannot be put in order, and trying to is
    an error.

    >>> Moment(1.0, 0.1) < Moment(1.5, 0.1)
    True
    >>> Moment(1.0, 0.3) < Moment(1.5, 0.3)
    Traceback (most recent call last):
        ...
    labhelpers.errors.LabError: Which of the two came first cannot be told.
    Seen: 1.00 s and 1.50 s, each known to 0.30 s and 0.30 s
    Do:   Compare moments that lie further apart, or the API's own versions, which have an order.
    """

    seconds: float
    resolution_seconds: float

    def __lt__(self, other: "Moment") -> bool:
        if abs(self.seconds - other.seconds) <= self.resolution_seconds + other.resolution_seconds:
            known = f"{self.resolution_seconds:.2f} s and {other.resolution_seconds:.2f} s"
            raise LabError(
                "Which of the two came first cannot be told.",
                f"{self.seconds:.2f} s and {other.seconds:.2f} s, each known to {known}",
                "Compare moments that lie further apart, or the API's own versions, which have an"
                " order.",
            )
        return self.seconds < other.seconds

    def __gt__(self, other: "Moment") -> bool:
        return other < self


@dataclass(frozen=True)
class KernelClock:
    """The clock of the kernel's log against the node's. The two drift apart, so it is known at
    markers and in between.

    Args:
        markers: for each that came back from the log: its stamp there, what has to be added to the
            stamp for the node's clock, and how well that is known.

    >>> clock = KernelClock(((100.0, 5.0, 0.01), (200.0, 5.2, 0.01)))
    >>> clock.node_seconds(150.0)
    155.1
    >>> clock.against_node
    Clock(offset_seconds=5.1, resolution_seconds=0.11)
    """

    markers: tuple[tuple[float, float, float], ...]

    @classmethod
    def from_log(
        cls, log: Iterable[str], written: Mapping[str, tuple[float, float]]
    ) -> "KernelClock":
        """From the lines of ``dmesg``, and the times by the node's clock before and after each
        marker was written, by its text.

        Raises:
            LabError: no marker came back.
        """
        found = []
        for line in log:
            stamp, text = stamped(line)
            if text in written:
                before, after = written[text]
                found.append((stamp, (before + after) / 2 - stamp, (after - before) / 2))
        if not found:
            raise LabError(
                "The kernel's clock is not known.",
                "no marker came back from the kernel's"
                f" log{'' if written else ', and none was written'}",
                "May the node write there? lab.node.run('echo hello > /dev/kmsg; dmesg | tail -1')",
            )
        return cls(tuple(sorted(found)))

    def node_seconds(self, stamp: float) -> float:
        """A stamp by the node's clock: between two markers, in proportion."""
        (first, low, _), (last, high, _) = self.markers[0], self.markers[-1]
        share = min(max((stamp - first) / (last - first), 0.0), 1.0) if last > first else 0.0
        return stamp + low + share * (high - low)

    @property
    def against_node(self) -> Clock:
        """One offset for the whole time; its resolution holds the drift."""
        offsets = [offset for _, offset, _ in self.markers]
        wide = (max(offsets) - min(offsets)) / 2 + max(known for *_, known in self.markers)
        return Clock(round((max(offsets) + min(offsets)) / 2, 6), round(wide, 6))


def stamped(line: str) -> tuple[float, str]:
    """A line of dmesg: its stamp in seconds, and its text.

    >>> stamped("[ 4064.340846] podlab marker abc.1")
    (4064.340846, 'podlab marker abc.1')
    """
    found = re.match(r"(?:<\d+>)?\[\s*(\d+\.\d+)\] (.*)", line)
    return (float(found[1]), found[2]) if found else (0.0, line)
