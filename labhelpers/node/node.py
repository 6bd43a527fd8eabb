"""The node from the inside: processes, namespaces, cgroups, files, the kernel's log, and the power
to kill.

All of it goes through one privileged Pod of the project's own, ``podlab-node/node``, which shares
the node's process table and enters the mount namespace of the node's first process. So it works on
any cluster, and a call is one exec, of 60 to 90 ms. Helpers here take names and ids, never a Pod.
"""

import re
import secrets
import shlex
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from labhelpers import formulas
from labhelpers.errors import LabError, Refused
from labhelpers.kube import fields
from labhelpers.kube.client import EXEC_SECONDS, MARK, NODE_NAMESPACE, Connection
from labhelpers.kube.exec import Completed, Lines
from labhelpers.kube.waiting import wait_until
from labhelpers.node import cgroups
from labhelpers.transcript import told

__all__ = [
    "NAMESPACES",
    "TICKS_PER_SECOND",
    "Clock",
    "Look",
    "Looks",
    "Node",
    "Process",
    "first_process",
    "killed_beyond",
    "oom_lines",
]

NAMESPACES = ("net", "ipc", "uts", "pid", "mnt", "user", "cgroup")
POD = "node"
# USER_HZ, in which /proc shows times: 100 on every architecture that Kubernetes runs on
TICKS_PER_SECOND = 100
GONE = 3  # the exit code by which a script says that its process is not there any more

# One grep finds the Pod's processes; the shell itself reads their stat lines; then a few programs
# read the rest, for all of them at once. Where the same processes are met as in the look before,
# with the same names and parents, the rest is left out, and it says "same".
LOOK = """
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
  grep -F -e {uid} -e {uid_of_systemd} $(for file in $files; do echo ${{file%status}}cgroup; done) /dev/null 2>/dev/null
  stat -L -c 'link %n %i' $links 2>/dev/null
  grep -azH '' $lines 2>/dev/null | tr '\\n\\0' ' \\n'
fi
before=$now
read -r uptime rest < uptime
times
echo "end $uptime"
"""

# The first process of a container is the oldest in its cgroup; the lower id decides where two began
# in one tick.
KILL_CONTAINER = """
cd /proc
best= began=
for file in $(grep -lF -e {container_id} [0-9]*/cgroup 2>/dev/null); do
  pid=${{file%/cgroup}}
  {{ read -r stat < $pid/stat; }} 2>/dev/null || continue
  set -- ${{stat##*) }}
  [ "$1" = Z ] && continue
  if [ -z "$best" ] || [ ${{20}} -lt $began ] || {{ [ ${{20}} -eq $began ] && [ $pid -lt $best ]; }}; then best=$pid began=${{20}}; fi
done
[ -n "$best" ] || exit {gone}
kill -s {signal} $best
"""

# A process id may have been given again: the start time tells.
KILL_PROCESS = """
cd /proc
{{ read -r stat < {pid}/stat; }} 2>/dev/null || exit {gone}
set -- ${{stat##*) }}
[ "$1" != Z ] && [ ${{20}} = {ticks} ] || exit {gone}
kill -s {signal} {pid}
"""

# pause is asked for -998 and gets what the runtime may give
# (internal/cri/server/podsandbox/helpers_linux.go of containerd).
LOOK_FOR_FORMULAS = """
getconf PAGESIZE
for file in /proc/[0-9]*/comm; do
  { read -r name < $file; } 2>/dev/null
  [ "$name" = pause ] && cat ${file%comm}oom_score_adj && break
done
"""
PAUSE_WANTS_ADJ = -998

FIND_CGROUP = """
cd /proc
for file in $(grep -lF -e {container_id} [0-9]*/cgroup 2>/dev/null); do
  if cat $file 2>/dev/null; then echo; grep cgroup self/mountinfo; exit 0; fi
done
exit {gone}
"""


@dataclass(frozen=True, eq=False)
class Process:
    """A process as the node sees it. Two are equal when they are the same process: the same id and
    the same start.

    Attributes:
        pid, parent_pid: process ids on the node.
        command: the program's name, as ``ps -o comm`` gives it (a busybox that hides its applet's
            name is called by the applet's).
        command_line: all words, joined by blanks.
        parent_command: the parent's name.
        container_id: whose cgroup it is in; "" outside of a container.
        started_ticks: start, in hundredths of a second since the node's boot.
        started_seconds: start, in seconds since 1970 by the node's clock.
        uid: the user id on the node.
        state: one letter: R running, S sleeping, Z dead and not yet reaped, …
        namespaces: the inode number of each kind in ``NAMESPACES``; a dead process has few.
        pid_in_container: its id in its own process namespace; 1 for a container's first.
        cgroup_path: as ``/proc/PID/cgroup`` gives it.

    >>> one = Process(7, 1, "pause", "/pause", "containerd-shim", "", 100, 1.0, 0, "S", {}, 1, "/")
    >>> again = Process(7, 1, "pause", "/pause", "containerd-shim", "", 250, 2.5, 0, "S", {}, 1, "/")
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
        """What makes it this process and no other while the node is up: (pid, started_ticks)."""
        return self.pid, self.started_ticks

    @property
    def runs(self) -> bool:
        """Not dead, and already the program that it is to be: until then it is runc, still on its
        way through the namespaces."""
        return (
            self.state not in "ZX"
            and not self.command.startswith("runc")
            and self.parent_command != "runc"
        )

    def __eq__(self, other: object) -> bool:
        return self.identity == other.identity if isinstance(other, Process) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.identity)


@dataclass(frozen=True)
class Look:
    """A Pod's processes in one look. One that is in it lived after ``begin_seconds``; one that is
    not was dead before ``end_seconds``.

    ``booted_seconds`` (as this look found it), ``begin_seconds`` and ``end_seconds`` are of the
    node's clock, ``sent_seconds`` and ``received_seconds`` of ours, all since 1970.
    ``node_network`` is the inode of the node's own network namespace, which a Pod with hostNetwork
    is in; 0 where the Pod has no process. ``cpu_seconds`` is the CPU time that the look itself has
    taken on the node: of its shell, and the programs that this one ran.
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
    """How far the node's clock is ahead of ours; the truth lies within ``resolution_seconds`` on
    either side."""

    offset_seconds: float
    resolution_seconds: float

    @classmethod
    def between(cls, looks: Iterable[tuple[float, float, float]]) -> "Clock":
        """From (sent by us, stamped by the node, received by us): each narrows the range, for the
        stamp was made in between.

        >>> Clock.between([(10.0, 15.5, 11.0), (20.0, 24.9, 20.1)])
        Clock(offset_seconds=4.85, resolution_seconds=0.05)
        """
        ranges = [(node - received, node - sent) for sent, node, received in looks]
        least, most = max(low for low, _ in ranges), min(high for _, high in ranges)
        return cls(round((least + most) / 2, 6), round(abs(most - least) / 2, 6))


class Looks:
    """Looks at a Pod, one after the other; made by ``Node.looks``. ``close()`` ends it at once,
    from any thread.

    Attributes:
        pod_uid: whose processes are looked at.
    """

    def __init__(self, lines: Lines, pod_uid: str):
        self.pod_uid, self._lines = pod_uid, lines
        self._last: Look | None = None
        self._spent = 0.0  # by all looks so far, as the shell counts

    def look(self) -> Look:
        """The Pod's processes now.

        Raises:
            LabError: the connection has ended.
        """
        sent, text = time.time(), []
        self._lines.send("\n")
        for line in self._lines:
            text.append(line)
            if line.startswith("end "):
                break
        look = parse_look("\n".join(text), self.pod_uid, sent, time.time())
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
    """The container's first process, or None: the oldest that runs in its cgroup."""
    own = [each for each in processes if each.container_id == container_id and each.runs]
    return min(own, key=lambda each: (each.started_ticks, each.pid), default=None)


class Node:
    """The cluster's one node, from the inside.

    Args:
        connection: an open connection to a cluster of the labs.

    >>> node = Node(connection)                                        # doctest: +SKIP
    >>> [each.command for each in node.processes(pod.uid)]             # doctest: +SKIP
    ['pause', 'sleep']
    """

    def __init__(self, connection: Connection):
        self._connection = connection.within(NODE_NAMESPACE)
        self.transcript = connection.transcript
        self._directories: dict[str, dict[str, str]] = {}

    def ensure(self, timeout_seconds: float = 60) -> None:
        """Makes the namespace and the Pod through which the node is seen, where they are missing,
        and waits until it is ready.

        Raises:
            TimedOut: it did not get ready.
        """
        api = self._connection
        api.apply(NAMESPACE)
        if self._state() in ("Failed", "Succeeded"):
            api.delete("Pod", POD, grace_seconds=0)
            wait_until(
                api,
                "Pod",
                POD,
                lambda pod: pod is None,
                what="gone",
                timeout_seconds=timeout_seconds,
            )
        if not self._state():
            # A new namespace has no ServiceAccount for a moment, and a Pod without one is refused.
            wait_until(
                api,
                "ServiceAccount",
                "default",
                lambda found: found is not None,
                what="there",
                timeout_seconds=timeout_seconds,
            )
            try:
                api.create(NODE_POD)
            except Refused as refused:
                if refused.reason != "AlreadyExists":
                    raise
        wait_until(
            api,
            "Pod",
            POD,
            lambda pod: fields.is_true(pod, "Ready"),
            what="ready",
            timeout_seconds=timeout_seconds,
        )

    @told
    def run(self, script: str, timeout_seconds: float = EXEC_SECONDS) -> str:
        """Runs a shell script on the node, as root, among its files and processes, and returns what
        it printed.

        Raises:
            LabError: it ended with another code than 0.
        """
        done = self._exec(script, timeout_seconds)
        if done.returncode:
            raise LabError(
                "A command on the node failed.",
                f"exit code {done.returncode}:"
                f" {done.stderr.strip() or done.stdout.strip()[-300:] or 'it printed nothing'}",
                f"Run it by hand: {_kubectl(script)}",
            )
        return done.stdout

    def stream(self, script: str, *, timeout_seconds: float) -> Lines:
        """Runs a bash script on the node for as long as the connection lives, and gives its lines
        as they come.

        Its standard input stays open: a script that reads there an end of file knows that nobody
        listens any more. It must not close its standard error (a redirection of it does): the
        runtime then closes its standard input as well.
        """
        command = [*ENTER[:-2], "/bin/bash", "-c", script]
        try:
            return self._connection.exec_lines(
                POD, POD, command, keep_stdin=True, timeout_seconds=timeout_seconds
            )
        except Refused:  # the Pod is missing, or has just been started again
            self.ensure()
            return self._connection.exec_lines(
                POD, POD, command, keep_stdin=True, timeout_seconds=timeout_seconds
            )

    def kubectl(self, script: str) -> str:
        """The line of kubectl that runs a shell script on the node, as ``run`` does."""
        return _kubectl(script)

    @told
    def read(self, path: str) -> str:
        """The text of a file on the node.

        Raises:
            LabError: there is no such file, or it cannot be read.
        """
        done = self._exec(f"cat -- {shlex.quote(path)}")
        if done.returncode:
            raise LabError(
                "A file on the node cannot be read.",
                done.stderr.strip(),
                "Look which files are there: lab.node.run('ls …').",
            )
        return done.stdout

    @told
    def look(self, pod_uid: str) -> Look:
        """The Pod's processes in one look, with the moments of the look."""
        sent = time.time()
        text = self._exec(_look_script(pod_uid), note=False).stdout
        return parse_look(text, pod_uid, sent, time.time())

    @told
    def looks(self, pod_uid: str, *, timeout_seconds: float) -> "Looks":
        """For many looks at one Pod: over one connection, which lives so long at most. A look by
        itself costs a connection and two programs of the runtime; one of these takes a hundredth of
        a second or two, and does not wait for a runtime that is busy with the Pod."""
        return Looks(
            self.stream(
                f"while read -r; do\n{_look_script(pod_uid)}\ndone", timeout_seconds=timeout_seconds
            ),
            pod_uid,
        )

    @told
    def processes(self, pod_uid: str) -> list[Process]:
        """All processes of a Pod, oldest first: those of its containers and pause. Empty where the
        Pod has none on this node.

        They are found by the Pod's uid in ``/proc/*/cgroup``, where the kubelet puts it with either
        cgroup driver (https://kubernetes.io/docs/concepts/architecture/cgroups/).
        """
        self.transcript.note(
            _kubectl(
                f"grep -lF -e {pod_uid} -e {pod_uid.replace('-', '_')} /proc/[0-9]*/cgroup"
                " 2>/dev/null || true"
            )
        )
        return list(self.look(pod_uid).processes)

    @told
    def node_namespaces(self) -> dict[str, int]:
        """The inode numbers of the node's own namespaces: those of its first process."""
        links = " ".join(f"/proc/1/ns/{kind}" for kind in NAMESPACES)
        lines = self.run(f"stat -L -c '%n %i' {links}").split("\n")
        return {line.split()[0].rpartition("/")[2]: int(line.split()[1]) for line in lines if line}

    @told
    def kill(self, target: object, signal: str = "KILL") -> None:
        """Sends a signal to a process from outside of its container, where nothing shields it.

        Args:
            target: a ``Process``, a container's id, or anything that has an ``id`` which is one; of
                a container its first process.
            signal: the signal's name without SIG.

        Raises:
            LabError: the process or the container is gone.
        """
        if isinstance(target, Process):
            name = f"process {target.pid} ({target.command})"
            script = KILL_PROCESS.format(
                pid=target.pid, ticks=target.started_ticks, signal=shlex.quote(signal), gone=GONE
            )
        else:
            container_id = fields.bare(
                target if isinstance(target, str) else getattr(target, "id", None) or ""
            )
            if not container_id:  # grep for nothing finds everything
                raise LabError(
                    "There is nothing to kill.",
                    "the container has no id: it has not been created",
                    "Wait until it runs.",
                )
            name = f"container {container_id[:12]}"
            script = KILL_CONTAINER.format(
                container_id=container_id, signal=shlex.quote(signal), gone=GONE
            )
        done = self._exec(script)
        if done.returncode == GONE:
            raise LabError(
                "There is nothing to kill.",
                f"{name} has no process on the node any more",
                "Look again: pod.processes() shows who lives.",
            )
        if done.returncode:
            raise LabError(
                f"The signal did not reach {name}.",
                done.stderr.strip(),
                "Name a signal that `kill -l` knows, without SIG.",
            )

    @cached_property
    @told
    def cgroup_version(self) -> int:
        """1 or 2."""
        return cgroups.version(self.run("grep cgroup /proc/self/mountinfo"))

    @cached_property
    @told
    def formula_inputs(self) -> dict[str, Any]:
        """What ``arithmetic.cgroup_values`` has to know of a node, beside a Pod's spec, as its
        arguments by name.

        What only a node can tell is read from what it did before, never from the Pod in question:
        the floor of oom_score_adj from a pause, the cgroup driver, the period of quotas, and on
        cgroup version 2 the conversion into weights, from a container of the control plane.
        """
        listed = self._connection.raw("/api/v1/nodes")
        page_bytes, pause_adj = map(int, self._exec(LOOK_FOR_FORMULAS, note=False).stdout.split())
        period_us, conversion, _, driver = self._reference
        return {
            "version": self.cgroup_version,
            "conversion": conversion,
            "driver": driver,
            "period_us": period_us,
            "page_bytes": page_bytes,
            "node_memory_bytes": int(
                formulas.quantity(listed["items"][0]["status"]["capacity"]["memory"])
            ),
            "floor": pause_adj if pause_adj > PAUSE_WANTS_ADJ else None,
        }

    @property
    @told
    def pod_conversion(self) -> str:
        """The conversion of shares into a weight that the kubelet uses for the cgroups of Pods:
        "new" or "old"."""
        return self._reference[2]

    @cached_property
    def _reference(self) -> tuple[int, str, str, str]:
        """(period of quotas, conversion of the runtime, conversion of the kubelet, driver), from a
        container that was there before."""
        for pod in self._connection.list("Pod", "kube-system")["items"]:
            ids = [
                each["containerID"] for each in fields.statuses(pod) if "running" in each["state"]
            ]
            shares = formulas.cpu_shares(formulas.effective_requests(pod).get("cpu"))
            if len(pod["spec"]["containers"]) == len(ids) == 1 and shares > formulas.cpu_shares(
                None
            ):
                found, above = (self.cgroup(ids[0], of_pod=of_pod) for of_pod in (False, True))
                conversions = ("new", "old")
                if found.cpu_weight and above.cpu_weight:
                    conversions = tuple(
                        formulas.weight_conversion(shares, each.cpu_weight)
                        for each in (found, above)
                    )
                driver = "systemd" if found.directory.endswith(".scope") else "cgroupfs"
                return found.cpu_period_us or formulas.PERIOD_US, *conversions, driver
        return formulas.PERIOD_US, "new", "old", "systemd"

    @told
    def cgroup(self, container_id: str, *, of_pod: bool = False) -> cgroups.Cgroup:
        """The cgroup of a container: its directory on the node, and what its files say now.

        Args:
            container_id: the container's id.
            of_pod: the cgroup above, in which all containers of the Pod lie.

        Raises:
            LabError: the container does not run.
        """
        container_id = fields.bare(container_id)
        if not container_id:
            raise self._no_cgroup("")
        if container_id not in self._directories:
            done = self._exec(FIND_CGROUP.format(container_id=container_id, gone=GONE))
            if done.returncode:
                raise self._no_cgroup(container_id)
            of_process, _, mountinfo = done.stdout.partition("\n\n")
            self._directories[container_id] = cgroups.directories(of_process, mountinfo)
        directories = self._directories[container_id]
        found = self._measure(cgroups.parents(directories) if of_pod else directories)
        if found is None:
            raise self._no_cgroup(container_id)
        return found

    @property
    @told
    def pods_cgroup(self) -> cgroups.Cgroup:
        """The cgroup in which those of all Pods lie, and what its files say now."""
        found = self._measure(cgroups.pods_root(self.own_directories))
        if found is None:
            raise LabError(
                "The cgroups of the Pods were not found.",
                "no kubepods on the node",
                "`podlab doctor` looks for them.",
            )
        return found

    def _measure(self, directories: Mapping[str, str]) -> cgroups.Cgroup | None:
        wanted = cgroups.files(directories)
        # grep leaves out what is missing, says with each line which file it is from, and is one
        # program for all.
        text = self._exec(f"grep -H '' {' '.join(map(shlex.quote, wanted))} 2>/dev/null").stdout
        texts: dict[str, str] = defaultdict(str)
        for line in text.splitlines():
            path = next(each for each in wanted if line.startswith(each + ":"))
            texts[path] += line[len(path) + 1 :] + "\n"
        return cgroups.measure(directories, texts) if texts else None

    @property
    @told
    def own_directories(self) -> dict[str, str]:
        """The cgroup directories of the Pod through which the node is seen, as
        ``cgroups.directories`` gives them: a controller that is missing here is missing for every
        container. Asked anew each time, for that Pod may be made anew."""
        of_process, _, mountinfo = self.run(
            "cat /proc/self/cgroup; echo; grep cgroup /proc/self/mountinfo"
        ).partition("\n\n")
        return cgroups.directories(of_process, mountinfo)

    @told
    def kernel_log(self, container_id: str) -> list[str]:
        """The lines of the node's kernel log about a container: what the OOM killer did in its
        cgroup, oldest first.

        A report names the cgroup of the process that was killed (``task_memcg``) and the one whose
        limit was hit (``oom_memcg``), which may be the Pod's. The line that names the victim has no
        cgroup in it: it is found by the process id.
        """
        return oom_lines(
            self.run("dmesg | grep -e oom-kill: -e 'Killed process' || true"),
            fields.bare(container_id),
        )

    @told
    def oom_kills(self, within_seconds: float) -> list[tuple[str, str]]:
        """Each report of the kernel that it killed a process for want of memory, in the last
        seconds, oldest first: (constraint, cgroup).

        The cgroup is the victim's (``task_memcg``), by its path on the machine: the log is the
        kernel's, and so the whole machine's. The constraint is CONSTRAINT_MEMCG where a cgroup had
        come to its limit, and another word where the machine itself had run out.
        """
        marker = f"{MARK} marker {secrets.token_hex(4)}"
        lines = self.run(
            f"echo {marker} > /dev/kmsg; dmesg | grep -e oom-kill: -e '{marker}'"
        ).splitlines()
        # By the log's own clock, which drifts against every other: the marker says what it shows
        # now.
        stamped = [
            (float(found[1]), line)
            for line in lines
            if (found := re.search(r"\[\s*(\d+\.\d+)\]", line))
        ]
        now = max((stamp for stamp, line in stamped if marker in line), default=0.0)
        recent = [
            line for stamp, line in stamped if "oom-kill:" in line and stamp >= now - within_seconds
        ]
        found = [
            (re.search(r"constraint=(\w+)", line), re.search(r"task_memcg=([^,]*)", line))
            for line in recent
        ]
        return [
            (constraint[1] if constraint else "", path[1] if path else "")
            for constraint, path in found
        ]

    @told
    def images(self) -> set[str]:
        """The images on the node, by every name that a manifest may use: ``busybox:1.35.0`` and
        ``docker.io/library/busybox:1.35.0``."""
        return image_names(self.run("ctr --namespace k8s.io images list --quiet"))

    def _exec(
        self, script: str, timeout_seconds: float = EXEC_SECONDS, note: bool = True
    ) -> Completed:
        if note:
            self.transcript.note(_kubectl(script))
        command = [*ENTER, script]
        try:
            return self._connection.exec(POD, POD, command, timeout_seconds=timeout_seconds)
        except Refused:  # the Pod is missing, or has just been started again
            self.ensure()
            return self._connection.exec(POD, POD, command, timeout_seconds=timeout_seconds)

    def _state(self) -> str:
        try:
            return self._connection.get("Pod", POD).get("status", {}).get("phase", "Pending")
        except Refused as refused:
            if refused.reason != "NotFound":
                raise
            return ""

    def _no_cgroup(self, container_id: str) -> LabError:
        self._directories.pop(container_id, None)
        return LabError(
            "The container has no cgroup on the node.",
            f"no process in the cgroup of {container_id[:12] or '(no id)'}",
            "Ask while it runs: pod.container(…).state says so.",
        )


def _look_script(pod_uid: str) -> str:
    return LOOK.format(
        uid=pod_uid, uid_of_systemd=pod_uid.replace("-", "_"), kinds=" ".join(NAMESPACES)
    )


def parse_look(text: str, pod_uid: str, sent_seconds: float, received_seconds: float) -> Look:
    """What the script printed, as a ``Look``. A process that ended meanwhile is kept with what was
    still to be seen of it."""
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
        elif re.fullmatch(
            r"(\d+m[\d.]+s ?){2}", line
        ):  # what times prints: user and system, of the shell, then of its children
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
            "A look at the node was cut short.",
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
    return Look(
        tuple(processes),
        links[1].get("net", 0),
        booted,
        now,
        booted + end,
        sent_seconds,
        received_seconds,
        spent,
    )


def killed_beyond(kills: Iterable[tuple[str, str]], pod_uids: Iterable[str]) -> list[str]:
    """Of the kernel's kills for want of memory those that hit the node beyond these Pods: the
    cgroups.

    Args:
        kills: as ``Node.oom_kills`` gives them. The kernel's log is the machine's: what was killed
            at its own limit beside the node, in other containers of the machine, is left out.
        pod_uids: whose kills are expected.

    >>> hit = ["/docker/1/kubelet.slice/kubelet-kubepods-pod1_2.slice/x.scope", "/docker/1/system.slice", "/docker/2"]
    >>> killed_beyond([("CONSTRAINT_MEMCG", cgroup) for cgroup in hit], pod_uids=["1-2"])
    ['/docker/1/system.slice']
    """
    kills = list(kills)
    names = [name for uid in pod_uids for name in (uid, uid.replace("-", "_"))]
    ours = [path for _, path in kills if any(name in path for name in names)]
    # Of the paths of Pods only the part before the kubelet's is the node's own.
    nodes = {
        path.partition("/kube")[0]
        for path in ours or [path for _, path in kills]
        if "/kube" in path
    }
    beside = [
        path
        for why, path in kills
        if why == "CONSTRAINT_MEMCG" and not any(path.startswith(f"{each}/") for each in nodes)
    ]
    return [path for _, path in kills if path not in ours and path not in beside]


def oom_lines(log: str, container_id: str) -> list[str]:
    """The lines of a kernel log about one container.

    >>> log = '''oom-kill:oom_memcg=/pod1,task_memcg=/pod1/ab,task=tail,pid=7,uid=0
    ... Memory cgroup out of memory: Killed process 7 (tail)
    ... Memory cgroup out of memory: Killed process 8 (dd)'''
    >>> oom_lines(log, "ab")[1]
    'Memory cgroup out of memory: Killed process 7 (tail)'
    """
    lines, victim = [], ""
    for line in log.splitlines():
        if "oom-kill:" in line:
            about = bool(container_id) and re.search(
                rf"_memcg=[^,]*{re.escape(container_id)}", line
            )
            victim = found[1] if about and (found := re.search(r",pid=(\d+)", line)) else ""
            if about:
                lines.append(line)
        elif victim and re.search(rf"Killed process {victim}\b", line):
            lines.append(line)
    return lines


def image_names(listing: str) -> set[str]:
    """The names in containerd's list, each in full and in the short forms that mean the same.

    >>> sorted(image_names("docker.io/library/busybox:1.35.0"))
    ['busybox:1.35.0', 'docker.io/busybox:1.35.0', 'docker.io/library/busybox:1.35.0', 'library/busybox:1.35.0']
    """
    names = set()
    for name in filter(None, map(str.strip, listing.splitlines())):
        names.add(name)
        if name.startswith("docker.io/"):
            rest = name.removeprefix("docker.io/")
            names |= {
                rest,
                rest.removeprefix("library/"),
                "docker.io/" + rest.removeprefix("library/"),
            }
    return names


def _applet(name: str, words: list[str]) -> str:
    """A busybox that starts an applet by running itself again shows as "exe" or "busybox": its
    first word says which applet."""
    return (
        words[0].rpartition("/")[2] if name in ("exe", "busybox") and words and words[0] else name
    )


def _kubectl(script: str) -> str:
    return f"kubectl exec --namespace {NODE_NAMESPACE} {POD} -- {shlex.join([*ENTER, script])}"


# With its path: a busybox that prefers its own applets would take a bare "sh" for itself, and then
# every program that the script names.
ENTER = ("nsenter", "-t", "1", "-m", "--", "/bin/sh", "-c")

NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {
        "name": NODE_NAMESPACE,
        "labels": {
            MARK: "cluster",
            **{
                f"pod-security.kubernetes.io/{mode}": "privileged"
                for mode in ("enforce", "audit", "warn")
            },
        },
    },
}

NODE_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": POD, "namespace": NODE_NAMESPACE, "labels": {MARK: "cluster"}},
    "spec": {
        "hostPID": True,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": (
            "system-node-critical"
        ),  # a lab that fills the node must not push out the eyes that watch it
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": POD,
                "image": "busybox:1.35.0",
                "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "2147483647"],
                "securityContext": {"privileged": True},
                # So much CPU that it still sees when others fill the node: what cannot look in time
                # misses what was there.
                "resources": {"requests": {"cpu": "100m", "memory": "16Mi"}},
            }
        ],
    },
}
