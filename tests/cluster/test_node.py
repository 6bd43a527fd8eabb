"""labhelpers.node.node on the cluster. The oracles are kubectl, and what a container sees of
itself."""

import json
import time

import pytest

from labhelpers.errors import LabError
from labhelpers.kube.waiting import wait_until
from labhelpers.node.node import Node
from labhelpers.node.processes import NAMESPACES, first_process

pytestmark = pytest.mark.cluster

IMAGE = "busybox:1.35.0"
RESOURCES = {
    "limits": {"memory": "16Mi", "cpu": "500m"},
    "requests": {"memory": "8Mi", "cpu": "10m"},
}
# Of a container's own cgroup, as it is mounted in the container: version 1, else version 2.
OWN_LIMIT = (
    "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
)
OWN_QUOTA = (
    "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max"
)


@pytest.fixture(scope="module")
def node(connection):
    return Node(connection)


@pytest.fixture
def pod(connection, lab_namespace, kubectl):
    """A Pod of these containers, running, with ways to ask kubectl about it."""

    class Made:
        def __init__(self, **containers):
            commands = {name: what.pop("command") for name, what in containers.items()}
            body = [
                {"name": name, "image": IMAGE, "command": commands[name], **what}
                for name, what in containers.items()
            ]
            spec = {"terminationGracePeriodSeconds": 0, "containers": body}
            metadata = {"name": "one", "namespace": lab_namespace}
            connection.create(
                {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
            )
            self.wait_until(lambda status: "running" in status["state"])
            self.uid = self.now()["metadata"]["uid"]

        def now(self):
            return json.loads(kubectl("get", "pod", "one", "-o", "json", namespace=lab_namespace))

        def status(self, name):
            return next(
                each for each in self.now()["status"]["containerStatuses"] if each["name"] == name
            )

        def id(self, name):
            return self.status(name)["containerID"].removeprefix("containerd://")

        def inside(self, name, script):
            return kubectl(
                "exec", "one", "-c", name, "--", "sh", "-c", script, namespace=lab_namespace
            ).strip()

        def wait_until(self, goal, *names):
            def reached(found):
                statuses = (found or {}).get("status", {}).get("containerStatuses", [])
                return statuses and all(
                    goal(each) for each in statuses if not names or each["name"] in names
                )

            wait_until(
                connection,
                "Pod",
                "one",
                reached,
                what="as this test needs it",
                timeout_seconds=60,
                namespace=lab_namespace,
            )

    return Made


def test_processes_are_what_the_containers_see_of_themselves(node, pod, eventually):
    user = {"securityContext": {"runAsUser": 1234}}
    one = pod(
        a={"command": ["sleep", "3600"], **user}, b={"command": ["sh", "-c", "sleep 3601 & wait"]}
    )
    # That a container runs is said before its shell has started anything.
    eventually(
        lambda: (
            sorted(each.command for each in node.processes(one.uid))
            == ["pause", "sh", "sleep", "sleep"]
        )
    )
    found = node.processes(one.uid)
    first = {name: first_process(found, one.id(name)) for name in "ab"}
    for name in "ab":
        for kind in NAMESPACES:
            assert f"{kind}:[{first[name].namespaces[kind]}]" == one.inside(
                name, f"readlink /proc/1/ns/{kind}"
            )
        assert first[name].command_line == one.inside(name, "tr '\\0' ' ' < /proc/1/cmdline")
        assert first[name].pid_in_container == 1
    assert (first["a"].uid, first["b"].uid) == (1234, 0)
    [child] = [each for each in found if each.parent_pid == first["b"].pid]
    assert (child.command, child.parent_command, child.container_id) == ("sleep", "sh", one.id("b"))
    assert one.inside("b", f"cat /proc/{child.pid_in_container}/comm") == "sleep"
    [pause] = [each for each in found if each.container_id not in (one.id("a"), one.id("b"))]
    assert (pause.command, pause.pid_in_container, pause.parent_command) == (
        "pause",
        1,
        "containerd-shim",
    )
    assert found[0] == pause, "oldest first"
    assert all(abs(each.started_seconds - time.time()) < 120 for each in found)
    assert node.processes("00000000-0000-0000-0000-000000000000") == []


def test_a_dead_process_that_nobody_reaps_is_seen_as_one(node, pod, eventually):
    """The shell's child ends at once; the shell has become a sleep, which does not ask for it."""
    one = pod(a={"command": ["sh", "-c", "true & exec sleep 3600"]})
    id_ = one.id("a")

    def found():
        return [each for each in node.processes(one.uid) if each.container_id == id_]

    eventually(lambda: [each.state for each in found()] == ["S", "Z"])
    own = found()
    assert [(each.pid_in_container == 1, each.state) for each in own] == [(True, "S"), (False, "Z")]
    dead = own[1].pid_in_container
    assert one.inside("a", f"grep State /proc/{dead}/status").split()[1] == "Z"
    assert "net" not in own[1].namespaces


def test_kill_ends_one_container_and_leaves_its_neighbour(node, pod):
    one = pod(a={"command": ["sleep", "3600"]}, b={"command": ["sleep", "3601"]})
    old, before = (
        one.id("a"),
        {name: first_process(node.processes(one.uid), one.id(name)) for name in "ab"},
    )
    one.inside("a", "kill -9 1")
    assert first_process(node.processes(one.uid), old) == before["a"], (
        "a kill from inside does nothing"
    )
    node.kill(f"containerd://{old}")
    one.wait_until(lambda status: status["restartCount"] == 1 and "running" in status["state"], "a")
    assert one.status("a")["lastState"]["terminated"]["exitCode"] == 137
    assert one.status("b")["restartCount"] == 0
    after = node.processes(one.uid)
    assert first_process(after, one.id("b")) == before["b"]
    assert first_process(after, one.id("a")) != before["a"]
    for gone in (old, before["a"]):
        with pytest.raises(LabError, match="already exited"):
            node.kill(gone)


def test_cgroup_values_are_those_that_the_container_sees(node, pod):
    one = pod(
        a={"command": ["sleep", "3600"], "resources": RESOURCES}, b={"command": ["sleep", "3601"]}
    )
    limited, free = node.cgroup(one.id("a")), node.cgroup(one.id("b"))
    assert limited.memory_limit_bytes == int(one.inside("a", OWN_LIMIT)) == 16 * 1024**2
    assert limited.cpu_limit_cores * 100_000 == int(one.inside("a", OWN_QUOTA)) == 50_000
    assert (free.memory_limit_bytes, free.cpu_limit_cores) == (None, None)
    assert 0 < limited.memory_bytes <= limited.memory_peak_bytes <= limited.memory_limit_bytes
    one.inside("b", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
    assert node.cgroup(one.id("b")).cpu_seconds > free.cpu_seconds + 0.05
    assert node.read(f"{limited.directory}/cgroup.procs").split() == [
        str(first_process(node.processes(one.uid), one.id("a")).pid)
    ]
    assert node.cgroup_version == limited.version
    old = one.id("b")
    node.kill(old)
    one.wait_until(lambda status: status["restartCount"] == 1 and "running" in status["state"], "b")
    with pytest.raises(LabError, match="has no cgroup"):
        node.cgroup(old)


def test_the_kernel_log_tells_of_the_container_that_was_killed(node, pod):
    hog = {"command": ["sh", "-c", "sleep 1; exec tail /dev/zero"], "resources": RESOURCES}
    one = pod(a={"command": ["sleep", "3600"]}, hog=hog)
    one.wait_until(lambda status: status["restartCount"] >= 1, "hog")
    ended = one.status("hog")["lastState"]["terminated"]
    # Not its reason: on a busy node the runtime may come too late to see that it was for memory,
    # and says Error (docs/decisions.md).
    assert ended["exitCode"] == 137
    told, killed = node.kernel_log(ended["containerID"])
    assert f"Killed process {told.partition(',pid=')[2].partition(',')[0]} (tail)" in killed
    assert node.kernel_log(one.id("a")) == []


def test_the_nodes_own_namespaces_and_files(node, kubectl):
    def see(*words):
        return kubectl("exec", "node", "--", *words, namespace="podlab-node").strip()

    for kind, inode in node.node_namespaces().items():
        assert see("readlink", f"/proc/1/ns/{kind}") == f"{kind}:[{inode}]"
    assert (
        node.read("/etc/hostname").strip()
        == json.loads(kubectl("get", "nodes", "-o", "json"))["items"][0]["metadata"]["name"]
    )


def test_many_looks_over_one_connection_show_what_single_ones_do(node, pod, eventually):
    one = pod(a={"command": ["sleep", "3600"]})
    looks = node.looks(one.uid, timeout_seconds=30)
    try:
        found = [looks.look() for _ in range(3)]
    finally:
        looks.close()
    assert [each.processes for each in found] == [node.look(one.uid).processes] * 3
    for each in found:
        assert each.begin_seconds <= each.end_seconds
        assert each.sent_seconds < each.received_seconds
    # What was counted in hundredths at the begin of one look is no later than at its end, nor than
    # at the begin of the next.
    assert [each.begin_seconds for each in found] == sorted(each.begin_seconds for each in found)
    with pytest.raises(LabError):
        looks.look()
    # Its loop ends with it, as soon as the runtime has closed its input.
    eventually(
        lambda: (
            one.uid not in node.run("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' || true")
        )
    )


def test_images_are_those_that_the_kubelet_reports(node, kubectl):
    reported = json.loads(kubectl("get", "nodes", "-o", "json"))["items"][0]["status"]["images"]
    names = {name for image in reported for name in image["names"] if "@" not in name}
    assert names
    assert names <= node.images()


@pytest.mark.own_node
def test_the_pod_for_the_node_is_made_again_when_it_is_gone(node, kubectl, pod):
    one = pod(a={"command": ["sleep", "3600"]})
    kubectl("delete", "pod", "node", "--wait", namespace="podlab-node")
    assert len(node.processes(one.uid)) == 2
    made = kubectl("get", "pod", "node", "-o", "jsonpath={.metadata.uid}", namespace="podlab-node")
    node.ensure()
    assert (
        kubectl("get", "pod", "node", "-o", "jsonpath={.metadata.uid}", namespace="podlab-node")
        == made
    )
