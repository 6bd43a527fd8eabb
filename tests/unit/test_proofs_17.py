"""The proofs of lab 17: each says one sentence where its claim is true, another where it isn't."""

import copy
import json
from types import SimpleNamespace

import pytest

from labhelpers.errors import Refused
from labhelpers.proofs import Proofs
from labhelpers.transcript import Transcript

PROOFS = Proofs("17-pod-security")
MODULE = PROOFS.module
OWN = "lab-17-pod-security"
PLAIN_RULES = (
    "allowPrivilegeEscalation != false",
    "unrestricted capabilities",
    "runAsNonRoot != true",
    "seccompProfile",
)


def prove(claim, *measured):
    return PROOFS.of(claim)(*measured).sentence


def violates(rules, verb="violates"):
    """A message as the API server writes it."""
    said = ", ".join(f'{rule} (container "app" must, or must not, set it)' for rule in rules)
    return f'pods "x" is forbidden: {verb} PodSecurity "restricted:latest": {said}'


def broken(body):
    """A small model of baseline and restricted: the broken rules of each."""
    spec = body["spec"]
    container = spec["containers"][0]
    of_pod, context = spec.get("securityContext", {}), container.get("securityContext", {})
    baseline = []
    if spec.get("hostNetwork") or spec.get("hostPID"):
        baseline.append("host namespaces")
    if context.get("privileged"):
        baseline.append("privileged")
    restricted = list(baseline)
    if not of_pod.get("runAsNonRoot") and spec.get("hostUsers") is not False:
        restricted.append("runAsNonRoot != true")
    if of_pod.get("runAsUser") == 0:
        restricted.append("runAsUser=0")
    if context.get("allowPrivilegeEscalation") is not False:
        restricted.append("allowPrivilegeEscalation != false")
    caps = context.get("capabilities", {})
    if caps.get("drop") != ["ALL"] or set(caps.get("add", ())) - {"NET_BIND_SERVICE"}:
        restricted.append("unrestricted capabilities")
    if of_pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        restricted.append("seccompProfile")
    return {"privileged": [], "baseline": baseline, "restricted": restricted}


class Cluster:
    """A connection to a cluster whose admission is the model above; ``own`` is the level of the
    lab's own namespace."""

    namespace = OWN

    def __init__(self, own="privileged", judge=broken, pods=(), events=(), labels=None):
        self.own, self.judge, self.pods, self.events = own, judge, list(pods), list(events)
        self.labels, self.warnings = labels or {}, []

    def apply(self, body, dry_run=False):
        assert dry_run
        where = body["metadata"]["namespace"]
        level = self.own if where == OWN else where.removeprefix(f"{OWN}-")
        if found := self.judge(body)[level]:
            raise Refused("No.", "", "", reason="Forbidden", message=violates(found))
        return copy.deepcopy(body)

    def get(self, kind, name):
        return {"metadata": {"labels": self.labels, "creationTimestamp": "2026-01-01T00:00:00Z"}}

    def list(self, kind, namespace):
        return {"items": self.pods if kind == "Pod" else self.events}


def lab_with(cluster, **more):
    return SimpleNamespace(connection=cluster, namespace=OWN, **more)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(MODULE, "LOG_SECONDS", 0)
    monkeypatch.setattr(MODULE, "STAYS_SECONDS", 0)


# --- What admission says --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "rules"),
    [
        (violates(PLAIN_RULES), list(PLAIN_RULES)),
        (violates(["hostPort"], "would violate"), ["hostPort"]),
        ("exceeded quota: small", []),
    ],
)
def test_the_rules_of_a_message(message, rules):
    assert MODULE.rules(message) == rules


def test_l9_a_namespace_without_labels():
    assert prove("L9", lab_with(Cluster())) == (
        "the namespace without Pod Security labels admits the privileged Pod without a warning"
    )
    strict = Cluster("baseline", labels={MODULE.ENFORCE: "baseline"})
    assert prove("L9", lab_with(strict)).startswith(
        f"the namespace with {MODULE.ENFORCE} rejects the privileged Pod"
    )


def test_what_a_new_namespace_says_to_a_privileged_pod():
    assert MODULE.default_is(lab_with(Cluster())) == "it's admitted"
    assert MODULE.default_is(lab_with(Cluster("baseline"))) == "it's rejected: Forbidden"
    warning = Cluster()
    warning.warnings = ["would violate"]
    assert MODULE.default_is(lab_with(warning)) == "it's admitted, with a warning"
    assert "with a warning" in prove("L9", lab_with(warning))


def test_l1_every_rule_is_named():
    lab = lab_with(Cluster("restricted"))
    every = SimpleNamespace(message=violates(["host namespaces", *PLAIN_RULES]))
    assert prove("L1", lab, every) == (
        "enforce names 5 broken rules: host namespaces, allowPrivilegeEscalation != false, "
        "unrestricted capabilities, runAsNonRoot != true and seccompProfile; no broken rule is "
        "missing; no Pod is stored"
    )


def test_l1_otherwise():
    stored = [{"metadata": {"name": "host-network"}}]
    first = SimpleNamespace(message=violates(["host namespaces"]))
    assert prove("L1", lab_with(Cluster("restricted", pods=stored)), first) == (
        "enforce names 1 broken rules: host namespaces; it doesn't name "
        "allowPrivilegeEscalation != false, runAsNonRoot != true, seccompProfile and "
        "unrestricted capabilities; the Pod is stored"
    )


def test_l2_a_warning_and_a_running_pod():
    running, pending = SimpleNamespace(phase="Running"), SimpleNamespace(phase="Pending")
    quoted = violates(PLAIN_RULES, "would violate").replace('"', '\\"')
    assert prove("L2", None, running, [f'299 - "{quoted}"']) == (
        "the client got a warning that names 4 broken rules, and the Pod is running"
    )
    assert prove("L2", None, pending, []) == "the client got no warning, and the Pod is Pending"


def event(name="plain", at="2026-01-01T00:00:05.1Z", annotated=True):
    return {
        "verb": "patch",
        "objectRef": {"resource": "pods", "namespace": OWN, "name": name},
        "requestReceivedTimestamp": at,
        "responseStatus": {"code": 201},
        "annotations": {MODULE.AUDIT: violates(PLAIN_RULES, "would violate")} if annotated else {},
    }


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([event()], "it names 4 broken rules, and the request was admitted"),
        ([event(annotated=False)], "the audit log has no annotation"),
        ([event("another")], "the audit log has no annotation"),
        ([event(at="2025-12-31T23:59:59.9Z")], "the audit log has no annotation"),
        ([], "the audit log has no annotation"),
    ],
)
def test_l3_the_annotation_is_about_this_pod_and_this_run(events, says):
    node = SimpleNamespace(run=lambda script: "\n".join(map(json.dumps, events)))
    pod = SimpleNamespace(name="plain", connection=SimpleNamespace(namespace=OWN))
    assert says in prove("L3", lab_with(Cluster(), node=node), pod)


def test_l4_counts_what_each_level_admits():
    said = prove("L4", lab_with(Cluster()))
    assert said == (
        "of 20 specs privileged admits 20, baseline 17 and restricted 10; restricted rejects "
        "whatever baseline rejects"
    )


def test_l4_otherwise():
    def odd(body):
        """A cluster where restricted is looser than baseline."""
        found = broken(body)
        return {**found, "restricted": []}

    said = prove("L4", lab_with(Cluster(judge=odd)))
    assert "restricted 20; only baseline rejects hostNetwork: true" in said
    assert "whatever" not in said


def test_l8_four_lines_are_asked_for():
    assert prove("L8", lab_with(Cluster())) == (
        "restricted admits best.yaml; it rejects best.yaml without any of 4 lines: "
        "runAsNonRoot: true, seccompProfile: RuntimeDefault, allowPrivilegeEscalation: false and "
        "capabilities drop: [ALL]; with these alone it admits the Pod, and with hostUsers: false "
        "in place of runAsNonRoot it admits the Pod; it doesn't ask for runAsUser: 1000, "
        "runAsGroup: 3000 and readOnlyRootFilesystem: true"
    )


def test_l8_otherwise():
    def lax(body):
        return {"restricted": [rule for rule in broken(body)["restricted"] if "sec" not in rule]}

    assert "without any of 3 lines" in prove("L8", lab_with(Cluster(judge=lax)))
    said = prove("L8", lab_with(Cluster(judge=insisting)))
    assert "with hostUsers: false in place of runAsNonRoot it rejects the Pod" in said


def insisting(body):
    """A cluster that knows no hostUsers: runAsNonRoot has to be there."""
    return broken({**body, "spec": {**body["spec"], "hostUsers": True}})


def numbers(body):
    """A cluster where a uid is enough."""
    of_pod = body["spec"].get("securityContext", {})
    drop = "runAsNonRoot" if of_pod.get("runAsUser") else "nothing"
    return {"restricted": [rule for rule in broken(body)["restricted"] if drop not in rule]}


@pytest.mark.parametrize(
    ("judge", "line"),
    [
        (broken, "hostUsers: false"),
        (insisting, "no line: it has to be there"),
        (numbers, "runAsUser: 1000"),
    ],
)
def test_what_may_stand_in_for_run_as_non_root(judge, line):
    assert MODULE.stand_in(lab_with(Cluster(judge=judge))) == line


def test_the_verdict_follows_the_lines():
    lab = lab_with(Cluster())
    all_but = [line for line, is_on in MODULE.switches(lab).items() if is_on]
    assert str(MODULE.judge(lab, all_but)) == (
        "left out: runAsNonRoot: true and hostUsers: false; privileged admits; baseline admits; "
        "restricted rejects: runAsNonRoot != true"
    )
    assert str(MODULE.judge(lab, [*all_but, MODULE.USERS])).endswith("restricted admits")


# --- A Deployment ---------------------------------------------------------------------------------


def deployment(failed=True):
    condition = {"type": "ReplicaFailure", "status": "True", "message": violates(PLAIN_RULES)}
    status = {"conditions": [condition] if failed else []}
    return SimpleNamespace(raw={"spec": {"replicas": 2}, "status": status})


def test_l5_the_deployment_is_accepted_and_its_pods_are_not():
    said = {
        "reason": "FailedCreate",
        "message": violates(PLAIN_RULES),
        "involvedObject": {"kind": "ReplicaSet"},
    }
    lab = lab_with(Cluster(events=[said], labels={MODULE.ENFORCE: "restricted"}))
    old = SimpleNamespace(name="plain", phase="Running")
    assert prove("L5", lab, deployment(), old) == (
        "the Deployment is accepted and has 0 of 2 Pods; the broken rules are in the condition "
        "ReplicaFailure and in events of ReplicaSet; the Pod that was there before the label is "
        "still running"
    )
    assert MODULE.whose_events(lab) == "the ReplicaSet's"


def test_l5_otherwise():
    pod = {"metadata": {"name": "web-1", "labels": {"app": "web"}}, "status": {"phase": "Pending"}}
    lab = lab_with(Cluster(pods=[pod, pod]))
    old = SimpleNamespace(name="plain", phase="Failed")
    assert prove("L5", lab, deployment(failed=False), old) == (
        "the Deployment is accepted and has 2 of 2 Pods; the broken rules are in no condition and "
        "in events of nothing; the Pod that was there before the label is Failed"
    )
    assert MODULE.whose_events(lab) == "nobody's"


# --- The process ----------------------------------------------------------------------------------

ROOT = {
    "uid": "0",
    "gid": "0",
    "CapEff": "00000000a80425fb",
    "CapBnd": "00000000a80425fb",
    "NoNewPrivs": 0,
    "Seccomp": 0,
    "write to /": "works",
}
SEEN = {
    "no line": ROOT,
    "seccompProfile: RuntimeDefault": {**ROOT, "Seccomp": 2},
    "allowPrivilegeEscalation: false": {**ROOT, "NoNewPrivs": 1},
    "readOnlyRootFilesystem: true": {**ROOT, "write to /": "Read-only file system"},
    "capabilities drop: [ALL]": {**ROOT, "CapEff": "0" * 16, "CapBnd": "0" * 16},
    "runAsUser: 1000, runAsGroup: 3000": {
        **ROOT,
        "uid": "1000",
        "gid": "3000",
        "CapEff": "0" * 16,
    },
}


def test_l6_the_process_has_the_ids(monkeypatch):
    monkeypatch.setattr(MODULE, "_non_root", lambda lab: "CreateContainerConfigError")
    assert prove("L6", None, SEEN) == (
        "the process is uid 0 and gid 0 without a line, and uid 1000 and gid 3000 with runAsUser "
        "and runAsGroup; with readOnlyRootFilesystem uid 0 can't write to /: Read-only file "
        "system; with runAsNonRoot alone root isn't started: CreateContainerConfigError"
    )
    monkeypatch.setattr(MODULE, "_non_root", lambda lab: None)
    ignored = dict.fromkeys(SEEN, ROOT)
    said = prove("L6", None, ignored)
    assert "and uid 0 and gid 0 with runAsUser" in said
    assert "with readOnlyRootFilesystem uid 0 can write to /;" in said
    assert said.endswith("with runAsNonRoot alone root runs")


def test_l7_the_kernel_has_the_rest():
    assert prove("L7", None, SEEN) == (
        "uid 0 has 14 capabilities without a line, and uid 0 has no capability with drop ALL; "
        "uid 1000 has no capability but may gain 14 capabilities; with drop ALL a process may gain "
        "no capability; "
        "allowPrivilegeEscalation: false turns NoNewPrivs from 0 to 1; "
        "seccompProfile: RuntimeDefault turns Seccomp from 0 to 2"
    )
    said = prove("L7", None, dict.fromkeys(SEEN, ROOT))
    assert "uid 0 has 14 capabilities with drop ALL" in said
    assert "with drop ALL a process may gain 14 capabilities" in said
    assert "NoNewPrivs from 0 to 0" in said


def pod_with_users(uid, first):
    """A Pod whose root is this uid on the node, and whose own map begins there at another one."""
    answers = {"id": "0\n", "cat": f"         0 {first:10} 65536\n"}
    return SimpleNamespace(
        exec=lambda container, words: SimpleNamespace(stdout=answers[words[0]]),
        container=lambda name: SimpleNamespace(process=SimpleNamespace(uid=uid)),
    )


@pytest.mark.parametrize(
    ("uid", "first", "sentence"),
    [
        (131072, 131072, "an ordinary uid above 65535 on the node, as its uid_map says"),
        (131073, 131072, "an ordinary uid above 65535 on the node, not as its uid_map says"),
        (0, 0, "uid 0 on the node, as its uid_map says"),
    ],
)
def test_who_root_is_on_the_node(uid, first, sentence):
    lab = SimpleNamespace(transcript=Transcript([]))
    shown = MODULE.on_the_node(lab, pod_with_users(uid, first))
    assert shown.sentence == f"uid 0 in the container is {sentence}"


# --- Sysctls --------------------------------------------------------------------------------------


def sysctl_pods(phase="Failed", reason="SysctlForbidden", value="500", started=False):
    status = {"reason": reason} if reason else {}
    status |= {"containerStatuses": [{"containerID": "c"}]} if started else {}
    raw = {"spec": {"nodeName": "node"}, "status": {**status, "phase": phase}}
    unsafe = SimpleNamespace(
        name="unsafe", raw=raw, now=lambda: SimpleNamespace(raw=raw, phase=phase)
    )
    setting = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "500"}
    safe, plain = (
        SimpleNamespace(
            name=name,
            phase="Running",
            raw={"spec": {"securityContext": {"sysctls": [setting]}}},
            exec=lambda container, words, value=value: SimpleNamespace(stdout=f"{value}\n"),
        )
        for name, value in (("safe", value), ("plain", "0"))
    )
    return unsafe, safe, plain


def lab_that_gets(raw):
    return lab_with(SimpleNamespace(get=lambda kind, name: raw))


def test_o12_the_kubelet_rejects_an_unsafe_sysctl():
    unsafe, safe, plain = sysctl_pods()
    assert prove("O12", None, unsafe, safe, plain) == (
        "the Pod with the unsafe sysctl was scheduled, and is Failed with the reason "
        "SysctlForbidden; it never started a container; the safe sysctl takes effect: 500, and "
        "another value in a Pod without it"
    )
    assert MODULE.sysctl_fate(lab_that_gets(unsafe.raw), unsafe) == "it's scheduled, then it fails"


def test_o12_otherwise():
    unsafe, safe, plain = sysctl_pods("Running", "", "0", started=True)
    assert prove("O12", None, unsafe, safe, plain) == (
        "the Pod with the unsafe sysctl was scheduled, and is Running with the reason none; it has "
        "started a container; the safe sysctl doesn't take effect: 0, and the same in a Pod "
        "without it"
    )
    assert MODULE.sysctl_fate(lab_that_gets(unsafe.raw), unsafe) == "it runs"
