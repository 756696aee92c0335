"""End to end over a live ROS graph: a camera process, the perception process, and what arrives here."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.runtime.engine import load_engine

if TYPE_CHECKING:
    from facial_attributes_ros.ros.arrivals import Arrivals

START_TIMEOUT: Final = 90.0
"""Seconds until the first array."""
SETTLE: Final = 3.0
"""Seconds after the first array that are not measured."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """What a run over a live graph showed.

    Attributes:
        seconds: measured.
        arrays: published arrays that came.
        faces: mean number of faces in an array.
        rate: arrays a second.
        p50, p90, p99: milliseconds from the camera's stamp, taken just before it publishes, to the arrival here.
        cpu: share of one core that the perception process used; 2.0 are two cores.
        memory: resident memory of the perception process at the end, MB.
        memory_slope: how it grew, MB a minute.
    """

    seconds: float
    arrays: int
    faces: float
    rate: float
    p50: float
    p90: float
    p99: float
    cpu: float
    memory: float
    memory_slope: float


def bench_end_to_end(
    model: str, *, engine: str = "auto", faces: int = 1, rate: float = 30.0, seconds: float = 20.0
) -> EndToEnd:
    """Start a camera and the perception node, and time what is published.

    Args:
        model: as in `models.registry.model_folder`.
        engine: as in `runtime.engine.load_engine`.
        faces: in the 640x480 frame.
        rate: frames a second of the camera.
        seconds: to measure, from `SETTLE` seconds after the first array on.

    Raises:
        UserError: ROS or the package's messages are missing, or nothing is published in time.
    """
    try:
        from facial_attributes_ros.ros.arrivals import Arrivals
    except ImportError as error:
        raise UserError(f"--end-to-end needs ROS 2 and this package's messages: {error}") from error
    load_engine(model, engine=engine)  # builds it where it has never been used; that is not to be measured
    os.environ["ROS_DOMAIN_ID"] = str(random.randint(60, 100))
    with TemporaryDirectory() as work, Arrivals() as arrivals:
        source = _picture(Path(work), faces)
        with (
            _node("perception", autostart="true", model=model, engine=engine) as perception,
            _node("camera", source=source, rate=rate),
        ):
            if not arrivals.wait_for_first(START_TIMEOUT):
                raise UserError(
                    f"Nothing was published within {START_TIMEOUT:.0f} s: run the perception node to see why."
                )
            arrivals.collect(SETTLE)
            arrivals.clear()
            begin = time.monotonic()
            used = _cpu_seconds(perception)
            memory = [(0.0, _memory(perception))]
            while (passed := time.monotonic() - begin) < seconds:
                arrivals.collect(min(1.0, seconds - passed))
                memory.append((time.monotonic() - begin, _memory(perception)))
            passed = time.monotonic() - begin
            return _summary(arrivals, passed, _cpu_seconds(perception) - used, memory)


def _summary(arrivals: "Arrivals", seconds: float, cpu: float, memory: list[tuple[float, float]]) -> EndToEnd:
    latencies = np.array(arrivals.latencies) * 1e3
    if not len(latencies):
        raise UserError("Publishing stopped while it was measured: run the perception node to see why.")
    p50, p90, p99 = np.percentile(latencies, [50, 90, 99])
    slope = _slope(*np.array(memory).T) * 60
    return EndToEnd(
        seconds, len(latencies), float(np.mean(arrivals.faces)), len(latencies) / seconds,
        float(p50), float(p90), float(p99), cpu / seconds, memory[-1][1], slope,
    )  # fmt: skip


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    x = x - x.mean()
    return float((x * y).sum() / (x * x).sum())


def _picture(folder: Path, faces: int) -> Path:
    import cv2

    from facial_attributes_ros.runtime.bench import frame_with_faces

    path = folder / "frame.png"
    cv2.imwrite(str(path), frame_with_faces(faces))
    return path


@contextmanager
def _node(name: str, **parameters: object) -> Iterator[int]:
    """Run a node as a process of its own and give its process id; it is ended with the block."""
    command = [sys.executable, "-m", f"facial_attributes_ros.ros.{name}", "--ros-args", "--log-level", "warn"]
    for key, value in parameters.items():
        command += ["-p", f"{key}:={value}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _cpu_seconds(pid: int) -> float:
    fields = _status(pid, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(pid: int) -> float:
    return int(_status(pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _status(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except FileNotFoundError as error:
        raise UserError("The perception node ended while it was measured: run it to see why.") from error
