"""What the kernel's cgroup files say: their text to paths and numbers, for cgroup v1 and v2. Nothing here reads a file.

Version 1 has one tree for each controller, version 2 one tree for all. Only this module and ``arithmetic`` know the difference.
The files are told in https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from labhelpers.errors import LabError

__all__ = ["Cgroup", "container_id", "directories", "files", "measure", "path", "paths", "version"]

ONE_TREE = ""  # the key of version 2's only tree, where version 1 has a controller's name
NO_LIMIT_BYTES = 1 << 62  # version 1 has no word for "no limit": it shows the largest number of whole pages that fits

READ = {
    1: (
        ("memory", "memory.usage_in_bytes"),
        ("memory", "memory.max_usage_in_bytes"),
        ("memory", "memory.limit_in_bytes"),
        ("cpuacct", "cpuacct.usage"),
        ("cpu", "cpu.cfs_quota_us"),
        ("cpu", "cpu.cfs_period_us"),
    ),
    2: (
        (ONE_TREE, "memory.current"),
        (ONE_TREE, "memory.peak"),
        (ONE_TREE, "memory.max"),
        (ONE_TREE, "cpu.stat"),
        (ONE_TREE, "cpu.max"),
    ),
}


@dataclass(frozen=True)
class Cgroup:
    """One cgroup at one moment. A number is None where this kernel does not keep it, a limit also where there is none.

    Attributes:
        version: 1 or 2.
        directory: the directory on the node; on version 1 the memory controller's.
        memory_bytes, memory_peak_bytes, memory_limit_bytes: memory in use, the most so far, the limit.
        cpu_seconds: CPU time used so far.
        cpu_limit_cores: the limit in CPUs: 0.5 for ``500m``.
    """

    version: int
    directory: str
    memory_bytes: int | None
    memory_peak_bytes: int | None
    memory_limit_bytes: int | None
    cpu_seconds: float | None
    cpu_limit_cores: float | None


def paths(cgroup_text: str) -> dict[str, str]:
    """The lines of ``/proc/PID/cgroup``: a path for each controller; version 2's line has the key ``""``.

    >>> paths("4:memory:/kubelet.slice/x.scope\\n3:cpu,cpuacct:/kubelet.slice/x.scope\\n0::/init.scope\\n")["cpuacct"]
    '/kubelet.slice/x.scope'
    """
    found = {}
    for line in cgroup_text.splitlines():
        _, controllers, way = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = way.removesuffix(" (deleted)")
    return found


def path(cgroup_text: str) -> str:
    """The one path that stands for a process: of the memory controller on version 1, of the tree on version 2.

    >>> path("0::/kubelet.slice/x.scope\\n")
    '/kubelet.slice/x.scope'
    """
    found = paths(cgroup_text)
    return found.get("memory") or found.get(ONE_TREE) or next(iter(found.values()), "")


def container_id(cgroup_path: str, pod_uid: str) -> str:
    """The id of the container in whose cgroup a path lies, or ``""``: the first id behind the Pod's own part of the path.

    Both drivers are read: systemd (``…pod1_2.slice/cri-containerd-ID.scope``) and cgroupfs (``…/pod1-2/ID``).

    >>> container_id("/docker/" + "e" * 64 + "/kubelet.slice/kubelet-pod1_2.slice/cri-containerd-" + "a" * 64 + ".scope", "1-2")[:6]
    'aaaaaa'
    """
    behind = re.search(rf"pod({re.escape(pod_uid)}|{re.escape(pod_uid.replace('-', '_'))})(.*)", cgroup_path, re.DOTALL)
    found = re.search(r"[0-9a-f]{64}", behind[2]) if behind else None
    return found[0] if found else ""


def version(mountinfo_text: str) -> int:
    """The version that the memory controller is under, from ``/proc/PID/mountinfo``: 1 or 2 (version 1 with an empty version 2
    tree beside it counts as 1).

    >>> version("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\\n")
    2
    """
    trees = _mounts(mountinfo_text)
    if any("memory" in controllers for controllers, _, _ in trees):
        return 1
    if any(ONE_TREE in controllers for controllers, _, _ in trees):
        return 2
    raise LabError(
        "The node has no cgroup tree.", "no mount of type cgroup or cgroup2 in mountinfo", "Run `podlab doctor`; labs need a Linux node."
    )


def directories(cgroup_text: str, mountinfo_text: str) -> dict[str, str]:
    """Where the files of a process's cgroup are: a directory for each controller, ``""`` for version 2's tree.

    Args:
        cgroup_text: ``/proc/PID/cgroup``.
        mountinfo_text: ``/proc/self/mountinfo``, read by the same reader: both are written as that reader's cgroup namespace sees them.

    Raises:
        LabError: none of the process's cgroups is mounted.

    >>> mount = "9 8 0:7 /docker/d /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\\n"
    >>> directories("4:memory:/docker/d/kubelet.slice/x.scope\\n", mount)
    {'memory': '/sys/fs/cgroup/memory/kubelet.slice/x.scope'}
    """
    trees = sorted(_mounts(mountinfo_text), key=lambda tree: (len(tree[1]), len(tree[2])))  # the whole tree before binds of its parts
    found = {}
    for controller, way in paths(cgroup_text).items():
        for controllers, root, place in trees:
            if controller in controllers and (root in ("/", way) or way.startswith(root + "/")):
                found[controller] = place + (way if root == "/" else way[len(root) :])
                break
    if not found:
        raise LabError(
            "The files of this cgroup cannot be reached.",
            f"no mount for {cgroup_text.strip() or 'an empty list of cgroups'}",
            "Run `podlab doctor`; it looks at the node's cgroup mounts.",
        )
    return found


def files(directories: Mapping[str, str]) -> list[str]:
    """The files that ``measure`` needs, as paths on the node; those that this kernel does not have are left out by the reader.

    >>> files({"": "/sys/fs/cgroup/x"})[:2]
    ['/sys/fs/cgroup/x/memory.current', '/sys/fs/cgroup/x/memory.peak']
    """
    wanted = READ[1] if "memory" in directories else READ[2]
    return [f"{directories[controller]}/{name}" for controller, name in wanted if controller in directories]


def measure(directories: Mapping[str, str], texts: Mapping[str, str]) -> Cgroup:
    """The numbers in a cgroup's files.

    Args:
        directories: as ``directories`` gives them.
        texts: the text of each file of ``files``, by its path. A file that is missing gives None.

    >>> texts = {"/c/memory.current": "4096\\n", "/c/memory.max": "max\\n", "/c/cpu.max": "50000 100000\\n"}
    >>> found = measure({"": "/c"}, texts)
    >>> found.memory_bytes, found.memory_limit_bytes, found.cpu_limit_cores
    (4096, None, 0.5)
    """
    number = 1 if "memory" in directories else 2
    words = {file.rpartition("/")[2]: text.split() for file, text in texts.items()}
    first = {name: found[0] for name, found in words.items() if found}
    if number == 1:
        usage, peak, limit = "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.limit_in_bytes"
        cpu = int(first["cpuacct.usage"]) / 1e9 if "cpuacct.usage" in first else None
        quota, period = first.get("cpu.cfs_quota_us", "-1"), first.get("cpu.cfs_period_us", "100000")
    else:
        usage, peak, limit = "memory.current", "memory.peak", "memory.max"
        stat = dict(zip(words.get("cpu.stat", [])[::2], words.get("cpu.stat", [])[1::2], strict=False))
        cpu = int(stat["usage_usec"]) / 1e6 if "usage_usec" in stat else None
        quota, period = (words.get("cpu.max") or ["max", "100000"])[:2]
    most = _bytes(first.get(limit))
    return Cgroup(
        version=number,
        directory=directories["memory" if number == 1 else ONE_TREE],
        memory_bytes=_bytes(first.get(usage)),
        memory_peak_bytes=_bytes(first.get(peak)),
        memory_limit_bytes=None if most is None or most >= NO_LIMIT_BYTES else most,
        cpu_seconds=cpu,
        cpu_limit_cores=None if quota in ("max", "-1") else int(quota) / int(period),
    )


def _bytes(word: str | None) -> int | None:
    return None if word is None or word == "max" else int(word)


def _mounts(mountinfo_text: str) -> list[tuple[set[str], str, str]]:
    """(controllers, root, place) of each cgroup mount. proc_pid_mountinfo(5) has the fields."""
    found = []
    for line in mountinfo_text.splitlines():
        before, _, behind = line.partition(" - ")
        fields, kind = before.split(), behind.split()
        if kind and kind[0] in ("cgroup", "cgroup2"):
            found.append(({ONE_TREE} if kind[0] == "cgroup2" else set(kind[-1].split(",")), fields[3], fields[4].rstrip("/")))
    return found
