"""What was read about one object, frozen at one moment. The rules judge this and nothing else."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from labhelpers.kube import fields

__all__ = ["Box", "Claimed", "Seen", "last_seen", "seconds_between", "times"]

ROLES = {"init": "init container", "sidecar": "sidecar", "app": "container"}


@dataclass(frozen=True)
class Claimed:
    """A PersistentVolumeClaim that a Pod refers to: ``body`` is None if there is none."""

    name: str
    body: dict | None
    events: list[dict] = field(default_factory=list)


@dataclass
class Seen:
    """What was read about one object.

    Attributes:
        kind, name: of the object, such as "Pod", "web".
        kubectl: how a line of kubectl begins that asks about it: "kubectl -n shop".
        now: when it was read.
        body: the object. events: those about it, oldest first.
        node: the Pod's node; None if it wasn't read, or isn't there.
        node_is_missing: it was asked for, and there is no such node.
        claims: the claims that the Pod's volumes name, if the Pod waits for them.
        logs: the last lines of containers that have ended, by name.
        parts: what it has made or selects, as far as that was read: a Deployment's ReplicaSets,
            a ReplicaSet's Pods, a Service's Pods.
        endpoints: a Service's EndpointSlices.
        labels_nearby: for a Service without Pods, the labels of Pods in its namespace.
        denied: lines of kubectl for what the reader may not read.
    """

    kind: str
    name: str
    kubectl: str
    now: datetime
    body: dict
    events: list[dict] = field(default_factory=list)
    node: dict | None = None
    node_is_missing: bool = False
    claims: list[Claimed] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    parts: list["Seen"] = field(default_factory=list)
    endpoints: list[dict] = field(default_factory=list)
    labels_nearby: list[dict] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)

    @property
    def spec(self) -> dict:
        return self.body.get("spec") or {}

    @property
    def status(self) -> dict:
        return self.body.get("status") or {}

    @property
    def metadata(self) -> dict:
        return self.body["metadata"]

    @property
    def phase(self) -> str:
        return self.status.get("phase", "")

    @property
    def is_ready(self) -> bool:
        return fields.is_true(self.body, "Ready")

    @property
    def age_seconds(self) -> float:
        return seconds_between(self.metadata.get("creationTimestamp"), self.now)

    def condition(self, type_: str) -> dict:
        return fields.conditions(self.body).get(type_, {})

    def last_event(self, *reasons: str, says: str = "", container: str = "") -> dict | None:
        """The newest event with one of these reasons, about a container where one is named.

        Args:
            says: a regular expression that its message has to match.
        """
        return next(iter(self.newest_events(*reasons, says=says, container=container)), None)

    def newest_events(self, *reasons: str, says: str = "", container: str = "") -> list[dict]:
        """All such events, the newest first."""
        found = []
        for event in reversed(self.events):
            place = event.get("involvedObject", {}).get("fieldPath", "")
            if (
                event.get("reason") in reasons
                and (not container or not place or place.endswith(f"{{{container}}}"))
                and re.search(says, event.get("message") or "")
            ):
                found.append(event)
        return found

    def boxes(self) -> list["Box"]:
        """The Pod's containers in the order in which they start."""
        found = {status["name"]: status for status in fields.statuses(self.body)}
        inits = self.spec.get("initContainers") or []
        return [
            Box(self, spec, found.get(spec["name"], {}), spec in inits)
            for spec in [*inits, *self.spec.get("containers", [])]
        ]


@dataclass
class Box:
    """One container of a Pod: its spec and its status."""

    seen: Seen
    spec: dict
    status: dict
    is_init: bool

    @property
    def name(self) -> str:
        return self.spec["name"]

    @property
    def is_sidecar(self) -> bool:
        return self.is_init and self.spec.get("restartPolicy") == "Always"

    @property
    def words(self) -> str:
        """How a sentence names it: "init container migrate"."""
        role = "sidecar" if self.is_sidecar else "init" if self.is_init else "app"
        return f"{ROLES[role]} {self.name}"

    @property
    def path(self) -> str:
        """The list in the Pod's status that has this container."""
        return f".status.{'initContainerStatuses' if self.is_init else 'containerStatuses'}"

    @property
    def state(self) -> dict:
        return self.status.get("state") or {}

    @property
    def waiting(self) -> dict:
        return self.state.get("waiting") or {}

    @property
    def running(self) -> dict:
        return self.state.get("running") or {}

    @property
    def ended(self) -> dict:
        """Its last end: of this run, or of the one before."""
        before = self.status.get("lastState") or {}
        return self.state.get("terminated") or before.get("terminated") or {}

    @property
    def restarts(self) -> int:
        return self.status.get("restartCount", 0)

    @property
    def is_restarted_always(self) -> bool:
        policy = self.spec.get("restartPolicy") or self.seen.spec.get("restartPolicy", "Always")
        return self.is_sidecar or (policy == "Always" and not self.is_init)

    @property
    def has_started(self) -> bool:
        return "running" in self.state or bool(self.ended)

    def event(self, *reasons: str, says: str = "") -> dict | None:
        return self.seen.last_event(*reasons, says=says, container=self.name)

    def events(self, *reasons: str, says: str = "") -> list[dict]:
        return self.seen.newest_events(*reasons, says=says, container=self.name)

    def running_seconds(self) -> float:
        return seconds_between(self.running.get("startedAt"), self.seen.now)

    def seconds_since_end(self) -> float:
        return seconds_between(self.ended.get("finishedAt"), self.seen.now)


def times(event: dict) -> int:
    """How often an event was seen: the API keeps equal ones as one."""
    return (event.get("series") or {}).get("count") or event.get("count") or 1


def last_seen(event: dict) -> str:
    """When an event was last seen. Those of the newer API leave the older stamps empty."""
    series = event.get("series") or {}
    last = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return re.sub(r"\.\d+", "", last or event["metadata"].get("creationTimestamp") or "")


def seconds_between(stamp: str | None, now: datetime) -> float:
    """Seconds from an API timestamp to now; 0 if there is none.

    >>> seconds_between("2026-01-01T00:00:00Z", datetime(2026, 1, 1, 0, 1, tzinfo=UTC))
    60.0
    """
    if not stamp:
        return 0.0
    return (now - datetime.fromisoformat(stamp).astimezone(UTC)).total_seconds()
