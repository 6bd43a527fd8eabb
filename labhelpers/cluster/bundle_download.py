"""Fetches a bundle from a web server: goes on where an earlier download stopped, and keeps it only
if it has the checksum in the server's SHA256SUMS. Standard library only, because it runs before
anything is installed.

``podlab bundle serve FILE`` is such a server. So is any other with a file SHA256SUMS beside the
bundle.
"""

import errno
import hashlib
import http.client
import ipaddress
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from labhelpers import files, paths
from labhelpers.cluster import progress
from labhelpers.cluster.bundle_manifest import read_manifest
from labhelpers.errors import LabError
from labhelpers.patience import advice, patient

__all__ = ["SUMS", "download", "here", "sha256"]

SUMS = "SHA256SUMS"
STALL_SECONDS = 30  # without a byte; the whole may take as long as it takes
TRIES, PAUSE_SECONDS = 5, 2  # in a row that bring nothing
LOCK_SECONDS = 3600
CHUNK_BYTES, MANIFEST_BYTES, SUMS_BYTES = 1 << 18, 1 << 20, 1 << 16


@dataclass(frozen=True)
class Source:
    """A file on a server, and the checksum that its copy has to have."""

    url: str
    sha256: str


def here(bundle: str, suits: Callable[[dict], None] = lambda manifest: None) -> Path:
    """The file of a bundle that was named by its path, or by an address: then it's fetched.

    >>> here("/media/stick/podlab.tar")
    PosixPath('/media/stick/podlab.tar')
    """
    if not bundle.lower().startswith(("http://", "https://")):
        return Path(bundle)
    return download(bundle, suits)


def download(address: str, suits: Callable[[dict], None] = lambda manifest: None) -> Path:
    """Fetches a bundle into the cache folder, unless it's already there.

    Args:
        address: a server's, such as "http://10.0.0.5:8000", or a file's on it.
        suits: gets the manifest as soon as it has arrived; raises if the bundle is for another
            machine. The rest isn't fetched then.

    Returns:
        The bundle, whole and with the right checksum.

    Raises:
        LabError: the server doesn't answer, sends nothing more, or has another file than its
            checksum says; or the disk is full. What has arrived is kept for the next call only if
            that can go on with it.

    Rests on RFC 9110, sections 13.1.5 (If-Range) and 14.2 (Range).
    """
    folder = paths.cache() / "bundles"
    with progress.step("bundle") as step:
        step.say("waiting for another command that is fetching it")
        busy = "Another command is fetching the bundle."
        with files.lock(folder / "lock", busy, timeout_seconds=patient(LOCK_SECONDS)):
            return _Download(address, folder, step, suits).run()


@dataclass
class _Download:
    address: str
    folder: Path
    step: progress.Step
    suits: Callable[[dict], None]
    suited: bool = False
    resumed: bool = field(default=False, init=False)  # part of it may be from another day

    def run(self) -> Path:
        source, failed = look(self.address), 0
        while True:
            target = self.folder / f"{source.sha256}.tar"
            if target.exists() and sha256(target) == source.sha256:
                self.step.skip(f"already there, {target}")
                self.suits(read_manifest(target))
                return target
            part = self.part_of(source)
            before = _size(part)
            try:
                self.receive(source, part)
                if self.is_right(source, part):
                    return self.keep(part, target)
            except (OSError, http.client.HTTPException) as error:
                failed = 1 if _size(part) > before else failed + 1
                if failed == TRIES:
                    raise _stopped(source, part, error) from error
                time.sleep(patient(PAUSE_SECONDS))
            source = self.look_again(source)

    def part_of(self, source: Source) -> Path:
        """The file that it's fetched into, named by its checksum; those of other bundles go."""
        part = self.folder / f"{source.sha256}.part"
        for other in [*self.folder.glob("*.part"), *self.folder.glob("*.etag")]:
            if other.stem != part.stem:
                other.unlink()
        return part

    def look_again(self, source: Source) -> Source:
        """The server may have another bundle by now, or be away for a moment."""
        try:
            return look(self.address)
        except LabError:
            return source

    def receive(self, source: Source, part: Path) -> None:
        """Fetches what's missing.

        Raises:
            OSError, HTTPException: the connection failed, ended early, or was silent too long.
            LabError: it would never work.
        """
        tag, have = part.with_suffix(".etag"), _size(part)
        headers = {}
        if have:
            headers["Range"] = f"bytes={have}-"
            if tag.exists():
                headers["If-Range"] = tag.read_text(encoding="latin-1")
        try:
            answer = _open(source.url, headers)
        except urllib.error.HTTPError as error:
            if error.code == 416 and have:  # nothing is missing; the checksum says whether it's so
                self.resumed = True
                return
            if error.code < 500:
                raise _no_file(source.url, error) from error
            raise
        with answer:
            start = _start(answer, have)
            self.resumed |= start > 0
            length = int(answer.headers.get("Content-Length") or 0)
            if shutil.disk_usage(self.folder).free < length:
                raise self.disk_is_full(part, length)
            _write_tag(tag, answer.headers.get("ETag", ""))
            with part.open("r+b" if part.exists() else "wb") as file:
                file.seek(start)
                file.truncate()
                got = self.copy(answer, file, part, start, length)
            if got < length:
                raise ConnectionError(f"the connection ended after {_mb(start + got)}")

    def copy(self, answer, file, part: Path, start: int, length: int) -> int:
        got = 0
        while chunk := answer.read1(CHUNK_BYTES):
            try:
                file.write(chunk)
                come = start + got + len(chunk) >= min(MANIFEST_BYTES, length)
                if come and not self.suited and not self.resumed:
                    file.flush()
                    self.suit(part)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise self.disk_is_full(part, length - got) from error
            got += len(chunk)
            self.step.say(f"{_mb(start + got)} of {_mb(start + length)}")
        return got

    def suit(self, part: Path) -> None:
        try:
            self.suits(read_manifest(part))
        except LabError:
            _forget(part)
            raise
        self.suited = True

    def disk_is_full(self, part: Path, missing: int) -> LabError:
        """Makes the error, and gives back what the beginning of the download took."""
        _forget(part)
        free = shutil.disk_usage(self.folder).free
        return LabError(
            "The bundle doesn't fit on the disk; nothing was kept.",
            f"{_mb(missing)} were to come, {_mb(free)} are free now in {self.folder}",
            "Free some space, or set PODLAB_CACHE to a folder on a larger disk.",
        )

    def is_right(self, source: Source, part: Path) -> bool:
        """Whether the checksum is right. If not, the file goes, and it's fetched once more if its
        beginning was from an earlier try, or if the server has another one by now.

        Raises:
            LabError: it was fetched in one piece, and the server stands by its checksum.
        """
        self.step.say("checking")
        found = sha256(part)
        if found == source.sha256:
            return True
        _forget(part)
        if not self.resumed and self.look_again(source) == source:
            raise LabError(
                "The bundle has a wrong checksum; nothing was kept.",
                f"SHA-256 {found[:16]}…, but {SUMS} says {source.sha256[:16]}…: {source.url}",
                "Tell whoever serves it: `podlab bundle serve FILE` computes the checksum again.",
            )
        self.resumed = self.suited = False
        return False

    def keep(self, part: Path, target: Path) -> Path:
        if not self.suited:
            self.suit(part)
        part.replace(target)
        _forget(part)
        for other in self.folder.glob("*.tar"):
            if other != target:
                other.unlink()
        return target


def look(address: str) -> Source:
    """What is served at an address, by the SHA256SUMS there.

    Raises:
        LabError: there's no server, no SHA256SUMS, or not one bundle in it.
    """
    parts = urlsplit(address)
    folder, _, name = parts.path.rpartition("/")
    there = urlunsplit((parts.scheme, parts.netloc, folder, "", ""))
    text = _sums(f"{there}/{SUMS}")
    sums = {name: digest for digest, name in re.findall(r"(?m)^([0-9a-f]{64}) [ *](.+?)\r?$", text)}
    names = [unquote(name)] if name else [each for each in sums if each.endswith(".tar")]
    if len(names) != 1 or names[0] not in sums:
        raise LabError(
            "The server has no bundle at this address.",
            f"{there}/{SUMS} names {', '.join(sums) or 'nothing'}",
            f"Use the address that `podlab bundle serve FILE` printed, such as {there or address}.",
        )
    return Source(f"{there}/{quote(names[0])}", sums[names[0]])


def sha256(path: Path) -> str:
    """A file's checksum, as sha256sum prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sums(url: str) -> str:
    try:
        with _open(url, {}) as answer:
            return answer.read(SUMS_BYTES).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        raise LabError(
            "The server has no checksum for a bundle.",
            f"{url}: {error.code} {error.reason}",
            f"`podlab bundle serve FILE` gives one. On another server, put {SUMS} beside the file.",
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LabError(
            "The server with the bundle doesn't answer.",
            f"{url}: {_words(error)}",
            "Check the address, and that this machine is in the same network: a browser here"
            " should show a page at it.",
        ) from error


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    """Asks for a file. A machine in the room, named by its number, isn't asked through a proxy."""
    try:
        ipaddress.ip_address(urlsplit(url).hostname or "")
        handlers = [urllib.request.ProxyHandler({})]
    except ValueError:
        handlers = []
    opener = urllib.request.build_opener(*handlers)
    request = urllib.request.Request(url, headers=headers)
    return opener.open(request, timeout=patient(STALL_SECONDS))


def _start(answer: http.client.HTTPResponse, have: int) -> int:
    """Where the answer begins: at what was asked for, or at 0 if the server sends it all."""
    if answer.status != 206:
        return 0
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    if not found or int(found[1]) != have:
        raise ConnectionError(f"the server sent another part: {answer.headers['Content-Range']}")
    return have


def _write_tag(tag: Path, text: str) -> None:
    """The ETag of what is being fetched. A weak one says nothing about bytes."""
    if text.startswith('"'):
        tag.write_text(text, encoding="latin-1")
    else:
        tag.unlink(missing_ok=True)


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    part.with_suffix(".etag").unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def _words(error: BaseException) -> str:
    return str(getattr(error, "reason", None) or error) or type(error).__name__


def _no_file(url: str, error: urllib.error.HTTPError) -> LabError:
    return LabError(
        "The server doesn't give the bundle.",
        f"{url}: {error.code} {error.reason}",
        f"{SUMS} there names it. Tell whoever serves it.",
    )


def _stopped(source: Source, part: Path, error: BaseException) -> LabError:
    return LabError(
        "The download of the bundle stopped.",
        f"{source.url}: {_words(error)}; {_mb(_size(part))} are here",
        advice("Run the same command again: it goes on from there."),
    )
