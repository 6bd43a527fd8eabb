"""The machine's huge pages of the default size: as the kernel counts them, and set for a lab.

They are the machine's own: they outlive the cluster, and the kubelet counts them only when it
starts. https://kubernetes.io/docs/tasks/manage-hugepages/scheduling-hugepages/
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from labhelpers.errors import LabError
from labhelpers.formulas import quantity
from labhelpers.kube import fields, leases
from labhelpers.kube.client import Connection
from labhelpers.node import record
from labhelpers.node.kubelet import Kubelet
from labhelpers.node.node import Node
from labhelpers.node.record import Change
from labhelpers.node.undo import Undo

__all__ = ["HugePages", "Pages", "put_back_pages"]

# A count of pages is the kernel's own number, whatever counts them: the directory of one size under
# /sys is read-only in a node that is a container, so it is written where the kernel keeps the
# number of the default size.
NUMBER = "/proc/sys/vm/nr_hugepages"
LOOK = "grep -e ^MemAvailable: -e ^Huge /proc/meminfo"
SET = f"echo {{number}} > {NUMBER} && {LOOK}"
# Pages that are in use stay, as surplus, until whoever has them ends. That may be a container that
# is being stopped just now.
SET_AND_WAIT = (
    f"echo {{number}} > {NUMBER} && for turn in $(seq 50); do grep -q '^HugePages_Surp: *0$'"
    f" /proc/meminfo && break; sleep 0.2; done; {LOOK}"
)


WRITE_SECONDS = 60


def put_back_pages(run: Callable[[str], str], cluster: str | None = None) -> None:
    """Puts back the machine's huge pages, whatever kernel changed them, for a cluster that is about
    to be deleted: its status goes with it.

    Args:
        run: runs a script of shell on the node, and gives what it prints.
        cluster: the cluster's name.

    Raises:
        LabError: the script did not run; or the file cannot be read, and has been set aside.
    """
    path = record.path_of(cluster)
    if path.exists():
        with record.alone(path):
            for change in record.read(path):
                if change.of_pages:
                    number = change.number_now(Pages.parse(run(LOOK)).number)
                    run(SET.format(number=number))
            path.unlink(missing_ok=True)


class HugePages:
    """The node's huge pages, as a lab sets them.

    Args:
        connection: to the lab's namespace.
        node: the node from inside.
        undo: where the change is written down.
        kubelet: counts them when it starts.
    """

    def __init__(self, connection: Connection, node: Node, undo: Undo, kubelet: Kubelet):
        self._connection, self._node, self._undo = connection, node, undo
        self._kubelet = kubelet

    def offer(self, count: int) -> str:
        """Sets pages aside beside those that the machine has, and restarts the kubelet, which
        counts them. Returns the resource's name."""
        with self._undo.open() as journal:
            pages = self._pages()
            before = journal.before("huge pages", pages.resource, pages.number)
            mine = next((each for each in journal.changes if each.name == pages.resource), None)
            [body, *_] = self._connection.list("Node")["items"]
            wanted = before + count
            _refuse_uncounted(pages, body)
            if (
                mine
                and mine.holder == leases.this_process()
                and pages.number == wanted
                and pages.are_counted(body)
                and fields.is_true(body, "Ready")
            ):
                return pages.resource
            if (wanted - pages.number) * pages.size_kb * 2 > pages.available_kb:
                raise LabError(
                    f"{count} huge pages of {mebibytes(pages.size_kb)} are too much for this node.",
                    f"they are taken away from the {mebibytes(pages.available_kb)} of memory that"
                    " are available; at most half of it",
                    "Offer fewer.",
                )
            self._refuse_in_use(pages, pages.number - wanted)
            change = self._undo.made(
                "huge pages",
                pages.resource,
                f"{pages.resource} of the machine: {wanted} pages, not {before}",
                f"{pages.resource}: {before} pages again",
                before,
                wanted,
            )
            change = replace(change, restarted=bool(mine and mine.restarted))
            # Where fewer are offered than before, all of those count until they have gone.
            journal.keep(replace(change, after=max(wanted, mine.after if mine else 0)))
            given = Pages.parse(self._run(SET.format(number=wanted)))
            if given.number < wanted:
                self._run(SET.format(number=pages.number))
                journal.restore()
                raise LabError(
                    f"The kernel does not have {count} huge pages of {mebibytes(pages.size_kb)} to"
                    " give.",
                    f"it found {given.number - before}: each lies in one piece, and free memory is"
                    " in smaller ones; they are given back",
                    "Offer fewer, or close what takes memory, and run the cell again.",
                )
            journal.keep(replace(change, restarted=True))
            self._kubelet.restart(pages.resource, given.are_counted)
        return pages.resource

    def refuse_in_use(self, change: Change) -> None:
        """Raises LabError if some of the pages that would go are in use."""
        pages = self._pages()
        self._refuse_in_use(pages, pages.number - change.number_now(pages.number))

    def put_back(self, change: Change) -> None:
        """Gives them back to the machine's memory."""
        # Who made the change may have been on the way of restarting it.
        self._kubelet.wait()
        number = change.number_now(self._pages().number)
        pages = Pages.parse(self._run(SET_AND_WAIT.format(number=number)))
        # A cluster that came up meanwhile has counted them, too.
        if change.restarted or change.cluster != self._connection.cluster_uid:
            self._kubelet.restart(pages.resource, pages.are_counted)

    def _pages(self) -> "Pages":
        pages = Pages.parse(self._run(LOOK))
        if not pages.size_kb:
            raise LabError(
                "This node's kernel has no huge pages.",
                "no line Hugepagesize in /proc/meminfo",
                "Nothing: go on without them.",
            )
        return pages

    def _refuse_in_use(self, pages: "Pages", fewer: int) -> None:
        if fewer > pages.free:
            raise LabError(
                f"{pages.resource} are in use, so they stay.",
                f"{pages.number} pages, {pages.free} of them free; {fewer} should go",
                "Delete the Pods that have them first.",
            )

    def _run(self, script: str) -> str:
        return self._node.run(script, timeout_seconds=WRITE_SECONDS)


@dataclass(frozen=True)
class Pages:
    """The huge pages of the default size, as the kernel counts them.

    Attributes:
        size_kb: the size of one, in KiB; 0 where the kernel has none.
        number: how many are set aside for good. free: how many nobody uses. surplus: in use, beyond
            the number.
        available_kb: memory that could be had, in KiB.

    >>> counts = "HugePages_Total: 5\\nHugePages_Free: 2\\nHugePages_Surp: 1"
    >>> pages = Pages.parse(f"MemAvailable: 4000 kB\\n{counts}\\nHugepagesize: 2048 kB")
    >>> pages.number, pages.free, pages.resource
    (4, 2, 'hugepages-2Mi')
    """

    size_kb: int
    number: int
    free: int
    surplus: int
    available_kb: int

    @classmethod
    def parse(cls, meminfo: str) -> "Pages":
        """From the lines of /proc/meminfo."""
        has = {
            name: int(value) for name, value in re.findall(r"^(\w+): +(\d+)", meminfo, re.MULTILINE)
        }
        surplus = has.get("HugePages_Surp", 0)
        number = has.get("HugePages_Total", 0) - surplus
        return cls(
            has.get("Hugepagesize", 0),
            number,
            has.get("HugePages_Free", 0),
            surplus,
            has.get("MemAvailable", 0),
        )

    @property
    def resource(self) -> str:
        """The resource's name on the node.

        >>> [Pages(size, 0, 0, 0, 0).resource for size in (64, 2048, 524288, 1048576)]
        ['hugepages-64Ki', 'hugepages-2Mi', 'hugepages-512Mi', 'hugepages-1Gi']
        """
        size, units = self.size_kb, ["Ki", "Mi", "Gi"]
        while size % 1024 == 0 and len(units) > 1:
            size, units = size // 1024, units[1:]
        return f"hugepages-{size}{units[0]}"

    @property
    def capacity(self) -> str:
        """What a kubelet that counts them has on the node's status."""
        return f"{(self.number + self.surplus) * self.size_kb}Ki"

    def are_counted(self, node: Mapping) -> bool:
        """Whether a Node object has this number of them."""
        return quantity(node["status"]["capacity"].get(self.resource, 0)) == quantity(self.capacity)


def _refuse_uncounted(pages: Pages, node: Mapping) -> None:
    if pages.resource not in node["status"]["capacity"]:
        raise LabError(
            f"The kubelet does not count {pages.resource}.",
            f"on the node's status: {', '.join(sorted(node['status']['capacity']))}",
            "Go on without them.",
        )


def mebibytes(kib: int) -> str:
    return f"{kib // 1024} MiB" if kib >= 1024 else f"{kib} KiB"
