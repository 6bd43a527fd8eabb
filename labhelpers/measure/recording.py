"""A Pod's life, recorded: begun before the Pod exists, with nothing lost.

Two threads watch at once. One follows the API: it lists, then watches from the list's version, and
keeps every version of the Pod with the moment at which it came. The other looks at the processes on
the node: at the start, after each version, at the end, and five times a second in between. Both end
with the ``with`` block. ``life`` makes intervals of what they have seen.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labhelpers.charts import timeline as charts
from labhelpers.charts.chart import Chart
from labhelpers.errors import LabError, Refused, Unreachable
from labhelpers.kube.client import Connection
from labhelpers.kube.kinds import selector
from labhelpers.kube.watching import Watch
from labhelpers.measure.clock import Moment
from labhelpers.measure.life import Life, Version, agree, uid
from labhelpers.node.node import Node
from labhelpers.node.processes import ProcessSnapshot, ProcessWatch
from labhelpers.polling import poll
from labhelpers.transcript import told

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Recording"]

BEAT_SECONDS = 0.2
LOOKS_SECONDS = 60.0  # so long one connection is looked through, then through the next
# the API and the node mostly agree within two; a busy kubelet takes a sandbox down in more than
# five
SETTLE_SECONDS = 15.0
JOIN_SECONDS = 15.0  # longer than the longest look may take
WATCH_SECONDS = 300.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 1.0
TOO_OLD = 410


class Recording:
    """Records the life of one Pod while its ``with`` block runs.

    Args:
        connection: an open connection.
        node: the node from the inside.
        namespace, name: of the Pod, which need not exist yet. If another Pod of that name follows,
            it is the last one's life that is told.
        beat_seconds: how often the node is looked at, beside the looks that follow what the API
            says.
        stamps: asked for what somebody else has learnt of the node's clock meanwhile, as
            ``Clock.between`` takes it; it makes the moments more exact.

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
        stamps: Callable[[], Sequence[tuple[float, float, float]]] = tuple,
    ):
        self.name, self.namespace, self._beat_seconds = name, namespace, beat_seconds
        self.versions: list[Version] = []
        self._api, self._node = connection.within(namespace), node
        self.transcript = connection.transcript
        self._selector = selector("Pod", name)
        self._stamps = stamps
        self._looks: list[tuple[str, ProcessSnapshot]] = []
        self._seen: set[str] = set()
        self._annotations: list[tuple[float, str]] = []
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
        versions = [each for each in list(self.versions) if uid(each.pod) == self._uid]
        looks = sorted(
            (look for of, look in list(self._looks) if of == self._uid),
            key=lambda look: look.begin_seconds,
        )
        return pandas.DataFrame(
            Life(versions, looks, self._began, ended, self._stamps()).rows(),
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

    def when(self, states: Mapping[str, str]) -> list[tuple[float, float]]:
        """From when to when several lanes were each in a state, at the same time, in seconds.

        Example::

            life.when({"Ready": "True", "app": "terminated"})
        """
        return charts.when(self.intervals, states)

    def chart(
        self,
        title: str,
        lanes: Sequence[str] | None = None,
        tell: Sequence[str] = charts.TELL,
        notes: Iterable[tuple[float, float, str]] = (),
    ) -> Chart:
        """The life as a picture: see ``charts.timeline``, which has the arguments.

        Example::

            spans = life.when({"Ready": "True", "app": "terminated"})
            notes = [(*span, "Ready, but not running") for span in spans]
            life.chart("The app is killed. What changes?", ["app", "Ready", "pause"], notes=notes)
        """
        return charts.timeline(self.intervals, title, lanes, tell, self._annotations, notes)

    def annotate(self, words: str) -> None:
        """Writes down what we did just now. The picture has it as a line across.

        Example::

            with lab.recording("one-app") as life:
                lab.node.kill(pod.container("app"))
                life.annotate("we kill the app")
        """
        self._annotations.append((time.time() - self._began, words))

    # --- the two threads --------------------------------------------------------------------------

    @property
    def _uid(self) -> str:
        return uid(self.versions[-1].pod) if self.versions else ""

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
        pod: dict | None = None

        def settled() -> object:
            nonlocal pod
            pod = next(iter(self._api.list("Pod", field_selector=self._selector)["items"]), None)
            version = pod["metadata"]["resourceVersion"] if pod else None
            # what is listed is on its way through the watch, with all that came before it
            with self._news:
                self._news.wait_for(lambda: self._caught_up(version) or self._errors, timeout=1)
            return agree(pod, self._look()) or self._errors

        def wait(seconds: float) -> None:
            with self._news:
                self._news.wait(seconds)

        poll(settled, timeout_seconds=SETTLE_SECONDS, every_seconds=BEAT_SECONDS, wait=wait)
        return pod

    def _caught_up(self, version: str | None) -> bool:
        return (
            version in self._seen
            if version
            else not self.versions or self.versions[-1].event == "DELETED"
        )

    def _end(self) -> None:
        self._stop.set()
        self._wanted.set()

        def alive() -> list[str]:
            # Each time: one may have been opened while another was being closed.
            for stream in (self._watch, self._through):
                if stream is not None:
                    stream.close()
            return [thread.name for thread in self._threads if thread.is_alive()]

        poll(lambda: not alive(), timeout_seconds=JOIN_SECONDS, every_seconds=0.02)
        if left := alive():
            seen = f"still alive after {JOIN_SECONDS:g} s: {left[0]}"
            self._errors.append(
                LabError("A recording did not end.", seen, "Restart the kernel, then run again.")
            )

    def _last_words(self) -> str:
        return (
            f"phase {self.versions[-1].pod.get('status', {}).get('phase')}"
            if self.versions
            else "no Pod of that name"
        )
