"""labhelpers.predictions: the model of a prediction, and the file of scores."""

import json

import pytest

from labhelpers.errors import LabError
from labhelpers.predictions import Prediction, Reveal, Scores

CHOICES = ["stays", "changes", "is gone"]


@pytest.fixture
def prediction():
    return Prediction("address", "The Pod's IP address …", CHOICES)


@pytest.fixture
def scores(tmp_path):
    return Scores(tmp_path / "state" / "scores.json")


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


@pytest.mark.parametrize(
    ("choices", "score"),
    [(["stays"], True), (["changes", "stays"], False), ([None, "stays"], None), ([], None)],
)
def test_the_first_attempt_is_the_score(scores, choices, score):
    scores.add("02-pause/address", choices, "stays")
    assert Scores(scores.path).score("02-pause/address") is score
    assert [each["choice"] for each in scores.attempts("02-pause/address")] == choices


def test_the_first_attempts_are_added_up_lab_by_lab(scores):
    assert scores.summary() == "No prediction has been committed yet."
    scores.add("02-pause/missed", [None, "stays"], "stays")
    assert scores.summary() == "No prediction has been committed yet."
    scores.add("02-pause/address", ["stays"], "stays")
    scores.add("02-pause/ready", ["False", "True"], "True")
    scores.add("00-start-here/again", ["neither"], "neither")
    assert [line.split() for line in scores.summary().splitlines()] == [
        ["lab", "committed", "right"],
        ["00-start-here", "1", "1"],
        ["02-pause", "2", "1"],
        ["all", "labs", "3", "2"],
    ]


def test_running_all_again_and_again_adds_nothing(scores):
    for _ in range(3):
        scores.add("a", [None], "stays")
    scores.add("a", ["stays", None], "stays")
    assert [each["choice"] for each in scores.attempts("a")] == [None, "stays"]


def test_attempts_of_other_predictions_are_kept(scores):
    scores.add("a", ["stays"], "stays")
    Scores(scores.path).add("b", ["changes"], "stays")
    scores.add("a", ["changes"], "stays")
    assert {
        key: len(attempts) for key, attempts in json.loads(scores.path.read_text()).items()
    } == {"a": 2, "b": 1}
    assert [path.name for path in scores.path.parent.iterdir()] == ["scores.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"a": [{"choice": "x"}]}', ""])
def test_a_broken_file_is_set_aside_and_not_lost(scores, text):
    scores.path.parent.mkdir()
    for number in (1, 2):
        scores.path.write_text(text)
        scores.add("a", ["stays"], "stays")
        assert scores.path.with_name(f"scores.broken-{number}").read_text() == text
        assert (
            scores.notice
            == f"The file of scores couldn't be read. It was set aside as scores.broken-{number},"
            " and counting starts again."
        )
        assert Scores(scores.path).score("a") is True


def test_a_score_that_cannot_be_kept_stops_no_lab(scores):
    scores.path.parent.write_text("a file where the folder should be")
    scores.add("a", ["stays"], "stays")
    assert scores.notice.startswith("The score couldn't be saved: ")


def test_choices_are_a_list_and_not_one_text():
    with pytest.raises(LabError, match="choices is one text: 'ab'"):
        Prediction("address", "The address …", "ab")
