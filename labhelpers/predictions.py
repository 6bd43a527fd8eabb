"""Predictions, which are open, then committed or missed, then scored. It's a plain model without a
widget, so that tests can drive it."""

from collections.abc import Callable
from dataclasses import dataclass

from labhelpers.errors import LabError

__all__ = ["Prediction", "Reveal"]


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
        LabError: fewer than two choices, or duplicate ones; or an empty name, question or choice.

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
        if "" in (name, question, *self.choices):
            raise LabError(
                f"The prediction {name!r} has an empty part.",
                f"question {question!r}; choices: {self.choices}",
                "Give it a name, a question, and words for each choice.",
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
