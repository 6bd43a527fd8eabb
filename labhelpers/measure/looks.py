"""Looks at some Pods' processes on the node repeatedly, in a thread: at the start, after each call
of ``wake``, and several times a second in between."""

import threading
from collections.abc import Callable, Sequence

from labhelpers.errors import LabError
from labhelpers.node.node import Node
from labhelpers.node.processes import ProcessSnapshot, ProcessWatch

__all__ = ["Looks"]

BEAT_SECONDS = 0.2
CONNECTION_SECONDS = 60.0  # how long one connection is used before the next


class Looks:
    """Looks at Pods until it's closed.

    Args:
        node: the node from the inside.
        uids: called before each look; returns the UIDs of the Pods to look at.
        beat_seconds: how often, in addition to the looks that ``wake`` requests.
        news: called when the thread gives up.

    Attributes:
        taken: (uid, what was seen), in order.
        error: why the thread gave up, or None.
        thread: the thread that looks, once ``start`` has been called.
    """

    def __init__(
        self,
        node: Node,
        uids: Callable[[], Sequence[str]],
        *,
        beat_seconds: float,
        news: Callable[[], None],
    ):
        self.taken: list[tuple[str, ProcessSnapshot]] = []
        self.error: BaseException | None = None
        self.thread: threading.Thread | None = None
        self._node, self._uids, self._beat_seconds, self._news = node, uids, beat_seconds, news
        self._through: dict[str, ProcessWatch] = {}
        self._stop, self._wanted = threading.Event(), threading.Event()

    def start(self, thread_name: str) -> None:
        """Looks once, then continues in a thread."""
        self.look()
        self.thread = threading.Thread(target=self._keep_looking, name=thread_name, daemon=True)
        self.thread.start()

    def wake(self) -> None:
        """Requests a look now, because something has changed."""
        self._wanted.set()

    def look(self) -> dict[str, ProcessSnapshot]:
        """Looks at each Pod once, now, in the calling thread."""
        found = {uid: self._node.look(uid) for uid in self._uids()}
        self.taken += found.items()
        return found

    def of(self, uid: str) -> list[ProcessSnapshot]:
        """What has been seen of one Pod, in order."""
        looks = [look for of, look in list(self.taken) if of == uid]
        return sorted(looks, key=lambda look: look.begin_seconds)

    def close(self) -> None:
        """Ends the thread soon; any other thread may call it. Call it until the thread is gone: a
        connection may have been opened while another was being closed."""
        self._stop.set()
        self._wanted.set()
        for stream in list(self._through.values()):
            stream.close()

    def last(self, uid: str) -> ProcessSnapshot | None:
        """What was seen of one Pod last; None before the first look."""
        return next((look for of, look in reversed(list(self.taken)) if of == uid), None)

    def _keep_looking(self) -> None:
        try:
            while not self._stop.is_set():
                self._wanted.wait(self._beat_seconds)
                self._wanted.clear()
                self._look_through()
        except BaseException as error:
            if not self._stop.is_set():
                self.error = error
            self._news()
        finally:
            self._close_but(())

    def _look_through(self) -> None:
        uids = self._uids()
        self._close_but(uids)
        for uid in uids:
            if self._stop.is_set():
                return
            try:
                if uid not in self._through:
                    self._through[uid] = self._node.looks(uid, timeout_seconds=CONNECTION_SECONDS)
                self.taken.append((uid, self._through[uid].look()))
            except LabError:
                # A failed look only adds uncertainty. The last look, at the end, has to succeed.
                self._close_but([each for each in self._through if each != uid])
                self._stop.wait(BEAT_SECONDS)

    def _close_but(self, kept: Sequence[str]) -> None:
        for uid in [each for each in self._through if each not in kept]:
            self._through.pop(uid).close()
