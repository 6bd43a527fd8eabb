"""What is shown of a Go build, with a go that prints what the real one printed."""

import io
import re

import pytest

from labhelpers.cluster import go_progress, progress
from labhelpers.cluster.go_progress import Compiling
from labhelpers.errors import LabError

GO = """#!/bin/sh
case "$1" in
list)
    echo "go: downloading github.com/pkg/errors v0.9.1" >&2
    for name in unsafe errors io k8s.io/api podlab/x; do echo "podlab-compiles $name"; done
    echo; echo
    ;;
build)
    [ "$2" = -v ] || exit 3
    for name in errors io k8s.io/api; do echo "$name" >&2; done
    %s
    ;;
esac
"""


@pytest.fixture
def build(tmp_path):
    """Builds with a go that ends like this; the progress is shown by the step that comes back."""
    (tmp_path / "go.sum").write_text(
        "github.com/pkg/errors v0.9.1 h1:x=\ngithub.com/pkg/errors v0.9.1/go.mod h1:y=\n"
    )

    def run(end: str) -> progress.Step:
        (tmp_path / "go").write_text(GO % end)
        (tmp_path / "go").chmod(0o755)
        step = progress.Step("kubernetes", io.StringIO())
        shown = []
        step.say = shown.append
        settings = {"log": tmp_path / "log", "env": {"PATH": "/bin:/usr/bin"}, "folder": tmp_path}
        go_progress.build(step, str(tmp_path / "go"), ["-trimpath"], "tool", "out", **settings)
        return step

    return run


def test_the_packages_are_counted(build):
    assert build("true").progress == "package 3 of 4: k8s.io/api"
    assert build("echo podlab/x").progress == "all 4 packages compiled, linking"


def test_a_packages_name_is_no_error(build):
    with pytest.raises(LabError) as caught:
        build("echo 'main.go:3: undefined: y'; echo errors; exit 1")
    assert caught.value.seen.endswith("exit status 1: main.go:3: undefined: y")


def test_what_is_downloaded_is_counted_too(build):
    said = "go: downloading a v1\npodlab-compiles errors\ngo: downloading b v2\n"
    assert go_progress.downloading(said, 5)[0].endswith("module 2 of at most 5: b v2")
    assert go_progress.downloading("", 5)[0] == "looking for what has to be compiled"
    assert go_progress.downloading(said + "go: b@v2: no such host", 5)[1].split("\n")[-1] == (
        "go: b@v2: no such host"
    )


def test_a_build_that_goes_on_counts_what_is_left():
    shown = [Compiling(["c", "d"])(text)[0] for text in ("", "c", "c\nd")]
    assert [re.findall(r"\d+", line) for line in shown] == [[], ["1", "2"], ["2"]]
