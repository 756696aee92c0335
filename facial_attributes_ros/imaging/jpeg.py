"""Images as JPEG, scaled down to what a page shows."""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def jpeg(image: Pixels, quality: int) -> bytes:
    """Return a BGR image, uint8 (H, W, 3), as JPEG with a quality of 1 to 100."""
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def scaled_down(image: Pixels, longest: int) -> Pixels:
    """Return an image whose longest side has no more pixels than a limit; no copy if it is small enough."""
    scale = longest / max(image.shape[:2])
    if scale >= 1:
        return image
    size = max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1)
    # Down to half the size, the mean of areas looks no better than interpolation, and takes five times as long.
    how = cv2.INTER_LINEAR if scale >= 0.5 else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
