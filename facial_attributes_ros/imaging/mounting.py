"""Cameras that are mounted upside down or on their side: their images made upright, and positions in the originals."""

from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection

UPRIGHT: Final = "upright"
MOUNTINGS: Final = (UPRIGHT, "upside_down", "clockwise", "counterclockwise")
"""How a camera is turned about its optical axis, seen from behind it."""
_TURNS: Final = {
    "upside_down": cv2.ROTATE_180,
    "clockwise": cv2.ROTATE_90_CLOCKWISE,
    "counterclockwise": cv2.ROTATE_90_COUNTERCLOCKWISE,
}


def upright_image(image: NDArray[np.uint8], mounting: str) -> NDArray[np.uint8]:
    """Return the upright image (H, W, 3) or (W, H, 3) of a camera that is mounted so; no copy if it is upright."""
    return image if mounting == UPRIGHT else np.asarray(cv2.rotate(image, _TURNS[mounting]), np.uint8)


def down_direction(mounting: str) -> tuple[float, float, float]:
    """Return the direction that is down in the upright image, in the camera's optical frame (x right, y down)."""
    origin, below = _turned_back(np.array([[0, 0], [0, 1]], np.float32), mounting, 0, 0)
    x, y = below - origin
    return float(x), float(y), 0.0


def in_camera_image(detection: Detection, mounting: str, width: int, height: int) -> Detection:
    """Return a detection of the upright image in the pixels of the image as the camera gives it.

    Args:
        detection: in pixels of the upright image.
        mounting: one of `MOUNTINGS`.
        width: of the camera's image in pixels.
        height: of the camera's image in pixels.
    """
    if mounting == UPRIGHT:
        return detection
    corners = detection.box[:2] + detection.box[2:] * np.array([[0, 0], [1, 1]], np.float32)
    low, high = np.sort(_turned_back(corners, mounting, width, height), axis=0)
    landmarks = _turned_back(detection.landmarks, mounting, width, height)
    return replace(detection, box=np.concatenate([low, high - low]), landmarks=landmarks)


def _turned_back(points: NDArray[np.float32], mounting: str, width: int, height: int) -> NDArray[np.float32]:
    """Return points (N, 2) of the upright image in the camera's image, float32 (N, 2)."""
    x, y = points[:, 0], points[:, 1]
    if mounting == UPRIGHT:
        return points
    if mounting == "upside_down":
        turned = (width - x, height - y)
    elif mounting == "clockwise":
        turned = (y, height - x)
    else:
        turned = (width - y, x)
    return np.stack(turned, axis=1).astype(np.float32)
