"""The proofs of lab 06: each says one sentence where its claim is true, another where it isn't."""

from types import SimpleNamespace

import pandas
import pytest

from labhelpers.errors import Refused
from labhelpers.kube import yaml_reader
from labhelpers.proofs import Proofs
from labhelpers.transcript import Transcript

PROOFS = Proofs("06-full-spec")
MODULE = PROOFS.module


def prove(claim, *measured):
    return PROOFS.of(claim)(*measured).sentence


def said(stdout="", returncode=0):
    return SimpleNamespace(stdout=stdout, stderr="", returncode=returncode)


def pod(name="a", says=None, spec=None, phase="Running", **more):
    """A Pod that answers commands by their last word."""

    def run(_, command):
        words = command if isinstance(command, str) else " ".join(command)
        return said((says or {}).get(words.split()[-1], ""))

    raw = {"metadata": {"uid": "u"}, "spec": spec or {}}
    return SimpleNamespace(name=name, exec=run, raw=raw, phase=phase, address="1", **more)


class Cluster:
    """A connection with lists of objects by kind; ``refuses`` gives the message of a rejection."""

    def __init__(self, refuses=lambda body: "", get=None, **lists):
        self.refuses, self.gets, self.lists = refuses, get or (lambda kind, name: {}), lists
        self.applied = []

    def apply(self, body, dry_run=False):
        if message := self.refuses(body):
            raise Refused("No.", "", "", reason="Forbidden", message=message)
        self.applied.append(body)
        return body

    def patch(self, kind, name, body, patch_type):
        if message := self.refuses(body):
            raise Refused("No.", "", "", reason="Invalid", message=message)
        return body

    def get(self, kind, name, namespace=None):
        return self.gets(kind, name)

    def list(self, kind, namespace=None, label_selector="", field_selector=""):
        found = self.lists.get(kind, [])
        return {"items": found(field_selector) if callable(found) else found}


def lab_with(connection=None, **more):
    return SimpleNamespace(
        connection=connection or Cluster(), namespace="lab", transcript=Transcript(), **more
    )


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(MODULE, "SECONDS", 0)
    monkeypatch.setattr(MODULE, "patient", lambda seconds: 0)


# --- One fault after the other --------------------------------------------------------------------


def pod_status(**status):
    return lambda kind, name: {"status": status}


def waiting(reason, message=""):
    return [{"state": {"waiting": {"reason": reason, "message": message}}}]


UNSCHEDULED = [
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1. more"}
]
NO_COMMAND = [{"state": {"terminated": {"reason": "StartError", "message": 'no: exec: "/x": y'}}}]


@pytest.mark.parametrize(
    ("status", "events", "answer"),
    [
        ({"conditions": UNSCHEDULED}, [], ("scheduler", "Unschedulable: 0/1")),
        (
            {"containerStatuses": waiting("ContainerCreating")},
            [{"reason": "FailedMount", "message": "not found"}],
            ("kubelet", "FailedMount: not found"),
        ),
        (
            {"containerStatuses": waiting("ImagePullBackOff", "no route")},
            [],
            ("runtime", "ErrImagePull: no route"),
        ),
        ({"containerStatuses": NO_COMMAND}, [], ("runtime", 'StartError: exec: "/x": y')),
        ({"containerStatuses": [{"state": {"running": {}}}]}, [], ("it runs", "Running")),
    ],
)
def test_who_stops_a_pod(status, events, answer):
    lab = lab_with(Cluster(get=pod_status(**status), Event=events))
    assert MODULE._answer(lab, {"metadata": {}}, "a") == answer


def test_the_api_server_stops_a_pod():
    lab = lab_with(Cluster(refuses=lambda body: 'pods "a" is forbidden: no account'))
    assert MODULE._answer(lab, {"metadata": {}}, "a") == ("API server", "Forbidden: no account")


def test_gates_fixes_one_fault_after_the_other():
    def refuses(body):
        return "x: no account" if "serviceAccountName" in body["spec"] else ""

    running = pod_status(containerStatuses=[{"state": {"running": {}}}])
    cluster = Cluster(refuses=refuses, get=running)
    shown = MODULE.gates(lab_with(cluster))
    assert shown.sentence == "1 faults, and each answer names one: API server once; then it runs"
    last = cluster.applied[-1]["spec"]
    assert "nodeSelector" not in last
    assert last["containers"][0]["command"] == ["sleep"]


def test_gates_otherwise():
    assert MODULE._in_turn(["API server", "kubelet", "kubelet"]) == (
        "3 faults, and each answer names one: API server once, kubelet twice; it still doesn't run"
    )


# --- The X-ray ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "fields"), [("full", MODULE.FULL), ("host", MODULE.HOST)])
def test_every_field_of_the_xray_is_in_its_manifest(name, fields):
    text = (MODULE.MANIFESTS / f"{name}.yaml").read_text(encoding="utf-8")
    [document] = yaml_reader.read(text, name)
    lines = text.splitlines()
    for field in fields:
        own = field.name.rpartition(".")[2]
        assert f"{own}:" in lines[MODULE._line(document, field.path) - 1], field.path
    assert len({field.path for field in fields}) == len(fields)


def reading(name="hostname", reader=MODULE.KUBELET, effect=True, line=1):
    field = MODULE.Field(f"spec.{name}", reader, "/etc/hostname", "in:hostname", "a")
    return MODULE.Reading(field, "full", line, f"{name}: a", "a", effect, "kubectl exec")


EXCLUDED = SimpleNamespace(sentence="the API server rejects 6 of 6 pairs")


def test_c20_every_field_took_effect():
    seen = MODULE.Xray([reading(), reading("tolerations", MODULE.NOBODY, line=2)])
    assert prove("C20", None, seen, EXCLUDED) == (
        "1 of 2 fields took effect: API server 0, scheduler 0, kubelet 1, runtime and kernel 0, "
        "other objects 0; nobody reads yet: tolerations; the API server rejects 6 of 6 pairs"
    )


def test_c20_otherwise():
    seen = MODULE.Xray([reading(), reading("image", MODULE.RUNTIME, effect=False, line=2)])
    assert "not found where it should be: image" in prove("C20", None, seen, EXCLUDED)
    assert len(seen.chart().png) > 1000  # it can be drawn, too


def test_a_card_says_all_about_one_field():
    seen = MODULE.Xray([reading()])
    assert seen.fields == ["full.yaml, line 1: hostname"]
    card = seen.card(seen.fields[0])
    assert card.sentence == "hostname: kubelet, /etc/hostname"
    assert "kubectl exec" in card.html


@pytest.mark.parametrize(("excludes", "count"), [(True, 6), (False, 5)])
def test_pairs_that_exclude_each_other(excludes, count):
    def refuses(body):
        ok = not excludes and body["spec"].get("dnsPolicy") == "None"
        return "" if ok else 'Pod "pair" is invalid: spec.a: Forbidden: not both'

    shown = MODULE.exclusions(lab_with(Cluster(refuses=refuses)))
    assert f"rejects {count} of 6 pairs" in shown.sentence
    assert ("admits dnsPolicy: None" in shown.sentence) is not excludes
    assert shown.what["API server"][0] == "spec.a: not both"


# --- Namespaces and capabilities ------------------------------------------------------------------

NODE = {"net": 1, "ipc": 2, "pid": 3, "uts": 4, "mnt": 5}


def in_namespaces(name, **inodes):
    frame = pandas.DataFrame([{**NODE, **inodes}], index=["app"])
    return SimpleNamespace(name=name, namespaces=lambda: frame)


def test_c10_whose_namespaces():
    lab = lab_with(node=SimpleNamespace(node_namespaces=lambda: NODE))
    own = in_namespaces("plain", net=11, ipc=12, pid=13, uts=14, mnt=15)
    assert prove("C10", lab, in_namespaces("host", mnt=25), own) == (
        "host has the namespaces net, ipc, pid and uts of the node; plain has its own"
    )
    half = in_namespaces("host", mnt=25, pid=23)
    assert "host has the namespaces net, ipc and uts of the node" in prove("C10", lab, half, own)


def capable(name, uid, now, most):
    return pod(name, {"/proc/1/status": f"Uid:\t{uid} 0\nCapEff:\t{now}\nCapBnd:\t{most}\n"})


def test_c19_one_bit():
    assert prove("C19", None, capable("bind", 0, "400", "400")) == (
        "bind, uid 0, has NET_BIND_SERVICE alone, and may get NET_BIND_SERVICE alone"
    )
    more = prove("C19", None, capable("bind", 0, "a80425fb", "a80425fb"))
    assert more == "bind, uid 0, has 14 capabilities, and may get 14 capabilities"
    user = prove("C19", None, capable("user", 1000, "0", "400"))
    assert user == "user, uid 1000, has none, and may get NET_BIND_SERVICE alone"


# --- DNS ------------------------------------------------------------------------------------------

COUNTED = 'coredns_dns_responses_total{plugin="forward",rcode="%s",server="dns://:53"} %d\n'


def test_the_answers_of_all_plugins_are_counted():
    elsewhere = COUNTED.replace('plugin="forward"', 'plugin="cache"')
    text = COUNTED % ("NXDOMAIN", 4) + COUNTED % ("NOERROR", 2) + elsewhere % ("NXDOMAIN", 2)
    one = pod("a")
    one.exec = lambda *_: said(text)
    assert MODULE._counts(one) == {"NXDOMAIN": 6, "NOERROR": 2}


@pytest.mark.parametrize(
    ("costs", "cost"),
    [
        ([(6, 2), (6, 2)], {"NXDOMAIN": 6, "NOERROR": 2}),
        ([(7, 2), (6, 2), (6, 2)], {"NXDOMAIN": 6, "NOERROR": 2}),  # one was asked again
        ([(5, 1), (6, 2), (6, 2)], {"NXDOMAIN": 6, "NOERROR": 2}),  # two were counted late
        ([(0, 2), (0, 2)], {"NOERROR": 2}),
        ([(7, 2), (6, 2)] * 3, {"NXDOMAIN": 6, "NOERROR": 2}),
    ],
)
def test_a_lookup_costs_what_two_in_a_row_cost(costs, cost):
    no = ok = 0
    totals = []
    for more_no, more_ok in costs:
        totals += [(no, ok), (no := no + more_no, ok := ok + more_ok)]
    counts = iter([COUNTED % ("NXDOMAIN", no) + COUNTED % ("NOERROR", ok) for no, ok in totals])
    one = pod("a")
    one.exec = lambda _, command: said(next(counts) if command == MODULE.METRICS else "")
    assert MODULE.queries(None, one, "web") == cost
    assert next(counts, None) is None


def resolver(address, searches, ndots, spec=None):
    text = f"search {' '.join(searches)}\nnameserver {address}\noptions ndots:{ndots}\n"
    return pod("a", {"/etc/resolv.conf": text}, spec)


DNS = {
    "dnsConfig": {
        "nameservers": ["127.0.0.1"],
        "searches": ["a", "b"],
        "options": [{"name": "ndots", "value": "5"}],
    }
}
SEEN = {
    "ndots 5": {"NXDOMAIN": 6, "NOERROR": 2},
    "ndots 1": {"NOERROR": 2},
    "ndots 5 with a dot at the end": {"NXDOMAIN": 0, "NOERROR": 2},
}
CLUSTER_DNS = Cluster(get=lambda kind, name: {"spec": {"clusterIP": "10.96.0.10"}})


def test_c9_who_writes_resolv_conf_and_what_a_name_costs():
    plain, five = resolver("10.96.0.10", ["a"], 5), resolver("127.0.0.1", ["a", "b"], 5, DNS)
    assert prove("C9", lab_with(CLUSTER_DNS), SEEN, plain, five) == (
        "ClusterFirst writes the cluster's DNS and ndots 5 into resolv.conf; None writes dnsConfig "
        "and nothing else; a name with 4 dots costs 8 queries under ndots 5, 2 under ndots 1 and 2 "
        "under ndots 5 with a dot at the end"
    )
    assert MODULE.how_many_queries(None, SEEN) == "8"


def test_c9_otherwise():
    plain, five = resolver("1.1.1.1", ["a"], 1), resolver("127.0.0.1", ["a"], 5, DNS)
    fewer = {**SEEN, "ndots 5": {"NXDOMAIN": 8}, "ndots 1": {"NOERROR": 4}}
    words = prove("C9", lab_with(CLUSTER_DNS), fewer, plain, five)
    assert "ClusterFirst doesn't write" in words
    assert "None doesn't write just dnsConfig" in words
    assert "costs 8 queries under ndots 5, 4 under ndots 1 and" in words
    assert words.endswith("there's no answer under ndots 5")


# --- Images ---------------------------------------------------------------------------------------

FAILS, RUNS = "ErrImagePull", "starts"
OUTCOMES = {
    "Always": {"on the node": FAILS, "not on the node": FAILS},
    "IfNotPresent": {"on the node": RUNS, "not on the node": FAILS},
    "Never": {"on the node": RUNS, "not on the node": "ErrImageNeverPull"},
}


def test_c14_three_policies():
    words = prove("C14", None, OUTCOMES)
    assert "Always: ErrImagePull if it is on the node, ErrImagePull if it is not" in words
    lax = {**OUTCOMES, "Always": {"on the node": RUNS, "not on the node": FAILS}}
    assert "Always: starts if it is on the node" in prove("C14", None, lax)
    assert MODULE.does_it_start(None, OUTCOMES) == "no: ErrImagePull"
    assert MODULE.does_it_start(None, lax) == "yes, the image is on the node"


def test_always_comes_last_for_the_image_that_is_there():
    names = []

    def get(kind, name):
        names.append(name)
        return {"status": {"containerStatuses": waiting("ErrImageNeverPull")}}

    found = MODULE.pulls(lab_with(Cluster(get=get)))
    assert names[-1] == "always-present"
    assert found["Never"]["not on the node"] == "ErrImageNeverPull"


def secret_events(*names):
    """A failed pull for all, and an event about the Secret for these."""

    def found(selector):
        about = [{"reason": "Failed", "message": ""}]
        if any(f"involvedObject.name={name}" in selector for name in names):
            told = "Unable to retrieve some image pull secrets (gone)"
            about.append({"reason": MODULE.SECRET_EVENT, "message": told})
        return about

    return lab_with(Cluster(Event=found))


def test_c18_a_missing_secret():
    spec = {"imagePullSecrets": [{"name": "gone"}]}
    present, absent = pod("present", spec=spec), pod("absent", spec=spec, phase="Pending")
    assert prove("C18", secret_events("absent"), present, absent) == (
        "present runs, and no event names the Secret; absent is Pending, and an event names the "
        "Secret"
    )
    assert "present runs, and an event names" in prove(
        "C18", secret_events("absent", "present"), present, absent
    )
    assert "absent is Pending, and no event" in prove("C18", secret_events(), present, absent)


# --- Ports and labels -----------------------------------------------------------------------------


def endpoints(**ports):
    return [
        {
            "ports": [{"port": port}],
            "endpoints": [{"targetRef": {"name": name}, "conditions": {"ready": True}}],
        }
        for name, port in ports.items()
    ]


def listing(name, port):
    return pod(name, spec={"containers": [{"ports": [{"containerPort": port}]}]})


def client(*pages, unlisted="old"):
    answers = iter([unlisted, *pages])
    return SimpleNamespace(exec=lambda _, command: said(next(answers, pages[-1])))


def test_c23_ports_inform():
    lab = lab_with(Cluster(EndpointSlice=endpoints(old=8080, new=9090)))
    old, new = listing("old", 8080), listing("new", 9090)
    assert prove("C23", lab, client("old", "old", "new"), old, new) == (
        "port 7070, which is not listed, answers; targetPort web is 8080 of old and 9090 of new, "
        "and through the Service old and new answered"
    )
    silent = prove("C23", lab, client("old", unlisted=""), old, new)
    assert "not listed, doesn't answer" in silent
    assert silent.endswith("through the Service old answered")


def test_c25_who_belongs_to_web():
    one = MODULE.Members(("web-a", "web-c"), ("web-a", "web-c"), ("web-a", "web-b", "web-c"))
    assert prove("C25", None, one, "web-a", "web-b") == (
        "the annotated Pod is still in both; the Pod with another label has left the ReplicaSet "
        "and the Service, and is still running; 1 new Pod"
    )
    assert MODULE.how_many_pods(None, one, "web-b") == "3: one more is created"


def test_c25_otherwise():
    same = MODULE.Members(("web-a", "web-b"), ("web-b",), ("web-a", "web-b"))
    assert prove("C25", None, same, "web-a", "web-b") == (
        "the annotated Pod is no longer in both; the Pod with another label has left neither, and "
        "is still running; 0 new Pods"
    )
    assert MODULE.how_many_pods(None, same, "web-b") == "2: the label is put back"
    replaced = MODULE.Members(("web-a", "web-c"), ("web-a",), ("web-a", "web-c"))
    assert MODULE.how_many_pods(None, replaced, "web-b") == "2: the Pod is replaced"
    assert "has ended" in prove("C25", None, replaced, "web-a", "web-b")


# --- What can be changed --------------------------------------------------------------------------


def frozen(uid="u", address="1", restarts=0, image="a"):
    raw = {"metadata": {"uid": uid}, "spec": {"containers": [{"image": image}]}}
    own = SimpleNamespace(restarts=restarts)
    return SimpleNamespace(raw=raw, address=address, container=lambda _: own)


def test_o3_what_changes_are_accepted():
    answers = {"labels": "accepted", "env": "Invalid", "volumes": "Invalid"}
    after = frozen(restarts=1, image="b")
    assert prove("O3", None, answers, frozen(), after) == (
        "2 of 3 changes are rejected as Invalid, and accepted are labels; a new image restarts the "
        "container, with the same uid and address"
    )
    assert MODULE.image_fate(None, frozen(), after) == "its container restarts"


def test_o3_otherwise():
    other = frozen(uid="v", restarts=0, image="b")
    words = prove("O3", None, {"env": "accepted"}, frozen(), other)
    assert words.startswith("0 of 1 changes are rejected, and accepted are env; no image restarts")
    assert words.endswith("with the same address and another uid")
    assert MODULE.image_fate(None, frozen(), other) == "a new Pod replaces it"
    assert MODULE.image_fate(None, frozen(), frozen()) == "it's rejected"


def test_changes_tells_accepted_from_rejected():
    cluster = Cluster(refuses=lambda body: "no" if "spec" in body else "")
    found = MODULE.changes(lab_with(cluster), pod("plain"))
    assert {field for field, answer in found.items() if answer == "accepted"} == {
        "metadata.labels",
        "metadata.annotations",
    }
    assert found["env"] == "Invalid"


def test_o20_the_mirror_is_another_and_the_process_the_same():
    before = MODULE.Mirror("u", "Node", "file", (7, 100), 0)
    again = MODULE.Mirror("v", "Node", "file", (7, 100), 0)
    assert prove("O20", None, before, again) == (
        "the mirror comes from a file and belongs to the Node; after the deletion there is another "
        "mirror, and the same process is running"
    )
    ended = MODULE.Mirror("u", "Node", "file", (9, 200), 1)
    assert prove("O20", None, before, ended).endswith(
        "the same mirror, and another process is running"
    )
