"""labhelpers.author: a new lab's files, all of them or none. tests/author.py: trying a lab out."""

import itertools
import json
import re
import shutil

import nbformat
import pytest
import yaml

from labhelpers import author, paths
from labhelpers.errors import LabError
from tests import author as trying


@pytest.fixture
def checkout(tmp_path):
    here = paths.repository()
    notebooks = shutil.ignore_patterns("mine", ".ipynb_checkpoints")
    shutil.copytree(here / "notebooks", tmp_path / "notebooks", ignore=notebooks)
    shutil.copytree(here / "tests" / "exercises", tmp_path / "tests" / "exercises")
    (tmp_path / "tests" / "unit").mkdir()
    shutil.copy(here / "tests" / "unit" / "test_proofs_template.py", tmp_path / "tests" / "unit")
    take_out(tmp_path, "0[3-6]")
    return tmp_path


def take_out(folder, numbers):
    """As if these labs hadn't been written: without their files, their proofs and the links of
    their neighbours."""
    for path in list(folder.rglob("*")):
        if re.match(rf"{numbers}[_-]", path.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    claims = folder / "notebooks" / "claims.yaml"
    text = re.sub(rf"    notebook: {numbers}_.*\n", "", claims.read_text(encoding="utf-8"))
    text = re.sub(rf'(    lab: "{numbers}"\n)    proof: .*\n', r"\1", text)
    claims.write_text(text, encoding="utf-8")
    for path in (folder / "notebooks").glob("*.ipynb"):
        link = rf"\[({numbers} · [^]]+)\]\({numbers}_\w+\.ipynb\)"
        text = re.sub(link, r"\1 (to come)", path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_lab_comes_with_its_files_its_claim_and_the_links_of_its_neighbours(checkout):
    before = contents(checkout)
    written = author.new("03-scheduling", checkout)

    assert written[0] == checkout / "notebooks" / "03_scheduling.ipynb"
    after = contents(checkout)
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == set(written)
    assert {path.name for path in before if path in changed} == {"claims.yaml", "02_pause.ipynb"}

    old, new = (
        yaml.safe_load(each[checkout / "notebooks" / "claims.yaml"]) for each in (before, after)
    )
    assert new["labs"].pop("03") == {**old["labs"].pop("03"), "notebook": "03_scheduling.ipynb"}
    assert new["labs"] == old["labs"]
    different = [
        (was, is_) for was, is_ in zip(old["claims"], new["claims"], strict=True) if was != is_
    ]
    [(was, is_)] = different
    assert is_ == {**was, "proof": f"claim:{was['id']}"}
    assert was["lab"] == "03"

    lab = nbformat.read(written[0], as_version=4)
    text = "\n".join(cell.source for cell in lab.cells)
    assert 'start("03-scheduling")' in text
    assert "**Time:** 30 minutes" in text, "as claims.yaml says"
    assert f'lab.prove("{was["id"]}"' in text
    assert "Previous: [02 · Who keeps the Pod together?](02_pause.ipynb) · Next: 04" in text
    assert "template" not in text
    assert "Next: [03 · Scheduling](03_scheduling.ipynb)" in (
        after[checkout / "notebooks" / "02_pause.ipynb"].decode()
    )
    assert f"def {was['id'].lower()}(" in (
        after[checkout / "notebooks" / "proofs" / "03_scheduling.py"].decode()
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("scheduling", "isn't a valid lab name"),
        ("3-scheduling", "isn't a valid lab name"),
        ("03", "isn't a valid lab name"),
        ("03-Scheduling", "isn't a valid lab name"),
        ("03-../../x", "isn't a valid lab name"),
        ("77-unknown", "no lab 77"),
        ("02-pause", "Lab 02 exists already"),
        ("02-another", "Lab 02 exists already"),
    ],
)
def test_bad_input_writes_nothing(checkout, name, says):
    before = contents(checkout)
    with pytest.raises(LabError, match=says):
        author.new(name, checkout)
    assert contents(checkout) == before


def test_a_disk_that_is_full_halfway_leaves_nothing(checkout, monkeypatch):
    before, write, left = contents(checkout), author.write_atomically, iter(range(20))

    def full(path, text):
        if next(left) == 9:
            raise OSError(28, "No space left on device", str(path))
        write(path, text)

    monkeypatch.setattr(author, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        author.new("03-scheduling", checkout)
    assert contents(checkout) == before


def test_rows_that_are_written_otherwise_are_told_of(checkout):
    path = checkout / "notebooks" / "claims.yaml"
    text = path.read_text(encoding="utf-8")
    first = next(each for each in yaml.safe_load(text)["claims"] if each["lab"] == "03")
    turned = text.replace(f"id: {first['id']}\n    area: {first['area']}\n", "", 1)
    turned = turned.replace("  - " + '    lab: "03"\n', '  - lab: "03"\n', 1)
    turned = turned.replace('lab: "03"\n', f'lab: "03"\n    id: {first["id"]}\n    area: a\n', 1)
    path.write_text(turned, encoding="utf-8")
    before = contents(checkout)
    with pytest.raises(LabError, match="can't be changed"):
        author.new("03-scheduling", checkout)
    assert contents(checkout) == before


def test_a_folder_that_is_there_counts_as_begun(checkout):
    (checkout / "notebooks" / "manifests" / "03-scheduling").mkdir()
    before = contents(checkout)
    with pytest.raises(LabError, match="exists already"):
        author.new("03-scheduling", checkout)
    assert contents(checkout) == before


def test_what_somebody_has_begun_by_hand_stays(checkout):
    begun = checkout / "notebooks" / "proofs" / "03_scheduling.py"
    begun.write_text("mine")
    before = contents(checkout)
    with pytest.raises(LabError, match="exists already") as refused:
        author.new("03-scheduling", checkout)
    assert "proofs/03_scheduling.py" in refused.value.seen
    assert contents(checkout) == before


def test_a_lab_that_differs_when_stored_again_is_told_cell_by_cell(tmp_path, monkeypatch, capsys):
    path, runs = tmp_path / "21_new.ipynb", itertools.count(1)

    def refresh(path, pictures="changed"):
        cells = [{"source": "# A lab"}, {"source": "pod.tries", "outputs": [f"{next(runs)} tries"]}]
        path.write_text(json.dumps({"cells": cells}))
        return []

    monkeypatch.setattr(trying.stored, "refresh", refresh)
    with pytest.raises(LabError, match="the two differ") as failed:
        trying.try_out(path)
    assert failed.value.seen == "cell 1, pod.tries"
    said = capsys.readouterr().out
    assert '  -"1 tries"' in said and '  +"2 tries"' in said
