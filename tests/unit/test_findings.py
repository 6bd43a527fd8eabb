"""What is said of machines, from what was read on them. The recorded inputs are described in
recorded/doctor/README.md."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from labhelpers import paths
from labhelpers.cluster import doctor, findings
from labhelpers.cluster.docker import Answer
from labhelpers.cluster.finding import Finding
from labhelpers.cluster.findings import GB
from labhelpers.cluster.machine import MachineFacts

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
OURS = MachineFacts(
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
ABSENT = Answer(trouble="docker isn't installed", kind="none")
BARE = replace(OURS, docker_info={}, engine_is_ours=False, docker_answer=ABSENT)
PODMAN = Answer(trouble="podman 4.3.1 runs as `docker`", kind="podman")
UBUNTU = MachineFacts(
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
SOURCES = {name: {"PODLAB_DOOR": name} for name in ("registry", "build", "window")}
OFFLINE = {"PODLAB_OFFLINE": "1"}
MIRROR = {"PODLAB_REGISTRY": "m.example/hub"}
MIRRORS = {"RegistryConfig": {"Mirrors": ["https://m.example/"]}}
INSIDE = {"docker_root_here": False, "hostname": "box"}
ANSWERED = {"docker_answer": Answer("28.5.1")}
SNAP_ROOT = "/var/snap/docker/common/var-lib-docker"
MAC = MachineFacts(
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


def of(facts: MachineFacts, name: str) -> Finding:
    found = [finding for finding in findings.judge(facts) if finding.name == name]
    assert len(found) == 1, name
    return found[0]


def without_ok(facts: MachineFacts) -> dict[str, bool | None]:
    return {finding.name: finding.ok for finding in findings.judge(facts) if finding.ok is not True}


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
    assert doctor.render(findings.judge(facts)).endswith("`podlab up` will work.")


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
        *(
            (
                replace(
                    BARE,
                    is_root=False,
                    docker_answer=Answer(trouble="permission denied", kind="forbidden"),
                ),
                name,
                False,
                "may not use",
                "group docker",
            )
            for name in ("engine", "rights")
        ),
        (
            replace(BARE, docker_answer=Answer(trouble='context "x" not found', kind="broken")),
            "engine",
            False,
            'context "x" not found',
            "docker version",
        ),
        (
            replace(BARE, docker_answer=Answer(trouble="no answer within 5 s", kind="slow")),
            "engine",
            False,
            "one is there, but no answer within 5 s",
            "PODLAB_PATIENCE=5",
        ),
        (
            replace(UBUNTU, docker_info={}, docker_trouble="no answer within 5 s", **ANSWERED),
            "engine",
            False,
            "no answer within 5 s",
            "PODLAB_PATIENCE=5",
        ),
        (replace(UBUNTU, docker_info={}, **ANSWERED), "engine", False, "`docker info` says", "log"),
        (
            replace(OURS, docker_info={}, docker_trouble="no answer within 5 s"),
            "engine",
            True,
            "`podlab up` waits for it",
            "",
        ),
        (
            replace(OURS, docker_info={}, docker_answer=ABSENT, docker_endpoint="unix:///x.sock"),
            "engine",
            False,
            "looks for its engine at unix:///x.sock",
            "Install and start Docker",
        ),
        (
            replace(
                OURS,
                docker_info={},
                docker_answer=ABSENT,
                docker_endpoint="unix:///x.sock",
                docker_program="/usr/bin/docker",
            ),
            "engine",
            False,
            "looks for its engine at unix:///x.sock",
            "Start Docker",
        ),
        (replace(BARE, docker_answer=PODMAN), "engine", False, "podman 4.3.1", "podman-docker"),
        (replace(UBUNTU, docker_answer=PODMAN), "engine", False, "podman 4.3.1", "podman-docker"),
        *(
            (replace(UBUNTU, docker_endpoint=where), "engine", False, where, "DOCKER_HOST")
            for where in ("tcp://192.0.2.1:2375", "ssh://me@far")
        ),
        *(
            (replace(UBUNTU, docker_endpoint=where), "engine", True, "found here", "")
            for where in ("tcp://127.0.0.1:2375", "unix:///run/docker.sock", "")
        ),
        (
            replace(UBUNTU, docker_info=UBUNTU.docker_info | {"Name": "host"}, **INSIDE),
            "engine",
            False,
            "to the machine host",
            "DOCKER_HOST",
        ),
        (
            replace(UBUNTU, docker_info=UBUNTU.docker_info | {"Name": "box"}, **INSIDE),
            "engine",
            True,
            "found here",
            "",
        ),
        (replace(WSL, **INSIDE), "engine", True, "Docker Desktop's", ""),
        (replace(MAC, **INSIDE), "engine", True, "Docker Desktop's", ""),
        *(
            (facts, "engine", False, "from a snap", "snap remove docker")
            for facts in (
                replace(UBUNTU, docker_program="/usr/bin/snap"),
                replace(UBUNTU, docker_info=UBUNTU.docker_info | {"DockerRootDir": SNAP_ROOT}),
            )
        ),
        (
            replace(UBUNTU, docker_info=UBUNTU.docker_info | {"SecurityOptions": ["name=userns"]}),
            "engine",
            False,
            "userns-remap",
            "daemon.json",
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
        (UBUNTU, "rights", True, "may use Docker", ""),
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
            "disabled",
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
            replace(BARE, cache_free_bytes=5 * GB, environment=SOURCES["build"]),
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
            "no build needed",
            "",
        ),
        (
            replace(BARE, cache_free_bytes=5 * GB, environment=SOURCES["registry"]),
            "cache",
            True,
            "no build needed",
            "",
        ),
        (
            replace(OURS, cache_free_bytes=5 * GB, node_images=["x"]),
            "cache",
            True,
            "no build needed",
            "",
        ),
        (
            replace(OURS, node_container="running", node_container_image="podlab-node:x"),
            "cache",
            True,
            "no build needed: the cluster runs on podlab-node:x",
            "",
        ),
        (replace(OURS, node_images=["y"]), "cache", True, "no build needed: y is here", ""),
        (MAC, "cache", True, "no build needed", ""),
        (
            replace(UBUNTU, kind="!no answer within 5 s"),
            "kind",
            None,
            "no answer within 5 s",
            "PODLAB_PATIENCE",
        ),
        (UBUNTU, "files", True, "in ", ""),
        (
            replace(UBUNTU, files_trouble=(str(paths.states()), "can't be read", "PODLAB_STATE")),
            "files",
            False,
            "podlab can't be read",
            "Make this user its owner (chown), or set PODLAB_STATE to a folder of yours.",
        ),
        *(
            (
                replace(UBUNTU, files_trouble=(str(root.anchor), "can't be written", variable)),
                "files",
                False,
                f"/ can't be written, so {root} can't be made",
                f"Set {variable} to a folder of yours.",
            )
            for variable, root in (
                ("PODLAB_STATE", paths.states()),
                ("PODLAB_CACHE", paths.cache()),
            )
        ),
        (
            replace(UBUNTU, checkout_writable=False),
            "files",
            None,
            "can't save the notebooks in this folder",
            "Clone",
        ),
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
            "NO_PROXY exempts",
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
            "doesn't provide the node image (no such host)",
            "bundle",
        ),
        (replace(OURS, registry="no such host"), "registry", True, "built here", ""),
        (replace(UBUNTU, environment=MIRROR), "registry", True, "m.example/hub has the node", ""),
        *(
            (facts, "registry", None, "the engine has settings of its own", "docker pull")
            for facts in (
                replace(UBUNTU, registry="x: no such host", environment=MIRROR),
                replace(OURS, registry="x: no such host", environment=MIRROR),
                replace(UBUNTU, registry="no", docker_info=UBUNTU.docker_info | MIRRORS),
                replace(UBUNTU, registry="no", docker_info=UBUNTU.docker_info | {"HttpProxy": "p"}),
            )
        ),
        (
            replace(UBUNTU, registry=None, environment=MIRROR | OFFLINE),
            "registry",
            False,
            "not asked",
            "PODLAB_REGISTRY=m.example/hub",
        ),
        (
            replace(OURS, registry="no", cache_free_bytes=5 * GB, environment=MIRROR),
            "cache",
            None,
            "5.0 GB free",
            "PODLAB_CACHE",
        ),
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
            replace(OURS, registry="no such host", environment=SOURCES["registry"]),
            "registry",
            False,
            "PODLAB_DOOR=registry",
            "Unset",
        ),
        (
            replace(OURS, registry="", environment=SOURCES["registry"]),
            "registry",
            True,
            "it has the node image",
            "",
        ),
        (
            replace(OURS, registry=None, environment=SOURCES["registry"] | OFFLINE),
            "registry",
            False,
            "not asked",
            "bundle",
        ),
        (
            replace(OURS, registry=None, environment=SOURCES["registry"]),
            "registry",
            None,
            "not asked",
            "bundle",
        ),
        (
            replace(OURS, registry=None, environment=SOURCES["build"]),
            "registry",
            True,
            "built here",
            "",
        ),
        (
            replace(UBUNTU, registry=None, environment=SOURCES["build"]),
            "registry",
            False,
            "PODLAB_DOOR=build",
            "Unset",
        ),
        (
            replace(OURS, environment=SOURCES["window"]),
            "registry",
            False,
            "PODLAB_DOOR=window isn't an image source",
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
    assert "secret" not in doctor.render(findings.judge(facts))


def test_nothing_that_prevents_a_cluster_comes_without_a_fix():
    worst = MachineFacts(
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
        for finding in findings.judge(replace(worst, registry="no", port_trouble="no"))
        if finding.ok is False
    ]
    assert len(missing) >= 9
    assert all(finding.fix for finding in missing)
