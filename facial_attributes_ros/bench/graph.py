"""End to end over a live ROS graph: a camera process, the perception process, and what arrives here."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from facial_attributes_ros.child_processes import child
from facial_attributes_ros.engines.base import Engine
from facial_attributes_ros.errors import UserError

if TYPE_CHECKING:
    from facial_attributes_ros.bench.arrivals import Arrivals
    from facial_attributes_ros.detection.base import FaceDetector

START_TIMEOUT: Final = 180.0
"""Seconds until the first array; loading takes long on a machine that is busy with other work."""
SETTLE: Final = 3.0
"""Seconds after the first array that are not measured."""
MEMORY_SETTLE: Final = 60.0
"""Seconds of a run that the memory slope leaves out; a shorter run has none."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")

Tell = Callable[[float], object]
"""Told how many more seconds have passed."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a process.

    Attributes:
        seconds: since the first measurement.
        resident: MB, what it shares with others included; a frame lies in memory that camera and reader share.
        private: MB that are its own.
    """

    seconds: float
    resident: float
    private: float


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
        memory: the perception process's, once a second.
        memory_slope: how its resident memory grew after the first minute, MB a minute; None if that was all.
        private_slope: the same for memory of its own.
    """

    seconds: float
    arrays: int
    faces: float
    rate: float
    p50: float
    p90: float
    p99: float
    cpu: float
    memory: list[Memory]
    memory_slope: float | None
    private_slope: float | None


class LiveGraph:
    """A running perception process, before which cameras are put one after the other; made by `live_graph`."""

    def __init__(self, arrivals: "Arrivals", perception: int, folder: Path) -> None:
        self._arrivals, self._perception, self._folder = arrivals, perception, folder

    def measure(self, picture: NDArray[np.uint8], rate: float, seconds: float, tell: Tell = lambda _: None) -> EndToEnd:
        """Show a picture with a camera process of its own and time what is published.

        Args:
            picture: uint8 (H, W, 3) BGR.
            rate: frames a second of the camera.
            seconds: to measure, from `SETTLE` seconds after the first array on.
            tell: told once a second.

        Raises:
            UserError: nothing is published in time, or no longer.
        """
        import cv2

        source = self._folder / "frame.png"
        cv2.imwrite(str(source), picture)
        arrivals = self._arrivals
        arrivals.collect(1.0)  # what the camera before this one has left
        arrivals.clear()
        with _node("camera", source=source, rate=float(rate)):
            if not arrivals.wait_for_first(START_TIMEOUT):
                raise UserError(
                    f"Nothing was published within {START_TIMEOUT:.0f} s: run the perception node to see why."
                )
            arrivals.collect(SETTLE)
            arrivals.clear()
            begin = time.monotonic()
            used = _cpu_seconds(self._perception)
            memory = [_memory(self._perception, 0.0)]
            while (passed := time.monotonic() - begin) < seconds:
                arrivals.collect(min(1.0, seconds - passed))
                memory.append(_memory(self._perception, time.monotonic() - begin))
                tell(time.monotonic() - begin - passed)
            passed = time.monotonic() - begin
            return _summary(arrivals, passed, _cpu_seconds(self._perception) - used, memory)


@contextmanager
def live_graph(model: str, engine: str = "auto", detector: str = "yunet", device: str = "cpu") -> Iterator[LiveGraph]:
    """Run the perception node as a process of its own on a ROS domain of its own.

    Args:
        model: as in `models.registry.model_folder`; its engine should be built already.
        engine: as in `engines.base.load_engine`.
        detector: as in `detection.load_detector`.
        device: as in `engines.base.load_engine`.

    Raises:
        UserError: ROS or the package's messages are missing.
    """
    try:
        from facial_attributes_ros.bench.arrivals import Arrivals
    except ImportError as error:
        raise UserError(f"--end-to-end and --load need ROS 2 and this package's messages: {error}") from error
    os.environ["ROS_DOMAIN_ID"] = str(random.randint(60, 100))
    with (
        TemporaryDirectory() as work,
        Arrivals() as arrivals,
        _node(
            "perception", autostart="true", model=model, engine=engine, detector=detector, device=device
        ) as perception,
    ):
        yield LiveGraph(arrivals, perception, Path(work))


@dataclass(frozen=True, slots=True)
class Overhead:
    """What a frame costs besides detection, network, DDS and deserialising.

    That is conversion, tracking, scheduling, crops, softmax, fusion and building the message.

    Attributes:
        faces: in the frame.
        median, p90, p99: milliseconds a frame.
        frames: number of frames.
    """

    faces: int
    median: float
    p90: float
    p99: float
    frames: int

    @classmethod
    def of(cls, faces: int, milliseconds: Sequence[float]) -> Self:
        """Sum up what single frames cost."""
        median, p90, p99 = (float(value) for value in np.percentile(milliseconds, [50, 90, 99]))
        return cls(faces, median, p90, p99, len(milliseconds))


def own_overhead(
    engine: Engine, detector: "FaceDetector", picture: NDArray[np.uint8], faces: int, seconds: float
) -> Overhead:
    """Take a frame from message to message in this process, with the node's own settings, at 30 frames/s of its clock.

    Args:
        engine: the model.
        detector: the detector.
        picture: uint8 (H, W, 3) BGR.
        faces: how many it shows, for the result.
        seconds: to measure.

    Raises:
        UserError: ROS or the package's messages are missing.
    """
    try:
        from sensor_msgs.msg import Image

        from facial_attributes_ros.ros.conversion import bgr_fields, image_to_bgr
        from facial_attributes_ros.ros.messages import faces_message
    except ImportError as error:
        raise UserError(f"--end-to-end and --load need ROS 2 and this package's messages: {error}") from error
    from facial_attributes_ros.bench.stages import Excluded
    from facial_attributes_ros.pipeline import FramePipeline

    message = Image(**bgr_fields(picture))
    excluded = Excluded(engine, detector)
    pipeline = FramePipeline(excluded.detector, excluded.engine)
    spent: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(spent) < 30:
        stamp = len(spent) / 30
        message.header.stamp.sec, message.header.stamp.nanosec = int(stamp), int(stamp % 1 * 1e9)
        excluded.seconds = 0.0
        start = time.perf_counter()
        image = image_to_bgr(message)
        result = pipeline.process(image, stamp)
        faces_message(engine.spec.name, message.header, (image.shape[1], image.shape[0]), result.faces)
        spent.append(1e3 * (time.perf_counter() - start - excluded.seconds))
    return Overhead.of(faces, spent[15:])  # tracks are born in the first frames


def _summary(arrivals: "Arrivals", seconds: float, cpu: float, memory: list[Memory]) -> EndToEnd:
    latencies = np.array(arrivals.latencies) * 1e3
    if not len(latencies):
        raise UserError("Publishing stopped while it was measured: run the perception node to see why.")
    p50, p90, p99 = (float(value) for value in np.percentile(latencies, [50, 90, 99]))
    return EndToEnd(
        seconds=seconds,
        arrays=len(latencies),
        faces=float(np.mean(arrivals.faces)),
        rate=len(latencies) / seconds,
        p50=p50,
        p90=p90,
        p99=p99,
        cpu=cpu / seconds,
        memory=memory,
        memory_slope=slope_after(MEMORY_SETTLE, memory, "resident"),
        private_slope=slope_after(MEMORY_SETTLE, memory, "private"),
    )


def slope_after(settle: float, memory: list[Memory], field: str) -> float | None:
    """Return by how many MB a minute a field of `Memory` grew after so many seconds (least squares).

    Returns:
        None if there are fewer than as many seconds again.
    """
    points = [(each.seconds / 60, getattr(each, field)) for each in memory if each.seconds >= settle]
    if len(points) < 3 or points[-1][0] - points[0][0] < settle / 60:
        return None
    minutes, values = np.array(points).T
    return float(np.polyfit(minutes, values, 1)[0])


@contextmanager
def _node(name: str, **parameters: object) -> Iterator[int]:
    """Run a node as a process of its own and give its process id; it is ended with the block."""
    command = [sys.executable, "-m", "facial_attributes_ros.ros", name, "--ros-args", "--log-level", "warn"]
    for key, value in parameters.items():
        command += ["-p", f"{key}:={value}"]
    with child(command, end=signal.SIGINT, stdout=subprocess.DEVNULL) as process:
        yield process.pid


def _cpu_seconds(pid: int) -> float:
    fields = _status(pid, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(pid: int, seconds: float) -> Memory:
    kilobytes = {key: int(value) for key, value in re.findall(r"^(Rss\w+):\s+(\d+)", _status(pid, "status"), re.M)}
    kinds = [kilobytes.get(f"Rss{kind}", 0) * 1024 / 1e6 for kind in ("Anon", "File", "Shmem")]
    return Memory(seconds, sum(kinds), kinds[0])


def _status(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except FileNotFoundError as error:
        raise UserError("The perception node ended while it was measured: run it to see why.") from error
