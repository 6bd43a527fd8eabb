"""Hands a bundle, and the labs themselves, to a room: ``podlab bundle serve FILE``. A web server
on the teacher's machine, with a page that says what to type.

tornado serves: it comes with JupyterLab, and answers ranges, so a download goes on where it
stopped. Nothing but the bundle, the labs, their checksums and the page is served.
"""

import asyncio
import hashlib
import html
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from urllib.parse import quote

from tornado import httpserver, netutil, web

from labhelpers import paths
from labhelpers.cluster.bundle_download import SUMS, sha256
from labhelpers.cluster.bundle_manifest import read_manifest
from labhelpers.errors import LabError
from labhelpers.network import addresses
from labhelpers.patience import patient

__all__ = ["Room", "serve"]

LABS = "podlab-labs.tar.gz"
GIT_SECONDS = 120.0

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>podlab in this room</title>
<style>
  body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto }
  body { padding: 0 1rem }
  pre { border: 1px solid #8888; border-radius: 6px; padding: .8rem; overflow-x: auto }
  code { overflow-wrap: anywhere }
</style>
<h1>podlab in this room</h1>
<p>Everything comes from this address. You need no other network.</p>
<h2>What you need</h2>
<p>These files are for $machine with Python $python. You also need make, and a running Docker.</p>
<ul>
  <li><b>Linux.</b> On Debian and Ubuntu, Python's <code>venv</code> is a package of its own:
    <code>python3-venv</code>.</li>
  <li><b>macOS.</b> Start Docker Desktop first. The command line tools of Xcode have make.</li>
  <li><b>Windows.</b> Type into a terminal of WSL2, not into PowerShell. Inside it, the labs run on
    Linux. Keep them in your Linux home folder.</li>
</ul>
<h2>What to type</h2>
<pre>${fetch}make lab BUNDLE=http://$address</pre>
<p>JupyterLab opens on the first lab. If your Python has another name, add it:
  <code>make lab PYTHON=python$python BUNDLE=…</code></p>
<p>If the download stops, type the last line again. It goes on where it stopped.</p>
<h2>The files</h2>
<p>$files, $size. <code>make</code> checks it: a copy that isn't whole is refused.<br>
  SHA-256: <code>$sha256</code></p>
</html>
""")
FETCH = """curl -fO http://$address/podlab-labs.tar.gz
tar -xzf podlab-labs.tar.gz
cd podlab
"""


def print_now(line: str) -> None:
    print(line, flush=True)


@dataclass
class Room:
    """What is served, and who has fetched it.

    Args:
        file: the bundle.
        labs: the labs as a tar, or b"" if this checkout can't make one.
        say: gets a line for each laptop that begins, stops, or has the bundle.
    """

    file: Path
    labs: bytes = b""
    say: Callable[[str], None] = print_now
    have: set[str] = field(default_factory=set)
    _digest: tuple[tuple[int, int], str] = field(default=((0, 0), ""), init=False)

    def digest(self) -> str:
        """The bundle's checksum. It's computed again if the file has changed."""
        now = self.file.stat()
        key = (now.st_mtime_ns, now.st_size)
        if self._digest[0] != key:
            self._digest = key, sha256(self.file)
        return self._digest[1]

    def sums(self) -> str:
        lines = [f"{self.digest()}  {self.file.name}\n"]
        if self.labs:
            lines.append(f"{hashlib.sha256(self.labs).hexdigest()}  {LABS}\n")
        return "".join(lines)

    def page(self, address: str) -> str:
        """The page for whoever came by this address, such as "10.0.0.5:8000"."""
        manifest = read_manifest(self.file)
        words = {
            "address": address,
            "machine": f"{manifest['system'].replace('Darwin', 'macOS')} on {manifest['machine']}",
            "python": manifest["python"],
            "files": self.file.name,
            "size": f"{self.file.stat().st_size / 1e6:.0f} MB",
            "sha256": self.digest(),
        }
        shown = {name: html.escape(text) for name, text in words.items()}
        fetch = Template(FETCH).substitute(shown) if self.labs else ""
        return PAGE.substitute(shown, fetch=fetch)

    def application(self) -> web.Application:
        given = {"room": self}
        settings = {"path": str(self.file.parent), **given}
        return web.Application(
            [
                (r"/", _Page, given),
                (rf"/{SUMS}", _Sums, given),
                (rf"/{LABS}", _Labs, given),
                (rf"/({_pattern(self.file.name)})", _Bundle, settings),
            ],
            log_function=lambda handler: None,
        )


def serve(file: Path, port: int = 8000) -> None:
    """Serves a bundle to the network this machine is in, until Ctrl-C.

    Args:
        file: what ``podlab bundle save`` wrote.
        port: 0 for any free one.

    Raises:
        LabError: it isn't a bundle, or the port is in use.
    """
    read_manifest(file)
    room = Room(file.absolute(), archive())
    try:
        sockets = netutil.bind_sockets(port)
    except (OSError, OverflowError) as error:
        raise LabError(
            f"Can't listen on port {port}.",
            str(getattr(error, "strerror", None) or error),
            "Choose another: --port N, or --port 0 for any free one.",
        ) from error
    port = sockets[0].getsockname()[1]
    print(f"{file.name}, {file.stat().st_size / 1e6:.0f} MB, SHA-256 {room.digest()}")
    if not room.labs:
        print("The labs aren't served: this checkout isn't a git clone. Laptops need their own.")
    print(
        "What to type stands at:",
        *(f"  http://{each}:{port}" for each in addresses() or [socket.gethostname()]),
        sep="\n",
    )
    last = "A line follows for each laptop. Ctrl-C ends it."
    try:
        asyncio.run(listen(room, sockets, last))
    except KeyboardInterrupt:
        print(f"\nEnded. {_laptops(len(room.have))} the bundle.")


async def listen(room: Room, sockets: list[socket.socket], first: str = "") -> None:
    """Serves until it's cancelled.

    Args:
        first: what to say when Ctrl-C can end it.
    """
    server = httpserver.HTTPServer(room.application())
    server.add_sockets(sockets)
    if first:
        room.say(first)
    try:
        await asyncio.Event().wait()
    finally:
        server.stop()
        await server.close_all_connections()


def archive() -> bytes:
    """The labs as committed here, as a tar; b"" where git can't make one."""
    if (checkout := paths.checkout()) is None:
        return b""
    command = ["git", "archive", "--format=tar.gz", "--prefix=podlab/", "HEAD"]
    try:
        done = subprocess.run(
            command, cwd=checkout, capture_output=True, timeout=patient(GIT_SECONDS)
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""


class _Page(web.RequestHandler):
    def initialize(self, room: Room) -> None:
        self.room = room

    def get(self) -> None:
        self.finish(self.room.page(self.request.host))


class _Sums(_Page):
    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self.room.sums())


class _Labs(_Page):
    def get(self) -> None:
        if not self.room.labs:
            raise web.HTTPError(404)
        self.set_header("Content-Type", "application/gzip")
        self.finish(self.room.labs)


class _Bundle(web.StaticFileHandler):
    """The bundle, whole or from where a laptop stopped. tornado doesn't know If-Range."""

    def initialize(self, path: str, room: Room) -> None:
        super().initialize(path)
        self.room, self.whole = room, False

    def compute_etag(self) -> str:
        return f'"{self.room.digest()}"'

    def get_content(self, *arguments) -> Iterator[bytes]:
        yield from super().get_content(*arguments)
        self.whole = True  # The next part is asked for when this one is sent.

    async def get(self, path: str, include_body: bool = True) -> None:
        headers = self.request.headers
        if headers.get("If-Range", self.compute_etag()) != self.compute_etag():
            headers.pop("Range", None)
        laptop, begin = self.request.remote_ip, time.monotonic()
        wanted = headers.get("Range", "bytes=0-")
        if include_body:
            self.room.say(f"{laptop} {'begins' if wanted == 'bytes=0-' else 'goes on'}")
        await super().get(path, include_body)
        to_the_end = re.fullmatch(r"bytes=\d+-", wanted)
        if not include_body or self.get_status() not in (200, 206) or not to_the_end:
            return
        # A laptop that has everything may hang up before this line is reached.
        if not self.whole:
            self.room.say(f"{laptop} stopped; it can go on")
            return
        self.room.have.add(laptop)
        took = f"{time.monotonic() - begin:.0f} s"
        self.room.say(f"{laptop} has the bundle, after {took}; {_laptops(len(self.room.have))} it")


def _laptops(count: int) -> str:
    return "1 laptop has" if count == 1 else f"{count} laptops have"


def _pattern(name: str) -> str:
    """For a route that matches this name only, as a browser or curl may spell it."""
    return "|".join({re.escape(name), re.escape(quote(name))})
