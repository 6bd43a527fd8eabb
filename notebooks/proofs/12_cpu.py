"""Lab 12: what a CPU limit does to work, and how requests divide CPU time."""

import re
import time
from collections.abc import Sequence
from typing import NamedTuple

from labhelpers import formulas, paths
from labhelpers.charts import cpu as charts
from labhelpers.charts.chart import records
from labhelpers.charts.strips import ENOUGH, strips
from labhelpers.kube import fields
from labhelpers.outcomes import Shown, as_printed, frame_of, shown_only
from labhelpers.polling import poll

MANIFESTS = paths.notebooks() / "manifests" / "12-cpu"
OTHER_VERSION = {1: 2, 2: 1}


# --- Tools ----------------------------------------------------------------------------------------

# What a container sees of its own cgroup. Version 1 has other names, and a folder for each
# controller.
FILES = {
    "cpu.max": ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"),
    "cpu.stat": ("cpu/cpu.stat",),
    "cpu.weight": ("cpu/cpu.shares",),
}


def look_on(lab, seconds: float) -> None:
    """Lets so many seconds go by."""
    time.sleep(seconds)


def cat(lab, pod, container: str, *files: str) -> None:
    """Shows files of a container's own cgroup, by their names of version 2, with the line that does
    so by hand. It's never compared."""
    first = lab.node.cgroup_version == 1
    names = [name for file in files for name in (FILES[file] if first else (file,))]
    paths_there = " ".join(f"/sys/fs/cgroup/{name}" for name in names)
    with lab.transcript.quietly():  # the line stands above what it prints
        printed = pod.exec(container, f"cat {paths_there}").stdout.rstrip()
    shown_only(
        as_printed(f"$ kubectl exec {pod.name} -c {container} -- cat {paths_there}\n{printed}")
    )


# --- Bursts ---------------------------------------------------------------------------------------

LIMIT = 0.2
KINDS = {
    "10 ms, no limit": ("unlimited", 10),
    "10 ms, limit 200m": ("small", 10),
    "50 ms, no limit": ("unlimited", 50),
    "50 ms, limit 200m": ("large", 50),
}
COUNT = 20
QUIET_SECONDS, AGAIN_SECONDS = 5.0, 60.0
# A clock of hundredths of a second is read twice, and the kernel books CPU time at its ticks.
WITHIN_SECONDS = (0.02, 0.03)
MYTH = "if a limit slowed the clock"


class Bursts(NamedTuple):
    """What bursts of work took: for each kind the seconds of each burst, and the CPUs used on
    average over all of them and the pauses between."""

    seconds: dict[str, list[float]]
    cpus: dict[str, float]


def bursts(lab, pod) -> Bursts:
    """Twenty bursts of each kind, one kind after the other, so that none gets into another's way.
    The node is busy for a while with a new Pod, so they begin in its fifth second. They're measured
    again while others take the CPUs."""
    started = min(each["state"]["running"]["startedAt"] for each in fields.statuses(pod.raw))
    time.sleep(max(0.0, QUIET_SECONDS - _age(lab, started)))
    return pod.undisturbed(lambda: _bursts(pod), timeout_seconds=AGAIN_SECONDS)


def _age(lab, moment: str) -> float:
    return float(lab.node.run(f"echo $(($(date +%s) - $(date -d {moment} +%s)))"))


def _bursts(pod) -> Bursts:
    script = (MANIFESTS / "work.sh").read_text("utf-8")
    seconds, cpus = {}, {}
    for kind, (container, burst_ms) in reversed(KINDS.items()):
        words = ["sh", "-c", script, "work", str(burst_ms), str(COUNT)]
        before, began = pod.container(container).cgroup.cpu_seconds, time.monotonic()
        told = pod.exec(container, words, timeout_seconds=60).stdout.split()
        took = time.monotonic() - began
        seconds[kind] = [int(each) / 1000 for each in told]
        cpus[kind] = (pod.container(container).cgroup.cpu_seconds - before) / took
    return Bursts({kind: seconds[kind] for kind in KINDS}, {kind: cpus[kind] for kind in KINDS})


def _predicted(kind: str) -> tuple[float, float]:
    """The least and the most seconds of a burst. At best it begins so late in a period that the
    first wait, which lasts up to (1 - limit) of a period, costs nothing."""
    burst = KINDS[kind][1] / 1000
    limit = LIMIT if "limit 200m" in kind else None
    most = formulas.burst_seconds(burst, limit_cpus=limit)
    return (burst, burst) if most == burst else (most - (1 - LIMIT) * 0.1, most)


def _fits(kind: str, took: Sequence[float]) -> bool:
    """Whether at least nine in ten are as predicted: one in ten may have waited for others."""
    least, most = _predicted(kind)
    least, most = least - WITHIN_SECONDS[0] - 1e-9, most + WITHIN_SECONDS[1] + 1e-9
    return sum(least <= each <= most for each in took) >= ENOUGH * len(took)


def h4(lab, found: Bursts, throttle=None) -> Shown:
    """What a limit does to short bursts of work, and to a loop that never rests."""
    words = _of_bursts(found)
    if throttle is None:
        chart = strips(
            found.seconds,
            "How long does a burst take?",
            {kind: _predicted(kind) for kind in KINDS},
            within=WITHIN_SECONDS,
            myths={k: ms / 1000 / LIMIT for k, (_, ms) in KINDS.items() if "limit 200m" in k},
            myth=MYTH,
            beside={"average use": {k: f"{cpus:.2f} CPUs" for k, cpus in found.cpus.items()}},
        )
        return Shown(chart, words)
    chart = throttle.chart("How often is the loop throttled, and how much does it get?")
    return Shown(chart, f"{chart}; {words}")


def _of_bursts(found: Bursts) -> str:
    off = [kind for kind, took in found.seconds.items() if not _fits(kind, took)]
    if off:
        return "; ".join(
            f"{kind}: a burst took {1000 * min(found.seconds[kind]):.0f} to"
            f" {1000 * max(found.seconds[kind]):.0f} ms, unlike predicted"
            for kind in off
        )
    least, most = (round(1000 * bound) for bound in _predicted("50 ms, limit 200m"))
    used = found.cpus["50 ms, limit 200m"]
    return (
        "under a limit of 200m, a burst of 10 ms takes as long as without, and one of 50 ms takes"
        f" {least} to {most} ms, as predicted, although its container used"
        f" {'less' if used < LIMIT else 'no less'} than the limit on average"
    )


def what_short_ones_took(lab, found: Bursts) -> int:
    """The median of the short bursts under a limit, as one of the choices of "short"."""
    took = sorted(found.seconds["10 ms, limit 200m"])
    return min([10, 50, 100], key=lambda ms: abs(ms - 1000 * took[len(took) // 2]))


NO_SLOWER = "50 ms: on average it uses less than its limit"
VARIES = "100 to 220 ms, and it varies"
SLOWER = "250 ms: it runs at a fifth of the speed"


def what_long_ones_took(lab, found: Bursts) -> str:
    """What the long bursts under a limit took: a choice of "long"."""
    took = found.seconds["50 ms, limit 200m"]
    if _fits("50 ms, limit 200m", took):
        return VARIES
    middle = 1000 * sorted(took)[len(took) // 2]
    return NO_SLOWER if middle < 90 else SLOWER


# --- Why ------------------------------------------------------------------------------------------

LIMITED = ("small", "large")  # the same limit, written as 200m and as 0.2
# What is compared of each container, by its value in ``predicted``, and the file that has it.
KERNEL = {
    "cpu_shares": "cpu.shares",
    "cpu_weight": "cpu.weight",
    "cpu_quota_us": "quota, µs",
    "cpu_period_us": "period, µs",
}


def h1(lab, pod) -> Shown:
    """A request becomes a weight, a limit a quota in each period: computed from the manifest, and
    read on the node."""
    rows, off = [], []
    for row in records(pod.as_predicted().table):
        if what := KERNEL.get(row["value"]):
            computed, found = ("none" if v is None else v for v in (row["predicted"], row["found"]))
            rows.append((row["container"], what, computed, found))
            off += [] if computed == found else [f"{row['container']} has {found} for its {what}"]
    quotas = {name: pod.container(name).cgroup.cpu_quota_us for name in ("unlimited", *LIMITED)}
    same = quotas["small"] == quotas["large"] and quotas["small"] is not None
    words = (
        f"200m and 0.2 give {'the same quota' if same else 'different quotas'}; unlimited has"
        f" {'none' if quotas['unlimited'] is None else 'one, too'}; the kernel's files"
        f" {'say what was computed' if not off else 'differ: ' + ', '.join(off)}"
    )
    return Shown(frame_of(rows, ("container", "in the kernel", "computed", "found")), words)


METRICS = ("periods_total", "throttled_periods_total", "throttled_seconds_total")
HOUSEKEEPING_SECONDS = 60.0  # the kubelet looks every 10 to 15 s


def metrics(lab, pod, container: str) -> Shown:
    """What the kubelet tells a monitoring system about a container's throttling, as soon as it has
    looked again."""
    node = pod.raw["spec"]["nodeName"]
    path = f"/api/v1/nodes/{node}/proxy/metrics/cadvisor"
    kernel = pod.container(container).cgroup
    wanted = {"periods_total": kernel.periods, "throttled_periods_total": kernel.throttled_periods}

    def told() -> dict[str, float]:
        lines = _metrics(lab.connection.raw(path), pod.name, container)
        return {name: lines[name] for name in METRICS if name in lines}

    def is_new() -> bool:
        return all(told().get(name) == count for name, count in wanted.items())

    same = poll(is_new, timeout_seconds=HOUSEKEEPING_SECONDS, every_seconds=1.0)
    lines = "\n".join(
        f'container_cpu_cfs_{name}{{container="{container}", pod="{pod.name}", …}} {value:g}'
        for name, value in told().items()
    )
    shown = f"$ kubectl get --raw {path.replace(node, 'NODE')} | grep cfs\n{lines}"
    return Shown(
        shown,
        f"the kubelet's metrics and the kernel's cpu.stat {'agree' if same else 'differ'} about"
        f" {container}",
    )


def _metrics(text: str, pod: str, container: str) -> dict[str, float]:
    """By name, without container_cpu_cfs_: what lines of Prometheus' text format say."""
    found = {}
    for line in text.splitlines():
        told = re.match(r"container_cpu_cfs_(\w+)\{([^}]*)\} (\S+)", line)
        if told and f'pod="{pod}"' in told[2] and f'container="{container}"' in told[2]:
            found[told[1]] = float(told[3])
    return found


# --- Where the files are --------------------------------------------------------------------------


def h5(lab, pod, container: str) -> Shown:
    """Where the node keeps a container's CPU numbers: predicted from its QoS class, its Pod's UID
    and its own id, and found; on the other version of cgroups predicted only."""
    here, own = lab.node.cgroup_version, pod.container(container).now().id
    names = " -o ".join(f"-path '*{own}*/{name}'" for name in ("cpu.shares", "cpu.weight"))
    found = lab.node.run(f"find /sys/fs/cgroup -ignore_readdir_race {names}").split()
    directory = found[0].rpartition("/")[0] if found else ""
    root = lab.node.pods_cgroup.directory.rpartition("/")[2]
    place = _place(pod.raw, root.removesuffix(".slice"), own)
    there = directory.endswith(f"/{root}/{place}")
    rows, off = [], []
    for version in (here, OTHER_VERSION[here]):
        for file, says in pod.predicted.on_version(version).files(container).items():
            if file.startswith("cpu"):
                read = lab.node.read(f"{directory}/{file}").strip() if version == here else None
                said = pod.predicted.files(container)[file] if version == here else says
                off += [file] if read not in (said, None) else []
                rows.append((version, f"…/{file}", said, read or "not measured"))
    rows.insert(0, (here, "the directory", *(_short(w) for w in (f"…/{root}/{place}", directory))))
    words = (
        f"{container}'s cgroup is {'where' if there else 'not where'} systemd's names put it: by"
        f" QoS class, Pod UID and container id; its files say"
        f" {'what was computed' if not off else 'something else: ' + ', '.join(off)}; the other"
        " version of cgroups is computed, not measured"
    )
    columns = ("cgroup version", "file", "computed", "found on this node")
    return Shown(frame_of(rows, columns), words)


def _place(raw: dict, root: str, container_id: str) -> str:
    """A container's cgroup below that of all Pods, as systemd names it. Guaranteed Pods have no
    slice of their class."""
    of_class = raw["status"]["qosClass"].lower()
    of_class = "" if of_class == "guaranteed" else f"-{of_class}"
    uid = raw["metadata"]["uid"].replace("-", "_")
    above = f"{root}{of_class}.slice/" if of_class else ""
    return f"{above}{root}{of_class}-pod{uid}.slice/cri-containerd-{container_id}.scope"


def _short(words: str) -> str:
    """Long ids without their middle."""
    words = re.sub(r"([0-9a-f]{4})[0-9a-f]{56}([0-9a-f]{4})", r"\1…\2", words)
    return re.sub(r"(pod[0-9a-f]{4})[0-9a-f_]+", r"\1…", words)


# --- The limit swept ------------------------------------------------------------------------------

# None just below the demand: there a loop is short of CPU time wherever others, or the host of a
# virtual machine, take some of it. Those above come last: see docs/decisions.md.
LIMITS = ["100m", "200m", "300m", "400m", "500m", "600m", "1200m", "1500m"]


def sweep(lab):
    """A slider over the limits of a loop, which goes through all of them by itself."""
    return lab.slider(
        "How often is the loop throttled, and how much does it get?",
        "spinner",
        "app",
        LIMITS,
        dwell_seconds=1.6,
    )


def how_often(lab, throttle) -> str:
    """In what share of its periods the loop was throttled at 300m: a choice of "periods"."""
    throttle.slider.finish()
    found = throttle.steps.query("value == '300m'")["measured"].dropna().mean()
    return min(["30 %", "70 %", "100 %"], key=lambda words: abs(int(words[:-2]) / 100 - found))


# --- Requests -------------------------------------------------------------------------------------


RUNNING = "Running: the node has CPU time to spare"


def h2(lab, pod) -> Shown:
    """A Pod that requests more than the others' requests leave stays Pending on an idle node."""
    account = lab.count("cpu")
    wanted = formulas.effective_requests(pod.raw)["cpu"]
    requested = sum(value for name, value in account.has.items() if name != pod.name)
    begin, before = time.monotonic(), lab.node.pods_cgroup.cpu_seconds
    lab.node.run("sleep 1")
    used = (lab.node.pods_cgroup.cpu_seconds - before) / (time.monotonic() - begin)
    there, node = (float(requested), used), float(account.offered)
    frame = frame_of(
        [(each, float(wanted)) for each in there], ("all other Pods", "the new Pod's request")
    ).set_axis(["by requests", "by use"])
    chart = charts.room(frame, "Is there room for one more Pod?", node)
    by_requests, by_use = (each + float(wanted) <= node for each in there)
    waits = pod.raw["status"].get("conditions", [{}])[0].get("message", "")
    words = (
        f"by requests the new Pod {'fits' if by_requests else 'does not fit'}, by use it"
        f" {'fits' if by_use else 'does not fit'}; it is {pod.phase}"
    )
    return Shown(chart, words + (": Insufficient cpu" if "Insufficient cpu" in waits else ""))


def what_greedy_is(lab, pod) -> str:
    """The Pod's phase: a choice of "greedy"."""
    phase = pod.phase
    return RUNNING if phase == "Running" else phase


# --- Contention -----------------------------------------------------------------------------------


def loops(lab, pod, container: str, seconds: int, after_seconds: int = 0) -> None:
    """Starts an endless loop on every CPU in a container, for a while, after a pause. Returns at
    once: while loops run, an exec may take seconds, so they are told beforehand."""
    script = (MANIFESTS / "loops.sh").read_text("utf-8")
    pod.exec(container, ["sh", "-c", script, "loops", str(seconds), str(after_seconds)])


def h3(lab, pod, *samples) -> Shown:
    """While all want CPU time, it's divided in the ratio of shares or weights; a request limits
    nobody who is alone."""
    cgroups = {each.container: pod.container(each.container).cgroup for each in samples}
    weights = {name: each.cpu_shares or each.cpu_weight for name, each in cgroups.items()}
    requested = {
        each["name"]: float(formulas.quantity(each["resources"]["requests"]["cpu"]))
        for each in pod.raw["spec"]["containers"]
    }
    chart = charts.division(
        _on_one_axis(samples),
        "Two containers want everything. Who gets how much?",
        formulas.contention_split(weights, cpus=1),
        requested=requested,
        node_cpus=float(lab.count("cpu").offered),
    )
    return Shown(chart, str(chart))


def _on_one_axis(samples) -> dict:
    """Each recording has its own zero."""
    first = samples[0].life.began_seconds
    frames = {}
    for each in samples:
        later = each.life.began_seconds - first
        frames[each.container] = each.frame.assign(
            time_seconds=lambda frame, later=later: frame["time_seconds"] + later
        )
    return frames


SMALLS = (
    "0.1 CPUs: that's its request",
    "half of it: neither has a limit",
    "less than a third: its request is smaller",
)


def what_small_got(lab, shown: Shown) -> str:
    """What part small got of the CPU time that both wanted: a choice of "small"."""
    row = shown.what.table.loc["small"]
    parts = (row["requested_cpus"] / float(lab.count("cpu").offered), 0.5, row["predicted"])
    return min(zip(SMALLS, parts, strict=True), key=lambda each: abs(each[1] - row["measured"]))[0]
