"""labhelpers.debrief: two manifests beside each other; and the rule of tests/debriefs.py bites."""

from types import SimpleNamespace

import pytest

from labhelpers.debrief import Debrief, difference
from tests import debriefs

MODEL = """
# A comment.
apiVersion: v1
kind: Pod
metadata:
  name: a
spec:
  containers:
    - name: app
      image: busybox:1.35.0
      command: [sh, -c, "sleep 1; exit 0"]
      args:
        - |
          first
          second
  volumes:
    - name: word
      secret: {secretName: word, defaultMode: 0440}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
data: {number: "5"}
"""
SAME = """
kind: ConfigMap
data:
  number: '5'
metadata:
  name: b
apiVersion: v1
---
spec:
  volumes:
    - secret: {defaultMode: 288, secretName: "word"}
      name: word
  containers:
    - image: busybox:1.35.0
      args: ["first\\nsecond\\n"]
      command:
        - "sh"
        - "-c"
        - sleep 1; exit 0
      name: app
metadata: {name: a}
kind: Pod
apiVersion: v1
"""


@pytest.fixture
def compared(tmp_path):
    def compare(yours, solution=MODEL):
        for name, text in (("yours", yours), ("solution", solution)):
            (tmp_path / f"{name}.yaml").write_text(text)
        return tmp_path / "yours.yaml", tmp_path / "solution.yaml"

    return compare


def test_what_only_looks_different_is_no_difference(compared):
    assert difference(*compared(SAME)) == []
    assert (
        Debrief(*compared(SAME), "abc").headline == "Your manifest says the same as the solution."
    )


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("288", "0400", ["-        defaultMode: 0400", "+        defaultMode: 0440"]),
        ("'5'", "'6'", ['-  number: "6"', '+  number: "5"']),
        (
            "exit 0",
            "exit 1",
            [
                '-      command: [sh, -c, "sleep 1; exit 1"]',
                '+      command: [sh, -c, "sleep 1; exit 0"]',
            ],
        ),
        ("second", "third", ["-          third", "+          second"]),
        (
            "metadata: {name: a}",
            "metadata: {name: a, labels: {x: web}}",
            ["-  labels:", "-    x: web"],
        ),
    ],
)
def test_only_what_differs_is_marked(compared, old, new, lines):
    assert old in SAME
    found = difference(*compared(SAME.replace(old, new)))
    assert [line for line in found if line[0] in "+-"] == lines


def test_the_order_of_containers_is_a_difference(compared):
    one, two = "{name: a, image: x}", "{name: b, image: x}"
    pod = "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: [{}, {}]}}}}"
    assert difference(*compared(pod.format(two, one), pod.format(one, two)))


def test_a_document_more_comes_last(compared):
    more = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
    found = difference(*compared(SAME + more))
    assert [line for line in found if line[0] in "+-"] == [
        "----",
        "-apiVersion: v1",
        "-kind: ConfigMap",
        "-metadata:",
        "-  name: c",
    ]


GOOD = ["The name was wrong.", "A name is a name.", "Nobody finds it."]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (None, "DEBRIEF has to be 3 lines: what happened, the right model, in production"),
        (GOOD[:2], "DEBRIEF has to be 3 lines"),
        ("abc", "DEBRIEF has to be 3 lines"),
        ([*GOOD[:2], "word " * 25 + "word."], "In production: 26 words; at most 25"),
        ([*GOOD[:2], "no sentence"], "In production: not a whole sentence"),
        (["It was made anew.", *GOOD[1:]], "What happened: “anew”"),
    ],
)
def test_the_rule_of_debriefings_bites(lines, says):
    module = SimpleNamespace(**({} if lines is None else {"DEBRIEF": lines}))
    found = list(debriefs.complaints(module))
    assert len(found) == 1
    assert found[0].startswith(says)
    assert list(debriefs.complaints(SimpleNamespace(DEBRIEF=GOOD))) == []
