"""Lab 03: why a Pod is on this node, or on none, and what takes it off again."""

import contextlib
import re
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from labhelpers.charts.canvas import INK, KEY_WIDTH, LINE, PALE, PALETTE, Box, Sheet, key_rows
from labhelpers.charts.chart import Chart
from labhelpers.charts.lanes import Lane
from labhelpers.errors import Refused, TimedOut
from labhelpers.kube import fields
from labhelpers.kube.events import wait_for_event
from labhelpers.kube.pod_status import kubectl_status
from labhelpers.node.logs import seconds as seconds_of_stamp
from labhelpers.outcomes import Shown, frame_of, listed
from labhelpers.patience import advice, patient
from labhelpers.polling import poll

# Each is named after the one thing that its manifest wants and the node doesn't have. The tenth,
# taint, comes later: a tainted node would turn all of them away for that one reason.
COURT = (
    "selector", "resources", "affinity", "anti-affinity", "spread", "port", "claim",
    "scheduler", "gate",
)  # fmt: skip
FAILED = "FailedScheduling"
CONTROLLER_LOG = "/var/log/pods/kube-system_kube-controller-manager*/*/*.log"
DEFAULT_SCHEDULER = "default-scheduler"
# How long nothing happens until a proof says that nothing happens.
SILENT_SECONDS, STAYS_SECONDS = 8.0, 5.0
EVENT_SECONDS, RELEASE_SECONDS, START_SECONDS = 30, 60, 60
# The garbage collector looks every 20 s, and waits 40 s for a node to turn up:
# pkg/controller/podgc/gc_controller.go.
COLLECTED_SECONDS = 120
AT_ONCE_SECONDS = 3.0


# --- Reading Pods and events ----------------------------------------------------------------------


def node_name(lab) -> str:
    """The name of the cluster's only node."""
    return lab.connection.list("Node")["items"][0]["metadata"]["name"]


def name_of_no_node(lab) -> str:
    """A name that no node has. It's another one each time: for a minute after a node's last Pod has
    been collected, the collector still has its name, and would take the next Pod sooner."""
    return f"node-{time.time_ns() // 1_000_000 % 1_000_000:06d}"


def _pods(lab) -> dict[str, dict]:
    """The Pods of the lab's namespace, by name."""
    return {each["metadata"]["name"]: each for each in lab.connection.list("Pod")["items"]}


def _events(lab, pod: dict) -> list[dict]:
    """A Pod's events, oldest first."""
    selector = f"involvedObject.uid={pod['metadata']['uid']}"
    found = lab.connection.list("Event", field_selector=selector)["items"]
    return sorted(found, key=lambda event: event["metadata"]["creationTimestamp"])


def _has_node(pod: dict) -> bool:
    return bool(pod["spec"].get("nodeName"))


def why(message: str) -> str:
    """The reason in a message of the scheduler, without the number of nodes.

    >>> why("0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: …")
    'Insufficient cpu'
    >>> why('0/1 nodes are available: persistentvolumeclaim "data" not found. not found')
    'persistentvolumeclaim "data" not found'
    """
    found = re.search(r"nodes are available: (?:\d+ )?(.*?)(?:\. |\.?$)", message)
    return found[1] if found else message


@dataclass(frozen=True)
class Answer:
    """What you can read about a Pod that has no node.

    Attributes:
        status: kubectl's STATUS.
        event: the reason in its first event FailedScheduling; "" if it has none.
        others: the reasons of its other events.
        condition: the reason of its condition PodScheduled; "" if it has no such condition.
    """

    status: str
    event: str
    others: tuple[str, ...]
    condition: str


def _answer(lab, pod: dict) -> Answer:
    events = _events(lab, pod)
    failed = [why(each["message"]) for each in events if each["reason"] == FAILED]
    others = tuple(each["reason"] for each in events if each["reason"] != FAILED)
    scheduled = fields.conditions(pod).get("PodScheduled", {})
    return Answer(kubectl_status(pod), next(iter(failed), ""), others, scheduled.get("reason", ""))


def _is_asked(pod: dict) -> bool:
    """Whether the default scheduler has this Pod in its queue."""
    spec = pod["spec"]
    return spec.get("schedulerName") == DEFAULT_SCHEDULER and not spec.get("schedulingGates")


# --- What changes after each change ---------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """The Pods after one change.

    Attributes:
        words: the change.
        runs: the Pod that was meant to get a node by it; "" if none was.
        placed: by Pod, whether it has a node; a Pod that doesn't exist isn't in it.
        uids: by Pod.
    """

    words: str
    runs: str
    placed: dict[str, bool]
    uids: dict[str, str]


class Moments:
    """What becomes of some Pods, change by change: ``with court("the taint is removed",
    runs="taint"): …``.

    Attributes:
        names: of the Pods.
        steps: one for each block.
        answers: what could be read about each Pod before it got a node.
    """

    def __init__(self, lab, names: Sequence[str]):
        self._lab, self.names = lab, list(names)
        self.steps: list[Step] = []
        self.answers: dict[str, Answer] = {}

    def __repr__(self) -> str:
        return f"{len(self.names)} Pods, {len(self.steps)} changes"

    @contextlib.contextmanager
    def __call__(self, words: str, *, runs: str = "") -> Iterator[None]:
        """Notes which Pods have a node after the block.

        Args:
            words: what the block changes.
            runs: the Pod that should get a node by it. Without one, nothing should happen, and
                that takes five seconds.

        Raises:
            TimedOut: the Pod has got no node.
        """
        if runs in _pods(self._lab) and runs not in self.answers:
            self.hear(runs)
        yield
        if runs:
            self._wait(runs)
        else:
            time.sleep(STAYS_SECONDS)
        there = {name: pod for name, pod in _pods(self._lab).items() if name in self.names}
        placed = {name: _has_node(pod) for name, pod in there.items()}
        uids = {name: pod["metadata"]["uid"] for name, pod in there.items()}
        self.steps.append(Step(words, runs, placed, uids))

    def hear(self, *names: str) -> None:
        """Reads what is said about Pods without a node. Those about which nothing is said get eight
        seconds."""
        names = names or tuple(self.names)

        def heard(timeout_seconds: float, wanted: Sequence[str]) -> None:
            poll(
                lambda: all(self._now(name).event for name in wanted),
                timeout_seconds=timeout_seconds,
                every_seconds=0.5,
            )

        heard(SILENT_SECONDS, names)
        asked = [name for name in names if _is_asked(_pods(self._lab)[name])]
        heard(patient(EVENT_SECONDS), asked)
        self.answers.update({name: self._now(name) for name in names})

    def released(self) -> list[list[str]]:
        """For each change, the Pods that got a node by it."""
        found, before = [], set[str]()
        for step in self.steps:
            now = {name for name, placed in step.placed.items() if placed}
            found.append(sorted(now - before))
            before |= now
        return found

    def _now(self, name: str) -> Answer:
        return _answer(self._lab, _pods(self._lab)[name])

    def _wait(self, name: str) -> None:
        def placed() -> bool:
            there = _pods(self._lab).get(name)
            return there is not None and _has_node(there)

        limit = patient(RELEASE_SECONDS)
        if not poll(placed, timeout_seconds=limit, every_seconds=0.2):
            raise TimedOut(
                f"The Pod {name} has got no node.",
                f"none in {limit:g} s",
                advice(f"Read its events: kubectl describe pod {name}."),
            )


def moments(lab, *names: str) -> Moments:
    """A record of Pods, change by change."""
    return Moments(lab, names)


def court(lab) -> Moments:
    """A record of the ten Pods. What is said about the nine that are there now is read at once."""
    found = Moments(lab, [*COURT, "taint"])
    found.hear(*COURT)
    return found


def bind(lab, name: str) -> None:
    """Binds a Pod to the node, with the request that a scheduler sends: a Binding."""
    target = {"apiVersion": "v1", "kind": "Node", "name": node_name(lab)}
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
    lab.connection.create(body)


# --- The court ------------------------------------------------------------------------------------


def c2(lab, court) -> Shown:
    """A nodeSelector that no node matches leaves the Pod Pending with FailedScheduling; labelling
    the node releases it."""
    name = "selector"
    before, pod = court.answers[name], _pods(lab)[name]
    change = next(step.words for step in court.steps if step.runs == name)
    number = next(number for number, step in enumerate(court.steps) if step.runs == name)
    waited = not any(step.placed.get(name) for step in court.steps[:number])
    by_it = name in court.released()[number] and waited
    scheduled = any(each["reason"] == "Scheduled" for each in _events(lab, pod))
    event = f"an event {FAILED}: {before.event}" if before.event else "no event"
    rows = [
        {"when": "before", "STATUS": before.status, "event": before.event or "none"},
        {"when": change, "STATUS": kubectl_status(pod), "event": "Scheduled" * scheduled or "none"},
    ]
    return Shown(
        frame_of(rows),
        f"{name} was {before.status} with {event}; it was "
        f"{'scheduled' if by_it and scheduled else 'not scheduled'} after this change: {change}",
    )


def c4(lab, court) -> Shown:
    """An unknown schedulerName leaves the Pod Pending with no event and no condition at all."""
    rows, spoken = [], []
    for name, answer in court.answers.items():
        spoken += [name] * bool(answer.event and answer.condition)
        rows.append(
            {
                "Pod": name,
                "STATUS": answer.status,
                f"event {FAILED}": answer.event or "none",
                "condition PodScheduled": answer.condition or "none",
            }
        )
    nobody = court.answers["scheduler"]
    events = "an event" if nobody.event or nobody.others else "no event"
    condition = f"the condition {nobody.condition}" if nobody.condition else "no condition"
    return Shown(
        frame_of(rows),
        f"after {SILENT_SECONDS:g} s scheduler is {nobody.status}, with {events} and {condition}; "
        f"{len(spoken)} of the others have an event and a condition",
    )


def what_you_see(lab, court) -> str:
    """What shows that nobody schedules the Pod: a choice of "scheduler"."""
    pod, said = _pods(lab).get("scheduler"), court.answers.get("scheduler")
    if pod is None or said is None:
        return "the API server rejects the Pod"
    if _has_node(pod):
        return "the default scheduler takes over"
    return "an event names the scheduler" if said.event or said.others else "no event at all"


def o10(lab, court) -> Shown:
    """A scheduling gate holds a Pod before the scheduler looks at it."""
    names = [step.runs for step in court.steps]
    released = court.released()
    one_each = all(found == [name] for found, name in zip(released, names, strict=True))
    odd = [
        f"{step.words} released {listed(found) or 'none'}"
        for step, found in zip(court.steps, released, strict=True)
        if found != [step.runs]
    ]

    def run() -> bool:
        return all(kubectl_status(pod) == "Running" for pod in map(_pods(lab).get, names) if pod)

    poll(run, timeout_seconds=patient(START_SECONDS), every_seconds=0.3)
    now = {name: kubectl_status(pod) for name, pod in _pods(lab).items() if name in names}
    running = [name for name in names if now.get(name) == "Running"]
    events = [court.answers[name].event for name in names if court.answers[name].event]
    gate = court.answers["gate"]
    before = "an" if gate.event or gate.others else "no"
    after = any(each["reason"] == "Scheduled" for each in _events(lab, _pods(lab)["gate"]))
    each_one = f"each of {len(names)} changes gave one Pod a node" if one_each else "; ".join(odd)
    finding = f"{each_one} · {len(running)} of {len(names)} Pods run"
    same = "no two" if len(set(events)) == len(events) else "some"
    chart = Chart(
        partial(_draw, court, now, finding),
        finding,
        frame_of(_docket(court, now)),
        "Ten Pods without a node. What releases which?",
    )
    return Shown(
        chart,
        f"{each_one}, and {len(running)} of {len(names)} Pods run; {len(events)} had an event "
        f"{FAILED}, {same} with the same reason; gate was {gate.status} and had {before} event "
        f"before its gate was removed, and {'an' if after else 'no'} event Scheduled after that",
    )


def _docket(court, now: dict[str, str]) -> list[dict]:
    """The court as rows: each Pod, what was said of it, what released it, and where it is now."""
    return [
        {
            "Pod": step.runs,
            "STATUS": court.answers[step.runs].status,
            "its event": court.answers[step.runs].event or "none",
            "the change": step.words,
            "then": now.get(step.runs, "gone"),
        }
        for step in court.steps
    ]


STEP, CELL, LINE_HEIGHT = 0.225, 0.2, 0.135  # in inches
WORDS_AT, LETTERS = 1.32, 52


def _draw(court, now: dict[str, str], finding: str):
    """A row for each Pod: its event, the change that released it, and a cell for each change."""
    rows, released = _docket(court, now), court.released()
    told = [textwrap.wrap(_said(row), LETTERS) for row in rows]
    heights = [LINE_HEIGHT * (len(lines) + 1) + 0.1 for lines in told]
    title = "Ten Pods without a node. What releases which?"
    sheet = Sheet(0.3 + sum(heights) + 0.36, title, finding)
    left = 7.0 - 0.25 - STEP * len(rows)
    sheet.say(WORDS_AT, sheet.top + 0.1, "STATUS · its event, then the change")
    sheet.say(left - 0.06, sheet.top + 0.1, "after change", ha="right")
    for number in range(len(rows)):
        sheet.say(left + STEP * (number + 0.5), sheet.top + 0.1, str(number + 1), ha="center")
    y = sheet.top + 0.24
    for number, (row, lines, height) in enumerate(zip(rows, told, heights, strict=True)):
        if number:
            sheet.line([0.25, 6.75], [y, y], LINE, width=0.6)
        sheet.say(WORDS_AT - 0.12, y + height / 2, row["Pod"], size=8.5, color=INK, ha="right")
        at = y + 0.05 + LINE_HEIGHT / 2
        for line in lines:
            sheet.say(WORDS_AT, at, line, size=7.2, color=INK)
            at += LINE_HEIGHT
        change = f"{number + 1}  {row['the change']}"
        sheet.say(WORDS_AT, at, change, size=7.5, color=INK, weight="bold")
        for later, step in enumerate(court.steps):
            box = (left + STEP * later + 0.0125, y + (height - CELL) / 2, CELL, CELL)
            _cell(sheet, box, bool(step.placed.get(row["Pod"])), row["Pod"] in released[later])
        y += height
    keys = [
        ("has no node", partial(_key, False, False)),
        ("gets a node by this change", partial(_key, True, True)),
        ("has a node", partial(_key, True, False)),
    ]
    sheet.legend(y + 0.2, key_rows(keys))
    return sheet.figure


def _said(row: dict) -> str:
    said = row["its event"]
    return f"{row['STATUS']} · {'no event' if said == 'none' else said}"


def _cell(sheet: Sheet, box: Box, placed: bool, new: bool) -> None:
    if placed:
        sheet.filled(box, PALETTE[2], alpha=1.0 if new else 0.45)
    else:
        sheet.box(box, facecolor=PALE, edgecolor=LINE, linewidth=0.8)
    if new:
        sheet.box(box, facecolor="none", edgecolor=INK, linewidth=1.8)


def _key(placed: bool, new: bool, sheet: Sheet, x: float, y: float) -> None:
    _cell(sheet, (x + KEY_WIDTH - CELL, y - CELL / 2, CELL, CELL), placed, new)


# --- Past the scheduler ---------------------------------------------------------------------------


def fate(lab, name: str) -> str:
    """What becomes of a Pod whose nodeName is set: a choice of "pinned"."""

    def decided() -> bool:
        return _pods(lab)[name]["status"].get("phase") in ("Running", "Failed")

    poll(decided, timeout_seconds=patient(EVENT_SECONDS), every_seconds=0.3)
    phase = _pods(lab)[name]["status"].get("phase")
    words = {"Running": "it runs", "Failed": "the kubelet rejects it: Failed"}
    return words.get(phase, "it stays Pending: no toleration")


def c1(lab, pinned, ordinary) -> Shown:
    """nodeName bypasses the scheduler: no Scheduled event."""
    rows, words = [], []
    for handle in (pinned, ordinary):
        pod = handle.raw
        # The last of the events of a start: what isn't there now doesn't come.
        wait_for_event(lab.connection, handle.name, "Started", timeout_seconds=EVENT_SECONDS)
        events = _events(lab, pod)
        reasons = list(dict.fromkeys(each["reason"] for each in events))
        by = {each.get("source", {}).get("component") or each.get("reportingComponent", "")
              for each in events}  # fmt: skip
        scheduled = "an" if "Scheduled" in reasons else "no"
        rows.append({"Pod": handle.name, "phase": pod["status"]["phase"],
                     "events": ", ".join(reasons), "from": ", ".join(sorted(by))})  # fmt: skip
        words.append(f"{handle.name} is {pod['status']['phase']} and has {scheduled} event "
                     f"Scheduled, its events are from {listed(sorted(by))}")  # fmt: skip
    return Shown(frame_of(rows), "; ".join(words))


def c3(lab, pod) -> Shown:
    """A Pod with a nodeName and a nodeSelector that doesn't match that node is rejected by the
    kubelet: Failed, reason NodeAffinity."""

    def decided() -> bool:
        return pod.raw["status"].get("phase") in ("Running", "Failed")

    poll(decided, timeout_seconds=patient(EVENT_SECONDS), every_seconds=0.3)
    raw = pod.raw
    status = raw["status"]
    by = {each.get("source", {}).get("component", "")
          for each in _events(lab, raw) if each["reason"] == status.get("reason")}  # fmt: skip
    started = [each for each in status.get("containerStatuses", ()) if each.get("containerID")]
    rows = [
        {"field": "status.phase", "value": status.get("phase", "")},
        {"field": "status.reason", "value": status.get("reason", "none")},
        {"field": "status.message", "value": status.get("message", "none")},
        {"field": "event from", "value": ", ".join(sorted(by)) or "none"},
    ]
    return Shown(
        frame_of(rows),
        f"{pod.name} is {status.get('phase')} with the reason {status.get('reason', 'none')}; the "
        f"event is from {listed(sorted(by)) or 'nobody'}, and "
        f"{'a' if started else 'no'} container was started",
    )


# --- Required and preferred -----------------------------------------------------------------------


def o17(lab, disks) -> Shown:
    """Required node affinity is a filter, preferred affinity only a score; changing a node's labels
    afterwards evicts nobody."""
    same = all(step.uids == disks.steps[-1].uids for step in disks.steps)
    words = []
    for step in disks.steps:
        placed = [name for name in disks.names if step.placed.get(name)]
        words.append(f"{step.words}: {listed(placed) or 'nobody'} on the node")
    rows = [
        {
            "Pod": name,
            **{
                step.words: "has a node" if step.placed.get(name) else "waits"
                for step in disks.steps
            },
        }
        for name in disks.names
    ]
    run = [
        name
        for name, pod in _pods(lab).items()
        if name in disks.names and kubectl_status(pod) == "Running"
    ]
    left = f"the same {len(run)} Pods run" if same else "a Pod is another one"
    return Shown(frame_of(rows), f"{'; '.join(words)}; after {STAYS_SECONDS:g} s {left}")


# --- Two replicas, one node -----------------------------------------------------------------------

DEPLOYMENTS = {
    "even": "spread: DoNotSchedule",
    "even-two": "spread: DoNotSchedule, minDomains: 2",
    "even-soft": "spread: ScheduleAnyway",
    "apart": "anti-affinity: required",
}


def settle(lab) -> None:
    """Waits until each replica runs, or the scheduler has said why it doesn't."""

    def decided() -> bool:
        own = [pod for pod in _pods(lab).values() if _app(pod) in DEPLOYMENTS]
        return (
            len(own) == 2 * len(DEPLOYMENTS)
            and all(
                kubectl_status(pod) == "Running" if _has_node(pod) else _answer(lab, pod).event
                for pod in own
            )
            and all(_available(lab, app) == _running(lab, app) for app in DEPLOYMENTS)
        )

    poll(decided, timeout_seconds=patient(START_SECONDS), every_seconds=0.3)


def _available(lab, app: str) -> int:
    """What the Deployment says, which comes a moment later."""
    return lab.connection.get("Deployment", app)["status"].get("availableReplicas", 0)


def _app(pod: dict) -> str:
    return (pod["metadata"].get("labels") or {}).get("app", "")


def _running(lab, app: str) -> int:
    own = [pod for pod in _pods(lab).values() if _app(pod) == app]
    return sum(kubectl_status(pod) == "Running" for pod in own)


def how_many_run(lab, app: str) -> str:
    """How many of a Deployment's two replicas run: a choice of "even"."""
    one = "one runs, one stays Pending"
    return {0: "none: one node isn't enough", 1: one}.get(_running(lab, app), "both run")


def o18(lab) -> Shown:
    """On a cluster of one node, required anti-affinity leaves the second Pod Pending, with a reason
    in its event. A spread with DoNotSchedule does so only with minDomains, ScheduleAnyway never."""
    rows, words = [], []
    for app, rule in DEPLOYMENTS.items():
        own = [pod for pod in _pods(lab).values() if _app(pod) == app]
        said = [_answer(lab, pod).event for pod in own if not _has_node(pod)]
        runs = _running(lab, app)
        rows.append({"Deployment": app, "rule": rule, "running": runs,
                     "event of the other": ", ".join(said) or "–"})  # fmt: skip
        because = f" ({listed(filter(None, said)) or 'no event'})" if said else ""
        words.append(f"{rule}: {runs} of {len(own)} run{because}")
    return Shown(frame_of(rows), "; ".join(words))


# --- Taints ---------------------------------------------------------------------------------------


class Others(Shown):
    """The Pods that aren't this lab's, and that they tolerate a taint.

    Attributes:
        uids: theirs.
    """

    def __init__(self, uids: set[str], what, sentence: str):
        super().__init__(what, sentence)
        self.uids = uids


def _others(lab) -> list[dict]:
    """The Pods in other namespaces that aren't ending."""
    found = lab.connection.list("Pod", namespace="")["items"]
    return [
        pod
        for pod in found
        if pod["metadata"]["namespace"] != lab.namespace
        and not pod["metadata"].get("deletionTimestamp")
    ]


def tolerates(pod: dict, key: str, effect: str) -> bool:
    """Whether a Pod tolerates a taint with any value, for ever.

    >>> tolerates({"spec": {"tolerations": [{"operator": "Exists"}]}}, "k", "NoExecute")
    True
    >>> tolerates({"spec": {"tolerations": [{"key": "k", "value": "a"}]}}, "k", "NoExecute")
    False
    """
    return any(
        each.get("operator") == "Exists"
        and each.get("key", key) == key
        and each.get("effect", effect) == effect
        and each.get("tolerationSeconds") is None
        for each in pod["spec"].get("tolerations") or []
    )


def let_tolerate(lab, key: str) -> Others:
    """Adds a toleration to every running Pod of other namespaces that would be evicted by a taint
    with this key. It's one of the few fields of a running Pod that can be added to, and it stays
    until the Pod is replaced."""
    effect, rows = "NoExecute", []
    own = {"key": key, "operator": "Exists", "effect": effect}
    for pod in _others(lab):
        there = pod["spec"].get("tolerations") or []
        by_itself = tolerates(
            {"spec": {"tolerations": [t for t in there if t != own]}}, key, effect
        )
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        if not tolerates(pod, key, effect):
            lab.transcript.note(
                f"kubectl patch pod -n {namespace} {name} --type=json -p "
                f'\'[{{"op": "add", "path": "/spec/tolerations/-", "value": {{"key": "{key}", '
                f'"operator": "Exists", "effect": "{effect}"}}}}]\''
            )
            body = {"spec": {"tolerations": [*there, own]}}
            lab.connection.patch("Pod", name, body, namespace)
        what = "its own toleration" if by_itself else "a toleration that we've added"
        rows.append({"Pod": name, f"{key}:{effect}": what})
    now = _others(lab)
    leave = [each["metadata"]["name"] for each in now if not tolerates(each, key, effect)]
    would = f"{listed(leave)} would be" if leave else "no other Pod would be"
    helped = any(row[f"{key}:{effect}"].startswith("a ") for row in rows)
    return Others(
        {each["metadata"]["uid"] for each in now},
        frame_of(rows),
        f"{would} evicted by {key}:{effect}; without our tolerations "
        f"{'some' if helped else 'none'} would have been",
    )


def wait_ready(lab, *names: str) -> None:
    """Waits until each of these Pods is Ready."""
    for name in names:
        lab.pod(name).wait_until("Ready", timeout_seconds=START_SECONDS)


def hold(lab) -> None:
    """Three seconds in which nothing should happen, so that the picture shows it."""
    time.sleep(AT_ONCE_SECONDS)


def wait_for_evictions(lab) -> None:
    """Waits until the lab's Pods that had to leave have ended."""

    def over() -> bool:
        running = {n for n, pod in _pods(lab).items() if pod["status"].get("phase") == "Running"}
        return running <= {"tolerant"}

    poll(over, timeout_seconds=patient(START_SECONDS), every_seconds=0.3)


def o16(lab, life, court, others) -> Shown:
    """A NoSchedule taint keeps Pods without a toleration out; a NoExecute taint evicts those that
    are running, after their tolerationSeconds."""
    soft, hard = (next(at for at, words in life.annotations if effect in words)
                  for effect in ("NoSchedule", "NoExecute"))  # fmt: skip
    kept_out = court.answers["taint"].event
    words = [f"the NoSchedule taint kept the Pod taint out: {kept_out or 'no'}"]
    names = list(dict.fromkeys(each.name for each in life.versions))
    gone = {name: _deleted(life, name) for name in names}
    names.sort(key=lambda name: float("inf") if gone[name] is None else gone[name])
    early = [name for name, at in gone.items() if at is not None and at < hard]
    words[0] += f", and evicted {listed(early) or 'nobody'}"
    patience = {name: _patience(life, name) for name in names}
    predicted = [
        (hard + seconds, f"NoExecute + {seconds} s") for seconds in patience.values() if seconds
    ]
    words += [f"{name} {_when(gone, name, hard, patience)}" for name in names]
    left = others.uids - {each["metadata"]["uid"] for each in _others(lab)}
    words.append(f"{len(left) or 'no'} other Pods of the cluster were evicted")
    title = "The node is tainted. Who has to leave, and when?"
    last = float(life.intervals["end"].max())
    lanes = [
        Lane(
            name,
            "the API",
            _spans([each for each in life.versions if each.name == name], last),
            order=ORDER,
        )
        for name in names
    ]
    notes = [(soft, hard, "NoSchedule alone: nobody leaves")] if not early else []
    chart = life.chart(title, lanes, notes=notes, predicted=predicted)
    return Shown(chart, "; ".join(words))


def _deleted(life, name: str) -> float | None:
    """When the taint eviction controller deleted a Pod, in seconds of the recording."""
    return next(
        (
            version.seconds
            for version in life.versions
            if version.name == name
            and version.obj["metadata"].get("deletionTimestamp")
            and fields.conditions(version.obj).get("DisruptionTarget", {}).get("reason")
            == "DeletionByTaintManager"
        ),
        None,
    )


def _patience(life, name: str) -> int | None:
    pod = next(version.obj for version in life.versions if version.name == name)
    own = [each for each in pod["spec"]["tolerations"] if each.get("key") == "maintenance"]
    return own[0].get("tolerationSeconds") if own else None


def _when(gone: dict[str, float | None], name: str, tainted: float, patience: dict) -> str:
    """When a Pod was evicted. The taint came after ``tainted``, and the controller counts from when
    it sees that: nobody's seconds are over earlier, however busy the machine is."""
    at, seconds = gone[name], patience[name]
    if at is None:
        return "stayed"
    if seconds and at >= tainted + seconds:
        return f"was evicted after its {seconds} s"
    # At once: before anybody's seconds are over.
    shortest = min((each for each in patience.values() if each), default=AT_ONCE_SECONDS)
    if not seconds and tainted <= at < tainted + shortest:
        return "was evicted at once"
    return "was evicted at another time"


# --- Preemption -----------------------------------------------------------------------------------


def fill(lab) -> None:
    """Waits until both GPUs are taken."""
    lab.pod("report").wait_until("Ready", timeout_seconds=START_SECONDS)
    poll(
        lambda: _running(lab, "batch") == 1,
        timeout_seconds=patient(START_SECONDS),
        every_seconds=0.3,
    )


def wait_for_the_new_one(lab) -> None:
    """Waits until urgent runs, the scheduler has looked at the Pod that replaces batch's, and no
    Pod is being deleted any more: a victim frees its GPUs when it has ended, and stays listed, as
    Failed, until the kubelet has removed it."""
    lab.pod("urgent").wait_until("Ready", timeout_seconds=START_SECONDS)

    def waits() -> bool:
        now = _pods(lab).values()
        own = [pod for pod in now if _app(pod) == "batch"]
        return not any(pod["metadata"].get("deletionTimestamp") for pod in now) and any(
            _answer(lab, pod).event and not _has_node(pod) for pod in own
        )

    poll(waits, timeout_seconds=patient(EVENT_SECONDS), every_seconds=0.3)


def becomes_of(lab, name: str) -> str:
    """What has become of the Pod that was preempted: a choice of "victim"."""
    pod = _pods(lab).get(name)
    if pod is None:
        return "it's deleted, and doesn't come back"
    said = {"Pending": "it's Pending until a GPU is free", "Running": "it keeps its GPU"}
    return said.get(pod["status"]["phase"], "it stays listed, as Failed")


def c5(lab, life) -> Shown:
    """A higher priorityClass preempts a lower Pod when the node is full; the victim is deleted, and
    comes back only if a controller recreates it."""
    preempted, ended, lanes = [], {}, []
    uids = list(dict.fromkeys(version.uid for version in life.versions))
    own = {uid: [each for each in life.versions if each.uid == uid] for uid in uids}
    last = float(life.intervals["end"].max())
    named: dict[str, str] = {}
    for uid, versions in own.items():
        pod = versions[-1].obj
        base = _app(pod) or pod["metadata"]["name"]
        again = list(named.values()).count(base)
        named[uid] = base
        name = f"{base}, new Pod" if again else base
        spans = _spans(versions, last)
        lanes.append(Lane(name, "the API", spans, order=ORDER))
        target = fields.conditions(pod).get("DisruptionTarget", {}).get("reason")
        if target == "PreemptionByScheduler":
            preempted.append(base)
            ended[base] = next(
                (number for number, each in enumerate(life.versions)
                 if each.uid == uid and _is_over(each)), None,
            )  # fmt: skip
    urgent = next(
        (number for number, each in enumerate(life.versions)
         if each.name == "urgent" and _has_node(each.obj)), None,
    )  # fmt: skip
    waited = urgent is not None and all(at is not None and at < urgent for at in ended.values())
    now = _pods(lab)
    new = [pod for pod in now.values() if _app(pod) == "batch"]
    report = "is there again" if "report" in now else "doesn't come back"
    batch = f"batch has a new Pod, which is {listed(kubectl_status(pod) for pod in new)}"
    words = [
        f"{listed(sorted(preempted)) or 'nobody'} got the reason PreemptionByScheduler",
        f"report {report}, {batch if new else 'batch has no new Pod'}",
        f"urgent got its node {'after' if waited else 'before'} every victim had ended, and "
        f"{'runs' if now.get('urgent', {}).get('status', {}).get('phase') == 'Running' else 'waits'}",  # noqa: E501
    ]
    notes = []
    if ended and urgent is not None:
        began = min(each.seconds for each in life.versions if each.name == "urgent")
        notes.append((began, life.versions[urgent].seconds, "urgent waits for its victims to end"))
    title, tell = (
        "urgent needs two GPUs. What becomes of the others?",
        ("report: app", "urgent: app"),
    )
    chart = life.chart(title, lanes, tell, notes=notes)
    return Shown(chart, "; ".join(words))


ORDER = ("Running", "being deleted", "Pending", "ended")


def _is_over(version) -> bool:
    return version.event == "DELETED" or version.obj["status"].get("phase") in (
        "Succeeded",
        "Failed",
    )


def _spans(versions: Sequence, last: float) -> list[tuple[float, float, str]]:
    """What a Pod was, from one version to the next."""
    spans: list[tuple[float, float, str]] = []
    for version in versions:
        at = 0.0 if version.event == "FOUND" else max(version.seconds, 0.0)
        said = version.obj["status"].get("phase", "Pending")
        if said in ("Succeeded", "Failed"):
            said = "ended"
        elif version.obj["metadata"].get("deletionTimestamp"):
            said = "being deleted"
        if version.event == "DELETED":
            if spans:
                spans[-1] = (spans[-1][0], at, spans[-1][2])
            return spans
        if spans and spans[-1][2] == said:
            continue
        if spans:
            spans[-1] = (spans[-1][0], at, spans[-1][2])
        spans.append((at, last, said))
    return spans


# --- The node that doesn't exist ------------------------------------------------------------------


class Ghost:
    """What was seen of a Pod on a node that doesn't exist, before it was collected.

    Attributes:
        created: when, in seconds since 1970, by the API's clock.
        first: the Pod, as it was created.
        answer: what could be read about it.
    """

    def __init__(self, lab, name: str):
        self.name = name
        self.first = _pods(lab)[name]
        self.created = seconds_of_stamp(self.first["metadata"]["creationTimestamp"])
        self.answer = _answer(lab, self.first)

    def __repr__(self) -> str:
        return f"Pod {self.name}: {self.answer.status}"


def keep_an_eye_on(lab, name: str) -> Ghost:
    """Remembers a Pod that will be gone later."""
    return Ghost(lab, name)


def c21(lab, ghost) -> Shown:
    """A Pod whose nodeName is a node that doesn't exist stays Pending without a container. The Pod
    garbage collector deletes it about a minute later."""

    def is_gone() -> bool:
        try:
            found = lab.connection.get("Pod", ghost.name)
        except Refused:
            return True
        return found["metadata"]["uid"] != ghost.first["metadata"]["uid"]

    limit = patient(COLLECTED_SECONDS)
    gone = poll(is_gone, timeout_seconds=limit, every_seconds=0.5)
    text = lab.node.run(f"grep -hF '\"{lab.namespace}/{ghost.name}\"' {CONTROLLER_LOG} || true")
    lines = [line.split(" ", 3) for line in text.splitlines()]
    said = [
        (round(seconds_of_stamp(stamp) - ghost.created), words)
        for stamp, _, _, words in lines
        if seconds_of_stamp(stamp) >= ghost.created
    ]
    collected = [at for at, words in said if "PodGC" in words]
    rows = [{"seconds since its creation": 0, "what": f"created, {ghost.answer.status}"}]
    rows += [{"seconds since its creation": at, "what": _message(words)} for at, words in said]
    nodes = [each["metadata"]["name"] for each in lab.connection.list("Node")["items"]]
    exists = ghost.first["spec"].get("nodeName") in nodes
    node = "a node that exists" if exists else "a node that doesn't exist"
    events = "an event" if _events(lab, ghost.first) else "no event"  # they outlive the Pod
    started = "a" if ghost.first["status"].get("containerStatuses") else "no"
    by = "by the Pod garbage collector" if collected else "by somebody else"
    soon = "within two minutes" if collected and collected[0] < COLLECTED_SECONDS else "later"
    return Shown(
        frame_of(rows),
        f"{ghost.name} was {ghost.answer.status}, bound to {node}, with {started} container and "
        f"{events}; " + (f"it was deleted {by} {soon}" if gone else "it's still there"),
    )


def _message(line: str) -> str:
    """A line of the controller's log, without its stamp.

    >>> _message('I1127 22:38:15.9   1 gc_controller.go:348] "PodGC is force deleting Pod" pod="x"')
    'PodGC is force deleting Pod'
    """
    found = re.search(r'\] "([^"]*)"', line)
    return found[1] if found else line
