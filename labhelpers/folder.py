"""The reader's folder: ``podlab init`` writes it, and ``podlab update`` brings new labs into it.

``.podlab/folder.json`` marks the folder, and says what podlab wrote there: the SHA-256 of each
file, and of each notebook's cells without their outputs. So a notebook that was only run doesn't
count as edited. Standard library only at import, because the build of the wheel asks which files go
into it.
"""

import hashlib
import json
import os
import shlex
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labhelpers import files, paths
from labhelpers.errors import LabError

__all__ = ["Report", "init", "is_current", "packed_files", "update"]

KEPT = "notebooks/kept"
NOT_OURS = {"mine", "kept", "template", "TEMPLATE", "__pycache__", ".ipynb_checkpoints"}
BUSY = "Another command is updating this folder."
README = """# The labs of podlab

These notebooks teach Kubernetes Pods by measuring them on a cluster of your own. In this folder:

    podlab up          # the cluster
    podlab open 00     # JupyterLab on the first lab
    podlab doctor      # what the cluster needs from this machine
    podlab down        # deletes the cluster

Your answers to exercises are in `notebooks/mine`.

When you have installed a newer podlab, save and close your notebooks and run `podlab update` here.
It brings the new labs and leaves `notebooks/mine` alone. A notebook or file that you edited, and
that podlab has changed too, moves to `notebooks/kept`, under the old version's number. Outputs of
cells aren't kept: run the lab again.
"""


def packed_files(root: str | Path) -> list[str]:
    """Names the files that go into the wheel beside the package, relative to the checkout.

    Args:
        root: the checkout, or what an installed podlab has of it.

    The template of a lab isn't among them, nor is anything that a reader, Jupyter or Python has
    written there.
    """
    root = Path(root)
    found = [path for part in ("kind", "notebooks") for path in (root / part).rglob("*")]
    names = [path.relative_to(root) for path in found if path.is_file()]
    ours = [name for name in names if not NOT_OURS & {*name.parts, name.stem}]
    return sorted(["pyproject.toml", *(name.as_posix() for name in ours)])


@dataclass
class Report:
    """What an init or an update did.

    Attributes:
        folder: the reader's folder.
        before, version: podlab's version that the folder had ("" if it's new), and has now.
        new, updated, restored, removed: names of files, relative to the folder. What was restored
            had been deleted.
        kept: where the reader's edited files are now, by their old names.
    """

    folder: Path
    before: str
    version: str
    new: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        labs = len(list(self.folder.glob("notebooks/[0-9][0-9]_*.ipynb")))
        lines = [f"{self.folder}: {labs} labs of podlab {self.version}."]
        if not self.before:
            steps = [f"cd {shlex.quote(str(self.folder))}", f"{_podlab()} up"]
            steps += [f"{_podlab()} open 00"]
            return "\n".join([*lines, "Next:", *(f"    {step}" for step in steps)])
        changes = {key: getattr(self, key) for key in ("new", "updated", "restored", "removed")}
        counts = [f"{len(names)} {key}" for key, names in changes.items() if names]
        lines += [f"Files: {', '.join(counts)}." if counts else "Nothing was out of date."]
        shown = [name for name in self.new if name.endswith(".ipynb")]
        lines += [f"New: {name}" for name in shown]
        lines += [f"You had edited {name}: yours is now {to}" for name, to in self.kept.items()]
        return "\n".join(lines)


def init(target: Path, source: Path | None = None) -> Report:
    """Writes a folder with all labs, in which podlab works without a checkout.

    Args:
        target: the folder. It's new, or empty, or an earlier ``init`` was interrupted in it.
        source: what podlab comes with; default: :func:`labhelpers.paths.repository`.

    Raises:
        LabError: there's something in the folder already. Nothing was changed.
    """
    target = target.expanduser().absolute()
    if (target / paths.MARK).is_file() and _record(target)["files"]:
        raise LabError(
            f"{target} has labs already.",
            f"podlab {_record(target)['podlab']} wrote it",
            f"In that folder, run `{_podlab()} update`.",
        )
    if target.exists() or target.is_symlink():
        there = sorted(path.name for path in target.iterdir()) if target.is_dir() else []
        if not target.is_dir() or (there and not (target / paths.MARK).is_file()):
            raise LabError(
                f"{target} isn't an empty folder.",
                f"in it: {', '.join(there[:5])}" if there else "it's a file",
                "Choose a new folder, or empty this one.",
            )
        # Somebody may stand in an empty folder, so it isn't replaced. The mark is written first, so
        # an interrupted init can go on.
        _write_record(target, "", {}, {})
        return _bring(target, source)
    with files.made_atomically(target) as partial:
        partial.mkdir()
        report = _bring(partial, source)
    report.folder = target
    return report


def update(target: Path, source: Path | None = None) -> Report:
    """Brings a folder up to date with this podlab. Interrupted, it goes on when it's run again.

    A file that podlab hasn't changed stays as it is, whatever the reader did with it. If podlab has
    changed it, it's replaced. If the reader had edited it too, theirs is copied to
    ``notebooks/kept/VERSION`` first. For a notebook, editing means its cells, not their outputs.
    ``notebooks/mine`` is never read or written.

    Args:
        target: a folder that :func:`init` wrote.
        source: what podlab comes with; default: :func:`labhelpers.paths.repository`.

    Raises:
        LabError: it's another folder, or a newer podlab wrote it. Nothing was changed.
    """
    from packaging.version import Version

    if not (target / paths.MARK).is_file():
        raise LabError(
            "This folder wasn't written by `podlab init FOLDER`.",
            str(target),
            "In a clone of the repository, use `git pull`.",
        )
    version, before = _version(source or paths.repository()), _record(target)["podlab"]
    if before and Version(before) > Version(version):
        raise LabError(
            "The labs here are newer than podlab.",
            f"the labs are of podlab {before}, and this is podlab {version}",
            "Install the newer podlab.",
        )
    return _bring(target, source)


def is_current(target: Path, source: Path | None = None) -> bool:
    """Whether a folder has the labs of this podlab. A checkout always has its own.

    Args:
        target: the folder.
        source: what podlab comes with; default: :func:`labhelpers.paths.repository`.
    """
    if not (target / paths.MARK).is_file():
        return True
    wanted = {name: _sum(content) for name, content in _contents(source).items()}
    return _record(target)["files"] == wanted


def _bring(target: Path, source: Path | None) -> Report:
    wanted, version = _contents(source), _version(source or paths.repository())
    with files.lock((target / paths.MARK).with_name("lock"), BUSY):
        record = _record(target)
        report = Report(target, record["podlab"], version)
        for name in sorted(wanted.keys() | record["files"].keys()):
            _bring_one(report, name, wanted.get(name), record)
        cells = {name: _cells(content) for name, content in wanted.items() if _is_notebook(name)}
        _write_record(target, version, {name: _sum(wanted[name]) for name in wanted}, cells)
    return report


def _bring_one(report: Report, name: str, wanted: bytes | None, record: Mapping) -> None:
    """One file of the folder: ``wanted`` is its new content, or None if podlab has it no more."""
    path, known = report.folder / name, record["files"].get(name)
    there = path.read_bytes() if path.is_file() else None
    if there == wanted:
        return
    if there is None:
        (report.new if known is None else report.restored).append(name)
    elif wanted is not None and _sum(wanted) == known:
        return  # only the reader has changed it
    elif _is_edited(name, there, wanted, record):
        if wanted and _is_notebook(name) and _cells(wanted) == record["cells"].get(name):
            return  # podlab has changed nothing but outputs
        report.kept[name] = _keep(report.folder, name, there, record["podlab"])
    else:
        (report.removed if wanted is None else report.updated).append(name)
    if wanted is not None:
        _write(path, wanted)
        return
    path.unlink()
    for folder in path.relative_to(report.folder).parents:
        if folder != Path() and not any((report.folder / folder).iterdir()):
            (report.folder / folder).rmdir()


def _is_edited(name: str, there: bytes, wanted: bytes | None, record: Mapping) -> bool:
    """Whether a file has something that the reader wrote."""
    if _is_notebook(name) and (cells := _cells(there)):
        return cells not in (record["cells"].get(name), wanted and _cells(wanted))
    return _sum(there) != record["files"].get(name)


def _keep(folder: Path, name: str, content: bytes, version: str) -> str:
    """Copies what the reader wrote to a name that's free, and returns that name."""
    inside = Path(name.removeprefix("notebooks/"))
    for number in range(1, 1000):
        stem = inside.stem + (f"-{number}" if number > 1 else "")
        kept = Path(KEPT, version or "before", inside.with_name(stem + inside.suffix))
        path = folder / kept
        if not path.exists():
            _write(path, content)
            return kept.as_posix()
        if path.is_file() and path.read_bytes() == content:  # an interrupted update was here
            return kept.as_posix()
    raise LabError(
        f"There are too many copies of {name}.",
        f"999 in {folder / KEPT}",
        "Delete those that you don't need.",
    )


def _contents(source: Path | None) -> dict[str, bytes]:
    """What a folder of this podlab holds, by name."""
    source = source or paths.repository()
    names = [name for name in packed_files(source) if name.startswith("notebooks/")]
    return {"README.md": README.encode(), **{name: (source / name).read_bytes() for name in names}}


def _version(source: Path) -> str:
    return tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]["version"]


def _record(target: Path) -> dict:
    path = target / paths.MARK
    if not path.is_file():
        return {"podlab": "", "files": {}, "cells": {}}
    try:
        record = json.loads(path.read_text("utf-8"))
        return {"podlab": record["podlab"], "files": record["files"], "cells": record["cells"]}
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(
            "What podlab wrote down about this folder can't be read.",
            f"{path}: {error}",
            f"Delete {path}, move your files elsewhere, and run `podlab init FOLDER` again.",
        ) from error


def _write_record(target: Path, version: str, sums: Mapping, cells: Mapping) -> None:
    text = json.dumps({"podlab": version, "files": sums, "cells": cells}, indent=1)
    files.write_atomically(target / paths.MARK, text + "\n")


def _write(path: Path, content: bytes) -> None:
    with files.made_atomically(path) as new:
        new.write_bytes(content)


def _is_notebook(name: str) -> bool:
    return name.endswith(".ipynb")


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _cells(notebook: bytes) -> str:
    """The SHA-256 of what somebody can write into a notebook's cells: text and pasted pictures.
    "" if it isn't a notebook."""
    try:
        cells = json.loads(notebook)["cells"]
        written = list(_written(cells))
    except (ValueError, KeyError, TypeError):
        return ""
    return _sum(json.dumps(written, sort_keys=True).encode())


def _written(cells: list[Mapping]) -> Iterator[tuple]:
    for cell in cells:
        text = "".join(cell["source"])
        if text.strip() or cell.get("attachments"):  # JupyterLab adds an empty cell at the end
            yield cell["cell_type"], text, cell.get("attachments", {})


def _podlab() -> str:
    """How the reader calls podlab: uvx isn't on PATH afterwards."""
    by_uvx = "UV" in os.environ and os.environ.get("VIRTUAL_ENV") != sys.prefix
    return "uvx podlab" if by_uvx else "podlab"
