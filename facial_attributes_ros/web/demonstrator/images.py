"""From the bytes of an image to what the page shows of its faces."""

import base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, Distribution, FaceAttributes, image_dict, json_key
from facial_attributes_ros.imaging.crop import crop_face
from facial_attributes_ros.imaging.decoder import decode_image
from facial_attributes_ros.imaging.drawing import Annotator, annotate
from facial_attributes_ros.imaging.jpeg import jpeg, scaled_down
from facial_attributes_ros.options import PipelineOptions
from facial_attributes_ros.pipeline import FramePipeline
from facial_attributes_ros.web.demonstrator.models import Parts
from facial_attributes_ros.web.demonstrator.tables import csv_table, json_lines

Image = NDArray[np.uint8]

MAX_BYTES: Final = 40 << 20
"""Largest image file in bytes."""
MAX_PIXELS: Final = 50_000_000
"""Largest image in pixels."""
MAX_FRAME_PIXELS: Final = 2_100_000
"""Largest frame of a webcam in pixels."""
FRAME_SIDE: Final = 640
"""Longest side in pixels of the frames that a page sends."""
_SHOWN: Final = 1600
"""Longest side in pixels of the annotated image in the page."""
_CROP: Final = 96
"""Side in pixels of the crops of faces in the page."""
_CROP_MARGIN: Final = 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    """A message for the page, and the files that follow it.

    Attributes:
        message: a JSON object.
        files: contents, in the order in which the message names them in `files`.
    """

    message: dict[str, Any]
    files: tuple[bytes, ...] = ()


def still_answer(parts: Parts, data: bytes, name: str) -> Answer:
    """Return the faces of an image file.

    Args:
        parts: estimate them.
        data: the file.
        name: of the file, for errors and for the JSON.

    Raises:
        UserError: the file is not a whole image within the limits, or the model failed.
    """
    image = decode_image(data, name, MAX_PIXELS)
    faces = FramePipeline(parts.detector, parts.engine).still(image, parts.tasks)
    spec = parts.engine.spec
    height, width = image.shape[:2]
    document = image_dict([face.to_dict() for face in faces], width, height, spec.name, path=name)
    document |= {"model_version": spec.version, "model_hash": spec.short_hash}
    message = {
        "type": "image",
        "files": ["annotated", "json", "csv"],
        "width": width,
        "height": height,
        "faces": face_records(image, faces, parts.tasks),
    }
    texts = json_lines([document]), csv_table([document])
    return Answer(message, (shown(annotate(image, faces, parts.tasks)), *(text.encode() for text in texts)))


def face_records(image: Image, faces: Sequence[FaceAttributes], tasks: Collection[str]) -> list[dict[str, Any]]:
    """Return the JSON forms of faces, each with its crop and with a sentence for every label that is unknown."""
    return [face.to_dict() | {"crop": crop_url(image, face), "unknown": reasons(face, tasks)} for face in faces]


def reasons(face: FaceAttributes, tasks: Collection[str]) -> dict[str, str]:
    """Return a sentence for every label of a face that is unknown, by its key in JSON."""
    return {
        json_key(distribution.task): _reason(face, distribution, distribution.task in tasks)
        for distribution in (face.age_group, face.gender, face.emotion)
        if distribution.label is None
    }


def _reason(face: FaceAttributes, distribution: Distribution, runs: bool) -> str:
    if not runs:
        return "This is not estimated here."
    if not face.observations:
        return "Not estimated yet."
    if distribution.task == AGE:
        return "the age is too uncertain for one group"
    if distribution.threshold >= 1:
        return "Not confident enough for a face of this age in this view."
    found, needed = 100 * distribution.confidence, 100 * distribution.threshold
    return f"{found:.0f} % is less than the {needed:.0f} % that a label needs."


def crop_url(image: Image, face: FaceAttributes) -> str:
    """Return the crop of a face as the address of an image, which holds the image itself."""
    crop = crop_face(image, face.detection.box, _CROP, _CROP_MARGIN)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(crop, 80)).decode()


def shown(image: Image, longest: int = _SHOWN) -> bytes:
    """Return an image as a JPEG file for the page, scaled down to a longest side in pixels."""
    return jpeg(scaled_down(image, longest), 88)


class Stream:
    """The frames of a visitor's webcam: faces are tracked, and their estimates fused over time."""

    def __init__(self, parts: Parts) -> None:
        """Begin without faces."""
        self._tasks = parts.tasks
        self._pipeline = FramePipeline(parts.detector, parts.engine, PipelineOptions(tasks=parts.tasks))
        self._annotator = Annotator()

    def answer(self, data: bytes, stamp: float) -> Answer:
        """Return the faces of the next frame.

        Args:
            data: the frame as an image file.
            stamp: its time in seconds.

        Raises:
            UserError: the data is not an image, or the model failed.
        """
        image = decode_image(data, "The frame", MAX_FRAME_PIXELS)
        result = self._pipeline.process(image, stamp)
        records = face_records(image, result.faces, self._tasks)
        message = {"type": "frame", "files": ["annotated"], "faces": records}
        return Answer(message, (shown(self._annotator.draw(image, result.faces, self._tasks)),))
