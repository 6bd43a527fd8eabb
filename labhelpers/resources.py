"""A live handle on one object of any kind, which asks the API server each time."""

import shlex
from collections.abc import Callable

from labhelpers.arguments import checked
from labhelpers.kube import official, waiting
from labhelpers.kube.client import Connection
from labhelpers.kube.kinds import check_name
from labhelpers.kube.pod_status import PHASES, reached
from labhelpers.snapshots import Snapshot
from labhelpers.transcript import told

__all__ = ["Resource"]


@checked
class Resource(Snapshot):
    """A live handle on one object of any kind in the lab's namespace. It has a name, but no state.

    Args:
        connection: the connection, whose namespace is the object's.
        kind: Kubernetes' word: "Pod", "Job", "PersistentVolumeClaim".
        name: the object's name.

    Raises:
        LabError: at once, if Kubernetes doesn't allow the name.
        Refused: on each question, if there is no such object (reason "NotFound").

    Example::

        lab.apply("claim.yaml").wait_until("Bound", timeout_seconds=30)
    """

    def __init__(self, connection: Connection, kind: str, name: str):
        check_name(kind, name)
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
        """Reads the object without noting a line of kubectl, as a step towards an answer."""
        return self.connection.get(self.kind, self.name)

    @told
    def now(self) -> Snapshot:
        """Returns the object as it is at this moment, frozen."""
        return Snapshot(self.raw)

    @told
    def delete(self, *, timeout_seconds: float, grace_seconds: int | None = None) -> "Resource":
        """Deletes the object and waits until it's gone. A missing object isn't an error.

        Args:
            timeout_seconds: limit of the wait, in seconds.
            grace_seconds: the grace period in seconds; None keeps the object's own.

        Raises:
            TimedOut: it's still there, for example because of a finalizer.

        Example::

            pod.delete(timeout_seconds=30)
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
        self, goal: str | Callable[[Snapshot], bool], *, timeout_seconds: float
    ) -> "Resource":
        """Waits until the object has reached a goal, and returns the handle, so that calls can be
        chained.

        Args:
            goal: a condition that has to be True ("Ready", "Complete"), a phase ("Bound"), "gone",
                or a function that takes the frozen object and says whether the goal is reached.
            timeout_seconds: limit of the wait, in seconds.

        Raises:
            TimedOut: the limit came first. The error says what was last seen, with the newest
                events.
            Impossible: the goal can't be reached any more.

        Example::

            lab.apply("claim.yaml").wait_until("Bound", timeout_seconds=30)
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
                lambda found: found is not None and reached(found, goal),
                goal,
                timeout_seconds,
                self._stuck_detector(goal),
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

    def _frozen(self, raw: dict) -> Snapshot:
        return Snapshot(raw)

    def _stuck_detector(self, goal: str):
        """The function that says why ``goal`` can't be reached any more. For objects of any kind,
        there is nothing to say."""
        return None

    def _kubectl_goal(self, goal: str) -> str:
        # kubectl needs to know whether a word is a phase or a condition. These are the phases of
        # Pods, claims, volumes and namespaces.
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
