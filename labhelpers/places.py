"""Where things stand on this machine: one name, the folders of caches, tools and kubeconfigs. Nothing here touches a cluster."""

import os
from pathlib import Path

import platformdirs

__all__ = ["NAME", "cache", "cluster_name", "kubeconfig", "repository", "state", "tools"]

NAME = "podlab"


def cluster_name() -> str:
    """The cluster that this process works with: ``PODLAB_CLUSTER``, or ``podlab``.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, PODLAB_CLUSTER=""):
    ...     cluster_name()
    'podlab'
    """
    return os.environ.get("PODLAB_CLUSTER") or NAME


def repository() -> Path:
    """The checkout that this package is installed from (the install is an editable one)."""
    return Path(__file__).resolve().parent.parent


def cache() -> Path:
    """What can be made again: programs, images, downloads; keyed by content. ``PODLAB_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("PODLAB_CACHE") or platformdirs.user_cache_path(NAME))


def state(cluster: str | None = None) -> Path:
    """What belongs to one cluster on this machine: its kubeconfigs, its discovery cache, its logs."""
    return Path(os.environ.get("PODLAB_STATE") or platformdirs.user_state_path(NAME)) / (cluster or cluster_name())


def kubeconfig(cluster: str | None = None) -> Path:
    """The administrator's kubeconfig of a cluster. ``~/.kube/config`` is never read or written."""
    return state(cluster) / "kubeconfig"


def tools() -> Path:
    """The folder with the project's own kind and kubectl, which goes first on a lab's PATH."""
    return cache() / "bin"
