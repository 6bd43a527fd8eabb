"""labhelpers.lab on the cluster: start, the second kernel, leftovers, and the end. The oracle is
kubectl."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labhelpers import paths
from labhelpers.errors import LabError, TimedOut
from labhelpers.formulas import quantity
from labhelpers.kube.connect import connect
from labhelpers.kube.leases import OWNER
from labhelpers.lab import start
from labhelpers.node.node import Node
from labhelpers.proofs import Proofs, Tools

pytestmark = pytest.mark.cluster

NAME = f"test-lab-{os.getpid()}"
NAMESPACE = f"lab-{NAME}"
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s%s}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {name: app, image: "busybox:1.35.0", command: [sleep, "3600"]}
"""


@pytest.fixture(autouse=True)
def nothing_left(kubectl, monkeypatch):
    """What start sets in the environment, and the namespace, go with the test."""
    for name in ("KUBECONFIG", "PATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    yield
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    (paths.state() / "labs" / f"{NAME}.kubeconfig").unlink(missing_ok=True)


@pytest.fixture
def manifest(tmp_path):
    def write(name="one", finalizer=False):
        path = tmp_path / f"{name}.yaml"
        path.write_text(POD % (name, ", finalizers: [podlab/test]" if finalizer else ""))
        return path

    return write


def shell(line):
    """A line as a notebook's ``!`` runs it: in the environment of the kernel."""
    return subprocess.run(
        line, shell=True, capture_output=True, text=True, timeout=60, check=True
    ).stdout


def other_kernel(code, name=NAME, how=""):
    """Another process with the lab in its hand; it says when it has, and ends when its input is
    closed."""
    script = (
        f"from labhelpers import start; lab = start({name!r}{how}); {code}; print('ready',"
        " flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_start_gives_an_empty_namespace_of_its_own_and_kubectl(kubectl):
    lab = start(NAME)
    assert repr(lab) == f"{NAME} is ready: an empty namespace on a cluster of your own."
    namespace = json.loads(kubectl("get", "namespace", NAMESPACE, "-o", "json"))
    assert namespace["metadata"]["labels"]["podlab"] == "lab"
    assert json.loads(namespace["metadata"]["annotations"][OWNER])["pid"] == os.getpid()
    assert shell("kubectl get serviceaccounts,pods -o name") == "serviceaccount/default\n"
    assert shell("kubectl config view --minify -o jsonpath={..namespace}") == NAMESPACE
    assert Path(shell("command -v kubectl").strip()).parent == paths.tools()
    assert Path(os.environ["KUBECONFIG"]).stat().st_mode & 0o777 == 0o600


def test_start_again_empties_what_it_had(kubectl, manifest):
    lab = start(NAME)
    lab.apply(manifest()).wait_until("Ready", timeout_seconds=30)
    again = start(NAME)
    assert kubectl("get", "pods", "-o", "name", namespace=NAMESPACE) == ""
    assert os.environ["PATH"].split(os.pathsep).count(str(paths.tools())) == 1
    again.apply(manifest()).wait_until("Ready", timeout_seconds=30)


def test_a_second_kernel_is_refused_until_the_first_has_ended(kubectl, manifest):
    first = other_kernel(
        f"lab.apply({str(manifest('theirs'))!r}).wait_until('Ready', timeout_seconds=30)"
    )
    try:
        with pytest.raises(LabError, match=f"Another kernel holds the lab {NAME}") as caught:
            start(NAME)
        assert f"process {first.pid} on " in caught.value.seen
        assert len(str(caught.value).splitlines()) == 3
        assert kubectl("get", "pods", "-o", "name", namespace=NAMESPACE) == "pod/theirs\n"
    finally:
        first.kill()
        first.communicate()
    # It crashed, and left its Pod: the lab is taken over.
    start(NAME)
    assert kubectl("get", "pods", "-o", "name", namespace=NAMESPACE) == ""


def test_a_kernel_that_lost_its_lab_no_longer_acts_on_it(kubectl, manifest):
    lab = start(NAME)
    pod = lab.apply(manifest("one")).wait_until("Ready", timeout_seconds=30)
    code = f"lab.apply({str(manifest('one'))!r}).wait_until('Ready', timeout_seconds=30)"
    other = other_kernel(code, how=", take_over=True")
    try:
        for act in (
            lambda: pod.delete(timeout_seconds=30),
            lambda: lab.apply(manifest("two")),
            lambda: pod.exec("app", ["true"]),
            lab.finish,
        ):
            with pytest.raises(LabError, match=f"Another kernel has taken the lab {NAME}"):
                act()
        assert kubectl("get", "pods", "-o", "name", namespace=NAMESPACE) == "pod/one\n"
    finally:
        other.kill()
        other.communicate()
    start(NAME).finish()
    with pytest.raises(LabError, match=r"has ended\.\n.* gone\nDo:   Run the lab's first cell"):
        _ = pod.phase


def test_one_lab_at_a_time_has_the_node_to_itself(kubectl):
    other = other_kernel("pass", NAME, ", exclusive=True")
    try:
        mine = f"{NAME}-2"
        with pytest.raises(LabError, match=f"The lab {NAME} has the node to itself"):
            start(mine, exclusive=True)
        assert f"lab-{mine}" not in kubectl("get", "namespaces", "-o", "name"), (
            "nothing is half done"
        )
    finally:
        other.kill()
        other.wait()
    lab = start(NAME, exclusive=True)
    holder = kubectl(
        "get",
        "lease",
        "node-exclusive",
        "-o",
        "jsonpath={.spec.holderIdentity}",
        namespace="podlab-node",
    )
    assert holder == NAME
    lab.finish()
    assert "node-exclusive" not in kubectl("get", "leases", "-o", "name", namespace="podlab-node")


BEHIND_NOTHING = """
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata:
  name: v1.podlab.example
spec:
  group: podlab.example
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 100
  service:
    name: nobody
    namespace: default
"""


@pytest.mark.own_node  # meanwhile no namespace of the cluster can go
def test_an_api_without_a_backend_does_not_keep_a_lab_from_ending(tmp_path, kubectl):
    path = tmp_path / "api.yaml"
    path.write_text(BEHIND_NOTHING)
    start(NAME).apply(path)
    try:
        lab = start(NAME)
        assert "podlab.example" not in kubectl("get", "apiservices", "-o", "name")
        lab.apply(path)
        assert "nothing is left" in repr(lab.finish())
        assert "podlab.example" not in kubectl("get", "apiservices", "-o", "name")
    finally:
        kubectl("delete", "apiservice", "v1.podlab.example", "--ignore-not-found")


@pytest.mark.own_node  # Pods of other tests come and go between the two answers
def test_what_is_free_is_what_kubectl_counts(kubectl, manifest):
    lab = start(NAME)
    described = kubectl("describe", "nodes")
    requested = re.search(
        r"^  cpu +(\d+m?) ", described.split("Allocated resources:")[1], re.MULTILINE
    )[1]
    allocatable = re.search(r"^  cpu: +(\d+)", described.split("Allocatable:")[1], re.MULTILINE)[1]
    assert lab.free("cpu") == quantity(allocatable) - quantity(requested)
    assert lab.free("example.com/nothing") == 0


def test_leftovers_that_a_finalizer_holds_are_told_in_three_lines(kubectl, manifest, monkeypatch):
    start(NAME).apply(manifest("held", finalizer=True))
    try:
        # Only here: the start below has to succeed, in whatever time that takes.
        with (
            monkeypatch.context() as patch,
            pytest.raises(LabError, match="could not be removed within 8 s") as caught,
        ):
            patch.setattr("labhelpers.namespaces.EMPTY_SECONDS", 8)
            start(NAME)
        assert "Pod held: podlab/test" in caught.value.seen
    finally:
        kubectl(
            "patch",
            "pod",
            "held",
            "--type=merge",
            "-p",
            '{"metadata":{"finalizers":null}}',
            namespace=NAMESPACE,
        )
    start(NAME)
    assert kubectl("get", "pods", "-o", "name", namespace=NAMESPACE) == ""


def test_the_matrix_holds_the_kernels_own_numbers(kubectl, manifest):
    lab = start(NAME)
    pods = [
        lab.apply(manifest(name)).wait_until("Ready", timeout_seconds=30) for name in ("one", "two")
    ]
    tools = Tools(lab, Proofs("01-what-a-pod-is"))
    table = tools.matrix("Who shares what?", *pods, pause=True, node=True).table
    assert list(table.index) == ["node", "one/pause", "one/app", "two/pause", "two/app"]
    assert list(tools.matrix("Who shares what?", pods[0]).table.index) == ["app"]
    for kind in ("net", "mnt", "user"):
        for pod, namespace, process, row in (
            ("one", NAMESPACE, "self", "one/app"),
            ("two", NAMESPACE, "self", "two/app"),
            ("node", "podlab-node", "1", "node"),
        ):
            link = kubectl(
                "exec", pod, "--", "readlink", f"/proc/{process}/ns/{kind}", namespace=namespace
            ).strip()
            assert link == f"{kind}:[{table.loc[row, kind]}]"


def test_finish_leaves_nothing(kubectl, manifest):
    lab = start(NAME)
    pod = lab.apply(manifest()).wait_until("Ready", timeout_seconds=30)
    uid = pod.uid
    assert "sleep" in {process.command for process in lab.node.processes(uid)}
    assert repr(lab.finish()) == "nothing is left: no namespace, no processes, no threads"
    assert NAMESPACE not in kubectl("get", "namespaces", "-o", "name")
    found = kubectl(
        "exec",
        "node",
        "--",
        "sh",
        "-c",
        f"grep -l {uid.replace('-', '.')} /proc/[0-9]*/cgroup || true",
        namespace="podlab-node",
    )
    assert found == ""
    assert repr(lab.finish()) == "nothing is left: no namespace, no processes, no threads"


def test_what_lives_in_no_namespace_goes_with_the_lab_and_the_clusters_own_stays(kubectl, tmp_path):
    def storage_class(name, provisioner="example.com/none"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            "apiVersion: storage.k8s.io/v1\nkind: StorageClass\n"
            f"metadata:\n  name: {name}\nprovisioner: {provisioner}\n"
        )
        return path

    def there():
        return kubectl("get", "storageclasses", "-o", "jsonpath={..metadata.name}").split()

    standard = kubectl("get", "storageclass", "standard", "-o", "json")
    lab = start(NAME)
    lab.apply(storage_class("lab-test"))
    with pytest.raises(LabError, match="StorageClass standard exists already"):
        lab.apply(storage_class("standard"))
    assert "lab-test" in there()
    assert repr(lab.finish()).startswith("nothing is left")
    assert "lab-test" not in there()
    assert kubectl("get", "storageclass", "standard", "-o", "json") == standard


VOLUMES = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
    - {name: claim, persistentVolumeClaim: {claimName: claim}}
    - {name: host, hostPath: {path: %s, type: DirectoryOrCreate}}
  containers:
    - name: app
      image: busybox:1.35.0
      command: [sh, -c, "touch /host/mark; exec sleep 3600"]
      volumeMounts: [{name: claim, mountPath: /claim}, {name: host, mountPath: /host}]
"""


def test_finish_leaves_no_volume_and_no_directory_on_the_node(kubectl, tmp_path):
    def of_the_lab():
        volumes = json.loads(kubectl("get", "pv", "-o", "json"))["items"]
        return [each for each in volumes if each["spec"]["claimRef"]["namespace"] == NAMESPACE]

    path = f"/var/lib/podlab-{NAME}"
    manifest = tmp_path / "volumes.yaml"
    manifest.write_text(VOLUMES % path)
    lab = start(NAME)
    lab.reserve_directory(path)
    _, writer = lab.apply(manifest)
    writer.wait_until("Ready", timeout_seconds=90)
    assert len(of_the_lab()) == 1
    assert lab.node.run(f"ls {path}") == "mark\n"
    lab.finish()
    assert of_the_lab() == []
    # The lab has ended, so its own handle on the node does nothing any more.
    there = Node(connect()).run("ls /var/lib").split()
    assert "kubelet" in there
    assert f"podlab-{NAME}" not in there
    lab._provenance()  # pictures can still be drawn


def test_what_was_sent_runs_when_pasted(manifest):
    """Each helper's lines, pasted into a shell in the kernel's environment, do what the helper
    did."""
    lab = start(NAME)
    pod = lab.apply(manifest())
    pasted = {"apply": shell(str(lab.sent()))}
    pod.wait_until("Ready", timeout_seconds=30)
    pasted["wait"] = shell(str(lab.sent()))
    assert str(pod.container("app").restarts) == shell(str(lab.sent()))
    assert pod.phase == shell(str(lab.sent()))
    assert pod.exec("app", "echo a b").stdout == shell(str(lab.sent()))
    assert pod.logs("app") == shell(str(lab.sent()))
    assert pod.processes().shape[0] == len(shell(str(lab.sent())).splitlines())
    assert pod.kubectl_status in shell(str(lab.sent()))
    with lab.recording("one"):
        pasted["watch"] = shell(str(lab.sent()))
    pod.delete(timeout_seconds=60)
    pasted["delete"] = shell(str(lab.sent()))
    assert pasted["apply"] == "pod/one serverside-applied\n"
    assert pasted["wait"] == "pod/one condition met\n"
    assert "one" in pasted["watch"]
    assert pasted["delete"] == ""


def test_what_is_refused_is_asserted(manifest):
    lab = start(NAME)
    with pytest.raises(LabError, match="Nothing was refused"), lab.refused("Forbidden"):
        lab.apply(manifest("allowed"))
    shell(f"kubectl label namespace {NAMESPACE} pod-security.kubernetes.io/enforce=restricted")
    # The API server takes the label from a copy of its own, which is a moment behind.
    shell(f"while kubectl apply --dry-run=server -f {manifest('forbidden')}; do sleep 0.1; done")
    with pytest.raises(LabError, match="another reason"), lab.refused("Invalid"):
        lab.apply(manifest("forbidden"))
    with lab.refused("Forbidden", says="runAsNonRoot") as refusal:
        lab.apply(manifest("forbidden"))
    assert "violates PodSecurity" in refusal.message


def test_a_pod_of_a_lab_may_be_waited_for_before_it_exists(manifest):
    lab = start(NAME)
    with pytest.raises(TimedOut, match="it does not exist"):
        lab.pod("one").wait_until("Ready", timeout_seconds=3)
