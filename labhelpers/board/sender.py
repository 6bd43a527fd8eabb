"""Takes a participant's part to the board, in a thread of its own. A cell never waits for it, and
never fails because of it: events queue up while the board is away."""

import http.client
import json
import random
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from labhelpers.board.seat import Seat
from labhelpers.errors import LabError
from labhelpers.patience import advice, patient

__all__ = ["Sender", "Sent"]

REQUEST_SECONDS, JOIN_SECONDS = 5, 5
# A sign of life: the board can tell who works from whose laptop is closed.
ALIVE_SECONDS = 20
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1, 30
MOST_WAITING, BATCH, MOST_SHOWN = 200, 20, 500


@dataclass
class Sent:
    """One event, as the participant sees it.

    Attributes:
        event: what is sent, except for its id.
        at: when it happened, in seconds since 1970.
        state: "waiting", "sent" or "lost".
    """

    event: dict[str, Any]
    at: float = field(default_factory=time.time)
    state: str = "waiting"
    id: str = field(default_factory=lambda: secrets.token_hex(8))


class Sender:
    """Sends what a participant shares.

    Args:
        seat: where to.

    Attributes:
        name: on the board.
        trouble: why nothing can be sent at the moment; "" if it can.
        ended: whether the session is over.
    """

    def __init__(self, seat: Seat):
        self.seat, self.name = seat, seat.name
        self.trouble, self.ended = "", False
        self._all: deque[Sent] = deque(maxlen=MOST_SHOWN)
        self._waiting: deque[Sent] = deque()
        self._changed = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None
        self._stopped = False

    # --- For the cells

    def join(self) -> str:
        """Joins the room now, and returns the name there.

        Raises:
            LabError: there is no such room, or it can't be reached.
        """
        try:
            status, answer = self._post("join", {"name": self.seat.name}, patient(JOIN_SECONDS))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LabError(
                "The board doesn't answer.",
                f"{self.seat.address}: {error or type(error).__name__}",
                advice("Are you in the same network as the teacher? Compare the address."),
            ) from error
        if status != 200:
            raise LabError(
                "You couldn't join.",
                f"{self.seat.address}: {answer.get('error') or status}",
                "Compare the address and the code with what the room was told.",
            )
        self.name = str(answer.get("name", self.seat.name))
        return self.name

    def send(self, event: dict[str, Any]) -> None:
        """Queues an event. It takes no time, and never fails."""
        with self._changed:
            if self._stopped or self.ended:
                return
            sent = Sent(event)
            self._all.append(sent)
            self._waiting.append(sent)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popleft().state = "lost"
            self._changed.notify()
        self.start()

    def shared(self) -> list[Sent]:
        """Everything that was shared or waits to be, the oldest first."""
        with self._changed:
            return list(self._all)

    def start(self) -> None:
        """Starts the thread, which ends with the process, with ``stop``, or with the session."""
        with self._changed:
            if self._thread is None and not (self._stopped or self.ended):
                self._thread = threading.Thread(target=self._run, name="board sender", daemon=True)
                self._thread.start()

    def stop(self, timeout_seconds: float = REQUEST_SECONDS) -> None:
        """Ends the thread. What waits isn't sent."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_seconds)

    def leave(self) -> bool:
        """Tells the board, and ends. Returns whether the board was there to be told."""
        self.stop()
        event = {"kind": "leave", "id": secrets.token_hex(8)}
        try:
            status, _ = self._post("events", {"events": [event]})
        except (OSError, http.client.HTTPException, ValueError):
            return False
        return status == 200

    # --- The thread

    def _run(self) -> None:
        pause, joined = 0.0, False
        while True:
            with self._changed:
                if pause:
                    # Thirty that lost the same board don't come back in the same moment.
                    self._wait_stopped(pause * random.uniform(0.5, 1))
                elif joined and not self._waiting and not self._stopped:
                    self._changed.wait(ALIVE_SECONDS)
                if self._stopped:
                    return
                if self.seat.is_given_up:
                    self._end()
                    return
                batch = list(self._waiting)[:BATCH]
            try:
                joined = self._deliver(batch, joined)
                pause, self.trouble = 0.0, ""
            except Exception as error:  # a thread's traceback would land in the reader's cell
                self.trouble = f"{type(error).__name__}: {error}"
                pause = min(LONGEST_PAUSE_SECONDS, 2 * pause or FIRST_PAUSE_SECONDS)
            if self.ended:
                return

    def _wait_stopped(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopped and (left := deadline - time.monotonic()) > 0:
            self._changed.wait(left)

    def _deliver(self, batch: list[Sent], joined: bool) -> bool:
        """Sends a batch, and returns whether the board knows this seat.

        Raises:
            Exception: it's to be tried again.
        """
        if not joined:
            status, answer = self._post("join", {"name": self.seat.name})
            if self._is_over(status, answer):
                return False
            if status != 200:
                raise OSError(f"the board says {answer.get('error') or status}")
            self.name = str(answer.get("name", self.name))
        now = time.time()
        events = [
            {**each.event, "id": each.id, "waited_seconds": max(0, round(now - each.at, 1))}
            for each in batch
        ]
        status, answer = self._post("events", {"events": events})
        if self._is_over(status, answer):
            return False
        if status == 403:  # A board that has lost its journal doesn't know this seat: join again.
            return False
        if status not in (200, 400, 413):
            raise OSError(f"the board says {answer.get('error') or status}")
        with self._changed:
            for each in batch:
                each.state = "sent" if status == 200 else "lost"
                if each in self._waiting:
                    self._waiting.remove(each)
        return True

    def _is_over(self, status: int, answer: dict) -> bool:
        """Only a board can say so: somebody else may have its address now."""
        if status in (404, 410) and answer.get("podlab") == "board":
            self.seat.give_up()
            with self._changed:
                self._end()
        return self.ended

    def _end(self) -> None:
        self.ended = True
        for each in self._waiting:
            each.state = "lost"
        self._waiting.clear()

    def _post(
        self, what: str, body: dict, timeout_seconds: float = REQUEST_SECONDS
    ) -> tuple[int, dict]:
        """Posts to the board, by no proxy: it's in the same room."""
        parts = urlsplit(self.seat.address)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=timeout_seconds)
        try:
            text = json.dumps({"secret": self.seat.secret, **body})
            connection.request(
                "POST", f"{parts.path}/{what}", text, {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            try:
                said = json.loads(answer.read(64 * 1024))
            except ValueError:
                said = {}
            return answer.status, said if isinstance(said, dict) else {}
        finally:
            connection.close()
