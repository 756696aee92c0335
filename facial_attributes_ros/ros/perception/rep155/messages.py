"""A face as messages of REP-155. What is not known is no message: a field that is 0 would be taken for an estimate."""

from collections.abc import Collection
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sensor_msgs.msg import Image

from facial_attributes_ros.attributes import AGE, FaceAttributes
from facial_attributes_ros.imaging.crop import crop_face
from facial_attributes_ros.ros.conversion import bgr_fields

EXPRESSIONS: Final = {"surprise": "surprised", "fear": "scared", "disgust": "disgusted"}
"""Our emotions whose REP-155 expression has another name."""
_LANDMARKS: Final = ("RIGHT_PUPIL", "LEFT_PUPIL", "NOSE", "MOUTH_OUTER_RIGHT", "MOUTH_OUTER_LEFT")
"""What REP-155 calls the five landmarks of a detection, in their order."""
_ALL_LANDMARKS: Final = 70


def roi_message(hri: Any, header: Any, face: FaceAttributes, size: tuple[int, int]) -> Any:
    """Return the box as fractions of the image, cut to it.

    Args:
        hri: the module `hri_msgs.msg`.
        header: of the image.
        face: the face.
        size: width, height of the image in pixels.
    """
    x, y, width, height = (float(value) for value in face.detection.box)
    xmin, xmax = _fractions([x, x + width], size[0])
    ymin, ymax = _fractions([y, y + height], size[1])
    return hri.NormalizedRegionOfInterest2D(
        header=header, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax, c=float(face.detection.score)
    )


def cropped_message(header: Any, image: NDArray[np.uint8], face: FaceAttributes, size: tuple[int, int]) -> Image:
    """Return the square around the face's box, in the middle of an image that is black around it.

    Args:
        header: of the image.
        image: uint8 (H, W, 3), BGR.
        face: the face.
        size: width, height of the message's image in pixels.
    """
    side = min(size)
    crop = crop_face(image, face.detection.box, side, 0.0)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    right, bottom = size[0] - side - left, size[1] - side - top
    if max(size) > side:
        crop = np.asarray(cv2.copyMakeBorder(crop, top, bottom, left, right, cv2.BORDER_CONSTANT), np.uint8)
    return Image(header=header, **bgr_fields(crop))


def landmarks_message(hri: Any, header: Any, face: FaceAttributes, size: tuple[int, int]) -> Any | None:
    """Return the landmarks as fractions of the image, None if there are none; arguments as of `roi_message`.

    Of the 70 points of REP-155 the five of our detectors have the detection's confidence; the others have 0.
    """
    points = np.asarray(face.detection.landmarks, np.float64)
    if not np.isfinite(points).all():
        return None
    message = hri.FacialLandmarks(header=header, width=size[0], height=size[1])
    message.landmarks = [hri.NormalizedPointOfInterest2D() for _ in range(_ALL_LANDMARKS)]
    for name, x, y in zip(
        _LANDMARKS, _fractions(points[:, 0], size[0]), _fractions(points[:, 1], size[1]), strict=True
    ):
        place = message.landmarks[getattr(hri.FacialLandmarks, name)]
        place.x, place.y, place.c = x, y, float(face.detection.score)
    return message


def softbiometrics_message(hri: Any, header: Any, face: FaceAttributes, tasks: Collection[str]) -> Any | None:
    """Return age and gender; None while the age is not known, for libhri takes an age of 0 for a newborn.

    Args:
        hri: the module `hri_msgs.msg`.
        header: of the image.
        face: the face.
        tasks: the tasks that are switched on. Where the age is off, the gender is published without it.
    """
    aged, gender = not np.isnan(face.age), face.gender.label
    if not aged and (AGE in tasks or gender is None):
        return None
    message = hri.SoftBiometrics(header=header)
    if aged:
        # Completed years, as people count them, so that they lie in the age group of `faces`.
        message.age = int(np.clip(face.age, 0, 255))
        message.age_confidence = face.age_group.confidence
    if gender is not None:
        message.gender = hri.SoftBiometrics.FEMALE if gender == "female" else hri.SoftBiometrics.MALE
        message.gender_confidence = face.gender.confidence
    return message


def expression_message(hri: Any, header: Any, face: FaceAttributes) -> Any | None:
    """Return the emotion, without valence and arousal (NaN); None while it is unknown."""
    label = face.emotion.label
    if label is None:
        return None
    return hri.Expression(
        header=header,
        expression=EXPRESSIONS.get(label, label),
        confidence=face.emotion.confidence,
        valence=float("nan"),
        arousal=float("nan"),
    )


def _fractions(pixels: ArrayLike, length: int) -> list[float]:
    """Return pixels as fractions of a length, cut to 0 and 1."""
    return [float(value) for value in np.clip(np.asarray(pixels, np.float64) / length, 0, 1)]
