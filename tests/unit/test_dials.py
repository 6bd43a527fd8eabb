"""labhelpers.dials: the model, with its thread; and its view's part that needs no browser."""

import threading
import time

import pytest

from labhelpers.dials import Dials
from labhelpers.errors import LabError
from labhelpers.live import DialsView, end_all
from labhelpers.polling import poll
from labhelpers.probe_times import Window

NUMBERS = {"period": [1, 2], "threshold": [1, 2, 3]}


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    end_all()
    assert [each.name for each in set(threading.enumerate()) - before if each.is_alive()] == []


def predict(at):
    return {"end": Window((at["threshold"] - 1) * at["period"], at["threshold"] * at["period"])}


@pytest.mark.parametrize("numbers", [{}, {"period": []}, {"period": [1, 1]}, {"": [1]}])
def test_dials_that_cannot_be_set_are_told(numbers):
    with pytest.raises(LabError, match="can't be used"):
        Dials(numbers, predict, predict)


class Cluster:
    """What measurements did; each takes its time, and fails where it's told to."""

    def __init__(self, seconds=0.0, fails=None):
        self.done, self.seconds, self.fails = [], seconds, fails

    def __call__(self, at):
        time.sleep(self.seconds)
        if at == self.fails:
            raise LabError("The probe never passes.", "3 failed", "Set another timeout.")
        self.done.append((at["period"], at["threshold"]))
        return {"end": predict(at)["end"].latest - 0.1}


def wait_until(reached, what):
    assert poll(reached, timeout_seconds=20, every_seconds=0.01), f"not {what}"


def test_a_move_changes_the_prediction_at_once_and_measures_nothing():
    cluster = Cluster(seconds=5)
    dials = Dials(NUMBERS, predict, cluster)
    told = []
    dials.changed = lambda: told.append(dials.chart_so_far("?").table["latest"].tolist())
    dials.choose("threshold", 3)
    dials.choose("period", 2)
    assert told == [[3], [6]]
    assert str(dials.chart_so_far("?")) == "predicted, and not measured yet"
    assert cluster.done == []


def test_nobody_asked_so_the_sequence_is_measured():
    cluster = Cluster()
    dials = Dials(NUMBERS, predict, cluster, sequence=[{"threshold": 2}, {"period": 2}])
    assert str(dials.chart("?")) == "2 moments measured, and each lies in its window"
    assert cluster.done == [(1, 2), (2, 1)]
    assert str(dials.chart("?")).startswith("2 moments"), "asked again, it is the same"


def test_what_was_asked_for_is_measured_in_place_of_the_sequence():
    cluster = Cluster(seconds=0.1)
    dials = Dials(NUMBERS, predict, cluster, sequence=[{"threshold": 2}])
    dials.choose("threshold", 3)
    dials.measure()
    wait_until(lambda: dials.state.startswith("Measured"), "measured")
    assert dials.chart("?").table["latest"].tolist() == [3]
    assert cluster.done == [(1, 3)]


def test_requests_that_are_faster_than_the_cluster_are_left_out_but_the_newest():
    cluster = Cluster(seconds=0.2)
    dials = Dials(NUMBERS, predict, cluster)
    dials.measure()
    wait_until(lambda: dials.state.startswith("Measuring"), "begun")
    for number in range(20):
        dials.choose("threshold", 1 + number % 3)
        dials.measure()
    dials.choose("period", 2)
    dials.measure()
    wait_until(lambda: (2, 2) in cluster.done, "measured")
    dials.finish()
    assert cluster.done == [(1, 1), (2, 2)]


def test_a_measurement_that_cannot_succeed_is_told_and_the_next_one_is_made():
    cluster = Cluster(fails={"period": 1, "threshold": 1})
    dials = Dials(NUMBERS, predict, cluster)
    dials.measure()
    wait_until(lambda: dials.state.startswith("The probe never passes."), "told")
    assert dials.state.count("\n") == 2
    dials.choose("period", 2)
    dials.measure()
    wait_until(lambda: dials.state.startswith("Measured"), "measured")
    assert str(dials.chart("?")) == "1 moment measured, and it lies in its window"


def test_a_sequence_that_fails_is_an_error():
    cluster = Cluster(fails={"period": 1, "threshold": 2})
    dials = Dials(NUMBERS, predict, cluster, sequence=[{"threshold": 2}])
    with pytest.raises(LabError, match="never passes"):
        dials.chart("?")


def test_a_measurement_after_the_end_begins_again():
    dials = Dials(NUMBERS, predict, Cluster())
    dials.measure()
    dials.finish()
    dials.choose("period", 2)
    dials.measure()
    wait_until(lambda: len(dials.table) == 2, "measured again")
    dials.stop()


def test_what_it_does_not_have_is_told():
    dials = Dials(NUMBERS, predict, Cluster())
    with pytest.raises(LabError, match="cannot be set to period 7"):
        dials.choose("period", 7)
    with pytest.raises(LabError, match="cannot be set to speed 1"):
        dials.choose("speed", 1)
    with pytest.raises(LabError, match="cannot be set to threshold 9"):
        Dials(NUMBERS, predict, Cluster(), sequence=[{"threshold": 9}])


def test_the_view_follows_the_controls_and_stores_text():
    cluster = Cluster()
    view = DialsView(Dials(NUMBERS, predict, cluster), "When?")
    bundle = view._repr_mimebundle_()
    assert bundle["text/plain"] == "period: 1, 2 · threshold: 1, 2, 3"
    frames = view.live.frames
    view.controls["threshold"].value = 3
    assert view.dials.at == {"period": 1, "threshold": 3}
    assert view.live.frames == frames + 1
    assert view.live.chart.table["latest"].tolist() == [3]
    view.button.click()
    wait_until(lambda: "Measured" in view.line.value, "measured")
    assert cluster.done == [(1, 3)]
    view.stop()


def test_a_measured_moment_outside_of_its_window_is_told():
    dials = Dials(NUMBERS, predict, lambda at: {"end": 9}, sequence=[{}])
    assert str(dials.chart("?")) == "outside of its window: end (period 1, threshold 1)"
