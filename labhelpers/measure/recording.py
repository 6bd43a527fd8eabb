"""A Pod's life, recorded: begun before the Pod exists, with nothing lost.

Two threads watch at once. One follows the API: it lists, then watches from the list's version, and
keeps every version of the Pod with the moment at which it came. The other looks at the processes on
the node: at the begin, after each version, at the end, and five times a second in between. Both end
with the ``with`` block. What a process did is dated by the node (its start to a hundredth of a
second, its end to the two looks around it); what only the API says is dated by when the API said
it.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labhelpers.charts import chart as charts
from labhelpers.errors import LabError, Refused, Unreachable
from labhelpers.kube import fields
from labhelpers.kube.client import Connection
from labhelpers.kube.watching import Watch
from labhelpers.node.node import Node
from labhelpers.node.processes import (
    TICKS_PER_SECOND,
    Clock,
    Process,
    ProcessSnapshot,
    ProcessWatch,
)
from labhelpers.transcript import told

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Moment", "Recording", "Version"]

BEAT_SECONDS = 0.2
LOOKS_SECONDS = 60.0  # so long one connection is looked through, then through the next
# the API and the node mostly agree within two; a busy kubelet takes a sandbox down in more than
# five
SETTLE_SECONDS = 15.0
JOIN_SECONDS = 15.0  # longer than the longest look may take
WATCH_SECONDS = 300.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 1.0
TOO_OLD = 410


@dataclass(frozen=True, eq=False)
class Moment:
    """A moment of a recording, and how well it is known: it lies within ``resolution_seconds`` on
    either side of ``seconds``.

    Two moments that are closer than what is known of them cannot be put in order, and trying to is
    an error.

    >>> Moment(1.0, 0.1) < Moment(1.5, 0.1)
    True
    >>> Moment(1.0, 0.3) < Moment(1.5, 0.3)
    Traceback (most recent call last):
        ...
    labhelpers.errors.LabError: Which of the two came first cannot be told.
    Seen: 1.00 s and 1.50 s, each known to 0.30 s and 0.30 s
    Do:   Compare moments that lie further apart, or ask for what is known in order: the API's own versions.
    """

    seconds: float
    resolution_seconds: float

    def __lt__(self, other: "Moment") -> bool:
        if abs(self.seconds - other.seconds) <= self.resolution_seconds + other.resolution_seconds:
            known = f"{self.resolution_seconds:.2f} s and {other.resolution_seconds:.2f} s"
            raise LabError(
                "Which of the two came first cannot be told.",
                f"{self.seconds:.2f} s and {other.seconds:.2f} s, each known to {known}",
                "Compare moments that lie further apart, or ask for what is known in order: the"
                " API's own versions.",
            )
        return self.seconds < other.seconds

    def __gt__(self, other: "Moment") -> bool:
        return other < self


@dataclass(frozen=True)
class Version:
    """What the API said: the whole Pod, and when and how it came: FOUND at the begin, ADDED,
    MODIFIED, DELETED, or LISTED again."""

    seconds: float
    event: str
    pod: dict = field(repr=False)

    @property
    def conditions(self) -> dict[str, str]:
        """Condition to "True", "False" or "Unknown"."""
        return {name: each["status"] for name, each in fields.conditions(self.pod).items()}

    @property
    def containers(self) -> list[str]:
        """The names of all containers in the Pod's spec."""
        return [each["name"] for each in fields.containers(self.pod)]

    @property
    def container_ids(self) -> dict[str, str]:
        """Name of the container by its id, for all ids in the status, the ended ones as well."""
        return {
            id_: status["name"]
            for status in fields.statuses(self.pod)
            for id_ in fields.ids(status)
        }

    @property
    def address(self) -> str:
        """The Pod's address in its status; "" while there is none."""
        return self.pod.get("status", {}).get("podIP") or ""


class Recording:
    """Records the life of one Pod while its ``with`` block runs.

    Args:
        connection: an open connection.
        node: the node from the inside.
        namespace, name: of the Pod, which need not exist yet. If another Pod of that name follows,
            it is the last one's life that is told.
        beat_seconds: how often the node is looked at, beside the looks that follow what the API
            says.

    Attributes:
        stamps: what others learn of the node's clock meanwhile, as ``Clock.between`` takes it; it
            makes the moments more exact.

    Raises:
        LabError: at the end of the block, if one of the threads had to give up.

    >>> with lab.recording("one-app") as life:                          # doctest: +SKIP
    ...     lab.node.kill(pod.container("app"))
    ...     pod.container("app").wait_until("restarted", timeout_seconds=20)
    >>> life.address                                                    # doctest: +SKIP
    'stays'
    """

    def __init__(
        self,
        connection: Connection,
        node: Node,
        namespace: str,
        name: str,
        *,
        beat_seconds: float = BEAT_SECONDS,
    ):
        self.name, self.namespace, self._beat_seconds = name, namespace, beat_seconds
        self.versions: list[Version] = []
        self._api, self._node = connection.within(namespace), node
        self.transcript = connection.transcript
        self._selector = f"metadata.name={name}"
        self.stamps: list[tuple[float, float, float]] = []
        self._looks: list[tuple[str, ProcessSnapshot]] = []
        self._seen: set[str] = set()
        self._marks: list[tuple[float, str]] = []
        self._watch: Watch | None = None
        self._through: ProcessWatch | None = None
        self._stop, self._wanted = threading.Event(), threading.Event()
        self._news = threading.Condition()
        self._errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._began = 0.0
        self._ended: float | None = None

    def __repr__(self) -> str:
        return f"Recording of Pod {self.name}"

    @told
    def __enter__(self) -> "Recording":
        which = f"--namespace {self.namespace} --field-selector {self._selector}"
        self._api.transcript.note(
            f"kubectl get pods {which} --watch --output-watch-events --request-timeout=5s"
        )
        self._began = time.time()
        version = self._list("FOUND")
        self._look()
        for work in (lambda: self._follow(version), self._keep_looking):
            thread = threading.Thread(
                target=self._guarded,
                args=(work,),
                name=f"podlab-recording-{self.name}",
                daemon=True,
            )
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        last = None
        try:
            if kind is None:
                last = self._settle()
        finally:
            self._end()
            if last and last["metadata"]["resourceVersion"] not in self._seen:
                self._keep("LISTED", last)
            self._ended = time.time() - self._began
        if kind is None and self._errors:
            raise self._errors[0]

    @cached_property
    def intervals(self) -> "DataFrame":
        """What was so, from when to when: a row for each interval, in seconds since the recording
        began, lane by lane.

        Lanes are ``address``, each condition, ``network`` (the network namespace), ``pause``, and
        each container. The columns:

        - ``lane``, ``kind`` (address, condition, network, pause, container), ``state`` (running,
          waiting, terminated, set, True, False);
        - ``value``: what tells one from another: the address, or a mark of the process; ``reason``:
          Kubernetes' own word;
        - ``exit_code``, ``signal``, ``restarts``: of a container; ``start`` is below 0 for a
          process that was there before;
        - ``start_resolution``, ``end_resolution``: the truth lies within so much on either side; 0
          where the API's word is what is dated;
        - ``ongoing``: still so when the recording ended.
        """
        if self._ended is None:
            raise LabError(
                "The recording is still running.",
                f"the with block of {self.name} has not ended",
                "Ask behind the block.",
            )
        return self.so_far()

    def so_far(self) -> "DataFrame":
        """``intervals`` as far as they are known at this moment, for a picture that is drawn while
        the recording still runs."""
        import pandas

        ended = time.time() - self._began if self._ended is None else self._ended
        versions = [each for each in list(self.versions) if _uid(each.pod) == self._uid]
        looks = sorted(
            (look for uid, look in list(self._looks) if uid == self._uid),
            key=lambda look: look.begin_seconds,
        )
        return pandas.DataFrame(
            _Life(versions, looks, self._began, ended, self.stamps).rows(),
            columns=list(charts.COLUMNS),
        )

    @property
    def began_seconds(self) -> float:
        """When the recording began, by our clock, since 1970: the zero of its axis."""
        return self._began

    @property
    def cpu_seconds(self) -> float:
        """CPU time that the looks have taken on the node so far, in seconds."""
        return sum(look.cpu_seconds for _, look in list(self._looks))

    @property
    def facts(self) -> dict[str, Any]:
        """What stayed and what did not, computed from ``intervals``: see ``charts.facts``."""
        return charts.facts(self.intervals)

    @property
    def address(self) -> str:
        """What the Pod's address did: "stays", "changes" or "is gone".

        Raises:
            LabError: the Pod never had one.
        """
        said = self.facts["address"]
        if said is None:
            raise LabError(
                f"Pod {self.name} had no address while it was recorded.",
                self._last_words(),
                "Wait until it is Ready first.",
            )
        return {"same": "stays", "changed": "changes", "gone": "is gone"}[said]

    @property
    def moments(self) -> dict[str, Moment]:
        """When each interval began, by lane and state: ``moments["app running"]``, ``moments["app
        running 2"]`` after a restart. Of what can end without a next state (pause, the network, the
        address) also the end: ``moments["pause ended"]``."""
        found: dict[str, Moment] = {}

        def add(name: str, seconds: float, resolution: float) -> None:
            number = 2
            key = name
            while key in found:
                key, number = f"{name} {number}", number + 1
            found[key] = Moment(seconds, resolution)

        for row in self.intervals.itertuples():
            add(f"{row.lane} {row.state}", row.start, row.start_resolution)
            if row.kind in ("address", "network", "pause") and not row.ongoing:
                add(f"{row.lane} ended", row.end, row.end_resolution)
        return found

    def chart(
        self, title: str, lanes: Sequence[str] | None = None, tell: Sequence[str] = charts.TELL
    ) -> charts.Chart:
        """The life as a picture: see ``charts.timeline``, which has the arguments."""
        return charts.timeline(self.intervals, title, lanes, tell, self._marks)

    def mark(self, words: str) -> None:
        """Writes down what we did just now; the picture has it as a line across.

        Example::

            with lab.recording("one-app") as life:
                lab.node.kill(pod.container("app"))
                life.mark("we kill the app")
        """
        self._marks.append((time.time() - self._began, words))

    # --- the two threads --------------------------------------------------------------------------

    @property
    def _uid(self) -> str:
        return _uid(self.versions[-1].pod) if self.versions else ""

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            with self._news:
                if not self._stop.is_set():
                    self._errors.append(error)
                self._news.notify_all()

    def _keep(self, event: str, pod: dict) -> None:
        with self._news:
            if event != "DELETED" and pod["metadata"]["resourceVersion"] in self._seen:
                return
            self._seen.add(pod["metadata"]["resourceVersion"])
            self.versions.append(Version(time.time() - self._began, event, pod))
            self._news.notify_all()
        self._wanted.set()

    def _list(self, event: str = "LISTED") -> str:
        """Keeps what there is, and returns the version to watch from."""
        listed = self._api.list("Pod", field_selector=self._selector)
        for pod in listed["items"]:
            self._keep(event, pod)
        if not listed["items"] and self.versions and self.versions[-1].event != "DELETED":
            self._keep("DELETED", self.versions[-1].pod)
        return listed["metadata"]["resourceVersion"]

    def _follow(self, version: str) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stop.is_set():
            news = False
            try:
                version = version or self._list()
                watch = self._api.watch(
                    "Pod",
                    field_selector=self._selector,
                    resource_version=version,
                    timeout_seconds=WATCH_SECONDS,
                )
                with watch:
                    self._watch = watch
                    try:
                        # The other thread closes what it finds in _watch, after it has set _stop:
                        # one of the two sees the other.
                        for event, pod in () if self._stop.is_set() else watch:
                            self._keep(event, pod)
                            news = True
                    finally:
                        version = watch.resource_version
            except Refused as refused:
                if refused.code == TOO_OLD:
                    version = ""  # List anew, and again if that is not answered.
                elif refused.code < 429:  # 429 and 5xx pass, the rest does not
                    raise
            except Unreachable:
                # Watch on from the last version: nothing is lost as long as the server still has
                # it.
                pass
            pause = FIRST_PAUSE_SECONDS if news else min(2 * pause, LONGEST_PAUSE_SECONDS)
            self._stop.wait(pause)

    def _keep_looking(self) -> None:
        try:
            while not self._stop.is_set():
                self._wanted.wait(self._beat_seconds)
                self._wanted.clear()
                if self._uid and not self._stop.is_set():
                    try:
                        self._look_through(self._uid)
                    except LabError:
                        # What fails widens what is not known; the last look, at the end, has to
                        # succeed.
                        self._look_no_more()
                        self._stop.wait(BEAT_SECONDS)
        finally:
            self._look_no_more()

    def _look_through(self, uid: str) -> None:
        if self._through is None or self._through.pod_uid != uid:
            self._look_no_more()
            self._through = self._node.looks(uid, timeout_seconds=LOOKS_SECONDS)
        self._looks.append((uid, self._through.look()))

    def _look_no_more(self) -> None:
        if self._through is not None:
            self._through.close()
            self._through = None

    def _look(self) -> ProcessSnapshot | None:
        if not (uid := self._uid):
            return None
        look = self._node.look(uid)
        self._looks.append((uid, look))
        return look

    def _settle(self) -> dict | None:
        """One last list and one last look, which have to agree: the API's status lags the node by a
        second. Returns the Pod as listed."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            pod = next(iter(self._api.list("Pod", field_selector=self._selector)["items"]), None)
            version = pod["metadata"]["resourceVersion"] if pod else None
            # what is listed is on its way through the watch, with all that came before it
            with self._news:
                self._news.wait_for(
                    lambda version=version: self._caught_up(version) or self._errors, timeout=1
                )
            look = self._look()
            if _agree(pod, look) or self._errors or time.monotonic() >= deadline:
                return pod
            with self._news:
                self._news.wait(BEAT_SECONDS)

    def _caught_up(self, version: str | None) -> bool:
        return (
            version in self._seen
            if version
            else not self.versions or self.versions[-1].event == "DELETED"
        )

    def _end(self) -> None:
        self._stop.set()
        self._wanted.set()
        if self._watch is not None:
            self._watch.close()
        if (through := self._through) is not None:
            through.close()
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            while thread.is_alive() and time.monotonic() < deadline:
                thread.join(0.2)
                if self._watch is not None:  # one that was opened while the first was being closed
                    self._watch.close()
                if (through := self._through) is not None:
                    through.close()
        if alive := [thread.name for thread in self._threads if thread.is_alive()]:
            seen = f"still alive after {JOIN_SECONDS:g} s: {alive[0]}"
            self._errors.append(
                LabError("A recording did not end.", seen, "Restart the kernel, then run again.")
            )

    def _last_words(self) -> str:
        return (
            f"phase {self.versions[-1].pod.get('status', {}).get('phase')}"
            if self.versions
            else "no Pod of that name"
        )


# --- from versions and looks to intervals ---------------------------------------------------------


@dataclass
class _Span:
    """How long something on the node was there: from ``start`` on; last seen in a look that began
    then; not in a look that ended then."""

    process: Process
    start: float
    last_seen: float
    not_seen: float | None = None
    members: set = field(default_factory=set)


class _Life:
    """One Pod's versions and looks as rows. Everything in it is in seconds since the recording
    began, by our clock."""

    def __init__(
        self,
        versions: Sequence[Version],
        looks: Sequence[ProcessSnapshot],
        began: float,
        ended: float,
        stamps: Sequence[tuple] = (),
    ):
        self.versions, self.ended = versions, ended
        # Each look reads the node's clock a moment after its uptime, sooner or later: the soonest
        # is right for all.
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
            name for version in self.versions for name in fields.conditions(version.pod)
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
                value = str(number + 1) if lane == "network" else _mark(span.process)
                rows.append(self._row(lane, lane, state="running", value=value, **bounds))
        for name in dict.fromkeys(
            each["name"] for version in self.versions for each in fields.containers(version.pod)
        ):
            rows += self._container(name)
        return rows

    def _row(self, lane: str, kind: str, **what: Any) -> dict:
        usual = {
            "lane": lane,
            "kind": kind,
            "start_resolution": 0.0,
            "end_resolution": 0.0,
            "ongoing": False,
        }
        return {**dict.fromkeys(charts.COLUMNS), **usual, **what}

    def _told(
        self, lane: str, kind: str, read: Callable[[dict], Any], words: Callable[[Any], dict]
    ) -> list[dict]:
        """Rows for something that stands in the Pod's status, dated by when the API said it."""
        rows, now, since = [], None, 0.0
        for version in self.versions:
            found = read(version.pod) if version.event != "DELETED" else None
            if found != now:
                if now is not None:
                    rows.append(
                        self._row(lane, kind, **words(now), start=since, end=version.seconds)
                    )
                now, since = found, 0.0 if version.event == "FOUND" else version.seconds
        if now is not None:
            rows.append(
                self._row(lane, kind, **words(now), start=since, end=self.ended, ongoing=True)
            )
        return rows

    def _spans(self, looks: Sequence[ProcessSnapshot]) -> tuple[dict[str, _Span], list[_Span]]:
        """The first process of each container, by its id, and the network namespaces that these
        were in.

        An inode number can be given again after its namespace is gone. So equal numbers in two
        looks are one namespace only if a process was in it both times, or if it is the node's own.
        """
        firsts: dict[str, _Span] = {}
        networks: list[_Span] = []
        for look in looks:
            begin, end = (at - self.zero for at in self._when(look))
            alive = {each.identity: each for each in look.processes if each.runs}
            for each in alive.values():  # oldest first
                if each.container_id and each.container_id not in firsts:
                    firsts[each.container_id] = _Span(each, self._start(each), begin)
            in_network: dict[int, set] = {}
            for span in firsts.values():
                if found := alive.get(span.process.identity):
                    span.last_seen = begin
                    if (
                        "net" in found.namespaces
                    ):  # one that is just dying has left its namespaces already
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
                    networks.append(_Span(oldest, self._start(oldest), begin, members=members))
                for span in same:
                    span.last_seen = begin
                    span.members |= members
            for span in open_:
                if span.last_seen < begin:
                    span.not_seen = end
        return firsts, networks

    def _when(self, look: ProcessSnapshot) -> tuple[float, float]:
        """Begin and end of a look, by the node's clock."""
        late = look.booted_seconds - self.booted
        return look.begin_seconds - late, look.end_seconds - late

    def _start(self, process: Process) -> float:
        return self.booted + process.started_ticks / TICKS_PER_SECOND - self.zero

    def _bounds(
        self, span: _Span, latest: float | None = None, finished: float | None = None
    ) -> dict:
        """Start and end of a span, with what is known of each. ``latest``: it had ended by then,
        for the API said so, or the next of its kind began; ``finished``: the whole second that the
        API gives for its end."""
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
        """The rows of one container: runs as the node saw them, and between them what the API
        said."""
        ends, restarts, said, said_ended, started, waits = {}, {}, {}, {}, {}, []
        first = self.versions[0]
        for version in self.versions:
            status = next(
                (each for each in fields.statuses(version.pod) if each["name"] == name), None
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
                    )
                )
        points: list[tuple[float, dict]] = []
        runs: list[tuple[float, float]] = []
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
                if ended is (self._status(first.pod, name).get("state") or {}).get("terminated"):
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
                mark = _mark(span.process)
            else:
                bounds, mark = (
                    self._by_stamps((self._stamp(started.get(id_)), said[id_]), (finished, told)),
                    f"{name} {count}",
                )
            points.append(
                (bounds["start"], {"state": "running", "value": mark, "restarts": count, **bounds})
            )
            runs.append((bounds["start"], bounds["end"]))
            if not bounds["ongoing"]:
                points.append(
                    (bounds["end"], {**how, "start_resolution": bounds["end_resolution"]})
                )
        # A wait that is said to be while the container runs on the node is old news.
        points += [
            (at, what) for at, what in waits if not any(start <= at < end for start, end in runs)
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
            rows.append(self._row(name, "container", **{**until, **what, "start": at}))
        return [row for row in rows if row["end"] > row["start"] or row["state"] != "waiting"]

    def _by_stamps(
        self, start: tuple[float | None, float], end: tuple[float | None, float | None]
    ) -> dict:
        """A run that no look has met: each end lies in the whole second that the API gives, and
        before the API told of it."""
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
        """The middle of what is known, and how far it reaches."""
        low = told - 1 if stamp is None else min(stamp, told)
        high = min(low + 1, told)
        return (low + high) / 2, (high - low) / 2 + self.clock.resolution_seconds

    def _stamp(self, stamp: str | None) -> float | None:
        """An API time stamp: the whole second by the node's clock, at its begin."""
        return datetime.fromisoformat(stamp).timestamp() - self.zero if stamp else None

    def _status(self, pod: dict, name: str) -> dict:
        return next((each for each in fields.statuses(pod) if each["name"] == name), {})


def _how(ended: dict | None) -> dict:
    """Exit code and signal. The runtime tells a death by signal as 128 and the signal's number."""
    if ended is None:
        return {}
    code = ended.get("exitCode")
    signal = ended.get("signal") or (code - 128 if code is not None and 128 < code < 160 else None)
    return {"exit_code": code, "signal": signal}


def _agree(pod: dict | None, look: ProcessSnapshot | None) -> bool:
    """Whether the API's status tells of the same containers as the node. A look in which a process
    ended tells of neither."""
    met = [each for each in look.processes if each.runs] if look else []
    if any(not each.cgroup_path for each in met):
        # its state was read while it lived, its cgroup when it had left that: the next look will
        # not find it
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


def _uid(pod: dict) -> str:
    return pod["metadata"].get("uid", "")


def _mark(process: Process) -> str:
    return f"{process.pid}@{process.started_ticks}"
