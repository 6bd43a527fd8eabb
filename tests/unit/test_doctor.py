"""What doctor says of machines, from what was read on them. The recorded inputs are told in
recorded/doctor/README.md."""

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from labhelpers import cli, paths
from labhelpers.cluster import doctor, engine
from labhelpers.cluster.doctor import GB, Facts, Finding
from labhelpers.errors import LabError

RECORDED = Path(__file__).parent / "recorded" / "doctor"
DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'
FULL, SHORT, LEAST = (
    "CapBnd:\t000001ffffffffff\n",
    "CapBnd:\t000001fffeffffff\n",
    "CapBnd:\t00000000a80425fb\n",
)


def info(name: str) -> dict:
    return json.loads((RECORDED / f"info-{name}.json").read_text())


def mountinfo(version: int) -> str:
    return (RECORDED / f"mountinfo-v{version}.txt").read_text()


def meminfo(memory_gb: float, swap_gb: float = 0) -> str:
    return f"MemTotal: {int(memory_gb * GB / 1024)} kB\nSwapTotal: {int(swap_gb * GB / 1024)} kB\n"


LIMITS = {
    "inotify_watches": 524288,
    "inotify_instances": 512,
    "user_namespaces": 96365,
    "open_files": 1048576,
}
LIMITS |= {"free_bytes": 70 * GB, "cache_free_bytes": 70 * GB}
OURS = Facts(
    kernel="6.18.44-fc-v669",
    os_release=DEBIAN,
    is_root=True,
    docker_info=info("debian-cgroup-v1"),
    engine_is_ours=True,
    proc_status=SHORT,
    meminfo=meminfo(25),
    mountinfo=mountinfo(1),
    **LIMITS,
)
BARE = replace(OURS, docker_info={}, engine_is_ours=False, docker_trouble="docker is not there")
UBUNTU = Facts(
    kernel="6.8.0-85-generic",
    os_release='PRETTY_NAME="Ubuntu 24.04.3 LTS"\nID=ubuntu\n',
    docker_info=info("ubuntu-cgroup-v2"),
    proc_status=FULL,
    meminfo=meminfo(16),
    mountinfo=mountinfo(2),
    cgroup_controllers="cpuset cpu io memory hugetlb pids rdma misc",
    registry="",
    **LIMITS,
)
DOORS = {name: {"PODLAB_DOOR": name} for name in ("registry", "build", "window")}
OFFLINE = {"PODLAB_OFFLINE": "1"}
MAC = Facts(
    system="Darwin",
    machine="arm64",
    kernel="24.6.0",
    docker_info=info("docker-desktop-macos"),
    registry="",
    free_bytes=1 * GB,
)
WSL = replace(
    UBUNTU,
    kernel="6.6.87.2-microsoft-standard-WSL2",
    docker_info=info("docker-desktop-wsl2"),
    free_bytes=1 * GB,
)


def of(facts: Facts, name: str) -> Finding:
    found = [finding for finding in doctor.judge(facts) if finding.name == name]
    assert len(found) == 1, name
    return found[0]


def without_ok(facts: Facts) -> dict[str, bool | None]:
    return {finding.name: finding.ok for finding in doctor.judge(facts) if finding.ok is not True}


@pytest.mark.parametrize(
    ("facts", "blemishes"),
    [
        (OURS, {}),
        (BARE, {}),
        (UBUNTU, {}),
        (MAC, {"user namespaces": None}),
        (WSL, {}),
    ],
    ids=["engine of ours, v1", "bare", "Ubuntu, v2", "macOS", "WSL2"],
)
def test_good_machines_are_called_good(facts, blemishes):
    assert without_ok(facts) == blemishes
    assert doctor.render(doctor.judge(facts)).endswith("`podlab up` will work.")


@pytest.mark.parametrize(
    ("facts", "name", "ok", "seen", "fix"),
    [
        (
            replace(UBUNTU, system="Windows", machine="AMD64"),
            "operating system",
            False,
            "amd64",
            "WSL2",
        ),
        (
            replace(UBUNTU, machine="riscv64"),
            "operating system",
            False,
            "riscv64",
            "amd64 or arm64",
        ),
        (
            replace(WSL, kernel="4.4.0-19041-Microsoft"),
            "operating system",
            False,
            "this is WSL1",
            "wsl --set-version",
        ),
        (WSL, "operating system", True, "Ubuntu 24.04.3 LTS under WSL, amd64", ""),
        (replace(UBUNTU, python=(3, 10)), "python", False, "3.10", "3.11"),
        (replace(UBUNTU, python=(3, 14)), "python", False, "3.14", "3.11"),
        (OURS, "engine", True, "Docker 20.10.24+dfsg1, started by podlab", ""),
        (UBUNTU, "engine", True, "Docker 28.5.1, found here", ""),
        (MAC, "engine", True, "Docker 24.0.2, Docker Desktop's", ""),
        (BARE, "engine", True, "none answers; `podlab up` installs", ""),
        (
            replace(BARE, os_release="ID=fedora"),
            "engine",
            False,
            "fedora",
            "Install and start Docker",
        ),
        (replace(BARE, is_root=False), "engine", False, "only root", "Install and start Docker"),
        (
            replace(
                BARE, is_root=False, docker_trouble="permission denied while trying to connect"
            ),
            "engine",
            False,
            "may not use",
            "group",
        ),
        (
            replace(BARE, docker_endpoint="tcp://192.0.2.1:1"),
            "engine",
            False,
            "tcp://192.0.2.1:1",
            "Docker",
        ),
        (
            replace(UBUNTU, docker_info=UBUNTU.docker_info | {"ServerVersion": "19.03.8"}),
            "engine",
            False,
            "19.03.8",
            "20.10 or newer",
        ),
        (
            replace(UBUNTU, docker_info=UBUNTU.docker_info | {"ServerVersion": "master"}),
            "engine",
            True,
            "master",
            "",
        ),
        (
            replace(UBUNTU, docker_info=UBUNTU.docker_info | {"OSType": "windows"}),
            "engine",
            False,
            "windows containers",
            "Linux",
        ),
        (
            replace(
                UBUNTU, docker_info=UBUNTU.docker_info | {"SecurityOptions": ["name=rootless"]}
            ),
            "engine",
            None,
            "rootless",
            "kind",
        ),
        (
            replace(OURS, docker_info=OURS.docker_info | {"SecurityOptions": ["name=rootless"]}),
            "engine",
            False,
            "cgroup v1",
            "root",
        ),
        (replace(MAC, machine="x86_64"), "engine", None, "on arm64", "architecture"),
        (replace(BARE, is_root=False), "rights", False, "not root", "root"),
        (UBUNTU, "rights", True, "obeys this user", ""),
        (OURS, "capabilities", True, "SYS_RESOURCE is missing, and the runtime shim", ""),
        (replace(OURS, proc_status=FULL), "capabilities", True, "SYS_ADMIN, SYS_RESOURCE", ""),
        (
            replace(BARE, proc_status=LEAST),
            "capabilities",
            False,
            "SYS_ADMIN is missing",
            "--privileged",
        ),
        (
            replace(OURS, engine_is_ours=False),
            "capabilities",
            None,
            "SYS_RESOURCE is missing here",
            "podlab up",
        ),
        (
            replace(OURS, engine_is_ours=False, proc_status=LEAST),
            "capabilities",
            None,
            "SYS_ADMIN is missing here",
            "",
        ),
        (UBUNTU, "capabilities", True, "the engine's own", ""),
        (OURS, "cgroups", True, "v1, driver cgroupfs", ""),
        (UBUNTU, "cgroups", True, "v2, driver systemd", ""),
        (BARE, "cgroups", True, "v1", ""),
        (
            replace(BARE, mountinfo=mountinfo(2), cgroup_controllers="cpuset cpu memory pids"),
            "cgroups",
            True,
            "v2",
            "",
        ),
        (
            replace(BARE, mountinfo=mountinfo(2), cgroup_controllers="cpuset cpu pids"),
            "cgroups",
            False,
            "v2, without memory",
            "cgroup_enable",
        ),
        (
            replace(UBUNTU, docker_info=UBUNTU.docker_info | {"MemoryLimit": False}),
            "cgroups",
            False,
            "without memory",
            "cgroup_enable",
        ),
        (
            replace(UBUNTU, inotify_instances=128),
            "inotify",
            None,
            "128 instances",
            "sysctl -w fs.inotify.max_user_instances=512",
        ),
        (
            replace(UBUNTU, inotify_watches=8192),
            "inotify",
            None,
            "8192 watches",
            "fs.inotify.max_user_watches=524288",
        ),
        (replace(MAC, inotify_watches=1), "inotify", True, "virtual machine", ""),
        (replace(UBUNTU, open_files=1024), "open files", None, "1024", "ulimit -n"),
        (
            replace(UBUNTU, user_namespaces=0),
            "user namespaces",
            None,
            "switched off",
            "sysctl -w user.max_user_namespaces",
        ),
        (MAC, "user namespaces", None, "5.15.49", "6.3"),
        (UBUNTU, "user namespaces", True, "6.8.0-85-generic", ""),
        (replace(UBUNTU, free_bytes=3 * GB), "disk", False, "3.0 GB free", "Free 10 GB"),
        (
            replace(UBUNTU, free_bytes=3 * GB, node_images=["x"]),
            "disk",
            None,
            "3.0 GB free",
            "Free 10 GB",
        ),
        (
            replace(UBUNTU, free_bytes=1 * GB, node_images=["x"]),
            "disk",
            False,
            "1.0 GB free",
            "Free 10 GB",
        ),
        (WSL, "disk", True, "Docker's own", ""),
        (BARE, "cache", True, "70.0 GB free where the node image is built", ""),
        (
            replace(BARE, cache_free_bytes=5 * GB, environment=OFFLINE),
            "cache",
            False,
            "5.0 GB free",
            "PODLAB_CACHE",
        ),
        (
            replace(BARE, cache_free_bytes=5 * GB, environment=DOORS["build"]),
            "cache",
            False,
            "5.0 GB free",
            "PODLAB_CACHE",
        ),
        (
            replace(BARE, cache_free_bytes=5 * GB, registry="no such host"),
            "cache",
            False,
            "5.0 GB free",
            "PODLAB_CACHE",
        ),
        (
            replace(BARE, cache_free_bytes=5 * GB, registry="no", build_begun=True),
            "cache",
            None,
            "5.0 GB free",
            "PODLAB_CACHE",
        ),
        (
            replace(BARE, cache_free_bytes=1 * GB, registry="no", build_begun=True),
            "cache",
            False,
            "1.0 GB free",
            "PODLAB_CACHE",
        ),
        (replace(BARE, cache_free_bytes=5 * GB), "cache", None, "5.0 GB free", "PODLAB_CACHE"),
        (
            replace(BARE, cache_free_bytes=5 * GB, registry=""),
            "cache",
            True,
            "no node image is built",
            "",
        ),
        (
            replace(BARE, cache_free_bytes=5 * GB, environment=DOORS["registry"]),
            "cache",
            True,
            "no node image is built",
            "",
        ),
        (
            replace(OURS, cache_free_bytes=5 * GB, node_images=["x"]),
            "cache",
            True,
            "no node image is built",
            "",
        ),
        (MAC, "cache", True, "no node image is built", ""),
        (replace(BARE, meminfo=meminfo(3.8)), "memory", True, "3.8 GB", ""),
        (replace(BARE, meminfo=meminfo(3)), "memory", None, "3.0 GB", "Give it 4 GB."),
        (replace(BARE, meminfo=meminfo(1)), "memory", False, "1.0 GB", "Give it 4 GB."),
        (
            replace(MAC, docker_info=MAC.docker_info | {"MemTotal": 1 * GB}),
            "memory",
            False,
            "1.0 GB",
            "Docker's settings",
        ),
        (replace(UBUNTU, meminfo=meminfo(16, 2)), "swap", True, "2.0 GB", ""),
        (
            replace(OURS, meminfo=meminfo(16, 2)),
            "swap",
            None,
            "on cgroup v1 Pods use it",
            "swapoff",
        ),
        (
            replace(UBUNTU, environment={"https_proxy": "http://me:secret@proxy"}),
            "proxy",
            None,
            "HTTPS_PROXY set",
            "export NO_PROXY",
        ),
        (
            replace(UBUNTU, environment={"HTTP_PROXY": "p", "NO_PROXY": "localhost, 127.0.0.1"}),
            "proxy",
            True,
            "NO_PROXY leaves out",
            "",
        ),
        (replace(UBUNTU, environment={"HTTP_PROXY": ""}), "proxy", True, "none", ""),
        (replace(UBUNTU, kind="!Exec format error"), "kind", False, "Exec format error", "Delete"),
        (replace(UBUNTU, kubectl="Client Version: v1.37.0"), "kubectl", True, "v1.37.0", ""),
        (replace(UBUNTU, kind=""), "kind", True, "`podlab up` makes it", ""),
        (UBUNTU, "registry", True, "it has the node image", ""),
        (
            replace(UBUNTU, registry=None, node_images=["podlab-node:x"]),
            "registry",
            True,
            "not needed: podlab-node:x",
            "",
        ),
        (
            replace(UBUNTU, registry="a: b: no such host"),
            "registry",
            False,
            "does not give the node image (no such host)",
            "bundle",
        ),
        (replace(OURS, registry="no such host"), "registry", True, "built here", ""),
        (
            replace(BARE, registry=None, environment=OFFLINE),
            "registry",
            True,
            "not asked; without it",
            "",
        ),
        (
            replace(UBUNTU, registry=None, environment=OFFLINE),
            "registry",
            False,
            "not asked",
            "bundle",
        ),
        (replace(UBUNTU, registry=None), "registry", None, "not asked", "bundle"),
        (
            replace(OURS, registry="no such host", environment=DOORS["registry"]),
            "registry",
            False,
            "PODLAB_DOOR=registry",
            "Unset",
        ),
        (
            replace(OURS, registry="", environment=DOORS["registry"]),
            "registry",
            True,
            "it has the node image",
            "",
        ),
        (
            replace(OURS, registry=None, environment=DOORS["registry"] | OFFLINE),
            "registry",
            False,
            "not asked",
            "bundle",
        ),
        (
            replace(OURS, registry=None, environment=DOORS["registry"]),
            "registry",
            None,
            "not asked",
            "bundle",
        ),
        (
            replace(OURS, registry=None, environment=DOORS["build"]),
            "registry",
            True,
            "built here",
            "",
        ),
        (
            replace(UBUNTU, registry=None, environment=DOORS["build"]),
            "registry",
            False,
            "PODLAB_DOOR=build",
            "Unset",
        ),
        (
            replace(OURS, environment=DOORS["window"]),
            "registry",
            False,
            "PODLAB_DOOR=window names no door",
            "Set it to",
        ),
        (
            replace(UBUNTU, registry=None, node_container="exited"),
            "registry",
            True,
            "the node is there, exited",
            "",
        ),
        (replace(UBUNTU, port_trouble="Cannot assign"), "port", False, "Cannot assign", "ip link"),
        (
            replace(UBUNTU, environment={"PORT": "80"}, port_wanted_trouble="Permission denied"),
            "port",
            None,
            "80 for JupyterLab",
            "Set PORT",
        ),
    ],
)
def test_each_thing_is_judged_from_what_was_read(facts, name, ok, seen, fix):
    finding = of(facts, name)
    assert finding.ok is ok
    assert seen in finding.seen
    assert fix in finding.fix if fix else finding.fix == ""


def test_no_password_of_a_proxy_is_shown():
    facts = replace(
        UBUNTU,
        environment={
            "HTTPS_PROXY": "http://me:secret@proxy",
            "ALL_PROXY": "socks5://me:secret@proxy",
        },
    )
    assert "secret" not in doctor.render(doctor.judge(facts))


def test_nothing_that_prevents_a_cluster_comes_without_a_fix():
    worst = Facts(
        system="Linux",
        machine="s390x",
        python=(3, 9),
        meminfo=meminfo(1),
        mountinfo=mountinfo(2),
        free_bytes=0,
        kind="!x",
    )
    missing = [
        finding
        for finding in doctor.judge(replace(worst, registry="no", port_trouble="no"))
        if finding.ok is False
    ]
    assert len(missing) >= 9
    assert all(finding.fix for finding in missing)


def refused_calls(*texts: str) -> list[str]:
    """Those of the calls of podlab named in the texts that podlab itself would refuse."""
    refused = []
    for words in (words for text in texts for words in re.findall(r"\bpodlab ([^`]+)", text)):
        try:
            cli.parser().parse_args(words.split())
        except SystemExit:
            refused.append(words)
    return refused


def test_what_is_recommended_can_be_called():
    """Of doctor every text, with and without backticks; of the others what stands in backticks."""
    assert refused_calls("`podlab up`, or bring a bundle: podlab load FILE", "podlab fly") == [
        "load FILE",
        "fly",
    ]
    tree = ast.parse(Path(doctor.__file__).read_text(encoding="utf-8"))
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    named = [text for text in texts if "podlab " in text]
    others = [
        path
        for pattern in ("labhelpers/**/*.py", "notebooks/*.ipynb", "README.md")
        for path in paths.repository().glob(pattern)
    ]
    quoted = [
        call
        for path in others
        for call in re.findall(r"(?<!`)`(podlab [^`\n]+)`", path.read_text(encoding="utf-8"))
    ]
    assert len(named) > 5 and len(quoted) > 20
    assert refused_calls(*named, *quoted) == []


def test_a_machine_is_refused_for_the_first_thing_and_the_others_are_named():
    findings = [
        Finding("disk", False, "1 GB free", "Free some."),
        Finding("swap", None, "x"),
        Finding("memory", False, "1 GB", "More."),
    ]
    with pytest.raises(LabError) as caught:
        doctor.require(findings)
    assert caught.value.happened == "This machine lacks what a cluster needs: disk (and: memory)."
    assert (caught.value.seen, caught.value.do) == ("1 GB free", "Free some.")
    doctor.require(findings[1:2])


def test_a_closed_machine_is_never_asked_for_a_registry(monkeypatch):
    asked = []
    monkeypatch.setattr(doctor, "_run", lambda command: asked.append(command) or (1, "", "no"))
    monkeypatch.delenv("PODLAB_DOOR", raising=False)
    monkeypatch.setenv("PODLAB_OFFLINE", "1")
    assert doctor.gather("podlab", node_images=["x"], registry_image="y").registry is None
    assert not [command for command in asked if "manifest" in command]
    monkeypatch.delenv("PODLAB_OFFLINE")
    assert doctor.gather("podlab", node_images=["x"], registry_image="y").registry == "no"
    monkeypatch.setenv("PODLAB_DOOR", "build")
    assert doctor.gather("podlab", node_images=["x"], registry_image="y").registry is None
    monkeypatch.delenv("PODLAB_DOOR")
    monkeypatch.setattr(doctor, "_run", lambda command: asked.append(command) or (0, "", ""))
    asked.clear()
    assert doctor.gather("podlab", node_images=["x"], registry_image="y").node_images == ["x"]
    assert not [command for command in asked if "manifest" in command]


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ([sys.executable, "-c", "import sys; sys.exit('one\\ntwo\\n\\n')"], 1, "two"),
        (["no-such-program"], 127, "no-such-program is not there"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], 124, "no answer within 0.5 s"),
    ],
)
def test_a_program_that_fails_is_missing_or_hangs_is_an_answer_too(
    monkeypatch, command, code, words
):
    monkeypatch.setattr(doctor, "PROBE_SECONDS", 0.5 if code == 124 else 30)
    assert doctor._run(command) == (code, "", words)


def test_the_disk_of_the_cache_is_looked_at_before_there_is_a_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "_run", lambda _: (1, "", "no"))
    monkeypatch.setenv("PODLAB_CACHE", str(tmp_path / "not" / "yet"))
    facts = doctor.gather("podlab")
    assert facts.cache_free_bytes > 0 and not facts.build_begun
    (tmp_path / "not" / "yet" / "go").mkdir(parents=True)
    assert doctor.gather("podlab").build_begun


def test_an_engine_that_prints_nonsense_does_not_answer(monkeypatch):
    monkeypatch.setattr(doctor, "_run", lambda _: (0, "not json", ""))
    assert not doctor.gather("podlab").answers


def test_a_port_that_is_taken_is_told():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "in use" in doctor._bind_wanted(str(taken.getsockname()[1]))
    assert doctor._bind_wanted("0") == ""
    assert doctor._bind_wanted("lab") == "not a number"
    assert doctor._bind_wanted("70000") != ""


def test_windows_gets_its_answer_although_it_lacks_what_engines_need():
    program = (
        # psutil has a form of its own for Windows.
        "import psutil, sys; sys.modules['fcntl'] = sys.modules['resource'] = None; import"
        " labhelpers.cluster.doctor"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
    assert engine.can_start_here("Windows", "", True, "")
