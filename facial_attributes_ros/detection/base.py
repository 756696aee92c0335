"""The interface of a face detector, and the search of a scaled copy of the image that all detectors have in common."""

from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.options import CLOSE_UP, DetectorOptions

_LARGEST = 520
"""Networks miss a face of more pixels or place its box badly; a copy of half the size is searched for it."""


class FaceDetector(Protocol):
    """Finds faces in an image.

    Attributes:
        options: how images are searched; they may be exchanged at any time.
    """

    options: DetectorOptions

    def detect(self, image: NDArray[np.uint8], options: DetectorOptions | None = None) -> list[Detection]:
        """Return the faces of an image in its own pixels, best score first.

        Args:
            image: uint8 (H, W, 3) BGR.
            options: for this image only, in place of `self.options`.
        """
        ...


def face_within(detector: FaceDetector, image: NDArray[np.uint8], place: Detection) -> Detection:
    """Return a face with the box and the landmarks that a detector finds in its part of an image.

    Args:
        detector: searches that part alone, closely.
        image: uint8 (H, W, 3) BGR.
        place: the face; its box lies in the image.

    Returns:
        the largest face that is found, with the score of `place`; `place` if none is.
    """
    x, y, width, height = (int(value) for value in place.box)
    found = detector.detect(image[y : y + height, x : x + width], CLOSE_UP)
    if not found:
        return place
    face = max(found, key=lambda one: float(one.box[2] * one.box[3]))
    box = face.box + np.array([x, y, 0, 0], np.float32)
    return Detection(box, place.score, face.landmarks + np.array([x, y], np.float32))


Finder = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Takes the scaled copy and returns float32 (N, 15): x, y, width, height, five landmarks as x, y, and the score."""


def detect_scaled(image: NDArray[np.uint8], options: DetectorOptions, find: Finder) -> list[Detection]:
    """Search a scaled copy of an image and return the faces in pixels of the image, best score first.

    Args:
        image: uint8 (H, W, 3) BGR.
        options: scale, padding, and thresholds of the faces that are kept.
        find: runs the network on the copy.
    """
    searched = min(max(*image.shape[:2], options.enlarge_to), options.detection_size)
    faces = _search(image, searched, options.min_face, find)
    if not faces and options.padding:
        faces = _search(image, searched, options.min_face, find, options.padding)
    largest = _LARGEST * max(image.shape[:2]) / searched
    if any(_side(face) > largest for face in faces):
        again = _search(image, searched // 2, options.min_face, find)
        large = [face for face in again if _side(face) > largest * 0.8]
        faces = _distinct([face for face in faces if _side(face) <= largest] + large, options.overlap_threshold)
    return faces


def _distinct(faces: list[Detection], overlap: float) -> list[Detection]:
    """Return the faces of two searches, best score first, without duplicates (non-maximum suppression)."""
    boxes, scores = [face.box.tolist() for face in faces], [face.score for face in faces]
    kept = np.asarray(cv2.dnn.NMSBoxes(boxes, scores, 0.0, overlap), np.int64).reshape(-1)
    return sorted((faces[index] for index in kept), key=lambda face: -face.score)


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a copy of another width and height: halved as long as possible, then interpolated.

    OpenCV averages over areas several times more slowly if the factor is not a half.
    """
    while image.shape[1] >= 2 * size[0] and image.shape[0] >= 2 * size[1]:
        width, height = image.shape[1] // 2, image.shape[0] // 2
        even = image[: 2 * height, : 2 * width]
        image = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    if image.shape[1::-1] == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _search(
    image: NDArray[np.uint8], searched: int, min_face: float, find: Finder, padding: float = 0.0
) -> list[Detection]:
    """Search a copy whose longest side is `searched` pixels, with a border of `padding` times that side around it."""
    height, width = image.shape[:2]
    scale = searched / (max(height, width) * (1 + 2 * padding))
    # A very long image keeps one pixel of its short side: a strip without faces, and not an error.
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    scaled = _resized(image, size)
    border = round(padding * max(size))
    if border:
        scaled = np.asarray(cv2.copyMakeBorder(scaled, border, border, border, border, cv2.BORDER_CONSTANT), np.uint8)
    rows = find(scaled)
    to_full = np.array([width / size[0], height / size[1]], np.float32)
    faces = [_detection(row, border, to_full) for row in rows[np.argsort(-rows[:, 14])]]
    return [face for face in faces if _side(face) >= min_face and face.box[2:].min() > 0]


def _side(face: Detection) -> float:
    return float(face.box[2:].max())


def _detection(row: NDArray[np.float32], border: int, to_full: NDArray[np.float32]) -> Detection:
    corner, size = (row[0:2] - border) * to_full, row[2:4] * to_full
    landmarks = (row[4:14].reshape(5, 2) - border) * to_full
    box = np.concatenate([corner, size]).astype(np.float32)
    return Detection(box, float(np.clip(row[14], 0, 1)), landmarks.astype(np.float32))
