"""A participant's seat in a room: which board, under which name, and the secret that keeps the name
theirs. It's stored until they leave, or the session ends."""

import contextlib
import json
import re
import secrets
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from labhelpers import paths
from labhelpers.errors import LabError
from labhelpers.files import write_atomically

__all__ = ["Seat", "stored_at"]

SEAT_HOURS = 12


def stored_at() -> Path:
    """Where this machine's seat is stored."""
    return paths.state() / "seat.json"


@dataclass
class Seat:
    """A seat in a room.

    Attributes:
        address: of the room: "http://192.168.1.5:8765/K7QMTX".
        name: what the participant chose; the board may have added a number.
        secret: known only to this machine and, as a hash, to the board.
        taken: when, in seconds since 1970.
        is_stored: whether it is on the disk, where another process may give it up.
    """

    address: str
    name: str
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    taken: float = field(default_factory=time.time)
    is_stored: bool = field(default=False, init=False, compare=False)

    def __post_init__(self) -> None:
        self.address = str(self.address).strip().rstrip("/")
        parts = urlsplit(self.address)
        try:
            usual = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
        except ValueError:  # a port that is none
            usual = False
        if not usual or not re.fullmatch(r"/[A-Za-z0-9]{6}", parts.path):
            raise LabError(
                "This isn't the address of a board.",
                repr(self.address),
                'It ends with the room\'s code: lab.join("http://192.168.1.5:8765/K7QMTX",'
                ' name="Ada").',
            )
        if not isinstance(self.name, str) or not self.name.strip():
            raise LabError(
                "The board needs a name for you.",
                repr(self.name),
                'Choose any: lab.join("…", name="Ada").',
            )
        self.name = self.name.strip()

    @classmethod
    def stored(cls) -> "Seat | None":
        """The seat that was taken on this machine; None if there is none, or its session is over
        by now."""
        try:
            seat = cls(**json.loads(stored_at().read_text(encoding="utf-8")))
            fresh = 0 <= time.time() - seat.taken < SEAT_HOURS * 3600
        except (OSError, ValueError, TypeError, LabError):
            return None
        seat.is_stored = True
        return seat if fresh else None

    def store(self) -> None:
        """Stores the seat, so that the next lab of today has it.

        Raises:
            OSError: it couldn't be written.
        """
        kept = {name: value for name, value in asdict(self).items() if name != "is_stored"}
        write_atomically(stored_at(), json.dumps(kept) + "\n", private=True)
        self.is_stored = True

    @property
    def is_given_up(self) -> bool:
        """Whether somebody has left meanwhile, or joined another board: ``podlab leave``."""
        stored = Seat.stored() if self.is_stored else self
        return stored is None or stored.secret != self.secret

    def give_up(self) -> None:
        """Removes it, if it's still this one that is stored."""
        stored = Seat.stored()
        if stored is None or stored.secret == self.secret:
            with contextlib.suppress(OSError):
                stored_at().unlink(missing_ok=True)
