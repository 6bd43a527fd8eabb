"""labhelpers.slider: the model, with its thread."""

import math
import signal
import threading
import time
from types import SimpleNamespace

import pandas
import pytest

from labhelpers.charts import samples as charts
from labhelpers.errors import LabError
from labhelpers.polling import poll
from labhelpers.slider import Slider


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert [each.name for each in set(threading.enumerate()) - before if each.is_alive()] == []


def wait_until(reached, what):
    assert poll(reached, timeout_seconds=20, every_seconds=0.01), f"not {what}"


def frame_of(seconds):
    """Samples of that many seconds, throttled in all periods."""
    times = [number * 0.05 for number in range(round(seconds * 20) + 1)]
    periods = [int(time * 10) for time in times]
    data = {
        "time_seconds": times,
        "periods": periods,
        "throttled_periods": periods,
        "memory_bytes": 1 << 20,
        "cpu_usage_seconds": [0.1 * time for time in times],
        "run": 1,
    }
    return pandas.DataFrame(data, columns=charts.COLUMNS)


class FakeSamples:
    """As samples.Samples: there is nothing before the block, and more as time goes by."""

    pod_name, container = "spinner", "app"

    def __init__(self, fails=None):
        self.life, self.fails, self.entered, self.left = (
            SimpleNamespace(began_seconds=time.time()),
            fails,
            0,
            0,
        )

    def __enter__(self):
        if self.fails:
            raise self.fails
        self.life.began_seconds = time.time()
        self.entered += 1
        return self

    def __exit__(self, *_):
        self.left += 1

    @property
    def so_far(self):
        return frame_of(time.time() - self.life.began_seconds if self.entered else 0)


class Deeds:
    """What moves did, each of which takes its time."""

    def __init__(self, seconds=0.0, fails=None):
        self.done, self.seconds, self.fails = [], seconds, fails

    def __call__(self, value):
        time.sleep(self.seconds)
        if self.fails and value == self.fails[0]:
            raise self.fails[1]
        self.done.append(value)


LIMITS = ["100m", "200m", "300m", "400m", "500m"]


def slider(deeds, samples=None, **how):
    return Slider(
        LIMITS,
        deeds,
        samples or FakeSamples(),
        **{"dwell_seconds": 0.3, "demand_cpus": 1.0, **how},
    )


@pytest.mark.parametrize(
    ("limits", "demand", "told"),
    [
        ([], 1.0, "These CPU limits can't be used"),
        (["100m", "100m"], 1.0, "These CPU limits can't be used"),
        ([""], 1.0, "These CPU limits can't be used"),
        (["a"], 1.0, "'a' isn't a quantity"),
        (["0"], 1.0, "'0' isn't a CPU limit"),
        (["-100m"], 1.0, "'-100m' isn't a CPU limit"),
        (LIMITS, 0, "can't use 0 CPUs"),
        (LIMITS, -1, "can't use -1 CPUs"),
        (LIMITS, math.nan, "can't use nan CPUs"),
        (LIMITS, math.inf, "can't use inf CPUs"),
    ],
)
def test_what_no_slider_can_do_is_told_before_there_is_one(limits, demand, told):
    with pytest.raises(LabError, match=told):
        Slider(limits, Deeds(), FakeSamples(), demand_cpus=demand)


def test_an_untouched_slider_goes_through_its_sequence():
    deeds = Deeds()
    model = slider(deeds, sequence=["100m", "500m"])
    assert str(model.so_far("?")) == "nothing measured yet"
    began = time.monotonic()
    model.start()
    assert time.monotonic() - began < 0.6, "its cell returns before its sequence is through"
    chart = model.chart("?")
    assert deeds.done == ["100m", "500m"]
    assert str(chart) == (
        "below the demand throttled in nearly every period · "
        "below the demand it used 0.10 CPUs under 0.5"
    )
    assert list(model.steps["value"]) == ["100m", "500m"]
    assert list(chart.table["limit_cpus"]) == [0.1, 0.5]
    assert (model.steps["end_seconds"] - model.steps["start_seconds"] >= 0.29).all()
    assert (model.samples.entered, model.samples.left) == (1, 1)
    assert str(model.chart("?")) == str(chart), "asked again, it is the same"


def disturbed_twice(measure, *, timeout_seconds, needs_cpus):
    """As Pod.undisturbed: the second try is the calmest, the last one is not."""
    tries = [measure() for _ in range(3)]
    return tries[1]


def test_of_a_step_that_others_disturb_the_calmest_stay_counts():
    model = slider(Deeds(), sequence=["100m"], dwell_seconds=0.1, undisturbed=disturbed_twice)
    model.start()
    model.finish()
    [step] = model.steps.itertuples()
    assert 0.09 < step.start_seconds < step.end_seconds < 0.3


def test_a_step_needs_what_its_limit_gives():
    needs = []

    def calm(measure, *, timeout_seconds, needs_cpus):
        needs.append(needs_cpus)
        return measure()

    model = slider(Deeds(), sequence=["100m", "500m"], demand_cpus=0.3, undisturbed=calm,
                   dwell_seconds=0.05)  # fmt: skip
    model.start()
    model.finish()
    assert needs == [0.1, 0.0]


def test_a_touch_ends_a_step_that_is_begun_again_and_again():
    def always(measure, *, timeout_seconds, needs_cpus):
        while True:
            measure()

    model = slider(Deeds(), sequence=["100m", "200m"], dwell_seconds=0.1, undisturbed=always)
    model.start()
    wait_until(lambda: model.value == "100m", "at its first value")
    model.move("400m")
    wait_until(lambda: model.value == "400m", "moved")
    model.finish()
    assert list(model.steps["value"]) == ["100m", "400m"]


def test_moves_that_are_faster_than_the_kubelet_are_left_out():
    deeds = Deeds(seconds=0.15)
    model = slider(deeds, sequence=["100m"])
    model.start()
    wait_until(lambda: model.value == "100m", "at its first value")
    for _ in range(20):
        for value in LIMITS:
            model.move(value)
            time.sleep(0.002)
    model.move("300m")
    wait_until(lambda: model.value == "300m" and model.state == "At 300m.", "at its last value")
    assert len(deeds.done) < 50, "a queue would have made all 101"
    assert deeds.done[-1] == "300m"
    model.finish()
    assert model.steps["end_seconds"].notna().all()


def test_a_touch_ends_the_sequence():
    deeds = Deeds()
    model = slider(deeds, sequence=LIMITS, dwell_seconds=5)
    model.start()
    wait_until(lambda: model.value == "100m", "at its first value")
    model.move("400m")
    wait_until(lambda: model.value == "400m", "moved")
    model.finish()
    assert deeds.done == ["100m", "400m"]


def test_after_its_sequence_it_waits_for_a_hand_until_its_chart_is_asked_for():
    model = slider(Deeds(), sequence=["100m"], dwell_seconds=0.05)
    model.start()
    wait_until(lambda: model.state == "At 100m.", "at its first value")
    time.sleep(0.3)
    assert model._thread.is_alive()
    model.move("300m")
    wait_until(lambda: model.value == "300m", "moved")
    model.finish()
    left = slider(Deeds(), sequence=["100m"], dwell_seconds=0.05, idle_seconds=0.1)
    left.start()
    wait_until(lambda: not left._thread.is_alive(), "ended by itself")


def test_a_stopped_cell_ends_the_slider_that_it_waits_for():
    model = slider(Deeds(), sequence=LIMITS, dwell_seconds=60)
    model.start()
    interrupt = threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        interrupt.start()
        model.finish()
    interrupt.join(20)  # It may still be ending when the signal has been handled.
    wait_until(lambda: not model._thread.is_alive(), "ended")


def test_a_touched_slider_ends_some_time_after_the_last_move():
    model = slider(Deeds(), idle_seconds=0.1)
    model.move("200m")
    model.start()
    wait_until(lambda: not model._thread.is_alive(), "ended")
    assert model.value == "200m"


def test_a_refused_move_of_the_reader_is_told_and_the_next_one_is_made():
    refused = LabError("The kubelet rejected the resize.", "no room", "Ask for less.")
    model = slider(Deeds(fails=("500m", refused)), sequence=["100m"], dwell_seconds=5)
    model.start()
    wait_until(lambda: model.value == "100m", "at its first value")
    model.move("500m")
    wait_until(lambda: model.state.startswith("The kubelet rejected"), "told")
    assert model.value == "100m"
    model.move("200m")
    wait_until(lambda: model.value == "200m", "moved")
    model.finish()


def test_values_that_it_has_not_are_told():
    with pytest.raises(LabError, match="its values: 100m, 200m"):
        slider(Deeds(), sequence=["1"])
    model = slider(Deeds())
    with pytest.raises(LabError, match="cannot move to '1'"):
        model.move("1")
