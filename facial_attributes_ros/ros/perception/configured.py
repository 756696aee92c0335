"""What exists while the node is configured: a pipeline that is ready, and the publishers of its results."""

import gc
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from facial_attributes_ros.detection.base import FaceDetector
from facial_attributes_ros.detection.load import load_detector
from facial_attributes_ros.engines.base import Engine
from facial_attributes_ros.engines.load import load_engine, unused_gpu
from facial_attributes_ros.pipeline import FramePipeline
from facial_attributes_ros.ros.bridge import image_converter
from facial_attributes_ros.ros.conversion import compressed_to_bgr
from facial_attributes_ros.ros.loading import Stages
from facial_attributes_ros.ros.managed import ManagedNode
from facial_attributes_ros.ros.perception.info import InfoPublisher
from facial_attributes_ros.ros.perception.outputs import Outputs
from facial_attributes_ros.ros.perception.settings import Settings

WARM_BATCHES = (1, 2, 4, 8)
"""Numbers of faces that the model is run with before the first frame."""
WARM_FRAME = (480, 640, 3)
STEPS = 4
"""Stages of `load`."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What takes long to load.

    Attributes:
        settings: with which it was loaded.
        detector: ready to detect.
        engine: ready to estimate.
        convert: turns a message into a uint8 (H, W, 3) BGR image.
    """

    settings: Settings
    detector: FaceDetector
    engine: Engine
    convert: Callable[[Any], NDArray[np.uint8]]


def load(settings: Settings, stages: Stages) -> Loaded:
    """Load and warm up the detector and the model; needs no ROS.

    Args:
        settings: which ones, and how.
        stages: records the stage of the work.

    Raises:
        UserError: a file is missing, or does not fit.
    """
    node = settings.node
    stages.enter(1, STEPS, f"loading the detector {node.detector}")
    detector = load_detector(node.detector, **asdict(settings.detection))
    detector.detect(np.zeros(WARM_FRAME, np.uint8))
    engine = load_model(settings, stages)
    stages.enter(4, STEPS, "choosing the conversion of images")
    return Loaded(settings, detector, engine, _converter(settings))


def load_model(settings: Settings, stages: Stages) -> Engine:
    """Load and warm up the model; needs no ROS.

    Args:
        settings: which one, and how.
        stages: records the stage of the work.

    Raises:
        UserError: a file is missing, or does not fit.
    """
    node = settings.node
    stages.enter(2, STEPS, f"loading the model {node.model}")
    engine = load_engine(node.model, node.device, node.engine, node.threads or None)
    stages.enter(3, STEPS, f"warming up the model {node.model}")
    # A task that is off is not loaded; one that is switched on later loads its own part in milliseconds.
    engine.warm_up(WARM_BATCHES, [task for task in settings.pipeline.tasks if task in engine.spec.tasks])
    return engine


def _converter(settings: Settings) -> Callable[[Any], NDArray[np.uint8]]:
    """Return the function that turns an image message into BGR."""
    if settings.node.image_transport == "compressed" and settings.node.rep155 != "add":  # whose crops are raw
        return partial(compressed_to_bgr, max_pixels=settings.node.max_pixels)
    return image_converter()


class Configured:
    """A pipeline that is ready, and the publishers of its results; made by `open`.

    Attributes:
        pipeline: the way of a frame.
        outputs: the publishers of results.
        info: the publisher of what runs.
        convert: turns a message into a uint8 (H, W, 3) BGR image.
        settings: what the parameters are now; `apply_settings` applies them to the pipeline.
        about: keys and values that diagnostics show.
        unused_gpu: why the machine's GPU is not used, a sentence; empty if it is, or if there is none.
        working: held by the worker that uses the pipeline; one that did not stop in time keeps the next one waiting.
    """

    def __init__(self, loaded: Loaded, pipeline: FramePipeline, outputs: Outputs, info: InfoPublisher) -> None:
        self.pipeline, self.outputs, self.info = pipeline, outputs, info
        self.convert = loaded.convert
        self.settings = self._applied = loaded.settings
        self.unused_gpu = unused_gpu(loaded.settings.node.device, loaded.settings.node.engine)
        self.about = _about(loaded.engine, loaded.settings.node.detector)
        self.working = threading.Lock()
        self._camera = ""

    @classmethod
    def open(cls, node: ManagedNode, loaded: Loaded) -> Self:
        """Create the pipeline and the publishers.

        Args:
            node: whose publishers they are.
            loaded: the detector and the model.

        Raises:
            UserError: the parameter rep155 is always, but hri_msgs is not installed.
        """
        spec, settings = loaded.engine.spec, loaded.settings
        pipeline = FramePipeline(loaded.detector, loaded.engine, settings.pipeline)
        with ExitStack() as opened:  # if a later part fails, the earlier ones are closed
            info = InfoPublisher(node, spec, settings)
            opened.callback(info.close)
            outputs = Outputs.open(node, settings, spec.name)
            opened.pop_all()
        return cls(loaded, pipeline, outputs, info)

    def close(self) -> None:
        """Destroy the publishers."""
        with ExitStack() as steps:  # both, even if one fails
            steps.callback(self.outputs.close)
            steps.callback(self.info.close)

    def use(self, engine: Engine) -> None:
        """Estimate with another model from the next frame on; called between two frames.

        Args:
            engine: ready to estimate.
        """
        self.pipeline.use(engine)
        self.about = _about(engine, self.settings.node.detector)
        self.outputs.model = engine.spec.name
        self.info.model_changed(engine.spec)

    def change(self, settings: Settings) -> None:
        """Take changed parameters: `faces/info` is published at once, the pipeline uses them from the next frame."""
        self.settings = settings
        self.info.settings_changed(settings)

    def apply_settings(self) -> None:
        """Apply changed parameters; called between two frames."""
        settings = self.settings
        if settings is self._applied:
            return
        self.pipeline.options = settings.pipeline
        self.pipeline.detector.options = settings.detection
        self.outputs.settings = settings
        self._applied = settings

    def follow_camera(self, frame_id: str, shape: tuple[int, ...]) -> str:
        """Reset the tracks if the images come from another camera, whose pixels show other places.

        Args:
            frame_id: of the image's header.
            shape: of the image, height and width first.

        Returns:
            a sentence about the change; empty if the camera is the same.
        """
        camera, before = f"{shape[1]}x{shape[0]} of frame '{frame_id}'", self._camera
        self._camera = camera
        if before in ("", camera):
            return ""
        self.pipeline.reset()
        return f"The camera changed from {before} to {camera}: all tracks are reset."


def _about(engine: Engine, detector: str) -> dict[str, str]:
    """Return the keys and values that diagnostics show of a model."""
    spec = engine.spec
    return {
        "model": spec.name,
        "model version": spec.version,
        "model hash": spec.short_hash,
        "commercial use": spec.licence.commercial_use,
        "device": engine.device,
        "engine": engine.name,
        "detector": detector,
    }


def free_memory() -> None:
    """Free the memory of a model that has no reference any more, on the GPU too."""
    gc.collect()
    # torch is imported only where it is used.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
