"""Judges a Docker engine, the rights that one of our own would have, and the cgroups that
containers get."""

from labhelpers.cluster.engine import has_capability
from labhelpers.cluster.finding import MACHINES, Finding, numbers
from labhelpers.cluster.machine import MachineFacts
from labhelpers.patience import advice

__all__ = ["capabilities", "cgroups", "cgroups_of", "engine", "rights"]

OLDEST_ENGINE = (20, 10)
CONTROLLERS = ("cpu", "cpuset", "memory", "pids")


def engine(facts: MachineFacts) -> Finding:
    name, info, answer = "engine", facts.docker_info, facts.docker_answer
    if answer.no_engine_helps:
        return Finding(
            name, False, f"{answer.happened.removesuffix('.')}: {answer.trouble}", answer.do
        )
    if not facts.answers:
        trouble = answer.trouble or facts.docker_trouble or "`docker info` says nothing readable"
        if facts.engine_is_ours and not facts.why_no_engine_of_ours:
            return Finding(
                name, True, f"podlab's own doesn't answer yet ({trouble}); `podlab up` waits for it"
            )
        if answer.version or answer.kind == "slow":
            return Finding(name, False, f"one is there, but {trouble}", advice("Read its log."))
        if not facts.why_no_engine_of_ours:
            return Finding(
                name, True, "none answers; `podlab up` installs Docker's package and starts one"
            )
        seen = f"none answers; {facts.why_no_engine_of_ours}"
        fix = answer.do if facts.docker_program else "Install and start Docker."
        return Finding(name, False, seen, fix)
    if unsuitable := _unsuitable_engine(facts):
        return unsuitable
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
    # some builds give a branch instead of a number
    if () < numbers(version) < OLDEST_ENGINE:
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


def _unsuitable_engine(facts: MachineFacts) -> Finding | None:
    """The finding about an engine that answers but can't run the labs' cluster."""
    name, seen = "engine", f"Docker {facts.docker_info['ServerVersion']}"
    if facts.elsewhere:
        return Finding(
            name,
            False,
            f"{seen}, but {facts.elsewhere}: the cluster would mount files and open ports there,"
            " not here",
            "Work on that machine itself, or use an engine of this one: unset DOCKER_HOST, and"
            " `docker context use default`.",
        )
    if facts.snap:
        return Finding(
            name,
            False,
            f"{seen} from a snap: a snap doesn't see hidden folders such as ~/.local/state, from"
            " which the node mounts a file",
            "Replace it with Docker's or your distribution's package: `snap remove docker`.",
        )
    if any("name=userns" in option for option in facts.docker_info.get("SecurityOptions") or []):
        return Finding(
            name,
            False,
            f"{seen}, with userns-remap: it rejects privileged containers that don't opt out, and"
            " the node's files would belong to shifted user ids",
            'Remove "userns-remap" from /etc/docker/daemon.json, and restart Docker.',
        )
    return None


def rights(facts: MachineFacts) -> Finding:
    if facts.answers:
        return Finding(
            "rights", True, "root" if facts.is_root else "not root, but this user may use Docker"
        )
    if facts.is_root:
        return Finding("rights", True, "root")
    return Finding(
        "rights",
        False,
        "not root, and this user may not use a Docker engine",
        facts.docker_answer.do
        if facts.docker_answer.kind == "forbidden"
        else "Start Docker, or run as root on Debian or Ubuntu.",
    )


def capabilities(facts: MachineFacts) -> Finding:
    name = "capabilities"
    if not facts.proc_status or (
        facts.answers and not facts.engine_is_ours and not (facts.is_root and facts.same_files)
    ):
        return Finding(name, True, "the engine's own, not this user's")
    foreign = facts.answers and not facts.engine_is_ours
    if not has_capability("SYS_ADMIN", facts.proc_status):
        seen = "SYS_ADMIN is missing"
        if foreign:
            return Finding(name, None, f"{seen} here; the engine may have it")
        return Finding(
            name, False, seen, "Run this machine with more rights (for a container: --privileged)."
        )
    if not has_capability("SYS_RESOURCE", facts.proc_status):
        seen = "SYS_ADMIN; SYS_RESOURCE is missing"
        if not foreign:
            return Finding(name, True, f"{seen}, and the runtime shim does without")
        return Finding(
            name,
            None,
            f"{seen} here",
            "If privileged containers fail, stop this engine: `podlab up` starts one that does"
            " without.",
        )
    return Finding(name, True, "SYS_ADMIN, SYS_RESOURCE")


def cgroups(facts: MachineFacts) -> Finding:
    name, info = "cgroups", facts.docker_info
    if facts.answers:
        fields = {
            "memory": "MemoryLimit",
            "cpu": "CpuCfsQuota",
            "cpuset": "CPUSet",
            "pids": "PidsLimit",
        }
        missing = [
            controller for controller in CONTROLLERS if info.get(fields[controller]) is False
        ]
        version = str(info.get("CgroupVersion") or "1")
    elif facts.mountinfo:
        version, offered = cgroups_of(facts.mountinfo, facts.cgroup_controllers)
        missing = [controller for controller in CONTROLLERS if controller not in offered]
    else:
        return Finding(name, None, "unknown until an engine answers")
    if missing:
        fix = (
            "Enable them on the kernel's command line (on a Raspberry Pi: cgroup_enable=memory"
            " cgroup_memory=1)."
        )
        return Finding(name, False, f"v{version}, without {', '.join(missing)}", fix)
    return Finding(
        name,
        True,
        f"v{version}" + (f", driver {info['CgroupDriver']}" if info.get("CgroupDriver") else ""),
    )


def cgroups_of(mountinfo: str, controllers: str) -> tuple[str, set[str]]:
    """The cgroup version that containers get, and its controllers. It's v2 only if nothing else is
    mounted at /sys/fs/cgroup."""
    mounts = [line.split() for line in mountinfo.splitlines()]
    kinds = {words[4]: words[words.index("-") + 1 :] for words in mounts if "-" in words}
    if kinds.get("/sys/fs/cgroup", [""])[0] == "cgroup2":
        return "2", set(controllers.split())
    return "1", {
        option for tail in kinds.values() if tail[0] == "cgroup" for option in tail[-1].split(",")
    }
