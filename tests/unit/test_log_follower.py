"""labhelpers.measure.log_follower with a kubectl of its own."""

import time

import pytest

from labhelpers.measure import log_follower
from labhelpers.measure.log_follower import LogFollower

KUBECTL = """#!/bin/sh
echo "$@" > "$0.asked"
echo "[pod/web/late] 1970-01-01T00:00:02.5Z last words"
echo "[pod/web/app] 1970-01-01T00:00:01Z SIGTERM"
echo "error: a line of kubectl's own"
exec sleep SECONDS
"""


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    """Makes a kubectl that ends after so many seconds."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def make(seconds):
        (tmp_path / "kubectl").write_text(KUBECTL.replace("SECONDS", str(seconds)))
        (tmp_path / "kubectl").chmod(0o755)
        return tmp_path / "kubectl.asked"

    return make


def test_lines_are_read_until_the_logs_end(kubectl):
    asked = kubectl(0.2)
    with LogFollower("web", "--all-containers") as logs:
        assert logs.lines == []
    assert [(line.container, line.seconds, line.text) for line in logs.lines] == [
        ("app", 1.0, "SIGTERM"),
        ("late", 2.5, "last words"),
    ]
    assert asked.read_text() == "logs web --all-containers --follow --prefix --timestamps\n"


def test_logs_that_never_end_are_left_after_their_limit_with_what_they_said(kubectl, monkeypatch):
    kubectl(60)
    monkeypatch.setattr(log_follower, "END_SECONDS", 0.5)
    since = time.monotonic()
    with LogFollower("web") as logs:
        pass
    assert time.monotonic() - since < 10
    assert [line.text for line in logs.lines] == ["SIGTERM", "last words"]
    assert logs._process.returncode < 0


def test_a_block_that_fails_ends_it_at_once(kubectl):
    kubectl(60)
    since = time.monotonic()
    with pytest.raises(ValueError, match="mine"), LogFollower("web") as logs:
        raise ValueError("mine")
    assert time.monotonic() - since < 10
    assert logs._process.returncode < 0
