"""The way of a frame: detect, track, schedule, estimate, fuse. Start reading here; each station is a folder or a file.

Plain data passes between the stations. What is remembered from frame to frame is in three places: the tracker (where
the faces are), the scheduler (when each was last estimated) and the beliefs (what the estimates of each amount to).
"""

import logging
import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection, Distribution, FaceAttributes, image_dict
from facial_attributes_ros.detection.base import FaceDetector, face_within
from facial_attributes_ros.engines.base import Engine, Estimates, estimate
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.fusion.beliefs import Beliefs
from facial_attributes_ros.fusion.publish import face_attributes
from facial_attributes_ros.imaging.boxes import overlaps_image
from facial_attributes_ros.imaging.mosaic import mosaic
from facial_attributes_ros.imaging.mounting import in_camera_image, upright_image
from facial_attributes_ros.imaging.view_quality import view_quality
from facial_attributes_ros.options import STILL, DetectorOptions, PipelineOptions
from facial_attributes_ros.scheduler import Scheduler
from facial_attributes_ros.tracking.camera_motion import CameraMotion
from facial_attributes_ros.tracking.tracker import Track, Tracker

_LOGGER = logging.getLogger(__name__)

Image = NDArray[np.uint8]
Tasks = frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """The faces of a frame.

    Attributes:
        faces: the faces in view, oldest track first.
        timings: seconds spent in `detection`, `tracking`, `quality`, `model` and `fusion`.
        tracked: ids of all tracks, those that are occluded included.
        stamp: time of the frame in seconds.
        width: of the frame in pixels.
        height: of the frame in pixels.
        model: name of the model.
    """

    faces: list[FaceAttributes]
    timings: dict[str, float]
    tracked: frozenset[str] = frozenset()
    stamp: float = 0.0
    width: int = 0
    height: int = 0
    model: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of the frame, see `attributes.image_dict`."""
        faces = [face.to_dict() for face in self.faces]
        return image_dict(faces, self.width, self.height, self.model, stamp=float(self.stamp))


@dataclass(frozen=True, slots=True, eq=False)
class FaceView:
    """An image of one face that another detector and tracker has found, for `FramePipeline.follow`.

    Attributes:
        id: of the face, the same in all its images.
        image: uint8 (H, W, 3) BGR: the face with little around it; black bars around it are no part of it.
        score: confidence of the detector, 0 to 1.
    """

    id: str
    image: Image
    score: float = 1.0


class EstimateError(UserError):
    """The model failed on a frame, or a prediction for a face is not finite.

    Attributes:
        result: the result of the frame all the same. If the model failed, every face in it has unknown attributes; if
            a prediction is not finite, the face keeps the attributes that it had.
    """

    def __init__(self, sentence: str, result: FrameResult) -> None:
        """Keep the result with the sentence."""
        super().__init__(sentence)
        self.result = result


def load_pipeline(
    model: str | Path = "small",
    *,
    detector: str = "yunet",
    device: str = "auto",
    engine: str = "auto",
    options: PipelineOptions | None = None,
) -> "FramePipeline":
    """Load a detector and a model, and return the pipeline of both.

    Args:
        model: name of a shipped model, a model folder or a hub reference, see `models.registry.model_folder`.
        detector: name of a detector, see `detection.load.load_detector`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`, see `engines.load.load_engine`.
        engine: `auto`, `onnx`, `onnx-int8` or `torch`, see `engines.load.load_engine`.
        options: all settings; None for the defaults.

    Raises:
        UserError: there is no such model, detector, device or engine, or something that it needs is missing.

    >>> pipeline = load_pipeline("small", device="cpu", options=PipelineOptions(tasks=("age", "emotion")))
    >>> pipeline.engine.spec.name
    'small'
    """
    from facial_attributes_ros.detection.load import load_detector
    from facial_attributes_ros.engines.load import load_engine

    return FramePipeline(load_detector(detector), load_engine(model, device, engine), options)


class FramePipeline:
    """Follows the faces of a stream of frames and fuses the estimates of each. Not for several threads at once.

    Attributes:
        detector: finds the faces.
        engine: estimates their attributes.
        beliefs: what is known of each track; to read, such as how well a resting face is known.
    """

    def __init__(self, detector: FaceDetector, engine: Engine, options: PipelineOptions | None = None) -> None:
        """Begin without tracks."""
        self.detector = detector
        self.engine = engine
        self._tracker = Tracker()
        self._camera = CameraMotion()
        self._scheduler = Scheduler()
        self.beliefs = Beliefs(engine.spec)
        self._frames = 0
        self._followed_until = -math.inf
        self._model_fails = False
        self._size: tuple[int, ...] = ()
        self._options = options or PipelineOptions()
        self.options = self._options

    @property
    def options(self) -> PipelineOptions:
        """All settings; new ones apply from the next frame on, and tracks live on."""
        return self._options

    @options.setter
    def options(self, options: PipelineOptions) -> None:
        if self._options.camera_mounting != options.camera_mounting:
            self.reset()
        self._options = options
        self._tracker.options = options.tracking
        self._scheduler.options = options.scheduling
        self.beliefs.options = options.fusion

    def reset(self) -> None:
        """Forget all faces."""
        self._tracker.reset()
        self._forget_all_but(())
        self._frames = 0

    def use(self, engine: Engine) -> None:
        """Estimate with another model from the next frame on: tracks keep their ids, and all are estimated anew."""
        self.engine = engine
        self._scheduler = Scheduler(self._options.scheduling)
        self.beliefs = Beliefs(engine.spec, self._options.fusion)

    def process(self, image: Image, stamp: float, tasks: Collection[str] | None = None) -> FrameResult:
        """Process the next frame of a stream.

        Args:
            image: uint8 (H, W, 3) BGR; another size than the last frame's ends all tracks.
            stamp: time of the frame in seconds; a time before the last frame's ends all tracks.
            tasks: that are wanted, all by default; the others cost nothing and are unknown.

        Raises:
            EstimateError: the model failed, or gave numbers that are not finite; it holds the result of the frame.

        >>> from facial_attributes_ros.imaging.sources import open_source
        >>> frames, pipeline = open_source("sample"), load_pipeline("small")
        >>> results = [pipeline.process(*next(frames)) for _ in range(4)]
        >>> [len(result.faces) for result in results]  # a face has to be detected twice
        [0, 6, 6, 6]
        >>> [face.id for face in results[2].faces] == [face.id for face in results[3].faces]
        True
        """
        clock, wanted = _Clock(), self._wanted(tasks)
        height, width = image.shape[:2]
        image = upright_image(image, self.options.camera_mounting)
        detections = self._detect(image)
        clock.lap("detection")
        tracks = self._track(image, stamp, detections)
        clock.lap("tracking")
        due = self._schedule(image, stamp, tracks, wanted)
        faces, problem = self._attributes_of(image, stamp, tracks, due, wanted, clock)
        faces = [self._in_camera_image(face, width, height) for face in faces]
        model = self.engine.spec.name
        result = FrameResult(faces, clock.timings, frozenset(self._tracker.ids), stamp, width, height, model)
        if problem:
            raise EstimateError(problem, result)
        return result

    def follow(
        self, views: Sequence[FaceView], tracked: Collection[str], stamp: float, tasks: Collection[str] | None = None
    ) -> FrameResult:
        """Process the faces that another detector and tracker has found; a pipeline does this or `process`.

        Scheduling and fusion are those of `process`. The detector only finds the landmarks of the faces to estimate.

        Args:
            views: the faces in view at one time.
            tracked: ids of all faces that the other tracker follows; the others are forgotten.
            stamp: time of the views in seconds; a time before the last one makes all faces new.
            tasks: as in `process`.

        Returns:
            The faces in the order of `views`; their detections are positions in an image of all views.

        Raises:
            EstimateError: as `process`.
        """
        clock, wanted = _Clock(), self._wanted(tasks)
        self._forget_all_but(() if stamp < self._followed_until else tracked)
        self._followed_until = stamp
        image, boxes = mosaic([view.image for view in views])
        places = [Detection(box, view.score) for view, box in zip(views, boxes, strict=True)]
        tracks = [Track(view.id, place, stamp, True) for view, place in zip(views, places, strict=True)]
        due = self._schedule(image, stamp, tracks, wanted)
        due = [replace(track, detection=face_within(self.detector, image, track.detection)) for track in due]
        clock.lap("detection")
        faces, problem = self._attributes_of(image, stamp, tracks, due, wanted, clock)
        result = FrameResult(
            faces, clock.timings, frozenset(tracked), stamp, image.shape[1], image.shape[0], self.engine.spec.name
        )
        if problem:
            raise EstimateError(problem, result)
        return result

    def _attributes_of(
        self, image: Image, stamp: float, tracks: list[Track], due: list[Track], wanted: Tasks, clock: "_Clock"
    ) -> tuple[list[FaceAttributes], str | None]:
        """Estimate those that are due and fuse; return the attributes of all tracks, and what is wrong if anything."""
        qualities = [view_quality(image, track.detection, self.engine.spec.image_size) for track in due]
        clock.lap("quality")
        estimates, failure = self._estimate(image, due, wanted)
        clock.lap("model")
        if due and not failure:
            self._scheduler.note_cost(clock.timings["model"], len(due))
        self._fuse(stamp, due, estimates, qualities)
        # While the model fails, attributes are unknown, since the beliefs are those of the past.
        faces = self._attributes(tracks, Tasks() if self._model_fails else wanted)
        clock.lap("fusion")
        return faces, failure or estimates.problem

    def still(
        self, image: Image, tasks: Collection[str] | None = None, search: DetectorOptions = STILL
    ) -> list[FaceAttributes]:
        """Return the faces of a single image, without tracking: the calibrated predictions of the model.

        The ids `face1`, `face2`, … number the faces, the best detection score first.

        Args:
            image: uint8 (H, W, 3) BGR.
            tasks: as in `process`.
            search: how the image is searched.

        Raises:
            UserError: the model gave numbers that are not finite.

        >>> from facial_attributes_ros.imaging.decoder import read_image
        >>> (face,) = load_pipeline("small").still(read_image("photo.png"))
        >>> face.id, face.gender.label, face.emotion.label
        ('face1', 'female', 'happy')
        >>> round(float(face.gender.probabilities.sum()), 3)
        1.0
        """
        height, width = image.shape[:2]
        image = upright_image(image, self.options.camera_mounting)
        faces = self.single_views(image, self.detector.detect(image, search), tasks)
        return [self._in_camera_image(face, width, height) for face in faces]

    def single_views(
        self, image: Image, detections: Sequence[Detection], tasks: Collection[str] | None = None
    ) -> list[FaceAttributes]:
        """Return the calibrated predictions of the model for faces that are detected already; nothing is fused.

        Args:
            image: uint8 (H, W, 3) BGR, upright.
            detections: the faces, in the order of the result.
            tasks: as in `process`.

        Raises:
            UserError: the model gave numbers that are not finite.
        """
        estimates = estimate(self.engine, image, detections, self._wanted(tasks))
        if problem := estimates.problem:
            raise UserError(problem)
        spec, lowest = self.engine.spec, self._thresholds
        faces = []
        for row, detection in enumerate(detections):
            found = {
                task: Distribution(task, values[row], lowest[task]) for task, values in estimates.probabilities.items()
            }
            quality = view_quality(image, detection, spec.image_size) if found else 1.0
            faces.append(face_attributes(f"face{row + 1}", detection, found, spec, int(bool(found)), 0.0, quality))
        return faces

    def _detect(self, image: Image) -> list[Detection] | None:
        """Return the detections, or None where it is not this frame's turn."""
        if image.shape[:2] != self._size:
            # Cameras cut or scale their field of view with the resolution, so no track can be carried over for sure.
            self.reset()
            self._size = image.shape[:2]
        turn = self._frames % self.options.detect_every == 0
        self._frames += 1
        return self.detector.detect(image) if turn else None

    def _track(self, image: Image, stamp: float, detections: list[Detection] | None) -> list[Track]:
        """Return the tracks in view, oldest first."""
        shift = self._camera.follow(image, needed=self._tracker.following)
        tracks = self._tracker.update(detections, stamp, (image.shape[1], image.shape[0]), shift)
        self._forget_all_but(self._tracker.ids)
        return tracks

    def _schedule(self, image: Image, stamp: float, tracks: list[Track], wanted: Tasks) -> list[Track]:
        """Return the tracks to estimate in this frame, the most urgent first."""
        height, width = image.shape[:2]
        visible = [track for track in tracks if overlaps_image(track.detection.box, width, height)]
        uncertainty = self.beliefs.uncertainty([track.id for track in visible], wanted)
        return self._scheduler.due(visible, wanted, stamp, uncertainty)

    def _estimate(self, image: Image, due: list[Track], wanted: Tasks) -> tuple[Estimates, str | None]:
        """Return the predictions for the tracks, and a sentence if the model failed; then none of them is usable."""
        try:
            estimates = estimate(self.engine, image, [track.detection for track in due], wanted)
        except Exception as error:  # of any type, by a driver; tracking continues, `process` raises the sentence
            _LOGGER.debug("The model failed.", exc_info=True)
            self._model_fails = True
            nothing = Estimates({}, np.zeros(len(due), np.bool_))
            return nothing, f"The model fails ({type(error).__name__}: {error})."
        self._model_fails = self._model_fails and not due
        return estimates, None

    def _fuse(self, stamp: float, due: list[Track], estimates: Estimates, qualities: list[float]) -> None:
        """Update the beliefs with the usable predictions, and record in the scheduler which tracks have one."""
        ids, found = [track.id for track in due], estimates.probabilities
        self.beliefs.update(ids, found, stamp, qualities, self._thresholds)
        self._scheduler.note([due[row] for row in np.flatnonzero(estimates.usable)], found, stamp)

    def _attributes(self, tracks: list[Track], known: Tasks) -> list[FaceAttributes]:
        lowest = self._thresholds
        return [self.beliefs.attributes(track.id, track.born, track.detection, known, lowest) for track in tracks]

    def _in_camera_image(self, face: FaceAttributes, width: int, height: int) -> FaceAttributes:
        mounting = self.options.camera_mounting
        return replace(face, detection=in_camera_image(face.detection, mounting, width, height))

    def _forget_all_but(self, living: Collection[str]) -> None:
        self._scheduler.keep(living)
        self.beliefs.keep(living)

    @property
    def _thresholds(self) -> dict[str, float]:
        return {**self.engine.spec.thresholds, **self.options.thresholds}

    def _wanted(self, tasks: Collection[str] | None) -> Tasks:
        on = Tasks(self.options.tasks) & Tasks(self.engine.spec.tasks)
        return on if tasks is None else on & Tasks(tasks)


class _Clock:
    """Measures the seconds of each stage."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.timings[stage] = now - self._last
        self._last = now
