"""Records a Pod's life from before the Pod exists, without missing anything.

Several threads watch at once. Each follows one kind of object: it lists, then watches from the
list's version, and keeps every version with the time at which it came (``changes``). Another looks
at the processes on the node (``looks``). All end with the ``with`` block. ``life`` turns what was
seen about a Pod into intervals, and ``beside`` does so for the rest.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labhelpers.charts import timeline as charts
from labhelpers.charts.chart import Chart
from labhelpers.charts.lanes import Lane
from labhelpers.errors import LabError
from labhelpers.kube.client import Connection
from labhelpers.kube.kinds import check_name, selector
from labhelpers.measure import beside
from labhelpers.measure.changes import Changes, Version
from labhelpers.measure.clock import Moment
from labhelpers.measure.life import Life, agree
from labhelpers.measure.looks import BEAT_SECONDS, Looks
from labhelpers.node.node import Node
from labhelpers.patience import patient
from labhelpers.polling import poll
from labhelpers.transcript import told

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Recording"]

# the API and the node usually agree within two seconds, but a busy kubelet needs more than five to
# remove a sandbox
SETTLE_SECONDS = 15.0
JOIN_SECONDS = 15.0  # longer than the longest look may take


class Recording:
    """Records Pods' lives while its ``with`` block runs, and what happens beside them.

    Args:
        connection: an open connection.
        node: the node from the inside.
        namespace: the Pods' namespace.
        names: the Pods' names. They needn't exist yet. If another Pod of the same name follows, the
            result is about the last one.
        labels: a label selector instead of names: ``"app=web"``.
        also: other kinds to follow in the namespace: ``"EndpointSlice"`` adds the lane ``endpoint
            ready``, ``"Event"`` the lane ``events``, any other the conditions of its objects.
        beat_seconds: how often to look at the node, in addition to the looks after each change that
            the API reports.
        stamps: returns what others have measured about the node's clock, in the form of
            ``Clock.between``; it makes the moments more precise.

    Raises:
        LabError: neither names nor labels, or both, or an invalid name; at the end of the block, if
            one of the threads gave up.

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
        *names: str,
        labels: str = "",
        also: Sequence[str] = (),
        beat_seconds: float = BEAT_SECONDS,
        stamps: Callable[[], Sequence[tuple[float, float, float]]] = tuple,
    ):
        if bool(names) == bool(labels):
            raise LabError(
                "A recording needs Pods: by name, or by labels.",
                f"names {', '.join(names) or 'none'}; labels {labels or 'none'}",
                'Write lab.recording("web") or lab.recording(labels="app=web").',
            )
        names, also = tuple(dict.fromkeys(names)), tuple(dict.fromkeys(also))
        for name in names:
            check_name("Pod", name)
        self.namespace, self._names, self._labels, self._also = namespace, names, labels, also
        self._beat_seconds = beat_seconds
        self._api, self._node = connection.within(namespace), node
        self.transcript = connection.transcript
        # A field selector finds one name, but it has no "or": several are selected here.
        self._selector = selector("Pod", names[0]) if len(names) == 1 else ""
        self._stamps = stamps
        self._annotations: list[tuple[float, str]] = []
        self._news = threading.Condition()
        self._began = 0.0
        self._ended: float | None = None
        self._make_followers()

    def __repr__(self) -> str:
        return f"Recording of Pod {', '.join(self._names) or self._labels}"

    @told
    def __enter__(self) -> "Recording":
        self._began = time.time()
        self._make_followers()
        for followed in self._followed:
            self._api.transcript.note(self._typed(followed))
        try:
            for followed in self._followed:
                followed.start(f"podlab-recording-{followed.kind}")
            self._looks.start("podlab-recording-looks")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        try:
            if kind is None:
                self._settle()
        finally:
            self._end()
            self._ended = time.time() - self._began
        if kind is None and (errors := self._errors):
            raise errors[0]

    @property
    def versions(self) -> list[Version]:
        """Every version of the recorded Pods, in order."""
        return self._pods.versions

    def versions_of(self, kind: str) -> list[Version]:
        """Every version of the objects of a kind that ``also`` names, in order.

        Raises:
            LabError: that kind isn't followed.

        Example::

            with lab.recording("web", also=["EndpointSlice"]) as life:
                ...
            life.versions_of("EndpointSlice")[-1].obj["endpoints"]
        """
        for followed in self._followed[1:]:
            if followed.kind == kind:
                return followed.versions
        raise LabError(
            f"The recording doesn't follow {kind!r}.",
            f"it follows {', '.join(['Pod', *self._also])}",
            f'Start it with also=["{kind}"].',
        )

    @property
    def events(self) -> "DataFrame":
        """Events in the Pods' namespace since the recording began: ``seconds``, ``object``,
        ``type``, ``reason``, ``message``, ``count``. A repeated event has a row for each repetition
        that Kubernetes reported."""
        import pandas

        names = ["seconds", "object", "type", "reason", "message", "count"]
        return pandas.DataFrame(beside.events(self.versions_of("Event")), columns=names)

    @cached_property
    def intervals(self) -> "DataFrame":
        """What was true, from when to when: a row for each interval, in seconds since the recording
        began, lane by lane.

        Lanes are ``address``, each condition, ``network`` (the network namespace), ``pause``, and
        each container; then those of ``also``. With several Pods, each lane begins with its Pod's
        name: ``web-1: app``. The columns:

        - ``lane``, ``kind`` (address, condition, network, pause, container, event), ``state``
          (running, waiting, terminated, set, True, False; for an event, its reason);
        - ``value``: what distinguishes one from another: the address, or an id of the process;
          ``reason``: Kubernetes' own word;
        - ``exit_code``, ``signal``, ``restarts``: those of a container; ``start`` is below 0 for a
          process that was there before;
        - ``start_resolution``, ``end_resolution``: the uncertainty, in either direction; 0 if the
          row is about what the API said;
        - ``ongoing``: whether it was still true when the recording ended.
        """
        if self._ended is None:
            raise LabError(
                "The recording is still running.",
                f"the with block of the {self!r} hasn't ended",
                "Move this line after the with block.",
            )
        return self.so_far()

    def so_far(self) -> "DataFrame":
        """``intervals`` as far as they're known now, while the recording is still running."""
        import pandas

        ended = time.time() - self._began if self._ended is None else self._ended
        lives, rows = self._lives(), []
        for name, uid in lives.items():
            versions = [each for each in list(self.versions) if each.uid == uid]
            own = Life(versions, self._looks.of(uid), self._began, ended, self._stamps()).rows()
            whose = "" if self._one else f"{name}: "
            rows += [{**row, "lane": whose + row["lane"]} for row in own]
        seen = {each.kind: list(each.versions) for each in self._followed[1:]}
        rows += beside.beside(seen, list(lives), ended)
        return pandas.DataFrame(rows, columns=list(charts.COLUMNS))

    @property
    def began_seconds(self) -> float:
        """When the recording began, by our clock, since 1970: the zero of its axis."""
        return self._began

    def seconds_of(self, node_seconds: float) -> float:
        """Where a moment by the node's clock lies on the recording's axis.

        Args:
            node_seconds: in seconds since 1970, such as the stamp of a log line.

        Example::

            for stamp, text in stamped_lines(lab.node, lab.namespace, pod.name, pod.uid, "app"):
                print(life.seconds_of(stamp), text)
        """
        looks = [look for _, look in list(self._looks.taken)]
        return node_seconds - Life([], looks, self._began, 0.0, self._stamps()).zero

    @property
    def cpu_seconds(self) -> float:
        """The CPU time that the looks have used on the node so far, in seconds."""
        return sum(look.cpu_seconds for _, look in list(self._looks.taken))

    @property
    def facts(self) -> dict[str, Any]:
        """What stayed and what didn't, computed from ``intervals``: see ``charts.facts``."""
        return charts.facts(self.intervals)

    @property
    def address(self) -> str:
        """What happened to the Pod's address: "stays", "changes" or "is gone".

        Raises:
            LabError: the Pod never had one.
        """
        said = self.facts["address"]
        if said is None:
            raise LabError(
                f"The {self!r} saw no address.",
                self._last_words(),
                "Wait inside the block until the Pod is Ready.",
            )
        return {"same": "stays", "changed": "changes", "gone": "is gone"}[said]

    @property
    def moments(self) -> dict[str, Moment]:
        """When each interval began, by lane and state: ``moments["app running"]``, ``moments["app
        running 2"]`` after a restart. What can end without a next state (pause, the network, the
        address) also has an end: ``moments["pause ended"]``."""
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

    def when(self, states: Mapping[str, str]) -> list[tuple[float, float]]:
        """From when to when several lanes were each in a state, at the same time, in seconds.

        Example::

            life.when({"Ready": "True", "app": "terminated"})
        """
        return charts.when(self.intervals, states)

    def chart(
        self,
        title: str,
        lanes: Sequence[str | Lane] | None = None,
        tell: Sequence[str] | None = None,
        notes: Iterable[tuple[float, float, str]] = (),
        predicted: Iterable[tuple[float, str]] = (),
    ) -> Chart:
        """Draws the life: see ``charts.timeline`` for the arguments. With several Pods, the finding
        is about the containers, unless ``tell`` says otherwise. Inside the block, it's the life so
        far.

        Example::

            spans = life.when({"Ready": "True", "app": "terminated"})
            notes = [(*span, "Ready, but not running") for span in spans]
            life.chart("The app is killed. What changes?", ["app", "Ready", "pause"], notes=notes)
        """
        frame = self.so_far()
        if self._ended is None and lanes is not None:
            # What hasn't come yet isn't missing.
            there = set(frame["lane"])
            lanes = [each for each in lanes if isinstance(each, Lane) or each in there]
        if tell is None:
            tell = charts.TELL if self._one else ("containers",)
        marks = self.annotations
        return charts.timeline(frame, title, lanes, tell, marks, notes, predicted)

    def annotate(self, words: str) -> None:
        """Notes what we did just now. The picture shows it as a line across.

        Example::

            with lab.recording("one-app") as life:
                lab.node.kill(pod.container("app"))
                life.annotate("we kill the app")
        """
        self._annotations.append((time.time() - self._began, words))

    @property
    def annotations(self) -> list[tuple[float, str]]:
        """The notes of ``annotate``: (seconds, words)."""
        return list(self._annotations)

    # --- what watches -----------------------------------------------------------------------------

    def _make_followers(self) -> None:
        """Makes new followers for each block, so that nothing stays from an earlier one."""

        def follow(kind: str, **which: Any) -> Changes:
            return Changes(self._api, kind, began=self._began, news=self._heard, **which)

        which = {"selector": self._selector, "labels": self._labels, "wanted": self._is_ours}
        self._pods = follow("Pod", **which)
        self._followed = [self._pods, *map(follow, self._also)]
        self._looks = Looks(
            self._node, self._alive, beat_seconds=self._beat_seconds, news=self._heard
        )

    def _typed(self, followed: Changes) -> str:
        """The line of kubectl that shows the same."""
        plural = self._api.kinds.plural(followed.kind)
        which = f" --selector {self._labels}" if self._labels else ""
        which = f" --field-selector {self._selector}" if self._selector else which
        return (
            f"kubectl get {plural} --namespace {self.namespace}"
            f"{which if followed is self._pods else ''}"
            " --watch --output-watch-events --request-timeout=5s"
        )

    def _is_ours(self, pod: dict) -> bool:
        return bool(self._labels) or pod["metadata"]["name"] in self._names

    @property
    def _one(self) -> bool:
        return len(self._names) == 1

    def _lives(self) -> dict[str, str]:
        """UID by name: for each name, the last Pod that had it."""
        return {version.name: version.uid for version in list(self.versions)}

    def _alive(self) -> list[str]:
        """The Pods to look at on the node. If there are several, one whose processes have all ended
        is left out once it's gone from the API."""
        uids = list(self._lives().values())
        if self._one:
            return uids
        there = {version.uid for version in self._pods.now()}
        return [uid for uid in uids if uid in there or self._has_processes(uid)]

    def _has_processes(self, uid: str) -> bool:
        look = self._looks.last(uid)
        return look is None or bool(look.processes)

    @property
    def _errors(self) -> list[BaseException]:
        return [each.error for each in (*self._followed, self._looks) if each.error is not None]

    def _heard(self) -> None:
        self._looks.wake()
        with self._news:
            self._news.notify_all()

    def _settle(self) -> None:
        """Repeats a last list and a last look until they agree: the API's status lags the node by a
        second."""
        listed: list[dict] = []

        def settled() -> object:
            nonlocal listed
            listed = list(filter(self._is_ours, self._list(self._pods)))
            # the watch still delivers what is in the list, and everything before it
            with self._news:
                done = self._news.wait_for(
                    lambda: self._errors or self._caught_up(listed), timeout=1
                )
            looks = self._looks.look()
            there = {pod["metadata"].get("uid", ""): pod for pod in listed}
            same = all(agree(there.get(uid), look) for uid, look in looks.items())
            return self._errors or (done and same)

        def wait(seconds: float) -> None:
            with self._news:
                self._news.wait(seconds)

        poll(
            settled, timeout_seconds=patient(SETTLE_SECONDS), every_seconds=BEAT_SECONDS, wait=wait
        )
        self._pods.take_list(listed)
        for followed in self._followed[1:]:
            followed.take_list(self._list(followed))

    def _list(self, followed: Changes) -> list[dict]:
        of_pods = followed is self._pods
        return self._api.list(
            followed.kind,
            field_selector=self._selector if of_pods else "",
            label_selector=self._labels if of_pods else "",
        )["items"]

    def _caught_up(self, listed: list[dict]) -> bool:
        there = {pod["metadata"].get("uid", "") for pod in listed}
        return all(map(self._pods.knows, listed)) and all(
            version.uid in there for version in self._pods.now()
        )

    def _end(self) -> None:
        watching = (*self._followed, self._looks)

        def alive() -> list[str]:
            # Each time: a stream may have been opened while another was being closed.
            for each in watching:
                each.close()
            threads = [each.thread for each in watching if each.thread]
            return [thread.name for thread in threads if thread.is_alive()]

        poll(lambda: not alive(), timeout_seconds=patient(JOIN_SECONDS), every_seconds=0.02)
        if left := alive():
            seen = f"still alive after {patient(JOIN_SECONDS):g} s: {left[0]}"
            self._looks.error = LabError(
                "A recording didn't end.", seen, "Restart the kernel, then run the lab again."
            )

    def _last_words(self) -> str:
        return (
            f"phase {self.versions[-1].obj.get('status', {}).get('phase')}"
            if self.versions
            else "no Pod of that name"
        )
