"""File text to numbers: recorded files of both versions."""

from pathlib import Path

import pytest

from labhelpers import cgroups
from labhelpers.errors import LabError

POD_UID = "88ff2f50-6d3e-4cfa-8c75-444c4b477758"
CONTAINER_ID = "223c0e94e42913529155704dbf7aa10367bf5f15af4b717624cf73cc23fca530"
TREES = {1: "/sys/fs/cgroup/memory", 2: "/sys/fs/cgroup"}


def recorded(version: int) -> dict[str, str]:
    """The texts of a recording, by path."""
    texts: dict[str, str] = {}
    path = ""
    for line in (Path(__file__).parent / "recorded" / f"cgroup-v{version}.txt").read_text().splitlines():
        if line.startswith("== "):
            path = line[3:]
            texts[path] = ""
        elif path:
            texts[path] += line + "\n"
    return texts


def found(texts: dict[str, str]) -> cgroups.Cgroup:
    own, mounts = next(text for path, text in texts.items() if path.endswith("/cgroup")), texts["/proc/self/mountinfo"]
    directories = cgroups.directories(own, mounts)
    wanted = cgroups.files(directories)
    return cgroups.measure(directories, {path: texts[path] for path in wanted if path in texts})


@pytest.mark.parametrize("version", [1, 2])
def test_recorded_files_give_the_container_of_the_recording(version):
    texts = recorded(version)
    own = next(text for path, text in texts.items() if path.endswith("/cgroup"))
    assert cgroups.version(texts["/proc/self/mountinfo"]) == version
    assert cgroups.container_id(cgroups.path(own), POD_UID) == CONTAINER_ID
    assert found(texts) == cgroups.Cgroup(
        version=version,
        directory=TREES[version] + cgroups.path(own),
        memory_bytes=278528,
        memory_peak_bytes=3891200,
        memory_limit_bytes=64 * 1024**2,
        cpu_seconds=pytest.approx(0.017205, abs=0.000001),
        cpu_limit_cores=0.5,
    )


@pytest.mark.parametrize(
    ("version", "file", "text"),
    [
        (1, "memory.limit_in_bytes", "9223372036854771712\n"),
        (1, "cpu.cfs_quota_us", "-1\n"),
        (2, "memory.max", "max\n"),
        (2, "cpu.max", "max 100000\n"),
    ],
)
def test_no_limit_is_none(version, file, text):
    texts = {path: text if path.endswith("/" + file) else old for path, old in recorded(version).items()}
    limit = found(texts).memory_limit_bytes if file.startswith("memory") else found(texts).cpu_limit_cores
    assert limit is None


@pytest.mark.parametrize(("version", "file"), [(1, "memory.max_usage_in_bytes"), (2, "memory.peak")])
def test_a_file_that_this_kernel_does_not_have_is_none(version, file):
    texts = {path: text for path, text in recorded(version).items() if not path.endswith("/" + file)}
    assert found(texts).memory_peak_bytes is None


@pytest.mark.parametrize(
    "path",
    [
        f"/kubelet.slice/kubelet-kubepods-pod{POD_UID.replace('-', '_')}.slice/cri-containerd-{CONTAINER_ID}.scope",  # systemd
        f"/kubepods/burstable/pod{POD_UID}/{CONTAINER_ID}",  # cgroupfs
        f"/docker/{'e' * 64}/kubelet/kubepods/besteffort/pod{POD_UID}/{CONTAINER_ID}/of-its-own",  # seen from outside of a kind node
        f"/kubepods-pod{POD_UID.replace('-', '_')}.slice/crio-{CONTAINER_ID}.scope",
    ],
)
def test_the_container_is_found_with_every_driver(path):
    assert cgroups.container_id(path, POD_UID) == CONTAINER_ID
    assert cgroups.container_id(path, "another") == ""


def test_a_mount_of_a_part_of_the_tree_is_subtracted():
    """Without a cgroup namespace of its own a node sees paths from the machine's root, and mounts its own part of the tree."""
    part = "9 8 0:7 /docker/d/k /elsewhere/k rw - cgroup cgroup rw,memory\n"
    mounts = part + "9 8 0:7 /docker/d /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    assert cgroups.directories("4:memory:/docker/d/k/x\n", mounts) == {"memory": "/sys/fs/cgroup/memory/k/x"}
    with pytest.raises(LabError, match="cannot be reached"):
        cgroups.directories("4:memory:/docker/dd/k/x\n", mounts)


def test_version_1_with_an_empty_version_2_beside_it_is_version_1():
    beside = "3 2 0:9 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    assert cgroups.version(beside + "4 2 0:8 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n") == 1
    assert cgroups.version(beside) == 2
    with pytest.raises(LabError, match="no cgroup tree"):
        cgroups.version("1 0 0:1 / / rw - ext4 /dev/vda rw\n")
