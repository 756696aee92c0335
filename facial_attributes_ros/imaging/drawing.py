"""Annotated copies of frames."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import FaceAttributes
from facial_attributes_ros.text import age_text

_BOX_COLOUR = (80, 200, 60)
_TEXT_COLOUR = (255, 255, 255)
_PLATE_COLOUR = (40, 40, 40)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TEXT_PIXELS = 22
"""Height of capitals at scale 1 of the font."""


def annotate(image: NDArray[np.uint8], faces: Sequence[FaceAttributes]) -> NDArray[np.uint8]:
    """Return a copy of an image with boxes, ages, genders and emotions drawn in.

    Args:
        image: uint8 (H, W, 3) BGR; not changed.
        faces: to draw, without their unknown attributes.
    """
    canvas = image.copy()
    scale = max(min(image.shape[:2]) / 1000, 0.4)
    thickness = max(round(2 * scale), 1)
    for face in faces:
        x, y, width, height = (round(float(value)) for value in face.detection.box)
        cv2.rectangle(canvas, (x, y), (x + width, y + height), _BOX_COLOUR, thickness)
    for face in faces:
        _write(canvas, describe(face), face, scale, max(thickness // 2, 1))
    return canvas


def describe(face: FaceAttributes) -> list[str]:
    """Return the known attributes of a face as short lines of ASCII, such as `female 97%`, `34 +-6 years`."""
    lines = []
    if face.gender.label:
        lines.append(f"{face.gender.label} {face.gender.confidence:.0%}")
    if not math.isnan(face.age):
        lines.append(age_text(face.age, face.age_stddev).replace("± ", "+-"))  # the font has ASCII only
    if face.emotion.label:
        lines.append(f"{face.emotion.label} {face.emotion.confidence:.0%}")
    return lines


def _write(canvas: NDArray[np.uint8], lines: list[str], face: FaceAttributes, scale: float, thickness: int) -> None:
    """Write lines on a plate below the box, above it, or inside it, wherever the image has room."""
    if not lines:
        return
    step = round(_TEXT_PIXELS * scale * 1.6)
    width = max(cv2.getTextSize(line, _FONT, scale, thickness)[0][0] for line in lines) + step // 2
    height = step * len(lines) + step // 3
    x, y, _, box_height = (round(float(value)) for value in face.detection.box)
    top = y + box_height
    if top + height > canvas.shape[0]:
        top = y - height if y >= height else canvas.shape[0] - height
    left = max(min(x, canvas.shape[1] - width), 0)
    cv2.rectangle(canvas, (left, top), (left + width, top + height), _PLATE_COLOUR, cv2.FILLED)
    for number, line in enumerate(lines, start=1):
        place = (left + step // 4, top + step * number)
        cv2.putText(canvas, line, place, _FONT, scale, _TEXT_COLOUR, thickness, cv2.LINE_AA)
