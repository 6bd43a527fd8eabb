"""Lab 02: what pause is, what it holds, and what goes when it goes."""

import json
import re
import threading
import time
from collections.abc import Sequence

from labhelpers.charts.chart import times
from labhelpers.charts.lanes import Lane
from labhelpers.errors import LabError
from labhelpers.kube.client import MARK, Connection
from labhelpers.outcomes import Shown, listed

KINDS = ("net", "ipc", "uts", "pid", "mnt")
SAME = ("same process", "same")
BECAME = {
    **dict.fromkeys(SAME, "stayed the same"),
    **dict.fromkeys(("another process", "another"), "was replaced"),
    "changed": "changed",
    "gone": "is gone",
    None: "was never seen",
}
MEMORY_BYTES, CPU_SECONDS, TIMES = 5e6, 0.2, 5  # as the notebook sets them before it measures
REAPED_SECONDS = 2.0  # whoever reaps does it within milliseconds, on an idle node
AT_ONCE, RUN_ON = "they die at once, with pause", "they run on for seconds, then are restarted"
AT_ONCE_SECONDS = 1.0  # the kernel needs milliseconds, the kubelet a grace period of three seconds
REACTION_SECONDS = 60
ANSWERS, NO_ANSWER = "answers", "no answer"
PING_SECONDS, PING_LIMIT_SECONDS = 0.1, 120
FIRST_ANSWER_SECONDS, LAST_ANSWER_SECONDS = 10.0, 1.0
SANDBOX = "PodReadyToStartContainers"
LONG_SECONDS = 2.0  # how long Ready has at least to be True beside a False SANDBOX


def on_node(lab, command: str) -> None:
    """Runs a command on the node and shows what it prints. It's never compared."""
    lab.node.show(command)


# --- One process too many -------------------------------------------------------------------------


def b1(lab, pod) -> Shown:
    """With containerd, every Pod has a pause process that is in neither its spec nor its status."""
    import pandas

    system = lab.connection.list("Pod", namespace="kube-system")["items"]
    running = [each for each in system if each["status"].get("phase") == "Running"]
    node_network = lab.node.node_namespaces()["net"]
    rows = [_pauses(lab, each, node_network) for each in [pod.raw, *running]]
    told = [row["Pod"] for row in rows if row["mentions in spec and status"]]
    other = [row["Pod"] for row in rows if row["pause processes on the node"] != 1]
    words = (
        f"not one pause process each: {listed(other)}"
        if other
        else "the node runs one pause process for each Pod"
    )
    words += (
        f"; mentioned in the spec or status of {listed(told)}"
        if told
        else ", and no spec and no status mentions it"
    )
    return Shown(pandas.DataFrame(rows), words)


def _pauses(lab, raw: dict, node_network: int) -> dict:
    metadata = raw["metadata"]
    # On the node, a static Pod (such as etcd) goes by the hash of its file instead of its UID.
    hashed = metadata.get("annotations", {}).get("kubernetes.io/config.hash")
    found = lab.node.processes(hashed or metadata["uid"])
    pauses = [each for each in found if each.command == "pause"]
    on_the_nodes = any(each.namespaces.get("net") == node_network for each in pauses)
    return {
        "Pod": metadata["name"],
        "mentions in spec and status": json.dumps([raw["spec"], raw["status"]]).count("pause"),
        "pause processes on the node": len(pauses),
        "network": "the node's" if on_the_nodes else "its own",
    }


# --- What pause holds, and whose child is whose ---------------------------------------------------


def b2(lab, pod) -> Shown:
    """pause and the app containers are in the same network, IPC and UTS namespaces."""
    inodes = pod.namespaces()[list(KINDS)]
    apps = [name for name in inodes.index if name != "pause"]
    shared = [kind for kind in KINDS if inodes[kind].nunique() == 1]
    own = [kind for kind in KINDS if kind not in shared]
    has, its = ("has", "its") if len(apps) == 1 else ("have", "their")
    words = f"{listed(apps)} {has} {listed(shared) or 'no namespace'} in common with pause"
    words += f", and {its} own {listed(own)}" if own else ""
    return Shown(inodes.astype(str), words)  # an inode number is a name: no thousands separators


def b6(lab, pod) -> Shown:
    """pause holds the Pod's namespaces, but the containers are children of containerd-shim."""
    pause, processes = pod.pause.process, lab.node.processes(pod.uid)
    children = [each.command for each in processes if each.parent_pid == pause.pid]
    inside = {each.pid for each in processes}
    top = [each for each in processes if each.parent_pid not in inside]
    parents = dict.fromkeys(each.parent_command for each in top)
    words = f"pause is the parent of {listed(children)}" if children else "pause has no children"
    who = listed(each.command for each in top)
    words += f"; {who} {'are children' if len(top) > 1 else 'is a child'} of {listed(parents)}"
    return Shown(str(pod.tree()), words)


# --- Who answers ----------------------------------------------------------------------------------


class Pings:
    """Pings a Pod's address from a container, ten times a second, while its ``with`` block runs.

    Args:
        connection: to the namespace of the Pod that pings.
        client: that Pod and its container, which have one name.
        address: who is pinged.

    Attributes:
        answers: each answer's number, and when it came, in seconds since 1970.
        ended: when the block ended, in seconds since 1970.
    """

    def __init__(self, connection: Connection, client: str, address: str):
        self._connection, self._client, self._address = connection, client, address
        self.answers: list[tuple[int, float]] = []
        self.ended = 0.0
        self._news = threading.Condition()

    def __enter__(self) -> "Pings":
        self.answers.clear()  # of an earlier block
        command = ["ping", "-i", f"{PING_SECONDS:g}", "-w", str(PING_LIMIT_SECONDS), self._address]
        self._lines = self._connection.exec_lines(self._client, self._client, command)
        self._thread = threading.Thread(target=self._read, name=f"{MARK}-pings", daemon=True)
        self._thread.start()
        if not self._answered_after(0.0, FIRST_ANSWER_SECONDS):
            self._end()
            raise LabError(
                f"{self._address} gives no answer to {self._client}.",
                self._lines.stderr.strip()[-200:]
                or f"no ping was answered in {FIRST_ANSWER_SECONDS:g} s",
                "Look whether both Pods run: kubectl get pods -o wide",
            )
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.ended = time.time()
        # What was answered before the end may be told a little later; the answers are in order.
        self._answered_after(self.ended, LAST_ANSWER_SECONDS)
        pings = self._thread.is_alive()
        self._end()
        if kind is None and not pings:
            raise LabError(
                f"ping ended in {self._client}.",
                self._lines.stderr.strip()[-200:] or "it ended without a word",
                "Run the cell again.",
            )

    def go_on(self, *, seconds: float) -> None:
        """Goes on for a while."""
        time.sleep(seconds)

    def spans(self, began: float) -> list[tuple[float, float, str]]:
        """(from, to, "answers" or "no answer"), in seconds since ``began``."""
        return ping_spans([(number, at - began) for number, at in self.answers], self.ended - began)

    def _answered_after(self, moment: float, timeout_seconds: float) -> bool:
        def answered() -> bool:
            return bool(self.answers) and self.answers[-1][1] > moment

        with self._news:
            return self._news.wait_for(answered, timeout_seconds)

    def _read(self) -> None:
        for line in self._lines:
            if found := re.search(r"seq=(\d+) ", line):
                with self._news:
                    self.answers.append((int(found[1]), time.time()))
                    self._news.notify_all()

    def _end(self) -> None:
        self._lines.close()
        self._thread.join(LAST_ANSWER_SECONDS)


def pings(lab, client: str, pod) -> Pings:
    """Pings the address that a Pod has now, from the Pod ``client``, as soon as that is Ready."""
    lab.pod(client).wait_until("Ready", timeout_seconds=30)
    return Pings(lab.connection, client, pod.address)


def ping_spans(
    answers: Sequence[tuple[int, float]], ended: float
) -> list[tuple[float, float, str]]:
    """From when to when pings were answered. A number that is missing is a ping without an answer.

    >>> ping_spans([(0, 0.0), (1, 0.1), (5, 0.5), (6, 0.6)], 0.65)
    [(0.0, 0.2, 'answers'), (0.2, 0.5, 'no answer'), (0.5, 0.65, 'answers')]
    >>> ping_spans([(0, 0.0), (1, 0.1)], 2.0)
    [(0.0, 0.2, 'answers'), (0.2, 2.0, 'no answer')]
    """
    spans, since = [], answers[0][1]
    followed = [*answers[1:], (None, ended)]
    for (number, at), (following, then) in zip(answers, followed, strict=True):
        lost = then - at > LAST_ANSWER_SECONDS / 2 if following is None else following > number + 1
        if lost:
            silent = round(at + PING_SECONDS, 3)
            spans += [(max(since, 0.0), silent, ANSWERS), (silent, then, NO_ANSWER)]
            since = then
    if since < ended:
        spans.append((max(since, 0.0), ended, ANSWERS))
    return [(start, end, words) for start, end, words in spans if end > max(start, 0.0)]


def _silent(life, pings) -> list[tuple[float, float]]:
    """From when to when pings weren't answered, in seconds since the recording began."""
    spans = pings.spans(life.began_seconds)
    return [(start, end) for start, end, words in spans if words == NO_ANSWER]


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float] | None:
    start, end = max(one[0], other[0]), min(one[1], other[1])
    return (start, end) if start < end else None


# --- Kill the app ---------------------------------------------------------------------------------


def b3(lab, life, pings) -> Shown:
    """An app container's crash and restart changes neither the network namespace nor the Pod IP,
    and the address answers while no app is running."""
    facts = life.facts
    held = {
        "pause": facts["pause"],
        "the network namespace": facts["network"],
        "the IP address": facts["address"],
    }
    stayed = [name for name, what in held.items() if what in SAME]
    moved = [f"{name} {BECAME[what]}" for name, what in held.items() if what not in SAME]
    words = _fates(life)
    words += [f"{listed(stayed)} stayed the same"] if stayed else []
    answered = "answered" if _answered_while_down(life, pings) else "didn't answer"
    moved.append(f"the address {answered} while no app was running")
    lane = Lane("ping to the address", "the Pod client", pings.spans(life.began_seconds))
    lanes = [*facts["containers"], "pause", "network", lane, "address"]
    return Shown(
        life.chart("The app is killed twice. What stays?", lanes), "; ".join(words + moved)
    )


def what_pings_get(lab, life, pings) -> str:
    """What pings got while no app was running: a choice of "ping"."""
    if _answered_while_down(life, pings):
        return "gets answers"
    if life.facts["address"] in SAME:
        return "gets none: no process is there to answer"
    return "gets none: the address is gone until the restart"


def _answered_while_down(life, pings) -> bool:
    """Whether all pings were answered while none of the Pod's containers was running."""
    rows = life.intervals
    runs = rows[(rows["kind"] == "container") & (rows["state"] == "running")]
    if runs["ongoing"].astype(bool).any():
        raise LabError(
            "The app is running again.",
            "the recording ended after the restart",
            "Run the cell again.",
        )
    down = (float(runs["end"].max()), pings.ended - life.began_seconds)
    return not any(_overlap(down, silent) for silent in _silent(life, pings))


# --- Kill pause -----------------------------------------------------------------------------------


def b4(lab, life, pings) -> Shown:
    """Kill pause, and the sandbox and its namespaces are recreated and every container restarts."""
    facts = life.facts
    words = [
        f"pause {BECAME[facts['pause']]}",
        f"the network namespace {BECAME[facts['network']]}",
        *_fates(life),
    ]
    old = Lane("ping to the old address", "the Pod client", pings.spans(life.began_seconds))
    lanes = ["pause", *facts["containers"], "network", old, "address", SANDBOX, "Ready"]
    band, killing = _unreachable(life, pings), _killing(life)
    notes = [(*band, "Ready, but no answer")] if band else []
    predicted = []
    if killing is not None:
        grace = life.versions[0].obj["spec"]["terminationGracePeriodSeconds"]
        notes.append((killing, killing, "the kubelet notices: SIGTERM"))
        predicted.append((killing + grace, f"SIGTERM + {grace} s of grace"))
    picture = life.chart("pause is killed. What changes?", lanes, notes=notes, predicted=predicted)
    return Shown(picture, "; ".join(words))


def b8(lab, life, pings) -> Shown:
    """A Ready Pod needn't be reachable: while the sandbox is replaced, Ready stays True, and the
    status keeps an address that no longer answers."""
    import pandas

    both = life.when({SANDBOX: "False", "Ready": "True"})
    beside = max(both, key=lambda span: span[1] - span[0], default=None)
    long = beside is not None and beside[1] - beside[0] > LONG_SECONDS
    silent = _unreachable(life, pings)
    what = {
        f"{SANDBOX} is False, Ready is True": beside,
        "Ready is True, and its address gives no answer": silent,
    }
    rows = [
        {"what": words, "from, s": span[0], "to, s": span[1], "for, s": span[1] - span[0]}
        for words, span in what.items()
        if span
    ]
    return Shown(
        pandas.DataFrame(rows).round(2),
        f"{_told_by_the_api(life)}; Ready was True beside it for {'more' if long else 'no more'} "
        f"than two seconds; while Ready was True, the address in the status "
        f"{'stopped answering' if silent else 'never stopped answering'}",
    )


def settle(lab, *containers) -> None:
    """Waits until the kubelet has reacted to the end of pause."""
    for each in containers:
        each.wait_until("restarted", timeout_seconds=REACTION_SECONDS)


def what_happens_to_the_containers(lab, life) -> str:
    """What became of the containers after pause was killed: a choice of "containers"."""
    rows = life.intervals
    ended = rows[(rows["kind"] == "container") & (rows["state"] == "terminated")]
    pauses = rows[rows["kind"] == "pause"].sort_values("start")
    if ended.empty:
        return "nothing, they keep running"
    later = ended["start"].min() - pauses["end"].iloc[0]
    return AT_ONCE if later < AT_ONCE_SECONDS else RUN_ON


def what_ready_says(lab, life) -> str:
    """What the Pod's Ready condition was while its sandbox was replaced: a choice of "ready"."""
    rows = life.intervals
    states = rows[rows["lane"] == "Ready"].sort_values("start")
    if set(states["state"]) == {"True"}:
        return "True, all the time"
    if "Unknown" in set(states["state"]):
        return "Unknown"
    ended = rows[(rows["kind"] == "container") & (rows["state"] == "terminated")]["start"].min()
    false = states[states["state"] == "False"]["start"].min()
    return "False, as soon as pause is gone" if false < ended else "False, once the containers end"


def _killing(life) -> float | None:
    """When the kubelet said that it stops the containers, in seconds; None if it never did."""
    rows = life.intervals
    told = rows[(rows["lane"] == "events") & (rows["state"] == "Killing")]
    return None if told.empty else float(told["start"].min())


def _unreachable(life, pings) -> tuple[float, float] | None:
    """From when to when a Ready Pod's address gave no answer, in seconds: from the first ping that
    got none, or from the last moment at which something of the Pod may still have run, until the
    status has another address."""
    rows = life.intervals
    spans = [
        both
        for ready in life.when({"Ready": "True"})
        for own in life.when({"address": "set"})[:1]
        for silent in _silent(life, pings)
        if (first := _overlap(ready, own)) and (both := _overlap(first, silent))
    ]
    if not spans:
        return None
    start, end = max(spans, key=lambda span: span[1] - span[0])
    over = rows[(rows["state"] == "running") & ~rows["ongoing"].astype(bool)]
    sure = (over["end"] + over["end_resolution"].fillna(0.0)).max()
    return (max(start, float(sure)) if sure < end else start, end)


def _told_by_the_api(life) -> str:
    """Which conditions were False while the API knew that there was no sandbox."""
    before = life.versions[0].address
    broken = [each for each in life.versions if each.conditions.get(SANDBOX) == "False"]
    if not broken:
        return f"{SANDBOX} never turned False"
    false = {name for each in broken for name, state in each.conditions.items() if state == "False"}
    only = "only " if false == {SANDBOX} else ""
    stale = all(each.address == before for each in broken)
    address = "the status kept the old address" if stale else "the status showed another address"
    return f"{only}{listed(sorted(false))} turned False, and {address}"


def _fates(life) -> list[str]:
    """What became of each container, in words."""
    rows = life.intervals
    return [
        _ended(name, said, int(((rows["lane"] == name) & (rows["state"] == "terminated")).sum()))
        for name, said in life.facts["containers"].items()
    ]


def _ended(name: str, said: str, ends: int = 1) -> str:
    """A container's fate in words.

    >>> _ended("app", "ended by signal 9, restarted once"), _ended("app", "same process")
    ('app was killed by signal 9 and restarted once', 'app is still the same process')
    >>> _ended("app", "ended by signal 9, restarted once, not running", 2)
    'app was killed by signal 9 twice and restarted once'
    """
    if said == "same process":
        return f"{name} is still the same process"
    how, _, then = said.removesuffix(", not running").partition(", ")
    how = how.replace("ended by", "killed by") + (f" {times(ends)}" if ends > 1 else "")
    return f"{name} was {how}" + (f" and {then}" if then else "")


# --- Zombies --------------------------------------------------------------------------------------


def b5(lab, orphan, adopted, child) -> Shown:
    """With shareProcessNamespace, pause reaps orphans; by default the container's own PID 1 has to.
    A zombie whose parent is alive stays in either case.

    Args:
        orphan: a process that lost its parent in a Pod with default settings, and has ended.
        adopted: the same in a Pod with shareProcessNamespace.
        child: one that has ended while its parent lives.
    """
    import pandas

    words = {"gone": "nothing is left", "a zombie": "a zombie stays", "alive": "it stays alive"}
    lives = "a child whose parent lives"
    of_child = {
        "gone": f"nothing is left of {lives}",
        "a zombie": f"{lives} stays a zombie",
        "alive": f"{lives} stays alive",
    }
    cases = {
        "by default": orphan,
        "with shareProcessNamespace": adopted,
        "while its parent lives": child,
    }
    fates = [fate(lab, each) for each in cases.values()]
    first, second, third = words[fates[0]], words[fates[1]], of_child[fates[2]]
    parents = [_parent(lab, each) for each in cases.values()]
    table = pandas.DataFrame(
        {
            "case": list(cases),
            "process": [each.command_line for each in cases.values()],
            "parent": parents,
            "the process is": fates,
        }
    )
    return Shown(
        table,
        f"by default {orphan.parent_command} adopts the orphan, and {first} when it ends; with "
        f"shareProcessNamespace {adopted.parent_command} adopts it, and {second}; {third}",
    )


def _parent(lab, process) -> str:
    """The parent's whole command line; it outlives the process in all three cases."""
    words = lab.node.read(f"/proc/{process.parent_pid}/cmdline").replace("\0", " ").strip()
    return words.removeprefix("/").removesuffix(" -P") or process.parent_command


def fate(lab, process) -> str:
    """What is left of a process: "gone", "a zombie" or "alive". A parent that reaps has two seconds
    to do it."""
    deadline = time.monotonic() + REAPED_SECONDS
    while (state := _state(lab, process)) != "gone" and time.monotonic() < deadline:
        time.sleep(0.1)
    return state


def _state(lab, process) -> str:
    try:
        text = lab.node.read(f"/proc/{process.pid}/stat")
    except LabError as error:
        if "No such" in error.seen:  # no such file, or no such process any more
            return "gone"
        raise
    fields = text.rpartition(")")[2].split()  # from field 3 of proc_pid_stat(5) on
    if int(fields[19]) != process.started_ticks:
        return "gone"  # another process has its number
    return "a zombie" if fields[0] in "ZX" else "alive"


# --- What it costs --------------------------------------------------------------------------------


def b7(lab) -> Shown:
    """pause costs next to nothing: its memory and CPU, measured.

    Of the cluster's DNS server: that Pod is as old as the cluster, or nearly so.
    """
    import pandas

    connection = lab.connection.within("kube-system")
    found = connection.list("Pod", label_selector="k8s-app=kube-dns")["items"]
    processes = lab.node.processes(found[0]["metadata"]["uid"])
    pause = next(each for each in processes if each.command == "pause")
    cgroup = lab.node.cgroup(pause.container_id)
    resident = {pid: _resident_kilobytes(lab, pid) for pid in (pause.pid, pause.parent_pid)}
    minutes = (float(lab.node.read("/proc/uptime").split()[0]) - pause.started_ticks / 100) / 60
    table = pandas.DataFrame(
        {
            "process": ["pause", pause.parent_command],
            "running for, min": [round(minutes)] * 2,
            "resident memory, kB": list(resident.values()),
            "charged to the Pod, kB": [round(cgroup.memory_bytes / 1024), None],
            "CPU time so far, ms": [
                round(1000 * cgroup.cpu_seconds),
                _cpu_ms(lab, pause.parent_pid),
            ],
        }
    )
    less = _less(cgroup.memory_bytes, MEMORY_BYTES), _less(cgroup.cpu_seconds, CPU_SECONDS)
    more = "more" if resident[pause.parent_pid] > TIMES * resident[pause.pid] else "not more"
    return Shown(
        table,
        f"pause uses {less[0]} than 5 MB of memory and {less[1]} than 0.2 s of CPU time; "
        f"{pause.parent_command} has {more} than five times as much memory resident as pause",
    )


def _less(measured: float, bound: float) -> str:
    return "less" if measured < bound else "no less"


def _resident_kilobytes(lab, pid: int) -> int:
    lines = lab.node.read(f"/proc/{pid}/status").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def _cpu_ms(lab, pid: int) -> int:
    fields = lab.node.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])  # in hundredths of a second
    return 10 * (user + system)
