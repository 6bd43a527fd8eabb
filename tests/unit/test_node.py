"""What is made of what the node prints, and what is sent to it."""

import shlex
import subprocess
from pathlib import Path

import pytest

from labhelpers.errors import LabError, Refused
from labhelpers.kube.exec import Completed
from labhelpers.node import cgroups, oom, shell
from labhelpers.node import node as module
from labhelpers.node.node import Node
from labhelpers.transcript import Transcript
from tests.unit.test_processes import process

RECORDED = Path(__file__).parent / "recorded"
A, B = "a" * 64, "b" * 64


OOM = f"""
[ 10.1] tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=984
[ 10.2] oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/k.slice/pod1.slice,task_memcg=/k.slice/pod1.slice/cri-containerd-{A}.scope,task=tail,pid=70,uid=0
[ 10.3] Memory cgroup out of memory: Killed process 70 (tail) total-vm:70000kB, anon-rss:65000kB
[ 11.2] oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/k.slice/pod2.slice/cri-containerd-{B}.scope,task_memcg=/k.slice/pod2.slice/cri-containerd-{B}.scope,task=dd,pid=7,uid=0
[ 11.3] Memory cgroup out of memory: Killed process 7 (dd) total-vm:70000kB, anon-rss:65000kB
"""  # noqa: E501


@pytest.mark.parametrize(
    ("container_id", "stamps"),
    [(A, ["10.2", "10.3"]), (B, ["11.2", "11.3"]), ("c" * 64, []), ("", [])],
)
def test_the_kernels_lines_about_one_container(container_id, stamps):
    assert [line[2:6] for line in oom.about_container(OOM, container_id)] == stamps


class FakeConnection:
    """Runs what is sent to the node's shell in a shell of this machine, or answers what the test
    says."""

    def __init__(self, *answers):
        self.answers, self.commands, self.calls = list(answers), [], []
        self.transcript = Transcript()

    def within(self, namespace):
        assert namespace == "podlab-node"
        return self

    def exec(self, pod, container, command, timeout_seconds):
        self.commands.append(command)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        done = subprocess.run(
            ["/bin/sh", "-c", command[-1]],
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
        )
        return Completed(done.stdout, done.stderr, done.returncode)

    def apply(self, body):
        self.calls.append(body["kind"])

    def get(self, kind, name):
        return {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}

    def list(self, kind, *_, **__):
        self.calls.append("waited")
        return {"metadata": {"resourceVersion": "1"}, "items": [self.get(kind, "node")]}


def test_a_command_is_shown_with_its_output_and_gives_nothing_to_compare(monkeypatch):
    shown = []
    monkeypatch.setattr(shell, "shown_only", shown.append)
    assert Node(FakeConnection()).show("echo '<a>'") is None
    assert len(shown) == 1 and "node$ echo &#x27;&lt;a&gt;&#x27;\n&lt;a&gt;</pre>" in shown[0]
    with pytest.raises(LabError, match="exit code 3"):
        Node(FakeConnection()).show("exit 3")


def test_a_file_comes_back_as_it_is(tmp_path):
    path, text = tmp_path / "it's a file", "a $HOME `b` 'c'\n\"é\"\n\n"
    path.write_text(text)
    assert Node(FakeConnection()).read(str(path)) == text


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LabError, match="nothing-here"):
        Node(FakeConnection()).read(str(tmp_path / "nothing-here"))


def test_a_script_that_fails_says_what_it_said():
    assert Node(FakeConnection()).run("echo well") == "well\n"
    with pytest.raises(LabError, match=r"exit code 4: it went wrong\nDo: .*kubectl exec"):
        Node(FakeConnection()).run("echo it went wrong >&2; exit 4")


def test_what_was_sent_can_be_pasted():
    connection = FakeConnection()
    Node(connection).run("echo 'a  b' | tr a '$'")
    [line] = connection.transcript.page.lines
    words = shlex.split(line)
    assert words[:5] == ["kubectl", "exec", "--namespace", "podlab-node", "node"]
    assert words[words.index("--") + 1 :] == connection.commands[0]


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (f"containerd://{A}", f"grep -lF -e {A} "),
        (type("Container", (), {"id": A}), f"grep -lF -e {A} "),
        (process(70, 1234), "< 70/stat"),
    ],
)
def test_kill_reaches_a_container_or_one_process(target, wanted):
    connection = FakeConnection(Completed(b"", b"", 0), Completed(b"", b"", module.GONE))
    Node(connection).kill(target, "TERM")
    script = connection.commands[0][-1]
    assert wanted in script
    assert "kill -s TERM" in script
    with pytest.raises(LabError, match="already exited"):
        Node(connection).kill(target)


def test_kill_ends_that_process_and_not_a_later_one_with_its_id():
    """On this machine's own processes, where it has a /proc."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("this machine has no /proc")
    victim = subprocess.Popen(["sleep", "60"])
    try:
        ticks = int(Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()[19])
        node = Node(FakeConnection())
        with pytest.raises(LabError, match="already exited"):
            node.kill(process(victim.pid, ticks + 1))
        assert victim.poll() is None
        node.kill(process(victim.pid, ticks))
        assert victim.wait(10) == -9
    finally:
        victim.kill()


def test_a_missing_pod_is_made_and_the_question_asked_again():
    connection = FakeConnection(
        Refused("no", "seen", "do", reason="NotFound"), Completed(b"well", b"", 0)
    )
    assert Node(connection).run("true") == "well"
    assert connection.calls == ["Namespace", "waited"]
    with pytest.raises(Refused):
        Node(FakeConnection(Refused("no", "seen", "do"), Refused("no", "seen", "do"))).run("true")


def test_images_go_by_every_name_that_a_manifest_may_use():
    names = module.image_names(
        "docker.io/library/busybox:1.35.0\ndocker.io/rancher/x:1\nregistry.k8s.io/pause:3\n"
    )
    assert {"busybox:1.35.0", "rancher/x:1", "registry.k8s.io/pause:3"} < names
    assert "pause:3" not in names


def reference(cpu, container_id, containers=1):
    spec = {
        "containers": [
            {"name": f"c{number}", "resources": {"requests": {"cpu": cpu}}}
            for number in range(containers)
        ]
    }
    return {
        "spec": spec,
        "status": {
            "containerStatuses": [
                {"state": {"running": {}}, "containerID": f"containerd://{container_id}"}
            ]
        },
    }


@pytest.mark.parametrize(
    ("directory", "weights", "pause_adj", "expected"),
    [
        ("/sys/fs/cgroup/memory/x.scope", (None, None), 1, ("new", "old", "systemd", 1)),
        ("/sys/fs/cgroup/kubepods/podx/y", (17, 4), -998, ("new", "old", "cgroupfs", None)),
        ("/sys/fs/cgroup/x.scope", (4, 4), -998, ("old", "old", "systemd", None)),
        ("/sys/fs/cgroup/x.scope", (17, 17), -500, ("new", "new", "systemd", -500)),
    ],
)
def test_what_formulas_have_to_know_is_read_from_the_node(
    monkeypatch, directory, weights, pause_adj, expected
):
    """From a container of the control plane that asks for CPU: another one would tell nothing of
    weights."""
    version = 2 if weights[0] else 1
    answers = (
        Completed(f"4096\n{pause_adj}\n".encode(), b"", 0),
        Completed(MOUNTS[version].encode(), b"", 0),
    )
    connection = FakeConnection(*answers)
    connection.raw = lambda path: {"items": [{"status": {"capacity": {"memory": "24684084Ki"}}}]}
    pods = [reference("0", "no"), reference("100m", "no", containers=2), reference("100m", A)]
    connection.list = lambda kind, namespace: {"items": pods}
    own = dict(zip((False, True), weights, strict=True))

    def cgroup(self, container_id, *, of_pod=False):
        assert container_id.endswith(A)
        files = {"cpu.weight": own[of_pod]} if version == 2 else {}
        return cgroups.measure(
            {"memory" if version == 1 else "": directory},
            {name: f"{text}\n" for name, text in files.items()},
        )

    monkeypatch.setattr(Node, "cgroup", cgroup)
    node = Node(connection)
    conversion, pod_conversion, driver, floor = expected
    assert node.formula_inputs == {
        "version": version,
        "conversion": conversion,
        "driver": driver,
        "period_us": 100_000,
        "page_bytes": 4096,
        "node_memory_bytes": 24_684_084 * 1024,
        "floor": floor,
    }
    assert node.pod_conversion == pod_conversion


MOUNTS = {
    1: "4 2 0:8 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
    2: "3 2 0:9 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
}


def test_kills_for_want_of_memory_are_told_by_the_clock_of_the_log(monkeypatch):
    """The last line is the marker, so that lines can be told to be recent, whatever other clocks
    say."""
    monkeypatch.setattr("labhelpers.node.node.secrets.token_hex", lambda _: "cafe")
    log = (
        "[   10.000000]"
        " oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/pod1,task_memcg=/pod1/a,task=awk,pid=7,uid=0\n["  # noqa: E501
        "  905.000000]"
        " oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),global_oom,task_memcg=/pod1/b,task=awk,pid=8,uid=0\n["  # noqa: E501
        "  910.500000] podlab marker cafe\n"
    )
    connection = FakeConnection(*[Completed(log.encode(), b"", 0)] * 2)
    assert Node(connection).oom_kills(60) == [("CONSTRAINT_NONE", "/pod1/b")]
    assert Node(connection).oom_kills(1000) == [
        ("CONSTRAINT_MEMCG", "/pod1/a"),
        ("CONSTRAINT_NONE", "/pod1/b"),
    ]


def test_a_container_without_an_id_is_nobody_and_not_everybody():
    """grep for nothing finds the first process that there is."""
    node = Node(FakeConnection())  # which has no answer: nothing may be asked
    with pytest.raises(
        LabError, match=r"There is no process to kill yet\.\nSeen: the container has no id"
    ):
        node.kill("")
    with pytest.raises(LabError, match=r"no process in the cgroup of \(no id\)"):
        node.cgroup("")


def test_the_cgroup_of_all_pods_is_found_from_that_of_one(tmp_path, monkeypatch):
    node, pods = Node(FakeConnection()), tmp_path / "kubelet.slice" / "kubelet-kubepods.slice"
    pods.mkdir(parents=True)
    (pods / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    monkeypatch.setattr(
        Node, "own_directories", {"": f"{pods}/kubelet-kubepods-pod1.slice/cri-containerd-2.scope"}
    )
    assert node.pods_cgroup.cpu_seconds == 2.5
    monkeypatch.setattr(
        Node, "own_directories", {"": f"{tmp_path}/elsewhere/cri-containerd-2.scope"}
    )
    with pytest.raises(LabError, match="no kubepods on the node"):
        _ = node.pods_cgroup


def look(*names):
    """What the node prints of processes of these names, as Completed."""
    stats = [
        f"stat {10 + place} ({name}) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1234 0 0"
        for place, name in enumerate(names)
    ]
    text = "\n".join(["begin 100.00 1000.0", *stats, "end 100.01", ""])
    return Completed(text.encode(), b"", 0)


UID = "6f3f2c5e-0000-4000-8000-000000000000"


def test_a_process_that_is_still_runc_is_waited_for():
    """The API says that a container runs before its program does: with limits from 5m to 20m, three
    of twelve containers were met as runc, one of them 0.3 s later."""
    connection = FakeConnection(look("pause", "runc:[2:INIT]"), look("pause", "sleep"))
    assert [each.command for each in Node(connection).processes(UID)] == ["pause", "sleep"]
    assert connection.answers == []


def test_a_process_that_stays_runc_is_shown_as_it_is(monkeypatch):
    monkeypatch.setattr(module, "ENTERED_SECONDS", 0.0)
    connection = FakeConnection(*[look("runc:[2:INIT]")] * 3)
    assert [each.command for each in Node(connection).processes(UID)] == ["runc:[2:INIT]"]


@pytest.mark.parametrize(
    "id_", ["*", "1", "a", "nonsense", "$(reboot)", "containerd://*", "ab; cd"]
)
def test_what_is_no_id_finds_no_process(id_):
    """The scripts look for it in the paths of all cgroups: "1" would be in each of them."""
    node = Node(FakeConnection())
    for ask in (node.kill, node.cgroup, node.look, node.processes):
        with pytest.raises(LabError, match="so nothing was looked for"):
            ask(id_)
    with pytest.raises(LabError, match="so nothing was looked for"):
        node.looks(id_, timeout_seconds=1)
    for ask in (node.look, node.processes):
        with pytest.raises(LabError, match="so nothing was looked for"):
            ask("")
