"""The proofs of lab 01: each says one sentence where its claim is true, another where it isn't."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pandas
import pytest

from labhelpers.charts.matrix import matrix
from labhelpers.proofs import Proofs

PROOFS = Proofs("01-what-a-pod-is")
KINDS = ("net", "ipc", "uts", "pid", "mnt", "user")
SHARED = {"net": [1, 1, 1], "ipc": [2, 2, 2], "uts": [3, 3, 3], "user": [9, 9, 9]}
INODES = {**SHARED, "pid": [4, 5, 6], "mnt": [7, 8, 9]}
NOT_THERE = (1, "", "No such file or directory")
HELLO = (0, "hello", "")


def prove(claim, lab, *measured):
    return PROOFS.of(claim)(lab, *measured).sentence


@dataclass
class Pod:
    """A Pod whose containers answer as the test says: (words of the container and the command) to
    (exit code, output, error). The first that fits answers; nothing that fits is a success."""

    answers: dict = field(default_factory=dict)
    inodes: dict = field(default_factory=lambda: dict(INODES))
    name: str = "together"
    address: str = "10.0.0.7"
    uid: str = "u"
    node_uid: int = 0

    def exec(self, container, command, timeout_seconds=0):
        words = f"{container}: {command if isinstance(command, str) else ' '.join(command)}"
        found = (answer for part, answer in self.answers.items() if part in words)
        code, out, err = next(found, (0, "", ""))
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    def namespaces(self):
        index = pandas.Index(["pause", "web", "writer"], name="container")
        return pandas.DataFrame(self.inodes, index=index)

    def container(self, name):
        return SimpleNamespace(process=SimpleNamespace(pid=70, uid=self.node_uid))


def said(**changes):
    return {**INODES, **changes}


# --- A2: network ----------------------------------------------------------------------------------

ADDRESS = (0, "2: eth0 inet 10.0.0.7/24 brd 10.0.0.255", "")
NETWORK = {
    "ip -o": ADDRESS,
    "wget": HELLO,
    "writer: httpd": (1, "", "httpd: bind: Address already in use"),
}


def test_a2_they_have_one_network():
    assert prove("A2", None, Pod(NETWORK)) == (
        "web and writer are in one network namespace; both have the Pod's IP address; localhost "
        "reaches the other container; a second server on port 8080 fails: Address already in use"
    )


@pytest.mark.parametrize(
    ("pod", "says"),
    [
        (Pod(NETWORK, said(net=[1, 1, 2])), "in two network namespaces"),
        (Pod(NETWORK, address="10.0.0.8"), "their addresses differ"),
        (Pod({**NETWORK, "wget": NOT_THERE}), "localhost does not reach"),
        (Pod({**NETWORK, "writer: httpd": HELLO}), "on port 8080 listens, too"),
    ],
)
def test_a2_otherwise(pod, says):
    assert says in prove("A2", None, pod)


# --- A3, A4, A5: messages, host name, volumes -----------------------------------------------------


class FromTheNode:
    """The node: what a process of it sees once it has entered one namespace of web."""

    def __init__(self, ipc="/dev/shm:\n/tmp:\norders", mounts="/dev/shm:\nscratch\n/tmp:"):
        self._ipc, self._mounts = ipc, mounts
        self.node = self

    def run(self, script):
        if " -i " in script:
            return self._ipc
        return self._mounts if " -t 70 -m " in script else "/dev/shm:\n/tmp:\n"


def test_a3_the_queue_follows_the_namespace_and_the_file_its_mount():
    assert prove("A3", FromTheNode(), Pod()) == (
        "web and writer are in one IPC namespace, and writer sees the queue and the file of web; a "
        "process of the node sees the queue in a new mount once it enters the IPC namespace of "
        "web, and the file once it enters the mount namespace of web"
    )
    shown = PROOFS.of("A3")(FromTheNode(), Pod()).what
    assert list(shown["orders, in a new mount of mqueue"]) == ["not there", "seen", "not there"]
    assert list(shown["/dev/shm/scratch"]) == ["not there", "not there", "seen"]


@pytest.mark.parametrize(
    ("lab", "pod", "says"),
    [
        (FromTheNode(), Pod(inodes=said(ipc=[1, 1, 2])), "are in two IPC namespaces"),
        (FromTheNode(), Pod({"ls /dev/mqueue": NOT_THERE}), "does not see the queue and the file"),
        (FromTheNode(ipc="orders scratch"), Pod(), "the file once it enters the IPC namespace of"),
        (FromTheNode(mounts="orders"), Pod(), "and the file nowhere"),
    ],
)
def test_a3_otherwise(lab, pod, says):
    assert says in prove("A3", lab, pod)


class Names:
    """Host names: one for the Pod, or one for each container."""

    def __init__(self, shared):
        self.name, self._shared, self._names = "together", shared, {}

    def run(self, script):
        new = script.rpartition("hostname ")[2]
        self._names.update(dict.fromkeys(("web", "writer") if self._shared else ("web",), new))

    def exec(self, container, command):
        return SimpleNamespace(stdout=self._names.get(container, self.name) + "\n")

    def container(self, name):
        return SimpleNamespace(process=SimpleNamespace(pid=70))


@pytest.mark.parametrize(
    ("shared", "says"),
    [(True, "web is renamed to boat, and writer says boat, too"), (False, "writer says together")],
)
def test_a4_a_renamed_container_renames_the_other(shared, says):
    pod = Names(shared)
    assert says in prove("A4", SimpleNamespace(node=pod), pod)
    assert pod.exec("web", "hostname").stdout == "together\n", "renamed back"


@pytest.mark.parametrize(
    ("web", "says"),
    [
        ({}, "the same text in /www/index.html: one file with two paths"),
        ({"web: cat": NOT_THERE}, "something else in /www/index.html"),
        ({"web: stat": (0, "1:6", "")}, "the same text in /www/index.html: they are two files"),
    ],
)
def test_a5_what_one_writes_the_other_reads(web, says):
    pod = Pod({**web, "stat": (0, "1:5", ""), "cat": HELLO})
    assert says in prove("A5", None, pod)


# --- A6, A7: files and processes ------------------------------------------------------------------


def test_a7_files_are_separate():
    assert prove("A7", None, Pod({"writer: cat": NOT_THERE})) == (
        "web and writer have their own mount namespaces, and the note that web has in /tmp/note "
        "does not exist in writer"
    )


def test_a7_otherwise():
    assert prove("A7", None, Pod(inodes=said(mnt=[1, 1, 1]))) == (
        "web and writer have one mount namespace, and the note that web has in /tmp/note is there "
        "in writer"
    )


OWN = Pod({"ps": (0, "COMMAND\nsleep\nps\n", "")})
ALL = Pod({"ps": (0, "COMMAND\npause\nhttpd\nsleep\nps\n", "")}, said(pid=[4, 4, 4]))


def test_a6_one_line_makes_the_process_namespaces_one():
    assert prove("A6", None, OWN, ALL) == (
        "by default web and writer have their own PID namespaces, and writer does not see the "
        "process of web; with shareProcessNamespace web and writer have one PID namespace, and "
        "writer sees the process of web"
    )
    shown = PROOFS.of("A6")(None, OWN, ALL)
    assert list(shown.what["writer sees"]) == ["sleep", "pause, httpd, sleep"]


def test_a6_otherwise():
    words = prove("A6", None, ALL, OWN)
    assert words.startswith("by default web and writer have one PID namespace, and writer sees")
    assert words.endswith("their own PID namespaces, and writer does not see the process of web")


@pytest.mark.parametrize(
    ("answers", "choice"),
    [
        ({"writer: cat /tmp": NOT_THERE, "writer: cat /proc": HELLO}, "yes, at a path below /proc"),
        ({"writer: cat": NOT_THERE}, "no: each still has its own mounts"),
        ({}, "yes, at /tmp/note: there's one /tmp now"),
    ],
)
def test_whether_the_note_can_be_read_is_a_choice(answers, choice):
    assert PROOFS.module.can_read_the_note(None, Pod(answers)) == choice


# --- A8: users ------------------------------------------------------------------------------------


class Node:
    """Only root reads /etc/shadow."""

    def run(self, script):
        if script.startswith("stat"):
            return "0\n"
        return "yes\n" if "--reuid=0 " in script else "no\n"


LAB = SimpleNamespace(node=Node())
AS_NODE = {"id -u": (0, "0\n", ""), "uid_map": (0, "0 0 4294967295\n", "")}
OUTSIDE = {"id -u": (0, "0\n", ""), "uid_map": (0, "0 131072 65536\n", "")}


def test_a8_root_is_root_on_the_node_unless_the_pod_has_its_own_users():
    own = Pod(OUTSIDE, name="own-users", node_uid=131072)
    assert prove("A8", LAB, Pod(AS_NODE), own) == (
        "root in together is root on the node, and can read the node's /etc/shadow; root in "
        "own-users is a uid above 65535 on the node, one of 65536, and cannot read the node's "
        "/etc/shadow"
    )
    shown = PROOFS.of("A8")(LAB, Pod(AS_NODE), own)
    assert "131,072" in set(shown.what["own-users"]), "with thousands separators"
    assert "0 - 0 + 131,072 = 131,072" in set(shown.what["own-users"])


@pytest.mark.parametrize(
    ("pod", "says"),
    [
        (Pod(AS_NODE, name="own-users"), "root in own-users is root on the node"),
        (Pod(OUTSIDE, name="own-users", node_uid=5), "in own-users the uids don't fit the map"),
        (
            Pod({**OUTSIDE, "uid_map": (0, "0 1000 10\n", "")}, name="own-users", node_uid=1000),
            "a uid below 65535 on the node, one of 10",
        ),
    ],
)
def test_a8_otherwise(pod, says):
    assert says in prove("A8", LAB, Pod(AS_NODE), pod)


@pytest.mark.parametrize(("uid", "choice"), [(0, "root"), (131072, "an unprivileged user")])
def test_the_user_on_the_node_is_a_choice(uid, choice):
    assert PROOFS.module.user_on_the_node(None, Pod(node_uid=uid)) == choice


# --- A9: two Pods ---------------------------------------------------------------------------------

TAKEN = {"writer: httpd": (1, "", "Address already in use")}
APART_WRITER = Pod({"localhost": NOT_THERE})
APART_WEB = Pod({"web: ls": NOT_THERE})


def test_a9_two_pods_lose_what_was_shared():
    assert prove("A9", None, Pod(TAKEN), APART_WEB, APART_WRITER) == (
        "in two Pods writer can no longer reach web on localhost, hand web a file in /dev/shm and "
        "hand web a file in the volume pages; it can still reach web at its Pod IP; it can now "
        "start a server of its own on port 8080"
    )


@pytest.mark.parametrize(
    ("web", "writer", "says"),
    [
        (Pod(), Pod(), "can no longer do one of these things"),
        (APART_WEB, Pod(), "it can still reach web on localhost and reach web at its Pod IP"),
        (APART_WEB, Pod({"wget": NOT_THERE}), "and reach web at its Pod IP; it can still do none"),
    ],
)
def test_a9_otherwise(web, writer, says):
    assert says in prove("A9", None, Pod(TAKEN), web, writer)


@pytest.mark.parametrize(
    ("web", "writer", "choice"),
    [
        (APART_WEB, APART_WRITER, "only at its Pod IP"),
        (APART_WEB, Pod(), "at its Pod IP, and on localhost"),
        (Pod({"web: ls /dev/shm": NOT_THERE}), APART_WRITER, "at its Pod IP, and by the volume"),
        (APART_WEB, Pod({"wget": NOT_THERE}), "not at all"),
    ],
)
def test_how_web_is_reached_is_a_choice(web, writer, choice):
    shown = PROOFS.of("A9")(None, Pod(TAKEN), web, writer)
    assert PROOFS.module.how_web_is_reached(None, shown) == choice


# --- A1: scheduling -------------------------------------------------------------------------------


class Cluster:
    """A lab with given events and processes for each Pod's uid."""

    def __init__(self, events, processes):
        self._events, self._processes = events, processes
        self.connection = self.node = self

    def list(self, kind, field_selector):
        uid = field_selector.rpartition("=")[2]
        return {"items": self._events.get(uid, [])}

    def processes(self, uid):
        commands = self._processes.get(uid, [])
        return [SimpleNamespace(command=each) for each in commands]


def scheduled(name, containers, node="node"):
    spec = {"containers": [{}] * containers, **({"nodeName": node} if node else {})}
    now = SimpleNamespace(uid=name, raw={"spec": spec})
    return SimpleNamespace(name=name, now=lambda: now)


PODS = (scheduled("with-big", 2, ""), scheduled("small", 1), scheduled("together", 2))
RUNNING = {"small": ["pause", "sleep"], "together": ["pause", "httpd", "sleep"]}
ONCE = {"small": [{}], "together": [{"count": 1}]}


def test_a1_a_pod_is_placed_as_a_whole_and_once():
    assert prove("A1", Cluster(ONCE, RUNNING), *PODS) == (
        "small runs alone, but not beside big; with-big is on no node, and none of its containers "
        "has a process; together has 2 containers and was scheduled once"
    )


@pytest.mark.parametrize(
    ("events", "processes", "says"),
    [
        (ONCE, {**RUNNING, "with-big": ["pause", "sleep"]}, "runs although big fits nowhere"),
        (ONCE, {"together": ["httpd"]}, "runs neither alone nor beside big"),
        ({**ONCE, "together": [{}, {}]}, RUNNING, "was scheduled twice"),
        ({**ONCE, "together": [{"series": {"count": 3}}]}, RUNNING, "was scheduled 3 times"),
    ],
)
def test_a1_otherwise(events, processes, says):
    assert says in prove("A1", Cluster(events, processes), *PODS)


@pytest.mark.parametrize(
    ("state", "choice"), [("running", "runs, and big waits"), ("waiting", "waits, as big does")]
)
def test_what_small_does_is_a_choice(state, choice):
    pod = SimpleNamespace(container=lambda name: SimpleNamespace(state=state))
    assert PROOFS.module.what_small_does(None, pod) == choice


# --- The matrix -----------------------------------------------------------------------------------


def test_the_kinds_that_all_share_are_a_choice():
    chart = matrix(pandas.DataFrame(INODES, index=["a", "b", "c"])[list(KINDS)], "?")
    assert PROOFS.module.shared_kinds(None, chart) == "net, ipc, uts, user"
    alone = matrix(pandas.DataFrame({"net": [1, 2]}, index=["a", "b"]), "?")
    assert PROOFS.module.shared_kinds(None, alone) == "none"
