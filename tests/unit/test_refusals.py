"""The server's words become three lines. The messages were recorded from a server of 1.37.0."""

import copy

import pytest

from labhelpers.errors import Refused
from labhelpers.kube.refusals import MOST_QUESTIONS, explained
from labhelpers.kube.yaml_reader import read

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: one
  uid: 6f3f2c5e
  resourceVersion: "12"
spec:
  restartPolicy: Sometimes
  containers:
    - name: app
      image: 0123
      command: sleep 1
      args: [{a: b}]
      stdin: "true"
      ports: [{containerPort: "80", hostPort: 12:00}]
      resources:
        limits: {memory: 64MiB, cpu: "1"}
  priorityClassName: high
  nodeName: "n\u200bo"
"""
TYPED = "failed to create typed patch object (/one; /v1, Kind=Pod): "
CONVERTED = (
    "failed to convert new object (/one; /v1, Kind=Pod) to proper version: unable to convert"
    " unstructured object to /v1, Kind=Pod: "
)
QUANTITY = f"{CONVERTED}quantities must match the regular expression '^([+-]?[0-9.]+)$'"
APP = 'spec.containers[name="app"]'


def told(message, text=POD, reason="", code=500, again=lambda body: None):
    error = Refused("Happened.", f"{code} {reason}: {message}", "Do.", reason=reason, code=code)
    error.message = message
    (document,) = read(text, "a.yaml")
    result = explained(error, "a.yaml", document, again)
    assert (result.message, result.reason, result.code) == (message, reason, code)
    return str(result).splitlines()


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        (
            f"{TYPED}.{APP}.image: expected string, got &value.valueUnstructured{{Value:83}}",
            [
                f"a.yaml: {APP}.image must be a string.",
                "Seen: line 11: 0123, which YAML reads as 83",
                'Do:   Put it in quotes: "0123".',
            ],
        ),
        (
            f"{TYPED}.{APP}.args[0]: expected string, got"
            ' &value.valueUnstructured{Value:map[string]interface {}{"a":"b"}}',
            [
                f"a.yaml: {APP}.args[0] must be a string.",
                "Seen: line 13: a mapping",
                "Do:   Write text, in quotes if there's a colon in it.",
            ],
        ),
        (
            f"{TYPED}.{APP}.command: expected list, got &{{sleep 1}}",
            [
                f"a.yaml: {APP}.command must be a list.",
                "Seen: line 12: sleep 1",
                "Do:   Write its items in lines of their own that begin with a dash, or in [ ].",
            ],
        ),
        (
            f"{TYPED}.{APP}.stdin: expected boolean, got &{{true}}",
            [
                f"a.yaml: {APP}.stdin must be a boolean.",
                'Seen: line 14: "true"',
                "Do:   Write true or false, without quotes.",
            ],
        ),
        (
            f'{TYPED}.{APP}.ports[containerPort="80",protocol="TCP"].containerPort: expected'
            " numeric (int or float), got string",
            [
                f'a.yaml: {APP}.ports[containerPort="80",protocol="TCP"].containerPort must be a'
                " number.",
                'Seen: line 15: "80"',
                "Do:   Write the number without quotes.",
            ],
        ),
        (
            f'{TYPED}.{APP}.ports[containerPort="80",protocol="TCP"].hostPort: expected'
            " numeric (int or float), got string",
            [
                f'a.yaml: {APP}.ports[containerPort="80",protocol="TCP"].hostPort must be a'
                " number.",
                "Seen: line 15: 12:00, which YAML reads as text",
                "Do:   Write a number, such as 1 or 0.5.",
            ],
        ),
        (
            f"{TYPED}.spec.imagine: field not declared in schema",
            [
                "a.yaml: Pod one has no such field.",
                "Seen: line 7: spec.imagine",
                "Do:   Check its name and its indentation: `kubectl explain pod.spec`.",
            ],
        ),
        (
            f'{TYPED}.{APP}.env: duplicate entries for key [name="A"]',
            [
                "The API server rejected a.yaml (Pod one).",
                f'Seen: line 10: {APP}.env: duplicate entries for key [name="A"]',
                "Do:   Compare it with `kubectl explain pod.spec.containers.env`.",
            ],
        ),
    ],
)
def test_what_the_schema_forbids(message, lines):
    assert told(message) == lines


@pytest.mark.parametrize(
    ("message", "reason", "lines"),
    [
        (
            'Pod "one" is invalid: spec.restartPolicy: Unsupported value: "Sometimes"',
            "Invalid",
            [
                "The API server rejected a.yaml (Pod one).",
                'Seen: line 8: 500 Invalid: spec.restartPolicy: Unsupported value: "Sometimes"',
                "Do:   Do.",
            ],
        ),
        (
            'Pod "one" is invalid: [spec.containers[0].resources.limits[cpu]: Invalid value: "1":'
            " no, spec.restartPolicy: Required value]",
            "Invalid",
            ["Seen: lines 8 and 17: 500 Invalid: [spec.containers[0].resources.limits[cpu]: In"],
        ),
        (
            'Pod "one" is invalid: spec.nodeName: Invalid value: "n\\u200bo": no',
            "Invalid",
            [
                "Seen: line 19: 500 Invalid: spec.nodeName:",
                "Do:   Delete the invisible character, U+200B (zero width space): type the line",
            ],
        ),
        (
            'Pod "one" is invalid: spec: Forbidden: pod updates may not change fields other than',
            "Invalid",
            ["Pod one exists, and most of a Pod's spec can't", "first: `kubectl delete pod one`."],
        ),
        (
            'Pod "one" is invalid: [spec.restartPolicy: Unsupported value: "Sometimes", spec:'
            " Forbidden: pod updates may not change fields other than",
            "Invalid",
            [
                "The API server rejected a.yaml (Pod one).",
                "Seen: lines 7 and 8: 500 Invalid: [spec.restart",
            ],
        ),
        (
            'pods "one" is forbidden: no PriorityClass with name high was found',
            "Forbidden",
            [
                "Seen: line 18: 500 Forbidden: pods",
                "Do:   Create it first, or delete the line that names it.",
            ],
        ),
        ("metadata.managedFields must be nil", "BadRequest", ["line 5: metadata.uid, line 6:"]),
        (
            'Operation cannot be fulfilled on pods "one": uid mismatch: no existing object',
            "Conflict",
            [
                "a.yaml: Pod one has fields that only the API server writes.",
                "Seen: line 5: metadata.uid, line 6: metadata.resourceVersion; the server says:",
                "Do:   Delete them: `kubectl get -o yaml` shows them",
            ],
        ),
        (
            'Pod "one" is invalid: metadata.uid: Invalid value: "6f3f2c5e": field is immutable',
            "Invalid",
            ["Seen: line 5: metadata.uid, line 6"],
        ),
        (
            "Request entity too large: limit is 3145728",
            "RequestEntityTooLarge",
            ["a.yaml: Pod one is too large for the API server.", "bytes; Request entity too large"],
        ),
        (
            'ConfigMap "one" is invalid: []: Too long: may not be more than 1048576 bytes',
            "Invalid",
            ["a.yaml: Pod one is too large for the API server.", "Do:   Make it smaller"],
        ),
    ],
)
def test_what_a_rule_forbids(message, reason, lines):
    shown = "\n".join(told(message, reason=reason))
    assert [line for line in lines if line not in shown] == [], shown


class Server:
    """Converts as the API server does: it complains of one wrong value, and not of where."""

    def __init__(self, message, is_wrong):
        self.message, self.is_wrong, self.asked = message, is_wrong, 0

    def __call__(self, body):
        self.asked += 1
        assert body["kind"], "an object without its identity has no place to be sent to"
        assert body["metadata"]["name"]
        if any("name" not in each for each in body.get("spec", {}).get("containers", [])):
            return Refused("", "", "", message=f'{TYPED}.spec: omits key field "name"')
        found = [value for value in leaves(body) if self.is_wrong(value)]
        return Refused("", "", "", message=self.message) if found else None


def leaves(value):
    if isinstance(value, dict | list):
        return [
            each
            for inner in (value.values() if isinstance(value, dict) else value)
            for each in leaves(inner)
        ]
    return [value]


@pytest.mark.parametrize(
    ("written", "do"),
    [
        ("64MiB", "Write 64Mi."),
        ("64 Mi", "Write 64Mi."),
        ("1GB", "Write 1G."),
        ("0,5", "Write 0.5."),
        ("64mi", "Write 64Mi."),
        ("much", "Write a number, with Ki, Mi, Gi, k, M, G or m after it: 64Mi, 0.5, 500m."),
    ],
)
def test_a_value_that_cannot_be_converted_is_looked_for(written, do):
    text = POD.replace("64MiB", f'"{written}"')
    assert told(QUANTITY, text, again=Server(QUANTITY, lambda value: value == written)) == [
        "a.yaml: spec.containers[0].resources.limits.memory isn't a quantity.",
        f"Seen: line 17: {written}",
        f"Do:   {do}",
    ]


@pytest.mark.parametrize("is_wrong", [lambda value: value in ("64MiB", "1"), lambda value: True])
def test_of_several_wrong_values_one_is_named(is_wrong):
    (document,) = read(POD, "a.yaml")
    before = copy.deepcopy(document.value)
    server = Server(QUANTITY, is_wrong)
    first, second, _ = told(QUANTITY, again=server)
    assert "isn't a quantity" in first
    assert second.startswith("Seen: line ")
    assert server.asked < 20
    assert document.value == before


def test_a_long_value_is_shortened_and_a_long_search_ends():
    text = POD.replace("64MiB", "x" * 10_000)
    shown = told(QUANTITY, text, again=Server(QUANTITY, lambda value: value == "x" * 10_000))
    assert len("".join(shown)) < 600
    many = SECRET.replace("{}", "aGk=") + "".join(f"  d{number}: aGk=\n" for number in range(500))
    server = Server(QUANTITY, lambda value: value == "aGk=")
    assert "isn't a quantity" in told(QUANTITY, many, again=server)[0]
    assert server.asked == MOST_QUESTIONS


SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: one}\ndata:\n  a.b: {}\n  c: aGk=\n"


@pytest.mark.parametrize(
    ("message", "text", "wrong", "lines"),
    [
        (
            f"{CONVERTED}error decoding from json: illegal base64 data at input byte 5",
            SECRET.replace("{}", "hello!"),
            "hello!",
            ["a.yaml: data.a.b isn't base64.", "Seen: line 5: hello!", "stringData"],
        ),
        (
            f"{CONVERTED}error decoding from json: illegal base64 data at input byte 0",
            SECRET.replace("{}", "!!binary aGk="),
            "hi",
            ["Seen: line 5: aGk=", "Delete !!binary: YAML decodes such a value"],
        ),
        (
            f'{CONVERTED}parsing time "soon" as "2006-01-02": cannot parse "soon" as "2006"',
            SECRET.replace("{}", "soon"),
            "soon",
            ["data.a.b isn't a time", "line 5: soon", "Write it as 2026-01-31T12:00:00Z"],
        ),
        (
            f"{CONVERTED}cannot convert float64 to int64",
            SECRET.replace("{}", "1.5"),
            1.5,
            ["data.a.b isn't a whole number", "line 5: 1.5"],
        ),
        (
            f"{CONVERTED}json: cannot unmarshal bool into Go value of type int32",
            SECRET.replace("{}", "true"),
            True,
            ["data.a.b isn't a number or a name", "line 5: true"],
        ),
        (f"{CONVERTED}something new", SECRET, "aGk=", ["data.c can't be used", "line 6: aGk="]),
    ],
)
def test_what_is_wrong_with_it_is_told(message, text, wrong, lines):
    shown = "\n".join(told(message, text, again=Server(message, lambda value: value == wrong)))
    assert [line for line in lines if line not in shown] == [], shown
    assert "podlab status" not in shown
