"""The proofs of lab 12: each says one sentence where its claim is true, another where it isn't."""

import itertools
from types import SimpleNamespace

import pandas
import pytest

from labhelpers import formulas
from labhelpers.charts.doses import COLUMNS, doses
from labhelpers.predicted import COMPARED, Predicted, compare
from labhelpers.proofs import Proofs

PROOFS = Proofs("12-cpu")
TOOLS = PROOFS.module
UID, ID = "1-2", "a" * 64


def prove(claim, *measured, lab=None):
    return PROOFS.of(claim)(lab, *measured).sentence


# --- H4 -------------------------------------------------------------------------------------------


def bursts(short=0.01, long=(0.13, 0.17, 0.21), cpus=0.16, free=0.05):
    kinds = dict(
        zip(TOOLS.KINDS, ([0.01] * 20, [short] * 20, [free] * 20, list(long) * 7), strict=True)
    )
    return TOOLS.Bursts(kinds, dict.fromkeys(kinds, cpus))


def test_h4_bursts_are_as_predicted():
    shown = PROOFS.of("H4")(None, bursts())
    assert shown.sentence == (
        "under a limit of 200m, a burst of 10 ms takes as long as without, and one of 50 ms takes "
        "130 to 210 ms, as predicted, although its container used less than the limit on average"
    )
    assert str(shown.what).endswith("50 ms, limit 200m: 130 to 210 ms, as predicted")


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (bursts(short=0.05), "10 ms, limit 200m: a burst took 50 to 50 ms, unlike predicted"),
        (bursts(long=[0.25]), "50 ms, limit 200m: a burst took 250 to 250 ms, unlike predicted"),
        (bursts(cpus=0.2), "used no less than the limit on average"),
        (bursts(free=0.2), "50 ms, no limit: a burst took 200 to 200 ms, unlike predicted"),
    ],
)
def test_h4_bursts_otherwise(found, says):
    assert says in prove("H4", found)


def throttle(*rows):
    frame = pandas.DataFrame(rows, columns=list(COLUMNS))
    steps = pandas.DataFrame({"value": ["100m", "300m"], "measured": [1.0, rows[0][1]]})
    slider = SimpleNamespace(finish=lambda: None)
    return SimpleNamespace(chart=lambda title: doses(frame, title, 1.0), steps=steps, slider=slider)


def test_h4_has_two_halves():
    swept = throttle((0.3, 1.0, 0.3), (1.2, 0.0, 0.9))
    assert prove("H4", bursts(), swept).startswith(
        "below the demand throttled in nearly every period, above it in hardly any · below the "
        "demand it used its limit; under a limit of 200m, a burst of 10 ms"
    )
    swept = throttle((0.3, 0.7, 0.3), (1.2, 0.5, 0.9))
    assert prove("H4", bursts(), swept).startswith(
        "below the demand throttled in 70 % at 0.3, above it in 50 % at 1.2"
    )


@pytest.mark.parametrize(
    ("share", "choice"), [(0.98, "100 %"), (0.7, "70 %"), (0.31, "30 %"), (0.0, "30 %")]
)
def test_how_often(share, choice):
    assert TOOLS.how_often(None, throttle((0.3, share, 0.3))) == choice


def test_what_bursts_took():
    assert TOOLS.what_short_ones_took(None, bursts()) == 10
    assert TOOLS.what_short_ones_took(None, bursts(short=0.05)) == 50
    assert TOOLS.what_long_ones_took(None, bursts()).startswith("100 to 220 ms")
    assert TOOLS.what_long_ones_took(None, bursts(long=[0.05])).startswith("50 ms")
    assert TOOLS.what_long_ones_took(None, bursts(long=[0.25])).startswith("250 ms")


def test_bursts_begin_when_the_node_is_quiet_and_say_what_they_used(monkeypatch):
    pauses, used = [], itertools.count(0.0, 1.6)
    monkeypatch.setattr(TOOLS.time, "sleep", pauses.append)
    clock = itertools.count(0.0, 10.0)
    monkeypatch.setattr(TOOLS.time, "monotonic", lambda: next(clock))
    pod = SimpleNamespace(
        raw={"status": {"containerStatuses": [{"state": {"running": {"startedAt": "T"}}}]}},
        container=lambda _: SimpleNamespace(cgroup=SimpleNamespace(cpu_seconds=next(used))),
        exec=lambda name, words, **_: SimpleNamespace(stdout=f"{words[-2]}\n" * int(words[-1])),
        undisturbed=lambda measure, **_: measure(),
    )
    lab = SimpleNamespace(node=SimpleNamespace(run=lambda _: "2\n"))
    found = TOOLS.bursts(lab, pod)
    assert pauses == [3.0]
    assert list(found.seconds) == list(TOOLS.KINDS)
    assert found.seconds["50 ms, no limit"] == [0.05] * 20
    assert found.cpus["50 ms, limit 200m"] == pytest.approx(0.16)


# --- H1, H5 ---------------------------------------------------------------------------------------

SPEC = {
    "containers": [
        {"name": "unlimited", "resources": {"requests": {"cpu": "100m"}}},
        *(
            {"name": name, "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}}}
            for name in ("small", "large")
        ),
    ]
}


class Pod:
    """A Pod whose cgroups have what is predicted, but for what is given: name -> {value: other}."""

    name, uid = "bursts", UID

    def __init__(self, version=2, **others):
        self.predicted = Predicted(SPEC, {"version": version})
        self.raw = {
            "metadata": {"name": "bursts", "uid": UID},
            "spec": {**SPEC, "nodeName": "n"},
            "status": {"qosClass": "Burstable"},
        }
        self.found = {}
        for name in self.predicted:
            own = {value: getattr(self.predicted[name], value) for value in COMPARED[version]}
            self.found[name] = own | others.get(name, {})

    def as_predicted(self):
        return compare(self.predicted, self.found)

    def container(self, name):
        cgroup = SimpleNamespace(**self.found[name], periods=74, throttled_periods=34)
        return SimpleNamespace(cgroup=cgroup, now=lambda: SimpleNamespace(id=ID))


@pytest.mark.parametrize("version", [1, 2])
def test_h1_all_is_as_computed(version):
    assert prove("H1", Pod(version)) == (
        "200m and 0.2 give the same quota; unlimited has none; the kernel's files say what was"
        " computed"
    )


def test_h1_otherwise():
    pod = Pod(small={"cpu_quota_us": 10_000}, unlimited={"cpu_quota_us": 20_000})
    assert prove("H1", pod) == (
        "200m and 0.2 give different quotas; unlimited has one, too; the kernel's files differ: "
        "unlimited has 20000 for its quota, µs, small has 10000 for its quota, µs"
    )


LINE = 'container_cpu_cfs_{}{{container="{}",namespace="n",pod="bursts"}} {} 1795806434933\n'


@pytest.mark.parametrize(("periods", "says"), [(74, "agree"), (70, "differ")])
def test_metrics_are_compared_with_the_kernel(monkeypatch, periods, says):
    monkeypatch.setattr(TOOLS, "HOUSEKEEPING_SECONDS", 0.0)
    text = "# HELP x\n" + LINE.format("periods_total", "small", 5)
    text += LINE.format("periods_total", "large", periods)
    text += LINE.format("throttled_periods_total", "large", 34)
    lab = SimpleNamespace(connection=SimpleNamespace(raw=lambda path: text))
    shown = TOOLS.metrics(lab, Pod(), "large")
    assert says in shown.sentence
    assert "proxy/metrics/cadvisor | grep cfs" in shown.what
    assert f"…}} {periods}" in shown.what


ROOT = "/sys/fs/cgroup/kubelet.slice/kubelet-kubepods.slice"
PLACE = (
    f"kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod1_2.slice/cri-containerd-{ID}"
)


def node(place, quota="20000 100000"):
    files = {"cpu.weight": "17\n", "cpu.max": f"{quota}\n"}
    return SimpleNamespace(
        cgroup_version=2,
        pods_cgroup=SimpleNamespace(directory=ROOT),
        run=lambda script: f"{ROOT}/{place}/cpu.weight\n",
        read=lambda path: files[path.rpartition("/")[2]],
    )


def test_h5_the_files_are_where_systemds_names_put_them():
    lab = SimpleNamespace(node=node(f"{PLACE}.scope"))
    shown = PROOFS.of("H5")(lab, Pod(), "large")
    assert shown.sentence == (
        "large's cgroup is where systemd's names put it: by QoS class, Pod UID and container id; "
        "its files say what was computed; the other version of cgroups is computed, not measured"
    )
    found = dict(zip(shown.what["file"], shown.what["found on this node"], strict=True))
    assert found["…/cpu.max"] == "20000 100000"
    assert found["…/cpu.shares"] == "not measured"
    assert ID not in found["the directory"]


def test_h5_otherwise():
    lab = SimpleNamespace(node=node(f"elsewhere/{ID}", quota="max 100000"))
    words = prove("H5", Pod(), "large", lab=lab)
    assert "is not where systemd's names put it" in words
    assert "its files say something else: cpu.max" in words


@pytest.mark.parametrize(
    ("qos", "place"),
    [("Guaranteed", "k-pod1_2.slice/"), ("BestEffort", "k-besteffort.slice/k-besteffort-pod1_2")],
)
def test_a_place_follows_from_the_qos_class(qos, place):
    raw = {"metadata": {"uid": UID}, "status": {"qosClass": qos}}
    assert TOOLS._place(raw, "k", ID).startswith(place)


# --- H2 -------------------------------------------------------------------------------------------


class Used:
    """A node whose Pods have used so many seconds of CPU time, at one look and the next."""

    def __init__(self, *seconds):
        self._seconds = iter(seconds)

    def run(self, script):
        return ""

    @property
    def pods_cgroup(self):
        return SimpleNamespace(cpu_seconds=next(self._seconds))


def idle(requested, used, wanted="810m", phase="Pending"):
    account = formulas.Count(formulas.quantity("2"), {"a": formulas.quantity(requested)}, {})
    lab = SimpleNamespace(node=Used(10.0, 10.0 + used), count=lambda _: account)
    told = (
        [{"message": "0/1 nodes are available: 1 Insufficient cpu."}]
        if phase == "Pending"
        else [{}]
    )
    spec = {"containers": [{"name": "app", "resources": {"requests": {"cpu": wanted}}}]}
    pod = SimpleNamespace(
        name="greedy", phase=phase, raw={"spec": spec, "status": {"conditions": told}}
    )
    return lab, pod


class Clock:
    """Ticks once a second."""

    def __init__(self):
        self._ticks = itertools.count()

    def monotonic(self):
        return float(next(self._ticks))


@pytest.fixture
def ticking(monkeypatch):
    monkeypatch.setattr(TOOLS, "time", Clock())


def test_h2_requests_count(ticking):
    lab, pod = idle("1200m", 0.2)
    assert prove("H2", pod, lab=lab) == (
        "by requests the new Pod does not fit, by use it fits; it is Pending: Insufficient cpu"
    )


def test_h2_otherwise(ticking):
    lab, pod = idle("1000m", 1.9, phase="Running")
    assert prove("H2", pod, lab=lab) == (
        "by requests the new Pod fits, by use it does not fit; it is Running"
    )
    assert TOOLS.what_greedy_is(None, pod).startswith("Running: ")


# --- H3 -------------------------------------------------------------------------------------------


def busy(container, began, first, last, cores):
    """Samples of a container that uses so many cores from the first to the last second of its own
    recording."""
    times = [number / 10 for number in range(100)]
    used = [cores * min(max(at - first, 0), last - first) for at in times]
    frame = pandas.DataFrame({"time_seconds": times, "cpu_usage_seconds": used, "run": 1})
    return SimpleNamespace(
        container=container, frame=frame, life=SimpleNamespace(began_seconds=began)
    )


def contest(small, big):
    """A Pod whose containers have these weights."""
    weights = {"small": (small, "100m"), "big": (big, "300m")}
    return SimpleNamespace(
        raw={
            "spec": {
                "containers": [
                    {"name": name, "resources": {"requests": {"cpu": cpu}}}
                    for name, (_, cpu) in weights.items()
                ]
            }
        },
        container=lambda name: SimpleNamespace(
            cgroup=SimpleNamespace(cpu_shares=None, cpu_weight=weights[name][0])
        ),
    )


TWO_CPUS = SimpleNamespace(count=lambda _: SimpleNamespace(offered=2))


def test_h3_time_is_divided_by_weight():
    """big's own seconds 1 to 5 are small's seconds 3 to 7."""
    small, big = busy("small", 100.0, 0, 7, 0.6), busy("big", 102.0, 1, 5, 1.8)
    shown = PROOFS.of("H3")(TWO_CPUS, contest(1, 3), small, big)
    assert shown.sentence == (
        "alone, small used more than 5 times its request · "
        "together, they got CPU time in the ratio of their weights"
    )
    assert shown.what.table.loc["small", "alone_cpus"] == pytest.approx(0.6), (
        "it was alone for three seconds, by its own clock"
    )
    assert TOOLS.what_small_got(TWO_CPUS, shown).startswith("less than a third")


def test_h3_otherwise():
    small, big = busy("small", 100.0, 0, 7, 0.4), busy("big", 102.0, 1, 5, 0.4)
    shown = PROOFS.of("H3")(TWO_CPUS, contest(1, 3), small, big)
    assert "small used no more than 5 times its request" in shown.sentence
    assert "small got 0.50 instead of 0.25" in shown.sentence
    assert TOOLS.what_small_got(TWO_CPUS, shown).startswith("half of it")
