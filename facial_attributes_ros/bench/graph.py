"""End to end over a live ROS graph: a camera process, the perception process, and the messages that arrive here."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.bench.process_usage import Memory, cpu_seconds, memory, slope_after
from facial_attributes_ros.bench.requirements import ros_required
from facial_attributes_ros.child_processes import child
from facial_attributes_ros.errors import UserError

if TYPE_CHECKING:
    from facial_attributes_ros.bench.arrivals import Arrivals

START_TIMEOUT: Final = 180.0
"""Seconds until the first message; loading takes long on a loaded machine."""
SETTLE: Final = 3.0
"""Seconds after the first message that are not measured."""
MEMORY_SETTLE: Final = 60.0
"""Seconds of a run that the memory slope excludes; a shorter run has none."""

Progress = Callable[[float], object]
"""Called with the seconds that have passed since the last call."""


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """The figures of a run over a live graph.

    Attributes:
        seconds: measured.
        messages: number of `FaceAttributesArray` that arrived.
        faces: mean number of faces in a message.
        rate: messages a second, Hz.
        p50, p90, p99: latency in milliseconds, from the camera's stamp, taken just before it publishes, to the arrival.
        cores: mean number of CPU cores that the perception process used.
        memory: of the perception process, once a second.
        memory_slope: growth of its resident memory after the first minute, MB a minute; None for a short run.
        private_slope: the same for memory of its own.
    """

    seconds: float
    messages: int
    faces: float
    rate: float
    p50: float
    p90: float
    p99: float
    cores: float
    memory: list[Memory]
    memory_slope: float | None
    private_slope: float | None


class LiveGraph:
    """A running perception process that one camera after another is put in front of; made by `live_graph`."""

    def __init__(self, arrivals: "Arrivals", perception: int, folder: Path) -> None:
        self._arrivals, self._perception, self._folder = arrivals, perception, folder

    def measure(
        self, image: NDArray[np.uint8], rate: float, seconds: float, progress: Progress = lambda _: None
    ) -> EndToEnd:
        """Publish an image from a camera process of its own, and measure the messages that come of it.

        Args:
            image: uint8 (H, W, 3) BGR.
            rate: of the camera, frames/s.
            seconds: to measure, from `SETTLE` seconds after the first message on.
            progress: called once a second.

        Raises:
            UserError: nothing is published in time, or publishing stops.
        """
        source = self._folder / "frame.png"
        cv2.imwrite(str(source), image)
        arrivals = self._arrivals
        arrivals.collect(1.0)  # messages that are due to the camera before this one
        arrivals.clear()
        with _node("camera", source=source, rate=float(rate)):
            if not arrivals.wait_for_first(START_TIMEOUT):
                raise UserError(
                    f"Nothing was published within {START_TIMEOUT:.0f} s: run the perception node to see why."
                )
            arrivals.collect(SETTLE)
            arrivals.clear()
            begin = time.monotonic()
            used = cpu_seconds(self._perception)
            samples = [memory(self._perception, 0.0)]
            while (passed := time.monotonic() - begin) < seconds:
                arrivals.collect(min(1.0, seconds - passed))
                samples.append(memory(self._perception, time.monotonic() - begin))
                progress(time.monotonic() - begin - passed)
            passed = time.monotonic() - begin
            return _summary(arrivals, passed, cpu_seconds(self._perception) - used, samples)


@contextmanager
def live_graph(model: str, engine: str = "auto", detector: str = "yunet", device: str = "cpu") -> Iterator[LiveGraph]:
    """Run the perception node as a process of its own, in a ROS domain of its own.

    Args:
        model: as in `models.registry.model_folder`; its engine should be built already.
        engine: as in `engines.load.load_engine`.
        detector: as in `detection.load.load_detector`.
        device: as in `engines.load.load_engine`.

    Raises:
        UserError: ROS or the package's messages are missing.
    """
    with ros_required():
        from facial_attributes_ros.bench.arrivals import Arrivals
    os.environ["ROS_DOMAIN_ID"] = str(random.randint(60, 100))
    with (
        TemporaryDirectory() as work,
        Arrivals() as arrivals,
        _node(
            "perception", autostart="true", model=model, engine=engine, detector=detector, device=device
        ) as perception,
    ):
        yield LiveGraph(arrivals, perception, Path(work))


def _summary(arrivals: "Arrivals", seconds: float, cpu: float, samples: list[Memory]) -> EndToEnd:
    latencies = np.array(arrivals.latencies) * 1e3
    if not len(latencies):
        raise UserError("Publishing stopped while it was measured: run the perception node to see why.")
    p50, p90, p99 = (float(value) for value in np.percentile(latencies, [50, 90, 99]))
    return EndToEnd(
        seconds=seconds,
        messages=len(latencies),
        faces=float(np.mean(arrivals.faces)),
        rate=len(latencies) / seconds,
        p50=p50,
        p90=p90,
        p99=p99,
        cores=cpu / seconds,
        memory=samples,
        memory_slope=slope_after(MEMORY_SETTLE, samples, "resident"),
        private_slope=slope_after(MEMORY_SETTLE, samples, "private"),
    )


@contextmanager
def _node(name: str, **parameters: object) -> Iterator[int]:
    """Run a node as a process of its own, which ends with the block; give its process id."""
    command = [sys.executable, "-m", "facial_attributes_ros.ros", name, "--ros-args", "--log-level", "warn"]
    for key, value in parameters.items():
        command += ["-p", f"{key}:={value}"]
    with child(command, end=signal.SIGINT, stdout=subprocess.DEVNULL) as process:
        yield process.pid
