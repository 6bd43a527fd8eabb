"""From versions and looks to intervals; and the two threads, which lose nothing and end."""

import queue
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pandas
import pytest

from labhelpers.charts import timeline
from labhelpers.errors import LabError, Refused, Unreachable
from labhelpers.measure import recording
from labhelpers.measure.changes import Version
from labhelpers.measure.life import Life
from labhelpers.node.processes import Process, ProcessSnapshot
from labhelpers.polling import poll
from labhelpers.transcript import Transcript
from tests.unit.fake_api import PODS

BEGAN = 1_800_000_000.0
PAUSE, PAUSE2, APP, APP2, APP3 = (letter * 64 for letter in "abcde")
NODE_NETWORK = 4026531840


def process(container_id, pid, started, command="sleep", net=101):
    """``started``: in seconds since the recording began."""
    ticks = round((started + 1000) * 100)
    return Process(
        pid,
        1,
        command,
        command,
        "containerd-shim",
        container_id,
        ticks,
        BEGAN + started,
        0,
        "S",
        {"net": net},
        1,
        "/",
    )


def look(seconds, *processes, ahead=0.0, late=0.0):
    """A look that took 20 ms on the node, whose clock is some seconds ahead, and was read some
    seconds late."""
    at = BEGAN + seconds
    node = at + ahead + late
    return ProcessSnapshot(
        processes,
        NODE_NETWORK,
        BEGAN - 1000 + ahead + late,
        node,
        node + 0.02,
        at - 0.001,
        at + 0.021,
    )


def stamp(seconds):
    return datetime.fromtimestamp(int(BEGAN + seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def terminated(id_, start, end, code=137):
    ended = {
        "containerID": f"containerd://{id_}",
        "exitCode": code,
        "reason": "Error" if code else "Completed",
    }
    return {"terminated": {**ended, "startedAt": stamp(start), "finishedAt": stamp(end)}}


def version(
    seconds,
    state,
    *,
    id_="",
    last=None,
    restarts=0,
    address="10.244.0.30",
    ready="True",
    event="MODIFIED",
    number=0,
):
    status = {"name": "app", "state": state, "lastState": last or {}, "restartCount": restarts}
    if id_:
        status["containerID"] = f"containerd://{id_}"
    pod = {
        "metadata": {
            "name": "one",
            "uid": "u1",
            "resourceVersion": str(number or int(seconds * 1000) + 100),
        },
        "spec": {"containers": [{"name": "app"}]},
        "status": {
            "podIP": address,
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [status],
        },
    }
    return Version(seconds, event, pod)


def running(seconds):
    return {"running": {"startedAt": stamp(seconds)}}


THE_PAUSE, THE_APP, NEXT_APP = (
    process(PAUSE, 7, -5, "pause"),
    process(APP, 8, -4),
    process(APP2, 9, 2.1),
)


def killed_app():
    """The app dies at 1.0; the API says so at 2.0, and at 2.5 that it runs again."""
    versions = [
        version(0, running(-4), id_=APP, event="FOUND"),
        version(2.0, terminated(APP, -4, 1.0), id_=APP, ready="False"),
        version(2.5, running(2.1), id_=APP2, last=terminated(APP, -4, 1.0), restarts=1),
    ]
    looks = [
        look(0, THE_PAUSE, THE_APP),
        look(0.5, THE_PAUSE, THE_APP),
        look(1.5, THE_PAUSE),
        look(2.6, THE_PAUSE, NEXT_APP),
    ]
    return versions, looks


def life(versions, looks, ended=3.0):
    return pandas.DataFrame(Life(versions, looks, BEGAN, ended).rows(), columns=timeline.COLUMNS)


def of(frame, lane):
    return frame[frame["lane"] == lane].to_dict("records")


def facts(versions, looks):
    found = timeline.facts(life(versions, looks))
    return {**found.pop("containers"), **found}


SAME = {
    "app": "ended by signal 9, restarted once",
    "pause": "same process",
    "network": "same",
    "address": "same",
}


def test_a_killed_app():
    frame = life(*killed_app())
    assert facts(*killed_app()) == SAME
    first, end, second = of(frame, "app")
    assert [first["state"], end["state"], second["state"]] == ["running", "terminated", "running"]
    assert (first["start"], second["start"]) == pytest.approx((-4, 2.1), abs=0.02)
    # Last seen at 0.5, missed at 1.52, and by the API's own word not before 1.0.
    low, high = first["end"] - first["end_resolution"], first["end"] + first["end_resolution"]
    assert (low, high) == pytest.approx((1.0, 1.52), abs=0.02)
    assert (end["signal"], end["exit_code"], end["start"], end["end"]) == (
        9,
        137,
        first["end"],
        second["start"],
    )
    assert [row["ongoing"] for row in (first, end, second)] == [False, False, True]
    assert [row["state"] for row in of(frame, "Ready")] == ["True", "False", "True"]


def test_a_version_is_asked_for_its_conditions_and_address():
    said = version(1.0, {}, ready="False", address=None)
    assert (said.conditions, said.address) == ({"Ready": "False"}, "")


def test_an_end_lies_before_the_next_begin():
    """No look has fallen between the two: then the next one's start is what bounds the end."""
    versions, looks = killed_app()
    pause, after = process(PAUSE2, 17, 1.9, "pause"), process(APP2, 9, 2.1)
    frame = life([versions[0], versions[2]], [looks[0], looks[1], look(2.6, pause, after)])
    for lane in ("app", "pause", "network"):
        rows = of(frame, lane)
        assert rows[0]["end"] + rows[0]["end_resolution"] <= rows[-1]["start"] + 0.03, lane


def test_a_node_whose_clock_is_ahead_gives_the_same_life():
    versions, looks = killed_app()
    ahead = [look(each.begin_seconds - BEGAN, *each.processes, ahead=100.0) for each in looks]
    told = [Version(each.seconds, each.event, _stamped(each.obj, 100.0)) for each in versions]
    pandas.testing.assert_frame_equal(life(told, ahead), life(versions, looks), atol=0.002)


def test_a_look_that_read_the_clock_late_moves_no_start():
    versions, looks = killed_app()
    late = [
        looks[0],
        look(0.5, THE_PAUSE, THE_APP, late=0.01),
        look(1.5, THE_PAUSE),
        look(2.6, THE_PAUSE, NEXT_APP, late=0.015),
    ]
    pandas.testing.assert_frame_equal(life(versions, late), life(versions, looks), atol=0.002)


def _stamped(pod, ahead):
    if isinstance(pod, dict):
        return {key: _stamped(value, ahead) for key, value in pod.items()}
    if isinstance(pod, list):
        return [_stamped(each, ahead) for each in pod]
    if isinstance(pod, str) and pod.endswith("Z") and "T" in pod:
        return stamp(datetime.fromisoformat(pod).timestamp() - BEGAN + ahead)
    return pod


def replaced(**what):
    """The app's life with another pause in the last look."""
    versions, looks = killed_app()
    pause = process(PAUSE2, 17, 1.9, "pause", **what)
    return versions, [
        looks[0],
        looks[1],
        look(1.5),
        look(2.6, pause, process(APP2, 9, 2.1, **what)),
    ]


def test_another_life_has_other_facts():
    versions, looks = killed_app()
    moved = [*versions[:2], version(2.5, running(2.1), id_=APP2, restarts=1, address="10.244.0.31")]
    gone = [*versions[:2], version(2.5, running(2.1), id_=APP2, restarts=1, address="")]
    exits = [versions[0], version(2.0, terminated(APP, -4, 1.0, code=1), id_=APP), versions[2]]
    calm = [versions[0]], [look(0, THE_PAUSE, THE_APP), look(2.6, THE_PAUSE, THE_APP)]
    assert facts(moved, looks) == {**SAME, "address": "changed"}
    assert facts(gone, looks) == {**SAME, "address": "gone"}
    assert facts(exits, looks) == {**SAME, "app": "ended with exit code 1, restarted once"}
    assert facts(*calm) == {**SAME, "app": "same process"}
    assert facts(*replaced(net=202)) == {**SAME, "pause": "another process", "network": "another"}
    assert facts(versions, [*looks[:2], look(2.6)])["pause"] == "gone"


def test_an_inode_number_that_is_given_again_is_another_namespace():
    """The kernel hands out the lowest free number: equal numbers are one namespace only if a
    process was in it both times."""
    assert facts(*replaced(net=101))["network"] == "another"
    versions, looks = killed_app()
    bridged = [
        look(0, THE_PAUSE, THE_APP),
        look(1.5, THE_APP),
        look(2.6, process(PAUSE2, 17, 1.9, "pause"), THE_APP),
    ]
    assert facts(versions[:1], bridged)["network"] == "same"
    assert facts(versions, looks)["network"] == "same"


def test_a_process_that_is_just_dying_has_left_its_namespaces():
    versions, looks = killed_app()
    dying = Process(**{**vars(THE_APP), "namespaces": {}})
    assert facts(versions, [*looks[:2], look(1.0, THE_PAUSE, dying), *looks[2:]]) == SAME


def test_a_pod_in_the_nodes_own_network_keeps_it():
    pauses = (
        process(PAUSE, 7, -5, "pause", net=NODE_NETWORK),
        process(PAUSE2, 17, 1.9, "pause", net=NODE_NETWORK),
    )
    found = facts(
        killed_app()[0],
        [
            look(0, pauses[0]),
            look(1.5, process(APP, 8, -4, net=NODE_NETWORK)),
            look(2.6, pauses[1]),
        ],
    )
    assert (found["pause"], found["network"]) == ("another process", "same")


def test_a_birth():
    versions = [
        version(
            0.2,
            {"waiting": {"reason": "ContainerCreating"}},
            address="",
            ready="False",
            event="ADDED",
        ),
        version(1.4, running(1.1), id_=APP),
    ]
    frame = life(
        versions, [look(0.3), look(1.5, process(PAUSE, 7, 0.8, "pause"), process(APP, 8, 1.1))]
    )
    assert [row["state"] for row in of(frame, "app")] == ["waiting", "running"]
    assert of(frame, "app")[0]["reason"] == "ContainerCreating"
    assert [row["start"] for row in of(frame, "app")] == pytest.approx([0.2, 1.1], abs=0.02)
    assert of(frame, "address")[0]["start"] == 1.4
    assert timeline.facts(frame)["containers"] == {"app": "started once"}


def test_what_the_api_still_says_of_a_container_that_runs_is_old_news():
    late = [
        *killed_app()[0][:2],
        version(2.3, {"waiting": {"reason": "CrashLoopBackOff"}}, restarts=1),
        killed_app()[0][2],
    ]
    assert [row["state"] for row in of(life(late, killed_app()[1]), "app")] == [
        "running",
        "terminated",
        "running",
    ]


@pytest.mark.parametrize(
    ("last", "wanted"),
    [
        ({}, ["waiting", "running", "terminated"]),
        (terminated(APP, 1, 1), ["waiting", "running", "terminated", "waiting"]),
    ],
)
def test_what_the_api_still_says_of_a_run_that_has_ended_is_old_news_but_a_back_off_is_none(
    last, wanted
):
    waits = {"waiting": {"reason": "PodInitializing"}}
    versions = [
        version(0.2, waits, ready="False", event="ADDED"),
        version(2.0, waits, ready="False", last=last),
        version(2.6, terminated(APP, 1, 1, code=0), id_=APP, ready="False"),
    ][: 2 if last else 3]
    pause = process(PAUSE, 7, 0.8, "pause")
    looks = [look(0.3), look(1.2, pause, process(APP, 8, 1.1)), look(1.6, pause)]
    assert [row["state"] for row in of(life(versions, looks), "app")] == wanted


def test_a_run_that_no_look_has_met_is_dated_by_the_api():
    versions, looks = killed_app()
    short = terminated(APP2, 3, 3, code=1)
    versions[2:] = [
        version(4.0, short, id_=APP2, restarts=1),
        version(6.0, running(5.0), id_=APP3, last=short, restarts=2),
    ]
    frame = life(versions, [*looks[:3], look(6.1, THE_PAUSE, process(APP3, 10, 5.2))], ended=7)
    rows = of(frame, "app")
    assert [row["state"] for row in rows] == ["running", "terminated"] * 2 + ["running"]
    assert [
        rows[2][key] for key in ("start", "end", "start_resolution", "end_resolution")
    ] == pytest.approx([3.5, 3.5, 0.5, 0.5], abs=0.05)
    assert (
        timeline.facts(frame)["containers"]["app"]
        == "ended by signal 9, then with exit code 1, restarted twice"
    )


def test_a_deleted_pod_is_gone():
    versions, looks = killed_app()
    versions.append(version(2.8, running(2.1), id_=APP2, restarts=1, event="DELETED"))
    found = facts(versions, [*looks, look(2.9)])
    assert found == {
        "app": "ended by signal 9, restarted once, not running",
        "pause": "gone",
        "network": "gone",
        "address": "gone",
    }


def test_who_the_first_process_is():
    """Not runc on its way to become it, not what runc needs on that way, and not a child that is
    left behind."""
    beginning = process(APP, 8, -4, command="runc:[2:INIT]", net=NODE_NETWORK)
    helper = Process(
        **{**vars(process(APP, 6, -4.1, command="exe", net=NODE_NETWORK)), "parent_command": "runc"}
    )
    child = process(APP, 88, -3)
    versions, looks = killed_app()
    looks = [
        look(-0.1, THE_PAUSE, helper),
        look(0, THE_PAUSE, beginning),
        look(0.5, THE_PAUSE, THE_APP, child),
        look(1.5, THE_PAUSE, child),
        looks[-1],
    ]
    frame = life(versions, looks)
    assert [row["state"] for row in of(frame, "app")] == ["running", "terminated", "running"]
    assert timeline.facts(frame)["network"] == "same"


def test_moments_know_their_resolution():
    versions, looks = killed_app()
    done = recording.Recording(FakeConnection(), FakeNode([]), "lab", "one")
    done._pods.versions, done._began, done._ended = versions, BEGAN, 3.0
    done._looks.taken = [("u1", each) for each in looks]
    moments = done.moments
    assert moments["app terminated"] < moments["app running 2"]
    assert moments["app running 2"] > moments["app running"]
    with pytest.raises(LabError, match="Can't tell which"):
        moments["Ready False"].__lt__(moments["app running 2"].__class__(2.01, 0.1))
    assert done.address == "stays"
    assert (
        done.chart("What moved?", tell=("address", "app")).finding
        == "address: same · app: ended by signal 9, restarted once"
    )


# --- the threads ----------------------------------------------------------------------------------


class FakeWatch:
    """Gives what is put into it; an exception is raised, None ends it without a word."""

    def __init__(self, resource_version, script):
        self.resource_version, self.script, self.open = resource_version, script, True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __iter__(self):
        while (step := self.script.get()) is not None:
            if isinstance(step, Exception):
                raise step
            self.resource_version = step[1]["metadata"]["resourceVersion"]
            yield step

    def close(self):
        if self.open:
            self.open = False
            self.script.put(None)


class FakeConnection:
    def __init__(self, *lists):
        self.lists, self.script, self.watched = list(lists), queue.Queue(), []
        self.transcript = Transcript()
        self.kinds = SimpleNamespace(plural=lambda kind: f"{kind.lower()}s")

    def within(self, namespace):
        return self

    def list(self, kind, namespace=None, field_selector="", **_):
        items = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        return {"metadata": {"resourceVersion": "50"}, "items": [each.obj for each in items]}

    def watch(self, kind, namespace, field_selector, resource_version, **_):
        self.watched.append(resource_version)
        return FakeWatch(resource_version, self.script)


class FakeNode:
    def __init__(self, looks):
        self.script, self.asked = looks, 0

    def look(self, uid):
        self.asked += 1
        return self.script[min(self.asked, len(self.script)) - 1]

    def looks(self, uid, *, timeout_seconds):
        return SimpleNamespace(pod_uid=uid, look=lambda: self.look(uid), close=lambda: None)


def threads():
    return [each for each in threading.enumerate() if each.name.startswith("podlab-recording")]


def recorded(connection, node, *steps, until):
    """A recording whose watch takes these steps, and whose block ends when ``until`` is so."""
    with recording.Recording(connection, node, "lab", "one") as done:
        assert len(threads()) == 2
        for step in steps:
            connection.script.put(step)
        with done._news:
            assert done._news.wait_for(lambda: until(done), timeout=10)
    assert not threads()
    return done


ONE, TWO, THREE = (version(0, running(-4), id_=APP, number=number) for number in (11, 12, 13))
ALIVE = [look(0, THE_PAUSE, THE_APP)]


def test_every_version_is_kept_once_through_all_that_can_befall_a_watch():
    connection = FakeConnection([ONE], [TWO], [THREE])
    steps = [
        None,  # a silent end
        Unreachable("cut", "seen", "do"),
        Refused("too old", "seen", "do", code=410),  # lists again, and finds the second
        ("MODIFIED", TWO.obj),  # which then comes once more
        Refused("busy", "seen", "do", code=503),
        ("MODIFIED", THREE.obj),
    ]
    done = recorded(connection, FakeNode(ALIVE), *steps, until=lambda done: len(done.versions) == 3)
    assert [each.obj["metadata"]["resourceVersion"] for each in done.versions] == ["11", "12", "13"]
    assert [each.event for each in done.versions] == ["FOUND", "LISTED", "MODIFIED"]
    assert connection.watched[:2] == ["50", "50"]


@pytest.mark.parametrize("trouble", ["cut", 503])
def test_a_list_that_is_not_answered_is_asked_for_again(fake, connection, trouble):
    """The watch is too old; and the list that follows meets a cut connection, or a busy server."""
    pods, listed = {"metadata": {"resourceVersion": "11"}, "items": [ONE.obj]}, []

    def answer():
        listed.append(trouble)
        if len(listed) != 2:
            return pods
        if trouble == 503:
            return {
                "kind": "Status",
                "code": 503,
                "reason": "ServiceUnavailable",
                "message": "busy",
            }
        raise ConnectionAbortedError

    fake.answers[PODS] = answer
    fake.watches[:] = [[410], [{"type": "MODIFIED", "object": TWO.obj}, "stay"]]
    with recording.Recording(connection, FakeNode(ALIVE), "lab", "one") as done:
        with done._news:
            assert done._news.wait_for(lambda: len(done.versions) == 2 or done._errors, timeout=10)
        pods = {"metadata": {"resourceVersion": "12"}, "items": [TWO.obj]}
    assert [each.obj["metadata"]["resourceVersion"] for each in done.versions] == ["11", "12"]


def test_the_end_waits_for_a_status_that_lags_behind_the_node():
    """The app is dead on the node, and its status says for another while that it runs."""
    dead, again = look(1, THE_PAUSE), look(3, THE_PAUSE, NEXT_APP)
    late = version(
        2.5, running(2.1), id_=APP2, last=terminated(APP, -4, 1.0), restarts=1, number=12
    )
    connection = FakeConnection([ONE], [ONE], [ONE], [late])
    node = FakeNode([*ALIVE, dead, dead, again])
    with recording.Recording(connection, node, "lab", "one") as done:
        node.asked = 1
        connection.script.put(("MODIFIED", late.obj))
    assert done.facts["containers"] == {"app": "ended by signal 9, restarted once"}


def test_the_end_waits_for_a_process_that_ended_while_it_was_looked_at():
    """The Pod is deleted. Of pause one look reads the state while it lives, and nothing more when
    it has gone."""
    going = replace(THE_PAUSE, container_id="", cgroup_path="", namespaces={})
    connection = FakeConnection([ONE], [])
    node = FakeNode([*ALIVE, look(2, going), look(2.1, going), look(2.2)])
    with recording.Recording(connection, node, "lab", "one") as done:
        node.asked = 1
        connection.script.put(("DELETED", ONE.obj))
    assert (done.facts["pause"], done.facts["network"]) == ("gone", "gone")


def test_a_mark_is_dated_from_the_begin_and_drawn():
    with recording.Recording(FakeConnection([ONE]), FakeNode(ALIVE), "lab", "one") as done:
        time.sleep(0.1)
        early = time.time() - done.began_seconds
        done.annotate("now")
        late = time.time() - done.began_seconds
    [(seconds, words)] = done._annotations
    assert words == "now"
    assert early <= seconds <= late
    assert "now" in [text.get_text() for text in done.chart("?").figure().axes[0].texts]


def test_a_block_that_fails_ends_the_threads_at_once_and_keeps_its_error():
    connection = FakeConnection([ONE])
    node = FakeNode([look(0)])  # never agrees with the status: a normal end would wait
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), recording.Recording(connection, node, "lab", "one"):
        raise KeyboardInterrupt
    assert not threads()
    assert time.monotonic() - began < recording.SETTLE_SECONDS / 2


def test_a_thread_that_has_to_give_up_is_heard():
    with pytest.raises(Refused, match="not allowed"):
        recorded(
            FakeConnection([ONE]),
            FakeNode(ALIVE),
            Refused("not allowed", "seen", "do", code=403),
            until=lambda done: done._errors,
        )


def test_a_block_whose_last_look_fails_has_ended_all_the_same():
    node, gone = FakeNode(ALIVE), LabError("The node is gone.", "nothing", "Look.")
    life = recording.Recording(FakeConnection([ONE]), node, "lab", "one")
    with pytest.raises(LabError, match="The node is gone"), life:
        node.look = lambda uid: (_ for _ in ()).throw(gone)
    assert not threads()
    assert "app" in set(life.intervals["lane"])


def test_before_the_end_there_is_a_picture_so_far_and_nothing_else():
    begun = recording.Recording(FakeConnection([ONE]), FakeNode(ALIVE), "lab", "one")
    with begun:
        so_far = begun.chart("?", ["app", "endpoint ready"], ("app",))  # the second comes later
        with pytest.raises(LabError, match="still running"):
            _ = begun.facts
    assert so_far.finding == begun.chart("?", ["app"], ("app",)).finding
    with pytest.raises(LabError, match="no lane 'endpoint ready'"):
        begun.chart("?", ["app", "endpoint ready"])


def test_looks_go_on_through_another_connection_when_one_has_ended_and_for_another_pod():
    """Two connections that end after three looks; then one for the Pod that has the name now."""
    opened, node = [], FakeNode(ALIVE)

    def looks(uid, *, timeout_seconds):
        left = iter(range(3))

        def once():
            if next(left, None) is None:
                raise LabError("cut", "seen", "do")
            return ALIVE[0]

        opened.append([uid, False])
        mine = opened[-1]
        return SimpleNamespace(pod_uid=uid, look=once, close=lambda: mine.__setitem__(1, True))

    node.looks = looks
    other = version(1, running(0.5), id_=APP2, number=13)
    other.obj["metadata"]["uid"] = "u2"
    connection = FakeConnection([ONE], [other])
    with recording.Recording(connection, node, "lab", "one") as done:
        poll(lambda: len(opened) >= 2, timeout_seconds=10, every_seconds=0.01)
        connection.script.put(("DELETED", ONE.obj))
        connection.script.put(("ADDED", other.obj))
        poll(lambda: opened[-1][0] == "u2", timeout_seconds=10, every_seconds=0.01)
        node.script = [look(1, THE_PAUSE, NEXT_APP)]
    assert [uid for uid, _ in opened[:2]] == ["u1", "u1"]
    assert opened[-1][0] == "u2"
    assert all(closed for _, closed in opened)
    assert {uid for uid, _ in done._looks.taken} == {"u1", "u2"}


# --- several Pods, and what is beside them --------------------------------------------------------


class Cluster:
    """Lists and watches by kind; a connection and its cluster."""

    def __init__(self, **objects):
        self.objects, self.scripts = objects, {kind: queue.Queue() for kind in objects}
        self.asked = []
        self.transcript = Transcript()
        self.kinds = SimpleNamespace(plural=lambda kind: f"{kind.lower()}s")

    def within(self, namespace):
        return self

    def list(self, kind, namespace=None, field_selector="", label_selector="", **_):
        self.asked.append((kind, field_selector, label_selector))
        return {"metadata": {"resourceVersion": "50"}, "items": list(self.objects[kind])}

    def watch(self, kind, namespace, field_selector, resource_version, **_):
        return FakeWatch(resource_version, self.scripts[kind])


class FakeNodeOfMany:
    """What runs, by the Pod's UID."""

    def __init__(self, **running):
        self.running, self.looked_at = running, []

    def look(self, uid):
        self.looked_at.append(uid)
        return look(0, *self.running.get(uid, ()))

    def looks(self, uid, *, timeout_seconds):
        return SimpleNamespace(pod_uid=uid, look=lambda: self.look(uid), close=lambda: None)


def a_pod(name, id_, number):
    pod = version(0, running(-4), id_=id_, number=number).obj
    pod["metadata"].update(name=name, uid=f"uid-{name}")
    return pod


FIRST, SECOND = a_pod("one", APP, 11), a_pod("two", APP2, 12)
BOTH = {
    "uid-one": [THE_PAUSE, THE_APP],
    "uid-two": [process(PAUSE2, 17, -5, "pause"), process(APP2, 18, -4)],
}
STRANGER = a_pod("stranger", APP3, 13)


@pytest.mark.parametrize("which", [{"labels": "app=web"}, {}])
def test_several_pods_on_one_axis(which):
    cluster = Cluster(Pod=[FIRST, SECOND] + ([] if which else [STRANGER]))
    node = FakeNodeOfMany(**BOTH)
    names = () if which else ("one", "two")
    with recording.Recording(cluster, node, "lab", *names, **which) as done:
        pass
    assert set(node.looked_at) == {"uid-one", "uid-two"}
    assert {"one: app", "two: app", "one: pause", "two: Ready"} <= set(done.intervals["lane"])
    assert "stranger" not in str(set(done.intervals["lane"]))
    assert done.chart("?").finding == "one: app: started once · two: app: started once"
    assert cluster.asked[0] == ("Pod", "", which.get("labels", ""))
    assert not threads()


def test_a_pod_of_several_is_looked_at_until_its_last_process_has_gone():
    cluster, node = Cluster(Pod=[FIRST, SECOND]), FakeNodeOfMany(**BOTH)
    with recording.Recording(cluster, node, "lab", labels="app=web") as done:
        cluster.objects["Pod"] = [SECOND]
        cluster.scripts["Pod"].put(("DELETED", FIRST))
        assert poll(lambda: len(done.versions) == 3, timeout_seconds=10, every_seconds=0.01)
        assert "uid-one" in done._alive()
        node.running["uid-one"] = []
        assert poll(lambda: done._alive() == ["uid-two"], timeout_seconds=10, every_seconds=0.01)
    assert done.facts["containers"]["two: app"] == "started once"


def test_what_is_beside_is_followed_and_ends_with_the_block():
    event = {
        "metadata": {"name": "e", "resourceVersion": "60"},
        "involvedObject": {"kind": "Pod", "name": "one"},
        "reason": "Unhealthy",
    }
    cluster = Cluster(Pod=[FIRST], Event=[])
    with recording.Recording(cluster, FakeNodeOfMany(**BOTH), "lab", "one", also=["Event"]) as done:
        assert len(threads()) == 3
        cluster.scripts["Event"].put(("ADDED", event))
        assert poll(lambda: done.versions_of("Event"), timeout_seconds=10, every_seconds=0.01)
        late = {**event, "metadata": {"name": "late", "resourceVersion": "61"}, "reason": "Killing"}
        cluster.objects["Event"] = [event, late]  # it comes with the last list
    assert not threads()
    assert list(done.events["reason"]) == ["Unhealthy", "Killing"]
    assert [each["state"] for each in of(done.intervals, "events")] == ["Unhealthy", "Killing"]
    with pytest.raises(LabError, match="doesn't follow 'Job'"):
        done.versions_of("Job")


@pytest.mark.parametrize("names", [(), ("",), ("..",), ("a,b",)])
def test_a_recording_of_nothing_or_of_what_is_no_name_is_refused_at_once(names):
    with pytest.raises(LabError, match=r"needs Pods|isn't a valid name"):
        recording.Recording(Cluster(Pod=[]), FakeNodeOfMany(), "lab", *names)


def test_names_and_labels_are_two_ways():
    with pytest.raises(LabError, match="by name, or by labels"):
        recording.Recording(Cluster(Pod=[]), FakeNodeOfMany(), "lab", "one", labels="app=web")


def test_a_kind_that_cannot_be_followed_leaves_no_thread():
    cluster = Cluster(Pod=[FIRST])
    with (
        pytest.raises(KeyError),
        recording.Recording(cluster, FakeNodeOfMany(**BOTH), "lab", "one", also=["Nonsense"]),
    ):
        raise AssertionError("it began")
    assert not threads()
