"""Live handles on one container of a Pod, and on its pause container. The Pod's handle makes both,
and they ask through it."""

import shlex
from typing import TYPE_CHECKING

from labhelpers.arguments import checked
from labhelpers.errors import LabError
from labhelpers.kube import fields
from labhelpers.node import pod_processes
from labhelpers.node.cgroups import Cgroup
from labhelpers.node.processes import Process, first_process
from labhelpers.snapshots import ContainerSnapshot, PodSnapshot
from labhelpers.stuck import StuckDetector, why_container_stuck
from labhelpers.transcript import told

if TYPE_CHECKING:
    from labhelpers.pods import Pod

__all__ = ["Container", "Pause"]


@checked
class Container(ContainerSnapshot):
    """A live handle on one container of a Pod; made by ``pod.container("app")``.

    ``wait_until("restarted")`` counts from the restarts at the time when the handle was made.
    """

    def __init__(self, pod: "Pod", name: str):
        self.pod = pod
        super().__init__(pod._read(), name)
        self.transcript = pod.transcript
        self._restarts_before = ContainerSnapshot(self._raw, name).restarts

    def _look(self, field: str) -> dict:
        return self.pod._look(
            f'{{.status.{fields.group(self._raw, self.name)}[?(@.name=="{self.name}")].{field}}}'
        )

    @told
    def now(self) -> ContainerSnapshot:
        """Returns the container as it is at this moment, frozen."""
        return ContainerSnapshot(self.pod._look(""), self.name)

    @property
    @told
    def process(self) -> Process:
        """The container's first process, as the node sees it now. Two are equal if they're the same
        process, not only the same id.

        Raises:
            LabError: no process of the container is running on the node. The API's status may lag
                by a second.
        """
        raw = self.pod._read()
        now = ContainerSnapshot(raw, self.name)
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
            LabError: the container isn't running.
        """
        raw = self.pod._read()
        return self.pod.node.cgroup(ContainerSnapshot(raw, self.name).id)

    @property
    @told
    def oom_score_adj(self) -> int:
        """What the kernel adds to the OOM score of the container's first process when the node is
        out of memory, read on the node.

        Raises:
            LabError: no process of the container is running on the node.
        """
        return int(self.pod.node.read(f"/proc/{self.process.pid}/oom_score_adj"))

    @property
    @told
    def namespaces(self) -> dict[str, int]:
        """The inode of each namespace of the first process."""
        return self.process.namespaces

    @told
    def wait_until(self, goal: str, *, timeout_seconds: float) -> "Container":
        """Waits until the container is "running", "terminated", or has been "restarted", and
        returns the handle.

        Args:
            goal: one of the three. "restarted": it runs again, with more restarts than when this
                handle was made.
            timeout_seconds: limit of the wait, in seconds.

        Raises:
            TimedOut: the limit came first.
            Impossible: the goal can't be reached any more: the image can't be pulled, the Pod has
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
                f"Can't wait until a container is {goal!r}.",
                "not a goal for a container",
                f"Use one of {', '.join(goals)}.",
            )
        field = f'{{.status.{fields.group(self._raw, self.name)}[?(@.name=="{self.name}")].state}}'
        self.pod._says_wait(f"kubectl get pod {self.pod.name} -o jsonpath={shlex.quote(field)}")
        self.pod._wait(
            lambda found: found is not None and goals[goal](ContainerSnapshot(found, self.name)),
            f"such that its container {self.name} is {goal}"
            + (f" (restarts above {self._restarts_before})" * (goal == "restarted")),
            timeout_seconds,
            StuckDetector(lambda raw: why_container_stuck(raw, self.name, goal)),
        )
        return self


class Pause:
    """A live handle on the pause process of a Pod; made by ``pod.pause``. It isn't in a spec or a
    status, so only the node knows it.

    Raises:
        LabError: on each question, if the Pod has no pause process now.
    """

    name = "pause"

    def __init__(self, pod: "Pod"):
        self.pod, self.transcript = pod, pod.transcript

    @property
    @told
    def process(self) -> Process:
        """The process, as the node sees it now."""
        raw = self.pod._read()
        processes = self.pod.node.processes(raw["metadata"]["uid"])
        pause_id = pod_processes.pause_id(raw, processes)
        found = first_process(processes, pause_id) if pause_id else None
        return found or _no_process(
            f"The pause of Pod {self.pod.name}", f"the API says: phase {PodSnapshot(raw).phase}"
        )

    @property
    @told
    def id(self) -> str:
        """The runtime's id of the sandbox."""
        return self.process.container_id

    @property
    @told
    def namespaces(self) -> dict[str, int]:
        """The inode of each of its namespaces."""
        return self.process.namespaces

    def __repr__(self) -> str:
        return f"pause of Pod {self.pod.name}"


def _no_process(whose: str, seen: str) -> Process:
    do = 'Wait until it runs: pod.container("app").wait_until("running", timeout_seconds=20).'
    raise LabError(f"{whose} has no process on the node.", seen, do)
