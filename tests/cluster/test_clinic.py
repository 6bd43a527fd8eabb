"""The routine of lab 19, and ``lab.diagnose``, on faults that are injected in an order drawn by
lot, with healthy Pods beside them. docs/testing.md says how to do it ten times."""

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest

from labhelpers import paths, start
from labhelpers.proofs import Proofs
from tests.faults import TIMES, manifests

pytestmark = [pytest.mark.cluster, pytest.mark.rota(group="load"), pytest.mark.timeout(600)]

TOOLS = Proofs("19-troubleshooting").module
HEALTHY = ("running", "completed", "with-sidecar", "in-init", "one-ended")
FOUND_SECONDS = 150.0


@pytest.fixture(scope="module")
def seconds() -> Iterator[dict[str, list[float]]]:
    """For each cause, after how many seconds it was found. ``pytest -s`` shows it at the end."""
    found: dict[str, list[float]] = defaultdict(list)
    yield found
    print("\n\ncause, how often it was found, in which seconds")
    for cause in TOOLS.CAUSES:
        first, last = min(found[cause], default=0), max(found[cause], default=0)
        print(f"  {cause:14} {len(found[cause])} of {TIMES}  {first:6.1f} to {last:.1f} s")


def why(lab, name: str) -> tuple[int, str]:
    """What ``podlab why`` says at a terminal, with its exit code."""
    command = [sys.executable, "-m", "labhelpers.cli", "why", name, "-n", lab.namespace]
    command += ["--cluster", paths.cluster_name()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("number", range(TIMES))
def test_the_routine_finds_every_injected_fault(number, seconds):
    lab = start(f"clinic-{number}")
    try:
        for body in (body for name in HEALTHY for body in manifests(name, node="")):
            body["metadata"]["namespace"] = lab.namespace
            lab.connection.apply(body)
        clinic = TOOLS.admit(lab, seed=number)
        targets = {name: TOOLS.asked_about(name, clinic.has(name)) for name in clinic.names}
        began, waiting, wrong = time.monotonic(), set(targets), set()
        while waiting and time.monotonic() - began < FOUND_SECONDS:
            for name in sorted(waiting):
                cause, found = clinic.has(name), lab.diagnose(targets[name])
                if TOOLS.CAUSES[cause] in found.verdict:
                    waiting.discard(name)
                    seconds[cause].append(time.monotonic() - began)
                elif found:
                    wrong.add(f"{cause}: {found.verdict}")
            wrong |= {str(found) for name in HEALTHY if (found := lab.diagnose(name))}
            time.sleep(0.5)
        print(f"\nclinic {number}, found on the way:", *(wrong or ["nothing wrong"]), sep="\n  ")
        assert not waiting, [str(lab.diagnose(targets[name])) for name in sorted(waiting)]
        assert not wrong

        TOOLS.wait_for_symptoms(lab, clinic)
        shown = TOOLS.n5(lab, clinic)
        assert "found 13 of 13 injected causes, with at most 3 commands" in shown.sentence, (
            shown.what
        )
        assert "lab.diagnose found 13 of 13" in shown.sentence, shown.what
        for name, target in targets.items():
            code, said = why(lab, target)
            assert code == 1 and TOOLS.CAUSES[clinic.has(name)] in said, said
        for name in HEALTHY:
            code, said = why(lab, name)
            assert code == 0, said
    finally:
        lab.finish()
