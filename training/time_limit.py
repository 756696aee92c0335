"""How long one part of a run may take, for machines that are lent by the minute."""

import time

import torch
from accelerate import Accelerator


class OutOfTimeError(Exception):
    """The time is up: the run has written a checkpoint, and goes on from it when it is resumed."""


class TimeLimit:
    """Counts from when it is made.

    Args:
        minutes: None for no limit.
    """

    def __init__(self, minutes: float | None = None) -> None:
        self._end = None if minutes is None else time.monotonic() + minutes * 60

    def is_up(self, accelerator: Accelerator) -> bool:
        """Return whether the time is up in any process; all of them must ask, and get the same answer."""
        if self._end is None:
            return False
        up = time.monotonic() >= self._end
        if accelerator.num_processes == 1:
            return up
        anywhere = accelerator.reduce(torch.tensor(float(up), device=accelerator.device), "sum")
        return bool(anywhere > 0)
