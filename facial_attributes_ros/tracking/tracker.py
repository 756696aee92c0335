"""Tracks: every face keeps its id while it moves, is occluded for a moment, or is missed by the detector.

Detections are assigned to predicted tracks by position and size alone, without any appearance features, in passes:
first the detections with a high score, then those with a low score to the remaining tracks, as in ByteTrack (Zhang et
al., 2022). A face that is still missing may have moved more suddenly than the motion model expects; it is searched
around its last detection, as in OC-SORT (Cao et al., 2023).
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.options import TrackingOptions
from facial_attributes_ros.tracking.identifiers import Identifiers
from facial_attributes_ros.tracking.motion import Motion

_WEAK_GATE = 2 / 3
"""Fraction of the gating distance within which a detection with a low score may continue a track."""

_LEAP = 1.2
"""Largest distance of a leap from the last detection, in face sizes."""

_LEAP_WITHIN = 0.3
"""Largest duration of a leap, in seconds."""

SLOW_CAMERA = 1.5
"""A track survives this many frame intervals without a detection, however slow the camera is."""

INTERVALS = 4
"""The frame interval is the longest of this many, since the intervals of slow cameras and loaded machines vary."""

_OUT_OF_REACH = 1e9

_Costs = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A face that is in view.

    Attributes:
        id: begins with a letter, never used for another track.
        detection: box, score and landmarks; predicted if the detector did not run on this frame.
        born: time in seconds of its first detection.
        detected: whether it was detected in this frame.
    """

    id: str
    detection: Detection
    born: float
    detected: bool


@dataclass(slots=True, eq=False)
class _Candidate:
    """The tracker's state of one face, from its first detection on; it has an id once it is confirmed."""

    motion: Motion
    detection: Detection
    born: float
    last_seen: float
    id: str = ""

    @property
    def confirmed(self) -> bool:
        return bool(self.id)


class Tracker:
    """Turns the detections of frame after frame into tracks."""

    def __init__(self, options: TrackingOptions | None = None) -> None:
        """Begin without tracks."""
        # Half of the time that importing a node would take: loaded where a pipeline is made.
        from scipy.optimize import linear_sum_assignment

        self._pair = linear_sum_assignment
        self.options = options or TrackingOptions()
        self._identifiers = Identifiers()
        self.reset()

    def reset(self) -> None:
        """End all tracks; their ids are not used again."""
        self._candidates: list[_Candidate] = []
        self._time: float | None = None
        self._detected_at: float | None = None
        self._intervals: deque[float] = deque(maxlen=INTERVALS)

    @property
    def ids(self) -> set[str]:
        """Ids of all living tracks, including those that are occluded."""
        return {candidate.id for candidate in self._candidates if candidate.confirmed}

    @property
    def following(self) -> bool:
        """Whether there is any face to track from the last frame to the next."""
        return bool(self._candidates)

    def update(
        self,
        detections: Sequence[Detection] | None,
        stamp: float,
        size: tuple[int, int] | None = None,
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> list[Track]:
        """Process the next frame and return the tracks in view, oldest first.

        Args:
            detections: the faces in the frame, or None if the detector did not run; then tracks are predicted.
            stamp: time of the frame in seconds; a time before the last one, as when a recording starts again, ends all
                tracks.
            size: width and height of the frame in pixels; a track without a detection ends when its predicted position
                leaves the frame, so that a person who enters where somebody has left gets a new id.
            shift: of the whole image since the last frame, x and y in pixels.
        """
        if self._time is not None and stamp < self._time:
            self.reset()
        elapsed = 0.0 if self._time is None else stamp - self._time
        self._time = stamp
        for candidate in self._candidates:
            candidate.motion.predict(elapsed).move(*shift)
        if detections is not None:
            self._bury(stamp, size)
            self._assign(detections, stamp)
            if self._detected_at is not None:
                self._intervals.append(stamp - self._detected_at)
            self._detected_at = stamp
        return [
            _view(item, stamp) for item in self._candidates if item.confirmed and item.last_seen == self._detected_at
        ]

    def _assign(self, detections: Sequence[Detection], stamp: float) -> None:
        strong = [item for item in detections if item.score >= self.options.birth_score]
        weak = [item for item in detections if item.score < self.options.birth_score]
        gate = self.options.gate
        free, new = self._match(self._candidates, strong, partial(_unlikelihoods, gate=gate), stamp)
        free = [item for item in free if item.confirmed]
        free, _ = self._match(free, weak, partial(_unlikelihoods, gate=_WEAK_GATE * gate), stamp)
        recent = [item for item in free if stamp - item.last_seen <= self._patience(_LEAP_WITHIN, stamp)]
        _, new = self._match(recent, new, _leaps, stamp)
        for detection in new:
            motion = Motion(detection.box, self.options.box_noise, self.options.acceleration)
            self._candidates.append(_Candidate(motion, detection, stamp, stamp))

    def _match(
        self,
        candidates: list[_Candidate],
        detections: list[Detection],
        costs_of: Callable[[_Candidate, NDArray[np.float32]], _Costs],
        stamp: float,
    ) -> tuple[list[_Candidate], list[Detection]]:
        """Continue the candidates that have a detection; return the candidates and detections that are left."""
        if not candidates or not detections:
            return candidates, detections
        boxes = np.stack([item.box for item in detections])
        costs = np.stack([costs_of(candidate, boxes) for candidate in candidates])
        pairs = [pair for pair in zip(*self._pair(costs), strict=True) if costs[pair] < _OUT_OF_REACH]
        for row, column in pairs:
            self._continue(candidates[row], detections[column], stamp)
        rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
        left = [item for row, item in enumerate(candidates) if row not in rows]
        return left, [item for column, item in enumerate(detections) if column not in columns]

    def _continue(self, candidate: _Candidate, detection: Detection, stamp: float) -> None:
        if not candidate.confirmed and stamp - candidate.last_seen <= self._patience(self.options.birth_within, stamp):
            candidate.id = self._identifiers.new()
        candidate.motion.correct(detection.box)
        candidate.detection, candidate.last_seen = detection, stamp

    def _bury(self, stamp: float, size: tuple[int, int] | None) -> None:
        # An occlusion begins after the frame of the last detection, so it is shorter than the time without detections,
        # by up to one frame.
        death_after = self._patience(self.options.death_after + max(self._intervals, default=0.0), stamp)
        birth_within = self._patience(self.options.birth_within, stamp)
        self._candidates = [
            item
            for item in self._candidates
            if stamp - item.last_seen <= (death_after if item.confirmed else birth_within)
            and not self._has_left(item, size)
        ]

    def _has_left(self, candidate: _Candidate, size: tuple[int, int] | None) -> bool:
        """Return True if a face that was not detected in the last frame has its centre outside of this one."""
        if size is None or self._detected_at is None or candidate.last_seen >= self._detected_at:
            return False
        x, y = candidate.motion.state[:2]
        return not (0 <= x <= size[0] and 0 <= y <= size[1])

    def _patience(self, seconds: float, stamp: float) -> float:
        """Return the longest time without a detection: some seconds, or `SLOW_CAMERA` frames if they take longer."""
        first = 0.0 if self._detected_at is None else stamp - self._detected_at
        return max(seconds, SLOW_CAMERA * max(self._intervals, default=first))


def _unlikelihoods(candidate: _Candidate, boxes: NDArray[np.float32], gate: float) -> _Costs:
    """Return twice the negative log likelihoods of boxes as (N,); beyond the gate they are out of reach."""
    distances, log_determinant = candidate.motion.distances(boxes)
    return np.where(distances <= gate**2, distances + log_determinant, _OUT_OF_REACH)


def _leaps(candidate: _Candidate, boxes: NDArray[np.float32]) -> _Costs:
    leaps = candidate.motion.leaps(boxes)
    return np.where(leaps <= _LEAP, leaps, _OUT_OF_REACH)


def _view(candidate: _Candidate, stamp: float) -> Track:
    detected = candidate.last_seen == stamp
    detection = candidate.detection if detected else _predicted(candidate, stamp)
    return Track(candidate.id, detection, candidate.born, detected)


def _predicted(candidate: _Candidate, stamp: float) -> Detection:
    old, box = candidate.detection, candidate.motion.box
    stretch = box[2:] / old.box[2:]
    landmarks = (old.landmarks - old.box[:2]) * stretch + box[:2]
    return replace(old, box=box, landmarks=landmarks, held=stamp - candidate.last_seen)
