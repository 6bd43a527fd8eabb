"""The JupyterLab that's open is found, and only that of the same folder, while it answers."""

import json
import os
import socket
from pathlib import Path

import pytest

from labhelpers.cluster import jupyterlab

NOTEBOOK = Path("/labs/notebooks/01_what_a_pod_is.ipynb")


@pytest.fixture
def port(tmp_path, monkeypatch):
    """A port at which somebody listens."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def write(folder: Path, port: int, root: Path, token: str = "secret") -> None:
    """What a server of Jupyter says about itself."""
    url = f"http://127.0.0.1:{port}/"
    info = {"pid": os.getpid(), "root_dir": str(root), "url": url, "token": token}
    (folder / f"jpserver-{os.getpid()}.json").write_text(json.dumps(info))


@pytest.mark.parametrize(("token", "ends"), [("secret", "?token=secret"), ("", "")])
def test_an_open_one_is_found_with_its_address(port, tmp_path, token, ends):
    write(tmp_path, port, NOTEBOOK.parent, token)
    address = f"http://127.0.0.1:{port}/lab/tree/{NOTEBOOK.name}{ends}"
    assert jupyterlab.open_already(NOTEBOOK) == address


def test_that_of_another_folder_is_left_alone(port, tmp_path):
    write(tmp_path, port, Path("/elsewhere/notebooks"))
    assert jupyterlab.open_already(NOTEBOOK) == ""


def test_one_that_was_killed_does_not_count(port, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        gone = closed.getsockname()[1]
    write(tmp_path, gone, NOTEBOOK.parent)
    assert jupyterlab.open_already(NOTEBOOK) == ""


def test_without_any_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "not there"))
    assert jupyterlab.open_already(NOTEBOOK) == ""
