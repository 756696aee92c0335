"""Annotated copies of frames: boxes and labels."""

from collections.abc import Collection, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import TASKS, FaceAttributes
from facial_attributes_ros.imaging.labels import (
    PLATE,
    TEXT,
    Colour,
    Label,
    Labels,
    font_height,
    outline,
)
from facial_attributes_ros.imaging.lettering import text_mask

Pixels = NDArray[np.uint8]

_STROKE: Final = 7
"""Height of the font in widths of the lines."""


class Annotator:
    """Draws the faces of a stream; labels stay where they are as long as they can."""

    def __init__(self) -> None:
        self._labels = Labels()

    def draw(self, image: Pixels, faces: Sequence[FaceAttributes], tasks: Collection[str] = TASKS) -> Pixels:
        """Return a copy of the next frame with boxes, ids, ages, genders and emotions drawn in.

        Args:
            image: uint8 (H, W, 3) BGR; not changed.
            faces: to draw.
            tasks: those that run; the others are not mentioned.
        """
        canvas = image.copy()
        size = image.shape[1], image.shape[0]
        records = [face.to_dict() for face in faces]
        for face, colour in zip(records, self._labels.colours(records), strict=True):
            _draw_box(canvas, outline(face["box"]), colour, _stroke(font_height(face["box"][3], size)))
        labels = self._labels.lay_out(records, size, tasks)
        for label in labels:
            _draw_leader(canvas, label)
        for label in labels:
            _draw_plate(canvas, label)
        return canvas


def annotate(image: Pixels, faces: Sequence[FaceAttributes], tasks: Collection[str] = TASKS) -> Pixels:
    """Return a copy of an image with boxes, ids, ages, genders and emotions drawn in.

    Args:
        image: uint8 (H, W, 3) BGR; not changed.
        faces: to draw.
        tasks: those that run; the others are not mentioned.
    """
    return Annotator().draw(image, faces, tasks)


def _stroke(height: int) -> int:
    """Return the width of the lines in pixels for a height of the font."""
    return max(round(height / _STROKE), 2)


def _draw_box(canvas: Pixels, corners: tuple[int, int, int, int], colour: Colour, stroke: int) -> None:
    """Draw a box in its colour between two dark lines, so that it shows on any background."""
    left, top, right, bottom = corners
    cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), PLATE[::-1], stroke + 2)
    cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), colour[::-1], stroke)


def _draw_leader(canvas: Pixels, label: Label) -> None:
    if label.leader is not None:
        stroke = _stroke(label.height)
        cv2.line(canvas, *label.leader, PLATE[::-1], stroke + 2, cv2.LINE_AA)
        cv2.line(canvas, *label.leader, label.colour[::-1], stroke, cv2.LINE_AA)


def _draw_plate(canvas: Pixels, label: Label) -> None:
    x, y, width, height = label.box
    plate = canvas[y : y + height, x : x + width]
    plate[:] = PLATE[::-1]
    plate[:, : label.padding // 2] = label.colour[::-1]
    left = label.padding + label.padding // 2
    for number, line in enumerate(label.lines):
        mask = text_mask(line, label.height)
        top = label.padding // 2 + label.step * number
        area = plate[top : top + label.step, left : left + mask.shape[1]]
        area[:] = _shades(label.colour if number == 0 else TEXT)[mask]


def _shades(colour: Colour) -> Pixels:
    """Return the colours from plate to text: uint8 (256, 3) BGR."""
    share = np.arange(256)[:, None] / 255
    shades: Pixels = (np.array(PLATE[::-1]) * (1 - share) + np.array(colour[::-1]) * share).round().astype(np.uint8)
    return shades
