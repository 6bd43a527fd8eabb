"""Writes a file atomically, locks one, unpacks a tar safely. Standard library only, because it
opens a bundle before anything is installed."""

import errno
import os
import shutil
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from labhelpers.errors import LabError, TimedOut

__all__ = ["extract_tar", "lock", "made_atomically", "remove", "write_atomically"]

LOCK_PAUSE_SECONDS = 0.1


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Names the file in the error of a full disk: it comes from a write, which knows no names."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and not error.filename:
            error.filename = str(path)
        raise


def write_atomically(path: Path, text: str, *, private: bool = False) -> None:
    """Writes a file atomically: readers see the old text or the new one, never a part. A draft
    beside the file replaces it.

    Args:
        path: the file; its folder is created if it's missing.
        text: the whole new text.
        private: whether nobody else on this machine may read it.

    Raises:
        OSError: it couldn't be written. The file is as it was, and no draft is left.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "new" / "scores.json", "{}")
    ...     sorted(path.name for path in Path(folder).rglob("*"))
    ['new', 'scores.json']

    Rests on rename(2), which is atomic, and on fsync(2), without which a machine that crashes may
    keep the name and lose the text.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        draft.touch(mode=0o600 if private else 0o666)
        with _naming(path), draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def made_atomically(target: Path) -> Iterator[Path]:
    """Yields a path for a new file or folder that becomes ``target`` only if the block succeeds.

    Args:
        target: the file or folder to make; its parent folder is created if it's missing.

    Raises:
        OSError: it couldn't be put in its place. What the block made is removed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with made_atomically(Path(folder) / "programs") as partial:
    ...         partial.mkdir()
    ...     [path.name for path in Path(folder).iterdir()]
    ['programs']

    Rests on rename(2).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    remove(partial)
    try:
        with _naming(target):
            yield partial
        os.replace(partial, target)
    finally:
        remove(partial)


def remove(path: Path) -> None:
    """Removes a file, a link or a whole folder, if it exists.

    >>> remove(Path("no-such-file"))
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def lock(path: Path, busy: str, *, timeout_seconds: float = 0) -> Iterator[None]:
    """Locks a file while the block runs. When a process ends, for whatever reason, its lock is
    released.

    Args:
        path: the file, which is created if it's missing, and stays.
        busy: what to say if another process has locked it.
        timeout_seconds: how long to wait for that process, in seconds.

    Raises:
        TimedOut: another process has locked it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with lock(Path(folder) / "lock", "Another one is busy."):
    ...         print("locked")
    locked

    Rests on flock(2).
    """
    import fcntl  # missing on Windows, where doctor must still be able to say no

    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_seconds
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise TimedOut(
                        busy, str(path), "Wait until it has ended; then run yours again."
                    ) from error
                time.sleep(LOCK_PAUSE_SECONDS)
        yield


def extract_tar(file: Path, folder: Path, below: str = "") -> None:
    """Extracts the files of a bundle.

    Args:
        file: the bundle.
        folder: where its files go.
        below: extract only files whose names begin with this, such as "wheels/".

    Raises:
        LabError: it's missing, isn't a tar, or one of its files would be outside the folder.

    >>> extract_tar(Path("no-such-bundle.tar"), Path("."))
    Traceback (most recent call last):
    labhelpers.errors.LabError: The bundle can't be read.
    Seen: no-such-bundle.tar: [Errno 2] No such file or directory: 'no-such-bundle.tar'
    Do:   `podlab bundle save FILE` writes one.

    Rests on https://docs.python.org/3/library/tarfile.html#extraction-filters, which Debian 12's
    own Python 3.11.2 doesn't have yet.
    """
    try:
        with tarfile.open(file) as archive:
            members = [member for member in archive.getmembers() if member.name.startswith(below)]
            if hasattr(tarfile, "data_filter"):
                archive.extractall(folder, members, filter="data")
            else:
                _refuse_unsafe(members)
                archive.extractall(folder, members)
    except (FileNotFoundError, tarfile.TarError) as error:
        raise LabError(
            "The bundle can't be read.",
            f"{file}: {error}",
            "`podlab bundle save FILE` writes one.",
        ) from error


def _refuse_unsafe(members: list[tarfile.TarInfo]) -> None:
    """Raises for anything but files and folders below the folder: a bundle contains no links and no
    devices.

    >>> _refuse_unsafe([tarfile.TarInfo("../elsewhere")])
    Traceback (most recent call last):
    tarfile.TarError: '../elsewhere' isn't a plain file below the folder
    """
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise tarfile.TarError(f"{member.name!r} isn't a plain file below the folder")
