import pytest

from labhelpers.errors import LabError, Refused
from labhelpers.kube import images as kube_images
from labhelpers.kube.manifests import Manifest
from tests.unit.fake_api import PODS
from tests.unit.kubectl_yaml import FILES

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: one
spec:
  containers:
    - name: app
      image: busybox:1.35.0
"""


@pytest.fixture(autouse=True)
def images(fake, monkeypatch):
    """The images that the cluster says it has, and none remembered from another cluster."""
    monkeypatch.setattr(kube_images, "_known", {})
    fake.answers["/api/v1/nodes"] = {
        "items": [{"status": {"images": [{"names": ["docker.io/library/busybox:1.35.0"]}]}}]
    }


def refuse(fake, message, path=f"{PODS}/one", code=500, reason=""):
    fake.answers[path] = {"kind": "Status", "code": code, "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a.yaml is empty."),
        ("# only words\n---\n", "a.yaml is empty."),
        ("kind: List\nitems: []", "a.yaml is empty."),
        ("- a\n- b\n", "it isn't a Kubernetes object.\nSeen: line 1: what begins here is a list"),
        (
            "hello",
            "it isn't a Kubernetes object.\nSeen: line 1: what begins here is a single value",
        ),
        ("kind: List\nitems:\n- a", "Seen: line 3: what begins here is a single value"),
        (
            POD.replace("kind: Pod\n", ""),
            "it isn't a Kubernetes object.\nSeen: line 1: it lacks kind",
        ),
        (POD.replace("name: one", "generateName: one"), "it lacks metadata.name"),
        (POD.replace("metadata:\n  name: one", "metadata: one"), "it lacks metadata.name"),
        (
            POD.replace("name: one", "name: 0123"),
            'text.\nSeen: line 4: metadata.name 0123\nDo:   Write it in quotes: "0123".',
        ),
        (POD.replace("kind: Pod", "kind: [Pod]"), "Seen: line 2: kind ['Pod']"),
        (POD.replace("name: one", "name: One_x"), "'One_x' isn't a valid name for a Pod"),
        (POD.replace("name: one", "name: One_x"), "Seen: line 4: it isn't a DNS name"),
        (POD.replace("name: one", "name: o\u200bne"), "line 4: U+200B (zero width space) in o<U+2"),
        (
            POD.replace("kind: Pod", "kind: P\u00adod"),
            "line 2: U+00AD (soft hyphen) in P<U+00AD>od",
        ),
        (POD + "---\nkind: Pod\n", "line 10: it lacks apiVersion, metadata.name"),
        (f"{POD}---\n{POD}", "a.yaml has Pod one twice.\nSeen: lines 1 and 10;"),
        (
            "{apiVersion: v1, kind: Namespace, metadata: {name: a}}",
            "creates a namespace.\nSeen: line 1: a Namespace a",
        ),
        (
            "{apiVersion: v1, kind: Node, metadata: {name: a}}",
            "has a node in it.\nSeen: line 1: a Node a",
        ),
        (
            "{apiVersion: authorization.k8s.io/v1, kind: SelfSubjectAccessReview, spec: {}}",
            "a.yaml: a SelfSubjectAccessReview can't be applied.\nSeen: line 1: the API server",
        ),
    ],
)
def test_what_is_no_object_is_told_with_its_line(text, told):
    with pytest.raises(LabError) as caught:
        Manifest.parse(text, "a.yaml")
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3


def test_the_labs_own_namespace_may_be_named_and_no_other(connection, fake):
    fake.answers[f"{PODS}/one"] = {"kind": "Pod"}
    named = POD.replace("name: one", "name: one\n  namespace: lab")
    assert Manifest.parse(named, "a.yaml").apply(connection) == [{"kind": "Pod"}]
    other = Manifest.parse(named.replace("namespace: lab", "namespace: mine"), "a.yaml")
    with pytest.raises(LabError, match=r"names a namespace\.\nSeen: line 5: namespace: mine"):
        other.apply(connection)
    assert len(fake.asked("PATCH", f"{PODS}/one")) == 1


def test_a_missing_file_names_those_that_are_there(tmp_path):
    (tmp_path / "there.yaml").write_text(POD)
    with pytest.raises(
        LabError, match=r"There is no manifest their\.yaml\.\nSeen: in the folder .*: there\.yaml"
    ):
        Manifest.read(tmp_path / "their.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\x89PNG\r\n\xff")
    with pytest.raises(LabError, match=r"binary\.yaml isn't a text file"):
        Manifest.read(tmp_path / "binary.yaml")
    (tmp_path / "latin.yaml").write_bytes("a: b\nc: é\n".encode("latin-1"))
    with pytest.raises(LabError, match=r"latin\.yaml isn't a text file\.\nSeen: line 2: "):
        Manifest.read(tmp_path / "latin.yaml")
    for name in ("a\0b.yaml", "a" * 5_000, "."):
        with pytest.raises(LabError, match="can't be read"):
            Manifest.read(tmp_path / name)


@pytest.mark.parametrize("called", FILES)
def test_a_file_is_decoded_as_kubectl_decodes_it(called, tmp_path):
    data, names = FILES[called]
    (tmp_path / "a.yaml").write_bytes(data)
    if names:
        found = Manifest.read(tmp_path / "a.yaml").documents
        assert [body["metadata"]["name"] for body in found] == names
        assert {body["kind"] for body in found} == {"ConfigMap"}
    else:
        told = "Seen: line " if names is None else r"a\.yaml is empty"
        with pytest.raises(LabError, match=told):
            Manifest.read(tmp_path / "a.yaml")


def test_apply_goes_into_the_namespace_of_the_connection_and_is_noted(connection, fake, tmp_path):
    fake.answers[f"{PODS}/one"] = {"kind": "Pod"}
    path = tmp_path / "one.yaml"
    path.write_text(POD)
    manifest = Manifest.read(path)
    assert manifest.apply(connection) == [{"kind": "Pod"}]
    assert [(method, path) for method, path, *_ in fake.requests if method != "GET"] == [
        ("PATCH", f"{PODS}/one")
    ]
    assert connection.transcript.page.lines == [
        f"kubectl apply --server-side --force-conflicts --field-manager=podlab -f {path}"
    ]
    manifest.delete(connection)
    assert connection.transcript.page.lines == [
        f"kubectl delete --ignore-not-found --wait=false -f {path}"
    ]


def test_a_file_below_the_working_folder_is_noted_by_its_short_path(
    connection, fake, tmp_path, monkeypatch
):
    fake.answers[f"{PODS}/one"] = {"kind": "Pod"}
    (tmp_path / "one.yaml").write_text(POD)
    monkeypatch.chdir(tmp_path)
    Manifest.read(tmp_path / "one.yaml").apply(connection)
    assert connection.transcript.page.lines == [
        "kubectl apply --server-side --force-conflicts --field-manager=podlab -f one.yaml"
    ]


INVALID = 'Pod "two" is invalid: spec.containers: Required value'
NO_ACCOUNT = 'pods "two" is forbidden: error looking up service account lab/{0}: serviceaccount "{0}" not found'  # noqa: E501
NO_CLASS = 'pods "two" is forbidden: no PriorityClass with name high was found'
CONVERTED = "failed to convert new object (/two; /v1, Kind=Pod) to proper version: no"
TWO = POD.replace("name: one", "name: two")
ACCOUNT = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n---\n"
ACCOUNTS = "/api/v1/namespaces/lab/serviceaccounts"


def asked(fake, path):
    return [query.get("dryRun", "") for query in fake.asked("PATCH", path)]


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (INVALID, 422, "Invalid"),
        (CONVERTED, 500, ""),
        (NO_CLASS, 403, "Forbidden"),
        (NO_ACCOUNT.format("web"), 403, "Forbidden"),
        ("uid mismatch", 409, "Conflict"),
        ("Request entity too large: limit is 3145728", 413, "RequestEntityTooLarge"),
    ],
)
def test_a_wrong_second_document_keeps_the_first_away(connection, fake, message, code, reason):
    fake.answers[f"{PODS}/one"] = {}
    refuse(fake, message, f"{PODS}/two", code, reason)
    with pytest.raises(Refused):
        Manifest.parse(f"{POD}---\n{TWO}", "a.yaml").apply(connection)
    assert asked(fake, f"{PODS}/one") == ["All"]


def test_what_the_database_would_not_take_keeps_the_first_away(connection, fake):
    fake.answers[f"{PODS}/one"], fake.answers[f"{PODS}/two"] = {}, {"spec": "x" * 1_600_000}
    with pytest.raises(LabError, match="Pod two is too large"):
        Manifest.parse(f"{POD}---\n{TWO}", "a.yaml").apply(connection)
    assert asked(fake, f"{PODS}/one") == ["All"]


def with_account(fake, second):
    """Pod two refers to the ServiceAccount web, which is there once it has been applied. Its
    second answer, without the account, is given."""
    account = {"kind": "ServiceAccount", "metadata": {"name": "web"}}
    missing = {"kind": "Status", "code": 403, "reason": "Forbidden"}
    missing["message"] = NO_ACCOUNT.format("web")
    answers = iter([missing, second, {"kind": "Pod"}])
    fake.answers[f"{ACCOUNTS}/web"] = account
    fake.answers[f"{PODS}/two"] = lambda: next(answers)
    spec = "spec:\n  serviceAccountName: web\n"
    return Manifest.parse(ACCOUNT + TWO.replace("spec:\n", spec), "a.yaml")


def test_a_document_is_tried_without_what_an_earlier_one_brings(connection, fake):
    assert len(with_account(fake, {}).apply(connection)) == 2
    assert asked(fake, f"{PODS}/two") == ["All", "All", ""]
    sent = [body["spec"] for *_, path, _, body in fake.requests if path == f"{PODS}/two"]
    assert ["serviceAccountName" in spec for spec in sent] == [True, False, True]


def test_the_server_may_learn_of_the_earlier_one_a_moment_later(connection, fake):
    manifest = with_account(fake, {})
    missing, tried, there = (fake.answers[f"{PODS}/two"]() for _ in range(3))
    answers = iter([missing, tried, missing, missing, there])
    fake.answers[f"{PODS}/two"] = lambda: next(answers)
    assert manifest.apply(connection)[1] == {"kind": "Pod"}
    assert asked(fake, f"{PODS}/two") == ["All", "All", "", "", ""]


def test_what_else_is_wrong_with_it_is_found_as_well(connection, fake):
    wrong = {"kind": "Status", "code": 422, "reason": "Invalid", "message": INVALID}
    with pytest.raises(Refused, match="Required value"):
        with_account(fake, wrong).apply(connection)
    assert asked(fake, f"{ACCOUNTS}/web") == ["All"]


def test_what_no_dry_run_told_says_what_was_applied(connection, fake):
    quota = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "exceeded quota"}
    answers = iter([{}, quota])
    fake.answers[f"{PODS}/one"] = {"kind": "Pod", "metadata": {"name": "one"}}
    fake.answers[f"{PODS}/two"] = lambda: next(answers)
    with pytest.raises(Refused, match=r"Applied before it, from the same file: Pod one\."):
        Manifest.parse(f"{POD}---\n{TWO}", "a.yaml").apply(connection)


def test_images_are_looked_up_once_and_then_asked_of_the_node(connection, fake):
    fake.answers[f"{PODS}/one"] = {}
    manifest, fresh = (
        Manifest.parse(POD, "a.yaml"),
        Manifest.parse(POD.replace("busybox:1.35.0", "fresh:1"), "a.yaml"),
    )
    manifest.apply(connection)
    manifest.apply(connection)
    assert len(fake.asked("GET", "/api/v1/nodes")) == 1
    with pytest.raises(LabError, match=r"Seen: line 8: fresh:1; on the node: busybox:1\.35\.0"):
        fresh.apply(connection)
    fresh.apply(connection, lambda: {"docker.io/library/fresh:1"})
    fresh.apply(connection)
    Manifest.parse(POD.replace("busybox:1.35.0", "localhost:1/none:1"), "a.yaml").apply(connection)


def test_a_character_that_nobody_sees_in_an_image_is_named(connection):
    for image in ("busybox\u200b:1.35.0", '"busybox\\u200b:1.35.0"', '"busybox:1.35.0\u200b"'):
        with pytest.raises(LabError, match=r"line 8: U\+200B \(zero width space\) in busybox"):
            Manifest.parse(POD.replace("busybox:1.35.0", image), "a.yaml").apply(connection)


def test_images_are_found_wherever_a_pod_is_written():
    pod = "{initContainers: [{image: b}], containers: [{image: c}, {image: b}]}"
    template = (
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec:"
        f" {pod}}}}}}}"
    )
    assert Manifest.parse(template, "a").images() == ["b", "c"]
