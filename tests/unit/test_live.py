"""labhelpers.live: pictures that move, and the sliders above them."""

import threading
import time

import pytest

from labhelpers.charts import samples as charts
from labhelpers.errors import LabError
from labhelpers.live import FRAME_SECONDS, Live, SliderView, end_all
from labhelpers.widgets import WIDGET
from tests.unit.test_slider import (
    LIMITS,
    Deeds,
    FakeSamples,
    frame_of,
    slider,
    wait_until,
)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert [each.name for each in set(threading.enumerate()) - before if each.is_alive()] == []


def test_a_live_picture_moves_at_most_four_times_a_second_and_ends_with_all_the_data():
    data = [1.0]
    # The first drawing of a process loads what draws, and a live picture rests four times as long
    # as a frame took.
    charts.samples(frame_of(1), "?", show="throttling").figure().canvas.draw()
    live = Live(lambda: charts.samples(frame_of(data[0]), "?", show="throttling"))
    began = time.monotonic()
    with live:
        wait_until(lambda: live.frames >= 3, "three frames")
        assert live.image.layout.display == "", "it is seen while it moves"
        data[0] = 3.0
    assert live.frames <= (time.monotonic() - began) / FRAME_SECONDS + 2, (
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
