"""Detectors against each other: how long they take, and what share of faces of known sizes they find."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.bench.stages import measure_together
from facial_attributes_ros.detection.base import FaceDetector
from facial_attributes_ros.detection.load import load_detector
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.boxes import overlaps
from facial_attributes_ros.imaging.decoder import read_image

SIZES: Final = (160, 240, 320, 480, 640, 960, 1280)
FACE_SIDES: Final = (12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192)
FRAME: Final = (1280, 960)
"""Width and height of the frames that faces are put into."""
FOUND: Final = 0.4
"""Intersection over union from which a box is the face; detectors box faces differently."""
SCORE: Final = 0.6
RECALL: Final = 0.95
_GREY: Final = 90
_PACKAGES: Final = {"insightface": "data/images/t1.jpg", "skimage": "data/astronaut.png"}

Image = NDArray[np.uint8]
Box = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Portrait:
    """A picture of one face.

    Attributes:
        picture: uint8 (H, W, 3) BGR.
        box: float32 (4,): x, y, width, height of the face.
    """

    picture: Image
    box: Box


@dataclass(frozen=True, slots=True)
class Scene:
    """A frame with faces of one size.

    Attributes:
        side: longer side of every face in pixels.
        frame: uint8 (960, 1280, 3) BGR.
        boxes: float32 (faces, 4).
    """

    side: int
    frame: Image
    boxes: Box


@dataclass(frozen=True, slots=True)
class Finding:
    """How a detector did at one size of its searched copy.

    Attributes:
        detector: name, as for `load_detector`.
        size: longest side in pixels of the searched copy.
        milliseconds: median for one frame, all detectors and sizes in turns.
        recall: share of the faces that were found, by their side in pixels of the frame.
        false_alarms: boxes a frame that are no face.
        smallest: side in pixels of the frame from which on `RECALL` of the faces are found at every side up to the
            largest that was tried; None if they never are.
        note: why there are no figures.
    """

    detector: str
    size: int
    milliseconds: float | None = None
    recall: dict[int, float] | None = None
    false_alarms: float | None = None
    smallest: int | None = None
    note: str = ""


def sample_portraits() -> list[Portrait]:
    """Return the faces of the photographs that scikit-image and insightface carry.

    Raises:
        UserError: neither package is installed.
    """
    portraits = []
    for package, inner in _PACKAGES.items():
        spec = find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            picture = read_image(Path(spec.submodule_search_locations[0]) / inner)
            faces = load_detector("yunet", score_threshold=0.8).detect(picture)
            portraits += [_cut(picture, face) for face in faces]
    if not portraits:
        raise UserError("There are no photographs to measure on: install scikit-image, or give --manifest.")
    return portraits


def _cut(picture: Image, face: Detection) -> Portrait:
    x, y, width, height = face.box
    left, top = max(int(x - width / 2), 0), max(int(y - height / 2), 0)
    cut = picture[top : int(y + 1.5 * height), left : int(x + 1.5 * width)]
    return Portrait(np.ascontiguousarray(cut), np.array([x - left, y - top, width, height], np.float32))


def scenes(portraits: Sequence[Portrait], sides: Sequence[int] = FACE_SIDES) -> Iterator[Scene]:
    """Yield frames that hold every portrait once at every size, on grey, as many frames as that takes."""
    width, height = FRAME
    for side in sides:
        frame, x, y, below = _empty(), 0, 0, 0
        boxes: list[Box] = []
        for portrait in portraits:
            scale = side / float(portrait.box[2:].max())
            size = [max(round(length * scale), 1) for length in (portrait.picture.shape[1], portrait.picture.shape[0])]
            if size[0] > width or size[1] > height:
                continue
            if x + size[0] > width:
                x, y = 0, below
            if y + size[1] > height:
                yield Scene(side, frame, np.array(boxes, np.float32))
                frame, boxes, x, y, below = _empty(), [], 0, 0, 0
            method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            frame[y : y + size[1], x : x + size[0]] = cv2.resize(portrait.picture, size, interpolation=method)
            boxes.append(portrait.box * scale + np.array([x, y, 0, 0], np.float32))
            x, below = x + size[0] + side // 2, max(below, y + size[1] + side // 2)
        if boxes:
            yield Scene(side, frame, np.array(boxes, np.float32))


def _empty() -> Image:
    return np.full((FRAME[1], FRAME[0], 3), _GREY, np.uint8)


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
    named = {f"{name} {size}": function for (name, size), function in running.items()}
    timings = {timing.stage: timing.median for timing in measure_together(named, 0, seconds)} if named else {}
    for (name, size), detector in loaded.items():
        if isinstance(detector, str):
            yield Finding(name, size, note=detector)
            continue
        hits: dict[int, list[int]] = {}
        alarms = 0
        for scene in frames:
            found = [face.box for face in detector.detect(scene.frame) if face.score >= SCORE]
            same = overlaps(np.reshape(scene.boxes, (-1, 4)), np.reshape(found, (-1, 4))) >= FOUND
            hits.setdefault(scene.side, []).extend(map(int, np.any(same, axis=1)))
            alarms += int((~same.any(axis=0)).sum())
        recall = {side: float(np.mean(each)) for side, each in hits.items()}
        yield Finding(name, size, timings[f"{name} {size}"], recall, alarms / len(frames), smallest_found(recall))


def _load(name: str, size: int) -> FaceDetector | str:
    try:
        detector = load_detector(name, detection_size=size, min_face=0.0)
        detector.detect(np.zeros((FRAME[1], FRAME[0], 3), np.uint8))
    except (UserError, MemoryError, cv2.error) as error:
        return str(error) or "out of memory"
    return detector


def smallest_found(recall: dict[int, float]) -> int | None:
    """Return the smallest side from which on the recall stays at `RECALL`, or None."""
    smallest = None
    for side in sorted(recall, reverse=True):
        if recall[side] < RECALL:
            break
        smallest = side
    return smallest
