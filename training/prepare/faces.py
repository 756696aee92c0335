"""Which of the faces that the detector found is the one that a row's labels speak of."""

from collections.abc import Sequence

import numpy as np
from facial_attributes_training.prepare.scan import Scanned
from numpy.typing import NDArray

from facial_attributes_ros.imaging.boxes import overlaps

Box = tuple[float, float, float, float]

SAME_FACE = 0.3
"""Boxes that overlap by at least this (intersection over union) hold the same face; data sets cut tighter or wider."""
SECOND_FACE = 0.5
"""A further face counts when its side is at least this share of the main face's; smaller ones are bystanders."""


def main_face(scanned: Scanned) -> tuple[Box | None, int]:
    """Return the box of the face that a picture shows, None if there is none, and the number of faces that count.

    The main face is large, near the centre and sure: the largest product of area, score, and a bell over the distance
    from the centre, for pictures that their makers cut around one face.
    """
    faces = _array(scanned.faces)
    if not len(faces):
        return None, 0
    offsets = faces[:, :2] + faces[:, 2:4] / 2 - np.array([scanned.width, scanned.height]) / 2
    distances = np.linalg.norm(offsets, axis=1) / max(scanned.width, scanned.height)
    areas = faces[:, 2] * faces[:, 3]
    best = int(np.argmax(areas * faces[:, 4] * np.exp(-4 * distances**2)))
    sides = faces[:, 2:4].max(axis=1)
    return _box(faces[best]), int((sides >= SECOND_FACE * sides[best]).sum())


def face_at(scanned: Scanned, place: Sequence[float]) -> Box | None:
    """Return the box of the found face that overlaps a given box most, None if none is the same face."""
    faces = _array(scanned.faces)
    if not len(faces):
        return None
    shared = overlaps(faces[:, :4], np.asarray([place], np.float64))[:, 0]
    best = int(np.argmax(shared))
    return _box(faces[best]) if shared[best] >= SAME_FACE else None


def is_same_face(box: Box, other: Box) -> bool:
    """Return whether two boxes of one picture hold the same face."""
    return bool(overlaps(np.array([box]), np.array([other]))[0, 0] >= SAME_FACE)


def _array(faces: list[list[float]] | None) -> NDArray[np.float64]:
    return np.asarray(faces or [], np.float64).reshape(-1, 5)


def _box(face: NDArray[np.float64]) -> Box:
    x, y, width, height = (float(value) for value in face[:4])
    return x, y, width, height
