"""Lab 00: what "created" promises, what a crash changes, and what a deletion changes."""

import os
import shlex
import shutil
from pathlib import Path

from labhelpers import kubectl, paths
from labhelpers.charts import timeline
from labhelpers.charts.lanes import Lane
from labhelpers.errors import Refused
from labhelpers.kube import fields
from labhelpers.measure.changes import spans_of
from labhelpers.outcomes import Shown, frame_of, listed

DECIDED_SECONDS, REACTION_SECONDS = 30, 60
RESTARTED, REPLACED = "the app starts again in the same Pod", "another Pod replaces it"
ENDS = "the Pod ends, with STATUS Error"
BOTH, LOG_ONLY, NEITHER = "its UID and its old log", "its old log, under another UID", "neither"
HELLO = ".status.containerStatuses[0].restartCount"
# Each question three times, as source: what the table shows is what was asked.
QUESTIONS = (
    ("phase", "pod.phase", "get pod hello -o jsonpath={.status.phase}",
     'v1.read_namespaced_pod("hello", ns).status.phase'),
    ("IP address", "pod.address", "get pod hello -o jsonpath={.status.podIP}",
     'v1.read_namespaced_pod("hello", ns).status.pod_ip'),
    ("UID", "pod.uid", "get pod hello -o jsonpath={.metadata.uid}",
     'v1.read_namespaced_pod("hello", ns).metadata.uid'),
    ("restarts", 'pod.container("app").restarts', f"get pod hello -o jsonpath={{{HELLO}}}",
     'v1.read_namespaced_pod("hello", ns).status.container_statuses[0].restart_count'),
    ("log", 'pod.logs("app")', "logs hello", 'v1.read_namespaced_pod_log("hello", ns)'),
)  # fmt: skip


# --- The cluster ----------------------------------------------------------------------------------


def cluster(lab) -> Shown:
    """Whether the cluster has what the labs need: "yes", or what was found instead."""
    import kubernetes

    nodes = lab.connection.list("Node")["items"]
    ready = [node for node in nodes if fields.is_true(node, "Ready")]
    version, known = (
        lab.connection.raw("/version"),
        int(kubernetes.__version__.partition(".")[0]),
    )
    own = shutil.which("kubectl") or "none"
    found = {
        "one node, and it's Ready": (
            len(nodes) == len(ready) == 1,
            f"{len(nodes)} nodes, {len(ready)} Ready",
        ),
        # As kubectl and the API server may lie one minor version apart, so may the client:
        # https://kubernetes.io/releases/version-skew-policy/
        "a Kubernetes that the labs know": (
            abs(int(version["minor"].rstrip("+")) - known) <= 1,
            version["gitVersion"],
        ),
        "a node that can be seen from inside": (
            lab.node.cgroup_version in (1, 2),
            f"cgroups of version {lab.node.cgroup_version}",
        ),
        "the labs' own kubectl": (Path(own).parent == paths.tools(), own),
    }
    rows = [
        {"the labs need": what, "is it there?": "yes" if so else f"no: {seen}"}
        for what, (so, seen) in found.items()
    ]
    missing = [what for what, (so, _) in found.items() if not so]
    words = f"the labs miss {listed(missing)}" if missing else "the labs have all that they need"
    return Shown(frame_of(rows), words)


# --- What "created" promises ----------------------------------------------------------------------


def p1(lab, pod) -> Shown:
    """kubectl apply returns once the object is stored: a Pod that fits no node is created, too."""
    pod.wait_until(lambda now: "PodScheduled" in now.conditions, timeout_seconds=DECIDED_SECONDS)
    now = pod.now()
    status = now.raw["status"]
    started = [each["name"] for each in status.get("containerStatuses", ()) if each.get("started")]
    node = now.raw["spec"].get("nodeName")
    rows = [
        {"asked of the API server": "is it stored?", "answer": f"yes, with the UID {now.uid}"},
        {"asked of the API server": "phase", "answer": now.phase},
        {"asked of the API server": "node", "answer": node or "none"},
        {"asked of the API server": "containers started", "answer": listed(started) or "none"},
    ]
    return Shown(
        frame_of(rows),
        f"the API server has stored the Pod {now.raw['metadata']['name']}; it's {now.phase}, on "
        f"{'a' if node else 'no'} node, and {listed(started) or 'no container'} has started",
    )


def answered(lab, pod) -> str:
    """Which of the choices of "apply" was kubectl's answer: what is stored was created."""
    try:
        pod.now()
    except Refused:
        return "an error: no node fits"
    return "created"


# --- A crash, a deletion --------------------------------------------------------------------------


def p2(lab, before, pod) -> Shown:
    """A crashed app starts again in the same Pod: the UID and the address stay, RESTARTS goes up,
    and the last words are in the previous log."""
    after = pod.now()
    first, second = before.container("app").restarts, after.container("app").restarts
    return Shown(
        _compared("before the crash", before, "after the crash", after),
        f"after the crash the UID {_became(before.uid, after.uid)}, the IP address "
        f"{_became(before.address, after.address)}, RESTARTS "
        f"{'went up' if second > first else 'stayed the same'}, and "
        f"{_told(previous(pod))}",
    )


def p3(lab, before, pod) -> Shown:
    """A deleted Pod doesn't come back: the same file makes another Pod, with another UID, no
    restarts and no previous log."""
    after = pod.now()
    other = before.uid != after.uid
    return Shown(
        _compared("before the deletion", before, "the same file, again", after),
        f"the same file made {'another Pod, with another UID' if other else 'the same Pod again'}; "
        f"RESTARTS is {after.container('app').restarts}, and {_told(previous(pod))}",
    )


def settle(lab, before, pod) -> None:
    """Waits until Kubernetes has reacted to a crash."""
    restarts = before.container("app").restarts

    def has_reacted(now) -> bool:
        app = now.container("app")
        runs_again = app.state == "running" and app.restarts > restarts
        return runs_again or now.uid != before.uid or now.phase in ("Failed", "Succeeded")

    pod.wait_until(has_reacted, timeout_seconds=REACTION_SECONDS)


def after_crash(lab, before, pod) -> str:
    """Which of the choices of "crash" happened."""
    now = pod.now()
    if now.uid != before.uid:
        return REPLACED
    return RESTARTED if now.container("app").state == "running" else ENDS


def kept(lab, before, pod) -> str:
    """Which of the choices of "again" happened."""
    if previous(pod) is None:
        return NEITHER
    return BOTH if pod.now().uid == before.uid else LOG_ONLY


def previous(pod) -> str | None:
    """The last line of the previous log; None if there is no such log."""
    try:
        lines = pod.logs("app", previous=True).splitlines()
    except Refused:
        return None
    return lines[-1] if lines else ""


def _told(last: str | None) -> str:
    if last is None:
        return "there's no previous log"
    return f'the previous log ends in "{last}"'


def _became(before: object, after: object) -> str:
    return "stayed the same" if before == after else "is another one"


def _compared(first: str, before, second: str, after):
    rows = [
        {"what": "UID", first: before.uid, second: after.uid},
        {"what": "IP address", first: before.address, second: after.address},
        {
            "what": "RESTARTS",
            first: str(before.container("app").restarts),
            second: str(after.container("app").restarts),
        },
    ]
    return frame_of(rows)


# --- Both in one picture --------------------------------------------------------------------------


def two_lives(lab, life) -> Shown:
    """A crash and a deletion on one time axis: which lanes break at which of the two?"""
    reads = {
        "UID": lambda pod: pod["metadata"]["uid"][:8],
        "IP address": lambda pod: pod.get("status", {}).get("podIP"),
        "container": lambda pod: (_running(pod) or "")[:8],
        "RESTARTS": _restarts,
        "logs --previous": lambda pod: "has the last words" if _ended_before(pod) else None,
    }
    end = float(life.intervals["end"].max())
    lanes = [
        Lane(name, "the API reports", spans_of(life.versions, read, end))
        for name, read in reads.items()
    ]
    chart = timeline.timeline(
        life.intervals, "Which of the two makes another Pod?", lanes, (), _marks(life), _notes(life)
    )
    return Shown(chart, f"{_crash_words(life)}; {_deletion_words(life)}")


def _crash_words(life) -> str:
    first = [each for each in life.versions if each.uid == life.versions[0].uid]
    counts = [each for version in first if (each := _restarts(version.obj))]
    if not counts or counts[0] == counts[-1]:
        return "the app didn't crash"
    addresses = {each.address for each in first if each.address}
    same = "the same" if len(addresses) == 1 else "another"
    # How far up is shown, not compared: a busy node may fail a start and try again.
    return f"after the crash RESTARTS went up, in the same Pod with {same} IP address"


def _deletion_words(life) -> str:
    uids = list(dict.fromkeys(each.uid for each in life.versions))
    if len(uids) < 2:
        return "there was one Pod all the time"
    last = [_restarts(each.obj) for each in life.versions if each.uid == uids[-1]]
    return f"after the deletion another UID began, with RESTARTS {last[-1] or 'unknown'}"


def _marks(life) -> list[tuple[float, str]]:
    """When the app ended, when the Pod was deleted, when it was applied again."""
    found: dict[str, float] = {}
    for version in life.versions:
        metadata = version.obj["metadata"]
        going, again = metadata.get("deletionTimestamp"), version.uid != life.versions[0].uid
        if again:
            found.setdefault("applied again", version.seconds)
        elif going:
            found.setdefault("deleted", version.seconds)
        elif _ended_before(version.obj):
            found.setdefault("the app crashes", version.seconds)
    return [(seconds, words) for words, seconds in found.items()]


def _notes(life) -> list[tuple[float, float, str]]:
    """Where it's no longer the Pod of the beginning."""
    other = [each.seconds for each in life.versions if each.uid != life.versions[0].uid]
    return [(other[0], float(life.intervals["end"].max()), "another Pod")] if other else []


def _status(pod: dict) -> dict:
    return next(iter(pod.get("status", {}).get("containerStatuses", ())), {})


def _running(pod: dict) -> str | None:
    status = _status(pod)
    return fields.bare(status["containerID"]) if "running" in status.get("state", {}) else None


def _restarts(pod: dict) -> str | None:
    status = _status(pod)
    return str(status["restartCount"]) if status else None


def _ended_before(pod: dict) -> bool:
    status = _status(pod)
    return bool(status.get("lastState")) or "terminated" in status.get("state", {})


# --- Three ways to ask ----------------------------------------------------------------------------


def p4(lab, pod) -> Shown:
    """Helper, kubectl and Python client ask the same API server and get the same answers."""
    rows, differ = [], []
    for (what, helper, line, client), answers in zip(QUESTIONS, asked(lab, pod), strict=True):
        same = len(set(answers)) == 1
        differ += [] if same else [what]
        said = answers[0] if same else " / ".join(answers)
        rows.append(
            {"what": what, "helper": helper, "kubectl": f"kubectl {line}",
             "Python client": client, "answer": said}
        )  # fmt: skip
    words = (
        f"they differ about {listed(differ)}"
        if differ
        else f"they gave the same {len(rows)} answers"
    )
    return Shown(frame_of(rows), f"helper, kubectl and Python client were asked: {words}")


def asked(lab, pod) -> list[tuple[str, str, str]]:
    """Each question's three answers."""
    from kubernetes import client, config

    v1 = client.CoreV1Api(config.new_client_from_config(os.environ["KUBECONFIG"]))
    names = {"pod": pod, "v1": v1, "ns": lab.namespace}
    found = []
    for _, helper, line, official in QUESTIONS:
        printed = kubectl.run(shlex.split(line), check=True).stdout
        answers = eval(helper, names), printed, eval(official, names)
        found.append(tuple(str(each).strip() for each in answers))
    return found
