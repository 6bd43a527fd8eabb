"""Reads the processes of a Pod on the node: one snapshot, or many over one connection."""

import re
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from labhelpers.errors import LabError
from labhelpers.kube.exec import Lines
from labhelpers.node import cgroups

__all__ = [
    "NAMESPACES",
    "TICKS_PER_SECOND",
    "Clock",
    "Process",
    "ProcessSnapshot",
    "ProcessWatch",
    "first_process",
    "parse",
    "snapshot_script",
]

NAMESPACES = ("net", "ipc", "uts", "pid", "mnt", "user", "cgroup")
# USER_HZ, in which /proc shows times: 100 on every architecture that Kubernetes runs on
TICKS_PER_SECOND = 100

# One grep finds the Pod's processes, and the shell itself reads their stat lines. Then a few
# programs read the rest, for all of them at once. If the processes, their names and their parents
# are the same as in the last look, it prints "same" instead of the rest.
SCRIPT = """
cd /proc
read -r uptime rest < uptime
echo "begin $uptime ${{EPOCHREALTIME:-$(date +%s.%N)}}"
files= parents= links=1/ns/net lines= stats= now=
for file in $(grep -lF -e {uid} -e {uid_of_systemd} [0-9]*/cgroup 2>/dev/null); do
  pid=${{file%/cgroup}}
  {{ read -r stat < $pid/stat; }} 2>/dev/null || continue
  stats="${{stats}}stat $stat
"
  name=${{stat%)*}}
  set -- ${{stat##*) }}
  parent=
  {{ read -r parent < $2/comm; }} 2>/dev/null
  case $1 in [ZX]) dead=dead ;; *) dead= ;; esac
  now="$now $name) $parent $2 ${{20}} $dead"
  parents="$parents $2/comm" files="$files $pid/status" lines="$lines $pid/cmdline"
  for kind in {kinds}; do links="$links $pid/ns/$kind"; done
done
if [ -n "$files" ] && [ "$now" = "$before" ]; then
  echo same
elif [ -n "$files" ]; then
  printf %s "$stats"
  grep -H -e ^Uid: -e ^NSpid: $files 2>/dev/null
  grep -H '' $parents 2>/dev/null
  groups=$(for file in $files; do echo ${{file%status}}cgroup; done)
  grep -F -e {uid} -e {uid_of_systemd} $groups /dev/null 2>/dev/null
  stat -L -c 'link %n %i' $links 2>/dev/null
  grep -azH '' $lines 2>/dev/null | tr '\\n\\0' ' \\n'
fi
before=$now
read -r uptime rest < uptime
times
echo "end $uptime"
"""


@dataclass(frozen=True, eq=False)
class Process:
    """A process as the node sees it. Two are equal if they're the same process, with the same id
    and the same start.

    Attributes:
        pid, parent_pid: process ids on the node.
        command: the program's name, as ``ps -o comm`` shows it; for a busybox that hides its
            applet's name, the applet's.
        command_line: all words, joined by spaces.
        parent_command: the parent's name.
        container_id: the container whose cgroup it's in; "" outside of a container.
        started_ticks: start, in hundredths of a second since the node's boot.
        started_seconds: start, in seconds since 1970 by the node's clock.
        uid: the user id on the node.
        state: one letter: R running, S sleeping, Z dead and not yet reaped, …
        namespaces: the inode number of each kind in ``NAMESPACES``; a dead process has few.
        pid_in_container: its id in its own PID namespace; 1 for a container's first process.
        cgroup_path: as in ``/proc/PID/cgroup``.

    >>> one = Process(7, 1, "pause", "/pause", "shim", "", 100, 1.0, 0, "S", {}, 1, "/")
    >>> again = Process(7, 1, "pause", "/pause", "shim", "", 250, 2.5, 0, "S", {}, 1, "/")
    >>> one == again, one == one
    (False, True)
    """

    pid: int
    parent_pid: int
    command: str
    command_line: str
    parent_command: str
    container_id: str
    started_ticks: int
    started_seconds: float
    uid: int
    state: str
    namespaces: dict[str, int] = field(repr=False)
    pid_in_container: int
    cgroup_path: str = field(repr=False)

    @property
    def identity(self) -> tuple[int, int]:
        """What identifies the process while the node is up: (pid, started_ticks)."""
        return self.pid, self.started_ticks

    @property
    def enters(self) -> bool:
        """Whether it's alive and still runc, on its way into the namespaces and the cgroup."""
        runc = self.command.startswith("runc") or self.parent_command == "runc"
        return self.state not in "ZX" and runc

    @property
    def runs(self) -> bool:
        """Whether it's alive, and already the program that it's going to be."""
        return self.state not in "ZX" and not self.enters

    def __eq__(self, other: object) -> bool:
        return self.identity == other.identity if isinstance(other, Process) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.identity)


@dataclass(frozen=True)
class ProcessSnapshot:
    """A Pod's processes at one moment. A process in it was alive after ``begin_seconds``; one that
    isn't in it was dead before ``end_seconds``.

    ``booted_seconds`` (as this look found it), ``begin_seconds`` and ``end_seconds`` are by the
    node's clock, ``sent_seconds`` and ``received_seconds`` by ours, all since 1970.
    ``node_network`` is the inode of the node's own network namespace, which Pods with hostNetwork
    use; 0 if the Pod has no process. ``cpu_seconds`` is the CPU time that the look itself used on
    the node: in its shell, and in the programs that the shell ran.
    """

    processes: tuple[Process, ...]
    node_network: int
    booted_seconds: float
    begin_seconds: float
    end_seconds: float
    sent_seconds: float
    received_seconds: float
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Clock:
    """How far the node's clock is ahead of ours, give or take ``resolution_seconds``."""

    offset_seconds: float
    resolution_seconds: float

    @classmethod
    def between(cls, looks: Iterable[tuple[float, float, float]]) -> "Clock":
        """Compares the clocks by looks: (sent by us, stamped by the node, received by us). Each
        narrows the range, because its stamp was made in between.

        >>> Clock.between([(10.0, 15.5, 11.0), (20.0, 24.9, 20.1)])
        Clock(offset_seconds=4.85, resolution_seconds=0.05)
        """
        ranges = [(node - received, node - sent) for sent, node, received in looks]
        least, most = max(low for low, _ in ranges), min(high for _, high in ranges)
        return cls(round((least + most) / 2, 6), round(abs(most - least) / 2, 6))


class ProcessWatch:
    """Takes snapshots of a Pod's processes, one after the other; made by ``Node.looks``.
    ``close()`` ends it at once, from any thread.

    Attributes:
        pod_uid: the Pod's uid.
    """

    def __init__(self, lines: Lines, pod_uid: str):
        self.pod_uid, self._lines = pod_uid, lines
        self._last: ProcessSnapshot | None = None
        self._spent = 0.0  # by all looks so far, as the shell counts

    def look(self) -> ProcessSnapshot:
        """Reads the Pod's processes now.

        Raises:
            LabError: the connection has ended.
        """
        sent, text = time.time(), []
        self._lines.send("\n")
        for line in self._lines:
            text.append(line)
            if line.startswith("end "):
                break
        look = parse("\n".join(text), self.pod_uid, sent, time.time())
        if self._last and "same" in text:
            look = replace(
                look, processes=self._last.processes, node_network=self._last.node_network
            )
        self._spent, look = (
            look.cpu_seconds,
            replace(look, cpu_seconds=look.cpu_seconds - self._spent),
        )
        self._last = look
        return look

    def close(self) -> None:
        self._lines.close()


def first_process(processes: Iterable[Process], container_id: str) -> Process | None:
    """The container's first process, the oldest that runs in its cgroup; None if there is none."""
    own = [each for each in processes if each.container_id == container_id and each.runs]
    return min(own, key=lambda each: (each.started_ticks, each.pid), default=None)


def snapshot_script(pod_uid: str) -> str:
    return SCRIPT.format(
        uid=pod_uid, uid_of_systemd=pod_uid.replace("-", "_"), kinds=" ".join(NAMESPACES)
    )


def parse(text: str, pod_uid: str, sent_seconds: float, received_seconds: float) -> ProcessSnapshot:
    """Parses what the script printed. A process that ended during the look is kept, with what could
    still be read about it."""
    stats: dict[int, str] = {}
    status: dict[tuple[int, str], str] = {}
    commands: dict[int, str] = {}
    words: dict[int, list[str]] = defaultdict(list)
    groups: dict[int, str] = defaultdict(str)
    links: dict[int, dict[str, int]] = defaultdict(dict)
    begin = end = now = spent = 0.0
    for line in text.split("\n"):
        key, _, rest = line.partition(" ")
        if key == "begin":
            begin, now = map(float, rest.split())
        elif key == "end":
            end = float(rest)
        elif key == "stat":
            stats[int(rest.split()[0])] = rest
        elif key == "link":
            path, inode = rest.split()
            pid, _, kind = path.split("/")
            links[int(pid)][kind] = int(inode)
        # What `times` prints: user and system, of the shell, then of its children.
        elif re.fullmatch(r"(\d+m[\d.]+s ?){2}", line):
            spent += sum(
                60 * int(minutes) + float(seconds)
                for minutes, seconds in re.findall(r"(\d+)m([\d.]+)s", line)
            )
        elif found := re.match(r"(\d+)/(\w+):(.*)", line, re.DOTALL):
            pid, file, value = int(found[1]), found[2], found[3]
            if file == "status":
                status[pid, value.partition(":")[0]] = value.partition(":")[2]
            elif file == "comm":
                commands[pid] = value
            elif file == "cmdline":
                words[pid].append(value)
            elif file == "cgroup":
                groups[pid] += value + "\n"
    if not end:
        raise LabError(
            "A look at the node's processes was cut short.",
            text.strip()[-200:] or "nothing came back",
            "Run the cell again.",
        )
    booted = now - begin
    processes = []
    for pid, line in stats.items():
        name = line[line.index("(") + 1 : line.rindex(")")]
        fields = line[line.rindex(")") + 2 :].split()  # from field 3 of proc_pid_stat(5) on
        path = cgroups.path(groups[pid])
        processes.append(
            Process(
                pid=pid,
                parent_pid=int(fields[1]),
                command=_applet(name, words[pid]),
                command_line=" ".join(words[pid]),
                parent_command=commands.get(int(fields[1]), ""),
                container_id=cgroups.container_id(path, pod_uid),
                started_ticks=int(fields[19]),
                started_seconds=booted + int(fields[19]) / TICKS_PER_SECOND,
                uid=int((status.get((pid, "Uid")) or "0").split()[0]),
                state=fields[0],
                namespaces={kind: links[pid][kind] for kind in NAMESPACES if kind in links[pid]},
                pid_in_container=int((status.get((pid, "NSpid")) or str(pid)).split()[-1]),
                cgroup_path=path,
            )
        )
    processes.sort(key=lambda each: (each.started_ticks, each.pid))
    return ProcessSnapshot(
        tuple(processes),
        links[1].get("net", 0),
        booted,
        now,
        booted + end,
        sent_seconds,
        received_seconds,
        spent,
    )


def _applet(name: str, words: list[str]) -> str:
    """The applet's name: a busybox that starts an applet by running itself again shows as "exe" or
    "busybox", and its first word says which applet."""
    return (
        words[0].rpartition("/")[2] if name in ("exe", "busybox") and words and words[0] else name
    )
