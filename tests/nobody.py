"""Nobody reads where tests run: what labs record, and the answers that they check, go into a folder
that goes with the run, and never into a reader's own.

``make test`` sets PODLAB_MINE by itself. Every other run of pytest gets it here: tests/conftest.py
and tests/notebooks/plugin.py both ask for it.
"""

import os
import shutil
import tempfile

import pytest


def reads(config: pytest.Config) -> None:
    """Sets PODLAB_MINE for this run, its workers and its kernels, unless somebody has set it."""
    if os.environ.get("PODLAB_MINE"):
        return
    folder = tempfile.mkdtemp(prefix="podlab-nobody-")
    os.environ["PODLAB_MINE"] = folder

    def undo() -> None:
        del os.environ["PODLAB_MINE"]
        shutil.rmtree(folder, ignore_errors=True)

    config.add_cleanup(undo)
