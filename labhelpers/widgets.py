"""Thin views of models. Everything that decides is in the model; ipywidgets is loaded when a view
is first shown."""

import html
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from labhelpers.predictions import Prediction, Reveal

if TYPE_CHECKING:
    from labhelpers.picker import Picker
    from labhelpers.toggles import Toggles

__all__ = [
    "CardView",
    "PickerView",
    "PredictionView",
    "RevealView",
    "TogglesView",
    "View",
    "as_html",
    "bundle",
    "display",
]

WIDGET = "application/vnd.jupyter.widget-view+json"

STATES = {
    "open": "Choose, then Commit. It locks when the next cell runs.",
    "committed": "Committed, and locked.",
    "missed": "The next cell has run, so nothing is scored. Run this cell again to choose.",
    "scored": "Committed, and measured below.",
}


class View:
    """What a model looks like in JupyterLab: a widget, made when it's first shown, and the model's
    text where there are no widgets."""

    box: Any = None

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        if self.box is None:
            self._build()
        return bundle(repr(self), self.box)

    def _build(self) -> None:
        """Makes ``box``."""
        raise NotImplementedError


class PredictionView(View):
    """Radio buttons and Commit for a prediction. Stored, and on GitHub, it is the question and its
    choices as text.

    Args:
        prediction: the model, which decides everything.
    """

    def __init__(self, prediction: Prediction):
        self.prediction = prediction
        self.radio = self.button = self.line = None

    def __repr__(self) -> str:
        return repr(self.prediction)

    def _build(self) -> None:
        import ipywidgets

        wide = {"width": "max-content"}
        question = ipywidgets.HTML(f"<b>{html.escape(self.prediction.question)}</b>")
        self.radio = ipywidgets.RadioButtons(
            options=self.prediction.choices, value=None, layout=wide
        )
        self.button = ipywidgets.Button(description="Commit", tooltip="Lock this answer")
        self.line = ipywidgets.HTML()
        self.button.on_click(self._commit)
        self.box = ipywidgets.VBox(
            [question, self.radio, ipywidgets.HBox([self.button, self.line])]
        )
        self.prediction.changed = self._show
        self._show()

    def _commit(self, button: object) -> None:
        if self.radio.value is None:
            self.line.value = "Choose one first."
        elif self.prediction.state == "open":
            self.prediction.commit(self.radio.value)

    def _show(self) -> None:
        self.radio.disabled = self.button.disabled = self.prediction.state != "open"
        if self.prediction.state != "open":
            self.radio.value = self.prediction.choice
        self.line.value = STATES[self.prediction.state]


class RevealView:
    """What was measured; and, in a live notebook only, what that makes of the reader's choice.

    Args:
        reveal: the model.
        notice: a sentence about the file of scores, if there is something to say.
    """

    def __init__(self, reveal: Reveal, notice: str = ""):
        self.reveal, self.notice = reveal, notice
        self.box = None

    def __repr__(self) -> str:
        return repr(self.reveal)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        said = " ".join(filter(None, [self.reveal.sentence, self.notice]))
        if not said:
            return {"text/plain": repr(self)}
        if self.box is None:
            import ipywidgets

            self.box = ipywidgets.HTML(f"{html.escape(repr(self))}<br><b>{html.escape(said)}</b>")
        return bundle(repr(self), self.box)


class TogglesView(View):
    """A check box for each line, and below them the verdict, which follows every click. Stored, and
    on GitHub, it is the verdict's sentence.

    Args:
        toggles: the model, which decides everything.
    """

    def __init__(self, toggles: "Toggles"):
        self.toggles = toggles
        self.boxes: dict[str, Any] = {}
        self.verdict = None

    def __repr__(self) -> str:
        return repr(self.toggles)

    def _build(self) -> None:
        import ipywidgets

        for line, is_on in self.toggles.on.items():
            check = ipywidgets.Checkbox(
                value=is_on, description=line, indent=False, layout={"width": "max-content"}
            )
            check.observe(self._clicked(line), "value")
            self.boxes[line] = check
        self.verdict = ipywidgets.HTML()
        # JupyterLab's looks of an output: a table in a widget has no room between its columns.
        for name in ("jp-OutputArea-output", "jp-RenderedHTMLCommon"):
            self.verdict.add_class(name)
        self.box = ipywidgets.VBox([*self.boxes.values(), self.verdict])
        self.toggles.changed = self._show
        self._show()

    def _clicked(self, line: str) -> Callable[[Any], None]:
        return lambda change: self.toggles.switch(line, change["new"])

    def _show(self) -> None:
        said = self.toggles.verdict
        self.verdict.value = said.html if said is not None else as_html(self.toggles.error)


class PickerView(View):
    """A list to choose from, and the card of what is chosen. Stored, and on GitHub, it is the
    sentence of the first card.

    Args:
        picker: the model, which decides everything.
        label: what is chosen, in a word or two.
    """

    def __init__(self, picker: "Picker", label: str):
        self.picker, self.label = picker, label
        self.list = self.card = None

    def __repr__(self) -> str:
        return repr(self.picker)

    def _build(self) -> None:
        import ipywidgets

        self.list = ipywidgets.Dropdown(
            options=self.picker.choices,
            value=self.picker.chosen,
            description=self.label,
            layout={"width": "max-content"},
            style={"description_width": "initial"},
        )
        self.list.observe(lambda change: self.picker.choose(change["new"]), "value")
        self.card = ipywidgets.HTML()
        self.box = ipywidgets.VBox([self.list, self.card])
        self.picker.changed = self._show
        self._show()

    def _show(self) -> None:
        said = self.picker.card
        self.card.value = said.html if said is not None else as_html(self.picker.error)


class CardView:
    """HTML for whoever sits in front of the notebook. It's a widget, so nothing of it is stored.

    Args:
        make: gives the HTML; it's called only where somebody may see it.
    """

    def __init__(self, make: Callable[[], str]):
        self._make = make

    def show(self) -> None:
        """Puts it into the running cell's output. Outside of IPython it does nothing."""
        display(self._widget)

    def _widget(self) -> Any:
        import ipywidgets

        content = self._make()
        return ipywidgets.HTML(content) if content else None


def display(make: Callable[[], Any]) -> None:
    """Puts a widget into the running cell's output, of which nothing is stored. Outside of IPython
    it does nothing.

    Args:
        make: gives the widget, or None; it's called only where somebody may see it.
    """
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None or (widget := make()) is None:
        return
    # As a raw bundle: an object's own text would be put beside it, and would be stored.
    ipython.display.display(bundle("", widget), raw=True)


def as_html(text: str) -> str:
    """Text as HTML, line by line."""
    return html.escape(text).replace("\n", "<br>")


def bundle(text: str, widget) -> dict:
    # The widget's own text is left out: it is a repr with whatever its traits hold.
    return {
        **({"text/plain": text} if text else {}),
        WIDGET: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id},
    }
