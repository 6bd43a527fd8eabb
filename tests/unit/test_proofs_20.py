"""The proofs of lab 20: each says one sentence where its claim is true, another where it isn't."""

from functools import partial
from types import SimpleNamespace

import pandas
import pytest

from labhelpers import paths
from labhelpers.exercises import NotYet
from labhelpers.polling import poll
from labhelpers.proofs import Proofs

PROOFS = Proofs("20-capstone")
TOOLS = PROOFS.module
NOTEBOOKS = paths.repository() / "notebooks"
AT_ONCE = partial(poll, wait=lambda seconds: None)


def requests(answered=(), failed=(), ended=10.0, by="a"):
    told = [(at, by) for at in answered]
    return TOOLS.Requests(list(answered), list(failed), 0.0, ended, told)


def version(name, seconds, ready="False", deleted=False):
    metadata = {"name": name} | ({"deletionTimestamp": "now"} if deleted else {})
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    return SimpleNamespace(name=name, seconds=seconds, obj={"metadata": metadata, "status": status})


def report(name, asked, *, versions=(), containers=None, unready=(), saw="requests failed"):
    frame = pandas.DataFrame(
        [("a: Ready", "False", start, end) for start, end in unready],
        columns=["lane", "state", "start", "end"],
    )
    life = SimpleNamespace(
        versions=versions, facts={"containers": containers or {}}, intervals=frame
    )
    return TOOLS.Report(name, "a chart", not asked.failed, saw, life, asked, ["a", "b"])


class Lab:
    """A cluster whose Deployment has maxUnavailable 0."""

    def __init__(self):
        strategy = {"rollingUpdate": {"maxUnavailable": 0}}
        self.connection = SimpleNamespace(get=lambda *_: {"spec": {"strategy": strategy}})


@pytest.mark.parametrize(
    ("failed", "ready", "said"),
    [
        ([5.0], 4.0, "only when a new one was Ready; requests failed"),
        ([], 4.0, "only when a new one was Ready; no request failed"),
        ([5.0], 8.0, "before a new one was Ready; requests failed"),
    ],
)
def test_z1_says_when_the_old_pod_went_and_what_failed(failed, ready, said):
    versions = [version("a", 4.1, "True", deleted=True), version("b", ready, "True")]
    asked = requests([1.0, 2.0], failed)
    shown = PROOFS.of("Z1")(Lab(), report("replace", asked, versions=versions))
    assert shown.sentence == f"with maxUnavailable 0 an old Pod was deleted {said}"


OOM = "ended by signal 9 (OOMKilled, exit code 137), restarted once"


@pytest.mark.parametrize(
    ("app", "unready", "failed", "said"),
    [
        ("same process", [(3, 6)], [4.0], "app ran on; the Pod wasn't Ready for a while; requests"),
        ("same process", [], [], "app ran on; the Pod stayed Ready for a while; no request"),
        (OOM, [(3, 6)], [4.0], "app ended; the Pod wasn't Ready for a while; requests"),
    ],
)
def test_z2_says_whether_app_ran_and_the_pod_was_ready(app, unready, failed, said):
    told = report(
        "oom",
        requests([1.0], failed),
        containers={"a: app": app, "a: ship": OOM},
        unready=unready,
    )
    assert PROOFS.of("Z2")(None, told).sentence == f"ship was OOM-killed; {said} failed"


def test_a_request_lane_has_a_gap_where_nobody_got_an_answer():
    asked = requests([0.2, 0.9, 1.5, 3.6, 3.8], [1.6, 2.5], ended=4.0)
    assert asked.spans() == [(0.2, 1.5, "answered"), (3.6, 3.8, "answered")]
    assert asked.silence == (1.5, 3.6)
    assert requests([]).spans() == []


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        ([n / 2 for n in range(20)], "nobody notices: the kubelet restarts app at once"),
        ([0.5, 1.0, 3.0, *(n / 2 for n in range(7, 20))], "for 1 or 2 s, until app runs again"),
        ([0.5, 1.0, 8.0, 9.0], "for 5 s or more"),
    ],
)
def test_how_long_nobody_was_answered(answered, said):
    assert TOOLS.how_long_silent(None, report("kill", requests(answered))) == said


@pytest.mark.parametrize(
    ("saw", "failed", "said"),
    [
        ("no request failed, nothing was restarted", [], "late answers, and that's all"),
        ("requests failed, nothing was restarted", [1.0], "failed requests; app runs on"),
        (
            "requests failed, and app was restarted",
            [1.0],
            "failed requests; app is restarted on top",
        ),
    ],
)
def test_what_a_slow_database_did(saw, failed, said):
    assert TOOLS.what_slow_did(None, report("slow", requests([], failed), saw=saw)) == said


def test_what_a_leak_did():
    quiet = report("oom", requests([1.0]))
    assert TOOLS.who_noticed_oom(None, quiet) == "nothing: app runs on, and answers"
    for app, said in [
        ("same process", "failed requests, although app runs on"),
        (OOM, "failed requests: the whole Pod is restarted"),
    ]:
        told = report("oom", requests([], [1.0]), containers={"a: app": app})
        assert TOOLS.who_noticed_oom(None, told) == said


@pytest.mark.parametrize(
    ("failed", "first", "said"),
    [
        ([], 4.5, "none: the old Pod stays until the new one is Ready"),
        ([4.2], 4.5, "a few: those on their way when the old Pod ends"),
        ([9.5], 9.0, "a few: those on their way when the old Pod ends"),
        ([6.0], 9.0, "those that the new Pod gets before it can answer"),
    ],
)
def test_what_replacing_did(failed, first, said):
    asked = requests([first, first + 1], failed, by="b")
    told = report("replace", asked, versions=[version("b", 4.0, "True")])
    assert TOOLS.what_replacing_did(None, told) == said


def test_the_scoreboard_counts():
    reports = [report("kill", requests([1.0])), report("oom", requests([], [1.0]))]
    assert TOOLS.scoreboard(None, *reports).sentence == "1 of 2 attacks passed: kill"


def test_it_is_calm_once_each_customer_has_got_two_answers():
    each = [f"customer {number}: 7 orders, says shop-a" for number in range(1, 5)]
    assert TOOLS._are_calm(each * 2)
    assert TOOLS._are_calm(["Terminated", *each * 2])
    assert not TOOLS._are_calm(each)
    assert not TOOLS._are_calm(each[1:] * 5)
    assert not TOOLS._are_calm([*each * 2, "customer 1: failed: no answer in 3 s"])
    assert not TOOLS._are_calm([])


def test_the_rules_of_a_warning():
    said = (
        'would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
        ' (containers "app", "ship" must set it), runAsNonRoot != true (pod or containers "a")'
    )
    assert TOOLS._rules(said) == ["allowPrivilegeEscalation", "runAsNonRoot"]
    assert TOOLS._rules("unknown field") == []


def test_the_starter_of_a_is_what_the_notebook_attacks():
    inherited = NOTEBOOKS / "manifests" / "20-capstone" / "starter.yaml"
    assert (NOTEBOOKS / "exercises" / "20-capstone" / "a.yaml").read_text() == (
        inherited.read_text()
    )


class Customers:
    """A client's log of which one more second is told at each look."""

    namespace = "lab"

    def __init__(self, *answers):
        self.answers, self.told = list(answers), []
        self.connection = SimpleNamespace(raw=self.log)

    def pod(self, name):
        assert name == "client"
        return SimpleNamespace(wait_until=lambda state, timeout_seconds: None)

    def log(self, path):
        looks = len(self.told)
        answer = self.answers[min(looks, len(self.answers) - 1)]
        minute, second = divmod(looks, 60)
        self.told.append(
            [
                f"2026-11-28T10:{minute:02}:{second:02}.{number}Z customer {number}: {answer}"
                for number in range(1, TOOLS.CUSTOMERS + 1)
            ]
        )
        return "\n".join(line for lines in self.told for line in lines)


def test_it_isnt_calm_before_each_pod_has_answered(monkeypatch):
    monkeypatch.setattr(TOOLS, "poll", AT_ONCE)
    by_one = Customers("1 orders, says a")
    TOOLS.wait_until_calm(by_one, ["a"])
    by_both = Customers(*["1 orders, says a"] * 9, "1 orders, says b", "1 orders, says a")
    TOOLS.wait_until_calm(by_both, ["a", "b"])
    assert len(by_both.told) == 10
    with pytest.raises(NotYet, match=r"Seen: b answered nobody, for 0\.01 s"):
        TOOLS.wait_until_calm(by_one, ["a", "b"], timeout_seconds=0.01)


def test_it_isnt_calm_while_requests_fail(monkeypatch):
    monkeypatch.setattr(TOOLS, "poll", AT_ONCE)
    with pytest.raises(NotYet, match=r"Seen: some requests failed, for 0\.01 s"):
        TOOLS.wait_until_calm(Customers("failed: no answer in 3 s"), timeout_seconds=0.01)
