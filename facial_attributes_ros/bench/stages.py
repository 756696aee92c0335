"""How long each stage of a frame takes, and how an estimate compares with the bare backbone."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.bench.frames import Image, frame_with_faces
from facial_attributes_ros.bench.timing import Timing, time_in_turns
from facial_attributes_ros.engines.base import Engine, Logits, probabilities
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.crop import crop_faces
from facial_attributes_ros.options import PipelineOptions, SchedulingOptions
from facial_attributes_ros.pipeline import FramePipeline

if TYPE_CHECKING:
    from facial_attributes_ros.detection.base import FaceDetector


def bench_stages(
    engine: Engine, detector: "FaceDetector", bare: Callable[[int], object], counts: Sequence[int], seconds: float = 1.5
) -> list[Timing]:
    """Time detection, crop, model, the bare backbone and the frame pipeline.

    Args:
        engine: the model under test.
        detector: the detector under test.
        bare: runs the backbone alone, in the same engine, on a number of faces.
        counts: numbers of faces.
        seconds: for each number of faces.

    Returns:
        Per number of faces: `detection` in a frame of 640x480, `crop`, `model` (logits of ready crops), `estimate`
        (crop, model and softmax), `resident` (the same from a frame that lies in the device's memory, in PyTorch only),
        `backbone` alone, and `pipeline`, everything that a frame takes.

    Raises:
        UserError: the photograph is not installed, or the detector misses its faces.
    """
    spec = engine.spec
    timings: list[Timing] = []
    for count in counts:
        frame = frame_with_faces(count)
        boxes = np.array([face.box for face in detector.detect(frame)], np.float32).reshape(-1, 4)
        if len(boxes) < count:
            raise UserError(f"The detector finds {len(boxes)} of {count} faces in the measured frame: use another one.")
        boxes = boxes[:count]
        crops = crop_faces(frame, boxes, spec.image_size, spec.crop_margin)
        functions: dict[str, Callable[[], object]] = {
            "detection": partial(detector.detect, frame),
            "crop": partial(crop_faces, frame, boxes, spec.image_size, spec.crop_margin),
            "model": partial(engine.logits, crops),
            "estimate": partial(_estimate, engine, frame, boxes),
            "backbone": partial(bare, count),
            "pipeline": whole_pipeline(detector, engine, frame),
        }
        if engine.name == "torch":
            functions["resident"] = partial(_estimate, engine, _on_device(frame, engine.device), boxes)
        timings += time_in_turns(functions, count, seconds)
    return timings


def _on_device(frame: Image, device: str) -> Any:
    import torch

    return torch.from_numpy(frame).to(device)


def _estimate(engine: Engine, frame: Any, boxes: NDArray[np.float32]) -> Logits:
    return probabilities(engine.from_frame(frame, boxes), engine.spec)


def whole_pipeline(detector: "FaceDetector", engine: Engine, frame: Image) -> Callable[[], object]:
    """Return a function that processes a frame in the whole pipeline; every face is due in every frame."""
    always = SchedulingOptions(budget=10.0, age_rate=1e3, gender_rate=1e3, emotion_rate=1e3)
    pipeline = FramePipeline(detector, engine, PipelineOptions(scheduling=always))
    stamps = iter(np.arange(0, 1e6, 1 / 30))

    def process() -> object:
        return pipeline.process(frame, float(next(stamps)))

    for _ in range(4):  # tracks are born
        process()
    return process


def bench_bare(
    detector: "FaceDetector", bare: Callable[[int], object], frame: Image, faces: int, seconds: float
) -> dict[str, Timing]:
    """Time the detector and the bare backbone on one face in turns; return both by name."""
    functions: dict[str, Callable[[], object]] = {
        "detection": partial(detector.detect, frame),
        "backbone": partial(bare, 1),
    }
    return {timing.stage: timing for timing in time_in_turns(functions, faces, seconds)}


def estimate_to_backbone(timings: Sequence[Timing]) -> dict[int, float]:
    """Return the median time of an estimate over that of the bare backbone, by number of faces."""
    by_key = {(timing.stage, timing.faces): timing.median for timing in timings}
    counts = sorted({timing.faces for timing in timings})
    return {count: by_key["estimate", count] / by_key["backbone", count] for count in counts}
