"""A CPU limit that a reader moves while what follows from it is sampled: the model, which knows no
widget."""

import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from labhelpers import formulas
from labhelpers.arguments import must_differ
from labhelpers.charts.chart import Chart
from labhelpers.charts.doses import COLUMNS, doses
from labhelpers.charts.samples import measured
from labhelpers.errors import LabError
from labhelpers.measure.samples import Samples
from labhelpers.moves import Moves
from labhelpers.pods import Pod
from labhelpers.snapshots import PodSnapshot

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["LONGEST_RESIZE_SECONDS", "Slider", "resize_cpu"]

RESIZE_SECONDS, RETRY_SECONDS = 30, 60
AGAIN_SECONDS = 60.0  # for steps that are begun again, all of a sequence together
LONGEST_RESIZE_SECONDS = RESIZE_SECONDS + RETRY_SECONDS


class _Moved(Exception):
    """A reader has moved the slider, or it is to end."""


class Slider(Moves):
    """A container's CPU limit that the reader moves, or that moves by itself through a stored
    sequence; what follows from it is sampled meanwhile. ``Moves`` has how it moves.

    It ends when its chart is asked for, after the sequence where nobody has touched it, or some
    time after the last move.

    Args:
        values: the limits that it can have, as in a manifest.
        act: makes the limit so, and returns when it is.
        samples: what is sampled meanwhile.
        demand_cpus: what the container would use without a limit.
        undisturbed: measures again while others take the CPUs, as ``Pod.undisturbed`` does: a step
            of the sequence is begun again then. Left out: none is.
        how: ``sequence`` and the seconds of ``Moves``.
    """

    def __init__(
        self,
        values: Iterable[str],
        act: Callable[[str], object],
        samples: Samples,
        *,
        demand_cpus: float,
        undisturbed: Callable[..., Any] | None = None,
        dwell_seconds: float = 3.0,
        **how: Any,
    ):
        super().__init__(act, dwell_seconds=dwell_seconds, **how)
        self.values, self.samples = list(values), samples
        must_differ("CPU limits", self.values)
        if wrong := [value for value in self.values if formulas.quantity(value) <= 0]:
            raise LabError(
                f"{wrong[0]!r} isn't a CPU limit.",
                "a limit is more than 0",
                'Write it like "100m" or "1.5".',
            )
        if not 0 < demand_cpus < math.inf:
            raise LabError(
                f"A container can't use {demand_cpus:g} CPUs.",
                f"demand_cpus={demand_cpus:g}",
                "Say how many it would use without a limit, such as 1.0.",
            )
        if unknown := [value for value in self.sequence if value not in self.values]:
            listed = ", ".join(map(str, self.values))
            raise LabError(
                f"The slider cannot move to {unknown[0]!r}.",
                f"its values: {listed}",
                "Name only these in sequence.",
            )
        self._demand_cpus, self._undisturbed = demand_cpus, undisturbed
        self._again_seconds = AGAIN_SECONDS
        self._steps: list[dict[str, Any]] = []

    def __repr__(self) -> str:
        return (
            f"{self.samples.pod_name}/{self.samples.container}:"
            f" {' → '.join(map(str, self.sequence or self.values))}"
        )

    # ---- what came of it

    @property
    def steps(self) -> "DataFrame":
        """A row for each limit that it had: ``value``, ``start_seconds`` and ``end_seconds`` on the
        axis of the samples; ``measured`` and ``predicted``, the share of throttled periods;
        ``cpus``, the CPUs used."""
        import pandas

        frame = self.samples.so_far
        rows = []
        for step in list(self._steps):
            start = step["start_seconds"]
            end = self._now() if step["end_seconds"] is None else step["end_seconds"]
            found = [
                measured(frame, show, start, end) if len(frame) else None
                for show in ("throttling", "cpu")
            ]
            limit = float(formulas.quantity(step["value"]))
            predicted = formulas.throttled_share(self._demand_cpus, limit)
            rows.append((step["value"], start, end, found[0], predicted, found[1]))
        return pandas.DataFrame(
            rows,
            columns=["value", "start_seconds", "end_seconds", "measured", "predicted", "cpus"],
        )

    def chart(self, title: str) -> Chart:
        """Ends it, and gives the picture that is stored."""
        self.finish()
        return self.so_far(title)

    def so_far(self, title: str) -> Chart:
        """The picture as far as it has come."""
        import pandas

        steps = self.steps
        limits = [float(formulas.quantity(value)) for value in steps["value"]]
        rows = zip(limits, steps["measured"], steps["cpus"], strict=True)
        return doses(pandas.DataFrame(rows, columns=list(COLUMNS)), title, self._demand_cpus)

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

    def _dwell(self) -> bool:
        """The calmest of its stays counts: a loop that others leave no CPU time isn't throttled."""
        if self._undisturbed is None:
            return super()._dwell()
        began = time.monotonic()
        try:
            start, end = self._undisturbed(
                self._stay, timeout_seconds=self._again_seconds, needs_cpus=self._needs_cpus()
            )
        except _Moved:
            return True
        more = time.monotonic() - began - self._dwell_seconds
        self._again_seconds = max(0.0, self._again_seconds - more)
        self._steps[-1].update(start_seconds=start, end_seconds=end)
        return False

    def _needs_cpus(self) -> float:
        """What it has to get, so that its limit shows. Above its demand none does."""
        limit = float(formulas.quantity(self.value))
        return limit if limit < self._demand_cpus else 0.0

    def _stay(self) -> tuple[float, float]:
        start = self._now()
        if self._wait(self._dwell_seconds):
            raise _Moved
        return start, self._now()

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
