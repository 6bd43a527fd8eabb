"""Says where podlab keeps its files on this machine. Nothing here touches a cluster.

Standard library only, because the Python that makes the environment has nothing else. Three
variables move everything: ``PODLAB_STATE``, ``PODLAB_CACHE`` and, for what a reader does,
``PODLAB_MINE``. ``PODLAB_HOME`` names the folder with the labs.
"""

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from labhelpers.errors import LabError

__all__ = [
    "MARK",
    "NAME",
    "ClusterFiles",
    "cache",
    "cannot_use",
    "checkout",
    "cluster_name",
    "engine_state",
    "folder",
    "kubeconfig",
    "mine",
    "notebooks",
    "repository",
    "state",
    "states",
    "terminal_kubeconfig",
    "tools",
]

NAME = "podlab"
ENGINE = "engine"
MARK = f".{NAME}/folder.json"  # in every folder that `podlab init FOLDER` has written


def cluster_name() -> str:
    """The cluster that this process works with: ``PODLAB_CLUSTER``, or ``podlab``.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, PODLAB_CLUSTER=""):
    ...     cluster_name()
    'podlab'
    """
    return os.environ.get("PODLAB_CLUSTER") or NAME


@dataclass(frozen=True)
class ClusterFiles:
    """The files of one cluster on this machine, and the name of its node's container.

    Args:
        name: the cluster; default: :func:`cluster_name`.

    Attributes:
        container: the node's container, as kind names it.
        state: the folder of everything below.
        kubeconfig: the administrator's.
        made_record: written when ``podlab up`` has finished. Without it, the creation of the
            cluster was interrupted.
        lock: locked by the podlab command that works on the cluster.
        config, audit_policy: copies from kind/, because the cluster outlives a checkout that is
            moved. The node mounts the policy.
        kind_log, logs: kind's log, and the folder with the logs of a failed node.

    Raises:
        LabError: not a valid cluster name. The folder is emptied when the cluster is deleted, so
            the name mustn't lead anywhere else.

    >>> ClusterFiles("mine").container
    'mine-control-plane'
    >>> ClusterFiles("..")
    Traceback (most recent call last):
    labhelpers.errors.LabError: '..' isn't a valid cluster name.
    Seen: use lowercase letters, digits and dashes; 'engine' is taken
    Do:   Choose another: --cluster NAME, or PODLAB_CLUSTER.
    """

    name: str = field(default_factory=cluster_name)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", self.name) or self.name == ENGINE:
            raise LabError(
                f"{self.name!r} isn't a valid cluster name.",
                f"use lowercase letters, digits and dashes; '{ENGINE}' is taken",
                "Choose another: --cluster NAME, or PODLAB_CLUSTER.",
            )

    @property
    def container(self) -> str:
        return f"{self.name}-control-plane"

    @property
    def state(self) -> Path:
        return states() / self.name

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def made_record(self) -> Path:
        return self.state / "made.json"

    @property
    def lock(self) -> Path:
        return self.state / "lock"

    @property
    def config(self) -> Path:
        return self.state / "cluster.yaml"

    @property
    def audit_policy(self) -> Path:
        return self.state / "audit-policy.yaml"

    @property
    def kind_log(self) -> Path:
        return self.state / "kind.log"

    @property
    def logs(self) -> Path:
        return self.state / "logs"


def repository() -> Path:
    """What podlab comes with: ``kind/``, the pins in ``pyproject.toml``, the labs as they are
    new. It's the checkout, or a folder inside the installed package. Nobody works there in the
    latter case: see :func:`notebooks`."""
    package = Path(__file__).resolve().parent
    packed = package / "packed"
    return packed if packed.is_dir() else package.parent


def checkout() -> Path | None:
    """The checkout that this package is in, or None if it was installed from a wheel."""
    return None if repository().name == "packed" else repository()


def folder() -> Path | None:
    """The folder whose labs the reader works with: ``PODLAB_HOME``, or the nearest one at or above
    the working directory that is a checkout's or that ``podlab init`` wrote. Without any, it's
    this package's own checkout, or None.

    Raises:
        LabError: ``PODLAB_HOME`` is something else.
    """
    own = checkout()

    def has_labs(path: Path) -> bool:
        return path == own or (path / MARK).is_file()

    if named := os.environ.get("PODLAB_HOME"):
        if has_labs(home := Path(named).expanduser().resolve()):
            return home
        raise LabError(
            "PODLAB_HOME isn't a folder with labs.",
            f"PODLAB_HOME={named}",
            "Set it to a folder that `podlab init FOLDER` wrote, or unset it.",
        )
    return next(filter(has_labs, _here_and_above()), own)


def notebooks() -> Path:
    """The folder ``notebooks`` that the reader works in, with manifests, exercises and proofs.

    Raises:
        LabError: there's none here.
    """
    if home := folder():
        return home / "notebooks"
    seen = next(map(str, _here_and_above()), "the working directory")
    raise LabError(
        "There are no labs here.",
        f"`podlab init FOLDER` wrote neither {seen} nor a folder above it",
        "Go to your folder (cd), or set PODLAB_HOME to it. `podlab init FOLDER` writes one.",
    )


def _here_and_above() -> list[Path]:
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was deleted
        return []
    return [here, *here.parents]


def mine() -> Path:
    """The reader's own folder: answers to exercises, and the record of what was done.
    ``PODLAB_MINE``, or ``notebooks/mine``, which git ignores.

    Raises:
        LabError: there are no labs here.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, PODLAB_MINE="/elsewhere"):
    ...     print(mine())
    /elsewhere
    """
    return Path(os.environ.get("PODLAB_MINE") or notebooks() / "mine")


def cache() -> Path:
    """The folder of what can be made again: programs, images, downloads, keyed by content.
    ``PODLAB_CACHE``, or the user's cache folder."""
    if moved := os.environ.get("PODLAB_CACHE"):
        return Path(moved)
    return _users_folder("XDG_CACHE_HOME", ".cache", "Library/Caches")


def states() -> Path:
    """The folder with one folder for each cluster, and one for the engine. ``PODLAB_STATE``, or the
    user's state folder."""
    if moved := os.environ.get("PODLAB_STATE"):
        return Path(moved)
    return _users_folder("XDG_STATE_HOME", ".local/state", "Library/Application Support")


def _users_folder(variable: str, usual: str, on_a_mac: str) -> Path:
    """The folder by the XDG Base Directory Specification, or by Apple's guidelines. platformdirs
    does the same, but it isn't installed yet when the environment is made."""
    if set_by_user := os.environ.get(variable, "").strip():
        return Path(set_by_user) / NAME
    try:
        home = Path.home()
    except RuntimeError as error:
        raise LabError(
            "This user has no home folder for podlab's files.",
            str(error),
            "Set HOME, or both PODLAB_STATE and PODLAB_CACHE, to a folder of yours.",
        ) from error
    return home / (on_a_mac if sys.platform == "darwin" else usual) / NAME


def cannot_use(error: OSError, happened: str) -> LabError:
    """Makes the error for a file that can't be read or written: which one, and what moves it.

    Args:
        error: the system's error, which has a file name.
        happened: the first line.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, PODLAB_CACHE="/mnt/full"):
    ...     print(cannot_use(OSError(28, "No space left", "/mnt/full/go"), "kubectl failed."))
    kubectl failed.
    Seen: No space left: /mnt/full/go
    Do:   Make /mnt/full writable for you, with space left, or set PODLAB_CACHE to another folder.
    """
    path = Path(os.fsdecode(error.filename)).absolute()
    do = "Make that file readable and writable for you; then run the command again."
    if not os.path.lexists(path):
        do = "Choose a folder in which you can write, with space left."
    for folder, variable in ((states(), "PODLAB_STATE"), (cache(), "PODLAB_CACHE")):
        # A folder above may be the one that can't be used.
        if path.is_relative_to(folder.absolute()) or folder.absolute().is_relative_to(path):
            do = f"Make {folder} writable for you, with space left, or set {variable} to another"
            return LabError(happened, f"{error.strerror}: {path}", f"{do} folder.")
    if (own := checkout()) and path.is_relative_to(own):
        do = "Make the checkout yours, or clone the repository into a folder of yours."
    return LabError(happened, f"{error.strerror}: {path}", do)


def state(cluster: str | None = None) -> Path:
    """The folder of one cluster on this machine: its kubeconfigs, its discovery cache, its logs.

    Raises:
        LabError: not a valid cluster name.
    """
    return ClusterFiles(cluster or cluster_name()).state


def engine_state() -> Path:
    """The folder of the engine that podlab has started, beside the folders of the clusters."""
    return states() / ENGINE


def kubeconfig(cluster: str | None = None) -> Path:
    """The administrator's kubeconfig of a cluster. ``~/.kube/config`` is never read or written."""
    return ClusterFiles(cluster or cluster_name()).kubeconfig


def terminal_kubeconfig() -> Path:
    """The kubeconfig of JupyterLab's terminals, with the namespace of the lab that started last."""
    return state() / "labs" / "terminal.kubeconfig"


def tools() -> Path:
    """The folder with the project's own kind and kubectl, which comes first on a lab's PATH."""
    return cache() / "bin"
