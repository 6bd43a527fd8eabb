"""The node from the inside: processes, namespaces, cgroups, files, the kernel's log, and the power
to kill.

All of it goes through one privileged Pod of the project's own, ``podlab-node/node``, which shares
the node's process table and enters the mount namespace of the node's first process. So it works on
any cluster, and a call is one exec, of 60 to 90 ms. Helpers here take names and ids, never a Pod.
"""

import secrets
import shlex
import time
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from labhelpers import formulas
from labhelpers.errors import LabError, Refused
from labhelpers.kube import fields
from labhelpers.kube.client import EXEC_SECONDS, MARK, NODE_NAMESPACE, Connection
from labhelpers.kube.exec import Completed, Lines
from labhelpers.kube.waiting import wait_until
from labhelpers.node import cgroups, oom, processes
from labhelpers.node.node_pod import ENTER, NAMESPACE, NODE_POD, POD
from labhelpers.node.processes import NAMESPACES, Process, ProcessSnapshot, ProcessWatch
from labhelpers.outcomes import as_printed, shown_only
from labhelpers.transcript import told

__all__ = ["Node"]

GONE = 3  # the exit code by which a script says that its process is not there any more


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
  if [ -z "$best" ] || [ ${{20}} -lt $began ] \\
      || {{ [ ${{20}} -eq $began ] && [ $pid -lt $best ]; }}; then
    best=$pid began=${{20}}
  fi
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

    def show(self, command: str) -> None:
        """Runs a command on the node and shows what it prints, as a terminal there would. Nobody
        compares it.

        Raises:
            LabError: it ended with another code than 0.

        Example::

            lab.node.show("ls /run/netns")
        """
        printed = self.run(command).rstrip()
        shown_only(as_printed(f"node$ {command}\n{printed}"))

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
    def look(self, pod_uid: str) -> ProcessSnapshot:
        """The Pod's processes in one look, with the moments of the look."""
        sent = time.time()
        text = self._exec(processes.snapshot_script(pod_uid), note=False).stdout
        return processes.parse(text, pod_uid, sent, time.time())

    @told
    def looks(self, pod_uid: str, *, timeout_seconds: float) -> ProcessWatch:
        """For many looks at one Pod: over one connection, which lives so long at most. A look by
        itself costs a connection and two programs of the runtime; one of these takes a hundredth of
        a second or two, and does not wait for a runtime that is busy with the Pod."""
        return ProcessWatch(
            self.stream(
                f"while read -r; do\n{processes.snapshot_script(pod_uid)}\ndone",
                timeout_seconds=timeout_seconds,
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
                "That process has already exited.",
                f"{name} has no process on the node any more",
                "pod.processes() lists what is running now.",
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
        return oom.about_container(
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
        log = self.run(f"echo {marker} > /dev/kmsg; dmesg | grep -e oom-kill: -e '{marker}'")
        return oom.kills(log, marker, within_seconds)

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


def image_names(listing: str) -> set[str]:
    """The names in containerd's list, each in full and in the short forms that mean the same.

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


def _kubectl(script: str) -> str:
    return f"kubectl exec --namespace {NODE_NAMESPACE} {POD} -- {shlex.join([*ENTER, script])}"
