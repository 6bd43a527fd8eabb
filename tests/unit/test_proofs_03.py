"""The proofs of lab 03: each says one sentence where its claim is true, another where it isn't."""

import copy
from types import SimpleNamespace

import pandas
import pytest

from labhelpers.errors import Refused, TimedOut
from labhelpers.kube import events as kube_events
from labhelpers.measure.changes import Version
from labhelpers.outcomes import Shown
from labhelpers.proofs import Proofs
from labhelpers.transcript import Transcript

PROOFS = Proofs("03-scheduling")
MODULE = PROOFS.module
OWN = "lab-03-scheduling"
INSUFFICIENT = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: x"


def prove(claim, *measured, lab=None):
    return PROOFS.of(claim)(lab, *measured).sentence


def pod(name, *, node="n", phase="Running", uid="", conditions=(), deleted="", **spec):
    """A Pod; ``conditions`` are (type, status, reason)."""
    metadata = {"name": name, "uid": uid or name, "namespace": OWN, "resourceVersion": "1"}
    metadata["creationTimestamp"] = "1970-01-01T00:00:00Z"
    metadata["labels"] = {"app": spec.pop("app", "")}
    if deleted:
        metadata["deletionTimestamp"] = deleted
    spec = {"schedulerName": "default-scheduler", "tolerations": [], "containers": [], **spec}
    if node:
        spec["nodeName"] = node
    runs = {"name": "app", "state": {"running": {}}, "containerID": "c", "ready": True}
    status = {
        "phase": phase,
        "conditions": [{"type": t, "status": s, "reason": r} for t, s, r in conditions],
        "containerStatuses": [runs] if phase == "Running" else [],
    }
    return {"metadata": metadata, "spec": spec, "status": status}


def event(of, reason, message="", by="default-scheduler"):
    return {
        "metadata": {"creationTimestamp": "1970-01-01T00:00:01Z"},
        "involvedObject": {"uid": of},
        "reason": reason,
        "message": message,
        "source": {"component": by},
    }


class Cluster:
    """A connection to a cluster with these Pods and events."""

    namespace = OWN

    def __init__(self, pods=(), events=()):
        self.pods, self.events, self.patched = list(pods), list(events), []

    def list(self, kind, namespace=None, field_selector="", **_):
        if kind == "Node":
            return {"items": [{"metadata": {"name": "n"}}]}
        if kind == "Event":
            wanted = dict(each.split("=") for each in field_selector.split(","))
            uid = wanted.get("involvedObject.uid", wanted.get("involvedObject.name"))
            return {
                "items": [
                    each
                    for each in self.events
                    if each["involvedObject"]["uid"] == uid
                    and each["reason"] == wanted.get("reason", each["reason"])
                ]
            }
        where = self.namespace if namespace is None else namespace
        return {"items": [p for p in self.pods if not where or p["metadata"]["namespace"] == where]}

    def get(self, kind, name):
        for each in self.pods:
            if each["metadata"]["name"] == name:
                return each
        raise Refused("No.", "", "", reason="NotFound", message="not found")

    def patch(self, kind, name, body, namespace=None):
        self.patched.append(name)
        self.get(kind, name)["spec"].update(copy.deepcopy(body["spec"]))


def lab_with(*pods, events=(), **more):
    connection = Cluster(pods, events)
    return SimpleNamespace(connection=connection, namespace=OWN, transcript=Transcript(), **more)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    for name in (
        "SILENT_SECONDS", "STAYS_SECONDS", "EVENT_SECONDS", "RELEASE_SECONDS", "START_SECONDS",
        "COLLECTED_SECONDS", "AT_ONCE_SECONDS",
    ):  # fmt: skip
        if name not in ("AT_ONCE_SECONDS", "COLLECTED_SECONDS"):
            monkeypatch.setattr(MODULE, name, 0)
    monkeypatch.setattr(MODULE, "poll", lambda ask, **_: ask())
    monkeypatch.setattr(kube_events, "poll", lambda ask, **_: ask())


# --- Texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (INSUFFICIENT, "Insufficient cpu"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint(s).",
         "node(s) had untolerated taint(s)"),
        ('0/1 nodes are available: persistentvolumeclaim "data" not found. not found',
         'persistentvolumeclaim "data" not found'),
        ("something else", "something else"),
    ],
)  # fmt: skip
def test_the_reason_in_a_message(message, reason):
    assert MODULE.why(message) == reason


# --- The court ------------------------------------------------------------------------------------


def waiting(name, **more):
    no = [("PodScheduled", "False", "Unschedulable")]
    return pod(name, node="", phase="Pending", conditions=more.pop("conditions", no), **more)


def held(lab, *changes):
    """A court in which each change, (words, meant for, placed by it), has happened."""
    court = MODULE.Moments(lab, [runs for _, runs, _ in changes])
    court.hear()
    for words, runs, placed in changes:
        with court(words, runs=""):
            for name in placed:
                lab.connection.get("Pod", name)["spec"]["nodeName"] = "n"
                lab.connection.get("Pod", name)["status"] = pod(name)["status"]
                lab.connection.events.append(event(name, "Scheduled"))
        court.steps[-1] = MODULE.Step(words, runs, court.steps[-1].placed, court.steps[-1].uids)
    return court


def two(first=("selector",), second=("gate",), **more):
    """A court of selector and gate, with what each change releases."""
    gated = [("PodScheduled", "False", "SchedulingGated")]
    lab = lab_with(
        waiting("selector"),
        waiting("gate", conditions=gated, schedulingGates=[{"name": "g"}]),
        events=more.get("events", [event("selector", "FailedScheduling", INSUFFICIENT)]),
    )
    return lab, held(lab, ("label the node", "selector", first), ("remove it", "gate", second))


def test_c2_a_label_releases_it():
    lab, court = two()
    assert prove("C2", court, lab=lab) == (
        "selector was Pending with an event FailedScheduling: Insufficient cpu; it was scheduled "
        "after this change: label the node"
    )


def test_c2_otherwise():
    lab, court = two(first=(), second=("gate",), events=[])
    assert prove("C2", court, lab=lab) == (
        "selector was Pending with no event; it was not scheduled after this change: label the node"
    )


def test_o10_each_change_releases_one():
    lab, court = two()
    assert prove("O10", court, lab=lab) == (
        "each of 2 changes gave one Pod a node, and 2 of 2 Pods run; 1 had an event "
        "FailedScheduling, no two with the same reason; gate was SchedulingGated and had no event "
        "before its gate was removed, and an event Scheduled after that"
    )
    assert PROOFS.of("O10")(lab, court).what.png  # it can be drawn


def test_o10_otherwise():
    events = [event(name, "FailedScheduling", INSUFFICIENT) for name in ("selector", "gate")]
    lab, court = two(first=("selector", "gate"), second=(), events=events)
    assert prove("O10", court, lab=lab) == (
        "label the node released gate and selector; remove it released none, and 2 of 2 Pods run; "
        "2 had an event FailedScheduling, some with the same reason; gate was SchedulingGated and "
        "had an event before its gate was removed, and an event Scheduled after that"
    )


def unknown(*, conditions=(), events=()):
    own = waiting("scheduler", conditions=conditions, schedulerName="fair-scheduler")
    lab = lab_with(
        own,
        waiting("port"),
        events=[event("port", "FailedScheduling", INSUFFICIENT), *events],
    )
    court = MODULE.Moments(lab, ["scheduler", "port"])
    court.hear()
    return lab, court


def test_c4_nobody_says_anything():
    lab, court = unknown()
    assert prove("C4", court, lab=lab) == (
        "after 0 s scheduler is Pending, with no event and no condition; 1 of the others have an "
        "event and a condition"
    )
    assert MODULE.what_you_see(lab, court) == "no event at all"


def test_c4_otherwise():
    no = [("PodScheduled", "False", "Unschedulable")]
    lab, court = unknown(conditions=no, events=[event("scheduler", "FailedScheduling", "no such")])
    assert "with an event and the condition Unschedulable" in prove("C4", court, lab=lab)
    assert MODULE.what_you_see(lab, court) == "an event names the scheduler"
    assert MODULE.what_you_see(lab_with(), court) == "the API server rejects the Pod"
    taken = lab_with(pod("scheduler"))
    assert MODULE.what_you_see(taken, court) == "the default scheduler takes over"


def test_a_pod_that_gets_no_node_is_an_error():
    lab = lab_with(waiting("port"))
    court = MODULE.Moments(lab, ["port"])
    with pytest.raises(TimedOut), court("nothing", runs="port"):
        pass


# --- Past the scheduler ---------------------------------------------------------------------------


def handle(lab, name):
    return SimpleNamespace(name=name, raw=lab.connection.get("Pod", name))


def test_c1_no_event_of_the_scheduler():
    started = [event(name, "Started", by="kubelet") for name in ("pinned", "web")]
    lab = lab_with(pod("pinned"), pod("web"), events=[*started, event("web", "Scheduled")])
    assert prove("C1", handle(lab, "pinned"), handle(lab, "web"), lab=lab) == (
        "pinned is Running and has no event Scheduled, its events are from kubelet; "
        "web is Running and has an event Scheduled, its events are from default-scheduler and "
        "kubelet"
    )
    lab.connection.events.append(event("pinned", "Scheduled"))
    said = prove("C1", handle(lab, "pinned"), handle(lab, "web"), lab=lab)
    assert said.startswith("pinned is Running and has an event Scheduled")


@pytest.mark.parametrize(
    ("phase", "choice"),
    [
        ("Running", "it runs"),
        ("Pending", "it stays Pending: no toleration"),
        ("Failed", "the kubelet rejects it: Failed"),
    ],
)
def test_what_becomes_of_a_pinned_pod(phase, choice):
    assert MODULE.fate(lab_with(pod("pinned", phase=phase)), "pinned") == choice


def test_c3_the_kubelet_rejects_it():
    failed = pod("pinned-ssd", phase="Failed")
    failed["status"]["reason"] = "NodeAffinity"
    lab = lab_with(failed, events=[event("pinned-ssd", "NodeAffinity", by="kubelet")])
    assert prove("C3", handle(lab, "pinned-ssd"), lab=lab) == (
        "pinned-ssd is Failed with the reason NodeAffinity; the event is from kubelet, and no "
        "container was started"
    )
    lab = lab_with(pod("pinned-ssd"))
    assert prove("C3", handle(lab, "pinned-ssd"), lab=lab) == (
        "pinned-ssd is Running with the reason none; the event is from nobody, and a container was "
        "started"
    )


# --- Required and preferred -----------------------------------------------------------------------


def disks(*placed):
    """required and preferred, and whether each has a node after each of three changes."""
    found = MODULE.Moments(None, ["required", "preferred"])
    for words, (required, preferred) in zip(("none", "ssd", "removed"), placed, strict=True):
        now = {"required": required, "preferred": preferred}
        found.steps.append(MODULE.Step(words, "", now, dict.fromkeys(now, "uid")))
    return found


def test_o17_a_filter_a_score_and_nobody_evicted():
    lab = lab_with(pod("required"), pod("preferred"))
    seen = disks((False, True), (True, True), (True, True))
    assert prove("O17", seen, lab=lab) == (
        "none: preferred on the node; ssd: required and preferred on the node; removed: required "
        "and preferred on the node; after 0 s the same 2 Pods run"
    )


def test_o17_otherwise():
    seen = disks((True, False), (True, False), (False, False))
    said = prove("O17", seen, lab=lab_with(pod("required")))
    assert said.startswith("none: required on the node; ssd: required on the node; removed: nobody")
    assert said.endswith("the same 1 Pods run")
    seen.steps[-1].uids["required"] = "another"
    assert "a Pod is another one" in prove("O17", seen, lab=lab_with())


# --- Two replicas ---------------------------------------------------------------------------------


def replicas(**running):
    """Two replicas of each Deployment, of which so many run."""
    pods, events = [], []
    for key, count in running.items():
        app = key.replace("_", "-")
        for number in range(2):
            name = f"{app}-{number}"
            pods.append(pod(name, app=app) if number < count else waiting(name, app=app))
            if number >= count:
                events.append(event(name, "FailedScheduling", INSUFFICIENT))
    return lab_with(*pods, events=events)


def test_o18_only_min_domains_and_anti_affinity_hold_one_back():
    lab = replicas(even=2, even_two=1, even_soft=2, apart=1)
    assert prove("O18", lab=lab) == (
        "spread: DoNotSchedule: 2 of 2 run; spread: DoNotSchedule, minDomains: 2: 1 of 2 run "
        "(Insufficient cpu); spread: ScheduleAnyway: 2 of 2 run; anti-affinity: required: 1 of 2 "
        "run (Insufficient cpu)"
    )
    assert MODULE.how_many_run(lab, "even") == "both run"


def test_o18_otherwise():
    lab = replicas(even=1, even_two=0, even_soft=2, apart=2)
    said = prove("O18", lab=lab)
    assert "spread: DoNotSchedule: 1 of 2 run (Insufficient cpu)" in said
    assert said.endswith("anti-affinity: required: 2 of 2 run")
    assert MODULE.how_many_run(lab, "even") == "one runs, one stays Pending"
    assert MODULE.how_many_run(lab, "even-two") == "none: one node isn't enough"


# --- Taints ---------------------------------------------------------------------------------------


def elsewhere(name, *tolerations):
    found = pod(name, tolerations=list(tolerations))
    found["metadata"]["namespace"] = "kube-system"
    return found


def test_the_others_get_a_toleration_only_where_they_need_one():
    lab = lab_with(elsewhere("dns"), elsewhere("proxy", {"operator": "Exists"}), pod("own"))
    others = MODULE.let_tolerate(lab, "maintenance")
    assert others.sentence == (
        "no other Pod would be evicted by maintenance:NoExecute; without our tolerations some "
        "would have been"
    )
    assert lab.connection.patched == ["dns"]
    # A second run finds what the first has added, and says the same.
    assert MODULE.let_tolerate(lab, "maintenance").sentence == others.sentence
    assert lab.connection.patched == ["dns"]


def test_where_everyone_tolerates_it():
    lab = lab_with(elsewhere("proxy", {"operator": "Exists"}))
    said = MODULE.let_tolerate(lab, "maintenance").sentence
    assert said.endswith("without our tolerations none would have been")


@pytest.mark.parametrize(
    ("toleration", "so"),
    [
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoExecute"}, True),
        ({"operator": "Exists", "key": "k"}, True),
        ({"operator": "Exists", "effect": "NoSchedule"}, False),
        ({"operator": "Exists", "key": "other"}, False),
        ({"operator": "Exists", "tolerationSeconds": 6}, False),
        ({"key": "k", "value": "v"}, False),
    ],
)
def test_who_tolerates(toleration, so):
    found = {"spec": {"tolerations": [toleration]}}
    assert MODULE.tolerates(found, "k", "NoExecute") is so


class Life:
    """A recording: versions of Pods, and what was annotated."""

    def __init__(self, *versions, annotations=()):
        self.versions, self.annotations = list(versions), list(annotations)
        self.intervals = pandas.DataFrame({"end": [20.0]})
        self.charts = []

    def chart(self, *what, **how):
        self.charts.append((what, how))
        return Shown("a chart", "a chart")


def evicted(name, at, patience=None, tolerant=False):
    own = [{"key": "maintenance", "operator": "Exists"}] if tolerant or patience else []
    if patience:
        own[0]["tolerationSeconds"] = patience
    first = Version(0.0, "FOUND", pod(name, tolerations=own))
    if at is None:
        return [first]
    by = [("DisruptionTarget", "True", "DeletionByTaintManager")]
    last = pod(name, tolerations=own, deleted="now", conditions=by)
    return [first, Version(at, "MODIFIED", last)]


def taints(plain, patient, tolerant):
    life = Life(
        *evicted("plain", plain),
        *evicted("patient", patient, 6),
        *evicted("tolerant", tolerant, tolerant=True),
        annotations=[(1.0, "NoSchedule"), (4.0, "NoExecute")],
    )
    lab = lab_with(elsewhere("dns"))
    answer = MODULE.Answer("Pending", "node(s) had untolerated taint(s)", (), "Unschedulable")
    court = SimpleNamespace(answers={"taint": answer})
    others = SimpleNamespace(uids={"dns"})
    return lab, life, court, others


def test_o16_kept_out_and_evicted():
    lab, *measured = taints(4.2, 10.3, None)
    assert prove("O16", *measured, lab=lab) == (
        "the NoSchedule taint kept the Pod taint out: node(s) had untolerated taint(s), and "
        "evicted nobody; plain was evicted at once; patient was evicted after its 6 s; tolerant "
        "stayed; no other Pods of the cluster were evicted"
    )
    assert measured[0].charts[0][1]["predicted"] == [(10.0, "NoExecute + 6 s")]


def test_o16_otherwise():
    lab, life, court, others = taints(2.0, 5.0, 4.5)
    court.answers["taint"] = MODULE.Answer("Running", "", ("Scheduled",), "")
    others.uids.add("gone")
    assert prove("O16", life, court, others, lab=lab) == (
        "the NoSchedule taint kept the Pod taint out: no, and evicted plain; plain was evicted at "
        "another time; tolerant was evicted at once; patient was evicted at another "
        "time; 1 other Pods of the cluster were evicted"
    )


# --- Preemption -----------------------------------------------------------------------------------


def preempted(name, uid, over, app=""):
    by = [("DisruptionTarget", "True", "PreemptionByScheduler")]
    labels = {"app": app}
    return [
        Version(0.0, "FOUND", pod(name, uid=uid, **labels)),
        Version(1.0, "MODIFIED", pod(name, uid=uid, deleted="now", conditions=by, **labels)),
        Version(over, "DELETED", pod(name, uid=uid, phase="Failed", deleted="now", conditions=by,
                                     **labels)),
    ]  # fmt: skip


def queue(bound, *left):
    """urgent gets its node at a second; the others end at 2 and at 5."""
    urgent = [
        Version(0.5, "ADDED", pod("urgent", node="", phase="Pending")),
        Version(bound, "MODIFIED", pod("urgent")),
    ]
    versions = [*preempted("report", "r", 5.0), *preempted("batch-1", "b", 2.0, "batch"), *urgent]
    new = Version(1.5, "ADDED", waiting("batch-2", app="batch"))
    versions = sorted([*versions, new], key=lambda version: version.seconds)
    return lab_with(*left), Life(*versions)


def test_c5_victims_are_deleted():
    lab, life = queue(6.0, pod("urgent"), waiting("batch-2", app="batch"))
    assert prove("C5", life, lab=lab) == (
        "batch and report got the reason PreemptionByScheduler; report doesn't come back, batch "
        "has a new Pod, which is Pending; urgent got its node after every victim had ended, and "
        "runs"
    )
    assert MODULE.becomes_of(lab, "report") == "it's deleted, and doesn't come back"
    lanes = life.charts[0][0][1]
    assert [lane.name for lane in lanes] == ["report", "batch", "urgent", "batch, new Pod"]


def test_c5_otherwise():
    lab, life = queue(3.0, waiting("report"), waiting("urgent"))
    assert prove("C5", life, lab=lab) == (
        "batch and report got the reason PreemptionByScheduler; report is there again, batch has "
        "no new Pod; urgent got its node before every victim had ended, and waits"
    )
    assert MODULE.becomes_of(lab, "report") == "it's Pending until a GPU is free"


@pytest.mark.parametrize(
    ("victim", "over"),
    [
        (pod("report"), True),
        (pod("report", deleted="now"), False),
        # Its GPUs are free, and the kubelet hasn't removed it yet.
        (pod("report", phase="Failed", deleted="now"), False),
        (pod("report", phase="Failed"), True),
        (None, True),
    ],
)
def test_a_victim_that_is_being_deleted_is_waited_for(monkeypatch, victim, over):
    answers = []
    monkeypatch.setattr(MODULE, "poll", lambda ask, **_: answers.append(ask()))
    left = [pod("urgent"), waiting("batch-2", app="batch"), *filter(None, [victim])]
    handle = SimpleNamespace(wait_until=lambda *_, **__: None)
    why = [event("batch-2", "FailedScheduling", INSUFFICIENT)]
    lab = lab_with(*left, events=why, pod=lambda _: handle)
    MODULE.wait_for_the_new_one(lab)
    assert answers == [over]


# --- The node that doesn't exist ------------------------------------------------------------------

LOG = (
    '1970-01-01T00:01:03.5Z stderr F I0101 00:01:03.5  1 gc_controller.go:348] "PodGC is force '
    'deleting Pod" pod="lab-03-scheduling/ghost"'
)


def haunted(log, *, events=(), there=False):
    ghost = pod("ghost", node="node-7", phase="Pending")
    lab = lab_with(ghost, events=events, node=SimpleNamespace(run=lambda script: log))
    seen = MODULE.keep_an_eye_on(lab, "ghost")
    if not there:
        lab.connection.pods.clear()
    return lab, seen


def test_c21_the_collector_takes_it():
    lab, seen = haunted(LOG)
    assert prove("C21", seen, lab=lab) == (
        "ghost was Pending, bound to a node that doesn't exist, with no container and no event; it "
        "was deleted by the Pod garbage collector within two minutes"
    )


def test_c21_otherwise():
    lab, seen = haunted("", events=[event("ghost", "FailedScheduling", INSUFFICIENT)])
    said = prove("C21", seen, lab=lab)
    assert said.endswith("no container and an event; it was deleted by somebody else later")
    seen.first["spec"]["nodeName"] = "n"
    assert "bound to a node that exists" in prove("C21", seen, lab=lab)
    lab, seen = haunted("", there=True)
    assert prove("C21", seen, lab=lab).endswith("it's still there")
