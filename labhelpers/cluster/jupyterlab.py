"""The JupyterLab that ``podlab open`` starts: its address, its port, and the one that's open."""

import os
import socket
import sys
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit

from labhelpers.errors import LabError

__all__ = ["open_already", "wanted_port", "wants_browser"]

CONNECT_SECONDS = 1.0


def open_already(notebook: Path) -> str:
    """Where a JupyterLab of this notebook's folder is open: the notebook's address in it, or "".

    Args:
        notebook: the lab. Its folder is the one that JupyterLab was started on.
    """
    from jupyter_server.serverapp import list_running_servers  # slow to import

    for server in list_running_servers():
        if Path(server["root_dir"]) == notebook.parent and _answers(server["url"]):
            token = f"?token={server['token']}" if server["token"] else ""
            return f"{server['url']}lab/tree/{notebook.name}{token}"
    return ""


def _answers(url: str) -> bool:
    """Whether somebody listens: a server that was killed leaves its file, and its pid to others."""
    found = urlsplit(url)
    address = found.hostname or "", found.port or 80
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def wanted_port() -> int:
    """The port in PORT, else 8888; if that's taken, JupyterLab finds the next free one by itself.

    Raises:
        LabError: PORT isn't a port, or is in use.
    """
    text = os.environ.get("PORT", "")
    if not text:
        return 8888
    if not text.isdecimal() or int(text) > 65535:
        raise LabError(
            "PORT isn't a port number.",
            f"PORT={text}",
            "Set it to a number up to 65535, to 0 for any free port, or leave it unset.",
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError as error:
            raise LabError(
                f"Port {text} is in use.",
                f"127.0.0.1:{text}: {error.strerror}",
                "Set PORT to another port, or to 0 for any free one.",
            ) from error
    return int(text)


def wants_browser() -> bool:
    """Whether a browser window can be opened for the reader, and OPEN doesn't say no. Not on a bare
    server, where it would be a text browser in the terminal."""
    if os.environ.get("OPEN", "") == "no":
        return False
    if sys.platform == "darwin":
        return True
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
