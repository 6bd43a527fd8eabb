"""labhelpers.picker: the model, and its view with no browser."""

import pytest

from labhelpers.errors import LabError
from labhelpers.outcomes import Shown
from labhelpers.picker import Picker
from labhelpers.widgets import PickerView


class Cards:
    """Says what is chosen; fails when it's told to."""

    def __init__(self):
        self.asked, self.fails = [], False

    def __call__(self, name):
        self.asked.append(name)
        if self.fails:
            raise LabError("No answer.", "nothing", "Try again.")
        return Shown("a <table>", f"chosen is {name}")


@pytest.fixture
def cards():
    return Cards()


@pytest.fixture
def picker(cards):
    return Picker(["hostname", "dnsPolicy"], cards)


def test_the_first_one_is_chosen_until_another_is(picker, cards):
    assert repr(picker) == "chosen is hostname"
    picker.choose("dnsPolicy")
    assert (picker.chosen, repr(picker)) == ("dnsPolicy", "chosen is dnsPolicy")
    assert cards.asked == ["hostname", "dnsPolicy"]


def test_a_card_that_fails_is_made_again_at_the_next_choice(picker, cards):
    cards.fails = True
    picker.choose("dnsPolicy")
    assert picker.card is None
    assert repr(picker) == "No answer.\nSeen: nothing\nDo:   Try again."
    cards.fails = False
    picker.choose("hostname")
    assert (repr(picker), picker.error) == ("chosen is hostname", "")


def test_what_cannot_be_chosen_is_an_error(picker, cards):
    with pytest.raises(LabError, match="There is no such choice"):
        picker.choose("hostNetwork")
    for choices in ([], [""], ["hostname", "hostname"]):
        with pytest.raises(LabError, match="These choices can't be used"):
            Picker(choices, cards)


def test_a_choice_in_the_view_changes_the_card(picker, cards):
    view = PickerView(picker, "field")
    bundle = view._repr_mimebundle_()
    assert bundle["text/plain"] == "chosen is hostname"
    assert view.list.options == ("hostname", "dnsPolicy")
    view.list.value = "dnsPolicy"
    assert "<p>chosen is dnsPolicy</p>" in view.card.value
    assert "a &lt;table&gt;" in view.card.value
    cards.fails = True
    view.list.value = "hostname"
    assert view.card.value == "No answer.<br>Seen: nothing<br>Do:   Try again."
