"""A container's memory and CPU accounting, sampled in the node some fifty times a second, on one
time axis with its Pod's life.

One exec stream runs a loop of Perl in the node, begun before the container exists. The loop forks
nothing: it waits with ``select`` on its own standard input, which is also how it is told to end,
and how it learns that nobody listens any more. It finds the container by the names that containerd
writes beside it, so nothing has to be asked or told meanwhile. What the loop costs is the kernel's
own account of it (``/proc/PID/schedstat``). Its lines come a few times a second, in batches, for
each write wakes four programs on its way here. The Pod's life is recorded beside it, through a
stream of its own (``recording``), with fewer looks than usual.

Two clocks are brought onto one axis, both by measuring: the node's against ours by questions that
the loop answers; the kernel log's against the node's by markers that the loop writes to
``/dev/kmsg``, one at each end.
"""

import re
import secrets
import shlex
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from labhelpers.charts import chart as charts
from labhelpers.errors import LabError
from labhelpers.kube import fields
from labhelpers.kube.client import MARK, Connection
from labhelpers.kube.exec import Lines
from labhelpers.measure.recording import Recording
from labhelpers.node import cgroups, oom
from labhelpers.node.node import Node
from labhelpers.node.processes import Clock
from labhelpers.transcript import told

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["INTERVAL_SECONDS", "Samples"]

INTERVAL_SECONDS = 0.019
BATCH_SECONDS = 0.2
# the looks of the life beside it: a kill is dated by the kernel's line, and looks take from what is
# measured
BEAT_SECONDS = 1.0
LIMIT_SECONDS = 600
START_SECONDS = 20  # a node under full load starts an exec within a few
JOIN_SECONDS = 15.0
# between the kernel's line and the end of a process that gives back its memory, on a busy node
DYING_SECONDS = 1.0
QUESTIONS = 3

# A directory for each container that containerd runs, with its names in config.json before it has a
# cgroup.
BUNDLES = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"
KERNEL_LOG = "/dev/kmsg"
# In its own cgroup the loop could only overtake the Pod that it came through. These hold the node's
# own programs: version 1's root, and a leaf that systemd makes on version 2, whose root takes no
# process.
HIGHER = ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/init.scope")

# What the loop prints, with times in microseconds of the node's clock: h begun, b a cgroup appears,
# s a sample, g it is gone, p an answer, k a marker, c CPU time so far, m a missing file, x the
# limit came, z the end.
#
# The clock is a system call by its number, for Debian's perl-base has no Time::HiRes. A container's
# names are read once they are whole. Where the Pod is new, a container that is there at the begin
# is of an earlier Pod of its name, and may outlive that for a while. Where the loop may not go
# first, gaps under load are longer, and are told.
LOOP = r"""
use strict;
my ($machine, $bundles, $kernel_log, $higher, $root, $own, $token, $limit, $interval, $batch, $names, $always, $turns, $new) = @ARGV;
my @names = split /\n/, $names;
my @always = split /\n/, $always;
my @turns = split /\n/, $turns;
my $clock = { x86_64 => 228, aarch64 => 113 }->{$machine} or die "no clock_gettime is known for $machine\n";
my $stamp = pack "qq", 0, 0;
sub now { syscall $clock, 0, $stamp; my ($seconds, $nano) = unpack "qq", $stamp; $seconds * 1000000 + int($nano / 1000) }
sub text { my $text; sysopen my $file, $_[0], 0 or return; sysread $file, $text, $_[1] // 16384; chomp $text if defined $text; $text }
sub write_to { open my $file, ">", $_[0] or return; print $file $_[1]; close $file }

my ($out, $flushed, $asked, %seen, @wanted) = ("", 0, "");
sub mark { my $before = now(); write_to($kernel_log, "$token.$_[0]\n"); $out .= "k $_[0] $before " . now() . "\n" }
sub flush {
  my ($cost) = split / /, text("/proc/self/schedstat");
  $flushed = now();
  syswrite STDOUT, $out . "c $flushed $cost\n";
  $out = "";
}

sub ids { opendir my $folder, $bundles or return; grep { !/^\./ && !exists $seen{$_} } readdir $folder }
sub search {
  for my $id (ids()) {
    my $json = text("$bundles/$id/config.json", 1 << 20) // "";
    next if index($json, '"cgroupsPath":') < 0;
    $seen{$id} = ();
    unshift @wanted, $id unless grep { index($json, $_) < 0 } @names;
  }
  for my $id (@wanted) {
    my ($found) = grep { -d } glob "$root/*/*$id* $root/*/*/*$id*";
    return ($id, substr $found, length $root) if $found;
  }
  return;
}

# Each path is one before the container's own part, and the name of the file.
sub path { my ($before, $name) = split /\t/, $_[0]; "$before$_[1]/$name" }
my @order = grep { -r path($turns[$_], $own) } 0 .. $#turns;
my @missing = grep { !-r } map { path($_, $own) } @always;
if (@missing) { print "m $missing[0]\nz\n"; exit }

my ($dir, @paths, @turn_paths, $step, $turn);
sub sample {
  my ($at, @values) = @_;
  for my $path (@paths, $turn < 0 ? () : $turn_paths[$turn]) {
    my $value = text($path);
    return unless length $value;
    $value =~ tr/\n/ /;
    push @values, $value;
  }
  my $last = $turn < 0 ? "" : pop @values;
  $out .= "s $at " . join("|", @values, $turn < 0 ? "" : $turn, $last) . "\n";
  $step = $step < $#order ? $step + 1 : 0;
  $turn = $order[$step] // -1;
  return 1;
}

@seen{ids()} = () if $new;
setpriority 0, 0, -20;
for (split / /, $higher) { last if write_to("$_/cgroup.procs", $$) }
my $at = now();
my ($next, $deadline) = ($at, $at + $limit);
mark(0);
$out .= "h $at\n";
flush();
while (1) {
  $at = now();
  if (defined $dir && !sample($at)) { $out .= "g $at\n"; undef $dir }
  if (!defined $dir and (my $id, $dir) = search()) {
    @paths = map { path($_, $dir) } @always;
    @turn_paths = map { path($_, $dir) } @turns;
    ($step, $turn) = (0, $order[-1] // -1);
    $out .= "b $at $id\n";
    undef $dir unless sample($at);
  }
  flush() if $at - $flushed >= $batch;
  my $left = ($next += $interval) - now();
  ($next, $left) = (now(), 1000) if $left < 1000;
  my $wait = "\1";  # standard input
  if (select($wait, undef, undef, $left / 1e6) > 0) {
    last unless sysread STDIN, $asked, 4096, length $asked;
    while ($asked =~ s/^(.*)\n//) { $out .= "p $1 " . now() . "\n"; flush() }
  }
  if ($at > $deadline) { $out .= "x $at\n"; last }
}
mark(1);
flush();
syswrite STDOUT, "z\n";
"""


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
        self.life = Recording(connection, node, namespace, pod_name, beat_seconds=BEAT_SECONDS)
        self._node, self._namespace, self.transcript = node, namespace, connection.transcript
        self._token = f"{MARK} marker {secrets.token_hex(4)}"
        self._files: tuple[list[str], list[str]] = ([], [])
        self._directories: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._rows: list[tuple] = []
        self._runs: list[str] = []
        self._costs: list[tuple[int, int]] = []
        self._marks: list[tuple[str, float, float]] = []
        self._missing: list[str] = []
        self._clock = Clock(0.0, 0.0)
        self._log: list[str] = []
        self._log_error: LabError | None = None
        self._lines: Lines | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._ended = self._cut = False
        self._error: BaseException | None = None

    def __repr__(self) -> str:
        return f"Samples of container {self.container} in Pod {self.pod_name}"

    @told
    def __enter__(self) -> "Samples":
        if self._thread is not None:
            raise LabError(
                "These samples have been taken already.",
                repr(self),
                "Make new ones: lab.samples(…).",
            )
        script = self._script()
        self._says()
        self.life.__enter__()
        try:
            self._refuse_unknown_name()
            script += "" if self.life.versions else " new"
            self._lines = self._node.stream(
                script, timeout_seconds=self.limit_seconds + 2 * START_SECONDS
            )
            self._begin()
        except BaseException as error:
            self._close()
            self.life.__exit__(type(error), error, None)
            raise
        self._thread = threading.Thread(
            target=self._read, name=f"{MARK}-samples-{self.pod_name}", daemon=True
        )
        self._thread.start()
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
        if self._error is not None:
            raise self._error
        if self._cut:
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
        if not self._rows and self._ended:
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
        if len(self._costs) < 2:
            raise LabError(
                "What the samples cost is not known.",
                "they have just begun",
                "Ask at the end of the block.",
            )
        (begin, before), (end, after) = self._costs[0], self._costs[-1]
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
        return self._clock

    @property
    def kernel_clock(self) -> Clock:
        """The node's clock against the stamps of the kernel log, from the two markers. It drifts:
        the resolution holds the difference.

        Raises:
            LabError: a marker did not come back from the log.
        """
        offsets = self._kernel_offsets()
        values = [offset for _, offset, _ in offsets]
        wide = (max(values) - min(values)) / 2 + max(known for _, _, known in offsets)
        return Clock(round((max(values) + min(values)) / 2, 6), round(wide, 6))

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
        found: list[tuple[float, str, str]] = []
        for id_, name in self._names().items():
            for line in oom.about_container("\n".join(self._log), id_):
                stamp, text = _stamped(line)
                seconds = self._from_kernel(stamp)
                if seconds >= 0:
                    found.append((seconds, text, name))
        return pandas.DataFrame(sorted(found), columns=["time_seconds", "text", "container"])

    def chart(self, title: str, show: str = "memory", **how: Any) -> charts.Chart:
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

    # --- the loop in the node ---------------------------------------------------------------------

    def _script(self) -> str:
        """The loop with its names and paths. The container's own part of each path is the same
        under every controller."""
        own = self._node.own_directories
        self._directories = own
        always, in_turn = self._files = cgroups.sampled(own)
        roots = cgroups.pods_root(own)
        if not roots:
            seen = next(iter(own.values()))
            raise LabError(
                "The cgroups of the Pods were not found.",
                f"no kubepods in {seen}",
                "`podlab doctor` looks at the node's cgroups.",
            )
        controller, root = next((key, roots[key]) for key in ("memory", "", *roots) if key in roots)
        below = own[controller].removeprefix(root)
        place = {path: path.removesuffix(f"{below}/{_name(path)}") for path in (*always, *in_turn)}
        names = {
            "sandbox-namespace": self._namespace,
            "sandbox-name": self.pod_name,
            "container-name": self.container,
        }
        words = [
            BUNDLES,
            KERNEL_LOG,
            " ".join(HIGHER),
            root,
            below,
            self._token,
            f"{self.limit_seconds * 1e6:.0f}",
            f"{INTERVAL_SECONDS * 1e6:.0f}",
            f"{BATCH_SECONDS * 1e6:.0f}",
            "\n".join(f'"io.kubernetes.cri.{key}":"{name}"' for key, name in names.items()),
            *(
                "\n".join(f"{place[path]}\t{_name(path)}" for path in paths)
                for paths in (always, in_turn)
            ),
        ]
        return f'exec perl -e {shlex.quote(LOOP)} "$(uname -m)" {shlex.join(words)}'

    def _says(self) -> None:
        """What one sample reads, of all containers at once, for a shell."""
        roots = cgroups.pods_root(self._directories)
        files = [path for files in self._files for path in files]
        root = {
            path: next(
                each for key, each in roots.items() if path.startswith(self._directories[key] + "/")
            )
            for path in files
        }
        wanted = " ".join(f"{root[path]}/*/*/{_name(path)}" for path in files)
        self.transcript.note(self._node.kubectl(f"grep -H '' {wanted}"))

    def _begin(self) -> None:
        """Reads until the loop has begun and has answered a few questions. In the calling thread:
        nobody else reads yet."""
        impatience = threading.Timer(START_SECONDS, self._lines.close)
        impatience.name, impatience.daemon = f"{MARK}-samples-begin", True
        impatience.start()
        try:
            self._ask()
        finally:
            impatience.cancel()
            impatience.join()

    def _ask(self) -> None:
        stamps = []
        for number in range(QUESTIONS):
            sent = time.time()
            self._lines.send(f"{number}\n")
            while True:
                kind, words = self._next()
                if kind == "p" and words[0] == str(number):
                    stamps.append((sent, int(words[1]) / 1e6, time.time()))
                    break
                if self._missing:
                    path = self._missing[0]
                    raise LabError(
                        "The node does not count what is to be sampled: a cgroup controller is"
                        " missing.",
                        f"no file {path}",
                        f"Switch the controller {_name(path).partition('.')[0]} on in the node's"
                        " kernel, or use another machine.",
                    )
                if kind in ("z", ""):
                    raise self._broken()
        self._clock = Clock.between(stamps)
        self.life.stamps += stamps

    def _next(self) -> tuple[str, list[str]]:
        line = next(self._lines, None)
        return ("", []) if line is None else self._take(line)

    def _read(self) -> None:
        try:
            asked = False
            while True:
                if self._stop.is_set() and not asked:
                    self._lines.end_stdin()
                    asked = True
                kind, _ = self._next()
                if kind == "z":
                    return
                if not kind:
                    raise self._broken()
        except BaseException as error:
            self._error = error

    def _take(self, line: str) -> tuple[str, list[str]]:
        """One line of the loop."""
        kind, *words = line.split(" ", 2)
        if kind == "s":
            self._sample(int(words[0]), words[1])
        elif kind == "b" and words[1] not in self._runs:
            self._runs.append(words[1])
            self._texts.clear()
        elif kind == "c":
            self._costs.append((int(words[0]), int(words[1])))
        elif kind == "k":
            before, after = words[1].split()
            self._marks.append((words[0], int(before) / 1e6, int(after) / 1e6))
        elif kind == "m":
            self._missing.append(words[0])
        elif kind == "x":
            self._cut = True
        return kind, words

    def _sample(self, at: int, text: str) -> None:
        always, in_turn = self._files
        *values, turn, value = text.split("|")
        self._texts.update(zip(always, values, strict=True))
        if turn:
            self._texts[in_turn[int(turn)]] = value
        found = cgroups.measure(self._directories, self._texts)
        self._rows.append(
            (
                at / 1e6,
                found.memory_bytes,
                found.memory_peak_bytes,
                found.memory_limit_bytes,
                found.cpu_seconds,
                found.periods,
                found.throttled_periods,
                found.throttled_seconds,
                len(self._runs),
            )
        )

    def _end(self) -> None:
        """The loop ends, the thread after it, the connection after both; then the kernel's log is
        read."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS)
            if self._thread.is_alive():
                self._close()
                self._thread.join(JOIN_SECONDS)
                self._error = LabError(
                    "The samples did not end.",
                    f"no end within {JOIN_SECONDS:g} s",
                    "Run the cell again.",
                )
        self._close()
        try:
            patterns = ["memory: usage", "oom-kill:", "Killed process", self._token]
            self._log = self._node.run(
                f"dmesg | grep {' '.join(f'-e {shlex.quote(each)}' for each in patterns)} || true"
            ).splitlines()
        except LabError as error:
            self._log_error = error
        self._ended = True

    def _close(self) -> None:
        if self._lines is not None:
            self._lines.close()

    def _broken(self) -> LabError:
        seen = self._lines.stderr.strip()[-200:] or "the loop in the node ended without a word"
        return LabError(
            "The samples broke off.",
            seen,
            "Look whether the node is well: `podlab status`. Then run the cell again.",
        )

    # --- from lines to what they mean -------------------------------------------------------------

    @property
    def so_far(self) -> "DataFrame":
        """``frame``, which may be empty: for a picture that is drawn meanwhile."""
        import pandas

        frame = pandas.DataFrame(list(self._rows), columns=list(charts.SAMPLE_COLUMNS))
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
        return self.life.began_seconds + self._clock.offset_seconds

    def _gaps(self) -> list[float]:
        rows = list(self._rows)
        gaps = [after[0] - before[0] for before, after in pairwise(rows) if before[-1] == after[-1]]
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

    def _kernel_offsets(self) -> list[tuple[float, float, float]]:
        """(log's stamp, what has to be added to it for the node's clock, how well that is known),
        for each marker."""
        if self._log_error:
            raise self._log_error
        written = {
            f"{self._token}.{number}": (before, after) for number, before, after in self._marks
        }
        found = []
        for line in self._log:
            stamp, text = _stamped(line)
            if text in written:
                before, after = written[text]
                found.append((stamp, (before + after) / 2 - stamp, (after - before) / 2))
        if not found:
            raise LabError(
                "The kernel's clock is not known.",
                "no marker came back from the kernel's"
                f" log{'' if written else ', and none was written'}",
                "Look whether the node may write there: lab.node.run('echo hello > /dev/kmsg; dmesg"
                " | tail -1').",
            )
        return found

    def _from_kernel(self, stamp: float) -> float:
        """A stamp of the kernel log on the axis of the samples: between two markers, in
        proportion."""
        offsets = sorted(self._kernel_offsets())
        (first, low, _), (last, high, _) = offsets[0], offsets[-1]
        share = min(max((stamp - first) / (last - first), 0.0), 1.0) if last > first else 0.0
        return stamp + low + share * (high - low) - self._zero

    def _reported(self) -> list[int]:
        """Memory in use when the kernel had to kill for want of it in the container's own cgroup,
        by its reports, in bytes."""
        found, usage = [], 0
        for line in self._log:
            if told := re.search(r"memory: usage (\d+)kB", line):
                usage = int(told[1]) * 1024
            elif "oom-kill:" in line and any(
                re.search(rf"oom_memcg=[^,]*{re.escape(id_)}", line) for id_ in self._runs
            ):
                found.append(usage)
        return found

    def _names(self) -> dict[str, str]:
        """Container id to name: what the API has said of the Pod, and what the loop has found."""
        names = dict.fromkeys(self._runs, self.container)
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
        pod = self.life.versions[-1].pod
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


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _stamped(line: str) -> tuple[float, str]:
    """A line of dmesg: its stamp in seconds, and its text.

    >>> _stamped("[ 4064.340846] podlab marker abc.1")
    (4064.340846, 'podlab marker abc.1')
    """
    found = re.match(r"(?:<\d+>)?\[\s*(\d+\.\d+)\] (.*)", line)
    return (float(found[1]), found[2]) if found else (0.0, line)
