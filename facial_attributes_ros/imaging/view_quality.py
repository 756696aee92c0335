"""The quality of a view of a face: from its size, sharpness, pose and detection score."""

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.imaging.crop import crop_face

LEAST = 0.05
"""Quality of the worst view; above 0, so that a face with bad views only does not stay unknown for ever."""

_CROP = 48
"""Side in pixels of the small grey crop whose sharpness is measured."""

_SHARP = 0.08
"""Relative sharpness from which a face counts fully."""


def view_quality(image: NDArray[np.uint8], detection: Detection, model_size: int) -> float:
    """Return the quality of one view, from `LEAST` to 1: the product of size, sharpness, frontality and score.

    Args:
        image: uint8 (H, W, 3) BGR.
        detection: the face in it.
        model_size: side in pixels of the model's input; faces of half that size and more have the full size factor.
    """
    size = min(float(detection.box[2:].max()) / (model_size / 2), 1.0)
    quality = size * sharpness(image, detection.box) * frontality(detection.landmarks) * detection.score
    return float(np.clip(quality, LEAST, 1.0))


def sharpness(image: NDArray[np.uint8], box: NDArray[np.float32]) -> float:
    """Return the sharpness of a face, 0 to 1: the variance of its Laplacian over that of its grey values, up to 1.

    It does not depend on brightness and contrast. As it is computed on a crop of fixed size, it does not depend on
    the resolution of larger faces.
    """
    grey = cv2.cvtColor(crop_face(image, box, _CROP, margin=-0.1), cv2.COLOR_BGR2GRAY)
    contrast = float(grey.var())
    if contrast < 1:
        return 0.0
    return min(float(cv2.Laplacian(grey, cv2.CV_32F).var()) / contrast / _SHARP, 1.0)


def frontality(landmarks: NDArray[np.float32]) -> float:
    """Return how frontal a face is, 0 to 1; it is 1 if the nose is half-way between the eyes.

    Args:
        landmarks: float32 (5, 2) as in `Detection`; the result is 1 if they are NaN.
    """
    right_eye, left_eye, nose = landmarks[:3].astype(np.float64)
    between = left_eye - right_eye
    length = float(between @ between)
    if not np.isfinite(landmarks[:3]).all() or length == 0:
        return 1.0
    position = float((nose - right_eye) @ between) / length
    return float(np.exp(-((2 * (position - 0.5)) ** 2)))
