"""A choice among several things, and a card that says more about the one that's chosen. No widget
here: a plain model that tests drive."""

from collections.abc import Callable, Sequence

from labhelpers.arguments import must_differ
from labhelpers.errors import LabError
from labhelpers.outcomes import Shown

__all__ = ["Picker"]


class Picker:
    """Several things, one of which is chosen, and the card of that one.

    Args:
        choices: what each is called.
        card: from the one that's chosen to a table and its sentence.

    Raises:
        LabError: there is nothing to choose from, or the same twice.

    Attributes:
        choices: what each is called.
        chosen: the one that's chosen now; the first one at first.
        card: its card; None where it couldn't be made.
        error: why not, in three lines; "" where it could.

    >>> picker = Picker(["hostname", "dnsPolicy"], lambda name: Shown("", f"this is {name}"))
    >>> picker
    this is hostname
    >>> picker.choose("dnsPolicy")
    >>> picker
    this is dnsPolicy
    """

    def __init__(self, choices: Sequence[str], card: Callable[[str], Shown]):
        must_differ("choices", [*choices])
        self.choices = tuple(choices)
        self.chosen = self.choices[0]
        self._make = card
        self.card: Shown | None = None
        self.error = ""
        # What the view is told with; the model doesn't know whether there is one.
        self.changed: Callable[[], None] = lambda: None
        self._look()

    def __repr__(self) -> str:
        return self.error or str(self.card)

    def choose(self, name: str) -> None:
        """Chooses another one.

        Raises:
            LabError: there is none of this name.
        """
        if name not in self.choices:
            raise LabError(
                "There is no such choice.",
                repr(name),
                f"Use one of these: {', '.join(self.choices)}.",
            )
        self.chosen = name
        self._look()
        self.changed()

    def _look(self) -> None:
        """A card may have to ask a cluster that doesn't answer: the view says so, and the next
        choice tries again."""
        try:
            self.card, self.error = self._make(self.chosen), ""
        except LabError as error:
            self.card, self.error = None, str(error)
