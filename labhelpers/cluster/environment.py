"""Makes the Python environment of a checkout, with a Python that has no packages: ``python3 -m
labhelpers.cluster.environment``. Standard library only.

It uses an active conda or virtual environment, but not conda's own base, else ``.venv`` in the
checkout.
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

# Any Python runs this; older ones can't parse the imports below.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        f"This Python is too old.\nSeen: {sys.version.split()[0]} at {sys.executable}\n"
        "Do:   Install Python 3.11, 3.12 or 3.13, or name it: make PYTHON=python3.12 …"
    )

from labhelpers import files, paths
from labhelpers.cluster import bundle_download, progress
from labhelpers.cluster.bundle_manifest import (
    read_manifest,
    refuse_other_machine,
    refuse_other_python,
)
from labhelpers.errors import LabError
from labhelpers.patience import factor, patient

__all__ = ["main"]

REPOSITORY = paths.repository()
LOCK = REPOSITORY / ".venv.lock"
WAIT_SECONDS = 3600  # as long as pip may take on a slow line


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m labhelpers.cluster.environment",
        description="Make the Python environment, or bring it up to date.",
    )
    parser.add_argument(
        "--python", action="store_true", help="only print the path of the environment's Python"
    )
    parser.add_argument("--test", action="store_true", help="also install what the tests need")
    parser.add_argument("--site", action="store_true", help="also install what builds the site")
    parser.add_argument("--hub", action="store_true", help="also install JupyterHub, for a room")
    parser.add_argument(
        "--bundle",
        metavar="FILE",
        help="take the packages from this bundle, not from the network; or http://… of one",
    )
    progress.print_anywhere()
    options = parser.parse_args(arguments)
    if options.python:
        print(python())
        return 0
    try:
        factor()  # complain about a wrong PODLAB_PATIENCE before anything begins
        refuse_unknown_systems(platform.system(), sys.version_info[:2])
        bundle = None
        if options.bundle:
            bundle = bundle_download.here(options.bundle, suits)
            suits(read_manifest(bundle))
        extras = (name for name in ("test", "site", "hub") if getattr(options, name))
        make(next(extras, ""), bundle)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again.", file=sys.stderr)
        return 130
    return 0


def suits(manifest: dict) -> None:
    """Raises if a bundle is for another system or another Python than this."""
    refuse_other_machine(manifest, {"system": platform.system(), "machine": platform.machine()})
    refuse_other_python(manifest, target_python())


def target_python() -> tuple[int, int, int]:
    """The version of the Python that gets the packages: the environment's, else this one."""
    if not python().exists() or unfinished().exists():
        return sys.version_info[:3]
    script = "import sys; print(*sys.version_info[:3])"
    asked = subprocess.run(
        [python(), "-c", script], capture_output=True, encoding="utf-8", timeout=patient(60)
    )
    numbers = asked.stdout.split()
    return tuple(map(int, numbers)) if len(numbers) == 3 else sys.version_info[:3]


def refuse_unknown_systems(system: str, version: tuple[int, int]) -> None:
    """Raises, before anything is changed, if the labs can't run here.

    >>> refuse_unknown_systems("Windows", (3, 12))
    Traceback (most recent call last):
    labhelpers.errors.LabError: The labs don't run on Windows.
    Seen: Python 3.12 on Windows
    Do:   Use WSL2: inside it, the labs run on Linux.
    """
    seen = f"Python {version[0]}.{version[1]} on {system}"
    if system not in ("Linux", "Darwin"):
        raise LabError(
            f"The labs don't run on {system}.", seen, "Use WSL2: inside it, the labs run on Linux."
        )
    if version >= (3, 14):
        raise LabError(
            "This Python is too new for the labs.",
            seen,
            "Use Python 3.11, 3.12 or 3.13, for example: make PYTHON=python3.13 …",
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
    """Makes the environment, or updates it to pyproject.toml. Skips it if it's up to date: a stamp
    in it says what it was made from.

    Of two at once, the second waits for the first. A new ``.venv`` that is interrupted is removed.
    If even that was impossible (a power cut), a mark in it says so, and the next call starts over.

    Args:
        extra: an extra of pyproject.toml, such as "test".
        bundle: the bundle to take the packages from, instead of the network.

    Raises:
        LabError: venv or pip is missing, or a package can't be fetched.
    """
    with progress.step("Python environment") as step:
        if is_current(extra):
            step.skip(f"already there, {folder()}")
            return
        step.say("waiting for another command that is making it")
        busy = "Another command is making the Python environment."
        with files.lock(LOCK, busy, timeout_seconds=patient(WAIT_SECONDS)):
            if is_current(extra):
                step.skip(f"another command has made it, {folder()}")
                return
            if unfinished().exists():
                discard()
            if python().exists():
                install(step, extra, bundle)
            else:
                make_new(step, extra, bundle)


def stamp(extra: str) -> Path:
    return folder() / f".podlab{'-' + extra if extra else ''}"


def unfinished() -> Path:
    """The file that exists while the environment is made for the first time."""
    return folder() / ".podlab-unfinished"


def wanted() -> str:
    """The stamp of an environment that is up to date."""
    pins = (REPOSITORY / "pyproject.toml").read_bytes()
    return hashlib.sha256(pins + str(REPOSITORY).encode()).hexdigest()


def is_current(extra: str) -> bool:
    path = stamp(extra)
    if unfinished().exists() or not path.exists() or not python().exists():
        return False
    return path.read_text(encoding="ascii") == wanted()


def make_new(step: progress.Step, extra: str, bundle: Path | None) -> None:
    """Makes a new environment with all its packages; removes it if it can't be finished."""
    refuse_without_venv()
    step.say(f"making {folder()}")
    # A folder with something else in it belongs to somebody, and stays.
    ours = not folder().exists() or not any(folder().iterdir())
    folder().mkdir(parents=True, exist_ok=True)
    try:
        if ours:
            unfinished().touch()
        step.run([sys.executable, "-m", "venv", folder()], log=log(), timeout_seconds=300)
        install(step, extra, bundle)
        unfinished().unlink(missing_ok=True)
    except BaseException:
        if ours:
            discard()
        raise


def discard() -> None:
    """Removes an unfinished environment. It's renamed first, so that an interrupted removal leaves
    nothing that looks complete."""
    aside = folder().with_name(f"{folder().name}.removed")
    files.remove(aside)
    folder().replace(aside)
    files.remove(aside)


def install(step: progress.Step, extra: str, bundle: Path | None) -> None:
    """Installs what pyproject.toml names, and writes the stamp."""
    give_pip(step)
    target = f"{REPOSITORY}{f'[{extra}]' if extra else ''}"
    pip = [python(), "-m", "pip", "install", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory(dir=folder()) as scratch:
        if bundle:
            files.extract_tar(bundle, Path(scratch), "wheels/")
            pip += ["--no-index", "--find-links", f"{scratch}/wheels"]
        step.run([*pip, "--editable", target], log=log(), timeout_seconds=1800)
    files.write_atomically(stamp(extra), wanted())


def give_pip(step: progress.Step) -> None:
    """Adds pip to an environment that has none, because it was interrupted while it was made, or
    because uv made it."""
    asked = subprocess.run([python(), "-c", "import pip"], capture_output=True, timeout=patient(60))
    if asked.returncode:
        step.say("adding pip")
        try:
            step.run([python(), "-m", "ensurepip"], log=log(), timeout_seconds=120)
        except LabError as error:
            raise LabError(
                f"The Python environment {folder()} has no pip.",
                error.seen,
                f"Install pip in it, or delete {folder()}; then run the command again.",
            ) from error


def refuse_without_venv() -> None:
    """Raises if this Python lacks venv or pip, which Debian and Ubuntu keep out of theirs, before
    half an environment is made."""
    done = subprocess.run(
        [sys.executable, "-c", "import venv, ensurepip"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=patient(60),
    )
    if done.returncode:
        name = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise LabError(
            "This Python can't make an environment.",
            f"{sys.executable}: {words}",
            f"Run `apt-get install {name}`, or install your system's package for venv and pip.",
        )


if __name__ == "__main__":
    sys.exit(main())
