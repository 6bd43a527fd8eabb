"""A container's log as the runtime keeps it on the node: each line with the node's own time, to the
nanosecond. The API's times are whole seconds.

https://kubernetes.io/docs/concepts/cluster-administration/logging/#log-location-node
"""

from datetime import datetime
from typing import Protocol

__all__ = ["dated_lines", "seconds"]


class Reads(Protocol):
    """What can read a file on the node."""

    def read(self, path: str) -> str: ...


def dated_lines(
    node: Reads, namespace: str, pod_name: str, pod_uid: str, container: str, run: int = 0
) -> list[tuple[float, str]]:
    """The lines that a container wrote, each with its time in seconds since 1970 by the node's
    clock.

    Args:
        node: ``lab.node``.
        run: which of the container's runs: 0 is the first, 1 the one after the first restart. The
            kubelet keeps the newest two.

    Raises:
        LabError: there is no such log on the node.

    >>> class Node:
    ...     def read(self, path):
    ...         print(path)
    ...         return "1970-01-01T00:00:01.500000000Z stdout F up and running\\n"
    >>> dated_lines(Node(), "lab", "web", "u1", "app")
    /var/log/pods/lab_web_u1/app/0.log
    [(1.5, 'up and running')]
    """
    path = f"/var/log/pods/{namespace}_{pod_name}_{pod_uid}/{container}/{run}.log"
    parts = [line.split(" ", 3) for line in node.read(path).splitlines()]
    return [(seconds(when), text) for when, _, _, text in parts]


def seconds(stamp: str) -> float:
    """A time of the runtime or of the API, in seconds since 1970.

    >>> seconds("1970-01-01T00:00:01.500000000Z"), seconds("1970-01-01T00:00:02Z")
    (1.5, 2.0)
    """
    whole, _, rest = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{rest or 0}")
