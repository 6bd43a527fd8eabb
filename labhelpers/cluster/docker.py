"""The docker client: asks for its engine, runs one command, or opens one end of its pipe."""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from labhelpers import patience
from labhelpers.cluster.probe import probe
from labhelpers.cluster.progress import telling_line
from labhelpers.errors import LabError, TimedOut

__all__ = ["Answer", "ask", "first_present", "has_image", "piped", "run"]

DO = "Run `podlab doctor`: it looks at the engine and at the disk."
ASK_SECONDS = 5
# What a healthy client says when it finds no engine: up to version 28, and since 29. A new engine
# wouldn't help against anything else.
NO_ENGINE = re.compile(
    r"cannot connect to the docker daemon|failed to connect to the docker api"
    r"|: eof$|connection reset by peer"  # it ended while it was asked
)
FORBIDDEN = re.compile(r"permission denied while trying to connect|dial unix .*permission denied")
# The first two say which engine the client looks for, the others how it connects.
VARIABLES = (
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_TLS_VERIFY",
    "DOCKER_TLS",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_API_VERSION",
)
PODMAN = "Podman answers under Docker's name."


@dataclass(frozen=True)
class Answer:
    """What the docker client says when it's asked for its engine.

    Attributes:
        version: the engine's version; "" if none answers.
        trouble: why none answers, in the client's own words; "" if one does.
        kind: "answers"; "none" if only an engine is missing, so that starting one would help;
            "slow" after a limit; "forbidden"; "podman"; "broken" if the client can't work.
    """

    version: str = ""
    trouble: str = ""
    kind: str = "answers"

    @property
    def no_engine_helps(self) -> bool:
        """Whether starting an engine here would not help: the client wouldn't reach it."""
        return self.kind in ("forbidden", "podman", "broken")

    @property
    def happened(self) -> str:
        """The trouble in one sentence."""
        return {
            "podman": PODMAN,
            "forbidden": "This user may not use the Docker engine.",
            "slow": "The Docker engine didn't answer in time.",
            "broken": "The docker client doesn't work as it's set up.",
        }.get(self.kind, "No Docker engine answers.")

    @property
    def do(self) -> str:
        """What to do about it."""
        if self.kind == "podman":
            return (
                "The labs need Docker's own engine and client. Install them in place of the package"
                " podman-docker, or put Docker's client first on PATH, and unset DOCKER_HOST if it"
                " points to Podman. Podman itself can stay."
            )
        if self.kind == "forbidden":
            return "Add the user to the group docker, and log in again."
        if self.kind == "slow":
            return patience.advice("Check that Docker is healthy: `docker version`.")
        there = [name for name in VARIABLES if os.environ.get(name)]
        if self.kind == "broken":
            first = f"Correct or unset {', '.join(there)}" if there else "Repair the client"
            return f"{first}, until `docker version` names a server, or says that it can't connect."
        if chosen := " and ".join(name for name in there if name in VARIABLES[:2]):
            return f"Start the engine that {chosen} names, or unset {chosen}; then run this again."
        return "Start Docker (Docker Desktop, or your system's service); then run this again."

    def error(self) -> LabError:
        """The three lines."""
        kind = TimedOut if self.kind == "slow" else LabError
        return kind(self.happened, self.trouble, self.do)


def ask() -> Answer:
    """Asks the docker client for the engine that it reaches by ``DOCKER_HOST``, its context or the
    default socket.

    >>> ask().kind in ("answers", "none", "slow", "forbidden", "podman", "broken")
    True
    """
    asked = probe(["docker", "version", "--format", "{{json .}}"], ASK_SECONDS)
    if asked.trouble == "not run":
        return Answer(trouble=f"docker can't be run: {asked.said}", kind="broken")
    if asked.trouble:
        return Answer(trouble=asked.said, kind={"missing": "none", "slow": "slow"}[asked.trouble])
    return judged(asked.code, asked.printed, asked.said)


def judged(code: int, printed: str, said: str) -> Answer:
    """Reads the answer of `docker version --format '{{json .}}'`.

    >>> judged(1, "null", "Cannot connect to the Docker daemon at unix:///run/x.sock.").kind
    'none'
    >>> judged(1, "", 'context "nope" does not exist').kind
    'broken'
    """
    try:
        found = json.loads(printed)
        client, server = found.get("Client") or {}, found.get("Server") or {}
    except (ValueError, AttributeError):
        client, server = {}, {}
    parts = [str(part.get("Name", "")) for part in server.get("Components") or []]
    # Podman spells the name of this field differently, and its service names itself.
    if "APIVersion" in client or any("podman" in part.lower() for part in parts):
        number = server.get("Version") or client.get("Version")
        how = f"podman {number} runs as `docker`"
        if server:
            how = f"the docker client reaches Podman {number} instead of Docker"
        return Answer(trouble=how, kind="podman")
    if code == 0 and server.get("Version"):
        return Answer(version=server["Version"])
    words = telling_line(said) or f"`docker version` names no server (exit status {code})"
    if FORBIDDEN.search(words.lower()):
        return Answer(trouble=words, kind="forbidden")
    none = NO_ENGINE.search(words.lower())
    return Answer(trouble=words, kind="none" if none else "broken")


def run(
    *arguments: str | Path,
    timeout_seconds: float = 60,
    check: bool = True,
    stdin: int | IO = subprocess.DEVNULL,
) -> str:
    """Runs one docker command.

    Args:
        arguments: what follows ``docker``.
        timeout_seconds: the limit, which ``PODLAB_PATIENCE`` multiplies.
        check: whether a failure raises; if not, a failure returns "".
        stdin: the command's input.

    Returns:
        What it printed, without the white space around it.

    Raises:
        TimedOut: it didn't end within the limit.
        LabError: it failed, or there is no docker client.
    """
    limit = patience.patient(timeout_seconds)
    try:
        done = subprocess.run(
            ["docker", *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit,
            stdin=stdin,
        )
    except subprocess.TimeoutExpired as error:
        if not check:
            return ""
        happened = f"docker {arguments[0]} didn't finish within {limit:g} s."
        raise TimedOut(happened, "no answer", patience.advice(DO)) from error
    except OSError as error:
        if not check:
            return ""
        raise LabError(f"docker {arguments[0]} can't be run.", str(error), DO) from error
    if done.returncode and check:
        raise _failed(arguments, done.stderr)
    return "" if done.returncode else done.stdout.strip()


@contextmanager
def piped(
    *arguments: str | Path, into: bool = False, timeout_seconds: float = 300
) -> Iterator[IO[bytes]]:
    """Opens one end of a docker command's pipe: its output (``save``), or with ``into`` its input
    (``load``, ``import``). The command has ended when the block ends.

    Args:
        arguments: what follows ``docker``.
        into: whether the block writes to the command instead of reading from it.
        timeout_seconds: how long the command may take after the block.

    Raises:
        LabError: the command failed.
    """
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            ["docker", *map(str, arguments)],
            stdin=subprocess.PIPE if into else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if into else subprocess.PIPE,
            stderr=words,
        )
        end = process.stdin if into else process.stdout
        try:
            # A command that ends early breaks the pipe; its own words say why it ended.
            with suppress(BrokenPipeError):
                yield end
            with suppress(BrokenPipeError):
                end.close()
            code = process.wait(patience.patient(timeout_seconds))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            with suppress(BrokenPipeError):
                end.close()
        words.seek(0)
        said = words.read().decode(errors="replace")
    if code:
        raise _failed(arguments, said)


def _failed(arguments: tuple[str | Path, ...], said: str) -> LabError:
    words = (said.strip() or "no message").splitlines()[-1]
    return LabError(f"docker {arguments[0]} failed.", words, DO)


def has_image(name: str) -> bool:
    """Whether the engine has an image of that name."""
    return bool(run("image", "inspect", "--format", "{{.Id}}", name, check=False))


def first_present(images: list[str]) -> str:
    """The first of the images that the engine has; "" if it has none."""
    return next((image for image in images if has_image(image)), "")
