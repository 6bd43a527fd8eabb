"""What ``podlab board`` does: it opens a session or continues one, says how the room joins, and
serves it until Ctrl-C."""

import asyncio
import http.client
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from labhelpers import files
from labhelpers.board.journal import Session, folder
from labhelpers.errors import LabError
from labhelpers.network import addresses

if TYPE_CHECKING:
    from labhelpers.board.server import Board

__all__ = ["PORT", "end", "run"]

PORT = 8765
# Three signs of life of a participant: then everybody has heard that the session is over.
LINGER_SECONDS = 60
END_SECONDS = 10


def run(address: str, port: int | None) -> int:
    """Serves the board until Ctrl-C, or until the session has ended.

    Args:
        address: of this machine, to listen on; "" for all.
        port: None for that of the session, or 8765.

    Raises:
        LabError: the port can't be used, or a board runs already.
    """
    from labhelpers.board.server import Board

    where = folder()
    # Beside the folder, which goes with the session.
    with files.lock(where.with_name(".board.lock"), "A board runs on this machine already."):
        return _run(Board, where, address, port)


def _run(board_type: "type[Board]", where: Path, address: str, port: int | None) -> int:
    stored = session = Session.stored(where)
    if continued := session is not None:
        session = replace(session, address=address, port=session.port if port is None else port)
    else:
        session = Session.new(PORT if port is None else port, address)
    _must_be_free(session)
    if not continued:
        files.remove(where)  # what is left of an older one
    if session != stored:  # On a full disk, a restart has to work.
        session.store(where)
    host = address or next(iter(addresses()), "127.0.0.1")

    async def serve() -> None:
        board = board_type(session, where, f"{host}:{session.port}")
        await board.serve(lambda: print(_said(board, continued), flush=True), LINGER_SECONDS)

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        if Session.stored(where):
            print(
                "\nThe board has stopped. `podlab board` continues the session; `podlab board"
                " --end` ends it, and deletes what it collected."
            )
            return 0
    print("The session has ended, and what it collected is deleted.")
    return 0


def end() -> int:
    """Ends the session, whether its board runs or not."""
    where = folder()
    session = Session.stored(where)
    if session is None:
        print("There is no session to end.")
    elif _tell_to_end(session):
        print("The session ends: its board tells the participants, and stops in a minute.")
        return 0
    else:
        print("The session has ended, and what it collected is deleted.")
    files.remove(where)
    return 0


def _must_be_free(session: Session) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((session.address or "0.0.0.0", session.port))
        except (OSError, OverflowError) as error:
            raise LabError(
                f"The board can't listen on port {session.port}.",
                f"{session.address or 'all addresses'}: {getattr(error, 'strerror', error)}",
                f"Choose another one, such as --port {PORT + 1}, or leave --address out.",
            ) from error


def _tell_to_end(session: Session) -> bool:
    """Whether a board that runs has been told."""
    connection = http.client.HTTPConnection(
        session.address or "127.0.0.1", session.port, timeout=END_SECONDS
    )
    try:
        connection.request(
            "POST", f"/teacher/{session.token}/end", "{}", {"Content-Type": "application/json"}
        )
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _said(board: "Board", continued: bool) -> str:
    others = [] if board.session.address else addresses()[1:]
    lines = [
        (
            f"The session goes on, with {len(board.room.people)} people."
            if continued
            else "A new session has begun."
        ),
        "",
        "In the notebook, each participant runs:",
        f'    lab.join("{board.join_address}", name="Ada")',
        f"On the projector:  {board.join_address}",
        f"For you alone:     http://127.0.0.1:{board.session.port}/teacher/{board.session.token}",
        "",
        f"It listens on {board.session.address or 'all addresses of this machine'}.",
    ]
    if board.session.address:
        lines[5] = lines[5].replace("127.0.0.1", board.session.address)
    if others:
        lines.append(f"If that address doesn't work in the room: {', '.join(others)}.")
    lines.append("Ctrl-C stops it, and keeps the session for a restart.")
    return "\n".join([*lines, *board.notices])
