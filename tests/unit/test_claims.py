"""notebooks/claims.yaml: complete in itself, and true of the notebooks."""

import itertools

import nbformat
import yaml

from labhelpers import paths
from tests import rules
from tests.complaints import expect_none

FOLDER = paths.repository() / "notebooks"
CLAIMS = yaml.safe_load((FOLDER / "claims.yaml").read_text(encoding="utf-8"))


def test_each_claim_stands_once_and_names_a_lab():
    ids = [claim["id"] for claim in CLAIMS["claims"]]
    assert len(ids) == len(set(ids))
    for letter, group in itertools.groupby(ids, key=lambda name: name[0]):
        names = list(group)
        assert names == [f"{letter}{number}" for number in range(1, len(names) + 1)]
    assert {claim["lab"] for claim in CLAIMS["claims"]} == set(CLAIMS["labs"])
    assert [
        claim["id"]
        for claim in CLAIMS["claims"]
        if set(claim) - {"id", "area", "lab", "proof", "claim", "myth", "note", "versions"}
    ] == []


def test_each_lab_has_its_question_and_its_minutes():
    count = len(CLAIMS["labs"])
    assert list(CLAIMS["labs"]) == [f"{number:02}" for number in range(count)], "no number is free"
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
    labs = {number: nbformat.read(path, as_version=4) for number, path in there.items()}
    expect_none(rules.unproved(CLAIMS, labs))
