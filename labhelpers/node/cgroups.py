"""Turns the text of the kernel's cgroup files into paths and numbers, for cgroup v1 and v2. Nothing
here reads a file.

Version 1 has one tree for each controller, version 2 one tree for all. Only this module and
``formulas`` know the difference. The files are documented in
https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/admin-guide/cgroup-v1/.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labhelpers.errors import LabError
from labhelpers.formulas import Values

__all__ = [
    "Cgroup",
    "container_id",
    "directories",
    "files",
    "measure",
    "parents",
    "path",
    "paths",
    "pods_root",
    "sampled",
    "version",
    "written",
]

ONE_TREE = ""  # the key of version 2's only tree, where version 1 has a controller's name
# version 1 has no word for "no limit": it shows the largest number that is a multiple of a page
NO_LIMIT_BYTES = 1 << 62
SHOWN_WITHOUT_LIMIT_BYTES = (1 << 63) - 4096
# measured: without any change, the parts and the whole differ by 0.4 to 0.7 MiB; where they didn't
# add up, by 10 to 52
ADDS_UP_BYTES = 3 << 20

HUGE_PAGES_BYTES = {
    "64KB": 1 << 16,
    "2MB": 1 << 21,
    "32MB": 1 << 25,
    "1GB": 1 << 30,
}  # on amd64 and arm64, as in the files' names

READ = {
    1: (
        ("memory", "memory.usage_in_bytes"),
        ("memory", "memory.max_usage_in_bytes"),
        ("memory", "memory.limit_in_bytes"),
        ("memory", "memory.stat"),
        ("memory", "memory.failcnt"),
        ("memory", "memory.memsw.failcnt"),
        ("memory", "memory.oom_control"),
        ("cpuacct", "cpuacct.usage"),
        ("cpu", "cpu.shares"),
        ("cpu", "cpu.cfs_quota_us"),
        ("cpu", "cpu.cfs_period_us"),
        ("cpu", "cpu.stat"),
        *(
            ("hugetlb", f"hugetlb.{size}.{what}_in_bytes")
            for size in HUGE_PAGES_BYTES
            for what in ("usage", "limit")
        ),
    ),
    2: (
        (ONE_TREE, "memory.current"),
        (ONE_TREE, "memory.peak"),
        (ONE_TREE, "memory.max"),
        (ONE_TREE, "memory.stat"),
        (ONE_TREE, "memory.events"),
        (ONE_TREE, "memory.oom.group"),
        (ONE_TREE, "cpu.stat"),
        (ONE_TREE, "cpu.weight"),
        (ONE_TREE, "cpu.max"),
        *(
            (ONE_TREE, f"hugetlb.{size}.{what}")
            for size in HUGE_PAGES_BYTES
            for what in ("current", "max")
        ),
    ),
}

# What is read many times a second: the first group with every sample, the others one at a time, in
# turn. Periods last 100 ms, and a limit seldom changes.
SAMPLED = {
    1: (
        ("memory.usage_in_bytes", "cpuacct.usage"),
        (*3 * ("memory.max_usage_in_bytes", "cpu.stat"), "memory.limit_in_bytes"),
    ),
    2: (("memory.current", "cpu.stat"), (*3 * ("memory.peak",), "memory.max")),
}


@dataclass(frozen=True)
class Cgroup:
    """One cgroup at one moment. A number is None if this kernel doesn't keep it. A limit is also
    None if there is none.

    Attributes:
        version: 1 or 2.
        directory: the directory on the node; on version 1 the memory controller's.
        memory_bytes, memory_peak_bytes, memory_limit_bytes: memory in use, its peak so far, and the
            limit.
        memory_anonymous_bytes: memory that programs have allocated, without a file behind it.
        memory_cache_bytes: the page cache of files that were read or written, including tmpfs.
        memory_shared_bytes: the part of the cache that is tmpfs or shared memory, which can't be
            reclaimed.
        memory_kernel_bytes: what the kernel itself uses for it; version 2 only.
        memory_inactive_file_bytes: the part of the cache that hasn't been used lately, which the
            kernel reclaims first.
        memory_limit_hits: how often memory reached the limit. Not every kernel counts: 6.18 with
            version 1 shows 0 even after an OOM kill.
        oom_kills: how many of its processes were OOM-killed.
        oom_kills_all: whether an OOM kill takes all its processes together; never on version 1.
        cpu_seconds: CPU time used so far.
        cpu_shares, cpu_weight: its share of the CPU time when other cgroups compete; the first on
            version 1, the second on version 2.
        cpu_quota_us, cpu_period_us: the CPU time that the limit allows in each period, and the
            period, in microseconds.
        periods, throttled_periods: in how many periods something was runnable, and in how many of
            them the quota ran out.
        throttled_seconds: how long it was throttled, summed over CPUs.
        hugetlb_bytes, hugetlb_limit_bytes: huge pages in use and their limit, by the size of a page
            in bytes. Empty if the kernel has no hugetlb controller. Then no limit on huge pages is
            enforced.
    """

    version: int
    directory: str
    memory_bytes: int | None
    memory_peak_bytes: int | None
    memory_limit_bytes: int | None
    memory_anonymous_bytes: int | None
    memory_cache_bytes: int | None
    memory_shared_bytes: int | None
    memory_kernel_bytes: int | None
    memory_inactive_file_bytes: int | None
    memory_limit_hits: int | None
    oom_kills: int | None
    oom_kills_all: bool | None
    cpu_seconds: float | None
    cpu_shares: int | None
    cpu_weight: int | None
    cpu_quota_us: int | None
    cpu_period_us: int | None
    periods: int | None
    throttled_periods: int | None
    throttled_seconds: float | None
    hugetlb_bytes: Mapping[int, int]
    hugetlb_limit_bytes: Mapping[int, int | None]

    @property
    def cpu_limit_cores(self) -> float | None:
        """The limit in CPUs; None if there is none."""
        return None if self.cpu_quota_us is None else self.cpu_quota_us / self.cpu_period_us

    @property
    def memory_working_set_bytes(self) -> int | None:
        """What ``kubectl top`` shows, and what the kubelet evicts by: memory in use without the
        part of the cache that the kernel takes back first.

        It's ``container_memory_working_set_bytes``: setMemoryStats in
        github.com/google/cadvisor container/libcontainer/handler.go.
        """
        whole, inactive = self.memory_bytes, self.memory_inactive_file_bytes
        return None if whole is None or inactive is None else max(0, whole - inactive)

    def adds_up(self, below: Iterable["Cgroup"]) -> bool:
        """Whether the breakdown of the memory is up to date: the parts add up to the whole, except
        for the little that the kernel uses itself, and each part is at least what the cgroups below
        have. Version 2 says how much the kernel uses: 2.3 MiB beside a file of 200 MiB.

        Shortly after a change it may be out of date. The memory in use is counted at once, but each
        CPU counts the parts for itself. They're added up every two seconds, or earlier if somebody
        reads them and much is known to have changed. A cgroup with others inside may not know how
        much has changed in those (``memcg_rstat_updated`` in Linux' mm/memcontrol.c stops counting
        where the inner one knows). If memory went from files to a program, the old parts add up as
        well as the new ones, so only the cgroups below show it.

        Args:
            below: the cgroups of the containers that run in it.
        """

        def parts(of: Cgroup) -> tuple[int | None, ...]:
            return of.memory_anonymous_bytes, of.memory_cache_bytes, of.memory_shared_bytes

        whole, own, inner = self.memory_bytes, parts(self), [parts(each) for each in below]
        if None in (whole, *own) or any(None in each for each in inner):
            return False
        anonymous, cache, _ = own
        rest = whole - anonymous - cache - (self.memory_kernel_bytes or 0)
        come_to_the_whole = abs(rest) < ADDS_UP_BYTES
        return come_to_the_whole and all(
            part > sum(those) - ADDS_UP_BYTES for part, *those in zip(own, *inner, strict=True)
        )


def paths(cgroup_text: str) -> dict[str, str]:
    """Parses ``/proc/PID/cgroup``: a path for each controller. Version 2's line has the key ``""``.

    >>> scope = "/kubelet.slice/x.scope"
    >>> paths(f"4:memory:{scope}\\n3:cpu,cpuacct:{scope}\\n0::/init.scope\\n")["cpuacct"]
    '/kubelet.slice/x.scope'
    """
    found = {}
    for line in cgroup_text.splitlines():
        _, controllers, way = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = way.removesuffix(" (deleted)")
    return found


def path(cgroup_text: str) -> str:
    """The one path by which we identify a process's cgroup: the memory controller's on version 1,
    the tree's on version 2.

    >>> path("0::/kubelet.slice/x.scope\\n")
    '/kubelet.slice/x.scope'
    """
    found = paths(cgroup_text)
    return found.get("memory") or found.get(ONE_TREE) or next(iter(found.values()), "")


def container_id(cgroup_path: str, pod_uid: str) -> str:
    """The id of the container whose cgroup contains a path, or ``""``: the first id after the Pod's
    own part of the path.

    It understands both drivers: systemd (``…pod1_2.slice/cri-containerd-ID.scope``) and cgroupfs
    (``…/pod1-2/ID``).

    >>> scope = f"cri-containerd-{'a' * 64}.scope"
    >>> path = f"/docker/{'e' * 64}/kubelet.slice/kubelet-pod1_2.slice/{scope}"
    >>> container_id(path, "1-2")[:6]
    'aaaaaa'
    """
    behind = re.search(
        rf"pod({re.escape(pod_uid)}|{re.escape(pod_uid.replace('-', '_'))})(.*)",
        cgroup_path,
        re.DOTALL,
    )
    found = re.search(r"[0-9a-f]{64}", behind[2]) if behind else None
    return found[0] if found else ""


def version(mountinfo_text: str) -> int:
    """The cgroup version of the memory controller, from ``/proc/PID/mountinfo``: 1 or 2. Version 1
    with an empty version 2 tree beside it counts as 1.

    >>> version("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\\n")
    2
    """
    trees = _mounts(mountinfo_text)
    if any("memory" in controllers for controllers, _, _ in trees):
        return 1
    if any(ONE_TREE in controllers for controllers, _, _ in trees):
        return 2
    raise LabError(
        "The node has no cgroup tree.",
        "no mount of type cgroup or cgroup2 in mountinfo",
        "Check `podlab doctor`, line cgroups: labs need a Linux node with cgroups.",
    )


def directories(cgroup_text: str, mountinfo_text: str) -> dict[str, str]:
    """The directories of a process's cgroup: one for each controller, ``""`` for version 2's tree.

    Args:
        cgroup_text: ``/proc/PID/cgroup``.
        mountinfo_text: ``/proc/self/mountinfo``, read by the same process: both show paths as seen
            from that process's cgroup namespace.

    Raises:
        LabError: none of the process's cgroups is mounted.

    >>> mount = "9 8 0:7 /docker/d /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\\n"
    >>> directories("4:memory:/docker/d/kubelet.slice/x.scope\\n", mount)
    {'memory': '/sys/fs/cgroup/memory/kubelet.slice/x.scope'}
    """
    # the whole tree before bind mounts of its parts
    trees = sorted(_mounts(mountinfo_text), key=lambda tree: (len(tree[1]), len(tree[2])))
    found = {}
    for controller, way in paths(cgroup_text).items():
        for controllers, root, place in trees:
            if controller in controllers and (root in ("/", way) or way.startswith(root + "/")):
                found[controller] = place + (way if root == "/" else way[len(root) :])
                break
    if not found:
        raise LabError(
            "The files of this cgroup aren't mounted on the node.",
            f"no mount for {cgroup_text.strip() or 'an empty list of cgroups'}",
            "Make a fresh node: `podlab down`, then `podlab up`.",
        )
    return found


def parents(directories: Mapping[str, str]) -> dict[str, str]:
    """The directories of the parent cgroup, in the form of ``directories``. A container's parent is
    its Pod's.

    >>> parents({"memory": "/sys/fs/cgroup/memory/kubelet.slice/pod1.slice/x.scope"})
    {'memory': '/sys/fs/cgroup/memory/kubelet.slice/pod1.slice'}
    """
    return {controller: place.rpartition("/")[0] for controller, place in directories.items()}


def files(directories: Mapping[str, str]) -> list[str]:
    """The files that ``measure`` needs, as paths on the node. The reader skips those that this
    kernel doesn't have.

    >>> files({"": "/sys/fs/cgroup/x"})[:2]
    ['/sys/fs/cgroup/x/memory.current', '/sys/fs/cgroup/x/memory.peak']
    """
    return [
        f"{directories[controller]}/{name}"
        for controller, name in READ[_version(directories)]
        if controller in directories
    ]


def sampled(directories: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The files for samples, as paths on the node: those to read with every sample, and those to
    read one at a time, in turn.

    Raises:
        LabError: the node lacks a controller that samples need.

    >>> sampled({"": "/sys/fs/cgroup/x"})[0]
    ['/sys/fs/cgroup/x/memory.current', '/sys/fs/cgroup/x/cpu.stat']
    """
    number = _version(directories)
    if missing := [
        controller
        for controller, name in READ[number]
        if name in sum(SAMPLED[number], ()) and controller not in directories
    ]:
        raise LabError(
            f"The node can't measure this: it has no cgroup controller {missing[0]}.",
            f"its controllers: {', '.join(sorted(filter(None, directories)))}",
            "Enable the controller on the kernel's command line (memory: `cgroup_enable=memory`),"
            " or run this lab on another machine.",
        )
    paths = {file.rpartition("/")[2]: file for file in files(directories)}
    always, in_turn = ([paths[name] for name in names] for names in SAMPLED[number])
    return always, in_turn


def pods_root(directories: Mapping[str, str]) -> dict[str, str]:
    """The parent directories of all Pods' cgroups, from those of any container: up to the first
    part named kubepods.

    >>> pods = "/sys/fs/cgroup/kubelet.slice/kubelet-kubepods.slice"
    >>> pods_root({"": f"{pods}/kubelet-kubepods-pod1.slice/cri-containerd-2.scope"})
    {'': '/sys/fs/cgroup/kubelet.slice/kubelet-kubepods.slice'}
    """
    found = {
        controller: re.match(r".*?/[^/]*kubepods[^/]*", place)
        for controller, place in directories.items()
    }
    return {controller: match[0] for controller, match in found.items() if match}


def written(values: Values) -> dict[str, str]:
    """Turns numbers back into text: what ``cat`` will show of each file with a request or a limit.

    If there is no limit, version 1 shows the largest number that is a multiple of a page, here of
    4096 bytes.

    >>> from labhelpers.formulas import cgroup_values
    >>> asks = {"requests": {"cpu": "100m"}, "limits": {"cpu": "500m", "memory": "64Mi"}}
    >>> spec = {"containers": [{"name": "app", "resources": asks}]}
    >>> written(cgroup_values(spec, "app", 2))
    {'cpu.weight': '17', 'cpu.max': '50000 100000', 'memory.max': '67108864'}
    """
    if values.version == 2:
        quota = "max" if values.cpu_quota_us is None else values.cpu_quota_us
        most = "max" if values.memory_limit_bytes is None else values.memory_limit_bytes
        return {
            "cpu.weight": str(values.cpu_weight),
            "cpu.max": f"{quota} {values.cpu_period_us}",
            "memory.max": str(most),
        }
    return {
        "cpu.shares": str(values.cpu_shares),
        "cpu.cfs_quota_us": str(-1 if values.cpu_quota_us is None else values.cpu_quota_us),
        "cpu.cfs_period_us": str(values.cpu_period_us),
        "memory.limit_in_bytes": str(
            SHOWN_WITHOUT_LIMIT_BYTES
            if values.memory_limit_bytes is None
            else values.memory_limit_bytes
        ),
    }


def measure(directories: Mapping[str, str], texts: Mapping[str, str]) -> Cgroup:
    """Reads the numbers in a cgroup's files.

    Args:
        directories: what ``directories`` returned.
        texts: the text of each file of ``files``, by its path. A missing file gives None.

    >>> texts = {"/c/memory.current": "4096\\n", "/c/memory.max": "max\\n"}
    >>> texts["/c/cpu.max"] = "50000 100000\\n"
    >>> found = measure({"": "/c"}, texts)
    >>> found.memory_bytes, found.memory_limit_bytes, found.cpu_limit_cores
    (4096, None, 0.5)
    """
    number = _version(directories)
    words = {file.rpartition("/")[2]: text.split() for file, text in texts.items()}
    first = {name: found[0] for name, found in words.items() if found}

    def keyed(file: str, key: str) -> int | None:
        """A number from a file with a key and a number in each line."""
        found = words.get(file, [])
        return _number(dict(zip(found[::2], found[1::2], strict=False)).get(key))

    if number == 1:
        hits = [
            hit
            for name in ("memory.failcnt", "memory.memsw.failcnt")
            if (hit := _number(first.get(name))) is not None
        ]
        read = {
            "memory_bytes": _number(first.get("memory.usage_in_bytes")),
            "memory_peak_bytes": _number(first.get("memory.max_usage_in_bytes")),
            "memory_limit_bytes": _number(first.get("memory.limit_in_bytes")),
            # Version 1's total_ is what version 2 shows: it includes the cgroups below.
            "memory_anonymous_bytes": keyed("memory.stat", "total_rss"),
            "memory_cache_bytes": keyed("memory.stat", "total_cache"),
            "memory_shared_bytes": keyed("memory.stat", "total_shmem"),
            "memory_kernel_bytes": None,
            "memory_inactive_file_bytes": keyed("memory.stat", "total_inactive_file"),
            # The limit of memory with swap is the same number, and is reached first.
            "memory_limit_hits": sum(hits) if hits else None,
            "oom_kills": keyed("memory.oom_control", "oom_kill"),
            "oom_kills_all": False if "memory" in directories else None,
            "cpu_seconds": _seconds(_number(first.get("cpuacct.usage")), 1e9),
            "cpu_shares": _number(first.get("cpu.shares")),
            "cpu_weight": None,
            "cpu_quota_us": _number(first.get("cpu.cfs_quota_us")),
            "cpu_period_us": _number(first.get("cpu.cfs_period_us")),
            "throttled_seconds": _seconds(keyed("cpu.stat", "throttled_time"), 1e9),
        }
        usage, limit = "usage_in_bytes", "limit_in_bytes"
    else:
        quota, period = (words.get("cpu.max") or [None, None])[:2]
        read = {
            "memory_bytes": _number(first.get("memory.current")),
            "memory_peak_bytes": _number(first.get("memory.peak")),
            "memory_limit_bytes": _number(first.get("memory.max")),
            "memory_anonymous_bytes": keyed("memory.stat", "anon"),
            "memory_cache_bytes": keyed("memory.stat", "file"),
            "memory_shared_bytes": keyed("memory.stat", "shmem"),
            "memory_kernel_bytes": keyed("memory.stat", "kernel"),
            "memory_inactive_file_bytes": keyed("memory.stat", "inactive_file"),
            "memory_limit_hits": keyed("memory.events", "max"),
            "oom_kills": keyed("memory.events", "oom_kill"),
            "oom_kills_all": (
                first["memory.oom.group"] == "1" if "memory.oom.group" in first else None
            ),
            "cpu_seconds": _seconds(keyed("cpu.stat", "usage_usec"), 1e6),
            "cpu_shares": None,
            "cpu_weight": _number(first.get("cpu.weight")),
            "cpu_quota_us": _number(quota),
            "cpu_period_us": _number(period),
            "throttled_seconds": _seconds(keyed("cpu.stat", "throttled_usec"), 1e6),
        }
        usage, limit = "current", "max"
    huge = {
        size: f"hugetlb.{name}."
        for name, size in HUGE_PAGES_BYTES.items()
        if f"hugetlb.{name}.{usage}" in first
    }
    return Cgroup(
        version=number,
        directory=directories[
            (
                "memory"
                if "memory" in directories
                else ONE_TREE
                if number == 2
                else next(iter(directories))
            )
        ],
        **read,
        periods=keyed("cpu.stat", "nr_periods"),
        throttled_periods=keyed("cpu.stat", "nr_throttled"),
        hugetlb_bytes={size: int(first[name + usage]) for size, name in huge.items()},
        hugetlb_limit_bytes={size: _number(first.get(name + limit)) for size, name in huge.items()},
    )


def _version(directories: Mapping[str, str]) -> int:
    return 1 if set(directories) - {ONE_TREE} else 2


def _number(word: str | None) -> int | None:
    """The number; None for a missing file, and for each way of saying that there is no limit."""
    if word is None or word in ("max", "-1"):
        return None
    return None if int(word) >= NO_LIMIT_BYTES else int(word)


def _seconds(amount: int | None, per_second: float) -> float | None:
    return None if amount is None else amount / per_second


def _mounts(mountinfo_text: str) -> list[tuple[set[str], str, str]]:
    """(controllers, root, place) of each cgroup mount. proc_pid_mountinfo(5) has the fields."""
    found = []
    for line in mountinfo_text.splitlines():
        before, _, behind = line.partition(" - ")
        fields, kind = before.split(), behind.split()
        if kind and kind[0] in ("cgroup", "cgroup2"):
            found.append(
                (
                    {ONE_TREE} if kind[0] == "cgroup2" else set(kind[-1].split(",")),
                    fields[3],
                    fields[4].rstrip("/"),
                )
            )
    return found
