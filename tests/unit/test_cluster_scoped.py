"""What a lab makes outside of its namespace: it carries the lab's label, and goes with the lab."""

import pytest

from labhelpers.errors import LabError
from labhelpers.kube import cluster_scoped
from labhelpers.kube.cluster_scoped import BESIDE
from labhelpers.kube.manifests import Manifest
from tests.unit.fake_connection import FakeConnection

HIGH = """
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata:
  name: high
  labels:
    team: a
value: 1000
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: words\n"


def priority(name: str, **labels: str) -> dict:
    named = {label.replace("_", "-"): value for label, value in labels.items()}
    return {"kind": "PriorityClass", "metadata": {"name": name, "labels": named}}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(cluster_scoped, "wait_until", lambda *_, **__: None)


def test_what_lives_in_no_namespace_is_labelled_and_the_rest_is_not():
    connection = FakeConnection(namespace="lab-03")
    Manifest.parse(f"{HIGH}---\n{MAP}", "a.yaml").apply(connection)
    high = connection.get("PriorityClass", "high")
    assert high["metadata"]["labels"] == {"team": "a", BESIDE: "lab-03"}
    assert "labels" not in connection.get("ConfigMap", "words")["metadata"]
    Manifest.parse(HIGH, "a.yaml").apply(connection)  # once more: it's the lab's own


@pytest.mark.parametrize("labels", [{}, {"podlab_beside": "lab-04"}])
def test_what_somebody_else_made_is_left_alone_and_nothing_is_applied(labels):
    connection = FakeConnection(priority("high", **labels), namespace="lab-03")
    with pytest.raises(LabError, match="PriorityClass high exists already"):
        Manifest.parse(f"{MAP}---\n{HIGH}", "a.yaml").apply(connection)
    assert connection.calls == []
    assert connection.get("PriorityClass", "high")["metadata"]["labels"].get("team") is None


def test_only_what_the_lab_made_is_removed():
    ours, others, nobodys = (
        priority("ours", podlab_beside="lab-03"),
        priority("others", podlab_beside="lab-04"),
        priority("nobodys"),
    )
    connection = FakeConnection(ours, others, nobodys, namespace="lab-03")
    assert cluster_scoped.made(connection, "lab-03") == ["priorityclasses/ours"]
    cluster_scoped.remove(connection, "lab-03")
    assert connection.calls == ["delete PriorityClass ours"]
    assert cluster_scoped.made(connection, "lab-03") == []


def test_what_keeps_a_namespace_from_going_can_be_removed_alone(monkeypatch):
    ours = priority("ours", podlab_beside="lab-03")
    api = {"kind": "APIService", "metadata": {**ours["metadata"], "name": "v1.example.com"}}
    connection = FakeConnection(ours, api, namespace="lab-03")
    kinds = ["scheduling.k8s.io/v1/PriorityClass", "apiregistration.k8s.io/v1/APIService"]
    monkeypatch.setattr(connection.kinds, "cluster_scoped", lambda: kinds)
    cluster_scoped.remove(connection, "lab-03", only=cluster_scoped.IN_THE_WAY)
    assert connection.calls == ["delete APIService v1.example.com"]


@pytest.mark.parametrize("labels", ["x", ["x"]])
def test_labels_that_are_none_are_left_to_the_server(labels):
    body = {"apiVersion": "scheduling.k8s.io/v1", **priority("high")}
    body["metadata"]["labels"] = labels
    assert cluster_scoped.labelled(FakeConnection(namespace="lab-03"), body) == body
