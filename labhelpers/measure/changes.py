"""Collects every version of some objects, each with the time at which it came, in a thread that
follows one kind of object until it's closed."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labhelpers.errors import Unreachable
from labhelpers.kube import fields
from labhelpers.kube.watching import Event, follow

if TYPE_CHECKING:
    from labhelpers.kube.client import Connection

__all__ = ["Changes", "Version", "spans_of"]

WINDOW_SECONDS = 300.0  # for one watch; close() ends it earlier


@dataclass(frozen=True)
class Version:
    """One version of an object: the whole object, and when and how it came.

    Attributes:
        seconds: when it came, since the recording began.
        event: FOUND at the beginning, then ADDED, MODIFIED or DELETED, or LISTED again.
        obj: the object, as a dict.
    """

    seconds: float
    event: str
    obj: dict = field(repr=False)

    @property
    def name(self) -> str:
        return self.obj["metadata"]["name"]

    @property
    def uid(self) -> str:
        return self.obj["metadata"].get("uid", "")

    @property
    def resource_version(self) -> str:
        return self.obj["metadata"]["resourceVersion"]

    @property
    def conditions(self) -> dict[str, str]:
        """The status of each condition: "True", "False" or "Unknown"."""
        return {name: each["status"] for name, each in fields.conditions(self.obj).items()}

    @property
    def containers(self) -> list[str]:
        """The names of all containers in a Pod's spec."""
        return [each["name"] for each in fields.containers(self.obj)]

    @property
    def container_ids(self) -> dict[str, str]:
        """The name of each container by its id, for all ids in a Pod's status, including those that
        have ended."""
        return {
            id_: status["name"]
            for status in fields.statuses(self.obj)
            for id_ in fields.ids(status)
        }

    @property
    def address(self) -> str:
        """The address in a Pod's status; "" while there is none."""
        return self.obj.get("status", {}).get("podIP") or ""


def spans_of(
    versions: Iterable[Version], read: Callable[[dict], str | None], until: float
) -> list[tuple[float, float, str]]:
    """From when to when the API said the same, as the spans of a ``charts.lanes.Lane``.

    Args:
        versions: in order. Two objects after one another may stand in one list.
        read: what an object says; None or "" where it says nothing.
        until: when the last of them ends, in seconds.

    Returns:
        (from, to, words), in seconds. What was found at the beginning begins at 0. A deleted object
        says nothing.

    Example::

        spans_of(life.versions, lambda pod: pod["status"].get("phase"), until=9.0)
    """
    found: list[tuple[float, float, str]] = []
    since, words = 0.0, None
    for version in versions:
        now = None if version.event == "DELETED" else read(version.obj)
        if now == words:
            continue
        seconds = 0.0 if version.event == "FOUND" else max(version.seconds, 0.0)
        if words:
            found.append((since, seconds, words))
        since, words = seconds, now
    return [*found, (since, until, words)] if words else found


class Changes:
    """The versions of the objects of one kind, from a first list on.

    Args:
        connection: an open connection, in the namespace to follow.
        kind: the objects' kind.
        selector, labels: which of them, as field and label selectors; all of them if both are
            empty.
        wanted: called with each object; false leaves it out.
        began: when the recording began, in seconds since 1970.
        news: called after each new version, and when the thread gives up.

    Attributes:
        versions: the versions, in order.
        error: why the thread gave up, or None.
        thread: the thread that follows, once ``start`` has been called.
    """

    def __init__(
        self,
        connection: "Connection",
        kind: str,
        *,
        selector: str = "",
        labels: str = "",
        wanted: Callable[[dict], bool] = lambda obj: True,
        began: float,
        news: Callable[[], None],
    ):
        self.kind, self.versions = kind, list[Version]()
        self.error: BaseException | None = None
        self.thread: threading.Thread | None = None
        self._wanted, self._began, self._news = wanted, began, news
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._follower = follow(
            connection, kind, None, selector, labels=labels, window_seconds=WINDOW_SECONDS
        )

    def start(self, thread_name: str) -> None:
        """Lists the objects, then follows them in a thread.

        Raises:
            Refused, Unreachable: the server doesn't show these objects, or doesn't answer.
        """
        first = next(self._follower)
        if first.trouble:
            self._follower.close()
            raise Unreachable(
                f"The {self.kind}s couldn't be listed, so nothing is recorded.",
                first.trouble,
                "Check the cluster with `podlab status`; `podlab up` starts it again.",
            )
        self._take(first, listed="FOUND")
        self.thread = threading.Thread(target=self._follow, name=thread_name, daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Ends the thread at once; any other thread may call it."""
        self._closed = True
        self._follower.close()

    def keep(self, event: str, obj: dict) -> None:
        """Adds a version that isn't known yet."""
        version = Version(time.time() - self._began, event, obj)
        with self._lock:
            if event != "DELETED" and version.resource_version in self._seen:
                return
            if event == "DELETED" and version.uid not in {each.uid for each in self.now()}:
                return
            self._seen.add(version.resource_version)
            self.versions.append(version)
        self._news()

    def now(self) -> list[Version]:
        """The objects that exist now, each in its last version."""
        last = {each.uid: each for each in list(self.versions)}
        return [each for each in last.values() if each.event != "DELETED"]

    def knows(self, obj: dict) -> bool:
        """Whether this version has come."""
        return obj["metadata"]["resourceVersion"] in self._seen

    def take_list(self, objects: list[dict]) -> None:
        """Adds what a later list shows, and counts as deleted what it no longer shows."""
        self._take(Event("LISTED", objects), listed="LISTED")

    def _follow(self) -> None:
        try:
            with self._follower as events:
                for event in events:
                    self._take(event, listed="LISTED")
        except BaseException as error:
            if not self._closed:
                self.error = error
            self._news()

    def _take(self, event: Event, *, listed: str) -> None:
        objects = [obj for obj in event.objects if self._wanted(obj)]
        if event.kind == "LISTED":
            there = {obj["metadata"].get("uid", "") for obj in objects}
            for gone in [each for each in self.now() if each.uid not in there]:
                self.keep("DELETED", gone.obj)
        for obj in objects:
            self.keep(listed if event.kind == "LISTED" else event.kind, obj)
