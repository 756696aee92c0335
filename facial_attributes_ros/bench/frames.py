"""Frames with a known number of faces of known sizes, made of photographs that installed packages carry."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.detection.load import load_detector
from facial_attributes_ros.imaging.decoder import read_image
from facial_attributes_ros.imaging.sample_images import sample_images

Image = NDArray[np.uint8]
Boxes = NDArray[np.float32]

FACE_SIDES: Final = (12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192)
"""Longer sides in pixels of the faces in scenes."""
SCENE_SIZE: Final = (1280, 960)
"""Width and height of a scene."""
_GREY: Final = 90
_ASTRONAUT: Final = np.s_[0:260, 90:350]
"""Rows and columns of the head in scikit-image's photograph."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """An image of one face.

    Attributes:
        image: uint8 (H, W, 3) BGR.
        box: float32 (4,): x, y, width, height of the face in pixels.
    """

    image: Image
    box: Boxes


@dataclass(frozen=True, slots=True)
class Scene:
    """A frame with faces of one size.

    Attributes:
        side: longer side of every face in pixels.
        frame: uint8 (960, 1280, 3) BGR.
        boxes: float32 (faces, 4): x, y, width, height in pixels.
    """

    side: int
    frame: Image
    boxes: Boxes


def frame_with_faces(count: int, width: int = 640, height: int = 480) -> Image:
    """Return a frame, uint8 (height, width, 3) BGR, with the same face `count` times, side by side.

    Raises:
        UserError: scikit-image, which carries the photograph, is not installed.
    """
    portrait = read_image(sample_images("scikit-image")[0])[_ASTRONAUT]
    columns = int(np.ceil(np.sqrt(count * width / height)))
    rows = int(np.ceil(count / columns))
    side = min(width // columns, height // rows)
    tile = np.asarray(cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    frame = _grey(width, height)
    for index in range(count):
        top, left = side * (index // columns), side * (index % columns)
        frame[top : top + side, left : left + side] = tile
    return frame


def sample_portraits() -> list[Portrait]:
    """Return the faces of the photographs that scikit-image and insightface carry.

    Raises:
        UserError: neither package is installed.
    """
    detector = load_detector("yunet", score_threshold=0.8)
    images = [read_image(path) for path in sample_images()]
    return [_cut_out(image, face) for image in images for face in detector.detect(image)]


def _cut_out(image: Image, face: Detection) -> Portrait:
    x, y, width, height = face.box
    left, top = max(int(x - width / 2), 0), max(int(y - height / 2), 0)
    cut = image[top : int(y + 1.5 * height), left : int(x + 1.5 * width)]
    return Portrait(np.ascontiguousarray(cut), np.array([x - left, y - top, width, height], np.float32))


def scenes(portraits: Sequence[Portrait], sides: Sequence[int] = FACE_SIDES) -> Iterator[Scene]:
    """Yield scenes that hold every portrait once at every size, on grey, as many scenes as that takes."""
    for side in sides:
        scene = _SceneInProgress(side)
        for portrait in portraits:
            if not scene.add(portrait):
                yield scene.finished()
                scene = _SceneInProgress(side)
                scene.add(portrait)
        if scene.boxes:
            yield scene.finished()


class _SceneInProgress:
    """Places portraits in lines, from left to right and from top to bottom."""

    def __init__(self, side: int) -> None:
        self.side, self.boxes = side, list[Boxes]()
        self._frame = _grey(*SCENE_SIZE)
        self._x = self._y = self._next_line = 0

    def add(self, portrait: Portrait) -> bool:
        """Place a portrait; return False if the scene is full. One that is larger than a scene is omitted."""
        scale = self.side / float(portrait.box[2:].max())
        height, width = (max(round(length * scale), 1) for length in portrait.image.shape[:2])
        if width > SCENE_SIZE[0] or height > SCENE_SIZE[1]:
            return True
        if self._x + width > SCENE_SIZE[0]:
            self._x, self._y = 0, self._next_line
        x, y = self._x, self._y
        if y + height > SCENE_SIZE[1]:
            return False
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        self._frame[y : y + height, x : x + width] = cv2.resize(portrait.image, (width, height), interpolation=method)
        self.boxes.append(portrait.box * scale + np.array([x, y, 0, 0], np.float32))
        self._x = x + width + self.side // 2
        self._next_line = max(self._next_line, y + height + self.side // 2)
        return True

    def finished(self) -> Scene:
        return Scene(self.side, self._frame, np.array(self.boxes, np.float32))


def _grey(width: int, height: int) -> Image:
    return np.full((height, width, 3), _GREY, np.uint8)
