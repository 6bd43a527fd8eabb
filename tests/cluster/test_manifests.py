import json
import os
import subprocess

import pytest

from labhelpers import paths
from labhelpers.errors import LabError, Refused
from labhelpers.kube import fields
from labhelpers.kube.manifests import Manifest
from labhelpers.kube.waiting import wait_until
from tests.cluster.test_client import POD
from tests.unit.kubectl_yaml import FILES, HEAD, RECORDED

pytestmark = pytest.mark.cluster

MAP = "\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n"
SECRET = """
apiVersion: v1
kind: Secret
metadata: {{name: one}}
data:
  a: {}
"""
RESOURCES = """
apiVersion: v1
kind: Pod
metadata: {{name: one}}
spec:
  restartPolicy: Never
  containers:
    - name: app
      image: busybox:1.35.0
      command: [sleep, "1000"]
      resources:
        limits:
          memory: {}
"""
QUANTITY = ["one.yaml: spec.containers[0].resources.limits.memory isn't a quantity."]
UID = "6f3f2c5e-0000-4000-8000-000000000000"


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
            ["rejected one.yaml", "lowercase RFC 1123 label"],
            id="a rule",
        ),
        pytest.param(
            POD.replace("kind: Pod", "kind: Podd"),
            ["has no kind v1/Podd", "Seen: line 3: "],
            id="unknown kind",
        ),
        *(
            pytest.param(RESOURCES.format(value), [*QUANTITY, f"line 13: {value}", do], id=value)
            for value, do in [("64MiB", "Write 64Mi."), ("0,5", "Write 0.5."), ("a lot", "500m")]
        ),
        pytest.param(
            SECRET.format("hello!"),
            ["one.yaml: data.a isn't base64.", "line 6: hello!", "under stringData"],
            id="text for base64",
        ),
        pytest.param(
            SECRET.format("!!binary aGk="),
            ["one.yaml: data.a isn't base64.", "line 6: aGk=", "Delete !!binary"],
            id="!!binary for base64",
        ),
        pytest.param(
            POD.replace("Seconds: 1", "Seconds: 1.5"),
            ["spec.terminationGracePeriodSeconds isn't a whole number", "line 6: 1.5"],
            id="a fraction",
        ),
        pytest.param(
            POD.replace("{name: one}", "{name: one, creationTimestamp: soon}"),
            ["metadata.creationTimestamp isn't a time", "line 4: soon"],
            id="a time",
        ),
        pytest.param(
            POD.replace("{name: one}", "{name: one, managedFields: [{manager: a}]}"),
            ["fields that only the API server writes", "line 4: metadata.managedFields"],
            id="managedFields",
        ),
        pytest.param(
            POD.replace("{name: one}", f"{{name: one, uid: {UID}}}"),
            ["fields that only the API server writes", "line 4: metadata.uid", "Delete them"],
            id="the uid of another",
        ),
        pytest.param(
            POD.replace("spec:", "spec:\n  priorityClassName: missing"),
            ["line 6: 403 Forbidden", "no PriorityClass with name missing", "Create it first"],
            id="a missing PriorityClass",
        ),
        pytest.param(
            POD.replace("spec:", "spec:\n  restartPolicy: Sometimes"),
            ["line 6: 422 Invalid: spec.restartPolicy: Unsupported value"],
            id="a word that isn't one of its words",
        ),
        pytest.param(
            f"{MAP}data: {{a: {'x' * 1_100_000}}}\n",
            ["ConfigMap one is too large for the API server", "1048576 bytes", "1 MiB"],
            id="too large for a ConfigMap",
        ),
        pytest.param(
            f"{MAP}data: {{a: {'x' * 3_500_000}}}\n",
            ["ConfigMap one is too large for the API server", "limit is 3145728"],
            id="too large for a request",
        ),
        pytest.param(
            POD.replace('"1000"', "x" * 1_700_000),
            ["Pod one is too large", "etcd"],
            id="too large for the database",
        ),
        pytest.param(
            POD.replace("name: app", 'name: "ap\u200bp"'),
            [
                "line 8: 422 Invalid: spec.containers[0].name",
                "the invisible character, U+200B (zero width space)",
            ],
            id="a character that nobody sees",
        ),
        pytest.param(
            POD.replace("busybox:1.35.0", "nginx:1"),
            ["isn't on the node", "Seen: line 8: nginx:1; on the node: busybox:1.35.0"],
            id="image",
        ),
        pytest.param(
            POD.replace("busybox:1.35.0", "busybox"),
            ["isn't on the node", "Seen: line 8: busybox;"],
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


def test_an_emoji_arrives(here, kubectl, lab_namespace):
    marked = MAP.replace("{name: one}", "{name: one, annotations: {b: 👩‍💻}}")
    for text in (f"{marked}data: {{a: 😀}}", f'{marked}data: {{a: "\\U0001F600"}}'):
        Manifest.parse(text, "one.yaml").apply(here)
        shown = json.loads(kubectl("get", "cm", "one", "-o", "json", namespace=lab_namespace))
        assert shown["data"] == {"a": "😀"}
        assert shown["metadata"]["annotations"] == {"b": "👩‍💻"}


def test_yaml_is_read_as_kubectl_reads_it(kubectl):
    """What tests/unit/test_yaml_reader.py compares with was recorded from kubectl. It still says
    the same."""
    texts = [
        *(f"{HEAD}data:\n  a: {word}\n" for word in RECORDED["scalars"]),
        *(f"{HEAD}data:\n  {key}: x\n" for key in RECORDED["keys"]),
        *(f"{HEAD}data: {text}\n" for text in RECORDED["data"]),
    ]
    create = "create --dry-run=client --validate=false --output=json --filename=-".split()
    output, decoder, said = (
        kubectl(*create, stdin="\n---\n".join(texts)).strip(),
        json.JSONDecoder(),
        [],
    )
    while output:
        body, end = decoder.raw_decode(output)
        said.append(body["data"])
        output = output[end:].strip()
    assert said == [
        *({"a": value} for value in RECORDED["scalars"].values()),
        *({key: "x"} for key in RECORDED["keys"].values()),
        *RECORDED["data"].values(),
    ]


@pytest.mark.parametrize("called", FILES)
def test_a_file_is_decoded_as_kubectl_decodes_it(kubectl, called, tmp_path):
    """tests/unit/test_manifests.py compares with the names; kubectl finds the same."""
    data, names = FILES[called]
    (tmp_path / "a.yaml").write_bytes(data)
    create = f"create --dry-run=client --validate=false --output=name --filename={tmp_path}/a.yaml"
    if names:
        found = kubectl(*create.split()).split()
        assert found == [f"configmap/{name}" for name in names]
    else:
        said = "error parsing" if names is None else "no objects passed"
        with pytest.raises(AssertionError, match=said):
            kubectl(*create.split())


def test_a_document_may_need_one_before_it_and_is_judged_all_the_same(here, kubectl, lab_namespace):
    account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n---"
    needs = POD.replace("spec:", "spec:\n  serviceAccountName: web")
    wrong = needs.replace("spec:", "spec:\n  restartPolicy: Sometimes")
    with pytest.raises(Refused, match="restartPolicy"):
        Manifest.parse(account + wrong, "both.yaml").apply(here)
    assert names(kubectl, lab_namespace, "serviceaccounts") == ["serviceaccount/default"]
    Manifest.parse(account + needs, "both.yaml").apply(here)
    assert names(kubectl, lab_namespace) == ["pod/one"]


def test_what_kubectl_shows_is_applied_again(here, kubectl, lab_namespace):
    Manifest.parse(POD + "---\n" + POD.replace("one", "two"), "both.yaml").apply(here)
    Manifest.parse(MAP, "one.yaml").apply(here)
    for name in ("one", "two"):
        # What is shown has a resourceVersion: of a Pod that still starts, it would be an old one.
        wait_until(
            here,
            "Pod",
            name,
            lambda found: fields.is_true(found, "Ready"),
            what="Ready",
            timeout_seconds=60,
        )
    pasted = Manifest.parse(
        kubectl("get", "pods,configmaps", "-o", "yaml", namespace=lab_namespace), "pasted.yaml"
    )
    kinds = [body["kind"] for body in pasted.apply(here)]
    assert kinds == ["Pod", "Pod", "ConfigMap", "ConfigMap"]
    for name in ("one", "two"):
        here.delete("Pod", name, grace_seconds=0)
        wait_until(here, "Pod", name, lambda found: found is None, what="gone", timeout_seconds=30)
    with pytest.raises(Refused, match=r"line \d+: metadata\.uid(.|\n)*Delete them"):
        pasted.apply(here)


def test_kinds_that_are_never_stored_are_sent_as_kubectl_sends_them(here, kubectl, lab_namespace):
    """All those that the server doesn't let anybody change: reviews, mostly."""
    never = {}
    for found in json.loads(kubectl("api-resources", "-o", "json"))["resources"]:
        if "patch" not in found["verbs"]:
            never[found["kind"]] = f"{found.get('group', '')}/{found['version']}".strip("/")
    assert {"SubjectAccessReview", "TokenReview", "Binding", "ComponentStatus"} <= {*never}
    for kind, api_version in never.items():
        text = f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}"
        with pytest.raises(LabError, match=f"a.yaml: a {kind} can't be applied"):
            Manifest.parse(text, "a.yaml").apply(here)
    rule = "user: jane, resourceAttributes: {verb: get, resource: pods}"
    text = f"apiVersion: authorization.k8s.io/v1\nkind: SubjectAccessReview\nspec: {{{rule}}}"
    with pytest.raises(LabError) as caught:
        Manifest.parse(text, "-")
    _, line, _ = caught.value.do.split("`")
    assert "allowed: false" in kubectl(*line.split()[1:], namespace=lab_namespace, stdin=text)


@pytest.mark.parametrize(
    ("called", "advice"),
    [
        ("policy/v1 Eviction", "`kubectl drain` sends it"),
        ("autoscaling/v1 Scale", "`kubectl scale` sends it"),
        ("extensions/v1beta1 Deployment", "Write apiVersion: apps/v1 and kind: Deployment."),
        ("v1 pod", "Write apiVersion: v1 and kind: Pod."),
        ("v1 Sprocket", "Check its name and spelling"),
    ],
)
def test_a_kind_that_is_not_there_is_told_with_the_one_that_is(here, called, advice):
    api_version, kind = called.split()
    text = f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}"
    with pytest.raises(LabError, match=f"has no kind {api_version}/{kind}") as caught:
        Manifest.parse(text, "a.yaml").apply(here)
    assert advice in caught.value.do


def test_a_pod_cannot_be_changed_under_itself(here):
    Manifest.parse(POD, "one.yaml").apply(here)
    with pytest.raises(
        Refused,
        match=(
            r"Pod one exists, and most of a Pod's spec can't be changed(.|\n)*`kubectl delete pod"
            r" one`"
        ),
    ):
        Manifest.parse(POD.replace("1000", "2000"), "one.yaml").apply(here)


def test_an_image_that_the_cluster_has_not_listed_yet_is_asked_of_the_node(here):
    image = "localhost:1/busybox:1"
    Manifest.parse(POD.replace("busybox:1.35.0", image), "pull.yaml").apply(here)
    asked = []
    with pytest.raises(LabError, match="isn't on the node"):
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
