"""Select the detected face that a sample's labels belong to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from facial_attributes_training.prepare.scan import Scanned
from numpy.typing import NDArray

from facial_attributes_ros.imaging.boxes import overlaps

Box = tuple[float, float, float, float]
_NUMBERS = 15
"""Numbers of a found face: its box, its score and five landmarks."""

SAME_FACE = 0.3
"""Smallest intersection over union of two boxes of the same face; data sets crop tighter or wider."""
SECOND_FACE = 0.5
"""A further face counts if its side is at least this fraction of the main face's; smaller ones are bystanders."""


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A detected face.

    Attributes:
        box: x, y, width, height in pixels.
        landmarks: x, y of the five landmarks in pixels, as in `manifest.Row`; None where the detector gives none.
    """

    box: Box
    landmarks: tuple[float, ...] | None = None


def main_face(scanned: Scanned) -> tuple[FoundFace | None, int]:
    """Return the main face of an image, None without one, and the number of faces that count.

    The main face is large, near the centre and detected with confidence: it has the largest product of area, score, and
    a Gaussian of the distance from the centre. This is for images that were cropped around one face.
    """
    faces = _array(scanned.faces)
    if not len(faces):
        return None, 0
    offsets = faces[:, :2] + faces[:, 2:4] / 2 - np.array([scanned.width, scanned.height]) / 2
    distances = np.linalg.norm(offsets, axis=1) / max(scanned.width, scanned.height)
    areas = faces[:, 2] * faces[:, 3]
    best = int(np.argmax(areas * faces[:, 4] * np.exp(-4 * distances**2)))
    sides = faces[:, 2:4].max(axis=1)
    return _face(faces[best]), int((sides >= SECOND_FACE * sides[best]).sum())


def face_at(scanned: Scanned, place: Sequence[float]) -> FoundFace | None:
    """Return the detected face that overlaps a given box most, None if none is the same face."""
    faces = _array(scanned.faces)
    if not len(faces):
        return None
    found = overlaps(faces[:, :4], np.asarray([place], np.float64))[:, 0]
    best = int(np.argmax(found))
    return _face(faces[best]) if found[best] >= SAME_FACE else None


def is_same_face(box: Box, other: Box) -> bool:
    """Return whether two boxes of one image are of the same face."""
    return bool(overlaps(np.array([box]), np.array([other]))[0, 0] >= SAME_FACE)


def _array(faces: list[list[float | None]] | None) -> NDArray[np.float64]:
    """Return float64 (N, 15); landmarks are NaN where they are not known."""
    filled = [[*face, *[np.nan] * (_NUMBERS - len(face))] for face in faces or []]
    return np.asarray(filled, np.float64).reshape(-1, _NUMBERS)


def _face(numbers: NDArray[np.float64]) -> FoundFace:
    x, y, width, height = (float(value) for value in numbers[:4])
    landmarks = numbers[5:]
    return FoundFace((x, y, width, height), tuple(landmarks.tolist()) if np.isfinite(landmarks).all() else None)
