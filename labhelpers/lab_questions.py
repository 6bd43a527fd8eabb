"""What a lab asks its reader: predictions and exercises."""

from functools import partial
from pathlib import Path

from labhelpers import card
from labhelpers.arguments import checked
from labhelpers.errors import LabError
from labhelpers.exercises import Exercise, Verdict
from labhelpers.lab_shares import LabShares
from labhelpers.outcomes import Text, as_printed, shown_only
from labhelpers.predictions import Prediction
from labhelpers.record import Record
from labhelpers.transcript import told
from labhelpers.widgets import PredictionView, RevealView

__all__ = ["LabQuestions"]


@checked
class LabQuestions(LabShares):
    """The part of ``Lab`` with the reader's predictions, exercises and score."""

    name: str
    record: Record
    _predictions: dict[str, Prediction]
    _exercises: dict[str, Exercise]

    def predict(self, name: str, question: str, choices: list) -> PredictionView:
        """Asks the reader for an answer, which locks when the next cell runs. Run again, it is a
        later attempt."""
        before = self._predictions.get(name)
        if before and (before.question, before.choices) == (
            question,
            [str(choice) for choice in choices],
        ):
            before.reopen()
        else:
            asked = self._predictions[name] = Prediction(name, question, choices)
            asked.committed = partial(self._share_vote, asked)
        return PredictionView(self._predictions[name])

    def reveal(self, name: str, measured: object) -> RevealView:
        """What was measured, and what that makes of the prediction of this name.

        Raises:
            LabError: there is no such prediction, or the measured value is none of its choices.
        """
        if name not in self._predictions:
            asked = ", ".join(self._predictions) or "none"
            raise LabError(
                f"There is no prediction {name!r} to reveal.",
                f"asked so far: {asked}",
                "Run the cell that asks it first.",
            )
        prediction = self._predictions[name]
        reveal = prediction.reveal(measured)
        self._share_reveal(prediction, reveal.measured)
        self.record.predicted(self.name, name, prediction.take_attempts(), reveal.measured)
        return RevealView(reveal, self.record.notice)

    def score(self) -> None:
        """Shows how many of your predictions were right at the first attempt, lab by lab. It's
        yours alone, so nothing of it is compared.

        Raises:
            LabError: a newer podlab has written the record.
        """
        shown_only(as_printed(card.scores(self.record)))

    def _close_predictions(self) -> None:
        for prediction in self._predictions.values():
            prediction.close()

    @told
    def exercise(self, key: str) -> Text:
        """Shows the question of an exercise and the file to edit, a copy of the starter."""
        return self._exercise(key).start()

    @told
    def check(self, key: str, path: Path | None = None) -> Verdict:
        """Applies the reader's manifest from scratch, and says what the cluster makes of it.
        ``.passed`` is the verdict. Once it's passed, a debriefing follows."""
        with self._sharing_check(key, own=path is None) as told:
            verdict = self._exercise(key).check(path)
            told.append(verdict)
        if path is None:  # Any other file is a test's, or the author's.
            self.record.checked(self.name, key, verdict.passed)
        self._remember_pods()
        return verdict

    @told
    def hint(self, key: str) -> Text:
        """Shows the next hint."""
        hint = self._exercise(key).hint()
        self.record.hinted(self.name, key)
        return hint

    @told
    def solution(self, key: str) -> Text:
        """Applies the solution and shows it."""
        return self._exercise(key).solution()

    @told
    def reset(self, key: str) -> Text:
        """Restores the starter. The reader's file is saved as ``.bak``."""
        return self._exercise(key).reset()

    def _exercise(self, key: str) -> Exercise:
        if key not in self._exercises:
            self._exercises[key] = Exercise(self.name, key, self)
        return self._exercises[key]
