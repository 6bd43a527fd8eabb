"""labhelpers.node.undo without a cluster: a node that counts pages and keeps a status, and may fail
at any step."""

import base64
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import timeit
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from labhelpers import paths
from labhelpers.cluster import doctor
from labhelpers.errors import LabError, Refused, TimedOut
from labhelpers.kube import leases
from labhelpers.node import edits, kubelet
from labhelpers.node.edits import Edits
from labhelpers.node.hugepages import put_back_pages
from labhelpers.node.record import RECORD, Change, left
from labhelpers.transcript import Transcript
from tests.unit.fake_connection import FakeConnection

HUGE = "hugepages-2Mi"
DEAD = {**leases.this_process(), "pid": 2**22 + 1}  # Above the highest pid that Linux gives.
DIRECTORY = "/var/lib/podlab-uploads"
ELSEWHERE = {**DEAD, "host": "elsewhere"}
IMAGE = "localhost:1/web:1"
# What containerd has of busybox.
CONTENT = {
    "sha256:list": {
        "manifests": [
            {"digest": "sha256:other", "platform": {"architecture": "arm64"}},
            {"digest": "sha256:manifest", "platform": {"architecture": "amd64"}},
        ]
    },
    "sha256:manifest": {"config": {"mediaType": "config", "digest": "sha256:config"}},
    "sha256:config": {"config": {"Env": ["PATH=/bin"]}},
}


SYSTEMS = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class Cut(BaseException):
    """The kernel dies here."""


class Machine(FakeConnection):
    """A node and the API's word on it. ``cut_at``: the step that is the last; ``after`` whether it
    is still done."""

    def __init__(self):
        super().__init__(namespace="lab-11")
        self.number, self.used, self.can_give, self.size_kb = 0, 0, 100, 2048
        self.counted = {"cpu": "2", HUGE: "0"}
        self.steps, self.cut_at, self.cut_after = [], None, False
        self.refuse_patch, self.kubelet, self.comes_back = False, 1, True
        self.directories, self.files, self.armed = {DIRECTORY}, set(), False
        self.silent = 0
        self.labels, self.taints, self.version = {"disktype": "hdd"}, [SYSTEMS], 1
        self.conflicts = 0
        self.images = set()

    def step(self, name, act):
        self.steps.append(name)
        here = self.cut_at is not None and len(self.steps) > self.cut_at
        if here and not self.cut_after:
            raise Cut(name)
        act()
        if here:
            raise Cut(name)

    def run(self, script, timeout_seconds=10):
        if found := re.fullmatch(r"rm -rf -- (\S+)", script):
            self.step("remove", lambda: self.directories.discard(found[1]))
            return ""
        if found := re.search(r"mv \S+ (/etc/kubernetes/manifests/\S+)", script):
            self.step("write", lambda: self.files.add(found[1]))
            return ""
        if found := re.fullmatch(r"rm -f -- (\S+)", script):
            self.step("remove file", lambda: self.files.discard(found[1]))
            return ""
        if script.startswith("ctr ") or "| ctr " in script:
            return self.ctr(script)
        if "podlab-kubelet-stop --on-active" in script:
            assert script.index("kubelet-start --on") < script.index("kubelet-stop --on")
            self.step("stop", lambda: setattr(self, "armed", True))
            self.silent = 2
            return ""
        if self.silent:
            self.silent -= 1
            raise LabError("No answer.", "the kubelet is stopped", "")
        if "systemctl start kubelet;" in script:
            self.step("start", lambda: setattr(self, "armed", False))
            return f"kubelet-{self.kubelet}\n"
        if found := re.search(r"echo (\d+) > /proc/sys/vm/nr_hugepages", script):
            self.step("number", lambda: setattr(self, "number", min(int(found[1]), self.can_give)))
        if "restart kubelet" in script:
            self.step(
                "restart",
                lambda: self.counted.update(
                    {HUGE: f"{max(self.number, self.used) * self.size_kb}Ki"}
                ),
            )
            self.kubelet += 1
            return f"kubelet-{self.kubelet - 1}\n1000\n"
        if "InvocationID" in script:
            return (
                f"kubelet-{self.kubelet}\n" if self.comes_back else f"kubelet-{self.kubelet - 1}\n"
            )
        total = max(self.number, self.used)
        page = f"Hugepagesize: {self.size_kb} kB\n" if self.size_kb else ""
        return (
            f"MemAvailable:  4096000 kB\nHugePages_Total:  {total}\nHugePages_Free: "
            f" {total - self.used}\nHugePages_Surp:  {total - self.number}\n{page}"
        )

    def ctr(self, script):
        if found := re.search(r"content get (\S+)", script):
            return json.dumps(CONTENT[found[1]])
        if found := re.search(r"images rm ([^&]+) &&", script):
            self.step("remove image", lambda: self.images.difference_update(found[1].split()))
        if found := re.search(r"echo (\S+) \| base64 -d \| gunzip .* import -", script):
            self.step("import", lambda: self.images.update(names_in(base64.b64decode(found[1]))))
        if script.endswith("list --quiet"):
            return "\n".join(self.images)
        return "REF TYPE DIGEST\ndocker.io/library/busybox:1.35.0 index sha256:list 2 MiB\n"

    def within(self, namespace):
        assert namespace == self.namespace
        return self

    def list(self, kind, namespace=None):
        if kind != "Node":
            return super().list(kind, namespace)
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}
        return {
            "items": [
                {
                    "metadata": {
                        "name": "the-node",
                        "labels": dict(self.labels),
                        "resourceVersion": str(self.version),
                    },
                    "spec": {"taints": list(self.taints)},
                    "status": {
                        "capacity": dict(self.counted),
                        "conditions": [ready],
                        "nodeInfo": {"architecture": "amd64"},
                    },
                }
            ]
        }

    def patch(self, kind, name, body, *, subresource):
        assert (kind, name) == ("Node", "the-node")
        if self.refuse_patch:
            raise Refused("No.", "it said so", "", reason="Invalid")
        if "spec" in body:
            if self.conflicts:
                self.conflicts, self.version = self.conflicts - 1, self.version + 1
                raise Refused("No.", "another version", "", reason="Conflict")
            assert body["metadata"]["resourceVersion"] == str(self.version)
            self.step("taints", lambda: setattr(self, "taints", body["spec"]["taints"]))
            return
        if "metadata" in body:
            self.step("labels", lambda: self.labels.update(body["metadata"]["labels"]))
            self.labels = {key: value for key, value in self.labels.items() if value is not None}
            return
        assert subresource == "status"
        self.step("patch", lambda: self.counted.update(body["status"]["capacity"]))
        self.counted = {name: value for name, value in self.counted.items() if value is not None}

    @property
    def state(self):
        return self.number, {
            name: value for name, value in self.counted.items() if value not in ("0", "0Ki")
        }


def names_in(archive):
    """The name of an image, and its id, as containerd keeps them."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        index = json.load(tar.extractfile("index.json"))["manifests"][0]
        manifest = json.load(tar.extractfile("blobs/" + index["digest"].replace(":", "/")))
    return {index["annotations"]["io.containerd.image.name"], manifest["config"]["digest"]}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path))
    monkeypatch.setenv("PODLAB_CLUSTER", "one")
    machine = Machine()
    for module in (kubelet, edits):
        monkeypatch.setattr(module, "wait_until", lambda *_, **__: come_back(machine, *_))
    return machine


def come_back(machine, connection, kind, name, goal):
    if kind == "Pod":
        return None
    body = machine.list("Node")["items"][0]
    assert goal(body), "a real wait would end at its limit"
    return body


def of(machine):
    return Edits(machine, machine)


def record():
    path = paths.state() / RECORD
    return json.loads(path.read_text()) if path.exists() else []


def keep(**change):
    """A record with one change in it."""
    path = paths.state() / RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    pages = Change(
        "huge pages", HUGE, "pages", f"{HUGE}: 0 pages again", 0, 4, DEAD, "lab-11", "uid", True
    )
    path.write_text(json.dumps([asdict(replace(pages, **change))]))


def dies():
    """The kernel that has made the changes is dead from now on."""
    path = paths.state() / RECORD
    path.write_text(json.dumps([{**change, "holder": DEAD} for change in record()]))


def test_both_are_offered_and_withdrawn(machine):
    lab = of(machine)
    assert lab.offer("nvidia.com/gpu", 1) == "nvidia.com/gpu"
    assert lab.offer_hugepages(4) == HUGE
    assert machine.state == (4, {"cpu": "2", "nvidia.com/gpu": "1", HUGE: "8192Ki"})
    assert [(each["name"], each["before"], each["holder"]) for each in record()] == [
        ("nvidia.com/gpu", None, leases.this_process()),
        (HUGE, 0, leases.this_process()),
    ]
    for _ in range(2):
        lab.withdraw("nvidia.com/gpu")
        lab.withdraw(HUGE)
        assert machine.state == (0, {"cpu": "2"})
    assert not (paths.state() / RECORD).exists()


def test_a_directory_is_reserved_empty_and_removed_at_the_end(machine):
    lab = of(machine)
    assert lab.directory(DIRECTORY) == DIRECTORY
    assert machine.directories == set(), "what an earlier lab left is removed"
    machine.directories = {DIRECTORY, "/var/lib/kubelet"}  # a Pod creates it again
    lab.put_back()
    assert (machine.directories, record()) == ({"/var/lib/kubelet"}, [])
    assert "patch" not in machine.steps, "it isn't on the node's status"


def test_a_directory_that_a_dead_kernel_has_left_is_removed(machine):
    of(machine).directory(DIRECTORY)
    machine.directories = {DIRECTORY}
    dies()
    [told] = of(machine).mend()
    assert told.endswith(f"Put back: {DIRECTORY}: removed.")
    assert machine.directories == set()


def test_a_directory_of_a_live_kernel_is_left_alone(machine):
    keep(kind="directory", name=DIRECTORY, holder=ELSEWHERE, before=None, after="")
    with pytest.raises(LabError, match="Another kernel has changed"):
        of(machine).directory(DIRECTORY)
    assert machine.directories == {DIRECTORY}


@pytest.mark.parametrize(
    "path", ["/", "/etc", "/var/lib/podlab-", "/var/lib/podlab-a/../kubelet", "/var/lib/podlab-a b"]
)
def test_no_other_directory_is_removed(machine, path):
    with pytest.raises(LabError, match="isn't a directory that a lab may have"):
        of(machine).directory(path)
    keep(kind="directory", name=path, before=None, after="")
    with pytest.raises(LabError, match="so it stays"):
        of(machine).mend()
    assert machine.steps == []


@pytest.mark.parametrize("name", ["busybox:1.35.0", "localhost:1/web", "localhost:1/busybox:1"])
def test_no_other_image_is_named(machine, name):
    with pytest.raises(LabError, match="isn't a name that a lab may give"):
        of(machine).image(name, "FROM busybox:1.35.0")
    assert (machine.steps, record()) == ([], [])


def test_an_image_is_made_from_one_that_is_there(machine):
    with pytest.raises(LabError, match="The image nginx:1 isn't on the node"):
        of(machine).image(IMAGE, "FROM nginx:1")
    assert (machine.steps, record()) == ([], [])


STATIC = {"kind": "Pod", "metadata": {"name": "static-web"}, "spec": {"containers": []}}
# What makes each kind of change, and the step by which it's made.
KINDS = {
    "label": (lambda lab: lab.label("disktype=ssd"), "labels"),
    "new label": (lambda lab: lab.label("topology.kubernetes.io/zone=a"), "labels"),
    "label of the node's loss": (
        lambda lab: lab.label("node.kubernetes.io/exclude-disruption=true"),
        "labels",
    ),
    "taint": (lambda lab: lab.taint("maintenance=true:NoExecute"), "taints"),
    "static Pod": (lambda lab: lab.static_pod(STATIC), "write"),
    "kubelet": (lambda lab: lab.stop_kubelet(30), "stop"),
    "capacity": (lambda lab: lab.offer("nvidia.com/gpu", 1), "patch"),
    "directory": (lambda lab: lab.directory(DIRECTORY), "remove"),
    "image": (lambda lab: lab.image(IMAGE, 'FROM busybox:1.35.0\nCMD ["ls"]'), "import"),
}


def all_of(machine):
    labels, taints, files = dict(machine.labels), list(machine.taints), set(machine.files)
    return labels, taints, files, set(machine.images), machine.armed, machine.state


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_changed_and_put_back(machine, kind):
    change, step = KINDS[kind]
    before, lab = all_of(machine), of(machine)
    name = change(lab)
    assert machine.steps == [step]
    [kept] = record()
    assert kept["holder"] == leases.this_process()
    if kind != "directory":
        assert all_of(machine) != before
    lab.withdraw(kept["name"])
    assert (all_of(machine), record()) == (before, [])
    assert name.startswith(kept["name"])


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_in_the_middle_of_each_kind_the_node_is_put_back(machine, kind, after):
    change, step = KINDS[kind]
    before = all_of(machine)
    machine.cut_at, machine.cut_after = 0, after
    with pytest.raises(Cut, match=step):
        change(of(machine))
    assert len(record()) == 1, "written down before it's made"
    machine.cut_at = None
    dies()
    [told] = of(machine).mend()
    assert told.startswith("A kernel that has ended had left the node changed. Put back: ")
    assert (all_of(machine), record()) == (before, [])


def test_before_the_pods_end_only_that_is_put_back_which_would_keep_them(machine):
    lab = of(machine)
    for change, _ in KINDS.values():
        change(lab)
    lab.put_back(first=True)
    assert {each["kind"] for each in record()} == {"label", "capacity", "directory", "image"}
    assert (machine.taints, machine.files, machine.armed) == ([SYSTEMS], set(), False)


def test_whoever_changed_it_meanwhile_keeps_what_they_wrote(machine):
    lab = of(machine)
    lab.label("disktype=ssd")
    lab.taint("maintenance=true:NoSchedule")
    machine.labels["disktype"] = "nvme"
    machine.taints = [{"key": "maintenance", "value": "tonight", "effect": "NoSchedule"}]
    lab.put_back()
    assert machine.labels == {"disktype": "nvme"}
    assert [each["value"] for each in machine.taints] == ["tonight"]


def test_a_taint_is_set_although_others_change_the_node(machine):
    machine.conflicts = 3
    of(machine).taint("maintenance=:NoSchedule")
    assert [each["key"] for each in machine.taints] == [SYSTEMS["key"], "maintenance"]
    machine.conflicts = 9
    with pytest.raises(LabError, match="couldn't be changed"):
        of(machine).taint("maintenance=now:NoSchedule")


def test_a_label_changed_twice_goes_back_to_the_first(machine):
    lab = of(machine)
    for value in ("ssd", "nvme"):
        lab.label(f"disktype={value}")
    assert [each["put_back"] for each in record()] == ["disktype: hdd again"]
    lab.put_back()
    assert machine.labels == {"disktype": "hdd"}


@pytest.mark.parametrize(
    "label",
    ["", "disktype", "=ssd", "kubernetes.io/hostname=x", "a.k8s.io/b=c", "a b=c", "x" * 64 + "=y"],
)
def test_no_other_label_is_set(machine, label):
    with pytest.raises(LabError, match="isn't a label that a lab may give"):
        of(machine).label(label)
    assert (machine.steps, record()) == ([], [])


@pytest.mark.parametrize(
    "taint",
    [
        "",
        "maintenance",
        "a=b",
        "a=b:Never",
        ":NoExecute",
        "node.kubernetes.io/not-ready=:NoExecute",
    ],
)
def test_no_other_taint_is_set(machine, taint):
    with pytest.raises(LabError, match="isn't a taint that a lab may give"):
        of(machine).taint(taint)
    assert (machine.steps, record()) == ([], [])


@pytest.mark.parametrize("seconds", [0, 4, 301, 10.5, True, "60", None])
def test_a_kubelet_is_not_stopped_for_other_times(machine, seconds):
    with pytest.raises(LabError, match="can't be stopped for"):
        of(machine).stop_kubelet(seconds)
    assert (machine.steps, record()) == ([], [])


def test_a_kind_that_is_unknown_is_a_damaged_record(machine):
    keep(kind="clock")
    with pytest.raises(LabError, match="can't be read"):
        left()


def test_offered_again_what_was_before_stays_what_was_first(machine):
    machine.number, machine.counted = 2, {"cpu": "2", "nvidia.com/gpu": "7", HUGE: "4Mi"}
    lab = of(machine)
    for count in (3, 3, 5, 1):
        lab.offer("nvidia.com/gpu", count)
        lab.offer_hugepages(count)
        assert machine.state == (
            2 + count,
            {"cpu": "2", "nvidia.com/gpu": str(count), HUGE: f"{(2 + count) * 2048}Ki"},
        )
    assert machine.steps.count("restart") == 3, "nothing is done where nothing changes"
    lab.put_back()
    assert machine.number == 2
    assert machine.counted["nvidia.com/gpu"] == "7"


@pytest.mark.parametrize(
    "name",
    [
        "gpu",
        "cpu",
        HUGE,
        "a b/c",
        "kubernetes.io/gpu",
        "node.kubernetes.io/gpu",
        "Nvidia.com/gpu",
        "/gpu",
        "x/",
        "",
    ],
)
def test_a_name_that_no_pod_could_ask_for_is_refused(machine, name):
    # The API server itself takes any name in a node's capacity.
    with pytest.raises(LabError, match="isn't a valid extended resource name"):
        of(machine).offer(name, 1)
    assert (machine.steps, record()) == ([], [])


@pytest.mark.parametrize("name", ["nvidia.com/gpu", "example.com/A_b.c-d", "mykubernetes.io/x"])
def test_a_name_with_a_domain_is_taken(machine, name):
    assert of(machine).offer(name, 1) == name


@pytest.mark.parametrize("count", [-1, True, 1.5, "4", None])
def test_a_count_is_a_whole_number(machine, count):
    for offer in (
        of(machine).offer_hugepages,
        lambda count: of(machine).offer("nvidia.com/gpu", count),
    ):
        with pytest.raises(LabError, match="The count isn't valid"):
            offer(count)
    assert (machine.steps, record()) == ([], [])


def test_a_node_can_advertise_none_and_no_huge_pages_are_no_offer(machine):
    assert of(machine).offer("nvidia.com/gpu", 0) == "nvidia.com/gpu"
    assert machine.counted["nvidia.com/gpu"] == "0"
    with pytest.raises(LabError, match="1 or more"):
        of(machine).offer_hugepages(0)


def test_what_the_server_refuses_is_not_on_record(machine):
    machine.refuse_patch = True
    with pytest.raises(Refused):
        of(machine).offer("nvidia.com/gpu", 1)
    assert record() == []


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"can_give": 3}, "can't reserve 4 huge pages of 2 MiB"),
        ({"size_kb": 0}, "has no huge pages"),
        ({"size_kb": 1024**2, "counted": {"hugepages-1Gi": "0"}}, "too much for this node"),
        ({"counted": {"cpu": "2"}}, "doesn't count hugepages-2Mi"),
    ],
)
def test_pages_that_cannot_be_had(machine, broken, says):
    for name, value in broken.items():
        setattr(machine, name, value)
    with pytest.raises(LabError, match=says):
        of(machine).offer_hugepages(4)
    assert machine.number == 0
    assert "restart" not in machine.steps
    assert record() == []


def test_a_kubelet_that_does_not_come_back_is_told_and_stays_on_record(machine, monkeypatch):
    monkeypatch.setattr(kubelet, "RESTART_SECONDS", 0.3)
    machine.comes_back = False
    with pytest.raises(TimedOut, match="The kubelet didn't come back within") as caught:
        of(machine).offer_hugepages(4)
    assert caught.value.seen == "the old one still runs"
    assert [each["restarted"] for each in record()] == [True]
    machine.comes_back = True
    of(machine).put_back()
    assert machine.state == (0, {"cpu": "2"})


def test_an_offer_that_fails_leaves_the_one_before(machine):
    lab = of(machine)
    lab.offer_hugepages(2)
    machine.can_give = 3
    with pytest.raises(LabError, match="can't reserve 4"):
        lab.offer_hugepages(4)
    assert machine.number == 2
    assert [each["after"] for each in record()] == [2]


def test_pages_in_use_are_not_withdrawn(machine):
    lab = of(machine)
    lab.offer_hugepages(4)
    machine.used = 1
    with pytest.raises(LabError, match="in use") as caught:
        lab.withdraw(HUGE)
    assert "4 pages, 3 of them free" in caught.value.seen
    assert machine.number == 4
    with pytest.raises(LabError, match="in use"):
        machine.used = 3
        lab.offer_hugepages(2)
    assert [each["after"] for each in record()] == [4]


def test_what_no_lab_has_offered_is_left_alone(machine):
    machine.counted["nvidia.com/gpu"] = "2"
    with pytest.raises(LabError, match="No lab has changed"):
        of(machine).withdraw("nvidia.com/gpu")
    for name in ("example.com/absent", HUGE, "nonsense", ""):
        with pytest.raises(LabError, match=f"No lab has changed {name!r}"):
            of(machine).withdraw(name)
    lab = of(machine)
    lab.offer("example.com/seat", 1)
    lab.withdraw("example.com/seat")
    machine.steps.clear()
    lab.withdraw("example.com/seat")  # a cell that runs twice
    assert machine.steps == []


@pytest.mark.parametrize("holder", [ELSEWHERE, "alive"])
def test_what_a_live_kernel_has_changed_is_left_alone(machine, holder):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        alive = {
            **leases.this_process(),
            "pid": process.pid,
            "started": leases.started(process.pid),
        }
        keep(holder=alive if holder == "alive" else holder)
        before, machine.number = record(), 4
        assert of(machine).mend() == []
        of(machine).put_back()
        for refused in (lambda: of(machine).offer_hugepages(4), lambda: of(machine).withdraw(HUGE)):
            with pytest.raises(LabError, match=f"Another kernel has changed {HUGE}"):
                refused()
        assert (machine.steps, record(), left()) == ([], before, [])
        process.communicate(b"\n")


def test_what_a_dead_kernel_has_left_is_put_back_and_told(machine):
    of(machine).offer("nvidia.com/gpu", 1)
    of(machine).offer_hugepages(4)
    dies()
    assert [change.name for change in left()] == ["nvidia.com/gpu", HUGE]
    ended = "A kernel that has ended had left the node changed. Put back:"
    assert of(machine).mend() == [
        f"{ended} nvidia.com/gpu: taken off.",
        f"{ended} {HUGE}: 0 pages again.",
    ]
    assert machine.state == (0, {"cpu": "2"})
    assert (record(), of(machine).mend()) == ([], [])


def test_what_this_kernel_has_left_is_put_back_without_a_word(machine):
    of(machine).offer_hugepages(4)
    assert of(machine).mend() == []
    assert (machine.number, record()) == (0, [])


def test_a_dead_kernels_offer_is_taken_over_with_what_was_before_it(machine):
    keep(before=1, after=5)
    machine.number = 5
    of(machine).offer_hugepages(2)
    assert [(each["before"], each["after"], each["holder"]) for each in record()] == [
        (1, 3, leases.this_process())
    ]


STEPS = ["patch", "number", "restart"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(len(STEPS)), ids=STEPS)
def test_cut_short_anywhere_the_node_is_put_back(machine, at, after):
    machine.cut_at, machine.cut_after = at, after
    with pytest.raises(Cut, match=STEPS[at]):
        of(machine).offer("nvidia.com/gpu", 1)
        of(machine).offer_hugepages(4)
    machine.cut_at = None
    dies()
    # The one that puts back may be cut short, too: at each of its steps, one after the other.
    for step in (0, 1, 2):
        machine.steps, machine.cut_at = [], step
        with contextlib.suppress(Cut):
            of(machine).mend()
    machine.cut_at = None
    of(machine).mend()
    assert machine.state == (0, {"cpu": "2"})
    assert record() == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("count", [1, 6])
def test_cut_short_on_the_way_to_another_number_the_node_is_put_back(machine, count, after):
    of(machine).offer_hugepages(4)
    machine.cut_at, machine.cut_after = len(machine.steps), after
    with pytest.raises(Cut, match="number"):
        of(machine).offer_hugepages(count)
    machine.cut_at = None
    dies()
    of(machine).mend()
    assert (machine.state, record()) == ((0, {"cpu": "2"}), [])


@pytest.mark.parametrize("by", ["a Pod", "somebody else's Pod", "another lab's Pod"])
def test_pods_of_a_dead_lab_that_have_pages_are_ended(machine, by):
    limits = {"requests": {HUGE: "2Mi", "memory": "1Mi"}, "limits": {HUGE: "2Mi"}}
    for name, resources in (("has", limits), ("has-none", {})):
        spec = {"containers": [{"name": "app", "resources": resources}]}
        machine.put({"kind": "Pod", "metadata": {"name": name}, "spec": spec})
    holder = DEAD if by != "another lab's Pod" else leases.this_process()
    label = {"podlab": "lab"} if by != "somebody else's Pod" else {}
    annotations = {leases.OWNER: json.dumps(holder)}
    metadata = {"name": "lab-11", "labels": label, "annotations": annotations}
    machine.put({"kind": "Namespace", "metadata": metadata})
    keep()
    of(machine).mend()
    assert machine.calls == (["delete Pod has grace 0"] if by == "a Pod" else [])
    assert (machine.find("Pod", "has") is None) == (by == "a Pod")


def test_pages_on_record_of_a_cluster_that_is_gone_are_put_back_and_its_status_is_forgotten(
    machine,
):
    keep(cluster="gone", restarted=False)
    machine.number = 4
    of(machine).mend()
    assert machine.steps == ["number", "restart"]
    keep(cluster="gone", kind="capacity", name="nvidia.com/gpu", before=None, after="1")
    of(machine).mend()
    assert machine.steps == ["number", "restart"]
    assert record() == []


NO_NUMBER = json.dumps(
    [
        asdict(
            Change(
                "huge pages",
                "hugepages-2Mi",
                "",
                "",
                0,
                "five",
                leases.this_process(),
                "lab-11",
                "uid",
            )
        )
    ]
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[{}]",
        "3",
        '["a"]',
        "[null]",
        '[{"name": "hugepages-2Mi"}]',
        NO_NUMBER,
        "[{}",
        b"\xff\xfe".decode("latin1"),
    ],
)
def test_a_damaged_record_is_set_aside(machine, text):
    path = paths.state() / RECORD
    path.parent.mkdir(parents=True)
    path.write_text(text)
    [told] = of(machine).mend()
    assert (
        told.splitlines()[0]
        == "The record of what labs have changed on the node can't be read, so nothing was put"
        " back."
    )
    assert path.with_suffix(".broken-1").read_text() == text
    assert not path.exists()
    path.write_text(text)
    with pytest.raises(LabError, match="can't be read"):
        of(machine).offer("nvidia.com/gpu", 1)
    assert path.with_suffix(".broken-2").read_text() == text
    assert machine.steps == []
    of(machine).offer("nvidia.com/gpu", 1)


def test_a_live_kernels_record_of_another_version_is_left_where_it_is(machine):
    of(machine).offer("nvidia.com/gpu", 1)
    path = paths.state() / RECORD
    parent = os.getppid()
    alive = {**leases.this_process(), "pid": parent, "started": leases.started(parent)}
    changes = [{**change, "holder": alive, "a new field": 1} for change in record()]
    path.write_text(json.dumps(changes))
    lab = of(machine)
    assert lab.mend() == []
    lab.put_back()
    with pytest.raises(LabError, match="another version of podlab has changed the node"):
        lab.label("disktype=ssd")
    assert record() == changes
    path.write_text(json.dumps([{**change, "holder": DEAD} for change in changes]))
    [told] = lab.mend()
    assert "set aside" in told


def test_a_record_with_pages_of_no_number_is_damaged(machine):
    keep(before=None)
    with pytest.raises(LabError, match="can't be read"):
        left()


def test_where_nothing_is_left_nothing_is_asked_and_no_time_is_lost(machine):
    nothing = SimpleNamespace(transcript=Transcript())  # Whatever is asked of it fails.
    lab = Edits(nothing, nothing)
    assert lab.mend() == []
    assert min(timeit.repeat(lab.mend, number=1, repeat=50)) < 0.005


def test_one_at_a_time_changes_the_node(machine, monkeypatch):
    monkeypatch.setattr("labhelpers.node.record.LOCK_SECONDS", 0.2)
    lock = paths.state() / "node-changes.lock"
    lock.parent.mkdir(parents=True)
    hold = (
        f"import fcntl; file = open({str(lock)!r}, 'a'); fcntl.flock(file, fcntl.LOCK_EX);"
        " print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LabError, match="has been changing the node"):
            of(machine).offer("nvidia.com/gpu", 1)
        other.kill()
        other.wait()
        of(machine).offer("nvidia.com/gpu", 1)


def test_before_a_cluster_is_deleted_the_machine_gets_its_pages_back_from_everybody(machine):
    for holder in (DEAD, ELSEWHERE, leases.this_process()):
        keep(holder=holder)
        machine.number = 4
        put_back_pages(machine.run)
        assert (machine.number, record()) == (0, [])
    assert "restart" not in machine.steps


def test_what_cannot_be_put_back_stays_on_record(machine):
    keep()

    def broken(script):
        raise LabError(
            "docker exec failed.", "the container is not running", "Run `podlab doctor`."
        )

    with pytest.raises(LabError):
        put_back_pages(broken)
    assert len(record()) == 1


def test_doctor_mends_and_says_so(machine, monkeypatch):
    assert doctor.put_back(paths.ClusterFiles("one")).seen == "none that a lab has left"
    keep()
    machine.number = 4
    finding = doctor.put_back(paths.ClusterFiles("one"))
    assert finding.ok is None, "it hinders no `podlab up`"
    assert finding.seen.startswith(f"still to be done: {HUGE}: 0 pages again. ")
    assert (machine.number, len(record())) == (4, 1)
    machine.close = lambda: None
    monkeypatch.setattr(doctor, "connect", lambda path: machine)
    monkeypatch.setattr(doctor, "Node", lambda connection: machine)
    assert (
        doctor.put_back(paths.ClusterFiles("one")).seen
        == f"a kernel that has ended had left some; put back: {HUGE}: 0 pages again"
    )
    assert (machine.number, record()) == (0, [])
    (paths.state() / RECORD).write_text("damaged")
    assert "set aside as" in doctor.put_back(paths.ClusterFiles("one")).seen
