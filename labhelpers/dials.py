"""Several numbers that a reader sets, what is predicted for them, and a measurement on request: the
model, which knows no widget."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from labhelpers.arguments import must_differ
from labhelpers.charts.chart import Chart
from labhelpers.charts.windows import COLUMNS, windows
from labhelpers.errors import LabError
from labhelpers.moves import Moves

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Dials"]

IDLE_SECONDS, LONGEST_SECONDS = 600.0, 90.0
Setting = dict[str, Any]


class HasEnds(Protocol):
    """A window: see ``probe_times.Window``."""

    earliest: float
    latest: float


class Dials(Moves):
    """Numbers to set. The prediction follows at once; the measurement takes its time, and runs when
    it's asked for. A request that comes while another is measured waits, and only the newest does.
    Where nobody has asked for one, ``finish`` and ``chart`` measure a stored sequence.

    Args:
        dials: for each number its values, the first of which is set at first.
        predict: from a setting to a window for each lane, in seconds. It must be quick.
        measure: from a setting to the measured seconds for each lane.
        sequence: the settings to measure where nobody asks for one.
        longest_seconds: the longest that one measurement may take.
        tolerance_seconds: how well ``measure`` knows its moments.
        axis: what the seconds count from, in words.

    Raises:
        LabError: the sequence names a value that a dial doesn't have.

    Attributes:
        at: what is set now.

    >>> from labhelpers.probe_times import Window
    >>> dials = Dials({"a": [1, 2]}, lambda at: {"x": Window(0, at["a"])}, lambda at: {"x": 0.5})
    >>> dials.choose("a", 2)
    >>> dials.chart_so_far("When?").table["latest"].tolist()
    [2]
    """

    called = "measurement"

    def __init__(
        self,
        dials: Mapping[str, Sequence[Any]],
        predict: Callable[[Setting], Mapping[str, HasEnds]],
        measure: Callable[[Setting], Mapping[str, float]],
        *,
        sequence: Sequence[Setting] = (),
        longest_seconds: float = LONGEST_SECONDS,
        tolerance_seconds: float = 0.0,
        axis: str = "seconds",
    ):
        must_differ("dials", [*dials])
        for name, values in dials.items():
            must_differ(f"values of {name}", [*values])
        super().__init__(
            self._measure,
            sequence=[{**{name: values[0] for name, values in dials.items()}, **each}
                      for each in sequence],
            idle_seconds=IDLE_SECONDS,
            longest_move_seconds=longest_seconds,
        )  # fmt: skip
        self.dials = {name: list(values) for name, values in dials.items()}
        self.at: Setting = {name: values[0] for name, values in self.dials.items()}
        self._predict, self._measured_by = predict, measure
        self._tolerance_seconds, self._axis = tolerance_seconds, axis
        self._trials: list[tuple[Setting, Mapping[str, float]]] = []
        self.state = "Set the dials, then measure."
        for each in self.sequence:
            self._check(each)

    def __repr__(self) -> str:
        return " · ".join(f"{name}: {_listed(values)}" for name, values in self.dials.items())

    def choose(self, name: str, value: Any) -> None:
        """Sets a number; the prediction follows.

        Raises:
            LabError: it has no such number, or no such value.
        """
        self._check({name: value})
        self.at = {**self.at, name: value}
        self._tell()

    def measure(self) -> None:
        """Asks for a measurement of what is set now. Returns at once."""
        self.move(dict(self.at))
        if self._thread is None or not self._thread.is_alive():
            self._closing = False
            self.start()

    def finish(self, timeout_seconds: float | None = None) -> "Dials":
        """Ends it: after the measurement that is under way, or after the sequence where nobody has
        asked for one.

        Raises:
            LabError: a measurement of the sequence failed, or it didn't end in time.
        """
        if self._thread is None and not self.touched:
            self.start()
        limit = self._longest_move_seconds * max(1, len(self.sequence))
        super().finish(limit if timeout_seconds is None else timeout_seconds)
        return self

    def chart(self, title: str) -> Chart:
        """Ends it, and gives the picture that is stored: what was measured, in its windows."""
        self.finish()
        return self._chart(title, self._trials or [(self.at, {})])

    def chart_so_far(self, title: str) -> Chart:
        """The picture with what is set now on top, and what has been measured below."""
        trials = list(self._trials)
        done = [setting for setting, _ in trials]
        now = [] if self.at in done else [(self.at, {})]
        return self._chart(title, [*now, *reversed(trials)])

    @property
    def table(self) -> "DataFrame":
        """What was measured: a row for each window."""
        return self._frame(self._trials)

    def _chart(self, title: str, trials: Sequence[tuple[Setting, Mapping[str, float]]]) -> Chart:
        return windows(
            self._frame(trials),
            title,
            tolerance_seconds=self._tolerance_seconds,
            axis=self._axis,
        )

    def _frame(self, trials: Sequence[tuple[Setting, Mapping[str, float]]]) -> "DataFrame":
        import pandas

        rows = [
            (_words(setting), lane, window.earliest, window.latest, measured.get(lane))
            for setting, measured in trials
            for lane, window in self._predict(setting).items()
        ]
        return pandas.DataFrame(rows, columns=list(COLUMNS))

    def _check(self, value: Setting) -> None:
        for name, wanted in value.items():
            if wanted not in self.dials.get(name, ()):
                raise LabError(
                    f"The dials cannot be set to {name} {wanted!r}.",
                    f"there are: {self!r}",
                    "Use one of these.",
                )

    def _measure(self, setting: Setting) -> None:
        self._trials.append((setting, self._measured_by(setting)))

    def _make_it(self, value: Setting) -> None:
        self._say(f"Measuring {_words(value)} …")
        self._act(value)
        self.value = value
        self._say(f"Measured {_words(value)}.")

    def _tell(self) -> None:
        self._say(self.state)


def _words(setting: Setting) -> str:
    """
    >>> _words({"periodSeconds": 2, "failureThreshold": 3})
    'periodSeconds 2, failureThreshold 3'
    """
    return ", ".join(f"{name} {value}" for name, value in setting.items())


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))
