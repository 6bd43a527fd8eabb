"""The labs in a real browser, on the server that `make lab` starts: as they are stored, by Run All,
cell by cell, and the next day.

What is shown depends on the lab, so every lab is opened. How a prediction is locked, scored and
saved does not, so one lab is run in each way; that its cells run, tests/notebooks says of all."""

import re
from itertools import pairwise

import pytest
from playwright.sync_api import Locator, expect

from labhelpers.stored import HIDDEN_TAGS
from tests import labs
from tests.browser.jupyterlab import JupyterLab, code_cells, pictured, predicted, revealed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
OTHER = pytest.mark.rota(group="browser")

WIDGET = "application/vnd.jupyter.widget-view+json"
MISSED, COMMITTED, SCORED = (
    "The next cell has run, so nothing is scored.",
    "Committed, and locked.",
    "Committed, and measured below.",
)


def is_locked(view: Locator) -> None:
    """Neither a choice nor Commit can be clicked."""
    controls = view.locator(".jp-OutputArea").locator("input[type=radio], button")
    expect(controls).not_to_have_count(0)
    for control in controls.all():
        expect(control).to_be_disabled()


@pytest.mark.parametrize("name", labs.WRITTEN)
def test_stored_it_shows_its_pictures_and_hides_its_answers(jupyterlab: JupyterLab, name: str):
    jupyterlab.open(name)
    stored = jupyterlab.file()
    assert jupyterlab.broken_widgets() == []
    assert jupyterlab.errors() == []
    folded = are_folded(jupyterlab)
    jupyterlab.picture("opened")
    for number in folded:
        jupyterlab.code().nth(number).locator(".jp-Placeholder-content").click()
    assert jupyterlab.missing_pictures(pictured(stored)) == []
    assert pictured(stored), "a lab without a picture"


def are_folded(jupyterlab: JupyterLab) -> list[int]:
    """Three dots, and nothing of the answer beside them. Returns the numbers of these cells."""
    folded = [
        number
        for number, cell in enumerate(code_cells(jupyterlab.file()))
        if HIDDEN_TAGS & set(cell.metadata.get("tags", []))
    ]
    for number in folded:
        expect(jupyterlab.code().nth(number).locator(".jp-OutputPlaceholder")).to_have_text("")
    return folded


def explained(notebook) -> set[int]:
    """The code cells that folded text stands below."""
    ids = [cell.id for cell in code_cells(notebook)]
    return {
        ids.index(above.id)
        for above, cell in pairwise(notebook.cells)
        if cell.cell_type == "markdown" and "source_hidden" in cell.metadata.get("jupyter", {})
    }


def unfolds(jupyterlab: JupyterLab, above: Locator) -> None:
    """The text below a cell that has just run: folded, until Shift+Enter comes to it."""
    text = above.locator("xpath=following-sibling::div[1]")
    expect(text.locator(".jp-InputPlaceholder")).to_be_visible()
    assert text.inner_text().strip() in ("", "…", "...")
    jupyterlab.page.keyboard.press("Shift+Enter")
    expect(text.locator(".jp-InputPlaceholder")).to_have_count(0)
    expect(text.locator(".jp-MarkdownOutput")).to_be_visible()


def test_run_all_goes_to_the_end_and_scores_nothing(jupyterlab: JupyterLab, template_lab: str):
    jupyterlab.open(template_lab)
    lab = jupyterlab.file()
    jupyterlab.run_all()
    assert jupyterlab.errors() == []
    assert jupyterlab.prompts() == [str(count) for count in range(1, len(code_cells(lab)) + 1)]
    assert predicted(lab)
    for number in predicted(lab):
        cell = jupyterlab.code().nth(number)
        expect(cell).to_contain_text(MISSED)
        is_locked(cell)
    expect(jupyterlab.code().filter(has_text="You said:")).to_have_count(0)
    assert jupyterlab.broken_widgets() == []
    assert jupyterlab.notices() == [], "JupyterLab asks for something that is no part of a lab"
    card = jupyterlab.code().last.get_by_text("Claims seen", exact=True)
    expect(card).to_have_count(1)
    jupyterlab.save()
    drawn = pictured(jupyterlab.file())
    assert drawn
    assert "Claims seen" not in str(jupyterlab.file()), "the reader's own numbers were saved"
    assert jupyterlab.missing_pictures(drawn) == []
    jupyterlab.picture("run-all-picture", jupyterlab.code().nth(drawn[0]))
    jupyterlab.picture("run-all-end", jupyterlab.code().last)
    jupyterlab.use_theme("Dark")
    jupyterlab.picture("dark-picture", jupyterlab.code().nth(drawn[0]))
    jupyterlab.picture("dark-missed", jupyterlab.code().nth(predicted(lab)[0]))
    jupyterlab.picture("dark-card", jupyterlab.code().last)
    jupyterlab.use_theme("Light")


# Those that need the node to themselves have nothing on the page that these have not, except the
# slider: test_slider.py.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == labs.CELL_BY_CELL else OTHER)
        for name in labs.WRITTEN
        if not labs.has_the_node(name)
    ],
)
def test_cell_by_cell_a_prediction_is_committed_locked_and_scored_and_the_next_day_nothing_is_broken(  # noqa: E501
    jupyterlab: JupyterLab, name: str
):
    jupyterlab.open(name)
    stored = jupyterlab.file()
    folded = are_folded(jupyterlab)
    jupyterlab.picture("folded", jupyterlab.code().nth(folded[0]))
    opened = jupyterlab.code().nth(revealed(stored)[-1])
    opened.locator(".jp-Placeholder-content").click()
    expect(opened.locator(".jp-OutputArea")).to_contain_text("measured: ")

    # The first cell twice: from then on each count is another than the stored one, which stands
    # there until the cell has run.
    jupyterlab.run(0, 1)
    questions, choices = {}, {}
    for number in range(len(code_cells(stored))):
        cell = jupyterlab.run(number, number + 2)
        if number in folded:
            expect(cell.locator(".jp-OutputPlaceholder")).to_have_count(0)
        if number in predicted(stored):
            questions[number] = cell
            choices[number] = answer(jupyterlab, cell, commit=len(questions) != 2)
        elif number - 1 in questions:
            is_locked(questions[number - 1])
        if number in revealed(stored):
            asked = list(questions)[len([each for each in revealed(stored) if each <= number]) - 1]
            is_scored(questions[asked], cell, choices[asked])
            jupyterlab.picture(f"reveal-{number}", cell)
        if number in explained(stored):
            unfolds(jupyterlab, cell)
    assert jupyterlab.errors() == []
    assert len(questions) == len(predicted(stored)) == len(revealed(stored)) >= 1
    jupyterlab.picture("scored", questions[next(iter(questions))])

    jupyterlab.save()
    saved = jupyterlab.file()
    assert [cell.execution_count for cell in code_cells(saved)] == list(
        range(2, len(code_cells(stored)) + 2)
    )
    assert "widgets" not in saved.metadata
    assert [
        output
        for cell in code_cells(saved)
        for output in cell.outputs
        if WIDGET in output.get("data", {})
    ] == []
    assert "You said:" not in str(saved)

    jupyterlab.shut_kernels_down()
    jupyterlab.open(name)
    assert jupyterlab.broken_widgets() == []
    assert jupyterlab.missing_pictures(pictured(stored)) == []
    for number in predicted(stored):
        # Above the question may be what the cell shows first, such as a diff.
        outputs = jupyterlab.code().nth(number).locator(".jp-OutputArea-output")
        expect(outputs.filter(has_text="( ) ")).to_have_count(1)
    jupyterlab.picture("next-day", jupyterlab.code().nth(predicted(stored)[0]))


def answer(jupyterlab: JupyterLab, cell: Locator, *, commit: bool) -> str | None:
    """Chooses the first answer, and commits it or does not. Returns what is committed."""
    choice = cell.locator(".widget-radio-box label").first
    choice.click()
    expect(choice.locator("input")).to_be_checked()
    jupyterlab.picture("chosen", cell)
    if not commit:
        return None
    cell.get_by_role("button", name="Commit").click()
    expect(cell).to_contain_text(COMMITTED)
    is_locked(cell)
    return choice.inner_text().strip()


def is_scored(question: Locator, reveal: Locator, choice: str | None) -> None:
    """What was committed is scored; what was only chosen was missed, and its reveal says nothing of
    it."""
    expect(reveal).to_contain_text("measured: ")
    if choice is None:
        expect(question).to_contain_text(MISSED)
        expect(reveal).not_to_contain_text("You said:")
    else:
        # Below it may be the line to try by hand.
        revealed = reveal.locator(".jp-OutputArea-output").filter(has_text="measured: ")
        text = revealed.inner_text().replace("\n", " ")
        measured = re.search(r"measured: (.*?)(?:You said|$)", text)[1]
        expect(question).to_contain_text(SCORED)
        expect(reveal).to_contain_text(
            f"You said: {choice}."
            f" {'Right.' if measured.strip() == choice else 'The cluster disagrees.'}"
        )
    is_locked(question)
