"""Runs commands in containers, each over a websocket of its own.

It doesn't use ``ApiClient``: the official client's ``stream()`` swaps a shared client's method
while it connects, so another thread's request can go out as a websocket (kubernetes-client/python
issue 928).
"""

import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import websocket

from labhelpers.errors import LabError, Refused, TimedOut
from labhelpers.kube.wire import CONNECT_SECONDS, interrupt, unreachable
from labhelpers.patience import advice, patient

__all__ = ["Command", "Completed", "Lines", "Server"]


@dataclass(frozen=True)
class Server:
    """Which server to connect to, and with which credentials.

    Attributes:
        host: the API server's address, such as "https://127.0.0.1:6443".
        name: the name in its certificate, if that differs.
        token: the Authorization header; "" for a client certificate.
        tls: makes the context, with the cluster's certificates.
        refused: makes the error from (doing, kind, code, body).
    """

    host: str
    name: str | None
    token: str
    tls: Callable[[], ssl.SSLContext]
    refused: Callable[[str, str, int, bytes], Refused]


@dataclass(frozen=True)
class Completed:
    """A command that has ended in a container.

    >>> done = Completed(b"caf\\xc3\\xa9\\n", b"", 0)
    >>> done.stdout
    'café\\n'

    Attributes:
        stdout_bytes: its standard output, unchanged; ``stdout`` is the same as text.
        stderr_bytes: its standard error, unchanged; ``stderr`` is the same as text.
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
        returncode: the exit code; None until the command ends.
        stderr: standard error so far.
    """

    def __init__(self, stream: "Command"):
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
        """Writes to the command's standard input, which needs ``keep_stdin``. Only the reading
        thread may call it."""
        self._stream.send(text.encode())

    def end_stdin(self) -> None:
        """Closes the command's standard input; its output can still be read. Only the reading
        thread may call it."""
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


class Command:
    """One websocket, one command. A frame is a channel byte and data: 0 stdin, 1 stdout, 2 stderr,
    3 the last Status; 255 closes a channel.

    https://kubernetes.io/docs/reference/using-api/api-concepts/ and
    k8s.io/apimachinery/pkg/util/remotecommand (v5.channel.k8s.io).
    """

    def __init__(
        self,
        server: Server,
        path: str,
        where: str,
        *,
        stdin: str | bytes | None,
        keep_stdin: bool = False,
        deadline: float,
    ):
        self.returncode: int | None = None
        self._where, self._host, self._deadline = where, server.host, deadline
        self._closed = False
        doing = f"run {where}"
        try:
            # If the library connected by itself, it would use a proxy of the environment, and there
            # is no way to turn that off.
            seconds = max(0.05, deadline - time.monotonic())
            address = urlsplit(server.host)
            sock = socket.create_connection(
                (address.hostname, address.port), min(patient(CONNECT_SECONDS), seconds)
            )
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.scheme == "https":
                sock = server.tls().wrap_socket(
                    sock, server_hostname=server.name or address.hostname
                )
            self._socket = websocket.create_connection(
                "ws" + server.host.removeprefix("http") + path,
                timeout=seconds,
                socket=sock,
                header=[f"authorization: {server.token}"] if server.token else [],
                subprotocols=["v5.channel.k8s.io"],
                suppress_origin=True,
                skip_utf8_validation=True,
            )
            if stdin is not None:
                self.send(stdin.encode() if isinstance(stdin, str) else stdin)
                if not keep_stdin:
                    self.end_stdin()
        except websocket.WebSocketBadStatusException as error:
            raise server.refused(doing, "Pod", error.status_code, error.resp_body or b"") from error
        except (websocket.WebSocketException, OSError) as error:
            raise unreachable(server.host, doing, error) from error

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
            raise unreachable(self._host, f"write to {self._where}", error) from error

    def close(self) -> None:
        self._closed = True
        interrupt(self._socket.sock)
        self._socket.shutdown()

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yields the data of channels 1 and 2 as it comes; sets ``returncode`` at the end."""
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
                    raise unreachable(
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
            f"{self._where} didn't end in time.",
            f"its last output was: {seen}" if seen else "no output",
            advice("Use a larger timeout_seconds, or a command that ends."),
        )

    def _exit_code(self, status: dict) -> int:
        if status.get("status") == "Success":
            return 0
        if status.get("reason") == "NonZeroExitCode":
            return int(status["details"]["causes"][0]["message"])
        # Without repetitions, and without a random id, which would make each run's text different.
        message = status.get("message", "the connection ended without a status")
        message = re.sub(
            r'^(Internal error occurred: )+|failed to start exec "[0-9a-f]+": ', "", message
        )
        raise LabError(
            f"{self._where} couldn't be started.",
            message,
            "Check that the image has this program: `kubectl exec POD -c CONTAINER -- ls /bin`.",
        )
