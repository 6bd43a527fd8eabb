"""The record of what labs change on the node: a file beside the kubeconfig, with the mark of the
kernel that made each change."""

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

__all__ = ["KINDS", "RECORD", "Change", "Damaged", "alone", "left", "path_of", "read", "write"]

RECORD = "node-changes.json"
LOCK_SECONDS = 120
KINDS = ("capacity", "huge pages", "directory", "label", "taint", "static Pod", "kubelet")


@dataclass(frozen=True)
class Change:
    """One change, as it stands in the file.

    Attributes:
        kind: one of ``KINDS``.
        name: of the resource, label, taint (``key:Effect``) or static Pod; a directory's path; or
            "kubelet".
        what: what it is, in words. put_back: how it is put back, in words.
        before: the value that was there, None where there was none; of huge pages, their number.
        after: the same, as the change makes it; of a stopped kubelet, for how many seconds.
        holder: the mark of the kernel that made it. namespace: of its lab.
        cluster: the cluster's uid.
        restarted: of huge pages: whether the kubelet may have counted them.
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
        """Whether nobody lives who would put it back."""
        return not leases.is_alive(self.holder)

    def number_now(self, number: int) -> int:
        """To which number of pages the machine goes back, from the number that it has now. Who else
        asked for more meanwhile keeps it.

        >>> pages = Change("huge pages", "hugepages-2Mi", "", "", 1, 5, {}, "", "")
        >>> [pages.number_now(number) for number in (0, 1, 3, 5, 9)]
        [0, 1, 1, 1, 5]
        """
        return min(number, max(self.before, number - (self.after - self.before)))


def left(cluster: str | None = None) -> list[Change]:
    """What kernels that live no more have left changed. Costs one look at a file, which mostly is
    not there.

    Raises:
        LabError: the file cannot be read; it has been set aside.
    """
    return [change for change in read(path_of(cluster)) if change.is_left]


class Damaged(LabError):
    """The file could not be read, and has been set aside."""


def path_of(cluster: str | None = None) -> Path:
    """Where a cluster's record is, if there is one."""
    return paths.state(cluster) / RECORD


def read(path: Path) -> list[Change]:
    """The changes that stand in it; none where there is no file.

    Raises:
        Damaged: it cannot be read, and has been set aside.
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
    aside = next(
        each
        for number in range(1, 1000)
        if not (each := path.with_suffix(f".broken-{number}")).exists()
    )
    path.replace(aside)
    raise Damaged(
        "The record of what labs have changed on the node cannot be read, so nothing was put back.",
        f"it is set aside as {aside}",
        "Compare it with `kubectl describe node`, under Capacity. `podlab down` and `podlab up`"
        " make a fresh node.",
    )


def write(path: Path, changes: Sequence[Change]) -> None:
    """All of it, or nothing; and on the disk before the node is touched."""
    if not changes:
        path.unlink(missing_ok=True)
        return
    write_atomically(path, json.dumps([asdict(change) for change in changes], indent=1))


def alone(record: Path) -> contextlib.AbstractContextManager[None]:
    """One process at a time changes the node."""
    busy = f"Another kernel has been changing the node for {LOCK_SECONDS} s."
    return lock(record.with_suffix(".lock"), busy, timeout_seconds=patient(LOCK_SECONDS))
