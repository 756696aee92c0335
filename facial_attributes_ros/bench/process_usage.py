"""CPU time and memory of another process, from /proc."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from facial_attributes_ros.errors import UserError

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a process.

    Attributes:
        seconds: since the first measurement.
        resident: MB, memory shared with other processes included, such as that of frames.
        private: MB of its own.
    """

    seconds: float
    resident: float
    private: float


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used.

    Raises:
        UserError: the process has ended.
    """
    fields = _status(pid, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid: int, seconds: float) -> Memory:
    """Return the memory that a process uses now, `seconds` after the first measurement.

    Raises:
        UserError: the process has ended.
    """
    kilobytes = {key: int(value) for key, value in re.findall(r"^(Rss\w+):\s+(\d+)", _status(pid, "status"), re.M)}
    kinds = [kilobytes.get(f"Rss{kind}", 0) * 1024 / 1e6 for kind in ("Anon", "File", "Shmem")]
    return Memory(seconds, sum(kinds), kinds[0])


def slope_after(settle: float, samples: list[Memory], field: str) -> float | None:
    """Return the growth of a field of `Memory` after the first `settle` seconds, MB a minute (least squares).

    Returns:
        None if the samples do not last for twice that time.
    """
    points = [(each.seconds / 60, getattr(each, field)) for each in samples if each.seconds >= settle]
    if len(points) < 3 or points[-1][0] - points[0][0] < settle / 60:
        return None
    minutes, values = np.array(points).T
    return float(np.polyfit(minutes, values, 1)[0])


def _status(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except FileNotFoundError as error:
        raise UserError("The perception node ended while it was measured: run it to see why.") from error
