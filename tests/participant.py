"""One participant of a session, as a program: joins the board, goes through lab 02 cell by cell,
predicts, measures, and checks an exercise twice.

    python -m tests.participant ADDRESS NAME NUMBER
    python -m tests.participant ADDRESS NAME NUMBER dies
    python -m tests.participant ADDRESS NAME NUMBER back

PODLAB_CLUSTER, PODLAB_STATE and PODLAB_MINE say whose cluster, seat and files these are. The number
decides what is predicted, so that a room isn't of one mind. With ``dies``, the cluster goes in the
middle of the lab, and the next cell has to say so. With ``back``, somebody whose cluster died
begins again: they have a seat at the board already.
"""

import os
import re
import shutil
import sys
import tempfile

import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from labhelpers import paths
from labhelpers.cluster import docker
from labhelpers.paths import ClusterFiles
from labhelpers.stored import CELL_TIMEOUT_SECONDS, use_sockets

LAB, NOTEBOOK, KEY = "02-pause", "02_pause.ipynb", "a"
PREDICT = re.compile(r'lab\.predict\("([\w-]+)"')
BEGINS, ENDS = "lab = start(", "lab.finish()"
SOLVE = "# the reader edits the file"
DIES = "# the cluster dies"
DIES_AFTER = 3  # predictions
TOLD = """from labhelpers.polling import poll
told = lambda: "your cluster {}" in lab.shared() and "  waiting  " not in lab.shared()
assert poll(told, timeout_seconds=30), lab.shared()"""


def cells_of(address: str, name: str, number: int, way: str = "") -> list[str]:
    """The notebook's cells, with what a hand would do between them.

    >>> cells = cells_of("http://127.0.0.1:1/K7QMTX", "Ada", 1)
    >>> [cell.splitlines()[-1] for cell in cells if "lab.join" in cell]
    ["lab.join('http://127.0.0.1:1/K7QMTX', name='Ada')"]
    >>> cells_of("http://127.0.0.1:1/K7QMTX", "Ada", 1, "dies").count(DIES)
    1
    """
    found, asked_so_far = [], 0
    for cell in nbformat.read(paths.notebooks() / NOTEBOOK, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        source = cell.source
        # A click commits without running a cell.
        for asked in PREDICT.findall(source):
            source += f"\n_p = lab._predictions[{asked!r}]"
            source += f"\n_p.commit(_p.choices[{number} % len(_p.choices)])"
            asked_so_far += 1
        if source == f'lab.check("{KEY}")':
            continue  # checked at the end, by hand
        if source == ENDS:
            found += [f'lab.check("{KEY}")', SOLVE, f'lab.check("{KEY}")']
        found.append(source)
        if BEGINS in source and way == "back":
            return [source, TOLD.format("answers")]
        if BEGINS in source:
            found.append(f"lab.join({address!r}, name={name!r})")
        if way == "dies" and PREDICT.search(source) and asked_so_far == DIES_AFTER:
            found.append(DIES)
    return found


def main(address: str, name: str, number: str, way: str = "") -> None:
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell(source) for source in cells_of(address, name, int(number), way)
    ]
    with tempfile.TemporaryDirectory(prefix="podlab-") as folder:
        manager = use_sockets(AsyncKernelManager(kernel_name="python3"), folder)
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=CELL_TIMEOUT_SECONDS,
            resources={"metadata": {"path": str(paths.notebooks())}},
        )
        with client.setup_kernel():
            for index, cell in enumerate(notebook.cells):
                if cell.source == SOLVE:
                    file = f"{LAB}/{KEY}.yaml"
                    shutil.copyfile(paths.notebooks() / "solutions" / file, paths.mine() / file)
                    continue
                if cell.source == DIES:
                    container = ClusterFiles(os.environ["PODLAB_CLUSTER"]).container
                    docker.run("rm", "--force", "--volumes", container, timeout_seconds=60)
                    return notices_that_it_died(client, notebook.cells, index)
                client.execute_cell(cell, index)


def notices_that_it_died(client: NotebookClient, cells: list, index: int) -> None:
    """Runs the next cell, which says so, and waits until the board knows."""
    try:
        client.execute_cell(cells[index + 1], index + 1)
    except CellExecutionError as error:
        assert error.ename == "Unreachable" and "podlab up" in error.evalue, error
    else:
        raise AssertionError(f"ran without a cluster:\n{cells[index + 1].source}")
    told = nbformat.v4.new_code_cell(TOLD.format("doesn't answer"))
    client.execute_cell(told, index + 2)


if __name__ == "__main__":
    main(*sys.argv[1:])
