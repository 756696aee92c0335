"""A time limit for one part of a run, for machines that are rented by the minute."""

import time


class OutOfTimeError(Exception):
    """The time is up: the run has written a checkpoint, from which it can be resumed."""


class TimeLimit:
    """Counts from its construction.

    Args:
        minutes: None for no limit.
    """

    def __init__(self, minutes: float | None = None) -> None:
        self._end = None if minutes is None else time.monotonic() + minutes * 60

    @property
    def is_up(self) -> bool:
        """Whether the time is up in this process."""
        return self._end is not None and time.monotonic() >= self._end
