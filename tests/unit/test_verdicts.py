"""labhelpers.measure.verdicts: the kubelet's counters become verdicts with a moment each."""

import threading
import time

import pytest

from labhelpers.errors import LabError, Unreachable
from labhelpers.measure import verdicts as module
from labhelpers.measure.verdicts import Verdicts, counts
from labhelpers.polling import poll

LINE = (
    'prober_probe_total{container="app",namespace="%s",pod="web",pod_uid="%s",'
    'probe_type="%s",result="%s"} %d\n'
)
HEAD = "# TYPE prober_probe_total counter\n"


class Kubelet:
    """Answers each look with the next text, and then with the last one again."""

    namespace = "lab"

    def __init__(self, *texts):
        self.texts, self.asked = list(texts), 0

    def list(self, kind):
        return {"items": [{"metadata": {"name": "n1"}}]}

    def raw(self, path):
        assert path == "/api/v1/nodes/n1/proxy/metrics/probes"
        self.asked += 1
        said = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        if isinstance(said, Exception):
            raise said
        return said


@pytest.fixture(autouse=True)
def quick_and_without_threads_left(monkeypatch):
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.005)
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def record(*texts):
    kubelet = Kubelet(*texts)
    with Verdicts(kubelet) as verdicts:
        poll(lambda: kubelet.asked > len(texts) + 1, timeout_seconds=10, every_seconds=0.005)
    return verdicts


def test_only_what_is_counted_inside_the_block_is_a_verdict():
    began = time.time()
    before = HEAD + LINE % ("lab", "1", "Liveness", "successful", 7)
    after = before.replace(" 7", " 8") + LINE % ("lab", "1", "Liveness", "failed", 2)
    verdicts = record(before, after)
    assert [each[2:] for each in verdicts.rows] == [
        ("web", "app", "liveness", "passed"),
        ("web", "app", "liveness", "failed"),
        ("web", "app", "liveness", "failed"),
    ]
    assert all(began <= each.seconds - each.resolution_seconds for each in verdicts.rows)
    assert all(each.seconds + each.resolution_seconds <= time.time() for each in verdicts.rows)
    assert len(verdicts.of("web", "liveness", "failed")) == 2
    assert verdicts.of("web", "readiness") == verdicts.of("other", "liveness") == []
    assert verdicts.passed_ever("1", "liveness") == 8
    assert verdicts.passed_ever("1", "readiness") == verdicts.passed_ever("2", "liveness") == 0


def test_a_new_pod_of_the_same_name_counts_from_zero():
    old = LINE % ("lab", "1", "Readiness", "failed", 5)
    new = LINE % ("lab", "2", "Readiness", "failed", 1)
    assert len(record(old, old, new).rows) == 1


def test_other_namespaces_and_probes_without_a_result_are_left_out():
    text = LINE % ("other", "1", "Readiness", "failed", 5)
    assert counts(text + LINE % ("lab", "1", "Startup", "unknown", 1), "lab") == {}


def test_a_look_that_fails_is_made_again():
    line = LINE % ("lab", "1", "Startup", "failed", 1)
    error = Unreachable("No answer.", "timed out", "Try again.")
    assert len(record("", error, line).rows) == 1


def test_a_kubelet_that_does_not_answer_any_more_is_told():
    with pytest.raises(LabError, match="No answer"):
        record("", Unreachable("No answer.", "timed out", "Try again."))


def test_the_cells_own_error_is_the_one_that_is_told():
    with pytest.raises(ZeroDivisionError), Verdicts(Kubelet("")):
        raise ZeroDivisionError
