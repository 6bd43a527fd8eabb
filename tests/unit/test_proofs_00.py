"""The proofs of lab 00: each says one sentence where its claim is true, another where it isn't."""

from types import SimpleNamespace

import pandas
import pytest

from labhelpers.errors import Refused
from labhelpers.measure.changes import Version
from labhelpers.proofs import Proofs
from labhelpers.snapshots import PodSnapshot

PROOFS = Proofs("00-start-here")
TOOLS = PROOFS.module
NOT_THERE = Refused("Refused.", "not found", "", reason="NotFound", message="not found")


def raw(uid="u1", address="10.244.0.5", restarts=0, scheduled="True", **status):
    there = {
        "name": "app",
        "restartCount": restarts,
        "started": True,
        "containerID": f"containerd://{uid}{restarts}",
        "state": {"running": {}},
        "lastState": {"terminated": {"exitCode": 1}} if restarts else {},
    }
    return {
        "metadata": {"name": "hello", "uid": uid, "resourceVersion": "1"},
        "spec": {"containers": [{"name": "app"}], "nodeName": "n"},
        "status": {
            "phase": "Running",
            "podIP": address,
            "conditions": [{"type": "PodScheduled", "status": scheduled}],
            "containerStatuses": [there],
            **status,
        },
    }


class Pod:
    """A Pod that the API server knows, or doesn't, and what its previous log says."""

    def __init__(self, body, previous=None):
        self.body, self.previous = body, previous

    def now(self):
        if self.body is None:
            raise NOT_THERE
        return PodSnapshot(self.body)

    def wait_until(self, goal, *, timeout_seconds):
        assert goal(self.now())

    def logs(self, container, *, previous):
        assert (container, previous) == ("app", True)
        if self.previous is None:
            raise NOT_THERE
        return self.previous


def prove(claim, *measured, lab=None):
    return PROOFS.of(claim)(lab, *measured).sentence


PENDING = raw(scheduled="False", phase="Pending", containerStatuses=[])
PENDING["spec"].pop("nodeName")


def test_p1_a_pod_that_fits_no_node_is_stored():
    assert prove("P1", Pod(PENDING)) == (
        "the API server has stored the Pod hello; it's Pending, on no node, and no container has "
        "started"
    )
    assert TOOLS.answered(None, Pod(PENDING)) == "created"


def test_p1_otherwise():
    assert "it's Running, on a node, and app has started" in prove("P1", Pod(raw()))
    assert TOOLS.answered(None, Pod(None)) == "an error: no node fits"


BEFORE = PodSnapshot(raw())


def test_p2_a_crash_leaves_the_pod_as_it_is():
    crashed = Pod(raw(restarts=1), "hello\ngoodbye\n")
    assert prove("P2", BEFORE, crashed) == (
        "after the crash the UID stayed the same, the IP address stayed the same, RESTARTS went "
        'up, and the previous log ends in "goodbye"'
    )
    assert TOOLS.after_crash(None, BEFORE, crashed) == "the app starts again in the same Pod"


@pytest.mark.parametrize(
    ("after", "says", "answer"),
    [
        (raw("u2", "10.244.0.6"), "the UID is another one, the IP", "another Pod replaces it"),
        (
            raw(),
            "RESTARTS stayed the same, and there's no",
            "the app starts again in the same Pod",
        ),
        (
            raw(containerStatuses=[{"name": "app", "state": {"terminated": {"exitCode": 1}}}]),
            "there's no previous log",
            "the Pod ends, with STATUS Error",
        ),
    ],
)
def test_p2_otherwise(after, says, answer):
    assert says in prove("P2", BEFORE, Pod(after))
    assert TOOLS.after_crash(None, BEFORE, Pod(after)) == answer


def test_p3_the_same_file_makes_another_pod():
    other = Pod(raw("u2", "10.244.0.6"))
    assert prove("P3", BEFORE, other) == (
        "the same file made another Pod, with another UID; RESTARTS is 0, and there's no previous "
        "log"
    )
    assert TOOLS.kept(None, BEFORE, other) == "neither"


def test_p3_otherwise():
    back, log = Pod(raw(restarts=1), "goodbye"), Pod(raw("u2"), "goodbye")
    assert prove("P3", BEFORE, back) == (
        "the same file made the same Pod again; RESTARTS is 1, and the previous log ends in "
        '"goodbye"'
    )
    assert TOOLS.kept(None, BEFORE, back) == "its UID and its old log"
    assert TOOLS.kept(None, BEFORE, log) == "its old log, under another UID"


def life(*bodies):
    events = ["FOUND", *["MODIFIED"] * (len(bodies) - 1)]
    versions = [
        Version(float(number), event, body)
        for number, (event, body) in enumerate(zip(events, bodies, strict=True))
    ]
    rows = [{"lane": "app", "kind": "container", "state": "running", "value": "1", "start": 0.0,
             "end": 9.0, "restarts": 0, "ongoing": True, "reason": None}]  # fmt: skip
    return SimpleNamespace(versions=versions, intervals=pandas.DataFrame(rows))


def going(body):
    return {**body, "metadata": {**body["metadata"], "deletionTimestamp": "now"}}


def test_a_crash_and_a_deletion_in_one_picture():
    crashed = raw(restarts=1)
    both = life(raw(), crashed, going(crashed), raw("u2", "10.244.0.6"))
    shown = TOOLS.two_lives(None, both)
    assert shown.sentence == (
        "after the crash RESTARTS went up, in the same Pod with the same IP address; after the "
        "deletion another UID began, with RESTARTS 0"
    )
    assert TOOLS._marks(both) == [
        (1.0, "the app crashes"),
        (2.0, "deleted"),
        (3.0, "applied again"),
    ]
    assert shown.what.png.startswith(b"\x89PNG")


def test_a_picture_without_a_crash_or_a_deletion_says_so():
    sentence = TOOLS.two_lives(None, life(raw(), raw())).sentence
    assert sentence == "the app didn't crash; there was one Pod all the time"
    moved = life(raw(), raw(address="10.244.0.9", restarts=1))
    assert "in the same Pod with another IP address" in TOOLS.two_lives(None, moved).sentence


def test_p4_three_ways_one_answer(monkeypatch):
    answers = [("a", "a", "a")] * len(TOOLS.QUESTIONS)
    monkeypatch.setattr(TOOLS, "asked", lambda lab, pod: answers)
    assert prove("P4", None) == (
        "helper, kubectl and Python client were asked: they gave the same 5 answers"
    )
    answers = [*answers[:-1], ("a", "b", "a")]
    assert prove("P4", None).endswith("they differ about log")
