"""``make check LAB=02`` and ``make try LAB=02``: what CI will say of one lab, before the commit.

check   the rules, the manifests, the claims, the prose and the proofs: seconds, no cluster
try     the lab run and stored twice, the second time without a difference; README; its exercises
"""

import subprocess
import sys
from pathlib import Path

from labhelpers import paths, stored
from labhelpers.cli import notebook_of
from labhelpers.errors import LabError

UNIT = paths.repository() / "tests" / "unit"
OF_ALL_LABS = ["notebooks", "form", "claims", "prose", "lab_manifests", "readme"]
WRITE_README = "docs/write_readme.py"
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
    if path.read_bytes() != once:
        raise LabError(
            f"{path.name} was stored twice, and the two differ.",
            "something in it changes from run to run",
            f"Run it once more, and look at git diff {path.name}.",
        )
    print(f"{path.name}: stored twice, without a difference")
    subprocess.run([sys.executable, WRITE_README], cwd=paths.repository(), check=True)
    return _pytest(EXERCISES, "-k", f"{path.name[:2]}-")


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
