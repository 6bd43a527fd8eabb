"""What every kind of traffic with the API server needs: the error for no answer, and a way to wake
a thread that waits for one."""

import contextlib
import re
import socket

from labhelpers.errors import Unreachable

__all__ = ["CONNECT_SECONDS", "interrupt", "unreachable"]

CONNECT_SECONDS = 3


def unreachable(host: str, doing: str, error: object) -> Unreachable:
    cause = getattr(error, "reason", None) or error
    text = re.sub(r"^<?[\w.]+\(.*?\)>?: |^.*? object at 0x[0-9a-f]+>: ", "", str(cause))
    return Unreachable(
        f"The cluster did not answer, so it was not possible to {doing}.",
        f"{host}: {text}",
        "`podlab status` says how the cluster is; `podlab up` starts it again.",
    )


def interrupt(sock: socket.socket | None) -> None:
    """Wakes a thread that reads from this socket. Not SSLSocket.shutdown, which takes the TLS layer
    away under the reader."""
    if sock is not None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
