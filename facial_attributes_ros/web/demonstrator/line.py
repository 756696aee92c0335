"""A line in which several people wait for their turn, first come, first served, and see their place."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


def unnoticed(place: int) -> None:
    """Do nothing with a place in the line."""


@dataclass(eq=False, slots=True)
class _Waiting:
    turn: "asyncio.Future[None]"
    notify: Callable[[int], None]


class Line:
    """Lets a fixed number through at once. For one event loop.

    Whoever has a long job takes a turn for each small step of it and queues again, so that nobody waits for the whole.
    """

    def __init__(self, at_once: int = 1) -> None:
        """Begin empty."""
        self._free = at_once
        self._waiting: deque[_Waiting] = deque()

    @property
    def length(self) -> int:
        """How many are waiting."""
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, notify: Callable[[int], None] = unnoticed) -> AsyncIterator[None]:
        """Wait for a turn, and hold it during the block.

        Args:
            notify: is called with the place in the line, 1 for the next one, whenever it changes.
        """
        if self._free and not self._waiting:
            self._free -= 1
        else:
            await self._wait(_Waiting(asyncio.get_running_loop().create_future(), notify))
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        waiting.notify(len(self._waiting))
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
                self._notify()
            elif waiting.turn.done() and not waiting.turn.cancelled():
                self._pass_on()  # the turn had come in the same moment
            raise

    def _pass_on(self) -> None:
        """Give a turn that has ended to the next one."""
        while self._waiting:
            following = self._waiting.popleft()
            if not following.turn.done():
                following.turn.set_result(None)
                self._notify()
                return
        self._free += 1

    def _notify(self) -> None:
        for place, waiting in enumerate(self._waiting, 1):
            waiting.notify(place)
