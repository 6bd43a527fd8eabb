"""labhelpers.cells: what happens whenever a cell runs, the lock of a prediction included."""

from labhelpers import cells
from labhelpers.cells import on_next_cell
from labhelpers.predictions import Prediction
from labhelpers.widgets import PredictionView


def test_the_next_cell_closes_and_a_second_hook_replaces_the_first(shell):
    calls = []
    on_next_cell(lambda: calls.append("old"))
    on_next_cell(lambda: calls.append("new"))
    shell.run_cell("1")
    shell.run_cell("1", silent=True)
    assert calls == ["new"]


def test_a_hook_never_raises(shell, capsys):
    on_next_cell(lambda: 1 / 0)
    assert shell.run_cell("1 + 1").result == 2
    assert "Error" not in "".join(capsys.readouterr())


def test_a_view_in_a_cell_is_locked_by_the_next_cell(shell):
    view = PredictionView(Prediction("address", "The address …", ["stays", "changes"]))
    shell.user_ns["view"], shell.user_ns["on_next_cell"] = view, on_next_cell
    shell.run_cell("on_next_cell(view.prediction.close)")
    assert view.prediction.state == "open"
    shell.run_cell("pass")
    assert view.prediction.state == "missed"


def test_outside_of_a_notebook_there_is_no_hook(monkeypatch):
    monkeypatch.setattr(cells, "_hooks", {})
    on_next_cell(lambda: None)
    assert cells._hooks == {}
