"""The proofs of lab 09: each says one sentence where its claim is true, another where it isn't."""

from types import SimpleNamespace

import pytest

from labhelpers.errors import Refused
from labhelpers.proofs import Proofs

PROOFS = Proofs("09-init")
NO_KEY, KEY = '{"header": {}}', '{"kvs": [{"value": "Mg==", "version": "%d"}]}'


def prove(claim, lab, *measured):
    return PROOFS.of(claim)(lab, *measured).sentence


def at(second):
    return f"1970-01-01T00:00:{second:02}Z"


def pod(*runs, app=9, name="shop", exec_says="", log="", **more):
    """A Pod whose init containers began and ended at these seconds."""
    names = ("wait-for-db", "db-migrate", "download-config")
    inits = [
        {
            "name": name,
            "restartCount": 1,
            "state": {
                "terminated": {"startedAt": at(start), "finishedAt": at(end), "exitCode": code}
            },
        }
        for name, (start, end, code) in zip(names, runs, strict=False)
    ]
    status = {
        "initContainerStatuses": inits,
        "containerStatuses": [{"state": {"running": {"startedAt": at(app)}}}],
    }
    spec = {"initContainers": [{"envFrom": [{"secretRef": {"name": "db"}}]}]}
    return SimpleNamespace(
        name=name,
        uid="u",
        raw={"status": status, "spec": spec},
        exec=lambda *_: SimpleNamespace(stdout=exec_says, returncode=0),
        logs=lambda _: log,
        **more,
    )


def lab(**files):
    """A node with the log lines of each container: (second, text)."""

    def read(path):
        if path.endswith("/at"):
            return files["tries"]
        lines = files[path.split("/")[-2].replace("-", "_")]
        return "\n".join(f"{at(second)} stdout F {text}" for second, text in lines)

    return SimpleNamespace(namespace="n", name="09-init", node=SimpleNamespace(read=read))


LOGS = {
    "wait_for_db": [(1, "no answer"), (3, "it answers")],
    "db_migrate": [(4, "before"), (5, NO_KEY + KEY % 1)],
    "download_config": [(6, "done")],
    "app": [(9, "x")],
}
RUNS = ((1, 3, 0), (4, 5, 0), (6, 7, 0))


@pytest.mark.parametrize(
    ("runs", "wanted"),
    [(RUNS, "in this order"), (((1, 5, 0), (4, 5, 0), (6, 7, 0)), "db-migrate started before")],
)
def test_e1(runs, wanted):
    life = SimpleNamespace(chart=lambda *_: "a chart")
    assert wanted in prove("E1", lab(**LOGS), pod(*runs), life)


@pytest.mark.parametrize(
    ("runs", "app", "wanted"),
    [(RUNS, 9, "app started after"), (RUNS, 2, "before"), ((*RUNS[:2], (6, 7, 1)), 9, "not all")],
)
def test_e2(runs, app, wanted):
    assert wanted in prove("E2", lab(**LOGS), pod(*runs, app=app))


@pytest.mark.parametrize(
    ("tries", "restarts", "wanted"),
    [
        ("1 2 15 40", 0, "longer and longer waits; with restartPolicy Never it ran once"),
        ("1 11 21 31", 1, "other waits; with restartPolicy Never it ran again"),
    ],
)
def test_e3(tries, restarts, wanted):
    broken = SimpleNamespace(restarts=restarts)
    never = SimpleNamespace(container=lambda _: broken, phase="Failed")
    assert wanted in prove("E3", lab(tries=tries), SimpleNamespace(uid="u"), never)


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([(1, "no answer"), (4, "it answers")], "waited while there was no database, and let"),
        ([(4, "it answers")], "did not wait"),
        ([(1, "no answer"), (8, "it answers")], "did not let the Pod go"),
        ([(1, "no answer"), (40, "it answers")], "did not let the Pod go"),
        ([(1, "no answer")], "did not let the Pod go"),
    ],
)
def test_e4(lines, wanted):
    conditions = [{"type": "Ready", "lastTransitionTime": at(3)}]
    metadata = {"creationTimestamp": at(2)}
    db = SimpleNamespace(raw={"status": {"conditions": conditions}, "metadata": metadata})
    migrates = [(9, "before")]
    assert wanted in prove("E4", lab(wait_for_db=lines, db_migrate=migrates), pod(), db)


@pytest.mark.parametrize(
    ("now", "log", "wanted"),
    [
        (KEY % 1, "color\n" + KEY % 1, "from none to 2; the app saw 2"),
        (NO_KEY, "color\n" + NO_KEY, "from none to none; the app saw none"),
    ],
)
def test_e5(now, log, wanted):
    assert wanted in prove("E5", lab(**LOGS), pod(*RUNS, exec_says=now, log=log))


@pytest.mark.parametrize(("read", "wanted"), [("a=b\n", "the same"), ("", "something else")])
def test_e6(read, wanted):
    assert wanted in prove("E6", lab(), pod(log=read), pod(exec_says="a=b\n"))


@pytest.mark.parametrize(
    ("counted", "message", "wanted"),
    [
        (300, "Insufficient memory", "counts 300 MiB for the Pod; the scheduler counts"),
        (350, "", "counts 350 MiB for the Pod; the scheduler ignores"),
    ],
)
def test_e7(monkeypatch, counted, message, wanted):
    monkeypatch.setattr(PROOFS.module, "counted_mebibytes", lambda *_: counted)
    asks = [("big", "300Mi"), ("side", "50Mi"), ("late", "200Mi"), ("app", "100Mi")]
    every = [{"name": n, "resources": {"requests": {"memory": m}}} for n, m in asks]
    every[1]["restartPolicy"] = "Always"
    raw = {"spec": {"initContainers": every[:3], "containers": every[3:]}}
    condition = {"type": "PodScheduled", "message": message}
    huge = SimpleNamespace(raw={"status": {"conditions": [condition]}})
    sentence = prove("E7", lab(), SimpleNamespace(raw=raw), huge)
    assert "the larger sum is 300 MiB" in sentence
    assert wanted in sentence


@pytest.mark.parametrize(("rejects", "wanted"), [(True, "says Invalid"), (False, "says accepted")])
def test_e8(rejects, wanted):
    def apply(body, dry_run):
        if rejects and "restartPolicy" not in body["spec"]["initContainers"][0]:
            raise Refused("no", "no", "no", reason="Invalid")

    there = lab()
    there.connection = SimpleNamespace(apply=apply)
    sentence = prove("E8", there)
    assert f"on ordinary init containers the API {wanted}" in sentence
    assert "on sidecar init containers the API says accepted" in sentence


@pytest.mark.parametrize(("writes", "wanted"), [(2, "2 times now"), (1, "1 times now")])
def test_e9(writes, wanted):
    said = pod(*RUNS, exec_says=KEY % writes)
    assert wanted in prove("E9", lab(), said, {"writes": 1})
