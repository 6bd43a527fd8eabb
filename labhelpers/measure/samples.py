"""Samples a container's memory and CPU accounting on the node about fifty times a second, on one
time axis with its Pod's life.

A loop on the node takes the samples (``loop``). The Pod's life is recorded at the same time,
through a stream of its own (``recording``), with fewer looks than usual.

Three clocks are brought onto one axis by measuring. Questions that the loop answers compare the
node's clock with ours. Markers that the loop writes to ``/dev/kmsg``, one at each end, compare the
kernel log's clock with the node's.
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

# for the life's looks: the kernel's line dates an OOM kill, and looks use CPU time that is being
# measured
BEAT_SECONDS = 1.0
LIMIT_SECONDS = 600
# between the kernel's line and the end of a process that frees its memory, on a busy node
DYING_SECONDS = 1.0


class Samples:
    """Samples a container while its ``with`` block runs; the Pod needn't exist yet.

    Args:
        node: the node from the inside.
        connection: an open connection.
        namespace, pod_name, container: which container. After a restart sampling continues, with
            the next ``run``.
        limit_seconds: the longest time that the samples may take, in seconds.

    Attributes:
        life: the Pod's ``Recording``, on the same time axis.

    Raises:
        LabError: at the beginning, if the node can't measure this; at the beginning or the end, if
            the Pod has no container of that name; at the end, if the samples stopped too early.

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
        if not limit_seconds > 0:
            raise LabError(
                "There's no time to take samples in.",
                f"limit_seconds={limit_seconds}",
                "Leave limit_seconds out, or make it longer than the block takes.",
            )
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
                "Take new ones: lab.samples(…).",
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
                "Use a larger limit_seconds in lab.samples.",
            )

    # --- what was measured ------------------------------------------------------------------------

    @property
    def frame(self) -> "DataFrame":
        """The samples, a row each; while the block runs, those so far.

        - ``time_seconds``: by the node's clock, since the recording began;
        - ``memory_bytes``, ``memory_limit_bytes``: in use, and the limit; ``memory_peak_bytes``:
          the kernel's own high-water mark;
        - ``cpu_usage_seconds``, ``periods``, ``throttled_periods``, ``throttled_seconds``: since
          the container started;
        - ``run``: 1 for the first container that was sampled, 2 after a restart.

        Memory and CPU time are read with each sample, the other files one at a time, in turn. So
        the high-water mark and the periods (which last 100 ms) are at most two intervals old, the
        limit six. A number is missing until its file has been read once.

        Raises:
            LabError: the block has ended, and the container was never there.
        """
        if not self._loop.rows and self._ended:
            do = (
                "Find out why: `kubectl describe pod "
                + self.pod_name
                + "`. The container has to run inside the with block."
            )
            raise LabError(
                f"There's no sample of container {self.container}: it didn't run.",
                self._last_words(),
                do,
            )
        return self.so_far

    @property
    def rate_hertz(self) -> float:
        """The samples per second, while there was something to sample."""
        gaps = self._gaps()
        return len(gaps) / sum(gaps)

    @property
    def largest_gap_seconds(self) -> float:
        """The longest time between two samples of one run."""
        return max(self._gaps())

    @property
    def cost_share(self) -> float:
        """The CPU time of the sampling loop, as a fraction of one core, by the kernel's accounting.
        ``life.cpu_seconds`` has that of the looks."""
        costs = self._loop.costs
        if len(costs) < 2:
            raise LabError(
                "The cost of the samples isn't known yet.",
                "they have just begun",
                "Move this line after the with block.",
            )
        (begin, before), (end, after) = costs[0], costs[-1]
        return (after - before) / 1000 / (end - begin)

    @property
    def peak_bytes(self) -> int:
        """The most memory that the container has used, by the kernel's own high-water mark, which
        includes what happened between two samples.

        It counts from the container's start. Version 1: memory.max_usage_in_bytes; version 2:
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
                "The high-water mark isn't known.",
                seen,
                "On cgroup v2 it needs Linux 5.19; use frame.memory_bytes.max() instead.",
            )
        # The mark disappears with its container. What the container used after the mark was last
        # read is in the last sample, or in the kernel's report. What it used in the last three
        # intervals and then freed is in neither.
        return max(
            int(frame[["memory_peak_bytes", "memory_bytes"]].max(axis=None)), *self._reported(), 0
        )

    @property
    def clock(self) -> Clock:
        """The node's clock compared with ours, from questions that the loop answered."""
        return self._loop.clock

    @property
    def kernel_clock(self) -> Clock:
        """The node's clock compared with the stamps of the kernel log, from the two markers. The
        resolution includes the drift.

        Raises:
            LabError: a marker didn't come back from the log.
        """
        return self._kernel_log_clock().against_node

    @property
    def kernel_lines(self) -> "DataFrame":
        """What the kernel logged about the Pod's containers while the block ran: ``time_seconds``
        on the axis of the samples, ``text``, ``container`` (its name).

        Raises:
            LabError: the block hasn't ended, or the log couldn't be read.
        """
        import pandas

        if not self._ended:
            raise LabError(
                "The kernel's log is read at the end of the block.",
                f"the with block of {self!r} hasn't ended",
                "Move this line after the with block.",
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
        """Draws the samples, with the kernel's lines, and the container's life below: see
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
        """The container's rows of ``life.intervals`` so far. If one was OOM-killed, its end is
        moved from between two looks to the time of the kernel's line.

        With exit code 137 and such a line, the reason here is OOMKilled, even if the API says
        Error. If systemd has removed the dead cgroup before the runtime looks, the runtime can't
        tell. On a busy node that's one kill in a dozen (``life.intervals`` has the API's word).
        """
        rows = self.life.so_far()
        rows = rows[rows["lane"] == self.container].reset_index(drop=True)
        kills = self._kill_seconds()
        for number in rows.index[rows["exit_code"] == 137]:
            if not number or rows.at[number - 1, "state"] != "running":
                continue
            # A look may still have seen it, because a process needs a while to die.
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
        """The lines of ``kernel_lines`` that name an OOM-killed process of this container: one per
        kill.

        If the container is killed as a group (cgroup version 2), the kernel's log names the victim
        a second time, as one of the group.
        """
        lines = self.kernel_lines
        own = lines[
            (lines["container"] == self.container) & lines["text"].str.contains("Killed process")
        ]
        victims = own["text"].str.extract(r"Killed process (\d+)", expand=False)
        return own[~victims.duplicated()].reset_index(drop=True)

    # --- how it begins and ends -------------------------------------------------------------------

    def _says(self, wanted: str) -> None:
        """Notes what one sample reads, for all containers at once, as a shell command."""
        self.transcript.note(self._node.kubectl(f"grep -H '' {wanted}"))

    def _end(self) -> None:
        """Ends the loop, then reads the kernel's log."""
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
        """``frame`` while the block runs; it may be empty."""
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
            self.frame  # noqa: B018  has a better error if there is no sample at all
            raise LabError(
                "There are too few samples.",
                f"{len(rows)}",
                "Let the container run longer inside the with block.",
            )
        return gaps

    def _kill_seconds(self) -> list[float]:
        """The times of the kernel's kills, as far as they're known; a picture can do without
        them."""
        try:
            return list(self.kills["time_seconds"]) if self._ended else []
        except LabError:
            return []

    def _kernel_log_clock(self) -> KernelClock:
        if self._log_error:
            raise self._log_error
        return KernelClock.from_log(self._log, self._loop.markers)

    def _reported(self) -> list[int]:
        """The memory in use at each OOM kill in the container's own cgroup, by the kernel's
        reports, in bytes."""
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
        """Container id to name: what the API said about the Pod, and what the loop has found."""
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
                    "Use one of these names.",
                )
            return

    def _last_words(self) -> str:
        """Why the container didn't run, by the Pod's last version."""
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
