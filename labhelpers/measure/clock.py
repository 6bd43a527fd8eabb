"""Moments with their uncertainty, and the clock of the kernel's log."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labhelpers.errors import LabError
from labhelpers.node.processes import Clock

__all__ = ["KernelClock", "Moment", "stamped"]


@dataclass(frozen=True, eq=False)
class Moment:
    """A moment of a recording, with its uncertainty: it's within ``resolution_seconds`` of
    ``seconds``.

    If two moments are closer than their uncertainty, their order is unknown, and comparing them
    raises an error.

    >>> Moment(1.0, 0.1) < Moment(1.5, 0.1)
    True
    >>> Moment(1.0, 0.3) < Moment(1.5, 0.3)
    Traceback (most recent call last):
        ...
    labhelpers.errors.LabError: Can't tell which of the two moments came first.
    Seen: 1.00 s and 1.50 s, known to within 0.30 s and 0.30 s
    Do:   Compare moments that are further apart, or the API's own versions, which have an order.
    """

    seconds: float
    resolution_seconds: float

    def __lt__(self, other: "Moment") -> bool:
        if abs(self.seconds - other.seconds) <= self.resolution_seconds + other.resolution_seconds:
            known = f"{self.resolution_seconds:.2f} s and {other.resolution_seconds:.2f} s"
            raise LabError(
                "Can't tell which of the two moments came first.",
                f"{self.seconds:.2f} s and {other.seconds:.2f} s, known to within {known}",
                "Compare moments that are further apart, or the API's own versions, which have an"
                " order.",
            )
        return self.seconds < other.seconds

    def __gt__(self, other: "Moment") -> bool:
        return other < self


@dataclass(frozen=True)
class KernelClock:
    """The clock of the kernel's log compared with the node's. The two drift apart, so the
    difference is measured at markers, and interpolated in between.

    Args:
        markers: for each marker that came back from the log: its stamp there, what to add to it to
            get the node's time, and the uncertainty of that.

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
        """Makes one from the lines of ``dmesg``, and from the node's time before and after each
        marker was written, by the marker's text.

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
                "The clock of the kernel's log is unknown.",
                "no marker came back from the kernel's"
                f" log{'' if written else ', and none was written'}",
                "Check that the node may write to the log:"
                " lab.node.run('echo hello > /dev/kmsg; dmesg | tail -1')",
            )
        return cls(tuple(sorted(found)))

    def node_seconds(self, stamp: float) -> float:
        """Converts a stamp to the node's clock, interpolating between two markers."""
        (first, low, _), (last, high, _) = self.markers[0], self.markers[-1]
        share = min(max((stamp - first) / (last - first), 0.0), 1.0) if last > first else 0.0
        return stamp + low + share * (high - low)

    @property
    def against_node(self) -> Clock:
        """One offset for the whole time; its resolution includes the drift."""
        offsets = [offset for _, offset, _ in self.markers]
        wide = (max(offsets) - min(offsets)) / 2 + max(known for *_, known in self.markers)
        return Clock(round((max(offsets) + min(offsets)) / 2, 6), round(wide, 6))


def stamped(line: str) -> tuple[float, str]:
    """Splits a line of dmesg into its stamp in seconds and its text.

    >>> stamped("[ 4064.340846] podlab marker abc.1")
    (4064.340846, 'podlab marker abc.1')
    """
    found = re.match(r"(?:<\d+>)?\[\s*(\d+\.\d+)\] (.*)", line)
    return (float(found[1]), found[2]) if found else (0.0, line)
