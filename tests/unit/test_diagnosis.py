"""``lab.diagnose`` and ``podlab why`` on what a real cluster answered: recorded by
tests/record_faults.py on Kubernetes 1.37, one file a fault."""

import copy
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from labhelpers.diagnosis import Diagnosis, Reading, judge
from labhelpers.diagnosis.judging import (
    CONTAINER_RULES,
    LAST_OBJECT_RULES,
    LAST_POD_RULES,
    OBJECT_RULES,
    POD_RULES,
    SERVICE_RULES,
)
from labhelpers.errors import LabError, Refused
from tests.faults import EXPECTED, FAULTS, HEALTHY

FOLDER = Path(__file__).parent / "recorded" / "why"
# Recorded, and neither a fault of tests/faults.py nor healthy there.
OTHERS = {"just-created": "", "oom-missed": "perhaps by the OOM killer"}


class Recorded:
    """Answers as the cluster did, and to nothing else."""

    def __init__(self, name: str):
        recorded = json.loads((FOLDER / f"{name}.json").read_text())
        self.target, self.namespace = recorded["ask"], recorded["namespace"]
        self.now = datetime.fromisoformat(recorded["now"]).astimezone(UTC)
        self.answers, self.asked = recorded["answers"], []

    def get(self, path: str):
        self.asked.append(path)
        answer = self.answers[path]
        code = answer.get("refused") if isinstance(answer, dict) else None
        if code:
            raise Refused("No.", "", "", code=code)
        return copy.deepcopy(answer)

    def path(self, end: str) -> str:
        [path] = [each for each in self.answers if re.search(end, each)]
        return path

    def diagnose(self, target: str = "") -> Diagnosis:
        reading = Reading(self.get, self.namespace, now=lambda: self.now)
        return judge(reading.of(target or self.target))


def changed(name: str, change: Callable[[dict], None], **more) -> Diagnosis:
    """The diagnosis after a change of the recorded Pod: for what no test can inject."""
    recorded = Recorded(name)
    pod = recorded.answers[recorded.path(f"/pods/{name}$")]
    change(pod)
    node = pod["spec"].get("nodeName")
    if node:
        recorded.answers[f"/api/v1/nodes/{node}"] = more.get("node") or {
            "metadata": {"name": node},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
    if "events" in more:
        recorded.answers[recorded.path(r"/events\?")] = {"items": more["events"]}
    recorded.now += timedelta(seconds=more.get("later_seconds", 0))
    return recorded.diagnose()


def event(reason: str, message: str, type_: str = "Warning") -> dict:
    return {"reason": reason, "message": message, "type": type_, "metadata": {}}


def test_every_fault_and_every_healthy_object_was_recorded():
    there = {path.stem for path in FOLDER.glob("*.json")}
    assert there == {*FAULTS, *HEALTHY, *OTHERS}
    assert set(EXPECTED) == set(FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name):
    verdict, lab = EXPECTED[name]
    found = Recorded(name).diagnose()
    assert found
    assert found.kind == "fault"
    assert verdict in found.verdict
    assert found.lab == lab
    assert found.evidence
    assert all(each.line.startswith("kubectl ") for each in found.evidence)
    assert found.next


@pytest.mark.parametrize("name", [*HEALTHY, "just-created"])
def test_nothing_is_said_about_what_is_healthy(name):
    found = Recorded(name).diagnose()
    assert not found, found
    assert found.evidence == ()
    assert "\n" not in str(found)


@pytest.mark.parametrize("name", [*FAULTS, *HEALTHY, *OTHERS])
def test_the_text_has_nothing_that_differs_from_run_to_run(name):
    text = str(Recorded(name).diagnose())
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text)
    assert not re.search(r"[0-9a-f]{32}", text)
    assert not re.search(r"\d\d:\d\d:\d\d|\d{4}-\d\d-\d\d", text)
    assert not re.search(r"\b\d+\.\d+\.\d+\.\d+\b", text)


@pytest.mark.parametrize("name", [*FAULTS, *HEALTHY])
def test_it_reads_no_secret_and_no_config_map(name):
    recorded = Recorded(name)
    recorded.diagnose()
    assert not [path for path in recorded.asked if re.search("/(secrets|configmaps)", path)]


def test_verdicts_differ():
    verdicts = {Recorded(name).diagnose().verdict for name in FAULTS}
    same = {"crash", "deployment-crash"}, {"no-account", "no-account-job"}
    assert len(verdicts) == len(FAULTS) - len(same) - 2  # bad commands, readiness' Service differ


def test_each_rule_names_what_it_rests_on():
    tables = (
        POD_RULES,
        CONTAINER_RULES,
        LAST_POD_RULES,
        OBJECT_RULES,
        LAST_OBJECT_RULES,
        SERVICE_RULES,
    )
    for rule in (rule for table in tables for rule in table):
        assert rule.source.startswith(("https://kubernetes.io/docs/", "https://github.com/"))
        assert rule.find.__doc__


def test_a_missed_oom_kill_is_a_suspicion():
    found = Recorded("oom-missed").diagnose()
    assert OTHERS["oom-missed"] in found.verdict
    assert found.lab == "13"


# --- What can't be injected on a shared cluster: the words are from Kubernetes 1.37's source


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        ("0/1 nodes are available: 1 node(s) had untolerated taint(s).", "the node has a taint"),
        ("0/1 nodes are available: 1 node(s) were unschedulable.", "the node is cordoned"),
        ("0/1 nodes are available: 1 Too many pods.", "as many Pods as its kubelet allows"),
        ("0/1 nodes are available: 1 node(s) had volume node affinity conflict.", "another zone"),
        (
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s)."
            " preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
            "1 of them: not enough free cpu for its request; 2 of them: the node has a taint",
        ),
        ("no nodes available to schedule pods", "The cluster has no nodes"),
        ("0/1 nodes are available: 1 node(s) are on strike.", "finds no node for this Pod"),
    ],
)
def test_what_the_scheduler_says(message, verdict):
    def says(pod):
        pod["status"]["conditions"][0]["message"] = message

    assert verdict in changed("no-cpu", says).verdict


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        ("failed to resolve reference: docker.io/library/x:1: not found", "doesn't have it"),
        ("pull access denied, repository does not exist", "denies access"),
        ("failed to authorize: 401 Unauthorized", "denies access"),
        ("dial tcp: lookup registry.example: no such host", "can't reach its registry"),
        ("429 Too Many Requests", "too many requests"),
        ("no match for platform in manifest: not found", "CPU architecture"),
        ("something new", "says why"),
    ],
)
def test_what_a_registry_says(message, verdict):
    def says(pod):
        pod["status"]["containerStatuses"][0]["state"] = {
            "waiting": {"reason": "ErrImagePull", "message": f"failed to pull image: {message}"}
        }

    assert verdict in changed("image-absent", says).verdict


@pytest.mark.parametrize(
    ("reason", "message", "verdict", "lab"),
    [
        (
            "Evicted",
            "low on resource: memory. Threshold",
            "running out of memory",
            "14",
        ),
        ("Evicted", "Something new.", "The kubelet evicted the Pod", "14"),
        ("UnexpectedAdmissionError", "Allocate failed", "couldn't set up", "15"),
        ("OutOfmemory", "", "enough free memory", "03"),
        ("AppArmor", "Cannot enforce", "AppArmor profile", "17"),
        ("Shipwrecked", "", "with the reason Shipwrecked", "07"),
    ],
)
def test_what_the_kubelet_ends_a_pod_for(reason, message, verdict, lab):
    def ends(pod):
        pod["status"] = {"phase": "Failed", "reason": reason, "message": message}

    found = changed("running", ends)
    assert verdict in found.verdict
    assert found.lab == lab


LOST = {
    "metadata": {"name": "n"},
    "status": {
        "conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]
    },
}


def not_ready(pod):
    for each in pod["status"]["conditions"]:
        if each["type"] in ("Ready", "ContainersReady"):
            each["status"] = "False"
    pod["status"]["containerStatuses"][0]["ready"] = False


def deleted(pod):
    pod["metadata"]["deletionTimestamp"] = "2026-11-27T23:01:00Z"


def test_a_lost_node():
    found = changed("running", not_ready, node=LOST)
    assert "has stopped reporting" in found.verdict
    assert "Terminating" not in found.verdict
    assert found.lab == "08"


def test_a_node_that_is_not_ready_explains_only_what_has_not_started():
    node = copy.deepcopy(LOST)
    why = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "no network"}
    node["status"]["conditions"] = [why]
    assert not changed("readiness", lambda pod: None, node=node, events=[])

    def not_started(pod):
        not_ready(pod)
        pod["status"]["phase"] = "Pending"
        pod["status"]["containerStatuses"][0]["state"] = {"waiting": {}}

    found = changed("running", not_started, node=node)
    assert "isn't Ready, so its kubelet doesn't start the Pod" in found.verdict
    assert "no network" in found.evidence[0].says


def test_terminating_on_a_lost_node():
    found = changed("running", deleted, node=LOST)
    assert "stays Terminating" in found.verdict


def test_terminating_for_too_long_without_a_reason():
    found = changed("running", deleted, later_seconds=3600)
    assert found.kind == "unknown"
    assert "Not enough evidence" in found.verdict


def test_a_pod_deleted_for_a_taint():
    def taints(pod):
        deleted(pod)
        why = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
        pod["status"]["conditions"].append(why)

    assert "NoExecute taint" in changed("running", taints).verdict


@pytest.mark.parametrize(
    ("message", "verdict", "lab"),
    [
        ('admission webhook "deny.example.com" denied the request: no', "deny.example.com", "17"),
        ('failed calling webhook "x.example.com": timeout', "doesn't answer", "17"),
        ("failed quota: small: must specify limits.cpu for: app", "demands limits.cpu", "14"),
        ("maximum cpu usage per Container is 1, but limit is 2", "LimitRange", "14"),
        ("something new", "refuses to create the Pods.", "17"),
    ],
)
def test_what_refuses_a_pod(message, verdict, lab):
    recorded = Recorded("no-account")
    for path, answer in recorded.answers.items():
        for each in answer.get("items", []) if "/events?" in path else []:
            each["message"] = f'Error creating: pods "x" is forbidden: {message}'
    found = recorded.diagnose()
    assert verdict in found.verdict
    assert found.lab == lab


@pytest.mark.parametrize(
    ("kind", "spec", "status", "verdict"),
    [
        ("DaemonSet", {}, {"desiredNumberScheduled": 0}, "No node matches the DaemonSet's"),
        ("StatefulSet", {"replicas": 0}, {}, "The StatefulSet asks for 0 Pods"),
        ("Job", {"suspend": True}, {}, "The Job is suspended"),
        (
            "Job",
            {},
            {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]},
            "The Job has given up: it ran longer than its activeDeadlineSeconds",
        ),
    ],
)
def test_what_makes_no_pod(kind, spec, status, verdict):
    made = "2026-11-27T22:00:00Z"
    body = {
        "metadata": {"name": "x", "uid": "u", "creationTimestamp": made},
        "spec": spec,
        "status": status,
    }
    now = datetime(2026, 11, 27, 23, tzinfo=UTC)

    def get(path):
        return {"items": []} if "/events?" in path else body

    assert verdict in judge(Reading(get, "shop", now=lambda: now).of(f"{kind}/x")).verdict


# --- What it must not say


def test_error_and_crash_loop_back_off_are_one_fault():
    """During a short back-off, STATUS says Error, and later CrashLoopBackOff."""

    def waits(pod):
        [app] = pod["status"]["containerStatuses"]
        end = app["state"].get("terminated") or app["lastState"]["terminated"]
        app["lastState"] = {"terminated": end}
        app["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}

    def ends(pod):
        waits(pod)
        [app] = pod["status"]["containerStatuses"]
        app["state"], app["lastState"] = app["lastState"], {}

    assert str(changed("crash", waits)) == str(changed("crash", ends))


def test_an_earlier_end_does_not_explain_a_later_crash():
    def crashes(pod):
        [app] = pod["status"]["containerStatuses"]
        app["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
        app["lastState"] = {
            "terminated": {"exitCode": 3, "reason": "Error", "startedAt": "2026-11-27T23:59:00Z"}
        }

    for name in ("hook-fails", "liveness"):
        recorded = Recorded(name)
        log = f"/api/v1/namespaces/why-lab/pods/{name}/log?container=app&tailLines=3&previous=false"
        recorded.answers.setdefault(log, "")
        crashes(recorded.answers[recorded.path(f"/pods/{name}$")])
        recorded.answers.setdefault("/api/v1/nodes/podlab-control-plane", {"metadata": {}})
        assert "exit code 3" in recorded.diagnose().verdict


def test_a_sidecar_that_was_ended_after_the_app_has_not_failed_it():
    recorded = Recorded("crash-never")
    path = recorded.path("/pods/crash-never$")
    pod = recorded.answers[path]
    pod["spec"]["initContainers"] = [{"name": "proxy", "image": "x", "restartPolicy": "Always"}]
    end = {"exitCode": 143, "reason": "Error"}
    pod["status"]["initContainerStatuses"] = [{"name": "proxy", "state": {"terminated": end}}]
    recorded.answers[f"{path}/log?container=proxy&tailLines=3&previous=false"] = ""
    assert "container app ended with an error: exit code 7" in recorded.diagnose().verdict


def test_one_failed_readiness_probe_is_a_start():
    once = event("Unhealthy", "Readiness probe failed: not yet") | {"count": 1}
    assert not changed("readiness", lambda pod: None, events=[once])
    often = once | {"count": 2}  # its failureThreshold
    assert changed("readiness", lambda pod: None, events=[often])


def test_a_startup_probe_has_a_minute():
    def has_just_started(pod):
        [proxy] = pod["status"]["initContainerStatuses"]
        proxy["state"]["running"]["startedAt"] = Recorded("sidecar-unready").now.isoformat()

    found = changed("sidecar-unready", has_just_started)
    assert not found
    assert "the startup probe of sidecar proxy hasn't passed yet" in found.verdict


def test_a_large_image_takes_its_time():
    def is_pulled(pod):
        pod["status"]["containerStatuses"][0]["state"] = {
            "waiting": {"reason": "ContainerCreating"}
        }

    pulls = [event("Pulling", 'Pulling image "localhost:1/absent:1"', "Normal")]
    found = changed("image-absent", is_pulled, events=pulls, later_seconds=600)
    assert not found
    assert "pulling the image localhost:1/absent:1" in found.verdict


def test_with_a_sandbox_a_failed_mount_is_old():
    def has_sandbox(pod):
        [ready] = [
            each
            for each in pod["status"]["conditions"]
            if each["type"] == "PodReadyToStartContainers"
        ]
        ready["status"] = "True"

    assert "secret" not in changed("mount-secret", has_sandbox).verdict


@pytest.mark.parametrize(
    ("message", "tries", "says"),
    [
        ("runc create failed: unable to freeze", 1, "It's starting"),
        ("runc create failed: unable to freeze", 2, "The node can't make the Pod's sandbox."),
        ("plugin type=ptp failed: network not ready", 1, "It's starting"),
        ("plugin type=ptp failed: network not ready", 2, "sandbox: the network plugin fails"),
        ('no runtime for "nowhere" is configured', 1, "no runtime handler nowhere"),
    ],
)
def test_a_sandbox_that_failed_once_may_succeed_at_the_next_try(message, tries, says):
    events = [event("FailedCreatePodSandBox", f"Failed to create pod sandbox: {message}")] * tries
    assert says in changed("no-handler", lambda pod: None, events=events).verdict


def test_a_restart_of_yesterday_is_no_fault():
    recorded = Recorded("restarted")
    recorded.now += timedelta(hours=24)
    assert not recorded.diagnose()


def test_without_a_hint_it_says_so():
    found = changed("running", not_ready, later_seconds=600)
    assert found.kind == "unknown"
    assert found.verdict == "Not enough evidence for a verdict."
    assert "describe pod running" in found.next


def test_events_that_no_longer_fit_are_old():
    """A Pod may have waited for its volume, or for its image, and be fine now."""
    old = [event("FailedMount", 'secret "x" not found'), event("Failed", "Failed to pull image")]
    assert not changed("running", lambda pod: None, events=old)


def test_events_are_those_of_this_pod_and_of_no_earlier_one():
    recorded = Recorded("crash")
    recorded.diagnose()
    uid = recorded.answers[recorded.path("/pods/crash$")]["metadata"]["uid"]
    [asked] = [path for path in recorded.asked if "/events?" in path]
    assert asked.endswith(f"involvedObject.uid%3D{uid}")


def test_what_may_not_be_read_is_left_out_and_said():
    recorded = Recorded("readiness")
    node = recorded.path("/nodes/")
    recorded.answers[node] = {"refused": 403}
    found = recorded.diagnose()
    assert "readiness probe fails" in found.verdict
    assert found.evidence[-1].says == "not allowed to read this"
    assert "get node" in found.evidence[-1].line


def test_a_pod_that_may_not_be_read_is_an_error():
    recorded = Recorded("crash")
    recorded.answers[recorded.path("/pods/crash$")] = {"refused": 403}
    with pytest.raises(Refused):
        recorded.diagnose()


# --- What is meant by a name


def test_a_name_may_be_the_beginning_of_a_pods():
    recorded = Recorded("deployment-crash")
    pods = recorded.answers[recorded.path(r"/pods\?")]["items"]
    name = pods[0]["metadata"]["name"]
    space = f"/apis/apps/v1/namespaces/{recorded.namespace}"
    begins = name.rpartition("-")[0]
    for path in (f"/api/v1/namespaces/{recorded.namespace}/pods", f"{space}/deployments"):
        recorded.answers[f"{path}/{begins}"] = {"refused": 404}
    for kind in ("statefulsets", "daemonsets", "replicasets"):
        recorded.answers[f"{space}/{kind}/{begins}"] = {"refused": 404}
    jobs = f"/apis/batch/v1/namespaces/{recorded.namespace}/jobs/{begins}"
    recorded.answers[jobs] = {"refused": 404}
    recorded.answers[f"/api/v1/namespaces/{recorded.namespace}/pods"] = {"items": pods}
    found = recorded.diagnose(begins)
    assert found.about == f"Pod {name}"
    assert "exit code 7" in found.verdict


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("secret/x", "no diagnoses of a secret"),
        ("pod/../secrets", "isn't a valid name"),
        ("a%2fb", "isn't a valid name"),
    ],
)
def test_other_kinds_and_wrong_names_are_refused_before_anything_is_asked(target, says):
    recorded = Recorded("crash")
    with pytest.raises(LabError, match=says):
        recorded.diagnose(target)
    assert recorded.asked == []


def test_nothing_of_that_name():
    def nothing(path):
        raise Refused("No.", "", "", code=404)

    with pytest.raises(LabError, match=r"There is no Pod web in the namespace shop"):
        Reading(nothing, "shop").of("web")
    with pytest.raises(LabError, match=r"There is no Service web in the namespace shop"):
        Reading(nothing, "shop").of("svc/web")


# --- How it's printed


def test_the_text():
    assert str(Recorded("crash").diagnose()) == (
        "Pod crash\n\n"
        "Evidence\n"
        "  - container app terminated: exit code 7, reason Error\n"
        "    kubectl describe pod crash\n"
        "  - its last words: cannot open /data/db\n"
        "    kubectl logs crash -c app\n\n"
        "Verdict\n"
        "  The container app ended with an error: exit code 7.\n\n"
        "Next\n"
        "  Read what it wrote: `kubectl logs crash -c app`.\n\n"
        "Read\n"
        "  Lab 07: Life cycle"
    )


def test_people_see_html_with_nothing_in_it_that_runs():
    found = Recorded("crash").diagnose()
    recorded = Recorded("crash")
    recorded.answers[recorded.path("/log")] = "<script>alert(1)</script>"
    assert "<b>Verdict</b> The container app ended" in found.html
    assert "<script>" not in recorded.diagnose().html
