"""Several images of faces as one image, for everything that takes the faces of one image."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_BORDER: Final = 0.5
"""Black border around each image, in its longer side: a crop of its face shows nothing of its neighbours."""
_MOST_BARS: Final = 0.5
"""Fraction of a side from which on black lines count as a dark image, not as bars around the face."""


def mosaic(images: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return one image of several, and where each of them lies in it.

    Args:
        images: N of them, each uint8 (H, W, 3); N may be 0.

    Returns:
        uint8 (H, W, 3), black between the images, and float32 (N, 4): x, y, width and height of each image without the
        black bars that make it square.
    """
    borders = [math.ceil(_BORDER * max(image.shape[:2])) for image in images]
    heights = [image.shape[0] + 2 * border for image, border in zip(images, borders, strict=True)]
    widths = [image.shape[1] + 2 * border for image, border in zip(images, borders, strict=True)]
    canvas = np.zeros((max(sum(heights), 1), max(widths, default=1), 3), np.uint8)
    boxes = np.zeros((len(images), 4), np.float32)
    top = 0
    for row, (image, border, height) in enumerate(zip(images, borders, heights, strict=True)):
        y, (rows, columns) = top + border, image.shape[:2]
        canvas[y : y + rows, border : border + columns] = image
        boxes[row] = without_bars(image) + np.array([border, y, 0, 0], np.float32)
        top += height
    return canvas, boxes


def without_bars(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the part of an image that is left without black bars at its sides, float32 (4,): x, y, width, height."""
    top, height = _lit_range(image.max(axis=(1, 2)))
    left, width = _lit_range(image.max(axis=(0, 2)))
    return np.array([left, top, width, height], np.float32)


def _lit_range(brightest: NDArray[np.uint8]) -> tuple[int, int]:
    """Return the first line that is not black, and how many lines there are to the last one."""
    places = np.flatnonzero(brightest)
    if len(places) == 0 or places[-1] - places[0] + 1 < _MOST_BARS * len(brightest):
        return 0, len(brightest)
    return int(places[0]), int(places[-1] - places[0] + 1)
