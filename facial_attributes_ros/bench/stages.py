"""How long each stage of a frame takes, and how an estimate compares with the bare backbone."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.bench.frames import Image, frame_with_faces
from facial_attributes_ros.bench.timing import Timing, time_in_turns
from facial_attributes_ros.engines.base import Engine, Logits, face_crops, probabilities
from facial_attributes_ros.errors import UserError
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
        faces = detector.detect(frame)[:count]
        if len(faces) < count:
            raise UserError(f"The detector finds {len(faces)} of {count} faces in the measured frame: use another one.")
        places = np.stack([face.box for face in faces]), np.stack([face.landmarks for face in faces])
        crops = face_crops(spec, frame, *places)
        functions: dict[str, Callable[[], object]] = {
            "detection": partial(detector.detect, frame),
            "crop": partial(face_crops, spec, frame, *places),
            "model": partial(engine.logits, crops),
            "estimate": partial(_estimate, engine, frame, *places),
            "backbone": partial(bare, count),
            "pipeline": whole_pipeline(detector, engine, frame),
        }
        if engine.name == "torch":
            functions["resident"] = partial(_estimate, engine, _on_device(frame, engine.device), *places)
        timings += time_in_turns(functions, count, seconds)
    return timings


def _on_device(frame: Image, device: str) -> Any:
    import torch

    return torch.from_numpy(frame).to(device)


def _estimate(engine: Engine, frame: Any, boxes: NDArray[np.float32], landmarks: NDArray[np.float32]) -> Logits:
    return probabilities(engine.from_frame(frame, boxes, landmarks=landmarks), engine.spec)


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
