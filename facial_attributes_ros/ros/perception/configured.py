"""What a configured node has: a pipeline that is ready, and the publishers of its results."""

import gc
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.detection.base import FaceDetector
from facial_attributes_ros.detection.load import load_detector
from facial_attributes_ros.engines.base import Engine
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.pipeline import FramePipeline
from facial_attributes_ros.ros.bridge import image_converter
from facial_attributes_ros.ros.conversion import compressed_to_bgr
from facial_attributes_ros.ros.loading import Stages
from facial_attributes_ros.ros.managed import ManagedNode
from facial_attributes_ros.ros.perception.info import InfoPublisher
from facial_attributes_ros.ros.perception.outputs import Outputs
from facial_attributes_ros.ros.perception.settings import Settings
from facial_attributes_ros.ros.perception.worker import NewestWorker

WARM_BATCHES = (1, 2, 4, 8)
"""Numbers of faces the model is tried with before the first frame."""
WARM_FRAME = (480, 640, 3)
STEPS = 4
"""Stages of `load`."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What takes long to get.

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
        stages: told what is being done.

    Raises:
        UserError: something is not there, or does not fit.
    """
    node = settings.node
    stages.enter(1, STEPS, f"loading the detector {node.detector}")
    detector = load_detector(node.detector, **asdict(settings.detection))
    detector.detect(np.zeros(WARM_FRAME, np.uint8))
    stages.enter(2, STEPS, f"loading the model {node.model}")
    engine = load_engine(node.model, node.device, node.engine, node.threads or None)
    stages.enter(3, STEPS, f"warming up the model {node.model}")
    # A task that is off is not even loaded; one that is switched on later loads its own part in milliseconds.
    engine.warm_up(WARM_BATCHES, [task for task in settings.pipeline.tasks if task in engine.spec.tasks])
    stages.enter(4, STEPS, "choosing the conversion of images")
    return Loaded(settings, detector, engine, _converter(settings))


def _converter(settings: Settings) -> Callable[[Any], NDArray[np.uint8]]:
    """Return the function that turns an image message into BGR."""
    if settings.node.image_transport == "compressed":
        return partial(compressed_to_bgr, max_pixels=settings.node.max_pixels)
    return image_converter()


class Configured:
    """A pipeline that is ready, and the publishers of its results.

    Args:
        node: whose publishers they are.
        loaded: the detector and the model.

    Attributes:
        settings: what the parameters say now; `apply_settings` makes them count.
        pipeline: the way of a frame.
        outputs: the publishers of results.
        info: the publisher of what runs.
        convert: turns a message into a uint8 (H, W, 3) BGR image.
        about: what diagnostics say of it.
        late: a worker that was stopped in vain while it works with the pipeline.

    Raises:
        UserError: REP-155 topics are insisted on, but hri_msgs is not installed.
    """

    def __init__(self, node: ManagedNode, loaded: Loaded) -> None:
        engine = loaded.engine
        self.settings = self._applied = loaded.settings
        self.pipeline = FramePipeline(loaded.detector, engine, self.settings.pipeline)
        with ExitStack() as opened:  # what was opened is closed if the rest cannot be
            self.info = InfoPublisher(node, engine.spec, self.settings)
            opened.callback(self.info.close)
            self.outputs = Outputs(node, self.settings, engine.spec.name)
            opened.pop_all()
        self.convert = loaded.convert
        self.about = {
            "model": engine.spec.name,
            "model version": engine.spec.version,
            "model hash": engine.spec.short_hash,
            "commercial use": engine.spec.licence.commercial_use,
            "device": engine.device,
            "engine": engine.name,
            "detector": self.settings.node.detector,
        }
        self.late: NewestWorker[Any] | None = None
        self._camera: str | None = None

    def take(self, settings: Settings) -> None:
        """Take changed parameters; subscribers are told at once, the pipeline between two frames."""
        self.settings = settings
        self.info.settings_changed(settings)

    def apply_settings(self) -> None:
        """Take changed parameters between two frames, where nothing is in work."""
        settings = self.settings
        if settings is self._applied:
            return
        self.pipeline.options = settings.pipeline
        self.pipeline.detector.options = settings.detection
        self.outputs.settings = settings
        self._applied = settings

    def follow_camera(self, frame_id: str, shape: tuple[int, ...]) -> str | None:
        """Forget all faces when the images come from another camera, whose pixels show other places.

        Args:
            frame_id: of the image's header.
            shape: of the image, height and width first.

        Returns:
            a sentence that says so, or None if the camera is the same.
        """
        self.info.image_came(frame_id)
        camera, before = f"{shape[1]}x{shape[0]} of frame '{frame_id}'", self._camera
        self._camera = camera
        if before in (None, camera):
            return None
        self.pipeline.reset()
        return f"The camera changed from {before} to {camera}: all tracks begin anew."

    def close(self) -> None:
        """Destroy the publishers."""
        with ExitStack() as steps:  # each is taken, whatever becomes of the other
            steps.callback(self.outputs.close)
            steps.callback(self.info.close)


def free_memory() -> None:
    """Give back the memory of a model that nobody holds any more, that of the GPU too."""
    gc.collect()
    # Only who uses torch has it imported.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
