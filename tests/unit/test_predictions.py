"""labhelpers.predictions: the model of a prediction."""

import pytest

from labhelpers.errors import LabError
from labhelpers.predictions import Prediction, Reveal

CHOICES = ["stays", "changes", "is gone"]


@pytest.fixture
def prediction():
    return Prediction("address", "The Pod's IP address …", CHOICES)


@pytest.mark.parametrize(
    ("name", "question", "choices"),
    [("", "Who?", CHOICES), ("who", "", CHOICES), ("who", "Who?", ["stays", ""])],
)
def test_nothing_of_it_is_empty(name, question, choices):
    with pytest.raises(LabError, match="has an empty part"):
        Prediction(name, question, choices)


def test_open_committed_scored(prediction):
    states = [prediction.state]
    prediction.commit("changes")
    states.append(prediction.state)
    prediction.close()
    states.append(prediction.state)
    reveal = prediction.reveal("stays")
    states.append(prediction.state)
    assert states == ["open", "committed", "committed", "scored"]
    assert reveal == Reveal("stays", "changes", 1)


def test_run_all_scores_nothing_and_raises_nothing(prediction):
    prediction.close()
    reveal = prediction.reveal("stays")
    assert (prediction.state, reveal.choice, reveal.sentence, repr(reveal)) == (
        "missed",
        None,
        "",
        "measured: stays",
    )


def test_it_cannot_be_changed_once_locked(prediction):
    prediction.commit("stays")
    for lock in (lambda: None, prediction.close, lambda: prediction.reveal("stays")):
        lock()
        with pytest.raises(LabError, match="is locked"):
            prediction.commit("changes")
    assert prediction.choice == "stays"


def test_only_a_choice_can_be_committed_or_measured(prediction):
    with pytest.raises(LabError, match="'flies'; the choices are stays, changes, is gone"):
        prediction.commit("flies")
    with pytest.raises(LabError, match="What was measured isn't a choice of address") as caught:
        prediction.reveal(None)
    assert caught.value.seen == "'None'; the choices are stays, changes, is gone"
    assert (prediction.state, prediction.attempts) == ("open", [])


@pytest.mark.parametrize("choices", [[], ["one"], ["a", "a"], [1, "1"]])
def test_a_question_needs_two_different_choices(choices):
    with pytest.raises(LabError, match="needs a"):
        Prediction("q", "?", choices)


def test_choices_may_be_numbers():
    prediction = Prediction("restarts", "How often?", [0, 1])
    prediction.commit("1")
    assert prediction.reveal(1).sentence == "You said: 1. Right."


def test_a_later_attempt_is_said_to_be_one(prediction):
    prediction.close()
    prediction.reopen()
    prediction.commit("stays")
    assert (
        prediction.reveal("stays").sentence
        == "You said: stays. Right. (Attempt 2; the first is the score.)"
    )
    assert prediction.take_attempts() == [None, "stays"]
    prediction.reveal("stays")
    assert prediction.take_attempts() == []


def test_its_text_is_the_question_and_the_choices(prediction):
    assert repr(prediction) == "The Pod's IP address …\n( ) stays\n( ) changes\n( ) is gone"
    prediction.commit("changes")
    assert repr(prediction.reveal("stays")) == "measured: stays"


def test_choices_are_a_list_and_not_one_text():
    with pytest.raises(LabError, match="choices is one text: 'ab'"):
        Prediction("address", "The address …", "ab")
