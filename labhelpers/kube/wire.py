"""What all traffic with the API server needs: the errors for a missing answer and for a refusal,
and a way to wake a thread that waits for an answer."""

import contextlib
import json
import re
import socket

from labhelpers.errors import Refused, Unreachable

__all__ = ["CONNECT_SECONDS", "as_yaml", "interrupt", "refused", "unreachable"]

CONNECT_SECONDS = 3
# Characters that YAML takes for a line break, for a byte order mark, or doesn't accept as text.
_NOT_AS_IT_IS = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_WHAT_TO_DO = {
    "NotFound": "Check the name: `kubectl get {plural}` lists what there is.",
    "AlreadyExists": "Delete the old one first, or choose another name.",
    "Conflict": "Somebody changed it in the meantime: read it again, then change it.",
    "Forbidden": (
        "The message names the rule that forbids it: change what it names, then send it again."
    ),
    "Invalid": "The message names the field and the rule: change that field, then send it again.",
}


def unreachable(host: str, doing: str, error: object) -> Unreachable:
    cause = getattr(error, "reason", None) or error
    text = re.sub(r"^<?[\w.]+\(.*?\)>?: |^.*? object at 0x[0-9a-f]+>: ", "", str(cause))
    return Unreachable(
        f"The cluster didn't answer the request to {doing}.",
        f"{host}: {text}",
        "Check the cluster with `podlab status`; `podlab up` starts it again.",
    )


def as_yaml(body: object) -> bytes:
    """Writes JSON that YAML parses to the same value. JSON writes an emoji as two escapes, and in
    YAML neither of them is a character.

    >>> as_yaml({"a": "\U0001f600"}).decode() == '{"a": "\U0001f600"}'
    True
    """
    text = json.dumps(body, ensure_ascii=False)
    return _NOT_AS_IT_IS.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def interrupt(sock: socket.socket | None) -> None:
    """Wakes a thread that reads from this socket. It doesn't use SSLSocket.shutdown, which would
    remove the TLS layer while the thread reads."""
    if sock is not None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


def refused(doing: str, plural: str, code: int, body: bytes) -> Refused:
    """Makes the error for an answer other than 2xx.

    Args:
        doing: what was requested, such as "read Pod one-app".
        plural: the kind's name in a path, such as "pods".
        code: the HTTP status. body: the answer, usually a Status.
    """
    try:
        status = json.loads(body)
        reason, message = status.get("reason") or "", status.get("message") or ""
    except (ValueError, AttributeError):
        reason, message = "", body.decode("utf-8", "replace")
    do = _WHAT_TO_DO.get(
        reason,
        "Read the server's message above; `podlab status` checks the cluster.",
    )
    seen = f"{code} {reason}: {message}" if reason else f"{code}: {message}"
    return Refused(
        f"The API server rejected the request to {doing}.",
        seen,
        do.format(plural=plural),
        reason=reason,
        message=message,
        code=code,
    )
