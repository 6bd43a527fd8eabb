"""Reads a container's log as the runtime writes it on the node: each line with its time."""

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labhelpers.node.node import Node

__all__ = ["seconds", "stamped_lines"]


def stamped_lines(
    node: "Node", namespace: str, pod: str, uid: str, container: str, run: int = 0
) -> list[tuple[float, str]]:
    """Reads a container's log lines with the runtime's time of each, in seconds since 1970.

    The API's times are whole seconds. These are by the node's clock, to a nanosecond.

    Args:
        node: the node from the inside.
        namespace, pod, uid, container: which container.
        run: 0 for the first start of the container, 1 after one restart.

    Raises:
        LabError: there is no such log.

    https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md

    Example::

        stamped_lines(lab.node, lab.namespace, pod.name, pod.uid, "app")
    """
    folder = f"/var/log/pods/{namespace}_{pod}_{uid}"
    lines = node.read(f"{folder}/{container}/{run}.log").splitlines()
    parts = [line.split(" ", 3) for line in lines]
    return [(seconds(when), text) for when, _, _, text in parts]


def seconds(stamp: str) -> float:
    """Parses a time of the runtime or the API, in seconds since 1970.

    >>> seconds("1970-01-01T00:00:01.500000000Z"), seconds("1970-01-01T00:00:02Z")
    (1.5, 2.0)
    """
    whole, _, rest = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{rest or 0}")
