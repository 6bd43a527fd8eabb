"""Where things stand on this machine: one name, the folders of caches, tools and kubeconfigs.
Nothing here touches a cluster."""

import os
import re
from pathlib import Path

import platformdirs

from labhelpers.errors import LabError

__all__ = [
    "NAME",
    "cache",
    "cluster_name",
    "engine_state",
    "kubeconfig",
    "repository",
    "state",
    "tools",
]

NAME = "podlab"
ENGINE = "engine"


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
    """What can be made again: programs, images, downloads; keyed by content. ``PODLAB_CACHE``, or
    the user's cache folder."""
    return Path(os.environ.get("PODLAB_CACHE") or platformdirs.user_cache_path(NAME))


def state(cluster: str | None = None) -> Path:
    """What belongs to one cluster on this machine: its kubeconfigs, its discovery cache, its logs.

    Raises:
        LabError: a cluster cannot be named so. (The folder is emptied when the cluster goes: a name
            must not lead anywhere else.)

    >>> state("..")
    Traceback (most recent call last):
    labhelpers.errors.LabError: A cluster cannot be named '..'.
    Seen: a cluster is named in small letters, digits and dashes, and not engine
    Do:   Name it otherwise: --cluster NAME, or PODLAB_CLUSTER.
    """
    name = cluster or cluster_name()
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) or name == ENGINE:
        seen = f"a cluster is named in small letters, digits and dashes, and not {ENGINE}"
        raise LabError(
            f"A cluster cannot be named {name!r}.",
            seen,
            "Name it otherwise: --cluster NAME, or PODLAB_CLUSTER.",
        )
    return _states() / name


def engine_state() -> Path:
    """What belongs to the engine that podlab has started, beside the folders of the clusters."""
    return _states() / ENGINE


def _states() -> Path:
    return Path(os.environ.get("PODLAB_STATE") or platformdirs.user_state_path(NAME))


def kubeconfig(cluster: str | None = None) -> Path:
    """The administrator's kubeconfig of a cluster. ``~/.kube/config`` is never read or written."""
    return state(cluster) / "kubeconfig"


def tools() -> Path:
    """The folder with the project's own kind and kubectl, which goes first on a lab's PATH."""
    return cache() / "bin"
