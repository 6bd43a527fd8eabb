"""What helpers may be called with: readers' own mistakes end in three lines."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest

from labhelpers.arguments import checked
from labhelpers.containers import Container
from labhelpers.errors import LabError
from labhelpers.kube.kinds import check_name
from labhelpers.lab import Lab, start
from labhelpers.node.node import Node
from labhelpers.pods import Pod
from labhelpers.resources import Resource

UNLIKELY = [None, 5, b"x", True, 1.5, math.nan, object(), ["a"], {}, [], {"a": 1}, ("a",), len]

OTHERS = {
    "timeout_seconds": 5,
    "measure": len,
    "predict": len,
    "cpu_limits": ["1"],
    "dials": {"a": [1]},
}


@checked
class Lab_(SimpleNamespace):
    def texts(self, name: str, words: Sequence[str] = ()) -> str:
        """One.

        Example::

            lab.texts("a", ["b"])
        """
        return name

    def wait(self, goal: str | Callable[[int], bool], *, timeout_seconds: float) -> object:
        return goal

    def several(self, *names: str, grace_seconds: int | None = None, **how: Any) -> object:
        return names

    def amounts(self, limits: Mapping[str, str] | None = None, whole: int = 1) -> object:
        return limits

    def path(self, path: str | Path) -> object:
        return path

    def _own(self, name: str) -> str:
        return name


lab = Lab_()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: lab.texts(5), "lab.texts can't use 5 as its name.\nSeen: an int"),
        (lambda: lab.texts("a", "bc"), "can't use 'bc' as its words.\nSeen: a str"),
        (lambda: lab.texts("a", ["b", 5]), "can't use ['b', 5] as its words"),
        (lab.texts, "can't be called like this.\nSeen: missing a required argument"),
        (lambda: lab.texts("a", ["b"], 3), "Seen: too many positional arguments"),
        (lambda: lab.texts("a", word="b"), "unexpected keyword argument 'word'"),
        (lambda: lab.texts(None), 'Do:   For example: lab.texts("a", ["b"])'),
        (lambda: lab.wait("Ready"), "Do:   Write lab.wait(goal, *, timeout_seconds)."),
        (lambda: lab.wait(None, timeout_seconds=1), "Do:   Give it text or a function."),
        (lambda: lab.wait("Ready", timeout_seconds="30s"), "'30s' isn't a number of seconds"),
        (lambda: lab.wait("Ready", timeout_seconds=10**400), "isn't between 0 and a year"),
        (lambda: lab.wait("Ready", timeout_seconds=math.inf), "isn't between 0 and a year"),
        (lambda: lab.several("a", 5), "can't use 5 as its names"),
        (lambda: lab.several("a", grace_seconds="1"), "Write the number alone: grace_seconds=30"),
        (lambda: lab.several("a", grace_seconds=1.5), "can't use 1.5 as its grace_seconds"),
        (lambda: lab.amounts({"cpu": 1}), "can't use {'cpu': 1} as its limits"),
        (lambda: lab.amounts(["cpu"]), "Do:   Give it a dict or None."),
        (lambda: lab.amounts(whole=True), "can't use True as its whole"),
        (lambda: lab.path(b"a"), "Do:   Give it text or a Path."),
    ],
)
def test_a_call_that_does_not_fit_is_told_in_three_lines(call, told):
    with pytest.raises(LabError) as caught:
        call()
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3


def test_what_fits_passes():
    assert lab.texts("a", ("b",)) == lab.texts("a", words={"b": 1}.keys()) == "a"
    assert lab.wait("Ready", timeout_seconds=0) == "Ready"
    assert lab.wait(len, timeout_seconds=numpy.float64(1.5)) is len
    assert lab.several("a", "b", grace_seconds=None, colour=3) == ("a", "b")
    assert lab.amounts({"cpu": "1"}, numpy.int64(3)) == {"cpu": "1"}
    assert lab.path(Path("a")) == Path("a")
    assert lab._own(5) == 5  # what isn't a reader's isn't checked


@pytest.mark.parametrize("of", [Lab, Pod, Resource, Container, Node])
def test_each_public_method_checks_what_it_is_given(of):
    """A limit that is text, wherever there's a limit; behind the check nothing is reached."""
    methods = inspect.getmembers(of, inspect.isfunction)
    limits = [
        (method, name)
        for called, method in methods
        if not called.startswith("_")
        for name in inspect.signature(method).parameters
        if name.endswith("seconds")
    ]
    assert limits
    for method, name in limits:
        given = {
            each.name: OTHERS.get(each.name, "text")
            for each in [*inspect.signature(method).parameters.values()][1:]
            if each.default is each.empty
        }
        with pytest.raises(LabError, match="'30s' isn't a number of seconds"):
            method(None, **{**given, name: "30s"})


@pytest.mark.parametrize("name", [*UNLIKELY, "", "a/b"])
def test_a_lab_of_no_name_does_not_start(name):
    with pytest.raises(LabError, match=r"can't use|isn't a valid lab name"):
        start(name)


@pytest.mark.parametrize("name", UNLIKELY)
def test_a_name_that_is_no_text_gets_into_no_path(name):
    with pytest.raises(LabError, match="so nothing was sent"):
        check_name("Pod", name)
