"""Waits for an object, for the whole package: with a watch, with a limit, and with an early end if
waiting longer can't help."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from labhelpers.errors import Impossible, LabError, TimedOut
from labhelpers.kube import fields
from labhelpers.kube.client import Connection
from labhelpers.kube.kinds import selector
from labhelpers.kube.watching import follow
from labhelpers.patience import advice, patient
from labhelpers.polling import must_be_seconds

__all__ = ["wait_until"]

TICK_SECONDS = 1.0
LAST_LOOK_SECONDS = 2.0


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
    """Waits until an object reaches a goal, and returns the object as it then was.

    Args:
        kind, name, namespace: the object; it needn't exist yet.
        goal: called with each version of the object, with None while there is none; true ends the
            wait.
        what: the goal in words, for the error: ``"Ready"``, ``"gone"``.
        timeout_seconds: the limit of the wait, which ``PODLAB_PATIENCE`` multiplies.
        impossible: called after ``goal``. If it returns a sentence, which says why the goal can't
            be reached any more, the wait ends. It's also called once a second while nothing
            changes, so that it can give a state some time.

    Raises:
        TimedOut: the limit is over; says what was last seen, and the newest events about the
            object.
        Impossible: ``impossible`` returned a reason.
        Refused: the server doesn't show the object at all.
        LabError: Kubernetes doesn't allow the name, so the object can never exist; or the limit
            isn't a number of seconds.

    ::

        wait_until(connection, "Pod", "one-app", lambda pod: pod is None, what="gone",
        timeout_seconds=20)
    """
    must_be_seconds(timeout_seconds)
    wait = _Wait(connection, kind, name, namespace, goal, what, timeout_seconds, impossible)
    with follow(
        connection,
        kind,
        namespace,
        selector(kind, name),
        window_seconds=TICK_SECONDS,
        deadline=wait.deadline,
    ) as events:
        for event in events:
            wait.trouble = event.trouble
            if event.kind != "TICK":
                if wait.reached(
                    None if event.kind == "DELETED" else next(iter(event.objects), None)
                ):
                    return wait.obj
            elif not event.trouble:
                wait.refuse_the_impossible()
            if time.monotonic() >= wait.deadline:
                break
    # On a laptop that was closed in between, the limit is over, but nothing was checked.
    if wait.reached_at_last():
        return wait.obj
    raise wait.timed_out()


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

    def __post_init__(self):
        self.timeout_seconds = patient(self.timeout_seconds)
        self.deadline = time.monotonic() + self.timeout_seconds
        self.short_kind = self.kind.rpartition("/")[2]

    def reached(self, obj: dict | None) -> bool:
        self.obj, self.seen = obj, _in_words(obj)
        if self.goal(obj):
            return True
        self.refuse_the_impossible()
        return False

    def reached_at_last(self) -> bool:
        """Looks once more, when the limit is over."""
        try:
            listed = self.connection.list(
                self.kind,
                self.namespace,
                selector(self.kind, self.name),
                timeout_seconds=LAST_LOOK_SECONDS,
            )
        except LabError:
            return False
        self.trouble = ""
        return self.reached(next(iter(listed["items"]), None))

    def refuse_the_impossible(self) -> None:
        reason = self.impossible(self.obj) if self.impossible else None
        if reason:
            raise Impossible(
                f"{self.short_kind} {self.name} can't become {self.what} any more: {reason}",
                self.all_seen(),
                self.look(),
            )

    def timed_out(self) -> TimedOut:
        return TimedOut(
            f"{self.short_kind} {self.name} wasn't {self.what} within {self.timeout_seconds:g} s.",
            self.all_seen(),
            advice(self.look()),
        )

    def place(self) -> str:
        """The namespace of the object; "" if it's cluster-scoped."""
        if self.obj is not None:
            return self.obj["metadata"].get("namespace", "")
        return self.connection.namespace if self.namespace is None else self.namespace

    def look(self) -> str:
        place = f" -n {self.place()}" if self.place() else ""
        return f"Look closer: `kubectl describe {self.short_kind.lower()} {self.name}{place}`."

    def all_seen(self) -> str:
        if self.trouble:
            return f"{self.seen}; at the end the API server didn't answer ({self.trouble})"
        return "; ".join([self.seen, *self.newest_events()])

    def newest_events(self, count: int = 3) -> list[str]:
        """Core v1 Events about the object, newest first. A failure here mustn't hide the error that
        asks for them."""
        selector = f"involvedObject.kind={self.short_kind},involvedObject.name={self.name}"
        try:
            # Events about cluster-scoped objects are in the namespace default.
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
    """A sort key. Timestamps are whole seconds, so the version decides between equal ones."""
    metadata = event["metadata"]
    stamp = (
        event.get("lastTimestamp")
        or event.get("eventTime")
        or metadata.get("creationTimestamp")
        or ""
    )
    return stamp[:19], int(metadata.get("resourceVersion", 0))


def _in_words(obj: dict | None) -> str:
    """The state of an object in a line: its phase, the conditions that aren't True, and the states
    of its containers.

    >>> _in_words(None)
    'it does not exist'
    >>> ready = {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}
    >>> _in_words({"status": {"phase": "Pending", "conditions": [ready]}})
    'phase Pending, Ready is False (ContainersNotReady)'
    """
    if obj is None:
        return "it does not exist"
    status = obj.get("status") or {}
    words = [f"phase {status['phase']}"] if "phase" in status else []
    if obj.get("metadata", {}).get("deletionTimestamp"):
        words.append("being deleted")
    for condition in fields.conditions(obj).values():
        if condition["status"] != "True" and not condition["type"].endswith("Pressure"):
            reason = f" ({condition['reason']})" if condition.get("reason") else ""
            words.append(f"{condition['type']} is {condition['status']}{reason}")
    for container in fields.statuses(obj):
        for state, detail in (container.get("state") or {}).items():
            because = [detail[key] for key in ("reason", "message") if detail.get(key)]
            words.append(
                f"container {container['name']} {state}"
                + (f" ({': '.join(because)})" if because else "")
            )
    return ", ".join(words) or "it exists"
