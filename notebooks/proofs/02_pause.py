"""Lab 02: what pause is, what it holds, and what goes when it goes."""

import json
import time

from labhelpers.errors import LabError
from labhelpers.outcomes import Shown, as_printed, listed, shown_only

KINDS = ("net", "ipc", "uts", "pid", "mnt")
SAME = ("same process", "same")
BECAME = {
    **dict.fromkeys(SAME, "stayed the same"),
    **dict.fromkeys(("another process", "another"), "was replaced"),
    "changed": "changed",
    "gone": "is gone",
    None: "was never seen",
}
MEMORY_BYTES, CPU_SECONDS, TIMES = 5e6, 0.2, 5  # generous limits: pause uses some 5 % of either
REAPED_SECONDS = 2.0  # whoever reaps does it within milliseconds, on an idle node
AT_ONCE, RUN_ON = "they die at once, with pause", "they run on for seconds, then are restarted"
AT_ONCE_SECONDS = 1.0  # the kernel needs milliseconds, the kubelet a grace period of three seconds


def on_node(lab, command: str) -> None:
    """Runs a command on the node and shows what it prints. It's never compared."""
    printed = lab.node.run(command).rstrip()
    shown_only(as_printed(f"node$ {command}\n{printed}"))


# --- One process too many -------------------------------------------------------------------------


def b1(lab, pod) -> Shown:
    """Every Pod has a hidden pause process that is in neither its spec nor its status."""
    import pandas

    system = lab.connection.list("Pod", namespace="kube-system")["items"]
    running = [each for each in system if each["status"].get("phase") == "Running"]
    rows = [_pauses(lab, each) for each in [pod.raw, *running]]
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


def _pauses(lab, raw: dict) -> dict:
    metadata = raw["metadata"]
    # On the node, a static Pod (such as etcd) goes by the hash of its file instead of its UID.
    hashed = metadata.get("annotations", {}).get("kubernetes.io/config.hash")
    commands = [each.command for each in lab.node.processes(hashed or metadata["uid"])]
    return {
        "Pod": metadata["name"],
        "mentions in spec and status": json.dumps([raw["spec"], raw["status"]]).count("pause"),
        "pause processes on the node": commands.count("pause"),
    }


# --- What pause holds, and whose child is whose ---------------------------------------------------


def b2(lab, pod) -> Shown:
    """pause holds the Pod's network and IPC namespaces: app containers have the same inodes."""
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


# --- Kill the app, kill pause ---------------------------------------------------------------------


def b3(lab, life) -> Shown:
    """An app container's crash and restart changes neither the network namespace nor the Pod IP."""
    facts = life.facts
    held = {
        "pause": facts["pause"],
        "the network namespace": facts["network"],
        "the IP address": facts["address"],
    }
    stayed = [name for name, what in held.items() if what in SAME]
    moved = [f"{name} {BECAME[what]}" for name, what in held.items() if what not in SAME]
    words = [_ended(name, said) for name, said in facts["containers"].items()]
    words += [f"{listed(stayed)} stayed the same"] if stayed else []
    lanes = [*facts["containers"], "pause", "network", "address"]
    return Shown(life.chart("The app is killed. What changes?", lanes), "; ".join(words + moved))


def b4(lab, life) -> Shown:
    """Kill pause, and the sandbox and its namespaces are recreated and every container restarts;
    meanwhile Ready stays True, and only PodReadyToStartContainers tells."""
    facts = life.facts
    words = [
        f"pause {BECAME[facts['pause']]}",
        f"the network namespace {BECAME[facts['network']]}",
        *(_ended(name, said) for name, said in facts["containers"].items()),
        f"while nothing was running, Ready was {ready_while_empty(lab, life)}",
        _told_by_the_api(life),
    ]
    lanes = [
        "pause", *facts["containers"], "network", "PodReadyToStartContainers", "Ready", "address"
    ]  # fmt: skip
    gap = _gap(life)
    ready = ready_while_empty(lab, life) == "True"
    spans = [(*gap, "Ready, but nothing is running")] if gap and ready else []
    return Shown(life.chart("pause is killed. What changes?", lanes, notes=spans), "; ".join(words))


def what_happens_to_the_containers(lab, life) -> str:
    """What became of the containers after pause was killed: a choice of "containers"."""
    rows = life.intervals
    ended = rows[(rows["kind"] == "container") & (rows["state"] == "terminated")]
    pauses = rows[rows["kind"] == "pause"].sort_values("start")
    if ended.empty:
        return "nothing, they keep running"
    later = ended["start"].min() - pauses["end"].iloc[0]
    return AT_ONCE if later < AT_ONCE_SECONDS else RUN_ON


def ready_while_empty(lab, life) -> str:
    """What the Pod's Ready condition was between the end of the last process and the new pause."""
    gap = _gap(life)
    if gap is None:
        return "there was no such moment"
    rows = life.intervals
    seen = rows[(rows["lane"] == "Ready") & (rows["start"] < gap[1]) & (rows["end"] > gap[0])]
    return ", then ".join(seen.sort_values("start")["state"]) or "not known"


def _gap(life) -> tuple[float, float] | None:
    """From when to when nothing of the Pod ran, in seconds; None if something always did."""
    rows = life.intervals
    runs = rows[(rows["kind"] == "container") & (rows["state"] == "running")]
    over = runs[~runs["ongoing"].astype(bool)]
    pauses = rows[rows["kind"] == "pause"].sort_values("start")
    if len(pauses) < 2 or over.empty:
        return None
    begin = max(over["end"].max(), pauses["end"].iloc[0])
    end = pauses["start"].iloc[1]
    return (float(begin), float(end)) if begin < end else None


def _told_by_the_api(life) -> str:
    """Which conditions were False while the API knew that there was no sandbox."""
    sandbox = "PodReadyToStartContainers"
    before = life.versions[0].address
    broken = [each for each in life.versions if each.conditions.get(sandbox) == "False"]
    if not broken:
        return f"{sandbox} never turned False"
    false = {name for each in broken for name, state in each.conditions.items() if state == "False"}
    only = "only " if false == {sandbox} else ""
    stale = all(each.address == before for each in broken)
    address = "the status kept the old address" if stale else "the status showed another address"
    return f"{only}{listed(sorted(false))} turned False, and {address}"


def _ended(name: str, said: str) -> str:
    """A container's fate in words.

    >>> _ended("app", "ended by signal 9, restarted once"), _ended("app", "same process")
    ('app was killed by signal 9 and restarted once', 'app is still the same process')
    """
    if said == "same process":
        return f"{name} is still the same process"
    said = said.replace("ended by", "killed by").replace(", restarted", " and restarted")
    return f"{name} was {said}"


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
    cases = {
        "by default": orphan,
        "with shareProcessNamespace": adopted,
        "while its parent lives": child,
    }
    fates = [fate(lab, each) for each in cases.values()]
    first, second, third = (words[each] for each in fates)
    parents = [each.parent_command for each in cases.values()]
    table = pandas.DataFrame({"case": list(cases), "parent": parents, "the process is": fates})
    return Shown(
        table,
        f"by default {orphan.parent_command} adopts the orphan, and {first} when it ends; with "
        f"shareProcessNamespace {adopted.parent_command} adopts it, and {second}; of a child whose "
        f"parent lives, {third}",
    )


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


def b7(lab, pod) -> Shown:
    """pause costs next to nothing: its memory and CPU, measured."""
    import pandas

    pause = pod.pause.process
    cgroup = lab.node.cgroup(pause.container_id)
    resident = {pid: _resident_kilobytes(lab, pid) for pid in (pause.pid, pause.parent_pid)}
    table = pandas.DataFrame(
        {
            "process": ["pause", pause.parent_command],
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
