"""What `podlab bundle serve` hands to a room."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError

import pytest
from tornado import netutil
from tornado.web import StaticFileHandler

from labhelpers import paths
from labhelpers.cluster import bundle_download, bundle_server
from labhelpers.cluster.bundle_server import Room
from labhelpers.polling import poll
from tests.unit.test_bundle_download import bundle


class Served:
    """A room that is served in a thread, and what it said."""

    def __init__(self, file):
        self.said = []
        self.room = Room(file, b"the labs", self.said.append)
        self.sockets = netutil.bind_sockets(0, "127.0.0.1")
        self.address = f"http://127.0.0.1:{self.sockets[0].getsockname()[1]}"
        self.loop = asyncio.new_event_loop()
        self.task = self.loop.create_task(bundle_server.listen(self.room, self.sockets))
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self.task)
        except asyncio.CancelledError:
            self.loop.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.task.cancel)
        self.thread.join(10)

    def lines(self, count):
        """What it said, once that's so many lines."""
        assert poll(lambda: len(self.said) >= count, timeout_seconds=30), self.said
        return self.said

    def get(self, path="/", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.address + path, headers=named)
        return urllib.request.urlopen(request, timeout=10)


@pytest.fixture
def served(tmp_path):
    """The name has a blank: as a browser spells it, it has none."""
    machine = {"system": "Linux", "machine": "x86_64", "python_least": "3.11.0"}
    (tmp_path / "our room.tar").write_bytes(bundle(b"x" * 3_000_000, **machine))
    (tmp_path / "secret").write_text("secret")
    served = Served(tmp_path / "our room.tar")
    yield served
    served.stop()


def test_the_page_says_what_to_type_at_the_address_it_was_asked_for(served):
    with served.get(Host="teacher.local:8000") as answer:
        page = answer.read().decode()
    assert "make lab BUNDLE=http://teacher.local:8000</pre>" in page
    assert "curl -fO http://teacher.local:8000/podlab-labs.tar.gz" in page
    assert "Linux on x86_64 with Python 3.11" in page and served.room.digest() in page
    with served.get(Host="a&b") as answer:
        assert "a&amp;b" in answer.read().decode()


def test_without_a_clone_the_page_does_not_offer_the_labs(served):
    served.room.labs = b""
    with served.get() as answer:
        assert "curl" not in answer.read().decode()
    with pytest.raises(HTTPError, match="404"):
        served.get("/podlab-labs.tar.gz")


@pytest.mark.parametrize("path", ["/secret", "/%2e%2e/secret", "/our%20room.tar/../secret", "/x"])
def test_nothing_else_is_served(served, path):
    with pytest.raises(HTTPError, match="404"):
        served.get(path)


def test_a_part_is_served_while_the_file_is_the_same(served):
    content, tag = served.room.file.read_bytes(), f'"{served.room.digest()}"'
    with served.get("/our%20room.tar", Range="bytes=100-", If_Range=tag) as answer:
        assert (answer.status, answer.read()) == (206, content[100:])
        assert answer.headers["ETag"] == tag
    with served.get("/our%20room.tar", Range="bytes=100-", If_Range='"other"') as answer:
        assert (answer.status, answer.read()) == (200, content)


def test_another_file_in_its_place_has_another_checksum(served):
    with served.get("/SHA256SUMS") as answer:
        before = answer.read()
    served.room.file.with_name("new").write_bytes(bundle(b"new", system="Linux", machine="arm64"))
    served.room.file.with_name("new").replace(served.room.file)
    with served.get("/SHA256SUMS") as answer:
        assert answer.read() != before
    with served.get("/our%20room.tar") as answer:
        assert answer.headers["ETag"] == f'"{bundle_download.sha256(served.room.file)}"'


def test_thirty_at_once_get_it_and_are_told(served, tmp_path):
    content = served.room.file.read_bytes()

    def fetch(_):
        with served.get("/our%20room.tar") as answer:
            return answer.read() == content

    with ThreadPoolExecutor(30) as pool:
        assert all(pool.map(fetch, range(30)))
    # A laptop has it all a moment before the server says so.
    has = [" has the bundle, after " in line for line in served.lines(60)]
    assert (has.count(True), served.said.count("127.0.0.1 begins")) == (30, 30)
    assert served.said[-1].endswith("1 laptop has it")


def test_a_laptop_that_hangs_up_as_soon_as_it_has_everything_has_it(served, monkeypatch):
    served_by_tornado = StaticFileHandler.get

    async def get(handler, *arguments):
        await served_by_tornado(handler, *arguments)
        while not handler.request.connection.stream.closed():
            await asyncio.sleep(0.01)

    monkeypatch.setattr(StaticFileHandler, "get", get)
    with served.get("/our%20room.tar") as answer:
        assert answer.read() == served.room.file.read_bytes()
    assert served.lines(2)[1].endswith("1 laptop has it")


def test_one_that_stops_in_the_middle_does_not_count(served):
    served.room.file.write_bytes(bundle(b"x" * 60_000_000, system="Linux", machine="x86_64"))
    answer = served.get("/our%20room.tar")
    answer.read(1000)
    answer.fp.raw._sock.close()
    answer.close()
    with served.get("/our%20room.tar", Range="bytes=0-10"):
        pass
    served.lines(3)
    assert "127.0.0.1 stopped; it can go on" in served.said and not served.room.have


def test_a_laptop_fetches_from_it(served, tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_CACHE", str(tmp_path / "cache"))
    file = bundle_download.download(served.address)
    assert file.read_bytes() == served.room.file.read_bytes()


def test_the_command_prints_an_address_and_ends_by_ctrl_c(tmp_path):
    (tmp_path / "room.tar").write_bytes(bundle(system="Linux", machine="x86_64"))
    command = [sys.executable, "-u", "-m", "labhelpers.cli", "bundle", "serve"]
    with subprocess.Popen(
        [*command, tmp_path / "room.tar", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(paths.repository())},
    ) as process:
        lines = [process.stdout.readline()]
        while "Ctrl-C" not in lines[-1] and lines[-1]:
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert "http://" in "".join(lines) and "0 laptops have the bundle" in output


def test_a_port_that_is_taken_is_told(tmp_path, capsys):
    from labhelpers.cli import main

    (tmp_path / "room.tar").write_bytes(bundle(system="Linux", machine="x86_64"))
    taken = netutil.bind_sockets(0)
    port = str(taken[0].getsockname()[1])
    assert main(["bundle", "serve", str(tmp_path / "room.tar"), "--port", port]) == 1
    assert capsys.readouterr().err.startswith(f"Can't listen on port {port}.")
    for each in taken:
        each.close()
