"""labhelpers.measure.changes on a server that misbehaves: no version is lost, none kept twice."""

import time

import pytest

from labhelpers.errors import Refused, Unreachable
from labhelpers.measure.changes import Changes, Version, spans_of
from labhelpers.polling import poll
from tests.unit.fake_api import PODS, pod


def named(name: str, version: int, **status) -> dict:
    obj = pod(version, name=name, **status)
    obj["metadata"]["uid"] = f"uid-{name}"
    return obj


def event(kind: str, obj: dict) -> dict:
    return {"type": kind, "object": obj}


TOO_OLD = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}


@pytest.fixture
def changes(connection):
    """Makes followers, and closes them."""
    made = []

    def make(**how) -> Changes:
        made.append(Changes(connection, "Pod", began=time.time(), news=lambda: None, **how))
        return made[-1]

    yield make
    for each in made:
        each.close()
        if each.thread:
            each.thread.join(5)
            assert not each.thread.is_alive()


def kept(followed: Changes) -> list[tuple[str, str, str]]:
    return [(each.event, each.name, each.resource_version) for each in followed.versions]


def test_what_is_found_and_what_comes(changes, fake):
    fake.pods(7, named("a", 5))
    fake.watches = [[event("ADDED", named("b", 8)), event("DELETED", named("a", 9)), "stay"]]
    followed = changes()
    followed.start("podlab-test")
    assert poll(lambda: len(followed.versions) == 3, timeout_seconds=5, every_seconds=0.01)
    assert kept(followed) == [("FOUND", "a", "5"), ("ADDED", "b", "8"), ("DELETED", "a", "9")]
    assert [each.name for each in followed.now()] == ["b"]


def test_what_a_later_list_no_longer_shows_was_deleted(changes, fake):
    """The watch is too old; meanwhile one Pod went, and another came."""
    fake.pods(7, named("a", 5))
    fake.watches = [[TOO_OLD], ["stay"]]
    followed = changes()
    followed.start("podlab-test")
    fake.pods(9, named("b", 8))
    assert poll(lambda: len(followed.versions) == 3, timeout_seconds=5, every_seconds=0.01)
    assert kept(followed) == [("FOUND", "a", "5"), ("DELETED", "a", "5"), ("LISTED", "b", "8")]
    followed.take_list([named("b", 8)])  # nothing new
    followed.keep("DELETED", named("a", 9))  # the watch tells it, late
    assert len(followed.versions) == 3


def test_only_what_is_wanted_is_kept(changes, fake):
    fake.pods(7, named("a", 5), named("other", 6))
    fake.watches = [[event("ADDED", named("other-2", 8)), event("MODIFIED", named("a", 9)), "stay"]]
    followed = changes(wanted=lambda obj: obj["metadata"]["name"] == "a", labels="app=web")
    followed.start("podlab-test")
    assert poll(lambda: len(followed.versions) == 2, timeout_seconds=5, every_seconds=0.01)
    assert kept(followed) == [("FOUND", "a", "5"), ("MODIFIED", "a", "9")]
    assert {query["labelSelector"] for query in fake.asked("GET", PODS)} == {"app=web"}


def test_a_server_that_does_not_answer_or_refuses_is_heard_before_anything_runs(changes, fake):
    followed, refused = changes(), changes()
    fake.answers[PODS] = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"}
    with pytest.raises(Refused, match="Forbidden"):
        refused.start("podlab-test")
    fake.stop()
    with pytest.raises(Unreachable, match="couldn't be listed"):
        followed.start("podlab-test")
    assert followed.thread is None and refused.thread is None
    fake.start()


def phase(seconds: float, kind: str, words: str | None) -> Version:
    return Version(seconds, kind, {"phase": words})


@pytest.mark.parametrize(
    ("versions", "spans"),
    [
        ([], []),
        ([(-3.0, "FOUND", "Running")], [(0.0, 9.0, "Running")]),
        (
            [(1.0, "ADDED", None), (2.0, "MODIFIED", "Pending"), (4.0, "MODIFIED", "Running")],
            [(2.0, 4.0, "Pending"), (4.0, 9.0, "Running")],
        ),
        (
            [(1.0, "ADDED", "Pending"), (2.0, "MODIFIED", "Pending"), (3.0, "DELETED", "Pending"),
             (5.0, "ADDED", "Pending")],
            [(1.0, 3.0, "Pending"), (5.0, 9.0, "Pending")],
        ),
        ([(1.0, "ADDED", "Pending"), (3.0, "DELETED", "Pending")], [(1.0, 3.0, "Pending")]),
    ],
)  # fmt: skip
def test_what_versions_said_in_turn(versions, spans):
    made = [phase(*each) for each in versions]
    assert spans_of(made, lambda obj: obj["phase"], until=9.0) == spans
