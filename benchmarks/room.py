"""A room on one machine: what each participant's cluster takes, idle and in a lab, and when the
last one is ready."""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.table import Result
from labhelpers import paths
from labhelpers.cluster import docker, engine, image, progress
from labhelpers.cluster.progress import Step
from labhelpers.errors import LabError
from labhelpers.paths import ClusterFiles
from labhelpers.polling import poll

__all__ = ["amount", "room"]

LAB = "02_pause.ipynb"
UP_SECONDS, LAB_SECONDS, DOWN_SECONDS = 900, 900, 300
# Caches are filled and controllers have found what there is.
SETTLE_SECONDS, IDLE_SECONDS = 60, 30
UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
SHAPE = "{{.Name}} {{.CPUPerc}} {{.MemUsage}}"


@dataclass(frozen=True)
class Take:
    """What one cluster takes at one moment: CPU in percent of one processor, memory in bytes."""

    cpu: float
    memory: float


def room(people: int) -> list[Result]:
    """Brings up a cluster for each participant at once, looks at them while nothing happens, and
    then while lab 02 runs in all of them at once.

    Memory is what ``docker stats`` says: what the node's container uses, without the cache of files
    that weren't read again. https://docs.docker.com/reference/cli/docker/container/stats/

    Args:
        people: how many participants.
    """
    with progress.step("Docker engine") as step:
        engine.start(step)
    image.use_programs(image.node_image())
    names = [f"podlab-room-{number + 1}" for number in range(people)]
    try:
        with progress.step(f"{people} clusters at once") as step:
            up = _side_by_side(names, lambda name: _podlab(step, "up", name))
            step.say("settling")
            time.sleep(SETTLE_SECONDS)
            step.say("idle")
            idle = _watch(names, lambda seconds: seconds >= IDLE_SECONDS)
        with progress.step(f"{LAB} in {people} clusters at once"):
            took, kernels, busy = _labs(names)
    finally:
        with progress.step("the clusters are deleted") as step:
            _side_by_side(names, lambda name: _podlab(step, "down", name))
    beside = f"{people} at once"
    return [
        Result(f"a cluster for each, {beside}: until it's usable", "median", tuple(up)),
        Result("the last of them", "median", (max(up),)),
        Result("memory of an idle cluster", "median", _of(idle, "memory", max), unit="B"),
        Result("CPU of an idle cluster", "median", _of(idle, "cpu", statistics.mean), unit="%"),
        Result(
            "memory of a cluster in a lab, at most", "median", _of(busy, "memory", max), unit="B"
        ),
        Result("CPU of a cluster in a lab", "median", _of(busy, "cpu", statistics.mean), unit="%"),
        Result("memory of a lab's kernel, at most", "median", tuple(kernels), unit="B"),
        Result(f"lab 02, {beside}", "median", tuple(took)),
    ]


def _podlab(step: Step, command: str, name: str) -> None:
    words = [sys.executable, "-m", "labhelpers.cli", command, "--cluster", name]
    log = paths.cache() / "logs" / f"benchmarks-{name}.log"
    step.run(words, log=log, timeout_seconds=UP_SECONDS if command == "up" else DOWN_SECONDS)


def _side_by_side(names: Iterable[str], act) -> list[float]:
    """Acts on all at once; the seconds that each took."""

    def timed(name: str) -> float:
        begin = time.perf_counter()
        act(name)
        return time.perf_counter() - begin

    names = list(names)
    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(timed, names))


def _watch(names: list[str], enough) -> dict[str, list[Take]]:
    """What each takes, again and again, until it's enough."""
    taken: dict[str, list[Take]] = {name: [] for name in names}
    containers = {ClusterFiles(name).container: name for name in names}
    begin = time.monotonic()
    while not enough(time.monotonic() - begin):
        told = docker.run("stats", "--no-stream", "--format", SHAPE, *containers)
        for line in told.splitlines():
            container, cpu, memory = line.split(maxsplit=2)
            taken[containers[container]].append(Take(float(cpu.rstrip("%")), amount(memory)))
    return taken


def _labs(names: list[str]) -> tuple[list[float], list[float], dict[str, list[Take]]]:
    """Runs the lab in all clusters at once. The seconds of each, the most memory of its processes,
    and what the clusters took meanwhile."""
    with tempfile.TemporaryDirectory(prefix="podlab-room-") as folder:
        running, begin = {}, time.perf_counter()
        took: dict[str, float] = {}
        most = dict.fromkeys(names, 0.0)
        for name in names:
            log = Path(folder) / f"{name}.log"
            home = {"PODLAB_CLUSTER": name, "PODLAB_MINE": str(Path(folder) / name)}
            with log.open("wb") as output:
                running[name] = subprocess.Popen(
                    [sys.executable, "-m", "jupyter", "execute", LAB],
                    cwd=paths.notebooks(),
                    env={**os.environ, **home},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )

        def all_ended(seconds: float) -> bool:
            for name, process in running.items():
                if process.poll() is None:
                    most[name] = max(most[name], _resident(process.pid))
                else:
                    took.setdefault(name, time.perf_counter() - begin)
            return len(took) == len(names) or seconds > LAB_SECONDS

        try:
            busy = _watch(names, all_ended)
        finally:
            for process in running.values():
                process.terminate()
            poll(
                lambda: all(process.poll() is not None for process in running.values()),
                timeout_seconds=30,
            )
        for name, process in running.items():
            if process.returncode:
                lines = (Path(folder) / f"{name}.log").read_text(errors="replace").splitlines()
                seen = next((line for line in reversed(lines) if line.strip()), "no message")
                raise LabError(f"{LAB} failed in {name}.", seen, "Run it alone in that cluster.")
    return [took[name] for name in names], [most[name] for name in names], busy


def _resident(pid: int) -> float:
    """The memory of a process and of all below it, in bytes."""
    total = 0.0
    try:
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            total += each.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # it has ended meanwhile
    return total


def _of(taken: dict[str, list[Take]], what: str, of_all) -> tuple[float, ...]:
    return tuple(of_all([getattr(take, what) for take in takes]) for takes in taken.values())


def amount(memory: str) -> float:
    """Bytes out of what ``docker stats`` prints.

    >>> amount("1.5GiB / 23.54GiB"), amount("512KiB / 1GiB")
    (1610612736.0, 524288.0)
    """
    number, unit = re.match(r"([\d.]+)([A-Za-z]+)", memory).groups()
    return float(number) * UNITS[unit]
