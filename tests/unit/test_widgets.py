"""labhelpers.widgets: the thin views, and the hook that locks."""

import threading
import time

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from labhelpers import widgets
from labhelpers.charts import samples as charts
from labhelpers.errors import LabError
from labhelpers.predictions import Prediction, Reveal
from labhelpers.widgets import (
    WIDGET,
    Live,
    PredictionView,
    RevealView,
    SliderView,
    end_all,
    on_next_cell,
)
from tests.unit.test_slider import (
    LIMITS,
    Deeds,
    FakeSamples,
    frame_of,
    slider,
    wait_until,
)


@pytest.fixture
def view():
    view = PredictionView(Prediction("address", "The <address> …", ["stays", "changes"]))
    view._repr_mimebundle_()
    return view


@pytest.fixture
def shell(monkeypatch):
    # Without the file of history, whose thread would outlive the test.
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    monkeypatch.setattr(widgets, "_hooks", {})
    yield shell
    for event, hook in widgets._hooks.items():
        shell.events.unregister(event, hook)
    InteractiveShell.clear_instance()


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


def test_the_next_cell_closes_and_a_second_hook_replaces_the_first(shell):
    calls = []
    on_next_cell(lambda: calls.append("old"))
    on_next_cell(lambda: calls.append("new"))
    shell.run_cell("1")
    shell.run_cell("1", silent=True)
    assert calls == ["new"]


def test_a_hook_never_raises(shell, capsys):
    on_next_cell(lambda: 1 / 0)
    assert shell.run_cell("1 + 1").result == 2
    assert "Error" not in "".join(capsys.readouterr())


def test_a_view_in_a_cell_is_locked_by_the_next_cell(shell, view):
    shell.user_ns["view"], shell.user_ns["on_next_cell"] = view, on_next_cell
    shell.run_cell("on_next_cell(view.prediction.close)")
    assert view.prediction.state == "open"
    shell.run_cell("pass")
    assert view.prediction.state == "missed"


def test_outside_of_a_notebook_there_is_no_hook(monkeypatch):
    monkeypatch.setattr(widgets, "_hooks", {})
    on_next_cell(lambda: None)
    assert widgets._hooks == {}


# --- what moves -----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert [each.name for each in set(threading.enumerate()) - before if each.is_alive()] == []


def test_a_live_picture_moves_at_most_four_times_a_second_and_ends_with_all_the_data():
    data = [1.0]
    live = Live(lambda: charts.samples(frame_of(data[0]), "?", show="throttling"))
    began = time.monotonic()
    with live:
        wait_until(lambda: live.frames >= 3, "three frames")
        assert live.image.layout.display == "", "it is seen while it moves"
        data[0] = 3.0
    assert live.frames <= (time.monotonic() - began) / widgets.FRAME_SECONDS + 2, (
        "the first and the last are extra"
    )
    assert len(live.chart.table) == len(frame_of(3.0))
    assert live.image.layout.display == "none"
    assert bytes(live.image.value).startswith(b"\x89PNG")


def test_what_goes_wrong_in_a_picture_is_shown_in_it_and_nowhere_else(capsys):
    errors = [LabError("It is <gone>.", "nothing", "Look."), ZeroDivisionError("by zero")]
    live = Live(lambda: (_ for _ in ()).throw(errors[0]))
    with live:
        wait_until(lambda: live.error, "told")
        assert live.line.value == "It is &lt;gone&gt;.<br>Seen: nothing<br>Do:   Look."
        errors[0] = errors[1]
        wait_until(lambda: "ZeroDivisionError: by zero" in live.line.value, "told")
    assert capsys.readouterr() == ("", "")


def test_a_live_picture_leaves_its_measurement_when_the_cell_is_stopped():
    samples = FakeSamples()
    live = Live(lambda: charts.samples(samples.so_far, "?", show="throttling"), samples)
    with pytest.raises(KeyboardInterrupt), live as given:
        assert given is samples
        raise KeyboardInterrupt
    assert (samples.entered, samples.left) == (1, 1)


def test_a_live_picture_that_cannot_be_shown_leaves_its_measurement(monkeypatch):
    samples = FakeSamples()
    live = Live(lambda: charts.samples(samples.so_far, "?", show="throttling"), samples)
    monkeypatch.setattr(live, "show", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError), live:
        pass
    assert (samples.entered, samples.left) == (1, 1)


def test_a_live_picture_ends_by_itself():
    live = Live(lambda: charts.samples(frame_of(1), "?", show="throttling"), limit_seconds=0.1)
    live.start()
    wait_until(lambda: not live._thread.is_alive(), "ended")
    live.stop()


def test_a_live_picture_stores_nothing(shell):
    shown = []
    shell.display_pub.publish = lambda data, **_: shown.append(data)
    Live(lambda: charts.samples(frame_of(1), "?")).show()
    assert [set(data) for data in shown] == [{WIDGET}]


@pytest.mark.parametrize(
    "error", [LabError("It is gone.", "no Pod", "Apply it."), ZeroDivisionError("by zero")]
)
@pytest.mark.parametrize("where", ["act", "samples"])
def test_what_goes_wrong_is_shown_in_the_view_and_raised_by_the_next_cell(error, where, capsys):
    deeds = Deeds(fails=("100m", error) if where == "act" else None)
    view = SliderView(
        slider(deeds, FakeSamples(error if where == "samples" else None), sequence=["100m"]),
        "limit",
        "?",
    ).start()
    with pytest.raises(LabError, match=r"It is gone|ZeroDivisionError: by zero"):
        view.chart("?")
    assert "It is gone." in view.line.value or "ZeroDivisionError" in view.line.value
    assert view.control.disabled
    assert capsys.readouterr() == ("", "")


def test_the_view_follows_the_model_and_the_model_the_hand():
    view = SliderView(
        slider(Deeds(), sequence=["200m", "300m"], dwell_seconds=60), "CPU limit", "?"
    )
    assert view._repr_mimebundle_()["text/plain"] == "CPU limit, spinner/app: 200m → 300m"
    view.start()
    wait_until(lambda: view.control.value == "200m" and "At 200m." in view.line.value, "shown")
    assert not view.slider.touched, "the model's own move is no touch"
    view.control.value = "500m"
    assert view.slider.touched
    wait_until(lambda: view.slider.value == "500m" and "At 500m." in view.line.value, "moved")
    view.chart("?")
    assert view.control.disabled
    assert view.live.image.layout.display == "none"


def test_the_labs_end_ends_all():
    view = SliderView(slider(Deeds(), sequence=LIMITS, dwell_seconds=60), "CPU limit", "?").start()
    live = Live(lambda: charts.samples(frame_of(1), "?", show="throttling"))
    live.start()
    end_all()
    assert not any(
        each.is_alive() for each in (view.slider._thread, view.live._thread, live._thread)
    )
