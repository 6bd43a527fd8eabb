"""labhelpers.board.server over HTTP: who is let in, and what a bad request does."""

import asyncio
import json
from pathlib import Path

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from labhelpers.board import host, server
from labhelpers.board.journal import Session
from labhelpers.board.server import Board
from labhelpers.errors import TimedOut
from tests.ports import free_port

SECRET, OTHER = "a" * 20, "b" * 20
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def with_board(tmp_path: Path):
    """Runs a function beside a board: ``with_board(act)`` calls ``act(board, ask)``."""

    def run(act, where=tmp_path):
        async def main():
            session = Session.new(free_port(), "127.0.0.1")
            session.store(where)
            board = Board(session, where, f"127.0.0.1:{session.port}")
            ready = asyncio.Event()
            serving = asyncio.ensure_future(board.serve(ready.set, 0))
            await ready.wait()
            client = AsyncHTTPClient(force_instance=True)

            async def ask(path, body=None, headers=JSON):
                text = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
                request = HTTPRequest(
                    f"http://127.0.0.1:{session.port}{path}",
                    method="GET" if body is None else "POST",
                    body=text,
                    headers=headers,
                )
                answer = await client.fetch(request, raise_error=False)
                return answer

            try:
                await act(board, ask)
            finally:
                client.close()
                board.end()
                await serving

        asyncio.run(asyncio.wait_for(main(), 30))

    return run


def test_who_is_let_in(with_board):
    async def act(board, ask):
        code, token = board.session.code, board.session.token
        codes = {}
        for name, path, body in [
            ("wall", f"/{code}", None),
            ("in small letters", f"/{code.lower()}", None),
            ("teacher", f"/teacher/{token}", None),
            ("wrong room", "/AAAAAA", None),
            ("wrong teacher", f"/teacher/{'x' * 32}", None),
            ("a file", "/static/board.js", None),
            ("another file", "/static/..%2fserver.py", None),
            ("nothing", "/", None),
            ("join", f"/{code}/join", {"secret": SECRET, "name": "Ada"}),
            ("not joined", f"/{code}/events", {"secret": OTHER, "events": []}),
            ("alive", f"/{code}/events", {"secret": SECRET, "events": []}),
            ("no secret", f"/{code}/join", {"name": "Ada"}),
            ("no name", f"/{code}/join", {"secret": OTHER, "name": 7}),
            ("not JSON", f"/{code}/join", "{"),
            ("a list", f"/{code}/join", []),
            ("deep", f"/{code}/join", "[" * 100_000),
            ("too many", f"/{code}/events", {"secret": SECRET, "events": [{}] * 51}),
            ("wrong token", f"/teacher/{'x' * 32}/end", {}),
            ("no question", f"/teacher/{token}/wall", {"question": "x", "stage": "votes"}),
        ]:
            answer = await ask(path, body)
            codes[name] = answer.code
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert codes == {
            "wall": 200,
            "in small letters": 200,
            "teacher": 200,
            "wrong room": 404,
            "wrong teacher": 404,
            "a file": 200,
            "another file": 404,
            "nothing": 404,
            "join": 200,
            "not joined": 403,
            "alive": 200,
            "no secret": 400,
            "no name": 400,
            "not JSON": 400,
            "a list": 400,
            "deep": 400,
            "too many": 400,
            "wrong token": 404,
            "no question": 400,
        }

    with_board(act)


def test_a_page_of_another_site_can_neither_send_nor_look(with_board):
    async def act(board, ask):
        code = board.session.code
        form = await ask(f"/{code}/join", {"secret": SECRET}, {"Content-Type": "text/plain"})
        assert form.code == 415
        there = f"ws://127.0.0.1:{board.session.port}/{code}/live"
        with pytest.raises(HTTPClientError, match="403"):
            await websocket_connect(HTTPRequest(there, headers={"Origin": "http://evil.example"}))
        page = await websocket_connect(there)
        assert json.loads(await page.read_message())["here"] == 0
        page.close()

    with_board(act)


def test_bad_events_are_dropped_and_the_good_ones_beside_them_count(with_board):
    async def act(board, ask):
        code = board.session.code
        await ask(f"/{code}/join", {"secret": SECRET, "name": "Ada"})
        good = {"kind": "section", "id": "1", "lab": "02", "number": 1, "of": 2, "title": "One"}
        long = {**good, "id": "2", "title": "x" * 20_000}
        body = {"secret": SECRET, "events": [None, long, {**good, "waited_seconds": "soon"}]}
        answer = await ask(f"/{code}/events", body)
        assert json.loads(answer.body) == {"podlab": "board", "bad": 2}
        assert board.room.teachers_view(0)["people"][0]["title"] == "One"
        assert SECRET not in board.journal.path.read_text()
        big = await ask(f"/{code}/events", "x" * (server.MOST_BODY_BYTES + 1))
        assert big.code in (400, 413, 599)

    with_board(act)


def test_guessing_codes_and_flooding_are_slowed_down(with_board, monkeypatch):
    monkeypatch.setattr(server, "WRONG_CODES_A_MINUTE", 3)
    monkeypatch.setattr(server, "BURST", 20)

    async def act(board, ask):
        code = board.session.code
        await ask(f"/{code}/join", {"secret": SECRET, "name": "Ada"})
        flood = {"secret": SECRET, "events": [{}] * 40}
        assert (await ask(f"/{code}/events", flood)).code == 429
        assert [(await ask("/AAAAAA")).code for _ in range(4)] == [404, 404, 404, 429]

    with_board(act)


def test_a_full_disk_is_said_in_one_line_and_stops_nobody(with_board, small_disk):
    async def act(board, ask):
        small_disk.fill()
        path = f"/{board.session.code}/join"
        assert (await ask(path, {"secret": SECRET, "name": "Ada"})).code == 200
        [notice] = board.view(teacher=True)["notices"]
        assert notice.startswith("The journal can't be written (No space left on device).")
        small_disk.free()
        board.tick()
        assert board.view(teacher=True)["notices"] == []

    with_board(act, small_disk.folder / "board")


def test_a_second_board_on_this_machine_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path))
    monkeypatch.setattr(host, "_run", lambda *_: host.run("", 0))
    with pytest.raises(TimedOut, match="A board runs on this machine already"):
        host.run("", 0)


def test_there_may_be_no_session_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path))
    assert host.end() == 0
    assert capsys.readouterr().out == "There is no session to end.\n"
    Session.new(free_port(), "127.0.0.1").store(tmp_path / ".board")
    host.end()
    assert capsys.readouterr().out.startswith("The session has ended")
    assert not (tmp_path / ".board").exists()
