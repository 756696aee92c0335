"""One thread that works on the newest item only."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

_LOOK = 0.1
"""Seconds between two looks at whether to end while another worker is waited for."""


class NewestWorker(Generic[Item]):
    """Works in one thread on the newest of the items it is offered; an item that is not begun in time is dropped.

    There is one slot and no queue, so an item waits for one piece of work at most, however fast others come.

    Args:
        work: called with one item at a time, always in the worker's thread.
        dropped: called with no argument in the offering thread for every item that a newer one replaced.
        ended: called in the offering thread with a sentence when the worker's thread had ended, by what `work` raised
            or by something else, before another is started.
        after: a worker that was stopped in vain and works with the same things; this one begins when that has ended.
        name: of the thread.
    """

    def __init__(
        self,
        work: Callable[[Item], None],
        dropped: Callable[[], None],
        ended: Callable[[str], None] = lambda _: None,
        after: "NewestWorker[Item] | None" = None,
        name: str = "worker",
    ) -> None:
        self._work = work
        self._dropped = dropped
        self._ended = ended
        self._after = after
        self._name = name
        self._condition = threading.Condition()
        self._slot: list[Item] = []
        self._ending = False
        self._reason = ""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work; once in the life of a worker."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def offer(self, item: Item) -> None:
        """Put the newest item into the slot; never waits for work."""
        with self._condition:
            replaced = bool(self._slot)
            self._slot[:] = [item]
            self._condition.notify()
        if replaced:
            self._dropped()
        if not self.alive and not self._ending:
            self._start_again()

    def stop(self, timeout: float) -> bool:
        """Forget the waiting item, let the one in work finish, and return whether the thread ended in time.

        Args:
            timeout: seconds to wait.
        """
        with self._condition:
            self._ending = True
            self._slot.clear()
            self._condition.notify()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout)
        return not self.alive

    def _start_again(self) -> None:
        self._ended(self._reason or "its thread was ended from outside")
        try:
            self.start()
        except RuntimeError as error:  # the machine has no thread to give; the next item tries again
            self._reason = str(error)

    def _run(self) -> None:
        try:
            self._wait_for_another()
            self._work_on_items()
        except BaseException as error:  # a panic of a library is no Exception; `offer` tells of it
            self._reason = f"{type(error).__name__}: {error}"

    def _wait_for_another(self) -> None:
        while self._after is not None and self._after.alive and not self._ending:
            time.sleep(_LOOK)
        self._after = None

    def _work_on_items(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._ending or self._slot)
                if self._ending:
                    return
                item = self._slot.pop()
            self._work(item)
            # Else the last frame would be kept in memory until the next one.
            del item
