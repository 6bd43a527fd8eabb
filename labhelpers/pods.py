"""A live handle on a Pod, which asks the API server or the node each time. To compare facts with
each other, take them from one ``pod.now()``, which is frozen.
"""

import json
import math
import shlex
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from labhelpers.arguments import checked
from labhelpers.containers import Container, Pause
from labhelpers.errors import LabError, Refused, TimedOut
from labhelpers.kube import fields, official
from labhelpers.kube.client import EXEC_SECONDS, Connection
from labhelpers.kube.exec import Completed
from labhelpers.kube.kinds import check_name
from labhelpers.kube.pod_status import CONDITIONS, PHASES, resized
from labhelpers.measure import idle
from labhelpers.node import pod_processes
from labhelpers.node.cgroups import Cgroup
from labhelpers.node.node import Node
from labhelpers.node.processes import Process
from labhelpers.node.shell import kubectl_line
from labhelpers.outcomes import Resize, Text
from labhelpers.patience import advice, patient
from labhelpers.predicted import COMPARED, Comparison, Predicted, compare
from labhelpers.resources import Resource
from labhelpers.snapshots import PodFacts, PodSnapshot
from labhelpers.stuck import StuckDetector, why_stuck
from labhelpers.transcript import told

if TYPE_CHECKING:
    import pandas

    from labhelpers.tables import Table

__all__ = ["Pod"]

ADDED_UP_SECONDS, LOOK_PAUSE_SECONDS = 5.0, 0.1


@checked
class Pod(PodFacts, Resource):
    """A live handle on a Pod.

    Args:
        connection: the connection, whose namespace is the Pod's.
        name: the Pod's name.
        node: the node from the inside; made on first use if not given.

    Example::

        pod = lab.apply("one-app.yaml").wait_until("Ready", timeout_seconds=30)
        pod.container("app").restarts
    """

    def __init__(self, connection: Connection, name: str, node: Node | None = None):
        super().__init__(connection, "Pod", name)
        self._node = node

    @property
    def node(self) -> Node:
        """The node on which the Pod's processes are."""
        if self._node is None:
            self._node = Node(self.connection)
        return self._node

    @told
    def now(self) -> PodSnapshot:
        """Returns the Pod as it is at this moment, frozen. Use it to compare facts with each
        other."""
        return PodSnapshot(self._look(""))

    def container(self, name: str) -> Container:
        """Returns a live handle on one container: app, init or ephemeral.

        The handle remembers the restarts at this moment; ``wait_until("restarted")`` counts from
        there.

        Raises:
            LabError: the Pod has no container of that name; names those that it has.
        """
        if self.transcript is not None:
            self.transcript.check("Pod.container")
        return Container(self, name)

    @property
    def pause(self) -> Pause:
        """A handle on the Pod's pause container, which isn't in a manifest or a status, and is
        found on the node."""
        return Pause(self)

    @told
    def processes(self) -> "Table":
        """Lists every process of the Pod as the node sees it now: pause first, then the containers
        in the order of the spec.

        Columns: container, command, parent (the parent's command), and one for each kind of
        namespace: net, ipc, uts, pid, mnt, user. Equal letters in a column are the same namespace.

        Example::

            pod.processes()[["command", "parent"]]
        """
        return pod_processes.table(self._rows())

    @told
    def namespaces(self) -> "pandas.DataFrame":
        """Reads the inode of each namespace (columns) of each container (rows, pause first) now, as
        a DataFrame for ``charts.matrix``.

        A container's namespaces are those of its first process. A container that isn't running has
        no row.
        """
        with self.transcript.quietly():  # by hand you'd type lsns, for one process after the other
            rows = self._rows()
        apps = [process.pid for name, process in rows if name != "pause" and process.namespaces]
        self.transcript.note(*(kubectl_line(f"lsns -p {pid}") for pid in apps[:1]))
        return pod_processes.namespaces(rows)

    @told
    def tree(self) -> Text:
        """Draws every process of the Pod as the node sees it now, each below its parent.

        Each process has its command line and, in brackets, its container. At the root is the parent
        of the Pod's first processes: the runtime's shim.
        """
        return pod_processes.tree(self._rows())

    @told
    def process(self, command_line: str, *, timeout_seconds: float) -> Process:
        """Finds the Pod's process with this command line, and waits until it exists: a shell's
        child starts as a copy of the shell.

        Raises:
            TimedOut: there is none yet; lists those that there are.

        Example::

            pod.exec("app", "sleep 1000 >/dev/null 2>&1 & exit 0")
            pod.process("sleep 1000", timeout_seconds=10)
        """
        timeout_seconds = patient(timeout_seconds)
        deadline = time.monotonic() + timeout_seconds
        while True:
            there = self.node.processes(self._read()["metadata"]["uid"])
            if found := next((each for each in there if each.command_line == command_line), None):
                return found
            if time.monotonic() > deadline:
                seen = (
                    f"after {timeout_seconds:g} s there are:"
                    f" {', '.join(each.command_line for each in there) or 'none'}"
                )
                raise TimedOut(
                    f"Pod {self.name} has no process {command_line!r}.",
                    seen,
                    advice("Check with pod.tree() whether it has ended."),
                )
            time.sleep(LOOK_PAUSE_SECONDS)

    @property
    @told
    def predicted(self) -> Predicted:
        """What the formulas predict for this Pod on this node, from the spec that the API has now:
        ``pod.predicted["app"].cpu_shares``."""
        return Predicted(self._look(""), self.node.formula_inputs, self.node.pod_conversion)

    @property
    @told
    def cgroup(self) -> Cgroup:
        """The Pod's own cgroup, which contains its containers' cgroups: its directory on the node,
        and what its files say now.

        Raises:
            LabError: no container of the Pod is running.
        """
        running = self._running_ids()
        return self.node.cgroup(running[0] if running else "", of_pod=True)

    def _running_ids(self) -> list[str]:
        return [
            fields.bare(status["containerID"])
            for status in fields.statuses(self._read())
            if "running" in (status.get("state") or {})
        ]

    @told
    def settled_cgroup(self) -> Cgroup:
        """The Pod's own cgroup, as soon as the kernel has updated the breakdown of its memory: see
        ``Cgroup.adds_up``.

        The kernel does so every two seconds, a little later if a CPU is idle. After that time this
        returns the cgroup as it is.

        Raises:
            LabError: no container of the Pod is running.

        Example::

            moments["after the file"] = box.settled_cgroup()
        """
        deadline = time.monotonic() + patient(ADDED_UP_SECONDS)
        while True:
            found = self.cgroup
            if (
                found.adds_up(self.node.cgroup(id_) for id_ in self._running_ids())
                or time.monotonic() > deadline
            ):
                return found
            time.sleep(LOOK_PAUSE_SECONDS)

    @told
    def undisturbed(
        self,
        measure: Callable[[], Any],
        *,
        timeout_seconds: float,
        needs_cpus: float | None = None,
    ) -> Any:
        """Runs a measurement in this Pod while nobody else uses the CPUs much: no formula knows how
        long a container waits for others.

        Others are all programs on the machine that aren't this Pod's, and, on a virtual machine,
        its host (*steal*). While they use more than a quarter of the CPUs, the measurement is
        repeated.

        Args:
            measure: measures, and returns the result.
            timeout_seconds: after this time there is no further repetition. The result is the one
                for which others used the least.
            needs_cpus: if the measurement needs only so many CPUs, others may use all but twice as
                many.

        Example::

            seconds = bursts.undisturbed(lambda: durations("app", 50), timeout_seconds=120)
        """
        if needs_cpus is not None and not 0 <= needs_cpus < math.inf:
            raise LabError(
                f"A measurement can't need {needs_cpus:g} CPUs.",
                f"needs_cpus={needs_cpus:g}",
                "Say how many it needs, such as 0.5, or leave needs_cpus out.",
            )
        most = (
            idle.OTHERS_SHARE
            if needs_cpus is None
            else idle.may_take(needs_cpus, self.node.read("/proc/stat"))
        )
        return idle.measure_while_idle(
            measure, self._others, timeout_seconds=timeout_seconds, most=most
        )

    def _others(self) -> tuple[float, float]:
        return idle.used_by_others(self.node.read("/proc/stat"), self.cgroup.cpu_seconds)

    @told
    def as_predicted(self) -> Comparison:
        """Compares what is predicted for each running container with what the node has.

        A container keeps the oom_score_adj that it was started with. After a resize of its memory
        request, the prediction differs until the next start.

        Returns:
            "as predicted for this node", or each value that differs. Its ``table`` has the columns
            container, value, predicted and found: shares or weight, quota and period in
                microseconds,
            memory limit in bytes, oom_score_adj.
        """
        raw, predicted, found = self._read(), self.predicted, {}
        for status in fields.statuses(raw):
            if "running" in (status.get("state") or {}):
                name = status["name"]
                container = self.container(name)
                cgroup, values = container.cgroup, COMPARED[predicted[name].version]
                found[name] = {value: getattr(cgroup, value) for value in values}
                found[name]["oom_score_adj"] = container.oom_score_adj
        return compare(predicted, found)

    @told
    def resize(
        self,
        container: str,
        *,
        requests: Mapping[str, str] | None = None,
        limits: Mapping[str, str] | None = None,
        timeout_seconds: float,
    ) -> Resize:
        """Resizes a running container's requests or limits for CPU or memory in place, and waits
        for the outcome.

        There are four outcomes. The first three are the ``outcome`` of the result:

        - "done": the cgroup has been changed.
        - "deferred": it would fit on the node, but there's no room now. The kubelet tries again
          when there is.
        - "error": the kubelet has started, but can't finish, because the memory limit would be
          lower than what is in use. It keeps trying.
        - rejected, permanently: it would change the QoS class, or exceed the node. This raises
          ``Refused``.

        After "deferred" and "error" the spec has the new values, and the container still has the
        old ones: resize it back.

        Args:
            container: the container's name.
            requests, limits: what to change: ``{"cpu": "300m", "memory": "128Mi"}``. The rest
                stays.
            timeout_seconds: limit of the wait, in seconds.

        Raises:
            Refused: the API server or the kubelet rejected it; if the kubelet did, the reason is
                "Infeasible".
            TimedOut: the outcome isn't known yet.
            Impossible: the Pod has ended.

        https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/

        Example::

            pod.resize("app", limits={"cpu": "300m"}, timeout_seconds=30).outcome
        """
        if not requests and not limits:
            raise LabError(
                "There's nothing to resize.",
                "neither requests nor limits",
                'For example: pod.resize("app", limits={"cpu": "300m"}, timeout_seconds=30).',
            )
        begin = time.monotonic()
        group = fields.GROUPS[fields.group(self.container(container)._raw, container)]
        resources = {
            kind: dict(amounts)
            for kind, amounts in (("requests", requests), ("limits", limits))
            if amounts
        }
        body = {"spec": {group: [{"name": container, "resources": resources}]}}
        where = ("Pod", self.name, self.connection.namespace)
        self.transcript.note(
            f"kubectl patch pod {self.name} --subresource resize --patch"
            f" {shlex.quote(json.dumps(body))}",
            python=official.call("patch", *where, repr(body), part="resize"),
        )
        asked = self.connection.patch(
            "Pod", self.name, body, subresource="resize", patch_type="strategic"
        )
        generation = asked["metadata"]["generation"]
        seen = self._wait(
            lambda raw: raw is not None and resized(raw, container, generation),
            f"resized (its container {container})",
            timeout_seconds,
            StuckDetector(
                lambda raw: (
                    ("The Pod has ended.", 0, 0)
                    if raw.get("status", {}).get("phase") in ("Succeeded", "Failed")
                    else None
                )
            ),
        )
        outcome, message = resized(seen, container, generation)
        if outcome == "infeasible":
            raise Refused(
                "The kubelet rejected the resize.",
                message,
                "Request less than the node has.",
                reason="Infeasible",
                message=message,
            )
        return Resize(outcome, message, time.monotonic() - begin)

    @told
    def exec(
        self, container: str, command: list[str] | str, *, timeout_seconds: float = EXEC_SECONDS
    ) -> Completed:
        """Runs a command in a container; returns its output and its exit code.

        Args:
            container: the container's name.
            command: a list of words, or one line that the container's ``sh`` runs.
            timeout_seconds: limit in seconds.

        Raises:
            LabError: the command couldn't be started, or took too long.

        Example::

            pod.exec("app", "ls /")
        """
        check_name("Container", container)  # an empty one would be the Pod's first
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        if not command or not words[0]:
            raise LabError(
                "There is no command to run.",
                repr(command),
                'For example: pod.exec("app", "ls /").',
            )
        self.transcript.note(f"kubectl exec {self.name} -c {container} -- {shlex.join(words)}")
        return self.connection.exec(self.name, container, words, timeout_seconds=timeout_seconds)

    @told
    def logs(self, container: str, *, previous: bool = False) -> str:
        """Reads a container's log; with ``previous``, the log from before its last restart.

        Raises:
            Refused: the container hasn't started, or hasn't been restarted.
        """
        check_name("Container", container)  # an empty one would be the Pod's only one
        where = ("Pod", self.name, self.connection.namespace)
        more = (f"container={container!r}", *(["previous=True"] if previous else []))
        self.transcript.note(
            f"kubectl logs {self.name} -c {container}{' --previous' if previous else ''}",
            python=official.call("read", *where, *more, part="log"),
        )
        return self.connection.logs(self.name, container, previous=previous)

    def wait_until(
        self, goal: str | Callable[[PodSnapshot], bool], *, timeout_seconds: float
    ) -> "Pod":
        """Waits until the Pod has reached a goal, and returns the handle, so that calls can be
        chained.

        Args:
            goal: a condition ("Ready", "Initialized"), a phase ("Running", "Succeeded", "Failed"),
                "gone", or a function that takes the frozen Pod and says whether the goal is
                reached.
            timeout_seconds: limit of the wait, in seconds.

        Raises:
            TimedOut: the limit came first. The error says what was last seen, with the newest
                events.
            Impossible: the goal can't be reached any more: the image can't be pulled, the
                configuration is missing, a container has crashed repeatedly, no node fits, the Pod
                has ended. If the goal is a function, this isn't checked.

        Example::

            lab.apply("one-app.yaml").wait_until("Ready", timeout_seconds=30)
        """
        if not callable(goal) and goal not in (*CONDITIONS, *PHASES, "gone"):
            raise LabError(
                f"Can't wait until a Pod is {goal!r}.",
                "neither a Pod condition nor a Pod phase",
                f"Use one of {', '.join((*CONDITIONS, *PHASES, 'gone'))}, or a function.",
            )
        return super().wait_until(goal, timeout_seconds=timeout_seconds)

    def _frozen(self, raw: dict) -> PodSnapshot:
        return PodSnapshot(raw)

    def _stuck_detector(self, goal: str):
        return StuckDetector(lambda raw: why_stuck(raw, goal))

    def _rows(self) -> pod_processes.Rows:
        raw = self._read()
        return pod_processes.rows(raw, self.node.processes(raw["metadata"]["uid"]))
