"""A shell on the node: scripts, their output, and files.

It all goes through one privileged Pod of the project, ``podlab-node/node``, which is in the node's
PID namespace and enters the mount namespace of the node's PID 1. So it works on any cluster. A call
is one exec, of 60 to 90 ms.
"""

import shlex

from labhelpers.arguments import checked
from labhelpers.errors import LabError, Refused
from labhelpers.kube import fields
from labhelpers.kube.client import EXEC_SECONDS, NODE_NAMESPACE, Connection
from labhelpers.kube.exec import Completed, Lines
from labhelpers.kube.waiting import wait_until
from labhelpers.node.node_pod import ENTER, NAMESPACE, NODE_POD, POD
from labhelpers.outcomes import as_printed, shown_only
from labhelpers.transcript import told

__all__ = ["NodeShell", "kubectl_line"]


@checked
class NodeShell:
    """Runs scripts on the cluster's one node, as root.

    Args:
        connection: an open connection to a cluster of the labs.

    >>> NodeShell(connection).run("uname")                             # doctest: +SKIP
    'Linux\\n'
    """

    def __init__(self, connection: Connection):
        self._connection = connection.within(NODE_NAMESPACE)
        self.transcript = connection.transcript

    def ensure(self, timeout_seconds: float = 60) -> None:
        """Creates the namespace and the Pod through which we see the node, if they're missing, and
        waits until the Pod is ready.

        Raises:
            TimedOut: it didn't become ready.
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
            # A new namespace has no ServiceAccount for a moment, and the API server rejects a Pod
            # without one.
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
        """Runs a shell script on the node, as root, with the node's files and processes, and
        returns what it printed.

        Raises:
            LabError: its exit code wasn't 0.
        """
        done = self._exec(script, timeout_seconds)
        if done.returncode:
            raise LabError(
                "A command on the node failed.",
                f"exit code {done.returncode}:"
                f" {done.stderr.strip() or done.stdout.strip()[-300:] or 'it printed nothing'}",
                f"Run it by hand: {kubectl_line(script)}",
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
        """Runs a bash script on the node for as long as the connection lives, and returns its lines
        as they come.

        Its standard input stays open. When the script reads an end of file there, nobody is
        listening any more. It mustn't close its standard error, as a redirection does: then the
        runtime also closes its standard input.
        """
        command = [*ENTER[:-2], "/bin/bash", "-c", script]
        try:
            return self._connection.exec_lines(
                POD, POD, command, keep_stdin=True, timeout_seconds=timeout_seconds
            )
        except Refused:  # the Pod is missing, or has just restarted
            self.ensure()
            return self._connection.exec_lines(
                POD, POD, command, keep_stdin=True, timeout_seconds=timeout_seconds
            )

    def kubectl(self, script: str) -> str:
        """The line of kubectl that runs a shell script on the node, as ``run`` does."""
        return kubectl_line(script)

    @told
    def read(self, path: str) -> str:
        """Reads a text file on the node.

        Raises:
            LabError: there is no such file, or it can't be read.
        """
        done = self._exec(f"cat -- {shlex.quote(path)}")
        if done.returncode:
            raise LabError(
                "A file on the node can't be read.",
                done.stderr.strip(),
                "Check which files are there: lab.node.run('ls …').",
            )
        return done.stdout

    def _exec(
        self, script: str, timeout_seconds: float = EXEC_SECONDS, note: bool = True
    ) -> Completed:
        if note:
            self.transcript.note(kubectl_line(script))
        command = [*ENTER, script]
        try:
            return self._connection.exec(POD, POD, command, timeout_seconds=timeout_seconds)
        except Refused:  # the Pod is missing, or has just restarted
            self.ensure()
            return self._connection.exec(POD, POD, command, timeout_seconds=timeout_seconds)

    def _state(self) -> str:
        try:
            return self._connection.get("Pod", POD).get("status", {}).get("phase", "Pending")
        except Refused as refused:
            if refused.reason != "NotFound":
                raise
            return ""


def kubectl_line(script: str) -> str:
    """The line of kubectl that runs a script on the node."""
    return f"kubectl exec --namespace {NODE_NAMESPACE} {POD} -- {shlex.join([*ENTER, script])}"
