"""The connection to the labs' cluster: plain dictionaries in and out, and the guard that keeps it
off every other cluster.

It stands on the official client's ``ApiClient`` (kubeconfig, certificates, connection pool), with a
small discovery of its own instead of the client's ``DynamicClient``. Three reasons. Two requests
(aggregated discovery) learn every kind, where ``DynamicClient`` asks each group. Its cache is keyed
by the server's address, so a new cluster on an old port gets the old table; here it is keyed by the
uid of kube-system. And its ``server_side_apply`` neither asks for strict field validation nor hands
back the Warning headers, which labs show. The client's typed models are never loaded: they refuse a
wrong manifest before the server can, and the server's own words are the lesson.

``exec`` opens a websocket of its own and needs no ``ApiClient`` at all: the client's ``stream()``
swaps a method on a shared client while it connects, so that another thread's request can go out as
a websocket (kubernetes-client/python issue 928).

API conventions: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

import contextlib
import copy
import json
import math
import re
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import urllib3
import websocket
import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import load_kube_config

from labhelpers import paths
from labhelpers.errors import LabError, NotOurCluster, Refused, TimedOut
from labhelpers.files import write_atomically
from labhelpers.transcript import Transcript

__all__ = [
    "EXEC_SECONDS",
    "MARK",
    "NODE_NAMESPACE",
    "Completed",
    "Connection",
    "Lines",
    "Unreachable",
    "Watch",
    "connect",
]

MARK = "podlab"
NODE_NAMESPACE = "podlab-node"
# by default: most take a tenth of a second, and one was seen that took more than ten, while others
# filled the node
EXEC_SECONDS = 30.0

_CONNECT_SECONDS = 3
_ANSWER_SECONDS = 30
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_PATCHES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
_WHAT_TO_DO = {
    "NotFound": "Look at what there is: `kubectl get {plural}`.",
    "AlreadyExists": "Delete the old one first, or choose another name.",
    "Conflict": "Somebody changed it meanwhile: read it again, then change it.",
    "Forbidden": (
        "The message names the rule that forbids it: change what it names, then send it again."
    ),
    "Invalid": "The message names the field and the rule: change that field, then send it again.",
}


class Unreachable(LabError):
    """No answer from the API server: nothing listens, the connection was cut, or it did not answer
    in time."""


def connect(kubeconfig: Path | str | None = None, namespace: str = "default") -> "Connection":
    """Connect to the labs' cluster, and to no other.

    A cluster is the labs' own if its namespace ``podlab-node`` carries the label
    ``podlab=cluster``, which ``podlab up`` puts there.

    Args:
        kubeconfig: the file to use; without it the one of the cluster that this process works with.
            Never ``~/.kube/config``.
        namespace: where names are looked up unless a call says otherwise.

    Raises:
        NotOurCluster: the file is ``~/.kube/config``, or the cluster does not carry the mark.
        Unreachable: nothing answers.
        LabError: there is no such file, or it is not a kubeconfig.

    ::

        connection = connect(namespace="lab-02-pause")
        connection.get("Pod", "one-app")["status"]["phase"]
    """
    path = Path(kubeconfig or paths.kubeconfig()).expanduser()
    if path.resolve() == (Path.home() / ".kube" / "config").resolve():
        raise NotOurCluster(
            "The labs do not touch your own kubeconfig.",
            str(path),
            "Run `podlab up`: the labs' cluster has a file of its own.",
        )
    if not path.is_file():
        raise LabError("There is no cluster yet.", f"no kubeconfig at {path}", "Run `podlab up`.")
    connection = Connection(_configuration(path), path, namespace)
    found, seen = {}, f"no namespace {NODE_NAMESPACE} carries the label {MARK}=cluster"
    try:
        listed = connection.raw("/api/v1/namespaces")
        if isinstance(listed, dict):
            found = {item["metadata"]["name"]: item["metadata"] for item in listed.get("items", [])}
    except Refused as error:
        seen = error.seen
    except Unreachable as error:
        if "CERTIFICATE_VERIFY_FAILED" not in error.seen:
            raise
        seen = "the certificate is another cluster's"
    if found.get(NODE_NAMESPACE, {}).get("labels", {}).get(MARK) != "cluster":
        connection.close()
        raise NotOurCluster(
            "This is not a cluster that the labs made, so nothing was done on it.",
            f"{path} leads to {connection.host}: {seen}",
            "Run `podlab up` to make one, or `podlab down` and `podlab up` if it was half made.",
        )
    connection.cluster_uid = found["kube-system"]["uid"]
    return connection


def _configuration(path: Path) -> Configuration:
    configuration = Configuration()
    # The cluster is on this machine, where no proxy of the environment leads.
    configuration.proxy = None
    try:
        load_kube_config(
            config_file=str(path), client_configuration=configuration, persist_config=False
        )
    except (
        ConfigException,
        yaml.YAMLError,
        OSError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        raise LabError(
            "The cluster's kubeconfig cannot be read.",
            f"{path}: {error}",
            "Run `podlab down` and `podlab up`.",
        ) from error
    # urllib3's own retries write warnings into the cell. Whoever waits retries knowingly, in
    # `waiting`.
    configuration.retries = urllib3.Retry(0, redirect=0)
    return configuration


class Connection:
    """The API server of one cluster, seen from one namespace. Made by :func:`connect`; safe to use
    from several threads.

    Attributes:
        kubeconfig: path of the file in use.
        namespace: the namespace of calls that name none.
        cluster_uid: uid of the namespace kube-system: another cluster has another.
        host: address of the API server.
        warnings: the Warning headers of the last write.
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
        self.warnings: list[str] = []
        self.transcript = Transcript()
        self._configuration = configuration
        self._context: ssl.SSLContext | None = None
        self._threads = threading.local()
        self._clients: weakref.WeakSet[ApiClient] = weakref.WeakSet()
        self._kinds: dict[str, Sequence] = {}

    def __repr__(self) -> str:
        return f"Connection to {self.host}, namespace {self.namespace}"

    def within(self, namespace: str) -> "Connection":
        """The same connection, seen from another namespace."""
        other = copy.copy(self)
        other.namespace = namespace
        return other

    def close(self) -> None:
        """Close what is open. A later call opens it again."""
        for client in list(self._clients):
            client.close()

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict:
        """One object. Raises Refused with reason ``NotFound`` when there is none."""
        return self._json(
            "GET", self._path(kind, name, namespace), doing=f"read {kind} {name}", kind=kind
        )

    def list(
        self,
        kind: str,
        namespace: str | None = None,
        field_selector: str = "",
        *,
        timeout_seconds: float = _ANSWER_SECONDS,
    ) -> dict:
        """The List as the server sends it, ``metadata.resourceVersion`` included: a watch goes on
        from there.

        Args:
            namespace: where to look; ``""`` is everywhere.
            timeout_seconds: how long to wait for the answer.
        """
        query = [("fieldSelector", field_selector)] if field_selector else []
        return self._json(
            "GET",
            self._path(kind, "", namespace),
            query,
            doing=f"list {kind}s",
            kind=kind,
            timeout_seconds=timeout_seconds,
        )

    def create(self, body: dict) -> dict:
        """Create an object; unknown fields are refused (``fieldValidation=Strict``)."""
        kind, name, namespace = _identity(body)
        query = [("fieldManager", MARK), ("fieldValidation", "Strict")]
        return self._json(
            "POST",
            self._path(kind, "", namespace),
            query,
            body,
            doing=f"create {body['kind']} {name}",
            kind=kind,
        )

    def apply(self, body: dict, dry_run: bool = False) -> dict:
        """Server-side apply, strict: what the server does not know is refused, not dropped. Fields
        that somebody else owns are taken over.

        Args:
            dry_run: run all checks of the server, and keep nothing.

        https://kubernetes.io/docs/reference/using-api/server-side-apply/
        """
        kind, name, namespace = _identity(body)
        query = [("fieldManager", MARK), ("fieldValidation", "Strict"), ("force", "true")]
        if dry_run:
            query.append(("dryRun", "All"))
        doing = f"apply {body['kind']} {name}"
        return self._json(
            "PATCH",
            self._path(kind, name, namespace),
            query,
            body,
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
        """Change part of an object.

        Args:
            subresource: such as ``"status"``, ``"resize"``, ``"ephemeralcontainers"``.
            patch_type: ``"merge"``, ``"strategic"``, or ``"json"`` (then the body is a list of
                operations).
        """
        path = self._path(kind, name, namespace) + (f"/{subresource}" if subresource else "")
        query = [("fieldManager", MARK), ("fieldValidation", "Strict")]
        return self._json(
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
        """Ask for the deletion of an object, with what it owns, and return at once. One that is not
        there is no error.

        Args:
            grace_seconds: instead of the Pod's own terminationGracePeriodSeconds; 0 does not wait
                for the kubelet.
        """
        # Over the API a Job leaves its Pods behind unless told otherwise; kubectl tells it, and so
        # does this.
        query = [("propagationPolicy", "Background")]
        if grace_seconds is not None:
            query.append(("gracePeriodSeconds", str(grace_seconds)))
        try:
            self._json(
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
        """The API's own raw words: GET of a path, such as ``/api/v1/nodes`` or ``/healthz``; JSON
        comes as a dictionary."""
        response = self._send("GET", path, doing=f"read {path}")
        is_json = (response.getheader("Content-Type") or "").startswith("application/json")
        return (
            json.loads(response.read()) if is_json else response.read().decode("utf-8", "replace")
        )

    def watch(
        self,
        kind: str,
        namespace: str | None = None,
        field_selector: str = "",
        resource_version: str = "",
        *,
        timeout_seconds: float = 300,
    ) -> "Watch":
        """Follow changes: an iterator of ``(type, object)`` with type ADDED, MODIFIED or DELETED.

        It ends by itself after ``timeout_seconds``, or earlier when the server ends it: then go on
        from ``watch.resource_version``.

        Raises:
            Refused: with code 410 when the version is too old (list again); also while iterating.
            Unreachable: the connection was cut; also while iterating.

        https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
        """
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(max(1, math.ceil(timeout_seconds)))),
        ]
        named = [("resourceVersion", resource_version), ("fieldSelector", field_selector)]
        query += [(key, value) for key, value in named if value]
        # Servers count whole seconds. A whole limit is left to them, because an end of theirs
        # leaves the connection usable.
        deadline = (
            time.monotonic()
            + timeout_seconds
            + (0.3 if timeout_seconds == int(timeout_seconds) else 0)
        )
        try:
            seconds = min(_ANSWER_SECONDS, max(0.05, timeout_seconds))
            path = self._path(kind, "", namespace)
            response = self._send(
                "GET",
                path,
                query,
                doing=f"watch {kind}s",
                kind=kind,
                timeout_seconds=seconds,
                stream=True,
            )
        except Unreachable:
            # A limit of the caller's own that runs out before the first byte is an end, not a
            # fault.
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
    ) -> "Completed":
        """Run a command in a container and wait for its end, like ``kubectl exec POD -c CONTAINER
        -- COMMAND``.

        Args:
            stdin: what the command reads, at most some hundred kilobytes; closed behind it.
            timeout_seconds: limit of the whole call. A command that does not end goes on in the
                container.

        Returns:
            Completed, with the command's exit code: a failing command is no error here.

        Raises:
            TimedOut: the command did not end in time.
            LabError: the command could not be started.
            Refused: no such Pod or container, or it does not run.
        """
        deadline = time.monotonic() + timeout_seconds
        stream = _Exec(self, pod, container, command, namespace, stdin=stdin, deadline=deadline)
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
    ) -> "Lines":
        """Run a command in a container and read its output line by line as it comes. Arguments and
        errors as in :meth:`exec`.

        Args:
            keep_stdin: leave the command's standard input open: for :meth:`Lines.send`, and so that
                the command reads an end of file when the connection ends, however that comes about.

        ::

            with connection.exec_lines("node", "node", ["tail", "-f", "/var/log/messages"]) as
                lines: first = next(lines)
        """
        stdin, deadline = (
            ("" if keep_stdin and stdin is None else stdin),
            time.monotonic() + timeout_seconds,
        )
        return Lines(
            _Exec(
                self,
                pod,
                container,
                command,
                namespace,
                stdin=stdin,
                keep_stdin=keep_stdin,
                deadline=deadline,
            )
        )

    def _client(self) -> ApiClient:
        client = getattr(self._threads, "client", None)
        if client is None:
            client = self._threads.client = ApiClient(self._configuration)
            self._clients.add(client)
        return client

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            context = ssl.create_default_context(cafile=self._configuration.ssl_ca_cert)
            if self._configuration.cert_file:
                context.load_cert_chain(self._configuration.cert_file, self._configuration.key_file)
            if not self._configuration.verify_ssl:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._context = context
        return self._context

    def _json(self, *request, **more) -> dict:
        return json.loads(self._send(*request, **more).read())

    def _send(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        content_type: str = "application/json",
        *,
        doing: str,
        kind: str = "",
        timeout_seconds: float = _ANSWER_SECONDS,
        accept: str = "application/json",
        stream: bool = False,
    ):
        """One request and its response, the body read unless ``stream``. All but 2xx raises
        Refused, no answer raises Unreachable."""
        client = self._client()
        path += ("&" if "?" in path else "?") + urlencode(query) if query else ""
        headers = {"Accept": accept, "Content-Type": content_type}
        request = client.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            response = client.call_api(
                *request, _request_timeout=(min(_CONNECT_SECONDS, timeout_seconds), timeout_seconds)
            )
            if not 200 <= response.status <= 299:
                raise self._refused(doing, kind, response.status, response.read())
            if not stream:
                response.read()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreachable(self.host, doing, error) from error
        except ApiException as error:
            # The client raises one without a status for TLS trouble only.
            raise _unreachable(self.host, doing, error.reason) from error
        if method != "GET":
            # `299 - "text"`: https://kubernetes.io/blog/2020/09/03/warnings/
            headers = response.headers.getlist("Warning")
            self.warnings[:] = [
                text.replace('\\"', '"')
                for header in headers
                for text in re.findall(r'"((?:[^"\\]|\\.)*)"', header)
            ]
        return response

    def _refused(self, doing: str, kind: str, code: int, body: bytes) -> Refused:
        try:
            status = json.loads(body)
            reason, message = status.get("reason") or "", status.get("message") or ""
        except (ValueError, AttributeError):
            reason, message = "", body.decode("utf-8", "replace")
        do = _WHAT_TO_DO.get(
            reason,
            "Read the server's message above; `podlab status` says whether the cluster is well.",
        )
        plural = self._kinds[kind][1] if kind in self._kinds else "pods"
        seen = f"{code} {reason}: {message}" if reason else f"{code}: {message}"
        return Refused(
            f"The API server would not {doing}.",
            seen,
            do.format(plural=plural),
            reason=reason,
            message=message,
            code=code,
        )

    def _path(self, kind: str, name: str = "", namespace: str | None = None) -> str:
        prefix, plural, namespaced = self._resource(kind)
        namespace = self.namespace if namespace is None else namespace
        place = f"/namespaces/{quote(namespace, safe='')}" if namespaced and namespace else ""
        return f"{prefix}{place}/{plural}" + (f"/{quote(name, safe='')}" if name else "")

    def _resource(self, kind: str) -> Sequence:
        """Path prefix, plural name and whether it is namespaced; from memory, from this cluster's
        file, or from the server."""
        file = paths.state() / f"discovery-{self.cluster_uid}.json"
        if not self._kinds:
            with contextlib.suppress(OSError, ValueError):
                self._kinds.update(json.loads(file.read_text()))
        if kind not in self._kinds:
            self._kinds.update(self._discover())
            # Without a file the next process asks again, no more.
            with contextlib.suppress(OSError):
                write_atomically(file, json.dumps(self._kinds))
        if kind not in self._kinds:
            raise LabError(
                f"The cluster knows no kind {kind}.",
                f"no {kind} in its API",
                "Look at the names: `kubectl api-resources`.",
            )
        return self._kinds[kind]

    def _discover(self) -> dict[str, Sequence]:
        kinds: dict[str, Sequence] = {}
        for path in ("/api", "/apis"):
            groups = json.loads(
                self._send("GET", path, doing="list its kinds", accept=_AGGREGATED).read()
            )["items"]
            for group in groups:
                for version in group["versions"]:  # The preferred one is first.
                    name = group["metadata"].get("name")
                    api_version = f"{name}/{version['version']}" if name else version["version"]
                    for resource in version.get("resources", []):
                        kind = resource["responseKind"]["kind"]
                        known = [
                            f"{path}/{api_version}",
                            resource["resource"],
                            resource["scope"] == "Namespaced",
                        ]
                        kinds.setdefault(kind, known)
                        kinds[f"{api_version}/{kind}"] = known
        return kinds


def _identity(body: dict) -> tuple[str, str, str | None]:
    metadata = body.get("metadata") or {}
    return (
        f"{body['apiVersion']}/{body['kind']}",
        metadata.get("name", ""),
        metadata.get("namespace"),
    )


def _unreachable(host: str, doing: str, error: object) -> Unreachable:
    cause = getattr(error, "reason", None) or error
    text = re.sub(r"^<?[\w.]+\(.*?\)>?: |^.*? object at 0x[0-9a-f]+>: ", "", str(cause))
    return Unreachable(
        f"The cluster did not answer, so it was not possible to {doing}.",
        f"{host}: {text}",
        "`podlab status` says how the cluster is; `podlab up` starts it again.",
    )


def _interrupt(sock: socket.socket | None) -> None:
    """Wake a thread that reads from this socket. Not SSLSocket.shutdown, which takes the TLS layer
    away under the reader."""
    if sock is not None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Watch:
    """An iterator over one watch; see :meth:`Connection.watch`. ``close()`` ends it at once, from
    any thread, without an error.

    Attributes:
        resource_version: of the last event (bookmarks count): a next watch goes on from here.
    """

    def __init__(self, response, kind: str, resource_version: str, deadline: float):
        self.resource_version = resource_version
        self._response, self._kind, self._deadline = response, kind, deadline
        self._closed = response is None
        self._reading = threading.RLock()
        self._events = self._read()

    def __iter__(self) -> "Watch":
        return self

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __next__(self) -> tuple[str, dict]:
        with self._reading:
            return next(self._events)

    def close(self) -> None:
        self._closed = True
        if self._response is None:
            return
        _interrupt(self._socket())
        with self._reading:
            self._end()

    def _end(self) -> None:
        self._response.close()
        # Given back at once. Left to the garbage collector, many come back together, and urllib3
        # warns into the cell of a full pool.
        self._response.release_conn()

    def _socket(self) -> socket.socket | None:
        return getattr(self._response.connection, "sock", None)

    def _read(self) -> Iterator[tuple[str, dict]]:
        if self._closed:
            return
        try:
            for line in self._lines():
                event = json.loads(line)
                obj = event["object"]
                if event["type"] == "ERROR":
                    code, reason, message = (
                        obj.get("code", 0),
                        obj.get("reason", ""),
                        obj.get("message", ""),
                    )
                    raise Refused(
                        f"The API server ended the watch of {self._kind}s.",
                        f"{code} {reason}: {message}",
                        "List again, then watch from there.",
                        reason=reason,
                        message=message,
                        code=code,
                    )
                self.resource_version = obj["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    yield event["type"], obj
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if self._closed or time.monotonic() >= self._deadline:
                return
            raise _unreachable("the API server", f"go on watching {self._kind}s", error) from error
        finally:
            self._end()

    def _lines(self) -> Iterator[bytes]:
        pending = b""
        pieces = self._response.stream(amt=None, decode_content=False)
        while not self._closed:
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                return
            if (sock := self._socket()) is not None:
                sock.settimeout(remaining)
            piece = next(pieces, None)
            if piece is None:
                return
            *lines, pending = (pending + piece).split(b"\n")
            yield from filter(None, lines)


@dataclass(frozen=True)
class Completed:
    """A command that has ended in a container.

    >>> done = Completed(b"caf\\xc3\\xa9\\n", b"", 0)
    >>> done.stdout
    'café\\n'

    Attributes:
        stdout_bytes: what it wrote, unchanged; ``stdout`` is the same as text.
        stderr_bytes: what it wrote to standard error; ``stderr`` is the same as text.
        returncode: its exit code.
    """

    stdout_bytes: bytes
    stderr_bytes: bytes
    returncode: int

    @property
    def stdout(self) -> str:
        return self.stdout_bytes.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        return self.stderr_bytes.decode("utf-8", "replace")


class Lines:
    """The lines of a running command; see :meth:`Connection.exec_lines`. ``close()`` ends it at
    once, from any thread, without an error.

    Attributes:
        returncode: the exit code, or None before the end of the command.
        stderr: standard error so far.
    """

    def __init__(self, stream: "_Exec"):
        self._stderr = b""
        self._stream = stream
        self._lines = self._read()

    @property
    def returncode(self) -> int | None:
        return self._stream.returncode

    @property
    def stderr(self) -> str:
        return self._stderr.decode("utf-8", "replace")

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        return next(self._lines)

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._stream.close()

    def send(self, text: str) -> None:
        """Write to the command's standard input, which :meth:`Connection.exec_lines` was told to
        keep. From the reading thread only."""
        self._stream.send(text.encode())

    def end_stdin(self) -> None:
        """Close the command's standard input; its output can still be read. From the reading thread
        only."""
        self._stream.end_stdin()

    def _read(self) -> Iterator[str]:
        pending = b""
        for channel, data in self._stream.frames():
            if channel == 2:
                self._stderr += data
                continue
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                yield line.decode("utf-8", "replace")
        if pending:
            yield pending.decode("utf-8", "replace")


class _Exec:
    """One websocket, one command. A frame is a channel byte and data: 0 stdin, 1 stdout, 2 stderr,
    3 the last Status; 255 closes a channel.

    https://kubernetes.io/docs/reference/using-api/api-concepts/ and
    k8s.io/apimachinery/pkg/util/remotecommand (v5.channel.k8s.io).
    """

    def __init__(
        self,
        connection: Connection,
        pod: str,
        container: str,
        command: Sequence[str],
        namespace,
        *,
        stdin,
        deadline: float,
        keep_stdin=False,
    ):
        self.returncode: int | None = None
        self._where = f"{command[0]} in {pod}/{container}"
        self._host, self._deadline = connection.host, deadline
        self._closed = False
        query = [
            ("container", container),
            ("stdout", "true"),
            ("stderr", "true"),
            *(("command", word) for word in command),
        ]
        if stdin is not None:
            query.append(("stdin", "true"))
        path = f"/api/v1/namespaces/{quote(namespace or connection.namespace)}/pods/{quote(pod)}/exec?{urlencode(query)}"
        configuration = connection._configuration
        token = configuration.auth_settings().get("BearerToken")
        doing = f"run {self._where}"
        try:
            # The library's own connecting would take a proxy from the environment, and cannot be
            # told not to.
            seconds = max(0.05, deadline - time.monotonic())
            address = urlsplit(connection.host)
            sock = socket.create_connection(
                (address.hostname, address.port), min(_CONNECT_SECONDS, seconds)
            )
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.scheme == "https":
                sock = connection._tls().wrap_socket(
                    sock, server_hostname=configuration.tls_server_name or address.hostname
                )
            self._socket = websocket.create_connection(
                "ws" + connection.host.removeprefix("http") + path,
                timeout=seconds,
                socket=sock,
                header=[f"authorization: {token['value']}"] if token else [],
                subprotocols=["v5.channel.k8s.io"],
                suppress_origin=True,
                skip_utf8_validation=True,
            )
            if stdin is not None:
                self.send(stdin.encode() if isinstance(stdin, str) else stdin)
                if not keep_stdin:
                    self.end_stdin()
        except websocket.WebSocketBadStatusException as error:
            raise connection._refused(
                doing, "Pod", error.status_code, error.resp_body or b""
            ) from error
        except (websocket.WebSocketException, OSError) as error:
            raise _unreachable(connection.host, doing, error) from error

    def send(self, data: bytes) -> None:
        for start in range(0, len(data), 32768):
            self._write(b"\x00" + data[start : start + 32768])

    def end_stdin(self) -> None:
        self._write(b"\xff\x00")

    def _write(self, frame: bytes) -> None:
        try:
            self._socket.send_binary(frame)
        # AttributeError: another thread has closed it
        except (websocket.WebSocketException, OSError, AttributeError) as error:
            raise _unreachable(self._host, f"write to {self._where}", error) from error

    def close(self) -> None:
        self._closed = True
        _interrupt(self._socket.sock)
        self._socket.shutdown()

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Data of channels 1 and 2 as it comes; at the end ``returncode`` is set."""
        status, last = None, b""
        while not self._closed:
            try:
                self._socket.settimeout(max(0.001, self._deadline - time.monotonic()))
                opcode, frame = self._socket.recv_data_frame(True)
            except websocket.WebSocketTimeoutException as error:
                raise self._late(last) from error
            except (websocket.WebSocketException, OSError, AttributeError) as error:
                # AttributeError: the library's socket is None once another thread has closed it.
                if self._closed:
                    return
                if status is None:
                    raise _unreachable(
                        self._host, f"read the output of {self._where}", error
                    ) from error
                break
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                break
            if (
                opcode not in (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT)
                or len(frame.data) < 2
            ):
                continue
            channel, data = frame.data[0], frame.data[1:]
            if channel == 3:
                status = json.loads(data)
            elif channel in (1, 2):
                last = data
                yield channel, data
                if time.monotonic() > self._deadline:
                    raise self._late(last)
        if not self._closed:
            self.returncode = self._exit_code(status or {})

    def _late(self, last: bytes) -> TimedOut:
        seen = last.decode("utf-8", "replace").strip()[-200:]
        return TimedOut(
            f"{self._where} did not end in time.",
            f"its last output was: {seen}" if seen else "no output",
            "Give it a larger timeout_seconds, or a command that ends.",
        )

    def _exit_code(self, status: dict) -> int:
        if status.get("status") == "Success":
            return 0
        if status.get("reason") == "NonZeroExitCode":
            return int(status["details"]["causes"][0]["message"])
        # Without what is said twice, and without a random id, which would make every run's text
        # another.
        message = status.get("message", "the connection ended without a status")
        message = re.sub(
            r'^(Internal error occurred: )+|failed to start exec "[0-9a-f]+": ', "", message
        )
        raise LabError(
            f"{self._where} could not be started.",
            message,
            "Look whether the image has this program: `kubectl exec POD -c CONTAINER -- ls /bin`.",
        )
