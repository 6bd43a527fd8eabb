"""A value that a reader moves while what follows from it is sampled: the model, which knows no
widget."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from labhelpers import formulas
from labhelpers.charts import samples as charts
from labhelpers.charts.chart import Chart
from labhelpers.errors import LabError
from labhelpers.kube.client import MARK
from labhelpers.measure.samples import Samples
from labhelpers.patience import patient
from labhelpers.pods import Pod
from labhelpers.polling import poll
from labhelpers.snapshots import PodSnapshot

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["LONGEST_RESIZE_SECONDS", "Slider", "resize_cpu"]

IDLE_SECONDS, MOVE_SECONDS, JOIN_SECONDS = 60.0, 30.0, 15.0
RESIZE_SECONDS, RETRY_SECONDS = 30, 60
LONGEST_RESIZE_SECONDS = RESIZE_SECONDS + RETRY_SECONDS


class Slider:
    """A value that the reader moves, or that moves by itself through a stored sequence; what
    follows from it is sampled meanwhile.

    A move takes as long as the kubelet does. Faster moves aren't queued: when one is done, the
    newest value is next, and those between are left out. Untouched, it goes
    through its sequence; the first touch ends that. It ends when its chart is asked for, after the
    sequence where nobody has touched it, or some time after the last move.

    Args:
        values: the values that it can have.
        act: makes the value so, and returns when it is.
        samples: what is sampled meanwhile.
        sequence: the values to go through by itself.
        dwell_seconds: how long each value of the sequence stays.
        predict: from a value to what is expected, in the unit of ``show``.
        show: how the samples are shown: see ``charts.samples``.
        idle_seconds: how long after the last move, its own or a reader's, it ends by itself.
        longest_move_seconds: the longest that ``act`` may take.

    Attributes:
        value: the value that is so now; None before the first.
        touched: whether a reader has moved it.
        error: what ended it; None where nothing did.
        changed: called when anything of this changes; a view sets it.
    """

    def __init__(
        self,
        values: Iterable[Any],
        act: Callable[[Any], object],
        samples: Samples,
        *,
        sequence: Iterable[Any] = (),
        dwell_seconds: float = 3.0,
        predict: Callable[[Any], float] | None = None,
        show: str = "throttling",
        idle_seconds: float = IDLE_SECONDS,
        longest_move_seconds: float = MOVE_SECONDS,
    ):
        self.values, self.sequence, self.samples, self.show = (
            list(values),
            list(sequence),
            samples,
            show,
        )
        if unknown := [value for value in self.sequence if value not in self.values]:
            listed = ", ".join(map(str, self.values))
            raise LabError(
                f"The slider cannot move to {unknown[0]!r}.",
                f"its values: {listed}",
                "Name only these in sequence.",
            )
        self.value: Any = None
        self.touched = False
        self.error: LabError | None = None
        self.changed: Callable[[], None] = lambda: None
        self.state = "Not begun."
        self._act, self._predict = act, predict
        self._dwell_seconds, self._idle_seconds = dwell_seconds, idle_seconds
        self._longest_move_seconds = longest_move_seconds
        self._steps: list[dict[str, Any]] = []
        self._wanted: list[Any] = []
        self._news = threading.Condition()
        self._asked = self._closing = False
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return (
            f"{self.samples.pod_name}/{self.samples.container}:"
            f" {' → '.join(map(str, self.sequence or self.values))}"
        )

    # ---- what moves it

    def start(self) -> None:
        """Begins, and returns at once."""
        self._thread = threading.Thread(target=self._run, name=f"{MARK}-slider", daemon=True)
        self._thread.start()

    def move(self, value: Any) -> None:
        """The reader's move. Returns at once; the value is so some time later, or a newer one is.

        Raises:
            LabError: it has no such value.
        """
        if value not in self.values:
            raise LabError(
                f"The slider cannot move to {value!r}.",
                f"its values: {', '.join(map(str, self.values))}",
                "Use one of these.",
            )
        with self._news:
            self.touched = True
            self._wanted = [value]
            self._news.notify_all()

    def finish(self, timeout_seconds: float = 120) -> "Slider":
        """Ends it: at once where a reader has moved it, else when its sequence is through.

        Raises:
            LabError: it was ended by an error, or has not come to its end in time.
        """
        with self._news:
            self._asked = True
            self._news.notify_all()
        if self._thread is not None:
            try:
                ended = poll(
                    self._has_ended,
                    timeout_seconds=timeout_seconds,
                    every_seconds=0.2,
                    wait=self._thread.join,
                )
            except KeyboardInterrupt:
                self._close()
                raise
            if not ended:
                raise LabError(
                    "The slider has not come to its end.",
                    self.state,
                    "Wait a moment, then run this cell again.",
                )
        if self.error is not None:
            raise self.error
        return self

    def stop(self) -> None:
        """Ends it as soon as the move that is under way is done, and waits for that."""
        self._close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(patient(self._longest_move_seconds + JOIN_SECONDS))

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

    # ---- the thread

    def _has_ended(self) -> bool:
        """Asked by whoever wants the end. A reader who has moved it is done with that."""
        if self.touched:
            self._close()
        return not self._thread.is_alive()

    def _close(self) -> None:
        with self._news:
            self._closing = True
            self._news.notify_all()

    def _run(self) -> None:
        try:
            with self.samples:
                try:
                    self._go_through()
                    if not self._closing:
                        self._follow()
                finally:
                    self._end_step()
        except LabError as error:
            self.error = error
        except Exception as error:
            self.error = LabError(
                "The slider came to a halt.",
                f"{type(error).__name__}: {error}",
                "lab.traceback() has all of it.",
            )
            self.error.__cause__ = error
        finally:
            self._say(str(self.error) if self.error else "At its end.")

    def _go_through(self) -> None:
        for value in self.sequence:
            self._make_it(value)
            if self._wait(self._dwell_seconds):
                return

    def _follow(self) -> None:
        """The reader's part: until the chart is asked for, or nobody has moved it for a while."""
        while True:
            with self._news:
                self._news.wait_for(
                    lambda: self._closing or self._wanted or (self._asked and not self.touched),
                    self._idle_seconds,
                )
                if self._closing or not self._wanted:
                    return
                value = self._wanted.pop()
            try:
                self._make_it(value)
            except LabError as error:  # The reader may move it elsewhere.
                self._say(str(error))

    def _wait(self, seconds: float) -> bool:
        """Waits; true when there is a move, or an end, before the time is over."""
        with self._news:
            return bool(self._news.wait_for(lambda: self._closing or self._wanted, timeout=seconds))

    def _make_it(self, value: Any) -> None:
        self._end_step()
        self._say(f"Moving to {value} …")
        self._act(value)
        self.value = value
        self._steps.append({"value": value, "start_seconds": self._now(), "end_seconds": None})
        self._say(f"At {value}.")

    def _end_step(self) -> None:
        if self._steps and self._steps[-1]["end_seconds"] is None:
            self._steps[-1]["end_seconds"] = self._now()

    def _now(self) -> float:
        return time.time() - self.samples.life.began_seconds

    def _say(self, state: str) -> None:
        self.state = state
        with contextlib.suppress(Exception):  # A view that has been closed is no reason to end.
            self.changed()


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
