"""labhelpers.lab without a cluster: who holds a lab, what is refused, facts, predictions, the
end."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from labhelpers import lab as lab_module
from labhelpers import namespaces, paths
from labhelpers.errors import LabError, Refused, TimedOut, Unreachable
from labhelpers.exercises import Verdict
from labhelpers.kube.leases import OWNER, started
from labhelpers.lab import Lab, start
from labhelpers.outcomes import Attempt, Claim, Refusal, Remains, Shown, Text
from labhelpers.proofs import Proofs
from labhelpers.record import Clock
from labhelpers.resources import Resource
from labhelpers.slider import resize_cpu
from labhelpers.widgets import WIDGET
from tests.unit.fake_connection import FakeConnection
from tests.unit.test_client import BAD_NAMES
from tests.unit.test_diagnosis import Recorded

PROOFS_00 = Proofs("00-start-here").module
ME = {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid())}


NAME = "lab-02-pause"


def cluster_of(*objects):
    return FakeConnection(*objects, namespace=NAME)


def a_pod(name):
    return {"kind": "Pod", "metadata": {"name": name, "finalizers": ["podlab/test"]}}


def held_by(holder, label="lab"):
    return {
        "kind": "Namespace",
        "metadata": {
            "name": NAME,
            "labels": {"podlab": label} if label else {},
            "annotations": {OWNER: holder if isinstance(holder, str) else json.dumps(holder)},
        },
    }


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(namespaces, "wait_until", lambda *_, **__: None)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    claims = [
        {"id": "B1", "lab": "02", "claim": "pause is there."},
        {"id": "B2", "lab": "02", "claim": "It holds.", "myth": "It reaps."},
        {"id": "A1", "lab": "01"},
    ]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/claims.yaml").write_text(yaml.safe_dump({"labs": {}, "claims": claims}))
    monkeypatch.setattr(paths, "repository", lambda: tmp_path)
    monkeypatch.setattr(paths, "state", lambda *_: tmp_path / "state")
    monkeypatch.setenv("PODLAB_MINE", str(tmp_path / "mine"))
    monkeypatch.setattr(
        lab_module,
        "Node",
        lambda connection: SimpleNamespace(look=lambda uid: SimpleNamespace(processes=())),
    )
    return Lab("02-pause", cluster_of())


def test_a_diagnosis_is_read_and_its_lines_can_be_pasted(lab):
    recorded = Recorded("crash")
    lab.connection.raw, lab.namespace = recorded.get, recorded.namespace
    for what in ("crash", Resource(lab.connection, "Pod", "crash")):
        found = lab.diagnose(what)
        assert "exit code 7" in found.verdict
    assert lab.sent().splitlines()[0] == "kubectl get pod crash -o yaml"
    assert lab.connection.calls == []


# --- Who holds a lab ------------------------------------------------------------------------------


@pytest.fixture
def other_kernel():
    """Another live process, as a holder."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield {**ME, "pid": process.pid, "started": started(process.pid)}
        process.communicate(b"\n")


def test_a_free_lab_is_taken_and_marked():
    cluster = cluster_of()
    namespaces.take(cluster, "lab-02-pause", False)
    there = cluster.find("Namespace", NAME)
    assert there["metadata"]["labels"] == {"podlab": "lab"}
    assert json.loads(there["metadata"]["annotations"][OWNER]) == ME


def test_another_live_kernel_keeps_its_lab(other_kernel):
    cluster = cluster_of(held_by(other_kernel))
    with pytest.raises(LabError) as caught:
        namespaces.take(cluster, "lab-02-pause", False)
    assert str(caught.value).splitlines() == [
        "Another kernel holds the lab 02-pause.",
        f"Seen: process {other_kernel['pid']} on {socket.gethostname()}",
        (
            "Do:   Shut that kernel down, or continue there. To take the lab from it:"
            ' start("02-pause", take_over=True).'
        ),
    ]
    assert cluster.calls == []
    namespaces.take(cluster, "lab-02-pause", True)
    assert cluster.calls == [f"delete Namespace {NAME}", f"create Namespace {NAME}"]


DEAD = {**ME, "pid": 2**22 + 1}  # Above the highest pid that Linux gives.


@pytest.mark.parametrize(
    "holder",
    [
        ME,
        DEAD,
        {**ME, "pid": os.getppid(), "started": "a process that had this pid before"},
        "not JSON",
        "{}",
        "[]",
    ],
    ids=[
        "this kernel",
        "a crashed kernel",
        "a pid given again",
        "unreadable",
        "empty",
        "another shape",
    ],
)
def test_what_no_other_live_kernel_holds_is_made_anew(holder):
    cluster = cluster_of(held_by(holder), a_pod("left"))
    namespaces.take(cluster, "lab-02-pause", False)
    assert cluster.calls == [
        f"delete Namespace {NAME}",
        "delete Pod left grace 0",
        f"create Namespace {NAME}",
    ]


def test_of_two_that_start_at_once_the_slower_is_refused(other_kernel):
    cluster = cluster_of()
    cluster.meanwhile = lambda: cluster.put(held_by(other_kernel))
    with pytest.raises(LabError, match="Another kernel holds the lab"):
        namespaces.take(cluster, "lab-02-pause", False)


def test_a_lab_that_cannot_begin_gives_the_node_back(monkeypatch, tmp_path):
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path))  # What this machine's labs left isn't its.
    cluster, held = cluster_of(held_by(None, label="")), []
    monkeypatch.setattr(lab_module, "connect", lambda **_: cluster)
    monkeypatch.setattr(lab_module.leases, "take_node", lambda *_, **__: held.append("node"))
    monkeypatch.setattr(lab_module.leases, "give_node", lambda *_: held.append("given back"))
    with pytest.raises(LabError, match="wasn't made by a lab"):
        start("02-pause", exclusive=True)
    assert held == ["node", "given back"]


def test_a_namespace_of_somebody_else_is_left_alone():
    cluster = cluster_of(held_by(ME, label=None))
    with pytest.raises(LabError, match="wasn't made by a lab, so nothing was done to it"):
        namespaces.take(cluster, "lab-02-pause", False)
    assert cluster.calls == []


def test_leftovers_with_a_finalizer_are_told(monkeypatch):
    def late(*_, **__):
        raise TimedOut(
            "Namespace lab-02-pause was not gone within 60 s.", "phase Terminating", "Look."
        )

    status = {
        "conditions": [
            {
                "type": "NamespaceContentRemaining",
                "status": "False",
                "message": "All content deleted",
            },
            {
                "type": "NamespaceFinalizersRemaining",
                "status": "True",
                "message": "example.com/hold in 1 resource instances",
            },
        ]
    }
    cluster = cluster_of({**held_by(DEAD), "status": status}, a_pod("held"))
    monkeypatch.setattr(namespaces, "wait_until", late)
    monkeypatch.setattr(cluster, "delete", lambda *_, **__: None)
    with pytest.raises(LabError) as caught:
        namespaces.take(cluster, "lab-02-pause", False)
    assert caught.value.seen == "Pod held: podlab/test; example.com/hold in 1 resource instances"
    assert "under metadata.finalizers" in caught.value.do


def released(monkeypatch, cluster):
    """The finalizers of the Pod held, after the deletion of its namespace."""
    monkeypatch.setattr(cluster, "delete", lambda *_, **__: None)
    namespaces.remove(cluster, NAME, grace_seconds=0)
    return cluster.find("Pod", "held", NAME)["metadata"]["finalizers"]


def a_held_pod(*finalizers):
    return {"kind": "Pod", "metadata": {"name": "held", "finalizers": list(finalizers)}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["podlab/test", "example.com/backup"], ["podlab/test"]),
        (["example.com/backup"], []),
        (["batch.kubernetes.io/job-tracking"], ["batch.kubernetes.io/job-tracking"]),
        (["not-example.com/a", "example.com.org/b"], ["not-example.com/a", "example.com.org/b"]),
    ],
)
def test_a_labs_own_finalizers_are_removed_with_its_namespace(monkeypatch, before, after):
    cluster = cluster_of(held_by(DEAD), a_held_pod(*before), a_pod("other"))
    assert released(monkeypatch, cluster) == after
    patched = [call for call in cluster.calls if call.startswith("patch")]
    assert patched == (["patch Pod held"] if after != before else [])


def test_a_finalizer_that_is_added_in_the_meantime_stays(monkeypatch):
    cluster = cluster_of(held_by(DEAD), a_held_pod("example.com/backup"))
    cluster.meanwhile = lambda: cluster.put(a_held_pod("example.com/backup", "other.io/its"))
    assert released(monkeypatch, cluster) == ["other.io/its"]


def test_a_pod_that_goes_in_the_meantime_needs_no_release(monkeypatch):
    cluster = cluster_of(held_by(DEAD), a_held_pod("example.com/backup"))
    cluster.meanwhile = lambda: cluster._objects.pop(("Pod", NAME, "held"))
    monkeypatch.setattr(cluster, "delete", lambda *_, **__: None)
    namespaces.remove(cluster, NAME, grace_seconds=0)
    assert cluster.find("Pod", "held", NAME) is None


def test_outside_of_the_labs_no_finalizer_is_touched(monkeypatch):
    cluster = cluster_of(held_by(DEAD, label=""), a_held_pod("example.com/backup"))
    assert released(monkeypatch, cluster) == ["example.com/backup"]


@pytest.mark.parametrize("name", ["02_pause", "", "Pause", "-x", "x" * 60, "02-pause.ipynb"])
def test_a_name_that_cannot_be_a_namespace_is_refused(name):
    with pytest.raises(LabError, match="isn't a valid lab name"):
        start(name)


# --- What the cluster is like ---------------------------------------------------------------------


def nodes(*ready):
    return {
        "items": [
            {"status": {"conditions": [{"type": "Ready", "status": status}]}} for status in ready
        ]
    }


@pytest.mark.parametrize(
    ("cluster", "program", "answers"),
    [
        ((nodes("True"), "37"), "bin/kubectl", ["yes"] * 4),
        ((nodes("True"), "38+"), "bin/kubectl", ["yes"] * 4),
        ((nodes("False"), "37"), "bin/kubectl", ["no: 1 nodes, 0 Ready", *["yes"] * 3]),
        ((nodes("True", "True"), "37"), "bin/kubectl", ["no: 2 nodes, 2 Ready", *["yes"] * 3]),
        ((nodes("True"), "35"), "bin/kubectl", ["yes", "no: v1.35", *["yes"] * 2]),
        ((nodes("True"), "37"), "elsewhere/kubectl", [*["yes"] * 3, "no: elsewhere/kubectl"]),
        ((nodes("True"), "37"), None, [*["yes"] * 3, "no: none"]),
    ],
)
def test_what_a_cluster_lacks_is_told(lab, monkeypatch, cluster, program, answers):
    listed, minor = cluster
    monkeypatch.setattr("kubernetes.__version__", "37.0.2")
    monkeypatch.setattr(shutil, "which", lambda name: program)
    monkeypatch.setattr(paths, "tools", lambda: Path("bin"))
    monkeypatch.setattr(lab.connection, "list", lambda kind: listed)
    lab.connection.raw = lambda path: {"minor": minor, "gitVersion": f"v1.{minor}"}
    lab.node.cgroup_version = 1
    shown = PROOFS_00.cluster(lab)
    assert list(shown.what["is it there?"]) == answers
    said = "the labs have all that they need"
    assert (shown.sentence == said) == (set(answers) == {"yes"})


# --- What need not work, what must be refused -----------------------------------------------------


def test_an_attempt_shows_its_result_as_that_is_shown(monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: displayed.append(data))
    with Attempt() as worked:
        worked.shows = Shown("uid 7", "root is another user outside")
    with Attempt() as failed:
        raise LabError("It isn't Ready.", "no idmapped mounts", "Go on.")
    for each in (worked, failed):
        each._ipython_display_()
    assert "uid 7" in displayed[0]["text/html"]
    assert displayed[0]["text/plain"] == "root is another user outside"
    assert "no idmapped mounts" in displayed[1]["text/plain"]


def refuse(reason="Forbidden", message="violates PodSecurity: runAsNonRoot"):
    raise Refused(
        "The API server rejected it.", message, "Read it.", reason=reason, message=message
    )


def test_what_is_refused_for_the_named_reason_passes_with_the_servers_words():
    with pytest.raises(LabError, match="A rejection needs a reason"):
        Refusal("")
    with Refusal("Forbidden", "runAsNonRoot") as refusal:
        refuse()
    assert repr(refusal.message) == "violates PodSecurity: runAsNonRoot"


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (
            lambda: None,
            'Nothing was refused.\nSeen: expected: Forbidden, with "runAsNonRoot" in it',
        ),
        (
            lambda: refuse(reason="Invalid"),
            "It was refused for another reason.\nSeen: Invalid: violates",
        ),
        (
            lambda: refuse(message="exceeded quota"),
            "It was refused for another reason.\nSeen: Forbidden: exceeded quota",
        ),
    ],
)
def test_anything_else_fails(act, says):
    with pytest.raises(LabError) as caught, Refusal("Forbidden", "runAsNonRoot"):
        act()
    assert str(caught.value).startswith(says)


def test_another_error_passes_through():
    with pytest.raises(TimedOut), Refusal("Forbidden"):
        raise TimedOut("Late.", "", "")


# --- Facts, predictions, traceback, the end -------------------------------------------------------


def test_facts_are_the_claims_of_this_lab_with_what_was_measured(lab):
    lab._claims.keep("B2", "the same inode")
    assert lab.facts() == [
        Claim("pause is there."),
        Claim("It holds.", "It reaps.", "the same inode"),
    ]
    lab._claims.keep("B1", "1 < 2")
    assert repr(lab.facts()).splitlines() == [
        "pause is there.",
        "    measured: 1 < 2",
        "It holds.",
        "    not: It reaps.",
        "    measured: the same inode",
    ]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", lab.facts()._repr_html_())
    assert cells == ["It holds.", "It reaps.", "the same inode", "pause is there.", "1 &lt; 2"]


PROOFS = """
from labhelpers.outcomes import Shown
def b1(lab, pods): return Shown("a table", f"{len(pods)} Pods in {lab.name}")
def double(lab, number): return 2 * number
"""


def test_a_proof_is_the_function_named_after_the_claim(lab, capsys):
    path = paths.repository() / "notebooks" / "proofs" / "02_pause.py"
    with pytest.raises(LabError, match="no proof file"):
        lab.prove("B1", [])
    path.parent.mkdir()
    path.write_text(PROOFS)
    assert str(lab.prove("B1", ["one"])) == "1 Pods in 02-pause"
    assert lab.facts()[0].measured == "1 Pods in 02-pause"
    assert lab.record.labs()["02-pause"].claims == ["B1"]
    with pytest.raises(LabError, match="its functions: b1, double"):
        lab.prove("B2")
    with pytest.raises(LabError, match="has no claim 'A1'"):
        lab.prove("A1")
    assert lab.tools.double(21) == 42
    with pytest.raises(AttributeError, match="no function triple"):
        lab.tools.triple(1)
    lab.proof("B1")
    assert lab._proofs.source("B1") in PROOFS


def test_a_prediction_is_scored_once_and_kept(lab):
    view = lab.predict("address", "It …", ["stays", "changes"])
    view.prediction.commit("changes")
    lab._close_predictions()
    assert lab.reveal("address", "stays").reveal.choice == "changes"
    lab.reveal("address", "stays")
    assert attempts(lab) == ["changes"]
    again = lab.predict("address", "It …", ["stays", "changes"])
    assert (again.prediction.state, again.prediction) == ("open", view.prediction)
    again.prediction.commit("stays")
    lab.reveal("address", "stays")
    assert attempts(lab) == ["changes", "stays"]
    assert lab.record.labs()["02-pause"].first_attempts() == (0, 1, 0)


def attempts(lab):
    done = lab.record.labs()["02-pause"]
    return [each["choice"] for each in done.predictions["address"]]


def test_what_a_reader_does_is_on_record(lab, monkeypatch):
    verdicts = [Verdict(False, "no Pod"), Verdict(True, "fine"), Verdict(True, "fine")]
    exercise = SimpleNamespace(check=lambda path: verdicts.pop(0), hint=lambda: Text("look"))
    lab._exercises["a"] = exercise
    lab._clock = Clock(iter([0, 61, 61, 90]).__next__)
    first_uses = SimpleNamespace(tell=lambda: None)
    lab.check("a")
    lab.hint("a")
    lab.check("a", Path("a-solution.yaml"))
    assert lab.record.labs()["02-pause"].passed() == []
    lab.check("a")
    lab._cell_begins()
    lab._cell_has_run(first_uses)
    done = lab.record.labs()["02-pause"]
    assert done.exercises["a"] == {"checks": 2, "hints": 1, "passed": done.exercises["a"]["passed"]}
    assert (done.passed(), done.seconds) == (["a"], 61)


def test_a_lab_ends_with_a_card_that_nobody_stores(lab, monkeypatch):
    labs = {"02": {"title": "Who keeps it?", "minutes": 20, "notebook": "02_pause.ipynb"}}
    monkeypatch.setattr("labhelpers.contents.labs", lambda: labs)
    lab.record.claim("02-pause", "B1")
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: shown.append(data))
    lab.connection.put(held_by(ME))
    lab.finish()
    assert shown == [], "nobody is there to see it"
    InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    lab.connection.put(held_by(ME))
    try:
        lab.finish()
    finally:
        InteractiveShell.clear_instance()
    assert [set(data) for data in shown] == [{WIDGET}]
    assert "02 · Who keeps it?" in lab._card()


def test_a_record_of_a_newer_podlab_stops_no_lab(lab):
    lab.record.path.parent.mkdir(parents=True, exist_ok=True)
    lab.record.path.write_text('{"version": 2, "labs": {}}')
    lab.connection.put(held_by(ME))
    assert repr(lab.finish()).startswith("nothing is left")
    assert "A newer podlab has written the record" in lab._card()


def test_a_reveal_without_a_question_is_told(lab):
    with pytest.raises(LabError, match="no prediction 'address' to reveal"):
        lab.reveal("address", "stays")


def test_a_cell_shows_three_lines_and_traceback_the_rest(lab, monkeypatch, capsys):
    monkeypatch.delattr(sys, "last_value", raising=False)
    assert lab.traceback() == "No cell has failed."
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    shell.user_ns["lab"] = lab
    shell.run_cell("lab.reveal('address', 'stays')")
    assert capsys.readouterr().out.splitlines() == [
        "LabError: There is no prediction 'address' to reveal.",
        "Seen: asked so far: none",
        "Do:   Run the cell that asks it first.",
    ]
    assert "Traceback (most recent call last)" in lab.traceback()
    assert "in reveal" in lab.traceback()
    InteractiveShell.clear_instance()


def test_looking_at_the_node_is_not_what_the_last_helper_did(lab):
    lab.transcript.note("kubectl delete pod one")
    assert lab.node is lab._node
    assert str(lab.sent()) == "kubectl delete pod one"


def test_sent_is_shown_as_lines(lab):
    lab.transcript.note("kubectl get pods", "kubectl get events")
    assert repr(lab.sent()) == "kubectl get pods\nkubectl get events"


def test_what_is_no_manifest_and_no_resource_is_told(lab):
    with pytest.raises(LabError, match=r"can't use None as its manifest\.\nSeen: a NoneType"):
        lab.apply(None)
    node = {"kind": "Node", "metadata": {"name": "n"}, "status": {"allocatable": {"memory": "1Gi"}}}
    lab.connection.put(node)
    with pytest.raises(LabError, match=r"no resource 'Memory'\.\nSeen: it has memory"):
        lab.free("Memory")
    assert lab.free("nvidia.com/gpu") == 0  # one that may come
    assert lab.free("memory") == 2**30


def test_a_lab_on_a_cluster_that_was_made_anew_says_so(lab, monkeypatch, tmp_path):
    lab.connection.kubeconfig = tmp_path / "kubeconfig"
    held = partial(lab._check_held, kubeconfig_then=b"then")

    def no_answer(*_):
        raise Unreachable("No answer.", "refused", "Look.")

    monkeypatch.setattr(namespaces, "find", no_answer)
    held("Lab.apply")  # no kubeconfig: `podlab up` is what comes next, and the next words say so
    lab.connection.kubeconfig.write_bytes(b"then")
    held("Lab.apply")
    lab.connection.kubeconfig.write_bytes(b"now")
    with pytest.raises(LabError, match="first cell again"):
        held("Lab.apply")
    held("Lab.finish")


def test_a_lab_that_another_kernel_has_is_not_finished(lab):
    lab.connection.put(held_by({**ME, "pid": 1}))
    with pytest.raises(LabError, match="Another kernel has taken the lab"):
        lab.finish()
    assert lab.connection.calls == []


def test_finish_looks_for_what_is_left(lab, monkeypatch):
    lab.connection.put(held_by(ME))
    lab.connection.put(a_pod("one"))
    assert repr(lab.finish()) == "nothing is left: no namespace, no processes, no threads"
    assert lab.connection.calls == ["delete Namespace lab-02-pause", "delete Pod one grace 1"]
    assert lab._pod_uids == {"uid-one"}
    monkeypatch.setattr(
        lab.node, "look", lambda uid: SimpleNamespace(processes=[SimpleNamespace(command="sleep")])
    )
    monkeypatch.setattr(
        lab_module.threading,
        "enumerate",
        lambda: [SimpleNamespace(name="podlab-watch", is_alive=lambda: True)],
    )
    lab.connection.put(held_by(ME))
    monkeypatch.setattr(lab.connection, "delete", lambda *_, **__: None)
    assert repr(lab.finish()) == "still there: namespace, processes (sleep), threads (podlab-watch)"


@pytest.mark.parametrize(
    ("remains", "text"),
    [
        (Remains(True, [], []), "still there: namespace"),
        (Remains(False, ["b", "a"], []), "still there: processes (a, b)"),
        (Remains(False, [], ["podlab-x"]), "still there: threads (podlab-x)"),
        (Remains(False, [], [], ["storageclasses/a"]), "still there: objects (storageclasses/a)"),
    ],
)
def test_what_remains_is_named(remains, text):
    assert repr(remains) == text


# --- What a lab has done to the node --------------------------------------------------------------

OURS = "/docker/1/kubelet.slice/kubelet-kubepods-pod11_aa.slice/cri-containerd-5.scope"


@pytest.mark.parametrize(
    ("kills", "ready_since", "words"),
    [
        ([("CONSTRAINT_MEMCG", OURS)], "2020-01-01T00:00:00Z", "the node stayed Ready · none"),
        (
            [("CONSTRAINT_MEMCG", OURS.replace("11_aa", "22_bb")), ("CONSTRAINT_MEMCG", OURS)],
            "2020-01-01T00:00:00Z",
            "the node stayed Ready · 1",
        ),
        (
            [("CONSTRAINT_MEMCG", "/docker/1/system.slice/x"), ("CONSTRAINT_MEMCG", OURS)],
            "2020-01-01T00:00:00Z",
            "the node stayed Ready · 1",
        ),
        (
            [("CONSTRAINT_MEMCG", "/docker/2/browser"), ("CONSTRAINT_MEMCG", OURS)],
            "2020-01-01T00:00:00Z",
            "the node stayed Ready · none",
        ),
        (
            [("CONSTRAINT_NONE", "/docker/2/browser")],
            "2020-01-01T00:00:00Z",
            "the node stayed Ready · 1",
        ),
        ([], "2999-01-01T00:00:00Z", "the node did not stay Ready · none"),
    ],
    ids=[
        "its own",
        "another Pod",
        "a program of the node",
        "beside the node",
        "the whole machine",
        "not Ready for a while",
    ],
)
def test_what_was_hit_outside_of_the_labs_pods_is_told(lab, kills, ready_since, words):
    lab._pod_uids.add("11-aa")
    lab.node.oom_kills = lambda within_seconds: kills
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": ready_since}
    lab.connection.list = lambda kind, *_, **__: {
        "items": [{"status": {"conditions": [ready]}}] if kind == "Node" else []
    }
    stayed, count = words.split(" · ")
    assert lab.harm() == f"{stayed} · OOM-killed processes outside of this lab's Pods: {count}"


class Resized:
    """A Pod whose resize has this outcome, and whose kubelet tries again until the limit is as
    asked."""

    def __init__(self, outcome):
        self.outcome, self.tries = outcome, 0

    def resize(self, container, *, limits, timeout_seconds):
        return SimpleNamespace(outcome=self.outcome, message="unable to freeze")

    def wait_until(self, goal, *, timeout_seconds):
        for held in ({}, {"limits": {"cpu": "100m"}}, {"limits": {"cpu": "0.2"}}):
            self.tries += 1
            if goal(
                SimpleNamespace(
                    raw={"status": {"containerStatuses": [{"name": "app", "resources": held}]}}
                )
            ):
                return
        raise AssertionError("it was not seen")


@pytest.mark.parametrize(("outcome", "tries"), [("done", 0), ("error", 3)])
def test_a_move_of_the_slider_waits_while_the_kubelet_tries_again(outcome, tries):
    pod = Resized(outcome)
    resize_cpu(pod, "app", "200m")
    assert pod.tries == tries


def test_a_move_that_has_to_wait_for_room_is_told():
    with pytest.raises(
        LabError, match=r"The limit did not become 200m\.\nSeen: deferred: unable to freeze"
    ):
        resize_cpu(Resized("deferred"), "app", "200m")


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize(
    "ask",
    [
        lambda lab, name: lab.pod(name),
        lambda lab, name: lab.pod(name).wait_until("gone", timeout_seconds=1),
        lambda lab, name: lab.recording(name),
        lambda lab, name: lab.samples(name, "app"),
        lambda lab, name: lab.slider("How often?", name, "app", ["100m"]),
        lambda lab, name: Resource(lab.connection, "ConfigMap", name),
    ],
)
def test_what_is_no_name_makes_no_handle(lab, ask, name):
    lab.connection.within = lambda namespace: lab.connection
    with pytest.raises(
        LabError, match=r"isn't a valid name for a .*, so nothing was sent"
    ) as error:
        ask(lab, name)
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize("name", ["one-app", "one.app", "0", "a" * 253])
def test_what_is_a_name_makes_a_handle(lab, name):
    assert repr(lab.pod(name)) == f"Pod {name}"
