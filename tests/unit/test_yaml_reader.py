"""YAML as kubectl reads it; tests/cluster/test_manifests.py asks kubectl again."""

import itertools
import json

import pytest

from labhelpers.errors import LabError
from labhelpers.kube.manifests import Manifest
from labhelpers.kube.yaml_reader import DEEPEST, read
from tests.unit.kubectl_yaml import HEAD, RECORDED, data, same


def fault(text: str) -> str:
    with pytest.raises(LabError) as caught:
        read(text, "a.yaml")
    assert len(str(caught.value).splitlines()) == 3
    return str(caught.value)


def test_plain_words_mean_what_they_mean_to_kubectl():
    assert len(RECORDED["scalars"]) > 190
    read_as = {word: data(f"\n  a: {word}")["a"] for word in RECORDED["scalars"]}
    wrong = {
        word: (value, RECORDED["scalars"][word])
        for word, value in read_as.items()
        if not same(value, RECORDED["scalars"][word])
    }
    assert wrong == {}


def test_what_kubectl_refuses_is_refused():
    for word in RECORDED["refused scalars"]:
        assert "line " in fault(f"{HEAD}data:\n  a: {word}\n")
    for text in RECORDED["refused data"]:
        assert "line " in fault(f"{HEAD}data: {text}\n")


def test_keys_are_text_as_for_kubectl():
    assert {key: next(iter(data(f"\n  {key}: x"))) for key in RECORDED["keys"]} == RECORDED["keys"]


@pytest.mark.parametrize("text", RECORDED["data"])
def test_what_is_built_of_words_is_what_kubectl_builds(text):
    assert same(data(text), RECORDED["data"][text])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a:\n\tb: c", "line 2 is indented with a tab\nDo:   Indent with spaces."),
        ("a: b: c", "a.yaml is not YAML.\nSeen: line 1: mapping values are not allowed"),
        ("{", "a.yaml is not YAML."),
        ("a: b\nc: \x01", "a.yaml is not YAML.\nSeen: line 2: the control character U+0001"),
        ("a: \ud83d", "Seen: line 1: the control character U+D83D"),
        ("schedule: */5 * * * *", 'begins an alias. If text is meant, put it in quotes: "*/5'),
        ('a: "\\d"', "In double quotes a backslash begins an escape."),
        ('a: "C:\\Users"', "In double quotes a backslash begins an escape."),
        ("a: @b", "Put a value that begins with such a character in quotes."),
        ("a: {{ .Values.b }}", "If it's a template, such as Helm's, render it first."),
        ("a: 1\nb: 2\na: 3", "duplicate key a.\nSeen: lines 1 and 3"),
        ("31: a\n0x1F: b", "duplicate key 31.\nSeen: lines 1 and 2"),
        ("100000.5: a", "can't be a key.\nSeen: line 1: YAML reads it as a number"),
        ("~: a", "~ can't be a key.\nSeen: line 1: YAML reads it as null"),
        ("a: .inf", "no such number.\nSeen: line 1: .inf"),
        ("a: &b\n  c: *b", "an anchor contains itself.\nSeen: line 1"),
        ("a: &b [*b]", "an anchor contains itself.\nSeen: line 1"),
        ("a: !!binary /w==", "line 1: /w==\nDo:   Remove !!binary"),
        ("a: !!int b", "the value isn't what its tag says.\nSeen: line 1: !!int b"),
        ("<<: b", "only mappings can be merged with <<.\nSeen: line 1"),
        *(
            (
                f"a: b\nc: [{word}]",
                f"unquoted word {word} as text.\nSeen: line 2: {word} is read as",
            )
            for word in "y Y yes Yes YES on On ON n N no No NO off Off OFF".split()
        ),
        ("on: a", "the unquoted word on as text"),
    ],
)
def test_what_yaml_hides_is_told_with_its_line(text, told):
    assert told in fault(text)


@pytest.mark.parametrize(
    ("text", "line", "name"),
    [
        ("a:\n\u00a0\u00a0b: c", 2, "U+00A0 (no-break space)"),
        ("a:\n  b: c\n\u00a0\u00a0d: e", 3, "U+00A0 (no-break space)"),
        ("a:\n  b: c\n \u00a0d: e", 3, "U+00A0 (no-break space)"),
        ("a:\n  -\u00a0b", 2, "U+00A0 (no-break space)"),
        ("a: [b,\u00a0c]", 1, "U+00A0 (no-break space)"),
        ("a:\u00a0\nb: c", 1, "U+00A0 (no-break space)"),
        ("\u3000a: b", 1, "U+3000 (ideographic space)"),
        ("ima\u200bge: a", 1, "U+200B (zero width space)"),
        ("image: a\u200b", 1, "U+200B (zero width space)"),
        ("image: \u2060a", 1, "U+2060 (word joiner)"),
        ("a: b\n\ufeffc: d", 2, "U+FEFF (zero width no-break space)"),
        ("a: \u3164", 1, "U+3164 (hangul filler)"),
    ],
)
def test_a_character_that_nobody_sees_is_named(text, line, name):
    told = fault(text)
    assert f"line {line}" in told
    assert name in told


@pytest.mark.parametrize(
    "text",
    ["👩‍💻", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️", "5\u00a0km", '"\u00a0"', "'\u200b'", "नमस्ते", "x # a\u00a0remark"],
)
def test_where_such_a_character_is_meant_it_stays(text):
    assert data(f"\n  a: {text}")["a"] == text.partition(" #")[0].strip("\"'")


def test_a_fault_beside_an_emoji_is_not_blamed_on_it():
    assert "joiner" not in fault("a: b: 👩‍💻")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kind: List", "line 1: it has no list of items"),
        ("kind: ConfigMapList\nitems: {a: b}", "line 1: it has no list of items"),
        (
            "kind: List\nitems:\n- {apiVersion: v1, kind: List, items: []}",
            "line 4: it's inside a List",
        ),
    ],
)
def test_a_list_that_is_none_is_told(text, told):
    with pytest.raises(LabError, match=r"has a List that can't be applied\.") as caught:
        Manifest.parse(f"apiVersion: v1\n{text}", "a.yaml")
    assert told in str(caught.value)


def test_jsons_two_escapes_of_an_emoji_are_one_character():
    for value in ("😀", "\\😀", "\\ud83d\\ude00", "a\u00e9\x7f"):
        assert read(json.dumps({"a": value}), "a.json")[0].value == {"a": value}


def test_nesting_has_a_limit_that_is_no_traceback():
    for deep in (DEEPEST + 1, 5_000, 200_000):
        assert "nesting" in fault("[" * deep + "]" * deep)
    assert "nesting" in fault("".join(f"{' ' * level}a:\n" for level in range(DEEPEST + 2)))
    deep = DEEPEST - 1
    assert read(f"a: {'[' * (deep - 1)}{']' * (deep - 1)}", "a.yaml")


def test_a_number_of_any_length_is_no_traceback():
    for digits in ("9" * 5_000, "0" * 5_000, "0x" + "f" * 5_000, "1" * 5_000 + ".5", "1e99999"):
        assert read(f"a: {digits}", "a.yaml")[0].value == {"a": 0 if digits[1] == "0" else digits}


def test_aliases_of_aliases_have_a_limit():
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in itertools.pairwise("abcdefgh")]
    assert "counting what its aliases repeat" in fault("\n".join(lines))


def test_the_items_of_a_list_stand_by_themselves():
    text = "kind: List\nitems:\n- kind: A\n  x: 1\n- kind: B\n---\nkind: C\n"
    documents = read(text, "a.yaml")
    assert [document.value["kind"] for document in documents] == ["A", "B", "C"]
    assert [document.line for document in documents] == [3, 5, 7]
    assert documents[0].place("x").line == 4
    assert read("kind: List\nitems: []", "a.yaml") == []


PLACES = """\
metadata:
  labels:
    a.b/c: d
    a: e
  finalizers: [x/y, z]
spec:
  containers:
    - name: one
      resources:
        limits: {memory: 64MiB}
    - name: two
      ports:
        - containerPort: 80
        - containerPort: 80
          protocol: UDP
      command: [sleep, 0123]
  <<: {merged: "1"}
"""


@pytest.mark.parametrize(
    ("path", "line", "written"),
    [
        ("metadata.labels.a.b/c", 3, "d"),
        (".metadata.labels.a", 4, "e"),
        ('metadata.finalizers[="z"]', 5, "z"),
        ("spec.containers[0].resources.limits[memory]", 10, "64MiB"),
        ('spec.containers[name="two"].command[1]', 16, "0123"),
        ('spec.containers[name="two"].ports[containerPort=80,protocol="UDP"].protocol', 15, "UDP"),
        ('spec.containers[name="two"].ports[containerPort="80",protocol="TCP"]', 13, None),
        ("spec.merged", 17, "1"),
        ("spec.containers[7].name", 7, None),
        ("spec.containers[1].image", 11, None),
        ("status", 1, None),
    ],
)
def test_a_field_is_found_as_the_server_names_it(path, line, written):
    (document,) = read(PLACES, "a.yaml")
    place = document.place(path)
    assert (place.line, place.written) == (line, written)
