"""``make test``: everything, in order, on a cluster of its own; at the end a table of what ran, and
what did not and why.

python -m tests.run          all
python -m tests.run unit     what needs no cluster
python -m tests.run clean    the clusters of the tests, and an engine that podlab started for them,
are ended
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from labhelpers.cluster import docker, lifecycle
from labhelpers.paths import ClusterFiles
from tests import BROWSERS, CLUSTER, HALF, ROOM
from tests.labs import NOTEBOOKS, WRITTEN

REPOSITORY = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PODLAB_CLUSTER": CLUSTER}
UNIT = ["ruff", "format", "unit"]
# What is beside tests/unit is there for its examples.
EXAMPLES = ["labhelpers", "benchmarks/table.py", "docs/write_readme.py", "tests/side_by_side.py"]
# Most of a test on a cluster is waiting: four at a time keep two cores busy.
SIDE_BY_SIDE = ["-p", "tests.side_by_side", "--numprocesses=4"]
# With a worker for each lab all begin at once, and there would be no order to turn round.
FEWER = [*SIDE_BY_SIDE[:2], "--numprocesses=2"]


@dataclass
class Part:
    """One command of the run, and what came of it."""

    name: str
    command: list[str]
    code: int | None = None
    seconds: float = 0
    counts: Counter = field(default_factory=Counter)
    skipped: Counter = field(default_factory=Counter)

    def run(self, report: Path) -> None:
        print(f"\n=== {self.name}", flush=True)
        command = (
            [*self.command, f"--junitxml={report}"] if "pytest" in self.command else self.command
        )
        begin = time.monotonic()
        try:
            self.code = subprocess.call(command, cwd=REPOSITORY, env=ENVIRONMENT)
        except KeyboardInterrupt:
            self.code = 130
            raise
        finally:
            self.seconds = time.monotonic() - begin
        if report.exists():
            self.read(report)

    def read(self, report: Path) -> None:
        for case in ElementTree.parse(report).iter("testcase"):
            skip = case.find("skipped")
            if skip is not None:
                self.skipped[skip.get("message", "no reason").splitlines()[0]] += 1
            failed = case.find("failure") is not None or case.find("error") is not None
            self.counts["skipped" if skip is not None else "failed" if failed else "passed"] += 1

    def line(self) -> str:
        outcome = (
            "not run"
            if self.code is None
            else "passed"
            if self.code == 0
            else f"FAILED ({self.code})"
        )
        told = ", ".join(
            f"{self.counts[name]} {name}"
            for name in ("passed", "failed", "skipped")
            if self.counts[name]
        )
        return f"{self.name:<22} {outcome:<12} {self.seconds:>6.0f} s  {told}"


def parts() -> list[Part]:
    """Which tests run with nothing beside them, the tests say themselves (the mark ``alone``), and
    of a lab claims.yaml (``needs``)."""
    python, pytest = [sys.executable, "-m"], [sys.executable, "-m", "pytest", "-q"]
    strict = [
        *pytest,
        "--durations=10",
        "-p",
        "tests.notebooks.plugin",
        *(str(NOTEBOOKS / name) for name in WRITTEN),
    ]
    everything = [*strict, "tests/cluster", "tests/browser"]
    return [
        *browser(),
        Part("ruff", [*python, "ruff", "check", "."]),
        Part("format", [*python, "ruff", "format", "--check", "."]),
        Part("unit", [*pytest, *SIDE_BY_SIDE, "--doctest-modules", *EXAMPLES, "tests/unit"]),
        Part("cluster up", [*python, "labhelpers.cli", "up"]),
        Part("side by side", [*everything, "-m", "not alone", *SIDE_BY_SIDE]),
        Part("one by one", [*everything, "-m", "alone"]),
        Part("labs again", [*strict, "-m", "not alone", "--backwards", *FEWER]),
        Part("one by one, backwards", [*strict, "-m", "alone", "--backwards"]),
        Part("cluster down", [*python, "labhelpers.cli", "down"]),
    ]


def browser() -> list[Part]:
    """A Chromium where there is none and apt-get can fetch it. Elsewhere the tests that need one
    skip, and say why."""
    if any(map(shutil.which, BROWSERS)) or not shutil.which("apt-get") or os.geteuid() != 0:
        return []
    install = (
        "DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends chromium"
        " fonts-dejavu-core"
    )
    return [Part("browser", ["sh", "-c", f"apt-get -q update && {install}"])]


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else "all"
    if wanted == "clean":
        return clean()
    if wanted not in ("all", "unit"):
        print(
            f"There is no part {wanted}.\nSeen: {wanted}\nDo:   Name unit or clean, or nothing for"
            " all.",
            file=sys.stderr,
        )
        return 2
    chosen = [part for part in parts() if wanted == "all" or part.name in UNIT]
    folder = Path(tempfile.mkdtemp(prefix="podlab-test-"))
    # What a reader has written into notebooks/mine must not change what the notebooks show here.
    ENVIRONMENT["PODLAB_MINE"] = str(folder / "mine")
    try:
        for number, part in enumerate(chosen):
            broken = any(other.code for other in chosen if other.name == "cluster up")
            if not broken or part.name == "cluster down":
                part.run(folder / f"{number}.xml")
    except KeyboardInterrupt:
        print("\nInterrupted: `python -m tests.run clean` ends what is left.")
    finally:
        shutil.rmtree(folder)
        print("\n" + table(chosen))
    return 0 if all(part.code == 0 for part in chosen) else 1


def table(chosen: list[Part]) -> str:
    """What ran, and what did not and why."""
    lines = [part.line() for part in chosen]
    reasons = sum((part.skipped for part in chosen), Counter())
    why = (
        "there is no cluster"
        if any(part.code for part in chosen if part.name == "cluster up")
        else "the run was interrupted before"
    )
    left_out = [f"  all of {part.name}: {why}" for part in chosen if part.code is None]
    left_out += [f"  {count:>3} × {reason}" for reason, count in sorted(reasons.items())]
    return "\n".join(
        [*lines, "", "Not run here, and why:" if left_out else "Nothing was left out.", *left_out]
    )


def clean() -> int:
    """End what the tests may have left, whatever ended them."""
    subprocess.call(
        [sys.executable, "-m", "labhelpers.cli", "down"], cwd=REPOSITORY, env=ENVIRONMENT
    )
    for name in (HALF, ROOM):
        # Not by `down`: a test may have had its state in a folder that is gone.
        docker.run(
            "rm",
            "--force",
            "--volumes",
            ClusterFiles(name).container,
            timeout_seconds=120,
            check=False,
        )
    lifecycle.stop_engine()
    return 0


if __name__ == "__main__":
    sys.exit(main())
