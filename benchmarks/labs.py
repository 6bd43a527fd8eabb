"""Each lab from its first cell to its last, against what in it is waiting: for Kubernetes alone,
and for what is measured as well."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from benchmarks.measures import running_cluster
from benchmarks.table import Result
from labhelpers import paths
from labhelpers.cluster import progress
from labhelpers.stored import CELL_TIMEOUT_SECONDS, use_sockets

__all__ = ["labs", "length"]

# Runs before the lab's own first cell. Whatever waits for a change in the API comes through
# wait_until; kubectl waits in its own process.
WATCH = """
import json, time

imposed, measured = [], []


def _watch():  # in a function, so that no cell of the lab takes one of these names away
    import functools, importlib, pkgutil
    import labhelpers
    from labhelpers.kube import waiting
    from labhelpers.measure.samples import Samples
    from labhelpers.slider import Slider

    def watched(act, spans):
        @functools.wraps(act)
        def timed(*words, **named):
            begin = time.monotonic()
            try:
                return act(*words, **named)
            finally:
                spans.append((begin, time.monotonic()))
        return timed

    told = watched(waiting.wait_until, imposed)
    for found in pkgutil.walk_packages(labhelpers.__path__, "labhelpers."):
        module = importlib.import_module(found.name)
        if hasattr(module, "wait_until"):
            module.wait_until = told
    Slider.finish = watched(Slider.finish, measured)
    begin, end, begun = Samples.__enter__, Samples.__exit__, {}

    def enter(self):
        found = begin(self)
        begun[self] = time.monotonic()
        return found

    def leave(self, *error):
        measured.append((begun.pop(self), time.monotonic()))
        return end(self, *error)

    Samples.__enter__, Samples.__exit__ = enter, leave


_watch()
"""
TELL = "with open({path!r}, 'w') as file: json.dump([imposed, measured], file)"


def labs(rounds: int) -> list[Result]:
    """Wall time of Run All, without the start of the kernel, against the waits in it. Two rows for
    each lab.

    A wait for Kubernetes is one for a change in the API. What is measured by looking on for a while
    (samples, the slider's sequence) takes as long as it does by intention. Not told apart from
    work: ``sleep`` and loops that a cell runs by kubectl, of which lab 12 has most.
    """
    found = []
    with running_cluster():
        for path in sorted((paths.repository() / "notebooks").glob("[0-9][0-9]_*.ipynb")):
            walls, waits, intended = [], [], []
            with progress.step(f"lab {path.stem}") as step:
                for number in range(rounds):
                    step.say(f"round {number + 1} of {rounds}")
                    wall, imposed, measured = run(path)
                    walls.append(wall)
                    waits.append(length(imposed))
                    intended.append(length([*imposed, *measured]))
            title = f"lab {path.stem}"
            found.append(
                Result(
                    f"{title}: its waits for Kubernetes",
                    "ratio",
                    tuple(walls),
                    tuple(waits),
                    goal=1.2,
                )
            )
            found.append(
                Result(
                    f"{title}: with what it looks on at",
                    "ratio",
                    tuple(walls),
                    tuple(intended),
                    goal=1.2,
                )
            )
    return found


def run(path: Path) -> tuple[float, list, list]:
    """(seconds from the first cell's begin to the last one's end, spans of the waits for
    Kubernetes, spans of measuring)."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="podlab-bench-") as folder:
        spans = Path(folder) / "spans.json"
        notebook.cells = [
            nbformat.v4.new_code_cell(WATCH),
            *notebook.cells,
            nbformat.v4.new_code_cell(TELL.format(path=str(spans))),
        ]
        moments: list[float] = []  # when each code cell had run
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=CELL_TIMEOUT_SECONDS,
            resources={"metadata": {"path": str(path.parent)}},
            on_cell_complete=lambda cell, cell_index: moments.append(time.monotonic()),
        )
        use_sockets(client.create_kernel_manager(), folder)
        client.execute(stderr=subprocess.DEVNULL, env={**os.environ, "PODLAB_MINE": folder})
        imposed, measured = json.loads(spans.read_text())
    return moments[-2] - moments[0], imposed, measured


def length(spans: list) -> float:
    """Seconds that are covered by spans, which may lie over each other."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(map(tuple, spans)):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total
