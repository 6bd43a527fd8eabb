"""A connection to an API server: plain dictionaries in and out.

It builds on the official client's ``ApiClient`` (kubeconfig, certificates, connection pool), with a
small discovery of its own instead of the client's ``DynamicClient``, for three reasons. Two
requests (aggregated discovery) find every kind, where ``DynamicClient`` asks each group.
``DynamicClient`` keys its cache by the server's address, so a new cluster on an old port gets the
old table; here it's keyed by the uid of kube-system. And its ``server_side_apply`` neither asks for
strict field validation nor returns the Warning headers, which labs show. The client's typed models
are never loaded: they reject a wrong manifest before the server can, and the server's own words are
the lesson.

API conventions: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

import copy
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

from kubernetes.client import Configuration

from labhelpers import paths
from labhelpers.errors import Refused, Unreachable
from labhelpers.kube.exec import Command, Completed, Lines
from labhelpers.kube.kinds import AGGREGATED, Kinds
from labhelpers.kube.transport import ANSWER_SECONDS, Transport
from labhelpers.kube.watching import Watch
from labhelpers.kube.wire import as_yaml
from labhelpers.patience import patient
from labhelpers.polling import must_be_seconds
from labhelpers.transcript import Transcript

__all__ = [
    "EXEC_SECONDS",
    "MARK",
    "NODE_NAMESPACE",
    "Connection",
]

MARK = "podlab"
NODE_NAMESPACE = "podlab-node"
# by default: most take a tenth of a second, but one took more than ten, while others filled the
# node
EXEC_SECONDS = 30.0

_PATCHES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}


class Connection:
    """The API server of one cluster, seen from one namespace. Made by ``connect``; safe to use
    from several threads.

    Attributes:
        kubeconfig: path of the file in use.
        namespace: the namespace of calls that name none.
        cluster_uid: uid of the namespace kube-system, which is different in each cluster.
        host: address of the API server.
        warnings, warning_headers: the last write's Warning headers: their texts, and as sent.
        transcript: what helpers did, as lines that run when pasted; shared with what
            :meth:`within` returns.

    Kinds are named as in a manifest (``"Pod"``), or with their apiVersion where two share the name
    (``"events.k8s.io/v1/Event"``).
    """

    def __init__(self, configuration: Configuration, kubeconfig: Path, namespace: str = "default"):
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self.cluster_uid = ""
        self.host: str = configuration.host
        self.transcript = Transcript([])
        self.kinds = Kinds(
            lambda path: self._transport.json(
                "GET", path, doing="list its kinds", accept=AGGREGATED
            ),
            lambda: paths.state() / f"kinds-{self.cluster_uid}.json",
        )
        self._transport = Transport(configuration, self.kinds.plural)
        self.warnings = self._transport.warnings
        self.warning_headers = self._transport.warning_headers

    def __repr__(self) -> str:
        return f"Connection to {self.host}, namespace {self.namespace}"

    def within(self, namespace: str) -> "Connection":
        """The same connection, seen from another namespace."""
        other = copy.copy(self)
        other.namespace = namespace
        return other

    def close(self) -> None:
        """Closes what is open. A later call opens it again."""
        self._transport.close()

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict:
        """Reads one object. Raises Refused with reason ``NotFound`` if there is none."""
        return self._transport.json(
            "GET", self._path(kind, name, namespace), doing=f"read {kind} {name}", kind=kind
        )

    def list(
        self,
        kind: str,
        namespace: str | None = None,
        field_selector: str = "",
        *,
        label_selector: str = "",
        timeout_seconds: float = ANSWER_SECONDS,
    ) -> dict:
        """Reads the List as the server sends it, with ``metadata.resourceVersion``, from which a
        watch can continue.

        Args:
            namespace: where to look; ``""`` is everywhere.
            field_selector, label_selector: which of them, as for kubectl: ``"app=web"``.
            timeout_seconds: how long to wait for the answer.
        """
        named = [("fieldSelector", field_selector), ("labelSelector", label_selector)]
        query = [(key, value) for key, value in named if value]
        return self._transport.json(
            "GET",
            self._path(kind, None, namespace),
            query,
            doing=f"list {kind}s",
            kind=kind,
            timeout_seconds=timeout_seconds,
        )

    def create(self, body: dict) -> dict:
        """Creates an object. The server rejects unknown fields (``fieldValidation=Strict``)."""
        kind, name, namespace = _identity(body)
        query = [("fieldManager", MARK), ("fieldValidation", "Strict")]
        return self._transport.json(
            "POST",
            self._path(kind, None, namespace),
            query,
            body,
            doing=f"create {body['kind']} {name}",
            kind=kind,
        )

    def apply(self, body: dict, dry_run: bool = False) -> dict:
        """Applies an object, server-side and strict: the server rejects unknown fields instead of
        dropping them. Fields that somebody else owns are taken over.

        Args:
            dry_run: the server runs all its checks, and stores nothing.

        https://kubernetes.io/docs/reference/using-api/server-side-apply/
        """
        kind, name, namespace = _identity(body)
        query = [("fieldManager", MARK), ("fieldValidation", "Strict"), ("force", "true")]
        if dry_run:
            query.append(("dryRun", "All"))
        doing = f"apply {body['kind']} {name}"
        return self._transport.json(
            "PATCH",
            self._path(kind, name, namespace),
            query,
            as_yaml(body),
            _PATCHES["apply"],
            doing=doing,
            kind=kind,
        )

    def patch(
        self,
        kind: str,
        name: str,
        body: dict | Sequence[dict],
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        patch_type: str = "merge",
    ) -> dict:
        """Changes part of an object.

        Args:
            subresource: such as ``"status"``, ``"resize"``, ``"ephemeralcontainers"``.
            patch_type: ``"merge"``, ``"strategic"``, or ``"json"`` (then the body is a list of
                operations).
        """
        path = self._path(kind, name, namespace) + (f"/{subresource}" if subresource else "")
        query = [("fieldManager", MARK), ("fieldValidation", "Strict")]
        return self._transport.json(
            "PATCH",
            path,
            query,
            body,
            _PATCHES[patch_type],
            doing=f"change {kind} {name}",
            kind=kind,
        )

    def delete(
        self, kind: str, name: str, namespace: str | None = None, grace_seconds: int | None = None
    ) -> None:
        """Asks for the deletion of an object and of what it owns, and returns at once. A missing
        object isn't an error.

        Args:
            grace_seconds: instead of the Pod's own terminationGracePeriodSeconds; 0 does not wait
                for the kubelet.
        """
        # Over the API, the deletion of a Job leaves its Pods behind by default. kubectl asks for
        # background propagation, and so does this.
        query = [("propagationPolicy", "Background")]
        if grace_seconds is not None:
            query.append(("gracePeriodSeconds", str(grace_seconds)))
        try:
            self._transport.json(
                "DELETE",
                self._path(kind, name, namespace),
                query,
                doing=f"delete {kind} {name}",
                kind=kind,
            )
        except Refused as error:
            if error.reason != "NotFound":
                raise

    def raw(self, path: str) -> dict | str:
        """Gets a path, such as ``/api/v1/nodes`` or ``/healthz``, unchanged; JSON comes as a
        dictionary."""
        response = self._transport.send("GET", path, doing=f"read {path}")
        is_json = (response.getheader("Content-Type") or "").startswith("application/json")
        return (
            json.loads(response.read()) if is_json else response.read().decode("utf-8", "replace")
        )

    def logs(self, pod: str, container: str, *, previous: bool = False) -> str:
        """Reads a container's log, like ``kubectl logs POD -c CONTAINER``.

        Args:
            previous: the log from before its last restart.
        """
        query = urlencode({"container": container, "previous": str(previous).lower()})
        return self.raw(f"{self._path('Pod', pod)}/log?{query}")

    def watch(
        self,
        kind: str,
        namespace: str | None = None,
        field_selector: str = "",
        resource_version: str = "",
        *,
        label_selector: str = "",
        timeout_seconds: float = 300,
    ) -> Watch:
        """Follows changes: an iterator of ``(type, object)`` with type ADDED, MODIFIED or DELETED.

        It ends by itself after ``timeout_seconds``, or earlier if the server ends it: then continue
        from ``watch.resource_version``.

        Raises:
            Refused: with code 410 if the version is too old (list again); also while iterating.
            Unreachable: the connection was cut; also while iterating.

        https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
        """
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(max(1, math.ceil(timeout_seconds)))),
        ]
        named = [
            ("resourceVersion", resource_version),
            ("fieldSelector", field_selector),
            ("labelSelector", label_selector),
        ]
        query += [(key, value) for key, value in named if value]
        # Servers count whole seconds. If the limit is whole, the server ends the watch, because
        # then the connection stays usable.
        deadline = (
            time.monotonic()
            + timeout_seconds
            + (0.3 if timeout_seconds == int(timeout_seconds) else 0)
        )
        try:
            seconds = min(patient(ANSWER_SECONDS), max(0.05, timeout_seconds))
            path = self._path(kind, None, namespace)
            response = self._transport.send(
                "GET",
                path,
                query,
                doing=f"watch {kind}s",
                kind=kind,
                timeout_seconds=seconds,
                stream=True,
            )
        except Unreachable:
            # The caller's own limit may run out before the first byte: that's an end, not a fault.
            if time.monotonic() < deadline:
                raise
            return Watch(None, kind, resource_version, deadline)
        return Watch(response.response, kind, resource_version, deadline)

    def exec(
        self,
        pod: str,
        container: str,
        command: Sequence[str],
        namespace: str | None = None,
        *,
        stdin: str | bytes | None = None,
        timeout_seconds: float = EXEC_SECONDS,
    ) -> Completed:
        """Runs a command in a container and waits for its end, like ``kubectl exec POD -c CONTAINER
        -- COMMAND``.

        Args:
            stdin: the command's input, up to a few hundred kilobytes; stdin is closed afterwards.
            timeout_seconds: limit of the whole call, times ``PODLAB_PATIENCE``. A command that
                doesn't end keeps running in the container.

        Returns:
            Completed, with the command's exit code. A command that fails doesn't raise.

        Raises:
            TimedOut: the command didn't end in time.
            LabError: the command couldn't be started.
            Refused: there is no such Pod or container, or it isn't running.
        """
        must_be_seconds(timeout_seconds)
        deadline = time.monotonic() + patient(timeout_seconds)
        stream = self._command(pod, container, command, namespace, stdin=stdin, deadline=deadline)
        output = {1: bytearray(), 2: bytearray()}
        try:
            for channel, data in stream.frames():
                output[channel] += data
        finally:
            stream.close()
        return Completed(bytes(output[1]), bytes(output[2]), stream.returncode)

    def exec_lines(
        self,
        pod: str,
        container: str,
        command: Sequence[str],
        namespace: str | None = None,
        *,
        stdin: str | bytes | None = None,
        keep_stdin: bool = False,
        timeout_seconds: float = 300,
    ) -> Lines:
        """Runs a command in a container and reads its output line by line as it comes. Arguments
        and errors as in :meth:`exec`.

        Args:
            keep_stdin: keep the command's standard input open, for :meth:`Lines.send`, and so that
                the command reads an end of file when the connection ends for whatever reason.

        ::

            with connection.exec_lines("node", "node", ["tail", "-f", "/log"]) as lines:
                first = next(lines)
        """
        stdin = "" if keep_stdin and stdin is None else stdin
        deadline = time.monotonic() + timeout_seconds
        return Lines(
            self._command(
                pod,
                container,
                command,
                namespace,
                stdin=stdin,
                keep_stdin=keep_stdin,
                deadline=deadline,
            )
        )

    def _command(
        self,
        pod: str,
        container: str,
        command: Sequence[str],
        namespace: str | None,
        *,
        stdin: str | bytes | None,
        keep_stdin: bool = False,
        deadline: float,
    ) -> Command:
        query = [
            ("container", container),
            ("stdout", "true"),
            ("stderr", "true"),
            *(("command", word) for word in command),
            *([("stdin", "true")] if stdin is not None else []),
        ]
        return Command(
            self._transport.server,
            f"{self._path('Pod', pod, namespace)}/exec?{urlencode(query)}",
            f"{command[0]} in {pod}/{container}",
            stdin=stdin,
            keep_stdin=keep_stdin,
            deadline=deadline,
        )

    def _path(self, kind: str, name: str | None = None, namespace: str | None = None) -> str:
        return self.kinds.path(kind, name, self.namespace if namespace is None else namespace)


def _identity(body: dict) -> tuple[str, str, str | None]:
    """
    >>> _identity({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": ""}})
    ('v1/Pod', 'a', None)
    """
    metadata = body.get("metadata") or {}
    return (
        f"{body['apiVersion']}/{body['kind']}",
        metadata.get("name", ""),
        metadata.get("namespace") or None,  # kubectl takes an empty one as none
    )
