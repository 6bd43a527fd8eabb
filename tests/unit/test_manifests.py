import pytest

from labhelpers.errors import LabError, Refused
from labhelpers.kube import manifests
from labhelpers.kube.manifests import Manifest
from tests.unit.fake_api import PODS

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
    monkeypatch.setattr(manifests, "_known_images", {})
    fake.answers["/api/v1/nodes"] = {
        "items": [{"status": {"images": [{"names": ["docker.io/library/busybox:1.35.0"]}]}}]
    }


def refuse(fake, message, path=f"{PODS}/one", code=500, reason=""):
    fake.answers[path] = {"kind": "Status", "code": code, "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            POD.replace("  name: one", "\tname: one"),
            "a.yaml is not YAML.\nSeen: line 4: found character",
        ),
        (
            POD.replace("kind: Pod", "kind: Pod: a"),
            "a.yaml is not YAML.\nSeen: line 2: mapping values are not allowed here",
        ),
        ("{", "a.yaml is not YAML."),
        ("a: \x01", "a.yaml is not YAML."),
        ("", "a.yaml is empty."),
        ("# only words\n---\n", "a.yaml is empty."),
        ("- a\n- b\n", "no Kubernetes object.\nSeen: line 1: the top level is a list"),
        ("hello", "no Kubernetes object.\nSeen: line 1: the top level is a single value"),
        (POD.replace("kind: Pod\n", ""), "no Kubernetes object.\nSeen: line 1: it lacks kind"),
        (POD.replace("name: one", "generateName: one"), "it lacks metadata.name"),
        (POD.replace("metadata:\n  name: one", "metadata: one"), "it lacks metadata.name"),
        (
            POD.replace("name: one", "name: 1"),
            "what names an object is text.\nSeen: line 1: metadata.name 1",
        ),
        (POD + "---\nkind: Pod\n", "line 10: it lacks apiVersion, metadata.name"),
        (
            POD.replace("name: one", "name: one\n  namespace: mine"),
            "a namespace of its own.\nSeen: line 1: namespace: mine",
        ),
        (
            "{apiVersion: v1, kind: Namespace, metadata: {name: a}}",
            "a namespace of its own.\nSeen: line 1: a Namespace a",
        ),
        (
            POD + "      image: other\n",
            "the key image stands twice in one mapping.\nSeen: lines 8 and 9",
        ),
        *(
            (
                POD + f"      args: [{word}]\n",
                (
                    f"the bare word {word} as text.\nSeen: line 9: {word} is read as the boolean"
                    f" {meant}"
                ),
            )
            for word, meant in [
                ("y", "true"),
                ("N", "false"),
                ("yes", "true"),
                ("No", "false"),
                ("on", "true"),
                ("OFF", "false"),
            ]
        ),
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {on: x}}",
            "the bare word on as text",
        ),
    ],
)
def test_what_yaml_hides_is_told_with_its_line(text, told):
    with pytest.raises(LabError) as caught:
        Manifest.parse(text, "a.yaml")
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3


def test_words_that_only_look_like_something_else_stay_text():
    data = "data:\n  a: 'yes'\n  b: \"n\"\n  c: 2026-01-01\n  d: nobody\n  e: |-\n    on\n"
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n" + data
    (document,) = Manifest.parse(text, "a.yaml").documents
    assert document["data"] == {"a": "yes", "b": "n", "c": "2026-01-01", "d": "nobody", "e": "on"}


def test_a_missing_file_names_those_that_are_there(tmp_path):
    (tmp_path / "there.yaml").write_text(POD)
    with pytest.raises(
        LabError, match=r"There is no manifest their\.yaml\.\nSeen: in its folder: there\.yaml"
    ):
        Manifest.read(tmp_path / "their.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabError, match=r"binary\.yaml cannot be read as text"):
        Manifest.read(tmp_path / "binary.yaml")


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


def test_a_wrong_second_document_keeps_the_first_away(connection, fake):
    fake.answers[f"{PODS}/one"] = {}
    refuse(
        fake, 'Pod "two" is invalid: spec.containers: Required value', f"{PODS}/two", 422, "Invalid"
    )
    with pytest.raises(Refused):
        Manifest.parse(POD + "---\n" + POD.replace("one", "two"), "a.yaml").apply(connection)
    assert [query.get("dryRun") for query in fake.asked("PATCH", f"{PODS}/one")] == ["All"]


def test_a_second_document_that_needs_the_first_is_not_judged_before_it_is_there(connection, fake):
    fake.answers[f"{PODS}/one"] = {}
    answers = iter(
        [
            {
                "kind": "Status",
                "code": 403,
                "reason": "Forbidden",
                "message": "no such ServiceAccount",
            },
            {},
        ]
    )
    fake.answers[f"{PODS}/two"] = lambda: next(answers)
    assert Manifest.parse(POD + "---\n" + POD.replace("one", "two"), "a.yaml").apply(
        connection
    ) == [{}, {}]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        # Recorded from a server of 1.37.0.
        (
            (
                "failed to create typed patch object (/one; /v1, Kind=Pod):"
                ' .spec.containers[name="app"].image: expected string, got'
                " &value.valueUnstructured{Value:5}"
            ),
            [
                'a.yaml: spec.containers[name="app"].image must be a string.',
                "Seen: line 8: 5",
                'Do:   Put it in quotes: "5".',
            ],
        ),
        (
            (
                "failed to create typed patch object (/one; /v1, Kind=Pod): .spec.imagine: field"
                " not declared in schema"
            ),
            [
                "a.yaml: Pod one has no such field.",
                "Seen: a.yaml: spec.imagine",
                "Do:   Check its name and its indentation: `kubectl explain pod.spec`.",
            ],
        ),
        (
            (
                "failed to create typed patch object (/one; /v1, Kind=Pod): .spec.containers:"
                " expected list, got &{map[a:b]}"
            ),
            [
                "a.yaml: spec.containers must be a list.",
                "Seen: line 6: map[a:b]",
                "Do:   Write its items in lines of their own that begin with a dash, or in [ ].",
            ],
        ),
        (
            (
                "failed to create typed patch object (/one; /v1, Kind=Pod):"
                ' .spec.containers[name="a"].env: duplicate entries for key [name="A"]'
            ),
            [
                "The API server refused a.yaml (Pod one).",
                (
                    "Seen: 500: failed to create typed patch object (/one; /v1, Kind=Pod):"
                    ' .spec.containers[name="a"].env: duplicate entries for key [name="A"]'
                ),
                "Do:   The message names the field: correct it.",
            ],
        ),
    ],
)
def test_the_servers_words_become_three_lines(connection, fake, message, told):
    refuse(fake, message)
    with pytest.raises(Refused) as caught:
        Manifest.parse(POD, "a.yaml").apply(connection)
    assert str(caught.value).splitlines() == told
    assert caught.value.message == message


def test_images_are_looked_up_once_and_then_asked_of_the_node(connection, fake):
    fake.answers[f"{PODS}/one"] = {}
    manifest, fresh = (
        Manifest.parse(POD, "a.yaml"),
        Manifest.parse(POD.replace("busybox:1.35.0", "fresh:1"), "a.yaml"),
    )
    manifest.apply(connection)
    manifest.apply(connection)
    assert len(fake.asked("GET", "/api/v1/nodes")) == 1
    with pytest.raises(LabError, match=r"Seen: fresh:1; on the node: busybox:1\.35\.0"):
        fresh.apply(connection)
    fresh.apply(connection, lambda: {"docker.io/library/fresh:1"})
    fresh.apply(connection)
    Manifest.parse(POD.replace("busybox:1.35.0", "localhost:1/none:1"), "a.yaml").apply(connection)


def test_images_are_found_wherever_a_pod_is_written():
    pod = "{initContainers: [{image: b}], containers: [{image: c}, {image: b}]}"
    template = (
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec:"
        f" {pod}}}}}}}"
    )
    assert Manifest.parse(template, "a").images() == ["b", "c"]
