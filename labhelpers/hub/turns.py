"""Whose turn it is: a cluster that comes up takes two processors, so only some do at a time."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

__all__ = ["Turns"]


class Turns:
    """A queue in which everybody gets their turn, in the order of coming.

    Args:
        at_once: how many have a turn at the same time.
    """

    def __init__(self, at_once: int):
        self._free, self._waiting = at_once, deque()

    @asynccontextmanager
    async def turn(self, say: Callable[[str], None]) -> AsyncIterator[None]:
        """Waits for a turn, and gives it to the next one afterwards.

        Args:
            say: called with how many are before this one, whenever that changes.
        """
        if self._free:
            self._free -= 1
        else:
            mine = (asyncio.get_running_loop().create_future(), say)
            self._waiting.append(mine)
            say(_before(len(self._waiting) - 1))
            try:
                await mine[0]
            except asyncio.CancelledError:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                    self._tell()
                elif mine[0].done() and not mine[0].cancelled():
                    self._next()
                raise
        try:
            yield
        finally:
            self._next()

    def _next(self) -> None:
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                self._tell()
                return
        self._free += 1

    def _tell(self) -> None:
        for number, (_, say) in enumerate(self._waiting):
            say(_before(number))


def _before(number: int) -> str:
    """
    >>> _before(0), _before(4)
    ("waiting for a turn: you're next", 'waiting for a turn: 4 are before you')
    """
    if not number:
        return "waiting for a turn: you're next"
    return f"waiting for a turn: {number} {'are' if number > 1 else 'is'} before you"
