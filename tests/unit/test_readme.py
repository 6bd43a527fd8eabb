"""README.md says what claims.yaml and the notebooks say, and what it links to is there."""

import re
import runpy
import subprocess
import sys
import tomllib
from xml.etree import ElementTree

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from labhelpers import contents, paths

SCRIPT = paths.repository() / "docs" / "write_readme.py"
README = paths.repository() / "README.md"
PAGES = [README, README.parent / "CONTRIBUTING.md", *README.parent.glob("docs/*.md")]
CLAIMS = {
    "labs": {
        "02": {"title": "Pause", "question": "Who?", "minutes": 20, "notebook": "02_pause.ipynb"},
        "03": {"title": "Spec", "question": "Where?", "minutes": 30},
    },
    "claims": [
        {"id": "B3", "lab": "02", "proof": "claim:B3", "claim": "It stays.", "myth": "It goes."},
        {"id": "B4", "lab": "02", "proof": "claim:B4", "claim": "It goes.", "myth": "It went."},
        {"id": "C1", "lab": "03", "claim": "Not yet."},
    ],
}
PROJECT = {
    "project": {"requires-python": ">=3.9,<3.13", "license": "MIT"},
    "tool": {"podlab": {"node_image": "kindest/node:v1.2.3@sha256:4"}},
}
FILM = {
    "asked": {"question": "Who <holds> it?", "committed": "app", "measured": "pause"},
    "clicks": [],
    "kubernetes": "v1.2.3",
}


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


def test_it_is_up_to_date():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        pytest.fail(f"{done.stdout}{done.stderr}(make try LAB=… does it, too)", pytrace=False)


def test_only_what_a_notebook_shows_is_counted_and_told(script):
    book = new_notebook(cells=[new_code_cell("life", metadata={"tags": ["claim:B3"]})])
    parts = script["parts"](CLAIMS, {"02": book}, PROJECT, FILM)
    assert parts["count"] == "1 of 3 claims are proved today"
    assert "| It goes. | It stays. | 02 |" in parts["told"] and "It went." not in parts["told"]
    assert "| [02 Pause](notebooks/02_pause.ipynb) | Who? | 20 | 1 of 2 |" in parts["labs"]
    assert "| 03 Spec | Where? | 30 | to come |" in parts["labs"]
    assert 'alt="Lab 02 asks: Who &lt;holds&gt; it? Somebody' in parts["film"]
    assert "on Kubernetes 1.2.3." in parts["film"]
    assert "![claims proved: 1 of 3 in 1 labs](docs/badges/claims.svg)" in parts["badges"]


def test_a_badge_says_what_the_repository_says(script):
    said = {name: text for name, _, text, _ in script["badges"](CLAIMS, {}, PROJECT)}
    assert said == {
        "claims": "0 of 3 in 0 labs",
        "kubernetes": "1.2.3",
        "python": "3.9 to 3.12",
        "license": "MIT",
    }
    # What names the licence is what is there.
    project = tomllib.loads((README.parent / "pyproject.toml").read_text(encoding="utf-8"))
    words = " ".join((README.parent / "LICENSE").read_text(encoding="utf-8").split()[:4])
    assert (project["project"]["license"], words) == ("Apache-2.0", "Apache License Version 2.0,")


def test_a_badge_is_an_svg_with_a_title_and_its_text_has_room(script):
    svg = ElementTree.fromstring(script["drawn"]("a & b", "iiiiiiii"))
    space = "{http://www.w3.org/2000/svg}"
    assert svg.find(f"{space}title").text == "a & b: iiiiiiii"
    for text in svg.iter(f"{space}text"):
        assert int(text.get("x")) + int(text.get("textLength")) < int(svg.get("width"))
    wider = ElementTree.fromstring(script["drawn"]("a & b", "mmmmmmmm"))
    assert int(wider.get("width")) > int(svg.get("width"))


def test_a_missing_marker_is_an_error(script):
    with pytest.raises(SystemExit, match="no part <!-- count -->"):
        script["written"]("no marker", {"count": "1"})


def test_what_it_links_to_is_there():
    assert "](docs/running.md)" in README.read_text(encoding="utf-8")
    for page in PAGES:
        links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        assert [link for link in links if not (page.parent / link).exists()] == []


def test_what_make_is_told_to_do_it_can():
    makefile = (paths.repository() / "Makefile").read_text(encoding="utf-8")
    rules = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.search(r"^\.PHONY: (.*)", makefile, re.MULTILINE)[1].split()) == rules
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.MULTILINE))
    assert named and named <= rules


def test_the_curricula_name_labs_that_are_there_and_weigh_a_hundred(script):
    read = script["domains"]((README.parent / "docs" / "curricula.md").read_text(encoding="utf-8"))
    weights = {}
    for exam, domain, weight, rows in read:
        weights[exam] = weights.get(exam, 0) + weight
        for bullet, named, how, note in rows:
            labs = [] if named == "–" else named.split(", ")
            assert note and how in script["HOW"], (domain, bullet)
            assert bool(labs) == (how != "out of scope"), (domain, bullet)
            assert [lab for lab in labs if "notebook" not in contents.labs()[lab]] == [], bullet
    assert weights == {"CKAD": 100, "CKA": 100, "CKS": 100}


def test_a_covered_bullet_counts_one_and_a_touched_one_a_half(script):
    row = "| a | 16 | {} | b |"
    page = "\n".join(["## CKA", "### Storage, 100 %", row.format("covered"), row.format("touched")])
    assert "| CKA | 1 | 1 | 0 | 75 % |" in script["curricula"](page)
