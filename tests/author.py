"""``make check LAB=02`` and ``make try LAB=02``: what CI will say of one lab, before the commit.

check   the rules, the manifests, the claims, the prose and the proofs: seconds, no cluster
try     the lab run and stored twice, the second time without a difference; README; its exercises
"""

import difflib
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from labhelpers import paths, stored
from labhelpers.cli import notebook_of
from labhelpers.errors import LabError

UNIT = paths.repository() / "tests" / "unit"
OF_ALL_LABS = ["notebooks", "form", "claims", "prose", "lab_manifests", "readme"]
WRITE_README = "docs/write_readme.py"
LINES, LETTERS = 12, 160  # shown of each cell that differs, and of each line
EXERCISES = paths.repository() / "tests" / "cluster" / "test_exercises.py"


def check(path: Path) -> int:
    """The exit code of the tests that need no cluster."""
    files = [UNIT / f"test_{name}.py" for name in OF_ALL_LABS]
    # A lab has proofs, and proofs have a test: without that file pytest fails.
    return _pytest(*files, UNIT / f"test_proofs_{path.name[:2]}.py")


def try_out(path: Path) -> int:
    """The exit code of the lab's exercises, once the lab has been stored twice."""
    for change in stored.refresh(path, pictures="new"):
        print(change)
    once = path.read_bytes()
    stored.refresh(path)
    if told := list(differences(once, path.read_bytes())):
        print(*told, sep="\n")
        cells = [line for line in told if not line.startswith(" ")]
        raise LabError(
            f"{path.name} was stored twice, and the two differ.",
            "; ".join(cells),
            "The lines are above: - is the first run, + the second. Say in words what is the same"
            " in both, or give a table that depends on chance the tag by-chance.",
        )
    print(f"{path.name}: stored twice, without a difference")
    subprocess.run([sys.executable, WRITE_README], cwd=paths.repository(), check=True)
    return _pytest(EXERCISES, "-k", f"{path.name[:2]}-")


def differences(first: bytes, second: bytes) -> Iterator[str]:
    """Which cells of a notebook differ between two files, and below each the lines that do.

    >>> def book(said):
    ...     cell = {"source": "pod.phase", "outputs": [{"text": said}]}
    ...     return json.dumps({"cells": [{"source": "# Lab"}, cell]}).encode()
    >>> print(*differences(book("Pending"), book("Running")), sep="\\n")
    cell 1, pod.phase
      -"text": "Pending"
      +"text": "Running"
    >>> list(differences(book("Running"), book("Running")))
    []
    """
    books = [json.loads(each) for each in (first, second)]
    pairs = zip(*(book["cells"] for book in books), strict=True)
    for number, cells in enumerate(pairs):
        if cells[0] == cells[1]:
            continue
        yield f"cell {number}, {next(iter(''.join(cells[1]['source']).splitlines()), '(empty)')}"
        texts = [json.dumps(each, indent=0, ensure_ascii=False).splitlines() for each in cells]
        changed = [
            line
            for line in difflib.unified_diff(*texts, n=0)
            if line[:3] not in ("---", "+++") and line[:2] != "@@"
        ]
        for line in changed[:LINES]:
            yield f"  {textwrap.shorten(line, LETTERS, placeholder=' …')}"
        if len(changed) > LINES:
            yield f"  … and {len(changed) - LINES} lines more"
    outside = [{**book, "cells": []} for book in books]
    if outside[0] != outside[1]:
        yield "the notebook's metadata"


def _pytest(*arguments: str | Path) -> int:
    command = [sys.executable, "-m", "pytest", "-q", *map(str, arguments)]
    return subprocess.run(command, cwd=paths.repository(), check=False).returncode


def main(arguments: list[str]) -> int:
    verbs = {"check": check, "try": try_out}
    try:
        return verbs[arguments[0]](notebook_of(arguments[1] or "(no LAB)"))
    except LabError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
