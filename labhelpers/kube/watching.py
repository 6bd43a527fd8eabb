"""Follows changes: one watch, and `follow`, which continues after whatever ends a watch.

List, then watch from the list's version. A watch can end in several ways. If the server says 410,
as an event or as an answer, the version is too old: list again. If it ends without an error, watch
on from the last version. If it's cut, or nothing answers, or the server is busy: back off, then
watch on from there, so that no version in between is missed.
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import urllib3

from labhelpers.errors import Refused, Unreachable
from labhelpers.kube.wire import interrupt, unreachable

if TYPE_CHECKING:
    from labhelpers.kube.client import Connection

__all__ = ["Event", "Follower", "Watch", "follow"]

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 1.0
LIST_SECONDS = 30
PASSING_CODES = (410, 429, 500, 502, 503, 504)
# The version is too old, or, after the server's data was restored, in the future.
LIST_AGAIN_CODES = (410, 504)


class Watch:
    """An iterator over one watch; see :meth:`Connection.watch`. ``close()`` ends it at once, from
    any thread, without an error.

    Attributes:
        resource_version: that of the last event, bookmarks included; the next watch starts there.
    """

    def __init__(self, response, kind: str, resource_version: str, deadline: float):
        self.resource_version = resource_version
        self._response, self._kind, self._deadline = response, kind, deadline
        self._closed = response is None
        self._reading = threading.RLock()
        self._events = self._read()

    def __iter__(self) -> "Watch":
        return self

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __next__(self) -> tuple[str, dict]:
        with self._reading:
            return next(self._events)

    def close(self) -> None:
        self._closed = True
        if self._response is None:
            return
        interrupt(self._socket())
        with self._reading:
            self._end()

    def _end(self) -> None:
        self._response.close()
        # Returned at once. The garbage collector would return many together, and urllib3 would
        # write a warning about a full pool into the cell.
        self._response.release_conn()

    def _socket(self) -> socket.socket | None:
        return getattr(self._response.connection, "sock", None)

    def _read(self) -> Iterator[tuple[str, dict]]:
        if self._closed:
            return
        try:
            for line in self._lines():
                event = json.loads(line)
                obj = event["object"]
                if event["type"] == "ERROR":
                    code, reason, message = (
                        obj.get("code", 0),
                        obj.get("reason", ""),
                        obj.get("message", ""),
                    )
                    raise Refused(
                        f"The API server ended the watch of {self._kind}s.",
                        f"{code} {reason}: {message}",
                        "List again, then watch from there.",
                        reason=reason,
                        message=message,
                        code=code,
                    )
                self.resource_version = obj["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    yield event["type"], obj
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if self._closed or time.monotonic() >= self._deadline:
                return
            raise unreachable("the API server", f"go on watching {self._kind}s", error) from error
        finally:
            self._end()

    def _lines(self) -> Iterator[bytes]:
        pending = b""
        pieces = self._response.stream(amt=None, decode_content=False)
        while not self._closed:
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                return
            if (sock := self._socket()) is not None:
                sock.settimeout(remaining)
            piece = next(pieces, None)
            if piece is None:
                return
            *lines, pending = (pending + piece).split(b"\n")
            yield from filter(None, lines)


class Event(NamedTuple):
    """What a follower saw.

    Attributes:
        kind: "LISTED", then "ADDED", "MODIFIED" or "DELETED" as the server sends them; "TICK" at
            the end of each window, with or without changes.
        objects: for LISTED, all objects; for a change, the one object; for TICK, none.
        trouble: for TICK, why the server didn't answer in this window; "" if it did.
    """

    kind: str
    objects: list[dict]
    trouble: str = ""


def follow(
    connection: "Connection",
    kind: str,
    namespace: str | None = None,
    selector: str = "",
    *,
    labels: str = "",
    window_seconds: float,
    deadline: float = math.inf,
) -> "Follower":
    """Lists objects, then follows their changes, for as long as the iterator is read.

    Args:
        kind, namespace: which objects; the namespace ``""`` means all.
        selector: a field selector, such as ``"metadata.name=one-app"``.
        labels: a label selector, such as ``"app=web"``.
        window_seconds: how long a single watch lasts. It ends with a TICK, so that the caller gets
            a turn even if nothing changes.
        deadline: when to end, by ``time.monotonic()``.

    Raises:
        Refused: (while iterating) the server doesn't show these objects at all.

    ::

        with follow(connection, "Pod", selector="metadata.name=one-app", window_seconds=1) as seen:
            for event in seen:
                ...
    """
    return Follower(connection, kind, namespace, selector, labels, window_seconds, deadline)


class Follower:
    """An iterator of events; see :func:`follow`. ``close()`` ends it at once, from any thread,
    without an error."""

    def __init__(
        self,
        connection: "Connection",
        kind: str,
        namespace: str | None,
        selector: str,
        labels: str,
        window_seconds: float,
        deadline: float,
    ):
        self._connection, self._what = connection, (kind, namespace, selector)
        self._labels = labels
        self._window_seconds, self._deadline = window_seconds, deadline
        self._closed = threading.Event()
        self._watch: Watch | None = None
        self._pause = FIRST_PAUSE_SECONDS
        self._events = self._follow()

    def __iter__(self) -> "Follower":
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_) -> None:
        self._events.close()

    def close(self) -> None:
        self._closed.set()
        if (watch := self._watch) is not None:
            watch.close()

    def _remaining(self) -> float:
        return 0 if self._closed.is_set() else self._deadline - time.monotonic()

    def _follow(self) -> Iterator[Event]:
        version = ""
        while self._remaining() > 0:
            news, trouble, ended_early = False, "", False
            try:
                if not version:
                    listed = self._connection.list(
                        *self._what,
                        label_selector=self._labels,
                        timeout_seconds=min(LIST_SECONDS, self._remaining()),
                    )
                    version = listed["metadata"]["resourceVersion"]
                    yield Event("LISTED", listed["items"])
                # Short watches, each continuing the last. They also limit a delay of Ctrl-C in
                # CPython: a signal just before a read begins to block takes effect only when that
                # read ends.
                window = min(self._window_seconds, self._remaining())
                if window <= 0:
                    return
                began = time.monotonic()
                with self._connection.watch(
                    *self._what, version, label_selector=self._labels, timeout_seconds=window
                ) as self._watch:
                    try:
                        # Another thread closes what it finds in _watch after it has set _closed:
                        # one of the two sees the other.
                        for change, obj in () if self._closed.is_set() else self._watch:
                            news = True
                            yield Event(change, [obj])
                    finally:
                        version = self._watch.resource_version
                ended_early = time.monotonic() - began < window / 2
            except Unreachable as error:
                trouble = error.seen
            except Refused as error:
                if error.code not in PASSING_CODES:
                    raise
                version = "" if error.code in LIST_AGAIN_CODES else version
                trouble = error.seen
            if self._closed.is_set():
                return
            yield Event("TICK", [], trouble)
            if news:
                self._pause = FIRST_PAUSE_SECONDS
            if trouble or (ended_early and not news):
                # Don't flood a server that ends every watch at once.
                self._rest()

    def _rest(self) -> None:
        self._closed.wait(max(0, min(self._pause, self._remaining())))
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
