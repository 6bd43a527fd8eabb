"""Check boxes with a live verdict in real JupyterLab: a click changes what stands below them."""

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.jupyterlab import JupyterLab

pytestmark = [pytest.mark.cluster, pytest.mark.rota(group="browser"), pytest.mark.timeout(300)]

NAME = "99_toggles.ipynb"
# Without it JupyterLab asks for a kernel, in a dialog over the page.
KERNEL = {
    "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
}
CELL = """\
from labhelpers.outcomes import Shown
from labhelpers.toggles import Toggles
from labhelpers.widgets import TogglesView

def judge(on):
    return Shown("a table", f"{len(on)} lines are on: {', '.join(on)}")

TogglesView(Toggles({"runAsNonRoot: true": False, "drop: [ALL]": True}, judge))"""


@pytest.fixture
def notebook(jupyterlab: JupyterLab):
    cells = [nbformat.v4.new_code_cell(CELL)]
    path = jupyterlab.notebooks / NAME
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), path)
    jupyterlab.open(NAME)
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
