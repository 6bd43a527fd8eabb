"""A live handle on an object in the cluster, and on a Pod with its containers and its pause.
``.now()`` is the frozen one.

A live handle asks the API server at each question. Facts that are compared with each other come
from one ``pod.now()``.
"""

import json
import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labhelpers import formulas
from labhelpers.errors import LabError, Refused, TimedOut
from labhelpers.kube import fields, official, waiting
from labhelpers.kube.client import EXEC_SECONDS, Connection
from labhelpers.kube.exec import Completed
from labhelpers.node import cgroups
from labhelpers.node.cgroups import Cgroup
from labhelpers.node.node import Node
from labhelpers.node.processes import Process, first_process
from labhelpers.outcomes import listed
from labhelpers.transcript import Transcript, told

if TYPE_CHECKING:
    from labhelpers.tables import Table

__all__ = [
    "Container",
    "ContainerNow",
    "Now",
    "Pause",
    "Pod",
    "PodNow",
    "Predicted",
    "Resize",
    "Resource",
    "Tree",
    "Verdict",
]

PHASES = ("Pending", "Running", "Succeeded", "Failed")
CONDITIONS = (
    "PodScheduled",
    "PodReadyToStartContainers",
    "Initialized",
    "ContainersReady",
    "Ready",
)
NAMESPACES = ("net", "ipc", "uts", "pid", "mnt", "user")
# What is predicted of a container and can be read from its cgroup, for each version of cgroups.
COMPARED = {
    1: ("cpu_shares", "cpu_quota_us", "cpu_period_us", "memory_limit_bytes"),
    2: ("cpu_weight", "cpu_quota_us", "cpu_period_us", "memory_limit_bytes"),
}

# The kubelet's words for an image that will not come, and for a container that it cannot configure.
IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")
CONFIGURATION_REASONS = ("CreateContainerConfigError",)

# The scheduler may find a place a moment later (a taint goes, a Pod ends): not at once a lost case.
UNSCHEDULABLE_GRACE_SECONDS = 5
# The kubelet tries again after 10 to 15 s, and needs some more on a busy node. Evidence that was
# there before the wait began may already be mended.
OLD_EVIDENCE_GRACE_SECONDS = 30
ADDED_UP_SECONDS, LOOK_PAUSE_SECONDS = 5.0, 0.1
OTHERS_SHARE = 0.25  # of all CPUs. On two, a quiet cluster takes 0.1 to 0.15.


# --- One object -----------------------------------------------------------------------------------


class Now:
    """An object as it was at one moment: ``raw`` is the API server's own answer, and nothing in it
    changes any more.

    Args:
        raw: the object as a dict.

    >>> Now({"kind": "Secret", "metadata": {"name": "key", "uid": "1"}}).uid
    '1'
    """

    transcript: Transcript | None = None

    def __init__(self, raw: dict):
        self._raw = raw

    def _look(self, path: str | None) -> dict:
        """The object. A live handle asks the API server, and notes the kubectl line that shows
        ``path`` of it ("": all; None: kubectl's row)."""
        return self._raw

    @property
    @told
    def raw(self) -> dict:
        """The API server's own answer, as a dict."""
        return self._look("")

    @property
    @told
    def uid(self) -> str:
        """The object's uid: another object of the same name has another."""
        return self._look("{.metadata.uid}")["metadata"]["uid"]

    def __repr__(self) -> str:
        return f"{self._raw['kind']} {self._raw['metadata']['name']}, frozen"


class Resource(Now):
    """A live handle on one object of any kind in the lab's namespace. It holds a name and no state.

    Args:
        connection: the connection, whose namespace is the object's.
        kind: Kubernetes' word: "Pod", "Job", "PersistentVolumeClaim".
        name: the object's name.

    Raises:
        Refused: from each question when there is no such object (reason "NotFound").

    Example::

        lab.apply("claim.yaml").wait_until("Bound", timeout_seconds=30)
    """

    def __init__(self, connection: Connection, kind: str, name: str):
        self.connection, self.kind, self.name = connection, kind, name
        self.transcript = connection.transcript

    def _look(self, path: str | None) -> dict:
        output = "" if path is None else f" -o jsonpath={shlex.quote(path)}" if path else " -o yaml"
        self.transcript.note(
            f"kubectl get {self.kind.lower()} {self.name}{output}",
            python=official.call("read", self.kind, self.name, self.connection.namespace),
        )
        return self._read()

    def _read(self) -> dict:
        """The object as it is now, without a line: a step on the way to what is asked."""
        return self.connection.get(self.kind, self.name)

    @told
    def now(self) -> Now:
        """The object as it is at this moment, frozen."""
        return Now(self.raw)

    @told
    def delete(self, *, timeout_seconds: float, grace_seconds: int | None = None) -> "Resource":
        """Deletes the object and waits until it is gone. It is no error when there is none.

        Args:
            timeout_seconds: limit of the wait, in seconds.
            grace_seconds: the grace period in seconds; None keeps the object's own.

        Raises:
            TimedOut: it is still there, for example because of a finalizer.
        """
        grace = "" if grace_seconds is None else f" --grace-period={grace_seconds}"
        where = (self.kind, self.name, self.connection.namespace)
        seconds = () if grace_seconds is None else (f"grace_period_seconds={grace_seconds}",)
        self.transcript.note(
            f"kubectl delete {self.kind.lower()} {self.name} --ignore-not-found{grace}"
            f" --timeout={timeout_seconds:g}s",
            python=official.call("delete", *where, *seconds),
        )
        self.connection.delete(self.kind, self.name, grace_seconds=grace_seconds)
        self._wait(lambda found: found is None, "gone", timeout_seconds, None)
        return self

    @told
    def wait_until(
        self, goal: str | Callable[[Now], bool], *, timeout_seconds: float
    ) -> "Resource":
        """Waits until the object has reached a goal, and returns the handle, so that calls can be
        chained.

        Args:
            goal: a condition that has to be True ("Ready", "Complete"), a phase ("Bound"), "gone",
                or a function that is given the frozen object and says whether it is reached.
            timeout_seconds: limit of the wait, in seconds.

        Raises:
            TimedOut: the limit came first. The error says what was last seen, with the newest
                events.
            Impossible: the goal cannot be reached any more.
        """
        if callable(goal):
            self._says_wait(f"kubectl get {self.kind.lower()} {self.name} -o yaml")
            asked = "what the function asks for"
            self._wait(
                lambda found: found is not None and bool(goal(self._frozen(found))),
                asked,
                timeout_seconds,
                None,
            )
        elif goal == "gone":
            self._says_wait(
                f"kubectl wait --for=delete {self.kind.lower()}/{self.name}"
                f" --timeout={timeout_seconds:g}s"
            )
            self._wait(lambda found: found is None, "gone", timeout_seconds, None)
        else:
            self._says_wait(
                f"kubectl wait --for={self._kubectl_goal(goal)} {self.kind.lower()}/{self.name}"
                f" --timeout={timeout_seconds:g}s"
            )
            self._wait(
                lambda found: found is not None and _reached(found, goal),
                goal,
                timeout_seconds,
                self._doubt(goal),
            )
        return self

    def _says_wait(self, line: str) -> None:
        where = (self.kind, self.name, self.connection.namespace)
        self.transcript.note(line, python=official.watch(*where))

    def _wait(self, goal, what: str, timeout_seconds: float, impossible) -> dict | None:
        return waiting.wait_until(
            self.connection,
            self.kind,
            self.name,
            goal,
            what=what,
            timeout_seconds=timeout_seconds,
            impossible=impossible,
        )

    def _frozen(self, raw: dict) -> Now:
        return Now(raw)

    def _doubt(self, goal: str):
        """What tells that ``goal`` cannot be reached any more: nothing that is known of every
        kind."""
        return None

    def _kubectl_goal(self, goal: str) -> str:
        # kubectl has to be told which of the two a word is. Phases are those of Pods, claims,
        # volumes and namespaces.
        is_phase = goal in (
            *PHASES,
            "Bound",
            "Lost",
            "Available",
            "Released",
            "Active",
            "Terminating",
        )
        return f"jsonpath='{{.status.phase}}'={goal}" if is_phase else f"condition={goal}"

    def __repr__(self) -> str:
        return f"{self.kind} {self.name}"


def _reached(raw: dict, goal: str) -> bool:
    status = raw.get("status", {})
    return status.get("phase") == goal or any(
        condition["type"] == goal and condition["status"] == "True"
        for condition in status.get("conditions") or []
    )


# --- A Pod ----------------------------------------------------------------------------------------


class _PodFacts:
    """What can be asked of a Pod, live or frozen: everything is read from ``_look``."""

    _look: Callable[[str], dict]
    transcript: Transcript | None

    @property
    @told
    def phase(self) -> str:
        """Pending, Running, Succeeded or Failed.
        https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase"""
        return self._look("{.status.phase}").get("status", {}).get("phase", "")

    @property
    @told
    def address(self) -> str:
        """The Pod's IP address as the API has it; "" while there is none."""
        return self._look("{.status.podIP}").get("status", {}).get("podIP", "")

    @property
    @told
    def conditions(self) -> dict[str, str]:
        """Condition to "True", "False" or "Unknown", in the order in which the API lists them."""
        found = self._look("{.status.conditions}").get("status", {}).get("conditions") or []
        return {condition["type"]: condition["status"] for condition in found}

    @property
    @told
    def kubectl_status(self) -> str:
        """The STATUS column of ``kubectl get pods``: no field of the Pod, but kubectl's printer's
        own sum of many.

        Rests on printPod in pkg/printers/internalversion/printers.go of Kubernetes 1.37.
        """
        return _kubectl_status(self._look(None))


class Tree(str):
    """A tree of processes as text, which a notebook shows as it is.

    >>> Tree("containerd-shim\\n└─ pause")
    containerd-shim
    └─ pause
    """

    def __repr__(self) -> str:
        return str(self)


class Predicted(Mapping):
    """What the formulas say of a Pod's containers on this node, from the Pod's spec:
    ``predicted["app"].cpu_shares``.

    Each value is an ``arithmetic.Values``. It is a frozen one: the spec is that of the moment when
    it was made.

    Args:
        raw: the Pod, or its spec, as a dict.
        inputs: what has to be known of the node: ``node.formula_inputs``.
        pod_conversion: into the weight of the Pod's own cgroup: ``node.pod_conversion``.

    >>> spec = {"containers": [{"name": "app", "resources": {"requests": {"cpu": "100m"}}}]}
    >>> predicted = Predicted(spec, {"version": 1})
    >>> predicted["app"].cpu_shares, predicted.qos_class
    (102, 'Burstable')
    """

    def __init__(self, raw: dict, inputs: Mapping, pod_conversion: str = "old"):
        self._spec, self._inputs, self._pod_conversion = (
            raw.get("spec", raw),
            dict(inputs),
            pod_conversion,
        )

    def __getitem__(self, container: str) -> formulas.Values:
        return formulas.cgroup_values(self._spec, container, **self._inputs)

    def __iter__(self) -> Iterator[str]:
        return (container["name"] for container in fields.containers({"spec": self._spec}))

    def __len__(self) -> int:
        return len(fields.containers({"spec": self._spec}))

    @property
    def qos_class(self) -> str:
        """ "Guaranteed", "Burstable" or "BestEffort"."""
        return formulas.qos_class(self._spec)

    @property
    def pod(self) -> formulas.Values:
        """Of the Pod's own cgroup, which the containers' lie in."""
        inputs = {
            name: self._inputs[name]
            for name in ("version", "driver", "period_us", "page_bytes")
            if name in self._inputs
        }
        return formulas.pod_cgroup_values(self._spec, **inputs, conversion=self._pod_conversion)

    def files(self, container: str) -> dict[str, str]:
        """What ``cat`` will show of each file of the container's cgroup that holds a request or a
        limit, by the file's name."""
        return cgroups.written(self[container])

    def on_version(self, version: int) -> "Predicted":
        """The same, on a node of the other version of cgroups, with today's conversions of shares
        into weights.

        >>> Predicted({"containers": [{"name": "app"}]}, {"version": 1}).on_version(2).files("app")["cpu.max"]
        'max 100000'
        """
        inputs = {name: value for name, value in self._inputs.items() if name != "conversion"}
        return Predicted(self._spec, {**inputs, "version": version})

    def __repr__(self) -> str:
        return f"predicted for {', '.join(self)}: {self.qos_class}"


class Verdict(str):
    """A sentence, which a notebook shows as it is, and the ``table`` (a DataFrame) that it is
    about.

    >>> Verdict("as predicted for this node")
    as predicted for this node
    """

    table = None

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Resize:
    """What became of a resize in place.

    Attributes:
        outcome: "done", "deferred" or "error".
        message: the kubelet's own words; "" when it is done.
        seconds: how long it took until that was known.
    """

    outcome: str
    message: str
    seconds: float

    def __repr__(self) -> str:
        return self.outcome


class PodNow(_PodFacts, Now):
    """A Pod at one moment: everything that the API says of it, all from the same answer.

    Example::

        before = pod.now()
        ...
        pod.now().container("app").restarts - before.container("app").restarts
    """

    def container(self, name: str) -> "ContainerNow":
        """One container at that moment. Raises LabError when the Pod has none of that name."""
        return ContainerNow(self._raw, name)

    def __repr__(self) -> str:
        return f"Pod {self._raw['metadata']['name']}, frozen: {self.kubectl_status}"


class Pod(_PodFacts, Resource):
    """A live handle on a Pod.

    Args:
        connection: the connection, whose namespace is the Pod's.
        name: the Pod's name.
        node: the node seen from inside; made on first use if not given.

    Example::

        pod = lab.apply("one-app.yaml").wait_until("Ready", timeout_seconds=30)
        pod.container("app").restarts
    """

    def __init__(self, connection: Connection, name: str, node: Node | None = None):
        super().__init__(connection, "Pod", name)
        self._node = node

    @property
    def node(self) -> Node:
        """The node that the Pod's processes are looked for on."""
        if self._node is None:
            self._node = Node(self.connection)
        return self._node

    @told
    def now(self) -> PodNow:
        """The Pod as it is at this moment, frozen: take it when facts are to be compared with each
        other."""
        return PodNow(self._look(""))

    def container(self, name: str) -> "Container":
        """A live handle on one container: app, init or ephemeral.

        The handle remembers the restarts at this moment; ``wait_until("restarted")`` counts from
        there.

        Raises:
            LabError: the Pod has no container of that name; the error says which there are.
        """
        return Container(self, name)

    @property
    def pause(self) -> "Pause":
        """The container that is in no manifest and in no status: it is found on the node."""
        return Pause(self)

    @told
    def processes(self) -> "Table":
        """Every process of the Pod as the node sees it, now, as a table: pause first, then the
        containers in the order of the spec.

        Columns: container, command, parent (the parent's command), and one for each kind of
        namespace: net, ipc, uts, pid, mnt, user. Equal letters in a column are the same namespace.

        Example::

            pod.processes()[["command", "parent"]]
        """
        from labhelpers.tables import Table

        rows = self._rows()
        table = Table(
            {
                "container": [container for container, _ in rows],
                "command": [process.command for _, process in rows],
                "parent": [process.parent_command for _, process in rows],
            }
        )
        for namespace in NAMESPACES:
            table[namespace] = _letters([process.namespaces.get(namespace) for _, process in rows])
        return table.saying(_about_processes)

    @told
    def namespaces(self):
        """The inode of each namespace (columns) of each container (rows, pause first), now, as a
        DataFrame for ``charts.matrix``.

        A container's namespaces are those of its first process. A container that is not running has
        no row.
        """
        import pandas

        rows = self._rows()
        first = {}
        for name, process in rows:
            if process.namespaces:
                first.setdefault(name, process.namespaces)
        return pandas.DataFrame(
            first.values(), index=pandas.Index(first, name="container"), columns=list(NAMESPACES)
        )

    @told
    def tree(self) -> "Tree":
        """Every process of the Pod as the node sees it, now, each below its parent.

        A container's process is named by its command line and, in brackets, its container. At the
        root stands what the Pod's first processes are children of: the runtime's shim.
        """
        rows = self._rows()
        inside = {process.pid for _, process in rows}

        def below(parent_pid: int, indent: str) -> list[str]:
            children = [row for row in rows if row[1].parent_pid == parent_pid]
            lines = []
            for number, (container, process) in enumerate(children, 1):
                branch, deeper = ("└─ ", "   ") if number == len(children) else ("├─ ", "│  ")
                words = (
                    process.command
                    if container == "pause"
                    else f"{process.command_line or process.command} ({container})"
                )
                lines += [f"{indent}{branch}{words}", *below(process.pid, indent + deeper)]
            return lines

        roots = {
            process.parent_pid: process.parent_command
            for _, process in rows
            if process.parent_pid not in inside
        }
        return Tree(
            "\n".join(line for pid, command in roots.items() for line in [command, *below(pid, "")])
        )

    @told
    def process(self, command_line: str, *, timeout_seconds: float) -> Process:
        """The Pod's process with this command line, as soon as the node has it: a shell's child
        begins as a copy of the shell.

        Raises:
            TimedOut: there is none yet. The error says which there are.

        Example::

            pod.exec("app", "sleep 1000 >/dev/null 2>&1 & exit 0")
            pod.process("sleep 1000", timeout_seconds=10)
        """
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
                    "Look whether it has ended: pod.tree().",
                )
            time.sleep(LOOK_PAUSE_SECONDS)

    @property
    @told
    def predicted(self) -> Predicted:
        """What the formulas say of this Pod on this node, from the spec that the API has now:
        ``pod.predicted["app"].cpu_shares``."""
        return Predicted(self._look(""), self.node.formula_inputs, self.node.pod_conversion)

    @property
    @told
    def cgroup(self) -> Cgroup:
        """The Pod's own cgroup, in which its containers' cgroups lie: its directory on the node,
        and what its files say now.

        Raises:
            LabError: no container of the Pod runs.
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
        """The same, as soon as the kernel has added up what the memory is used for: see
        ``Cgroup.adds_up``.

        It waits for that no longer than the kernel does, which adds up every two seconds, and a
        little later where a CPU sleeps. What it gives then is what there is.

        Raises:
            LabError: no container of the Pod runs.

        Example::

            moments["after the file"] = box.settled_cgroup()
        """
        deadline = time.monotonic() + ADDED_UP_SECONDS
        while True:
            found = self.cgroup
            if (
                found.adds_up(self.node.cgroup(id_) for id_ in self._running_ids())
                or time.monotonic() > deadline
            ):
                return found
            time.sleep(LOOK_PAUSE_SECONDS)

    @told
    def undisturbed(self, measure: Callable[[], Any], *, timeout_seconds: float) -> Any:
        """What a function measures in this Pod while others leave the CPUs alone: no formula knows
        how long a container waits for others.

        Others are all programs of the machine that are not this Pod's, and the host of a virtual
        one, by what it takes (*steal*). While they take more than a quarter of the CPUs, it is
        measured again.

        Args:
            measure: does it, and returns what it found.
            timeout_seconds: after that it is not begun again, and what is given is what was found
                while they took least.

        Example::

            seconds = bursts.undisturbed(lambda: durations("app", 50), timeout_seconds=120)
        """
        deadline = time.monotonic() + timeout_seconds
        least, calmest = math.inf, None
        while True:
            begin, before = self._others()
            found = measure()
            end, after = self._others()
            share = (after - before) / (end - begin)
            if share < least:
                least, calmest = share, found
            if share <= OTHERS_SHARE or end > deadline:
                return calmest

    def _others(self) -> tuple[float, float]:
        """The time, and how long until now a CPU has worked on average for others than this Pod, in
        seconds."""
        # In a container, too, /proc/stat is the whole machine's. It counts hundredths of a second.
        lines = [
            line.split()
            for line in self.node.read("/proc/stat").splitlines()
            if line.startswith("cpu")
        ]
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, lines[0][1:9])
        used = (user + nice + system + irq + softirq + steal) / 100 - self.cgroup.cpu_seconds
        return time.monotonic(), used / (len(lines) - 1)

    @told
    def as_predicted(self) -> Verdict:
        """Holds what is predicted of each running container against what the node has.

        A container keeps the oom_score_adj that it was started with: after a resize of its memory
        request another is predicted, and the next start brings it.

        Returns:
            "as predicted for this node", or each value that is another. The ``table`` of it has the
            columns container, value, predicted and found: shares or weight, quota and period in
            microseconds, memory limit in bytes, oom_score_adj.
        """
        import pandas

        raw, predicted = self._read(), self.predicted
        rows = []
        for status in fields.statuses(raw):
            if "running" in (status.get("state") or {}):
                name = status["name"]
                container = self.container(name)
                cgroup, values = container.cgroup, predicted[name]
                found = {value: getattr(cgroup, value) for value in COMPARED[values.version]} | {
                    "oom_score_adj": container.oom_score_adj
                }
                rows += [(name, value, getattr(values, value), found[value]) for value in found]
        others = [
            f"{name}: {value} is {found}, predicted {said}"
            for name, value, said, found in rows
            if said != found
        ]
        verdict = Verdict(
            "; ".join(others)
            if others
            else "as predicted for this node"
            if rows
            else "nothing of the Pod runs"
        )
        # As objects: a column of numbers with a gap would turn into floating point.
        verdict.table = pandas.DataFrame(
            rows, columns=["container", "value", "predicted", "found"], dtype=object
        )
        return verdict

    @told
    def resize(
        self,
        container: str,
        *,
        requests: Mapping[str, str] | None = None,
        limits: Mapping[str, str] | None = None,
        timeout_seconds: float,
    ) -> Resize:
        """Gives a running container other requests or limits of CPU or memory, in place, and waits
        until it is known what became of it.

        There are four ways out. The first three are the ``outcome`` of what is returned:

        - "done": the cgroup has been changed.
        - "deferred": it would fit on the node, but there is no room now. The kubelet tries again
          when there is.
        - "error": the kubelet has begun, and cannot finish: the memory limit would fall below what
          is in use. It goes on trying.
        - refused, for good: it would change the QoS class, or exceed the node. This raises
          ``Refused``.

        After "deferred" and "error" the spec says what was asked for, and the container has what it
        had: resize it back.

        Args:
            container: the container's name.
            requests, limits: what is to change: ``{"cpu": "300m", "memory": "128Mi"}``. What is not
                named stays.
            timeout_seconds: limit of the wait, in seconds.

        Raises:
            Refused: the API server or the kubelet said no. The kubelet's no has the reason
                "Infeasible".
            TimedOut: none of the four is known yet.
            Impossible: the Pod has ended.

        https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/

        Example::

            pod.resize("app", limits={"cpu": "300m"}, timeout_seconds=30).outcome
        """
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
            lambda raw: raw is not None and _resized(raw, container, generation),
            f"resized (its container {container})",
            timeout_seconds,
            _Doubt(
                lambda raw: (
                    ("The Pod has ended.", 0, 0)
                    if raw.get("status", {}).get("phase") in ("Succeeded", "Failed")
                    else None
                )
            ),
        )
        outcome, message = _resized(seen, container, generation)
        if outcome == "infeasible":
            raise Refused(
                "The kubelet refused the resize.",
                message,
                "Ask for less than the node has.",
                reason="Infeasible",
                message=message,
            )
        return Resize(outcome, message, time.monotonic() - begin)

    @told
    def exec(
        self, container: str, command: list[str] | str, *, timeout_seconds: float = EXEC_SECONDS
    ) -> Completed:
        """Runs a command in a container: what it wrote, and its exit code.

        Args:
            container: the container's name.
            command: a list of words, or one line that the container's ``sh`` runs.
            timeout_seconds: limit in seconds.

        Raises:
            LabError: the command could not be started, or took too long.
        """
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        self.transcript.note(f"kubectl exec {self.name} -c {container} -- {shlex.join(words)}")
        return self.connection.exec(self.name, container, words, timeout_seconds=timeout_seconds)

    @told
    def logs(self, container: str, *, previous: bool = False) -> str:
        """What a container wrote. ``previous``: what it wrote before its last restart.

        Raises:
            Refused: the container has not started, or has not been restarted.
        """
        where = ("Pod", self.name, self.connection.namespace)
        more = (f"container={container!r}", *(["previous=True"] if previous else []))
        self.transcript.note(
            f"kubectl logs {self.name} -c {container}{' --previous' if previous else ''}",
            python=official.call("read", *where, *more, part="log"),
        )
        return self.connection.logs(self.name, container, previous=previous)

    def wait_until(self, goal: str | Callable[[PodNow], bool], *, timeout_seconds: float) -> "Pod":
        """Waits until the Pod has reached a goal, and returns the handle, so that calls can be
        chained.

        Args:
            goal: a condition ("Ready", "Initialized"), a phase ("Running", "Succeeded", "Failed"),
                "gone", or a function that is given the frozen Pod and says whether it is reached.
            timeout_seconds: limit of the wait, in seconds.

        Raises:
            TimedOut: the limit came first. The error says what was last seen, with the newest
                events.
            Impossible: the goal cannot be reached any more: the image does not come, the
                configuration is missing, a container has crashed again and again, no node fits, the
                Pod has ended. A function as goal is waited for in any case.

        Example::

            lab.apply("one-app.yaml").wait_until("Ready", timeout_seconds=30)
        """
        if not callable(goal) and goal not in (*CONDITIONS, *PHASES, "gone"):
            raise LabError(
                f"A Pod cannot be waited for until {goal!r}.",
                "a word that is no condition and no phase of a Pod",
                f"Use one of {', '.join((*CONDITIONS, *PHASES, 'gone'))}, or a function.",
            )
        return super().wait_until(goal, timeout_seconds=timeout_seconds)

    def _frozen(self, raw: dict) -> PodNow:
        return PodNow(raw)

    def _doubt(self, goal: str):
        return _Doubt(lambda raw: _hopeless(raw, goal))

    def _rows(self) -> list[tuple[str, Process]]:
        """(container, process) of every process of the Pod on the node, in the order of the spec,
        pause first."""
        raw = self._read()
        names = [""] + [container["name"] for container in fields.containers(raw)]
        by_id = {
            fields.bare(status.get("containerID", "")): status["name"]
            for status in fields.statuses(raw)
        }
        pause_id = _pause_id(raw, processes := self.node.processes(raw["metadata"]["uid"]))
        by_id[pause_id] = "pause"
        by_id.pop(
            "", None
        )  # no id: a container that has not been created; and of a process that is dying the cgroup cannot be read
        rows = [(by_id.get(process.container_id, "?"), process) for process in processes]
        order = {name: number for number, name in enumerate(["pause", *names[1:], "?"])}
        return sorted(rows, key=lambda row: (order[row[0]], row[1].started_ticks, row[1].pid))


# --- A container ----------------------------------------------------------------------------------


class ContainerNow:
    """A container at one moment. Has every property of a ``Container`` that the API answers,
    frozen.

    Raises:
        LabError: the Pod has no container of that name.

    >>> raw = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "app", "image": "busybox:1.35.0"}]}, "status": {}}
    >>> ContainerNow(raw, "app").state
    'waiting'
    """

    transcript: Transcript | None = None

    def __init__(self, raw: dict, name: str):
        self._raw, self.name = raw, name
        self._spec()

    def _look(self, field: str) -> dict:
        return self._raw

    def _spec(self) -> dict:
        specs = {container["name"]: container for container in fields.containers(self._raw)}
        if self.name not in specs:
            raise LabError(
                f"The Pod {self._raw['metadata']['name']} has no container {self.name}.",
                f"its containers are {', '.join(specs)}",
                "Use one of these names.",
            )
        return specs[self.name]

    def _status(self, field: str) -> dict:
        found = self._look(field)
        return next(
            (status for status in fields.statuses(found) if status["name"] == self.name), {}
        )

    @property
    @told
    def restarts(self) -> int:
        """How often the container has been restarted."""
        return self._status("restartCount").get("restartCount", 0)

    @property
    @told
    def state(self) -> str:
        """ "waiting", "running" or "terminated". A container without a status yet is waiting: so
        Kubernetes defines it."""
        return next(iter(self._status("state").get("state") or {}), "waiting")

    @property
    @told
    def reason(self) -> str:
        """Why it is waiting or has terminated; "" while it runs, or where the kubelet gives
        none."""
        return next(iter((self._status("state").get("state") or {}).values()), {}).get("reason", "")

    @property
    @told
    def exit_code(self) -> int | None:
        """The exit code of its last end, be that the present state or the one before a restart;
        None when it has never ended."""
        status = self._status("lastState.terminated.exitCode")
        ends = [(status.get(state) or {}).get("terminated") for state in ("state", "lastState")]
        return next((end["exitCode"] for end in ends if end), None)

    @property
    @told
    def ready(self) -> bool:
        """Whether the kubelet counts it as ready."""
        return self._status("ready").get("ready", False)

    @property
    @told
    def id(self) -> str:
        """The runtime's id of the container, without ``containerd://``; "" while there is none. A
        restart brings another."""
        return fields.bare(self._status("containerID").get("containerID", ""))

    @property
    @told
    def image(self) -> str:
        """The image as the spec names it."""
        return self._spec()["image"]

    def __repr__(self) -> str:
        return f"container {self.name} of Pod {self._raw['metadata']['name']}"


class Container(ContainerNow):
    """A live handle on one container of a Pod; made by ``pod.container("app")``.

    ``wait_until("restarted")`` counts from the restarts that there were when the handle was made.
    """

    def __init__(self, pod: Pod, name: str):
        self.pod = pod
        super().__init__(pod._read(), name)
        self.transcript = pod.transcript
        self._restarts_before = ContainerNow(self._raw, name).restarts

    def _look(self, field: str) -> dict:
        return self.pod._look(
            f'{{.status.{fields.group(self._raw, self.name)}[?(@.name=="{self.name}")].{field}}}'
        )

    @told
    def now(self) -> ContainerNow:
        """The container as it is at this moment, frozen."""
        return ContainerNow(self.pod._look(""), self.name)

    @property
    @told
    def process(self) -> Process:
        """The container's first process as the node sees it, now. Two are equal when they are the
        same process, not only the same id.

        Raises:
            LabError: no process of the container runs on the node. The API's status may lag an end
                by a second.
        """
        raw = self.pod._read()
        now = ContainerNow(raw, self.name)
        found = (
            first_process(self.pod.node.processes(raw["metadata"]["uid"]), now.id)
            if now.id
            else None
        )
        return found or _no_process(
            f"The container {self.name}", f"the API says: {now.state} {now.reason}".strip()
        )

    @property
    @told
    def cgroup(self) -> Cgroup:
        """The container's cgroup: its directory on the node, and what its files say now.

        Raises:
            LabError: the container does not run.
        """
        raw = self.pod._read()
        return self.pod.node.cgroup(ContainerNow(raw, self.name).id)

    @property
    @told
    def oom_score_adj(self) -> int:
        """What the kernel adds to the badness of the container's first process when the node is out
        of memory, read on the node.

        Raises:
            LabError: no process of the container runs on the node.
        """
        return int(self.pod.node.read(f"/proc/{self.process.pid}/oom_score_adj"))

    @property
    @told
    def namespaces(self) -> dict[str, int]:
        """Namespace to inode, of the first process."""
        return self.process.namespaces

    @told
    def wait_until(self, goal: str, *, timeout_seconds: float) -> "Container":
        """Waits until the container is "running", "terminated", or has been "restarted", and
        returns the handle.

        Args:
            goal: one of the three. "restarted": it runs again, after more restarts than there were
                when this handle was made.
            timeout_seconds: limit of the wait, in seconds.

        Raises:
            TimedOut: the limit came first.
            Impossible: the goal cannot be reached any more: the image does not come, the Pod has
                ended.

        Example::

            app = pod.container("app")
            lab.node.kill(app.id)
            app.wait_until("restarted", timeout_seconds=20)
        """
        goals = {
            "running": lambda now: now.state == "running",
            "terminated": lambda now: now.state == "terminated",
            "restarted": (
                lambda now: now.state == "running" and now.restarts > self._restarts_before
            ),
        }
        if goal not in goals:
            raise LabError(
                f"A container cannot be waited for until {goal!r}.",
                "an unknown word",
                f"Use one of {', '.join(goals)}.",
            )
        field = f'{{.status.{fields.group(self._raw, self.name)}[?(@.name=="{self.name}")].state}}'
        self.pod._says_wait(f"kubectl get pod {self.pod.name} -o jsonpath={shlex.quote(field)}")
        self.pod._wait(
            lambda found: found is not None and goals[goal](ContainerNow(found, self.name)),
            f"such that its container {self.name} is {goal}"
            + (f" (restarts above {self._restarts_before})" * (goal == "restarted")),
            timeout_seconds,
            _Doubt(lambda raw: _hopeless_container(raw, self.name, goal)),
        )
        return self


class Pause:
    """The pause process of a Pod; made by ``pod.pause``. It is in no spec and no status, so only
    the node can tell.

    Raises:
        LabError: from each question when the Pod has no pause process now.
    """

    name = "pause"

    def __init__(self, pod: Pod):
        self.pod, self.transcript = pod, pod.transcript

    @property
    @told
    def process(self) -> Process:
        """The process as the node sees it, now."""
        raw = self.pod._read()
        processes = self.pod.node.processes(raw["metadata"]["uid"])
        pause_id = _pause_id(raw, processes)
        found = first_process(processes, pause_id) if pause_id else None
        return found or _no_process(
            f"The pause of Pod {self.pod.name}", f"the API says: phase {PodNow(raw).phase}"
        )

    @property
    @told
    def id(self) -> str:
        """The runtime's id of the sandbox."""
        return self.process.container_id

    @property
    @told
    def namespaces(self) -> dict[str, int]:
        """Namespace to inode."""
        return self.process.namespaces

    def __repr__(self) -> str:
        return f"pause of Pod {self.pod.name}"


# --- Reading a Pod --------------------------------------------------------------------------------


def _about_processes(frame: Any) -> str:
    """The sentence about a table of processes, from the columns that are left in it.

    >>> from labhelpers.tables import Table
    >>> _about_processes(Table({"command": ["pause", "sleep"], "net": ["a", "a"], "mnt": ["a", "b"]}))
    'the node runs 2 processes for this Pod: pause and sleep; all of them share net, not mnt'
    """
    words = []
    if "command" in frame:
        some = "1 process" if len(frame) == 1 else f"{len(frame)} processes"
        words.append(f"the node runs {some} for this Pod: {listed(frame['command'])}")
    kinds = [name for name in NAMESPACES if name in frame]
    one = [name for name in kinds if frame[name].nunique() == 1]
    several = [name for name in kinds if name not in one]
    if kinds:
        shared = f"all of them share {listed(one)}" if one else "they share no namespace"
        words.append(shared + (f", not {listed(several)}" if one and several else ""))
    return "; ".join(words) or f"{len(frame)} rows"


def _no_process(whose: str, seen: str) -> Process:
    do = 'Wait until it runs: pod.container("app").wait_until("running", timeout_seconds=20).'
    raise LabError(f"{whose} has no process on the node.", seen, do)


def _pause_id(raw: dict, processes: list[Process]) -> str:
    """The sandbox's id: a container on the node, with a process named pause, of which the status
    knows nothing."""
    known = {id_ for status in fields.statuses(raw) for id_ in fields.ids(status)}
    return next(
        (
            process.container_id
            for process in processes
            if process.command == "pause" and process.container_id not in known
        ),
        "",
    )


def _letters(inodes: list[int | None]) -> list[str]:
    """Equal inodes get equal letters, by first appearance. A dead process has none.

    >>> _letters([4026, 4026, 4030])
    ['● a', '● a', '● b']
    """
    first = {inode: number for number, inode in enumerate(dict.fromkeys(filter(None, inodes)))}
    return [f"● {chr(ord('a') + first[inode])}" if inode else "" for inode in inodes]


def _condition(raw: dict, kind: str) -> dict:
    return next(
        (
            condition
            for condition in raw.get("status", {}).get("conditions") or []
            if condition["type"] == kind
        ),
        {},
    )


def _resized(raw: dict, container: str, generation: int) -> tuple[str, str] | None:
    """What became of a resize, with the kubelet's words; None while that is not known.

    https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/#pod-resize-status
    """
    status = raw.get("status", {})
    pending, progress = _condition(raw, "PodResizePending"), _condition(raw, "PodResizeInProgress")
    # A condition may still be of the resize before.
    if pending.get("status") == "True":
        is_of_this = pending.get("observedGeneration", 0) >= generation
        return (
            (pending["reason"].lower(), pending.get("message", ""))
            if is_of_this and pending.get("reason")
            else None
        )
    if progress.get("status") == "True":
        is_of_this = progress.get("observedGeneration", 0) >= generation
        return (
            ("error", progress.get("message", ""))
            if is_of_this and progress.get("reason") == "Error"
            else None
        )
    if status.get("observedGeneration", 0) < generation:
        return None
    wanted = (
        next(each for each in fields.containers(raw) if each["name"] == container).get("resources")
        or {}
    )
    found = next((each for each in fields.statuses(raw) if each["name"] == container), {})
    # Of the requests what was allocated counts: the request of CPU that is read back from a cgroup
    # is a rounded one.
    allocated, held = (
        found.get("allocatedResources") or {},
        (found.get("resources") or {}).get("limits") or {},
    )
    is_so = _has(allocated, wanted.get("requests")) and _has(held, wanted.get("limits"))
    return ("done", "") if is_so else None


def _has(found: Mapping, wanted: Mapping | None) -> bool:
    amounts = {name: amount for name, amount in (wanted or {}).items() if name in ("cpu", "memory")}
    return all(
        name in found and formulas.quantity(found[name]) == formulas.quantity(amount)
        for name, amount in amounts.items()
    )


def _kubectl_status(raw: dict) -> str:
    """kubectl's STATUS column, decided in the order of kubectl's own printPod."""
    spec, status = raw.get("spec", {}), raw.get("status", {})
    phase = status.get("phase", "")
    reason = status.get("reason") or phase
    if _condition(raw, "PodScheduled").get("reason") == "SchedulingGated":
        reason = "SchedulingGated"

    sidecars = {
        container["name"]
        for container in spec.get("initContainers") or []
        if container.get("restartPolicy") == "Always"
    }
    initializing = False
    for number, container in enumerate(status.get("initContainerStatuses") or []):
        state = container.get("state") or {}
        ended, waiting_for = state.get("terminated"), (state.get("waiting") or {}).get("reason", "")
        if ended and ended["exitCode"] == 0:
            continue
        if container.get("name") in sidecars and container.get("started"):
            continue
        if ended:
            reason = "Init:" + _end(ended)
        elif waiting_for and waiting_for != "PodInitializing":
            reason = "Init:" + waiting_for
        else:
            reason = f"Init:{number}/{len(spec['initContainers'])}"
        initializing = True
        break

    if not initializing or _condition(raw, "Initialized").get("status") == "True":
        running, error = False, ""
        # From the last to the first: the first container has the last word.
        for container in reversed(status.get("containerStatuses") or []):
            state = container.get("state") or {}
            if (state.get("waiting") or {}).get("reason"):
                reason = state["waiting"]["reason"]
            elif state.get("terminated"):
                reason = _end(state["terminated"])
                error = reason if state["terminated"]["exitCode"] != 0 else error
            elif container.get("ready") and "running" in state:
                running = True
        if reason == "Completed":
            if running and _condition(raw, "Ready").get("status") == "True":
                reason = "Running"
            elif error:
                reason = error
            elif running:
                reason = "NotReady"

    if raw["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif phase not in ("Succeeded", "Failed"):
            reason = "Terminating"
    return reason


def _end(terminated: dict) -> str:
    if terminated.get("reason"):
        return terminated["reason"]
    return (
        f"Signal:{terminated['signal']}"
        if terminated.get("signal")
        else f"ExitCode:{terminated['exitCode']}"
    )


# --- When a goal is out of reach ------------------------------------------------------------------


class _Doubt:
    """Turns evidence into a verdict: each kind has to stand for a while, longer when it was there
    before the wait began.

    Args:
        evidence: from a Pod to None, or (sentence, seconds that it has to stand, seconds if it was
            there at the first look).
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        evidence: Callable[[dict], tuple[str, float, float] | None],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._evidence, self._clock = evidence, clock
        self._looks, self._sentence, self._since, self._old = 0, "", 0.0, False
        self._uid = None

    def __call__(self, raw: dict | None) -> str | None:
        self._looks += 1
        if raw is None:
            return "It was there and has been deleted." if self._uid else None
        self._uid = raw["metadata"].get("uid", "?")
        found = self._evidence(raw)
        if found is None:
            self._sentence = ""
            return None
        sentence, new_seconds, old_seconds = found
        if sentence != self._sentence:
            self._sentence, self._since, self._old = sentence, self._clock(), self._looks == 1
        return (
            sentence
            if self._clock() - self._since >= (old_seconds if self._old else new_seconds)
            else None
        )


def _hopeless(raw: dict, goal: str) -> tuple[str, float, float] | None:
    """Why a Pod cannot come to a condition or phase any more, and how long that has to stand."""
    status, ends = raw.get("status", {}), ("Succeeded", "Failed")
    phase = status.get("phase")
    if phase in ends and phase != goal and not _reached(raw, goal):
        return f"The Pod has ended: phase {phase}{_because(status)}.", 0, 0
    if raw["metadata"].get("deletionTimestamp") and goal not in ends:
        return "The Pod is being deleted.", 0, 0
    if goal == "PodScheduled" or _condition(raw, "PodScheduled").get("status") != "True":
        scheduled = _condition(raw, "PodScheduled")
        if scheduled.get("reason") == "Unschedulable":
            return (
                f"No node fits: {scheduled.get('message', '')}",
                UNSCHEDULABLE_GRACE_SECONDS,
                UNSCHEDULABLE_GRACE_SECONDS,
            )
        return None
    if goal in ("Pending", "PodReadyToStartContainers") or (
        goal == "Failed" and raw["spec"].get("activeDeadlineSeconds")
    ):
        return None
    for container in fields.statuses(raw):
        if found := _stuck(raw, container):
            return found
        if goal not in ends and (found := _crashing(raw, container)):
            return found
    return None


def _hopeless_container(raw: dict, name: str, goal: str) -> tuple[str, float, float] | None:
    """Why one container cannot come to "running", "restarted" or "terminated" any more."""
    status = raw.get("status", {})
    if status.get("phase") in ("Succeeded", "Failed") and goal != "terminated":
        return f"The Pod has ended: phase {status['phase']}{_because(status)}.", 0, 0
    return next(
        (
            found
            for container in fields.statuses(raw)
            if container["name"] == name and (found := _stuck(raw, container))
        ),
        None,
    )


def _because(status: dict) -> str:
    return "".join(
        f", {status[word]}" for word in ("reason", "message") if status.get(word)
    ).rstrip(".")


def _stuck(raw: dict, container: dict) -> tuple[str, float, float] | None:
    """A container whose image does not come, or which cannot be configured."""
    waiting_for = (container.get("state") or {}).get("waiting") or {}
    reason = waiting_for.get("reason", "")
    sentence = (
        f"The container {container['name']} cannot start: {reason}:"
        f" {waiting_for.get('message', '')}".strip()
    )
    # The image of a Pod can be changed: what the kubelet says of the spec before does not count.
    if reason in IMAGE_REASONS and not _is_behind(raw):
        return sentence, 0, 0
    if reason in CONFIGURATION_REASONS:
        return sentence, 0, OLD_EVIDENCE_GRACE_SECONDS
    return None


def _is_behind(raw: dict) -> bool:
    return raw.get("status", {}).get("observedGeneration", 0) < raw["metadata"].get("generation", 0)


def _crashing(raw: dict, container: dict) -> tuple[str, float, float] | None:
    """A container that has ended three times and does not run. kubectl's word CrashLoopBackOff may
    come minutes later."""
    state, restarts = container.get("state") or {}, container.get("restartCount", 0)
    end = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    is_init = any(
        spec["name"] == container["name"] for spec in raw["spec"].get("initContainers") or []
    )
    if restarts < 2 or "running" in state or not end or (is_init and end["exitCode"] == 0):
        return None
    sentence = (
        f"The container {container['name']} has ended again and again: restarts {restarts}, exit"
        f" code {end['exitCode']}."
    )
    return sentence, 0, OLD_EVIDENCE_GRACE_SECONDS
