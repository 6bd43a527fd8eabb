"""Thin views of models. Everything that decides is in the model; ipywidgets is loaded when a view
is first shown."""

import contextlib
import html
import io
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from labhelpers.charts import canvas
from labhelpers.charts.chart import Chart
from labhelpers.errors import LabError
from labhelpers.kube.client import MARK
from labhelpers.patience import patient
from labhelpers.predictions import Prediction, Reveal

if TYPE_CHECKING:
    from pandas import DataFrame

    from labhelpers.dials import Dials
    from labhelpers.picker import Picker
    from labhelpers.slider import Slider
    from labhelpers.toggles import Toggles

__all__ = [
    "CardView",
    "DialsView",
    "Live",
    "PickerView",
    "PredictionView",
    "RevealView",
    "SliderView",
    "TogglesView",
    "after_each_cell",
    "end_all",
    "on_next_cell",
]

WIDGET = "application/vnd.jupyter.widget-view+json"

STATES = {
    "open": "Choose, then Commit. It locks when the next cell runs.",
    "committed": "Committed, and locked.",
    "missed": "The next cell has run, so nothing is scored. Run this cell again to choose.",
    "scored": "Committed, and measured below.",
}

FRAME_SECONDS = 0.25
# Drawing takes from the machine that is being measured: for each second of it, at least so many
# without.
REST = 4
JOIN_SECONDS = 15

_hooks: dict[str, Callable] = {}
_running: "weakref.WeakSet[Live | SliderView | DialsView]" = weakref.WeakSet()


def on_next_cell(act: Callable[[], None]) -> None:
    """Calls ``act`` whenever a cell starts to run, in place of what was given before. Outside of
    IPython it does nothing.

    The event is ``pre_run_cell``: ``pre_execute`` fires for each message of a widget too.
    https://ipython.readthedocs.io/en/stable/config/callbacks.html
    """
    _on("pre_run_cell", act)


def after_each_cell(act: Callable[[], None]) -> None:
    """The same when a cell has run; what ``act`` displays stands below that cell."""
    _on("post_run_cell", act)


def _on(event: str, act: Callable[[], None]) -> None:
    """A hook that raises would print its traceback into the reader's cell, so this one never
    does."""
    ipython = sys.modules.get("IPython")  # Where it has not been loaded, no cell runs.
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return

    def hook(info: object) -> None:
        with contextlib.suppress(Exception):
            act()

    if event in _hooks:
        # A recreated shell doesn't know the old one.
        with contextlib.suppress(ValueError):
            shell.events.unregister(event, _hooks[event])
    shell.events.register(event, hook)
    _hooks[event] = hook


class View:
    """What a model looks like in JupyterLab: a widget, made when it's first shown, and the model's
    text where there are no widgets."""

    box: Any = None

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        if self.box is None:
            self._build()
        return _bundle(repr(self), self.box)

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
        return _bundle(repr(self), self.box)


class Live:
    """A picture that moves while something is measured: at most four frames a second, the last one
    with all the data, then it hides.

    Use it as a context manager around what is measured, or between ``start`` and ``stop``. It draws
    in a thread of its own. What goes wrong there is shown in the view, and never raised: a picture
    is no reason to lose a measurement.

    Args:
        chart: gives the chart of what is known so far; the same function draws what is stored.
        measured: a context manager to enter with it, such as ``Samples``; the ``with`` statement
            gives that one.
        limit_seconds: the longest time that it moves.

    Attributes:
        frames: how many it has drawn.
        chart: the last chart that was drawn, or None.
        error: what the view says that went wrong; "" where nothing did.

    Example::

        with lab.live(lab.samples("hog", "app"), "How far does it get?") as memory:
            lab.apply("hog.yaml").container("app").wait_until("restarted", timeout_seconds=60)
    """

    def __init__(
        self, chart: Callable[[], Chart], measured: Any = None, *, limit_seconds: float = 600
    ):
        self._make, self._measured, self._limit_seconds = chart, measured, limit_seconds
        self.chart: Chart | None = None
        self.frames, self.error = 0, ""
        self.image = self.line = self.box = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"Live picture: {self.frames} frames"

    def __enter__(self) -> Any:
        entered = self._measured.__enter__() if self._measured is not None else self
        try:
            self.show()
            self.start()
        # Python calls __exit__ only where __enter__ has come to its end.
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return entered

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            if self._measured is not None:
                self._measured.__exit__(kind, error, traceback)
        finally:
            self.stop()

    def show(self) -> None:
        """Puts the view into the running cell's output. It is not stored: what is stored is the
        chart that the lab shows afterwards."""
        ipython = sys.modules.get("IPython")
        if ipython is not None and ipython.get_ipython() is not None:
            # As a raw bundle: an object's own text would be put beside it, and would be stored.
            ipython.display.display(_bundle("", self.view()), raw=True)

    def view(self) -> Any:
        """The view as a widget, made when it is first asked for."""
        if self.box is None:
            import ipywidgets

            self.image = ipywidgets.Image(
                format="png", width=int(canvas.WIDTH_INCHES * 96), layout={"display": "none"}
            )
            self.line = ipywidgets.HTML()
            self.box = ipywidgets.VBox([self.image, self.line])
        return self.box

    def start(self) -> None:
        """Begins to draw."""
        self.view()
        self._thread = threading.Thread(target=self._run, name=f"{MARK}-live", daemon=True)
        _running.add(self)
        self._thread.start()

    def stop(self) -> None:
        """Draws the last frame, hides the picture, and ends the thread. Again: nothing happens."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(patient(JOIN_SECONDS))
        _running.discard(self)

    def _run(self) -> None:
        deadline = time.monotonic() + self._limit_seconds
        while not self._stop.is_set() and time.monotonic() < deadline:
            began = time.monotonic()
            self.draw()
            took = time.monotonic() - began
            self._stop.wait(max(FRAME_SECONDS - took, REST * took))
        self.draw()
        self.image.layout.display = "none"

    def draw(self) -> None:
        """Draws one frame now."""
        try:
            chart = self._make()
            out = io.BytesIO()
            chart.figure().savefig(out, format="png", dpi=96)
            self.image.value = out.getvalue()
            self.image.layout.display = ""
            self.chart, self.error = chart, ""
            self.frames += 1
        except LabError as error:
            self.error = str(error)
        except Exception as error:
            self.error = f"The picture could not be drawn: {type(error).__name__}: {error}"
        self.line.value = _lines(self.error)


class SliderView(View):
    """A slider with a live picture below. Stored, and on GitHub, it is its sequence as text.

    Args:
        slider: the model, which decides everything.
        label: what is moved, in words.
        title: the question that the live picture answers.
    """

    def __init__(self, slider: "Slider", label: str, title: str):
        self.slider, self.label = slider, label
        self.live = Live(lambda: slider.so_far(title))
        self.control = self.line = None
        self._showing: int | None = None  # the thread that shows the model's own move

    def __repr__(self) -> str:
        return f"{self.label}, {self.slider!r}"

    def start(self) -> "SliderView":
        """Begins, and returns at once."""
        self._build()
        _running.add(self)
        self.live.start()
        self.slider.start()
        return self

    def stop(self) -> None:
        """Ends it as soon as the move that is under way is done, and waits for that."""
        self.slider.stop()
        self.live.stop()
        _running.discard(self)

    def chart(self, title: str) -> Chart:
        """Ends the slider, and gives the picture that is stored: see ``Slider.chart``."""
        try:
            return self.slider.chart(title)
        finally:
            self.live.stop()
            _running.discard(self)

    @property
    def steps(self) -> "DataFrame":
        """See ``Slider.steps``."""
        return self.slider.steps

    def _build(self) -> None:
        import ipywidgets

        options = [(str(value), value) for value in self.slider.values]
        wide = {"width": "600px"}
        self.control = ipywidgets.SelectionSlider(
            options=options,
            description=self.label,
            continuous_update=True,
            layout=wide,
            style={"description_width": "initial"},
        )
        self.line = ipywidgets.HTML()
        self.control.observe(self._moved, "value")
        self.box = ipywidgets.VBox([self.control, self.line, self.live.view()])
        self.slider.changed = self._show
        self._show()

    def _moved(self, change: object) -> None:
        if self._showing != threading.get_ident():
            self.slider.move(self.control.value)

    def _show(self) -> None:
        """The model's word. While a reader's hand is on the slider, it is the hand that says where
        it stands."""
        if self.slider.value is not None and not self.slider.touched:
            self._showing = threading.get_ident()
            try:
                self.control.value = self.slider.value
            finally:
                self._showing = None
        self.line.value = _lines(self.slider.state)
        if self.slider.state == "At its end." or self.slider.error is not None:
            self.control.disabled = True
            self.live.stop()


class DialsView(View):
    """A slider for each number, a button that asks for a measurement, and below them the picture,
    which follows every move at once. Stored, and on GitHub, it is the numbers as text.

    Args:
        dials: the model, which decides everything.
        title: the question that the picture answers.
    """

    def __init__(self, dials: "Dials", title: str):
        self.dials, self.title = dials, title
        self.live = Live(lambda: dials.chart_so_far(title))
        self.controls: dict[str, Any] = {}
        self.button = self.line = None
        self._drawing = threading.Lock()  # a move draws in one thread, a measurement in another

    def __repr__(self) -> str:
        return repr(self.dials)

    def stop(self) -> None:
        """Ends the measurement that is under way, and waits for that."""
        self.dials.stop()
        _running.discard(self)

    def chart(self, title: str = "") -> Chart:
        """Ends it, and gives the picture that is stored: see ``Dials.chart``."""
        try:
            return self.dials.chart(title or self.title)
        finally:
            self.stop()

    @property
    def table(self) -> "DataFrame":
        """See ``Dials.table``."""
        return self.dials.table

    def _build(self) -> None:
        import ipywidgets

        for name, values in self.dials.dials.items():
            self.controls[name] = ipywidgets.SelectionSlider(
                options=[(str(value), value) for value in sorted(values)],
                value=self.dials.at[name],
                description=name,
                continuous_update=True,
                layout={"width": "600px"},
                style={"description_width": "160px"},
            )
            self.controls[name].observe(self._moved(name), "value")
        self.button = ipywidgets.Button(description="Measure", tooltip="Try it on the cluster")
        self.button.on_click(lambda button: self.dials.measure())
        self.line = ipywidgets.HTML()
        asked = ipywidgets.HBox([self.button, self.line])
        self.box = ipywidgets.VBox([*self.controls.values(), asked, self.live.view()])
        self.dials.changed = self._show
        _running.add(self)
        self._show()

    def _moved(self, name: str) -> Callable[[Any], None]:
        return lambda change: self.dials.choose(name, change["new"])

    def _show(self) -> None:
        self.line.value = _lines(self.dials.state)
        with self._drawing:
            self.live.draw()


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
        self.verdict.value = said.html if said is not None else _lines(self.toggles.error)


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
        self.card.value = said.html if said is not None else _lines(self.picker.error)


class CardView:
    """HTML for whoever sits in front of the notebook. It's a widget, so nothing of it is stored.

    Args:
        make: gives the HTML; it's called only where somebody may see it.
    """

    def __init__(self, make: Callable[[], str]):
        self._make = make

    def show(self) -> None:
        """Puts it into the running cell's output. Outside of IPython it does nothing."""
        ipython = sys.modules.get("IPython")
        if ipython is not None and ipython.get_ipython() is not None and (content := self._make()):
            import ipywidgets

            ipython.display.display(_bundle("", ipywidgets.HTML(content)), raw=True)


def end_all() -> None:
    """Ends every live picture and every slider of this kernel."""
    for each in list(_running):
        each.stop()


def _lines(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


def _bundle(text: str, widget) -> dict:
    # The widget's own text is left out: it is a repr with whatever its traits hold.
    return {
        **({"text/plain": text} if text else {}),
        WIDGET: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id},
    }
