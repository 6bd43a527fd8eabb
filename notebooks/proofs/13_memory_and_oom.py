"""Lab 13: what happens at a memory limit, who says so, and what counts as memory."""

import re
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from labhelpers import formulas
from labhelpers.charts import memory as charts
from labhelpers.errors import LabError, TimedOut
from labhelpers.kube import fields
from labhelpers.kube.events import wait_for_event
from labhelpers.node.cgroups import Cgroup
from labhelpers.outcomes import Shown, as_printed, frame_of, listed, shown_only
from labhelpers.patience import patient
from labhelpers.polling import poll

MIB = 1 << 20
NEAR = 0.95  # of a limit: "within 5 %", as the notebook says
BELOW, CONTAINER, BOTH, POD = (
    "nothing",
    "the container app",
    "both containers",
    "the whole Pod, as a new one with a new UID",
)
SEEN_SECONDS = 1.5  # so that a picture shows what comes after the last kill
KILL_SECONDS, HOLD_SECONDS, METRIC_SECONDS = 60, 30, 30
FILLED_BYTES = 32 * MIB  # half of box's limit
AT_REST, FILE, HELD, ENDED, TMPFS, KILLED, REMOVED = (
    "at rest",
    "200 MiB file written",
    "program holds 40 MiB",
    "program has ended",
    "40 MiB in /memory",
    "program wants 40 MiB",
    "file in /memory removed",
)
ENDS = "a worker has ended"  # what server's PID 1 writes, if it lives
HOLD = (
    'BEGIN {{ mib = sprintf("%1048576c", "x"); while (++n <= {mib}) held[n] = mib n; '
    'print > "/full"; close("/full"); system("sleep 600") }}'
)

# What is left of it may be a zombie, for box's PID 1 doesn't reap; a zombie has no command line.
END = (
    "pid=$(pidof awk); kill -9 $pid; "
    "while grep -q . /proc/${pid%% *}/cmdline 2>/dev/null; do sleep 0.1; done"
)


def on_node(lab, command: str) -> None:
    """Runs a command on the node and shows what it prints. It's never compared."""
    printed = lab.node.run(command).rstrip()
    shown_only(as_printed(f"node$ {command}\n{printed}"))


# --- The hog --------------------------------------------------------------------------------------


def wait_until_killed(lab, name: str, *, times: int) -> None:
    """Waits until the container app of a Pod has ended so often, and a moment longer."""
    pod = lab.pod(name)
    pod.wait_until(lambda now: now.container("app").restarts >= times - 1, timeout_seconds=60)
    pod.wait_until(lambda now: now.container("app").state != "running", timeout_seconds=60)
    time.sleep(SEEN_SECONDS)


def flight_recorder(lab, memory):
    """The container's memory, the kernel's kills, and both containers' lives, on one axis."""
    import pandas

    rows = memory.life.intervals
    lanes = pandas.concat([memory.intervals, rows[rows["lane"] == "neighbour"]])
    return memory.chart("What happens at the limit?", intervals=lanes.reset_index(drop=True))


def what_is_restarted(lab, memory) -> str:
    """What was started again after the first kill: a choice of "restarted"."""
    if len({each.obj["metadata"]["uid"] for each in memory.life.versions}) > 1:
        return POD
    again = [name for name in ("app", "neighbour") if len(_runs(memory, name)) > 1]
    return {(): BELOW, ("app",): CONTAINER, ("app", "neighbour"): BOTH}[tuple(again)]


def _runs(memory, lane: str):
    rows = memory.life.intervals
    return rows[(rows["lane"] == lane) & (rows["state"] == "running")]


def i2(lab, memory) -> Shown:
    """Going over the memory limit is an OOM kill: exit code 137, reason OOMKilled, restarted by
    restartPolicy. The memory curve up to the kill is recorded."""
    kills = list(memory.kills["time_seconds"])
    ends = _ends(memory, "app")
    codes = sorted({end["exitCode"] for end in ends.values()})
    # Under load the runtime comes too late for one kill in a dozen, and says so in its own log.
    told = [
        end.get("reason") == "OOMKilled" or _missed_by_the_runtime(lab, id_)
        for id_, end in ends.items()
    ]
    near = [_last_share(memory, at) for at in kills]
    rows = [
        {
            "kill": number,
            "last sample, MiB": f"{used / MIB:.1f}",
            "limit, MiB": f"{limit / MIB:.1f}",
            "from sample to kill, ms": round(1000 * before),
        }
        for number, (used, limit, before) in enumerate(near, 1)
    ]
    close = any(used >= NEAR * limit for used, limit, _ in near)
    times = {0: "never", 1: "once", 2: "twice"}.get(len(kills), f"{len(kills)} times")
    again = "was restarted" if len(_runs(memory, "app")) > 1 else "was not restarted"
    why = "OOMKilled where the runtime was in time" if told and all(told) else "another one"
    return Shown(
        frame_of(rows),
        f"the kernel killed app {times}, {'within' if close else 'not within'} 5 % of its limit; "
        f"exit code {listed(codes) or 'unknown'}; the reason in the API is {why}; app {again}",
    )


def _ends(memory, container: str) -> dict[str, dict]:
    """What the API said about each end of a container, by the container's ID."""
    found = {}
    for version in memory.life.versions:
        for status in fields.statuses(version.obj):
            for state in ("lastState", "state"):
                ended = (status.get(state) or {}).get("terminated")
                if status["name"] == container and ended:
                    found[fields.bare(ended.get("containerID", ""))] = ended
    return found


def _missed_by_the_runtime(lab, id_: str) -> bool:
    """Whether containerd says itself that the dead container's cgroup was gone before it could look
    for an OOM kill."""
    log = lab.node.run(
        f"journalctl -u containerd --no-pager -o cat --since -5min | grep -F {id_} || true"
    )
    return "if oom event occurred" in log and "no metrics received" in log


def _last_share(memory, kill: float) -> tuple[int, int, float]:
    """(memory, limit, seconds until the kill) of the last sample before a kill."""
    frame = memory.frame
    last = frame[frame["time_seconds"] <= kill].iloc[-1]
    return (
        int(last["memory_bytes"]),
        int(last["memory_limit_bytes"]),
        kill - float(last["time_seconds"]),
    )


# --- The kernel's line ----------------------------------------------------------------------------


def show_report(lab, memory) -> None:
    """The kernel's last report about the hog, as ``dmesg`` prints it on the node."""
    line = _reports(memory)[-1]
    shown_only(as_printed(f"node$ dmesg | grep oom-kill: | tail -n 1\n{line}"))


def _reports(memory) -> list[str]:
    return [each for each in memory.kernel_lines["text"] if "oom-kill:" in each]


def report(line: str) -> dict[str, str]:
    """A report of the kernel's OOM killer as names and values.

    >>> report("oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/a/b,task=awk,pid=7,uid=0")["task"]
    'awk'
    """
    return dict(re.findall(r"(\w+)=([^,]*)", line.partition("oom-kill:")[2]))


def i3(lab, memory) -> Shown:
    """The node's kernel log names the container that was killed (task_memcg)."""
    found = report(_reports(memory)[-1])
    names = {
        id_: name for version in memory.life.versions for id_, name in version.container_ids.items()
    }
    named = [name for id_, name in names.items() if id_ in found.get("task_memcg", "")]
    own = found.get("oom_memcg") == found.get("task_memcg")
    ids = [id_ for id_, name in names.items() if name in named and id_ in found["task_memcg"]]
    rows = [
        (
            "constraint",
            found.get("constraint", ""),
            "a cgroup's limit was hit; the node had memory left",
        ),
        ("oom_memcg", _short(found.get("oom_memcg", "")), "the cgroup whose limit was hit"),
        ("task_memcg", _short(found.get("task_memcg", "")), "the cgroup that the victim was in"),
        ("task, pid", f"{found.get('task')}, {found.get('pid')}", "the victim, by the node's PID"),
        ("containerID in the API", listed(each[:12] for each in ids), f"container {listed(named)}"),
    ]
    whose = f"the container {listed(named)}" if named else "no container of this Pod"
    whose_limit = "the same cgroup's" if own else "that of another cgroup"
    return Shown(
        frame_of(rows, ["field", "value", "what it says"]),
        f"task_memcg names {whose}; the limit that was hit is {whose_limit}",
    )


def _short(path: str) -> str:
    """
    >>> _short("/kubelet.slice/kubelet-pod1.slice/cri-containerd-0123456789abcdef.scope")
    '…/cri-containerd-0123456789ab….scope'
    """
    last = re.sub(r"([0-9a-f]{12})[0-9a-f]+", r"\1…", path.rpartition("/")[2])
    return f"…/{last}"


# --- Where the limit stands -----------------------------------------------------------------------


def show_limit(lab, pod, container: str) -> None:
    """The file on the node that holds a container's memory limit, with its path."""
    names = [name for name in pod.predicted.files(container) if name.startswith("memory.")]
    on_node(lab, f"cat {pod.container(container).cgroup.directory}/{names[0]}")


def i1(lab, pod) -> Shown:
    """A memory limit becomes memory.limit_in_bytes or memory.max, to the page."""
    page = int(lab.node.run("getconf PAGESIZE"))
    rows, words = [], []
    for each in pod.raw["spec"]["containers"]:
        text = each["resources"]["limits"]["memory"]
        wanted, found = (
            int(formulas.quantity(text)),
            pod.container(each["name"]).cgroup.memory_limit_bytes or 0,
        )
        less = wanted - found
        rows.append((each["name"], text, wanted, found, less, found / page))
        exact, whole = less == 0, found % page == 0 and 0 < less < page
        how = "to the byte" if exact else "less a part of a page" if whole else "as another number"
        words.append(f"{text} arrives {how}")
    columns = ["container", "manifest", "bytes", "on the node", "bytes less", f"pages of {page}"]
    return Shown(frame_of(rows, columns), "; ".join(words))


def show_event(lab, name: str, reason: str) -> None:
    """The first event with this reason about a Pod, as soon as there is one."""
    event = wait_for_event(lab.connection, name, reason)
    message = re.sub(r"write /\S+:", "write …:", event["message"])  # a path that differs
    line = f"{event['type']}  {reason}  pod/{name}  {message}"
    shown_only(as_printed(f"$ kubectl events --for pod/{name}\n{line}"))


# --- One process, or all --------------------------------------------------------------------------


@dataclass(frozen=True)
class Fate:
    """What became of a container in which a worker was killed.

    Attributes:
        victims: programs that the kernel chose, oldest first.
        lives: whether its first process outlived that.
        restarts: of the container.
        reason: for its last end, by the API; "" if it never ended.
    """

    victims: list[str]
    lives: bool
    restarts: int
    reason: str


def wait_for_the_worker(lab, name: str) -> Fate:
    """Waits until the kernel has killed a worker in the container app of a Pod, and until either
    its first process has told of that, or the container has ended."""
    pod = lab.pod(name)
    pod.wait_until(lambda now: bool(now.container("app").id), timeout_seconds=KILL_SECONDS)
    id_ = pod.container("app").id

    def fate() -> Fate:
        now = pod.now().container("app")
        log = lab.node.kernel_log(id_)
        victims = [report(line)["task"] for line in log if "oom-kill:" in line]
        ended = now.restarts > 0 or now.state != "running"
        lives = not ended and ENDS in pod.logs("app")
        reason = _why_it_ended(pod.raw, "app") if ended else ""
        return Fate(victims, lives, now.restarts, reason)

    def known() -> bool:
        found = fate()
        return bool(found.victims) and (found.lives or bool(found.reason))

    if not poll(known, timeout_seconds=patient(KILL_SECONDS), every_seconds=0.5):
        raise TimedOut(
            f"No worker of {name} was killed.", f"{fate()}", "Look at its log: kubectl logs server."
        )
    return fate()


def _why_it_ended(raw: dict, container: str) -> str:
    status = next(each for each in fields.statuses(raw) if each["name"] == container)
    ends = [(status.get(state) or {}).get("terminated") for state in ("state", "lastState")]
    return next((each.get("reason", "") for each in ends if each), "")


def i4(lab, memory, fate: Fate, witness) -> Shown:
    """An OOM kill ends one container: its neighbour in the Pod keeps its process. On cgroup v2 all
    processes of the container die together. On v1 the kernel may pick one child and leave PID 1
    alive, and then the API shows nothing at all.

    Args:
        memory: the samples of hog.
        fate: what became of server.
        witness: a container that runs, which says whether containers on this node die together.
    """
    together = bool(witness.cgroup.oom_kills_all)
    runs = _runs(memory, "neighbour")
    kills = list(memory.kills["time_seconds"])
    kept = len(runs) == 1 and bool(runs["ongoing"].iloc[0]) and runs["start"].iloc[0] < kills[0]
    as_said = fate.lives is not together and (fate.restarts == 0 or together)
    version = witness.cgroup.version
    table = frame_of(
        [
            ("cgroup version of this node", f"v{version}"),
            ("all processes die together", "yes" if together else "no"),
            ("killed by the kernel", listed(dict.fromkeys(fate.victims))),
            ("PID 1 of the container", "lived on" if fate.lives else "died, too"),
            ("RESTARTS in the API", str(fate.restarts)),
            ("reason in the API", fate.reason or "none"),
        ],
        ["what", "in server"],
    )
    return Shown(
        table,
        f"hog's neighbour {'kept its process' if kept else 'lost its process'}; in server "
        f"{'a worker was killed' if fate.victims else 'no worker was killed'}, and PID 1 fared "
        f"{'as' if as_said else 'not as'} this node's cgroup says",
    )


# --- What counts as memory ------------------------------------------------------------------------


class Moments:
    """What a Pod's memory was used for, moment by moment: ``moments.look("at rest")``.

    Attributes:
        found: by name, the Pod's cgroup at that moment.
    """

    def __init__(self, pod):
        self._pod = pod
        self.found: dict[str, Cgroup] = {}

    def look(self, name: str) -> None:
        """Reads the Pod's cgroup, as soon as the kernel has added it up, and shows two numbers."""
        cgroup = self.found[name] = self._pod.settled_cgroup()
        shown_only(
            as_printed(
                f"{name}: usage {cgroup.memory_bytes / MIB:.1f} MiB, "
                f"working set {cgroup.memory_working_set_bytes / MIB:.1f} MiB, "
                f"limit {(cgroup.memory_limit_bytes or 0) / MIB:g} MiB"
            )
        )


def moments(lab, pod) -> Moments:
    """A record of what a Pod's memory is used for."""
    return Moments(pod)


def what_became_of(lab, done) -> str:
    """What became of a program that wrote a file: a choice of "file"."""
    if done.returncode == 0:
        return "finishes"
    return "is OOM-killed" if done.returncode in (137, 9) else "fails with an error"


@contextmanager
def program(lab, pod, *, mib: int):
    """A program in the container app that has taken so much memory, while the block runs.

    Raises:
        LabError: it didn't get its memory.
    """
    pod.exec("app", f"rm -f /full; awk '{HOLD.format(mib=mib)}' >/dev/null 2>&1 & exit 0")
    if not poll(
        lambda: pod.exec("app", "test -e /full && pidof awk >/dev/null").returncode == 0,
        timeout_seconds=patient(HOLD_SECONDS),
        every_seconds=0.3,
    ):
        raise LabError(
            f"The program didn't get its {mib} MiB.",
            f"after {HOLD_SECONDS} s it isn't there, or not ready",
            "Look at the kernel's log: lab.node.kernel_log(…).",
        )
    yield
    pod.exec("app", END)


def what_a_program_gets(lab, moments: Moments) -> str:
    """What a program got that asked for 40 MiB beside page cache: a choice of "full"."""
    before, held = moments.found[FILE], moments.found[HELD]
    got = held.memory_anonymous_bytes - before.memory_anonymous_bytes > FILLED_BYTES
    gave = held.memory_inactive_file_bytes < before.memory_inactive_file_bytes
    return "gets it, page cache gives way" if got and gave else "is OOM-killed"


def what_happens_beside_a_tmpfs(lab, moments: Moments, asked: str) -> str:
    """What became of a program that asked for 40 MiB beside a full tmpfs: a choice of "tmpfs"."""
    if asked != "gets it":
        return asked
    before, after = (moments.found[each].memory_shared_bytes for each in (TMPFS, KILLED))
    return "gets it, the file gives way" if after < before else "gets it, the file doesn't count"


def show_kubelets_metric(lab, pod) -> None:
    """The line of the kubelet's /metrics/resource that tells a container's working set, once it's
    of now: the kubelet reads it every 10 to 15 seconds."""
    node = pod.raw["spec"]["nodeName"]
    path = f"/api/v1/nodes/{node}/proxy/metrics/resource"
    since = 1000 * time.time()

    def line() -> str:
        found = re.search(
            rf'^(container_memory_working_set_bytes{{.*pod="{pod.name}"}}) (\S+) (\d+)$',
            str(lab.connection.raw(path)),
            re.MULTILINE,
        )
        if not found or float(found[3]) < since:
            return ""
        return f"{found[1]} {float(found[2]):.0f} {found[3]}"  # without an exponent

    said = poll(line, timeout_seconds=patient(METRIC_SECONDS), every_seconds=1)
    grep = f"grep working_set.*{pod.name}"
    shown_only(as_printed(f"$ kubectl get --raw {path} | {grep}\n{said or 'no line yet'}"))


def ask(lab, pod, *, mib: int) -> str:
    """A program in the container app asks for so much memory: "gets it" or "is OOM-killed"."""
    app = pod.container("app")
    id_ = app.id
    before = len(lab.node.kernel_log(id_))
    together = app.cgroup.oom_kills_all
    with suppress(LabError):  # where the whole container dies, the exec ends with it
        pod.exec("app", f"head -c {mib * MIB} /dev/zero | tail >/dev/null", timeout_seconds=30)
    if len(lab.node.kernel_log(id_)) == before:
        return "gets it"
    if together:
        app.wait_until("restarted", timeout_seconds=60)
    return "is OOM-killed"


def i5(lab, moments: Moments, asked: str) -> Shown:
    """Page cache grows up to the limit and is reclaimed; a memory-backed emptyDir counts as memory
    and isn't."""
    found = moments.found
    frame = frame_of(
        [
            (
                each.memory_anonymous_bytes,
                each.memory_shared_bytes,
                max(0, each.memory_cache_bytes - each.memory_shared_bytes),
            )
            for each in found.values()
        ],
        ["heap and stack", "memory-backed emptyDir", "page cache of files"],
    )
    frame.index = list(found)
    files = frame["page cache of files"]
    filled, gave = files[FILE] > FILLED_BYTES, files[HELD] < FILLED_BYTES
    small = found[FILE].memory_working_set_bytes < FILLED_BYTES
    stayed = found[KILLED].memory_shared_bytes > FILLED_BYTES
    freed = found[REMOVED].memory_shared_bytes < FILLED_BYTES
    killed = asked == "is OOM-killed"
    words = [
        f"page cache {'filled' if filled else 'did not fill'} most of the limit",
        f"the working set {'stayed small' if small else 'grew as well'}",
        f"page cache {'gave way' if gave else 'did not give way'} to a program",
        f"files in the memory-backed emptyDir {'did not give way' if stayed else 'gave way'}",
        f"the next program {'was OOM-killed' if killed else 'got its memory'}",
        f"rm {'freed' if freed else 'did not free'} the memory",
    ]
    sentence = "; ".join(words)
    picture = charts.parts(
        frame,
        "What gives way when a program needs memory?",
        next(iter(found.values())).memory_limit_bytes,
        finding=" · ".join(words),
        mark=(
            "working set (kubectl top)",
            {name: each.memory_working_set_bytes for name, each in found.items()},
        ),
        notes={KILLED: "OOM kill"} if killed else {},
    )
    return Shown(picture, sentence)


# --- What a program sees --------------------------------------------------------------------------

ASK = "nproc; grep MemTotal /proc/meminfo"


def what_it_sees(lab, pod, container: str) -> str:
    """What a container reads about its CPUs and memory: a choice of "sees"."""
    cpus, memory = _sees(pod.exec(container, ASK).stdout)
    of_node = _sees(lab.node.run(ASK))
    limit = pod.container(container).cgroup.memory_limit_bytes or 0
    if memory > limit:
        return "the node's CPUs and memory"
    return "the node's CPUs, its own limit" if cpus == of_node[0] else "its own limits"


def o4(lab, pod, container: str) -> Shown:
    """nproc and /proc/meminfo show the node, not the limit (with the default CPU manager)."""
    inside, outside = _sees(pod.exec(container, ASK).stdout), _sees(lab.node.run(ASK))
    cgroup = pod.container(container).cgroup
    limits = (cgroup.cpu_limit_cores, cgroup.memory_limit_bytes)
    table = frame_of(
        [
            ("CPUs", "nproc", inside[0], outside[0], f"{limits[0]:g}" if limits[0] else ""),
            (
                "memory, MiB",
                "/proc/meminfo",
                round(inside[1] / MIB),
                round(outside[1] / MIB),
                f"{limits[1] / MIB:.1f}" if limits[1] else "",
            ),
        ],
        ["what", "who says so", "in the container", "on the node", "limit"],
    )
    cpus = "the node's" if inside[0] == outside[0] else "other"
    more = "more than its limit" if limits[1] and inside[1] > limits[1] else "no more than allowed"
    memory = "the node's" if inside[1] == outside[1] else "other"
    return Shown(table, f"the container sees {cpus} CPUs and {memory} memory, {more}")


def _sees(text: str) -> tuple[int, int]:
    """(CPUs, bytes of memory).

    >>> _sees("8\\nMemTotal:   1024 kB\\n")
    (8, 1048576)
    """
    words = text.split()
    return int(words[0]), int(words[2]) * 1024
