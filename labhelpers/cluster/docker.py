"""The docker client: run one command, or hold one end of its pipe."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from labhelpers.errors import LabError, TimedOut

__all__ = ["first_present", "has_image", "piped", "run"]

DO = "Run `podlab doctor`: it looks at the engine and at the disk."


def run(
    *arguments: str | Path,
    timeout_seconds: float = 60,
    check: bool = True,
    stdin: int | IO = subprocess.DEVNULL,
) -> str:
    """Run one docker command.

    Args:
        arguments: what follows ``docker``.
        timeout_seconds: the limit.
        check: whether a failure raises; without it, a failure is an empty text.
        stdin: what it reads.

    Returns:
        What it printed, without the white space around it.

    Raises:
        TimedOut: it didn't end within the limit.
        LabError: it failed, or there is no docker client.
    """
    try:
        done = subprocess.run(
            ["docker", *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_seconds,
            stdin=stdin,
        )
    except subprocess.TimeoutExpired as error:
        if not check:
            return ""
        happened = f"docker {arguments[0]} didn't finish within {timeout_seconds:g} s."
        raise TimedOut(happened, "no answer", DO) from error
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
    """One end of a docker command's pipe: its output (``save``), or with ``into`` its input
    (``load``, ``import``). When the block is left, the command has ended.

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
            # A command that ended early breaks the pipe; its own words say why it ended.
            with suppress(BrokenPipeError):
                yield end
            with suppress(BrokenPipeError):
                end.close()
            code = process.wait(timeout_seconds)
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
