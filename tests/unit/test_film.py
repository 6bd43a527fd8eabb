"""The film at the top of README.md: tests/browser/test_film.py makes it. Here the committed one is
compared with today's labs and today's Kubernetes."""

import re
import runpy

import nbformat
import pytest
from PIL import Image

from labhelpers import paths
from tests.browser.test_film import CLICKS, COMMITTED, MOST_BYTES, THEMES

ROOT = paths.repository()
SCRIPT = runpy.run_path(str(ROOT / "docs" / "write_readme.py"))
AGAIN = f"make it again: PODLAB_FILM={COMMITTED} python -m pytest -q tests/browser/test_film.py"


def code_cells(name: str) -> list:
    book = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    return [cell for cell in book.cells if cell.cell_type == "code"]


def texts(cell) -> str:
    return "\n".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)


@pytest.fixture(params=THEMES)
def path(request):
    return ROOT / COMMITTED / f"{request.param}.gif"


def test_it_is_small_and_has_a_few_frames_that_can_be_read(path):
    assert path.stat().st_size <= MOST_BYTES
    with Image.open(path) as film:
        milliseconds = []
        for number in range(film.n_frames):
            film.seek(number)
            milliseconds.append(film.info["duration"])
        assert film.info["loop"] == 0, "it doesn't begin again"
        size = film.size
    assert 4 <= len(milliseconds) <= 8
    assert min(milliseconds) >= 1000 and 6000 <= sum(milliseconds) <= 13_000
    with Image.open(path.with_suffix(".png")) as still:
        assert still.size == size


def test_it_was_made_on_todays_kubernetes_from_todays_cells(path):
    told, today = SCRIPT["said_by"](path), (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f"kindest/node:{told['kubernetes']}@" in today, AGAIN
    sources = [
        cell.source
        for name in ("02_pause.ipynb", "17_pod_security.ipynb")
        for cell in code_cells(name)
    ]
    assert len(told["cells"]) == 3
    assert [source for source in told["cells"].values() if source not in sources] == [], AGAIN


def test_what_it_shows_is_what_the_labs_have_stored(path):
    asked, stored = SCRIPT["said_by"](path)["asked"], code_cells("02_pause.ipynb")
    question = next(texts(cell) for cell in stored if 'predict("inside"' in cell.source)
    answer = next(texts(cell) for cell in stored if 'reveal("inside"' in cell.source)
    assert asked["question"] in question and f"( ) {asked['committed']}" in question
    assert f"measured: {asked['measured']}" in answer
    assert asked["measured"] != asked["committed"]
    cells = code_cells("17_pod_security.ipynb")
    proof = next(texts(cell) for cell in cells if 'prove("L8")' in cell.source)
    asks_for = re.search(r"without any of 4 lines: (.+?);", proof)[1]
    said = {line: says for line, _, says in SCRIPT["said_by"](path)["clicks"]}
    assert list(said) == [line for line, *_ in CLICKS]
    assert "with hostUsers: false in place of runAsNonRoot it admits" in proof
    assert said["hostUsers: false"] == "admits"
    assert "capabilities drop: [ALL]" in asks_for
    assert said["capabilities drop: [ALL]"] == "rejects: unrestricted capabilities"


def test_the_alternative_says_what_happens():
    told = SCRIPT["told_by"](
        {
            "asked": {"question": "Who?", "committed": "he", "measured": "she"},
            "clicks": [["drop: [ALL]", True, "admits"], ["runAsUser", False, "rejects: root"]],
        }
    )
    assert told[0] == "Lab 02 asks: Who? Somebody commits to: he. Measured: she."
    assert "With drop: [ALL], restricted admits the Pod." in told[1]
    assert told[1].endswith("Without runAsUser, restricted rejects the Pod: root.")


def test_somebody_who_wants_no_motion_gets_a_still():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    sources = re.findall(r'<source media="(.+?)" srcset="(.+?)">', page)
    # The first that fits is taken.
    assert [name for media, name in sources if "reduced-motion" in media] == [
        name for _, name in sources[:2]
    ]
    assert all(name.endswith(".png") for _, name in sources[:2])
    named = [name for _, name in sources] + re.findall(r'<img src="(.+?)"', page)
    assert len(named) == 4
    assert [name for name in named if not (ROOT / name).is_file()] == []
