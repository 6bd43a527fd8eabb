"""Thin views of models. Everything that decides is in the model; ipywidgets is loaded when a view is first shown."""

import contextlib
import html
import sys
from collections.abc import Callable

from labhelpers.predictions import Prediction, Reveal

__all__ = ["PredictionView", "RevealView", "on_next_cell"]

WIDGET = "application/vnd.jupyter.widget-view+json"

STATES = {
    "open": "Choose, then Commit. It locks when the next cell runs.",
    "committed": "Committed, and locked.",
    "missed": "The next cell has run, so nothing is scored. Run this cell again to choose.",
    "scored": "Committed, and measured below.",
}

_hook: Callable | None = None


def on_next_cell(act: Callable[[], None]) -> None:
    """Calls ``act`` whenever a cell starts to run, in place of what was given before. Outside of IPython it does nothing.

    The event is ``pre_run_cell``: ``pre_execute`` fires for each message of a widget too. A hook that raises would print its traceback
    into the reader's next cell, so this one never does.
    https://ipython.readthedocs.io/en/stable/config/callbacks.html
    """
    global _hook
    ipython = sys.modules.get("IPython")  # Where it has not been loaded, no cell runs.
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return

    def hook(info: object) -> None:
        with contextlib.suppress(Exception):
            act()

    if _hook is not None:
        with contextlib.suppress(ValueError):  # A shell that was made anew does not know the old one.
            shell.events.unregister("pre_run_cell", _hook)
    shell.events.register("pre_run_cell", hook)
    _hook = hook


class PredictionView:
    """Radio buttons and Commit for a prediction. Stored, and on GitHub, it is the question and its choices as text.

    Args:
        prediction: the model, which decides everything.
    """

    def __init__(self, prediction: Prediction):
        self.prediction = prediction
        self.radio = self.button = self.line = self.box = None

    def __repr__(self) -> str:
        return repr(self.prediction)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        if self.box is None:
            self._build()
        return _bundle(repr(self), self.box)

    def _build(self) -> None:
        import ipywidgets

        wide = {"width": "max-content"}
        question = ipywidgets.HTML(f"<b>{html.escape(self.prediction.question)}</b>")
        self.radio = ipywidgets.RadioButtons(options=self.prediction.choices, value=None, layout=wide)
        self.button = ipywidgets.Button(description="Commit", tooltip="Lock this answer")
        self.line = ipywidgets.HTML()
        self.button.on_click(self._commit)
        self.box = ipywidgets.VBox([question, self.radio, ipywidgets.HBox([self.button, self.line])])
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
        return _bundle(repr(self), self.box)


def _bundle(text: str, widget) -> dict:
    # The widget's own text is left out: it is a repr with whatever its traits hold.
    return {"text/plain": text, WIDGET: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}}
