"""The way of a frame: detector, tracker, scheduler, model, fusion. The only place that knows the order."""

import time
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import TASKS, Detection, Distribution, FaceAttributes
from facial_attributes_ros.runtime.engine import Engine, probabilities
from facial_attributes_ros.vision.detectors.base import FaceDetector
from facial_attributes_ros.vision.fusion import FaceBelief, face_attributes, update_faces
from facial_attributes_ros.vision.options import PipelineOptions
from facial_attributes_ros.vision.quality import view_quality
from facial_attributes_ros.vision.scheduler import Candidate, Scheduler
from facial_attributes_ros.vision.tracker import Track, Tracker

Estimates = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What is known after a frame.

    Attributes:
        faces: the faces in view, the longest known first.
        timings: seconds spent in `detection`, `tracking`, `quality`, `model` and `fusion`.
    """

    faces: list[FaceAttributes]
    timings: dict[str, float]


class FramePipeline:
    """Follows the faces of a stream of frames and keeps what is believed of each. Not for several threads at once.

    Attributes:
        detector: finds the faces.
        engine: estimates their attributes.
    """

    def __init__(self, detector: FaceDetector, engine: Engine, options: PipelineOptions | None = None) -> None:
        """Begin without tracks."""
        self.detector = detector
        self.engine = engine
        self._tracker = Tracker()
        self._scheduler = Scheduler()
        self._beliefs: dict[str, FaceBelief] = {}
        self._frames = 0
        self.options = options or PipelineOptions()

    @property
    def options(self) -> PipelineOptions:
        """All settings; new ones count from the next frame on, and tracks live on."""
        return self._options

    @options.setter
    def options(self, options: PipelineOptions) -> None:
        self._options = options
        self._tracker.options = options.tracking
        self._scheduler.options = options.scheduling

    def reset(self) -> None:
        """Forget all faces."""
        self._tracker.reset()
        self._beliefs.clear()
        self._frames = 0

    def process(self, image: NDArray[np.uint8], stamp: float, tasks: Collection[str] | None = None) -> FrameResult:
        """Take the next frame of a stream.

        Args:
            image: uint8 (H, W, 3) BGR.
            stamp: time of the frame in seconds; a time before the last frame's begins anew.
            tasks: which tasks somebody wants to know, all by default; the others cost nothing and are unknown.
        """
        clock = _Clock()
        wanted = self._wanted(tasks)
        detections = self.detector.detect(image) if self._frames % self.options.detect_every == 0 else None
        self._frames += 1
        clock.lap("detection")
        tracks = self._tracker.update(detections, stamp, (image.shape[1], image.shape[0]))
        self._keep_beliefs(tracks)
        clock.lap("tracking")
        chosen = self._choose(tracks, wanted, stamp, image.shape)
        qualities = [view_quality(image, track.detection, self.engine.spec.image_size) for track in chosen]
        clock.lap("quality")
        estimates = self._estimate(image, [track.detection for track in chosen], wanted)
        seconds = clock.lap("model")
        if chosen:
            self._scheduler.spent(seconds, len(chosen))
        update_faces([self._beliefs[track.id] for track in chosen], estimates, stamp, qualities, self.options.fusion)
        spec, lowest = self.engine.spec, self._thresholds
        faces = [self._beliefs[track.id].attributes(track.detection, wanted, spec, lowest) for track in tracks]
        clock.lap("fusion")
        return FrameResult(faces, clock.timings)

    def still(self, image: NDArray[np.uint8], tasks: Collection[str] | None = None) -> list[FaceAttributes]:
        """Return the faces of a single picture, without tracking: the model's own calibrated distributions.

        The ids `face1`, `face2`, … count the faces, the surest first. Faces that the detector is too unsure of to begin
        a track are left out.

        Args:
            image: uint8 (H, W, 3) BGR.
            tasks: as in `process`.
        """
        wanted = self._wanted(tasks)
        score = self.options.tracking.birth_score
        detections = [detection for detection in self.detector.detect(image) if detection.score >= score]
        estimates = self._estimate(image, detections, wanted)
        spec, lowest = self.engine.spec, self._thresholds
        faces = []
        for row, detection in enumerate(detections):
            found = {task: Distribution(task, values[row], lowest[task]) for task, values in estimates.items()}
            faces.append(face_attributes(f"face{row + 1}", detection, found, spec, int(bool(found)), 0.0))
        return faces

    @property
    def _thresholds(self) -> dict[str, float]:
        return {**self.engine.spec.thresholds, **self.options.thresholds}

    def _wanted(self, tasks: Collection[str] | None) -> frozenset[str]:
        on = frozenset(self.options.tasks) & frozenset(self.engine.spec.tasks)
        return on if tasks is None else on & frozenset(tasks)

    def _keep_beliefs(self, tracks: list[Track]) -> None:
        living = self._tracker.ids
        self._beliefs = {key: belief for key, belief in self._beliefs.items() if key in living}
        for track in tracks:
            if track.id not in self._beliefs:
                self._beliefs[track.id] = FaceBelief(track.id, track.born)

    def _choose(self, tracks: list[Track], wanted: frozenset[str], stamp: float, shape: tuple[int, ...]) -> list[Track]:
        visible = [track for track in tracks if _inside(track.detection, shape)] if wanted else []
        candidates = [self._candidate(self._beliefs[track.id], wanted, stamp) for track in visible]
        return [visible[index] for index in self._scheduler.choose(candidates)]

    def _candidate(self, belief: FaceBelief, wanted: frozenset[str], stamp: float) -> Candidate:
        rates = self.options.scheduling.rates
        waited = {task: stamp - belief.last_estimate(task) for task in wanted}
        known = [belief.tasks[task].uncertainty for task in wanted if task in belief.tasks]
        return Candidate(
            estimated=len(known) == len(wanted),
            waited=max(waited.values()),
            overdue=max(seconds * rates[task] for task, seconds in waited.items()),
            uncertainty=float(np.mean(known)) if known else 1.0,
        )

    def _estimate(self, image: NDArray[np.uint8], detections: list[Detection], wanted: frozenset[str]) -> Estimates:
        if not detections or not wanted:
            return {}
        boxes = np.stack([detection.box for detection in detections])
        ordered = tuple(task for task in TASKS if task in wanted)
        return probabilities(self.engine.from_frame(image, boxes, ordered), self.engine.spec)


def _inside(detection: Detection, shape: tuple[int, ...]) -> bool:
    """Tell whether any of a face (it may be predicted) is inside the picture."""
    x, y, width, height = detection.box
    return bool(x < shape[1] and y < shape[0] and x + width > 0 and y + height > 0)


class _Clock:
    """Counts the seconds of each stage."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> float:
        """End a stage and return its seconds."""
        now = time.perf_counter()
        self.timings[stage] = now - self._last
        self._last = now
        return self.timings[stage]
