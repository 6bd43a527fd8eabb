"""A container's memory and CPU accounting, sampled in the node some fifty times a second, on one
time axis with its Pod's life.

A loop in the node takes the samples (``loop``). The Pod's life is recorded beside it, through a
stream of its own (``recording``), with fewer looks than usual.

Two clocks are brought onto one axis, both by measuring: the node's against ours by questions that
the loop answers; the kernel log's against the node's by markers that the loop writes to
``/dev/kmsg``, one at each end.
"""

import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from labhelpers.charts import samples as charts
from labhelpers.charts.chart import Chart
from labhelpers.errors import LabError
from labhelpers.kube import fields
from labhelpers.kube.client import Connection
from labhelpers.measure.clock import KernelClock, stamped
from labhelpers.measure.loop import Loop
from labhelpers.measure.recording import Recording
from labhelpers.node import oom
from labhelpers.node.node import Node
from labhelpers.node.processes import Clock
from labhelpers.transcript import told

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Samples"]

# the looks of the life beside it: a kill is dated by the kernel's line, and looks take from what is
# measured
BEAT_SECONDS = 1.0
LIMIT_SECONDS = 600
# between the kernel's line and the end of a process that gives back its memory, on a busy node
DYING_SECONDS = 1.0


class Samples:
    """Samples a container while its ``with`` block runs; the Pod need not exist yet.

    Args:
        node: the node from the inside.
        connection: an open connection.
        namespace, pod_name, container: which container. One that is restarted is sampled on: each
            time is a ``run``.
        limit_seconds: the longest time that the samples may take, in seconds.

    Attributes:
        life: the Pod's ``Recording``, on the same time axis.

    Raises:
        LabError: at the begin: the node does not count what is to be sampled. At the begin or the
            end: the Pod has no container of that name. At the end: the samples broke off.

    >>> with lab.samples("hog", "app") as memory:                              # doctest: +SKIP
    ...     lab.apply("hog.yaml").container("app").wait_until("restarted", timeout_seconds=60)
    >>> memory.chart("What happens at the limit?")                             # doctest: +SKIP
    """

    def __init__(
        self,
        node: Node,
        connection: Connection,
        namespace: str,
        pod_name: str,
        container: str,
        *,
        limit_seconds: float = LIMIT_SECONDS,
    ):
        self.pod_name, self.container, self.limit_seconds = pod_name, container, limit_seconds
        self._loop = Loop(node, namespace, pod_name, container, limit_seconds)
        self.life = Recording(
            connection,
            node,
            namespace,
            pod_name,
            beat_seconds=BEAT_SECONDS,
            stamps=lambda: self._loop.stamps,
        )
        self._node, self.transcript = node, connection.transcript
        self._log: list[str] = []
        self._log_error: LabError | None = None
        self._begun = self._ended = False

    def __repr__(self) -> str:
        return f"Samples of container {self.container} in Pod {self.pod_name}"

    @told
    def __enter__(self) -> "Samples":
        if self._begun:
            raise LabError(
                "These samples have been taken already.",
                repr(self),
                "Make new ones: lab.samples(…).",
            )
        self._says(self._loop.prepare())
        self.life.__enter__()
        try:
            self._refuse_unknown_name()
            self._loop.start(new=not self.life.versions)
        except BaseException as error:
            self._loop.close()
            self.life.__exit__(type(error), error, None)
            raise
        self._begun = True
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            self.life.__exit__(kind, error, traceback)
        finally:
            with self.transcript.quietly():
                self._end()
        if kind is not None:
            return
        self._refuse_unknown_name()
        if self._loop.error is not None:
            raise self._loop.error
        if self._loop.cut:
            seen = f"the block took longer than {self.limit_seconds:g} s"
            raise LabError(
                "The samples ended before their block did.",
                seen,
                "Give lab.samples a larger limit_seconds.",
            )

    # --- what was measured ------------------------------------------------------------------------

    @property
    def frame(self) -> "DataFrame":
        """The samples, a row each: as far as they have come, while the block runs.

        - ``time_seconds``: by the node's clock, since the recording began;
        - ``memory_bytes``, ``memory_limit_bytes``: in use, and the limit; ``memory_peak_bytes``:
          the kernel's own high-water mark;
        - ``cpu_usage_seconds``, ``periods``, ``throttled_periods``, ``throttled_seconds``: since
          the container began;
        - ``run``: 1 for the first container that was sampled, 2 after a restart.

        Memory and CPU time in use are read with each sample; of the other files one, in turn: the
        mark and the periods (which last 100 ms) are at most two intervals old, the limit six. A
        number is missing until its file has been read once.

        Raises:
            LabError: the block has ended, and the container was never there.
        """
        if not self._loop.rows and self._ended:
            do = (
                "Look at the Pod: `kubectl describe pod "
                + self.pod_name
                + "`. The container has to run inside the with block."
            )
            raise LabError(
                f"No sample of container {self.container} was taken: it did not run.",
                self._last_words(),
                do,
            )
        return self.so_far

    @property
    def rate_hertz(self) -> float:
        """Samples a second, while there was something to sample."""
        gaps = self._gaps()
        return len(gaps) / sum(gaps)

    @property
    def largest_gap_seconds(self) -> float:
        """The longest time between two samples of one run."""
        return max(self._gaps())

    @property
    def cost_share(self) -> float:
        """CPU time of the loop that samples, in parts of one core, by the kernel's account.
        ``life.cpu_seconds`` has that of the looks."""
        costs = self._loop.costs
        if len(costs) < 2:
            raise LabError(
                "What the samples cost is not known.",
                "they have just begun",
                "Ask at the end of the block.",
            )
        (begin, before), (end, after) = costs[0], costs[-1]
        return (after - before) / 1000 / (end - begin)

    @property
    def peak_bytes(self) -> int:
        """The most memory that the container has used, by the kernel's own high-water mark, which
        holds what came between two samples.

        It counts from the container's own begin. Version 1: memory.max_usage_in_bytes; version 2:
        memory.peak (Linux 5.19).

        Raises:
            LabError: the mark was never read: there is none, or the container lived for less than
                three samples.
        """
        frame = self.frame
        if frame["memory_peak_bytes"].isna().all():
            seen = (
                f"{len(frame)} samples, and in none of them memory.max_usage_in_bytes or"
                " memory.peak"
            )
            raise LabError(
                "The high-water mark is not known.",
                seen,
                "It needs Linux 5.19 on cgroup v2; take frame.memory_bytes.max().",
            )
        # A container takes its mark away with it. What it used after the last look is in the last
        # sample, or in the kernel's report; what it used in the last three intervals and gave back
        # again is in neither.
        return max(
            int(frame[["memory_peak_bytes", "memory_bytes"]].max(axis=None)), *self._reported(), 0
        )

    @property
    def clock(self) -> Clock:
        """The node's clock against ours, from questions that the loop answered."""
        return self._loop.clock

    @property
    def kernel_clock(self) -> Clock:
        """The node's clock against the stamps of the kernel log, from the two markers. It drifts:
        the resolution holds the difference.

        Raises:
            LabError: a marker did not come back from the log.
        """
        return self._kernel_log_clock().against_node

    @property
    def kernel_lines(self) -> "DataFrame":
        """What the kernel logged about the Pod's containers while the block ran: ``time_seconds``
        on the axis of the samples, ``text``, ``container`` (its name).

        Raises:
            LabError: the block has not ended, or the log could not be read.
        """
        import pandas

        if not self._ended:
            raise LabError(
                "The kernel's log is read at the end.",
                f"the with block of {self!r} has not ended",
                "Ask behind the block.",
            )
        if self._log_error:
            raise self._log_error
        lines = [
            (name, *stamped(line))
            for id_, name in self._container_names().items()
            for line in oom.about_container("\n".join(self._log), id_)
        ]
        clock = self._kernel_log_clock() if lines else None
        found = [
            (clock.node_seconds(stamp) - self._zero, text, name) for name, stamp, text in lines
        ]
        found = [each for each in found if each[0] >= 0]
        return pandas.DataFrame(sorted(found), columns=["time_seconds", "text", "container"])

    def chart(self, title: str, show: str = "memory", **how: Any) -> Chart:
        """The samples as a picture, with the kernel's lines and the container's life below: see
        ``charts.samples``.

        Args:
            title: the question that the picture answers.
            show: "memory", "cpu" or "throttling".
            how: more for ``charts.samples``: ``predicted``, ``within``, ``marks``, ``intervals``.
        """
        frame = self.frame
        how.setdefault(
            "marks", [(seconds, "killed by the kernel") for seconds in self._kill_seconds()]
        )
        return charts.samples(frame, title, show=show, **{"intervals": self.intervals, **how})

    @property
    def intervals(self) -> "DataFrame":
        """The container's rows of ``life.intervals``, as far as they have come. The end of one that
        was OOMKilled is brought from between two looks to the moment of the kernel's line.

        With exit code 137 and such a line it is OOMKilled here, also where the API says Error: a
        runtime that comes after systemd has cleared the dead cgroup away cannot tell, which on a
        busy node is one kill in a dozen (``life.intervals`` has the API's word).
        """
        rows = self.life.so_far()
        rows = rows[rows["lane"] == self.container].reset_index(drop=True)
        kills = self._kill_seconds()
        for number in rows.index[rows["exit_code"] == 137]:
            if not number or rows.at[number - 1, "state"] != "running":
                continue
            # A look may still have met it, for a process needs a while to die.
            known, end = rows.at[number, "start_resolution"], rows.at[number, "start"]
            first = max(end - known - DYING_SECONDS, rows.at[number - 1, "start"])
            if near := [at for at in kills if first <= at <= end + known]:
                rows.loc[number, "reason"] = "OOMKilled"
                rows.loc[number, ["start", "start_resolution"]] = (
                    near[-1],
                    self.kernel_clock.resolution_seconds,
                )
                rows.loc[number - 1, ["end", "end_resolution"]] = (
                    near[-1],
                    self.kernel_clock.resolution_seconds,
                )
        return rows

    @property
    def kills(self) -> "DataFrame":
        """Those of ``kernel_lines`` that name a process of this container which the kernel has
        killed for want of memory: one a kill.

        Where the container dies as a group (cgroup version 2), the kernel's log names the victim a
        second time, as one of the group.
        """
        lines = self.kernel_lines
        own = lines[
            (lines["container"] == self.container) & lines["text"].str.contains("Killed process")
        ]
        victims = own["text"].str.extract(r"Killed process (\d+)", expand=False)
        return own[~victims.duplicated()].reset_index(drop=True)

    # --- how it begins and ends -------------------------------------------------------------------

    def _says(self, wanted: str) -> None:
        """What one sample reads, of all containers at once, for a shell."""
        self.transcript.note(self._node.kubectl(f"grep -H '' {wanted}"))

    def _end(self) -> None:
        """The loop ends; then the kernel's log is read."""
        self._loop.end()
        try:
            patterns = ["memory: usage", "oom-kill:", "Killed process", self._loop.token]
            self._log = self._node.run(
                f"dmesg | grep {' '.join(f'-e {shlex.quote(each)}' for each in patterns)} || true"
            ).splitlines()
        except LabError as error:
            self._log_error = error
        self._ended = True

    # --- from lines to what they mean -------------------------------------------------------------

    @property
    def so_far(self) -> "DataFrame":
        """``frame``, which may be empty: for a picture that is drawn meanwhile."""
        import pandas

        frame = pandas.DataFrame(list(self._loop.rows), columns=list(charts.COLUMNS))
        frame["time_seconds"] -= self._zero
        counted = [
            "memory_bytes",
            "memory_peak_bytes",
            "memory_limit_bytes",
            "periods",
            "throttled_periods",
        ]
        return frame.astype(dict.fromkeys(counted, "Int64"))

    @property
    def _zero(self) -> float:
        """When the recording began, by the node's clock."""
        return self.life.began_seconds + self._loop.clock.offset_seconds

    def _gaps(self) -> list[float]:
        rows = list(self._loop.rows)
        gaps = [
            after.seconds - before.seconds
            for before, after in pairwise(rows)
            if before.run == after.run
        ]
        if not gaps:
            self.frame  # noqa: B018  has the better words where there is no sample at all
            raise LabError(
                "There are too few samples.",
                f"{len(rows)}",
                "Let the container run longer inside the with block.",
            )
        return gaps

    def _kill_seconds(self) -> list[float]:
        """When the kernel killed, as far as that is known: a picture is drawn without, too."""
        try:
            return list(self.kills["time_seconds"]) if self._ended else []
        except LabError:
            return []

    def _kernel_log_clock(self) -> KernelClock:
        if self._log_error:
            raise self._log_error
        return KernelClock.from_log(self._log, self._loop.markers)

    def _reported(self) -> list[int]:
        """Memory in use when the kernel had to kill for want of it in the container's own cgroup,
        by its reports, in bytes."""
        found, usage = [], 0
        for line in self._log:
            if told := re.search(r"memory: usage (\d+)kB", line):
                usage = int(told[1]) * 1024
            elif "oom-kill:" in line and any(
                re.search(rf"oom_memcg=[^,]*{re.escape(id_)}", line) for id_ in self._loop.runs
            ):
                found.append(usage)
        return found

    def _container_names(self) -> dict[str, str]:
        """Container id to name: what the API has said of the Pod, and what the loop has found."""
        names = dict.fromkeys(self._loop.runs, self.container)
        for version in self.life.versions:
            names |= version.container_ids
        return names

    def _refuse_unknown_name(self) -> None:
        for version in reversed(self.life.versions):
            there = version.containers
            if self.container not in there:
                seen = f"its containers: {', '.join(there)}"
                raise LabError(
                    f"Pod {self.pod_name} has no container {self.container!r}.",
                    seen,
                    "Name one of these.",
                )
            return

    def _last_words(self) -> str:
        """Why the container did not run, by the Pod's last version."""
        if not self.life.versions:
            return f"there was no Pod named {self.pod_name}"
        pod = self.life.versions[-1].obj
        words = [f"phase {pod.get('status', {}).get('phase', 'unknown')}"]
        scheduled = fields.conditions(pod).get("PodScheduled", {"status": "True"})
        if scheduled["status"] != "True":
            reason = scheduled.get("reason", "not scheduled")
            words.append(f"{reason}: {scheduled.get('message', '')}")
        for each in fields.statuses(pod):
            if each["name"] == self.container:
                words += [
                    f"{state} {detail.get('reason', '')}".strip()
                    for state, detail in (each.get("state") or {}).items()
                ]
        return ", ".join(words)
