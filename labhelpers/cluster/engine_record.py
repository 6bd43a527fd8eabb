"""Tells which Docker engine is podlab's, and which processes belong to it. Ends nothing."""

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from labhelpers import paths
from labhelpers.files import write_atomically

__all__ = [
    "EXEC_ROOT",
    "EngineProcess",
    "Record",
    "belongs",
    "boot_id",
    "foreign_engines",
    "is_alive",
    "processes",
    "record_path",
    "remains",
    "started_ticks",
]

# Not Docker's own /var/run/docker: this path marks every process of an engine of ours, even after
# its dockerd was killed.
EXEC_ROOT = Path("/run/podlab-engine")
# psutil counts from the time of the boot, which is known to a second.
SAME_START_SECONDS = 2


@dataclass(frozen=True)
class Record:
    """What is kept about an engine of ours: enough to recognise it, and what it left.

    A process id alone is not enough, because ids are reused. The start time and the boot go with
    it.

    Attributes:
        pid: dockerd's.
        started_ticks: when it started, see :func:`started_ticks`.
        boot_id: the boot that it belongs to.
        data_root: where it stores images and containers.
        closed: (iptables or ip6tables, chain, device) of each rule that we added.
    """

    pid: int
    started_ticks: int
    boot_id: str
    data_root: str
    closed: tuple[tuple[str, str, str], ...] = ()

    @staticmethod
    def read() -> "Record | None":
        """Reads the record; None if there is none, or if it can't be read: then the engine counts
        as not ours."""
        try:
            kept = json.loads(record_path().read_text(encoding="utf-8"))
            return Record(**{**kept, "closed": tuple(tuple(rule) for rule in kept["closed"])})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self) -> None:
        write_atomically(record_path(), json.dumps(self.__dict__))


@dataclass(frozen=True)
class EngineProcess:
    """One process of this machine: its id, its command line, and the text of /proc/PID/cgroup."""

    pid: int
    command: tuple[str, ...]
    cgroups: str = ""

    @property
    def program(self) -> str:
        return Path(self.command[0]).name


def record_path() -> Path:
    return paths.engine_state() / "engine.json"


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def started_ticks(pid: int) -> int:
    """When a process started, in clock ticks since the boot, so that setting the clock changes
    nothing; 0 if it has ended.

    >>> started_ticks(os.getpid()) > 0
    True
    """
    try:
        seconds = psutil.Process(pid).create_time() - psutil.boot_time()
    except psutil.NoSuchProcess:
        return 0
    return round(seconds * os.sysconf("SC_CLK_TCK"))


def is_alive(record: Record | None) -> bool:
    """Whether the recorded dockerd runs: the same process, not only the same number."""
    if record is None or record.boot_id != boot_id():
        return False
    try:
        if psutil.Process(record.pid).status() == psutil.STATUS_ZOMBIE:
            return False
    except psutil.NoSuchProcess:
        return False
    difference = abs(started_ticks(record.pid) - record.started_ticks)
    return difference <= SAME_START_SECONDS * os.sysconf("SC_CLK_TCK")


def processes() -> Iterator[EngineProcess]:
    """Every process of this machine, except zombies and the kernel's own."""
    for process in psutil.process_iter(["cmdline"]):
        command = tuple(process.info["cmdline"] or ())
        if not command:  # zombies and the kernel's own have none
            continue
        try:
            cgroups = Path(f"/proc/{process.pid}/cgroup").read_text(
                encoding="utf-8", errors="replace"
            )
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended while we looked
        yield EngineProcess(process.pid, command, cgroups)


def remains(record: Record) -> list[EngineProcess]:
    """What an engine of ours runs apart from dockerd: containerd, shims, and the processes of its
    containers."""
    # After ours had ended, somebody may have started an engine of their own on the same data: then
    # its containers are theirs.
    ids = set() if foreign_engines(record) else _container_ids()
    return [each for each in processes() if each.pid != os.getpid() and belongs(each, ids)]


def foreign_engines(record: Record | None) -> list[EngineProcess]:
    """The engines of this machine that podlab didn't start."""
    ids = _container_ids()  # an engine inside a container of ours is ours
    known = record.pid if record else 0
    return [
        process
        for process in processes()
        if process.program == "dockerd" and process.pid != known and not belongs(process, ids)
    ]


def _container_ids() -> set[str]:
    """The containers that run, or ran, under our own EXEC_ROOT. Never read from a data folder,
    because another engine may use it too."""
    kept = [
        *EXEC_ROOT.glob("containerd/*"),
        *EXEC_ROOT.glob("containerd/daemon/*/moby/*"),
        *EXEC_ROOT.glob("runtime-*/moby/*"),
    ]
    return {folder.name for folder in kept if re.fullmatch("[0-9a-f]{64}", folder.name)}


def belongs(process: EngineProcess, ids: Iterable[str]) -> bool:
    """Whether a process belongs to an engine of ours whose containers have these ids."""
    root = str(EXEC_ROOT)
    if any(word == root or word.startswith(f"{root}/") for word in process.command):
        return True
    # Both cgroup drivers: /docker/ID and docker-ID.scope. Shims are outside of these, and name the
    # container.
    shim_of = process.command if process.program.startswith("containerd-shim") else ()
    return any(
        f"/{name}" in process.cgroups or f"docker-{name}" in process.cgroups or name in shim_of
        for name in ids
    )
