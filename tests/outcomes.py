"""What came of the commands of a run: read from pytest's reports, and told in a table at the
end."""

import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from tests.labs import LABS

REPOSITORY = Path(__file__).resolve().parent.parent
FLAKY_AT_MOST, RUN_AGAIN_AT_MOST = 2, 6
# The tests ran, and some of them failed; other codes are of runs that broke off.
TESTS_FAILED = 1
FAILURE_LINES = 5
# nbval colours its words, and pytest writes the code of the colour out.
COLOURS = re.compile(r"#x1B\[[\d;]*m")


@dataclass(frozen=True)
class Case:
    """One test, or one cell of a lab."""

    file: str
    name: str
    seconds: float = 0
    failure: str | None = None
    skip: str | None = None

    @property
    def target(self) -> str:
        """What is run again when this fails. A lab as a whole: its next kernel has none of what the
        cells before have made.

        >>> Case("notebooks/02_pause.ipynb", "Cell 3").target
        'notebooks/02_pause.ipynb'
        >>> Case("tests/cluster/test_pods.py", "test_it[a::b]").target
        'tests/cluster/test_pods.py::test_it[a::b]'
        """
        return self.file if self.file.endswith(".ipynb") else f"{self.file}::{self.name}"


def read(report: Path) -> list[Case]:
    """The cases of a report of pytest, in its form xunit1: that alone names the file."""
    found = []
    for case in ElementTree.parse(report).iter("testcase"):
        skip, bad = (
            case.find("skipped"),
            next(
                (case.find(tag) for tag in ("failure", "error") if case.find(tag) is not None), None
            ),
        )
        found.append(
            Case(
                case.get("file", ""),
                case.get("name", ""),
                float(case.get("time", 0)),
                None
                if bad is None
                else COLOURS.sub("", bad.text or bad.get("message", "")).strip(),
                None if skip is None else skip.get("message", "no reason").splitlines()[0],
            )
        )
    return found


@dataclass
class Part:
    """One command of the run, and what came of it.

    Args:
        name, command: a pytest gets a report to write.
        environment: what differs from the environment of the others.
        once_more: what fails is run a second time, after all else.
        meanwhile: the next part runs beside it, and its output is shown after that.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    once_more: bool = False
    meanwhile: bool = False
    code: int | None = None
    seconds: float = 0
    cases: list[Case] = field(default_factory=list)

    def run(self, environment: dict[str, str], report: Path, output: IO | None = None) -> None:
        print(f"\n=== {self.name}", flush=True)
        command = [*self.command]
        if "pytest" in command:
            command += [f"--junitxml={report}", "-o", "junit_family=xunit1"]
        begin = time.monotonic()
        try:
            self.code = subprocess.call(
                command,
                cwd=REPOSITORY,
                env=environment | self.environment,
                stdout=output,
                stderr=output,
            )
        except KeyboardInterrupt:
            self.code = 130
            raise
        finally:
            self.seconds = time.monotonic() - begin
        if report.exists():
            self.cases = read(report)

    @property
    def failed(self) -> set[str]:
        """The targets that failed."""
        return {case.target for case in self.cases if case.failure is not None}

    def line(self, flaky: Iterable[str] = ()) -> str:
        if self.code is None:
            outcome = "not run"
        elif self.code == 0:
            outcome = "passed"
        else:
            outcome = "flaky" if self.passes(flaky) else f"FAILED ({self.code})"
        counts = Counter(
            "failed" if case.failure is not None else "skipped" if case.skip else "passed"
            for case in self.cases
        )
        told = ", ".join(
            f"{counts[name]} {name}" for name in ("passed", "failed", "skipped") if counts[name]
        )
        return f"{self.name:<28} {outcome:<12} {self.seconds:>6.0f} s  {told}".rstrip()

    def passes(self, flaky: Iterable[str] = ()) -> bool:
        """Whether all went well, or what failed passed the second time.

        What a failed test has left behind counts as its own; what one that passed has left behind
        fails the part.
        """
        if self.code == TESTS_FAILED and self.failed:
            return self.once_more and self.failed <= set(flaky)
        return self.code == 0


@dataclass
class Run:
    """All parts of a run, in order; ``again`` is the one that runs a second time what failed."""

    parts: list[Part]
    left_to_others: list[str] = field(default_factory=list)
    again: Part | None = None
    seconds: float = 0

    @property
    def has_no_cluster(self) -> bool:
        return any(part.code for part in self.parts if part.name == "cluster up")

    @property
    def suspects(self) -> dict[str, str]:
        """What failed and may be run a second time, each with its first failure's text."""
        found: dict[str, str] = {}
        for part in self.parts:
            for case in part.cases if part.once_more else ():
                if case.failure is not None:
                    found.setdefault(case.target, f"{case.name}: {case.failure}")
        return found

    @property
    def flaky(self) -> dict[str, str]:
        """The suspects that passed the second time."""
        if self.again is None or self.again.code not in (0, TESTS_FAILED):
            return {}
        passed = {
            case.target for case in self.again.cases if case.failure is None and case.skip is None
        }
        return {
            target: text
            for target, text in self.suspects.items()
            if target in passed - self.again.failed
        }

    @property
    def code(self) -> int:
        """The run's exit code."""
        good = len(self.flaky) <= FLAKY_AT_MOST and all(
            part.passes(self.flaky) for part in self.parts if part is not self.again
        )
        return 0 if good else 1

    def table(self) -> str:
        """What ran and how long it took; what did not, and why; what failed only once."""
        flaky = self.flaky
        lines = [part.line(flaky) for part in self.parts]
        lines += [f"{'all':<41} {self.seconds:>6.0f} s", *self._labs(), *self._flaky(flaky)]
        return "\n".join([*lines, "", *self._left_out()])

    def _labs(self) -> list[str]:
        """Each lab's seconds beside its budget. They fail nothing."""
        lines = []
        for lab, facts in sorted(LABS.items()):
            file, budget = f"notebooks/{facts.get('notebook')}", facts.get("seconds")
            took = next(filter(None, (_seconds(part, file) for part in self.parts)), None)
            if took:
                lines.append(f"  {lab} {took:>6.0f} s" + (f" of {budget} s" if budget else ""))
        return ["", "The labs, of their budget in claims.yaml:", *lines] if lines else []

    def _flaky(self, flaky: dict[str, str]) -> list[str]:
        lines = []
        for target, text in flaky.items():
            lines += ["", f"FLAKY: {target} failed, then passed. It is a bug, to be fixed."]
            lines += [f"    {line}" for line in _telling(text)]
        if len(flaky) > FLAKY_AT_MOST:
            lines += ["", f"FAILED: {len(flaky)} are flaky; at most {FLAKY_AT_MOST} may be."]
        twice = sorted(set(self.suspects) - set(flaky))
        how = "FAILED, and not run a second time" if self.again is None else "FAILED twice"
        for target in twice:
            lines += [f"{how}: {target}"]
            lines += [f"    {line}" for line in _telling(self.suspects[target])]
        return lines

    def _left_out(self) -> list[str]:
        why = "there is no cluster" if self.has_no_cluster else "the run was interrupted before"
        reasons = Counter(case.skip for part in self.parts for case in part.cases if case.skip)
        lines = [f"  all of {part.name}: {why}" for part in self.parts if part.code is None]
        lines += [f"  {count:>3} × {reason}" for reason, count in sorted(reasons.items())]
        if self.left_to_others:
            names = ", ".join(self.left_to_others)
            lines.append(f"  rota, other commits' turn (`make test-all` runs them): {names}")
        return ["Not run here, and why:", *lines] if lines else ["Nothing was left out."]


def _telling(text: str) -> list[str]:
    """The few lines of a failure that say what went wrong: all failures are told at the end of the
    run, and who reads a CI's log sees only its end.

    >>> _telling("test_it: def test_it():\\n> assert 1 == 2\\nE   assert 1 == 2\\n\\ntests/x.py:3")
    ['test_it: def test_it():', 'E   assert 1 == 2']
    >>> _telling("Cell 3: Notebook cell execution failed\\n\\nTraceback:\\n\\nLabError: It's gone.")
    ['Cell 3: Notebook cell execution failed', 'Traceback:', "LabError: It's gone."]
    """
    first, *lines = [line for line in text.splitlines() if line.strip()] or [""]
    errors = [line for line in lines if re.match(r"[\s|]*E  ", line)]
    return [first, *(errors or lines)[-FAILURE_LINES:]]


def _seconds(part: Part, file: str) -> float:
    return sum(case.seconds for case in part.cases if case.file == file)
