"""The square face crop: one function for training and at run time.

A crop is a square around the face, cut with sub-pixel accuracy, averaged over the area of each target pixel when it
shrinks, and black outside the image. There are two kinds:

- `box`: the enclosing square of the face box, widened on every side by a margin.
- `landmarks`: upright and of one scale, whatever the box: a similarity transform of the detector's five landmarks. It
  is the box's square where landmarks are missing or absurd.

Coordinates are continuous: pixel i covers the interval from i to i + 1, so that the box (0, 0, W, H) is the whole
image.
"""

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_OVERSAMPLING = 8
"""Largest number of samples per target pixel and axis; limits the cost of a face of thousands of pixels."""

EYES = 1.05
"""Eye distances that are as long as the way from the eyes to the mouth in a face seen from the front."""
SIDE = 2.6
"""Side of the crop without a margin in units of the face's scale: that of YuNet's boxes, in the median."""
CENTRE = 0.45
"""Where the centre of the crop lies on the way from between the eyes to between the mouth's corners, in that unit."""
_SMALLEST, _LARGEST = 0.5, 2.0
"""Sides of the crop, in sides of the box's square, between which landmarks are believed."""
_FARTHEST = 0.6
"""Distance of the two squares' centres, in sides of the box's square, up to which landmarks are believed."""
_TURNED_AWAY = -0.25
"""Eye distances in units of the scale below which a face is mirrored rather than seen from the side."""
_SKEW = 0.9
"""Sideways shift of the mouth, in ways from the eyes to the mouth, up to which landmarks are believed."""


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


def crop_frame(box: ArrayLike, margin: float, landmarks: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return the square to cut out for a face, turned as its landmarks say.

    Args:
        box: (4,) x, y, width, height in pixels.
        margin: fraction of the square's side that is added on every side.
        landmarks: (5, 2) as in `Detection.landmarks`; None to follow the box alone.

    Returns:
        float64 (4,): x, y of the centre and the side in pixels, and the roll in radians: the direction of the face's
        horizontal, clockwise on the screen from the x axis; 0 where the box is followed.

    Raises:
        ValueError: the box has no area or is not finite.
    """
    x, y, side = (float(value) for value in square_crop(box, 0.0))
    frame = np.array([x + side / 2, y + side / 2, side, 0.0])
    if landmarks is not None:
        aligned = _aligned(np.asarray(landmarks, np.float64))
        if aligned is not None and _believable(aligned, frame):
            frame = aligned
    frame[2] *= 1 + 2 * margin
    return frame


def _aligned(landmarks: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the square that follows landmarks as in `crop_frame`, without a margin; None if they are no face's."""
    if landmarks.shape != (5, 2) or not np.isfinite(landmarks).all():
        return None
    right_eye, left_eye, _, right_mouth, left_mouth = (complex(x, y) for x, y in landmarks)
    eyes, mouth = left_eye - right_eye, left_mouth - right_mouth
    between_eyes = (right_eye + left_eye) / 2
    down = (right_mouth + left_mouth) / 2 - between_eyes
    # The longer a distance, the better it defines the direction. From the side the way from the eyes to the mouth is.
    horizontal = eyes + mouth - 2j * down
    if not abs(horizontal) > 0:
        return None
    turn = horizontal / abs(horizontal)
    eyes, down = eyes / turn, down / turn
    # Foreshortening takes from one of the two: from the eyes' distance when the head turns, else when it nods.
    scale = max(EYES * eyes.real, down.imag)
    if not (scale > 0 and eyes.real >= _TURNED_AWAY * scale and down.imag > 0 and abs(down.real) <= _SKEW * down.imag):
        return None
    centre = between_eyes + CENTRE * scale * 1j * turn
    return np.array([centre.real, centre.imag, SIDE * scale, math.atan2(turn.imag, turn.real)])


def _believable(aligned: NDArray[np.float64], square: NDArray[np.float64]) -> bool:
    """Return whether the square of the landmarks is about that of the box."""
    distance = math.hypot(*(aligned[:2] - square[:2])) / square[2]
    return bool(distance <= _FARTHEST and _SMALLEST <= aligned[2] / square[2] <= _LARGEST)


def crop_face(
    image: NDArray[np.uint8],
    box: ArrayLike,
    size: int,
    margin: float,
    landmarks: ArrayLike | None = None,
) -> NDArray[np.uint8]:
    """Cut one face out of an image.

    Args:
        image: uint8 (H, W, C).
        box: (4,) x, y, width, height in pixels of `image`.
        size: side of the crop in pixels.
        margin: as in `crop_frame`.
        landmarks: as in `crop_frame`.

    Returns:
        uint8 (size, size, C), black outside the image.

    Raises:
        ValueError: the box has no area or is not finite.
    """
    return cut_frame(image, crop_frame(box, margin, landmarks), size)


def cut_frame(
    image: NDArray[np.uint8], frame: ArrayLike, size: int, border: int = cv2.BORDER_CONSTANT
) -> NDArray[np.uint8]:
    """Cut a square as `crop_frame` gives it out of an image.

    Args:
        image: uint8 (H, W, C).
        frame: (4,) x, y of the centre, side, roll.
        size: side of the crop in pixels.
        border: OpenCV's number for what is seen past the border; black by default.

    Returns:
        uint8 (size, size, C).
    """
    x, y, side, roll = (float(value) for value in np.asarray(frame, np.float64))
    crop = np.zeros((size, size, image.shape[2]), np.uint8)
    reach = side / 2 * (abs(math.cos(roll)) + abs(math.sin(roll)))
    left, top = max(math.floor(x - reach) - 1, 0), max(math.floor(y - reach) - 1, 0)
    region = image[top : max(math.ceil(y + reach) + 1, 0), left : max(math.ceil(x + reach) + 1, 0)]
    if region.size == 0:
        return crop
    oversampling = min(max(math.ceil(side / size), 1), MAX_OVERSAMPLING)
    step = side / (size * oversampling)
    along, across = step * math.cos(roll), step * math.sin(roll)
    # From the middle of the crop outwards; OpenCV's coordinates begin at the centre of a pixel, hence the halves.
    half = (size * oversampling - 1) / 2
    to_region = np.array(
        [
            [along, -across, x - left - 0.5 - half * (along - across)],
            [across, along, y - top - 0.5 - half * (along + across)],
        ]
    )
    samples = cv2.warpAffine(
        region,
        to_region,
        (size * oversampling, size * oversampling),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=border,
    )
    if oversampling > 1:
        samples = cv2.resize(samples, (size, size), interpolation=cv2.INTER_AREA)
    crop[:] = samples.reshape(crop.shape)
    return crop


def crop_faces(
    image: NDArray[np.uint8], boxes: ArrayLike, size: int, margin: float, landmarks: ArrayLike | None = None
) -> NDArray[np.uint8]:
    """Cut several faces out of one image; `crop_face` for each box.

    Args:
        image: uint8 (H, W, C).
        boxes: (N, 4) x, y, width, height in pixels; N may be 0.
        size: side of the crops in pixels.
        margin: as in `crop_frame`.
        landmarks: (N, 5, 2) as in `crop_frame`, or None.

    Returns:
        uint8 (N, size, size, C).

    Raises:
        ValueError: a box has no area or is not finite.
    """
    frames = crop_frames(boxes, margin, landmarks)
    crops = np.empty((len(frames), size, size, image.shape[2]), np.uint8)
    for crop, frame in zip(crops, frames, strict=True):
        crop[:] = cut_frame(image, frame, size)
    return crops


def crop_frames(boxes: ArrayLike, margin: float, landmarks: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return float64 (N, 4): `crop_frame` of each of (N, 4) boxes, with (N, 5, 2) landmarks or without."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    places = [None] * len(boxes) if landmarks is None else np.asarray(landmarks, np.float64).reshape(-1, 5, 2)
    frames = [crop_frame(box, margin, points) for box, points in zip(boxes, places, strict=True)]
    return np.asarray(frames, np.float64).reshape(-1, 4)
