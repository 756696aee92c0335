"""The square face crop: one function for training and at run time.

A crop is the enclosing square of a face box, widened by a margin on every side. It is cut with sub-pixel accuracy,
averaged over the area of each target pixel when it shrinks, and black outside the image.

Coordinates are continuous: pixel i covers the interval from i to i + 1, so that the box (0, 0, W, H) is the whole
image.
"""

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_OVERSAMPLING = 8
"""Largest number of samples per target pixel and axis; limits the cost of a face of thousands of pixels."""


def square_crop(box: ArrayLike, margin: float) -> NDArray[np.float32]:
    """Return the square of the crop of a face box.

    Args:
        box: (4,) x, y, width, height in pixels.
        margin: added on every side, as a fraction of the longer box side; a higher value shows more of the hair and
            the surroundings.

    Returns:
        float32 (3,): x, y of the upper left corner and the side in pixels; may reach past the border.

    Raises:
        ValueError: the box has no area or is not finite.
    """
    x, y, width, height = np.asarray(box, np.float64)
    side = max(width, height) * (1 + 2 * margin)
    if not (np.isfinite([x, y, side]).all() and width > 0 and height > 0 and side > 0):
        raise ValueError(f"a face box has finite numbers and an area, not {np.asarray(box).tolist()}")
    return np.array([x + (width - side) / 2, y + (height - side) / 2, side], np.float32)


def crop_face(image: NDArray[np.uint8], box: ArrayLike, size: int, margin: float) -> NDArray[np.uint8]:
    """Cut one face out of an image.

    Args:
        image: uint8 (H, W, C).
        box: (4,) x, y, width, height in pixels of `image`.
        size: side of the crop in pixels.
        margin: as in `square_crop`.

    Returns:
        uint8 (size, size, C), black outside the image.

    Raises:
        ValueError: the box has no area or is not finite.
    """
    x, y, side = (float(value) for value in square_crop(box, margin))
    crop = np.zeros((size, size, image.shape[2]), np.uint8)
    left, top = max(math.floor(x) - 1, 0), max(math.floor(y) - 1, 0)
    region = image[top : max(math.ceil(y + side) + 1, 0), left : max(math.ceil(x + side) + 1, 0)]
    if region.size == 0:
        return crop
    oversampling = min(max(math.ceil(side / size), 1), MAX_OVERSAMPLING)
    step = side / (size * oversampling)
    # OpenCV's coordinates begin at the centre of a pixel, hence the halves.
    to_region = np.array([[step, 0, x - left + (step - 1) / 2], [0, step, y - top + (step - 1) / 2]])
    samples = cv2.warpAffine(
        region,
        to_region,
        (size * oversampling, size * oversampling),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    if oversampling > 1:
        samples = cv2.resize(samples, (size, size), interpolation=cv2.INTER_AREA)
    crop[:] = samples.reshape(crop.shape)
    return crop


def crop_faces(image: NDArray[np.uint8], boxes: ArrayLike, size: int, margin: float) -> NDArray[np.uint8]:
    """Cut several faces out of one image; `crop_face` for each box.

    Args:
        image: uint8 (H, W, C).
        boxes: (N, 4) x, y, width, height in pixels; N may be 0.
        size: side of the crops in pixels.
        margin: as in `square_crop`.

    Returns:
        uint8 (N, size, size, C).

    Raises:
        ValueError: a box has no area or is not finite.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    crops = np.empty((len(boxes), size, size, image.shape[2]), np.uint8)
    for crop, box in zip(crops, boxes, strict=True):
        crop[:] = crop_face(image, box, size, margin)
    return crops
