"""A file is written whole, or stays as it was."""

import os
import threading
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, text: str, *, private: bool = False) -> None:
    """Writes a draft beside the file, then puts it in the file's place: who reads meanwhile sees the old text or the new one, never a part.

    Args:
        path: the file; its folder is made where it is missing.
        text: all that it is to hold.
        private: whether nobody else on this machine may read it.

    Raises:
        OSError: it could not be written. The file is as it was, and no draft is left.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "new" / "scores.json", "{}")
    ...     sorted(path.name for path in Path(folder).rglob("*"))
    ['new', 'scores.json']

    Rests on rename(2), which is atomic, and on fsync(2), without which a machine that stops may keep the name and lose the text.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        draft.touch(mode=0o600 if private else 0o666)
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
