"""labhelpers.stored: the one form of a stored notebook, its refresh, and what JupyterLab saves."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from labhelpers import paths, stored
from labhelpers.errors import LabError

VIEW = "application/vnd.jupyter.widget-view+json"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)


def as_saved_by_a_front_end():
    """A notebook with all that must not be stored."""
    widget = new_output("display_data", {VIEW: {"model_id": "5f"}, "text/plain": "three choices"})
    only_view = new_output("display_data", {VIEW: {"model_id": "6f"}})
    words = [
        new_output("stream", name=name, text=text)
        for name, text in (("stdout", "one\n"), ("stderr", "x\n"), ("stdout", "two\n"))
    ]
    timed = {
        "tags": ["measure"],
        "execution": {"iopub.status.busy": "2026-11-24T05:00:00Z"},
        "collapsed": False,
        "scrolled": True,
    }
    measure = new_code_cell(
        "life.chart()\n\n",
        id="chart",
        execution_count=1,
        metadata=timed,
        outputs=[widget, only_view, *words],
    )
    shown = new_code_cell(
        "1", id="one", execution_count=2, metadata={"jupyter": {"outputs_hidden": True}}
    )
    kernel = {
        "language_info": {"name": "python", "version": "3.12.1", "codemirror_mode": {"version": 3}},
        "widgets": {VIEW: {"state": {}}},
    }
    return new_notebook(
        cells=[new_markdown_cell("# A\n", id="card"), measure, shown], metadata=kernel
    )


def test_canonical_keeps_what_a_reader_needs_and_nothing_else():
    before = as_saved_by_a_front_end()
    after = stored.canonical(before)
    card, chart, one = after["cells"]
    assert [cell["id"] for cell in after["cells"]] == ["card", "chart", "one"]
    assert (card["source"], chart["source"]) == ("# A", "life.chart()")
    assert chart["metadata"] == {"tags": ["measure"], "jupyter": {"outputs_hidden": True}}
    assert one["metadata"] == {}
    assert [
        dict(output["data"]) if "data" in output else output["text"] for output in chart["outputs"]
    ] == [
        {},  # What JupyterLab would show of a folded cell is the first line of its first output.
        {"text/plain": "three choices"},
        "one\ntwo\n",
        "x\n",
    ]
    assert (
        set(after["metadata"]) == {"kernelspec", "language_info"}
        and "version" not in after["metadata"]["language_info"]
    )
    assert before == as_saved_by_a_front_end(), "the notebook that was given is left alone"
    assert stored.canonical(after) == after
    nbformat.validate(after)


def test_a_save_leaves_open_what_the_reader_has_open():
    notebook = as_saved_by_a_front_end()
    after = stored.stripped(notebook)
    assert after["cells"][1]["metadata"] == {
        "tags": ["measure"],
        "collapsed": False,
        "scrolled": True,
    }
    assert VIEW not in json.dumps(after) and "widgets" not in after["metadata"]


def stored_lab(folder: Path, *sources: str) -> Path:
    path = folder / "lab.ipynb"
    nbformat.write(
        new_notebook(
            cells=[new_code_cell(source, id=f"c{number}") for number, source in enumerate(sources)]
        ),
        path,
    )
    return path


CHART = """
class Chart:
    def _ipython_display_(self):
        import base64, os
        from IPython.display import display
        letters = base64.b64encode(os.urandom(40)).decode()
        display({"image/png": letters, "text/plain": open("finding.txt").read()}, raw=True)
        display({"text/html": f"<details>{letters}</details>"}, raw=True)
Chart()"""


def test_two_refreshes_differ_in_no_byte_until_the_fact_changes(tmp_path):
    path = stored_lab(tmp_path, "print('a')\nprint('b')", CHART)
    (tmp_path / "finding.txt").write_text("the address stays")
    stored.refresh(path)
    first = path.read_bytes()
    assert stored.refresh(path) == []
    assert path.read_bytes() == first, "the pixels were others, the fact was the same"
    stored.refresh(path, pictures="new")
    new = path.read_bytes()
    assert new != first
    (tmp_path / "finding.txt").write_text("the address changes")
    cell = nbformat.read(path, as_version=4).cells[1].id
    assert stored.refresh(path)[-2:] == [
        f"-{cell}: the address stays",
        f"+{cell}: the address changes",
    ]
    data = nbformat.read(path, as_version=4).cells[1].outputs[0].data
    assert data["text/plain"] == "the address changes"
    assert data["image/png"].encode() not in new
    assert (
        data["image/png"] in nbformat.read(path, as_version=4).cells[1].outputs[1].data["text/html"]
    )
    assert [cell.execution_count for cell in nbformat.read(path, as_version=4).cells] == [1, 2]


LOTTERY = """
import os
from IPython.display import display
display({"text/html": "<pre>" + "".join(chr(103 + each % 16) for each in os.urandom(40))}, raw=True)
display({"text/plain": open("finding.txt").read()}, raw=True)"""


def test_a_table_that_depends_on_chance_stays_only_in_a_cell_that_says_so(tmp_path):
    path = stored_lab(tmp_path, LOTTERY, LOTTERY)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].metadata["tags"] = ["by-chance"]
    nbformat.write(notebook, path)
    (tmp_path / "finding.txt").write_text("13 of 13")
    stored.refresh(path)
    first = nbformat.read(path, as_version=4)
    (tmp_path / "finding.txt").write_text("12 of 13")
    stored.refresh(path)
    second = nbformat.read(path, as_version=4)
    drawn = [
        [each.cells[n].outputs[0].data["text/html"] for n in (0, 1)] for each in (first, second)
    ]
    assert drawn[0][0] == drawn[1][0] and drawn[0][1] != drawn[1][1]
    assert second.cells[0].outputs[1].data["text/plain"] == "12 of 13"
    stored.refresh(path, pictures="new")
    assert nbformat.read(path, as_version=4).cells[0].outputs[0].data["text/html"] != drawn[0][0]


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("1 / 0", "1 / 0 ended in ZeroDivisionError: division by zero"),
        ("import time; time.sleep(60)", "ran longer than 2 s"),
        ("import os; os._exit(1)", "the kernel died in import os"),
    ],
)
def test_a_failing_refresh_leaves_the_file_as_it_was(tmp_path, source, seen):
    path = stored_lab(tmp_path, "'before'", source)
    before = path.read_bytes()
    with pytest.raises(LabError, match="the file is as it was") as caught:
        stored.refresh(path, timeout_seconds=2 if "sleep" in source else 60)
    assert seen in caught.value.seen
    assert path.read_bytes() == before
    assert [other.name for other in tmp_path.iterdir()] == ["lab.ipynb"]


def test_ctrl_c_ends_a_refresh_at_once_and_leaves_the_file(tmp_path):
    path = stored_lab(
        tmp_path, "import os, time; open('pid', 'w').write(str(os.getpid()))", "time.sleep(60)"
    )
    before = path.read_bytes()
    command = [sys.executable, "-m", "labhelpers.stored", "refresh", str(path)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=paths.repository()
    ) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < deadline and process.poll() is None
            threading.Event().wait(0.1)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1]
    assert (
        process.returncode == 1
        and "Seen: it was interrupted in " in said
        and "Traceback" not in said
    )
    assert path.read_bytes() == before
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_cell_that_answers_after_ctrl_c_counts_as_interrupted(tmp_path):
    path = stored_lab(tmp_path, "raise KeyboardInterrupt")
    with pytest.raises(LabError) as caught:
        stored.refresh(path)
    assert caught.value.seen == "it was interrupted in raise KeyboardInterrupt"


def test_refresh_of_no_notebook_says_so(tmp_path):
    (tmp_path / "x.ipynb").write_text("no json")
    with pytest.raises(LabError, match=r"x\.ipynb is not read as a notebook"):
        stored.refresh(tmp_path / "x.ipynb")
    assert stored.main(["refresh", str(tmp_path / "missing.ipynb")]) == 1


def test_the_save_hook_is_installed_once(tmp_path):
    path = stored.install_save_hook(tmp_path)
    assert path.is_relative_to(tmp_path / "etc" / "jupyter" / "jupyter_server_config.d")
    os.utime(path, (1, 1))
    assert stored.install_save_hook(tmp_path) == path
    assert path.stat().st_mtime == 1, "an unchanged file is not written"
    path.write_text("{}")
    stored.install_save_hook(tmp_path)
    assert json.loads(path.read_text())["ServerApp"]["jpserver_extensions"] == {
        "labhelpers.stored": True
    }


def test_jupyterlab_asks_for_nothing_and_a_reader_may_overrule_it(tmp_path):
    path = stored.install_defaults(tmp_path)
    assert path.parent == tmp_path / "share" / "jupyter" / "lab" / "settings" / "overrides.d"
    assert json.loads(path.read_text()) == {
        "@jupyterlab/apputils-extension:notification": {
            "fetchNews": "false",
            "checkForUpdates": False,
        }
    }


@pytest.mark.parametrize(
    ("folder", "views"), [(paths.repository() / "notebooks" / "mine", False), (None, True)]
)
def test_a_save_strips_the_labs_notebooks_and_no_others(tmp_path, folder, views):
    """The hook itself. That a real server calls it, tests/browser/test_labs.py sees."""
    hooks = []
    register = SimpleNamespace(register_pre_save_hook=hooks.append)
    stored._load_jupyter_server_extension(SimpleNamespace(contents_manager=register))
    model = {"type": "notebook", "content": as_saved_by_a_front_end()}
    manager = SimpleNamespace(root_dir=str(folder or tmp_path))
    hooks[0](model=model, path="lab.ipynb", contents_manager=manager)
    assert (VIEW in json.dumps(model["content"])) is views
    assert "three choices" in json.dumps(model["content"])


def test_a_kernel_that_nbclient_finds_dead_after_a_signal_counts_as_interrupted(
    tmp_path, monkeypatch
):
    """As it came once, on a busy machine."""

    def after_a_signal(client, **_):
        client._async_cleanup_kernel_future = None
        raise DeadKernelError("Kernel died")

    monkeypatch.setattr(NotebookClient, "execute", after_a_signal)
    with pytest.raises(LabError) as caught:
        stored.refresh(stored_lab(tmp_path, "1"))
    assert caught.value.seen.startswith("it was interrupted in ")
