"""Where podlab keeps its files. Oracle: platformdirs."""

import os
import sys
from pathlib import Path

import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from labhelpers import cli, paths
from labhelpers.cluster import lifecycle, progress
from labhelpers.errors import LabError
from tests.unit.engines import NONE, says


@pytest.mark.parametrize(("system", "directories"), [("linux", Unix), ("darwin", MacOS)])
@pytest.mark.parametrize(
    "variables", [{}, {"XDG_STATE_HOME": "/xdg", "XDG_CACHE_HOME": "/xdg-cache"}]
)
def test_the_folders_are_where_the_system_has_them(monkeypatch, system, directories, variables):
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "PODLAB_STATE", "PODLAB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", system)
    assert paths.states() == directories("podlab").user_state_path
    assert paths.cache() == directories("podlab").user_cache_path


def test_two_variables_move_them(monkeypatch):
    monkeypatch.setenv("PODLAB_STATE", "/mine/state")
    monkeypatch.setenv("PODLAB_CACHE", "/mine/cache")
    assert str(paths.ClusterFiles("x").kubeconfig) == "/mine/state/x/kubeconfig"
    assert str(paths.engine_state()) == "/mine/state/engine"
    assert str(paths.tools()) == "/mine/cache/bin"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("XDG_STATE_HOME", "PODLAB_STATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(paths.Path, "home", no_home)
    with pytest.raises(LabError, match="Set HOME, or both PODLAB_STATE and PODLAB_CACHE"):
        paths.states()


@pytest.mark.parametrize("name", ["..", ".", "ABSOLUTE", "a/b", "engine", "A", "-a"])
def test_a_cluster_is_not_named_like_a_way_to_somewhere_else(name, tmp_path, monkeypatch):
    """Its folder is emptied when it is deleted."""
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "a" / "state"))
    name = name.replace("ABSOLUTE", str(tmp_path / "x"))
    for command in (lifecycle.down, lifecycle.up, paths.state, paths.kubeconfig):
        with pytest.raises(LabError, match="isn't a valid cluster name"):
            command(name)


def in_three_lines(capsys, folder, variable: str) -> None:
    lines = capsys.readouterr().err.splitlines()
    assert [line[:6] for line in lines[1:]] == ["Seen: ", "Do:   "], lines
    assert f": {folder}" in lines[1]
    assert f"set {variable} to another folder" in lines[2]


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        *((command, "somebody else's") for command in ("status", "up", "down")),
        *((command, "a file") for command in ("up", "down")),
    ],
)
def test_a_state_folder_that_cannot_be_used_is_told_in_three_lines(
    closed_folder, monkeypatch, capsys, command, kind
):
    folder = closed_folder if kind == "somebody else's" else Path(os.devnull)
    monkeypatch.setenv("PODLAB_STATE", str(folder))
    says(monkeypatch, NONE)
    monkeypatch.setenv("PODLAB_CLUSTER", "x")
    assert cli.main([command]) == 1
    in_three_lines(capsys, folder, "PODLAB_STATE")


def test_a_cache_that_cannot_be_used_is_told_by_the_step_that_needs_it(
    closed_folder, monkeypatch, capsys
):
    monkeypatch.setenv("PODLAB_CACHE", str(closed_folder / "cache"))
    with pytest.raises(LabError) as caught, progress.step("kind"):
        (paths.cache() / "bin").mkdir(parents=True)
    assert caught.value.happened == "kind failed."
    assert caught.value.seen.startswith("Permission denied: ")
    assert "set PODLAB_CACHE to another folder" in caught.value.do


def test_a_file_that_is_not_there_yet_is_to_be_somewhere_else(closed_folder, capsys):
    assert cli.main(["init", str(closed_folder / "labs")]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[1].startswith(f"Seen: Permission denied: {closed_folder}")
    assert told[2:] == ["Do:   Choose a folder in which you can write, with space left."]
    error = PermissionError(13, "Permission denied", os.devnull)
    assert "Make that file readable" in paths.cannot_use(error, "No.").do


def test_a_checkout_of_somebody_else_is_told():
    error = PermissionError(13, "Permission denied", str(paths.repository() / ".venv.lock"))
    told = paths.cannot_use(error, "Python environment failed.")
    assert told.seen.endswith(".venv.lock")
    assert "clone the repository into a folder of yours" in told.do
