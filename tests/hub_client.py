"""A participant of a hub, without a browser: comes in, starts a server, runs a notebook in it."""

import json
import re
import time
import uuid
from pathlib import Path

import requests
import websocket

__all__ = ["Participant"]


class Participant:
    """Somebody with a browser.

    Args:
        hub: the hub's address.
        name: as typed.
    """

    def __init__(self, hub: str, name: str):
        self.hub, self.name, self.session = hub, name, requests.Session()
        self.token = ""

    def login(self, room: str, password: str) -> str:
        """Comes in. Returns what the page complains about, as markup; "" if nothing."""
        self.session.get(f"{self.hub}/hub/login", timeout=30)
        form = {"_xsrf": self._xsrf("/hub/"), "username": self.name, "room": room}
        form["password"] = password
        page = self.session.post(f"{self.hub}/hub/login?next=/hub/home", data=form, timeout=30)
        found = re.search(r'login_error">(.*?)</p>', page.text, re.DOTALL)
        if found:
            return found[1]
        assert page.url.endswith("/hub/home"), page.text
        made = self.ask("POST", f"/hub/api/users/{self.name}/tokens", json={"note": "test"})
        assert made.status_code == 201, made.text
        self.token = made.json()["token"]
        return ""

    def ask(self, method: str, path: str, **words) -> requests.Response:
        """A request to the hub or to a server behind it, as this participant."""
        headers = {"X-XSRFToken": self._xsrf("/hub/"), "Referer": f"{self.hub}/hub/home"}
        if self.token:
            headers = {"Authorization": f"token {self.token}"}
            return requests.request(
                method, self.hub + path, headers=headers, timeout=60, allow_redirects=False, **words
            )
        return self.session.request(method, self.hub + path, headers=headers, timeout=60, **words)

    def start(self) -> None:
        """Asks for a server, and doesn't wait for it."""
        asked = self.ask("POST", f"/hub/api/users/{self.name}/server")
        assert asked.status_code in (201, 202), asked.text

    def wait_until_ready(self, seconds: float = 300) -> list[str]:
        """The lines of the spawn page; the last says that the server is ready, or has failed."""
        lines, deadline = [], time.monotonic() + seconds
        path = f"{self.hub}/hub/api/users/{self.name}/server/progress"
        headers = {"Authorization": f"token {self.token}"}
        with requests.get(path, headers=headers, stream=True, timeout=seconds) as page:
            for line in page.iter_lines(decode_unicode=True):
                assert time.monotonic() < deadline, lines
                if line.startswith("data:"):
                    event = json.loads(line.removeprefix("data:"))
                    lines.append(event["message"])
                    if event.get("ready") or event.get("failed"):
                        break
        return lines

    def stop(self) -> int:
        """Stops the server. Returns the status: 204 if it's gone, 202 while it's ending."""
        return self.ask("DELETE", f"/hub/api/users/{self.name}/server").status_code

    def run(self, notebook: Path, limit: int = 0, seconds: float = 120) -> list[str]:
        """Runs a notebook's cells in a kernel of the participant's server.

        Args:
            notebook: the file.
            limit: so many code cells; 0 for all.
            seconds: for each cell.

        Returns each cell's text, errors included; a cell with an error is the last one.
        """
        return self.execute(code_cells(notebook)[: limit or None], notebook.name, seconds)

    def execute(self, code: list[str], path: str = "x.ipynb", seconds: float = 120) -> list[str]:
        """Runs lines of code in a new kernel, which ends afterwards."""
        begin = {"name": "python3", "path": path, "type": "notebook"}
        begin["kernel"] = {"name": "python3"}
        api = f"/user/{self.name}/api"
        made = self.ask("POST", f"{api}/sessions", json=begin)
        assert made.status_code == 201, made.text
        kernel = made.json()["kernel"]["id"]
        address = self.hub.replace("http", "ws", 1) + f"{api}/kernels/{kernel}/channels"
        channel = websocket.create_connection(
            address, header=[f"Authorization: token {self.token}"], timeout=seconds
        )
        texts = []
        try:
            for each in code:
                text, failed = _execute(channel, each)
                texts.append(text)
                if failed:
                    break
        finally:
            channel.close()
            self.ask("DELETE", f"{api}/sessions/{made.json()['id']}")
        return texts

    def _xsrf(self, path: str) -> str:
        found = [each for each in self.session.cookies if each.name == "_xsrf"]
        found.sort(key=lambda each: each.path == path)
        return found[-1].value if found else ""


def code_cells(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return ["".join(each["source"]) for each in cells if each["cell_type"] == "code"]


def _execute(channel: websocket.WebSocket, code: str) -> tuple[str, bool]:
    identity = uuid.uuid4().hex
    header = {"msg_id": identity, "msg_type": "execute_request", "username": "", "session": "t"}
    header |= {"version": "5.3", "date": "2026-01-01T00:00:00Z"}
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
    content |= {"allow_stdin": False, "stop_on_error": True}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    channel.send(json.dumps({**message, "channel": "shell", "buffers": []}))
    text, failed = "", False
    while True:
        frame = channel.recv()
        if isinstance(frame, bytes):  # a widget's buffers
            continue
        answer = json.loads(frame)
        if answer["parent_header"].get("msg_id") != identity:
            continue
        content, kind = answer["content"], answer["header"]["msg_type"]
        if kind == "stream":
            text += content["text"]
        elif kind in ("execute_result", "display_data"):
            text += content["data"].get("text/plain", "") + "\n"
        elif kind == "error":
            text, failed = text + "\n".join([content["ename"], content["evalue"]]), True
        elif kind == "status" and content["execution_state"] == "idle":
            return text, failed
