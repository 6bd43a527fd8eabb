"""A lock file: one process at a time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labhelpers.errors import TimedOut

__all__ = ["locked"]

PAUSE_SECONDS = 0.1


@contextmanager
def locked(path: Path, busy: str, *, timeout_seconds: float = 0) -> Iterator[None]:
    """Holds a file while the block runs. A process that ends gives it back, however it ends.

    Args:
        path: the file, which is made where it is missing, and stays.
        busy: what to say where another process has it.
        timeout_seconds: how long to wait for that one, in seconds.

    Raises:
        TimedOut: another process has it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder) / "lock", "Another one is busy."):
    ...     print("alone")
    alone

    Rests on flock(2).
    """
    import fcntl  # not there on Windows, where doctor must still be able to say no

    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_seconds
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise TimedOut(busy, str(path), "Wait until it has ended; then run it again.") from error
                time.sleep(PAUSE_SECONDS)
        yield
