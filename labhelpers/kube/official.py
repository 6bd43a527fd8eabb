"""Writes the line of the official ``kubernetes`` Python client that does the same as a line of
kubectl, for readers who write programs. The labs themselves don't run it: see ``kube/client.py``.

https://github.com/kubernetes-client/python/blob/master/kubernetes/README.md
"""

import re

__all__ = ["KINDS", "call", "watch"]

KINDS = {
    "CoreV1Api": (
        "ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume"
        " PersistentVolumeClaim Pod ReplicationController ResourceQuota Secret Service"
        " ServiceAccount"
    ).split(),
    "AppsV1Api": "DaemonSet Deployment ReplicaSet StatefulSet".split(),
    "BatchV1Api": "CronJob Job".split(),
}
_IN_NO_NAMESPACE = ("Namespace", "Node", "PersistentVolume")


def call(verb: str, kind: str, name: str, namespace: str, *more: str, part: str = "") -> str:
    """A call about one object; "" for a kind that this module doesn't know.

    Args:
        verb: the client's own word: "read", "delete", "patch".
        kind: as in a manifest.
        more: further arguments, as source.
        part: a subresource: "log", "resize".

    >>> call("read", "Pod", "one-app", "lab-02-pause")
    "client.CoreV1Api().read_namespaced_pod('one-app', 'lab-02-pause')"
    >>> call("read", "Node", "n1", ""), call("read", "Gateway", "a", "b")
    ("client.CoreV1Api().read_node('n1')", '')
    """
    function = _function(verb, kind, part)
    where = () if kind in _IN_NO_NAMESPACE else (repr(namespace),)
    return function and f"{function}({', '.join((repr(name), *where, *more))})"


def watch(kind: str, name: str, namespace: str) -> str:
    """A watch of one object; "" for a kind that this module doesn't know.

    >>> watch("Node", "n1", "")
    "watch.Watch().stream(client.CoreV1Api().list_node, field_selector='metadata.name=n1')"
    """
    function = _function("list", kind)
    where = "" if kind in _IN_NO_NAMESPACE else f"{namespace!r}, "
    selector = f"field_selector={f'metadata.name={name}'!r}"
    return function and f"watch.Watch().stream({function}, {where}{selector})"


def _function(verb: str, kind: str, part: str = "") -> str:
    api = next((api for api, kinds in KINDS.items() if kind in kinds), "")
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower() + (f"_{part}" if part else "")
    scope = "" if kind in _IN_NO_NAMESPACE else "namespaced_"
    return api and f"client.{api}().{verb}_{scope}{words}"
