"""notebooks/claims.yaml: complete in itself, and true of the notebooks."""

import itertools
import os
import subprocess
import sys

import nbformat
import pytest
import yaml

from labhelpers import paths
from tests import rules

FOLDER = paths.repository() / "notebooks"
CLAIMS = yaml.safe_load((FOLDER / "claims.yaml").read_text(encoding="utf-8"))


def test_each_claim_stands_once_and_names_a_lab():
    ids = [claim["id"] for claim in CLAIMS["claims"]]
    assert len(ids) == len(set(ids))
    for letter, group in itertools.groupby(ids, key=lambda name: name[0]):
        names = list(group)
        assert names == [f"{letter}{number}" for number in range(1, len(names) + 1)]
    assert {claim["lab"] for claim in CLAIMS["claims"]} == set(CLAIMS["labs"]) - {"20"}
    assert [
        claim["id"]
        for claim in CLAIMS["claims"]
        if set(claim) - {"id", "area", "lab", "proof", "claim", "myth", "note", "versions"}
    ] == []


def test_each_lab_has_its_question_and_its_minutes():
    assert list(CLAIMS["labs"]) == [f"{number:02}" for number in range(21)]
    for lab in CLAIMS["labs"].values():
        assert lab["question"].endswith("?")
        assert 10 <= lab["minutes"] <= 45


def test_what_is_proved_today_is_proved_by_a_cell_and_the_other_way_round():
    there = {
        number: FOLDER / lab["notebook"]
        for number, lab in CLAIMS["labs"].items()
        if "notebook" in lab
    }
    assert sorted(there.values()) == sorted(FOLDER.glob("[0-9][0-9]_*.ipynb")), (
        "every notebook is a lab, every lab with a notebook is there"
    )
    assert (
        list(
            rules.unproved(
                CLAIMS,
                {number: nbformat.read(path, as_version=4) for number, path in there.items()},
            )
        )
        == []
    )


@pytest.mark.parametrize(
    ("columns", "times"), [("<none>   <none>", 1), ("<none>   2", 2), ("3        <none>", 3)]
)
def test_a_pod_that_was_scheduled_twice_would_be_seen_by_a1(tmp_path, columns, times):
    """Equal events are kept as one, with `series.count` or with `count`. kubectl is played, the
    cell is run."""
    notebook = nbformat.read(FOLDER / CLAIMS["labs"]["01"]["notebook"], as_version=4)
    proofs = [cell.source for cell in notebook.cells if "claim:A1" in cell.metadata.get("tags", [])]
    [source] = [source for source in proofs if "kubectl get events" in source]
    (tmp_path / "kubectl").write_text(f"#!/bin/sh\necho '{columns}'\n")
    (tmp_path / "kubectl").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "IPYTHONDIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "-c", source],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{times}\n", done.stderr
