"""Judges what was read on a machine: one finding for each thing that a cluster needs. Pure."""

import re
from pathlib import Path

from labhelpers import paths
from labhelpers.cluster import engine_findings
from labhelpers.cluster.finding import MACHINES, Finding, numbers
from labhelpers.cluster.machine import MachineFacts
from labhelpers.cluster.probe import NO_ANSWER
from labhelpers.patience import advice

__all__ = ["judge"]

GB = 1000**3
# A build from scratch leaves 8.7 GB in the cache, and uses more while it runs.
DISK_GB, CACHE_GB, MEMORY_GB = 10, 12, 4
# the first two: kind's "known issues", Pod errors due to "too many open files"
WATCHES, INSTANCES, OPEN_FILES = 524288, 512, 4096
# kubernetes.io, "User Namespaces": tmpfs can be id-mapped since then
OLDEST_KERNEL_FOR_USER_NAMESPACES = (6, 3)


def judge(facts: MachineFacts) -> list[Finding]:
    """Judges what a machine has and lacks, from what was read on it.

    >>> findings = judge(MachineFacts(system="Windows", machine="AMD64"))
    >>> [finding.name for finding in findings if finding.ok is False][0]
    'operating system'
    """
    return [
        _operating_system(facts),
        _python(facts),
        engine_findings.engine(facts),
        engine_findings.rights(facts),
        engine_findings.capabilities(facts),
        engine_findings.cgroups(facts),
        *_limits(facts),
        _user_namespaces(facts),
        _disk(facts),
        _cache(facts),
        _files(facts),
        _memory(facts),
        _swap(facts),
        _proxy(facts),
        _tool("kind", facts.kind),
        _tool("kubectl", facts.kubectl),
        _node_image(facts),
        _port(facts),
    ]


def _operating_system(facts: MachineFacts) -> Finding:
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
    # WSL1 has no kernel of its own: it says 4.4, and spells the name with a capital letter.
    if microsoft and numbers(facts.kernel)[:1] < (5,) and "wsl2" not in facts.kernel.lower():
        return Finding(
            name,
            False,
            f"{seen}: this is WSL1",
            "Run `wsl --set-version DISTRIBUTION 2` in Windows.",
        )
    if machine is None:
        return Finding(name, False, seen, "Use a machine with amd64 or arm64.")
    return Finding(name, True, seen)


def _python(facts: MachineFacts) -> Finding:
    seen = ".".join(map(str, facts.python))
    good = (3, 11) <= facts.python < (3, 14)
    return Finding("python", good, seen, "" if good else "Use Python 3.11, 3.12 or 3.13.")


def _limits(facts: MachineFacts) -> list[Finding]:
    if not facts.same_kernel:
        where = "in Docker's virtual machine, not checked"
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


def _user_namespaces(facts: MachineFacts) -> Finding:
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
        return Finding(name, None, "disabled: labs skip `hostUsers: false`", fix)
    if numbers(kernel)[:2] < OLDEST_KERNEL_FOR_USER_NAMESPACES:
        return Finding(
            name,
            None,
            f"kernel {kernel}: labs skip `hostUsers: false`",
            "It needs Linux 6.3 or newer.",
        )
    count = (
        f"up to {facts.user_namespaces}, " if facts.same_kernel and facts.user_namespaces else ""
    )
    return Finding(name, True, f"{count}id-mapped mounts since Linux 6.3, this is {kernel}")


def _disk(facts: MachineFacts) -> Finding:
    name = "disk"
    if not facts.same_files or facts.free_bytes is None:
        return Finding(name, True, "Docker's own, not checked")
    seen = f"{facts.free_bytes / GB:.1f} GB free where the engine stores"
    if facts.free_bytes >= DISK_GB * GB:
        return Finding(name, True, seen)
    # An image that is here already needs no more space: then little space is only a warning, until
    # the disk is nearly full.
    fits = facts.node_images and facts.free_bytes >= 2 * GB
    return Finding(
        name,
        None if fits else False,
        seen,
        f"Free {DISK_GB} GB; `docker system df` shows what the engine uses.",
    )


def _cache(facts: MachineFacts) -> Finding:
    name = "cache"
    if facts.builds is False or facts.cache_free_bytes is None:
        return Finding(name, True, f"no build needed{_why_no_build(facts)}")
    seen = f"{facts.cache_free_bytes / GB:.1f} GB free where the node image is built"
    if facts.cache_free_bytes >= CACHE_GB * GB:
        return Finding(name, True, seen)
    # What an earlier build left needs no more space; and a registry that hasn't been asked yet may
    # make the build unnecessary.
    fits = facts.build_begun and facts.cache_free_bytes >= 2 * GB
    return Finding(
        name,
        None if fits or facts.builds is None else False,
        seen,
        f"Free {CACHE_GB} GB, or set PODLAB_CACHE to another disk.",
    )


def _why_no_build(facts: MachineFacts) -> str:
    """Which node image is used instead, as far as it's known."""
    if facts.node_container_image:
        return f": the cluster runs on {facts.node_container_image}"
    if facts.node_images:
        return f": {facts.node_images[0]} is here"
    return ": the registry has the node image" if facts.registry == "" else ""


def _files(facts: MachineFacts) -> Finding:
    name = "files"
    path, trouble, variable = facts.files_trouble
    if trouble:
        seen, move = f"{path} {trouble}", f"{variable} to a folder of yours."
        root = paths.states() if variable == "PODLAB_STATE" else paths.cache()
        # What is above podlab's own folders belongs to somebody else, often to the system.
        if Path(path) in root.parents:
            return Finding(name, False, f"{seen}, so {root} can't be made", f"Set {move}")
        return Finding(name, False, seen, f"Make this user its owner (chown), or set {move}")
    if not facts.checkout_writable:
        fix = "Clone the repository, or run `podlab init FOLDER`, where you can write."
        return Finding(name, None, "JupyterLab can't save the notebooks in this folder", fix)
    return Finding(name, True, f"in {paths.states()} and {paths.cache()}")


def _memory(facts: MachineFacts) -> Finding:
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


def _swap(facts: MachineFacts) -> Finding:
    name = "swap"
    if not facts.same_kernel or not facts.meminfo:
        return Finding(name, True, "in Docker's virtual machine, not checked")
    size = _kilobytes(facts.meminfo, "SwapTotal") * 1024
    if not size:
        return Finding(name, True, "none")
    seen = f"{size / GB:.1f} GB, and kind lets the kubelet start with it"
    version = (
        facts.docker_info.get("CgroupVersion") or engine_findings.cgroups_of(facts.mountinfo, "")[0]
    )
    # On cgroup v2 the kubelet keeps Pods out of the swap. On v1 it can't, so a container is
    # OOM-killed later than its limit says.
    if version == "1":
        return Finding(
            name, None, f"{seen}; on cgroup v1 Pods use it", "For the labs on memory: swapoff -a"
        )
    return Finding(name, True, seen)


def _proxy(facts: MachineFacts) -> Finding:
    name, variables = (
        "proxy",
        {key.upper(): value for key, value in facts.environment.items() if value},
    )
    proxies = [key for key in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") if key in variables]
    if not proxies:
        return Finding(name, True, "none")
    # Only the variables' names: a proxy's address may contain a password.
    seen = f"{', '.join(proxies)} set"
    direct = {word.strip() for word in variables.get("NO_PROXY", "").split(",")}
    if "*" in direct or {"127.0.0.1", "127.0.0.0/8"} & direct:
        return Finding(name, True, f"{seen}, and NO_PROXY exempts 127.0.0.1")
    return Finding(
        name,
        None,
        f"{seen}, and NO_PROXY doesn't exempt 127.0.0.1",
        "export NO_PROXY=127.0.0.1,localhost,$NO_PROXY",
    )


def _tool(name: str, said: str) -> Finding:
    if said.startswith(f"!{NO_ANSWER}"):
        return Finding(name, None, f"the project's own: {said[1:]}", advice())
    if said.startswith("!"):
        return Finding(
            name,
            False,
            f"the project's own doesn't run: {said[1:]}",
            f"Delete {paths.tools() / name}: `podlab up` makes a new one.",
        )
    return Finding(name, True, said or "not there yet; `podlab up` makes it")


def _node_image(facts: MachineFacts) -> Finding:
    name = "registry"
    if facts.node_container:
        return Finding(name, True, f"not needed: the node is there, {facts.node_container}")
    if facts.node_images:
        return Finding(name, True, f"not needed: {facts.node_images[0]} is here")
    if facts.image_source not in ("", "registry", "build"):
        return Finding(
            name,
            False,
            f"PODLAB_DOOR={facts.image_source} isn't an image source",
            "Set it to registry or build, or leave it unset.",
        )
    if facts.registry == "" and facts.image_source != "build":
        return Finding(name, True, f"{facts.mirror or 'it'} has the node image")
    seen = (
        "not asked"
        if facts.registry is None
        else f"{facts.mirror or 'it'} doesn't provide the node image"
        f" ({facts.registry.rpartition(': ')[2]})"
    )
    seen = f"{seen}, with PODLAB_DOOR={facts.image_source}" if facts.image_source else seen
    if facts.registry and facts.engine_asks_otherwise and facts.image_source != "build":
        return Finding(
            name,
            None,
            f"{seen}; that's what the docker client says, but the engine has settings of its own",
            "`podlab up` asks the engine. To try it before: `docker pull`, perhaps `docker login`.",
        )
    if facts.can_build:
        return Finding(
            name,
            True,
            f"{seen}; without it the node image is built here, which takes up to half an hour",
        )
    # Not asked although that was allowed: no image was given.
    unknown = facts.registry is None and facts.image_source != "build" and not facts.offline
    first = "Unset PODLAB_DOOR, check" if facts.image_source else "Check"
    mirror = f"and PODLAB_REGISTRY={facts.mirror}"
    where = mirror if facts.mirror else "(behind a mirror: PODLAB_REGISTRY)"
    fix = f"{first} the network {where}, or bring a bundle: `podlab bundle load FILE`."
    return Finding(name, None if unknown else False, seen, fix)


def _port(facts: MachineFacts) -> Finding:
    name = "port"
    if facts.port_trouble:
        return Finding(
            name,
            False,
            f"can't open a port on 127.0.0.1: {facts.port_trouble}",
            "Bring the loopback device up: ip link set lo up",
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


def _kilobytes(meminfo: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(found[1]) if found else 0
