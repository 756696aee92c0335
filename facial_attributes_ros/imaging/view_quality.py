"""How much a view of a face can tell: from its size, sharpness, pose and the detector's score."""

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.imaging.crop import crop_face

LEAST = 0.05
"""The worst view still counts this much, so that a face that is never seen well is not unknown for ever."""

_LOOK = 48
"""Side in pixels of the small grey crop whose sharpness is measured."""

_SHARP = 0.08
"""Relative sharpness from which on a face counts fully."""


def view_quality(image: NDArray[np.uint8], detection: Detection, model_size: int) -> float:
    """Return the quality of one view, from `LEAST` to 1: the product of four shares.

    Args:
        image: uint8 (H, W, 3) BGR.
        detection: the face in it.
        model_size: side in pixels of the model's input; a face half that size is as good as any larger one.
    """
    size = min(float(detection.box[2:].max()) / (model_size / 2), 1.0)
    quality = size * sharpness(image, detection.box) * frontality(detection.landmarks) * detection.score
    return float(np.clip(quality, LEAST, 1.0))


def sharpness(image: NDArray[np.uint8], box: NDArray[np.float32]) -> float:
    """Return how sharp a face is, 0 to 1: the energy of its Laplacian against its contrast, 1 from a usual face on.

    The measure is independent of brightness and contrast, and, being taken on a crop of fixed size, of the resolution
    that the face has beyond it.
    """
    grey = cv2.cvtColor(crop_face(image, box, _LOOK, margin=-0.1), cv2.COLOR_BGR2GRAY)
    contrast = float(grey.var())
    if contrast < 1:
        return 0.0
    return min(float(cv2.Laplacian(grey, cv2.CV_32F).var()) / contrast / _SHARP, 1.0)


def frontality(landmarks: NDArray[np.float32]) -> float:
    """Return how much a face looks into the camera, 0 to 1: 1 with the nose half-way between the eyes.

    Args:
        landmarks: float32 (5, 2) as in `Detection`; 1 is returned where they are not known.
    """
    right_eye, left_eye, nose = landmarks[:3].astype(np.float64)
    between = left_eye - right_eye
    length = float(between @ between)
    if not np.isfinite(landmarks[:3]).all() or length == 0:
        return 1.0
    share = float((nose - right_eye) @ between) / length
    return float(np.exp(-((2 * (share - 0.5)) ** 2)))
