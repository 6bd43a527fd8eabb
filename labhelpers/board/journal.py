"""What the board keeps on the teacher's disk while a session lasts: its addresses, and a journal of
what the room has told. Both are private, and are gone when the session ends."""

import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labhelpers import paths
from labhelpers.files import remove, write_atomically

__all__ = ["SESSION_HOURS", "Journal", "Session", "folder"]

SESSION_HOURS = 12
# Without vowels there are no words, and without 0, 1 and 5 nothing to mix up with O, I and S.
LETTERS, CODE_LETTERS = "BCDFGHJKMNPQRTVWXYZ2346789", 6


def folder() -> Path:
    """Where a session is kept.

    >>> folder().name
    '.board'
    """
    return paths.states() / ".board"  # no cluster can have this name


@dataclass(frozen=True)
class Session:
    """One session of the board.

    Attributes:
        code: what the room types; whoever has it can join.
        token: of the teacher's page.
        began: when, in seconds since 1970.
        port: the same again after a restart.
        address: of this machine, to listen on; "" for all.
    """

    code: str
    token: str
    began: float
    port: int
    address: str = ""

    @classmethod
    def new(cls, port: int, address: str = "") -> "Session":
        code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LETTERS))
        return cls(code, secrets.token_urlsafe(24), time.time(), port, address)

    @classmethod
    def stored(cls, where: Path) -> "Session | None":
        """The session that a restart continues; None if there is none, or only one that's too
        old."""
        try:
            session = cls(**json.loads((where / "session.json").read_text(encoding="utf-8")))
            fresh = 0 <= time.time() - session.began < SESSION_HOURS * 3600
        except (OSError, ValueError, TypeError):
            return None
        return session if fresh else None

    def store(self, where: Path) -> None:
        where.mkdir(parents=True, exist_ok=True, mode=0o700)
        where.chmod(0o700)
        write_atomically(where / "session.json", json.dumps(asdict(self)) + "\n", private=True)


class Journal:
    """What the room has told, one line for each event. A line that can't be written waits in
    memory, and is tried again with the next one: a full disk must not stop a lesson.

    Args:
        where: the session's folder.

    Attributes:
        trouble: why the last line couldn't be written; "" if it could.
        unreadable: how many lines a restart couldn't read.
    """

    def __init__(self, where: Path):
        self.path = where / "journal.jsonl"
        self.trouble, self.unreadable = "", 0
        self._waiting: list[bytes] = []
        self._torn = False

    def read(self) -> Iterator[tuple[str, Any, float]]:
        """The events so far: who, what, when. A line that was cut by a crash is left out."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        self._torn = bool(lines.pop())
        self.unreadable += self._torn
        for line in filter(None, lines):
            try:
                each = json.loads(line)
                yield str(each["who"]), each["event"], float(each["at"])
            except (ValueError, TypeError, KeyError):
                self.unreadable += 1

    def add(self, who: str, event: Any, at: float) -> None:
        """Appends one event."""
        self._waiting.append(json.dumps({"at": round(at, 2), "who": who, "event": event}).encode())
        self.catch_up()

    def catch_up(self) -> None:
        """Writes what is waiting, if it can be written."""
        if not self._waiting:
            return
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                while self._waiting:
                    # After half a line, a new one: the half one is left out when it's read.
                    line = (b"\n" if self._torn else b"") + self._waiting[0] + b"\n"
                    self._torn = True
                    if os.write(file, line) != len(line):
                        raise OSError("only a part of the line was written")
                    self._torn = False
                    del self._waiting[0]
            finally:
                os.close(file)
            self.trouble = ""
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def remove(self) -> None:
        """Removes the session from the disk."""
        remove(self.path.parent)
