"""How long a call takes, measured in turns with others, and on which machine."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

MINIMUM_RUNS: Final = 5
"""Measurements of everything, however long one takes."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a stage takes.

    Attributes:
        stage: what was measured.
        faces: number of faces that it worked on.
        median, p90, minimum: milliseconds.
        runs: number of measurements.
    """

    stage: str
    faces: int
    median: float
    p90: float
    minimum: float
    runs: int


def time_in_turns(functions: Mapping[str, Callable[[], object]], faces: int, seconds: float = 1.5) -> list[Timing]:
    """Time functions in turns, so that other load on the machine affects all of them alike.

    Args:
        functions: what to call, by stage.
        faces: number of faces that they work on, for the result.
        seconds: for all of them together.
    """
    for function in functions.values():
        function()
    spent: dict[str, list[float]] = {stage: [] for stage in functions}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(spent.values()))) < MINIMUM_RUNS:
        for stage, function in functions.items():
            start = time.perf_counter()
            function()
            spent[stage].append(1e3 * (time.perf_counter() - start))
    return [
        Timing(stage, faces, float(np.median(ms)), float(np.percentile(ms, 90)), min(ms), len(ms))
        for stage, ms in spent.items()
    ]


def machine() -> str:
    """Return the processor, its number of cores, and the load averages of this machine."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{name}, {os.cpu_count()} cores, load {load}"
