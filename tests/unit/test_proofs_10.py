"""The proofs of lab 10: each says one sentence where its claim is true, another where it isn't."""

from types import SimpleNamespace

import pandas
import pytest

from labhelpers.charts import timeline
from labhelpers.charts.lanes import Lane
from labhelpers.errors import LabError
from labhelpers.measure import log_follower
from labhelpers.proofs import Proofs

PROOFS = Proofs("10-sidecars")
TOOLS = PROOFS.module


def prove(claim, *measured, lab=None):
    return PROOFS.of(claim)(lab, *measured).sentence


def stamp(second):
    return f"1970-01-01T00:00:{second:06.3f}Z"


def lab_with(**logs):
    """A node with the log lines of each container: (second, text)."""

    def read(path):
        lines = logs[path.split("/")[-2]]
        return "\n".join(f"{stamp(second)} stdout F {text}" for second, text in lines)

    return SimpleNamespace(namespace="n", node=SimpleNamespace(read=read))


def said(**logs):
    """What containers wrote, in order: (second, text)."""
    lines = [TOOLS.Line(name, at, text) for name, own in logs.items() for at, text in own]
    return TOOLS.Said(sorted(lines, key=lambda line: line.seconds))


class Life:
    """A recording with given rows: (lane, kind, state, start, end); an end of None is still so."""

    def __init__(self, *rows, versions=(), jobs=(), annotations=()):
        names = ("lane", "kind", "state", "start", "end")
        frame = pandas.DataFrame([dict(zip(names, row[:5], strict=True)) for row in rows])
        frame["exit_code"] = [row[5] if len(row) > 5 else None for row in rows]
        frame["signal"] = [9 if code == 137 else None for code in frame["exit_code"]]
        frame["ongoing"] = frame["end"].isna()
        frame["end"] = frame["end"].fillna(20.0)
        frame["restarts"] = [row[6] if len(row) > 6 else 0 for row in rows]
        self.intervals = frame.reindex(columns=list(timeline.COLUMNS)).astype(object)
        self.versions, self.jobs, self.annotations = list(versions), list(jobs), list(annotations)
        self.drawn = {}

    def seconds_of(self, node_seconds):
        return node_seconds

    def versions_of(self, kind):
        return self.jobs

    def chart(self, title, lanes, tell=None, **more):
        self.drawn = {"lanes": lanes, **more}
        return title


def pod(raw=None, **more):
    return SimpleNamespace(name="a", uid="u", raw=raw or {}, **more)


# --- But it says initContainers -------------------------------------------------------------------


def status(ready, name):
    return {"name": name, "ready": ready}


@pytest.mark.parametrize(
    ("policy", "ready", "columns"),
    [("Always", True, "2/2 Running"), (None, False, "0/1 Init:0/1")],
)
def test_ready_counts_sidecars_and_no_init_containers(policy, ready, columns):
    raw = {
        "spec": {"initContainers": [{"name": "logs", "restartPolicy": policy}]},
        "status": {
            "containerStatuses": [status(ready, "app")],
            "initContainerStatuses": [status(ready, "logs")],
        },
    }
    there = pod(raw, kubectl_status=columns.partition(" ")[2])
    assert TOOLS.status_of(None, there) == columns


def collector(printed, *, writable):
    def execute(container, command):
        if command == ["cat", "/log/app.log"]:
            return SimpleNamespace(stdout="order 1\norder 2\n")
        if command[0] == "grep":
            mode = "rw" if container == "app" or writable else "ro"
            return SimpleNamespace(stdout=f"/dev/sda /log ext4 {mode},relatime 0 0\n")
        fails = container == "logs" and not writable
        why = "sh: can't create /log/x: Read-only file system\n" if fails else ""
        return SimpleNamespace(returncode=int(fails), stderr=why)

    return pod(logs=lambda _: printed, exec=execute)


@pytest.mark.parametrize(
    ("printed", "writable", "sentence"),
    [
        (
            "tail: can't open\norder 1\n",
            False,
            "logs printed the lines that app wrote; app can write there, and logs cannot write "
            "there: Read-only file system",
        ),
        ("order 2\n", True, "logs printed other lines than app wrote; app can write there, and "
         "logs can write there"),
        ("", False, "logs printed other lines"),
    ],
)  # fmt: skip
def test_f1(printed, writable, sentence):
    assert sentence in prove("F1", collector(printed, writable=writable))


# --- Who waits at the start -----------------------------------------------------------------------


def version(app="running", started=True, **more):
    status = {
        "containerStatuses": [{"name": "app", "state": {app: {}}}],
        "initContainerStatuses": [
            {"name": name, "started": started, "state": {"running": {}}}
            for name in ("proxy", "logs")
        ],
    }
    return SimpleNamespace(obj={"status": status, "metadata": {}, "spec": {}}, **more)


SETUP = [(1, "page written")]
PROXY = [(2, "starts"), (5, "listens")]


@pytest.mark.parametrize(
    ("logs", "started", "words"),
    [
        (
            {"setup": SETUP, "proxy": PROXY, "app": [(6, "proxy is there")]},
            True,
            "proxy started after setup had ended; app started after proxy's startup probe had "
            "passed; app's first line: proxy is there",
        ),
        (
            {"setup": [(3, "page written")], "proxy": PROXY, "app": [(4, "no proxy")]},
            True,
            "proxy started before setup had ended; app started before proxy's startup probe had "
            "passed; app's first line: no proxy",
        ),
        (
            {"setup": SETUP, "proxy": PROXY, "app": [(6, "proxy is there")]},
            False,
            "app started before proxy's startup probe",
        ),
    ],
)
def test_f4(logs, started, words):
    life = Life(("app", "container", "running", 6, None), versions=[version(started=started)])
    assert words in prove("F4", pod(), life, lab=lab_with(**logs))


NAMES = {"spec": {"containers": [{"name": name} for name in ("proxy", "app", "late")]}}
REFUSED, HOOK = (2.4, "no proxy"), (4, "hook done")


@pytest.mark.parametrize(
    ("logs", "words", "choice"),
    [
        (
            {"proxy": [(2, "starts"), (7, "listens")], "app": [REFUSED, HOOK],
             "late": [(4.2, "starts")]},
            "proxy, app and late started in this order; app started before proxy listened, and got "
            "no answer; late started after app's postStart hook was done",
            "it runs, but doesn't listen yet",
        ),
        (
            {"proxy": [(1, "starts"), (2, "listens")], "app": [(3, "proxy is there"), HOOK],
             "late": [(3.2, "starts")]},
            "app started after proxy listened, and got an answer; late started before",
            "it listens: it's first in the list",
        ),
        (
            {"proxy": [(3, "starts"), (7, "listens")], "app": [REFUSED, HOOK],
             "late": [(4.2, "starts")]},
            "in another order",
            "it hasn't been started yet",
        ),
    ],
)  # fmt: skip
def test_f9(logs, words, choice):
    lab = lab_with(**logs)
    assert words in prove("F9", pod(NAMES), lab=lab)
    assert TOOLS.proxy_when_app_starts(lab, pod(NAMES)) == choice


# --- On localhost ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "peers", "networks", "sentence"),
    [
        (
            ('"hello"', "wget: can't connect: Connection refused"),
            ("::ffff:10.0.0.5", "::ffff:127.0.0.1"),
            (7, 7),
            'client gets "hello" from port 8080, and connection refused from port 8081; the last '
            "request came to proxy from the Pod client, and to app from localhost; they share one "
            "network namespace",
        ),
        (
            ('"hello"', '"hello"'),
            ("::ffff:10.0.0.5", "::ffff:10.0.0.5"),
            (7, 8),
            'client gets "hello" from port 8080, and "hello" from port 8081; the last request came '
            "to proxy from the Pod client, and to app from the Pod client; they share no network "
            "namespace",
        ),
    ],
)
def test_f2(answers, peers, networks, sentence):
    def execute(container, command):
        said = answers["8081" in command[-1]]
        good = said.startswith('"')
        return SimpleNamespace(stdout=said.strip('"') if good else "", stderr=said)

    client = SimpleNamespace(name="client", address="10.0.0.5", exec=execute)
    frame = pandas.DataFrame({"net": networks}, index=["proxy", "app"])
    shop = pod(address="10.0.0.9", namespaces=lambda: frame)
    logs = {
        name: [(1, "starts"), (2, f"[{peer}]:4000: url:/"), (3, f"[{peer}]:4000: response:200")]
        for name, peer in zip(("proxy", "app"), peers, strict=True)
    }
    assert prove("F2", shop, client, lab=lab_with(**logs)) == sentence


# --- Who waits at the end -------------------------------------------------------------------------

TERM, ENDS = "SIGTERM", "ends"


def stopped(name, end, code=0):
    return [
        (name, "container", "running", -5.0, end),
        (name, "container", "terminated", end, None, code),
    ]


def deleted(grace):
    obj = {"spec": {"terminationGracePeriodSeconds": grace}, "metadata": {}}
    gone = {**obj, "metadata": {"deletionTimestamp": "x"}}
    return [SimpleNamespace(obj=obj, seconds=0.0), SimpleNamespace(obj=gone, seconds=0.5)]


IN_TURN = said(
    app=[(1, TERM), (2, ENDS)],
    proxy=[(1.1, "preStop"), (2.1, TERM), (3, ENDS)],
    logs=[(2.0, "last words"), (3.1, TERM), (6, ENDS)],
)
AT_ONCE = said(
    app=[(1, TERM), (2, ENDS)],
    proxy=[(1.1, TERM), (2.1, ENDS), (2.2, "preStop")],
    logs=[(1.2, TERM), (1.9, ENDS)],
)
DOWN = said(
    app=[(1, TERM), (2, ENDS)],
    logs=[(2.1, TERM), (3, ENDS)],
    proxy=[(1.1, "preStop"), (3.1, TERM), (4, ENDS)],
)


def stop_life(*codes):
    names = ("app", "proxy", "logs")
    rows = [row for name, code in zip(names, codes, strict=True) for row in stopped(name, 6, code)]
    return Life(*rows, versions=deleted(4))


@pytest.mark.parametrize(
    ("lines", "sentence", "choice"),
    [
        (
            IN_TURN,
            "SIGTERM came to app, then proxy, then logs; each got it after the one before had "
            "ended; logs has the app's last words; proxy's preStop hook ran before app had ended",
            "app, then proxy, then logs",
        ),
        (
            AT_ONCE,
            "SIGTERM came to app, then proxy, then logs; proxy got it before app had ended; logs "
            "got it before proxy had ended; logs doesn't have the app's last words; proxy's "
            "preStop hook ran after app had ended",
            "all three at once",
        ),
        (DOWN, "SIGTERM came to app, then logs, then proxy", "app, then logs, then proxy"),
    ],
)
def test_f5(lines, sentence, choice):
    assert sentence in prove("F5", stop_life(0, 0, 0), lines)
    assert TOOLS.stop_order(None, lines) == choice


def test_f5_draws_who_has_got_sigterm_last():
    life = stop_life(0, 0, 0)
    prove("F5", life, IN_TURN)
    lane = life.drawn["lanes"][0]
    assert isinstance(lane, Lane)
    assert lane.spans == [(1, 2.1, "app"), (2.1, 3.1, "proxy"), (3.1, 6.0, "logs")]


TOGETHER = said(app=[(1, TERM)], logs=[(4.6, TERM)], proxy=[(4.7, TERM), (5.7, ENDS)])
LATE_TURNS = said(app=[(1, TERM)], proxy=[(5, TERM), (6, ENDS)], logs=[(6.1, TERM)])


@pytest.mark.parametrize(
    ("lines", "codes", "sentence", "choice"),
    [
        (
            TOGETHER,
            (137, 0, 137),
            "app was killed by signal 9; proxy and logs: both get SIGTERM at once, when the grace "
            "period is over; then proxy ended with exit code 0, and logs was killed by signal 9",
            "both get SIGTERM at once, when the grace period is over",
        ),
        (
            LATE_TURNS,
            (137, 0, 0),
            "; then proxy ended with exit code 0, and logs ended with exit code 0",
            "they get SIGTERM one after the other, after the grace period",
        ),
        (
            said(app=[(1, TERM)], logs=[(1.1, TERM)], proxy=[(1.2, TERM), (2.2, ENDS)]),
            (137, 0, 0),
            "at the start",
            "both get SIGTERM at the start, together with the app",
        ),
        (
            said(app=[(1, TERM)]),
            (137, 137, 137),
            "without SIGTERM",
            "they are killed with the app, without SIGTERM",
        ),
    ],
)
def test_f10(lines, codes, sentence, choice):
    life = stop_life(*codes)
    assert sentence in prove("F10", life, lines)
    assert TOOLS.left_of_the_order(None, life, lines) == choice


def test_f10_draws_sigterms_that_came_together_as_one():
    life = stop_life(137, 0, 137)
    prove("F10", life, TOGETHER)
    assert life.drawn["lanes"][0].spans == [(1, 4.6, "app"), (4.6, 6.0, "proxy and logs")]
    assert life.drawn["lanes"][1:] == ["app", "proxy", "logs"]
    assert life.drawn["predicted"] == [(4.5, "4 s of grace"), (6.5, "2 s more")]


def test_what_kubectl_prints_becomes_lines():
    printed = (
        "[pod/polite/logs] 1970-01-01T00:00:02.5Z last words\n"
        "[pod/polite/app] 1970-01-01T00:00:01Z SIGTERM\n"
        "error: a line of kubectl's own\n"
    )
    lines = TOOLS._said(log_follower.read(printed))
    assert [(line.container, line.text) for line in lines] == [
        ("app", "SIGTERM"),
        ("logs", "last words"),
    ]
    with pytest.raises(LabError, match="app never wrote 'ends'"):
        lines.at("app", "ends")


# --- Jobs -----------------------------------------------------------------------------------------


def job(name, seconds, **conditions):
    return SimpleNamespace(name=name, seconds=seconds, conditions=conditions)


def jobs(*, ordinary_logs=None, native_logs=6.0, ended=("report-native",), app_code=0, last=None):
    rows = []
    for name, logs in (("report-ordinary", ordinary_logs), ("report-native", native_logs)):
        lane = f"{name}-x7k2p"
        rows += stopped(f"{lane}: app", 5.0, app_code)
        rows += stopped(f"{lane}: logs", logs, 0) if logs else [
            (f"{lane}: logs", "container", "running", -5.0, None)
        ]  # fmt: skip
    told = [job("report-ordinary", 0.1), job("report-native", 0.1)]
    told += [job(name, 7.0, Complete="True") for name in ended]
    life = Life(*rows, jobs=told)
    if last:
        life.intervals["end"] = life.intervals["end"].clip(upper=last)
    return life


APP_DONE = "in report-ordinary app ended with exit code 0, logs"


@pytest.mark.parametrize(
    ("life", "sentence"),
    [
        (
            jobs(),
            f"more than 3 s after its app, {APP_DONE} is still running, and the Job is Running",
        ),
        (
            jobs(ordinary_logs=6.0, ended=("report-native", "report-ordinary")),
            f"more than 3 s after its app, {APP_DONE} ended with exit code 0, and the Job is "
            "Complete",
        ),
        (jobs(last=7.0), "less than 3 s after its app"),
        (jobs(app_code=1), "app ended with exit code 1"),
    ],
)
def test_f3(life, sentence):
    assert sentence in prove("F3", life)


@pytest.mark.parametrize(
    ("life", "sentence"),
    [
        (
            jobs(),
            "in report-native app ended with exit code 0, logs ended with exit code 0, and the Job "
            "is Complete",
        ),
        (jobs(native_logs=None, ended=()), "logs is still running, and the Job is Running"),
    ],
)
def test_f7(life, sentence):
    assert sentence in prove("F7", life)


# --- Never ----------------------------------------------------------------------------------------


def never(logs=1, app=0, *, down=True, app_ends=9.0):
    rows = [("logs", "container", "running", -5.0, 1.0, None, 0)]
    if logs:
        rows.append(("logs", "container", "running", 1.5, None, None, logs))
    rows.append(("app", "container", "running", -5.0, app_ends, None, 0))
    if app:
        rows.append(("app", "container", "running", app_ends, None, None, app))
    versions = [version(started=not down, conditions={"Ready": str(not down)})]
    versions[0].obj = {
        **versions[0].obj,
        "metadata": {"name": "never"},
        "spec": {
            "restartPolicy": "Never",
            "initContainers": [{"name": "logs", "restartPolicy": "Always"}],
            "containers": [{"name": "app"}],
        },
    }
    said = versions[0].obj["status"]
    said["phase"] = "Running"
    said["initContainerStatuses"] = [
        {
            "name": "logs",
            "started": not down,
            "ready": not down,
            "restartCount": logs,
            "state": {"terminated": {"exitCode": 137, "reason": "Error"}} if down else
            {"running": {}},
        }
    ]  # fmt: skip
    said["containerStatuses"][0] |= {"ready": True, "restartCount": app}
    return Life(*rows, versions=versions, annotations=[(8.9, "we kill app")])


@pytest.mark.parametrize(
    ("life", "phase", "sentence", "choice"),
    [
        (
            never(),
            "Failed",
            "the Pod says Never; logs was restarted once, app was not restarted, and the Pod is "
            "Failed; while app ran without logs, kubectl's STATUS began with Init: and Ready was "
            "False",
            "it's restarted",
        ),
        (
            never(logs=0),
            "Failed",
            "logs was not restarted",
            "it stays dead: Never means never",
        ),
        (
            never(app=1),
            "Running",
            "app was restarted once, and the Pod is Running",
            "it's restarted, and the app too",
        ),
        (never(down=False), "Failed", "app never ran without logs", "it's restarted"),
        (never(logs=0, app_ends=2.0), "Failed", "logs was not restarted", "the whole Pod fails"),
    ],
)
def test_f6(life, phase, sentence, choice):
    assert sentence in prove("F6", SimpleNamespace(phase=phase), life)
    assert TOOLS.after_the_kill(None, life) == choice


# --- On one chart ---------------------------------------------------------------------------------

TOUR = {
    "spec": {
        "initContainers": [
            {"name": "fetch"},
            {"name": "logs", "restartPolicy": "Always"},
            {"name": "prepare"},
        ]
    }
}


def lived(start, end):
    return [(start, "starts"), (end, ENDS)]


@pytest.mark.parametrize(
    ("logs", "sentence"),
    [
        (
            {"fetch": lived(1, 3), "logs": lived(4, 9), "prepare": lived(4.5, 6),
             "app": lived(7, 8)},
            "they started in the order of the spec; logs started after fetch had ended; it ran "
            "beside prepare and app, and ended after app",
        ),
        (
            {"fetch": lived(1, 3), "logs": lived(2, 5), "prepare": lived(6, 7),
             "app": lived(5.5, 8)},
            "they didn't start in the order of the spec; logs started after none had ended; it ran "
            "beside none, and ended after fetch; fetch, prepare and app ran otherwise",
        ),
    ],
)  # fmt: skip
def test_f8(logs, sentence):
    life = Life(("app", "container", "running", 7, 8))
    assert sentence == prove("F8", pod(TOUR), life, lab=lab_with(**logs))
    assert all(start < end for start, end, _ in life.drawn["notes"])
