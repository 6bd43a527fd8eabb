"""Reads and writes the record of what labs change on the node: a file beside the kubeconfig, which
says which kernel made each change."""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from labhelpers import paths
from labhelpers.errors import LabError
from labhelpers.files import lock, write_atomically
from labhelpers.kube import leases
from labhelpers.patience import patient

__all__ = [
    "KINDS",
    "RECORD",
    "Change",
    "Damaged",
    "OtherVersion",
    "alone",
    "left",
    "path_of",
    "read",
    "write",
]

RECORD = "node-changes.json"
LOCK_SECONDS = 120
KINDS = ("capacity", "huge pages", "directory", "image", "label", "taint", "static Pod", "kubelet")


@dataclass(frozen=True)
class Change:
    """One change, as it's stored in the file.

    Attributes:
        kind: one of ``KINDS``.
        name: the name of the resource, image, label, taint (``key:Effect``) or static Pod; a
            directory's path; or "kubelet".
        what: the change in words. put_back: its undo in words.
        before: the value before, None if there was none; for huge pages, their number.
        after: the value after; for a stopped kubelet, for how many seconds; for an image, its id.
        holder: the kernel that made it. namespace: its lab's.
        cluster: the cluster's uid.
        restarted: for huge pages, whether the kubelet may have counted them.
    """

    kind: str
    name: str
    what: str
    put_back: str
    before: str | int | None
    after: str | int
    holder: dict
    namespace: str
    cluster: str
    restarted: bool = False

    @property
    def of_pages(self) -> bool:
        return self.kind == "huge pages"

    @property
    def is_left(self) -> bool:
        """Whether the kernel that would put it back has ended."""
        return not leases.is_alive(self.holder)

    def number_now(self, number: int) -> int:
        """The number of pages to set on the machine, from the number that it has now. What others
        have added since then stays.

        >>> pages = Change("huge pages", "hugepages-2Mi", "", "", 1, 5, {}, "", "")
        >>> [pages.number_now(number) for number in (0, 1, 3, 5, 9)]
        [0, 1, 1, 1, 5]
        """
        return min(number, max(self.before, number - (self.after - self.before)))


def left(cluster: str | None = None) -> list[Change]:
    """Reads what kernels that have ended left changed. Costs one look at a file, which is usually
    missing.

    Raises:
        LabError: the file can't be read; it has been set aside.
    """
    return [change for change in read(path_of(cluster)) if change.is_left]


class Damaged(LabError):
    """The file couldn't be read, and has been set aside."""


class OtherVersion(LabError):
    """The record is one of another version of the labs, whose kernel still runs."""


def path_of(cluster: str | None = None) -> Path:
    """The path of a cluster's record, whether it exists or not."""
    return paths.state(cluster) / RECORD


def read(path: Path) -> list[Change]:
    """Reads the changes in a record; none if there is no file.

    Raises:
        Damaged: it can't be read, and has been set aside.
        OtherVersion: it can't be read, and the kernel that it belongs to still runs.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    try:
        wanted = {each.name for each in dataclasses.fields(Change)}
        changes = [
            Change(**each)
            for each in json.loads(text)
            if set(each) <= wanted
            and each["kind"] in KINDS
            and set(each["holder"]) >= {"host", "pid", "started"}
        ]
        counts = [
            number for each in changes if each.of_pages for number in (each.before, each.after)
        ]
        if len(changes) == len(json.loads(text)) and all(
            isinstance(number, int) for number in counts
        ):
            return changes
    except (ValueError, TypeError, KeyError, AttributeError):
        pass  # Not JSON, or not of this shape: as below.
    if holder := _live_holder(text):
        raise OtherVersion(
            "A lab of another version of podlab has changed the node, and still runs.",
            f"process {holder['pid']} on {holder['host']}",
            "Run the last cell of that lab, or shut its kernel down; then run this cell again.",
        )
    aside = next(
        each
        for number in range(1, 1000)
        if not (each := path.with_suffix(f".broken-{number}")).exists()
    )
    path.replace(aside)
    raise Damaged(
        "The record of what labs have changed on the node can't be read, so nothing was put back.",
        f"it's set aside as {aside}",
        "Compare it with `kubectl describe node`, under Capacity; or make a fresh node:"
        " `podlab down`, then `podlab up`.",
    )


def _live_holder(text: str) -> dict | None:
    """Another kernel that still runs and is named in a record of whatever shape."""
    try:
        holders = [each["holder"] for each in json.loads(text)]
        others = (holder for holder in holders if holder != leases.this_process())
        return next(filter(leases.is_alive, others), None)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def write(path: Path, changes: Sequence[Change]) -> None:
    """Writes the record atomically, and to the disk before the node is changed."""
    if not changes:
        path.unlink(missing_ok=True)
        return
    write_atomically(path, json.dumps([asdict(change) for change in changes], indent=1))


def alone(record: Path) -> contextlib.AbstractContextManager[None]:
    """Locks the record: one process at a time changes the node."""
    busy = f"Another kernel has been changing the node for {LOCK_SECONDS} s."
    return lock(record.with_suffix(".lock"), busy, timeout_seconds=patient(LOCK_SECONDS))
