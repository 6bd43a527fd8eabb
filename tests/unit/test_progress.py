"""A stage: what it prints, what it runs, how it fails, and that nothing is left when it is
stopped."""

import errno
import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from labhelpers.cluster import progress
from labhelpers.errors import LabError, TimedOut


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def wait_for(goal, seconds=10):
    deadline = time.monotonic() + seconds
    while not goal():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


def test_plain_output_has_a_line_at_the_begin_and_one_at_the_end():
    output = io.StringIO()
    with progress.step("Programs", output=output):
        pass
    assert re.fullmatch(r"Programs …\nPrograms: done in \d+\.\d s\n", output.getvalue())


def test_a_skipped_stage_says_why():
    output = io.StringIO()
    with progress.step("Programs", output=output) as step:
        step.skip("already there")
    assert output.getvalue() == "Programs …\nPrograms: already there\n"


def test_plain_output_tells_in_between_how_it_goes(monkeypatch, tmp_path):
    monkeypatch.setattr(progress, "PLAIN_LINE_SECONDS", 0.05)
    output, log = io.StringIO(), tmp_path / "log"
    with progress.step("Programs", output=output) as step:
        step.run(["sh", "-c", "echo one; echo two; sleep 0.5"], log=log, timeout_seconds=10)
        step.run(["sh", "-c", "seq 1000 | xargs; sleep 0.5"], log=log, timeout_seconds=10)
    assert re.search(r"^Programs … \d+\.\d s: two$", output.getvalue(), re.MULTILINE)
    assert re.search(r"^Programs … \d+\.\d s: 1 2 3 [\d ]{80,} …$", output.getvalue(), re.MULTILINE)
    assert max(map(len, output.getvalue().splitlines())) <= progress.PLAIN_LINE_CHARACTERS


def test_a_terminal_gets_one_living_line_no_wider_than_itself(monkeypatch, tmp_path):
    monkeypatch.setattr(progress, "LIVING_LINE_SECONDS", 0.02)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    output = Terminal()
    with progress.step("Programs", output=output) as step:
        step.run(
            ["sh", "-c", "printf '%0100d' 7; sleep 0.3"], log=tmp_path / "log", timeout_seconds=10
        )
    text = output.getvalue()
    assert text.count("\n") == 1 and text.endswith("s\n")
    drawn = text.split("\r\x1b[K")
    assert any(": 000" in line for line in drawn)
    assert max(len(line.rstrip("\n")) for line in drawn) <= 39


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    output = Terminal()
    with progress.step("Programs", output=output):
        pass
    assert "\x1b" not in output.getvalue()


def test_the_log_is_kept_and_appended_to(tmp_path):
    log = tmp_path / "deep" / "log"
    for word in ("one", "two"):
        with progress.step("Programs", output=io.StringIO()) as step:
            step.run(
                ["sh", "-c", f"echo {word}; echo {word}-error >&2"], log=log, timeout_seconds=10
            )
    assert log.read_text().splitlines() == [
        "$ sh -c 'echo one; echo one-error >&2'",
        "one",
        "one-error",
        "$ sh -c 'echo two; echo two-error >&2'",
        "two",
        "two-error",
    ]


def test_environment_and_folder_are_passed_on(tmp_path):
    with progress.step("Programs", output=io.StringIO()) as step:
        step.run(
            ["/bin/sh", "-c", "echo $WORD; pwd -P"],
            log=tmp_path / "log",
            timeout_seconds=10,
            env={"WORD": "hello"},
            cwd=tmp_path,
        )
    assert (tmp_path / "log").read_text().splitlines()[1:] == ["hello", str(tmp_path.resolve())]


@pytest.mark.parametrize(
    ("script", "seen"),
    [
        ("echo fine; exit 3", "sh, exit status 3: fine"),
        ("exit 3", "sh, exit status 3: no output"),
        (
            "echo 'main.go:3: undefined: y, an error'; echo later; exit 2",
            "sh, exit status 2: main.go:3: undefined: y, an error",
        ),
        (
            "echo 'no space left on device'; echo 'make: *** [all] Error 1'; exit 2",
            "sh, exit status 2: no space left on device",
        ),
        ("echo last words; kill -9 $$", "sh, ended by signal 9: last words"),
    ],
)
def test_a_failure_is_three_lines_with_the_line_of_the_log_that_tells(tmp_path, script, seen):
    output, log = io.StringIO(), tmp_path / "log"
    log.write_text("an error of last week\n")
    with pytest.raises(LabError) as caught, progress.step("Programs", output=output) as step:
        step.run(["sh", "-c", script], log=log, timeout_seconds=10)
    assert caught.value.happened == "Programs failed."
    assert caught.value.seen == seen
    assert str(log) in caught.value.do
    assert re.search(r"^Programs: failed after \d+\.\d s$", output.getvalue(), re.MULTILINE)


def test_a_program_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LabError) as caught, progress.step("Programs", output=io.StringIO()) as step:
        step.run(["no-such-program"], log=tmp_path / "log", timeout_seconds=10)
    assert "no-such-program can't be run" in caught.value.seen


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_or_a_closed_folder_becomes_three_lines(number):
    with pytest.raises(LabError) as caught, progress.step("Programs", output=io.StringIO()):
        raise OSError(number, os.strerror(number), "/some/file")
    assert caught.value.seen == f"{os.strerror(number)}: /some/file"


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (
            subprocess.TimeoutExpired(["docker", "ps"], 5),
            "'docker', 'ps'.*timed out after 5 seconds",
        ),
        (subprocess.CalledProcessError(3, ["ctr"]), "'ctr'.*returned non-zero exit status 3"),
    ],
)
def test_a_program_that_hangs_or_fails_becomes_three_lines(error, seen):
    with (
        pytest.raises(LabError, match=rf"Programs failed\.\nSeen: .*{seen}"),
        progress.step("Programs", output=io.StringIO()),
    ):
        raise error


def test_a_mistake_of_our_own_stays_what_it_is():
    with pytest.raises(ZeroDivisionError), progress.step("Programs", output=io.StringIO()):
        _ = 1 / 0


STUBBORN = "trap '' TERM; echo $$; sh -c 'trap \"\" TERM; echo $$; exec sleep 100' & wait; wait"


def pids_in(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().splitlines()[1:] if line] if log.exists() else []


@linux
def test_at_the_limit_the_whole_group_is_ended_even_if_it_ignores_term(monkeypatch, tmp_path):
    monkeypatch.setattr(progress, "END_SECONDS", 0.2)
    log = tmp_path / "log"
    with pytest.raises(TimedOut) as caught, progress.step("Programs", output=io.StringIO()) as step:
        step.run(["sh", "-c", STUBBORN], log=log, timeout_seconds=2)
    assert caught.value.happened == "Programs didn't finish within 2.0 s and was stopped."
    pids = pids_in(log)
    assert len(pids) == 2
    wait_for(lambda: not any(alive(pid) for pid in pids))


@linux
def test_a_program_that_says_nothing_is_given_up_early_and_one_that_speaks_is_not(tmp_path):
    step = progress.Step("Image", io.StringIO())
    limits = {"log": tmp_path / "log", "timeout_seconds": 30, "first_word_seconds": 0.5}
    with pytest.raises(TimedOut) as caught:
        step.run(["sleep", "60"], **limits)
    assert caught.value.happened == "Image didn't finish within 0.5 s and was stopped."
    step.run(["sh", "-c", "echo Pulling; sleep 1"], **limits)
    step.run(["true"], **limits)


@linux
def test_what_a_failed_program_left_in_its_group_is_ended(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(LabError), progress.step("Programs", output=io.StringIO()) as step:
        step.run(["sh", "-c", "sleep 100 & echo $!; exit 1"], log=log, timeout_seconds=10)
    wait_for(lambda: not alive(pids_in(log)[0]))


@linux
def test_ctrl_c_ends_the_group_and_passes_on(tmp_path):
    log = tmp_path / "log"
    program = textwrap.dedent(f"""
        import pathlib
        from labhelpers.cluster import progress
        command = ["sh", "-c", "sleep 100 & echo $!; echo $$; wait"]
        with progress.step("Programs") as step:
            step.run(command, log=pathlib.Path({str(log)!r}), timeout_seconds=60)
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: len(pids_in(log)) == 2)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert re.search(r"^Programs: interrupted after", said, re.MULTILINE)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    wait_for(lambda: not any(alive(pid) for pid in pids_in(log)))


@linux
def test_ctrl_c_in_the_moment_of_the_start_ends_what_was_started(monkeypatch, tmp_path):
    popen, started = subprocess.Popen, []

    def interrupted(*words, **how):
        started.append(popen(*words, **how))
        os.kill(os.getpid(), signal.SIGINT)
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), progress.step("Programs", output=io.StringIO()) as step:
        step.run(["sleep", "100"], log=tmp_path / "log", timeout_seconds=60)
    assert started[0].wait(5) == -signal.SIGTERM
    assert signal.getsignal(signal.SIGINT) is before


def test_no_thread_is_left():
    with pytest.raises(ValueError), progress.step("Programs", output=io.StringIO()):
        raise ValueError
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("step ")]


@pytest.mark.parametrize("module", ["cli", "cluster.environment"])
def test_output_that_cannot_encode_a_character_gets_it_in_ascii(module):
    """As under cron, in a bare container, or where somebody set LC_ALL=C."""
    variables = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    script = (
        f"import labhelpers.{module} as m; from labhelpers.cluster import progress\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "with progress.step('Ein Schritt f\\xfcr 2 \\u2192 3 \\u2026'): pass\n"
    )
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2] == rb"Ein Schritt f\xfcr 2 -> 3 ... ..."


def test_doctor_tells_everything_in_ascii(tmp_path):
    variables = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    variables |= {"PODLAB_STATE": str(tmp_path), "NO_PROXY": "", "http_proxy": "x"}
    command = [sys.executable, "-m", "labhelpers.cli", "doctor"]
    done = subprocess.run(command, env=variables, capture_output=True, timeout=60)
    assert done.stderr == b""
    assert b"-> export NO_PROXY" in done.stdout


@pytest.mark.parametrize("words", ["plan 8h", "progress"])
def test_the_labs_titles_and_tables_have_a_spelling_in_ascii(words, tmp_path):
    variables = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "labhelpers.cli", *words.split()]
    variables |= {"PODLAB_MINE": str(tmp_path)}
    done = subprocess.run(command, env=variables, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert b"00" in done.stdout and b"\\" not in done.stdout
