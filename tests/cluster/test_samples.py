"""labhelpers.measure.samples and the slider on the cluster. The oracles are kubectl, what a
container says of itself, and the node's own files."""

import itertools
import json
import signal
import subprocess
import sys
import threading
import time

import pytest

from labhelpers import paths
from labhelpers.errors import LabError
from labhelpers.lab import Lab
from labhelpers.measure.loop import INTERVAL_SECONDS
from labhelpers.measure.samples import Samples
from labhelpers.polling import poll

pytestmark = pytest.mark.cluster

LIMIT_BYTES = 64 << 20
# To 40 MiB at once, then a MiB about every 50 ms: so the last twentieth of the limit takes more
# than a tenth of a second. Its second life finds what the first has left in the sandbox's memory,
# and sits still: else it is killed again before the block has ended.
HOG = (
    'BEGIN { if ((getline line < "/dev/shm/again") > 0) system("sleep 3600"); print "x" >'
    ' "/dev/shm/again"; close("/dev/shm/again"); s = sprintf("%1048576s", "x"); for (i = 0; i < 99;'
    " i++) { a[i] = s i; if (i > 40) for (j = 0; j < 150000; j++) k += j } }"
)
# Where a container sees its own high-water mark, on either version.
OWN_PEAK = (
    "cat /sys/fs/cgroup/memory/memory.max_usage_in_bytes /sys/fs/cgroup/memory.peak 2>/dev/null"
)
OWN_QUOTA = (
    "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null | cut -d ' ' -f 1"
)

# Version 1 counts in nanoseconds, version 2 in microseconds; both as seconds.
OWN_USAGE = (
    "if [ -e /sys/fs/cgroup/cpuacct ]; then awk '{ print $1 / 1e9 }'"
    " /sys/fs/cgroup/cpuacct/cpuacct.usage; else awk '/usage_usec/ { print $2 / 1e6 }'"
    " /sys/fs/cgroup/cpu.stat; fi"
)


@pytest.fixture
def lab(connection, lab_namespace):
    lab = Lab("samples", connection.within(lab_namespace))
    lab.uids = []
    return lab


@pytest.fixture
def make(lab):
    """Makes a Pod whose container ``app`` runs these words, or this line of a shell. One beside it
    has no limits, so the Pod has none."""

    def make(name, command, *, alone=False, policy="Always", **resources):
        words = ["sh", "-c", command] if isinstance(command, str) else command
        app = {"name": "app", "image": "busybox:1.35.0", "command": words, "resources": resources}
        side = {"name": "side", "image": "busybox:1.35.0", "command": ["sleep", "3600"]}
        spec = {
            "terminationGracePeriodSeconds": 0,
            "restartPolicy": policy,
            "containers": [app] if alone else [app, side],
        }
        metadata = {"name": name, "namespace": lab.namespace}
        made = lab.connection.create(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        )
        lab.uids.append(made["metadata"]["uid"])
        return lab.pod(name)

    return make


@pytest.fixture(autouse=True)
def nothing_is_left(lab):
    before = set(threading.enumerate())
    yield
    assert [each.name for each in set(threading.enumerate()) - before if each.is_alive()] == []
    assert loops(lab) == []


# The shells that sample, and those that look for a recording, by words of their scripts. [:] so
# that the search does not find itself.
STREAMS = {"samples": "podlab marke[r]", "looks": "while read -r[;] do"}


def loops(lab, wait_seconds=5, kinds=tuple(STREAMS)):
    """The processes on the node at the other end of an exec stream of this test: samples name its
    namespace, looks a Pod's uid."""
    words = " ".join(f"-e '{STREAMS[kind]}'" for kind in kinds)
    own = " ".join(f"-e {each}" for each in (lab.namespace, *lab.uids))
    search = (
        f"for file in $(grep -la {words} /proc/[0-9]*/cmdline 2>/dev/null); do grep -qa {own} $file"
        " && echo $file; done; true"
    )
    found: list[str] = []

    def gone() -> bool:
        found[:] = lab.node.run(search).split()
        return not found

    poll(gone, timeout_seconds=wait_seconds, every_seconds=0.2)
    return found


def booted(lab):
    """The node's boot by its own clock, from the look that was quickest."""
    looks = [
        lab.node.run("read -r up rest < /proc/uptime; echo $(date +%s.%N) $up").split()
        for _ in range(5)
    ]
    return min(float(now) - float(up) for now, up in looks)


@pytest.mark.alone
def test_a_container_that_lives_one_second_is_there_from_begin_to_end(lab, make):
    begin, spike, end = (
        "cut -d ' ' -f 22 /proc/1/stat",
        "head -c 30000000 /dev/zero | tail >/dev/null",
        "cut -d ' ' -f 1 /proc/uptime",
    )
    lines = "; ".join([begin, spike, "sleep 1", OWN_PEAK, end])
    with lab.samples("brief", "app") as taken:
        make("brief", lines, alone=True, policy="Never", limits={"memory": "64Mi"}).wait_until(
            "Succeeded", timeout_seconds=60
        )
    ticks, peak, ended = lab.pod("brief").logs("app").split()
    zero = taken.life.began_seconds + taken.clock.offset_seconds - booted(lab)
    begin, end = int(ticks) / 100 - zero, float(ended) - zero
    missing = 2 * INTERVAL_SECONDS + 0.02  # what /proc tells is whole hundredths, at both ends
    times = taken.frame["time_seconds"]
    assert times.iloc[0] - begin <= missing
    assert end - times.iloc[-1] <= missing
    assert taken.frame["run"].max() == 1
    assert int(peak) <= taken.peak_bytes <= LIMIT_BYTES
    assert taken.peak_bytes - int(peak) < 1 << 20, "the shell's own last steps"


@pytest.mark.alone
def test_the_way_to_the_limit_and_the_kill_on_one_axis(lab, make, kubectl):
    with lab.samples("hog", "app") as taken:
        pod = make("hog", ["awk", HOG], limits={"memory": "64Mi"})
        pod.container("app").wait_until("restarted", timeout_seconds=90)
    status = json.loads(kubectl("get", "pod", "hog", "-o", "json", namespace=lab.namespace))[
        "status"
    ]
    ended = next(each for each in status["containerStatuses"] if each["name"] == "app")[
        "lastState"
    ]["terminated"]
    assert (
        ended["exitCode"] == 137
    )  # the API's word for it may be Error on a busy node: see test_oom.py
    kill = taken.kills["time_seconds"].iloc[0]
    before = taken.frame[(taken.frame["run"] == 1) & (taken.frame["time_seconds"] <= kill)]
    assert before["memory_bytes"].iloc[-1] >= 0.95 * LIMIT_BYTES
    assert kill - before["time_seconds"].iloc[-1] <= taken.largest_gap_seconds + INTERVAL_SECONDS
    assert 0.995 * LIMIT_BYTES <= taken.peak_bytes <= LIMIT_BYTES
    # The axis against the API's own word, which is the whole second by the node's clock.
    zero = taken.life.began_seconds + taken.clock.offset_seconds
    stamp = int(lab.node.run(f"date -d {ended['finishedAt']} +%s"))
    # It tells when the process had died: up to a second after its kill, and about when the samples
    # end.
    gone = taken.frame[taken.frame["run"] == 1]["time_seconds"].iloc[-1] + taken.largest_gap_seconds
    assert zero + kill <= stamp + 1.1
    assert zero + gone >= stamp - 0.1
    assert list(taken.frame["run"].unique()) == [1, 2]
    ending = "app: ended by signal 9 (OOMKilled, exit code 137), restarted once"
    assert str(taken.chart("?")) == f"memory came to its limit · killed by the kernel · {ending}"
    assert taken.kernel_clock.resolution_seconds < 0.01


def spent(lab, stat):
    """CPU seconds of a process on the node, and the node's uptime."""
    ticks, uptime = lab.node.run(
        f"set -- $(cat {stat}); echo $((${{14}} + ${{15}})); cut -d ' ' -f 1 /proc/uptime"
    ).split()
    return int(ticks) / 100, float(uptime)


def test_the_cost_and_the_values(lab, make, kubectl, eventually):
    pod = make(
        "steady",
        "while :; do :; done",
        requests={"cpu": "10m"},
        limits={"memory": "64Mi", "cpu": "100m"},
    )
    pod.wait_until("Ready", timeout_seconds=60)
    with lab.samples("steady", "app") as taken:
        [found] = loops(lab, 0, ["samples"])
        stat = found.replace("cmdline", "stat")
        before, began = spent(lab, stat)
        eventually(
            lambda: (
                taken.so_far["time_seconds"].iloc[-1] - taken.so_far["time_seconds"].iloc[0] > 10
            )
        )
        after, ended = spent(lab, stat)
        used = float(
            kubectl(
                "exec", "steady", "-c", "app", "--", "sh", "-c", OWN_USAGE, namespace=lab.namespace
            )
        )
    assert taken.cost_share == pytest.approx((after - before) / (ended - began), abs=0.006), (
        "by the node's own account of the process"
    )
    last = taken.frame.iloc[-1]
    assert last["memory_limit_bytes"] == LIMIT_BYTES
    assert last["cpu_usage_seconds"] == pytest.approx(used, abs=0.5)
    assert taken.kernel_lines.empty


def test_a_kernel_that_is_killed_leaves_nothing_on_the_node(lab, make, eventually):
    make("idle", ["sleep", "3600"]).wait_until("Ready", timeout_seconds=60)
    script = (
        "import sys, time; from labhelpers.kube.connect import connect; from labhelpers.lab import"
        f" Lab\nlab = Lab('samples', connect({str(paths.kubeconfig())!r}, {lab.namespace!r}))\nwith"
        " lab.samples('idle', 'app'): print('begun', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "begun\n"
        eventually(lambda: len(loops(lab, 0)) == 2)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
    assert loops(lab) == []


def test_a_cell_that_is_stopped_leaves_nothing(lab, make, eventually):
    make("idle", ["sleep", "3600"]).wait_until("Ready", timeout_seconds=60)
    with pytest.raises(KeyboardInterrupt), lab.samples("idle", "app"):
        eventually(lambda: len(loops(lab, 0)) == 2)
        raise KeyboardInterrupt
    assert loops(lab) == []


def test_a_pod_that_is_never_scheduled_and_a_name_that_is_not_there(lab, make):
    with lab.samples("much", "app") as taken:
        make("much", ["sleep", "1"], requests={"cpu": "1000"})
        with pytest.raises(LabError, match="Insufficient cpu"):
            lab.pod("much").wait_until("Ready", timeout_seconds=30)
    with pytest.raises(LabError, match=r"Unschedulable: .*Insufficient cpu"):
        _ = taken.frame
    with pytest.raises(LabError, match="its containers: app, side"), lab.samples("much", "ap"):
        pass
    with pytest.raises(LabError, match="no Pod named nobody"):
        with lab.samples("nobody", "app") as taken:
            pass
        _ = taken.frame


@pytest.mark.alone
def test_the_slider_changes_the_cgroup_and_measures_what_follows(lab, make, kubectl, eventually):
    pod = make("spinner", "while :; do :; done", requests={"cpu": "10m"}, limits={"cpu": "100m"})
    pod.wait_until("Ready", timeout_seconds=60)

    def quota():
        return int(
            kubectl(
                "exec", "spinner", "-c", "app", "--", "sh", "-c", OWN_QUOTA, namespace=lab.namespace
            )
        )

    limits = ["100m", "200m", "300m"]
    view = lab.slider(
        "How often is it throttled?",
        "spinner",
        "app",
        limits,
        sequence=["200m"],
        dwell_seconds=60,
    )
    eventually(lambda: view.slider.value == "200m")
    assert quota() == 20000
    for limit in itertools.islice(itertools.cycle(limits), 40):
        view.control.value = limit
        time.sleep(0.01)
    view.control.value = "300m"
    eventually(lambda: view.slider.state == "At 300m.")
    assert quota() == 30000
    assert len(view.steps) < 20, "most of the moves were left out"
    eventually(
        lambda: view.steps["end_seconds"].iloc[-1] - view.steps["start_seconds"].iloc[-1] > 2
    )
    chart = view.chart("?")
    last = view.steps.iloc[-1]
    assert (last["value"], last["predicted"]) == ("300m", 1.0)
    assert last["measured"] > 0.5
    assert view.live.chart.table.equals(chart.table), "the last frame has what is stored"


def test_what_an_earlier_pod_of_the_name_has_left_is_not_sampled(lab, make, kubectl, eventually):
    earlier = make("again", ["sleep", "3600"]).wait_until("Ready", timeout_seconds=60)
    uid = earlier.uid
    [shim] = {each.parent_pid for each in lab.node.processes(uid)}
    # By itself a container outlives its Pod's name for two seconds. Without the runtime's hand on
    # it, it stays as long as it is needed.
    lab.node.run(f"kill -STOP {shim}")
    try:
        earlier.delete(timeout_seconds=60, grace_seconds=0)
        with lab.samples("again", "app") as taken:
            make("again", ["sleep", "3600"]).wait_until("Ready", timeout_seconds=60)
            eventually(lambda: len(taken.so_far) > 10)
            assert lab.node.processes(uid)
    finally:
        lab.node.run(f"kill -CONT {shim}")
    told = "jsonpath={.status.containerStatuses[?(@.name=='app')].containerID}"
    own = kubectl("get", "pod", "again", "-o", told, namespace=lab.namespace)
    assert [f"containerd://{each}" for each in taken._loop.runs] == [own]


def test_ten_in_a_row_leave_no_thread_and_no_stream(lab, make):
    make("idle", ["sleep", "3600"]).wait_until("Ready", timeout_seconds=60)
    for _ in range(10):
        with Samples(lab.node, lab.connection, lab.namespace, "idle", "app"):
            pass
    assert loops(lab) == []


def test_a_container_that_goes_while_its_slider_moves_is_told_in_the_next_cell(
    lab, make, eventually
):
    pod = make("leaves", "while :; do :; done", requests={"cpu": "10m"}, limits={"cpu": "100m"})
    pod.wait_until("Ready", timeout_seconds=60)
    view = lab.slider(
        "?", "leaves", "app", ["100m", "200m"], sequence=["200m", "100m"], dwell_seconds=3
    )
    eventually(lambda: view.slider.value == "200m")
    pod.delete(timeout_seconds=60, grace_seconds=0)
    with pytest.raises(LabError, match="leaves"):
        view.slider.finish()
    assert "leaves" in view.line.value
