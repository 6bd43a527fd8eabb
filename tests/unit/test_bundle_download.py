"""A bundle over HTTP, from a server that cuts, stalls, changes its file or lies about it."""

import errno
import hashlib
import io
import json
import shutil
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from labhelpers import paths
from labhelpers.cluster import bundle_download, environment
from labhelpers.cluster.bundle_download import download
from labhelpers.errors import LabError


def bundle(filling: bytes = b"0123456789abcdef" * 200_000, **manifest) -> bytes:
    """A bundle with nothing in it that anybody could load."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        text = json.dumps({"python": "3.11", **manifest}).encode()
        for name, content in {"manifest.json": text, "images": filling}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return whole.getvalue()


class Server(ThreadingHTTPServer):
    """Serves ``content`` as room.tar, with SHA256SUMS.

    Attributes:
        cuts: after how many bytes each next answer ends.
        stalls: instead of ending there, it stays silent.
        sums: what it says instead of the right checksum.
        asked: the Range and If-Range of each request for the bundle.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.sums, self.asked = bundle(), "", []
        self.cuts, self.stalls, self.let_go = [], False, threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        served = self.server
        if self.path == "/SHA256SUMS":
            return self.answer(200, f"{served.sums or served.digest()}  room.tar\n".encode())
        if self.path != "/room.tar":
            return self.send_error(404)
        asked = self.headers.get("Range"), self.headers.get("If-Range")
        served.asked.append(asked)
        tag = f'"{served.digest()[:8]}"'
        start = int(asked[0].removeprefix("bytes=").rstrip("-")) if asked[0] else 0
        if asked[1] not in (None, tag):
            start = 0
        if start and start >= len(served.content):
            return self.send_error(416)
        whole = f"bytes {start}-{len(served.content) - 1}/{len(served.content)}"
        headers = {"ETag": tag, **({"Content-Range": whole} if start else {})}
        return self.answer(206 if start else 200, served.content[start:], headers)

    def answer(self, status: int, body: bytes, headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        cuts = self.server.cuts if self.path == "/room.tar" else []
        self.wfile.write(body[: cuts.pop(0)] if cuts else body)
        if self.server.stalls and self.path == "/room.tar":
            self.wfile.flush()
            self.server.let_go.wait(20)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bundle_download, "PAUSE_SECONDS", 0)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.let_go.set()
        server.shutdown()
        thread.join()


def kept() -> list[str]:
    folder = paths.cache() / "bundles"
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")


def test_it_is_fetched_once(server, capsys):
    file = download(server.address)
    assert file.read_bytes() == server.content
    assert kept() == [f"{server.digest()}.tar"]
    assert download(f"{server.address}/room.tar") == file
    assert len(server.asked) == 1 and "already there" in capsys.readouterr().out


def test_one_that_was_damaged_here_is_fetched_again(server):
    download(server.address).write_bytes(b"bad")
    assert download(server.address).read_bytes() == server.content


def test_a_cut_connection_goes_on_in_the_middle(server):
    server.cuts = [1_500_000, 700_000]
    assert download(server.address).read_bytes() == server.content
    tag = f'"{server.digest()[:8]}"'
    assert server.asked == [(None, None), ("bytes=1500000-", tag), ("bytes=2200000-", tag)]


def test_an_interrupted_command_goes_on_the_next_time(server, monkeypatch):
    def interrupted(self, progress):
        if "MB of" in progress and not progress.startswith("0"):
            raise KeyboardInterrupt

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("labhelpers.cluster.progress.Step.say", interrupted)
        with pytest.raises(KeyboardInterrupt):
            download(server.address)
    assert kept() == [f"{server.digest()}.etag", f"{server.digest()}.part"]
    assert download(server.address).read_bytes() == server.content
    assert server.asked[1][0] is not None


def test_another_file_on_the_server_is_begun_at_its_beginning(server):
    server.cuts, before = [1_500_000] + [0] * 9, server.digest()
    with pytest.raises(LabError, match="download of the bundle stopped"):
        download(server.address)
    server.cuts, server.content = [], bundle(b"new" * 900_000)
    assert before not in download(server.address).name
    assert server.asked[-1] == (None, None)
    assert kept() == [f"{server.digest()}.tar"]


def test_a_file_that_changes_meanwhile_is_begun_again(server, monkeypatch):
    server.cuts, seen = [1_500_000], []
    receive = bundle_download._Download.receive

    def changing(self, source, part):
        try:
            receive(self, source, part)
        finally:
            if not seen:
                server.content = bundle(b"new" * 900_000)
            seen.append(source.sha256)

    monkeypatch.setattr(bundle_download._Download, "receive", changing)
    assert download(server.address).read_bytes() == server.content
    assert seen[-1] == server.digest() != seen[0]


@pytest.mark.parametrize("size", [2_000_000, "all"])
def test_a_beginning_that_was_damaged_here_costs_a_second_download(server, size):
    folder = paths.cache() / "bundles"
    folder.mkdir(parents=True)
    size = len(server.content) if size == "all" else size
    (folder / f"{server.digest()}.part").write_bytes(b"\0" * size)
    suited = []
    assert download(server.address, suited.append).read_bytes() == server.content
    assert suited == [{"python": "3.11"}]


def test_a_wrong_checksum_is_refused_in_three_lines(server):
    server.sums = "0" * 64
    with pytest.raises(LabError) as caught:
        download(server.address)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3 and lines[0] == "The bundle has a wrong checksum; nothing was kept."
    assert server.digest()[:16] in lines[1] and "0" * 16 in lines[1]
    assert kept() == [] and len(server.asked) == 1


def test_a_silent_server_ends_the_wait_and_what_came_stays(server, monkeypatch):
    monkeypatch.setattr(bundle_download, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(bundle_download, "TRIES", 2)
    server.cuts, server.stalls = [1_500_000, 0, 0], True
    with pytest.raises(LabError) as caught:
        download(server.address)
    assert "2 MB are here" in caught.value.seen and "goes on from there" in caught.value.do
    assert f"{server.digest()}.part" in kept()
    server.stalls, server.cuts = False, []
    assert download(server.address).read_bytes() == server.content
    assert server.asked[-1][0] == "bytes=1500000-"


class FullDisk(io.FileIO):
    def write(self, chunk):
        if self.tell() > 1_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(chunk)


def test_a_disk_that_fills_up_keeps_nothing(server, monkeypatch):
    usual = Path.open

    def full(path, mode="r", **how):
        return FullDisk(path, "w") if path.suffix == ".part" and mode == "wb" else usual(path, mode)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Path, "open", full)
        with pytest.raises(LabError, match="doesn't fit on the disk") as caught:
            download(server.address)
    assert "PODLAB_CACHE" in caught.value.do and kept() == []


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(server, monkeypatch):
    left = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(bundle_download.shutil, "disk_usage", lambda _: left)
    with pytest.raises(LabError, match="doesn't fit on the disk"):
        download(server.address)
    assert kept() == []


def test_a_bundle_for_another_machine_is_refused_at_its_beginning(server, capsys, monkeypatch):
    server.content = bundle(b"0" * 30_000_000, system="Plan 9", machine="vax")
    written, copy = [], bundle_download._Download.copy

    def counted(self, answer, file, *rest):
        try:
            return copy(self, answer, file, *rest)
        finally:
            written.append(file.tell())

    monkeypatch.setattr(bundle_download._Download, "copy", counted)
    assert environment.main(["--bundle", server.address]) == 1
    assert "The bundle is for another machine." in capsys.readouterr().err
    assert written[0] < 5_000_000 and kept() == []


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/other.tar", "names room.tar"),
        ("/deep/room.tar", "404"),
    ],
)
def test_an_address_without_a_bundle_says_what_is_there(server, path, says):
    with pytest.raises(LabError) as caught:
        download(f"{server.address}{path}")
    assert says in caught.value.seen


def test_a_server_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_CACHE", str(tmp_path))
    with Server() as gone:
        address = gone.address
    with pytest.raises(LabError, match="doesn't answer"):
        download(address)
    with pytest.raises(LabError, match="doesn't answer"):
        download("http://")


def test_two_commands_at_once_fetch_it_once(server):
    found = []
    threads = [threading.Thread(target=lambda: found.append(download(server.address)))] * 1
    threads.append(threading.Thread(target=lambda: found.append(download(server.address))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(server.asked) == 1


def test_a_proxy_is_not_asked_for_a_machine_in_the_room(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert download(server.address).exists()
