"""The formulas without a cluster. Expected numbers are those of Kubernetes' own tests where it has
some, named beside them.

tests/cluster/test_formulas.py holds the same formulas against a node.
"""

import math
from decimal import Decimal

import pytest

from labhelpers import formulas
from labhelpers.errors import LabError

MI, GI = 1024**2, 1024**3


def container(name="app", requests=None, limits=None, **more):
    return {"name": name, "resources": {"requests": requests or {}, "limits": limits or {}}, **more}


def sidecar(name, requests=None, limits=None):
    return container(name, requests, limits, restartPolicy="Always")


def spec(*containers, init=(), **more):
    return {"containers": list(containers), "initContainers": list(init), **more}


FULL = {"cpu": "5m", "memory": "1G"}


# --- Numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("100M", 100_000_000),
        ("100Mi", 104_857_600),
        ("1.5", "1.5"),
        (2, 2),
        ("1n", "0.000000001"),
        ("1e3", 1000),
        ("0.1Gi", "107374182.4"),
    ],
)
def test_a_quantity_is_exact(text, number):
    assert formulas.quantity(text) == Decimal(number)


@pytest.mark.parametrize(
    "text", ["", "64MB", "1 Gi", "1_000", "1K", "half", "NaN", "Infinity", "1e999999999G"]
)
def test_what_is_no_quantity_is_named(text):
    with pytest.raises(LabError, match="isn't a quantity"):
        formulas.quantity(text)


# From TestMilliCPUToShares and TestMilliCPUToQuota of pkg/kubelet/cm, and a little more.
@pytest.mark.parametrize(
    ("cpu", "shares", "quota_us"),
    [
        (None, 2, None),
        ("0", 2, None),
        ("1m", 2, 1000),
        ("5m", 5, 1000),
        ("10m", 10, 1000),
        ("15m", 15, 2000),
        ("100m", 102, 10000),
        ("200m", 204, 20000),
        ("300m", 307, 30000),
        ("500m", 512, 50000),
        ("1", 1024, 100000),
        ("1500m", 1536, 150000),
        ("0.0001", 2, 1000),
        ("1000", 262144, 100000000),
    ],
)
def test_shares_and_quota(cpu, shares, quota_us):
    assert formulas.cpu_shares(cpu) == shares
    assert formulas.quota(cpu) == (quota_us, 100_000)


# The first two are from TestAddCPUQuota of github.com/opencontainers/cgroups/systemd; 15m was seen
# on a node.
@pytest.mark.parametrize(
    ("limit", "period_us", "systemd", "cgroupfs"),
    [
        ("500m", 1_000_000, 500_000, 500_000),
        ("1235m", 100_000, 124_000, 123_500),
        ("15m", 100_000, 2000, 1500),
        ("80m", 100_000, 8000, 8000),
        ("5m", 5000, 1000, 1000),
    ],
)
def test_systemd_counts_in_hundredths_of_a_cpu(limit, period_us, systemd, cgroupfs):
    assert formulas.quota(limit, period_us)[0] == systemd
    assert formulas.quota(limit, period_us, "cgroupfs")[0] == cgroupfs


def test_another_period_keeps_the_limit():
    assert formulas.quota("500m", period_us=5000) == (2500, 5000)


# From TestConvertCPUSharesToCgroupV2Value of github.com/opencontainers/cgroups and TestGetCPUWeight
# of pkg/kubelet/cm, and a little more.
@pytest.mark.parametrize(
    ("shares", "new", "old"),
    [
        (1, 1, 1),
        (2, 1, 1),
        (3, 2, 1),
        (102, 17, 4),
        (307, 40, 12),
        (1024, 100, 39),
        (2048, 174, 79),
        (262143, 10000, 9999),
        (262144, 10000, 10000),
        (262145, 10000, 10000),
    ],
)
def test_both_conversions_into_weights(shares, new, old):
    assert (formulas.cpu_weight(shares), formulas.cpu_weight(shares, "old")) == (new, old)


@pytest.mark.parametrize("conversion", ["new", "old"])
def test_a_node_tells_which_conversion_it_uses(conversion):
    told = {
        shares: formulas.weight_conversion(shares, formulas.cpu_weight(shares, conversion))
        for shares in range(3, 20_000)
    }
    assert set(told.values()) == {conversion}


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (262_144, 10_000), (1024, 50)])
def test_a_weight_that_tells_nothing_is_an_error(shares, weight):
    with pytest.raises(LabError, match="don't show which conversion"):
        formulas.weight_conversion(shares, weight)


@pytest.mark.parametrize(
    ("limit", "page_bytes", "limit_bytes"),
    [
        ("64Mi", 4096, 64 * MI),
        ("64Mi", 65536, 64 * MI),
        ("100M", 4096, 99999744),
        ("100M", 65536, 99942400),
        (None, 4096, None),
        ("0", 4096, None),
        ("4097", 4096, 4096),
        ("64Ki", 65536, 65536),
    ],
)
def test_a_memory_limit_is_whole_pages(limit, page_bytes, limit_bytes):
    assert formulas.memory_limit_bytes(limit, page_bytes) == limit_bytes


# --- A Pod ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (spec(container()), "BestEffort"),
        (
            spec(container(requests={"nvidia.com/gpu": "1"}, limits={"nvidia.com/gpu": "1"})),
            "BestEffort",
        ),
        (spec(container(requests={"cpu": "0"})), "BestEffort"),
        (spec(container(limits=FULL)), "Guaranteed"),
        (spec(container(requests={"cpu": "0.005", "memory": "1000M"}, limits=FULL)), "Guaranteed"),
        (spec(container(requests={"memory": "1"}, limits=FULL)), "Burstable"),
        (spec(container(limits={"memory": "1G"})), "Burstable"),
        (spec(container(requests={"cpu": "1m"})), "Burstable"),
        (spec(container(limits=FULL), container("free")), "Burstable"),
        (spec(container(limits=FULL), init=[container("init")]), "Burstable"),
        (spec(container(limits=FULL), init=[sidecar("init", limits=FULL)]), "Guaranteed"),
        (spec(container(), resources={"limits": FULL}), "Guaranteed"),
        (spec(container(limits=FULL), resources={"limits": {"memory": "2G"}}), "Burstable"),
        (spec(container(limits=FULL), resources={}), "Guaranteed"),
    ],
)
def test_qos_class(pod, expected):
    assert formulas.qos_class(pod) == formulas.qos_class({"kind": "Pod", "spec": pod}) == expected


SOME = container("app", {"memory": 1_000_000_000}, {"memory": 1_000_001_000})
ON_POD = {
    "requests": {"cpu": "5m", "memory": 2_000_000_000},
    "limits": {"cpu": "5m", "memory": 2_000_001_000},
}
FIVE = container(
    "app", {"cpu": "5m", "memory": 1_000_000_000}, {"cpu": "5m", "memory": 1_000_000_000}
)


# From TestGetContainerOOMScoreAdjust of pkg/kubelet/qos. Where it leaves out that a limit is also
# the request, the API server adds it.
@pytest.mark.parametrize(
    ("pod", "memory_bytes", "expected"),
    [
        (spec(container(limits={"cpu": "10"})), 4_000_000_000, {"app": 999}),
        (
            spec(container(requests={"cpu": "0"}, limits={"memory": "10G"})),
            8_000_000_000,
            {"app": 3},
        ),
        (spec(container(limits={"memory": "0"})), 7_230_457_451, {"app": 1000}),
        (spec(container()), 4_000_000_000, {"app": 1000}),
        (spec(container(limits={"cpu": "5m", "memory": "10G"})), 123_456_789, {"app": -997}),
        (
            spec(
                container(requests={"memory": 4_000_000_000, "cpu": "5m"}, limits={"memory": "10G"})
            ),
            8_000_000_000,
            {"app": 500},
        ),
        (
            spec(container(requests={"memory": 7_999_999_999, "cpu": "5m"})),
            8_000_000_000,
            {"app": 3},
        ),
        (
            spec(container(), priorityClassName="system-cluster-critical"),
            4_000_000_000,
            {"app": 1000},
        ),
        (spec(container(), priorityClassName="system-node-critical"), 4_000_000_000, {"app": -997}),
        (spec(SOME, init=[{**SOME, "name": "init"}]), 8_000_000_000, {"app": 875, "init": 875}),
        (
            spec(SOME, init=[sidecar("small", {"memory": 400_000_000})]),
            8_000_000_000,
            {"app": 875, "small": 875},
        ),
        (
            spec(SOME, init=[sidecar("big", {"memory": 4_000_000_000})]),
            8_000_000_000,
            {"app": 875, "big": 500},
        ),
        (
            spec(container("a"), container("b"), resources={"limits": ON_POD["requests"]}),
            4_000_000_000,
            {"a": -997, "b": -997},
        ),
        (
            spec(container("a"), container("b"), resources=ON_POD),
            4_000_000_000,
            {"a": 750, "b": 750},
        ),
        (
            spec(FIVE, {**FIVE, "name": "b"}, resources=ON_POD),
            4_000_000_000,
            {"app": 750, "b": 750},
        ),
        (spec(FIVE, container("b"), resources=ON_POD), 4_000_000_000, {"app": 625, "b": 875}),
        (
            spec(
                container("a", {"memory": 1_000_000_000}),
                container("b", {"memory": 500_000_000}),
                init=[sidecar("s", {"memory": 200_000_000})],
                resources=ON_POD,
            ),
            4_000_000_000,
            {"a": 725, "b": 850, "s": 850},
        ),
    ],
)
def test_oom_score_adj(pod, memory_bytes, expected):
    assert {name: formulas.oom_score_adj(pod, name, memory_bytes) for name in expected} == expected


@pytest.mark.parametrize(
    ("floor", "expected"),
    [(None, (-997, 1000)), (1, (1, 1000)), (-500, (-500, 1000)), (-998, (-997, 1000))],
)
def test_oom_score_adj_is_lifted_to_the_floor_of_the_node(floor, expected):
    pods = spec(container(limits=FULL)), spec(container())
    assert tuple(formulas.oom_score_adj(pod, "app", 4 * GI, floor) for pod in pods) == expected


# The first three are claim E7: a sidecar counts for the init containers behind it and for the apps.
@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (
            spec(
                container(requests={"memory": "100Mi"}), init=[container("i", {"memory": "300Mi"})]
            ),
            300,
        ),
        (
            spec(
                container(requests={"memory": "100Mi"}),
                init=[
                    container("i", {"memory": "300Mi"}),
                    sidecar("s", {"memory": "50Mi"}),
                    container("j", {"memory": "200Mi"}),
                ],
            ),
            300,
        ),
        (
            spec(
                container(requests={"memory": "100Mi"}),
                init=[sidecar("s", {"memory": "50Mi"}), container("i", {"memory": "300Mi"})],
            ),
            350,
        ),
        (
            spec(
                container("a", {"memory": "100Mi"}),
                container("b", limits={"memory": "50Mi"}),
                overhead={"memory": "10Mi"},
            ),
            160,
        ),
        (
            spec(
                container(requests={"memory": "100Mi"}), resources={"requests": {"memory": "400Mi"}}
            ),
            400,
        ),
        (
            spec(
                container(requests={"memory": "100Mi"}), resources={"limits": {"memory": "400Mi"}}
            ),
            100,
        ),
        (spec(container(), resources={"limits": {"memory": "400Mi"}}), 400),
    ],
)
def test_effective_requests(pod, expected):
    assert formulas.effective_requests(pod)["memory"] == expected * MI


def test_cgroup_values_of_both_versions():
    pod = spec(
        container(requests={"cpu": "100m"}, limits={"cpu": "500m", "memory": "64Mi"}),
        container("free"),
    )
    one, two = (
        formulas.cgroup_values(pod, "app", 1),
        formulas.cgroup_values(pod, "app", 2, node_memory_bytes=GI, floor=1),
    )
    assert one == formulas.Values(1, 102, None, 50_000, 100_000, 64 * MI)
    assert two == formulas.Values(2, 102, 17, 50_000, 100_000, 64 * MI, 938)
    assert formulas.cgroup_values(pod, "app", 2, conversion="old").cpu_weight == 4
    assert formulas.cgroup_values(pod, "free", 1) == formulas.Values(
        1, 2, None, None, 100_000, None
    )


def test_a_limit_without_a_request_is_the_request():
    assert (
        formulas.cgroup_values(spec(container(limits={"cpu": "500m"})), "app", 1).cpu_shares == 512
    )
    assert (
        formulas.cgroup_values(
            spec(container(requests={"cpu": "0"}, limits={"cpu": "500m"})), "app", 1
        ).cpu_shares
        == 2
    )


def test_a_container_without_a_limit_has_the_pods():
    pod = spec(
        container(),
        container("own", limits={"memory": "32Mi"}),
        resources={"limits": {"cpu": "1", "memory": "64Mi"}},
    )
    assert formulas.cgroup_values(pod, "app", 1) == formulas.Values(
        1, 1024, None, 100_000, 100_000, 64 * MI
    )
    assert formulas.cgroup_values(pod, "own", 1).memory_limit_bytes == 32 * MI


# From TestResourceConfigForPod of pkg/kubelet/cm, and a little more: shares, quota, memory limit.
@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (spec(container()), (2, None, None)),
        (spec(container(requests={"cpu": "100m", "memory": "100Mi"})), (102, None, None)),
        (
            spec(container(requests={"cpu": "100m"}, limits={"cpu": "200m", "memory": "200Mi"})),
            (102, 20_000, 200 * MI),
        ),
        (
            spec(
                container("a", {"cpu": "100m"}, {"cpu": "200m", "memory": "200Mi"}),
                container("b", {"cpu": "100m"}, {"memory": "100Mi"}),
            ),
            (204, None, 300 * MI),
        ),
        (
            spec(container(limits={"cpu": "200m", "memory": "200Mi"}), init=[container("i")]),
            (204, None, None),
        ),
        (
            spec(container(limits=FULL), overhead={"cpu": "95m", "memory": "1G"}),
            (102, 10_000, 1_999_998_976),
        ),
        (
            spec(container(), resources={"limits": {"cpu": "1", "memory": "64Mi"}}),
            (1024, 100_000, 64 * MI),
        ),
    ],
)
def test_the_pods_own_cgroup(pod, expected):
    found = formulas.pod_cgroup_values(pod, 1)
    assert (found.cpu_shares, found.cpu_quota_us, found.memory_limit_bytes) == expected


def test_the_pods_own_weight_is_the_kubelets():
    pod = spec(container(requests={"cpu": "1"}))
    assert (
        formulas.pod_cgroup_values(pod, 2).cpu_weight,
        formulas.cgroup_values(pod, "app", 2).cpu_weight,
    ) == (39, 100)


@pytest.mark.parametrize(
    "ask",
    [
        lambda pod: formulas.cgroup_values(pod, "web", 1),
        lambda pod: formulas.oom_score_adj(pod, "web", GI),
    ],
)
def test_an_unknown_container_is_told_with_those_that_exist(ask):
    with pytest.raises(LabError) as caught:
        ask(spec(container(), init=[container("init")]))
    assert caught.value.seen == "its containers are init, app"


def test_what_does_not_exist_is_said():
    with pytest.raises(LabError, match="cgroup version 3"):
        formulas.cgroup_values(spec(container()), "app", 3)
    with pytest.raises(LabError, match="conversion 'newer'"):
        formulas.cpu_weight(102, "newer")
    with pytest.raises(LabError, match="driver 'runc'"):
        formulas.quota("1", driver="runc")


# --- What it comes to -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("demand", "limit", "share", "seconds"),
    [(1, 0.2, 1, 8), (2, 0.5, 1, 15), (2, 1.5, 1, 5), (0.1, 0.2, 0, 0), (1, 1, 0, 0), (1, 2, 0, 0)],
)
def test_throttling_of_a_steady_demand(demand, limit, share, seconds):
    assert formulas.throttled_share(demand, limit) == share
    assert formulas.throttled_seconds(demand, limit, wall_seconds=10) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("burst", "limit", "threads", "seconds"),
    [
        (0.06, None, 1, 0.06),
        (0.06, 1, 1, 0.06),
        (0.02, 0.2, 1, 0.02),
        (0.021, 0.2, 1, 0.101),
        (0.06, 0.2, 1, 0.22),
        (0.3, 0.1, 1, 2.91),
        (0.15, 1.5, 2, 0.075),
        (0.3, 1.5, 2, 0.175),
        (0, 0.2, 1, 0),
        (0.4, 2, 2, 0.2),
    ],
)
def test_a_burst_under_a_limit(burst, limit, threads, seconds):
    assert formulas.burst_seconds(burst, limit, threads=threads) == pytest.approx(seconds)


@pytest.mark.parametrize("wrong", [0, -1, math.nan])
def test_a_burst_that_never_ends_is_told(wrong):
    for how in ({"limit_cpus": wrong}, {"period_seconds": wrong}, {"threads": wrong}):
        with pytest.raises(LabError, match="Use numbers above 0"):
            formulas.burst_seconds(0.06, **{"limit_cpus": 0.2, **how})


@pytest.mark.parametrize(
    ("weights", "cpus", "demand", "expected"),
    [
        ({"a": 102, "b": 102}, 2, None, {"a": 1, "b": 1}),
        ({"a": 17, "b": 40}, 2, None, {"a": 2 * 17 / 57, "b": 2 * 40 / 57}),
        ({"a": 1024, "b": 3072}, 2, {"b": 1}, {"a": 1, "b": 1}),
        ({"a": 1, "b": 1, "c": 2}, 2, {"c": 0.5}, {"a": 0.75, "b": 0.75, "c": 0.5}),
        ({"a": 1, "b": 1, "c": 2}, 2, {"a": 0.1, "b": 0.8}, {"a": 0.1, "b": 1.9 / 3, "c": 3.8 / 3}),
        ({"a": 2, "b": 2}, 2, {"a": 0.5, "b": 0.5}, {"a": 0.5, "b": 0.5}),
    ],
)
def test_contention(weights, cpus, demand, expected):
    assert formulas.contention_split(weights, cpus, demand) == pytest.approx(expected)


def a_pod(name, namespace="lab", node="", phase="Running", **amounts):
    spec = {
        "containers": [{"name": "app", "resources": {"limits": amounts}}],
        **({"nodeName": node} if node else {}),
    }
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
        "status": {"phase": phase},
    }


def test_the_account_of_a_resource_counts_what_is_placed_and_has_not_ended():
    node = {
        "metadata": {"name": "n"},
        "status": {"allocatable": {"cpu": "2", "gpu.example/x": "3"}},
    }
    pods = [
        a_pod("has", node="n", **{"gpu.example/x": "1"}),
        a_pod("ended", node="n", phase="Succeeded", **{"gpu.example/x": "1"}),
        a_pod("elsewhere", node="gone", **{"gpu.example/x": "1"}),
        a_pod("waits", phase="Pending", **{"gpu.example/x": "4"}),
        a_pod("other", node="n", cpu="500m"),
    ]
    found = formulas.count("gpu.example/x", [node], pods)
    assert (found.offered, found.has, found.waits, found.free) == (
        3,
        {"lab/has": 1},
        {"lab/waits": 4},
        2,
    )
    assert formulas.count("cpu", [node], pods).free == Decimal("1.5")
    assert formulas.count("gpu.example/y", [node], pods).free == 0


FORMULAS = [
    each
    for each in formulas.__all__
    if callable(getattr(formulas, each)) and not isinstance(getattr(formulas, each), type)
]


@pytest.mark.parametrize("name", FORMULAS)
def test_each_formula_names_its_source(name):
    assert (
        "Rests on" in getattr(formulas, name).__doc__
        or "https://" in getattr(formulas, name).__doc__
    )
