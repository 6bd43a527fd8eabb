"""labhelpers.pods without a cluster: the answers of an API server and of a node are given."""

import dataclasses
import math
import time
from types import MappingProxyType, SimpleNamespace

import pytest

from labhelpers import pods
from labhelpers.errors import Impossible, LabError, Refused, TimedOut
from labhelpers.kube.pod_status import resized
from labhelpers.measure import idle
from labhelpers.node import cgroups
from labhelpers.node.processes import Process
from labhelpers.pods import Pod
from labhelpers.predicted import Predicted
from labhelpers.resources import Resource
from labhelpers.snapshots import ContainerSnapshot
from labhelpers.transcript import Transcript
from tests.unit.test_pod_status import conditions, pod, status

SCHEDULED = conditions(PodScheduled=True)


# --- Handles --------------------------------------------------------------------------------------


class Cluster:
    """A connection and a node that answer what they are given."""

    namespace = "lab"

    def __init__(self, raw, *processes):
        self.raw_pod, self.found, self.transcript = raw, list(processes), Transcript()

    def get(self, kind, name):
        return self.raw_pod

    def processes(self, uid):
        self.transcript.note("kubectl exec on the node")
        return self.found if uid == "uid-1" else []


def process(number, command, container, **namespaces):
    inodes = {
        kind: number * 100 + place
        for place, kind in enumerate(("net", "ipc", "uts", "pid", "mnt", "user"))
    }
    return Process(
        number,
        1,
        command,
        command,
        "containerd-shim",
        container,
        number,
        0.0,
        0,
        "S",
        {**inodes, **namespaces},
        1,
        "/",
    )


@pytest.fixture
def cluster():
    """One Pod with the containers b and a: pause, b, a, and a child of b; a crashed once."""
    raw = pod(
        "Running",
        [status("a", "running", restarts=1, last=137), status("b", "running")],
        conditions=SCHEDULED,
    )
    raw["spec"]["containers"].reverse()
    for each, container_id in zip(raw["status"]["containerStatuses"], ("aaa", "bbb"), strict=True):
        each["containerID"] = f"containerd://{container_id}"
    shared = {"net": 7, "ipc": 8, "uts": 9, "user": 1}
    return Cluster(
        raw,
        process(10, "pause", "ppp", **shared),
        process(12, "sh", "bbb", **shared),
        process(13, "sleep", "bbb", **shared, mnt=1204, pid=1203),
        process(20, "pause", "aaa", **shared),  # An app may be called pause as well.
    )


@pytest.fixture
def handle(cluster):
    return Pod(cluster, "one", cluster)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda pod: pod.resize("a", timeout_seconds=1), "There's nothing to resize"),
        (lambda pod: pod.resize("a", limits={}, timeout_seconds=1), "There's nothing to resize"),
        (lambda pod: pod.exec("", "ls"), "'' isn't a valid name for a Container"),
        (lambda pod: pod.logs(""), "'' isn't a valid name for a Container"),
        (lambda pod: pod.exec("a", ""), "There is no command to run"),
        (lambda pod: pod.exec("a", []), "There is no command to run"),
        (lambda pod: pod.exec("a", [""]), "There is no command to run"),
        *(
            (
                lambda pod, cpus=cpus: pod.undisturbed(len, timeout_seconds=1, needs_cpus=cpus),
                f"can't need {cpus:g} CPUs",
            )
            for cpus in (-1, math.nan, math.inf)
        ),
    ],
)
def test_values_that_mean_nothing_are_told_before_anything_is_sent(handle, call, told):
    with pytest.raises(LabError, match=told):
        call(handle)


def test_processes_are_named_by_container_and_lettered_by_namespace(handle):
    table = handle.processes()
    assert table["container"].to_list() == ["pause", "b", "b", "a"]
    assert table["net"].to_list() == ["● a"] * 4
    assert table["pid"].to_list() == ["● a", "● b", "● b", "● c"]
    assert set(table["parent"]) == {"containerd-shim"}


def test_a_dying_process_is_not_taken_for_a_container_without_an_id(handle, cluster):
    """It has left its cgroup; the one that has not been created, and a pause that is gone, have no
    id either."""
    cluster.found[:] = [process(14, "sleep", "")]
    assert set(handle.processes()["container"]) == {"?"}


def test_a_dead_process_has_no_letter(handle, cluster):
    cluster.found.append(dataclasses.replace(process(14, "sh", "bbb"), namespaces={}, state="Z"))
    assert handle.processes()["net"].to_list() == ["● a", "● a", "● a", "", "● a"]
    assert handle.namespaces().index.to_list() == ["pause", "b", "a"]


def test_a_tree_has_each_process_below_its_parent(handle, cluster):
    moved = {13: 12, 20: 10}
    cluster.found = [
        dataclasses.replace(each, parent_pid=moved.get(each.pid, 1)) for each in cluster.found
    ]
    assert handle.tree() == "containerd-shim\n├─ pause\n│  └─ pause (a)\n└─ sh (b)\n   └─ sleep (b)"
    cluster.found = []
    assert handle.tree() == ""


def test_a_process_is_waited_for_until_it_has_become_another_program(handle, cluster, monkeypatch):
    copy = dataclasses.replace(process(14, "sh", "bbb"), command_line="sh -c sleep 1000 &")
    answers = [
        [copy],
        [copy],
        [dataclasses.replace(copy, command="sleep", command_line="sleep 1000")],
    ]
    monkeypatch.setattr(cluster, "processes", lambda uid: answers.pop(0))
    assert handle.process("sleep 1000", timeout_seconds=5).command == "sleep"
    monkeypatch.setattr(cluster, "processes", lambda uid: [copy])
    with pytest.raises(TimedOut, match=r"(?s)no process 'sleep 7'.*there are: sh -c sleep 1000 &"):
        handle.process("sleep 7", timeout_seconds=0.2)


def test_namespaces_are_those_of_the_first_process(handle):
    table = handle.namespaces()
    assert table["net"].to_list() == [7, 7, 7]
    assert table.loc["b", "mnt"] == 1204
    assert table.columns.to_list() == ["net", "ipc", "uts", "pid", "mnt", "user"]


def test_by_hand_lsns_lists_the_namespaces_of_a_process(handle, cluster):
    handle.namespaces()
    (line,) = cluster.transcript.page.lines
    assert line.startswith("kubectl exec ")
    assert line.endswith("'lsns -p 12'"), "of the first container, not of pause"


def test_pause_and_containers_are_found_on_the_node(handle):
    assert handle.pause.process.pid == 10
    assert handle.pause.id == "ppp"
    assert handle.container("b").process.pid == 12
    assert handle.container("a").namespaces["net"] == 7


def test_a_container_without_a_process_says_what_the_api_says(handle, cluster):
    cluster.found.clear()
    with pytest.raises(LabError) as caught:
        handle.container("a").process  # noqa: B018
    assert caught.value.happened == "The container a has no process on the node."
    assert caught.value.seen == "the API says: running"
    with pytest.raises(LabError, match="The pause of Pod one has no process"):
        handle.pause.process  # noqa: B018


def test_a_frozen_pod_does_not_move(handle, cluster):
    before, live = handle.now(), handle.container("a")
    cluster.raw_pod = pod("Running", [status("a", "Error:3", restarts=2), status("b", "running")])
    assert (before.container("a").restarts, live.restarts) == (1, 2)
    assert (before.container("a").state, live.state) == ("running", "terminated")
    assert (before.container("a").exit_code, live.exit_code) == (137, 3)
    assert (before.container("a").reason, live.reason) == ("", "Error")
    assert (before.container("a").id, live.id) == ("aaa", "")
    assert repr(before) == "Pod one, frozen: Running"


def test_a_container_without_a_status_is_waiting():
    container = ContainerSnapshot(pod("Pending"), "app")
    assert (
        container.state,
        container.reason,
        container.restarts,
        container.exit_code,
        container.id,
    ) == ("waiting", "", 0, None, "")
    assert container.image == "busybox:1.35.0"


def test_an_unknown_container_is_told_with_those_that_exist(handle):
    with pytest.raises(LabError) as caught:
        handle.container("web")
    assert str(caught.value).splitlines()[:2] == [
        "The Pod one has no container 'web'.",
        "Seen: its containers are b, a",
    ]


@pytest.mark.parametrize("goal", ["ready", "CrashLoopBackOff", ""])
def test_an_unknown_goal_is_told_with_those_that_exist(handle, goal):
    with pytest.raises(
        LabError, match=r"PodScheduled, .*Ready, Pending, Running, Succeeded, Failed, gone"
    ):
        handle.wait_until(goal, timeout_seconds=1)
    with pytest.raises(LabError, match="running, terminated, restarted"):
        handle.container("a").wait_until(goal, timeout_seconds=1)


def test_each_question_leaves_its_kubectl_line(handle, cluster):
    lines = []
    for ask in (
        lambda: handle.phase,
        lambda: handle.container("a").restarts,
        lambda: handle.kubectl_status,
        handle.processes,
    ):
        ask()
        lines.append(list(cluster.transcript.page.lines))
    assert lines == [
        ["kubectl get pod one -o jsonpath='{.status.phase}'"],
        [
            """kubectl get pod one -o jsonpath='{.status.containerStatuses[?(@.name=="a")].restartCount}'"""  # noqa: E501
        ],
        ["kubectl get pod one"],
        ["kubectl exec on the node"],
    ]


def test_a_question_leaves_the_line_of_the_official_client_too(handle, cluster):
    assert handle.phase == handle.container("a").now().state.title() == "Running"
    read = "client.CoreV1Api().read_namespaced_pod('one', 'lab')"
    assert cluster.transcript.page.python == [read]
    handle.container("a")
    assert [use.helper for use in cluster.transcript.first_use()] == ["Pod.phase", "Container.now"]


def test_a_wait_is_named_in_kubectls_words(monkeypatch, cluster):
    asked = []
    monkeypatch.setattr("labhelpers.kube.waiting.wait_until", lambda *_, **more: asked.append(more))
    for goal in ("Ready", "Running", "gone"):
        assert repr(Pod(cluster, "one").wait_until(goal, timeout_seconds=30)) == "Pod one"
        asked.append(cluster.transcript.page.lines[0])
    Resource(cluster, "PersistentVolumeClaim", "data").wait_until("Bound", timeout_seconds=2.5)
    assert [each for each in asked if isinstance(each, str)] == [
        "kubectl wait --for=condition=Ready pod/one --timeout=30s",
        "kubectl wait --for=jsonpath='{.status.phase}'=Running pod/one --timeout=30s",
        "kubectl wait --for=delete pod/one --timeout=30s",
    ]
    assert cluster.transcript.page.lines == [
        "kubectl wait --for=jsonpath='{.status.phase}'=Bound persistentvolumeclaim/data"
        " --timeout=2.5s"
    ]


# --- Predicted, found, resized --------------------------------------------------------------------

MI = 1024**2
ASKED = {"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}}
FILES = {
    "/m/memory.limit_in_bytes": "67108864\n",
    "/c/cpu.shares": "102\n",
    "/c/cpu.cfs_quota_us": "50000\n",
    "/c/cpu.cfs_period_us": "100000\n",
}


class MeasuredNode(Cluster):
    """A node that answers with files, and for its processes with an oom_score_adj."""

    formula_inputs = MappingProxyType(
        {"version": 1, "node_memory_bytes": 10 * 1024 * MI, "floor": 1}
    )
    pod_conversion = "old"
    files, adjusted = MappingProxyType(FILES), "997\n"

    def cgroup(self, container_id, *, of_pod=False):
        self.asked = (container_id, of_pod)
        return cgroups.measure({"memory": "/m", "cpu": "/c"}, self.files)

    def read(self, path):
        assert path == "/proc/20/oom_score_adj"
        return self.adjusted


def resized_pod(*conditions, generation=3, observed=3, found=ASKED, wanted=ASKED):
    raw = pod(
        "Running",
        [{**status("app", "running"), "allocatedResources": found["requests"], "resources": found}],
    )
    raw["spec"]["containers"][0]["resources"] = wanted
    raw["metadata"]["generation"] = generation
    raw["status"] |= {"observedGeneration": observed, "conditions": list(conditions)}
    raw["status"]["containerStatuses"][0]["containerID"] = "containerd://aaa"
    return raw


@pytest.fixture
def measured():
    """A Pod with one container, on a node that has what was asked for."""
    node = MeasuredNode(resized_pod(), process(20, "sleep", "aaa"))
    return Pod(node, "one", node), node


def test_predicted_and_found_have_the_same_names(measured):
    handle, node = measured
    predicted, found = handle.predicted["app"], handle.container("app").cgroup
    assert predicted.oom_score_adj == handle.container("app").oom_score_adj == 997
    for name in ("cpu_shares", "cpu_quota_us", "cpu_period_us", "memory_limit_bytes"):
        assert getattr(predicted, name) == getattr(found, name) is not None
    assert (
        list(handle.predicted),
        handle.predicted.qos_class,
        handle.predicted.pod.cpu_quota_us,
    ) == (["app"], "Burstable", 50_000)
    assert node.asked == ("aaa", False)
    assert handle.cgroup.memory_limit_bytes == 64 * MI
    assert node.asked == ("aaa", True)


def parts(usage, anonymous, cache, shared):
    of = {"rss": anonymous, "cache": cache, "shmem": shared}
    stat = "".join(f"total_{name} {number}\n" for name, number in of.items())
    return cgroups.measure(
        {"memory": "/m"}, {"/m/memory.usage_in_bytes": str(usage), "/m/memory.stat": stat}
    )


# What Linux 6.18 said of a cgroup with others below it, at once and within two seconds: when 40 MiB
# had been written in one of those, when the file had been removed, and when a program had taken
# them from files; and what the one below said of the last at once.
WRITTEN = (
    parts(42_491_904, 1_167_360, 24_031_232, 23_998_464),
    parts(42_491_904, 0, 41_975_808, 41_943_040),
)
REMOVED = parts(659_456, 0, 41_955_328, 41_943_040), parts(659_456, 0, 24_576, 0)
GAVE_WAY = parts(66_347_008, 245_760, 65_011_712, 0), parts(65_994_752, 48_975_872, 16_777_216, 0)
BELOW = parts(65_974_272, 48_975_872, 16_777_216, 0)


@pytest.mark.parametrize(
    ("early", "late", "below", "shared"),
    [
        (*WRITTEN, WRITTEN[1], 41_943_040),
        (*REMOVED, REMOVED[1], 0),
        (*GAVE_WAY, BELOW, 0),
        # A container that is killed as a group leaves what lies in a memory volume to the Pod's
        # cgroup: that has more than those below.
        (*WRITTEN, REMOVED[1], 41_943_040),
    ],
    ids=["written", "removed", "files gave way", "left by a killed group"],
)
def test_the_parts_of_memory_are_read_until_they_add_up(measured, early, late, below, shared):
    handle, node = measured
    answers = [early, early, early, late]
    node.cgroup = lambda id_, of_pod=False: answers.pop(0) if of_pod else below
    settled = handle.settled_cgroup()
    assert (settled, settled.memory_shared_bytes, answers) == (late, shared, [])


def test_parts_that_never_add_up_are_given_as_they_are(measured, monkeypatch):
    handle, node = measured
    monkeypatch.setattr(pods, "ADDED_UP_SECONDS", 0.3)
    node.cgroup = lambda id_, of_pod=False: WRITTEN[0]
    begin = time.monotonic()
    assert handle.settled_cgroup().memory_shared_bytes == 23_998_464
    assert 0.3 <= time.monotonic() - begin < 2


class Machine:
    """A node of two CPUs whose clock goes on by a second, and the Pod's CPU time by a tenth, while
    something is measured."""

    def __init__(self, others):
        self.others, self.seconds, self.hundredths = list(others), 0.0, 1000

    def measure(self):
        self.seconds += 1
        taken = self.others.pop(0)
        self.hundredths += round(100 * (taken + 0.1))
        return taken

    def read(self, path):
        assert path == "/proc/stat"
        # user, nice, system, idle, iowait, irq, softirq, steal, guest. Idle and iowait are
        # nobody's, and guest is in user already.
        idle = round(1e6 - 100 * self.seconds)
        return (
            f"cpu  {self.hundredths // 8} 0 0 {idle} {idle} 0 0"
            f" {self.hundredths - self.hundredths // 8} 50\ncpu0 1\ncpu1 1\nintr 5\n"
        )

    def cgroup(self, id_, of_pod=False):
        return cgroups.measure(
            {"cpuacct": "/c"}, {"/c/cpuacct.usage": str(round(self.seconds * 1e8))}
        )


@pytest.mark.parametrize(
    ("others", "limit", "found"),
    [([0.4, 0.1], 60, 0.4), ([0.9, 0.6, 0.3, 0.1], 60, 0.3), ([0.9, 0.6, 0.7, 0.2], 2, 0.6)],
    ids=["quiet", "quiet at last", "never quiet: the calmest"],
)
def test_what_is_measured_while_others_take_the_cpus_is_measured_again(
    measured, monkeypatch, others, limit, found
):
    handle, node = measured
    machine = Machine(others)
    node.read, node.cgroup = machine.read, machine.cgroup
    monkeypatch.setattr(idle, "time", SimpleNamespace(monotonic=lambda: machine.seconds))
    assert handle.undisturbed(machine.measure, timeout_seconds=limit) == found


def test_what_needs_little_is_disturbed_by_more(measured, monkeypatch):
    handle, node = measured
    machine = Machine([1.7, 0.1])
    node.read, node.cgroup = machine.read, machine.cgroup
    monkeypatch.setattr(idle, "time", SimpleNamespace(monotonic=lambda: machine.seconds))
    assert handle.undisturbed(machine.measure, timeout_seconds=60, needs_cpus=0.1) == 1.7


def test_what_the_kernel_itself_uses_is_a_part_on_version_2():
    """Beside a file of 200 MiB the kernel used 2.3 MiB: beside a larger one it would use more."""
    kernel = 4 << 20
    stat = f"anon 4096\nfile 8192\nshmem 0\nkernel {kernel}"
    texts = {"/m/memory.current": str(12288 + kernel), "/m/memory.stat": stat}
    assert cgroups.measure({"": "/m"}, texts).adds_up([])
    texts["/m/memory.stat"] = stat.partition("\nkernel")[0]
    assert not cgroups.measure({"": "/m"}, texts).adds_up([])


def test_without_the_kernels_account_nothing_adds_up():
    assert not cgroups.measure({"memory": "/m"}, {"/m/memory.usage_in_bytes": "4096"}).adds_up([])


def test_the_other_version_is_predicted_as_well(measured):
    _, node = measured
    predicted = Predicted(node.raw_pod, {"version": 2, "conversion": "old"}, "new")
    assert (predicted["app"].cpu_weight, predicted.pod.cpu_weight) == (4, 17)
    assert "app" in predicted
    with pytest.raises(LabError, match="has no container 'web'"):
        predicted["web"]


def test_a_verdict_names_what_is_not_as_predicted(measured):
    handle, node = measured
    verdict = handle.as_predicted()
    assert (verdict, repr(verdict)) == ("as predicted for this node", "as predicted for this node")
    assert verdict.table.columns.to_list() == ["container", "value", "predicted", "found"]
    assert verdict.table["value"].to_list() == [
        "cpu_shares",
        "cpu_quota_us",
        "cpu_period_us",
        "memory_limit_bytes",
        "oom_score_adj",
    ]
    node.files, node.adjusted = (
        {
            **FILES,
            "/c/cpu.shares": "100\n",
            "/m/memory.limit_in_bytes": "9223372036854771712\n",
        },
        "1000\n",
    )
    assert handle.as_predicted().split("; ") == [
        "app: cpu_shares is 100, predicted 102",
        "app: memory_limit_bytes is None, predicted 67108864",
        "app: oom_score_adj is 1000, predicted 997",
    ]
    node.raw_pod = pod("Pending", [status("app", "waiting:ErrImagePull")])
    assert handle.as_predicted() == "nothing of the Pod runs"


def condition(kind, reason="", generation=3):
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": "words",
        "observedGeneration": generation,
    }


OTHER = {
    "requests": {"cpu": "0.1", "memory": "33554432"},
    "limits": {"cpu": "300m", "memory": "64Mi"},
}
RESIZED = {
    "done": (resized_pod(), "done"),
    "done, the same amounts in other words": (
        resized_pod(wanted={**ASKED, "requests": OTHER["requests"]}),
        "done",
    ),
    "not looked at yet": (resized_pod(observed=2), None),
    "looked at, not in the cgroup yet": (resized_pod(wanted=OTHER), None),
    "begun": (resized_pod(condition("PodResizeInProgress")), None),
    "no room": (resized_pod(condition("PodResizePending", "Deferred")), "deferred"),
    "never": (resized_pod(condition("PodResizePending", "Infeasible")), "infeasible"),
    "no room, of the resize before": (
        resized_pod(condition("PodResizePending", "Deferred", 2)),
        None,
    ),
    "an error": (resized_pod(condition("PodResizeInProgress", "Error")), "error"),
    "an error, of the resize before": (
        resized_pod(condition("PodResizeInProgress", "Error", 2)),
        None,
    ),
    "over": (resized_pod({**condition("PodResizePending", "Deferred"), "status": "False"}), "done"),
}


@pytest.mark.parametrize(("raw", "outcome"), RESIZED.values(), ids=RESIZED)
def test_what_became_of_a_resize(raw, outcome):
    found = resized(raw, "app", 3)
    assert (found and found[0]) == outcome
    assert found is None or found[1] == ("" if outcome == "done" else "words")


@pytest.mark.parametrize(
    ("raw", "outcome"), [(raw, outcome) for raw, outcome in RESIZED.values() if outcome]
)
def test_a_resize_ends_in_one_of_four_ways(monkeypatch, measured, raw, outcome):
    handle, node = measured
    patched = []
    node.patch = lambda *words, **more: patched.append((*words, more)) or raw
    monkeypatch.setattr(
        "labhelpers.kube.waiting.wait_until", lambda *words, **more: raw if words[3](raw) else None
    )
    if outcome == "infeasible":
        with pytest.raises(Refused) as caught:
            handle.resize("app", limits={"cpu": "9"}, timeout_seconds=1)
        assert (caught.value.reason, caught.value.message) == ("Infeasible", "words")
    else:
        assert handle.resize("app", limits={"cpu": "9"}, timeout_seconds=1).outcome == outcome
    assert patched == [
        (
            "Pod",
            "one",
            {"spec": {"containers": [{"name": "app", "resources": {"limits": {"cpu": "9"}}}]}},
            {"subresource": "resize", "patch_type": "strategic"},
        )
    ]
    body = '{"spec": {"containers": [{"name": "app", "resources": {"limits": {"cpu": "9"}}}]}}'
    assert node.transcript.page.lines == [
        f"kubectl patch pod one --subresource resize --patch '{body}'"
    ]


def test_a_resize_of_a_pod_that_ends_is_given_up(monkeypatch, measured):
    handle, node = measured
    node.patch = lambda *_, **__: resized_pod(observed=2)

    def wait(*_, impossible, **__):
        if impossible(pod("Failed")):
            raise Impossible("It cannot.", "ended", "Look.")

    monkeypatch.setattr("labhelpers.kube.waiting.wait_until", wait)
    with pytest.raises(Impossible):
        handle.resize("app", limits={"cpu": "9"}, timeout_seconds=1)
