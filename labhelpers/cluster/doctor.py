"""What a cluster needs from this machine, looked at in a second, before anything long begins."""

import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from labhelpers import paths
from labhelpers.cluster import engine, image
from labhelpers.errors import LabError
from labhelpers.kube import client
from labhelpers.node import undo
from labhelpers.node.node import Node
from labhelpers.paths import ClusterFiles

__all__ = [
    "Facts",
    "Finding",
    "examine",
    "gather",
    "judge",
    "put_back",
    "render",
    "report",
    "require",
]

GB = 1000**3
PROBE_SECONDS = 5
# of the cache, a build from nothing leaves 8.7 GB, and more is in use meanwhile
DISK_GB, CACHE_GB, MEMORY_GB = 10, 12, 4
# the first two: kind's "known issues", pod errors due to "too many open files"
WATCHES, INSTANCES, OPEN_FILES = 524288, 512, 4096
OLDEST_ENGINE = (20, 10)
# kubernetes.io, "User Namespaces": tmpfs can be id-mapped since then
OLDEST_KERNEL_FOR_USER_NAMESPACES = (6, 3)
CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Finding:
    """One thing that a cluster needs.

    Attributes:
        name: the thing.
        ok: True; None if it works all the same, with a warning; False if ``podlab up`` would fail.
        seen: what was found.
        fix: what to do about it, "" if there is nothing to do.
    """

    name: str
    ok: bool | None
    seen: str
    fix: str = ""


@dataclass(frozen=True)
class Facts:
    """What was read on a machine, as it was read: texts of files, outputs of programs. ``judge``
    needs nothing else.

    Attributes:
        docker_info: ``docker info`` as JSON; empty if no engine answers. docker_trouble: then the
        client's words. proc_status, meminfo, mountinfo, cgroup_controllers: the texts of these
        files, "" where there are none. inotify_watches, inotify_instances, user_namespaces: the
        limits under /proc/sys, None where there are none. open_files: the hard limit of this
        process. free_bytes: free where the engine stores, None if that is not on this machine.
        cache_free_bytes: free where the node image is built. build_begun: whether an earlier build
        has left its part there. kind, kubectl: the first line that the project's own program
        prints; "" if it is not there; "!" and a reason if it cannot run. node_images: those of the
        wanted images that the engine holds. registry: None if not asked; "" if it has the image;
        else why not. port_trouble: "" if a port of the loopback can be had. port_wanted_trouble:
        the same of the port that PORT names.
    """

    system: str = "Linux"
    machine: str = "x86_64"
    kernel: str = "6.18.0"
    os_release: str = ""
    python: tuple[int, int] = (3, 12)
    is_root: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    docker_info: Mapping = field(default_factory=dict)
    docker_trouble: str = ""
    docker_endpoint: str = ""
    engine_is_ours: bool = False
    node_container: str = ""
    proc_status: str = ""
    meminfo: str = ""
    mountinfo: str = ""
    cgroup_controllers: str = ""
    inotify_watches: int | None = None
    inotify_instances: int | None = None
    user_namespaces: int | None = None
    open_files: int | None = None
    free_bytes: int | None = None
    cache_free_bytes: int | None = None
    build_begun: bool = False
    kind: str = ""
    kubectl: str = ""
    node_images: Sequence[str] = ()
    registry: str | None = None
    port_trouble: str = ""
    port_wanted_trouble: str = ""

    @property
    def answers(self) -> bool:
        return bool(self.docker_info.get("ServerVersion"))

    @property
    def same_kernel(self) -> bool:
        """Whether containers run on the kernel that this process sees (not in a virtual machine of
        Docker's, or far away)."""
        return self.system == "Linux" and (
            not self.answers or self.docker_info.get("KernelVersion") == self.kernel
        )

    @property
    def same_files(self) -> bool:
        """Whether the engine stores on this machine. Docker Desktop under WSL2 shares the kernel,
        but not the file system."""
        return self.same_kernel and "Docker Desktop" not in self.docker_info.get(
            "OperatingSystem", ""
        )

    @property
    def why_no_engine_of_ours(self) -> str:
        return engine.can_start_here(
            self.system, self.os_release, self.is_root, self.docker_endpoint
        )

    @property
    def door(self) -> str:
        return self.environment.get("PODLAB_DOOR", "")

    @property
    def can_build(self) -> bool:
        return self.door in ("", "build") and not engine.can_start_here(
            self.system, self.os_release, self.is_root, ""
        )

    @property
    def builds(self) -> bool | None:
        """Whether ``podlab up`` will build the node image; None where that hangs on a registry
        which nobody has asked yet."""
        if self.node_container or self.node_images or not self.can_build:
            return False
        if self.door == "build" or self.environment.get("PODLAB_OFFLINE") == "1":
            return True
        return None if self.registry is None else self.registry != ""


def examine(files: ClusterFiles) -> list[Finding]:
    """Look at this machine. Within two seconds, and up to five more where a registry must be asked.

    Args:
        files: the cluster that is to be brought up.

    Returns:
        One finding for each thing; ``podlab up`` will work if none has ``ok`` False.

    >>> all(finding.name and finding.seen for finding in examine(ClusterFiles("podlab")))
    True
    """
    registry_image = image.pins()["node_image"]
    return judge(gather(files, node_images=image.known_images(), registry_image=registry_image))


def report(cluster: str | None = None) -> tuple[str, bool]:
    """One line for each thing that a cluster needs, and whether ``up`` will work. What ended
    kernels left on the node is put back."""
    files = ClusterFiles(cluster or paths.cluster_name())
    findings = [*examine(files), put_back(files)]
    return render(findings), all(finding.ok is not False for finding in findings)


def put_back(files: ClusterFiles) -> Finding:
    """Put back what kernels that have ended left changed on the node. Where there is nothing, it
    costs a look at a file.

    >>> put_back(ClusterFiles("a-cluster-that-nobody-made")).seen
    'none that a lab has left'
    """
    name = "changes of the node"
    try:
        found = undo.left(files.name)
    except LabError as error:
        return Finding(name, None, f"{error.happened} {error.seen}", error.do)
    if not found:
        return Finding(name, True, "none that a lab has left")
    undone = "; ".join(change.put_back for change in found)
    try:
        connection = client.connect(files.kubeconfig)
        try:
            undo.Changes(connection, Node(connection), files.name).mend()
        finally:
            connection.close()
    except LabError as error:
        fix = "`podlab up`, then `podlab doctor` again."
        return Finding(
            name, None, f"still to be done: {undone}. {error.happened} {error.seen}", fix
        )
    return Finding(name, True, f"a kernel that has ended had left some; put back: {undone}")


def require(findings: Sequence[Finding]) -> None:
    """Say no before a long build.

    Raises:
        LabError: for the first thing that is missing; the others are named.

    >>> require([Finding("memory", None, "2.0 GB")])
    """
    missing = [finding for finding in findings if finding.ok is False]
    if missing:
        others = (
            f" (and: {', '.join(finding.name for finding in missing[1:])})" if missing[1:] else ""
        )
        first = missing[0]
        raise LabError(
            f"This machine lacks what a cluster needs: {first.name}{others}.",
            first.seen,
            first.fix or "Run `podlab doctor`.",
        )


def render(findings: Sequence[Finding]) -> str:
    """The findings as lines, the fix beside what is missing, and a last line that says whether
    ``podlab up`` will work.

    >>> print(render([Finding("disk", True, "70 GB free"), Finding("swap", None, "2 GB", "Turn it off."), Finding("port", False, "none")]))
    ok    disk  70 GB free
    note  swap  2 GB → Turn it off.
    NO    port  none
    `podlab up` will not work: port.
    """
    width = max(len(finding.name) for finding in findings)
    signs = {True: "ok  ", None: "note", False: "NO  "}
    lines = [
        f"{signs[finding.ok]}  {finding.name:<{width}} "
        f" {finding.seen}{f' → {finding.fix}' if finding.fix else ''}"
        for finding in findings
    ]
    missing = [finding.name for finding in findings if finding.ok is False]
    lines.append(
        f"`podlab up` will not work: {', '.join(missing)}." if missing else "`podlab up` will work."
    )
    return "\n".join(lines)


def judge(facts: Facts) -> list[Finding]:
    """From what was read to what it means. Pure.

    >>> [finding.name for finding in judge(Facts(system="Windows", machine="AMD64")) if finding.ok is False][0]
    'operating system'
    """
    findings = [
        _operating_system(facts),
        _python(facts),
        _engine(facts),
        _rights(facts),
        _capabilities(facts),
        _cgroups(facts),
        *_limits(facts),
        _user_namespaces(facts),
        _disk(facts),
        _cache(facts),
        _memory(facts),
        _swap(facts),
        _proxy(facts),
        _tool("kind", facts.kind),
        _tool("kubectl", facts.kubectl),
        _node_image(facts),
        _port(facts),
    ]
    return findings


def gather(
    files: ClusterFiles, *, node_images: Sequence[str] = (), registry_image: str = ""
) -> Facts:
    """Read everything that ``judge`` needs. Programs run side by side, each with a limit."""
    offline = os.environ.get("PODLAB_OFFLINE") == "1"
    with ThreadPoolExecutor(8) as pool:
        info = pool.submit(_run, ["docker", "info", "--format", "{{json .}}"])
        container = pool.submit(
            _run,
            ["docker", "inspect", "--format", "{{.State.Status}}", files.container],
        )
        kind = pool.submit(_first_line, [str(paths.tools() / "kind"), "version"])
        kubectl = pool.submit(_first_line, [str(paths.tools() / "kubectl"), "version", "--client"])
        where = pool.submit(engine.endpoint)
        asked = [
            pool.submit(_run, ["docker", "image", "inspect", "--format", "{{.Id}}", image])
            for image in node_images
        ]
        held = [
            image
            for image, answer in zip(node_images, asked, strict=True)
            if answer.result()[0] == 0
        ]
        registry = None
        if registry_image and not held and not offline and os.environ.get("PODLAB_DOOR") != "build":
            code, _, words = _run(["docker", "manifest", "inspect", registry_image])
            registry = "" if code == 0 else words
        docker_info = _json(info.result()[1])
        root = Path(docker_info.get("DockerRootDir") or engine.DATA_ROOT)
        return Facts(
            system=platform.system(),
            machine=platform.machine(),
            kernel=platform.release(),
            os_release=_text("/etc/os-release"),
            python=sys.version_info[:2],
            is_root=hasattr(os, "geteuid") and os.geteuid() == 0,
            environment=dict(os.environ),
            docker_info=docker_info,
            docker_trouble=info.result()[2],
            docker_endpoint=where.result(),
            engine_is_ours=platform.system() == "Linux" and engine.started_by_us(),
            node_container=container.result()[1].strip(),
            proc_status=_text("/proc/self/status"),
            meminfo=_text("/proc/meminfo"),
            mountinfo=_text("/proc/self/mountinfo"),
            cgroup_controllers=_text("/sys/fs/cgroup/cgroup.controllers"),
            inotify_watches=_number("/proc/sys/fs/inotify/max_user_watches"),
            inotify_instances=_number("/proc/sys/fs/inotify/max_user_instances"),
            user_namespaces=_number("/proc/sys/user/max_user_namespaces"),
            open_files=_open_files(),
            free_bytes=_free_bytes(root),
            cache_free_bytes=_free_bytes(paths.cache()),
            build_begun=(paths.cache() / "go").exists(),
            kind=kind.result(),
            kubectl=kubectl.result(),
            node_images=held,
            registry=registry,
            port_trouble=_bind(0),
            port_wanted_trouble=_bind_wanted(os.environ.get("PORT", "")),
        )


def _operating_system(facts: Facts) -> Finding:
    name = "operating system"
    pretty = re.search(r'^PRETTY_NAME="?([^"\n]+)', facts.os_release, re.MULTILINE)
    machine = MACHINES.get(facts.machine.lower())
    microsoft = facts.system == "Linux" and "microsoft" in facts.kernel.lower()
    where = " under WSL" if microsoft else ""
    seen = (
        f"{pretty[1] if pretty else facts.system}{where}, {machine or facts.machine}, kernel"
        f" {facts.kernel}"
    )
    if facts.system not in ("Linux", "Darwin"):
        return Finding(name, False, seen, "Use Linux, macOS with Docker, or WSL2.")
    # WSL1 has no kernel of its own; it says 4.4 and spells the name with a capital letter.
    if microsoft and _numbers(facts.kernel)[:1] < (5,) and "wsl2" not in facts.kernel.lower():
        return Finding(
            name,
            False,
            f"{seen}: this is WSL1",
            "Run `wsl --set-version DISTRIBUTION 2` in Windows.",
        )
    if machine is None:
        return Finding(name, False, seen, "Use a machine with amd64 or arm64.")
    return Finding(name, True, seen)


def _python(facts: Facts) -> Finding:
    seen = ".".join(map(str, facts.python))
    good = (3, 11) <= facts.python < (3, 14)
    return Finding("python", good, seen, "" if good else "Use Python 3.11, 3.12 or 3.13.")


def _engine(facts: Facts) -> Finding:
    name, info = "engine", facts.docker_info
    if not facts.answers:
        if not facts.why_no_engine_of_ours:
            return Finding(
                name, True, "none answers; `podlab up` installs Docker's package and starts one"
            )
        if "permission denied" in facts.docker_trouble.lower():
            return Finding(
                name,
                False,
                "one is there, and this user may not use it",
                "Add the user to the group docker, and log in again.",
            )
        return Finding(
            name, False, f"none answers; {facts.why_no_engine_of_ours}", "Install and start Docker."
        )
    version, system = info["ServerVersion"], info.get("OperatingSystem", "")
    starter = (
        "started by podlab"
        if facts.engine_is_ours
        else "Docker Desktop's"
        if "Docker Desktop" in system
        else "found here"
    )
    seen = f"Docker {version}, {starter}"
    if info.get("OSType", "linux") != "linux":
        return Finding(
            name,
            False,
            f"{seen}, for {info['OSType']} containers",
            "Switch Docker to Linux containers.",
        )
    numbers = _numbers(version)
    # some builds call themselves by a branch instead of a number
    if numbers and numbers[:2] < OLDEST_ENGINE:
        return Finding(
            name, False, seen, f"Use Docker {'.'.join(map(str, OLDEST_ENGINE))} or newer."
        )
    if any("rootless" in option for option in info.get("SecurityOptions") or []):
        if info.get("CgroupVersion") != "2":
            return Finding(
                name, False, f"{seen}, rootless on cgroup v1", "Use an engine that runs as root."
            )
        return Finding(
            name,
            None,
            f"{seen}, rootless",
            "See kind's page on rootless engines: it needs delegated cgroups.",
        )
    machine = MACHINES.get(info.get("Architecture", "").lower())
    if machine and machine != MACHINES.get(facts.machine.lower()):
        # A client built for another machine runs emulated; the image must fit the engine.
        return Finding(
            name,
            None,
            f"{seen}, on {machine}",
            "Use a Python and a Docker client of the engine's own architecture.",
        )
    return Finding(name, True, seen)


def _rights(facts: Facts) -> Finding:
    if facts.answers:
        return Finding(
            "rights", True, "root" if facts.is_root else "not root, and the engine obeys this user"
        )
    if facts.is_root:
        return Finding("rights", True, "root")
    return Finding(
        "rights",
        False,
        "not root, and no engine obeys this user",
        "Start Docker, or run as root on Debian or Ubuntu.",
    )


def _capabilities(facts: Facts) -> Finding:
    name = "capabilities"
    if not facts.proc_status or (
        facts.answers and not facts.engine_is_ours and not (facts.is_root and facts.same_files)
    ):
        return Finding(name, True, "the engine's own, not this user's")
    strange = facts.answers and not facts.engine_is_ours
    if not engine.has_capability("SYS_ADMIN", facts.proc_status):
        seen = "SYS_ADMIN is missing"
        if strange:
            return Finding(name, None, f"{seen} here; the engine may have it")
        return Finding(
            name, False, seen, "Run this machine with more rights (for a container: --privileged)."
        )
    if not engine.has_capability("SYS_RESOURCE", facts.proc_status):
        seen = "SYS_ADMIN; SYS_RESOURCE is missing"
        if not strange:
            return Finding(name, True, f"{seen}, and the runtime shim does without")
        return Finding(
            name,
            None,
            f"{seen} here",
            "If privileged containers fail, stop this engine: `podlab up` starts one that does"
            " without.",
        )
    return Finding(name, True, "SYS_ADMIN, SYS_RESOURCE")


def _cgroups(facts: Facts) -> Finding:
    name, info = "cgroups", facts.docker_info
    if facts.answers:
        told = {
            "memory": "MemoryLimit",
            "cpu": "CpuCfsQuota",
            "cpuset": "CPUSet",
            "pids": "PidsLimit",
        }
        missing = [controller for controller in CONTROLLERS if info.get(told[controller]) is False]
        version = str(info.get("CgroupVersion") or "1")
    elif facts.mountinfo:
        version, offered = _cgroups_of(facts.mountinfo, facts.cgroup_controllers)
        missing = [controller for controller in CONTROLLERS if controller not in offered]
    else:
        return Finding(name, None, "not known before an engine answers")
    if missing:
        fix = (
            "Switch them on in the kernel's command line (on a Raspberry Pi: cgroup_enable=memory"
            " cgroup_memory=1)."
        )
        return Finding(name, False, f"v{version}, without {', '.join(missing)}", fix)
    return Finding(
        name,
        True,
        f"v{version}" + (f", driver {info['CgroupDriver']}" if info.get("CgroupDriver") else ""),
    )


def _cgroups_of(mountinfo: str, controllers: str) -> tuple[str, set[str]]:
    """The version that containers get, and its controllers: v2 only where it alone is at
    /sys/fs/cgroup."""
    mounts = [line.split() for line in mountinfo.splitlines()]
    kinds = {words[4]: words[words.index("-") + 1 :] for words in mounts if "-" in words}
    if kinds.get("/sys/fs/cgroup", [""])[0] == "cgroup2":
        return "2", set(controllers.split())
    return "1", {
        option for tail in kinds.values() if tail[0] == "cgroup" for option in tail[-1].split(",")
    }


def _limits(facts: Facts) -> list[Finding]:
    if not facts.same_kernel:
        where = "those of Docker's virtual machine, not looked at"
        return [Finding("inotify", True, where), Finding("open files", True, where)]
    low = [
        f"fs.inotify.max_user_{what}={wanted}"
        for what, have, wanted in (
            ("watches", facts.inotify_watches, WATCHES),
            ("instances", facts.inotify_instances, INSTANCES),
        )
        if have is not None and have < wanted
    ]
    seen = (
        f"{_or_unknown(facts.inotify_watches)} watches, {_or_unknown(facts.inotify_instances)}"
        " instances"
    )
    few = facts.open_files is not None and facts.open_files < OPEN_FILES
    return [
        Finding(
            "inotify",
            None if low else True,
            seen,
            f'If Pods say "too many open files": sysctl -w {" ".join(low)}' if low else "",
        ),
        Finding(
            "open files",
            None if few else True,
            f"at most {_or_unknown(facts.open_files)}",
            f"ulimit -n {OPEN_FILES}" if few else "",
        ),
    ]


def _user_namespaces(facts: Facts) -> Finding:
    name = "user namespaces"
    kernel = (
        facts.docker_info.get("KernelVersion")
        if facts.answers
        else facts.kernel
        if facts.system == "Linux"
        else ""
    )
    if not kernel:
        return Finding(name, None, "not known before an engine answers")
    if facts.same_kernel and facts.user_namespaces == 0:
        fix = "sysctl -w user.max_user_namespaces=65536"
        return Finding(name, None, "switched off: `hostUsers: false` will not be shown", fix)
    if _numbers(kernel)[:2] < OLDEST_KERNEL_FOR_USER_NAMESPACES:
        return Finding(
            name,
            None,
            f"kernel {kernel}: `hostUsers: false` will not be shown",
            "It needs Linux 6.3 or newer.",
        )
    count = (
        f"up to {facts.user_namespaces}, " if facts.same_kernel and facts.user_namespaces else ""
    )
    return Finding(name, True, f"{count}id-mapped mounts since Linux 6.3, this is {kernel}")


def _disk(facts: Facts) -> Finding:
    name = "disk"
    if not facts.same_files or facts.free_bytes is None:
        return Finding(name, True, "Docker's own, not looked at")
    seen = f"{facts.free_bytes / GB:.1f} GB free where the engine stores"
    if facts.free_bytes >= DISK_GB * GB:
        return Finding(name, True, seen)
    # What is on the disk already needs no place: then a low disk is a warning until it is nearly
    # full.
    fits = facts.node_images and facts.free_bytes >= 2 * GB
    return Finding(
        name,
        None if fits else False,
        seen,
        f"Free {DISK_GB} GB; `docker system df` says what the engine holds.",
    )


def _cache(facts: Facts) -> Finding:
    name = "cache"
    if facts.builds is False or facts.cache_free_bytes is None:
        return Finding(name, True, "no node image is built")
    seen = f"{facts.cache_free_bytes / GB:.1f} GB free where the node image is built"
    if facts.cache_free_bytes >= CACHE_GB * GB:
        return Finding(name, True, seen)
    # What an earlier build left needs no place; and a registry that nobody asked yet may spare the
    # build.
    fits = facts.build_begun and facts.cache_free_bytes >= 2 * GB
    return Finding(
        name,
        None if fits or facts.builds is None else False,
        seen,
        f"Free {CACHE_GB} GB, or set PODLAB_CACHE to another disk.",
    )


def _memory(facts: Facts) -> Finding:
    name = "memory"
    size = (
        facts.docker_info.get("MemTotal")
        if facts.answers
        else _kilobytes(facts.meminfo, "MemTotal") * 1024
    )
    if not size:
        return Finding(name, None, "not known before an engine answers")
    seen = f"{size / GB:.1f} GB"
    if size >= 0.9 * MEMORY_GB * GB:  # a machine sold with 4 GB shows less
        return Finding(name, True, seen)
    fix = f"Give it {MEMORY_GB} GB" + (" in Docker's settings." if not facts.same_kernel else ".")
    return Finding(name, None if size >= MEMORY_GB * GB / 2 else False, seen, fix)


def _swap(facts: Facts) -> Finding:
    name = "swap"
    if not facts.same_kernel or not facts.meminfo:
        return Finding(name, True, "that of Docker's virtual machine, not looked at")
    size = _kilobytes(facts.meminfo, "SwapTotal") * 1024
    if not size:
        return Finding(name, True, "none")
    seen = f"{size / GB:.1f} GB, and kind lets the kubelet start with it"
    version = facts.docker_info.get("CgroupVersion") or _cgroups_of(facts.mountinfo, "")[0]
    # On cgroup v2 the kubelet keeps Pods out of the swap; on v1 it cannot, and a memory limit kills
    # later than it says.
    if version == "1":
        return Finding(
            name, None, f"{seen}; on cgroup v1 Pods use it", "swapoff -a, for the labs on memory"
        )
    return Finding(name, True, seen)


def _proxy(facts: Facts) -> Finding:
    name, variables = (
        "proxy",
        {key.upper(): value for key, value in facts.environment.items() if value},
    )
    proxies = [key for key in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") if key in variables]
    if not proxies:
        return Finding(name, True, "none")
    # Only the names of the variables: a proxy's address may hold a password.
    seen = f"{', '.join(proxies)} set"
    direct = {word.strip() for word in variables.get("NO_PROXY", "").split(",")}
    if "*" in direct or {"127.0.0.1", "127.0.0.0/8"} & direct:
        return Finding(name, True, f"{seen}, and NO_PROXY leaves out 127.0.0.1")
    return Finding(
        name,
        None,
        f"{seen}, and NO_PROXY does not leave out 127.0.0.1",
        "export NO_PROXY=127.0.0.1,localhost,$NO_PROXY",
    )


def _tool(name: str, said: str) -> Finding:
    if said.startswith("!"):
        return Finding(
            name,
            False,
            f"the project's own does not run: {said[1:]}",
            f"Delete {paths.tools() / name}: `podlab up` makes a new one.",
        )
    return Finding(name, True, said or "not there yet; `podlab up` makes it")


def _node_image(facts: Facts) -> Finding:
    name = "registry"
    if facts.node_container:
        return Finding(name, True, f"not needed: the node is there, {facts.node_container}")
    if facts.node_images:
        return Finding(name, True, f"not needed: {facts.node_images[0]} is here")
    if facts.door not in ("", "registry", "build"):
        return Finding(
            name,
            False,
            f"PODLAB_DOOR={facts.door} names no door",
            "Set it to registry or build, or leave it unset.",
        )
    if facts.registry == "" and facts.door != "build":
        return Finding(name, True, "it has the node image")
    seen = (
        "not asked"
        if facts.registry is None
        else f"it does not give the node image ({facts.registry.rpartition(': ')[2]})"
    )
    seen = f"{seen}, with PODLAB_DOOR={facts.door}" if facts.door else seen
    if facts.can_build:
        return Finding(
            name,
            True,
            f"{seen}; without it the node image is built here, which takes up to half an hour",
        )
    # Not asked although that was allowed: nobody said for which image.
    unknown = (
        facts.registry is None
        and facts.door != "build"
        and facts.environment.get("PODLAB_OFFLINE") != "1"
    )
    fix = (
        f"{'Unset PODLAB_DOOR, mend' if facts.door else 'Mend'} the network, or bring a bundle:"
        " `podlab bundle load FILE`."
    )
    return Finding(name, None if unknown else False, seen, fix)


def _port(facts: Facts) -> Finding:
    name = "port"
    if facts.port_trouble:
        return Finding(
            name,
            False,
            f"none can be had on 127.0.0.1: {facts.port_trouble}",
            "Look at the loopback device: ip link set lo up",
        )
    if facts.port_wanted_trouble:
        wanted = facts.environment.get("PORT", "")
        return Finding(
            name,
            None,
            f"{wanted} for JupyterLab: {facts.port_wanted_trouble}",
            "Set PORT to another, or to 0 for any.",
        )
    return Finding(name, True, "free ones on 127.0.0.1")


def _or_unknown(number: int | None) -> str:
    return "unknown" if number is None else str(number)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+)(?:\.(\d+))?", version)
    return tuple(int(number) for number in found.groups(default="0")) if found else ()


def _kilobytes(meminfo: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(found[1]) if found else 0


def _json(text: str) -> dict:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _run(command: Sequence[str]) -> tuple[int, str, str]:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_SECONDS, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        return 127, "", f"{command[0]} is not there"
    except subprocess.TimeoutExpired:
        return 124, "", f"no answer within {PROBE_SECONDS} s"
    except OSError as error:
        return 126, "", str(error.strerror)
    words = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return done.returncode, done.stdout, words[-1] if words else ""


def _first_line(command: Sequence[str]) -> str:
    if not Path(command[0]).exists():
        return ""
    code, said, words = _run(command)
    return said.strip().split("\n")[0] if code == 0 else f"!{words or f'exit status {code}'}"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _number(path: str) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _open_files() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def _free_bytes(folder: Path) -> int | None:
    there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    return shutil.disk_usage(there).free if there else None


def _bind(port: int) -> str:
    with socket.socket() as listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            return getattr(error, "strerror", None) or str(error)
    return ""


def _bind_wanted(port: str) -> str:
    if not port:
        return ""
    return _bind(int(port)) if port.isdigit() else "not a number"
