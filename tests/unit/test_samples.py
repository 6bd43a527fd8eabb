"""The samples: the loop itself, run by a Perl of this machine on recorded files of both versions;
and what is made of its lines."""

import json
import queue
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pandas
import pytest

from labhelpers.errors import LabError
from labhelpers.measure import loop
from labhelpers.measure.samples import Samples
from labhelpers.node import cgroups
from labhelpers.node.processes import ProcessSnapshot
from labhelpers.polling import poll
from tests.unit.test_cgroups import recorded
from tests.unit.test_recording import FakeConnection, version

FIRST, SECOND, OWN = "a" * 64, "b" * 64, "c" * 64
CAN_LOOP = sys.platform == "linux" and shutil.which("perl")
needs_perl = pytest.mark.skipif(
    not CAN_LOOP, reason="the loop in the node needs Linux and Perl, and this machine has not both"
)


class LocalLines:
    """As api.Lines, of a process on this machine."""

    def __init__(self, script):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(["bash", "-c", script], text=True, bufsize=1, **pipes)

    stderr = ""

    def __next__(self):
        if line := self.process.stdout.readline():
            return line.rstrip("\n")
        raise StopIteration

    def send(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end_stdin(self):
        self.process.stdin.close()

    def close(self):
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
        self.process.wait(5)


class SaidLines:
    """As api.Lines: says what a test has written, and answers questions."""

    stderr = "it fell over"

    def __init__(self, *said, after=("z",)):
        self.queue, self.after = queue.Queue(), after
        for line in said:
            self.queue.put(line)

    def __next__(self):
        try:
            line = self.queue.get(timeout=0.05)
        except queue.Empty:
            return "c 3000000 25000"  # as the loop, which is never silent for long
        if line is None:
            raise StopIteration
        return line

    def send(self, text):
        self.queue.put(f"p {text.strip()} {int(time.time() * 1e6)}")

    def end_stdin(self):
        for line in self.after:
            self.queue.put(line)

    def close(self):
        self.queue.put(None)


class FakeNode:
    """A node on recorded files below a folder, with a log as the kernel's."""

    def __init__(self, folder, number):
        texts = recorded(number)
        found = cgroups.directories(texts["/proc/160300/cgroup"], texts["/proc/self/mountinfo"])
        self.folder, self.log, self.lines, self.number = folder, [], None, number
        self.files = {path: text for path, text in texts.items() if path.startswith("/sys/")}
        # Below the folder, and named after another container: what one has, all have.
        self.old = next(iter(found.values())).rpartition("/")[2]
        self.own_directories = {
            key: str(folder) + way.replace(self.old, f"cri-containerd-{OWN}.scope")
            for key, way in found.items()
        }
        self.bundles = folder / "bundles"
        self.bundles.mkdir()
        self.add_files(OWN)

    def add_files(self, id_):
        for path, text in self.files.items():
            place = Path(str(self.folder) + path.replace(self.old, f"cri-containerd-{id_}.scope"))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    def add_bundle(self, id_, name="app", pod="one", namespace="lab", cut_at=None):
        names = {"sandbox-namespace": namespace, "sandbox-name": pod, "container-name": name}
        annotations = {f"io.kubernetes.cri.{key}": value for key, value in names.items()}
        (self.bundles / id_).mkdir(exist_ok=True)
        text = json.dumps(
            {"annotations": annotations, "linux": {"cgroupsPath": f"x:cri-containerd:{id_}"}},
            separators=(",", ":"),
        )
        (self.bundles / id_ / "config.json").write_text(
            text[: text.index(cut_at)] if cut_at else text
        )

    def add(self, id_, **names):
        self.add_bundle(id_, **names)
        self.add_files(id_)

    def remove(self, id_):
        shutil.rmtree(self.bundles / id_)
        for way in {
            Path(str(self.folder) + path.replace(self.old, f"cri-containerd-{id_}.scope")).parent
            for path in self.files
        }:
            shutil.rmtree(way)

    def stream(self, script, *, timeout_seconds):
        self.lines = self.lines or LocalLines(script)
        return self.lines

    def run(self, script):
        return "\n".join(self.log)

    def kubectl(self, script):
        return f"kubectl exec node -- sh -c '{script}'"

    def look(self, uid):
        now = time.time()
        return ProcessSnapshot((), 0, now - 1000, now, now, now - 0.001, now + 0.001)

    def looks(self, uid, *, timeout_seconds):
        return SimpleNamespace(pod_uid=uid, look=lambda: self.look(uid), close=lambda: None)


@pytest.fixture(params=[1, 2])
def node(request, tmp_path, monkeypatch):
    node = FakeNode(tmp_path, request.param)
    for name, value in {"BUNDLES": node.bundles, "KERNEL_LOG": tmp_path / "kmsg"}.items():
        monkeypatch.setattr(loop, name, str(value))
    monkeypatch.setattr(loop, "HIGHER", ())
    return node


@pytest.fixture(autouse=True)
def nothing_is_left():
    before = set(threading.enumerate())
    yield
    assert [each.name for each in set(threading.enumerate()) - before if each.is_alive()] == []


def sampled(node, *versions, container="app", **how):
    return Samples(node, FakeConnection(list(versions)), "lab", "one", container, **how)


def wait_until(reached, what):
    assert poll(reached, timeout_seconds=20, every_seconds=0.01), f"not {what}"


def has_run(taken, number, count=4):
    wait_until(
        lambda: sum(1 for row in list(taken._loop.rows) if row[-1] == number) >= count,
        f"{count} samples of run {number}",
    )


# --- the loop -------------------------------------------------------------------------------------


@needs_perl
def test_the_loop_is_perl_with_and_without_its_comments(tmp_path):
    short = tmp_path / "short.pl"
    short.write_text(loop._program())
    assert "#" not in {text.lstrip()[:1] for text in short.read_text().splitlines()}
    for path in (Path(loop.__file__).with_name("samples.pl"), short):
        done = subprocess.run(["perl", "-wc", path], capture_output=True, text=True, check=False)
        assert done.stderr == f"{path} syntax OK\n"


@needs_perl
def test_a_container_is_found_sampled_lost_and_found_again(node):
    node.add("d" * 64, name="side")
    node.add("e" * 64, pod="another")
    node.add("f" * 64, namespace="elsewhere")
    with sampled(node) as taken:
        assert taken.so_far.empty
        node.add(FIRST)
        has_run(taken, 1, 12)
        node.remove(FIRST)
        node.add(SECOND)
        has_run(taken, 2, 12)
    frame = taken.frame
    assert list(frame["run"].unique()) == [1, 2]
    used = next(
        text
        for path, text in node.files.items()
        if path.endswith(("memory.usage_in_bytes", "memory.current"))
    )
    assert (frame["memory_bytes"] == int(used)).all()
    last = frame.iloc[-1]
    assert (last["memory_limit_bytes"], last["memory_peak_bytes"], taken.peak_bytes) == (
        67108864,
        67108864,
        67108864,
    )
    assert (last["periods"], last["throttled_periods"]) == (20, 12)
    assert last["throttled_seconds"] == pytest.approx(0.3615, abs=0.1)
    assert last["cpu_usage_seconds"] == pytest.approx(0.72, abs=0.05)
    assert (frame["time_seconds"].diff().dropna() > 0).all()
    assert 0 < taken.largest_gap_seconds < 5
    assert 0 < taken.rate_hertz < 1 / loop.INTERVAL_SECONDS + 5
    assert 0 < taken.cost_share < 1
    assert node.lines.process.returncode == 0, "the loop has ended by itself"


@needs_perl
def test_a_config_that_is_half_written_is_read_again(node):
    with sampled(node) as taken:
        node.add_bundle(FIRST, cut_at="linux")
        node.add_files(FIRST)
        time.sleep(5 * loop.INTERVAL_SECONDS)
        assert taken.so_far.empty
        node.add_bundle(FIRST)
        has_run(taken, 1)


@needs_perl
def test_what_an_earlier_pod_of_the_name_has_left_is_not_sampled(node):
    node.add(FIRST)
    with sampled(node) as taken:
        node.add("e" * 64, name="side")
        time.sleep(5 * loop.INTERVAL_SECONDS)
        assert taken.so_far.empty
        node.add(SECOND)
        has_run(taken, 1)
    assert taken._loop.runs == [SECOND]


@needs_perl
def test_what_a_pod_has_that_is_there_is_sampled_at_once(node):
    node.add(FIRST)
    with sampled(node, version(0, {})) as taken:
        has_run(taken, 1)
    assert taken._loop.runs == [FIRST]


@needs_perl
def test_the_loop_ends_when_nobody_listens_any_more(node):
    taken = sampled(node)
    with pytest.raises(KeyboardInterrupt), taken:
        raise KeyboardInterrupt
    assert node.lines.process.wait(5) == 0


@needs_perl
def test_the_limit_ends_it_and_is_told(node):
    with (
        pytest.raises(LabError, match="larger limit_seconds"),
        sampled(node, limit_seconds=1) as taken,
    ):
        node.add(FIRST)
        wait_until(lambda: not taken._loop.is_running, "ended")
    assert len(taken.frame) > 2


@needs_perl
@pytest.mark.parametrize("node", [2], indirect=True)
def test_a_missing_controller_is_named(node):
    directory = Path(node.own_directories[""])
    (directory / "memory.current").unlink()
    with pytest.raises(LabError, match=r"Enable the controller memory"), sampled(node):
        pass
    assert node.lines.process.returncode is not None


@pytest.mark.parametrize("node", [1], indirect=True)
def test_a_missing_tree_of_version_1_is_named(node):
    del node.own_directories["cpuacct"]
    with pytest.raises(LabError, match="no cgroup controller cpuacct"), sampled(node):
        pass


@needs_perl
@pytest.mark.parametrize("node", [2], indirect=True)
def test_a_kernel_without_a_high_water_mark_is_sampled_all_the_same(node):
    for way in node.folder.rglob("memory.peak"):
        way.unlink()
    del node.files[next(path for path in node.files if path.endswith("memory.peak"))]
    with sampled(node) as taken:
        node.add(FIRST)
        has_run(taken, 1)
    assert taken.frame["memory_limit_bytes"].iloc[-1] == 67108864
    with pytest.raises(LabError, match="The high-water mark isn't known"):
        _ = taken.peak_bytes


# --- what is made of its lines --------------------------------------------------------------------

one_version = pytest.mark.parametrize("node", [2], indirect=True)
STATS = "usage_usec 5000000 nr_periods 50 nr_throttled 20 throttled_usec 700000"


def line(seconds, memory, turn="3:67108864", stats=STATS):
    """A sample, as the loop of version 2 writes it, some seconds from now."""
    index, value = turn.split(":")
    return f"s {int((time.time() + seconds) * 1e6)} {memory}|{stats}|{index}|{value}"


@one_version
def test_lines_become_a_frame_and_memory_its_chart(node):
    two = line(1.0, 1 << 20), line(1.02, 65 << 20, "0:68157440")
    node.lines = SaidLines("c 1000000 5000", f"b 1 {FIRST}", *two, "g 3")
    with sampled(node) as taken:
        pass
    assert list(taken.frame["memory_bytes"]) == [1 << 20, 65 << 20]
    assert list(taken.frame["memory_limit_bytes"]) == [67108864, 67108864]
    assert list(taken.frame["time_seconds"]) == pytest.approx([1.0, 1.02], abs=0.1)
    assert taken.largest_gap_seconds == pytest.approx(0.02, abs=0.01)
    assert taken.cost_share == pytest.approx(0.00001)
    assert str(taken.chart("How far?")) == "memory came to its limit"


@one_version
def test_a_name_that_is_not_in_the_pod_is_told_at_the_begin(node):
    with (
        pytest.raises(LabError, match="its containers: app"),
        sampled(node, version(0, {}), container="ap"),
    ):
        pytest.fail("the block was entered")


def test_no_time_is_no_time_for_samples(node):
    with pytest.raises(LabError, match="no time to take samples in"):
        sampled(node, limit_seconds=0)


@one_version
def test_a_name_that_is_not_in_the_pod_is_told_at_the_end_where_the_pod_comes_later(node):
    node.lines = SaidLines()
    taken = sampled(node, container="ap")
    with pytest.raises(LabError, match="has no container 'ap'"), taken:
        taken.life._api.lists = [[version(0, {})]]
        taken.life._api.script.put(("ADDED", version(0, {}).obj))
        wait_until(lambda: taken.life.versions, "seen")


@one_version
def test_a_container_that_never_ran_is_told_with_the_reason(node):
    node.lines = SaidLines()
    pod = version(0, {})
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes fit",
    }
    pod.obj["status"] = {"phase": "Pending", "conditions": [unscheduled]}
    with sampled(node, pod) as taken:
        pass
    for ask in (
        lambda: taken.frame,
        lambda: taken.rate_hertz,
        lambda: taken.peak_bytes,
        lambda: taken.chart("?"),
    ):
        with pytest.raises(LabError, match="Unschedulable: 0/1 nodes fit"):
            ask()


@one_version
@pytest.mark.parametrize("after", [(None,), ("c 1 1", None)])
def test_a_stream_that_breaks_off_is_told(node, after):
    node.lines = SaidLines(after=after)
    with pytest.raises(LabError, match="it fell over"), sampled(node):
        pass


@one_version
def test_a_loop_that_says_nothing_is_no_hang(node, monkeypatch):
    monkeypatch.setattr(loop, "START_SECONDS", 0.2)
    node.lines = SaidLines()
    node.lines.send = lambda text: None
    node.lines.after = ()
    with pytest.raises(LabError, match="stopped too early"), sampled(node):
        pytest.fail("the block was entered")


@one_version
def test_samples_are_taken_once(node):
    node.lines = SaidLines()
    taken = sampled(node)
    with taken:
        pass
    with pytest.raises(LabError, match="taken already"), taken:
        pass


def kernel_log(taken, *lines):
    """The log of a kernel whose clock began 1000 s after the epoch, with the markers of these
    samples in it."""
    token = taken._loop.token
    return [f"[  100.000000] {token}.0", *lines, f"[  110.000000] {token}.1"]


OOM = (
    "[  105.000000] memory: usage 65532kB, limit 65536kB, failcnt 0",
    (
        "[  105.000001]"
        f" oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/pod1/cri-containerd-{FIRST}.scope,"
        f"task_memcg=/pod1/cri-containerd-{FIRST}.scope,task=awk,pid=7,uid=0"
    ),
    "[  105.000002] Memory cgroup out of memory: Killed process 7 (awk) total-vm:1kB",
    (
        "[  106.000000]"
        f" oom-kill:oom_memcg=/pod2/x,task_memcg=/pod2/cri-containerd-{SECOND}.scope,task=sh"
        ",pid=8,uid=0"
    ),
    "[  106.000000] Memory cgroup out of memory: Killed process 8 (sh)",
)


def with_kernel_log(node, drift=0.0, log=OOM):
    """Samples whose kernel log lies 5 s into the recording; between the markers its clock has
    fallen behind by so much."""
    now = time.time()
    stamps = [int(at * 1e6) for at in (now, now + 0.001, now + 10 + drift, now + 10.001 + drift)]
    said = [
        f"b 1 {FIRST}",
        line(4.8, 60 << 20),
        line(4.9, 60 << 20, "0:62914560"),
        f"k 0 {stamps[0]} {stamps[1]}",
    ]
    node.lines = SaidLines(*said, after=(f"k 1 {stamps[2]} {stamps[3]}", "z"))
    taken = sampled(node)
    with taken:
        node.log = kernel_log(taken, *log)
    return taken


@one_version
@pytest.mark.parametrize("drift", [0.0, 0.4])
def test_the_kernels_lines_are_brought_onto_the_axis(node, drift):
    taken = with_kernel_log(node, drift)
    lines = taken.kernel_lines
    assert list(lines["container"]) == ["app", "app"], "another Pod's kill is not ours"
    assert lines["text"].iloc[1].startswith("Memory cgroup out of memory: Killed process 7")
    assert list(lines["time_seconds"]) == pytest.approx([5 + drift / 2] * 2, abs=0.1)
    assert list(taken.kills["time_seconds"]) == list(lines["time_seconds"][1:])
    assert taken.kernel_clock.resolution_seconds == pytest.approx(drift / 2 + 0.0005, abs=0.0003)
    assert taken.peak_bytes == 65532 * 1024, (
        "what the kernel reported is above the last mark that was read"
    )
    assert "killed by the kernel" in str(taken.chart("?"))


@one_version
def test_without_markers_there_are_no_moments_and_still_a_picture(node):
    taken = with_kernel_log(node)
    taken._log = list(OOM)
    with pytest.raises(LabError, match="no marker came back"):
        _ = taken.kernel_lines
    assert str(taken.chart("?")) == "memory stayed below its limit"


@one_version
def test_a_group_that_dies_is_one_kill(node):
    """Where memory.oom.group is set, the kernel writes the victim's line twice, and then those of
    its fellows."""
    group = (
        (
            f"[  105.000003] Tasks in /pod1/cri-containerd-{FIRST}.scope are going to be killed due"
            " to memory.oom.group set"
        ),
    )
    fellows = tuple(
        f"[  105.00000{number + 2}] Memory cgroup out of memory: Killed process {number} (awk)"
        for number in (7, 9)
    )
    taken = with_kernel_log(node, log=(*OOM[:3], *group, *fellows, *OOM[3:]))
    assert len(taken.kills) == 1
    assert "killed by the kernel" in str(taken.chart("?")) and "twice" not in str(taken.chart("?"))


@one_version
@pytest.mark.parametrize(
    ("told_seconds", "is_it"),
    [(5.3, True), (9.0, False)],
    ids=["dying at the last look", "long after the line"],
)
def test_a_kill_is_the_end_that_comes_soon_after_its_line(node, told_seconds, is_it):
    """The rough end lies between a look that has still met it and the API's word."""
    taken = with_kernel_log(node)
    known = {"lane": "app", "start_resolution": 0.1, "end_resolution": 0.1}
    running = {
        "state": "running",
        "exit_code": None,
        "reason": None,
        "start": 1.0,
        "end": told_seconds,
    }
    ended = {
        "state": "terminated",
        "exit_code": 137,
        "reason": "Error",
        "start": told_seconds,
        "end": 10.0,
    }
    rough = [{**known, **running}, {**known, **ended}]
    taken.life.so_far = lambda: pandas.DataFrame(rough)
    ended = taken.intervals.iloc[1]
    assert (ended["reason"] == "OOMKilled") == is_it
    assert (ended["start"] == taken.kills["time_seconds"].iloc[0]) == is_it


@one_version
@pytest.mark.parametrize("reason", ["OOMKilled", "Error"])
def test_a_killed_containers_end_is_brought_to_the_kernels_moment(node, reason):
    """And it is OOMKilled, also where the runtime could not tell."""
    taken = with_kernel_log(node)
    ended = {"exitCode": 137, "reason": reason, "containerID": f"containerd://{FIRST}"}
    began = version(1.0, {"running": {}}, id_=FIRST, event="ADDED")
    over = version(5.5, {"terminated": ended}, id_=FIRST)
    taken.life.versions[:] = [began, over]
    taken.life._ended = 8.0
    rough = taken.life.so_far()
    rough = rough[rough["lane"] == "app"].to_dict("records")
    rows = taken.intervals.to_dict("records")
    assert [row["state"] for row in rows] == ["running", "terminated"]
    at = taken.kills["time_seconds"].iloc[0]
    assert rows[0]["end"] == rows[1]["start"] == at
    assert rows[1]["start_resolution"] < 0.01 < rough[1]["start_resolution"]
    assert (rough[1]["reason"], rows[1]["reason"]) == (reason, "OOMKilled")
