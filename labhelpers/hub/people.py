"""The participants: which names are allowed, and whose they are."""

import hashlib
import hmac
import json
import re
import secrets
import threading
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from labhelpers.errors import LabError
from labhelpers.files import write_atomically

__all__ = ["LONGEST_NAME", "SHORTEST_WORD", "Entrance", "Person", "a_name", "tidy"]

# A Unix user has at most 32 characters, and a socket's path 107.
LONGEST_NAME, SHORTEST_WORD = 20, 6
TEACHER = "teacher"
_SCRYPT = {"n": 2**14, "r": 8, "p": 1}


def tidy(typed: str) -> str:
    """Spells what somebody typed as Kubernetes spells names. The result may still be invalid.

    >>> tidy("  Zoë "), tidy("Ada Lovelace"), tidy("<b>")
    ('zoe', 'ada-lovelace', '<b>')
    """
    plain = unicodedata.normalize("NFKD", typed).strip().lower()
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"[\s._]+", "-", plain)


def a_name(typed: str) -> str:
    """The name of a participant, which is part of a cluster's name and of a Unix user's.

    Raises:
        LabError: it can't be one.

    >>> a_name("Ada")
    'ada'
    >>> a_name("<b>Ada</b>")
    Traceback (most recent call last):
    labhelpers.errors.LabError: This name can't be part of a cluster's name.
    Seen: '<b>Ada</b>'
    Do:   Use up to 20 letters a-z, digits and dashes, such as ada-2.
    """
    name = tidy(typed)
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) or len(name) > LONGEST_NAME:
        seen = typed if len(typed) <= 2 * LONGEST_NAME else typed[: 2 * LONGEST_NAME] + "…"
        raise LabError(
            "This name can't be part of a cluster's name.",
            repr(seen),
            f"Use up to {LONGEST_NAME} letters a-z, digits and dashes, such as ada-2.",
        )
    return name


@dataclass(frozen=True)
class Person:
    """A participant, and the names that the machine has for them.

    >>> ada = Person("ada")
    >>> ada.cluster, ada.unix_user, str(ada.home)
    ('podlab-ada', 'podlab-ada', '/home/podlab-ada')
    """

    name: str

    @property
    def cluster(self) -> str:
        return f"podlab-{self.name}"

    @property
    def unix_user(self) -> str:
        return f"podlab-{self.name}"

    @property
    def home(self) -> Path:
        return Path("/home") / self.unix_user


class Entrance:
    """Who may come in. The room's pass-phrase lets in, and the first to use a name chooses the
    password that it has from then on. So nobody enters as somebody else.

    Args:
        folder: private to the hub. Both pass-phrases and the passwords' hashes are kept in it, so
            a hub that restarts knows everybody.
        room, teacher: the two pass-phrases; by default those in the folder, or new ones.
    """

    def __init__(self, folder: Path, room: str = "", teacher: str = ""):
        self._file, self._lock = folder / "people.json", threading.Lock()
        self.room = _kept(folder / "room", room)
        self.teacher = _kept(folder / "teacher", teacher)

    def admit(self, typed: str, room: str, password: str) -> str:
        """The name of somebody who may come in.

        Args:
            typed: the name as typed.
            room: the room's pass-phrase; the teacher's for the name "teacher".
            password: their own: chosen the first time, and the same from then on.

        Raises:
            LabError: they may not, and why.
        """
        name = a_name(typed)
        wanted = self.teacher if name == TEACHER else self.room
        if not hmac.compare_digest(room.strip().encode(), wanted.encode()):
            raise LabError(
                "That isn't the pass-phrase of this room.",
                f"you typed {len(room.strip())} characters",
                "Copy it from the board.",
            )
        if len(password) < SHORTEST_WORD:
            raise LabError(
                "Your own password is too short.",
                f"{len(password)} characters",
                f"Choose one of at least {SHORTEST_WORD}. You'll need it to come back.",
            )
        with self._lock:
            people = self._people()
            if name not in people:
                salt = secrets.token_hex(16)
                people[name] = {"salt": salt, "hash": _hashed(password, salt)}
                self._store(people)
                return name
        known = people[name]
        if not hmac.compare_digest(_hashed(password, known["salt"]), known["hash"]):
            raise LabError(
                f"Somebody has the name {name} already, with another password.",
                "your own password differs from theirs",
                f"If it's you, type it again. If not, choose another name, such as {name[:18]}-2.",
            )
        return name

    def forget(self, name: str) -> None:
        """Frees a name, for somebody who has forgotten their password."""
        with self._lock:
            people = self._people()
            if people.pop(name, None):
                self._store(people)

    def names(self) -> list[str]:
        """Everybody who has come in so far."""
        return sorted(self._people())

    def _store(self, people: dict) -> None:
        try:
            write_atomically(self._file, json.dumps(people, indent=1) + "\n", private=True)
        except OSError as error:
            raise LabError(
                "The list of participants can't be written.",
                f"{self._file}: {error.strerror}",
                "Tell the teacher: is the disk full?",
            ) from error

    def _people(self) -> dict:
        try:
            return json.loads(self._file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise LabError(
                "The list of participants can't be read.",
                f"{self._file}: {error}",
                "Tell the teacher: delete that file, and everybody chooses a password again.",
            ) from error


def _kept(path: Path, given: str) -> str:
    """A pass-phrase: the given one, else the one in the file, else a new one."""
    there = path.read_text("utf-8").strip() if path.is_file() else ""
    phrase = given.strip() or there or secrets.token_hex(5)
    if phrase != there:
        write_atomically(path, phrase + "\n", private=True)
    return phrase


def _hashed(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), **_SCRYPT).hex()
