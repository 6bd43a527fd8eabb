"""A Docker engine where there is none: installed from Debian's packages, started by hand, ended
with everything it left.

An engine that this module did not start is never touched: not stopped, not configured, its network
left as it is.
"""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from labhelpers import paths
from labhelpers.cluster.progress import Step, log_lines, tail, telling_line
from labhelpers.errors import LabError, TimedOut
from labhelpers.files import lock, write_atomically

__all__ = [
    "DATA_ROOT",
    "answering_version",
    "can_start_here",
    "close_uplink",
    "endpoint",
    "engine_log",
    "has_capability",
    "start",
    "started_by_us",
    "stop",
    "uplink_packets_dropped",
]

SOCKET = "unix:///var/run/docker.sock"
DATA_ROOT = Path("/var/lib/docker")
# Not Docker's own /var/run/docker: by this path every process of an engine of ours can be told,
# even after its dockerd was killed.
EXEC_ROOT = Path("/run/podlab-engine")
RUNTIME = "podlab"
LOG_MARK = "=== started by podlab"
ENGINE_PACKAGES = ("docker.io", "iptables")
SHIM_PACKAGES = ("jq",)
BUILD_PACKAGES = (
    "debootstrap",
    "busybox-static",
    "libseccomp-dev",
    "pkg-config",
    "gcc",
    "libc6-dev",
)
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = (
    "#!/bin/sh\n# Written by podlab while it installs docker.io, and removed afterwards: it starts"
    " the engine itself.\nexit 101\n"
)


@dataclass(frozen=True)
class Record:
    """What is kept of an engine of ours: enough to know it again, and to know what it left.

    A process id alone is not enough: ids are used again, so the start time goes with it, and the
    boot it belongs to.
    """

    pid: int
    started_ticks: int
    boot_id: str
    data_root: str
    # (iptables or ip6tables, chain, device) of each rule that we added
    closed: tuple[tuple[str, str, str], ...] = ()

    @staticmethod
    def read() -> "Record | None":
        try:
            kept = json.loads(_record_path().read_text())
            return Record(**{**kept, "closed": tuple(tuple(rule) for rule in kept["closed"])})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # a half-written record tells nothing: the engine counts as not ours

    def write(self) -> None:
        write_atomically(_record_path(), json.dumps(self.__dict__))


@dataclass(frozen=True)
class Found:
    """One process of this machine, as /proc tells it."""

    pid: int
    started_ticks: int
    state: str
    command: tuple[str, ...]
    cgroups: str


def engine_log() -> Path:
    """Where the engine's own words are kept, over all its starts."""
    return paths.engine_state() / "dockerd.log"


def answering_version(timeout_seconds: float = 5) -> str:
    """The version of the engine that the docker client reaches (``DOCKER_HOST``, its context, or
    the default socket); "" if none answers.

    >>> isinstance(answering_version(), str)
    True
    """
    try:
        asked = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            stdin=subprocess.DEVNULL,
        )
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def started_by_us() -> bool:
    """Whether an engine that ``start`` started is alive."""
    return _alive(Record.read())


def can_start_here(system: str, os_release: str, is_root: bool, endpoint: str) -> str:
    """Why no engine can be started here; "" if one can.

    Args:
        system: ``platform.system()``.
        os_release: the text of /etc/os-release.
        is_root: whether this process is root.
        endpoint: where the docker client looks for an engine.

    >>> can_start_here("Linux", "ID=debian", True, "unix:///var/run/docker.sock")
    ''
    >>> can_start_here("Darwin", "", False, "")
    'this is Darwin, and only Debian and Ubuntu get an engine from us'
    """
    if system != "Linux":
        return f"this is {system}, and only Debian and Ubuntu get an engine from us"
    if not {"debian", "ubuntu"} & os_family(os_release):
        return (
            f"this Linux is {' '.join(sorted(os_family(os_release))) or 'unknown'}, and only Debian"
            " and Ubuntu get an engine from us"
        )
    if not is_root:
        return "only root can start an engine"
    if endpoint and endpoint.replace("/var/run/", "/run/") != SOCKET.replace("/var/run/", "/run/"):
        return f"the docker client looks for its engine at {endpoint}"
    return ""


def os_family(os_release: str) -> set[str]:
    """The names a Linux gives itself and its family.

    >>> sorted(os_family('ID=linuxmint' + chr(10) + 'ID_LIKE="ubuntu debian"'))
    ['debian', 'linuxmint', 'ubuntu']
    """
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    return set(
        f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', "")
        .replace("'", "")
        .split()
    )


def start(
    step: Step,
    *,
    closed: bool = False,
    building: bool = False,
    data_root: Path | None = None,
    timeout_seconds: float = 90,
) -> str:
    """See to it that a Docker engine answers: the one that is there, else one of our own.

    Where one answers already nothing is done, except that an engine of ours gets its uplink closed
    when that is asked for.

    Args:
        step: the stage this happens in.
        closed: let no packet of a container leave this machine; ``PODLAB_OFFLINE=1`` asks for the
            same.
        building: install what the build of a node image needs, too.
        data_root: where a new engine stores images and containers; default: what
            /etc/docker/daemon.json says, else /var/lib/docker.
        timeout_seconds: how long a new engine may take until it answers; the installation has
            limits of its own.

    Returns:
        The version of the engine that answers.

    Raises:
        LabError: none answers and none can be started here, the installation failed, or the engine
            ended.
        TimedOut: the engine does not answer within the limit.
    """
    closed = closed or os.environ.get("PODLAB_OFFLINE") == "1"
    if platform.system() == "Windows":
        raise LabError("The labs do not run on Windows itself.", "this is Windows", "Use WSL2.")
    with _alone(timeout_seconds):
        version = answering_version()
        if version:
            installed = building and _may_install() and _install(step, BUILD_PACKAGES)
            ours = started_by_us()
            if ours and closed:
                close_uplink()
            if not installed:
                step.skip(f"Docker {version} answers{', started by podlab' if ours else ''}")
            return version
        reason = can_start_here(*_here())
        if reason:
            raise LabError(
                "No Docker engine answers.",
                reason,
                "Start Docker (Docker Desktop, or your system's service); then run it again.",
            )
        record = Record.read()
        # One that is alive may be starting still, or dying: only when it has ended is another one
        # started.
        version = _wait_until_answers(step, record, timeout_seconds)
        if not version:
            _refuse_strange_engine(record)
            packages = (
                ENGINE_PACKAGES
                + (SHIM_PACKAGES if _needs_shim() else ())
                + (BUILD_PACKAGES if building else ())
            )
            _install(step, packages)
            version = _wait_until_answers(step, _launch(step, data_root, closed), timeout_seconds)
        if not version:
            seen = telling_line("\n".join(_last_words())) or "its log is empty"
            raise LabError(
                "The Docker engine ended as soon as it was started.",
                seen,
                f"Read {engine_log()}, then run it again.",
            )
        if closed:
            close_uplink()
        return version


def stop(*, timeout_seconds: float = 60) -> bool:
    """End the engine that ``start`` started, and everything it left: containerd, its shims, the
    processes of its containers.

    Args:
        timeout_seconds: the limit for all of it. Half of it is for the engine to stop its
            containers by itself; then they are killed.

    Returns:
        Whether there was an engine of ours, or something that one had left.

    Raises:
        TimedOut: something is still running at the limit.
    """
    deadline = time.monotonic() + timeout_seconds
    with _alone(timeout_seconds):
        record = Record.read()
        if record is None:
            return False
        if record.boot_id != _boot_id():
            # what runs since this boot is not ours, and rules of iptables do not outlive a boot
            _record_path().unlink()
            return False
        if _alive(record):
            _signal(record.pid, signal.SIGTERM)
            _poll(lambda: not _alive(record), time.monotonic() + timeout_seconds / 2)
        if _alive(record):
            _signal(record.pid, signal.SIGKILL)

        def none_left() -> bool:
            left = remains(record)
            for process in left:
                _signal(process.pid, signal.SIGKILL)
            return not left and not _alive(record)

        if not _poll(none_left, deadline):
            names = ", ".join(
                sorted(
                    {
                        f"{process.command[0] if process.command else '?'} ({process.pid})"
                        for process in remains(record)
                    }
                )
            )
            raise TimedOut(
                f"The engine did not end within {timeout_seconds:g} s.",
                f"still running: {names}",
                "Run it again.",
            )
        _unmount(
            EXEC_ROOT, *([] if _strange_engines(record) else [Path(record.data_root).resolve()])
        )
        for tool, chain, device in record.closed:
            _iptables(tool, "-D", chain, "-o", device, "-j", "DROP", check=False)
        shutil.rmtree(EXEC_ROOT, ignore_errors=True)
        _record_path().unlink(missing_ok=True)
        return True


def close_uplink() -> None:
    """Let no packet of a container leave this machine: containers reach each other and this
    machine, nothing beyond. Idempotent.

    Raises:
        LabError: the engine is not one of ours, or iptables refuses.
    """
    record = Record.read()
    if record is None or not _alive(record):
        raise LabError(
            "The uplink cannot be closed.",
            "the engine is not one that podlab started",
            "Close it where that engine is set up.",
        )
    _close(record)


def uplink_packets_dropped() -> int:
    """How many packets of containers were stopped on their way out of this machine.

    Raises:
        LabError: the uplink is not closed, so there is nothing to count.
    """
    dropped = 0
    for tool, chain, device in _wanted_rules():
        count = dropped_by_rule(_iptables(tool, "-v", "-S", chain, check=False), chain, device)
        if count is None:
            raise LabError(
                "The uplink is not closed.",
                f"{tool} has no rule that drops what leaves by {device}",
                "Start with PODLAB_OFFLINE=1.",
            )
        dropped += count
    return dropped


def dropped_by_rule(listing: str, chain: str, device: str) -> int | None:
    """The packets counted by the rule that closes a device, from the output of ``iptables -v -S
    CHAIN``; None without such a rule.

    >>> dropped_by_rule("-N DOCKER-USER -c 0 0\\n-A DOCKER-USER -o eth0 -c 7 420 -j DROP", "DOCKER-USER", "eth0")
    7
    >>> dropped_by_rule("-A DOCKER-USER -o eth1 -c 7 420 -j DROP", "DOCKER-USER", "eth0") is None
    True
    """
    counts = []
    for line in listing.splitlines():
        words = line.split()
        if (
            words[:4] == ["-A", chain, "-o", device]
            and words[-2:] == ["-j", "DROP"]
            and "-c" in words
        ):
            counts.append(int(words[words.index("-c") + 1]))
    return sum(counts) if counts else None


def uplinks(ipv4_routes: str, ipv6_routes: str = "") -> tuple[list[str], list[str]]:
    """The devices of the default routes, from the texts of /proc/net/route and
    /proc/net/ipv6_route.

    >>> uplinks("Iface Destination Gateway Flags RefCnt Use Metric Mask\\neth0 00000000 010200C0 0003 0 0 0 00000000")
    (['eth0'], [])
    """
    four = {
        words[0]
        for words in map(str.split, ipv4_routes.splitlines()[1:])
        if words[1:2] == words[7:8] == ["00000000"]
    }
    six = {
        words[-1]
        for words in map(str.split, ipv6_routes.splitlines())
        if words[:2] == ["0" * 32, "00"]
    }
    return sorted(four), sorted(six - {"lo"})


def settings(theirs: str, data_root: Path | None, shim: Path | None, private_cgroups: bool) -> dict:
    """The daemon's settings: what /etc/docker/daemon.json says (mirrors, addresses), and over it
    what must be ours.

    Raises:
        LabError: the text is not a JSON object.

    >>> settings("", None, None, True)["data-root"]
    '/var/lib/docker'
    """
    try:
        ours = json.loads(theirs or "{}")
        kept = ours.get("data-root")
    except (ValueError, AttributeError) as error:
        raise LabError(
            "The engine cannot start.",
            f"/etc/docker/daemon.json is not a JSON object: {error}",
            "Mend or move that file.",
        ) from error
    ours |= {
        "hosts": [SOCKET],
        "data-root": str(data_root or kept or DATA_ROOT),
        "exec-root": str(EXEC_ROOT),
        "pidfile": str(EXEC_ROOT / "docker.pid"),
    }
    if private_cgroups:
        ours["default-cgroupns-mode"] = "private"
    if shim:
        ours["runtimes"] = {**ours.get("runtimes", {}), RUNTIME: {"path": str(shim)}}
        ours["default-runtime"] = RUNTIME
    return ours


def has_capability(name: str, proc_status: str) -> bool:
    """Whether a capability is within what a process may ever have (its bounding set,
    capabilities(7)).

    Args:
        name: SYS_ADMIN or SYS_RESOURCE.
        proc_status: the text of /proc/self/status; without the line CapBnd nothing is known to be
            missing.

    >>> has_capability("SYS_RESOURCE", "CapBnd:\\t000001ffffffffff"), has_capability("SYS_RESOURCE", "CapBnd:\\t000001fffeffffff")
    (True, False)
    """
    bit = {"SYS_ADMIN": 21, "SYS_RESOURCE": 24}[name]
    bounding = [line.split()[1] for line in proc_status.splitlines() if line.startswith("CapBnd:")]
    return not bounding or bool(int(bounding[0], 16) >> bit & 1)


def processes(proc: Path = Path("/proc")) -> Iterator[Found]:
    """Every process that is there, zombies and the kernel's own left out."""
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            found = _process(folder)
            if found and found.state != "Z" and found.command:
                yield found
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended while we looked


def remains(record: Record, proc: Path = Path("/proc")) -> list[Found]:
    """What is there of an engine of ours beside its dockerd: containerd, shims, and the processes
    of its containers."""
    ids = _container_ids()
    # Somebody may have started an engine of their own over the data of ours that had ended: then
    # its containers are theirs.
    ids = set() if _strange_engines(record, proc) else ids
    return [
        process
        for process in processes(proc)
        if process.pid != os.getpid() and _belongs(process, ids)
    ]


def _container_ids() -> set[str]:
    """The containers that run, or ran, under our own EXEC_ROOT; never read from a data folder,
    which another engine may use as well."""
    kept = [
        *EXEC_ROOT.glob("containerd/*"),
        *EXEC_ROOT.glob("containerd/daemon/*/moby/*"),
        *EXEC_ROOT.glob("runtime-*/moby/*"),
    ]
    return {folder.name for folder in kept if re.fullmatch("[0-9a-f]{64}", folder.name)}


def _strange_engines(record: Record | None, proc: Path = Path("/proc")) -> list[Found]:
    ids = _container_ids()  # an engine inside a container of ours is no stranger
    known = record.pid if record else 0
    return [
        process
        for process in processes(proc)
        if Path(process.command[0]).name == "dockerd"
        and process.pid != known
        and not _belongs(process, ids)
    ]


def _belongs(process: Found, ids: Iterable[str]) -> bool:
    if any(word == str(EXEC_ROOT) or word.startswith(f"{EXEC_ROOT}/") for word in process.command):
        return True
    # Both cgroup drivers: /docker/ID and docker-ID.scope. Shims stand outside of these, and name
    # the container.
    shim_of = process.command if Path(process.command[0]).name.startswith("containerd-shim") else ()
    return any(
        f"/{name}" in process.cgroups or f"docker-{name}" in process.cgroups or name in shim_of
        for name in ids
    )


def _process(folder: Path) -> Found | None:
    stat = (folder / "stat").read_text(errors="replace")
    after_name = stat.rpartition(")")[2].split()  # the name may hold spaces and brackets
    command = tuple(
        (folder / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    )
    cgroups = (folder / "cgroup").read_text(errors="replace")
    return Found(
        int(folder.name),
        int(after_name[19]),
        after_name[0],
        command if command != ("",) else (),
        cgroups,
    )


def _alive(record: Record | None) -> bool:
    if record is None or record.boot_id != _boot_id():
        return False
    try:
        found = _process(Path("/proc") / str(record.pid))
    except (FileNotFoundError, ProcessLookupError):
        return False
    return found is not None and found.started_ticks == record.started_ticks and found.state != "Z"


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _record_path() -> Path:
    return paths.engine_state() / "engine.json"


def _needs_shim() -> bool:
    return not has_capability("SYS_RESOURCE", Path("/proc/self/status").read_text())


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _here() -> tuple[str, str, bool, str]:
    return (
        platform.system(),
        _text(Path("/etc/os-release")),
        os.geteuid() == 0,
        endpoint(),
    )


def endpoint() -> str:
    """Where the docker client looks for its engine; "" if there is no client, or it does not
    say."""
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    command = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=5, stdin=subprocess.DEVNULL
        ).stdout.strip()
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return ""


def _refuse_strange_engine(record: Record | None) -> None:
    for process in _strange_engines(record):
        raise LabError(
            "A Docker engine is running that podlab did not start, and it does not answer.",
            f"{' '.join(process.command)} (process {process.pid})",
            "Look into its log, or stop it; then run it again.",
        )


def _may_install() -> bool:
    return not why_no_packages()


def why_no_packages() -> str:
    """Why nothing can be installed and built here; "" if it can."""
    release = _text(Path("/etc/os-release"))
    return can_start_here(platform.system(), release, os.geteuid() == 0, "")


def missing_packages(names: Sequence[str], dpkg_listing: str) -> list[str]:
    """Which packages are not installed, from lines of ``STATUS PACKAGE`` as dpkg-query prints them.

    >>> missing_packages(["jq", "gcc"], "installed jq\\nconfig-files gcc")
    ['gcc']
    """
    installed = {
        line.split()[1] for line in dpkg_listing.splitlines() if line.startswith("installed ")
    }
    return [name for name in names if name not in installed]


def _missing(names: Sequence[str]) -> list[str]:
    command = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *names]
    return missing_packages(
        names, subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    )


def _install(step: Step, names: Sequence[str]) -> bool:
    """Install what is missing of some packages; whether anything was."""
    # An engine from elsewhere (docker-ce) serves as well, and Debian's package would push it out.
    wanted = [
        name
        for name in names
        if not (name == "docker.io" and shutil.which("dockerd", path=_path()))
    ]
    missing = _missing(wanted)
    log = paths.engine_state() / "install.log"
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "PATH": _path()}
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120"]

    def install(packages: Sequence[str]) -> None:
        with _no_services():
            step.run(
                [*apt, "install", "--no-install-recommends", *packages],
                log=log,
                timeout_seconds=900,
                env=env,
            )

    if missing:
        step.say(f"installing {' '.join(missing)}")
        trouble = None
        try:
            step.run([*apt, "update"], log=log, timeout_seconds=300, env=env)
        except LabError as error:
            # one broken source among many need not matter: whether it does, the installation tells
            trouble = error
        try:
            install(missing)
        except LabError as error:
            raise trouble or error from None
    if "docker.io" in names and shutil.which("docker", path=_path()) is None:
        install(["docker-cli"])  # newer releases keep the client in a package of its own
        return True
    return bool(missing)


@contextmanager
def _no_services() -> Iterator[None]:
    # Without this the package would start an engine of its own, without the shim, and one that we
    # may not touch.
    if POLICY.exists() and POLICY.read_text() != POLICY_TEXT:
        yield
        return
    POLICY.write_text(POLICY_TEXT)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def _path() -> str:
    # A user's PATH may lack the sbin folders, where dockerd, iptables and runc are.
    return os.pathsep.join(
        dict.fromkeys(
            [
                *os.environ.get("PATH", os.defpath).split(os.pathsep),
                "/usr/local/sbin",
                "/usr/sbin",
                "/sbin",
            ]
        )
    )


def _launch(step: Step, data_root: Path | None, closed: bool) -> Record:
    state = paths.engine_state()
    state.mkdir(parents=True, exist_ok=True)
    EXEC_ROOT.mkdir(parents=True, exist_ok=True)
    shim = None
    if _needs_shim():
        # A copy, because the engine outlives a checkout that is moved or deleted.
        shim = state / "runtime-shim"
        shutil.copyfile(paths.repository() / "kind" / "engine" / "runtime-shim", shim)
        shim.chmod(0o755)
    theirs = Path("/etc/docker/daemon.json")
    env = {
        name: value
        for name, value in os.environ.items()
        if name.upper().endswith("_PROXY") or name in ("HOME", "TMPDIR", "LANG")
    }
    env["PATH"] = _path()
    offered = subprocess.run(
        ["dockerd", "--help"], capture_output=True, text=True, timeout=30, env=env
    ).stdout
    private = "--default-cgroupns-mode" in offered and Path("/proc/self/ns/cgroup").exists()
    chosen = settings(theirs.read_text() if theirs.exists() else "", data_root, shim, private)
    config = state / "daemon.json"
    config.write_text(json.dumps(chosen, indent=2) + "\n")
    # A pid file that an engine left when it was killed can name another process by now, and the new
    # one would believe it.
    (EXEC_ROOT / "docker.pid").unlink(missing_ok=True)
    if not any(
        Path(process.command[0]).name == "containerd"
        for process in processes()
        if _belongs(process, ())
    ):
        (EXEC_ROOT / "containerd" / "containerd.pid").unlink(missing_ok=True)
    step.say("starting dockerd")
    old = Record.read()
    record = Record(
        0,
        0,
        _boot_id(),
        chosen["data-root"],
        old.closed if old and old.boot_id == _boot_id() else (),
    )
    record.write()
    if closed:
        # before the engine is there, because it may start containers of its last life at once
        record = _close(record)
    with engine_log().open("ab") as log:
        log.write(f"{LOG_MARK} {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
        log.flush()
        process = subprocess.Popen(
            ["dockerd", "--config-file", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=env,
            start_new_session=True,
        )
    found = _process(Path("/proc") / str(process.pid))
    record = replace(record, pid=process.pid, started_ticks=found.started_ticks if found else 0)
    record.write()
    return record


def _wait_until_answers(step: Step, record: Record | None, timeout_seconds: float) -> str:
    """The version of an engine of ours once it answers; "" if it has ended."""
    version = ""
    if not _alive(record):
        return version

    def settled() -> bool:
        nonlocal version
        version = answering_version()
        step.say((_last_words() or ["waiting until it answers"])[-1])
        return bool(version) or not _alive(record)

    if not _poll(settled, time.monotonic() + timeout_seconds, pause_seconds=0.2):
        seen = telling_line("\n".join(_last_words())) or "its log is empty"
        raise TimedOut(
            f"The Docker engine does not answer after {timeout_seconds:g} s.",
            seen,
            f"Read {engine_log()}, then run it again.",
        )
    return version


def _last_words() -> list[str]:
    """What the engine has said since its newest start, as messages without the fields around
    them."""
    words = log_lines(tail(engine_log()).rpartition(LOG_MARK)[2])[1:]
    return [
        (
            found["message"]
            if (found := re.search(r'msg="(?P<message>(?:[^"\\]|\\.)*)"', line))
            else line
        )
        for line in words
    ]


def _wanted_rules() -> list[tuple[str, str, str]]:
    four, six = (Path("/proc/net") / name for name in ("route", "ipv6_route"))
    devices = uplinks(four.read_text(), six.read_text() if six.exists() else "")
    # Docker keeps DOCKER-USER for rules of the machine's owner, but for IPv4 only.
    return [("iptables", "DOCKER-USER", device) for device in devices[0]] + [
        ("ip6tables", "FORWARD", device) for device in devices[1]
    ]


def _close(record: Record) -> Record:
    missing = [rule for rule in _wanted_rules() if not _closed(rule)]
    # Recorded first: a rule that is there but not recorded would stay for good.
    record = replace(record, closed=tuple(sorted({*record.closed, *missing})))
    record.write()
    for tool, chain, device in missing:
        if chain == "DOCKER-USER":
            _iptables(tool, "-N", chain, check=False)  # there already, once an engine has run
        _iptables(tool, "-I", chain, "-o", device, "-j", "DROP")
    return record


def _closed(rule: tuple[str, str, str]) -> bool:
    tool, chain, device = rule
    return (
        dropped_by_rule(_iptables(tool, "-v", "-S", chain, check=False), chain, device) is not None
    )


def _iptables(tool: str, *words: str, check: bool = True) -> str:
    try:
        done = subprocess.run(
            [tool, "-w", "5", *words],
            capture_output=True,
            text=True,
            timeout=15,
            env={**os.environ, "PATH": _path()},
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise LabError(
            "The uplink cannot be closed or read.",
            str(error),
            "Install iptables; then run it again.",
        ) from error
    if check and done.returncode:
        raise LabError(
            "The uplink cannot be closed.",
            f"{tool} {' '.join(words)}: {done.stderr}",
            "Run `podlab doctor`.",
        )
    return done.stdout


def _unmount(*roots: Path) -> None:
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        source, place = (word.encode().decode("unicode_escape") for word in line.split()[3:5])
        # The engine binds its data folder onto itself, and a killed one leaves that, too. A disk
        # mounted there is not touched.
        if any(place.startswith(f"{root}/") or place == source == str(root) for root in roots):
            subprocess.run(["umount", "-l", place], capture_output=True, timeout=15)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _poll(goal: Callable[[], bool], deadline: float, pause_seconds: float = 0.1) -> bool:
    while not goal():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_seconds)
    return True


def _alone(timeout_seconds: float) -> AbstractContextManager[None]:
    """One podlab command at a time works on the engine."""
    path = paths.engine_state() / "lock"
    return lock(
        path,
        "Another podlab command is busy with the Docker engine.",
        timeout_seconds=timeout_seconds,
    )
