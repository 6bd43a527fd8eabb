"""The two places where JupyterHub asks: who comes in, and what their server is. The answers are in
labhelpers/hub."""

import asyncio
import html
from collections.abc import AsyncIterator
from pathlib import Path

from jupyterhub.auth import Authenticator
from jupyterhub.spawner import LocalProcessSpawner
from tornado import web

from labhelpers.errors import LabError
from labhelpers.hub.people import Entrance, Person, tidy
from labhelpers.hub.seats import Seats, one_line
from labhelpers.hub.turns import Turns

__all__ = ["RoomAuthenticator", "RoomSpawner"]


class RoomAuthenticator(Authenticator):
    """The room's pass-phrase, and a password of one's own from the first time on."""

    entrance: Entrance  # given by the configuration, as itself: a trait's value is copied

    def normalize_username(self, username: str) -> str:
        return tidy(username)

    async def authenticate(self, handler, data) -> str:
        words = [data.get(name, "") for name in ("username", "room", "password")]
        try:
            return await asyncio.to_thread(self.entrance.admit, *words)
        except LabError as error:
            self.log.warning("podlab: not let in. %s", one_line(error))
            await asyncio.sleep(1)  # guessing takes long
            raise web.HTTPError(403, f"{error.happened} {error.do}") from error


class NoSeat(Exception):
    """A server that can't start. JupyterHub shows both texts on the participant's page."""

    def __init__(self, error: LabError):
        super().__init__(str(error))
        self.jupyterhub_message = str(error)
        lines = map(html.escape, str(error).splitlines())
        self.jupyterhub_html_message = "<br>".join(lines)


class RoomSpawner(LocalProcessSpawner):
    """A Jupyter server as the participant's own Unix user, with a cluster that comes and goes with
    it."""

    seats: Seats  # given by the configuration, as itself: a trait's value is copied
    turns: Turns  # likewise

    def __init__(self, **words):
        super().__init__(**words)
        self._said: list[str] = []
        self._trouble = ""

    @property
    def person(self) -> Person:
        return Person(self.user.name)

    def make_preexec_fn(self, name: str):
        return super().make_preexec_fn(self.person.unix_user)

    def user_env(self, env: dict) -> dict:
        return {**env, **self.seats.environment(self.person)}

    async def start(self) -> tuple[str, int]:
        self._said = []
        self._trouble = ""
        try:
            async with self.turns.turn(self._said.append):
                self.args = await self.seats.take(self.person, self._said.append)
        except LabError as error:
            self.log.error("podlab: %s: %s", self.user.name, one_line(error))
            raise NoSeat(error) from None
        self._said.append("JupyterLab")
        return await super().start()

    async def progress(self) -> AsyncIterator[dict]:
        shown = 0
        while True:
            for line in self._said[shown:]:
                shown += 1
                yield {"progress": min(95, 10 * shown), "message": line}
            await asyncio.sleep(0.3)

    async def poll(self) -> int | None:
        status = await super().poll()
        if status is None and self.ready:
            trouble = await self.seats.trouble(self.person)
            if trouble and trouble != self._trouble:
                self.log.error("podlab: %s: %s", self.user.name, trouble)
            self._trouble = trouble
        return status

    async def run_post_stop_hook(self) -> None:
        """Also after a server that ended by itself, which JupyterHub doesn't stop."""
        try:
            await self.seats.leave(self.person)
        except LabError as error:
            self.log.error("podlab: %s: %s", self.user.name, one_line(error))


def private_folder(path: Path) -> Path:
    """A folder that only root can read."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path
