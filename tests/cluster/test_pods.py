"""labhelpers.pods on the cluster; the oracle is kubectl."""

import json

import pytest

from labhelpers.errors import Impossible, LabError, TimedOut
from labhelpers.pods import Pod
from labhelpers.resources import Resource
from tests.unit.test_pod_status import KUBECTL_STATUS

pytestmark = pytest.mark.cluster

SLEEP = {"image": "busybox:1.35.0", "command": ["sleep", "3600"]}


def body(name, *containers, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": list(containers) or [{"name": "app", **SLEEP}],
            **spec,
        },
    }


def shell(name, script):
    return {"name": name, "image": "busybox:1.35.0", "command": ["sh", "-c", script]}


@pytest.fixture
def here(connection, lab_namespace):
    return connection.within(lab_namespace)


@pytest.fixture
def printed(kubectl, lab_namespace):
    """What kubectl prints in the test's namespace."""
    return lambda *words: kubectl(*words, namespace=lab_namespace)


@pytest.fixture
def made(here):
    """Makes a Pod of the name one, and gives its handle."""

    def make(*containers, **spec):
        here.create(body("one", *containers, **spec))
        return Pod(here, "one")

    return make


def test_kubectl_status_is_what_kubectl_prints(here, printed):
    """A Pod that no scheduler takes keeps the status that it is given: each case of the table,
    shown by kubectl's own printer."""
    expected, given = {}, {}
    try:
        for number, (status, raw) in enumerate(KUBECTL_STATUS.values()):
            name = f"pod-{number}"
            expected[name], given[name] = status, raw["status"]
            pod = body(name, schedulerName="nobody", **raw["spec"])
            # A finalizer keeps the ones that are deleted in sight.
            pod["metadata"]["finalizers"] = ["podlab/test"]
            here.create(pod)
            if "deletionTimestamp" in raw["metadata"]:
                here.delete("Pod", name)
        # Of a Pod that is being deleted and has no node, Kubernetes' collector of garbage makes a
        # failed one, every 20 s. Then once more.
        for _ in range(5):
            for name, raw in given.items():
                here.patch("Pod", name, {"status": {"conditions": [], **raw}}, subresource="status")
            rows = {
                row[0]: row[2]
                for row in map(str.split, printed("get", "pods", "--no-headers").splitlines())
            }
            ours = {name: Pod(here, name).kubectl_status for name in expected}
            if {name: here.get("Pod", name)["status"]["phase"] for name in given} == {
                name: raw["phase"] for name, raw in given.items()
            }:
                break
    finally:
        for name in expected:
            here.patch("Pod", name, {"metadata": {"finalizers": None}})
    assert rows == expected
    assert ours == rows


def test_a_live_handle_says_what_kubectl_says(made, printed):
    pod = made({"name": "app", **SLEEP}, shell("end", "exit 3"), restartPolicy="Never").wait_until(
        "Running", timeout_seconds=30
    )
    pod.container("end").wait_until("terminated", timeout_seconds=30)
    oracle = json.loads(printed("get", "pod", "one", "-o", "json"))
    status = {each["name"]: each for each in oracle["status"]["containerStatuses"]}
    assert (pod.phase, pod.address, pod.uid) == (
        "Running",
        oracle["status"]["podIP"],
        oracle["metadata"]["uid"],
    )
    assert pod.conditions == {
        each["type"]: each["status"] for each in oracle["status"]["conditions"]
    }
    assert pod.container("end").exit_code == status["end"]["state"]["terminated"]["exitCode"] == 3
    assert status["app"]["containerID"] == f"containerd://{pod.container('app').id}"
    assert pod.kubectl_status == printed("get", "pod", "one", "--no-headers").split()[2]


def test_processes_are_those_of_the_node(made, printed, eventually):
    pod = made({"name": "web", **SLEEP}, shell("twin", "sleep 3600 & wait")).wait_until(
        "Ready", timeout_seconds=30
    )
    # Ready is said before the shell has started its child.
    eventually(lambda: pod.processes()["command"].to_list() == ["pause", "sleep", "sh", "sleep"])
    table = pod.processes()
    assert table[["container", "command"]].to_numpy().tolist() == [
        ["pause", "pause"],
        ["web", "sleep"],
        ["twin", "sh"],
        ["twin", "sleep"],
    ]
    assert table["parent"].to_list() == ["containerd-shim"] * 3 + ["sh"]
    assert table["net"].to_list() == ["● a"] * 4
    assert table["pid"].to_list() == ["● a", "● b", "● c", "● c"]
    links = {
        name: int(printed("exec", "one", "-c", name, "--", "stat", "-Lc", "%i", "/proc/1/ns/net"))
        for name in ("web", "twin")
    }
    assert pod.namespaces()["net"].to_dict() == {"pause": links["web"], **links}
    assert pod.pause.namespaces["net"] == links["twin"]


def test_a_restarted_container_is_another_process(made, printed):
    pod = made().wait_until("Ready", timeout_seconds=30)
    app, before, pause = pod.container("app"), pod.container("app").process, pod.pause.process
    assert app.process == before
    pod.node.kill(app)
    app.wait_until("restarted", timeout_seconds=30)
    assert (
        printed("get", "pod", "one", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
        == "1"
    )
    assert (app.process == before, pod.pause.process == pause) == (False, True)
    with pytest.raises(TimedOut, match=r"restarts above 1"):
        pod.container("app").wait_until("restarted", timeout_seconds=0.2)


@pytest.mark.parametrize(
    ("container", "spec", "goal", "says"),
    [
        ({"name": "app", "image": "localhost:1/none:1"}, {}, "Ready", "ErrImagePull"),
        (
            {"name": "app", "image": "localhost:1/none:1", "imagePullPolicy": "Never"},
            {},
            "Running",
            "ErrImageNeverPull",
        ),
        (
            {"name": "app", **SLEEP, "envFrom": [{"secretRef": {"name": "none"}}]},
            {},
            "Ready",
            'secret "none" not found',
        ),
        # Without a probe a container is ready for the moment that it runs.
        (
            {**shell("app", "exit 1"), "readinessProbe": {"exec": {"command": ["false"]}}},
            {},
            "Ready",
            "exit code 1",
        ),
        (shell("app", "exit 1"), {"restartPolicy": "Never"}, "Succeeded", "phase Failed"),
        (
            {"name": "app", **SLEEP},
            {"nodeSelector": {"podlab/test": "nowhere"}},
            "Ready",
            "didn't match Pod's node affinity/selector",
        ),
    ],
    ids=["pull", "never pull", "configuration", "crash", "failed", "unschedulable"],
)
def test_a_goal_out_of_reach_ends_the_wait_early(made, container, spec, goal, says):
    with pytest.raises(Impossible, match=f"Pod one can't become {goal} any more: .*{says}"):
        made(container, **spec).wait_until(goal, timeout_seconds=60)


def test_what_is_mended_before_the_wait_is_waited_for(made, here):
    pod = made({"name": "app", **SLEEP, "envFrom": [{"configMapRef": {"name": "late"}}]})
    pod.wait_until(
        lambda now: now.container("app").reason == "CreateContainerConfigError", timeout_seconds=30
    )
    here.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {"a": "1"}}
    )
    assert pod.wait_until("Ready", timeout_seconds=60).container("app").ready


def test_exec_logs_and_the_log_before(made, eventually):
    pod = made(
        shell("app", "echo run $(ls /tmp | wc -l); touch /tmp/x; exec sleep 3600")
    ).wait_until("Ready", timeout_seconds=30)
    assert pod.exec("app", "echo out; echo err >&2; exit 4").returncode == 4
    assert pod.exec("app", ["hostname"]).stdout == "one\n"
    assert eventually(lambda: pod.logs("app")) == "run 0\n", (
        "of a container that has just begun it may still be empty"
    )
    app = pod.container("app")
    pod.node.kill(app)
    app.wait_until("restarted", timeout_seconds=30)
    assert pod.logs("app", previous=True) == "run 0\n"


def test_delete_waits_until_it_is_gone(made, printed):
    pod = made().wait_until("Ready", timeout_seconds=30)
    uid = pod.uid
    pod.delete(timeout_seconds=30)
    assert printed("get", "pods", "-o", "name") == ""
    assert pod.node.processes(uid) == []
    assert pod.delete(timeout_seconds=5) is pod
    assert pod.wait_until("gone", timeout_seconds=5) is pod
    with pytest.raises(LabError, match="not found"):
        pod.phase  # noqa: B018


def test_any_kind_can_be_waited_for(here):
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    here.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"},
            "spec": claim,
        }
    )
    handle = Resource(here, "PersistentVolumeClaim", "data").wait_until(
        "Pending", timeout_seconds=10
    )
    assert handle.now().raw["spec"]["accessModes"] == ["ReadWriteOnce"]
    with pytest.raises(TimedOut, match="PersistentVolumeClaim data wasn't Bound"):
        handle.wait_until("Bound", timeout_seconds=0.2)
    job = {"template": {"spec": {"restartPolicy": "Never", "containers": [shell("app", "true")]}}}
    here.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": job})
    assert (
        Resource(here, "Job", "job")
        .wait_until("Complete", timeout_seconds=30)
        .now()
        .raw["status"]["succeeded"]
        == 1
    )
