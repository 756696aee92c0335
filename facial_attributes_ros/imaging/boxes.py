"""Geometry of boxes: x and y of the upper left corner, width and height, in pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.floating[Any]]


def overlaps(boxes: Boxes, others: Boxes) -> NDArray[np.float64]:
    """Return float64 (N, M): the intersection over union of boxes (N, 4) and others (M, 4)."""
    one, other = boxes[:, None], others[None]
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., :2] + one[..., 2:], other[..., :2] + other[..., 2:])
    shared = np.maximum(high - low, 0).prod(axis=-1)
    return np.asarray(shared / (one[..., 2:].prod(axis=-1) + other[..., 2:].prod(axis=-1) - shared), np.float64)


def overlaps_image(box: NDArray[np.floating[Any]], width: int, height: int) -> bool:
    """Return True if a box (4,) overlaps an image of this width and height in pixels."""
    x, y, box_width, box_height = box
    return bool(x < width and y < height and x + box_width > 0 and y + box_height > 0)
