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
