"""labhelpers.probe_times against a clock that ticks as the kubelet's does."""

import pytest

from labhelpers.probe_times import ProbeTimes, Window


def simulated(times, *, phase, ill_at, answers):
    """When the failure that counts is known, counted from ``ill_at``: the ticks of one probe's
    clock, of which one at most waits while a probe is under way.

    Args:
        phase: the first tick after 0.
        ill_at: from then on the app answers with an error, or not at all.
        answers: whether it answers.
    """
    at, failed = phase, 0
    while True:
        if at >= ill_at:
            failed += 1
            took = 0 if answers else times.timeout_seconds
            if failed == times.failure_threshold:
                return at + took - ill_at
            # the tick that came meanwhile is taken up at once, further ones are lost
            at = max(at + times.period_seconds, at + took)
        else:
            at += times.period_seconds


@pytest.mark.parametrize("period", [1, 2, 5])
@pytest.mark.parametrize("threshold", [1, 2, 3])
@pytest.mark.parametrize("timeout", [1, 3])
@pytest.mark.parametrize("answers", [True, False])
def test_the_window_holds_every_phase_of_the_clock_and_no_more(period, threshold, timeout, answers):
    times = ProbeTimes(0, period, timeout, threshold)
    window = times.gives_up if answers else times.gives_up_on_silence
    phases = [number * period / 50 for number in range(51)]
    found = [simulated(times, phase=phase, ill_at=10 * period, answers=answers) for phase in phases]
    assert all(window.holds(each, 1e-6) for each in found)
    assert min(found) == pytest.approx(window.earliest)
    assert max(found) == pytest.approx(window.latest, abs=period / 25)


def test_defaults_are_the_apis_and_zero_is_a_number():
    assert ProbeTimes.of({}) == ProbeTimes(0, 10, 1, 3)
    every = {"initialDelaySeconds": 4, "periodSeconds": 2, "timeoutSeconds": 3}
    assert ProbeTimes.of({**every, "failureThreshold": 5}) == ProbeTimes(4, 2, 3, 5)
    assert ProbeTimes.of({"initialDelaySeconds": 0}).first.earliest == 0


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_the_delay_counts_from_the_whole_second_of_the_start(delay):
    """Each start within a second, each phase of the clock; the kubelet's own condition."""
    window = ProbeTimes(initial_delay_seconds=delay, period_seconds=2).first
    found = []
    for start in (number / 10 for number in range(10)):
        for phase in (number / 10 for number in range(20)):
            ticks = (phase + 2 * number for number in range(20))
            noticed = (tick for tick in ticks if tick >= start)
            found.append(next(at for at in noticed if int(at - int(start)) >= delay) - start)
    assert all(window.holds(each, 1e-6) for each in found)
    assert min(found) == pytest.approx(window.earliest, abs=0.11)


def test_a_slow_start_is_sure_of_one_period_less():
    budget = ProbeTimes(period_seconds=5, failure_threshold=7).start_budget
    assert budget == Window(30, 36)
