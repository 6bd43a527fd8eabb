"""The Python environment of a checkout, made by a bare Python: ``python3 -m
labhelpers.cluster.environment``. Standard library only.

An active conda or virtual environment is used (conda's base is not: it belongs to conda itself),
else ``.venv`` in the checkout.
"""

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

# A bare Python of any age runs this; older ones cannot read the imports below.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        f"This Python is too old.\nSeen: {sys.version.split()[0]} at {sys.executable}\n"
        "Do:   Install Python 3.11, 3.12 or 3.13, or name it: make PYTHON=python3.12 …"
    )

from labhelpers import files, paths
from labhelpers.cluster import progress
from labhelpers.errors import LabError

__all__ = ["main"]

REPOSITORY = paths.repository()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m labhelpers.cluster.environment",
        description="Make the environment; print nothing but stages.",
    )
    parser.add_argument(
        "--python", action="store_true", help="only print the path of the environment's Python"
    )
    parser.add_argument("--test", action="store_true", help="with what the tests need")
    parser.add_argument(
        "--bundle", type=Path, help="take the packages from this bundle, not from the network"
    )
    options = parser.parse_args(arguments)
    if options.python:
        print(python())
        return 0
    try:
        refuse_strange_systems(platform.system(), sys.version_info[:2])
        make("test" if options.test else "", options.bundle)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def refuse_strange_systems(system: str, version: tuple[int, int]) -> None:
    """Raise before anything is changed where the labs cannot run.

    >>> refuse_strange_systems("Windows", (3, 12))
    Traceback (most recent call last):
    labhelpers.errors.LabError: The labs do not run on Windows.
    Seen: Python 3.12 on Windows
    Do:   Use WSL2: in it, this is a Linux.
    """
    seen = f"Python {version[0]}.{version[1]} on {system}"
    if system not in ("Linux", "Darwin"):
        raise LabError(
            f"The labs do not run on {system}.", seen, "Use WSL2: in it, this is a Linux."
        )
    if version >= (3, 14):
        raise LabError(
            "This Python is newer than the labs know.",
            seen,
            "Name another: make PYTHON=python3.13 …",
        )


def folder() -> Path:
    """Where the environment is: the active one, else ``.venv``."""
    active = os.environ.get("VIRTUAL_ENV")
    if not active and os.environ.get("CONDA_DEFAULT_ENV", "base") != "base":
        active = os.environ.get("CONDA_PREFIX")
    return Path(active) if active else REPOSITORY / ".venv"


def python() -> Path:
    return folder() / "bin" / "python"


def log() -> Path:
    return paths.states() / "environment.log"


def make(extra: str = "", bundle: Path | None = None) -> None:
    """Make the environment, or bring it up to pyproject.toml. Skipped when it is: a stamp in it
    says what it was made from.

    Raises:
        LabError: venv or pip is missing, or a package cannot be had.
    """
    stamp = folder() / f".podlab{'-' + extra if extra else ''}"
    wanted = hashlib.sha256(
        (REPOSITORY / "pyproject.toml").read_bytes() + str(REPOSITORY).encode()
    ).hexdigest()
    with progress.step("Python environment") as step:
        if stamp.exists() and stamp.read_text() == wanted and python().exists():
            step.skip(f"already there, {folder()}")
            return
        if not python().exists():
            refuse_without_venv()
            step.say(f"making {folder()}")
            step.run([sys.executable, "-m", "venv", folder()], log=log(), timeout_seconds=300)
        command = [
            python(),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--editable",
            f"{REPOSITORY}{f'[{extra}]' if extra else ''}",
        ]
        with tempfile.TemporaryDirectory(dir=folder()) as scratch:
            if bundle:
                files.extract_tar(bundle, Path(scratch), "wheels/")
                command[4:4] = ["--no-index", "--find-links", f"{scratch}/wheels"]
            step.run(command, log=log(), timeout_seconds=1800)
        stamp.write_text(wanted)


def refuse_without_venv() -> None:
    """Debian and Ubuntu keep venv and pip out of their Python: say so before half an environment
    stands there."""
    done = subprocess.run(
        [sys.executable, "-c", "import venv, ensurepip"], capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        name = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise LabError(
            "This Python cannot make an environment.",
            f"{sys.executable}: {words}",
            f"apt-get install {name} (or your system's package for venv and pip).",
        )


if __name__ == "__main__":
    sys.exit(main())
