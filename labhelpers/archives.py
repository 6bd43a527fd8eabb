"""What a tar holds, taken out into a folder and never beside it. Standard library only: a bare Python opens a bundle with it."""

import tarfile
from pathlib import Path, PurePosixPath

from labhelpers.errors import LabError

__all__ = ["extract"]


def extract(file: Path, folder: Path, below: str = "") -> None:
    """Take the files out of a bundle.

    Args:
        file: the bundle.
        folder: where its files go.
        below: only those whose name begins so, such as "wheels/".

    Raises:
        LabError: it is not there, it is no tar, or one of its files would lie outside the folder.

    >>> extract(Path("no-such-bundle.tar"), Path("."))
    Traceback (most recent call last):
    labhelpers.errors.LabError: The bundle cannot be read.
    Seen: no-such-bundle.tar: [Errno 2] No such file or directory: 'no-such-bundle.tar'
    Do:   `podlab bundle save FILE` writes one.

    Rests on https://docs.python.org/3/library/tarfile.html#extraction-filters, which Debian 12's own Python 3.11.2 does not have yet.
    """
    try:
        with tarfile.open(file) as archive:
            members = [member for member in archive.getmembers() if member.name.startswith(below)]
            if hasattr(tarfile, "data_filter"):
                archive.extractall(folder, members, filter="data")
            else:
                refuse_strange(members)
                archive.extractall(folder, members)
    except (FileNotFoundError, tarfile.TarError) as error:
        raise LabError("The bundle cannot be read.", f"{file}: {error}", "`podlab bundle save FILE` writes one.") from error


def refuse_strange(members: list[tarfile.TarInfo]) -> None:
    """Raise for anything but files and folders below the folder: a bundle holds no links and no devices.

    >>> refuse_strange([tarfile.TarInfo("../elsewhere")])
    Traceback (most recent call last):
    tarfile.TarError: '../elsewhere' is no plain file below the folder
    """
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise tarfile.TarError(f"{member.name!r} is no plain file below the folder")
