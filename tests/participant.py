"""One participant of a session, as a program: joins the board, goes through lab 02 cell by cell,
predicts, measures, and checks an exercise twice.

    python -m tests.participant ADDRESS NAME NUMBER

PODLAB_CLUSTER, PODLAB_STATE and PODLAB_MINE say whose cluster, seat and files these are. The number
decides what is predicted, so that a room isn't of one mind.
"""

import re
import shutil
import sys
import tempfile

import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient

from labhelpers import paths
from labhelpers.stored import CELL_TIMEOUT_SECONDS, use_sockets

LAB, NOTEBOOK, KEY = "02-pause", "02_pause.ipynb", "a"
PREDICT = re.compile(r'lab\.predict\("([\w-]+)"')
BEGINS, ENDS = "lab = start(", "lab.finish()"
SOLVE = "# the reader edits the file"


def cells_of(address: str, name: str, number: int) -> list[str]:
    """The notebook's cells, with what a hand would do between them.

    >>> cells = cells_of("http://127.0.0.1:1/K7QMTX", "Ada", 1)
    >>> [cell.splitlines()[-1] for cell in cells if "lab.join" in cell]
    ["lab.join('http://127.0.0.1:1/K7QMTX', name='Ada')"]
    """
    found = []
    for cell in nbformat.read(paths.notebooks() / NOTEBOOK, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        source = cell.source
        # A click commits without running a cell.
        for asked in PREDICT.findall(source):
            source += f"\n_p = lab._predictions[{asked!r}]"
            source += f"\n_p.commit(_p.choices[{number} % len(_p.choices)])"
        if source == f'lab.check("{KEY}")':
            continue  # checked at the end, by hand
        if source == ENDS:
            found += [f'lab.check("{KEY}")', SOLVE, f'lab.check("{KEY}")']
        found.append(source)
        if BEGINS in source:
            found.append(f"lab.join({address!r}, name={name!r})")
    return found


def main(address: str, name: str, number: str) -> None:
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell(source) for source in cells_of(address, name, int(number))
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
                client.execute_cell(cell, index)


if __name__ == "__main__":
    main(*sys.argv[1:])
