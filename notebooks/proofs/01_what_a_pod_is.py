"""Lab 01: what the containers of one Pod share, what each has alone, and why they come together."""

import re

from labhelpers.charts import matrix as charts
from labhelpers.charts.chart import Chart, times
from labhelpers.outcomes import Shown, frame_of, listed

PORT_TAKEN = "Address already in use"
PAGE, PAGE_OF_WEB = "/pages/index.html", "/www/index.html"
LETTER, NOTE = "/dev/shm/letter", "/tmp/note"
QUEUE, SCRATCH = "/dev/mqueue/orders", "/dev/shm/scratch"
NEW_MOUNT = "orders, in a new mount of mqueue"
LISTEN = "httpd -p 8080 && kill $(pidof httpd)"
# Uids up to here belong to the node's own users; the kubelet gives Pods ranges above.
NODES_OWN_IDS = 65535
FILES, BY_PROC, BY_NAME = (
    "no: each still has its own mounts",
    "yes, at a path below /proc",
    "yes, at /tmp/note: there's one /tmp now",
)
ROOT, NOBODY = "root", "an unprivileged user"
WAITS, RUNS, REJECTED = (
    "waits, as big does",
    "runs, and big waits",
    "isn't created: the API rejects the Pod",
)
ON_LOCALHOST = "reach web on localhost"
AT_ITS_IP = "reach web at its Pod IP"
BY_VOLUME = "hand web a file in the volume pages"
BY_MEMORY = "hand web a file in /dev/shm"
OWN_SERVER = "start a server of its own on port 8080"
ENTERS = {"nothing": "", "the IPC namespace of web": "-i", "the mount namespace of web": "-m"}


def matrix(lab, title: str, *pods, pause: bool = False, node: bool = False, mark="") -> Chart:
    """Which containers share which namespaces, now, as a picture with its finding; ``.table``
    holds the inode numbers.

    Rows are named by the container; with several Pods, by ``pod/container``. A container that
    does not run has no row.

    Args:
        title: the question that the picture answers.
        pods: the Pods, top to bottom.
        pause: draw each Pod's pause as well.
        node: put a row for the node's own namespaces above the Pods.
        mark: the kind of namespace that the question is about.

    Example::

        lab.tools.matrix("Which namespaces do two containers of one Pod share?", pod)
    """
    import pandas

    frames = []
    for pod in pods:
        frame = pod.namespaces()
        frame = frame if pause else frame.drop(index="pause", errors="ignore")
        if not frame.empty:
            frames.append(frame.rename(f"{pod.name}/{{}}".format) if len(pods) > 1 else frame)
    if node:
        frames.insert(0, pandas.DataFrame([lab.node.node_namespaces()], index=["node"]))
    return charts.matrix(
        pandas.concat(frames, join="inner") if frames else pandas.DataFrame(), title, mark
    )


def shared_kinds(lab, chart: Chart) -> str:
    """The kinds of namespaces that all rows of a matrix share: a choice of "shared"."""
    kinds = chart.table.nunique()
    return ", ".join(kinds[kinds == 1].index) or "none"


# --- Network --------------------------------------------------------------------------------------


def a2(lab, pod) -> Shown:
    """Containers of a Pod share one network namespace: same inode, same Pod IP, localhost reaches
    the other container, and a second listener on a port fails."""
    pod.exec("writer", f"echo hello > {PAGE}")
    inodes = pod.namespaces()["net"]
    rows = {name: _network(pod, name, inodes[name]) for name in ("web", "writer")}
    second = pod.exec("writer", LISTEN)
    web, writer = rows.values()
    one = web["network namespace"] == writer["network namespace"]
    addresses = {web["address"], writer["address"], pod.address}
    answers = {pod.exec(name, "wget -q -O - localhost:8080").stdout.strip() for name in rows}
    reached = len(answers) == 1 and "" not in answers
    words = [
        f"web and writer are in {'one network namespace' if one else 'two network namespaces'}",
        "both have the Pod's IP address" if len(addresses) == 1 else "their addresses differ",
        f"localhost {'reaches' if reached else 'does not reach'} the other container",
        f"a second server on port 8080 fails: {PORT_TAKEN}"
        if PORT_TAKEN in second.stderr
        else "a second server on port 8080 listens, too",
    ]
    return Shown(_beside(rows, "asked in the container"), "; ".join(words))


def _network(pod, name: str, inode) -> dict:
    address = pod.exec(name, "ip -o -4 addr show scope global").stdout
    found = re.search(r"inet ([\d.]+)", address)
    return {
        "network namespace": str(inode),
        "address": found[1] if found else "none",
    }


def _beside(columns: dict[str, dict], what: str):
    """One column for each of them, one row for each thing that was asked."""
    asked = dict.fromkeys(key for column in columns.values() for key in column)
    return frame_of(
        [
            {what: key, **{name: column.get(key, "") for name, column in columns.items()}}
            for key in asked
        ]
    )


# --- Messages, host name, volumes -----------------------------------------------------------------


def a3(lab, pod) -> Shown:
    """Containers of a Pod share IPC: the same inode, and a message queue made by one is seen by the
    other. /dev/shm is shared as well, but by a mount."""
    pod.exec("web", f"touch {QUEUE} {SCRATCH}")
    spaces = pod.namespaces().drop(index="pause")["ipc"].nunique()
    both = all(pod.exec("writer", ["ls", path]).returncode == 0 for path in (QUEUE, SCRATCH))
    pid = pod.container("web").process.pid
    rows = [_seen(lab, enters, option, pid) for enters, option in ENTERS.items()]
    words = f"web and writer are in {'one IPC namespace' if spaces == 1 else 'two IPC namespaces'}"
    words += f", and writer {'sees' if both else 'does not see'} the queue and the file of web"
    words += f"; a process of the node sees the queue in a new mount {_where(rows, NEW_MOUNT)}"
    words += f", and the file {_where(rows, SCRATCH)}"
    return Shown(frame_of(rows), words)


def _seen(lab, enters: str, option: str, pid: int) -> dict:
    """What a process of the node sees once it has entered one namespace of another process. mqueue
    is mounted anew, in a copy of the mounts: a mount shows the queues of the IPC namespace in which
    it was made, whoever looks."""
    looks = "unshare -m sh -c 'mount -t mqueue none /tmp && ls /tmp /dev/shm'"
    said = lab.node.run(f"nsenter -t {pid} {option} {looks}" if option else looks).split()
    names = {NEW_MOUNT: QUEUE.rpartition("/")[2], SCRATCH: SCRATCH.rpartition("/")[2]}
    return {
        "a process of the node enters": enters,
        **{column: "seen" if name in said else "not there" for column, name in names.items()},
    }


def _where(rows: list[dict], column: str) -> str:
    where = [row["a process of the node enters"] for row in rows if row[column] == "seen"]
    return f"once it enters {' or '.join(where)}" if where else "nowhere"


def a4(lab, pod) -> Shown:
    """Containers of a Pod share the host name, by one UTS namespace."""
    process = pod.container("web").process
    try:
        rows = [_hostnames(pod, "at first")]
        _rename(lab, process, "boat")
        rows.append(_hostnames(pod, "web is renamed to boat"))
    finally:
        _rename(lab, process, pod.name)
    rows.append(_hostnames(pod, "renamed back"))
    first, renamed, back = (row["writer says"] for row in rows)
    follows = (first, renamed, back) == (pod.name, "boat", pod.name)
    return Shown(
        frame_of(rows),
        f"web is renamed to boat, and writer says {'boat, too' if follows else renamed}; "
        f"at first both had the name of {'the Pod' if first == pod.name else 'something else'}",
    )


def _rename(lab, process, name: str) -> None:
    lab.node.run(f"nsenter -t {process.pid} -u hostname {name}")


def _hostnames(pod, when: str) -> dict:
    says = {f"{name} says": pod.exec(name, "hostname").stdout.strip() for name in ("web", "writer")}
    return {"when": when, **says}


def a5(lab, pod) -> Shown:
    """Containers of a Pod share volumes: what one writes, the other reads."""
    pod.exec("writer", f"echo hello > {PAGE}")
    written = pod.exec("writer", ["cat", PAGE]).stdout.strip()
    read = pod.exec("web", ["cat", PAGE_OF_WEB]).stdout.strip()
    rows = [_file(pod, "writer", PAGE), _file(pod, "web", PAGE_OF_WEB)]
    one = rows[0]["device:inode"] == rows[1]["device:inode"]
    same = "the same text" if written and read == written else "something else"
    return Shown(
        frame_of(rows),
        f"writer writes {PAGE}, and web reads {same} in {PAGE_OF_WEB}: "
        f"{'one file with two paths' if one else 'they are two files'}",
    )


def _file(pod, name: str, path: str) -> dict:
    """A file by what identifies it on the node: its device, and its inode there."""
    number = pod.exec(name, ["stat", "-c", "%d:%i", path]).stdout.strip()
    return {"container": name, "file": path, "device:inode": number}


# --- Files and processes --------------------------------------------------------------------------


def a7(lab, pod) -> Shown:
    """File systems are separate: a file outside a volume is invisible to the other container."""
    pod.exec("web", f"echo for my eyes only > {NOTE}")
    mounts = pod.namespaces().drop(index="pause")["mnt"].nunique()
    rows = [
        {"container": name, f"cat {NOTE}": (done.stdout + done.stderr).strip()}
        for name in ("web", "writer")
        for done in [pod.exec(name, ["cat", NOTE])]
    ]
    there = pod.exec("writer", ["cat", NOTE]).returncode == 0
    return Shown(
        frame_of(rows),
        f"web and writer have {'their own mount namespaces' if mounts == 2 else 'one mount'}"
        f"{'' if mounts == 2 else ' namespace'}, and the note that web has in {NOTE} "
        f"{'is there' if there else 'does not exist'} in writer",
    )


def a6(lab, pod, shared) -> Shown:
    """PID namespaces are separate by default; shareProcessNamespace makes them one."""
    rows = [_processes(each) for each in (pod, shared)]
    words = [
        f"{when} web and writer have {_spaces(row)}, and writer "
        f"{'sees' if 'httpd' in row['writer sees'] else 'does not see'} the process of web"
        for when, row in zip(("by default", "with shareProcessNamespace"), rows, strict=True)
    ]
    return Shown(frame_of(rows), "; ".join(words))


def _processes(pod) -> dict:
    seen = pod.exec("writer", "ps -o comm").stdout.split()[1:]
    return {
        "Pod": pod.name,
        "PID namespaces": int(pod.namespaces().drop(index="pause")["pid"].nunique()),
        "writer sees": ", ".join(each for each in seen if each not in ("ps", "sh")),
    }


def _spaces(row: dict) -> str:
    return "one PID namespace" if row["PID namespaces"] == 1 else "their own PID namespaces"


def can_read_the_note(lab, shared) -> str:
    """Whether writer reads web's note where they share their processes: a choice of "note"."""
    shared.exec("web", f"echo for my eyes only > {NOTE}")
    if shared.exec("writer", ["cat", NOTE]).returncode == 0:
        return BY_NAME
    by_proc = shared.exec("writer", f"cat /proc/$(pidof httpd)/root{NOTE}")
    return FILES if by_proc.returncode else BY_PROC


# --- Users ----------------------------------------------------------------------------------------


def user_on_the_node(lab, pod) -> str:
    """Which user the root of a container is on the node: a choice of "user"."""
    return ROOT if pod.container("web").process.uid == 0 else NOBODY


def a8(lab, pod, own) -> Shown:
    """By default a Pod uses the node's user namespace; hostUsers: false gives it its own, with
    65536 ids, and root inside is an unprivileged uid outside."""
    columns = {each.name: _users(lab, each) for each in (pod, own)}
    words = [_user_words(name, column) for name, column in columns.items()]
    return Shown(_beside(_thousands(columns), "asked"), "; ".join(words))


def _users(lab, pod) -> dict:
    inside = int(pod.exec("web", ["id", "-u"]).stdout)
    first, outside, count = map(int, pod.exec("web", ["cat", "/proc/self/uid_map"]).stdout.split())
    worked_out = inside - first + outside
    uid = pod.container("web").process.uid
    pod.exec("web", "touch /www/owned")
    folder = f"/var/lib/kubelet/pods/{pod.uid}/volumes/kubernetes.io~empty-dir/pages"
    return {
        "uid in web": inside,
        "uid of that process on the node": uid,
        "ids in the map": count,
        "worked out from the map": f"{inside} - {first} + {outside:,} = {worked_out:,}",
        "this uid reads the node's /etc/shadow": _reads_shadow(lab, uid),
        "owner of its new file in the volume": int(lab.node.run(f"stat -c %u {folder}/owned")),
    }


def _reads_shadow(lab, uid: int) -> str:
    """What a process of this uid is told on the node, among the node's own files."""
    who = f"setpriv --reuid={uid} --regid={uid} --clear-groups"
    said = lab.node.run(f"{who} head -c 1 /etc/shadow >/dev/null 2>&1 && echo yes || echo no")
    return said.strip()


def _thousands(columns: dict[str, dict]) -> dict[str, dict]:
    return {
        name: {
            asked: f"{value:,}" if isinstance(value, int) else value
            for asked, value in column.items()
        }
        for name, column in columns.items()
    }


def _user_words(name: str, column: dict) -> str:
    inside, uid, count, worked_out, shadow, _ = column.values()
    if inside or not worked_out.endswith(f"= {uid:,}"):
        return f"in {name} the uids don't fit the map"
    reads = "can" if shadow == "yes" else "cannot"
    if uid == 0:
        who = "is root on the node"
    else:
        place = "above" if uid > NODES_OWN_IDS else "below"
        who = f"is a uid {place} {NODES_OWN_IDS} on the node, one of {count}"
    return f"root in {name} {who}, and {reads} read the node's /etc/shadow"


# --- Two Pods -------------------------------------------------------------------------------------


def a9(lab, pod, web, writer) -> Shown:
    """The same two containers as two Pods lose localhost, /dev/shm and the shared volume."""
    one, two = _reached(pod, pod), _reached(web, writer)
    table = _beside({"in one Pod": one, "in two Pods": two}, "writer tries")
    lost = [what for what in one if one[what] == "works" and two[what] == "fails"]
    won = [what for what in one if one[what] == "fails" and two[what] == "works"]
    kept = [what for what in one if one[what] == two[what] == "works"]
    words = [
        f"can no longer {listed(lost) or 'do one of these things'}",
        f"can still {listed(kept) or 'do none of them'}",
        *([f"can now {listed(won)}"] if won else []),
    ]
    return Shown(table, f"in two Pods writer {'; it '.join(words)}")


def how_web_is_reached(lab, two_pods: Shown) -> str:
    """How writer reaches web, or hands it a file, in two Pods, as A9 shows: a choice of "apart"."""
    works = two_pods.what.set_index("writer tries")["in two Pods"] == "works"
    ways = {ON_LOCALHOST: "on localhost", BY_VOLUME: "by the volume", BY_MEMORY: "by /dev/shm"}
    more = listed(way for what, way in ways.items() if works[what])
    if not works[AT_ITS_IP]:
        return more or "not at all"
    return f"at its Pod IP, and {more}" if more else "only at its Pod IP"


def _reached(web, writer) -> dict[str, str]:
    letter = "echo hello > {0} && cat {0}".format
    writer.exec("writer", letter("/pages/letter.html"))
    writer.exec("writer", letter(LETTER))
    web.exec("web", "echo page of web > /www/page.html")
    page = "/page.html | grep -q 'page of web'"
    tries = {
        ON_LOCALHOST: writer.exec("writer", f"wget -q -O - localhost:8080{page}"),
        BY_MEMORY: web.exec("web", ["ls", LETTER]),
        BY_VOLUME: web.exec("web", ["ls", "/www/letter.html"]),
        AT_ITS_IP: writer.exec("writer", f"wget -q -O - {web.address}:8080{page}"),
        OWN_SERVER: writer.exec("writer", "httpd -p 8080 -h /pages && kill $(pidof httpd)"),
    }
    return {what: "fails" if done.returncode else "works" for what, done in tries.items()}


# --- Scheduling -----------------------------------------------------------------------------------


def what_small_does(lab, pod) -> str:
    """What the container small does in a Pod whose other container fits nowhere: a choice of
    "small"."""
    return RUNS if pod.container("small").state == "running" else WAITS


def a1(lab, both, alone, pod) -> Shown:
    """The scheduler places Pods, never single containers: all containers of a Pod run on one node,
    scheduled once."""
    rows = [_scheduled(lab, each) for each in (both, alone, pod)]
    first, second, third = rows
    words = [
        f"small runs {_when(first, second)}",
        f"{both.name} is on {'no' if first['node'] == 'none' else 'a'} node, and "
        f"{'none' if first['processes'] == 0 else 'one'} of its containers has a process",
        f"{pod.name} has {third['containers']} containers and was scheduled "
        f"{times(third['events “Scheduled”'])}",
    ]
    return Shown(frame_of(rows), "; ".join(words))


def _when(both: dict, alone: dict) -> str:
    if both["processes"]:
        return "although big fits nowhere"
    return "alone, but not beside big" if alone["processes"] else "neither alone nor beside big"


def _scheduled(lab, pod) -> dict:
    now = pod.now()
    picked = f"reason=Scheduled,involvedObject.uid={now.uid}"
    events = lab.connection.list("Event", field_selector=picked)["items"]
    return {
        "Pod": pod.name,
        "containers": len(now.raw["spec"]["containers"]),
        "node": now.raw["spec"].get("nodeName", "none"),
        "events “Scheduled”": sum(map(_times, events)),
        "processes": sum(each.command != "pause" for each in lab.node.processes(now.uid)),
    }


def _times(event: dict) -> int:
    """Equal events may be kept as one that counts."""
    return event.get("count") or (event.get("series") or {}).get("count") or 1
