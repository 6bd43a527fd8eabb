import json
import os
import subprocess

import pytest

from labhelpers import paths
from labhelpers.errors import LabError, Refused
from labhelpers.kube.manifests import Manifest
from labhelpers.kube.waiting import wait_until
from tests.cluster.test_client import POD

pytestmark = pytest.mark.cluster


@pytest.fixture
def here(connection, lab_namespace):
    return connection.within(lab_namespace)


def names(kubectl, namespace, kind="pods") -> list[str]:
    return kubectl("get", kind, "-o", "name", namespace=namespace).split()


def test_what_is_applied_is_there_and_is_deleted(here, kubectl, lab_namespace):
    manifest = Manifest.parse(POD + "---\n" + POD.replace("one", "two"), "both.yaml")
    uids = [found["metadata"]["uid"] for found in manifest.apply(here)]
    shown = json.loads(kubectl("get", "pods", "-o", "json", namespace=lab_namespace))["items"]
    assert [(item["metadata"]["name"], item["metadata"]["uid"]) for item in shown] == list(
        zip(["one", "two"], uids, strict=True)
    )
    assert [found["metadata"]["uid"] for found in manifest.apply(here)] == uids, (
        "applying twice changes nothing"
    )
    manifest.delete(here, grace_seconds=1)
    for name in ("one", "two"):
        wait_until(here, "Pod", name, lambda found: found is None, what="gone", timeout_seconds=30)
    manifest.delete(here)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(
            POD + "      imagePolicy: Never\n".replace("      ", "  "),
            [
                "one.yaml: Pod one has no such field.",
                "Seen: line 9: spec.imagePolicy",
                "kubectl explain pod.spec`",
            ],
            id="unknown field",
        ),
        pytest.param(
            POD.replace('"1000"', "1000"),
            [
                'spec.containers[name="app"].command[1] must be a string',
                "Seen: line 8: 1000",
                'Put it in quotes: "1000".',
            ],
            id="number for text",
        ),
        pytest.param(
            POD.replace("Seconds: 1", 'Seconds: "1"'),
            ["spec.terminationGracePeriodSeconds must be a number", "line 6", "without quotes"],
            id="text for a number",
        ),
        pytest.param(
            POD.replace('[sleep, "1000"]', "sleep 1000"),
            ["command must be a list", "line 8: sleep 1000"],
            id="text for a list",
        ),
        pytest.param(
            POD.replace("name: one", "name: One_x"),
            ["'One_x' isn't a valid name for a Pod", "a DNS name"],
            id="a name",
        ),
        pytest.param(
            POD.replace("name: app", "name: App"),
            ["refused one.yaml", "lowercase RFC 1123 label"],
            id="a rule",
        ),
        pytest.param(
            POD.replace("kind: Pod", "kind: Podd"), ["has no kind v1/Podd"], id="unknown kind"
        ),
        pytest.param(
            POD.replace("busybox:1.35.0", "nginx:1"),
            ["not on the node", "nginx:1; on the node: busybox:1.35.0"],
            id="image",
        ),
        pytest.param(
            POD.replace("busybox:1.35.0", "busybox"),
            ["not on the node", "Seen: busybox;"],
            id="an image without its tag",
        ),
    ],
)
def test_a_wrong_manifest_ends_in_three_lines_and_changes_nothing(
    here, kubectl, lab_namespace, text, lines
):
    for whole in (text, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}\n---" + text):
        with pytest.raises(LabError) as caught:
            Manifest.parse(whole, "one.yaml").apply(here)
        told = str(caught.value)
        assert len(told.splitlines()) == 3
        if whole is text:
            assert [line for line in lines if line not in told] == [], told
    assert names(kubectl, lab_namespace) == []
    assert names(kubectl, lab_namespace, "configmaps") == ["configmap/kube-root-ca.crt"]


def test_a_pod_cannot_be_changed_under_itself(here):
    Manifest.parse(POD, "one.yaml").apply(here)
    with pytest.raises(
        Refused,
        match=(
            r"Pod one exists, and most of a Pod's spec cannot be changed(.|\n)*`kubectl delete pod"
            r" one`"
        ),
    ):
        Manifest.parse(POD.replace("1000", "2000"), "one.yaml").apply(here)


def test_an_image_that_the_cluster_has_not_listed_yet_is_asked_of_the_node(here):
    image = "localhost:1/busybox:1"
    Manifest.parse(POD.replace("busybox:1.35.0", image), "pull.yaml").apply(here)
    asked = []
    with pytest.raises(LabError, match="not on the node"):
        Manifest.parse(POD.replace("busybox:1.35.0", "fresh:1"), "one.yaml").apply(
            here, lambda: asked.append(1) or set()
        )
    assert asked == [1]


@pytest.mark.parametrize("from_file", [True, False])
def test_the_lines_of_what_was_sent_run_when_pasted(
    here, kubectl, lab_namespace, tmp_path, from_file
):
    (tmp_path / "one.yaml").write_text(POD)
    manifest = (
        Manifest.read(tmp_path / "one.yaml") if from_file else Manifest.parse(POD, "one.yaml")
    )
    manifest.apply(here)
    apply, *_ = here.transcript.page.lines
    uid = here.get("Pod", "one")["metadata"]["uid"]
    config = json.loads(kubectl("config", "view", "--raw", "--output", "json"))
    config["contexts"][0]["context"]["namespace"] = lab_namespace
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    path = f"{paths.tools()}{os.pathsep}{os.environ['PATH']}"

    def paste(line: str) -> str:
        environment = {**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig"), "PATH": path}
        return subprocess.run(
            ["bash", "-c", line],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    assert paste(apply) == "pod/one serverside-applied\n"
    assert here.get("Pod", "one")["metadata"]["uid"] == uid
    manifest.delete(here, grace_seconds=1)
    wait_until(here, "Pod", "one", lambda found: found is None, what="gone", timeout_seconds=30)
    paste(apply)
    assert names(kubectl, lab_namespace) == ["pod/one"]
    paste(here.transcript.page.lines[-1])
    wait_until(here, "Pod", "one", lambda found: found is None, what="gone", timeout_seconds=30)
