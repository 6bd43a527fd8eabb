"""Turns what the API said about one Pod, and what was seen on the node, into intervals.

The node dates what a process did: its start to a hundredth of a second, its end to the time between
two looks. What only the API says is dated by when the API said it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from labhelpers.charts.timeline import COLUMNS
from labhelpers.kube import fields
from labhelpers.measure.changes import Version
from labhelpers.node.processes import TICKS_PER_SECOND, Clock, Process, ProcessSnapshot

__all__ = ["Life", "agree", "row", "rows_of"]


@dataclass
class Span:
    """How long something was on the node: its start, the begin of the last look that saw it, and
    the end of the first look that didn't."""

    process: Process
    start: float
    last_seen: float
    not_seen: float | None = None
    members: set = field(default_factory=set)


class Life:
    """Turns one Pod's versions and looks into rows. All times in it are in seconds since the
    recording began, by our clock.

    Args:
        versions: what the API said, in order.
        looks: the looks at the node, in order.
        began, ended: when the recording began, in seconds since 1970, and how long it took.
        stamps: what else is known about the node's clock, in the form of ``Clock.between``.
    """

    def __init__(
        self,
        versions: Sequence[Version],
        looks: Sequence[ProcessSnapshot],
        began: float,
        ended: float,
        stamps: Sequence[tuple] = (),
    ):
        self.versions, self.ended = versions, ended
        # Each look reads the node's clock a moment after the uptime. The shortest delay is closest
        # to the truth for all looks.
        self.booted = min((look.booted_seconds for look in looks), default=began)
        stamps = [
            *stamps,
            *(
                (look.sent_seconds, at, look.received_seconds)
                for look in looks
                for at in self._when(look)
            ),
        ]
        self.clock = Clock.between(stamps) if stamps else Clock(0.0, 0.0)
        self.zero = began + self.clock.offset_seconds  # the begin, by the node's clock
        self.precision = 1 / TICKS_PER_SECOND + self.clock.resolution_seconds
        self.deleted = (
            versions[-1].seconds if versions and versions[-1].event == "DELETED" else None
        )
        self.close = ended if self.deleted is None else self.deleted
        self.names = {
            id_: name for version in versions for id_, name in version.container_ids.items()
        }
        self.spans, self.networks = self._spans(looks)

    def rows(self) -> list[dict]:
        if not self.versions:
            return []
        rows = self._told(
            "address",
            "address",
            lambda pod: pod.get("status", {}).get("podIP") or None,
            lambda found: {"state": "set", "value": found},
        )
        for name in dict.fromkeys(
            name for version in self.versions for name in fields.conditions(version.obj)
        ):

            def condition(pod: dict, name: str = name) -> tuple | None:
                found = fields.conditions(pod).get(name)
                return (found["status"], found.get("reason") or None) if found else None

            rows += self._told(
                name,
                "condition",
                condition,
                lambda found: {"state": found[0], "value": found[0], "reason": found[1]},
            )
        pauses = [
            span
            for id_, span in self.spans.items()
            if id_ not in self.names and span.process.command == "pause"
        ]
        for lane, spans in (("network", self.networks), ("pause", pauses)):
            for number, span in enumerate(spans):
                bounds = self._bounds(
                    span, spans[number + 1].start if number + 1 < len(spans) else None
                )
                value = str(number + 1) if lane == "network" else process_key(span.process)
                rows.append(row(lane, lane, state="running", value=value, **bounds))
        for name in dict.fromkeys(
            each["name"] for version in self.versions for each in fields.containers(version.obj)
        ):
            rows += self._container(name)
        return rows

    def _told(
        self, lane: str, kind: str, read: Callable[[dict], Any], words: Callable[[Any], dict]
    ) -> list[dict]:
        """Rows for something in the Pod's status, dated by when the API said it."""
        steps = [
            (
                0.0 if version.event == "FOUND" else version.seconds,
                read(version.obj) if version.event != "DELETED" else None,
            )
            for version in self.versions
        ]
        return rows_of(lane, kind, steps, words, self.ended)

    def _spans(self, looks: Sequence[ProcessSnapshot]) -> tuple[dict[str, Span], list[Span]]:
        """The first process of each container, by its id, and the network namespaces of these
        processes.

        An inode number can be reused after its namespace is gone. So equal numbers in two looks
        mean one namespace only if the same process was in it both times, or if it's the node's own.
        """
        firsts: dict[str, Span] = {}
        networks: list[Span] = []
        for look in looks:
            begin, end = (at - self.zero for at in self._when(look))
            alive = {each.identity: each for each in look.processes if each.runs}
            for each in alive.values():  # oldest first
                if each.container_id and each.container_id not in firsts:
                    firsts[each.container_id] = Span(each, self._start(each), begin)
            in_network: dict[int, set] = {}
            for span in firsts.values():
                if found := alive.get(span.process.identity):
                    span.last_seen = begin
                    if (
                        "net" in found.namespaces
                    ):  # a process that is dying has already left its namespaces
                        in_network.setdefault(found.namespaces["net"], set()).add(found.identity)
                elif span.not_seen is None:
                    span.not_seen = end
            open_ = [span for span in networks if span.not_seen is None]
            for inode, members in in_network.items():
                equal = [span for span in open_ if span.process.namespaces.get("net") == inode]
                same = [
                    span for span in equal if span.members & members or inode == look.node_network
                ]
                if not same:
                    oldest = min(
                        (alive[each] for each in members), key=lambda each: each.started_ticks
                    )
                    networks.append(Span(oldest, self._start(oldest), begin, members=members))
                for span in same:
                    span.last_seen = begin
                    span.members |= members
            for span in open_:
                if span.last_seen < begin:
                    span.not_seen = end
        return firsts, networks

    def _when(self, look: ProcessSnapshot) -> tuple[float, float]:
        """The begin and end of a look, by the node's clock."""
        late = look.booted_seconds - self.booted
        return look.begin_seconds - late, look.end_seconds - late

    def _start(self, process: Process) -> float:
        return self.booted + process.started_ticks / TICKS_PER_SECOND - self.zero

    def _bounds(
        self, span: Span, latest: float | None = None, finished: float | None = None
    ) -> dict:
        """The start and end of a span, with the uncertainty of each. ``latest``: it had ended by
        then, because the API said so, or the next of its kind began. ``finished``: the whole second
        that the API gives for its end."""
        low, high = span.last_seen, span.not_seen
        if high is None and latest is None:
            return {
                "start": span.start,
                "end": self.ended,
                "start_resolution": self.precision,
                "end_resolution": 0.0,
                "ongoing": True,
            }
        high = min(each for each in (high, latest, self.ended) if each is not None)
        if finished is not None and max(low, finished) < min(high, finished + 1):
            low, high = max(low, finished), min(high, finished + 1)
        high = max(low, high)
        known = (high - low) / 2 + self.clock.resolution_seconds
        return {
            "start": span.start,
            "end": (low + high) / 2,
            "start_resolution": self.precision,
            "end_resolution": known,
            "ongoing": False,
        }

    def _container(self, name: str) -> list[dict]:
        """The rows of one container: its runs as the node saw them, and what the API said in
        between."""
        ends, restarts, said, said_ended, started, waits = {}, {}, {}, {}, {}, []
        first = self.versions[0]
        for version in self.versions:
            status = next(
                (each for each in fields.statuses(version.obj) if each["name"] == name), None
            )
            if status is None:
                continue
            count, state = status.get("restartCount", 0), status.get("state") or {}
            for held, number in ((status.get("lastState") or {}, count - 1), (state, count)):
                if ended := held.get("terminated"):
                    id_ = fields.bare(ended.get("containerID") or f"{name} {number}")
                    ends.setdefault(id_, ended)
                    restarts.setdefault(id_, max(number, 0))
                    said.setdefault(id_, version.seconds)
                    said_ended.setdefault(id_, version.seconds)
                    started.setdefault(id_, ended.get("startedAt"))
            if "running" in state:
                id_ = fields.bare(status.get("containerID", ""))
                restarts.setdefault(id_, count)
                said.setdefault(id_, version.seconds)
                started.setdefault(id_, state["running"].get("startedAt"))
            elif "waiting" in state:
                since = 0.0 if version.event == "FOUND" else version.seconds
                waits.append(
                    (
                        since,
                        {
                            "state": "waiting",
                            "reason": state["waiting"].get("reason"),
                            "restarts": count,
                        },
                        "terminated" in (status.get("lastState") or {}),
                    )
                )
        points: list[tuple[float, dict]] = []
        runs: list[tuple[float, float, int]] = []
        for id_, count in restarts.items():
            ended, told = ends.get(id_), said_ended.get(id_)
            over_before = first.event == "FOUND" and told == first.seconds
            finished = self._stamp(ended.get("finishedAt")) if ended else None
            how = {
                "state": "terminated",
                "reason": (ended or {}).get("reason"),
                "restarts": count,
                **_how(ended),
            }
            if over_before:
                if ended is (self._status(first.obj, name).get("state") or {}).get("terminated"):
                    points.append((0.0, how))
                continue
            if id_ in self.spans:
                span = self.spans[id_]
                later = [
                    self.spans[other].start
                    for other in restarts
                    if other in self.spans and self.spans[other].start > span.start
                ]
                bounds = self._bounds(
                    span,
                    min((at for at in (told, *later) if at is not None), default=None),
                    finished,
                )
                mark = process_key(span.process)
            else:
                bounds, mark = (
                    self._by_stamps((self._stamp(started.get(id_)), said[id_]), (finished, told)),
                    f"{name} {count}",
                )
            points.append(
                (bounds["start"], {"state": "running", "value": mark, "restarts": count, **bounds})
            )
            runs.append((bounds["start"], bounds["end"], count))
            if not bounds["ongoing"]:
                points.append(
                    (bounds["end"], {**how, "start_resolution": bounds["end_resolution"]})
                )
        # If the API says "waiting" while the container runs on the node, that's out of date. So is
        # a wait before a run whose end the node has seen, unless it reports that end.
        points += [
            (at, what)
            for at, what, after_an_end in waits
            if not any(
                start <= at and (at < end or (count == what["restarts"] and not after_an_end))
                for start, end, count in runs
            )
        ]
        points.sort(key=lambda point: point[0])
        return self._joined(name, points)

    def _joined(self, name: str, points: list[tuple[float, dict]]) -> list[dict]:
        rows: list[dict] = []
        for number, (at, what) in enumerate(points):
            if (
                rows
                and what["state"] == "waiting" == rows[-1]["state"]
                and what["reason"] == rows[-1]["reason"]
            ):
                rows[-1]["end"] = points[number + 1][0] if number + 1 < len(points) else self.close
                rows[-1]["ongoing"] = number + 1 == len(points) and self.deleted is None
                continue
            last = number + 1 == len(points)
            until = {
                "end": max(self.close, at) if last else points[number + 1][0],
                "ongoing": last and self.deleted is None,
            }
            rows.append(row(name, "container", **{**until, **what, "start": at}))
        return [row for row in rows if row["end"] > row["start"] or row["state"] != "waiting"]

    def _by_stamps(
        self, start: tuple[float | None, float], end: tuple[float | None, float | None]
    ) -> dict:
        """A run that no look has seen: its start and end are within the whole seconds that the API
        gives, and before the API reported them."""
        began, began_known = self._second(*start)
        if end[1] is None:
            known = {"start_resolution": began_known, "end_resolution": 0.0}
            return {
                **known,
                "start": began,
                "end": max(self.close, began),
                "ongoing": self.deleted is None,
            }
        ended, ended_known = self._second(end[0], end[1])
        return {
            "start": began,
            "end": max(ended, began),
            "start_resolution": began_known,
            "end_resolution": ended_known,
            "ongoing": False,
        }

    def _second(self, stamp: float | None, told: float) -> tuple[float, float]:
        """The middle of the range in which a time lies, and how far the range reaches."""
        low = told - 1 if stamp is None else min(stamp, told)
        high = min(low + 1, told)
        return (low + high) / 2, (high - low) / 2 + self.clock.resolution_seconds

    def _stamp(self, stamp: str | None) -> float | None:
        """Converts an API timestamp, a whole second by the node's clock, to our axis: its begin."""
        return datetime.fromisoformat(stamp).timestamp() - self.zero if stamp else None

    def _status(self, pod: dict, name: str) -> dict:
        return next((each for each in fields.statuses(pod) if each["name"] == name), {})


def _how(ended: dict | None) -> dict:
    """The exit code and the signal. The runtime reports a death by signal as 128 plus its
    number."""
    if ended is None:
        return {}
    code = ended.get("exitCode")
    signal = ended.get("signal") or (code - 128 if code is not None and 128 < code < 160 else None)
    return {"exit_code": code, "signal": signal}


def agree(pod: dict | None, look: ProcessSnapshot | None) -> bool:
    """Whether the API's status shows the same containers as the node. A look during which a process
    ended agrees with nothing."""
    met = [each for each in look.processes if each.runs] if look else []
    if any(not each.cgroup_path for each in met):
        # its state was read while it was alive, its cgroup after it had left that: the next look
        # won't find it
        return False
    alive = [each for each in met if each.container_id]
    if pod is None:
        return not alive
    ids = {each.container_id for each in alive}
    running = {
        fields.bare(status.get("containerID", ""))
        for status in fields.statuses(pod)
        if "running" in (status.get("state") or {})
    }
    known = {id_ for status in fields.statuses(pod) for id_ in fields.ids(status)}
    has_pause = any(each.command == "pause" and each.container_id not in known for each in alive)
    return running == ids & known and (has_pause or not running)


def row(lane: str, kind: str, **what: Any) -> dict:
    """One row of a recording's table; columns that aren't given are None, or 0, or False."""
    usual = {
        "lane": lane,
        "kind": kind,
        "start_resolution": 0.0,
        "end_resolution": 0.0,
        "ongoing": False,
    }
    return {**dict.fromkeys(COLUMNS), **usual, **what}


def rows_of(
    lane: str,
    kind: str,
    steps: Sequence[tuple[float, Any]],
    words: Callable[[Any], dict],
    ended: float,
) -> list[dict]:
    """Makes rows for something that lasts from one moment to the next.

    Args:
        lane, kind: those of the rows.
        steps: (seconds, what was true from then on); None if there was nothing.
        words: the columns of a row that it fills: ``state``, ``value``, ``reason``.
        ended: when the recording ended, in seconds.
    """
    rows, now, since = [], None, 0.0
    for seconds, found in steps:
        if found != now:
            if now is not None:
                rows.append(row(lane, kind, **words(now), start=since, end=seconds))
            now, since = found, seconds
    if now is not None:
        rows.append(row(lane, kind, **words(now), start=since, end=ended, ongoing=True))
    return rows


def process_key(process: Process) -> str:
    return f"{process.pid}@{process.started_ticks}"
