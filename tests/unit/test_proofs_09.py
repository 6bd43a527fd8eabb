"""The proofs of lab 09: each says one sentence where its claim is true, another where it isn't."""

from types import SimpleNamespace

import pytest

from labhelpers import formulas
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
        raw={"status": status, "spec": spec, "metadata": {"creationTimestamp": at(0)}},
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
LIFE = SimpleNamespace(began_seconds=0, chart=lambda *_, **__: "a chart")


@pytest.mark.parametrize(
    ("runs", "wanted"),
    [(RUNS, "in this order"), (((1, 5, 0), (4, 5, 0), (6, 7, 0)), "db-migrate started before")],
)
def test_e1(runs, wanted):
    assert wanted in prove("E1", lab(**LOGS), pod(*runs), LIFE)


def test_e1_draws_the_tries_and_when_the_next_one_was_due():
    drawn = {}
    life = SimpleNamespace(began_seconds=1, chart=lambda *_, **more: drawn.update(more, lanes=_[1]))
    prove("E1", lab(**LOGS), pod(*RUNS), life)
    assert drawn["lanes"][0].points == [(0, "no answer", False), (2, "it answers", True)]
    assert drawn["predicted"] == [(1, "next try due")]


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


def seen(status="Pending", restarts=0, state="running", app="waiting"):
    """A Pod as it was after the failed tries."""
    inits = [{"restartCount": restarts, "state": {state: {}}}]
    apps = [{"restartCount": 0, "state": {app: {}}}]
    status = {"phase": status, "initContainerStatuses": inits, "containerStatuses": apps}
    return SimpleNamespace(raw={"status": status})


VAIN = [(second, "no answer") for second in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("lines", "then", "wanted"),
    [
        ([*VAIN, (6, "it answers")], seen(), "shop stayed in Init"),
        ([*VAIN, (6, "it answers")], seen(), "ended one try after"),
        ([*VAIN, (6, "it answers")], seen(restarts=1), "did not stay in Init"),
        ([*VAIN[:3], (6, "it answers")], seen(), "did not stay in Init"),
        ([(6, "it answers")], seen(), "did not stay in Init"),
        ([*VAIN, (40, "it answers")], seen(), "did not end one try after"),
        (VAIN, seen(), "did not end one try after"),
    ],
)
def test_e4(lines, then, wanted):
    db = SimpleNamespace(raw={"metadata": {"creationTimestamp": at(5)}})
    there = lab(wait_for_db=lines, db_migrate=[(9, "before")])
    assert wanted in prove("E4", there, pod(), then, db)


@pytest.mark.parametrize(
    ("then", "wanted"),
    [
        (seen(), "it stays in Init"),
        (seen(restarts=2), "it fails after some tries"),
        (seen(state="terminated"), "it fails after some tries"),
        (seen(status="Failed"), "it fails after some tries"),
        (seen(app="running"), "the app starts anyway"),
    ],
)
def test_each_answer_can_be_measured(then, wanted):
    assert PROOFS.module.what_shop_did(None, then) == wanted


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
    ("counted", "fits", "message", "wanted"),
    [
        (
            330,
            "True",
            "Insufficient ephemeral-storage",
            "the Pod fits; where 315 are free, that it",
        ),
        (330, "True", "Insufficient ephemeral-storage", "that it doesn't fit"),
        (350, "False", "Insufficient ephemeral-storage", "counts 350 MiB"),
        (350, "False", "Insufficient ephemeral-storage", "the Pod has other flaws"),
        (300, "True", "", "that it has other flaws"),
    ],
)
def test_e7(monkeypatch, counted, fits, message, wanted):
    monkeypatch.setattr(PROOFS.module, "counted_mebibytes", lambda *_: counted)
    asks = [("big", "300Mi"), ("side", "50Mi"), ("late", "280Mi"), ("app", "100Mi")]
    every = [{"name": n, "resources": {"requests": {"memory": m}}} for n, m in asks]
    every[1]["restartPolicy"] = "Always"
    raw = {"spec": {"initContainers": every[:3], "containers": every[3:]}}
    small, large = scheduled(fits, "other"), scheduled("False", message)
    sentence = prove("E7", lab(), SimpleNamespace(raw=raw), small, large)
    assert "the larger sum is 330 MiB" in sentence
    assert wanted in sentence


def scheduled(status, message):
    condition = {"type": "PodScheduled", "status": status, "message": message}
    return SimpleNamespace(raw={"status": {"conditions": [condition]}})


@pytest.mark.parametrize(("rejects", "wanted"), [(True, "rejected: Invalid"), (False, "accepted")])
def test_e8(rejects, wanted):
    def apply(body, dry_run):
        if rejects and "restartPolicy" not in body["spec"]["initContainers"][0]:
            raise Refused("no", "no", "no", reason="Invalid")

    there = lab()
    there.connection = SimpleNamespace(apply=apply)
    sentence = prove("E8", there)
    assert f"on ordinary ones {wanted}" in sentence
    assert "on sidecar ones accepted" in sentence


def counts(writes, restarts):
    return {"writes": writes, "restarts": {"wait-for-db": restarts, "db-migrate": restarts}}


@pytest.mark.parametrize(
    ("crashed", "rebuilt", "wanted", "answer"),
    [
        (counts(1, 0), counts(2, 1), "app none of the", "only when pause is killed"),
        (counts(1, 0), counts(2, 1), "sandbox all; the", "only when pause is killed"),
        (counts(1, 0), counts(1, 0), "sandbox none; the", "not at all"),
        (counts(2, 1), counts(3, 2), "app all of the", "both times"),
        (counts(2, 1), counts(2, 1), "and 2 with the new", "only when the app is killed"),
    ],
)
def test_e9(crashed, rebuilt, wanted, answer):
    writes = [counts(1, 0), crashed, rebuilt]
    assert wanted in prove("E9", lab(), pod(), writes, LIFE)
    assert PROOFS.module.when_they_ran_again(None, writes) == answer


def test_the_phases_in_words():
    pending, failed = SimpleNamespace(phase="Pending"), SimpleNamespace(phase="Failed")
    assert PROOFS.module.phases(None, pending, failed) == "retry is Pending, never is Failed"
    assert PROOFS.module.phases(None, failed, failed) == "both are Failed"


def test_the_scaled_pods_lie_on_either_side_of_what_is_free():
    applied, free = {}, 10**9
    there = lab()
    there.free = {"ephemeral-storage": free}.get
    there.connection = SimpleNamespace(
        apply=lambda body: applied.update({body["metadata"]["name"]: body["spec"]})
    )
    there.pod = lambda name: SimpleNamespace(name=name, wait_until=lambda *_, **__: None)
    pods = PROOFS.module.almost_too_big(there)
    assert [each.name for each in pods] == ["fits", "too-big"]
    asked = {name: formulas.effective_requests(spec) for name, spec in applied.items()}
    assert asked["fits"]["ephemeral-storage"] < free < asked["too-big"]["ephemeral-storage"]
    # Without the sidecar too-big would fit; with the sidecar beside the biggest, fits wouldn't.
    big, sidecar = (
        [_disk(spec["initContainers"][number]) for spec in applied.values()] for number in (0, 1)
    )
    assert big[0] < free < big[1] + sidecar[1]


def _disk(container):
    return int(container["resources"]["requests"]["ephemeral-storage"])


@pytest.mark.parametrize(
    ("state", "restarts", "waits"),
    [
        ({"terminated": {}}, 3, True),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, 3, True),
        ({"waiting": {"reason": "PodInitializing"}}, 3, False),
        ({"running": {}}, 3, False),
        ({"terminated": {}}, 2, False),
    ],
)
def test_between_tries(state, restarts, waits):
    status = {"initContainerStatuses": [{"state": state, "restartCount": restarts}]}
    now = SimpleNamespace(raw={"status": status})
    asked = SimpleNamespace(wait_until=lambda goal, **_: goal(now))
    assert PROOFS.module.between_tries(None, asked, 4) is waits
