"""Reads what a bundle says about itself, in its first file. Standard library only: the Python that
makes the environment from a bundle has nothing else."""

import json
import sys
import tarfile
from pathlib import Path

from labhelpers.errors import LabError

__all__ = ["MANIFEST", "read_manifest", "refuse_other_machine", "refuse_other_python"]

MANIFEST = "manifest.json"


def read_manifest(file: Path) -> dict:
    """Reads the manifest of a bundle. Its beginning is enough, because the manifest comes first.

    Raises:
        LabError: there is no such file, or it isn't a bundle.
    """
    try:
        with tarfile.open(file) as archive:
            first = archive.next()
            if first is None or first.name != MANIFEST:
                raise KeyError(f"its first file isn't {MANIFEST}")
            return json.loads(archive.extractfile(first).read())
    except FileNotFoundError as error:
        raise LabError("There is no such file.", str(file), "Check the path.") from error
    except (tarfile.TarError, KeyError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.filename:
            raise LabError(
                "The bundle can't be read.",
                f"{error.strerror}: {file}",
                "Make it a file that you may read, or choose another.",
            ) from error
        raise LabError(
            "This file isn't a podlab bundle.",
            f"{file}: {error}",
            "`podlab bundle save FILE` writes one.",
        ) from error


def refuse_other_machine(manifest: dict, machine: dict[str, str]) -> None:
    """Raises if the bundle is for another kind of machine.

    Args:
        manifest: what ``read_manifest`` gave.
        machine: what this one is, under the manifest's own names.

    >>> refuse_other_machine({"system": "Darwin"}, {"system": "Linux"})
    Traceback (most recent call last):
    labhelpers.errors.LabError: The bundle is for another machine.
    Seen: system: Darwin in the bundle, Linux here
    Do:   Save one on a machine like this one.
    """
    for name, ours in machine.items():
        if manifest.get(name, ours) != ours:
            raise LabError(
                "The bundle is for another machine.",
                f"{name}: {manifest[name]} in the bundle, {ours} here",
                "Save one on a machine like this one.",
            )


def refuse_other_python(manifest: dict, version: tuple[int, int, int] | None = None) -> None:
    """Raises if the bundle's packages don't install on this Python. pip would say so late, and
    about one package only.

    Args:
        manifest: what ``read_manifest`` gave.
        version: the Python that is to use the packages; default: this one.

    >>> refuse_other_python({"python": "3.11", "python_least": "3.11.5"}, (3, 11, 7))
    >>> refuse_other_python({"python": "3.11", "python_least": "3.11.5"}, (3, 11, 2))
    Traceback (most recent call last):
    labhelpers.errors.LabError: The bundle needs another Python.
    Seen: its packages are for Python 3.11, from 3.11.5 on; this is 3.11.2
    Do:   Use such a Python (make PYTHON=…), or save the bundle with this one.
    """
    version = version or sys.version_info[:3]
    family, least = manifest["python"], manifest.get("python_least", "")
    numbers = tuple(int(number) for number in least.split(".")) if least else (0,)
    if ".".join(map(str, version[:2])) == family and version >= numbers:
        return
    from_on = f", from {least} on" if numbers[2:] > (0,) else ""
    raise LabError(
        "The bundle needs another Python.",
        f"its packages are for Python {family}{from_on}; this is {'.'.join(map(str, version))}",
        "Use such a Python (make PYTHON=…), or save the bundle with this one.",
    )
