import contextlib
import itertools
import math
import signal
import threading
import time
from types import SimpleNamespace

import pytest

from labhelpers.errors import Impossible, LabError, Refused, TimedOut
from labhelpers.kube import waiting, watching
from labhelpers.kube.waiting import TICK_SECONDS, wait_until
from tests.unit.fake_api import PODS, pod


def running(obj) -> bool:
    return obj is not None and obj["status"]["phase"] == "Running"


def wait(connection, goal=running, what="Running", timeout_seconds=60, **more):
    return wait_until(
        connection, "Pod", "one", goal, what=what, timeout_seconds=timeout_seconds, **more
    )


def event(kind, obj):
    return {"type": kind, "object": obj}


class PlayedConnection:
    """Plays what happens to a Pod at which second, by a clock of its own: no second is waited for,
    so a busy machine is as quick as an idle one."""

    namespace = "lab"

    def __init__(self, *happens):
        self.now, self.happens = 0.0, list(happens)

    def monotonic(self):
        return self.now

    def rest(self, seconds):
        self.now += seconds

    def list(self, kind, *_, **__):
        items = [pod(5)] if kind == "Pod" else []
        return {"metadata": {"resourceVersion": "7"}, "items": items}

    @contextlib.contextmanager
    def watch(self, kind, namespace, selector, version, *, timeout_seconds, **_):
        yield PlayedWatch(self, version, self.now + timeout_seconds)


class PlayedWatch:
    def __init__(self, played, version, end):
        self.played, self.resource_version, self.end = played, version, end

    def __iter__(self):
        played = self.played
        while played.happens and played.happens[0][0] <= self.end:
            second, change = played.happens.pop(0)
            played.now = max(played.now, second)
            yield change["type"], change["object"]
        played.now = max(played.now, self.end)


@pytest.fixture
def played(monkeypatch):
    """Makes a connection that plays these (second, event), and has the only clock there is."""

    def make(*happens):
        connection = PlayedConnection(*happens)

        class Closed(threading.Event):
            def wait(self, seconds):
                connection.rest(seconds)

        clock = SimpleNamespace(monotonic=connection.monotonic)
        monkeypatch.setattr(waiting, "time", clock)
        monkeypatch.setattr(watching, "time", clock)
        only_here = SimpleNamespace(Event=Closed, RLock=threading.RLock)
        monkeypatch.setattr(watching, "threading", only_here)
        return connection

    return make


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
def test_the_error_tells_what_was_seen(connection, fake, ends_early):
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
    assert time.monotonic() - began >= 0.4
    assert str(caught.value).splitlines() == [
        "Pod one wasn't Running within 0.4 s.",
        (
            "Seen: phase Pending, Ready is False (ContainersNotReady), container app waiting"
            " (ContainerCreating); event FailedMount: because; event Old: because; event Oldest:"
            " because"
        ),
        (
            "Do:   Look closer: `kubectl describe pod one -n lab`. If this machine is only slow,"
            " set PODLAB_PATIENCE=5 to wait longer."
        ),
    ]


def test_a_cluster_that_stays_away_ends_at_the_limit_and_is_named(connection, fake):
    fake.pods(7, pod(5))
    connection.list("Pod")
    fake.stop()
    with pytest.raises(TimedOut, match=r"didn't answer \(http://127.0.0.1:\d+: .*refused"):
        wait(connection, timeout_seconds=0.4)


@pytest.mark.parametrize("limit", [0.5, 1, 2.5])
def test_the_limit_holds(played, limit):
    connection = played()
    with pytest.raises(TimedOut):
        wait(connection, timeout_seconds=limit)
    assert connection.now == limit


def test_a_busy_object_does_not_stretch_the_limit(connection, fake):
    fake.pods(7, pod(5))

    def busy():
        for version in itertools.count(8):
            yield event("MODIFIED", pod(version))
            if fake.stopping.wait(0.02):
                return

    fake.watches = [busy()]
    with pytest.raises(TimedOut):
        wait(connection, timeout_seconds=0.5)


def test_the_goal_and_the_impossible_end_it_at_once(played):
    connection = played((0.3, RUNNING))
    assert running(wait(connection))
    assert connection.now == 0.3
    connection = played((0.3, event("MODIFIED", pod(8, "Failed"))))
    with pytest.raises(
        Impossible, match=r"can't become Running any more: it has failed\nSeen: phase Failed"
    ):
        wait(
            connection,
            impossible=lambda obj: "it has failed" if obj["status"]["phase"] == "Failed" else None,
        )
    assert connection.now == 0.3


def test_a_limit_that_is_over_unwatched_is_looked_at_once_more(connection, fake, monkeypatch):
    """A laptop that was closed: when it goes on, the limit is over, and the Pod long Ready."""
    fake.pods(7, pod(5, "Running"))
    asleep = iter([0.0] + [1000.0] * 100)
    monkeypatch.setattr(waiting.time, "monotonic", lambda: next(asleep))
    monkeypatch.setattr(waiting, "follow", lambda *_, **__: contextlib.nullcontext(iter(())))
    assert running(wait(connection, timeout_seconds=20))


def test_the_last_look_may_fail(connection, fake, monkeypatch):
    monkeypatch.setattr(waiting, "follow", lambda *_, **__: contextlib.nullcontext(iter(())))
    connection.kinds.known["Pod"] = ["/api/v1", "pods", True]
    fake.stop()
    with pytest.raises(TimedOut, match="the cluster gave no answer"):
        wait(connection, timeout_seconds=0)
    fake.start()


@pytest.mark.parametrize("limit", ["30s", None, True, -1, math.inf, math.nan])
def test_a_limit_is_a_number_of_seconds(connection, limit):
    with pytest.raises(LabError, match="isn't a number of seconds") as caught:
        wait(connection, timeout_seconds=limit)
    assert len(str(caught.value).splitlines()) == 3


def test_the_impossible_is_asked_again_while_nothing_changes(played):
    connection, asked = played(), []

    def after_some_grace(obj):
        asked.append(connection.now)
        return "its grace is over" if len(asked) == 3 else None

    with pytest.raises(Impossible, match="grace is over"):
        wait(connection, impossible=after_some_grace)
    assert asked == [0, TICK_SECONDS, 2 * TICK_SECONDS]


def test_a_refusal_that_waiting_cannot_cure_is_raised(connection, fake):
    fake.answers[PODS] = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"}
    with pytest.raises(Refused):
        wait(connection)


def test_ctrl_c_ends_it_before_the_limit(connection, fake):
    fake.pods(7, pod(5))

    def interrupt():
        assert fake.watching.acquire(timeout=60)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    # Mostly at once. But the signal is sent while the request is under way: one that comes just
    # before the read blocks waits for the tick.
    with pytest.raises(KeyboardInterrupt):
        wait(connection, timeout_seconds=120)
    thread.join()


def test_it_returns_while_the_watch_is_still_open(connection, fake, monkeypatch):
    """How promptly, ``make bench`` measures."""
    monkeypatch.setattr(waiting, "TICK_SECONDS", 120)
    go = threading.Event()
    fake.pods(7, pod(5))
    fake.watches = [[go, RUNNING, "stay"]]

    def release():
        assert fake.watching.acquire(timeout=60)
        go.set()

    thread = threading.Thread(target=release)
    thread.start()
    assert running(wait(connection, timeout_seconds=240))
    assert len([query for query in fake.asked("GET", PODS) if "watch" in query]) == 1
    thread.join()


def test_a_server_that_ends_every_watch_is_not_stormed(connection, fake):
    fake.pods(7, pod(5))
    fake.watches = [[] for _ in range(1000)]
    with pytest.raises(TimedOut):
        wait(connection, timeout_seconds=0.5)
    assert len(fake.asked("GET", PODS)) < 12
