"""labhelpers.node.undo on the cluster: the node changed and put back, also by others. The oracles
are kubectl and the machine's own files."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from labhelpers import paths
from labhelpers.cluster import lifecycle
from labhelpers.errors import LabError
from labhelpers.kube.leases import this_process
from labhelpers.lab import start
from labhelpers.node.record import RECORD, Change

pytestmark = [pytest.mark.cluster, pytest.mark.own_node]

GPU = "example.com/gpu"
ENTER = (
    "exec",
    "--namespace",
    "podlab-node",
    "node",
    "--",
    "nsenter",
    "-t",
    "1",
    "-m",
    "--",
    "/bin/sh",
    "-c",
)
POD = """
apiVersion: v1
kind: Pod
metadata: {name: holds}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: app
      image: busybox:1.35.0
      command: [sleep, "3600"]
      resources: {requests: {cpu: 1m, %s: %s}, limits: {%s: %s}}
"""


@pytest.fixture
def names(kubectl, deleted_namespaces, monkeypatch):
    """The names of two labs."""
    for name in ("KUBECONFIG", "PATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    names = [f"test-changes-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    yield names
    for name in names:
        kubectl("delete", "namespace", f"lab-{name}", "--ignore-not-found", "--wait=false")
        deleted_namespaces.append(f"lab-{name}")
        (paths.state() / "labs" / f"{name}.kubeconfig").unlink(missing_ok=True)


@pytest.fixture
def node(kubectl, names):
    """What the node has, by kubectl and the files under /sys; and that it is the same after the
    test."""

    class Node:
        def sh(self, script):
            return kubectl(*ENTER, script)

        @property
        def size_kb(self):
            return int(re.search(r"Hugepagesize: +(\d+)", self.sh("cat /proc/meminfo"))[1])

        @property
        def pages(self):
            return int(
                self.sh(f"cat /sys/kernel/mm/hugepages/hugepages-{self.size_kb}kB/nr_hugepages")
            )

        @property
        def body(self):
            return json.loads(kubectl("get", "nodes", "-o", "json"))["items"][0]

        def has(self, resource):
            """(capacity, allocatable)"""
            return tuple(
                self.body["status"][part].get(resource) for part in ("capacity", "allocatable")
            )

        @property
        def is_ready(self):
            return [
                each["status"]
                for each in self.body["status"]["conditions"]
                if each["type"] == "Ready"
            ] == ["True"]

        @property
        def kubelet(self):
            return self.sh("systemctl show kubelet --property=InvocationID --value").strip()

        def take_off(self, resource):
            nothing = json.dumps(
                {"status": {part: {resource: None} for part in ("capacity", "allocatable")}}
            )
            kubectl(
                "patch",
                "node",
                self.body["metadata"]["name"],
                "--subresource=status",
                "--type=merge",
                "-p",
                nothing,
            )

        @property
        def state(self):
            return (
                self.pages,
                self.body["status"]["capacity"],
                self.body["status"]["allocatable"],
                self.is_ready,
            )

    node = Node()
    before = node.state
    assert node.is_ready
    yield node
    after = node.state
    if after != before or record().exists():  # The test has failed half-way: the next one must not.
        start(names[0]).finish()
        node.take_off(GPU)
    assert after == before


def record():
    return paths.state() / RECORD


def other_kernel(name, code):
    script = (
        f"from labhelpers import start; lab = start({name!r}); print('begun', flush=True); {code};"
        " print('done', flush=True); input()"
    )
    kernel = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert kernel.stdout.readline() == "begun\n"
    return kernel


def kill(kernel):
    kernel.kill()
    kernel.communicate()


def run_doctor():
    return subprocess.run(
        [sys.executable, "-m", "labhelpers.cli", "doctor"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    ).stdout


def test_offered_used_withdrawn_and_put_back_at_the_end(node, kubectl, names):
    size_kb, before = node.size_kb, node.pages
    lab = start(names[0])
    assert lab.offer(GPU, 2) == GPU
    assert node.has(GPU) == ("2", "2")
    since = time.monotonic()
    huge = lab.offer_hugepages(2)
    took = time.monotonic() - since
    assert (node.pages, node.is_ready) == (before + 2, True)
    assert [
        re.fullmatch(r"hugepages-\d+[KMG]i", huge) is not None,
        huge in node.body["status"]["capacity"],
    ] == [True, True]
    in_kb = {
        "0": 0,
        f"{(before + 2) * size_kb}Ki": 1,
        f"{(before + 2) * size_kb // 1024}Mi": 1,
        f"{(before + 2) * size_kb // 1024**2}Gi": 1,
    }
    assert [in_kb.get(each) for each in node.has(huge)] == [1, 1]
    assert node.has(GPU) == ("2", "2"), "the kubelet that starts again leaves it"
    assert took < 60
    # What runs when the kubelet is started again runs on, and can be reached at once.
    pods = {huge: f"{size_kb}Ki", GPU: "1"}
    for resource, amount in pods.items():
        path = Path(os.environ["KUBECONFIG"]).with_suffix(".yaml")
        path.write_text(
            POD.replace("holds", f"holds-{amount.lower()}") % (resource, amount, resource, amount)
        )
        lab.apply(path).wait_until("Ready", timeout_seconds=30)
        path.unlink()
    lab.offer_hugepages(3)
    lab.offer(GPU, 3)
    assert lab.pod("holds-1").exec("app", ["echo", "here"]).stdout == "here\n"
    assert (node.pages, node.has(GPU)) == (before + 3, ("3", "3"))
    assert [change["before"] for change in json.loads(record().read_text())] == [before, None]
    lab.withdraw(GPU)
    assert node.has(GPU) == (None, None)
    assert repr(lab.finish()) == "nothing is left: no namespace, no processes, no threads"
    assert (node.pages, record().exists()) == (before, False)


def test_what_a_helper_did_runs_when_pasted(node, names):
    before = node.pages
    lab = start(names[0])

    def paste(lines="", restarts=True):
        old = node.kubelet
        subprocess.run(
            ["sh", "-e"],
            input=lines or str(lab.sent()),
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        deadline = time.monotonic() + 60
        while restarts:  # The status was as it should be already, so the pasted waits were short.
            with contextlib.suppress(AssertionError):
                restarts = node.kubelet == old
            assert time.monotonic() < deadline

    lab.offer(GPU, 2)
    offered = str(lab.sent())
    lab.withdraw(GPU)
    assert node.has(GPU) == (None, None)
    paste(offered, restarts=False)
    assert node.has(GPU) == ("2", "2")
    lab.offer(GPU, 2)
    huge = lab.offer_hugepages(1)
    node.sh(f"echo {before} > /proc/sys/vm/nr_hugepages")
    paste()
    assert node.pages == before + 1
    lab.withdraw(huge)
    paste()
    assert (node.pages, node.is_ready) == (before, True)
    # The second offer found the pasted one, and so puts it back: it is for us to take it off.
    lab.withdraw(GPU)
    assert node.has(GPU) == ("2", "2")
    node.take_off(GPU)


def test_a_kernel_is_killed_and_the_next_start_mends_the_node(node, names, capsys):
    before, size_kb = node.pages, node.size_kb
    manifest = POD % (("HUGE", f"{size_kb}Ki") * 2)
    kernel = other_kernel(
        names[0],
        f"from pathlib import Path; lab.offer({GPU!r}, 1); huge = lab.offer_hugepages(2); path ="
        f" Path({str(record())!r} + '.yaml'); path.write_text({manifest!r}.replace('HUGE', huge));"
        " lab.apply(path).wait_until('Ready', timeout_seconds=30); path.unlink()",
    )
    try:
        assert kernel.stdout.readline() == "done\n"
        changed = node.state
        assert changed[0] == before + 2
        assert node.has(GPU) == ("1", "1")
        # As long as it lives, nobody else touches what it has changed.
        mine = start(names[1])
        assert "none that a lab has left" in run_doctor()
        with pytest.raises(LabError, match=f"process {kernel.pid} on "):
            mine.withdraw(GPU)
        assert node.state == changed
    finally:
        kill(kernel)
    capsys.readouterr()
    # The next is of another lab: the dead one's Pod is still there, and has a page on its account.
    start(names[1])
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(" Put back: ")[0] for line in told] == [
        "A kernel that has ended had left the node changed."
    ] * 2
    assert (node.pages, node.has(GPU), node.is_ready) == (before, (None, None), True)
    assert not record().exists()


@pytest.mark.parametrize("when", ["written down", "kubelet is on its way"])
def test_a_kernel_is_killed_in_the_middle_and_doctor_mends_the_node(node, names, when):
    before = node.pages
    kernel = other_kernel(names[0], "lab.offer_hugepages(2)")
    try:
        deadline = time.monotonic() + 60
        while not (
            record().exists()
            and (when == "written down" or '"restarted": true' in record().read_text())
        ):
            assert time.monotonic() < deadline, "the record comes before the change"
    finally:
        kill(kernel)
    [change] = json.loads(record().read_text())
    assert (change["before"], change["holder"]["pid"]) == (before, kernel.pid)
    report = run_doctor()
    assert "a kernel that has ended had left some; put back: hugepages-" in report
    assert "`podlab up` will work." in report
    assert (node.pages, node.is_ready, record().exists()) == (before, True, False)
    assert "none that a lab has left" in run_doctor()


STATIC = """
apiVersion: v1
kind: Pod
metadata: {name: static-web}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: app, image: busybox:1.35.0, command: [sleep, "3600"]}]
"""
DOCKERFILE = 'FROM busybox:1.35.0\nCMD ["ls"]'
# What makes each kind of change, and how kubectl or the node shows it.
EDITS = {
    "label": "lab.label_node('disktype=ssd')",
    "taint": "lab.taint_node('maintenance=true:NoSchedule')",
    "static Pod": "lab.add_static_pod(Path(MANIFEST))",
    "kubelet": "lab.stop_kubelet(seconds=10)",
    "directory": "lab.reserve_directory('/var/lib/podlab-test')",
    "image": "lab.build_image(Path(MANIFEST).with_name('test.Dockerfile'))",
    "capacity": f"lab.offer({GPU!r}, 1)",
}


def edited(node):
    """All that the kinds change, by kubectl and the node's own files."""
    files = node.sh("ls /etc/kubernetes/manifests /var/lib | grep podlab || true").split()
    body, unit = node.body, node.sh("systemctl is-active kubelet").strip()
    capacity = body["status"]["capacity"]
    images = node.sh("ctr --namespace k8s.io images list --quiet").split()
    return body["metadata"]["labels"], body["spec"].get("taints"), files, unit, capacity, images


@pytest.mark.parametrize("when", ["written down", "done"])
@pytest.mark.parametrize("kind", EDITS)
def test_a_kernel_is_killed_in_the_middle_of_each_kind(node, names, capsys, tmp_path, kind, when):
    before = edited(node)
    (tmp_path / "static.yaml").write_text(STATIC)
    (tmp_path / "test.Dockerfile").write_text(DOCKERFILE)
    code = EDITS[kind].replace("MANIFEST", repr(str(tmp_path / "static.yaml")))
    kernel = other_kernel(names[0], f"from pathlib import Path; {code}")
    try:
        deadline = time.monotonic() + 60
        while not record().exists():
            assert time.monotonic() < deadline, "the record comes before the change"
        if when == "done":
            assert kernel.stdout.readline() == "done\n"
    finally:
        kill(kernel)
    [change] = json.loads(record().read_text())
    assert (change["kind"], change["holder"]["pid"]) == (kind, kernel.pid)
    capsys.readouterr()
    lab = start(names[1])
    [told] = [line for line in capsys.readouterr().out.splitlines() if "Put back:" in line]
    assert told.endswith(f"{change['put_back']}.")
    assert (edited(node), record().exists()) == (before, False)
    lab.finish()


def test_each_kind_is_seen_on_the_node_and_gone_after_finish(node, kubectl, names, tmp_path):
    before = edited(node)
    (tmp_path / "static.yaml").write_text(STATIC)
    (tmp_path / "test.Dockerfile").write_text(DOCKERFILE)
    lab = start(names[0])
    lab.label_node("disktype=ssd")
    lab.taint_node("maintenance=true:NoSchedule")
    mirror = lab.add_static_pod(tmp_path / "static.yaml").wait_until("Ready", timeout_seconds=60)
    assert lab.build_image(tmp_path / "test.Dockerfile") == "localhost:1/test:1"
    labels, taints, files, _, _, images = edited(node)
    assert "localhost:1/test:1" in images
    assert labels["disktype"] == "ssd"
    assert {"key": "maintenance", "value": "true", "effect": "NoSchedule"} in taints
    assert files == ["podlab-static-web.json"]
    owner = kubectl(
        "get", "pod", mirror.name, "--namespace", f"lab-{names[0]}",
        "-o", "jsonpath={.metadata.ownerReferences[0].kind}",
    )  # fmt: skip
    assert owner == "Node"
    old = node.kubelet
    since = time.monotonic()
    lab.stop_kubelet(seconds=8)
    lab.withdraw("kubelet")
    took = time.monotonic() - since
    assert node.kubelet != old, "another kubelet runs"
    assert took > 8, "its start was armed for later"
    assert repr(lab.finish()) == "nothing is left: no namespace, no processes, no threads"
    assert (edited(node), record().exists()) == (before, False)


def test_pages_in_use_and_pages_that_are_too_many(node, names):
    before, size_kb = node.pages, node.size_kb
    lab = start(names[0])
    with pytest.raises(LabError, match="too much for this node"):
        lab.offer_hugepages(10**7)
    assert (node.pages, record().exists()) == (before, False)
    huge = lab.offer_hugepages(2)
    take = (
        "mkdir -p /run/podlab-test && mount -t hugetlbfs none /run/podlab-test && fallocate -l"
        f" {size_kb}K /run/podlab-test/page"
    )
    node.sh(take)
    try:
        with pytest.raises(LabError, match="in use"):
            lab.withdraw(huge)
        assert node.pages == before + 2
    finally:
        node.sh("umount /run/podlab-test && rmdir /run/podlab-test")
    lab.withdraw(huge)
    assert node.pages == before


def test_before_the_cluster_is_deleted_the_machine_gets_its_pages_back(node, names):
    before = node.pages
    change = Change(
        "huge pages",
        f"hugepages-{node.size_kb}Ki",
        "",
        "",
        before,
        before + 2,
        this_process(),
        f"lab-{names[0]}",
        "of a cluster that will be gone",
        restarted=False,
    )
    record().write_text(json.dumps([vars(change)]))
    node.sh(f"echo {before + 2} > /proc/sys/vm/nr_hugepages")
    lifecycle.give_back(paths.ClusterFiles())
    assert (node.pages, record().exists()) == (before, False)
