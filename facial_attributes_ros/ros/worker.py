"""One thread that works on the newest item only."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestWorker(Generic[Item]):
    """Works in one thread on the newest of the items it is offered; an item that is not begun in time is passed over.

    There is one slot and no queue, so an item waits for one piece of work at most, however fast others come.

    Args:
        work: called with one item at a time, always in the worker's thread. What it raises ends the thread.
        passed_over: called with no argument in the offering thread for every item that a newer one replaced.
        name: of the thread.
    """

    def __init__(self, work: Callable[[Item], None], passed_over: Callable[[], None], name: str = "worker") -> None:
        self._work = work
        self._passed_over = passed_over
        self._condition = threading.Condition()
        self._slot: list[Item] = []
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work; once in the life of a worker."""
        self._thread.start()

    def offer(self, item: Item) -> None:
        """Put the newest item into the slot; never waits for work."""
        with self._condition:
            replaced = bool(self._slot)
            self._slot[:] = [item]
            self._condition.notify()
        if replaced:
            self._passed_over()

    def stop(self, timeout: float) -> bool:
        """Forget the waiting item, let the one in work finish, and return whether the thread ended in time.

        Args:
            timeout: seconds to wait.
        """
        with self._condition:
            self._ending = True
            self._slot.clear()
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._ending or self._slot)
                if self._ending:
                    return
                item = self._slot.pop()
            self._work(item)
            # Else the last frame would be kept in memory until the next one.
            del item
