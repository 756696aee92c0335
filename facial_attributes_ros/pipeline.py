"""The way of a frame: detector, tracker, scheduler, model, fusion. The only place that knows the order."""

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import TASKS, Detection, Distribution, FaceAttributes
from facial_attributes_ros.detection.base import FaceDetector
from facial_attributes_ros.engines.base import Engine, probabilities
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.fusion.belief import FaceBelief, face_attributes, update_faces
from facial_attributes_ros.imaging.view_quality import view_quality
from facial_attributes_ros.options import PipelineOptions
from facial_attributes_ros.scheduler import Candidate, Scheduler, delay
from facial_attributes_ros.tracking.camera_motion import CameraMotion
from facial_attributes_ros.tracking.tracker import Track, Tracker

_LOGGER = logging.getLogger(__name__)

Estimates = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """What is known after a frame.

    Attributes:
        faces: the faces in view, the longest known first.
        timings: seconds spent in `detection`, `tracking`, `quality`, `model` and `fusion`.
        tracked: ids of all faces that are tracked, those hidden for a moment included.
    """

    faces: list[FaceAttributes]
    timings: dict[str, float]
    tracked: frozenset[str] = frozenset()


class EstimateError(UserError):
    """The model failed on a frame, or what it gave for a face is not finite.

    Attributes:
        result: what is known of the frame all the same. Where the model failed, every face is in it with unknown
            attributes; where an estimate is not finite, the face is as if nobody had looked at it.
    """

    def __init__(self, sentence: str, result: FrameResult) -> None:
        """Say what went wrong, and what is known nevertheless."""
        super().__init__(sentence)
        self.result = result


@dataclass(frozen=True, slots=True, eq=False)
class _Face:
    """What is kept of a face from frame to frame.

    Attributes:
        belief: what is believed of it.
        delays: how late its last look for each task came, see `scheduler.delay`.
    """

    belief: FaceBelief
    delays: dict[str, float] = field(default_factory=dict)


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
        self._camera = CameraMotion()
        self._scheduler = Scheduler()
        self._faces: dict[str, _Face] = {}
        self._frames = 0
        self._model_failed = False
        self._size: tuple[int, ...] = ()
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
        self._faces.clear()
        self._frames = 0

    def process(self, image: NDArray[np.uint8], stamp: float, tasks: Collection[str] | None = None) -> FrameResult:
        """Take the next frame of a stream.

        Args:
            image: uint8 (H, W, 3) BGR; another size than the last frame's begins anew.
            stamp: time of the frame in seconds; a time before the last frame's begins anew.
            tasks: which tasks somebody wants to know, all by default; the others cost nothing and are unknown.

        Raises:
            EstimateError: the model failed, or gave numbers that are not finite; it holds the result of the frame.
        """
        clock = _Clock()
        if image.shape[:2] != self._size:
            # Cameras cut or scale their field of view with the resolution, so no track can be carried over for sure.
            self.reset()
            self._size = image.shape[:2]
        wanted = self._wanted(tasks)
        detections = self.detector.detect(image) if self._frames % self.options.detect_every == 0 else None
        self._frames += 1
        clock.lap("detection")
        shift = self._camera.follow(image, needed=self._tracker.following)
        tracks = self._tracker.update(detections, stamp, (image.shape[1], image.shape[0]), shift)
        self._keep_faces(tracks)
        clock.lap("tracking")
        chosen = self._choose(tracks, wanted, stamp, image.shape)
        qualities = [view_quality(image, track.detection, self.engine.spec.image_size) for track in chosen]
        clock.lap("quality")
        estimates, problem = self._look(image, chosen, wanted)
        seconds = clock.lap("model")
        if chosen and not self._model_failed:
            self._scheduler.spent(seconds, len(chosen))
        beliefs = [self._faces[track.id].belief for track in chosen]
        spec, lowest = self.engine.spec, self._thresholds
        update_faces(beliefs, estimates, stamp, qualities, self.options.fusion, lowest)
        # What was believed before is no answer to a question that the model cannot answer now.
        known = frozenset[str]() if self._model_failed else wanted
        faces = [self._faces[track.id].belief.attributes(track.detection, known, spec, lowest) for track in tracks]
        clock.lap("fusion")
        result = FrameResult(faces, clock.timings, frozenset(self._tracker.ids))
        if problem is not None:
            raise EstimateError(problem, result)
        return result

    def still(self, image: NDArray[np.uint8], tasks: Collection[str] | None = None) -> list[FaceAttributes]:
        """Return the faces of a single picture, without tracking: the model's own calibrated distributions.

        The ids `face1`, `face2`, … count the faces, the surest first. Faces that the detector is too unsure of to begin
        a track are left out.

        Args:
            image: uint8 (H, W, 3) BGR.
            tasks: as in `process`.

        Raises:
            UserError: the model gave numbers that are not finite.
        """
        wanted = self._wanted(tasks)
        score = self.options.tracking.birth_score
        detections = [detection for detection in self.detector.detect(image) if detection.score >= score]
        estimates = self._estimate(image, detections, wanted)
        if problem := _not_finite(estimates):
            raise UserError(problem)
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

    def _keep_faces(self, tracks: list[Track]) -> None:
        living = self._tracker.ids
        self._faces = {key: face for key, face in self._faces.items() if key in living}
        for track in tracks:
            if track.id not in self._faces:
                self._faces[track.id] = _Face(FaceBelief(track.id, track.born))

    def _choose(self, tracks: list[Track], wanted: frozenset[str], stamp: float, shape: tuple[int, ...]) -> list[Track]:
        visible = [track for track in tracks if _inside(track.detection, shape)] if wanted else []
        overdue = [self._overdue(self._faces[track.id], wanted, stamp) for track in visible]
        candidates = [
            _candidate(self._faces[track.id].belief, late, stamp) for track, late in zip(visible, overdue, strict=True)
        ]
        chosen = self._scheduler.choose(candidates)
        for index in chosen:
            delays = {task: delay(intervals) for task, intervals in overdue[index].items()}
            self._faces[visible[index].id].delays.update(delays)
        return [visible[index] for index in chosen]

    def _overdue(self, face: _Face, wanted: frozenset[str], stamp: float) -> dict[str, float]:
        """Return how overdue a face is for each task, as `Candidate` counts it."""
        rates = self.options.scheduling.rates
        return {
            task: (stamp - face.belief.last_estimate(task)) * rates[task] + face.delays.get(task, 0.0)
            for task in wanted
        }

    def _look(
        self, image: NDArray[np.uint8], chosen: list[Track], wanted: frozenset[str]
    ) -> tuple[Estimates, str | None]:
        """Estimate the chosen faces as `_estimate` does, and return what is wrong with it, if anything is."""
        if not chosen:
            return {}, None
        try:
            estimates = self._estimate(image, [track.detection for track in chosen], wanted)
        except Exception as error:  # whatever a driver raises, the faces are where they are; `process` tells of it
            _LOGGER.debug("The model failed.", exc_info=True)
            self._model_failed = True
            nothing = np.full((len(chosen), 1), np.nan, np.float32)
            return dict.fromkeys(wanted, nothing), f"The model fails ({type(error).__name__}: {error})."
        self._model_failed = False
        return estimates, _not_finite(estimates)

    def _estimate(self, image: NDArray[np.uint8], detections: list[Detection], wanted: frozenset[str]) -> Estimates:
        """Return calibrated (N, classes) per task; NaN for a face for which the model gave one number not finite."""
        if not detections or not wanted:
            return {}
        boxes = np.stack([detection.box for detection in detections])
        ordered = tuple(task for task in TASKS if task in wanted)
        logits = self.engine.from_frame(image, boxes, ordered)
        finite = np.logical_and.reduce([np.isfinite(values).all(axis=1) for values in logits.values()])
        with np.errstate(all="ignore"):
            estimates = probabilities(logits, self.engine.spec)
        return {task: np.where(finite[:, None], values, np.float32("nan")) for task, values in estimates.items()}


def _not_finite(estimates: Estimates) -> str | None:
    """Return a sentence if the estimates of any face are not finite."""
    rows = list(zip(*(np.isfinite(values).all(axis=1) for values in estimates.values()), strict=True))
    unusable = sum(not all(row) for row in rows)
    if not unusable:
        return None
    return (
        f"The model gives numbers that are not finite for {unusable} of {len(rows)} faces: "
        "try another engine, or get the model again."
    )


def _candidate(belief: FaceBelief, overdue: Mapping[str, float], stamp: float) -> Candidate:
    known = [belief.tasks[task].uncertainty for task in overdue if task in belief.tasks]
    return Candidate(
        estimated=len(known) == len(overdue),
        waited=max(stamp - belief.last_estimate(task) for task in overdue),
        overdue=max(overdue.values()),
        uncertainty=float(np.mean(known)) if known else 1.0,
    )


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
