"""Predictions, which are open, then committed or missed, then scored; and the file of scores. It's
a plain model without a widget, so that tests can drive it."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labhelpers.errors import LabError
from labhelpers.files import write_atomically

__all__ = ["Prediction", "Reveal", "Scores"]


class Prediction:
    """A question that the reader answers before the cluster does.

    It's ``open`` until it's ``committed``, or until the next cell starts: then it's ``missed``.
    ``reveal`` makes a committed one ``scored``. Opening it again starts another attempt. The first
    attempt is the score.

    Args:
        name: its name in the lab.
        question: one sentence.
        choices: at least two different answers.

    Raises:
        LabError: fewer than two choices, or duplicate ones.

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
                f"The prediction {name} needs a list of choices.",
                f"choices is one text: {choices!r}",
                'Write a list: ["stays", "changes"].',
            )
        self.name, self.question, self.choices = name, question, [str(choice) for choice in choices]
        if len(set(self.choices)) < max(2, len(self.choices)):
            raise LabError(
                f"The prediction {name} needs at least two different choices.",
                f"choices: {self.choices}",
                "Add a choice, or make them different.",
            )
        self.state = "open"
        self.choice: str | None = None
        # Called to notify the view; the model doesn't know whether there is one.
        self.changed: Callable[[], None] = lambda: None
        # The same for whoever wants to know of an answer.
        self.committed: Callable[[], None] = lambda: None
        # One entry per attempt that has ended: the choice, or None if it was missed.
        self.attempts: list[str | None] = []
        self._taken = 0

    def commit(self, choice: str) -> None:
        """Commits to one of the choices, and locks the prediction.

        Raises:
            LabError: the prediction isn't open any more, or there is no such choice.
        """
        if self.state != "open":
            raise LabError(
                f"The prediction {self.name} is locked.",
                f"it is {self.state}",
                "Run its cell again for another try.",
            )
        self._must_be_a_choice(choice, "There is no such choice.", "Commit to one of these.")
        self.choice = choice
        self._end("committed")
        self.committed()

    def close(self) -> None:
        """Closes the prediction when the next cell starts: if nothing was committed, it's
        missed."""
        if self.state == "open":
            self._end("missed")

    def reopen(self) -> None:
        """Starts another attempt, because its cell runs again."""
        self.close()
        self.state, self.choice = "open", None

    def reveal(self, measured: object) -> "Reveal":
        """Reveals what was measured, and scores the choice.

        Raises:
            LabError: the measured value isn't one of the choices. That's the lab's fault, not the
                reader's.
        """
        measured = str(measured)
        do = (
            "The lab didn't expect this: run the measuring cell again, and report it if it happens"
            " again."
        )
        self._must_be_a_choice(measured, f"What was measured isn't a choice of {self.name}.", do)
        self.close()
        if self.state == "committed":
            self.state = "scored"
            self.changed()
        return Reveal(measured, self.choice, len(self.attempts))

    def take_attempts(self) -> list[str | None]:
        """Returns the attempts that have ended since the last call. So each is counted once,
        however often its cell runs."""
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
    """What was measured. Its text is only the measurement, so that the stored output doesn't depend
    on the reader.

    Attributes:
        measured: one of the choices.
        choice: what the reader committed to; None if nothing.
        attempt: 1 for the first.
    """

    measured: str
    choice: str | None
    attempt: int

    @property
    def sentence(self) -> str:
        """Whether the choice was right, for the widget only; "" if nothing was committed.

        >>> Reveal("stays", "changes", 1).sentence
        'You said: changes. The cluster disagrees.'
        """
        if self.choice is None:
            return ""
        right = "Right." if self.choice == self.measured else "The cluster disagrees."
        return f"You said: {self.choice}. {right}" + (
            f" (Attempt {self.attempt}; the first is the score.)" if self.attempt > 1 else ""
        )

    def __repr__(self) -> str:
        return f"measured: {self.measured}"


class Scores:
    """The file of scores: every attempt at every prediction, the first of which is the score.

    If the file can't be read, it's set aside, not lost. If it can't be written, the lab continues,
    and ``notice`` says so.

    Args:
        path: the JSON file. It maps each prediction ("lab/name") to its attempts, each ``{"choice":
            …, "measured": …}``.
    """

    def __init__(self, path: Path):
        self.path = path
        self.notice = ""

    def attempts(self, key: str) -> list[dict]:
        """The attempts so far, the oldest first. A missed one has the choice None."""
        return self._read().get(key, [])

    def score(self, key: str) -> bool | None:
        """Whether the first attempt was right; None if nothing was committed in it, or if there is
        none."""
        first = next(iter(self.attempts(key)), {"choice": None, "measured": ""})
        return None if first["choice"] is None else first["choice"] == first["measured"]

    def summary(self) -> str:
        """A table of how many predictions were committed, and how many of these were right at the
        first attempt: a line for each lab, and one for all."""
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
        """Adds attempts at one prediction. A missed one is kept only if it's the first, because
        each Run All adds another, which means nothing."""
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
            self.notice = f"The score couldn't be saved: {error}."

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
            self.notice = f"The scores couldn't be read: {error}."
            return {}
        aside = next(
            path
            for number in range(1, 1000)
            if not (path := self.path.with_suffix(f".broken-{number}")).exists()
        )
        with contextlib.suppress(OSError):
            self.path.replace(aside)
        self.notice = (
            f"The file of scores couldn't be read. It was set aside as {aside.name}, and counting"
            " starts again."
        )
        return {}
