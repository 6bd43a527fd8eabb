"""Check boxes with a live verdict in real JupyterLab: a click changes what stands below them."""

import pytest
from playwright.sync_api import expect

from tests.browser.jupyterlab import JupyterLab

pytestmark = [pytest.mark.cluster, pytest.mark.rota(group="browser"), pytest.mark.timeout(300)]

NAME = "99_toggles.ipynb"
CELL = """\
from labhelpers.outcomes import Shown
from labhelpers.toggles import Toggles
from labhelpers.widgets import TogglesView

def judge(on):
    return Shown("a table", f"{len(on)} lines are on: {', '.join(on)}")

TogglesView(Toggles({"runAsNonRoot: true": False, "drop: [ALL]": True}, judge))"""


@pytest.fixture
def notebook(jupyterlab: JupyterLab):
    path = jupyterlab.open_cells(NAME, CELL)
    yield
    path.unlink(missing_ok=True)


def test_a_click_changes_the_verdict(jupyterlab: JupyterLab, notebook):
    cell = jupyterlab.run(0, 1)
    expect(cell).to_contain_text("1 lines are on: drop: [ALL]")
    cell.get_by_label("runAsNonRoot: true").check()
    expect(cell).to_contain_text("2 lines are on: runAsNonRoot: true, drop: [ALL]")
    cell.get_by_label("drop: [ALL]").uncheck()
    expect(cell).to_contain_text("1 lines are on: runAsNonRoot: true")
    jupyterlab.picture("toggled", cell)
    assert jupyterlab.broken_widgets() == []
