"""One thread that processes the newest item only."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

_LOOK = 0.1
"""Seconds between two checks whether to end while another worker is waited for."""


class NewestWorker(Generic[Item]):
    """Processes in one thread the newest of the items it is offered; an item that is not begun in time is dropped.

    There is one slot and no queue, so an item waits for one piece of work at most, however fast others come.

    Args:
        work: called with one item at a time, always in the worker's thread.
        dropped: called with no argument in the offering thread for every item that a newer one replaced.
        restarted: called in the offering thread with the reason when the worker's thread had ended, by what `work`
            raised or otherwise, before another is started.
        working: held while `work` is called; workers that share it never work at the same time.
        name: of the thread.
    """

    def __init__(
        self,
        work: Callable[[Item], None],
        dropped: Callable[[], None],
        restarted: Callable[[str], None] = lambda _: None,
        working: "threading.Lock | None" = None,
        name: str = "worker",
    ) -> None:
        self._work = work
        self._dropped = dropped
        self._restarted = restarted
        self._working = threading.Lock() if working is None else working
        self._name = name
        self._condition = threading.Condition()
        self._slot: list[Item] = []
        self._ending = False
        self._reason = ""
        self._thread = self._new_thread()

    def start(self) -> None:
        """Begin to work; once in the life of a worker."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def offer(self, item: Item) -> None:
        """Put the newest item into the slot; never waits for work."""
        with self._condition:
            replaced = bool(self._slot)
            self._slot[:] = [item]
            self._condition.notify()
        if replaced:
            self._dropped()
        if not self.alive and not self._ending:
            self._restart()

    def stop(self, timeout: float) -> bool:
        """Drop the waiting item, let the one in work finish, and return whether the thread ended in time.

        Args:
            timeout: seconds to wait.
        """
        with self._condition:
            self._ending = True
            self._slot.clear()
            self._condition.notify()
        if self.alive:
            self._thread.join(timeout)
        return not self.alive

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name=self._name, daemon=True)

    def _restart(self) -> None:
        self._restarted(self._reason or "its thread was ended from outside")
        self._thread = self._new_thread()
        try:
            self._thread.start()
        except RuntimeError as error:  # the machine has no thread to give; the next item tries again
            self._reason = str(error)

    def _run(self) -> None:
        try:
            while self._wait_for_item() and self._wait_for_turn():
                try:
                    self._work_on_newest()
                finally:
                    self._working.release()
        except BaseException as error:  # a panic of a library is no Exception; `offer` reports it
            self._reason = f"{type(error).__name__}: {error}"

    def _wait_for_item(self) -> bool:
        """Return True when there is an item, False when the worker is to end."""
        with self._condition:
            self._condition.wait_for(lambda: self._ending or self._slot)
            return not self._ending

    def _wait_for_turn(self) -> bool:
        """Return True when no other worker is at work, False when this one is to end."""
        while not self._working.acquire(timeout=_LOOK):
            if self._ending:
                return False
        return True

    def _work_on_newest(self) -> None:
        with self._condition:
            newest = self._slot.copy()
            self._slot.clear()
        for item in newest:  # none if the worker was stopped meanwhile
            self._work(item)
