"""The proofs of lab 11: each says one sentence where its claim is true, another where it isn't."""

import time
from types import SimpleNamespace

import pandas
import pytest

from labhelpers.charts import timeline
from labhelpers.errors import LabError
from labhelpers.measure.verdicts import Verdict, Verdicts
from labhelpers.probe_times import ProbeTimes
from labhelpers.proofs import Proofs

PROOFS = Proofs("11-probes")
TOOLS = PROOFS.module


def prove(claim, *measured, lab=None):
    return PROOFS.of(claim)(lab, *measured).sentence


def stamp(seconds):
    return f"1970-01-01T00:00:{seconds:05.2f}Z"


class Lab:
    """A node with the lines of each Pod's log: (second, text). Its clock is ours."""

    namespace, name = "n", "11-probes"

    def __init__(self, **logs):
        self.logs = logs
        self.node = SimpleNamespace(read=self.read, run=lambda _: f"{time.time()} 100")

    def read(self, path):
        pod = path.split("/")[4].split("_")[1]
        run = int(path.rpartition("/")[2].partition(".")[0])
        lines = self.logs.get(pod, []) if run == 0 else []
        return "".join(f"{stamp(at)} stdout F {text}\n" for at, text in lines)


def life(*rows, annotations=(), end=20.0, versions=()):
    """A recording that began at 0: (lane, state, start, end[, restarts])."""
    frame = pandas.DataFrame(
        [
            {
                "lane": row[0],
                "kind": "container" if row[0].endswith("app") else "condition",
                "state": row[1],
                "reason": "ReadinessGatesNotReady" if row[1] == "False" else None,
                "restarts": row[4] if len(row) > 4 else None,
                "start": row[2],
                "end": row[3],
                "ongoing": row[3] >= end,
            }
            for row in rows
        ]
    )
    return SimpleNamespace(
        intervals=frame,
        when=lambda states: timeline.when(frame, states),
        chart=lambda *_, **__: "a chart",
        began_seconds=0.0,
        annotations=list(annotations),
        versions=list(versions),
    )


def verdicts(*rows):
    """(second, Pod, probe, result); a number of them with a list of seconds."""
    found = Verdicts(None)
    for seconds, pod, probe, result in rows:
        for each in seconds if isinstance(seconds, list) else [seconds]:
            found.rows.append(Verdict(each, 0.05, pod, "app", probe, result))
    found.rows.sort()
    return found


def pod(name, restarts=0, uid="u", conditions=(), **probes):
    container = {"name": "app", **{f"{kind}Probe": each for kind, each in probes.items()}}
    return SimpleNamespace(
        name=name,
        uid=uid,
        raw={"spec": {"containers": [container]}},
        conditions=dict(conditions),
        container=lambda _: SimpleNamespace(restarts=restarts),
    )


# --- the startup probe

START = ([1, 2, 3], "web", "startup", "failed"), (4, "web", "startup", "passed")
LATER = (5, "web", "liveness", "passed"), (4, "web", "readiness", "passed")
HASTY = pod("hasty", 1, startup={"periodSeconds": 1, "failureThreshold": 3})
GIVEN_UP = ([1.5, 2.5, 3.5], "hasty", "startup", "failed")
WEB_LIFE = life(("web: app", "running", 0, 20, 0), ("hasty: app", "running", 1, 20, 0))


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([*START, *LATER, GIVEN_UP], "no other probe ran until"),
        ([*START, *LATER, GIVEN_UP], "given up as predicted, 2 to 4 s after its start, and rest"),
        ([*START, (2, "web", "liveness", "failed")], "web's liveness probe ran before"),
        ([*START, GIVEN_UP], "then no other probes ran"),
        ([*START, *LATER], "hasty was not given up"),
        ([*START, ([1, 2, 9], "hasty", "startup", "failed")], "unlike predicted"),
    ],
)
def test_g1(rows, wanted):
    assert wanted in prove("G1", WEB_LIFE, verdicts(*rows), HASTY)


# --- the liveness probe

LIVENESS = {"periodSeconds": 2, "failureThreshold": 3}
ILL = [(1.0, "it falls ill")]


def web(restarts=1, ready="True"):
    return pod("web", restarts, conditions={"Ready": ready}, liveness=LIVENESS)


def g2_life(restarts=1):
    rows = [("app", "running", 0, 8, 0), ("app", "running", 9, 20, restarts)]
    return life(*rows, annotations=ILL)


@pytest.mark.parametrize(
    ("failed", "restarts", "ready", "wanted"),
    [
        ([2, 4, 6], 1, "True", "came as predicted, 4 to 6 s after web fell ill; the container was"
         " restarted, and web is Ready again"),
        ([0.5, 2, 4, 6.2], 1, "True", "as predicted"),
        ([2, 4, 9], 1, "True", "unlike predicted"),
        ([2, 4], 1, "True", "unlike predicted"),
        ([2, 4, 6], 0, "False", "the container was not restarted, and web is not Ready"),
    ],
)  # fmt: skip
def test_g2(failed, restarts, ready, wanted):
    seen = verdicts((failed, "web", "liveness", "failed"))
    lab = Lab(web=[(1.2, "client 503")])
    said = prove("G2", g2_life(restarts), seen, web(restarts, ready), lab=lab)
    assert wanted in said


@pytest.mark.parametrize(
    ("failed", "choice"),
    [
        ([1.2, 1.5, 1.9], "at the first failure, within 2 s"),
        ([1.6, 2.5, 3.9], "between 2 and 4 s"),
        ([2, 4, 6], "between 4 and 6 s"),
        ([2, 5, 9], "later than 6 s"),
        ([2], "later than 6 s"),
    ],
)
def test_when_given_up(failed, choice):
    seen = verdicts((failed, "web", "liveness", "failed"))
    lab = Lab(web=[(0.5, "client 200"), (1.4, "client 503")])
    assert TOOLS.when_given_up(lab, g2_life(), seen, web()) == choice


# --- the readiness probe

STAYS = [("endpoint ready", "True", 0, 4), ("endpoint ready", "False", 4, 10)]
STAYS += [("endpoint ready", "True", 10, 20), ("app", "running", 0, 20, 0)]
GOES = [("endpoint ready", "True", 0, 4), ("endpoint ready", "True", 10, 20)]
REQUESTS = [(0.5, "client 200"), (2, "client 503"), (11, "client 200")]


@pytest.mark.parametrize(
    ("rows", "requests", "restarts", "wanted"),
    [
        (STAYS, REQUESTS, 0, "other was not restarted; its endpoint stays in the EndpointSlice,"
         " with ready: false; other got requests before, none while it was not ready, and requests"
         " again when it had recovered"),
        (STAYS, [*REQUESTS, (7, "client 503")], 0, "requests while it was not ready"),
        (STAYS, [*REQUESTS, (7, "readiness 503")], 0, "none while it was not ready"),
        (STAYS, REQUESTS, 1, "other was restarted"),
        (GOES, REQUESTS, 0, "its endpoint is removed from the EndpointSlice"),
    ],
)  # fmt: skip
def test_g3(rows, requests, restarts, wanted):
    lab = Lab(other=requests, web=[(5, "client 200")])
    measured = life(*rows, annotations=ILL), verdicts(), pod("other", restarts), pod("web")
    assert wanted in prove("G3", *measured, lab=lab)


def test_an_endpoint_that_stays_ready_is_told():
    always = life(("endpoint ready", "True", 0, 20))
    assert TOOLS.endpoint_when_ill(None, always).endswith("with ready: true")
    ended = life(("endpoint ready", "True", 0, 5))
    assert TOOLS.endpoint_when_ill(None, ended).startswith("is removed")


# --- what counts as success


def table(tcp="passed"):
    rows = [("httpGet", "200", "passed"), ("httpGet", "503", "failed")]
    rows += [("tcpSocket", "503", tcp), ("grpc", "the whole server", "passed")]
    return pandas.DataFrame(rows, columns=["probe", "it meets", "verdict"])


@pytest.mark.parametrize(
    ("tcp", "sentence", "choice"),
    [
        ("passed", "tcpSocket: passed with 503; grpc: passed for the whole server", "it passes"),
        ("failed", "tcpSocket: failed with 503; grpc", "it fails"),
        ("passed or failed", "tcpSocket: passed or failed with 503", "it passes and fails in turn"),
    ],
)
def test_g4(tcp, sentence, choice):
    assert sentence in prove("G4", table(tcp))
    assert TOOLS.of_tcp(None, table(tcp)) == choice


# --- the two mistakes

IMPATIENT = pod("impatient", 3, uid="i")


def shops(live=1, ready=0, unready=True):
    rows = [("shop-live: app", "running", 0, 9, 0), ("shop-live: app", "running", 9, 20, live)]
    rows += [("shop-ready: app", "running", 0, 20, 0), ("shop-ready: app", "running", 1, 2, ready)]
    rows += [("shop-ready: Ready", "True", 0, 4)]
    rows += [("shop-ready: Ready", "False", 4, 10)] if unready else []
    return life(*rows, ("shop-ready: Ready", "True", 10, 20))


@pytest.mark.parametrize(
    ("measured", "wanted"),
    [
        (shops(), "the database's trouble restarted shop-live; shop-ready was not"
         " Ready meanwhile, and Ready when the database was back"),
        (shops(live=0), "restarted none"),
        (shops(ready=1), "restarted shop-live and shop-ready"),
        (shops(unready=False), "shop-ready was Ready meanwhile"),
    ],
)  # fmt: skip
def test_g5(measured, wanted):
    assert wanted in prove("G5", measured)


@pytest.mark.parametrize(
    ("measured", "choice"),
    [
        (shops(), "only shop-live"),
        (shops(live=0, ready=1), "only shop-ready"),
        (shops(ready=1), "both shops"),
        (shops(live=0), "neither: both apps are well"),
    ],
)
def test_who_restarted(measured, choice):
    assert TOOLS.who_restarted(None, measured) == choice


@pytest.mark.parametrize(
    ("impatient", "passed", "wanted"),
    [
        (IMPATIENT, 0, "restarted again and again, and its liveness probe has never passed"),
        (IMPATIENT, 2, "its liveness probe has passed"),
        (pod("impatient", 1), 0, "restarted at most once"),
    ],
)
def test_g6(impatient, passed, wanted):
    seen = verdicts()
    seen._before = {(impatient.uid, "impatient", "app", "liveness", "passed"): passed}
    assert wanted in prove("G6", seen, impatient)


# --- the gate


def gated(opened=5, ready=5.2, last="True"):
    rows = [("ContainersReady", "True", 2, 20), ("Ready", "False", 1, ready)]
    rows += [("Ready", last, ready, 20)]
    said = {"containerStatuses": [{"ready": True}]}
    version = {"spec": {"containers": [{}]}, "status": said}
    versions = [SimpleNamespace(seconds=3, obj=version)]
    return life(*rows, annotations=[(opened, "we set the condition")], versions=versions)


@pytest.mark.parametrize(
    ("measured", "wanted"),
    [
        (gated(), "while ContainersReady was True, Ready stayed False"
         " (ReadinessGatesNotReady); after we had set the condition, Ready was True"),
        (gated(ready=3), "Ready didn't wait for the gate"),
        (gated(last="False"), "Ready was False"),
    ],
)  # fmt: skip
def test_o9(measured, wanted):
    assert wanted in prove("O9", measured)


def test_ready_column():
    assert TOOLS.ready_column(None, gated()) == "1/1"


# --- the dials


def test_a_probe_that_never_passes_is_an_error():
    seen = verdicts(([1, 2], "trial", "liveness", "failed"))
    with pytest.raises(LabError) as caught:
        TOOLS._wait_for_a_pass(seen, ProbeTimes(period_seconds=1, failure_threshold=2))
    assert str(caught.value).count("\n") == 2
    assert "failed in a row: 2" in caught.value.seen


def test_a_kubelet_that_does_not_give_up_is_an_error(monkeypatch):
    monkeypatch.setattr(TOOLS, "SPARE_SECONDS", -3)
    seen = verdicts(([1, 9], "trial", "liveness", "failed"))
    with pytest.raises(LabError, match="1 of 2 failures"):
        TOOLS._wait_for_failures(seen, ProbeTimes(period_seconds=1, failure_threshold=2), 5)


@pytest.mark.parametrize(
    ("found", "measured", "kept"),
    [
        ([5], 1, 5),
        ([9, 5.5], 2, 5.5),
        ([9, 8, 12], 3, 12),
    ],
)
def test_what_lies_outside_is_measured_again(monkeypatch, found, measured, kept):
    setting = {"periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 2}
    left = list(found)
    now = [0.0]
    monkeypatch.setattr(TOOLS, "TRIES", [])

    def once(lab, setting):
        now[0] += 8
        return {"first probe": 1, "gives up": left.pop(0)}

    monkeypatch.setattr(TOOLS, "_measured_once", once)
    monkeypatch.setattr(TOOLS, "time", SimpleNamespace(monotonic=lambda: now[0]))
    assert TOOLS.measured(None, setting)["gives up"] == kept
    assert len(found) - len(left) == measured
    assert measured == TOOLS.TRIES[0]


def test_the_picture_says_how_many_tries_there_were(monkeypatch):
    monkeypatch.setattr(TOOLS, "TRIES", [1, 2])
    rows = [("a", "gives up", 4, 6, 5.0), ("b", "gives up", 4, 6, 9.0)]
    columns = ["group", "lane", "earliest", "latest", "measured"]
    trials = SimpleNamespace(
        table=pandas.DataFrame(rows, columns=columns), chart=lambda: "nothing yet"
    )
    chart = TOOLS.trials_chart(None, trials)
    assert chart.title.endswith("Tries: 1 and 2")
    assert chart.finding == "outside of its window: gives up (b)"
    trials.table = trials.table.iloc[:0]
    assert TOOLS.trials_chart(None, trials) == "nothing yet"


def test_the_prediction_of_the_dials():
    setting = {"periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 2}
    assert repr(TOOLS.predicted(None, setting)) == (
        "{'first probe': 0 to 3 s, 'gives up': 4 to 6 s}"
    )
    faster = TOOLS.predicted(None, {**setting, "periodSeconds": 1})
    assert faster["gives up"].latest == 5.2
