"""labhelpers.namespaces: the namespaces that a lab has beside its own. tests/unit/test_lab.py has
the lab's own."""

import itertools
import json

import pytest

from labhelpers import namespaces
from labhelpers.errors import LabError, Refused
from labhelpers.kube import leases
from labhelpers.namespaces import BESIDE
from tests.unit.fake_connection import FakeKinds

OWN = "lab-17-pod-security"
STRICT = {"pod-security.kubernetes.io/enforce": "restricted"}


ME = leases.this_process()


class Cluster:
    """A connection to a cluster that has some namespaces, each with its labels."""

    namespace, kinds = OWN, FakeKinds()

    def __init__(self, **there):
        self.there, self.calls = (
            {name.replace("_", "-"): labels for name, labels in there.items()},
            [],
        )
        self.volumes = itertools.repeat([])  # the namespaces of their claims, look by look

    def get(self, kind, name, namespace=None):
        if name not in self.there:
            raise Refused("No.", "", "", reason="NotFound")
        return {"metadata": {"name": name, "labels": self.there[name]}}

    def list(self, kind, namespace=None, **_):
        if kind == "PersistentVolume":
            return {
                "items": [
                    {
                        "metadata": {"name": "pv-1"},
                        "spec": {"claimRef": where and {"namespace": where}},
                    }
                    for where in next(self.volumes)
                ]
            }
        names = self.there if kind == "Namespace" else ()
        return {"items": [self.get(kind, name) for name in names]}

    def create(self, body):
        self.calls.append(f"create {body['metadata']['name']}")
        self.there[body["metadata"]["name"]] = body["metadata"]["labels"]

    def delete(self, kind, name, namespace=None, grace_seconds=None):
        self.calls.append(f"delete {name}")
        self.there.pop(name, None)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(namespaces, "wait_until", lambda *_, **__: None)


def test_one_that_is_added_has_its_labels_and_says_whose_it_is():
    cluster = Cluster()
    assert namespaces.add(cluster, "strict", STRICT) == f"{OWN}-strict"
    assert cluster.there[f"{OWN}-strict"] == {**STRICT, "podlab": "lab", BESIDE: OWN}
    assert namespaces.added(cluster, OWN) == [f"{OWN}-strict"]


def test_one_that_is_there_from_before_is_deleted_first():
    cluster = Cluster(lab_17_pod_security_strict={BESIDE: OWN})
    namespaces.add(cluster, "strict")
    assert cluster.calls == [f"delete {OWN}-strict", f"create {OWN}-strict"]


def test_only_the_labs_own_are_removed():
    cluster = Cluster(default={}, one={BESIDE: OWN}, two={BESIDE: OWN}, other={BESIDE: "lab-02"})
    namespaces.remove_added(cluster, OWN, grace_seconds=0)
    assert set(cluster.there) == {"default", "other"}


def test_the_next_start_removes_what_a_kernel_left_that_ended_early():
    cluster = Cluster(left={BESIDE: OWN, "podlab": "lab"})
    namespaces.take(cluster, OWN, take_over=False)
    assert set(cluster.there) == {OWN}


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"annotations": leases.owner()}, ""),
        (None, r"has ended\.\nSeen: .* is gone\nDo:   Run the lab's first cell again"),
        ({"annotations": leases.owner(), "deletionTimestamp": "now"}, "is being deleted"),
        (
            {"annotations": {leases.OWNER: json.dumps({**ME, "pid": 1})}},
            r"Another kernel has taken .*\nSeen: .* held by process 1 on .*\n.*take_over=True",
        ),
        ({}, "held by nobody"),
    ],
)
def test_a_kernel_knows_whether_it_still_has_the_lab(monkeypatch, metadata, says):
    there = None if metadata is None else {"metadata": metadata}
    monkeypatch.setattr(namespaces, "find", lambda *_: there)
    if not says:
        namespaces.check_held(Cluster(), OWN)
    else:
        with pytest.raises(LabError, match=says):
            namespaces.check_held(Cluster(), OWN)


def test_a_namespace_is_gone_when_the_volumes_of_its_claims_are(monkeypatch):
    cluster = Cluster(lab_16={})
    cluster.volumes = iter([["lab-16", "other"], ["lab-16"], ["other", None]])
    namespaces.remove(cluster, "lab-16", grace_seconds=0)
    assert next(cluster.volumes, "all looked at") == "all looked at"


def test_a_volume_that_stays_is_told(monkeypatch):
    monkeypatch.setattr(namespaces, "VOLUMES_SECONDS", 0)
    cluster = Cluster(lab_16={})
    cluster.volumes = itertools.repeat(["lab-16"])
    with pytest.raises(LabError, match=r"Volumes of lab-16 are still there") as caught:
        namespaces.remove(cluster, "lab-16", grace_seconds=0)
    assert caught.value.seen == "PersistentVolumes: pv-1"
