"""What the site makes of a notebook, a README and the claims, and that Sphinx builds it without a
warning."""

import subprocess
import sys

import nbformat

from docs.site import staging, terms

PICTURE = {"image/png": "iVBORw0KGgo=", "text/plain": "the app\n  was killed"}


def code(tags, *data, hidden=False):
    outputs = [nbformat.v4.new_output("display_data", each) for each in data]
    cell = nbformat.v4.new_code_cell("lab.prove()", outputs=outputs)
    cell.metadata = {"tags": tags} | ({"jupyter": {"outputs_hidden": True}} if hidden else {})
    return cell


def decorated(*cells):
    return staging.decorated(nbformat.v4.new_notebook(cells=[*cells])).cells


def test_each_claim_has_one_anchor_before_the_first_cell_that_proves_it():
    found = decorated(code(["claim:B3"]), code(["claim:B3", "claim:B4"]), code([]))
    assert [cell.cell_type for cell in found] == ["markdown", "code", "markdown", "code", "code"]
    assert 'id="claim-B3"' in found[0].source
    assert 'id="claim-B4"' in found[2].source
    assert "claim-B3" not in found[2].source


def test_a_picture_says_what_was_measured_and_an_empty_output_is_left_out():
    (cell,) = decorated(code(["core"], {}, PICTURE, hidden=True))
    assert cell.metadata["mystnb"]["image"]["alt"] == "the app was killed"
    assert cell.metadata["tags"] == ["core", "hide-output"]
    assert len(cell.outputs) == 1


def test_the_notebook_itself_stays_as_it_is():
    book = nbformat.v4.new_notebook(cells=[code(["claim:B3"], {}, PICTURE, hidden=True)])
    before = nbformat.writes(book)
    staging.decorated(book)
    assert nbformat.writes(book) == before


def test_a_claim_that_no_cell_shows_has_no_link():
    lab = {"title": "Pause", "question": "Who?", "minutes": 20, "notebook": "02_pause.ipynb"}
    stays = {"id": "B3", "lab": "02", "claim": "It stays.", "myth": "It goes."}
    ends = {"id": "B4", "lab": "02", "claim": "It ends.", "proof": "claim:B4"}
    claims = {"labs": {"02": lab}, "claims": [stays | {"proof": "claim:B3"}, ends]}
    books = {"02": nbformat.v4.new_notebook(cells=[code(["claim:B3"])])}
    page = staging.claims_page(claims, books)
    assert 'href="notebooks/02_pause.html#claim-B3">See it measured' in page
    assert "You may hear: *It goes.*" in page
    assert "#claim-B4" not in page
    assert "1 of 2 claims" in page


def test_a_term_is_found_as_a_word_of_its_own():
    find = terms.pattern(["Pod", "Pod sandbox", "Service"])
    found = find.findall("A Pod sandbox, Pods, PodSpec, kube/Pod, a service, Pod's")
    assert found == ["Pod sandbox", "Pod", "Pod"]


def test_every_link_of_every_page_leads_somewhere(tmp_path):
    command = [sys.executable, "-m", "docs.site.build", str(tmp_path)]
    done = subprocess.run(command, cwd=staging.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "index.html").is_file()
