"""Pictures that move while something is measured, and the sliders and dials above them."""

import io
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
from labhelpers.widgets import View, as_html, display

if TYPE_CHECKING:
    from pandas import DataFrame

    from labhelpers.dials import Dials
    from labhelpers.slider import Slider

__all__ = ["DialsView", "Live", "SliderView", "end_all"]

FRAME_SECONDS = 0.25
# Drawing takes from the machine that is being measured: for each second of it, at least so many
# without.
REST = 4
JOIN_SECONDS = 15

_running: "weakref.WeakSet[Live | SliderView | DialsView]" = weakref.WeakSet()


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
        display(self.view)

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
        self.line.value = as_html(self.error)


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
        self.line.value = as_html(self.slider.state)
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
        self.line.value = as_html(self.dials.state)
        with self._drawing:
            self.live.draw()


def end_all() -> None:
    """Ends every live picture and every slider of this kernel."""
    for each in list(_running):
        each.stop()
