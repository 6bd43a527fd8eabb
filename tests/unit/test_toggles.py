"""labhelpers.toggles: the model, and its view with no browser."""

import pytest

from labhelpers.errors import LabError
from labhelpers.outcomes import Shown
from labhelpers.toggles import Toggles
from labhelpers.widgets import TogglesView


class Judge:
    """Says which lines are on; fails when it's told to."""

    def __init__(self):
        self.asked, self.fails = [], False

    def __call__(self, on):
        self.asked.append(on)
        if self.fails:
            raise LabError("No answer.", "nothing", "Try again.")
        return Shown("a <table>", f"on are {len(on)}: {', '.join(on)}")


@pytest.fixture
def judge():
    return Judge()


@pytest.fixture
def toggles(judge):
    return Toggles({"user": True, "drop": False, "seccomp": True}, judge)


def test_the_judge_is_asked_about_the_lines_that_are_on(toggles, judge):
    assert repr(toggles) == "on are 2: user, seccomp"
    toggles.switch("drop", True)
    toggles.switch("user", False)
    assert judge.asked == [
        ["user", "seccomp"],
        ["user", "drop", "seccomp"],
        ["drop", "seccomp"],
    ]
    assert repr(toggles) == "on are 2: drop, seccomp"


def test_a_judge_that_fails_is_asked_again_at_the_next_switch(toggles, judge):
    judge.fails = True
    toggles.switch("drop", True)
    assert toggles.verdict is None
    assert repr(toggles) == "No answer.\nSeen: nothing\nDo:   Try again."
    judge.fails = False
    toggles.switch("drop", False)
    assert (repr(toggles), toggles.error) == ("on are 2: user, seccomp", "")


def test_what_cannot_be_switched_is_an_error(toggles, judge):
    with pytest.raises(LabError, match="There is no such line"):
        toggles.switch("users", True)
    with pytest.raises(LabError, match="These lines can't be used"):
        Toggles({}, judge)


def test_a_click_in_the_view_changes_the_verdict(toggles, judge):
    view = TogglesView(toggles)
    bundle = view._repr_mimebundle_()
    assert bundle["text/plain"] == "on are 2: user, seccomp"
    assert [box.value for box in view.boxes.values()] == [True, False, True]
    view.boxes["drop"].value = True
    assert "<p>on are 3: user, drop, seccomp</p>" in view.verdict.value
    assert "a &lt;table&gt;" in view.verdict.value
    judge.fails = True
    view.boxes["drop"].value = False
    assert view.verdict.value == "No answer.<br>Seen: nothing<br>Do:   Try again."
