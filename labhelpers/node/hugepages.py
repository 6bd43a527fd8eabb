"""The machine's huge pages of the default size, as the kernel counts them, and the scripts that
read and set their number."""

import re
from dataclasses import dataclass

__all__ = ["LOOK", "SET", "SET_AND_WAIT", "Pages", "mebibytes"]

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


def mebibytes(kib: int) -> str:
    return f"{kib // 1024} MiB" if kib >= 1024 else f"{kib} KiB"
