"""How a bare Python makes the environment: which one, when it is skipped, and what is told where it
cannot be made."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labhelpers import paths
from labhelpers.cluster import environment, progress
from labhelpers.errors import LabError


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """An environment folder of one's own, and the commands that would have been run."""
    commands = []

    def run(self, command, *, log, **_):
        commands.append([str(word) for word in command])
        if "venv" in commands[-1]:
            environment.python().parent.mkdir(parents=True)
            environment.python().write_text("")

    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    monkeypatch.delenv("CONDA_DEFAULT_ENV", raising=False)
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "environment"))
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(environment, "LOCK", tmp_path / "lock")
    monkeypatch.setattr("labhelpers.cluster.progress.Step.run", run)
    monkeypatch.setattr(environment, "give_pip", lambda step: None)
    return commands


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, environment.REPOSITORY / ".venv"),
        ({"VIRTUAL_ENV": "/an/env"}, Path("/an/env")),
        (
            {"CONDA_PREFIX": "/conda/envs/podlab", "CONDA_DEFAULT_ENV": "podlab"},
            Path("/conda/envs/podlab"),
        ),
        ({"CONDA_PREFIX": "/conda", "CONDA_DEFAULT_ENV": "base"}, environment.REPOSITORY / ".venv"),
    ],
)
def test_an_active_environment_is_used_but_not_condas_own(monkeypatch, variables, place):
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment.folder() == place


def test_it_is_made_once_and_again_when_the_pins_change(ran, tmp_path, monkeypatch):
    environment.make("test")
    assert [words[1:3] for words in ran] == [["-m", "venv"], ["-m", "pip"]]
    assert ran[1][-1].endswith("[test]")
    environment.make("test")
    assert len(ran) == 2
    (tmp_path / "pyproject.toml").write_text("other pins")
    monkeypatch.setattr(environment, "REPOSITORY", tmp_path)
    environment.make("test")
    assert [words[1:3] for words in ran[2:]] == [["-m", "pip"]]


def test_what_a_reader_has_is_not_what_the_tests_need(ran):
    environment.make("")
    environment.make("test")
    assert [words[-1].endswith("[test]") for words in ran if "pip" in words] == [False, True]


def test_a_python_without_venv_is_told_before_anything_is_made(ran, tmp_path, monkeypatch):
    refused = subprocess.CompletedProcess(
        [], 1, "", "ModuleNotFoundError: No module named 'ensurepip'\n"
    )
    monkeypatch.setattr(environment.subprocess, "run", lambda *_, **__: refused)
    with pytest.raises(LabError) as caught:
        environment.make("")
    assert "No module named 'ensurepip'" in caught.value.seen
    assert (
        f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in caught.value.do
    )
    assert ran == []
    assert not (tmp_path / "environment").exists()


@pytest.mark.parametrize(
    ("system", "version", "words"), [("Windows", (3, 12), "WSL2"), ("Linux", (3, 14), "python3.13")]
)
def test_a_machine_that_the_labs_do_not_know_is_refused(system, version, words):
    with pytest.raises(LabError, match=words):
        environment.refuse_unknown_systems(system, version)


def test_it_needs_nothing_but_the_standard_library():
    """`python3 -m labhelpers.cluster.environment` runs before anything is installed: -S leaves
    site-packages out."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "labhelpers.cluster.environment", "--python"],
        cwd=environment.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr


def test_the_wheels_of_a_bundle_are_there_while_pip_runs_and_gone_afterwards(
    ran, tmp_path, monkeypatch
):
    (tmp_path / "a.whl").write_text("wheel")
    with tarfile.open(tmp_path / "room.tar", "w") as archive:
        archive.add(tmp_path / "a.whl", "wheels/a.whl")
    seen, run = [], progress.Step.run

    def look(self, command, **settings):
        if "--find-links" in command:
            folder = Path(command[command.index("--find-links") + 1])
            seen.extend(path.name for path in folder.iterdir())
        run(self, command, **settings)

    monkeypatch.setattr("labhelpers.cluster.progress.Step.run", look)
    environment.make("", tmp_path / "room.tar")
    assert seen == ["a.whl"]
    assert sorted(path.name for path in environment.folder().iterdir()) == [".podlab", "bin"]


def test_a_bundle_that_cannot_be_read_is_told(ran, tmp_path):
    (tmp_path / "room.tar").write_text("no tar")
    with pytest.raises(LabError, match="The bundle can't be read"):
        environment.make("", tmp_path / "room.tar")


def broken_off(monkeypatch, at: str, error: BaseException) -> None:
    """From now on the command with this word is interrupted, when it has written something."""
    run = progress.Step.run

    def broken(self, command, **settings):
        if at in [str(word) for word in command]:
            (environment.folder() / "half").mkdir(parents=True)
            raise error
        run(self, command, **settings)

    monkeypatch.setattr("labhelpers.cluster.progress.Step.run", broken)


@pytest.mark.parametrize("at", ["venv", "pip"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), LabError("No.", "no", "No.")])
def test_a_new_one_is_made_whole_or_not_at_all(ran, tmp_path, monkeypatch, at, error):
    with monkeypatch.context() as meanwhile:
        broken_off(meanwhile, at, error)
        with pytest.raises(type(error)):
            environment.make("")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock"]
    environment.make("")
    assert sorted(path.name for path in environment.folder().iterdir()) == [".podlab", "bin"]


def test_one_that_was_killed_while_it_was_made_is_made_again(ran, monkeypatch):
    with monkeypatch.context() as meanwhile:
        broken_off(meanwhile, "pip", KeyboardInterrupt())
        meanwhile.setattr(environment, "discard", lambda: None)  # killed: nothing is removed
        with pytest.raises(KeyboardInterrupt):
            environment.make("")
    assert environment.python().exists()
    environment.make("")
    assert sorted(path.name for path in environment.folder().iterdir()) == [".podlab", "bin"]
    assert [words[2] for words in ran] == ["venv", "venv", "pip"]


def test_an_environment_that_was_there_is_never_removed(ran, monkeypatch):
    environment.python().parent.mkdir(parents=True)
    environment.python().touch()
    with monkeypatch.context() as meanwhile:
        broken_off(meanwhile, "pip", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            environment.make("")
    assert environment.python().exists()


def test_nor_is_a_folder_with_something_else_in_it(ran, monkeypatch):
    environment.folder().mkdir()
    (environment.folder() / "thesis.tex").touch()
    with monkeypatch.context() as meanwhile:
        broken_off(meanwhile, "venv", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            environment.make("")
    assert (environment.folder() / "thesis.tex").exists()


def test_of_two_at_once_the_second_waits_and_has_nothing_to_do(ran, monkeypatch, capsys):
    run = progress.Step.run

    def slowly(self, command, **settings):
        time.sleep(0.3)
        run(self, command, **settings)

    monkeypatch.setattr("labhelpers.cluster.progress.Step.run", slowly)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(environment.make, "") for _ in range(2)]:
            done.result()
    assert [words[2] for words in ran] == ["venv", "pip"]
    assert capsys.readouterr().out.count("another command has made it") == 1


@pytest.fixture
def without_pip(tmp_path, monkeypatch):
    """An environment without pip, as uv makes it."""
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "environment"))
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "state"))
    command = [sys.executable, "-m", "venv", "--without-pip", tmp_path / "environment"]
    subprocess.run(command, check=True, timeout=60)


def test_an_environment_without_pip_gets_one_before_packages(without_pip, monkeypatch):
    run, installed = progress.Step.run, []

    def without_packages(self, command, **settings):
        if "install" in command:
            installed.append(subprocess.run([command[0], "-c", "import pip"]).returncode)
        else:
            run(self, command, **settings)

    monkeypatch.setattr("labhelpers.cluster.progress.Step.run", without_packages)
    with progress.step("Python environment") as step:
        environment.install(step, "", None)
    assert installed == [0]
    assert subprocess.run([environment.python(), "-m", "pip", "--version"]).returncode == 0


def test_where_there_is_no_pip_to_be_had_it_is_told(without_pip, monkeypatch):
    monkeypatch.setattr(
        "labhelpers.cluster.progress.Step.run",
        lambda *_, **__: (_ for _ in ()).throw(LabError("No.", "No module named ensurepip", "")),
    )
    with progress.step("Python environment") as step, pytest.raises(LabError) as caught:
        environment.give_pip(step)
    assert caught.value.happened.endswith("environment has no pip.")
    assert "No module named ensurepip" in caught.value.seen


def test_ctrl_c_while_a_real_one_is_made_leaves_none(tmp_path):
    variables = {**os.environ, "VIRTUAL_ENV": str(tmp_path / "environment")}
    variables |= {"PODLAB_STATE": str(tmp_path / "state"), "PYTHONPATH": str(paths.repository())}
    script = (
        "import pathlib, sys; from labhelpers.cluster import environment as e;"
        f" e.LOCK = pathlib.Path({str(tmp_path / 'lock')!r}); sys.exit(e.main([]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "environment" / "bin").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, words
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "state"]
