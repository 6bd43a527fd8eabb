"""The one wait of the whole package: it watches, it has a limit, and it ends early when waiting
longer cannot help."""

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
    """Wait until one object is as it should be, and return it as it then was.

    Args:
        kind, name, namespace: the object; it need not exist yet.
        goal: asked with each version of the object, with None while there is none; true ends the
            wait.
        what: what is waited for, in words, for the error: ``"Ready"``, ``"gone"``.
        timeout_seconds: the limit of the wait, which ``PODLAB_PATIENCE`` multiplies.
        impossible: asked after ``goal``; a sentence ends the wait, for it says why the goal cannot
            be reached any more. It is also asked once a second while nothing changes, so that it
            can give a state some grace.

    Raises:
        TimedOut: the limit came; says what was last seen, and the newest events about the object.
        Impossible: ``impossible`` gave its reason.
        Refused: the server will not show the object at all.
        LabError: the name isn't one that Kubernetes allows, so there will never be such an object;
            or the limit isn't a number of seconds.

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
    # A laptop that was closed meanwhile: the limit is over, and nobody has looked.
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
        """One look more, when the limit is over."""
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
                f"{self.short_kind} {self.name} cannot become {self.what} any more: {reason}",
                self.all_seen(),
                self.look(),
            )

    def timed_out(self) -> TimedOut:
        return TimedOut(
            f"{self.short_kind} {self.name} was not {self.what} within {self.timeout_seconds:g} s.",
            self.all_seen(),
            advice(self.look()),
        )

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
