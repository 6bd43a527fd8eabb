"""A JupyterLab as `make lab` starts it, on a copy of the checkout, and a headless Chromium in front
of it.

The copy has its own labhelpers: what a lab reads and the server saves lies beside the package that
they import. So no notebook of the checkout is touched, and neither are the reader's files and the
reader's settings of JupyterLab.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from labhelpers import author, paths
from tests import BROWSERS
from tests.browser.jupyterlab import JupyterLab
from tests.cluster.test_template import add_lab

CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
START_SECONDS, END_SECONDS = 60, 60
TEMPLATE_LAB = "98-new-lab"


@dataclass
class Server:
    """The `podlab open` that runs: its process, where its notebooks are, and what it has said so
    far."""

    process: subprocess.Popen
    notebooks: Path
    said: list[str] = field(default_factory=list)
    address: str = ""
    token: str = ""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`podlab open`, which is all that `make lab` does once the cluster is up. It is ended as a
    reader ends it: by Ctrl-C."""
    folder, here = tmp_path_factory.mktemp("checkout"), paths.repository()
    shutil.copytree(
        here / "labhelpers", folder / "labhelpers", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(
        here / "notebooks",
        folder / "notebooks",
        ignore=shutil.ignore_patterns("mine", ".ipynb_checkpoints"),
    )
    own = {
        "PYTHONPATH": folder,
        "PODLAB_MINE": folder / "mine",
        "JUPYTER_CONFIG_DIR": folder / "config",
    }
    own |= {
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "OPEN": "no",
        "PORT": "0",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "labhelpers.cli", "open"],
        cwd=folder,
        env={**os.environ, **{key: str(value) for key, value in own.items()}},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A background job of a shell ignores Ctrl-C, and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (it takes no lock)
    )
    server, ready = Server(process, folder / "notebooks"), threading.Event()

    def read() -> None:
        for line in process.stdout:
            server.said.append(line)
            if found := re.search(r"(http://127\.0\.0\.1:\d+)/lab\S*[?&]token=(\w+)", line):
                server.address, server.token = found.groups()
                ready.set()

    reader = threading.Thread(target=read, name="what podlab open says")
    reader.start()
    try:
        assert ready.wait(START_SECONDS), "".join(server.said)
        yield server
    finally:
        # To the whole group, as a terminal does.
        os.killpg(process.pid, signal.SIGINT)
        try:
            code = process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            reader.join(END_SECONDS)
    assert code == 0
    assert f"The cluster {paths.cluster_name()} is still running" in server.said[-1]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(
            f"no Chromium on PATH ({', '.join(BROWSERS)}): the labs are not looked at in a browser"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def template_lab(server: Server) -> Iterator[str]:
    """The name of a lab that was made from the template, has never run, and goes with the test."""
    notebooks = server.notebooks
    path = add_lab(notebooks.parent, TEMPLATE_LAB)
    yield path.name
    shutil.copy(paths.repository() / "notebooks" / "claims.yaml", notebooks)
    path.unlink()
    (notebooks / "proofs" / path.name).with_suffix(".py").unlink()
    (notebooks / "pictures" / f"{TEMPLATE_LAB}.svg").unlink()
    (notebooks.parent / "tests" / "unit" / "test_proofs_98.py").unlink()
    for part in author.FOLDERS:
        shutil.rmtree(notebooks.parent / part / TEMPLATE_LAB)


@pytest.fixture
def jupyterlab(chromium: Browser, server: Server, tmp_path: Path) -> Iterator[JupyterLab]:
    """A window of its own, and notebooks as they are stored: JupyterLab saves every two minutes,
    and so another test may have left others.

    Pictures of it go to PODLAB_SCREENSHOTS, if that is set, else to the test's temporary folder.
    """
    for path in (paths.repository() / "notebooks").glob("*.ipynb"):
        shutil.copy(path, server.notebooks)
    pictures = Path(os.environ.get("PODLAB_SCREENSHOTS") or tmp_path)
    pictures.mkdir(parents=True, exist_ok=True)
    page = chromium.new_page(viewport={"width": 1300, "height": 1000})
    jupyterlab = JupyterLab(page, server.address, server.token, server.notebooks, pictures)
    yield jupyterlab
    jupyterlab.shut_kernels_down()
    page.close()
