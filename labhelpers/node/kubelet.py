"""Restarts and stops the node's kubelet, from inside the node.

An exec on the node runs through the kubelet, so it would be cut off. That's why systemd does both,
a second later. A stopped kubelet's start is scheduled before its stop.
https://www.freedesktop.org/software/systemd/man/latest/systemd-run.html
"""

import contextlib
import time
from collections.abc import Callable
from datetime import datetime

from labhelpers.errors import LabError, TimedOut
from labhelpers.kube import fields
from labhelpers.kube.client import Connection
from labhelpers.kube.waiting import wait_until
from labhelpers.node.node import Node
from labhelpers.patience import advice, patient

__all__ = ["RESTART_SECONDS", "Kubelet"]

RESTART_SECONDS, ASK_SECONDS, STOP_SECONDS = 90, 60, 10
WHICH = "systemctl show kubelet --property=InvocationID --value"
LATER = "systemd-run --quiet --collect --timer-property=AccuracySec=100ms"
RESTART = (
    f"systemctl stop podlab-kubelet.timer 2>/dev/null; {WHICH}; date +%s; {LATER}"
    " --unit=podlab-kubelet --on-active=1 systemctl restart kubelet"
)
DISARM = "systemctl stop podlab-kubelet-stop.timer podlab-kubelet-start.timer 2>/dev/null"
# The start is scheduled first, so that an interruption between the two lines does no harm.
STOP = (
    f"{DISARM}; {LATER} --unit=podlab-kubelet-start --on-active={{start}} systemctl start kubelet"
    f" && {LATER} --unit=podlab-kubelet-stop --on-active=1 systemctl stop kubelet"
)
START = f"{DISARM}; systemctl start kubelet; {WHICH}"


class Kubelet:
    """The kubelet of the lab's node.

    Args:
        connection: to the lab's namespace.
        node: the node from the inside.
    """

    def __init__(self, connection: Connection, node: Node):
        self._connection, self._node = connection, node
        self._transcript = connection.transcript

    def restart(self, resource: str, counted: Callable[[dict], bool]) -> None:
        """Restarts it, and waits until the new one is Ready, has counted a resource, and can run
        a command.

        Args:
            resource: the resource's name on the node's status.
            counted: tells whether a Node object has the right number of it.

        Raises:
            TimedOut: it didn't come back.
        """
        name = self._connection.list("Node")["items"][0]["metadata"]["name"]
        old, since = self._run(RESTART).split()
        self.wait(old)

        def has_come_back(body: dict | None) -> bool:
            return _is_ready(body, int(since)) and counted(body)

        body = wait_until(
            self._connection,
            "Node",
            name,
            has_come_back,
            what="Ready after its restart",
            timeout_seconds=RESTART_SECONDS,
        )
        size, limit = body["status"]["capacity"][resource], f"--timeout={RESTART_SECONDS}s"
        self._transcript.note(
            f"kubectl wait node {name} --for=jsonpath='{{.status.capacity.{resource}}}'={size}"
            f" {limit}",
            f"kubectl wait node {name} --for=condition=Ready {limit}",
            "until kubectl exec --namespace podlab-node node -- true 2>/dev/null; do sleep 1; done",
        )

    def stop(self, seconds: int) -> None:
        """Stops it for this many seconds, and returns when it's stopped. Its start is scheduled
        first.

        While it's stopped, exec and logs don't work on the node, because they run through it.

        Raises:
            TimedOut: it still answers.
        """
        self._run(STOP.format(start=seconds + 1))
        deadline = time.monotonic() + STOP_SECONDS
        with self._transcript.quietly():
            while time.monotonic() < deadline:
                try:
                    self._node.run(WHICH, timeout_seconds=2)
                except LabError:
                    return
                time.sleep(0.1)
        raise TimedOut(
            f"The kubelet didn't stop within {STOP_SECONDS} s.",
            "it still answers",
            advice("Run the cell again."),
        )

    def start(self, stopped_seconds: int) -> None:
        """Waits until the kubelet is running, whether it was stopped or not, and until the node is
        Ready again. Cancels what is still scheduled.

        Args:
            stopped_seconds: for how long it was stopped.

        Raises:
            TimedOut: it didn't come back.
        """
        limit = stopped_seconds + patient(RESTART_SECONDS)
        deadline = time.monotonic() + limit
        # A scheduled stop may happen between the look and the next line, and then cuts that off.
        while True:
            self.wait(limit_seconds=max(1, deadline - time.monotonic()))
            with contextlib.suppress(LabError), self._transcript.quietly():
                if self._run(START) == self._run(WHICH):
                    break
        [node, *_] = self._connection.list("Node")["items"]
        name = node["metadata"]["name"]
        wait_until(
            self._connection,
            "Node",
            name,
            lambda body: fields.is_true(body, "Ready"),
            what="Ready after its kubelet's start",
            timeout_seconds=RESTART_SECONDS,
        )
        self._transcript.note(
            f"kubectl wait node {name} --for=condition=Ready --timeout={limit:g}s"
        )

    def wait(self, old: str = "", limit_seconds: float | None = None) -> None:
        """Waits until the node answers, through another kubelet than the old one. One that has just
        started doesn't know its Pods yet.

        Args:
            old: systemd's id of the one that was running before.
        """
        limit = limit_seconds or patient(RESTART_SECONDS)
        deadline, seen = time.monotonic() + limit, "the old one still runs"
        while time.monotonic() < deadline:
            try:
                with self._transcript.quietly():
                    now = self._node.run(WHICH, timeout_seconds=5).strip()
                if now not in ("", old):
                    return
            except LabError as error:
                seen = error.seen
            time.sleep(0.1)
        do = "Run the cell again. If that doesn't help: `podlab down`, then `podlab up`."
        raise TimedOut(f"The kubelet didn't come back within {limit:g} s.", seen, advice(do))

    def _run(self, script: str) -> str:
        return self._node.run(script, timeout_seconds=ASK_SECONDS)


def _is_ready(body: dict | None, since: int) -> bool:
    """Whether the kubelet has reported the node as Ready after this moment, by the node's clock."""
    if not fields.is_true(body, "Ready"):
        return False
    heard = fields.conditions(body)["Ready"]["lastHeartbeatTime"]
    return datetime.fromisoformat(heard).timestamp() > since
