"""The board's web server: Tornado, which comes with JupyterLab."""

import asyncio
import hmac
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.ioloop import PeriodicCallback
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler
from tornado.websocket import WebSocketHandler

from labhelpers.board.journal import SESSION_HOURS, Journal, Session
from labhelpers.board.room import BadEvent, Room, person_key

__all__ = ["Board"]

PAGES = Path(__file__).with_name("page")
# A vote with a long question is 2 kB; a participant sends up to 20 events at once.
MOST_BODY_BYTES, MOST_EVENT_BYTES, MOST_EVENTS, MOST_SOCKETS = 256 * 1024, 12 * 1024, 50, 300
# A participant's events: so many at once after an outage, and so many a second in the long run.
BURST, EVENTS_A_SECOND = 300, 5
WRONG_CODES_A_MINUTE = 60
# What has changed is shown at most four times a second, and ages every ten seconds.
FRAME_SECONDS, TICK_SECONDS = 0.25, 10
SECRET = re.compile(r"[A-Za-z0-9_-]{16,64}")

log = logging.getLogger("podlab.board")


class Board:
    """A session with its room, its journal and whoever looks at it.

    Args:
        session: its code, token and port.
        where: the folder of the journal.
        address: how the room reaches this machine, such as "192.168.1.5:8765".

    Attributes:
        ended: set when the session has ended.
    """

    def __init__(self, session: Session, where: Path, address: str):
        self.session, self.address = session, address
        self.room, self.journal = Room(), Journal(where)
        self.ended = asyncio.Event()
        self.walls: set[Live] = set()
        self.teachers: set[Live] = set()
        self._buckets: dict[str, tuple[float, float]] = {}
        self._wrong: Counter[str] = Counter()
        self._frame: asyncio.TimerHandle | None = None
        for who, event, at in self.journal.read():
            try:
                self.room.take(who, event, at)
            except BadEvent:
                self.journal.unreadable += 1

    # --- What happens

    def take(self, who: str, event: Any, at: float | None = None) -> None:
        """Takes an event into the room and the journal.

        Raises:
            BadEvent: it isn't one.
        """
        at = time.time() if at is None else at
        if self.room.take(who, event, at):
            self.journal.add(who, event, at)
            self.show_soon()

    def may_send(self, who: str, events: int) -> bool:
        """Whether somebody hasn't sent too much."""
        now = time.monotonic()
        left, then = self._buckets.get(who, (BURST, now))
        left = min(BURST, left + (now - then) * EVENTS_A_SECOND)
        enough = left >= events
        self._buckets[who] = (left - events if enough else left, now)
        return enough

    def is_code(self, code: str, peer: str) -> bool:
        """Whether it's the room's code.

        Raises:
            HTTPError: 429, because this address has tried too many wrong ones.
        """
        if self._wrong[peer] >= WRONG_CODES_A_MINUTE:
            raise HTTPError(429)
        right = hmac.compare_digest(code.upper().encode(), self.session.code.encode())
        self._wrong[peer] += not right
        return right

    def end(self) -> None:
        """Ends the session: what was collected is deleted, and whoever asks is told."""
        self.journal.remove()
        self.room = Room()
        self.ended.set()
        self.show()

    # --- What is seen

    @property
    def join_address(self) -> str:
        return f"http://{self.address}/{self.session.code}"

    @property
    def notices(self) -> list[str]:
        """What the teacher should know about the board itself, a line each."""
        said = []
        if self.journal.trouble:
            said.append(
                f"The journal can't be written ({self.journal.trouble}). Everything goes on, but a"
                " restart would lose what's new."
            )
        if unreadable := self.journal.unreadable:
            lines = "1 line" if unreadable == 1 else f"{unreadable} lines"
            said.append(f"After the restart, {lines} of the journal couldn't be used.")
        return said

    def view(self, teacher: bool) -> dict[str, Any]:
        """What a page shows."""
        now = time.time()
        view = self.room.teachers_view(now) if teacher else self.room.wall_view(now)
        view |= {"join": self.join_address, "ended": self.ended.is_set()}
        return view | {"notices": self.notices} if teacher else view

    def show_soon(self) -> None:
        """Shows what has changed, together with what changes in the next moment."""
        if self._frame is None:
            self._frame = asyncio.get_running_loop().call_later(FRAME_SECONDS, self.show)

    def show(self) -> None:
        """Sends everybody who looks what is to be seen now."""
        if self._frame is not None:
            self._frame.cancel()
            self._frame = None
        for pages, teacher in ((self.walls, False), (self.teachers, True)):
            if pages:
                text = json.dumps(self.view(teacher))
                for page in [*pages]:
                    page.tell(text)

    def tick(self) -> None:
        self.journal.catch_up()
        if time.time() - self.session.began > SESSION_HOURS * 3600 and not self.ended.is_set():
            self.end()
        self.show()

    # --- The server

    async def serve(self, ready: Callable[[], None], linger_seconds: float) -> None:
        """Serves until the session has ended, and a while longer, so that everybody is told.

        Args:
            ready: called when the board can be reached.

        Raises:
            OSError: the port is in use, or there's no such address.
        """
        sockets = bind_sockets(self.session.port, self.session.address or "0.0.0.0")
        server = HTTPServer(
            application(self),
            max_body_size=MOST_BODY_BYTES,
            max_buffer_size=4 * MOST_BODY_BYTES,
            max_header_size=16 * 1024,
            idle_connection_timeout=120,
            body_timeout=20,
        )
        server.add_sockets(sockets)
        ready()
        ticks = PeriodicCallback(self.tick, TICK_SECONDS * 1000)
        wrong_codes = PeriodicCallback(self._wrong.clear, 60_000)
        ticks.start(), wrong_codes.start()
        try:
            await self.ended.wait()
            await asyncio.sleep(linger_seconds)
        finally:
            ticks.stop(), wrong_codes.stop()
            server.stop()
            await server.close_all_connections()


def application(board: Board) -> Application:
    code, token = r"/([A-Za-z0-9]{6})", r"/teacher/([\w-]{16,64})"
    handlers = [
        (r"/static/(board\.(?:css|js))", Files, {"path": str(PAGES)}),
        (f"{code}/?", Wall),
        (f"{code}/live", WallLive),
        (f"{code}/join", Join),
        (f"{code}/events", Events),
        (f"{token}/?", Teacher),
        (f"{token}/live", TeacherLive),
        (f"{token}/wall", TeacherWall),
        (f"{token}/end", TeacherEnd),
    ]
    return Application(
        handlers,
        board=board,
        template_path=str(PAGES),
        default_handler_class=Nothing,
        log_function=lambda handler: None,
        # Notices a laptop that was closed, and keeps Wi-Fi routers from forgetting the connection.
        websocket_ping_interval=20,
        websocket_ping_timeout=15,
        websocket_max_message_size=1024,
    )


class Handler(RequestHandler):
    """What all requests have in common."""

    @property
    def board(self) -> Board:
        return self.settings["board"]

    def set_default_headers(self) -> None:
        for name, value in headers(self.request.host).items():
            self.set_header(name, value)

    def write_error(self, status_code: int, **more: Any) -> None:
        """The body says that this is a board. A participant whose session is over is told so by a
        board, and by nothing else that may have its address now."""
        error = more.get("exc_info", (None, None))[1]
        reason = getattr(error, "log_message", None) or self._reason
        self.set_header("Content-Type", "application/json")
        self.finish({"podlab": "board", "error": reason})

    def log_exception(self, kind, value, traceback) -> None:
        if not isinstance(value, HTTPError):
            log.error("the board failed at %s", self.request.method, exc_info=value)

    def must_be_room(self, code: str) -> None:
        if not self.board.is_code(code, self.request.remote_ip or ""):
            raise HTTPError(404, "there is no such room")
        if self.board.ended.is_set():
            raise HTTPError(410, "the session has ended")

    def must_be_teacher(self, token: str) -> None:
        if not hmac.compare_digest(token.encode(), self.board.session.token.encode()):
            raise HTTPError(404, "there is no such page")

    def body(self) -> dict[str, Any]:
        """A page of another site can't send this type without asking first, and is never
        allowed."""
        if self.request.headers.get("Content-Type", "").partition(";")[0] != "application/json":
            raise HTTPError(415, "JSON is needed")
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:
            raise HTTPError(400, "this isn't JSON") from error
        if not isinstance(body, dict):
            raise HTTPError(400, "an object is needed")
        return body


def headers(host: str) -> dict[str, str]:
    """Nothing from elsewhere, no frame, no address handed on: the teacher's has a secret in it."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:;"
        f" connect-src 'self' ws://{host} wss://{host}; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy if re.fullmatch(r"[\w.:\[\]-]+", host) else policy[:18],
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Server": "podlab",
    }


class Nothing(Handler):
    def prepare(self) -> None:
        raise HTTPError(404, "there is nothing here: the address ends with the room's code")


class Files(StaticFileHandler):
    def set_extra_headers(self, path: str) -> None:
        for name, value in headers(self.request.host).items():
            self.set_header(name, value)


class Wall(Handler):
    def get(self, code: str) -> None:
        self.must_be_room(code)
        self.render("board.html", page="wall")


class Teacher(Handler):
    def get(self, token: str) -> None:
        self.must_be_teacher(token)
        self.render("board.html", page="teacher")


class Join(Handler):
    def post(self, code: str) -> None:
        self.must_be_room(code)
        body = self.body()
        who = person_key(secret_of(body))
        if not self.board.may_send(who, 5):
            raise HTTPError(429, "too many at once")
        try:
            self.board.take(who, {"kind": "join", "name": body.get("name")})
        except BadEvent as error:
            raise HTTPError(400, str(error)) from error
        self.finish({"podlab": "board", "name": self.board.room.people[who].name})


class Events(Handler):
    """A participant's events. One that's bad is dropped and said to be, so that nobody sends it for
    ever. No events at all are a sign of life."""

    def post(self, code: str) -> None:
        self.must_be_room(code)
        body = self.body()
        events, who = body.get("events"), person_key(secret_of(body))
        if not isinstance(events, list) or len(events) > MOST_EVENTS:
            raise HTTPError(400, f"up to {MOST_EVENTS} events are needed")
        if who not in self.board.room.people:
            raise HTTPError(403, "join first")
        if self.board.room.people[who].left is not None:
            raise HTTPError(410, "you have left")
        if not self.board.may_send(who, len(events) or 1):
            raise HTTPError(429, "too many at once")
        now, bad = time.time(), 0
        self.board.room.hear(who, now)
        for event in events:
            try:
                if len(json.dumps(event)) > MOST_EVENT_BYTES:
                    raise BadEvent("it's too long")
                self.board.take(who, event, now - waited(event))
            except BadEvent:
                bad += 1
        self.finish({"podlab": "board", "bad": bad})


def secret_of(body: dict[str, Any]) -> str:
    secret = body.get("secret")
    if not isinstance(secret, str) or not SECRET.fullmatch(secret):
        raise HTTPError(400, "a secret is needed")
    return secret


def waited(event: Any) -> float:
    """How long an event has waited at the participant's: no clock has to agree with another."""
    seconds = event.pop("waited_seconds", 0) if isinstance(event, dict) else 0
    usual = isinstance(seconds, int | float) and 0 <= seconds <= SESSION_HOURS * 3600
    return float(seconds) if usual else 0.0


class TeacherWall(Handler):
    def post(self, token: str) -> None:
        self.must_be_teacher(token)
        try:
            self.board.take("", {"kind": "wall", **self.body()})
        except BadEvent as error:
            raise HTTPError(400, str(error)) from error
        self.board.show()
        self.finish({"podlab": "board"})


class TeacherEnd(Handler):
    def post(self, token: str) -> None:
        self.must_be_teacher(token)
        self.body()
        self.board.end()
        self.finish({"podlab": "board"})


class Live(WebSocketHandler, Handler):
    """A page that looks. Tornado refuses one of another site."""

    is_teachers = False

    def initialize(self) -> None:
        self.pages: set[Live] = set()
        self._writing: set[asyncio.Future] = set()

    def open(self, secret: str) -> None:
        self.pages = self.board.teachers if self.is_teachers else self.board.walls
        if len(self.pages) >= MOST_SOCKETS:
            self.close(1013, "too many pages")
            return
        self.pages.add(self)
        self.tell(json.dumps(self.board.view(self.is_teachers)))

    def tell(self, text: str) -> None:
        """Sends a view, without waiting for it: a page that doesn't read is closed by its ping."""
        task = asyncio.ensure_future(self._write(text))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, text: str) -> None:
        try:
            await self.write_message(text)
        except Exception:  # closed meanwhile
            self.pages.discard(self)

    def on_message(self, message: str | bytes) -> None:
        """Pages only look."""

    def on_close(self) -> None:
        self.pages.discard(self)


class WallLive(Live):
    def prepare(self) -> None:
        self.must_be_room(self.path_args[0])


class TeacherLive(Live):
    is_teachers = True

    def prepare(self) -> None:
        self.must_be_teacher(self.path_args[0])
