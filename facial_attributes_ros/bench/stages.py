"""How long each stage takes on this machine, and what the whole costs against the bare backbone."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.engines.base import Engine, Logits, probabilities
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.spec import ModelSpec

if TYPE_CHECKING:
    from facial_attributes_ros.detection.base import FaceDetector

LEAST_RUNS: Final = 5
"""Measurements of everything, however long one takes."""

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long something took.

    Attributes:
        stage: what was measured.
        faces: how many faces there were.
        median, p90, least: milliseconds.
        runs: number of measurements.
    """

    stage: str
    faces: int
    median: float
    p90: float
    least: float
    runs: int


def measure_together(functions: Mapping[str, Callable[[], object]], faces: int, seconds: float = 1.5) -> list[Timing]:
    """Time functions in turns, so that whatever else the machine does falls on all of them alike.

    Args:
        functions: what to call, by stage.
        faces: how many faces they work on, for the result.
        seconds: for all of them together.
    """
    for function in functions.values():
        function()
    spent: dict[str, list[float]] = {stage: [] for stage in functions}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(spent.values()))) < LEAST_RUNS:
        for stage, function in functions.items():
            start = time.perf_counter()
            function()
            spent[stage].append(1e3 * (time.perf_counter() - start))
    return [
        Timing(stage, faces, float(np.median(ms)), float(np.percentile(ms, 90)), min(ms), len(ms))
        for stage, ms in spent.items()
    ]


def frame_with_faces(count: int, width: int = 640, height: int = 480) -> Image:
    """Return a picture uint8 (height, width, 3) BGR with one face many times, side by side.

    Raises:
        UserError: scikit-image, which carries the photograph, is not installed.
    """
    from importlib.util import find_spec

    import cv2

    from facial_attributes_ros.imaging.decoder import read_image

    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("The measured picture is scikit-image's astronaut: install the package scikit-image.")
    photograph = read_image(Path(spec.submodule_search_locations[0]) / "data/astronaut.png")
    portrait = photograph[0:260, 90:350]
    columns = int(np.ceil(np.sqrt(count * width / height)))
    rows = int(np.ceil(count / columns))
    side = min(width // columns, height // rows)
    tile = np.asarray(cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    frame = np.full((height, width, 3), 90, np.uint8)
    for index in range(count):
        top, left = side * (index // columns), side * (index % columns)
        frame[top : top + side, left : left + side] = tile
    return frame


def bench_stages(
    engine: Engine, detector: "FaceDetector", bare: Callable[[int], object], counts: Sequence[int], seconds: float = 1.5
) -> list[Timing]:
    """Time detection, crop, model, the bare backbone and the frame pipeline.

    Args:
        engine: the model under test.
        detector: the detector under test.
        bare: runs the backbone alone, in the same engine, on so many faces.
        counts: numbers of faces.
        seconds: for each number of faces.

    Returns:
        Per number of faces: `detection` in a frame of 640x480, `crop`, `model` (logits of ready crops), `estimate`
        (crop, model and softmax), `resident` (the same from a frame that lies in the device's memory, in PyTorch only),
        `backbone` alone, and `pipeline`, the whole way of a frame.

    Raises:
        UserError: the photograph is not installed, or the detector misses its faces.
    """
    from facial_attributes_ros.imaging.crop import crop_faces

    spec = engine.spec
    timings: list[Timing] = []
    for count in counts:
        frame = frame_with_faces(count)
        boxes = np.array([face.box for face in detector.detect(frame)], np.float32).reshape(-1, 4)
        if len(boxes) < count:
            raise UserError(
                f"The detector finds {len(boxes)} of {count} faces in the measured picture: use another one."
            )
        boxes = boxes[:count]
        crops = crop_faces(frame, boxes, spec.image_size, spec.crop_margin)
        functions: dict[str, Callable[[], object]] = {
            "detection": partial(detector.detect, frame),
            "crop": partial(crop_faces, frame, boxes, spec.image_size, spec.crop_margin),
            "model": partial(engine.logits, crops),
            "estimate": partial(_estimate, engine, frame, boxes),
            "backbone": partial(bare, count),
            "pipeline": whole_way(detector, engine, frame),
        }
        if engine.name == "torch":
            functions["resident"] = partial(_estimate, engine, _on_device(frame, engine.device), boxes)
        timings += measure_together(functions, count, seconds)
    return timings


def _on_device(frame: Image, device: str) -> Any:
    import torch

    return torch.from_numpy(frame).to(device)


def _estimate(engine: Engine, frame: Any, boxes: NDArray[np.float32]) -> Logits:
    return probabilities(engine.from_frame(frame, boxes), engine.spec)


def whole_way(detector: "FaceDetector", engine: Engine, frame: Image) -> Callable[[], object]:
    """Return a function that takes a frame all the way; every face is due in every frame."""
    from facial_attributes_ros.options import PipelineOptions, SchedulingOptions
    from facial_attributes_ros.pipeline import FramePipeline

    always = SchedulingOptions(budget=10.0, age_rate=1e3, gender_rate=1e3, emotion_rate=1e3)
    pipeline = FramePipeline(detector, engine, PipelineOptions(scheduling=always))
    stamps = iter(np.arange(0, 1e6, 1 / 30))

    def process() -> object:
        return pipeline.process(frame, float(next(stamps)))

    for _ in range(4):  # tracks are born
        process()
    return process


class Excluded:
    """Counts the seconds that detection and network take, so that they can be left out.

    Attributes:
        detector, engine: to use instead of the ones given.
        seconds: spent in either since it was set to 0.
    """

    def __init__(self, engine: Engine, detector: "FaceDetector") -> None:
        from copy import copy

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


def overhead(timings: Sequence[Timing]) -> dict[int, float]:
    """Return by number of faces what an estimate costs against the bare backbone, as a ratio of medians."""
    by_key = {(timing.stage, timing.faces): timing.median for timing in timings}
    counts = sorted({timing.faces for timing in timings})
    return {count: by_key["estimate", count] / by_key["backbone", count] for count in counts}


def machine() -> str:
    """Return in words what was measured on: processor, cores, load."""
    import os

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{name}, {os.cpu_count()} cores, load {load}"


def bench_bare(
    detector: "FaceDetector", bare: Callable[[int], object], frame: Image, faces: int, seconds: float
) -> dict[str, Timing]:
    """Time the detector and the backbone of one face alone, in turns; by their names."""
    functions: dict[str, Callable[[], object]] = {
        "detection": partial(detector.detect, frame),
        "backbone": partial(bare, 1),
    }
    return {timing.stage: timing for timing in measure_together(functions, faces, seconds)}


def bare_backbone(folder: Path, engine: Engine, threads: int | None = None) -> Callable[[int], object]:
    """Return a function that runs a model's backbone alone on so many faces, in the engine's own kind and precision.

    Its input is normalised already and its output are features, so that nothing of ours is in it.

    Raises:
        UserError: PyTorch is not installed.
    """
    spec = ModelSpec.read(folder)
    if engine.name == "torch":
        return _bare_in_torch(folder, spec, engine.device)
    return _bare_in_onnx(folder, spec, engine, threads)


def _bare_in_torch(folder: Path, spec: ModelSpec, device: str) -> Callable[[int], object]:
    import torch

    from facial_attributes_ros.engines.torch import CudaGraph, half_type
    from facial_attributes_ros.models.registry import load_model

    on_gpu = device != "cpu"
    dtype = half_type(device) if on_gpu else torch.float32
    backbone = load_model(folder)[0].backbone.to(device, dtype).requires_grad_(False)
    if on_gpu:
        backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    graphs: dict[int, CudaGraph] = {}

    def features(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (backbone(images.to(dtype)).float(),)

    def run(count: int) -> object:
        with torch.inference_mode():
            images = torch.zeros(count, 3, spec.image_size, spec.image_size, device=device)
            if on_gpu and count not in graphs:
                graphs[count] = CudaGraph(features, images)
            return (graphs[count] if on_gpu else features)(images)[0].cpu()

    return run


def _bare_in_onnx(folder: Path, spec: ModelSpec, engine: Engine, threads: int | None) -> Callable[[int], object]:
    from tempfile import TemporaryDirectory

    try:
        import torch

        from facial_attributes_ros.models.registry import load_model
    except ImportError as error:
        raise UserError(f"To time the bare backbone, PyTorch must be installed ({error}).") from error
    from facial_attributes_ros.engines.onnx import open_session
    from facial_attributes_ros.engines.onnx_export import INPUT, quantise, write_onnx

    with TemporaryDirectory() as work:
        path = Path(work) / "float32.onnx"
        write_onnx(
            load_model(folder)[0].backbone, torch.zeros(2, 3, spec.image_size, spec.image_size), ["features"], path
        )
        if engine.name == "onnx-int8":
            quantise(path, path.with_name("int8.onnx"))
            path = path.with_name("int8.onnx")
        session = open_session(path, engine.device, threads)

    def run(count: int) -> object:
        return session.run(None, {INPUT: np.zeros((count, 3, spec.image_size, spec.image_size), np.float32)})

    return run
