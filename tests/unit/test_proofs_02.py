"""The proofs of lab 02: each says one sentence where its claim is true, another where it isn't."""

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


# --- B3, B4 ---------------------------------------------------------------------------------------


class Life:
    """A recording with given intervals: (lane, kind, state, value, start, end); an end of None is
    still so."""

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


APP_KILLED = [*restarted("app", 1.0, 1.5), *stays("pause"), *stays("network")]


def test_b3_all_but_the_app_stays():
    life = Life(*APP_KILLED, *stays("address"))
    assert prove("B3", None, life) == (
        "app was killed by signal 9 and restarted once; "
        "pause, the network namespace and the IP address stayed the same"
    )
    assert life.drawn["lanes"] == ["app", "pause", "network", "address"]


def test_b3_otherwise():
    moved = [
        ("address", "address", "set", "a", 0.0, 2.0),
        ("address", "address", "set", "b", 2.0, None),
    ]
    assert prove("B3", None, Life(*APP_KILLED, *moved)) == (
        "app was killed by signal 9 and restarted once; "
        "pause and the network namespace stayed the same; the IP address changed"
    )


def replaced(lane, ended, again):
    return [(lane, lane, "running", "a", -5.0, ended), (lane, lane, "running", "b", again, None)]


def version(address="old", ready="True", sandbox="True"):
    return SimpleNamespace(
        address=address, conditions={"PodReadyToStartContainers": sandbox, "Ready": ready}
    )


PAUSE_KILLED = [
    *replaced("pause", 0.1, 4.6),
    *restarted("app", 4.3, 4.9),
    *restarted("proxy", 4.4, 5.0),
    *replaced("network", 4.4, 4.5),
]
BROKEN = [version(), version(sandbox="False"), version(address="new")]


def ready(*states):
    """Ready in these states: (state, start, end)."""
    return [("Ready", "condition", state, state, start, end) for state, start, end in states]


def test_b4_all_is_replaced_and_ready_stays_true():
    life = Life(*PAUSE_KILLED, *ready(("True", 0.0, None)), versions=BROKEN)
    assert prove("B4", None, life) == (
        "pause was replaced; the network namespace was replaced; "
        "app was killed by signal 9 and restarted once; "
        "proxy was killed by signal 9 and restarted once; "
        "while nothing was running, Ready was True; "
        "only PodReadyToStartContainers turned False, and the status kept the old address"
    )
    ((begin, end, words),) = life.drawn["notes"]
    assert (begin, end, words) == (4.4, 4.6, "Ready, but nothing is running")


@pytest.mark.parametrize(
    ("life", "says"),
    [
        (
            Life(
                *PAUSE_KILLED,
                *ready(("True", 0.0, 1.0), ("False", 1.0, None)),
                versions=BROKEN,
            ),
            "while nothing was running, Ready was False",
        ),
        (
            Life(*PAUSE_KILLED, *ready(("True", 0.0, None)), versions=[version()]),
            "PodReadyToStartContainers never turned False",
        ),
        (
            Life(
                *PAUSE_KILLED,
                *ready(("True", 0.0, None)),
                versions=[version(), version(sandbox="False", ready="False", address="new")],
            ),
            "PodReadyToStartContainers and Ready turned False, and the status showed another"
            " address",
        ),
        (
            Life(
                *replaced("pause", 0.1, 0.5),
                *stays("app", kind="container"),
                *stays("network"),
                *ready(("True", 0.0, None)),
                versions=BROKEN,
            ),
            "the network namespace stayed the same; app is still the same process; "
            "while nothing was running, Ready was there was no such moment",
        ),
    ],
)
def test_b4_otherwise(life, says):
    assert says in prove("B4", None, life)


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


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {7: stat("Z"), 9: stat("Z")},
            "by default sleep adopts the orphan, and a zombie stays when it ends; "
            "with shareProcessNamespace pause adopts it, and nothing is left; "
            "of a child whose parent lives, a zombie stays",
        ),
        (
            {7: stat("Z", ticks=9999), 8: stat("Z"), 9: stat("S")},
            "by default sleep adopts the orphan, and nothing is left when it ends; "
            "with shareProcessNamespace pause adopts it, and a zombie stays; "
            "of a child whose parent lives, it stays alive",
        ),
    ],
)
def test_b5(files, says):
    node = Node(files={f"/proc/{pid}/stat": text for pid, text in files.items()})
    assert prove("B5", lab_with(node), ORPHAN, ADOPTED, CHILD) == says


def test_b5_names_who_adopted():
    node = Node(files={"/proc/7/stat": stat("Z")})
    assert "by default pause adopts" in prove("B5", lab_with(node), ADOPTED, ADOPTED, CHILD)


def test_b5_another_failure_of_the_node_is_not_taken_for_gone():
    def read(path):
        raise LabError("The cluster gave no answer.", "timed out", "")

    lab = SimpleNamespace(node=SimpleNamespace(read=read))
    with pytest.raises(LabError, match="no answer"):
        prove("B5", lab, ORPHAN, ADOPTED, CHILD)


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
    node = Node(files=files, memory_bytes=memory_bytes, cpu_seconds=cpu_seconds)
    pod = SimpleNamespace(pause=SimpleNamespace(process=PAUSE))
    shown = PROOFS.of("B7")(lab_with(node), pod)
    assert says in shown.sentence
    assert list(shown.what["CPU time so far, ms"]) == [round(1000 * cpu_seconds), 50]
