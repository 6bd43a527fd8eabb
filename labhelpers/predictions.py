"""A prediction is open, then committed or missed, then scored; and the file of scores. No widget
here: a plain model that tests drive."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labhelpers.errors import LabError
from labhelpers.files import write_atomically

__all__ = ["Prediction", "Reveal", "Scores"]


class Prediction:
    """A question to which the reader commits an answer before the cluster gives it.

    It is ``open`` until it is ``committed``, or until the next cell starts: then it is ``missed``.
    ``reveal`` makes a committed one ``scored``. Opened again it starts a later attempt. The first
    attempt is the score.

    Args:
        name: its name in the lab.
        question: one sentence.
        choices: at least two different answers.

    Raises:
        LabError: fewer than two choices, or two that are equal.

    >>> address = Prediction("address", "The Pod's IP address …", ["stays", "changes"])
    >>> address.commit("changes")
    >>> address.state
    'committed'
    >>> address.reveal("stays")
    measured: stays
    """

    def __init__(self, name: str, question: str, choices: list):
        if isinstance(choices, str):
            raise LabError(
                f"The prediction {name} cannot be asked.",
                f"choices is one text: {choices!r}",
                'Give a list: ["stays", "changes"].',
            )
        self.name, self.question, self.choices = name, question, [str(choice) for choice in choices]
        if len(set(self.choices)) < max(2, len(self.choices)):
            raise LabError(
                f"The prediction {name} cannot be asked.",
                f"choices: {self.choices}",
                "Give two or more different choices.",
            )
        self.state = "open"
        self.choice: str | None = None
        # What the view is told with; the model does not know whether there is one.
        self.changed: Callable[[], None] = lambda: None
        # One entry an attempt that has ended: the choice, or None where it was missed.
        self.attempts: list[str | None] = []
        self._taken = 0

    def commit(self, choice: str) -> None:
        """Commits to one of the choices: it is locked from now on.

        Raises:
            LabError: the prediction is not open any more, or there is no such choice.
        """
        if self.state != "open":
            raise LabError(
                f"The prediction {self.name} is locked.",
                f"it is {self.state}",
                "Run its cell again to open it once more.",
            )
        self._must_be_a_choice(choice, "There is no such choice.", "Commit to one of these.")
        self.choice = choice
        self._end("committed")

    def close(self) -> None:
        """The next cell starts: what has not been committed by now is missed."""
        if self.state == "open":
            self._end("missed")

    def reopen(self) -> None:
        """Its cell runs again: a later attempt begins."""
        self.close()
        self.state, self.choice = "open", None

    def reveal(self, measured: object) -> "Reveal":
        """What was measured, and what that makes of the choice.

        Raises:
            LabError: the measured value is none of the choices. That is a fault of the lab, not of
                the reader.
        """
        measured = str(measured)
        do = (
            "A fact that the question does not foresee: run the measuring cell again, and report it"
            " if it stays."
        )
        self._must_be_a_choice(measured, f"What was measured is no answer to {self.name}.", do)
        self.close()
        if self.state == "committed":
            self.state = "scored"
            self.changed()
        return Reveal(measured, self.choice, len(self.attempts))

    def take_attempts(self) -> list[str | None]:
        """The attempts that have ended since this was last asked: each is counted once, however
        often its cell runs."""
        new, self._taken = self.attempts[self._taken :], len(self.attempts)
        return new

    def _must_be_a_choice(self, answer: str, happened: str, do: str) -> None:
        if answer not in self.choices:
            raise LabError(happened, f"{answer!r}; the choices are {', '.join(self.choices)}", do)

    def _end(self, state: str) -> None:
        self.state = state
        self.attempts.append(self.choice)
        self.changed()

    def __repr__(self) -> str:
        return "\n".join([self.question, *(f"( ) {choice}" for choice in self.choices)])


@dataclass(frozen=True)
class Reveal:
    """What was measured. Its text is the measurement alone, so that stored output does not depend
    on the reader.

    Attributes:
        measured: one of the choices.
        choice: what the reader had committed to; None if nothing.
        attempt: 1 for the first.
    """

    measured: str
    choice: str | None
    attempt: int

    @property
    def sentence(self) -> str:
        """What the measurement makes of the choice; "" where nothing was committed. For the
        widget's eyes only.

        >>> Reveal("stays", "changes", 1).sentence
        'You said: changes. Not so.'
        """
        if self.choice is None:
            return ""
        right = "Right." if self.choice == self.measured else "Not so."
        return f"You said: {self.choice}. {right}" + (
            f" (Attempt {self.attempt}; the first is the score.)" if self.attempt > 1 else ""
        )

    def __repr__(self) -> str:
        return f"measured: {self.measured}"


class Scores:
    """The file of scores: every attempt at every prediction, the first of which is the score.

    A file that cannot be read is set aside, not lost; one that cannot be written stops no lab:
    ``notice`` says so.

    Args:
        path: the JSON file: prediction ("lab/name") to its attempts, each ``{"choice": …,
            "measured": …}``.
    """

    def __init__(self, path: Path):
        self.path = path
        self.notice = ""

    def attempts(self, key: str) -> list[dict]:
        """The attempts so far, the oldest first. A missed one has the choice None."""
        return self._read().get(key, [])

    def score(self, key: str) -> bool | None:
        """Whether the first attempt was right; None when nothing was committed in it, or there is
        none."""
        first = next(iter(self.attempts(key)), {"choice": None, "measured": ""})
        return None if first["choice"] is None else first["choice"] == first["measured"]

    def summary(self) -> str:
        """How many predictions were committed, and how many of these were right at the first
        attempt: a line for each lab, and one for all."""
        counts: dict[str, list[int]] = {}
        for key, attempts in self._read().items():
            first = next(iter(attempts), {"choice": None})
            if first["choice"] is not None:
                count = counts.setdefault(key.partition("/")[0], [0, 0])
                count[0] += 1
                count[1] += first["choice"] == first["measured"]
        if not counts:
            return "No prediction has been committed yet."
        together = [sum(each) for each in zip(*counts.values(), strict=True)]
        rows = [*sorted(counts.items()), ("all labs", together)]
        wide = max(len(name) for name, _ in rows)
        lines = [f"{name:<{wide}}  {first:>9}  {right:>5}" for name, (first, right) in rows]
        return "\n".join([f"{'lab':<{wide}}  committed  right", *lines])

    def add(self, key: str, choices: list[str | None], measured: str) -> None:
        """Adds attempts at one prediction. One that was missed is kept only as the first: later
        ones, from each Run All, say nothing."""
        everything = self._read()
        attempts = everything.setdefault(key, [])
        before = len(attempts)
        for choice in choices:
            if choice is not None or not attempts:
                attempts.append({"choice": choice, "measured": measured})
        if len(attempts) == before:
            return
        try:
            write_atomically(self.path, json.dumps(everything, indent=1) + "\n")
        except OSError as error:
            self.notice = f"The score could not be kept: {error}."

    def _read(self) -> dict[str, list[dict]]:
        try:
            everything = json.loads(self.path.read_text())
            if all(
                set(attempt) == {"choice", "measured"}
                for attempts in everything.values()
                for attempt in attempts
            ):
                return everything
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError, TypeError):
            pass  # Not JSON, or not of this shape: as below.
        except OSError as error:
            self.notice = f"The scores could not be read: {error}."
            return {}
        aside = next(
            path
            for number in range(1, 1000)
            if not (path := self.path.with_suffix(f".broken-{number}")).exists()
        )
        with contextlib.suppress(OSError):
            self.path.replace(aside)
        self.notice = (
            f"The file of scores could not be read. It was set aside as {aside.name}, and counting"
            " starts anew."
        )
        return {}
