"""The shift of the whole image from frame to frame, as when a robot turns its head.

Two frames are compared by phase correlation (Kuglin and Hines, The phase correlation image alignment method, 1975).
Its result is accepted only if it explains most of the difference between the frames: a person who walks through a still
scene may be the clearest motion in it, but is not the motion of the camera.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 128
"""Longest side of the copies that are compared, pixels."""

_UNEXPLAINED = 0.6
"""Largest fraction of the difference between two frames that may remain after the shift."""

_FARTHEST = 0.6
"""Largest shift between two frames, as a fraction of their sides."""

Grey = NDArray[np.float32]
Shift = tuple[float, float]


class CameraMotion:
    """Estimates the shift of the image from frame to frame. Not for several threads at once."""

    def __init__(self) -> None:
        """Begin without a frame."""
        self._last: Grey | None = None
        self._window: Grey | None = None

    def follow(self, image: NDArray[np.uint8], needed: bool = True) -> Shift:
        """Return the shift of the image since the last frame, x and y in pixels.

        It is (0, 0) if the last frame had another size, or if there is no shift of the whole image.

        Args:
            image: the next frame, uint8 (H, W, 3) BGR.
            needed: False stores the frame and returns (0, 0).
        """
        height, width = image.shape[:2]
        scale = min(1.0, _SIDE / max(height, width))
        size = max(2, round(width * scale)), max(2, round(height * scale))  # OpenCV compares nothing thinner
        small = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.float32)
        last, self._last = self._last, grey
        if not needed or last is None or last.shape != grey.shape:
            return 0.0, 0.0
        x, y = self._between(last, grey)
        return x * width / size[0], y * height / size[1]

    def _between(self, last: Grey, grey: Grey) -> Shift:
        height, width = grey.shape
        if self._window is None or self._window.shape != grey.shape:
            self._window = np.asarray(cv2.createHanningWindow((width, height), cv2.CV_32F), np.float32)
        # Copies, since OpenCV multiplies what it is given with the window.
        (x, y), _ = cv2.phaseCorrelate(last.copy(), grey.copy(), self._window)
        if not (abs(x) <= _FARTHEST * width and abs(y) <= _FARTHEST * height):  # nor NaN
            return 0.0, 0.0
        moved = cv2.warpAffine(last, np.array([[1, 0, x], [0, 1, y]]), (width, height))
        left, top = round(x), round(y)
        common = np.s_[max(0, top) : height + min(0, top), max(0, left) : width + min(0, left)]
        difference, remaining = (np.abs(grey[common] - other[common]).sum() for other in (last, moved))
        return (x, y) if remaining < _UNEXPLAINED * difference else (0.0, 0.0)
