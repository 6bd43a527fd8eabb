"""podlab's own part: which lab is meant, what a call returns, how an error looks."""

import doctest
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from labhelpers import cli, lab, paths
from labhelpers.cluster import doctor, lifecycle
from labhelpers.errors import LabError
from labhelpers.exercises import Verdict
from labhelpers.record import Record
from tests.unit.engines import NONE, says


@pytest.mark.parametrize(
    "lab", ["00", "0", "00-start-here", "00_start_here", "00_start_here.ipynb"]
)
def test_a_lab_is_found_by_number_or_name(lab):
    assert cli.notebook_of(lab).name == "00_start_here.ipynb"


def test_a_lab_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(LabError, match="00-start-here"):
        cli.notebook_of("77")


def test_an_error_is_three_lines_on_stderr_and_exit_code_1(monkeypatch, capsys):
    monkeypatch.setattr(
        lifecycle,
        "status",
        lambda: (_ for _ in ()).throw(LabError("It broke.", "a hole", "Mend it.")),
    )
    assert cli.main(["status"]) == 1
    assert capsys.readouterr() == ("", "It broke.\nSeen: a hole\nDo:   Mend it.\n")


def test_ctrl_c_says_that_what_is_done_is_kept(monkeypatch, capsys):
    monkeypatch.setattr(lifecycle, "status", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert cli.main(["status"]) == 130
    assert "Finished steps are kept" in capsys.readouterr().err


def test_output_that_nobody_reads_to_its_end_is_no_error():
    """As in `podlab plan 8h | head -1`."""
    command = [sys.executable, "-m", "labhelpers.cli", "plan", "8h"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_wrong_call_is_exit_code_2():
    done = subprocess.run(
        [sys.executable, "-m", "labhelpers.cli", "fly"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "invalid choice: 'fly'" in done.stderr


@pytest.mark.parametrize(("works", "code"), [(True, 0), (False, 1)])
def test_doctors_exit_code_says_whether_up_will_work(monkeypatch, capsys, works, code):
    monkeypatch.setattr(doctor, "report", lambda people: ("report", works))
    assert cli.main(["doctor"]) == code


def test_a_port_in_use_is_told_before_anything_starts(monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("PORT", port)
        monkeypatch.setattr(subprocess, "Popen", lambda *_: pytest.fail("JupyterLab was started"))
        assert cli.main(["open"]) == 1
    happened, *_ = capsys.readouterr().err.splitlines()
    assert happened == f"Port {port} is in use."


def test_a_jupyterlab_that_is_open_is_named_and_no_second_one_started(monkeypatch, capsys):
    monkeypatch.setenv("OPEN", "no")
    monkeypatch.setattr(cli.jupyterlab, "open_already", lambda notebook: f"in it/{notebook.name}")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a second one"))
    assert cli.main(["open", "01"]) == 0
    assert "in it/01_what_a_pod_is.ipynb" in capsys.readouterr().out


def test_jupyterlabs_terminals_find_podlab(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    begun = Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr(subprocess, "Popen", begun)
    monkeypatch.setattr(cli.stored, "install_save_hook", lambda: None)
    monkeypatch.setattr(cli.stored, "install_defaults", lambda: None)
    monkeypatch.setenv("PATH", "/usr/bin")
    cli.main(["open"])
    given = begun.call_args.kwargs["env"]
    assert given["PATH"] == f"{paths.tools()}:{Path(sys.executable).parent}:/usr/bin"
    assert given["KUBECONFIG"] == str(paths.terminal_kubeconfig())
    assert os.environ["PATH"] == "/usr/bin"
    [settings] = [word for word in begun.call_args.args[0] if "terminado_settings" in word]
    assert settings.startswith("--ServerApp.terminado_settings=shell_command=")


def test_a_term_ends_a_step_in_good_order_even_where_ctrl_c_is_ignored(monkeypatch, capsys):
    """A background job of a shell ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        monkeypatch.setattr(lifecycle, "status", lambda: signal.raise_signal(signal.SIGTERM))
        assert cli.main(["status"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "Finished steps are kept" in capsys.readouterr().err


FINE = Verdict(True, "fine")


@pytest.mark.parametrize(
    ("answers", "code", "told"),
    [
        (3 * [FINE], 0, ["a: passed: fine", "b: passed: fine", "c: passed: fine"]),
        (
            [FINE, Verdict(False, "no Pod"), FINE],
            1,
            ["a: passed: fine", "b: not yet: no Pod", "c: passed: fine"],
        ),
        ([FINE, LabError("It broke.", "a hole", "Mend it.")], 1, ["a: passed: fine"]),
        ([KeyboardInterrupt()], 130, []),
    ],
)
def test_a_check_gives_its_namespace_back_however_it_ends(monkeypatch, capsys, answers, code, told):
    begun = Mock()
    begun.check.side_effect = answers
    monkeypatch.setattr(lifecycle, "check_up", lambda: None)
    monkeypatch.setattr(lab, "start", lambda name, exclusive: begun)
    assert cli.main(["check", "01"]) == code
    begun.finish.assert_called_once_with()
    assert capsys.readouterr().out.splitlines() == told


def test_progress_needs_no_cluster(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PODLAB_MINE", str(tmp_path))
    monkeypatch.setattr(lifecycle, "check_up", lambda: pytest.fail("a cluster was asked for"))
    Record().claim("02-pause", "B1")
    assert cli.main(["progress"]) == 0
    told = capsys.readouterr().out
    assert "02-pause" in told
    assert "Next: 7 more claims of lab 02, Who keeps the Pod together: podlab open 02" in told
    assert cli.main(["progress", "--json"]) == 0
    rows = {row["lab"]: row for row in json.loads(capsys.readouterr().out)["labs"]}
    assert (rows["02-pause"]["seen"], rows["03-scheduling"]["seen"]) == (1, 0)


def test_progress_leaves_a_newer_record_alone(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PODLAB_MINE", str(tmp_path))
    (tmp_path / "progress.json").write_text('{"version": 2}')
    assert cli.main(["progress"]) == 1
    assert "A newer podlab has written the record" in capsys.readouterr().err
    assert (tmp_path / "progress.json").read_text() == '{"version": 2}'


@pytest.mark.parametrize(
    ("name", "needs"), [("12-cpu", True), ("02-pause", False), ("99-of-mine", False)]
)
def test_a_lab_that_has_the_node_to_itself_has_it_for_its_exercises_too(name, needs):
    assert cli.needs_the_node(name) is needs


@pytest.mark.parametrize("module", [paths, cli])
def test_an_example_leaves_later_tests_their_cluster(monkeypatch, module):
    monkeypatch.setenv("PODLAB_CLUSTER", "the-tests-own")
    says(monkeypatch, NONE)
    before = dict(os.environ)
    assert doctest.testmod(module).failed == 0
    assert dict(os.environ) == before


@pytest.mark.parametrize("word", ["-3", "many", "2.5", "٣", "65536", ""])
@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["doctor", "--room"], "1 to 500"),
        (["board", "--port"], "1 to 65535"),
        (["bundle", "serve", "room.tar", "--port"], "0 to 65535"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(words, numbers, word, capsys):
    *others, option = words
    with pytest.raises(SystemExit):
        cli.parser().parse_args([*others, f"{option}={word}"])
    assert f"isn't a number from {numbers}" in capsys.readouterr().err


def test_a_board_has_the_same_port_after_a_restart(capsys):
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["board", "--port", "0"])
    assert "isn't a number from 1 to 65535" in capsys.readouterr().err


def test_podlab_is_named_as_it_can_be_typed_here(monkeypatch, tmp_path):
    command = tmp_path / ".venv" / "bin" / "podlab"
    command.parent.mkdir(parents=True)
    command.touch()
    monkeypatch.setattr(sys, "executable", str(command.with_name("python")))
    monkeypatch.setattr(cli.shutil, "which", lambda name: None)
    monkeypatch.chdir(tmp_path)
    assert cli._podlab() == ".venv/bin/podlab"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cli._podlab() == str(command)
    monkeypatch.setattr(cli.shutil, "which", lambda name: "/usr/bin/podlab")
    assert cli._podlab() == "podlab"
