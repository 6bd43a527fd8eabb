"""Values that are made so one after the other, in a thread: what a reader's hand asks for, or a
stored sequence. The model, which knows no widget."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import Any

from labhelpers.errors import LabError
from labhelpers.kube.client import MARK
from labhelpers.patience import patient
from labhelpers.polling import poll

__all__ = ["Moves"]

IDLE_SECONDS, MOVE_SECONDS, JOIN_SECONDS = 60.0, 30.0, 15.0
END_SECONDS = 120.0


class Moves:
    """What a slider and a set of dials have in common.

    A move takes as long as the cluster does. Faster moves aren't queued: when one is done, the
    newest value is next, and those between are left out. Untouched, it goes through its sequence;
    the first touch ends that.

    Args:
        act: makes the value so, and returns when it is.
        sequence: the values to go through by itself.
        dwell_seconds: how long each value of the sequence stays.
        idle_seconds: how long after the last move, its own or a reader's, it ends by itself.
        longest_move_seconds: the longest that ``act`` may take.

    Attributes:
        value: the value that is so now; None before the first.
        touched: whether a reader has moved it.
        error: what ended it; None where nothing did.
        state: what it does now, in words.
        changed: called when anything of this changes; a view sets it.
    """

    called = "slider"

    def __init__(
        self,
        act: Callable[[Any], object],
        *,
        sequence: Iterable[Any] = (),
        dwell_seconds: float = 0.0,
        idle_seconds: float = IDLE_SECONDS,
        longest_move_seconds: float = MOVE_SECONDS,
    ):
        self.sequence = list(sequence)
        self.value: Any = None
        self.touched = False
        self.error: LabError | None = None
        self.changed: Callable[[], None] = lambda: None
        self.state = "Not begun."
        self._act = act
        self._dwell_seconds, self._idle_seconds = dwell_seconds, idle_seconds
        self._longest_move_seconds = longest_move_seconds
        self._wanted: list[Any] = []
        self._news = threading.Condition()
        self._asked = self._closing = False
        self._thread: threading.Thread | None = None

    # ---- what moves it

    def start(self) -> None:
        """Begins, and returns at once."""
        name = f"{MARK}-{self.called}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def move(self, value: Any) -> None:
        """The reader's move. Returns at once; the value is so some time later, or a newer one is.

        Raises:
            LabError: it has no such value.
        """
        self._check(value)
        with self._news:
            self.touched = True
            self._wanted = [value]
            self._news.notify_all()

    def finish(self, timeout_seconds: float = END_SECONDS) -> "Moves":
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
                    f"The {self.called} has not come to its end.",
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

    # ---- what differs

    def _check(self, value: Any) -> None:
        """Raises where it has no such value."""

    def _meanwhile(self) -> contextlib.AbstractContextManager:
        """What runs as long as the thread does."""
        return contextlib.nullcontext()

    def _begin_step(self, value: Any) -> None:
        """The value is so now."""

    def _end_step(self) -> None:
        """It is going to be another, or there is an end."""

    def _dwell(self) -> bool:
        """Stays at a value of the sequence; true when there is a move, or an end, before the time
        is over."""
        return self._wait(self._dwell_seconds)

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
            with self._meanwhile():
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
                f"The {self.called} came to a halt.",
                f"{type(error).__name__}: {error}",
                "lab.traceback() has all of it.",
            )
            self.error.__cause__ = error
        finally:
            self._say(str(self.error) if self.error else "At its end.")

    def _go_through(self) -> None:
        for value in self.sequence:
            if self._closing or self._wanted:
                return
            self._make_it(value)
            if self._dwell():
                return

    def _follow(self) -> None:
        """The reader's part: until the end is asked for, or nobody has moved it for a while."""
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
        self._begin_step(value)
        self._say(f"At {value}.")

    def _say(self, state: str) -> None:
        self.state = state
        with contextlib.suppress(Exception):  # A view that has been closed is no reason to end.
            self.changed()
