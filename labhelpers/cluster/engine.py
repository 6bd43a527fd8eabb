"""Starts a Docker engine where there is none, from Debian's packages, and ends it with everything
that it left.

An engine that this module did not start is never touched: it isn't stopped or configured, and its
network stays as it is.
"""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path

from labhelpers import paths
from labhelpers.cluster import docker, engine_record, packages, uplink
from labhelpers.cluster.engine_record import Record, boot_id, is_alive
from labhelpers.cluster.progress import Step, log_lines, tail, telling_line
from labhelpers.errors import LabError, TimedOut
from labhelpers.files import lock
from labhelpers.patience import advice, patient

__all__ = [
    "DATA_ROOT",
    "can_start_here",
    "endpoint",
    "engine_log",
    "has_capability",
    "needs_shim",
    "start",
    "started_by_us",
    "stop",
    "why_no_packages",
]

SOCKET = "unix:///var/run/docker.sock"
DATA_ROOT = Path("/var/lib/docker")
RUNTIME = "podlab"
LOG_MARK = "=== started by podlab"


def engine_log() -> Path:
    """The file that holds the engine's log, over all its starts."""
    return paths.engine_state() / "dockerd.log"


def started_by_us() -> bool:
    """Whether an engine that ``start`` started is alive."""
    return is_alive(Record.read())


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
    'this is Darwin, and podlab starts an engine only on Debian and Ubuntu'
    """
    if system != "Linux":
        return f"this is {system}, and podlab starts an engine only on Debian and Ubuntu"
    if not {"debian", "ubuntu"} & os_family(os_release):
        return (
            f"this Linux is {' '.join(sorted(os_family(os_release))) or 'unknown'}, and podlab"
            " starts an engine only on Debian and Ubuntu"
        )
    if not is_root:
        return "only root can start an engine"
    if endpoint and endpoint.replace("/var/run/", "/run/") != SOCKET.replace("/var/run/", "/run/"):
        return f"the docker client looks for its engine at {endpoint}"
    return ""


def os_family(os_release: str) -> set[str]:
    """The names that a Linux distribution gives itself and its family.

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
    """Makes sure that a Docker engine answers: the one that is there, else one of our own.

    If one answers already, nothing is done, except that an engine of ours gets its uplink closed
    on request.

    Args:
        step: the stage this happens in.
        closed: let no packet of a container leave this machine; ``PODLAB_OFFLINE=1`` does the
            same.
        building: also install what the build of a node image needs.
        data_root: where a new engine stores images and containers; default: what
            /etc/docker/daemon.json says, else /var/lib/docker.
        timeout_seconds: how long a new engine may take until it answers, which ``PODLAB_PATIENCE``
            multiplies; the installation has limits of its own.

    Returns:
        The version of the engine that answers.

    Raises:
        LabError: none answers and none can be started here, the docker client can't work, the
            installation failed, or the engine ended.
        TimedOut: the engine didn't answer within the limit.
    """
    closed = closed or os.environ.get("PODLAB_OFFLINE") == "1"
    if platform.system() == "Windows":
        raise LabError("The labs don't run on Windows itself.", "this is Windows", "Use WSL2.")
    timeout_seconds = patient(timeout_seconds)
    with _alone(timeout_seconds):
        answer = docker.ask()
        if version := answer.version:
            installed = building and _may_install() and packages.install(step, packages.BUILD)
            ours = started_by_us()
            if ours and closed:
                uplink.close()
            if not installed:
                step.skip(f"Docker {version} answers{', started by podlab' if ours else ''}")
            return version
        record = Record.read()
        if answer.no_engine_helps:
            raise answer.error()
        if answer.kind == "slow" and not is_alive(record):
            _refuse_foreign_engine(record)
            raise answer.error()
        reason = can_start_here(*_here())
        if reason:
            raise LabError(answer.happened, f"{reason}; docker says: {answer.trouble}", answer.do)
        # One that is alive may still be starting, or dying. Another one is started only after it
        # has ended.
        version = _wait_until_answers(step, record, timeout_seconds)
        if not version:
            _refuse_foreign_engine(record)
            wanted = packages.ENGINE + (packages.SHIM if needs_shim() else ())
            packages.install(step, wanted + (packages.BUILD if building else ()))
            version = _wait_until_answers(step, _launch(step, data_root, closed), timeout_seconds)
        if not version:
            seen = telling_line("\n".join(_last_words())) or "its log is empty"
            raise LabError(
                "The Docker engine ended as soon as it was started.",
                seen,
                f"Read {engine_log()} for the reason, then run the command again.",
            )
        if closed:
            uplink.close()
        return version


def stop(*, timeout_seconds: float = 60) -> bool:
    """Ends the engine that ``start`` started, and everything it left: containerd, its shims, the
    processes of its containers.

    Args:
        timeout_seconds: the limit for all of it, which ``PODLAB_PATIENCE`` multiplies. Half of it
            is for the engine to stop its containers by itself; then they are killed.

    Returns:
        Whether there was an engine of ours, or something that one had left.

    Raises:
        TimedOut: something is still running at the limit.
    """
    timeout_seconds = patient(timeout_seconds)
    deadline = time.monotonic() + timeout_seconds
    with _alone(timeout_seconds):
        record = Record.read()
        if record is None:
            return False
        if record.boot_id != boot_id():
            # what has run since this boot isn't ours, and iptables rules don't survive a reboot
            engine_record.record_path().unlink()
            return False
        if is_alive(record):
            _signal(record.pid, signal.SIGTERM)
            _poll(lambda: not is_alive(record), time.monotonic() + timeout_seconds / 2)
        if is_alive(record):
            _signal(record.pid, signal.SIGKILL)

        def none_left() -> bool:
            left = engine_record.remains(record)
            for process in left:
                _signal(process.pid, signal.SIGKILL)
            return not left and not is_alive(record)

        if not _poll(none_left, deadline):
            left = engine_record.remains(record)
            names = ", ".join(sorted(f"{each.command[0]} ({each.pid})" for each in left))
            raise TimedOut(
                f"The Docker engine didn't end within {timeout_seconds:g} s.",
                f"still running: {names}",
                advice("Run the command again."),
            )
        _unmount(
            engine_record.EXEC_ROOT,
            *([] if engine_record.foreign_engines(record) else [Path(record.data_root).resolve()]),
        )
        uplink.open_again(record)
        shutil.rmtree(engine_record.EXEC_ROOT, ignore_errors=True)
        engine_record.record_path().unlink(missing_ok=True)
        return True


def settings(theirs: str, data_root: Path | None, shim: Path | None, private_cgroups: bool) -> dict:
    """The daemon's settings: those of /etc/docker/daemon.json (mirrors, addresses), overridden by
    those that podlab needs.

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
            "The Docker engine can't start.",
            f"/etc/docker/daemon.json is not a JSON object: {error}",
            "Correct or move that file.",
        ) from error
    ours |= {
        "hosts": [SOCKET],
        "data-root": str(data_root or kept or DATA_ROOT),
        "exec-root": str(engine_record.EXEC_ROOT),
        "pidfile": str(engine_record.EXEC_ROOT / "docker.pid"),
    }
    if private_cgroups:
        ours["default-cgroupns-mode"] = "private"
    if shim:
        ours["runtimes"] = {**ours.get("runtimes", {}), RUNTIME: {"path": str(shim)}}
        ours["default-runtime"] = RUNTIME
    return ours


def has_capability(name: str, proc_status: str) -> bool:
    """Whether a process can ever have a capability: whether it's in the bounding set, see
    capabilities(7).

    Args:
        name: SYS_ADMIN or SYS_RESOURCE.
        proc_status: the text of /proc/self/status; without a line CapBnd the answer is True.

    >>> has_capability("SYS_RESOURCE", "CapBnd:\\t000001ffffffffff")
    True
    >>> has_capability("SYS_RESOURCE", "CapBnd:\\t000001fffeffffff")
    False
    """
    bit = {"SYS_ADMIN": 21, "SYS_RESOURCE": 24}[name]
    bounding = [line.split()[1] for line in proc_status.splitlines() if line.startswith("CapBnd:")]
    return not bounding or bool(int(bounding[0], 16) >> bit & 1)


def needs_shim() -> bool:
    return not has_capability("SYS_RESOURCE", Path("/proc/self/status").read_text(encoding="utf-8"))


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
    """Where the docker client looks for its engine; "" if there is no client, or it doesn't say."""
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    command = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=patient(docker.ASK_SECONDS),
            stdin=subprocess.DEVNULL,
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _refuse_foreign_engine(record: Record | None) -> None:
    for process in engine_record.foreign_engines(record):
        raise LabError(
            "A Docker engine that podlab didn't start is running, and it doesn't answer.",
            f"{' '.join(process.command)} (process {process.pid})",
            "Read its log, or stop it; then run the command again.",
        )


def _may_install() -> bool:
    return not why_no_packages()


def why_no_packages() -> str:
    """Why nothing can be installed and built here; "" if it can."""
    release = _text(Path("/etc/os-release"))
    return can_start_here(platform.system(), release, os.geteuid() == 0, "")


def _launch(step: Step, data_root: Path | None, closed: bool) -> Record:
    state = paths.engine_state()
    state.mkdir(parents=True, exist_ok=True)
    engine_record.EXEC_ROOT.mkdir(parents=True, exist_ok=True)
    shim = None
    if needs_shim():
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
    env["PATH"] = packages.search_path()
    offered = subprocess.run(
        ["dockerd", "--help"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=patient(30),
        env=env,
    ).stdout
    private = "--default-cgroupns-mode" in offered and Path("/proc/self/ns/cgroup").exists()
    chosen = settings(
        theirs.read_text(encoding="utf-8") if theirs.exists() else "", data_root, shim, private
    )
    config = state / "daemon.json"
    config.write_text(json.dumps(chosen, indent=2) + "\n")
    # The pid file of a killed engine can name another process by now, and the new engine would
    # believe it.
    (engine_record.EXEC_ROOT / "docker.pid").unlink(missing_ok=True)
    if not any(
        process.program == "containerd"
        for process in engine_record.processes()
        if engine_record.belongs(process, ())
    ):
        (engine_record.EXEC_ROOT / "containerd" / "containerd.pid").unlink(missing_ok=True)
    step.say("starting dockerd")
    old = Record.read()
    record = Record(
        0,
        0,
        boot_id(),
        chosen["data-root"],
        old.closed if old and old.boot_id == boot_id() else (),
    )
    record.write()
    if closed:
        # before the engine is there, because it may start containers of its last run at once
        record = uplink.close_for(record)
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
    started = engine_record.started_ticks(process.pid)
    record = replace(record, pid=process.pid, started_ticks=started)
    record.write()
    return record


def _wait_until_answers(step: Step, record: Record | None, timeout_seconds: float) -> str:
    """Waits until an engine of ours answers; returns its version, "" if it has ended."""
    answer = docker.Answer()
    if not is_alive(record):
        return ""

    def settled() -> bool:
        nonlocal answer
        answer = docker.ask()
        step.say((_last_words() or ["waiting until it answers"])[-1])
        return bool(answer.version) or not is_alive(record)

    if not _poll(settled, time.monotonic() + timeout_seconds, pause_seconds=0.2):
        if answer.no_engine_helps:
            raise answer.error()
        seen = telling_line("\n".join(_last_words())) or "its log is empty"
        raise TimedOut(
            f"The Docker engine didn't answer within {timeout_seconds:g} s.",
            seen,
            advice(f"Read {engine_log()} for the reason, then run the command again."),
        )
    return answer.version


def _last_words() -> list[str]:
    """The engine's messages since its newest start, without the fields around them."""
    words = log_lines(tail(engine_log()).rpartition(LOG_MARK)[2])[1:]
    return [
        (
            found["message"]
            if (found := re.search(r'msg="(?P<message>(?:[^"\\]|\\.)*)"', line))
            else line
        )
        for line in words
    ]


def _unmount(*roots: Path) -> None:
    for line in reversed(Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()):
        source, place = (word.encode().decode("unicode_escape") for word in line.split()[3:5])
        # The engine bind-mounts its data folder onto itself, and a killed one leaves that mount. A
        # disk mounted there stays.
        if any(place.startswith(f"{root}/") or place == source == str(root) for root in roots):
            subprocess.run(["umount", "-l", place], capture_output=True, timeout=patient(15))


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
    """Locks the engine: one podlab command at a time works on it."""
    path = paths.engine_state() / "lock"
    return lock(
        path,
        "Another podlab command is busy with the Docker engine.",
        timeout_seconds=timeout_seconds,
    )
