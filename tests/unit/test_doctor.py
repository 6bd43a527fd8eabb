"""What doctor makes of its findings, and that its advice can be followed."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labhelpers import cli, paths
from labhelpers.cluster import docker, doctor, engine, engine_findings, findings
from labhelpers.cluster.finding import Finding
from labhelpers.errors import LabError


def refused_calls(*texts: str) -> list[str]:
    """Those of the calls of podlab named in the texts that podlab itself would refuse."""
    refused = []
    for words in (words for text in texts for words in re.findall(r"\bpodlab ([^`]+)", text)):
        try:
            cli.parser().parse_args(words.split())
        except SystemExit:
            refused.append(words)
    return refused


def test_what_is_recommended_can_be_called():
    """Of findings every text, of the other files what stands in backticks."""
    assert refused_calls("`podlab up`, or bring a bundle: podlab load FILE", "podlab fly") == [
        "load FILE",
        "fly",
    ]
    trees = [
        ast.parse(Path(each.__file__).read_text(encoding="utf-8"))
        for each in (findings, engine_findings, docker)
    ]
    texts = [
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    named = [text for text in texts if "podlab " in text]
    others = [
        path
        for pattern in ("labhelpers/**/*.py", "notebooks/*.ipynb", "README.md")
        for path in paths.repository().glob(pattern)
    ]
    quoted = [
        call
        for path in others
        for call in re.findall(r"(?<!`)`(podlab [^`\n]+)`", path.read_text(encoding="utf-8"))
    ]
    assert len(named) > 5 and len(quoted) > 20
    assert refused_calls(*named, *quoted) == []


def test_a_machine_is_refused_for_the_first_thing_and_the_others_are_named():
    found = [
        Finding("disk", False, "1 GB free", "Free some."),
        Finding("swap", None, "x"),
        Finding("memory", False, "1 GB", "More."),
    ]
    with pytest.raises(LabError) as caught:
        doctor.require(found)
    assert caught.value.happened == "This machine lacks what a cluster needs: disk (and: memory)."
    assert (caught.value.seen, caught.value.do) == ("1 GB free", "Free some.")
    doctor.require(found[1:2])


def test_windows_gets_its_answer_although_it_lacks_what_engines_need():
    """psutil first: on Windows it doesn't import what it imports here."""
    program = (
        "import psutil, sys; sys.modules['fcntl'] = sys.modules['resource'] = None; import"
        " labhelpers.cluster.doctor"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
    assert engine.can_start_here("Windows", "", True, "")
