"""Runs the loop that samples a container on the node: starts it, and reads what it prints.

One exec stream runs ``samples.pl``, started before the container exists. The loop finds the
container by the names that containerd writes beside it, so it needs no further input. Its cost
comes from the kernel's own accounting (``/proc/PID/schedstat``).
"""

import re
import secrets
import shlex
import threading
import time
from importlib import resources
from typing import NamedTuple

from labhelpers.errors import LabError
from labhelpers.kube.client import MARK
from labhelpers.kube.exec import Lines
from labhelpers.node import cgroups
from labhelpers.node.node import Node
from labhelpers.node.processes import Clock
from labhelpers.patience import patient

__all__ = ["INTERVAL_SECONDS", "Loop", "Row"]

INTERVAL_SECONDS = 0.019
BATCH_SECONDS = 0.2
START_SECONDS = 20  # a node under full load starts an exec within a few seconds
JOIN_SECONDS = 15.0
QUESTIONS = 3

# A directory for each container that containerd runs, with its names in config.json before it has a
# cgroup.
BUNDLES = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"
KERNEL_LOG = "/dev/kmsg"
# In its own cgroup, the loop's priority would count only against the Pod that it runs in. These
# cgroups have the node's own programs: version 1's root, and a leaf that systemd makes on version
# 2, whose root can't contain processes.
HIGHER = ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/init.scope")


class Row(NamedTuple):
    """One sample; ``seconds`` by the node's clock, since 1970."""

    seconds: float
    memory_bytes: int | None
    memory_peak_bytes: int | None
    memory_limit_bytes: int | None
    cpu_usage_seconds: float | None
    periods: int | None
    throttled_periods: int | None
    throttled_seconds: float | None
    run: int


class Loop:
    """The loop on the node, from ``start`` to ``end``.

    Args:
        node: the node from the inside.
        namespace, pod_name, container: which container is sampled.
        limit_seconds: the longest time that it may take, in seconds.

    Attributes:
        rows: the samples so far.
        runs: the ids of the containers that were sampled, one after the other.
        costs: (moment, CPU time so far), in microseconds and nanoseconds.
        markers: what it wrote to the kernel's log: the time before and after, by the text.
        clock: the node's clock compared with ours, from questions that the loop answered.
        stamps: those answers, in the form of ``Clock.between``.
        cut: whether it reached its limit.
        error: what ended it too early, or None.
    """

    def __init__(
        self, node: Node, namespace: str, pod_name: str, container: str, limit_seconds: float
    ):
        self._node, self._limit_seconds = node, limit_seconds
        self._names = {
            "sandbox-namespace": namespace,
            "sandbox-name": pod_name,
            "container-name": container,
        }
        self.token = f"{MARK} marker {secrets.token_hex(4)}"
        self.rows: list[Row] = []
        self.runs: list[str] = []
        self.costs: list[tuple[int, int]] = []
        self.markers: dict[str, tuple[float, float]] = {}
        self.clock = Clock(0.0, 0.0)
        self.stamps: list[tuple[float, float, float]] = []
        self.cut = False
        self.error: BaseException | None = None
        self._files: tuple[list[str], list[str]] = ([], [])
        self._directories: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._missing: list[str] = []
        self._lines: Lines | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def prepare(self) -> str:
        """Checks which files it can sample. Returns them as words for a shell, for all containers
        at once.

        Raises:
            LabError: the node has no cgroups for its Pods, or a controller is missing.
        """
        self._directories = self._node.own_directories
        self._files = cgroups.sampled(self._directories)
        roots = cgroups.pods_root(self._directories)
        if not roots:
            raise LabError(
                "The Pods' cgroups weren't found on the node.",
                f"no kubepods in {next(iter(self._directories.values()))}",
                "Make a fresh node: `podlab down`, then `podlab up`.",
            )
        files = [path for files in self._files for path in files]
        root = {
            path: next(
                each for key, each in roots.items() if path.startswith(self._directories[key] + "/")
            )
            for path in files
        }
        return " ".join(f"{root[path]}/*/*/{_name(path)}" for path in files)

    def start(self, *, new: bool) -> None:
        """Starts to sample.

        Args:
            new: the Pod doesn't exist yet. If there's a container of its name, it belongs to an
                earlier Pod, and may outlive that for a while.

        Raises:
            LabError: it didn't start, or doesn't find the files to sample.
        """
        limit_seconds = self._limit_seconds + 2 * patient(START_SECONDS)
        script = self._script() + (" new" if new else "")
        self._lines = self._node.stream(script, timeout_seconds=limit_seconds)
        self._begin()
        name = f"{MARK}-samples-{self._names['sandbox-name']}"
        self._thread = threading.Thread(target=self._read, name=name, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def end(self) -> None:
        """Ends the loop, then the thread, then the connection."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(patient(JOIN_SECONDS))
            if self._thread.is_alive():
                self.close()
                self._thread.join(patient(JOIN_SECONDS))
                self.error = LabError(
                    "The samples didn't end.",
                    f"no end within {patient(JOIN_SECONDS):g} s",
                    "Run the cell again.",
                )
        self.close()

    def close(self) -> None:
        """Ends it at once."""
        if self._lines is not None:
            self._lines.close()

    def _script(self) -> str:
        """The command of the loop, with its names and paths. The container's own part of each path
        is the same under every controller."""
        always, in_turn = self._files
        roots = cgroups.pods_root(self._directories)
        controller, root = next((key, roots[key]) for key in ("memory", "", *roots) if key in roots)
        below = self._directories[controller].removeprefix(root)
        place = {path: path.removesuffix(f"{below}/{_name(path)}") for path in (*always, *in_turn)}
        names = [f'"io.kubernetes.cri.{key}":"{name}"' for key, name in self._names.items()]
        words = [
            BUNDLES,
            KERNEL_LOG,
            " ".join(HIGHER),
            root,
            below,
            self.token,
            f"{self._limit_seconds * 1e6:.0f}",
            f"{INTERVAL_SECONDS * 1e6:.0f}",
            f"{BATCH_SECONDS * 1e6:.0f}",
            "\n".join(names),
            *(
                "\n".join(f"{place[path]}\t{_name(path)}" for path in paths)
                for paths in (always, in_turn)
            ),
        ]
        return f'exec perl -e {shlex.quote(_program())} "$(uname -m)" {shlex.join(words)}'

    def _begin(self) -> None:
        """Reads until the loop has started and has answered a few questions. It reads in the
        calling thread, because no other thread reads yet."""
        impatience = threading.Timer(patient(START_SECONDS), self._lines.close)
        impatience.name, impatience.daemon = f"{MARK}-samples-begin", True
        impatience.start()
        try:
            for number in range(QUESTIONS):
                self.stamps.append(self._ask(str(number)))
        finally:
            impatience.cancel()
            impatience.join()
        self.clock = Clock.between(self.stamps)

    def _ask(self, question: str) -> tuple[float, float, float]:
        """Asks the loop; returns when it was sent (our clock), answered (the node's) and received
        (ours)."""
        sent = time.time()
        self._lines.send(f"{question}\n")
        while True:
            kind, words = self._next()
            if kind == "p" and words[0] == question:
                return sent, int(words[1]) / 1e6, time.time()
            if self._missing:
                path = self._missing[0]
                raise LabError(
                    "The node can't measure this: a cgroup controller is missing.",
                    f"no file {path}",
                    f"Enable the controller {_name(path).partition('.')[0]} on the kernel's command"
                    " line, or run this lab on another machine.",
                )
            if kind in ("z", ""):
                raise self._broken()

    def _next(self) -> tuple[str, list[str]]:
        line = next(self._lines, None)
        return ("", []) if line is None else self._take(line)

    def _read(self) -> None:
        try:
            asked = False
            while True:
                if self._stop.is_set() and not asked:
                    self._lines.end_stdin()
                    asked = True
                kind, _ = self._next()
                if kind == "z":
                    return
                if not kind:
                    raise self._broken()
        except BaseException as error:
            self.error = error

    def _take(self, line: str) -> tuple[str, list[str]]:
        """Stores one line of the loop."""
        kind, *words = line.split(" ", 2)
        if kind == "s":
            self._sample(int(words[0]), words[1])
        elif kind == "b" and words[1] not in self.runs:
            self.runs.append(words[1])
            self._texts.clear()
        elif kind == "c":
            self.costs.append((int(words[0]), int(words[1])))
        elif kind == "k":
            before, after = words[1].split()
            self.markers[f"{self.token}.{words[0]}"] = (int(before) / 1e6, int(after) / 1e6)
        elif kind == "m":
            self._missing.append(words[0])
        elif kind == "x":
            self.cut = True
        return kind, words

    def _sample(self, at: int, text: str) -> None:
        always, in_turn = self._files
        *values, turn, value = text.split("|")
        self._texts.update(zip(always, values, strict=True))
        if turn:
            self._texts[in_turn[int(turn)]] = value
        found = cgroups.measure(self._directories, self._texts)
        self.rows.append(
            Row(
                at / 1e6,
                found.memory_bytes,
                found.memory_peak_bytes,
                found.memory_limit_bytes,
                found.cpu_seconds,
                found.periods,
                found.throttled_periods,
                found.throttled_seconds,
                len(self.runs),
            )
        )

    def _broken(self) -> LabError:
        seen = self._lines.stderr.strip()[-200:] or "the loop in the node ended without a word"
        return LabError(
            "The samples stopped too early.",
            seen,
            "Check the cluster with `podlab status`. Then run the cell again.",
        )


def _program() -> str:
    """The loop's program without its comments, because the program travels in a URL."""
    text = resources.files(__package__).joinpath("samples.pl").read_text(encoding="utf-8")
    return re.sub(r"^ *# .*\n|^#\n", "", text, flags=re.MULTILINE)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
