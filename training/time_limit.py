"""How long one part of a run may take, for machines that are lent by the minute."""

import time

import torch
from accelerate import Accelerator


class OutOfTimeError(Exception):
    """The time is up: the run has written a checkpoint, and goes on from it when it is resumed."""


def anywhere(accelerator: Accelerator, here: bool) -> bool:
    """Return whether something is so in any process; all of them must ask, and get the same answer."""
    if accelerator.num_processes == 1:
        return here
    return bool(accelerator.reduce(torch.tensor(float(here), device=accelerator.device), "sum") > 0)


class TimeLimit:
    """Counts from when it is made.

    Args:
        minutes: None for no limit.
    """

    def __init__(self, minutes: float | None = None) -> None:
        self._end = None if minutes is None else time.monotonic() + minutes * 60

    def is_up(self, accelerator: Accelerator) -> bool:
        """Return whether the time is up in any process; all of them must ask, and get the same answer."""
        return self._end is not None and anywhere(accelerator, time.monotonic() >= self._end)
