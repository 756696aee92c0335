"""Detectors compared: how long they take, and their recall on faces of known sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import cv2
import numpy as np

from facial_attributes_ros.bench.frames import SCENE_SIZE, Scene
from facial_attributes_ros.bench.timing import time_in_turns
from facial_attributes_ros.detection.base import FaceDetector
from facial_attributes_ros.detection.load import load_detector
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.boxes import overlaps

SIZES: Final = (160, 240, 320, 480, 640, 960, 1280)
"""Longest sides in pixels of the searched copy."""
OVERLAP: Final = 0.4
"""Intersection over union from which on a box counts as the face; detectors box faces differently."""
SCORE: Final = 0.6
RECALL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Finding:
    """The figures of a detector at one size of its searched copy.

    Attributes:
        detector: name, as for `load_detector`.
        size: longest side in pixels of the searched copy.
        milliseconds: median for one frame, all detectors and sizes in turns.
        recall: by the side of the faces in pixels of the frame, 0 to 1.
        false_positives: mean number of boxes in a frame that are not a face.
        smallest_face: side in pixels of the frame from which on the recall is at least `RECALL` at every side that was
            tried; None if it never is.
        note: why there are no figures.
    """

    detector: str
    size: int
    milliseconds: float | None = None
    recall: dict[int, float] | None = None
    false_positives: float | None = None
    smallest_face: int | None = None
    note: str = ""


def bench_detection(
    detectors: Sequence[str], frames: Sequence[Scene], sizes: Sequence[int] = SIZES, seconds: float = 20.0
) -> Iterator[Finding]:
    """Measure every detector at every size.

    Args:
        detectors: names as for `load_detector`.
        frames: with known faces.
        sizes: longest sides of the searched copy.
        seconds: for timing all of them in turns.

    Yields:
        One finding after another; a detector that fails at a size says why, and the others go on.
    """
    loaded = {(name, size): _load(name, size) for size in sizes for name in detectors}
    running = {key: partial(each.detect, frames[0].frame) for key, each in loaded.items() if not isinstance(each, str)}
    stages = {f"{name} {size}": function for (name, size), function in running.items()}
    medians = {timing.stage: timing.median for timing in time_in_turns(stages, 0, seconds)} if stages else {}
    for (name, size), detector in loaded.items():
        if isinstance(detector, str):
            yield Finding(name, size, note=detector)
            continue
        recall, false_positives = _measure(detector, frames)
        median = medians[f"{name} {size}"]
        yield Finding(name, size, median, recall, false_positives, smallest_face(recall))


def _measure(detector: FaceDetector, frames: Sequence[Scene]) -> tuple[dict[int, float], float]:
    """Return the recall by side of the faces, and the mean number of false positives in a frame."""
    hits: dict[int, list[bool]] = {}
    false_positives = 0
    for scene in frames:
        found = [face.box for face in detector.detect(scene.frame) if face.score >= SCORE]
        matches = overlaps(np.reshape(scene.boxes, (-1, 4)), np.reshape(found, (-1, 4))) >= OVERLAP
        hits.setdefault(scene.side, []).extend(bool(overlap.any()) for overlap in matches)
        false_positives += int((~matches.any(axis=0)).sum())
    return {side: float(np.mean(each)) for side, each in hits.items()}, false_positives / len(frames)


def _load(name: str, size: int) -> FaceDetector | str:
    try:
        detector = load_detector(name, detection_size=size, min_face=0.0)
        detector.detect(np.zeros((SCENE_SIZE[1], SCENE_SIZE[0], 3), np.uint8))
    except (UserError, MemoryError, cv2.error) as error:
        return str(error) or "out of memory"
    return detector


def smallest_face(recall: dict[int, float]) -> int | None:
    """Return the smallest side from which on the recall is at least `RECALL`, or None."""
    smallest = None
    for side in sorted(recall, reverse=True):
        if recall[side] < RECALL:
            break
        smallest = side
    return smallest
