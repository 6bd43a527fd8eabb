"""The one wait of the whole package: it watches, it has a limit, and it ends early when waiting
longer cannot help.

List, then watch from the list's version; a watch can end in four ways, and each has its own branch.
The server says 410, as an event or as an answer: the version is too old, list again. It ends
without a word: watch on from the last version. It is cut, or nothing answers: step back, then list
again. https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from labhelpers.errors import Impossible, LabError, Refused, TimedOut
from labhelpers.kube.client import Connection, Unreachable

__all__ = ["wait_until"]

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 1.0
TICK_SECONDS = 1.0
_PASSING_CODES = (410, 429, 500, 502, 503, 504)


def wait_until(
    connection: Connection,
    kind: str,
    name: str,
    goal: Callable[[dict | None], object],
    *,
    what: str,
    timeout_seconds: float,
    impossible: Callable[[dict | None], str | None] | None = None,
    namespace: str | None = None,
) -> dict | None:
    """Wait until one object is as it should be, and return it as it then was.

    Args:
        kind, name, namespace: the object; it need not exist yet.
        goal: asked with each version of the object, with None while there is none; true ends the
            wait.
        what: what is waited for, in words, for the error: ``"Ready"``, ``"gone"``.
        timeout_seconds: the limit of the wait.
        impossible: asked after ``goal``; a sentence ends the wait, for it says why the goal cannot
            be reached any more. It is also asked once a second while nothing changes, so that it
            can give a state some grace.

    Raises:
        TimedOut: the limit came; says what was last seen, and the newest events about the object.
        Impossible: ``impossible`` gave its reason.
        Refused: the server will not show the object at all.

    ::

        wait_until(connection, "Pod", "one-app", lambda pod: pod is None, what="gone",
        timeout_seconds=20)
    """
    wait = _Wait(connection, kind, name, namespace, goal, what, timeout_seconds, impossible)
    while True:
        try:
            return wait.once()
        except Unreachable as error:
            wait.trouble = error.seen
        except Refused as error:
            if error.code not in _PASSING_CODES:
                raise
            wait.trouble = error.seen
        wait.step_back()


@dataclass
class _Wait:
    connection: Connection
    kind: str
    name: str
    namespace: str | None
    goal: Callable[[dict | None], object]
    what: str
    timeout_seconds: float
    impossible: Callable[[dict | None], str | None] | None
    obj: dict | None = None
    seen: str = "nothing: the cluster gave no answer"
    trouble: str = ""
    pause: float = _FIRST_PAUSE_SECONDS

    def __post_init__(self):
        self.deadline = time.monotonic() + self.timeout_seconds
        self.short_kind = self.kind.rpartition("/")[2]
        self.selector = f"metadata.name={self.name}"

    def once(self) -> dict | None:
        """From a list through its watches to the goal; leaves by an error when it has to be listed
        again."""
        listed = self.connection.list(
            self.kind, self.namespace, self.selector, timeout_seconds=self.remaining()
        )
        obj = next(iter(listed["items"]), None)
        version = listed["metadata"]["resourceVersion"]
        if self.reached(obj):
            return obj
        while True:
            # A short watch, begun again where it ended: that is the tick. It gives `impossible` its
            # turn, and it bounds what CPython may do to Ctrl-C: a signal that comes in the instant
            # before a read begins to block is heard only when that read ends.
            window = min(self.remaining(), TICK_SECONDS)
            began, news = time.monotonic(), False
            with self.connection.watch(
                self.kind, self.namespace, self.selector, version, timeout_seconds=window
            ) as watch:
                for change, sent in watch:
                    news = True
                    obj = None if change == "DELETED" else sent
                    if self.reached(obj):
                        return obj
                version = watch.resource_version
            self.refuse_the_impossible(obj)
            if news:
                self.pause = _FIRST_PAUSE_SECONDS
            elif time.monotonic() - began < window / 2:
                # A server that ends every watch at once must not be asked without a breath.
                self.step_back()
            self.remaining()

    def reached(self, obj: dict | None) -> bool:
        self.obj, self.seen, self.trouble = obj, _in_words(obj), ""
        if self.goal(obj):
            return True
        self.refuse_the_impossible(obj)
        self.remaining()
        return False

    def refuse_the_impossible(self, obj: dict | None) -> None:
        reason = self.impossible(obj) if self.impossible else None
        if reason:
            raise Impossible(
                f"{self.short_kind} {self.name} cannot become {self.what} any more: {reason}",
                self.all_seen(),
                self.look(),
            )

    def remaining(self) -> float:
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimedOut(
                f"{self.short_kind} {self.name} was not {self.what} within"
                f" {self.timeout_seconds:g} s.",
                self.all_seen(),
                self.look(),
            )
        return remaining

    def step_back(self) -> None:
        time.sleep(min(self.pause, self.remaining()))
        self.pause = min(2 * self.pause, _LONGEST_PAUSE_SECONDS)

    def place(self) -> str:
        """The namespace of the object; "" for one that lives in none."""
        if self.obj is not None:
            return self.obj["metadata"].get("namespace", "")
        return self.connection.namespace if self.namespace is None else self.namespace

    def look(self) -> str:
        place = f" -n {self.place()}" if self.place() else ""
        return f"Look closer: `kubectl describe {self.short_kind.lower()} {self.name}{place}`."

    def all_seen(self) -> str:
        if self.trouble:
            return f"{self.seen}; at the end the API server did not say ({self.trouble})"
        return "; ".join([self.seen, *self.newest_events()])

    def newest_events(self, count: int = 3) -> list[str]:
        """Core v1 Events about the object, newest first. Whatever goes wrong here must not hide the
        error that asks for them."""
        selector = f"involvedObject.kind={self.short_kind},involvedObject.name={self.name}"
        try:
            # Events about what lives in no namespace are kept in the namespace default.
            events = self.connection.list(
                "v1/Event", self.place() or "default", selector, timeout_seconds=2
            )["items"]
        except LabError:
            return []
        events.sort(key=_when, reverse=True)
        return [
            f"event {event['reason']}: {event.get('message') or 'no message'}"
            for event in events[:count]
        ]


def _when(event: dict) -> tuple[str, int]:
    """Stamps are whole seconds, so the version decides between equal ones."""
    metadata = event["metadata"]
    stamp = (
        event.get("lastTimestamp")
        or event.get("eventTime")
        or metadata.get("creationTimestamp")
        or ""
    )
    return stamp[:19], int(metadata.get("resourceVersion", 0))


def _in_words(obj: dict | None) -> str:
    """The state of an object in a line: its phase, what its conditions miss, and what its
    containers do.

    >>> _in_words(None)
    'it does not exist'
    >>> _in_words({"status": {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]}})
    'phase Pending, Ready is False (ContainersNotReady)'
    """
    if obj is None:
        return "it does not exist"
    status = obj.get("status") or {}
    words = [f"phase {status['phase']}"] if "phase" in status else []
    if obj.get("metadata", {}).get("deletionTimestamp"):
        words.append("being deleted")
    for condition in status.get("conditions") or []:
        if condition["status"] != "True" and not condition["type"].endswith("Pressure"):
            reason = f" ({condition['reason']})" if condition.get("reason") else ""
            words.append(f"{condition['type']} is {condition['status']}{reason}")
    for container in [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]:
        for state, detail in (container.get("state") or {}).items():
            because = [detail[key] for key in ("reason", "message") if detail.get(key)]
            words.append(
                f"container {container['name']} {state}"
                + (f" ({': '.join(because)})" if because else "")
            )
    return ", ".join(words) or "it exists"
