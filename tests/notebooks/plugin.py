"""Strict nbval for the labs: ``python -m pytest -p tests.notebooks.plugin notebooks/[0-9]*.ipynb
[--backwards]``.

The options stand here and not on a command line, so that nobody runs the notebooks with weaker
ones: every output is compared, the kernel is this environment's Python, each cell has a time limit,
the first cell that fails skips the rest of its notebook but for its clean-up, and a dead kernel is
found at once.
"""

import tempfile
import time
from pathlib import Path
from queue import Empty

import pytest
from jupyter_client.manager import KernelManager
from nbval import kernel
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile

from labhelpers.patience import patient
from labhelpers.stored import CELL_TIMEOUT_SECONDS, use_sockets
from tests import labs, leaks, nobody

SANITIZERS = Path(__file__).with_name("sanitize.cfg")
_LOOK_SECONDS = 1


def pytest_addoption(parser):
    parser.addoption(
        "--backwards",
        action="store_true",
        help="run the last notebook first: any lab may be run first",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    option = config.option
    if option.nbval_lax or option.nbdime or option.nbval_kernel_name:
        raise pytest.UsageError(
            "The labs are compared strictly, with this environment's Python: no --nbval-lax,"
            " --nbdime, --nbval-kernel-name."
        )
    option.nbval = option.nbval_current_env = True
    option.nbval_sanitize_with = str(SANITIZERS)
    # A shorter limit may be asked for (a test of this file does), a longer one may not.
    option.nbval_cell_timeout = min(option.nbval_cell_timeout, patient(CELL_TIMEOUT_SECONDS))
    config.add_cleanup(_find_dead_kernels())
    config.add_cleanup(_use_sockets())
    nobody.reads(config)
    leaks.watch(config)


@pytest.hookimpl(tryfirst=True)  # -m looks at the marks
def pytest_collection_modifyitems(config, items):
    for book in {item.parent for item in items if isinstance(item.parent, IPyNbFile)}:
        # What people see. nbval leaves pictures out by itself; rules.py asks for a sentence beside
        # each of them, and that is compared.
        book.skip_compare = (*book.skip_compare, "text/html")
    for item in items:
        if item.path.parent == labs.NOTEBOOKS and item.path.name in labs.WRITTEN:
            for mark in labs.marks(item.path.name):
                item.add_marker(mark)
    if config.getoption("backwards"):
        # What else there is keeps its place, behind them.
        notebooks = [*dict.fromkeys(i.parent for i in items if isinstance(i.parent, IPyNbFile))]
        turned = {notebook: -number for number, notebook in enumerate(notebooks)}
        items.sort(key=lambda item: turned.get(item.parent, 1))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    failed = getattr(item.parent, "first_failure", None)
    # The lab is put away all the same: its Pods would take the node's CPUs from other tests.
    if failed and item.cell.source.strip() != "lab.finish()":
        pytest.skip(f"{failed} of {item.parent.name} failed before it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and isinstance(item, IPyNbCell) and not hasattr(item.parent, "first_failure"):
        item.parent.first_failure = item.name
    return report


def _use_sockets():
    """nbval has its kernels opened at ports, which others may have got by then. Returns what undoes
    it."""
    sockets = tempfile.TemporaryDirectory()
    kernel.KernelManager = lambda **more: use_sockets(
        KernelManager(**more), tempfile.mkdtemp(dir=sockets.name)
    )

    def undo():
        kernel.KernelManager = KernelManager
        sockets.cleanup()

    return undo


def _find_dead_kernels():
    """nbval waits out the whole time limit of a cell whose kernel is gone. Looks each second
    instead; returns what undoes it."""
    await_reply = RunningKernel.await_reply

    def await_reply_of_the_living(self, msg_id, timeout=None):
        deadline = time.monotonic() + timeout
        while True:
            try:
                return await_reply(self, msg_id, timeout=_LOOK_SECONDS)
            except Empty:
                if not self.is_alive():
                    raise RuntimeError("The kernel died in this cell.") from None
                if time.monotonic() >= deadline:
                    raise

    RunningKernel.await_reply = await_reply_of_the_living
    return lambda: setattr(RunningKernel, "await_reply", await_reply)
