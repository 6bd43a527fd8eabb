"""Shows a step of the set-up: what it does, its progress, how long it took, and three lines if it
fails."""

import codecs
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from labhelpers import paths
from labhelpers.errors import LabError, TimedOut
from labhelpers.patience import advice, patient

__all__ = [
    "Step",
    "log_lines",
    "print_anywhere",
    "seconds_in_words",
    "step",
    "tail",
    "telling_line",
]

PLAIN_LINE_SECONDS, PLAIN_LINE_CHARACTERS = 20, 160
LIVING_LINE_SECONDS = 0.25
LONGEST_BYTES = 1 << 20  # of a program's output; the longest build prints a fifth of that
END_SECONDS = 5  # how long a process group gets between TERM and KILL

Reads = Callable[[str], tuple[str, str]]
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TELLING = re.compile(
    r"error|fail|fatal|cannot|can't|denied|refused|not found|no such|no"
    r" space|panic|unable|invalid|^E:",
    re.IGNORECASE,
)
_HOLLOW = re.compile(r"^(make(\[\d+\])?: \*\*\*|exit status \d+|E: Sub-process|\$ )")


_IN_ASCII = str.maketrans(
    {"…": "...", "→": "->", "×": "x", "–": "-", "·": "-", "≈": "~", "±": "+-", "’": "'"}
)


def print_anywhere() -> None:
    """Makes stdout and stderr spell in ASCII what they can't encode, instead of raising: a program
    that runs under ``LC_ALL=C``, or whose output goes to a file, still says what it does.
    """
    codecs.register_error("podlab", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="podlab")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_IN_ASCII)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


def seconds_in_words(seconds: float) -> str:
    """A duration as people say it.

    >>> seconds_in_words(0.42), seconds_in_words(12.3), seconds_in_words(754)
    ('0.4 s', '12 s', '12 min 34 s')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def log_lines(text: str) -> list[str]:
    r"""The lines of a log as a terminal ends up showing them: no colours, no empty lines, and only
    the last state of a line that was rewritten in place.

    >>> log_lines("\x1b[32mok\x1b[0m\n\n 10%\r 20%\r\n")
    ['ok', '20%']
    """
    lines = [
        _ANSI.sub("", line).rstrip("\r").rsplit("\r", 1)[-1].strip() for line in text.split("\n")
    ]
    return [line for line in lines if line]


def telling_line(text: str) -> str:
    r"""The line of a failed command's output that says why: the last that sounds like an error,
    else the last one.

    >>> telling_line("go: downloading x\nmain.go:3: undefined: y (error)\nexit status 2\n")
    'main.go:3: undefined: y (error)'
    >>> telling_line("one\ntwo\n")
    'two'
    """
    lines = [line for line in log_lines(text) if not _HOLLOW.match(line)][-50:]
    return next(
        (line for line in reversed(lines) if _TELLING.search(line)), lines[-1] if lines else ""
    )


def tail(path: Path, begin: int = 0, size_bytes: int = 16384) -> str:
    """The end of a file, at most ``size_bytes``, nothing from before ``begin``."""
    try:
        with path.open("rb") as file:
            file.seek(max(begin, file.seek(0, os.SEEK_END) - size_bytes))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _end_group(process: subprocess.Popen) -> None:
    """Ends a process that leads its own group, and its whole group: TERM, then KILL after a grace
    period."""
    # The group gets the signal even if its leader has ended: what the leader started may still run.
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + patient(END_SECONDS)
        while time.monotonic() < deadline and _group_lives(process):
            time.sleep(0.02)
    if process.poll() is None:
        process.wait(patient(END_SECONDS))


def _last_line(text: str) -> tuple[str, str]:
    return (log_lines(text[-4096:]) or [""])[-1], text[-16384:]


def _text(log: Path, begin: int) -> str:
    return tail(log, begin, LONGEST_BYTES)


def _shown(log: Path, begin: int, reads: Reads) -> str:
    return reads(_text(log, begin))[0]


def _wait_for_a_word(process: subprocess.Popen, log: Path, begin: int, seconds: float) -> None:
    """Waits until a program has printed something or has ended.

    Raises:
        subprocess.TimeoutExpired: it's silent, and still runs.
    """
    deadline = time.monotonic() + seconds
    while process.poll() is None and not tail(log, begin).strip():
        if time.monotonic() > deadline:
            raise subprocess.TimeoutExpired(process.args, seconds)
        time.sleep(0.1)


class _DeferredInterrupt:
    """Defers Ctrl-C until :meth:`deliver`, when there is a program to end. Only the main thread may
    set handlers, and only it gets the exception."""

    def __init__(self) -> None:
        self.came = False
        self.old = (
            signal.getsignal(signal.SIGINT)
            if threading.current_thread() is threading.main_thread()
            else None
        )
        if self.old is not None:
            signal.signal(signal.SIGINT, self._remember)

    def _remember(self, *_: object) -> None:
        self.came = True

    def deliver(self) -> None:
        if self.old is not None:
            signal.signal(signal.SIGINT, self.old)
        if self.came:
            raise KeyboardInterrupt


def _group_lives(process: subprocess.Popen) -> bool:
    process.poll()  # an unreaped leader would keep its group alive
    try:
        os.killpg(process.pid, 0)
    # macOS says "not permitted" about a group of zombies
    except (ProcessLookupError, PermissionError):
        return False
    return True


class Step:
    """What a step's block works with. Made by :func:`step`.

    Attributes:
        title: what the step is called.
        skipped: why there was nothing to do, or "".
        progress: the newest word on its progress; written by :meth:`say` and :meth:`run`.
    """

    def __init__(self, title: str, output: TextIO):
        self.title, self.output, self.skipped, self.progress = title, output, "", ""
        self._begin = time.monotonic()
        self._end = threading.Event()
        self._log: tuple[Path, int, Reads] | None = None
        self._living = output.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
        self._ticker = threading.Thread(target=self._tick, name=f"step {title}", daemon=True)

    def skip(self, reason: str) -> None:
        """Says that there is nothing to do; the closing line gives the reason instead of a time."""
        self.skipped = reason

    def say(self, progress: str) -> None:
        """Sets the step's progress, which the living line or the next plain line shows."""
        self.progress = progress

    def run(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        timeout_seconds: float,
        first_word_seconds: float | None = None,
        reads: Reads | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Runs a program to its end, and appends its output to a log that is kept.

        Args:
            command: the program and its arguments; no shell.
            log: the file for stdout and stderr; its last line is the step's progress.
            timeout_seconds: the limit, times ``PODLAB_PATIENCE``. At the limit the program and
                everything that it started are ended.
            reads: splits the output so far into what is shown, and the rest, which is searched for
                the reason of a failure; default: the last line is shown.
            first_word_seconds: an earlier limit, for a program that has printed nothing yet.
            env: the whole environment; default: this process's.
            cwd: the folder to run in; default: this process's.

        Raises:
            TimedOut: the program didn't end within the limit.
            LabError: the program is missing, or failed; the second line is the last telling line of
                the log.
            KeyboardInterrupt: passed on, after the program and everything that it started have been
                ended.

        >>> import io, pathlib, tempfile
        >>> log = pathlib.Path(tempfile.mkdtemp()) / "echo.log"
        >>> with step("Echo", output=io.StringIO()) as step:
        ...     step.run(["echo", "hello"], log=log, timeout_seconds=10)
        >>> print(log.read_text().splitlines()[-1])
        hello
        """
        words = [str(word) for word in command]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            file.write(f"$ {shlex.join(words)}\n".encode())
            file.flush()
            begin = file.tell()
            # A Ctrl-C while the program is being started would leave it running. It's deferred
            # until there is something to end.
            deferred = _DeferredInterrupt()
            try:
                # In a session of its own, so that Ctrl-C on the terminal reaches only this process,
                # which then ends the whole group.
                process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=env,
                    cwd=cwd,
                    start_new_session=True,
                )
            except OSError as error:
                deferred.deliver()
                raise LabError(
                    f"{self.title} failed.",
                    f"{words[0]} can't be run: {error.strerror}",
                    "Install that program, or make it executable; then run the same command again.",
                ) from error
        try:
            deferred.deliver()
            self._log = (log, begin, reads or _last_line)
            limit = patient(first_word_seconds or timeout_seconds)
            if first_word_seconds:
                _wait_for_a_word(process, log, begin, limit)
                limit = patient(timeout_seconds)
            code = process.wait(limit)
        except subprocess.TimeoutExpired as error:
            _end_group(process)
            last = (log_lines(tail(log, begin)) or ["no output"])[-1]
            raise TimedOut(
                f"{self.title} didn't finish within {seconds_in_words(limit)} and was stopped.",
                f"{words[0]}, last line: {last}",
                advice(f"Read {log}, then run the same command again: finished steps are kept."),
            ) from error
        except BaseException:
            _end_group(process)
            raise
        finally:
            self.progress = _shown(log, begin, reads or _last_line)
            self._log = None
        if code:
            _end_group(process)
            how = f"exit status {code}" if code > 0 else f"ended by signal {-code}"
            line = telling_line((reads or _last_line)(_text(log, begin))[1]) or "no output"
            raise LabError(
                f"{self.title} failed.",
                f"{words[0]}, {how}: {line}",
                f"Read {log}, then run the same command again: finished steps are kept.",
            )

    def _tick(self) -> None:
        pause = LIVING_LINE_SECONDS if self._living else PLAIN_LINE_SECONDS
        while not self._end.wait(pause):
            if self._living:
                self._show_living()
            else:
                line = textwrap.shorten(self._now(), PLAIN_LINE_CHARACTERS, placeholder=" …")
                self._print(line)

    def _now(self) -> str:
        watched = self._log  # read once, because run() may clear it
        if watched:
            self.progress = _shown(*watched) or self.progress
        return f"{self.title} … {seconds_in_words(time.monotonic() - self._begin)}" + (
            f": {self.progress}" if self.progress else ""
        )

    def _show_living(self) -> None:
        width = shutil.get_terminal_size().columns - 1
        self.output.write(f"\r\x1b[K{self._now()[:width]}")
        self.output.flush()

    def _print(self, line: str) -> None:
        self.output.write(("\r\x1b[K" if self._living else "") + line + "\n")
        self.output.flush()

    def _open(self) -> None:
        if self._living:
            self._show_living()
        else:
            self._print(f"{self.title} …")
        self._ticker.start()

    def _close(self, outcome: str) -> None:
        self._end.set()
        self._ticker.join()
        self._print(f"{self.title}: {outcome}")

    def _taken(self) -> str:
        return seconds_in_words(time.monotonic() - self._begin)


@contextmanager
def step(title: str, *, output: TextIO | None = None) -> Iterator[Step]:
    """Shows one step of the set-up while it runs.

    On a terminal it's one living line with the seconds and the newest word of what runs. Elsewhere
    it's a line at the beginning, one every 20 s, and one at the end.

    Args:
        title: what is being set up, a noun: "Docker engine".
        output: where the lines go; default: stdout.

    Raises:
        LabError: what the body raised, unchanged. An OSError of the body, such as a full disk,
            becomes one, and so does a program that failed or didn't end in time.

    >>> with step("Docker engine") as step:
    ...     step.skip("already there")
    Docker engine …
    Docker engine: already there
    """
    made = Step(title, output or sys.stdout)
    made._open()
    try:
        yield made
    except KeyboardInterrupt:
        made._close(f"interrupted after {made._taken()}")
        raise
    except (OSError, subprocess.SubprocessError) as error:
        made._close(f"failed after {made._taken()}")
        if isinstance(error, OSError) and error.filename:
            raise paths.cannot_use(error, f"{title} failed.") from error
        raise LabError(
            f"{title} failed.",
            str(getattr(error, "strerror", None) or error),
            "Run `podlab doctor`: it checks disk, folders and engine. Then run the command again.",
        ) from error
    except BaseException:
        made._close(f"failed after {made._taken()}")
        raise
    made._close(made.skipped or f"done in {made._taken()}")
