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


CLIENT = '{"Client":{"Version":"28.2.2","ApiVersion":"1.50","Context":"default"},"Server":%s}'
SERVER = '{"Version":"20.10.24","Components":[{"Name":"Engine","Version":"20.10.24"}]}'
SERVICE = '{"Version":"4.3.1","Components":[{"Name":"Podman Engine","Version":"4.3.1"}]}'
PODMAN = '{"Client":{"APIVersion":"4.3.1","Version":"4.3.1","OsArch":"linux/amd64"}}'
SOCKET = "unix:///var/run/docker.sock"


@pytest.mark.parametrize(
    ("code", "printed", "said", "kind"),
    [
        (0, CLIENT % SERVER, "", "answers"),
        (0, CLIENT % SERVER, "WARNING: Error loading config file: not a directory", "answers"),
        (1, CLIENT % "null", f"Cannot connect to the Docker daemon at {SOCKET}. Is the", "none"),
        (1, "null", f"failed to connect to the docker API at {SOCKET}; check if the", "none"),
        (1, CLIENT % "null", 'error during connect: Get "http://x/version": EOF', "none"),
        (
            1,
            CLIENT % "null",
            f"permission denied while trying to connect to the Docker daemon socket at {SOCKET}",
            "forbidden",
        ),
        (1, "", 'unable to resolve docker endpoint: context "nope" does not exist', "broken"),
        (1, "", 'Failed to initialize: context "nope": context not found: open /x', "broken"),
        (1, "", "unable to resolve docker endpoint: open /root/.docker/ca.pem: no such", "broken"),
        (1, "", "open /root/.docker/ca.pem: permission denied", "broken"),
        (1, CLIENT % "null", "error during connect: lookup nonsense: no such host", "broken"),
        (
            1,
            CLIENT % "null",
            "Error response from daemon: client version 1.99 is too new",
            "broken",
        ),
        (0, "", "", "broken"),
        (0, "[]", "", "broken"),
        (0, PODMAN, "Emulate Docker CLI using podman.", "podman"),
        (0, CLIENT % SERVICE, "", "podman"),
    ],
)
def test_only_a_missing_engine_counts_as_one(code, printed, said, kind):
    """Recorded from Docker 20.10 and 28.2, Podman 4.3 and its service; the words of Docker 29 are
    from its source."""
    answer = docker.judged(code, printed, said)
    assert answer.kind == kind
    assert answer.no_engine_helps is (kind in ("forbidden", "broken", "podman"))
    if kind in ("none", "forbidden", "broken") and said:
        assert answer.trouble == said
    if kind != "answers":
        assert answer.trouble and str(answer.error()).count("\n") == 2


def test_what_sets_the_client_up_is_named_and_a_limit_names_patience(script, monkeypatch):
    monkeypatch.setenv("DOCKER_CONTEXT", "nope")
    script("echo 'context \"nope\" does not exist' >&2; exit 1")
    assert "unset DOCKER_CONTEXT" in docker.ask().do
    monkeypatch.setattr(docker, "ASK_SECONDS", 0.2)
    script("sleep 10")
    assert docker.ask().kind == "slow"
    assert "PODLAB_PATIENCE=5" in str(docker.ask().error())
    monkeypatch.setenv("PODLAB_PATIENCE", "2")
    assert docker.ask().trouble == "no answer within 0.4 s"


@pytest.mark.parametrize(
    ("variable", "advice"),
    [
        ("DOCKER_HOST", "Start the engine that DOCKER_HOST names, or unset DOCKER_HOST"),
        ("DOCKER_CONTEXT", "Start the engine that DOCKER_CONTEXT names"),
        ("DOCKER_TLS_VERIFY", "Start Docker"),
    ],
)
def test_an_engine_that_was_chosen_may_be_the_wrong_one(script, monkeypatch, variable, advice):
    for name in docker.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "nope")
    script("echo 'Cannot connect to the Docker daemon at unix:///nope.sock.' >&2; exit 1")
    assert docker.ask().do.startswith(advice)


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
