"""labhelpers.kube.watching.follow on a server that misbehaves."""

import threading
import time

import pytest

from labhelpers.errors import Refused
from labhelpers.kube.watching import follow
from tests.unit.fake_api import PODS, pod

TOO_OLD = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}


def event(kind, obj):
    return {"type": kind, "object": obj}


def of(connection, **more):
    return follow(connection, "Pod", None, "metadata.name=one", **{"window_seconds": 0.2, **more})


def first(events, count):
    """The first events, as (kind, versions, whether there was trouble)."""
    with events:
        return [
            (each.kind, [obj["metadata"]["resourceVersion"] for obj in each.objects], bool(each.trouble))  # noqa: E501
            for each, _ in zip(events, range(count), strict=False)
        ]  # fmt: skip


def test_a_list_then_changes_then_a_tick(connection, fake):
    fake.pods(7, pod(5))
    fake.watches = [[event("MODIFIED", pod(8)), event("DELETED", pod(9))]]
    assert first(of(connection), 4) == [
        ("LISTED", ["5"], False),
        ("MODIFIED", ["8"], False),
        ("DELETED", ["9"], False),
        ("TICK", [], False),
    ]


def test_a_version_that_is_too_old_is_listed_again_and_what_is_cut_is_watched_on(connection, fake):
    fake.pods(7)
    fake.watches = [[TOO_OLD], [event("ADDED", pod(8)), b"{", "cut"], [event("MODIFIED", pod(9))]]
    assert first(of(connection), 8) == [
        ("LISTED", [], False),
        ("TICK", [], True),
        ("LISTED", [], False),
        ("ADDED", ["8"], False),
        ("TICK", [], True),
        ("MODIFIED", ["9"], False),
        ("TICK", [], False),
        ("TICK", [], False),
    ]


def test_ticks_come_while_nothing_changes_until_the_deadline(connection, fake):
    fake.pods(7)
    fake.watches = [["stay"] for _ in range(9)]
    began = time.monotonic()
    kinds = [each.kind for each in of(connection, deadline=began + 0.7)]
    assert kinds[0] == "LISTED" and set(kinds[1:]) == {"TICK"} and len(kinds) >= 3
    assert 0.69 < time.monotonic() - began < 1.2


def test_no_answer_until_the_deadline_is_trouble_and_no_error(connection, fake):
    connection.kinds.known["Pod"] = ["/api/v1", "pods", True]
    fake.stop()
    seen = list(of(connection, deadline=time.monotonic() + 0.3))
    assert seen and {each.kind for each in seen} == {"TICK"}
    assert "refused" in seen[-1].trouble
    fake.start()


def test_a_refusal_that_does_not_pass_is_raised(connection, fake):
    fake.answers[PODS] = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"}
    with pytest.raises(Refused, match="Forbidden"):
        next(of(connection))


def test_it_is_closed_from_another_thread_at_once_and_silently(connection, fake):
    fake.pods(7, pod(5))
    fake.watches = [["stay"]]
    events, seen, errors = of(connection, window_seconds=20), [], []

    def read():
        try:
            seen.extend(each.kind for each in events)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert fake.watching.acquire(timeout=5)
    began = time.monotonic()
    events.close()
    thread.join(5)
    assert not thread.is_alive() and time.monotonic() - began < 1
    assert (seen, errors) == (["LISTED"], [])
