"""Who may import whom: the layers in pyproject.toml, and what a lab and its kernel load."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import labhelpers
from labhelpers import paths


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_imports_point_one_way():
    done = lint_imports(paths.repository())
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line", "seen"),
    [
        ("kube/client", "from labhelpers.lab import start", "labhelpers.kube is not allowed"),
        ("cluster/bundle", "from labhelpers.lab import start", "labhelpers.cluster is not allowed"),
        ("new", "", "must be declared as a layer"),
    ],
)
def test_an_import_against_the_layers_is_named(tmp_path: Path, module, line, seen):
    shutil.copytree(paths.repository() / "labhelpers", tmp_path / "labhelpers")
    shutil.copy(paths.repository() / "pyproject.toml", tmp_path)
    with (tmp_path / "labhelpers" / f"{module}.py").open("a") as file:
        file.write(f"\n{line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode != 0 and seen in done.stdout + done.stderr


def test_the_plan_of_the_house_shows_every_layer():
    project = tomllib.loads((paths.repository() / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = project["tool"]["importlinter"]["contracts"]
    plan = (paths.repository() / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = plan.partition("## The layers of labhelpers")[2]
    shown = re.findall(r"^\| ((?:`\w+/?`(?: · )?)+) \|", table, re.MULTILINE)
    names = [sorted(re.findall(r"\w+", row)) for row in shown]
    assert names == [sorted(re.findall(r"\w+", layer)) for layer in contract["layers"]]


def test_a_lab_imports_one_name():
    assert labhelpers.__all__ == ["start"]


def test_the_heavy_libraries_load_on_first_use():
    heavy = {"pandas", "matplotlib", "ipywidgets", "nbformat", "nbclient", "tornado"}
    script = f"import sys, labhelpers.lab; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == []
