"""notebooks/TEMPLATE.ipynb: a new lab is made from it as it tells its writer to, is run to its end,
and keeps every rule of a lab.

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

from labhelpers import paths, stored
from tests import rules

pytestmark = pytest.mark.cluster

NUMBER, NAME, FILE, CLAIM = "99", "99-new-lab", "99_new_lab.ipynb", "Z1"
FOLDERS = ("notebooks/manifests", "notebooks/exercises", "notebooks/solutions", "tests/exercises")
LIMIT_SECONDS = 240


def checkout(folder: Path) -> Path:
    """What a lab needs of the project, and the new lab: as the template tells. Returns its
    notebook."""
    shutil.copytree(
        paths.repository() / "labhelpers",
        folder / "labhelpers",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    path = add_lab(folder, labs={}, claims=[])
    # The lab before it, to which it links.
    (folder / "notebooks" / "00_start_here.ipynb").write_text("")
    return path


def add_lab(folder: Path, labs: dict, claims: list) -> Path:
    """Adds the new lab to those that a checkout has, with their claims. Returns its notebook."""
    here = paths.repository()
    for part in FOLDERS:
        shutil.copytree(here / part / "template", folder / part / NAME)
    lab = {"title": "New", "question": "Who?", "minutes": 20, "notebook": FILE}
    claim = {
        "id": CLAIM,
        "area": "new",
        "lab": NUMBER,
        "proof": f"claim:{CLAIM}",
        "claim": "A Pod calls itself by its name.",
    }
    whole = {
        **yaml.safe_load((here / "notebooks" / "claims.yaml").read_text(encoding="utf-8")),
        "labs": {**labs, NUMBER: lab},
        "claims": [*claims, claim],
    }
    (folder / "notebooks" / "claims.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    path = folder / "notebooks" / FILE
    path.write_text(
        nbformat.writes(new_lab(here / "notebooks" / "TEMPLATE.ipynb")), encoding="utf-8"
    )
    return path


def new_lab(template: Path) -> nbformat.NotebookNode:
    """The template with its placeholders replaced, and without the paragraphs for the writer."""
    lab = nbformat.read(template, as_version=4)
    for cell in lab.cells:
        kept = [
            line
            for line in cell.source.splitlines()
            if not (cell.cell_type == "markdown" and line.startswith(">"))
        ]
        cell.source = (
            "\n".join(kept)
            .strip()
            .replace('start("template")', f'start("{NAME}")')
            .replace("NN", NUMBER)
            .replace("X1", CLAIM)
        )
        if tags := cell.metadata.get("tags"):
            cell.metadata.tags = [tag.replace("X1", CLAIM) for tag in tags]
    lab.cells = [cell for cell in lab.cells if cell.source]
    return lab


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
    assert [complaint for rule in rules.RULES for complaint in rule(lab, path)] == []
    assert (
        list(
            rules.unproved(
                yaml.safe_load((tmp_path / "notebooks" / "claims.yaml").read_text()), {NUMBER: lab}
            )
        )
        == []
    )
    shown = {
        cell.id: "\n".join(rules.texts(cell)).strip()
        for cell in lab.cells
        if cell.cell_type == "code"
    }
    assert shown["compare"] == "True"
    assert shown["reveal"] == "measured: stays"
    assert shown["check"].startswith("not yet: the container calls itself named")
    assert "the Pod one-app calls itself one-app" in shown["facts"]
    assert shown["finish"] == "nothing is left: no namespace, no processes, no threads"


def test_the_template_has_all_parts_of_a_lab():
    template = nbformat.read(paths.repository() / "notebooks" / "TEMPLATE.ipynb", as_version=4)
    code = "\n".join(cell.source for cell in template.cells if cell.cell_type == "code")
    calls = [
        "start(",
        "lab.apply(",
        "lab.sent()",
        "lab.fact(",
        "lab.predict(",
        "lab.recording(",
        "life.chart(",
        "lab.reveal(",
    ]
    calls += ["lab.exercise(", "lab.check(", "lab.facts()", "lab.finish()"]
    assert [call for call in calls if call not in code] == []
    assert stored.HIDDEN_TAGS | {"claim:X1"} == {
        tag for cell in template.cells for tag in cell.metadata.get("tags", [])
    }
