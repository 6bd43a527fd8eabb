"""What kubectl made of 200 words and 60 pieces of YAML, and the same read by podlab."""

import json
from pathlib import Path

from labhelpers.kube.yaml_reader import read

RECORDED = json.loads((Path(__file__).parent / "recorded/kubectl-yaml.json").read_text())
HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


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
