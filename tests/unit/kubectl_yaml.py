"""What kubectl made of 200 words and 60 pieces of YAML, and the same read by podlab."""

import json
from pathlib import Path

from labhelpers.kube.yaml_reader import read

RECORDED = json.loads((Path(__file__).parent / "recorded/kubectl-yaml.json").read_text())
HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
MAP = "{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}}\n"
ITEM = "{metadata: {name: %s}}"
JSON = (
    '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "%s"}, "data": {"a": "b\\/c"}}'
)
# Whole files, and the ConfigMaps that kubectl finds in each, or None where it finds a fault: what
# Windows' editors and shells write, lists as the API server gives them, and JSON in a row.
FILES = {
    "a byte order mark": (b"\xef\xbb\xbf" + (MAP % "a").encode(), ["a"]),
    "one before JSON": (
        b"\xef\xbb\xbf"
        + b'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},'
        + b' "data": {"a": "\\ud83d\\ude00"}}',
        ["a"],
    ),
    "one in front of each document": (
        f"\ufeff{MAP % 'a'}---\n\ufeff{MAP % 'b'}".encode(),
        ["a", "b"],
    ),
    "UTF-16": ((MAP % "a").encode("utf-16"), ["a"]),
    "UTF-16, the other way round": (b"\xfe\xff" + (MAP % "a").encode("utf-16-be"), ["a"]),
    "Windows' line ends": (f"{HEAD}data: {{a: b}}\n".replace("\n", "\r\n").encode(), ["a"]),
    "the Mac's old ones": (HEAD.replace("\n", "\r").encode(), ["a"]),
    "empty documents": (f"---\n---\n# a\n---\n{MAP % 'a'}--- # b\n---\n".encode(), ["a"]),
    "a List of one kind": (
        f"{{apiVersion: v1, kind: ConfigMapList, items: [{ITEM % 'a'}, {ITEM % 'b'}]}}".encode(),
        ["a", "b"],
    ),
    "JSON, one behind the other": (
        f"\n{JSON % 'a'}{JSON % 'b'}\n\n {JSON % 'c'}\n".encode(),
        [*"abc"],
    ),
    "JSON's escaped slash in YAML": (f"---\n{JSON % 'a'}\n".encode(), None),
    "an object behind ---": (f"{MAP % 'a'}--- {MAP % 'b'}".encode(), None),
    "a comment behind ---": (f"--- # a\n{MAP % 'a'}--- \t# b\n{MAP % 'b'}".encode(), ["a", "b"]),
    "a List with nothing in it": (b"{apiVersion: v1, kind: List, items: []}", []),
}


def data(text: str) -> object:
    """What stands under ``data`` in a ConfigMap, as it would be sent."""
    (document,) = read(f"{HEAD}data: {text}\n", "a.yaml")
    return json.loads(json.dumps(document.value["data"]))


def same(ours: object, theirs: object) -> bool:
    """Equal, and of one type. Beyond 64 bits a number is a float, however it's written."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    numbers = [
        float(each) if type(each) is int and abs(each) >= 2**63 else each for each in (ours, theirs)
    ]
    return type(numbers[0]) is type(numbers[1]) and numbers[0] == numbers[1]
