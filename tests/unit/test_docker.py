"""The docker client's failures, with a script in its place."""

import os

import pytest

from labhelpers.cluster import docker
from labhelpers.errors import LabError, TimedOut


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Puts a script where the docker client would be."""

    def write(text):
        program = tmp_path / "bin" / "docker"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return write


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("echo one >&2; echo no such image >&2; exit 1", LabError, "no such image"),
        ("exit 1", LabError, "no message"),
        ("sleep 10", TimedOut, "didn't finish within 0.5 s"),
    ],
)
def test_a_command_that_fails_or_hangs_is_an_error_or_an_empty_text(script, text, kind, words):
    script(text)
    with pytest.raises(kind, match=words):
        docker.run("inspect", "x", timeout_seconds=0.5)
    assert docker.run("inspect", "x", timeout_seconds=0.5, check=False) == ""


def test_without_a_client_it_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match=r"docker inspect can't be run\."):
        docker.run("inspect", "x")
    assert not docker.has_image("x")


def test_one_commands_output_is_the_input_of_another(script):
    script('if [ "$1" = save ]; then echo "images: $2"; else cat; fi')
    with docker.piped("save", "a") as archive:
        assert docker.run("load", stdin=archive) == "images: a"


def test_what_is_written_arrives(script, tmp_path):
    script(f"cat > {tmp_path}/got")
    with docker.piped("load", into=True) as archive:
        archive.write(b"layers")
    assert (tmp_path / "got").read_bytes() == b"layers"


@pytest.mark.parametrize("into", [True, False])
def test_the_words_of_a_command_that_ends_early_count_and_not_the_broken_pipe(script, into):
    """As on a full disk."""
    script("echo no space left on device >&2; exit 1")
    with (
        pytest.raises(LabError, match="no space left on device"),
        docker.piped("load", into=into) as end,
    ):
        end.write(b"x" * (4 << 20)) if into else end.read()


def test_an_error_of_the_block_ends_the_command(script, tmp_path):
    script(f"echo $$ > {tmp_path}/pid; exec cat /dev/zero")
    with pytest.raises(ZeroDivisionError), docker.piped("save", "a") as archive:
        archive.read(1)
        _ = 1 / 0
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
