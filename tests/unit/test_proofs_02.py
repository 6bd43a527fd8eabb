"""The proofs of lab 02: each says one sentence where its claim is true, another where it isn't."""

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import pandas
import pytest

from labhelpers.charts import timeline as charts
from labhelpers.errors import LabError
from labhelpers.proofs import Proofs

PROOFS = Proofs("02-pause")


def prove(claim, lab, *measured):
    return PROOFS.of(claim)(lab, *measured).sentence


@dataclass
class Process:
    pid: int
    command: str
    parent_pid: int
    parent_command: str
    container_id: str = "c"
    started_ticks: int = 500
    command_line: str = "sleep 1000"
    namespaces: dict = field(default_factory=dict)


PAUSE, APP = Process(10, "pause", 5, "containerd-shim"), Process(20, "sleep", 5, "containerd-shim")


@dataclass
class Node:
    """A node with given processes for each Pod, and given files."""

    pods: dict = field(default_factory=dict)
    files: dict = field(default_factory=dict)
    memory_bytes: float = 230e3
    cpu_seconds: float = 0.03

    def processes(self, uid):
        return self.pods.get(uid, [])

    def node_namespaces(self):
        return {"net": 1}

    def read(self, path):
        if path not in self.files:
            raise LabError("A file on the node cannot be read.", f"cat: {path}: No such file", "")
        return self.files[path]

    def cgroup(self, container_id):
        return SimpleNamespace(memory_bytes=self.memory_bytes, cpu_seconds=self.cpu_seconds)


def raw(name, uid, spec=None, annotations=None):
    return {
        "metadata": {"name": name, "uid": uid, "annotations": annotations or {}},
        "spec": spec or {"containers": [{"name": "app"}]},
        "status": {"phase": "Running"},
    }


def lab_with(node, system=()):
    connection = SimpleNamespace(list=lambda kind, namespace: {"items": list(system)})
    return SimpleNamespace(node=node, connection=connection)


# --- B1, B2, B6 -----------------------------------------------------------------------------------

ETCD = raw("etcd", "mirror", annotations={"kubernetes.io/config.hash": "hash"})


def test_b1_each_pod_has_one_pause_that_no_spec_mentions():
    lab = lab_with(Node({"u": [PAUSE, APP], "hash": [PAUSE]}), [ETCD])
    assert prove("B1", lab, SimpleNamespace(raw=raw("one-app", "u"))) == (
        "the node runs one pause process for each Pod, and no spec and no status mentions it"
    )


def test_b1_tells_whose_network_it_is():
    on_the_nodes = Process(11, "pause", 5, "containerd-shim", namespaces={"net": 1})
    own = Process(10, "pause", 5, "containerd-shim", namespaces={"net": 2})
    lab = lab_with(Node({"u": [own, APP], "hash": [on_the_nodes]}), [ETCD])
    shown = PROOFS.of("B1")(lab, SimpleNamespace(raw=raw("one-app", "u")))
    assert list(shown.what["network"]) == ["its own", "the node's"]


@pytest.mark.parametrize(
    ("pods", "spec", "says"),
    [
        ({"u": [PAUSE, APP], "hash": [APP]}, None, "not one pause process each: etcd"),
        ({"u": [PAUSE, PAUSE], "hash": [PAUSE]}, None, "not one pause process each: one-app"),
        (
            {"u": [PAUSE], "hash": [PAUSE]},
            {"containers": [{"name": "pause"}]},
            "mentioned in the spec or status of one-app",
        ),
    ],
)
def test_b1_otherwise(pods, spec, says):
    pod = SimpleNamespace(raw=raw("one-app", "u", spec))
    assert says in prove("B1", lab_with(Node(pods), [ETCD]), pod)


def pod_with_inodes(**kinds):
    frame = pandas.DataFrame(kinds, index=pandas.Index(["pause", "app"], name="container"))
    return SimpleNamespace(namespaces=lambda: frame)


def test_b2_the_app_is_in_the_namespaces_of_pause():
    pod = pod_with_inodes(net=[1, 1], ipc=[2, 2], uts=[3, 3], pid=[4, 5], mnt=[6, 7], user=[8, 8])
    assert prove("B2", None, pod) == (
        "app has net, ipc and uts in common with pause, and its own pid and mnt"
    )


def test_b2_otherwise():
    pod = pod_with_inodes(net=[1, 9], ipc=[2, 2], uts=[3, 3], pid=[4, 5], mnt=[6, 7])
    assert prove("B2", None, pod) == (
        "app has ipc and uts in common with pause, and its own net, pid and mnt"
    )


def family(app):
    pod = SimpleNamespace(
        uid="u", pause=SimpleNamespace(process=PAUSE), tree=lambda: "containerd-shim"
    )
    return lab_with(Node({"u": [PAUSE, app]})), pod


def test_b6_pause_has_no_children():
    assert prove("B6", *family(APP)) == (
        "pause has no children; pause and sleep are children of containerd-shim"
    )


def test_b6_otherwise():
    assert prove("B6", *family(Process(20, "sleep", 10, "pause"))) == (
        "pause is the parent of sleep; pause is a child of containerd-shim"
    )


# --- B3, B4, B8 -----------------------------------------------------------------------------------


class Answered:
    """Pings that were answered, or not: (from, to, words), in seconds."""

    ended = 10.0

    def __init__(self, *spans):
        self._spans = list(spans)

    def spans(self, began):
        return self._spans


ALL_ANSWERED = Answered((0.0, 10.0, "answers"))


class Life:
    """A recording with given intervals: (lane, kind, state, value, start, end); an end of None is
    still so."""

    began_seconds = 0.0

    def __init__(self, *rows, versions=()):
        frame = pandas.DataFrame(
            [
                dict(zip(("lane", "kind", "state", "value", "start", "end"), row, strict=True))
                for row in rows
            ]
        )
        frame["ongoing"] = frame["end"].isna()
        frame["end"] = frame["end"].fillna(10.0)
        ended = frame["state"] == "terminated"
        frame["signal"] = [9 if each else None for each in ended]
        frame["exit_code"] = [137 if each else None for each in ended]
        self.intervals = frame.reindex(columns=list(charts.COLUMNS)).astype(object)
        self.versions, self.drawn = versions, {}

    @property
    def facts(self):
        return charts.facts(self.intervals)

    def when(self, states):
        return charts.when(self.intervals, states)

    def chart(self, title, lanes, **more):
        self.drawn = {"lanes": lanes, **more}
        return title


def restarted(name, ended, again):
    return [
        (name, "container", "running", f"{name} 1", -5.0, ended),
        (name, "container", "terminated", None, ended, again),
        (name, "container", "running", f"{name} 2", again, None),
    ]


def stays(lane, value="a", kind=None):
    return [(lane, kind or lane, "set" if lane == "address" else "running", value, 0.0, None)]


APP_KILLED = [
    ("app", "container", "running", "app 1", -5.0, 1.0),
    ("app", "container", "terminated", None, 1.0, 1.5),
    ("app", "container", "running", "app 2", 1.5, 3.0),
    ("app", "container", "terminated", None, 3.0, None),
    *stays("pause"),
    *stays("network"),
]


def test_b3_all_but_the_app_stays():
    life = Life(*APP_KILLED, *stays("address"))
    assert prove("B3", None, life, ALL_ANSWERED) == (
        "app was killed by signal 9 twice and restarted once; "
        "pause, the network namespace and the IP address stayed the same; "
        "the address answered while no app was running"
    )
    names = [getattr(lane, "name", lane) for lane in life.drawn["lanes"]]
    assert names == ["app", "pause", "network", "ping to the address", "address"]


MOVED = [
    ("address", "address", "set", "a", 0.0, 2.0),
    ("address", "address", "set", "b", 2.0, None),
]


def test_b3_otherwise():
    silent = Answered((0.0, 3.5, "answers"), (3.5, 10.0, "no answer"))
    assert prove("B3", None, Life(*APP_KILLED, *MOVED), silent) == (
        "app was killed by signal 9 twice and restarted once; "
        "pause and the network namespace stayed the same; the IP address changed; "
        "the address didn't answer while no app was running"
    )


def test_b3_needs_a_moment_without_the_app():
    life = Life(*restarted("app", 1.0, 1.5), *stays("pause"), *stays("network"), *stays("address"))
    with pytest.raises(LabError, match="running again"):
        prove("B3", None, life, ALL_ANSWERED)


@pytest.mark.parametrize(
    ("address", "silent_until", "choice"),
    [
        (stays("address"), 2.9, "gets answers"),
        (stays("address"), 3.5, "gets none: no process is there to answer"),
        (MOVED, 3.5, "gets none: the address is gone until the restart"),
    ],
)
def test_what_pings_get(address, silent_until, choice):
    pings = Answered((0.0, 1.0, "answers"), (1.0, silent_until, "no answer"))
    life = Life(*APP_KILLED, *address)
    assert PROOFS.module.what_pings_get(None, life, pings) == choice


def replaced(lane, ended, again):
    return [(lane, lane, "running", "a", -5.0, ended), (lane, lane, "running", "b", again, None)]


def version(address="old", ready="True", sandbox="True"):
    return SimpleNamespace(
        address=address,
        conditions={"PodReadyToStartContainers": sandbox, "Ready": ready},
        obj={"spec": {"terminationGracePeriodSeconds": 3}},
    )


PAUSE_KILLED = [
    *replaced("pause", 0.1, 4.6),
    *restarted("app", 4.3, 4.9),
    *restarted("proxy", 4.4, 5.0),
    *replaced("network", 4.4, 4.5),
]
BROKEN = [version(), version(sandbox="False"), version(address="new")]
ADDRESSES = [
    ("address", "address", "set", "old", 0.0, 5.2),
    ("address", "address", "set", "new", 5.2, None),
]
KILLING = [("events", "event", "Killing", "Stopping container app", 1.3, 1.3)]
UNANSWERED = Answered((0.0, 4.2, "answers"), (4.2, 10.0, "no answer"))


def condition(lane, *states):
    """A condition in these states: (state, start, end)."""
    return [(lane, "condition", state, state, start, end) for state, start, end in states]


def ready(*states):
    return condition("Ready", *states)


def sandbox(*states):
    return condition("PodReadyToStartContainers", *states)


NO_SANDBOX = sandbox(("True", 0.0, 1.2), ("False", 1.2, 4.8), ("True", 4.8, None))
ALWAYS_READY = ready(("True", 0.0, None))


def test_b4_all_is_replaced():
    rows = [*PAUSE_KILLED, *ADDRESSES, *NO_SANDBOX, *ALWAYS_READY, *KILLING]
    life = Life(*rows, versions=BROKEN)
    assert prove("B4", None, life, UNANSWERED) == (
        "pause was replaced; the network namespace was replaced; "
        "app was killed by signal 9 and restarted once; "
        "proxy was killed by signal 9 and restarted once"
    )
    assert life.drawn["notes"] == [
        (4.4, 5.2, "Ready, but no answer"),
        (1.3, 1.3, "the kubelet notices: SIGTERM"),
    ]
    assert life.drawn["predicted"] == [(4.3, "SIGTERM + 3 s of grace")]


def test_b4_otherwise():
    rows = [*replaced("pause", 0.1, 0.5), *stays("app", kind="container"), *stays("network")]
    life = Life(*rows, *stays("address"), *ALWAYS_READY, versions=BROKEN)
    assert prove("B4", None, life, ALL_ANSWERED) == (
        "pause was replaced; the network namespace stayed the same; app is still the same process"
    )
    assert life.drawn["notes"] == life.drawn["predicted"] == []


def test_b8_a_ready_pod_gives_no_answer():
    rows = [*PAUSE_KILLED, *ADDRESSES, *NO_SANDBOX, *ALWAYS_READY]
    shown = PROOFS.of("B8")(None, Life(*rows, versions=BROKEN), UNANSWERED)
    assert shown.sentence == (
        "only PodReadyToStartContainers turned False, and the status kept the old address; "
        "Ready was True beside it for more than two seconds; "
        "while Ready was True, the address in the status stopped answering"
    )
    assert list(shown.what["for, s"]) == [3.6, 0.8]


@pytest.mark.parametrize(
    ("rows", "versions", "pings", "says"),
    [
        (
            [*ADDRESSES, *NO_SANDBOX, *ALWAYS_READY],
            BROKEN,
            ALL_ANSWERED,
            "the address in the status never stopped answering",
        ),
        (
            # It gave no answer only after the status had another one.
            [*ADDRESSES, *NO_SANDBOX, *ALWAYS_READY],
            BROKEN,
            Answered((0.0, 5.3, "answers"), (5.3, 10.0, "no answer")),
            "the address in the status never stopped answering",
        ),
        (
            [*ADDRESSES, *NO_SANDBOX, *ready(("True", 0.0, 1.5), ("False", 1.5, None))],
            BROKEN,
            UNANSWERED,
            "Ready was True beside it for no more than two seconds; "
            "while Ready was True, the address in the status never stopped answering",
        ),
        (
            [*ADDRESSES, *sandbox(("True", 0.0, None)), *ALWAYS_READY],
            [version()],
            UNANSWERED,
            "PodReadyToStartContainers never turned False",
        ),
        (
            [*ADDRESSES, *NO_SANDBOX, *ALWAYS_READY],
            [version(), version(sandbox="False", ready="False", address="new")],
            UNANSWERED,
            "PodReadyToStartContainers and Ready turned False, and the status showed another"
            " address",
        ),
    ],
)
def test_b8_otherwise(rows, versions, pings, says):
    assert says in prove("B8", None, Life(*PAUSE_KILLED, *rows, versions=versions), pings)


@pytest.mark.parametrize(
    ("states", "choice"),
    [
        ([("True", 0.0, None)], "True, all the time"),
        ([("True", 0.0, 1.0), ("False", 1.0, None)], "False, as soon as pause is gone"),
        ([("True", 0.0, 4.5), ("False", 4.5, None)], "False, once the containers end"),
        ([("True", 0.0, 4.5), ("Unknown", 4.5, None)], "Unknown"),
    ],
)
def test_what_ready_says(states, choice):
    life = Life(*PAUSE_KILLED, *ready(*states))
    assert PROOFS.module.what_ready_says(None, life) == choice


@pytest.mark.parametrize(
    ("rows", "choice"),
    [
        (PAUSE_KILLED, "they run on for seconds, then are restarted"),
        (
            [*replaced("pause", 0.1, 4.6), *restarted("app", 0.2, 4.9)],
            "they die at once, with pause",
        ),
        (
            [*replaced("pause", 0.1, 4.6), *stays("app", kind="container")],
            "nothing, they keep running",
        ),
    ],
)
def test_what_happens_to_the_containers(rows, choice):
    assert PROOFS.module.what_happens_to_the_containers(None, Life(*rows)) == choice


class Lines:
    """What ping prints, by and by; ``close`` ends it."""

    stderr = ""

    def __init__(self, lines, goes_on):
        self._lines, self._goes_on, self._closed = lines, goes_on, threading.Event()

    def __iter__(self):
        yield from self._lines
        if self._goes_on:
            self._closed.wait(10)

    def close(self):
        self._closed.set()


def pinging(*lines, goes_on=True):
    connection = SimpleNamespace(exec_lines=lambda *_: Lines(lines, goes_on))
    return PROOFS.module.Pings(connection, "client", "10.0.0.9")


ANSWER = "64 bytes from 10.0.0.9: seq={} ttl=63 time=0.461 ms"


def test_pings_are_answered_until_they_are_not(monkeypatch):
    monkeypatch.setattr(PROOFS.module, "LAST_ANSWER_SECONDS", 0.2)
    with pinging("PING 10.0.0.9: 56 data bytes", ANSWER.format(0), ANSWER.format(1)) as pings:
        began = pings.answers[0][1]
        pings.go_on(seconds=0.3)
    assert [number for number, _ in pings.answers] == [0, 1]
    assert [words for *_, words in pings.spans(began)] == ["answers", "no answer"]


def test_a_ping_that_ends_is_no_missing_answer(monkeypatch):
    monkeypatch.setattr(PROOFS.module, "LAST_ANSWER_SECONDS", 0.2)
    with pytest.raises(LabError, match="ping ended"), pinging(ANSWER.format(0), goes_on=False):
        pass


def test_pings_begin_with_an_answer(monkeypatch):
    monkeypatch.setattr(PROOFS.module, "FIRST_ANSWER_SECONDS", 0.1)
    with pytest.raises(LabError, match="no answer"), pinging("PING 10.0.0.9: 56 data bytes"):
        pass


# --- B5, B7 ---------------------------------------------------------------------------------------


def stat(state, ticks=500):
    """A line of /proc/PID/stat: utime and stime are fields 14 and 15, the start is field 22."""
    return f"7 (sl) eep) {state} 1 " + "0 " * 9 + "3 2 " + "0 " * 5 + f"0 {ticks} 0"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(PROOFS.module, "REAPED_SECONDS", 0.0)


ORPHAN = Process(7, "sleep", 20, "sleep")
ADOPTED = Process(8, "sleep", 10, "pause")
CHILD = Process(9, "sleep", 30, "sleep")
PARENTS = {
    "/proc/20/cmdline": "sleep\0003600\0",
    "/proc/10/cmdline": "/pause\0-P\0",
    "/proc/30/cmdline": "sleep\0002000\0",
}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {7: stat("Z"), 9: stat("Z")},
            "by default sleep adopts the orphan, and a zombie stays when it ends; "
            "with shareProcessNamespace pause adopts it, and nothing is left; "
            "a child whose parent lives stays a zombie",
        ),
        (
            {7: stat("Z", ticks=9999), 8: stat("Z"), 9: stat("S")},
            "by default sleep adopts the orphan, and nothing is left when it ends; "
            "with shareProcessNamespace pause adopts it, and a zombie stays; "
            "a child whose parent lives stays alive",
        ),
    ],
)
def test_b5(files, says):
    node = Node(files=PARENTS | {f"/proc/{pid}/stat": text for pid, text in files.items()})
    shown = PROOFS.of("B5")(lab_with(node), ORPHAN, ADOPTED, CHILD)
    assert shown.sentence == says
    assert list(shown.what["parent"]) == ["sleep 3600", "pause", "sleep 2000"]


def test_b5_names_who_adopted():
    node = Node(files=PARENTS | {"/proc/7/stat": stat("Z")})
    assert "by default pause adopts" in prove("B5", lab_with(node), ADOPTED, ADOPTED, CHILD)


def test_b5_another_failure_of_the_node_is_not_taken_for_gone():
    def read(path):
        if path in PARENTS:
            return PARENTS[path]
        raise LabError("The cluster gave no answer.", "timed out", "")

    lab = SimpleNamespace(node=SimpleNamespace(read=read))
    with pytest.raises(LabError, match="no answer"):
        prove("B5", lab, ORPHAN, ADOPTED, CHILD)


COREDNS = raw("coredns-1", "dns")
DNS = SimpleNamespace(list=lambda kind, label_selector: {"items": [COREDNS]})


@pytest.mark.parametrize(
    ("memory_bytes", "cpu_seconds", "shim_kilobytes", "says"),
    [
        (
            230e3,
            0.03,
            12_000,
            "less than 5 MB of memory and less than 0.2 s of CPU time; containerd-shim has"
            " more than",
        ),
        (
            9e6,
            0.9,
            1_000,
            "no less than 5 MB of memory and no less than 0.2 s of CPU time; containerd-shim"
            " has not more than",
        ),
    ],
)
def test_b7(memory_bytes, cpu_seconds, shim_kilobytes, says):
    files = {
        "/proc/10/status": "Name:\tpause\nVmRSS:\t     684 kB",
        "/proc/5/status": f"VmRSS:\t {shim_kilobytes} kB",
        "/proc/5/stat": stat("S"),
    }
    files["/proc/uptime"] = "605.0 900.0"
    node = Node({"dns": [PAUSE]}, files, memory_bytes=memory_bytes, cpu_seconds=cpu_seconds)
    lab = SimpleNamespace(node=node, connection=SimpleNamespace(within=lambda name: DNS))
    shown = PROOFS.of("B7")(lab)
    assert says in shown.sentence
    assert list(shown.what["CPU time so far, ms"]) == [round(1000 * cpu_seconds), 50]
    assert list(shown.what["running for, min"]) == [10, 10]
