"""The proofs of lab 19: each says one sentence where its claim is true, another where it isn't."""

import contextlib
from types import SimpleNamespace

import pytest

from labhelpers.errors import LabError, Refused
from labhelpers.proofs import Proofs

PROOFS = Proofs("19-troubleshooting")
MODULE = PROOFS.module
HEADER = "NAME   READY   STATUS   RESTARTS   AGE\n"
NOT_FOUND = 'Error from server (NotFound): pods "shop" not found'

# What kubectl prints for each fault, cut to the lines that matter.
PRINTED = {
    "admission": {
        "get": NOT_FOUND,
        "replicaset": "Warning  FailedCreate  Error creating: pods is forbidden: no account",
    },
    "unschedulable": {
        "get": f"{HEADER}shop 0/1 Pending 0 9s",
        "describe": "Status: Pending\n  Warning  FailedScheduling  0/1 nodes are available",
    },
    "mount": {
        "get": f"{HEADER}shop 0/1 ContainerCreating 0 9s",
        "describe": "      Reason:       ContainerCreating\n  Warning  FailedMount  not found",
    },
    "image": {
        "get": f"{HEADER}shop 0/1 ImagePullBackOff 0 9s",
        "describe": "      Reason:       ImagePullBackOff",
    },
    "config": {
        "get": f"{HEADER}shop 0/1 CreateContainerConfigError 0 9s",
        "describe": "      Reason:       CreateContainerConfigError",
    },
    "command": {
        "get": f"{HEADER}shop 0/1 CrashLoopBackOff 1 (9s ago) 9s",
        "describe": "    Last State:     Terminated\n      Reason:       StartError",
    },
    "crash": {
        "get": f"{HEADER}shop 0/1 Error 2 (9s ago) 9s",
        "describe": "      Reason:       Error\n      Exit Code:    3",
        "logs": "opening\nline 7 has no price\n",
    },
    "oom": {
        "get": f"{HEADER}shop 1/1 Running 2 (9s ago) 9s",
        "describe": "      Reason:       OOMKilled\n      Exit Code:    137",
    },
    "liveness": {
        "get": f"{HEADER}shop 1/1 Running 2 (9s ago) 9s",
        "describe": "  Exit Code:    137\n  Container app failed liveness probe, will be restarted",
    },
    "readiness": {
        "get": f"{HEADER}shop 0/1 Running 0 9s",
        "describe": "  Warning  Unhealthy  Readiness probe failed: statuscode: 404",
    },
    "eviction": {
        "get": f"{HEADER}shop 0/1 Error 0 9s",
        "describe": "Status: Failed\nReason:           Evicted\n      Exit Code:    137",
    },
    "finalizer": {
        "get": f"{HEADER}shop 0/1 Error 0 9s",
        "describe": "  Exit Code:    137\n  Normal  Killing  kubelet  Stopping container app",
        "yaml": "  deletionTimestamp: x\n  finalizers:\n  - example.com/backup",
    },
    "service": {
        "get": f"{HEADER}shop 1/1 Running 0 9s",
        "service": "Name: shop\nEndpoints:                \nEvents: <none>",
    },
}


def prove(claim, *measured):
    return PROOFS.of(claim)(*measured).sentence


@pytest.mark.parametrize("cause", MODULE.CAUSES)
def test_the_routine_finds_each_cause(cause):
    went = MODULE.walk(PRINTED[cause].__getitem__)
    assert went.cause == cause and went.evidence
    assert len(went.looks) <= MODULE.MOST_LOOKS


def test_a_crash_of_a_container_that_runs_again_is_in_the_previous_log():
    printed = PRINTED["crash"] | {
        "get": f"{HEADER}shop 1/1 Running 2 (9s ago) 9s",
        "previous": "line 7 has no price",
    }
    went = MODULE.walk(printed.__getitem__)
    assert went.cause == "crash" and went.looks == ("get", "describe", "previous")


def test_the_routine_names_nothing_that_it_has_not_seen():
    well = {
        "get": f"{HEADER}shop 1/1 Running 0 9s",
        "service": "Endpoints:  10.0.0.1:80\n",
        "describe": "Status: Running",
    }
    assert MODULE.walk(well.__getitem__).cause == ""


def test_every_cause_has_words_a_step_and_a_patient():
    steps = {step.then for step in MODULE.ROUTINE}
    assert set(MODULE.CAUSES) == set(MODULE.WORDS) == set(PRINTED) <= steps
    assert len(MODULE.CAUSES) == len(MODULE.NAMES) == len(set(MODULE.NAMES))
    for cause in MODULE.CAUSES:
        bodies = MODULE.bodies(cause, "basket")
        assert {body["metadata"]["name"] for body in bodies} == {"basket"}
        assert [body["kind"] for body in bodies].count("Service") == 1


CLINIC = MODULE.Clinic({"basket": "oom", "login": "image"})


def test_the_grader_tells_right_from_wrong_and_keeps_the_rest_secret():
    shown = MODULE.grade(None, CLINIC, {"basket": "oom", "login": "crash"})
    assert str(shown) == "2 of 2 causes named, 1 of them right"
    nothing = MODULE.grade(None, CLINIC, {"basket": "", "login": ""})
    assert str(nothing) == "0 of 2 causes named, 0 of them right"
    assert "oom" not in nothing.html + repr(CLINIC)
    with pytest.raises(LabError, match="patient and a cause"):
        MODULE.grade(None, CLINIC, {"basket": "cancer"})


def test_one_routine_tells_faults_apart(monkeypatch):
    said = {"basket": "a limit on its memory", "login": "The image can't be used"}
    monkeypatch.setattr(MODULE, "_colleague", lambda lab, name, cause: said[name])
    monkeypatch.setattr(MODULE, "_kubectl", lambda name, look: PRINTED[CLINIC.has(name)][look])
    true = prove("N5", None, CLINIC)
    assert "found 2 of 2 injected causes, with at most 3 commands" in true
    assert "lab.diagnose found 2 of 2" in true
    shown = MODULE.n5(None, CLINIC).what.alternative
    assert "login: image" in shown and "agrees" in shown and "×" not in shown
    monkeypatch.setattr(MODULE, "_kubectl", lambda name, look: PRINTED["image"][look])
    assert "found 1 of 2 injected causes" in prove("N5", None, CLINIC)


def a_pod(name="web", logs=("", ""), previous="", **status):
    return SimpleNamespace(
        name=name,
        uid="u",
        phase=status.get("phase"),
        raw={
            "metadata": status.pop("metadata", {}),
            "spec": status.pop("spec", {}),
            "status": status,
        },
        logs=lambda container, previous_=previous, previous=False: previous_ if previous else logs,
        container=lambda _: SimpleNamespace(restarts=status.get("restarts", 0)),
        delete=lambda **_: None,
        wait_until=lambda *_, **__: None,
    )


def lab_of(events=(), pods=(), **more):
    def get(kind, name):
        if name not in pods:
            raise Refused("No.", "", "", reason="NotFound", message="")

    connection = SimpleNamespace(list=lambda *_: {"items": list(events)}, get=get)
    quietly = SimpleNamespace(quietly=contextlib.nullcontext)
    return SimpleNamespace(connection=connection, namespace="lab", transcript=quietly, **more)


def an_event(name, reason, message="why"):
    return {"involvedObject": {"name": name}, "reason": reason, "message": message}


VOLUME = {"containers": [{"image": "shop"}], "volumes": [{"configMap": {"name": "not-there"}}]}
LARGE = {"containers": [{"image": "shop", "resources": {"requests": {"cpu": "64"}}}]}
MISTYPED = {"containers": [{"image": "typo:1"}]}


def test_pending(monkeypatch):
    monkeypatch.setattr(MODULE, "poll", lambda goal, **_: goal())
    symptom = {"type": "PodReadyToStartContainers", "status": "False", "message": "no sandbox"}
    slow = a_pod("slow", phase="Pending", spec=VOLUME, conditions=[symptom])
    no_node = {"type": "PodScheduled", "status": "False", "message": "0/1: Insufficient cpu"}
    large = a_pod("large", phase="Pending", spec=LARGE, conditions=[no_node])
    waiting = {"state": {"waiting": {"reason": "ErrImagePull", "message": "can't pull typo:1"}}}
    typo = a_pod("typo", phase="Pending", spec=MISTYPED, containerStatuses=[waiting])
    events = [
        an_event("slow", "FailedMount", 'configmap "not-there" not found'),
        an_event("large", "FailedScheduling", "0/1 nodes: Insufficient cpu"),
        an_event("typo", "Failed", "Error: ErrImagePull"),
        an_event("typo", "Failed", 'Failed to pull image "typo:1"'),
    ]
    true = prove("N1", lab_of(events), slow, large, typo)
    assert true.startswith("3 of 3 Pods are Pending; an event names what's wrong with slow, large")
    assert "typo; a message in the status does so for large and typo" in true
    # An event about something else says nothing about why.
    vague = [an_event("slow", "FailedMount", "timed out"), *events[1:3]]
    false = prove("N1", lab_of(vague), slow, large, typo)
    assert "an event names what's wrong with large; a message" in false
    runs = a_pod("slow", phase="Running", spec=VOLUME)
    none = "0 of 1 Pods are Pending; an event names what's wrong with none; a message in the"
    assert none in prove("N1", lab_of(), runs)


def test_where_the_mount_says_why(monkeypatch):
    monkeypatch.setattr(MODULE, "poll", lambda goal, **_: goal())
    event = an_event("slow", "FailedMount", 'configmap "not-there" not found')
    sandbox = {"type": "PodReadyToStartContainers", "message": "no sandbox"}
    for told, logs, events, right in (
        (sandbox, "", [event], "only in the Pod's events"),
        ({"type": "Ready", "message": "not-there"}, "", [event], "in the Pod's status"),
        (sandbox, "where is not-there?", [event], "in the container's log"),
        (sandbox, "", [], "only in the kubelet's log"),
    ):
        pod = a_pod("slow", logs=logs, spec=VOLUME, conditions=[told])
        assert MODULE.where_the_mount_says_why(lab_of(events), pod) == right


def test_previous_logs():
    true = prove("N2", None, a_pod(logs="open", previous="fatal: no db"))
    assert "logs misses the crash, logs --previous shows it" in true
    assert "logs shows the crash" in prove("N2", None, a_pod(logs="fatal: no db"))


def ended(message):
    policy = {"containers": [{"terminationMessagePolicy": "FallbackToLogsOnError"}]}
    last = {"terminated": {"exitCode": 1, "message": message}}
    return a_pod(spec=policy, containerStatuses=[{"lastState": last}])


def test_termination_message():
    assert "has the crash's last words" in prove("O8", None, ended("fatal: no db"), ended("fatal:"))
    assert "has the crash's" not in prove("O8", None, ended(""), ended(""))


def test_log_files(monkeypatch):
    monkeypatch.setattr(MODULE, "poll", lambda goal, **_: goal())
    monkeypatch.setattr(MODULE, "_log_limit", lambda lab: 10 << 20)
    listing = {"chatty": [[("0.log", 9), ("0.log.1", 12 << 20)]]}
    listing["twice"] = [[("1.log", 9), ("2.log", 9)], []]
    monkeypatch.setattr(MODULE, "_files", lambda lab, pod, uid=None: listing[pod.name].pop(0))
    chatty, twice = a_pod("chatty", logs="one line"), a_pod("twice", restarts=2)
    true = prove("O27", None, chatty, twice)
    assert "was rotated" in true and "the logs of 2 containers are kept" in true
    assert "prints 1 line" in true and true.endswith("they are gone")
    listing["chatty"], listing["twice"] = [[("0.log", 9)]], [[("1.log", 9)]] * 2
    false = prove("O27", None, chatty, twice)
    assert "wasn't rotated" in false and "not gone" in false


def test_debug(monkeypatch):
    monkeypatch.setattr(MODULE, "shell_error", lambda lab, pod: 'exec: "sh": not found')
    said = {
        "alone": "PID   USER     COMMAND\n    1 root     ps",
        "look": "PID   USER     COMMAND\n    1 root     etcd --data-dir=/tmp/etcd\n   19 root ps",
    }
    pod = a_pod("etcd")
    pod.logs = said.__getitem__
    true = prove("N4", None, pod, "alone", "look")
    assert "exec of a shell fails; with --target the debug container sees etcd as PID 1" in true
    assert "without it the debug container doesn't see etcd; etcd was not restarted" in true
    assert MODULE.what_look_sees(None, pod) == "etcd as PID 1"
    said["look"] = said["alone"]
    assert "with --target the debug container doesn't see etcd" in prove(
        "N4", None, pod, "alone", "look"
    )
    assert MODULE.what_look_sees(None, pod) == "nothing but its own processes"
    said["look"] = "PID   USER     COMMAND\n    1 root     init\n   88 root     kubelet"
    assert MODULE.what_look_sees(None, pod) == "every process of the node"


def test_debug_containers_are_waited_for_until_they_have_ended(monkeypatch):
    monkeypatch.setattr(MODULE, "poll", lambda goal, **_: goal())
    status = {"name": "look", "state": {"terminated": {"exitCode": 0}}}
    pod = a_pod("etcd", ephemeralContainerStatuses=[status])
    MODULE.wait_for_words(None, pod, "look")
    with pytest.raises(LabError, match="haven't ended"):
        MODULE.wait_for_words(None, pod, "look", "alone")


def test_force(monkeypatch):
    monkeypatch.setattr(MODULE, "_kubectl", lambda *_: f"{HEADER}held 0/1 Error 0 9s")
    held = a_pod("held", metadata={"finalizers": ["example.com/backup"]})
    true = prove("N3", lab_of(pods=["held"]), held, "stubborn")
    assert "stubborn is gone; held, with a finalizer, is still there" in true
    assert "held, with a finalizer, is gone" in prove("N3", lab_of(), held, "stubborn")


def a_life(*, deleted, reason=""):
    body = {"metadata": {"deletionTimestamp": "now"} if deleted else {}, "status": {}}
    if reason:
        body["status"]["conditions"] = [{"type": "DisruptionTarget", "reason": reason}]
    return SimpleNamespace(versions=[SimpleNamespace(obj=body)])


def test_budget():
    refusal = SimpleNamespace(reason="TooManyRequests")
    evicted = a_life(deleted=True, reason="EvictionByEvictionAPI")
    true = prove("O13", None, refusal, a_life(deleted=True), evicted)
    assert "delete wasn't stopped" in true
    assert true.endswith("after the deletion: none; after the eviction: EvictionByEvictionAPI")
    assert "delete was stopped too" in prove("O13", None, refusal, a_life(deleted=False), evicted)


@pytest.mark.parametrize(("reason", "ripe"), [("OOMKilled", True), ("Error", False)])
def test_a_kill_that_the_runtime_calls_an_error_is_waited_over(reason, ripe):
    killed = {"restartCount": 1, "lastState": {"terminated": {"reason": reason, "exitCode": 137}}}
    found = {"status": {"containerStatuses": [killed]}}
    lab = SimpleNamespace(connection=SimpleNamespace(get=lambda *_: found))
    assert MODULE._is_ripe(lab, "login", "oom") is ripe
