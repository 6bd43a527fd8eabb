"""The node from the inside: processes, namespaces, cgroups, files, the kernel's log, and signals to
processes. Helpers here take names and ids, never a Pod.
"""

import re
import secrets
import shlex
import time
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from labhelpers import formulas
from labhelpers.arguments import checked
from labhelpers.errors import LabError
from labhelpers.kube import fields
from labhelpers.kube.client import MARK, Connection
from labhelpers.node import cgroups, oom, processes
from labhelpers.node.processes import NAMESPACES, Process, ProcessSnapshot, ProcessWatch
from labhelpers.node.shell import NodeShell, kubectl_line
from labhelpers.patience import patient
from labhelpers.polling import poll
from labhelpers.transcript import told

__all__ = ["Node"]

# How long a process may take from runc to its own program.
ENTERED_SECONDS, ENTERED_PAUSE_SECONDS = 10.0, 0.05
# What the scripts look for in /proc. A shorter text would be part of every cgroup's path.
CONTAINER_ID, POD_UID = re.compile("[0-9a-f]{12,64}"), re.compile("[0-9a-f-]{32,36}")
GONE = 3  # the exit code with which a script says that its process has ended


# The first process of a container is the oldest in its cgroup. If two started in the same tick,
# it's the one with the lower id.
KILL_CONTAINER = """
cd /proc
best= began=
for file in $(grep -lF -e {container_id} [0-9]*/cgroup 2>/dev/null); do
  pid=${{file%/cgroup}}
  {{ read -r stat < $pid/stat; }} 2>/dev/null || continue
  set -- ${{stat##*) }}
  [ "$1" = Z ] && continue
  if [ -z "$best" ] || [ ${{20}} -lt $began ] \\
      || {{ [ ${{20}} -eq $began ] && [ $pid -lt $best ]; }}; then
    best=$pid began=${{20}}
  fi
done
[ -n "$best" ] || exit {gone}
kill -s {signal} $best
"""

# A process id may have been reused: the start time tells.
KILL_PROCESS = """
cd /proc
{{ read -r stat < {pid}/stat; }} 2>/dev/null || exit {gone}
set -- ${{stat##*) }}
[ "$1" != Z ] && [ ${{20}} = {ticks} ] || exit {gone}
kill -s {signal} {pid}
"""

# pause should get -998, and gets what the runtime may set
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


def _must_be(value: str, pattern: re.Pattern, what: str, given_by: str) -> None:
    if not pattern.fullmatch(value):
        raise LabError(
            f"{value!r} isn't {what}, so nothing was looked for.",
            f"it doesn't match {pattern.pattern}",
            f"Use what {given_by} gives.",
        )


@checked
class Node(NodeShell):
    """The cluster's one node, from the inside.

    Args:
        connection: an open connection to a cluster of the labs.

    >>> node = Node(connection)                                        # doctest: +SKIP
    >>> [each.command for each in node.processes(pod.uid)]             # doctest: +SKIP
    ['pause', 'sleep']
    """

    def __init__(self, connection: Connection):
        super().__init__(connection)
        self._directories: dict[str, dict[str, str]] = {}

    @told
    def look(self, pod_uid: str) -> ProcessSnapshot:
        """Takes one look at the Pod's processes, with the times of the look."""
        _must_be(pod_uid, POD_UID, "a Pod's uid", "pod.uid")
        sent = time.time()
        text = self._exec(processes.snapshot_script(pod_uid), note=False).stdout
        return processes.parse(text, pod_uid, sent, time.time())

    @told
    def looks(self, pod_uid: str, *, timeout_seconds: float) -> ProcessWatch:
        """Opens one connection for many looks at one Pod, which lives at most this long. A single
        look costs a connection and two programs of the runtime. One of these takes 10 to 20 ms, and
        doesn't wait for a runtime that is busy with the Pod."""
        _must_be(pod_uid, POD_UID, "a Pod's uid", "pod.uid")
        return ProcessWatch(
            self.stream(
                f"while read -r; do\n{processes.snapshot_script(pod_uid)}\ndone",
                timeout_seconds=timeout_seconds,
            ),
            pod_uid,
        )

    @told
    def processes(self, pod_uid: str) -> list[Process]:
        """Lists all processes of a Pod, oldest first: those of its containers, and pause. Empty if
        the Pod has none on this node.

        A process that's still runc is looked at again until it's the program that it's going to be.
        The API says "running" as soon as runc may go on, and under a small CPU limit that last step
        takes a good part of a second. After ``ENTERED_SECONDS`` this returns what there is.

        They're found by the Pod's uid in ``/proc/*/cgroup``, where the kubelet puts it with either
        cgroup driver (https://kubernetes.io/docs/concepts/architecture/cgroups/).

        Raises:
            LabError: it isn't a Pod's uid.
        """
        _must_be(pod_uid, POD_UID, "a Pod's uid", "pod.uid")
        self.transcript.note(
            kubectl_line(
                f"grep -lF -e {pod_uid} -e {pod_uid.replace('-', '_')} /proc/[0-9]*/cgroup"
                " 2>/dev/null || true"
            )
        )
        found: list[Process] = []

        def have_entered() -> bool:
            found[:] = self.look(pod_uid).processes
            return not any(each.enters for each in found)

        poll(
            have_entered,
            timeout_seconds=patient(ENTERED_SECONDS),
            every_seconds=ENTERED_PAUSE_SECONDS,
        )
        return found

    @told
    def node_namespaces(self) -> dict[str, int]:
        """The inode numbers of the node's own namespaces: those of its PID 1."""
        links = " ".join(f"/proc/1/ns/{kind}" for kind in NAMESPACES)
        lines = self.run(f"stat -L -c '%n %i' {links}").split("\n")
        return {line.split()[0].rpartition("/")[2]: int(line.split()[1]) for line in lines if line}

    @told
    def kill(self, target: object, signal: str = "KILL") -> None:
        """Sends a signal to a process from outside its container, where nothing protects it.

        Args:
            target: a ``Process``, a container's id, or anything whose ``id`` is one. For a
                container, its first process gets the signal.
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
            if not container_id:  # grep for "" matches everything
                raise LabError(
                    "There is no process to kill yet.",
                    "the container has no id: it hasn't been created",
                    "Wait until the container is running.",
                )
            _must_be(container_id, CONTAINER_ID, "a container's id", 'pod.container("app").id')
            name = f"container {container_id[:12]}"
            script = KILL_CONTAINER.format(
                container_id=container_id, signal=shlex.quote(signal), gone=GONE
            )
        done = self._exec(script)
        if done.returncode == GONE:
            raise LabError(
                "That process has already exited.",
                f"{name} has no process on the node any more",
                "pod.processes() lists what is running now.",
            )
        if done.returncode:
            raise LabError(
                f"The signal didn't reach {name}.",
                done.stderr.strip(),
                "Use a signal that `kill -l` lists, without SIG.",
            )

    @cached_property
    @told
    def cgroup_version(self) -> int:
        """The node's cgroup version: 1 or 2."""
        return cgroups.version(self.run("grep cgroup /proc/self/mountinfo"))

    @cached_property
    @told
    def formula_inputs(self) -> dict[str, Any]:
        """What ``formulas.cgroup_values`` has to know about a node, besides a Pod's spec, as
        keyword arguments.

        Whatever only the node can tell comes from what it did before, never from the Pod in
        question: the floor of oom_score_adj from a pause process; the cgroup driver, the period of
            quotas and,
        on cgroup version 2, the conversion to weights from a container of the control plane.
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
        """The conversion from shares to a weight that the kubelet uses for Pods' cgroups: "new" or
        "old"."""
        return self._reference[2]

    @cached_property
    def _reference(self) -> tuple[int, str, str, str]:
        """(period of quotas, the runtime's conversion, the kubelet's conversion, cgroup driver),
        from a container that was there before."""
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
        """Reads the cgroup of a container: its directory on the node, and what its files say now.

        Args:
            container_id: the container's id.
            of_pod: read the Pod's cgroup instead, which contains those of its containers.

        Raises:
            LabError: the container isn't running.
        """
        container_id = fields.bare(container_id)
        if not container_id:
            raise self._no_cgroup("")
        _must_be(container_id, CONTAINER_ID, "a container's id", 'pod.container("app").id')
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
        """Reads the cgroup that contains those of all Pods."""
        found = self._measure(cgroups.pods_root(self.own_directories))
        if found is None:
            raise LabError(
                "The Pods' cgroups weren't found on the node.",
                "no kubepods on the node",
                "Make a fresh node: `podlab down`, then `podlab up`.",
            )
        return found

    def _measure(self, directories: Mapping[str, str]) -> cgroups.Cgroup | None:
        wanted = cgroups.files(directories)
        # One grep for all: it skips missing files, and prints the file's name before each line.
        text = self._exec(f"grep -H '' {' '.join(map(shlex.quote, wanted))} 2>/dev/null").stdout
        texts: dict[str, str] = defaultdict(str)
        for line in text.splitlines():
            path = next(each for each in wanted if line.startswith(each + ":"))
            texts[path] += line[len(path) + 1 :] + "\n"
        return cgroups.measure(directories, texts) if texts else None

    @property
    @told
    def own_directories(self) -> dict[str, str]:
        """The cgroup directories of the Pod through which we see the node, as
        ``cgroups.directories`` returns them. A controller that is missing here is missing for every
        container. They're read each time, because that Pod may have been replaced."""
        of_process, _, mountinfo = self.run(
            "cat /proc/self/cgroup; echo; grep cgroup /proc/self/mountinfo"
        ).partition("\n\n")
        return cgroups.directories(of_process, mountinfo)

    @told
    def kernel_log(self, container_id: str) -> list[str]:
        """Reads the lines of the node's kernel log about a container: what the OOM killer did in
        its cgroup, oldest first.

        A report names the cgroup of the process that was killed (``task_memcg``) and the one whose
        limit was hit (``oom_memcg``), which may be the Pod's. The line that names the victim
        doesn't have the cgroup, so it's found by the process id.
        """
        return oom.about_container(
            self.run("dmesg | grep -e oom-kill: -e 'Killed process' || true"),
            fields.bare(container_id),
        )

    @told
    def oom_kills(self, within_seconds: float) -> list[tuple[str, str]]:
        """Reads the kernel's reports of OOM kills in the last seconds, oldest first: (constraint,
        cgroup).

        The cgroup is the victim's (``task_memcg``), by its path on the machine, because the
        kernel's log covers the whole machine. The constraint is CONSTRAINT_MEMCG if a cgroup had
        reached its limit, and another word if the machine itself had run out of memory.
        """
        marker = f"{MARK} marker {secrets.token_hex(4)}"
        log = self.run(f"echo {marker} > /dev/kmsg; dmesg | grep -e oom-kill: -e '{marker}'")
        return oom.kills(log, marker, within_seconds)

    @told
    def images(self) -> set[str]:
        """Lists the images on the node, by every name that a manifest may use: ``busybox:1.35.0``
        and ``docker.io/library/busybox:1.35.0``."""
        return image_names(self.run("ctr --namespace k8s.io images list --quiet"))

    def _no_cgroup(self, container_id: str) -> LabError:
        self._directories.pop(container_id, None)
        return LabError(
            "The container has no cgroup on the node.",
            f"no process in the cgroup of {container_id[:12] or '(no id)'}",
            "Try again while it's running: pod.container(…).state tells.",
        )


def image_names(listing: str) -> set[str]:
    """The names in containerd's list, each in full and in its short forms.

    >>> for name in sorted(image_names("docker.io/library/busybox:1.35.0")):
    ...     print(name)
    busybox:1.35.0
    docker.io/busybox:1.35.0
    docker.io/library/busybox:1.35.0
    library/busybox:1.35.0
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
