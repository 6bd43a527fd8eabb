"""File text to numbers: recorded files of both versions."""

import dataclasses
from pathlib import Path

import pytest

from labhelpers import formulas
from labhelpers.errors import LabError
from labhelpers.node import cgroups

POD_UID = "7e234b6f-f44c-421b-86ad-eff96d2c002e"
CONTAINER_ID = "10ec7269986e0690c14422c1cb12b1744dfd4520c8d1dc433f56db55567fb6ae"
MI = 1024**2
TREES = {1: "/sys/fs/cgroup/memory", 2: "/sys/fs/cgroup"}


def recorded(version: int | str) -> dict[str, str]:
    """The texts of a recording, by path."""
    texts: dict[str, str] = {}
    path = ""
    for line in (
        (Path(__file__).parent / "recorded" / f"cgroup-v{version}.txt").read_text().splitlines()
    ):
        if line.startswith("== "):
            path = line[3:]
            texts[path] = ""
        elif path:
            texts[path] += line + "\n"
    return texts


def found(texts: dict[str, str]) -> cgroups.Cgroup:
    own, mounts = (
        next(text for path, text in texts.items() if path.endswith("/cgroup")),
        texts["/proc/self/mountinfo"],
    )
    directories = cgroups.directories(own, mounts)
    wanted = cgroups.files(directories)
    return cgroups.measure(directories, {path: texts[path] for path in wanted if path in texts})


@pytest.mark.parametrize("version", [1, 2])
def test_recorded_files_give_the_container_of_the_recording(version):
    texts = recorded(version)
    own = next(text for path, text in texts.items() if path.endswith("/cgroup"))
    assert cgroups.version(texts["/proc/self/mountinfo"]) == version
    assert cgroups.container_id(cgroups.path(own), POD_UID) == CONTAINER_ID
    only = {
        1: {
            "memory_bytes": 13049856,
            "memory_kernel_bytes": None,
            "memory_limit_hits": 0,  # this kernel does not count them
            "cpu_shares": 102,
            "cpu_weight": None,
            "hugetlb_bytes": {},
            "hugetlb_limit_bytes": {},
        },
        2: {
            "memory_bytes": 13058048,
            "memory_kernel_bytes": 421888,
            "memory_limit_hits": 34,
            "cpu_shares": None,
            "cpu_weight": 17,
            "hugetlb_bytes": {2 * MI: 2 * MI, 1024 * MI: 0},
            "hugetlb_limit_bytes": {2 * MI: 4 * MI, 1024 * MI: None},
        },
    }
    assert found(texts) == cgroups.Cgroup(
        version=version,
        directory=TREES[version] + cgroups.path(own),
        memory_peak_bytes=64 * MI,
        memory_limit_bytes=64 * MI,
        memory_anonymous_bytes=49152,
        memory_cache_bytes=12587008,
        memory_shared_bytes=4 * MI,
        memory_inactive_file_bytes=8 * MI,
        oom_kills=1,
        oom_kills_all=False,
        cpu_seconds=pytest.approx(0.721815, abs=0.000001),
        cpu_quota_us=50_000,
        cpu_period_us=100_000,
        periods=20,
        throttled_periods=12,
        throttled_seconds=pytest.approx(0.361501, abs=0.000002),
        **only[version],
    )
    assert found(texts).cpu_limit_cores == 0.5
    assert found(texts).memory_working_set_bytes == only[version]["memory_bytes"] - 8 * MI


@pytest.mark.parametrize("version", [1, 2])
def test_numbers_written_back_are_the_text_of_the_files(version):
    texts = {path.rpartition("/")[2]: text.strip() for path, text in recorded(version).items()}
    own = {"requests": {"cpu": "100m"}, "limits": {"cpu": "500m", "memory": "64Mi"}}
    values = formulas.cgroup_values(
        {"containers": [{"name": "app", "resources": own}]}, "app", version
    )
    written = cgroups.written(values)
    assert written == {name: texts[name] for name in written}
    assert len(written) == (4 if version == 1 else 3)


@pytest.mark.parametrize(
    ("version", "written"),
    [
        (
            1,
            {
                "cpu.shares": "2",
                "cpu.cfs_quota_us": "-1",
                "cpu.cfs_period_us": "100000",
                "memory.limit_in_bytes": "9223372036854771712",
            },
        ),
        (2, {"cpu.weight": "1", "cpu.max": "max 100000", "memory.max": "max"}),
    ],
)
def test_no_limit_written_back(version, written):
    assert (
        cgroups.written(formulas.cgroup_values({"containers": [{"name": "app"}]}, "app", version))
        == written
    )


@pytest.mark.parametrize(
    ("version", "file", "text"),
    [
        (1, "memory.limit_in_bytes", "9223372036854771712\n"),
        (1, "memory.limit_in_bytes", "9223372036854710272\n"),  # pages of 64 KiB
        (1, "cpu.cfs_quota_us", "-1\n"),
        (2, "memory.max", "max\n"),
        (2, "cpu.max", "max 100000\n"),
    ],
)
def test_no_limit_is_none(version, file, text):
    texts = {
        path: text if path.endswith("/" + file) else old for path, old in recorded(version).items()
    }
    limit = (
        found(texts).memory_limit_bytes
        if file.startswith("memory")
        else found(texts).cpu_limit_cores
    )
    assert limit is None


@pytest.mark.parametrize(
    ("version", "file", "missing"),
    [
        (1, "memory.max_usage_in_bytes", ["memory_peak_bytes"]),
        (2, "memory.peak", ["memory_peak_bytes"]),
        (2, "memory.events", ["memory_limit_hits", "oom_kills"]),
        (2, "memory.oom.group", ["oom_kills_all"]),
        (2, "cpu.max", ["cpu_quota_us", "cpu_period_us"]),
        (1, "cpu.shares", ["cpu_shares"]),
    ],
)
def test_a_file_that_this_kernel_does_not_have_is_none(version, file, missing):
    texts = {
        path: text for path, text in recorded(version).items() if not path.endswith("/" + file)
    }
    one, other = (dataclasses.asdict(found(each)) for each in (recorded(version), texts))
    assert [name for name in one if one[name] != other[name]] == missing
    assert {other[name] for name in missing} == {None}


def test_a_controller_that_is_missing_leaves_its_numbers_out():
    texts = recorded(1)
    without = {
        name: text.replace("4:memory:", "4:gone:") if name.endswith("/cgroup") else text
        for name, text in texts.items()
    }
    seen = found(without)
    assert (
        seen.version,
        seen.memory_bytes,
        seen.memory_limit_bytes,
        seen.oom_kills_all,
        seen.cpu_shares,
    ) == (1, None, None, None, 102)
    # Version 2 without the cpu controller still counts time, and nothing else of it.
    texts = {
        path: text
        for path, text in recorded(2).items()
        if not path.endswith(("/cpu.max", "/cpu.weight"))
    }
    stat = next(path for path in texts if path.endswith("/cpu.stat"))
    seen = found({**texts, stat: "usage_usec 5000000\nuser_usec 1\nsystem_usec 1\n"})
    assert (seen.cpu_seconds, seen.periods, seen.throttled_seconds, seen.cpu_limit_cores) == (
        5.0,
        None,
        None,
        None,
    )


def test_version_1_with_huge_pages():
    directories = {"memory": "/m", "hugetlb": "/h"}
    wanted = cgroups.files(directories)
    texts = {
        "/h/hugetlb.2MB.usage_in_bytes": "2097152\n",
        "/h/hugetlb.2MB.limit_in_bytes": "9223372036852678656\n",
    }
    assert set(texts) < set(wanted)
    seen = cgroups.measure(directories, texts)
    assert (seen.hugetlb_bytes, seen.hugetlb_limit_bytes) == ({2 * MI: 2 * MI}, {2 * MI: None})


def test_the_whole_group_is_killed_where_the_kubelet_says_so():
    texts = {
        path: "1\n" if path.endswith("/memory.oom.group") else text
        for path, text in recorded(2).items()
    }
    assert found(texts).oom_kills_all is True


@pytest.mark.parametrize(
    "path",
    [
        (  # systemd
            f"/kubelet.slice/kubelet-kubepods-pod{POD_UID.replace('-', '_')}.slice/cri-containerd-{CONTAINER_ID}.scope"  # noqa: E501
        ),
        f"/kubepods/burstable/pod{POD_UID}/{CONTAINER_ID}",  # cgroupfs
        f"/docker/{'e' * 64}/kubelet/kubepods/besteffort/pod{POD_UID}/{CONTAINER_ID}/of-its-own",  # seen from outside of a kind node  # noqa: E501
        f"/kubepods-pod{POD_UID.replace('-', '_')}.slice/crio-{CONTAINER_ID}.scope",
    ],
)
def test_the_container_is_found_with_every_driver(path):
    assert cgroups.container_id(path, POD_UID) == CONTAINER_ID
    assert cgroups.container_id(path, "another") == ""


def test_a_mount_of_a_part_of_the_tree_is_subtracted():
    """Without a cgroup namespace of its own a node sees paths from the machine's root, and mounts
    its own part of the tree."""
    part = "9 8 0:7 /docker/d/k /elsewhere/k rw - cgroup cgroup rw,memory\n"
    mounts = part + "9 8 0:7 /docker/d /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    assert cgroups.directories("4:memory:/docker/d/k/x\n", mounts) == {
        "memory": "/sys/fs/cgroup/memory/k/x"
    }
    with pytest.raises(LabError, match="aren't mounted on the node"):
        cgroups.directories("4:memory:/docker/dd/k/x\n", mounts)


def test_version_1_with_an_empty_version_2_beside_it_is_version_1():
    beside = "3 2 0:9 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    assert (
        cgroups.version(beside + "4 2 0:8 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")
        == 1
    )
    assert cgroups.version(beside) == 2
    with pytest.raises(LabError, match="no cgroup tree"):
        cgroups.version("1 0 0:1 / / rw - ext4 /dev/vda rw\n")


# --- a real Pod on version 2 ----------------------------------------------------------------------

ASKS_UID = "02526d01-572e-41cd-95f6-5d658e26918a"
ASKS = {
    "app": {"requests": {"cpu": "100m"}, "limits": {"cpu": "500m"}},
    "same": {"requests": {"cpu": "0.1"}, "limits": {"cpu": "0.5"}},
    "nothing": {},
}
THROTTLED = {"app": 4, "same": 0, "nothing": 0}  # periods of the recording
# The processes of the recording, by container.
PROCESSES = {"app": 17450, "same": 17476, "nothing": 17501}


def of_process(pid: int) -> cgroups.Cgroup:
    texts = recorded("2-pod")
    directories = cgroups.directories(texts[f"/proc/{pid}/cgroup"], texts["/proc/self/mountinfo"])
    wanted = cgroups.files(directories)
    return cgroups.measure(directories, {path: texts[path] for path in wanted if path in texts})


@pytest.mark.parametrize("container", ASKS)
def test_a_real_containers_numbers_on_version_2_are_those_of_the_formulas(container):
    """The runtime of that node (runc 1.4) had the new conversion of shares to weights."""
    seen = of_process(PROCESSES[container])
    spec = {"containers": [{"name": name, "resources": own} for name, own in ASKS.items()]}
    values = formulas.cgroup_values(spec, container, 2, conversion="new")
    assert seen.cpu_weight == values.cpu_weight == (1 if container == "nothing" else 17)
    assert (seen.cpu_quota_us, seen.memory_limit_bytes) == (values.cpu_quota_us, None)
    assert seen.oom_kills_all is True, "the kubelet sets memory.oom.group for app containers"
    assert cgroups.container_id(seen.directory, ASKS_UID)
    assert (seen.version, seen.oom_kills, seen.hugetlb_bytes) == (2, 0, {})
    assert 0 < seen.memory_bytes < 1 * MI < seen.memory_peak_bytes
    assert (seen.cpu_seconds > 0, seen.throttled_periods) == (True, THROTTLED[container])


def test_a_real_pods_weight_on_version_2_is_of_the_kubelets_older_conversion():
    pod = next(
        path.rpartition("/")[0] for path in recorded("2-pod") if path.endswith(".slice/cpu.weight")
    )
    spec = {"containers": [{"name": name, "resources": own} for name, own in ASKS.items()]}
    values = formulas.pod_cgroup_values(spec, 2, conversion="old")
    assert int(recorded("2-pod")[f"{pod}/cpu.weight"]) == values.cpu_weight == 8
    assert recorded("2-pod")[f"{pod}/memory.oom.group"] == "0\n"
