"""A list with a card in real JupyterLab: a choice changes the card."""

import pytest
from playwright.sync_api import expect

from tests.browser.jupyterlab import JupyterLab

pytestmark = [pytest.mark.cluster, pytest.mark.rota(group="browser"), pytest.mark.timeout(300)]

NAME = "99_picker.ipynb"
CELL = """\
from labhelpers.outcomes import Shown
from labhelpers.picker import Picker
from labhelpers.widgets import PickerView

def card(name):
    return Shown("a table", f"{name} has {len(name)} letters")

PickerView(Picker(["hostname", "dnsPolicy"], card), "field")"""


@pytest.fixture
def notebook(jupyterlab: JupyterLab):
    path = jupyterlab.open_cells(NAME, CELL)
    yield
    path.unlink(missing_ok=True)


def test_a_choice_changes_the_card(jupyterlab: JupyterLab, notebook):
    cell = jupyterlab.run(0, 1)
    expect(cell).to_contain_text("hostname has 8 letters")
    cell.get_by_label("field").select_option("dnsPolicy")
    expect(cell).to_contain_text("dnsPolicy has 9 letters")
    jupyterlab.picture("picked", cell)
    assert jupyterlab.broken_widgets() == []
