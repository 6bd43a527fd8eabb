import signal
import statistics
import threading
import time
from types import SimpleNamespace

import pytest

from labhelpers.errors import Impossible, Refused, TimedOut
from labhelpers.kube import watching
from labhelpers.kube.waiting import TICK_SECONDS, wait_until
from tests.unit.fake_api import PODS, pod


def running(obj) -> bool:
    return obj is not None and obj["status"]["phase"] == "Running"


def wait(connection, goal=running, what="Running", timeout_seconds=10, **more):
    return wait_until(
        connection, "Pod", "one", goal, what=what, timeout_seconds=timeout_seconds, **more
    )


def event(kind, obj):
    return {"type": kind, "object": obj}


GONE = {
    "type": "ERROR",
    "object": {
        "kind": "Status",
        "code": 410,
        "reason": "Expired",
        "message": "too old resource version",
    },
}
RUNNING = event("MODIFIED", pod(9, "Running"))


def test_what_is_there_already_needs_one_request(connection, fake):
    fake.pods(7, pod(5, "Running"))
    assert wait(connection)["metadata"]["resourceVersion"] == "5"
    assert len(fake.asked("GET", PODS)) == 1


@pytest.mark.parametrize(
    ("first", "lists", "resumed_from"),
    [
        pytest.param([GONE], 2, ["7", "7"], id="410 as an event"),
        pytest.param([410], 2, ["7", "7"], id="410 as an answer"),
        pytest.param([event("MODIFIED", pod(8))], 1, ["7", "8"], id="a silent end"),
        pytest.param([], 1, ["7", "7"], id="a silent end before any event"),
        pytest.param(
            [event("MODIFIED", pod(8)), b'{"type":"MODIF', "cut"],
            1,
            ["7", "8"],
            id="cut in the middle of a line",
        ),
        pytest.param([503], 1, ["7", "7"], id="a server that starts"),
        pytest.param([504], 2, ["7", "7"], id="a version that is yet to come"),
    ],
)
def test_each_ending_of_a_watch_is_survived(connection, fake, first, lists, resumed_from):
    fake.pods(7, pod(5))
    fake.watches = [first, [RUNNING, "stay"]]
    assert running(wait(connection))
    asked = fake.asked("GET", PODS)
    assert [query["resourceVersion"] for query in asked if "watch" in query] == resumed_from
    assert len([query for query in asked if "watch" not in query]) == lists


def test_a_refused_connection_is_tried_again_until_it_is_back(connection, fake, monkeypatch):
    fake.pods(7, pod(5))
    fake.watches = [["cut"], [RUNNING, "stay"]]
    pauses = []

    class Closed(threading.Event):
        def wait(self, seconds):
            pauses.append(seconds)
            if len(pauses) == 1:
                fake.stop()
            if len(pauses) == 4:
                fake.start()

    only_here = SimpleNamespace(Event=Closed, RLock=threading.RLock)
    monkeypatch.setattr(watching, "threading", only_here)
    assert running(wait(connection))
    assert pauses == [0.02, 0.04, 0.08, 0.16]


def test_what_happens_while_the_list_is_made_anew_is_not_lost(connection, fake):
    fake.pods(7, pod(5))
    fake.watches = [[event("DELETED", pod(8))]]
    assert wait(connection, lambda obj: obj is None, "gone") is None


def test_an_object_that_does_not_exist_yet(connection, fake):
    fake.pods(7)
    fake.watches = [[event("ADDED", pod(8)), RUNNING, "stay"]]
    assert running(wait(connection))


@pytest.mark.parametrize("ends_early", [None, lambda obj: None])
def test_the_limit_holds_and_the_error_tells_what_was_seen(connection, fake, ends_early):
    state = {"waiting": {"reason": "ContainerCreating"}}
    status = {"conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]}
    fake.pods(7, pod(5, containerStatuses=[{"name": "app", "state": state}], **status))
    events = [
        {
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
            "lastTimestamp": stamp,
            "reason": reason,
            "message": "because",
        }
        for stamp, reason in (
            ("2026-01-01T00:00:01Z", "Old"),
            ("2026-01-01T00:00:09Z", "FailedMount"),
            (None, "Oldest"),
        )
    ]
    fake.answers["/api/v1/namespaces/lab/events"] = {"items": events}
    began = time.monotonic()
    with pytest.raises(TimedOut) as caught:
        wait(connection, timeout_seconds=0.4, impossible=ends_early)
    assert 0.4 <= time.monotonic() - began < 1.0
    assert str(caught.value).splitlines() == [
        "Pod one was not Running within 0.4 s.",
        (
            "Seen: phase Pending, Ready is False (ContainersNotReady), container app waiting"
            " (ContainerCreating); event FailedMount: because; event Old: because; event Oldest:"
            " because"
        ),
        "Do:   Look closer: `kubectl describe pod one -n lab`.",
    ]


def test_a_cluster_that_stays_away_ends_at_the_limit_and_is_named(connection, fake):
    fake.pods(7, pod(5))
    connection.list("Pod")
    fake.stop()
    with pytest.raises(TimedOut, match=r"did not say \(http://127.0.0.1:\d+: .*refused"):
        wait(connection, timeout_seconds=0.4)


def test_a_busy_object_does_not_stretch_the_limit(connection, fake):
    fake.pods(7, pod(5))

    def busy_then_quiet():
        for version in range(8, 38):  # for three seconds: far longer than a busy machine is late
            yield event("MODIFIED", pod(version))
            fake.stopping.wait(0.1)
        yield "stay"

    fake.watches = [busy_then_quiet()]
    began = time.monotonic()
    with pytest.raises(TimedOut):
        wait(connection, timeout_seconds=0.5)
    assert time.monotonic() - began < 2


def test_the_impossible_ends_it_at_once(connection, fake):
    fake.pods(7, pod(5))
    fake.watches = [[event("MODIFIED", pod(8, "Failed")), "stay"]]
    began = time.monotonic()
    with pytest.raises(
        Impossible, match=r"cannot become Running any more: it has failed\nSeen: phase Failed"
    ):
        wait(
            connection,
            impossible=lambda obj: "it has failed" if obj["status"]["phase"] == "Failed" else None,
        )
    assert time.monotonic() - began < 1


def test_the_impossible_is_asked_again_while_nothing_changes(connection, fake):
    fake.pods(7, pod(5))
    asked = []

    def after_some_grace(obj):
        asked.append(obj)
        return "its grace is over" if len(asked) == 3 else None

    began = time.monotonic()
    with pytest.raises(Impossible, match="grace is over"):
        wait(connection, impossible=after_some_grace)
    assert time.monotonic() - began < 4


def test_a_refusal_that_waiting_cannot_cure_is_raised(connection, fake):
    fake.answers[PODS] = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"}
    with pytest.raises(Refused):
        wait(connection)


def test_ctrl_c_ends_it_at_once(connection, fake):
    fake.pods(7, pod(5))
    sent = []

    def interrupt():
        assert fake.watching.acquire(timeout=5)
        sent.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        wait(connection, timeout_seconds=20)
    # Mostly at once. But the signal is sent while the request is under way: one that comes just
    # before the read blocks waits for the tick.
    assert time.monotonic() - sent[0] < TICK_SECONDS + 0.5
    thread.join()


def test_it_returns_promptly(connection, fake):
    delays = []
    for _ in range(9):
        go = threading.Event()
        fake.pods(7, pod(5))
        fake.watches = [[go, RUNNING, "stay"]]
        at = []

        def release(go=go, at=at):
            assert fake.watching.acquire(timeout=5)
            at.append(time.monotonic())
            go.set()

        thread = threading.Thread(target=release)
        thread.start()
        wait(connection)
        delays.append(time.monotonic() - at[0])
        thread.join()
    assert statistics.median(delays) < 0.03


def test_a_server_that_ends_every_watch_is_not_stormed(connection, fake):
    fake.pods(7, pod(5))
    fake.watches = [[] for _ in range(1000)]
    with pytest.raises(TimedOut):
        wait(connection, timeout_seconds=0.5)
    assert len(fake.asked("GET", PODS)) < 12
