"""What a reader has done: one small file in the reader's own folder, which never leaves the
machine. Two kernels may write it at once."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labhelpers import paths
from labhelpers.errors import LabError
from labhelpers.files import lock, write_atomically

__all__ = ["LONGEST_PAUSE_SECONDS", "Clock", "Done", "Record"]

VERSION = 1
LOCK_SECONDS = 5
# Whoever runs no cell for longer than this isn't at work on the lab.
LONGEST_PAUSE_SECONDS = 600


@dataclass
class Done:
    """What was done in one lab.

    Attributes:
        seconds: how long its kernel was in use: see ``Clock``.
        used: when it was used last, in UTC: "2026-11-28T02:10:09+00:00".
        claims: the ids of the claims whose cell has run.
        predictions: the attempts at each prediction, the oldest first, each ``{"choice": …,
            "measured": …}``. The choice of one that was missed is None.
        exercises: of each exercise ``{"checks": …, "hints": …, "passed": …}``: how many there were
            until it was passed, and when that was; "" if it isn't passed yet.
    """

    seconds: float = 0.0
    used: str = ""
    claims: list[str] = field(default_factory=list)
    predictions: dict[str, list[dict[str, str | None]]] = field(default_factory=dict)
    exercises: dict[str, dict[str, Any]] = field(default_factory=dict)

    def first_attempts(self) -> tuple[int, int, int]:
        """How many predictions were right, wrong and late. The first attempt is the score. It was
        late if the next cell ran before anything was committed.

        >>> attempts = [{"choice": None, "measured": "1"}, {"choice": "1", "measured": "1"}]
        >>> Done(predictions={"a": attempts, "b": attempts[1:]}).first_attempts()
        (1, 0, 1)
        """
        first = [attempts[0] for attempts in self.predictions.values() if attempts]
        late = sum(each["choice"] is None for each in first)
        right = sum(each["choice"] == each["measured"] for each in first)
        return right, len(first) - right - late, late

    def passed(self) -> list[str]:
        """The letters of the exercises that are passed.

        >>> Done(exercises={"a": {"checks": 2, "hints": 0, "passed": ""}}).passed()
        []
        """
        return sorted(key for key, each in self.exercises.items() if each["passed"])

    @classmethod
    def read(cls, row: dict[str, Any]) -> "Done":
        """One lab's part of the file.

        Raises:
            TypeError, KeyError, AttributeError: it has another shape.
        """
        done = cls(**row)
        for attempts in done.predictions.values():
            if not all(set(each) == {"choice", "measured"} for each in attempts):
                raise KeyError("predictions")
        for each in done.exercises.values():
            _must_be((each["checks"], int), (each["hints"], int), (each["passed"], str))
        _must_be((done.seconds, int | float), (done.used, str), (done.claims, list))
        return done


def _must_be(*pairs: tuple[Any, Any]) -> None:
    for value, kind in pairs:
        if not isinstance(value, kind):
            raise TypeError(value)


class Record:
    """The file ``progress.json``.

    Recording never raises, because no lab should end for it: ``notice`` says what went wrong. A
    file that can't be read is set aside and not lost. One that a newer podlab wrote is left alone.

    Args:
        path: default: in the reader's own folder. In the usual one, the predictions that an older
            podlab has kept beside the cluster's files are taken over once.
    """

    def __init__(self, path: Path | None = None):
        self.path = path or paths.mine() / "progress.json"
        self.notice = ""
        home = paths.folder()
        is_usual = home is not None and self.path.parent == home / "notebooks" / "mine"
        self._older = paths.state() / "scores.json" if is_usual else None

    def labs(self) -> dict[str, Done]:
        """What was done in each lab, by its name.

        Raises:
            LabError: a newer podlab has written the file.
        """
        try:
            return self._read()
        except OSError as error:
            self.notice = f"The record of your progress couldn't be read: {error}."
            return {}
        except _Broken:
            with self._noticing(), self._locked():
                return self._read_or_set_aside()
            return {}

    def claim(self, lab: str, id_: str) -> None:
        """The claim's cell has run."""

        def change(done: Done) -> None:
            done.claims = sorted({*done.claims, id_})

        self._change(lab, change)

    def predicted(self, lab: str, name: str, choices: list[str | None], measured: str) -> None:
        """Adds attempts at one prediction. A missed one is kept only if it's the first, because
        each Run All adds another, which means nothing."""

        def change(done: Done) -> None:
            attempts = done.predictions.setdefault(name, [])
            for choice in choices:
                if choice is not None or not attempts:
                    attempts.append({"choice": choice, "measured": measured})

        if choices:
            self._change(lab, change)

    def hinted(self, lab: str, key: str) -> None:
        """A hint was shown; it counts until the exercise is passed."""
        self._change(lab, lambda done: _count(done, key, "hints"))

    def checked(self, lab: str, key: str, passed: bool) -> None:
        """The reader's manifest was checked; it counts until the exercise is passed."""
        self._change(lab, lambda done: _count(done, key, "checks", passed))

    def spent(self, lab: str, seconds: float) -> None:
        """The lab was in use for so long."""

        def change(done: Done) -> None:
            done.seconds = round(done.seconds + seconds, 1)

        self._change(lab, change)

    def _change(self, lab: str, change: Callable[[Done], None]) -> None:
        """Changes what is on record by now: another kernel may have written it meanwhile."""
        with self._noticing(), self._locked():
            labs = self._read_or_set_aside()
            done = labs.setdefault(lab, Done())
            change(done)
            done.used = _now()
            rows = {name: asdict(each) for name, each in sorted(labs.items())}
            content = {"version": VERSION, "labs": rows}
            write_atomically(self.path, json.dumps(content, indent=1) + "\n")

    @contextlib.contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            yield
        except LabError as error:
            self.notice = f"{error.happened} {error.seen}. {error.do}"
        except OSError as error:
            self.notice = f"Your progress couldn't be saved: {error}."

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        busy = "Your progress couldn't be saved: another kernel is writing it."
        return lock(self.path.with_name(".progress.lock"), busy, timeout_seconds=LOCK_SECONDS)

    def _read_or_set_aside(self) -> dict[str, Done]:
        """Only while it's locked: another kernel may have written a new file meanwhile."""
        try:
            return self._read()
        except _Broken:
            names = (self.path.with_suffix(f".broken-{number}") for number in range(1, 1000))
            aside = next(path for path in names if not path.exists())
            self.path.replace(aside)
            self.notice = (
                "The record of your progress couldn't be read. It was set aside as"
                f" {aside.name}, and counting starts again."
            )
            return {}

    def _read(self) -> dict[str, Done]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            version = content["version"]
            if isinstance(version, int) and version > VERSION:
                raise LabError(
                    "A newer podlab has written the record of your progress.",
                    f"{self.path.name} has version {version}, and this podlab knows {VERSION}",
                    "Update this checkout; until then, nothing is recorded.",
                )
            return {name: Done.read(row) for name, row in content["labs"].items()}
        except FileNotFoundError:
            return self._from_older()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _Broken from error

    def _from_older(self) -> dict[str, Done]:
        """What ``scores.json`` has: it maps "lab/prediction" to attempts."""
        labs: dict[str, Done] = {}
        try:
            scores = json.loads(self._older.read_text(encoding="utf-8")) if self._older else {}
            for key, attempts in scores.items():
                lab, _, name = key.partition("/")
                labs.setdefault(lab, Done()).predictions[name] = attempts
            return {name: Done.read(asdict(done)) for name, done in labs.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}


def _count(done: Done, key: str, what: str, passed: bool = False) -> None:
    row = done.exercises.setdefault(key, {"checks": 0, "hints": 0, "passed": ""})
    if not row["passed"]:
        row[what] += 1
        row["passed"] = _now() if passed else ""


class _Broken(Exception):
    """The file isn't JSON, or has another shape."""


class Clock:
    """How long a lab is in use: the time between its cells, without pauses of more than ten
    minutes.

    Args:
        now: gives seconds.

    >>> moments = iter([0, 60, 4000, 4060])
    >>> clock = Clock(lambda: next(moments))
    >>> for cell in range(3):
    ...     clock.tick()
    >>> clock.take(), clock.take()
    (120.0, 0.0)
    """

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now, self._last, self.seconds = now, now(), 0.0

    def tick(self) -> None:
        """A cell begins or ends now."""
        now = self._now()
        if now - self._last <= LONGEST_PAUSE_SECONDS:
            self.seconds += now - self._last
        self._last = now

    def take(self) -> float:
        """The seconds that have come together since the last call."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
