"""labhelpers.widgets: the thin views."""

import pytest

from labhelpers.predictions import Prediction, Reveal
from labhelpers.widgets import WIDGET, PredictionView, RevealView


@pytest.fixture
def view():
    view = PredictionView(Prediction("address", "The <address> …", ["stays", "changes"]))
    view._repr_mimebundle_()
    return view


def test_the_text_of_a_view_is_that_of_its_model(view):
    bundle = view._repr_mimebundle_()
    assert bundle["text/plain"] == "The <address> …\n( ) stays\n( ) changes"
    assert set(bundle) == {"text/plain", WIDGET}
    assert view._repr_mimebundle_()[WIDGET] == bundle[WIDGET], "shown twice, it is one widget"


def test_commit_locks_the_view(view):
    view.radio.value = "changes"
    view.button.click()
    assert view.prediction.state == "committed"
    assert (view.radio.disabled, view.button.disabled, view.line.value) == (
        True,
        True,
        "Committed, and locked.",
    )


def test_commit_without_a_choice_asks_for_one(view):
    view.button.click()
    assert (view.prediction.state, view.radio.disabled, view.line.value) == (
        "open",
        False,
        "Choose one first.",
    )


def test_what_is_not_committed_is_not_taken(view):
    view.radio.value = "changes"
    view.prediction.close()
    assert (view.prediction.state, view.radio.value, view.radio.disabled) == ("missed", None, True)
    assert "Run this cell again" in view.line.value
    view.button.click()
    assert view.prediction.state == "missed"


def test_the_words_of_a_lab_are_escaped(view):
    assert view.box.children[0].value == "<b>The &lt;address&gt; …</b>"


def test_the_score_is_in_the_widget_only():
    view = RevealView(Reveal("stays", "changes", 1))
    bundle = view._repr_mimebundle_()
    assert bundle["text/plain"] == "measured: stays"
    assert set(bundle) == {"text/plain", WIDGET}
    assert view.box.value == "measured: stays<br><b>You said: changes. The cluster disagrees.</b>"


def test_a_reveal_without_a_choice_is_text_alone():
    assert RevealView(Reveal("stays", None, 1))._repr_mimebundle_() == {
        "text/plain": "measured: stays"
    }
    assert WIDGET in RevealView(Reveal("stays", None, 1), "A notice.")._repr_mimebundle_()
