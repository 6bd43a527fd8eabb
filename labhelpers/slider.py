"""A value that a reader moves while what follows from it is sampled: the model, which knows no
widget."""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from labhelpers import formulas
from labhelpers.charts import samples as charts
from labhelpers.charts.chart import Chart
from labhelpers.errors import LabError
from labhelpers.measure.samples import Samples
from labhelpers.moves import Moves
from labhelpers.pods import Pod
from labhelpers.snapshots import PodSnapshot

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["LONGEST_RESIZE_SECONDS", "Slider", "resize_cpu"]

RESIZE_SECONDS, RETRY_SECONDS = 30, 60
LONGEST_RESIZE_SECONDS = RESIZE_SECONDS + RETRY_SECONDS


class Slider(Moves):
    """A value that the reader moves, or that moves by itself through a stored sequence; what
    follows from it is sampled meanwhile. ``Moves`` has how it moves.

    It ends when its chart is asked for, after the sequence where nobody has touched it, or some
    time after the last move.

    Args:
        values: the values that it can have.
        act: makes the value so, and returns when it is.
        samples: what is sampled meanwhile.
        predict: from a value to what is expected, in the unit of ``show``.
        show: how the samples are shown: see ``charts.samples``.
        how: ``sequence`` and the seconds of ``Moves``.
    """

    def __init__(
        self,
        values: Iterable[Any],
        act: Callable[[Any], object],
        samples: Samples,
        *,
        predict: Callable[[Any], float] | None = None,
        show: str = "throttling",
        dwell_seconds: float = 3.0,
        **how: Any,
    ):
        super().__init__(act, dwell_seconds=dwell_seconds, **how)
        self.values, self.samples, self.show = list(values), samples, show
        if unknown := [value for value in self.sequence if value not in self.values]:
            listed = ", ".join(map(str, self.values))
            raise LabError(
                f"The slider cannot move to {unknown[0]!r}.",
                f"its values: {listed}",
                "Name only these in sequence.",
            )
        self._predict = predict
        self._steps: list[dict[str, Any]] = []

    def __repr__(self) -> str:
        return (
            f"{self.samples.pod_name}/{self.samples.container}:"
            f" {' → '.join(map(str, self.sequence or self.values))}"
        )

    # ---- what came of it

    @property
    def steps(self) -> "DataFrame":
        """A row for each value that it had: ``value``, ``start_seconds`` and ``end_seconds`` on the
        axis of the samples, ``measured`` and ``predicted`` in the unit of ``show``."""
        import pandas

        frame = self.samples.so_far
        rows = []
        for step in list(self._steps):
            start, end = (
                step["start_seconds"],
                (step["end_seconds"] if step["end_seconds"] is not None else self._now()),
            )
            measured = charts.measured(frame, self.show, start, end) if len(frame) else None
            predicted = None if self._predict is None else self._predict(step["value"])
            rows.append((step["value"], start, end, measured, predicted))
        return pandas.DataFrame(
            rows, columns=["value", "start_seconds", "end_seconds", "measured", "predicted"]
        )

    def chart(self, title: str, **how: Any) -> Chart:
        """Ends it, and gives the picture that is stored. ``how``: more for ``charts.samples``, such
        as ``within``."""
        self.finish()
        return self.so_far(title, **how)

    def so_far(self, title: str, **how: Any) -> Chart:
        """The picture as far as it has come."""
        steps = self.steps
        predicted = (
            []
            if self._predict is None
            else [
                *zip(steps["start_seconds"], steps["end_seconds"], steps["predicted"], strict=True)
            ]
        )
        return charts.samples(
            self.samples.so_far, title, show=self.show, predicted=predicted, **how
        )

    # ---- what differs from other moves

    def _check(self, value: Any) -> None:
        if value not in self.values:
            raise LabError(
                f"The slider cannot move to {value!r}.",
                f"its values: {', '.join(map(str, self.values))}",
                "Use one of these.",
            )

    def _meanwhile(self) -> Samples:
        return self.samples

    def _begin_step(self, value: Any) -> None:
        self._steps.append({"value": value, "start_seconds": self._now(), "end_seconds": None})

    def _end_step(self) -> None:
        if self._steps and self._steps[-1]["end_seconds"] is None:
            self._steps[-1]["end_seconds"] = self._now()

    def _now(self) -> float:
        return time.time() - self.samples.life.began_seconds


def resize_cpu(pod: Pod, container: str, limit: str) -> None:
    """Moves a running container's CPU limit: what a move of a slider does.

    Raises:
        LabError: the limit did not become so.
    """

    def is_so(now: PodSnapshot) -> bool:
        statuses = now.raw["status"].get("containerStatuses", ())
        held = next(
            (
                each.get("resources", {}).get("limits", {})
                for each in statuses
                if each["name"] == container
            ),
            {},
        )
        return "cpu" in held and formulas.quantity(held["cpu"]) == formulas.quantity(limit)

    resized = pod.resize(container, limits={"cpu": limit}, timeout_seconds=RESIZE_SECONDS)
    if resized.outcome == "error":
        # The runtime stops a container for the change, and one that is throttled may not stop in
        # time ("unable to freeze"). The kubelet tries again by itself, some seconds later.
        pod.wait_until(is_so, timeout_seconds=RETRY_SECONDS)
    elif resized.outcome != "done":
        raise LabError(
            f"The limit did not become {limit}.",
            f"{resized.outcome}: {resized.message}",
            "Move it elsewhere.",
        )
