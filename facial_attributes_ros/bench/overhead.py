"""What a frame costs in our own code: conversion, tracking, scheduling, crops, softmax, fusion, the message."""

import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from facial_attributes_ros.bench.requirements import ros_required
from facial_attributes_ros.engines.base import Engine
from facial_attributes_ros.pipeline import FramePipeline

if TYPE_CHECKING:
    from facial_attributes_ros.detection.base import FaceDetector


@dataclass(frozen=True, slots=True)
class Overhead:
    """Time per frame besides detection, network, DDS and deserialising.

    Attributes:
        faces: in the frame.
        median, p90, p99: milliseconds per frame.
        frames: number of frames.
    """

    faces: int
    median: float
    p90: float
    p99: float
    frames: int

    @classmethod
    def of(cls, faces: int, milliseconds: Sequence[float]) -> Self:
        """Summarise the times of single frames."""
        median, p90, p99 = (float(value) for value in np.percentile(milliseconds, [50, 90, 99]))
        return cls(faces, median, p90, p99, len(milliseconds))


def own_overhead(
    engine: Engine, detector: "FaceDetector", image: NDArray[np.uint8], faces: int, seconds: float
) -> Overhead:
    """Process a frame from message to message in this process, with the node's default settings, at 30 frames/s.

    Args:
        engine: the model.
        detector: the detector.
        image: uint8 (H, W, 3) BGR.
        faces: in the image, for the result.
        seconds: to measure.

    Raises:
        UserError: ROS or the package's messages are missing.
    """
    with ros_required():
        from sensor_msgs.msg import Image

        from facial_attributes_ros.ros.conversion import bgr_fields, image_to_bgr
        from facial_attributes_ros.ros.messages import faces_message

    message = Image(**bgr_fields(image))
    excluded = Excluded(engine, detector)
    pipeline = FramePipeline(excluded.detector, excluded.engine)
    spent: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(spent) < 30:
        stamp = len(spent) / 30
        message.header.stamp.sec, message.header.stamp.nanosec = int(stamp), int(stamp % 1 * 1e9)
        excluded.seconds = 0.0
        start = time.perf_counter()
        converted = image_to_bgr(message)
        result = pipeline.process(converted, stamp)
        faces_message(engine.spec.name, message.header, (converted.shape[1], converted.shape[0]), result.faces)
        spent.append(1e3 * (time.perf_counter() - start - excluded.seconds))
    return Overhead.of(faces, spent[15:])  # tracks are born in the first frames


class Excluded:
    """Counts the seconds that detection and network take, so that they can be subtracted.

    Attributes:
        detector, engine: to use instead of the ones given.
        seconds: spent in either since it was set to 0.
    """

    def __init__(self, engine: Engine, detector: "FaceDetector") -> None:
        self.seconds = 0.0
        self.engine, self.detector = copy(engine), copy(detector)
        # On a CPU engines cut the faces out and then call their own `logits`; on a GPU the crop is part of the network.
        part = "logits" if engine.device == "cpu" else "from_frame"
        setattr(self.engine, part, self._counted(getattr(engine, part)))
        self.detector.detect = self._counted(detector.detect)  # type: ignore[method-assign]

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.perf_counter() - start

        return run
