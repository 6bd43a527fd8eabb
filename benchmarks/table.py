"""From measured values to one table: medians, and ratios or differences taken pair by pair."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

__all__ = ["Result", "markdown"]

_COLUMNS = ("measured", "podlab", "by hand", "figure", "goal", "met")


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Attributes:
        what: what was measured.
        figure: how the row is judged: "ratio" and "difference" are taken of each pair, and the
            median of them counts, so that a slow minute of the machine falls on both sides;
            "median" is that of our values alone.
        ours, by_hand: the values of each round, in its unit; by_hand may be empty.
        goal: the figure may be at most this; None: none was set.
        unit: "s", "B" or "%".
        note: what a reader has to know about the figure.

    >>> Result("up", "ratio", (11.0, 12.0, 20.0), (10.0, 10.0, 10.0), 1.1).value
    1.2
    """

    what: str
    figure: str
    ours: tuple[float, ...]
    by_hand: tuple[float, ...] = ()
    goal: float | None = None
    unit: str = "s"
    note: str = ""

    @property
    def figures(self) -> list[float]:
        """The figure of each round.

        Raises:
            ValueError: the sides have not as many rounds as each other, or none.
        """
        if not self.ours:
            raise ValueError(f"{self.what}: no round was measured")
        of_pair: dict[str, Callable[[float, float], float]] = {
            "ratio": lambda a, b: a / b,
            "difference": lambda a, b: a - b,
        }
        if self.figure in of_pair:
            return [
                of_pair[self.figure](a, b) for a, b in zip(self.ours, self.by_hand, strict=True)
            ]
        return list(self.ours)

    @property
    def value(self) -> float:
        """The median of the rounds' figures."""
        return statistics.median(self.figures)

    @property
    def met(self) -> bool | None:
        """Whether the goal was met; None where there is none."""
        return None if self.goal is None else self.value <= self.goal

    def as_dict(self) -> dict:
        return {**asdict(self), "value": self.value, "met": self.met}

    def row(self) -> tuple[str, ...]:
        """The cells of its row, as texts."""
        ours, by_hand = (
            _amount(statistics.median(values), self.unit) if values else "–"
            for values in (self.ours, self.by_hand)
        )
        shown = _ratio if self.figure == "ratio" else lambda value: _amount(value, self.unit)
        figure = f"{self.figure} {shown(self.value)}"
        if len(self.figures) > 1:
            figure += (
                f" ({shown(min(self.figures))} to {shown(max(self.figures))}, {len(self.figures)}"
                " rounds)"
            )
        goal = "–" if self.goal is None else f"at most {shown(self.goal)}"
        return (
            self.what,
            ours,
            by_hand,
            figure,
            goal,
            {None: "–", True: "yes", False: "**no**"}[self.met],
        )


def markdown(results: Iterable[Result]) -> str:
    """The table, with the notes under it."""
    results = list(results)
    rows = [_COLUMNS, tuple("---" for _ in _COLUMNS), *(result.row() for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    notes = [f"- {result.what}: {result.note}" for result in results if result.note]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _ratio(value: float) -> str:
    return f"{value:.2f}"


def _amount(value: float, unit: str) -> str:
    """A value with the unit that a reader takes in at a glance.

    >>> [_amount(seconds, "s") for seconds in (0.0042, 0.72, 38.21, 754.0)], _amount(451e6, "B")
    (['4.2 ms', '0.720 s', '38.2 s', '754 s'], '451 MB')
    """
    if unit == "B":
        return f"{value / 1e6:.0f} MB"
    if unit == "%":
        return f"{value:.1f} %"
    if abs(value) < 0.1:
        return f"{value * 1000:.1f} ms"
    return (
        f"{value:.3f} s"
        if abs(value) < 10
        else f"{value:.1f} s"
        if abs(value) < 100
        else f"{value:.0f} s"
    )
