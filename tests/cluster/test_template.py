"""notebooks/TEMPLATE.ipynb: `podlab new` makes a lab of it, which runs to its end and keeps every
rule of a lab.

The new lab lies in a checkout of its own, with its own labhelpers: a lab finds its manifests and
claims beside the package that it imports.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from labhelpers import author, paths
from tests import form, rules

pytestmark = pytest.mark.cluster

NAME, CLAIM = "99-new-lab", "Y1"  # no lab has it
LIMIT_SECONDS = 240


def checkout(folder: Path) -> Path:
    """What a lab needs of the project, and the new lab. Returns its notebook."""
    shutil.copytree(
        paths.repository() / "labhelpers",
        folder / "labhelpers",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copytree(
        paths.repository() / "notebooks",
        folder / "notebooks",
        ignore=shutil.ignore_patterns("mine"),
    )
    return add_lab(folder)


def add_lab(folder: Path, name: str = NAME) -> Path:
    """Adds the new lab to a checkout, without the paragraphs for its author. Returns its notebook.

    Two tests that run at the same time give it two names: one kernel at a time holds a lab.
    """
    here, notebooks = paths.repository(), folder / "notebooks"
    for part in author.FOLDERS:
        if not (folder / part).is_dir():
            shutil.copytree(here / part, folder / part)
    tests = folder / "tests" / "unit"
    tests.mkdir(parents=True, exist_ok=True)
    shutil.copy(here / "tests" / "unit" / "test_proofs_template.py", tests)
    claims = yaml.safe_load((here / "notebooks" / "claims.yaml").read_text(encoding="utf-8"))
    claims["labs"][name[:2]] = {"title": "New", "question": "Who?", "minutes": 20}
    claim = "A container calls itself by its Pod's name."
    claims["claims"].append({"id": CLAIM, "area": "new", "lab": name[:2], "claim": claim})
    (notebooks / "claims.yaml").write_text(yaml.safe_dump(claims), encoding="utf-8")
    path = author.new(name, folder)[0]
    lab = nbformat.read(path, as_version=4)
    for cell in lab.cells:
        paragraphs = cell.source.strip().split("\n\n")
        cell.source = "\n\n".join(each for each in paragraphs if not each.startswith(author.NOTE))
    lab.cells = [cell for cell in lab.cells if cell.source]
    nbformat.write(lab, path)
    return path


def test_a_new_lab_from_the_template_runs_to_its_end_and_keeps_every_rule(tmp_path, monkeypatch):
    path = checkout(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PODLAB_MINE", str(tmp_path / "mine"))
    command = [sys.executable, "-m", "labhelpers.stored", "refresh", path]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr

    lab = nbformat.read(path, as_version=4)
    kept = [*rules.RULES, *form.FORM]
    assert [complaint for rule in kept for complaint in rule(lab, path)] == []
    claims = yaml.safe_load((tmp_path / "notebooks" / "claims.yaml").read_text(encoding="utf-8"))
    claims["claims"] = [claim for claim in claims["claims"] if claim["lab"] == NAME[:2]]
    assert list(rules.unproved(claims, {NAME[:2]: lab})) == []
    shown = {
        cell.source: "\n".join(rules.texts(cell)).strip()
        for cell in lab.cells
        if cell.cell_type == "code"
    }
    assert shown['lab.reveal("address", life.address)'] == "measured: stays"
    assert shown['lab.check("a")'].startswith("not yet: the container calls itself named")
    assert "app and proxy call themselves two-names" in shown["lab.facts()"]
    assert shown["lab.finish()"] == "nothing is left: no namespace, no processes, no threads"
