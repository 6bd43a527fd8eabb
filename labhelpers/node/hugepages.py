"""Reserves the machine's huge pages of the default size for a lab, and reads the kernel's counts.

They belong to the machine: they outlive the cluster, and the kubelet counts them only when it
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

# The directory of one size under /sys is read-only in a node that is a container, so this writes to
# the file that has the kernel's number for the default size.
NUMBER = "/proc/sys/vm/nr_hugepages"
LOOK = "grep -e ^MemAvailable: -e ^Huge /proc/meminfo"
SET = f"echo {{number}} > {NUMBER} && {LOOK}"
# Pages in use stay, as surplus, until the process that has them ends. It may be in a container that
# is stopping just now.
SET_AND_WAIT = (
    f"echo {{number}} > {NUMBER} && for turn in $(seq 50); do grep -q '^HugePages_Surp: *0$'"
    f" /proc/meminfo && break; sleep 0.2; done; {LOOK}"
)


WRITE_SECONDS = 60


def put_back_pages(run: Callable[[str], str], cluster: str | None = None) -> None:
    """Restores the machine's number of huge pages before a cluster is deleted, whichever kernel
    changed it. The node's status needn't be restored, because it goes with the cluster.

    Args:
        run: runs a shell script on the node, and returns what it prints.
        cluster: the cluster's name.

    Raises:
        LabError: the script didn't run; or the record can't be read, and has been set aside.
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
    """The huge pages that a lab reserves on the node.

    Args:
        connection: to the lab's namespace.
        node: the node from the inside.
        undo: where the change is recorded.
        kubelet: counts them when it starts.
    """

    def __init__(self, connection: Connection, node: Node, undo: Undo, kubelet: Kubelet):
        self._connection, self._node, self._undo = connection, node, undo
        self._kubelet = kubelet

    def offer(self, count: int) -> str:
        """Reserves pages in addition to those that the machine has, and restarts the kubelet, so
        that it counts them. Returns the resource's name."""
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
                    f"they're taken from the {mebibytes(pages.available_kb)} of memory that are"
                    " available, and a lab may take at most half of that",
                    "Use a smaller number.",
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
            # If the number goes down, the old pages count until they're gone.
            journal.keep(replace(change, after=max(wanted, mine.after if mine else 0)))
            given = Pages.parse(self._run(SET.format(number=wanted)))
            if given.number < wanted:
                self._run(SET.format(number=pages.number))
                journal.restore()
                raise LabError(
                    f"The kernel can't reserve {count} huge pages of {mebibytes(pages.size_kb)}.",
                    f"it found {given.number - before}: each needs contiguous memory, and free"
                    " memory is fragmented; they were returned",
                    "Use a smaller number, or close what uses memory, and run the cell again.",
                )
            journal.keep(replace(change, restarted=True))
            self._kubelet.restart(pages.resource, given.are_counted)
        return pages.resource

    def refuse_in_use(self, change: Change) -> None:
        """Raises LabError if some of the pages that would be returned are in use."""
        pages = self._pages()
        self._refuse_in_use(pages, pages.number - change.number_now(pages.number))

    def put_back(self, change: Change) -> None:
        """Returns them to the machine's memory."""
        # The kernel that made the change may have been restarting it.
        self._kubelet.wait()
        number = change.number_now(self._pages().number)
        pages = Pages.parse(self._run(SET_AND_WAIT.format(number=number)))
        # A cluster that was created since then has counted them too.
        if change.restarted or change.cluster != self._connection.cluster_uid:
            self._kubelet.restart(pages.resource, pages.are_counted)

    def _pages(self) -> "Pages":
        pages = Pages.parse(self._run(LOOK))
        if not pages.size_kb:
            raise LabError(
                "This node's kernel has no huge pages.",
                "no line Hugepagesize in /proc/meminfo",
                "Nothing to fix: skip this section.",
            )
        return pages

    def _refuse_in_use(self, pages: "Pages", fewer: int) -> None:
        if fewer > pages.free:
            raise LabError(
                f"{pages.resource} are in use, so they stay.",
                f"{pages.number} pages, {pages.free} of them free; {fewer} should go",
                "Delete the Pods that use them first.",
            )

    def _run(self, script: str) -> str:
        return self._node.run(script, timeout_seconds=WRITE_SECONDS)


@dataclass(frozen=True)
class Pages:
    """The huge pages of the default size, as the kernel counts them.

    Attributes:
        size_kb: the size of one, in KiB; 0 if the kernel has none.
        number: how many are reserved permanently. free: how many are unused. surplus: how many are
            in use beyond the number.
        available_kb: available memory, in KiB.

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
        """Parses the lines of /proc/meminfo."""
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
        """The capacity on the node's status if the kubelet has counted them."""
        return f"{(self.number + self.surplus) * self.size_kb}Ki"

    def are_counted(self, node: Mapping) -> bool:
        """Whether a Node object shows this number of them."""
        return quantity(node["status"]["capacity"].get(self.resource, 0)) == quantity(self.capacity)


def _refuse_uncounted(pages: Pages, node: Mapping) -> None:
    if pages.resource not in node["status"]["capacity"]:
        raise LabError(
            f"The kubelet doesn't count {pages.resource}.",
            f"on the node's status: {', '.join(sorted(node['status']['capacity']))}",
            "Skip this section: it can't work on this node.",
        )


def mebibytes(kib: int) -> str:
    return f"{kib // 1024} MiB" if kib >= 1024 else f"{kib} KiB"
