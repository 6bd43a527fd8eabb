"""Each formula against the real node. The oracle is the kernel's own file, read by kubectl inside
the container, and what kubectl says.

The tests that load the CPUs want the node for themselves: on a busy one a container is not given
the time that its limit would take away.
"""

import json
import time

import pytest

from labhelpers import formulas
from labhelpers.errors import LabError, Refused
from labhelpers.node import cgroups
from labhelpers.node.node import Node
from labhelpers.pods import Pod

pytestmark = pytest.mark.cluster

MI = 1024**2
PERIOD_SECONDS = 0.1
# In a container its own cgroup is mounted: version 1 with a folder for each controller, else
# version 2.
CAT = "cd /sys/fs/cgroup; cat {controller}/{name} 2>/dev/null || cat {name}"


def container(name="app", requests=None, limits=None, **more):
    resources = {"requests": requests or {}, "limits": limits or {}}
    return {
        "name": name,
        "image": "busybox:1.35.0",
        "command": ["sleep", "3600"],
        "resources": resources,
        **more,
    }


def body(name, *containers, **spec):
    metadata = {"name": name}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"terminationGracePeriodSeconds": 1, "containers": list(containers), **spec},
    }


# Limits of memory in multiples of 64 KiB hold to the byte on every page size; "odd" is one that
# does not.
PODS = {
    "best-effort": body("best-effort", container()),
    "burstable": body(
        "burstable",
        container(requests={"cpu": "100m"}, limits={"cpu": "500m", "memory": "64Mi"}),
        container("free"),
    ),
    "guaranteed": body("guaranteed", container(limits={"cpu": "50m", "memory": "32Mi"})),
    "odd": body("odd", container(requests={"cpu": "1m"}, limits={"cpu": "15m", "memory": "100M"})),
    "least": body(
        "least",
        container(requests={"cpu": "1m", "memory": "2Gi"}, limits={"cpu": "5m", "memory": "2Gi"}),
    ),
    "sidecar": body(
        "sidecar",
        container(requests={"memory": "2Gi"}),
        container("small", requests={"memory": "1Gi"}),
        initContainers=[container("helper", requests={"memory": "64Mi"}, restartPolicy="Always")],
    ),
    "on-pod": body(
        "on-pod",
        container(),
        container("own", limits={"memory": "32Mi"}),
        resources={
            "requests": {"cpu": "50m", "memory": "1Gi"},
            "limits": {"cpu": "500m", "memory": "1Gi"},
        },
    ),
    "critical": body(
        "critical", container(limits={"memory": "16Mi"}), priorityClassName="system-node-critical"
    ),
}


@pytest.fixture
def here(connection, lab_namespace):
    return connection.within(lab_namespace)


@pytest.fixture
def made(here):
    """Makes Pods, and gives the handle of each when all are ready."""

    def make(*bodies):
        for each in bodies:
            here.create(each)
        node = Node(here)
        return [
            Pod(here, each["metadata"]["name"], node).wait_until("Ready", timeout_seconds=60)
            for each in bodies
        ]

    return make


@pytest.fixture
def inside(kubectl, lab_namespace):
    """What a shell prints in a container."""
    return lambda pod, name, script: kubectl(
        "exec", pod.name, "-c", name, "--", "sh", "-c", script, namespace=lab_namespace
    ).strip()


@pytest.fixture
def said(kubectl, lab_namespace):
    """What the API says of a Pod, by kubectl."""
    return lambda pod: json.loads(
        kubectl("get", "pod", pod.name, "-o", "json", namespace=lab_namespace)
    )


def cat(inside, pod, name, file):
    controller = "memory" if file.startswith("memory") else "cpu"
    return inside(pod, name, CAT.format(controller=controller, name=file))


def shown(inside, pod, name, files):
    """The text of several files, and oom_score_adj, in one call."""
    lines = [
        CAT.format(controller="memory" if file.startswith("memory") else "cpu", name=file)
        for file in files
    ]
    *texts, adjusted = inside(
        pod, name, "; ".join([*lines, "cat /proc/1/oom_score_adj"])
    ).splitlines()
    return dict(zip(files, texts, strict=True)), int(adjusted)


def numbers(text):
    """Of a file that has a key and a number in each line."""
    return {key: int(number) for key, number in map(str.split, text.splitlines())}


def test_every_file_is_as_predicted_from_the_manifest(made, inside, said):
    """Nothing of what the API server filled in is used here, and of the node only what
    ``formula_inputs`` tells."""
    for pod in made(*PODS.values()):
        manifest, inputs = PODS[pod.name], pod.node.formula_inputs
        predicted = {
            each["name"]: formulas.cgroup_values(manifest, each["name"], **inputs)
            for each in _containers(manifest)
        }
        texts = {name: cgroups.written(values) for name, values in predicted.items()}
        expected = {name: (texts[name], values.oom_score_adj) for name, values in predicted.items()}
        assert {name: shown(inside, pod, name, texts[name]) for name in predicted} == expected, (
            pod.name
        )
        assert formulas.qos_class(manifest) == said(pod)["status"]["qosClass"]
        assert pod.as_predicted() == "as predicted for this node"
        assert set(pod.as_predicted().table["container"]) == set(predicted)


def _containers(manifest):
    return [*manifest["spec"].get("initContainers", []), *manifest["spec"]["containers"]]


def test_the_pods_own_files_are_as_predicted(made, kubectl):
    for pod in made(*(PODS[name] for name in ("best-effort", "burstable", "guaranteed", "on-pod"))):
        uid = pod.uid.replace("-", "_")
        for file, text in cgroups.written(pod.predicted.pod).items():
            tree = (
                "/sys/fs/cgroup"
                if pod.node.cgroup_version == 2
                else f"/sys/fs/cgroup/{'memory' if file[0] == 'm' else 'cpu'}"
            )
            find = f"cat $(find {tree} -type d -name '*pod{uid}*' | head -1)/{file}"
            words = ("exec", "node", "--", "nsenter", "-t", "1", "-m", "--", "sh", "-c", find)
            assert kubectl(*words, namespace="podlab-node").strip() == text, (pod.name, file)
        assert pod.cgroup.memory_limit_bytes == pod.predicted.pod.memory_limit_bytes


def test_the_floor_is_the_runtimes_own(connection):
    """What pause was given is the value of the process that starts containers, or there is no floor
    at all."""
    node = Node(connection)
    script = (
        "for file in /proc/[0-9]*/comm; do grep -qx containerd $file && cat"
        " ${file%comm}oom_score_adj; done 2>/dev/null; true"
    )
    assert node.formula_inputs["floor"] in (None, int(node.run(script).split()[0]))
    capacity = int(
        formulas.quantity(
            connection.raw("/api/v1/nodes")["items"][0]["status"]["capacity"]["memory"]
        )
    )
    assert node.formula_inputs["node_memory_bytes"] == capacity
    assert formulas.quantity(f"{node.run('grep MemTotal /proc/meminfo').split()[1]}Ki") == capacity


# --- Resizing -------------------------------------------------------------------------------------


def resize_conditions(status):
    found = {each["type"]: each.get("reason", "") for each in status["conditions"]}
    return {name: reason for name, reason in found.items() if name.startswith("PodResize")}


def test_a_resize_changes_the_cgroup_and_restarts_nothing(made, inside, said):
    (pod,) = made(
        body(
            "one",
            container(
                requests={"cpu": "50m", "memory": "32Mi"}, limits={"cpu": "100m", "memory": "64Mi"}
            ),
        )
    )
    began = pod.container("app").process
    done = pod.resize(
        "app",
        requests={"cpu": "100m"},
        limits={"cpu": "300m", "memory": "128Mi"},
        timeout_seconds=30,
    )
    assert (done.outcome, done.message, repr(done)) == ("done", "", "done")
    assert 0 < done.seconds < 30
    manifest = body(
        "one", container(requests={"cpu": "100m"}, limits={"cpu": "300m", "memory": "128Mi"})
    )
    changed = formulas.cgroup_values(manifest, "app", pod.node.cgroup_version)
    assert {
        file: cat(inside, pod, "app", file) for file in cgroups.written(changed)
    } == cgroups.written(changed)
    assert said(pod)["status"]["containerStatuses"][0]["restartCount"] == 0
    assert pod.container("app").process == began
    assert pod.as_predicted() == "as predicted for this node"
    # systemd rounds 155m up to 160m; what was asked for is done all the same.
    assert pod.resize("app", limits={"cpu": "155m"}, timeout_seconds=30).outcome == "done"
    assert pod.as_predicted() == "as predicted for this node"
    assert pod.resize("app", limits={"cpu": "300m"}, timeout_seconds=30).outcome == "done"
    # What is there already is done, too.
    assert pod.resize("app", limits={"cpu": "300m"}, timeout_seconds=10).outcome == "done"


def test_oom_score_adj_comes_with_the_next_start(made, inside):
    (pod,) = made(body("one", container(requests={"memory": "64Mi"})))
    old, app = pod.predicted["app"].oom_score_adj, pod.container("app")
    assert pod.resize("app", requests={"memory": "2Gi"}, timeout_seconds=30).outcome == "done"
    new = pod.predicted["app"].oom_score_adj
    assert old > new
    assert int(inside(pod, "app", "cat /proc/1/oom_score_adj")) == app.oom_score_adj == old
    assert pod.as_predicted() == f"app: oom_score_adj is {old}, predicted {new}"
    pod.node.kill(app)
    app.wait_until("restarted", timeout_seconds=30)
    assert int(inside(pod, "app", "cat /proc/1/oom_score_adj")) == app.oom_score_adj == new


@pytest.mark.own_node
def test_no_room_now_is_deferred(made, said, connection):
    (pod,) = made(body("one", container(requests={"cpu": "50m"})))
    allocatable = connection.raw("/api/v1/nodes")["items"][0]["status"]["allocatable"]["cpu"]
    deferred = pod.resize("app", requests={"cpu": allocatable}, timeout_seconds=30)
    assert (deferred.outcome, resize_conditions(said(pod)["status"])) == (
        "deferred",
        {"PodResizePending": "Deferred"},
    )
    assert "cpu" in deferred.message
    assert pod.resize("app", requests={"cpu": "50m"}, timeout_seconds=30).outcome == "done"
    assert resize_conditions(said(pod)["status"]) == {}


def test_a_limit_below_what_is_in_use_is_an_error_that_stays(made, inside, said):
    (pod,) = made(body("one", container(limits={"memory": "64Mi"}, requests={"memory": "16Mi"})))
    inside(pod, "app", "dd if=/dev/zero of=/dev/shm/held bs=1M count=40")
    error = pod.resize("app", limits={"memory": "16Mi"}, timeout_seconds=60)
    assert (error.outcome, resize_conditions(said(pod)["status"])) == (
        "error",
        {"PodResizeInProgress": "Error"},
    )
    assert pod.container("app").cgroup.memory_limit_bytes == 64 * MI
    assert pod.resize("app", limits={"memory": "64Mi"}, timeout_seconds=60).outcome == "done"
    assert said(pod)["status"]["containerStatuses"][0]["restartCount"] == 0


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"limits": {"cpu": "100m", "memory": "16Mi"}}, ("Invalid", "Forbidden")),  # Guaranteed
        ({"requests": {"cpu": "10000"}}, ("Invalid", "Forbidden", "Infeasible")),
        ({"requests": {"nvidia.com/gpu": "1"}}, ("Invalid", "Forbidden")),
    ],
)
def test_what_can_never_be_is_refused(made, change, reasons):
    (pod,) = made(body("one", container(requests={"cpu": "100m", "memory": "16Mi"})))
    with pytest.raises(Refused) as caught:
        pod.resize("app", **change, timeout_seconds=30)
    assert caught.value.reason in reasons
    assert caught.value.message


def test_a_resize_of_a_container_that_is_not_there_says_which_exist(made):
    (pod,) = made(body("one", container()))
    with pytest.raises(LabError, match="has no container 'web'"):
        pod.resize("web", limits={"cpu": "1"}, timeout_seconds=1)


# --- With load ------------------------------------------------------------------------------------


LOAD = pytest.mark.rota(group="load")
LOAD_SECONDS = 5
# may be all on the CPU of the one thread that is measured: it gets its 20 ms of each period all the
# same
OTHERS_CPUS = 0.5


def node_seconds(inside, pod, name):
    """CPU time that all of the node has used so far, in seconds: /proc/stat is the node's in every
    container."""
    words = inside(pod, name, "head -1 /proc/stat").split()[1:]
    return sum(int(words[place]) for place in (0, 1, 2, 5, 6, 7)) / 100


def alone(inside, pod, measure):
    """What is measured while others leave the CPUs alone, and how many CPUs they had even so, with
    the time that was stolen.

    No formula knows how long a container waits for others.
    """
    others = 0.0
    for _ in range(5):
        before = node_seconds(inside, pod, "free"), pod.cgroup.cpu_seconds, time.monotonic()
        found = measure()
        after = node_seconds(inside, pod, "free"), pod.cgroup.cpu_seconds, time.monotonic()
        node, own, wall = (end - begin for begin, end in zip(before, after, strict=True))
        others = (node - own) / wall
        if others <= OTHERS_CPUS:
            return found, others
    return pytest.skip(f"others used {others:.1f} CPUs each time: more than {OTHERS_CPUS}")


def counted(inside, pod, name, script):
    """What cpu.stat counted while a script ran: seconds that it took, periods, throttled periods,
    throttled seconds.

    All of it in one exec: the start of another would be counted, too.
    """
    look = (
        "read -r up rest < /proc/uptime; echo hundredths ${up%.*}${up#*.};"
        f" {CAT.format(controller='cpu', name='cpu.stat')}"
    )
    before, after = map(numbers, inside(pod, name, f"{look}; echo; {script}; {look}").split("\n\n"))
    grown = {key: after[key] - before[key] for key in after}
    seconds = (
        grown["throttled_usec"] / 1e6
        if "throttled_usec" in grown
        else grown["throttled_time"] / 1e9
    )
    return grown["hundredths"] / 100, grown["nr_periods"], grown["nr_throttled"], seconds


@pytest.fixture
def limited(made):
    """A Pod whose container app may use 0.2 CPUs. The one beside it keeps the Pod itself without a
    quota."""
    return made(body("one", container(limits={"cpu": "200m"}), container("free")))[0]


@LOAD
def test_a_demand_above_the_limit_is_throttled_in_each_period(limited, inside):
    spin = f"timeout {LOAD_SECONDS} sh -c 'while :; do :; done' || true"
    (wall, periods, throttled, seconds), others = alone(
        inside, limited, lambda: counted(inside, limited, "app", spin)
    )
    assert wall / PERIOD_SECONDS - 3 <= periods <= wall / PERIOD_SECONDS + 3
    assert throttled / periods == pytest.approx(formulas.throttled_share(1, 0.2), abs=0.15)
    # Where others take their turn, a quota lasts longer, and less of the period is left to be held
    # back: at worst, with all that others had on this one CPU. And a period may count or not at
    # each end.
    most, least = (
        formulas.throttled_seconds(1, limit, wall) for limit in (0.2, 0.2 / (1 - others))
    )
    assert least - 2 * PERIOD_SECONDS <= seconds <= most + 2 * PERIOD_SECONDS


@LOAD
def test_a_demand_below_the_limit_is_not(limited, inside):
    """Each turn starts one program, and then nothing wants to run: some hundredths of a CPU."""
    turns = "n=0; while [ $n -lt 40 ]; do sleep 0.1; n=$((n + 1)); done"
    (_, periods, throttled, _), _ = alone(
        inside, limited, lambda: counted(inside, limited, "app", turns)
    )
    assert periods >= 20
    assert throttled / periods == pytest.approx(formulas.throttled_share(0.05, 0.2), abs=0.1)


# Only what the shell does itself, so that no other program's start is counted. Times are in
# hundredths of a second.
BURSTS = """
now() { read -r up rest < /proc/uptime; now=${up%.*}${up#*.}; }
used() { if [ -d /sys/fs/cgroup/cpuacct ]; then read -r used < /sys/fs/cgroup/cpuacct/cpuacct.usage; used=$((used / 1000))
         else read -r key used < /sys/fs/cgroup/cpu.stat; fi; }
turn=0
while [ $turn -lt 12 ]; do
  sleep 0.3
  used; before=$used; now; began=$now
  n=0; while [ $n -lt COUNT ]; do n=$((n + 1)); done
  now; used; echo $((now - began)) $((used - before)); turn=$((turn + 1))
done
"""  # noqa: E501


@LOAD
def test_a_burst_takes_the_time_predicted_from_its_cpu_time(limited, inside):
    """At worst that, and at best, when it began late in a period, a period's waiting less. One of
    twelve may be late for another reason."""

    def bursts(name):
        lines = inside(limited, name, BURSTS.replace("COUNT", "100000")).splitlines()
        return [
            (int(hundredths) / 100, int(used_us) / 1e6)
            for hundredths, used_us in map(str.split, lines)
        ]

    (held, free), _ = alone(inside, limited, lambda: (bursts("app"), bursts("free")))
    worst = [formulas.burst_seconds(used, 0.2) for _, used in held]
    off = [took - most for (took, _), most in zip(held, worst, strict=True)]
    assert (
        len([each for each in off if -(1 - 0.2) * PERIOD_SECONDS - 0.03 <= each <= 0.03]) >= 11
    ), off
    # Without a limit it takes its CPU time: the same burst, in the container beside.
    beyond = sorted(took - formulas.burst_seconds(used, None) for took, used in free)
    assert abs(beyond[len(beyond) // 2]) <= 0.02
    assert sum(took for took, _ in held) > 2 * sum(took for took, _ in free)


# One loop on each CPU, and it stays there. Of loops that may move, two of one container sit on one
# CPU for a while, and where others run as well, that lasts: any part from 0.25 to 0.50 was seen
# where 0.25 was to be expected.
CPUS = "$(grep ^processor /proc/cpuinfo | cut -d : -f 2)"
# They begin after a pause, in which all else is sent: an exec under full load may take as long as
# it likes.
LOOPS = (
    f"for cpu in {CPUS}; do {{ sleep 3; timeout 14 taskset -c $cpu sh -c 'while :; do :; done'; }}"
    " >/dev/null 2>&1 & done"
)
# Both are read in one look, twice: what starts or ends later than the other does not count.
LOOKS = "sleep 6; cat {one} {other}; sleep 4; cat {one} {other}"


@pytest.mark.parametrize(
    "apart",
    [
        pytest.param(False, id="two containers of one Pod", marks=LOAD),
        pytest.param(True, id="two Pods", marks=pytest.mark.alone),
    ],
)
def test_contention_divides_by_what_the_node_has(made, inside, kubectl, apart):
    """Each wants all CPUs. The bound is a fiftieth of all that they get; others leave them less to
    divide, and change nothing else."""
    small, big = (
        container("small", requests={"cpu": "50m"}),
        container("big", requests={"cpu": "150m"}),
    )
    pods = made(body("a", small), body("b", big)) if apart else made(body("both", small, big)) * 2
    where = dict(zip(("small", "big"), pods, strict=True))
    own = {name: pod.cgroup if apart else pod.container(name).cgroup for name, pod in where.items()}
    predicted = {
        name: pod.predicted.pod if apart else pod.predicted[name] for name, pod in where.items()
    }
    weights = {name: found.cpu_shares or found.cpu_weight for name, found in own.items()}
    assert weights == {
        name: values.cpu_weight or values.cpu_shares for name, values in predicted.items()
    }
    for name, pod in where.items():
        inside(pod, name, LOOPS)
    file = {1: "cpuacct.usage", 2: "cpu.stat"}[pods[0].node.cgroup_version]
    one, other = (
        f"{own[name].directory.replace('/memory/', '/cpuacct/', 1)}/{file}"
        for name in ("small", "big")
    )
    words = (
        "exec",
        "node",
        "--",
        "nsenter",
        "-t",
        "1",
        "-m",
        "--",
        "sh",
        "-c",
        LOOKS.format(one=one, other=other),
    )
    text = kubectl(*words, namespace="podlab-node")
    used = [
        int(line.split()[-1])
        for line in text.splitlines()
        if line.isdigit() or line.startswith("usage_usec")
    ]
    got = {"small": used[2] - used[0], "big": used[3] - used[1]}
    split = formulas.contention_split(weights, cpus=1)
    assert got["small"] / sum(got.values()) == pytest.approx(split["small"], abs=0.02), got
