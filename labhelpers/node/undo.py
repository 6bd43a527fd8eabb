"""Undoes what a lab changes on the node. Each change is recorded before it's made, with its undo.
So if a kernel is killed, the next one can undo its changes.

The record is a file beside the kubeconfig, which says which kernel made each change
(``node/record``). ``edits`` has the kinds of changes.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from labhelpers.errors import LabError, Refused
from labhelpers.kube import leases
from labhelpers.kube.client import Connection
from labhelpers.node import record
from labhelpers.node.record import Change, Damaged, OtherVersion

__all__ = ["Journal", "Undo"]


class Journal:
    """The record while it's open: no other process changes the node.

    Attributes:
        changes: all changes in it.
    """

    def __init__(self, undo: "Undo"):
        self._undo = undo
        self.changes = record.read(undo.path)

    def before(self, kind: str, name: str, now: str | int | None) -> str | int | None:
        """The value before the first change of a kind and name; ``now`` if this is the first.

        Raises:
            LabError: another live kernel has made one.
        """
        for change in self.changes:
            if (change.kind, change.name) == (kind, name):
                refuse_held(change)
                return change.before
        return now

    def keep(self, change: Change) -> None:
        """Records a change, in place of an earlier one of its kind and name."""
        others = [each for each in self.changes if _key(each) != _key(change)]
        record.write(self._undo.path, [*others, change])

    def restore(self) -> None:
        """Restores the record to what it was when it was opened."""
        record.write(self._undo.path, self.changes)


class Undo:
    """The changes of this kernel, and those that others have left.

    Args:
        connection: to the lab's namespace.
        how: the function that undoes each kind of change. It may run twice.
        first: the kinds to undo before a lab's Pods are deleted.
        cluster: the cluster's name, if not that of this process.
    """

    def __init__(
        self,
        connection: Connection,
        how: Mapping[str, Callable[[Change], None]],
        *,
        first: Sequence[str] = (),
        cluster: str | None = None,
    ):
        self._connection, self._how, self._first = connection, how, first
        self.path = record.path_of(cluster)
        self.made_here: set[str] = set()  # the names of all changes, also of those put back

    @contextlib.contextmanager
    def open(self) -> Iterator[Journal]:
        """Opens the record, for a change to the node in several steps."""
        with record.alone(self.path):
            yield Journal(self)

    @contextlib.contextmanager
    def change(
        self,
        kind: str,
        name: str,
        what: str,
        *,
        before: str | None,
        after: str,
        put_back: str = "",
    ) -> Iterator[None]:
        """Records a change, which the block makes. If the API server rejects it, it's removed from
        the record.

        Args:
            what: the change in words. put_back: its undo in words.
            before, after: the value that is there, and the one that the block sets.

        Raises:
            LabError: another live kernel has changed it.
        """
        with self.open() as journal:
            first = journal.before(kind, name, before)
            again = f"{name}: taken off" if first is None else f"{name}: {first} again"
            journal.keep(self.made(kind, name, what, put_back or again, first, after))
            try:
                yield
            except Refused:
                journal.restore()
                raise

    def made(
        self,
        kind: str,
        name: str,
        what: str,
        put_back: str,
        before: str | int | None,
        after: str | int,
    ) -> Change:
        """Makes the record of a change by this kernel."""
        self.made_here.add(name)
        me, api = leases.this_process(), self._connection
        return Change(kind, name, what, put_back, before, after, me, api.namespace, api.cluster_uid)

    def changes(self) -> list[Change]:
        """All changes in the record."""
        return record.read(self.path)

    def withdraw(self, name: str, free: Callable[[Change], None]) -> bool:
        """Undoes this kernel's changes of a name, and those that an ended kernel left.

        Args:
            free: raises an error if something still uses what would be removed.

        Returns:
            Whether there was one.

        Raises:
            LabError: another live kernel has made it.
        """
        with self.open() as journal:
            found = [each for each in journal.changes if each.name == name]
            for change in found:
                refuse_held(change)
                free(change)
            self._put_back(found, journal)
        return bool(found)

    def put_back(self, *, first: bool = False) -> None:
        """Undoes everything that this kernel changed.

        Args:
            first: only what has to be undone before the lab's Pods are deleted.
        """
        self._put_back_those(lambda change: change.holder == leases.this_process(), first)

    def mend(self, *, first: bool = False) -> list[str]:
        """Undoes everything that this kernel changed, and kernels that have ended.

        Returns:
            A sentence for each change that a kernel had left, and for a file that couldn't be read.
        """
        try:
            done = self._put_back_those(
                lambda change: change.is_left or change.holder == leases.this_process(), first
            )
        except Damaged as error:
            return [str(error)]
        ended = "A kernel that has ended had left the node changed. Put back:"
        return [
            f"{ended} {change.put_back}."
            for change in done
            if change.holder != leases.this_process()
        ]

    def _put_back_those(self, which: Callable[[Change], bool], first: bool) -> list[Change]:
        def meant(change: Change) -> bool:
            return which(change) and (not first or change.kind in self._first)

        try:
            if not any(map(meant, self.changes())):
                return []
        except OtherVersion:
            return []  # None of them is this kernel's.
        with self.open() as journal:
            found = list(filter(meant, journal.changes))
            self._put_back(found, journal)
            return found

    def _put_back(self, found: Sequence[Change], journal: Journal) -> None:
        """Undoes changes, and removes each from the record once it's undone. If this is
        interrupted, the rest stays in the record, and is done next time."""
        for change in sorted(found, key=lambda each: record.KINDS.index(each.kind)):
            # A deleted cluster's status is gone too. Huge pages belong to the machine.
            if change.of_pages or change.cluster == self._connection.cluster_uid:
                self._how[change.kind](change)
        if found:
            remain = [change for change in journal.changes if change not in found]
            record.write(self.path, remain)


def refuse_held(change: Change) -> None:
    """Raises LabError if another live kernel has made the change."""
    if change.holder != leases.this_process() and not change.is_left:
        raise LabError(
            f"Another kernel has changed {change.name} on the node.",
            f"process {change.holder['pid']} on {change.holder['host']}",
            "Run the last cell of its lab, or shut it down; then run this cell again.",
        )


def _key(change: Change) -> tuple[str, str]:
    return change.kind, change.name
