"""What the dialogue sees: the faces of one moment, read from a message or from the pipeline's result."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, Distribution, FaceAttributes

NAN: Final = math.nan


@dataclass(frozen=True, slots=True)
class Cues:
    """What else may be known of a face; NaN where it is not.

    Attributes:
        distance: from the camera in metres.
        bearing: angle between the camera's axis and the face in radians, 0 straight ahead.
        facing: probability that the face is turned to the camera.
        speaking: probability that the person is speaking.
        resting_face_known: how well fusion knows the person's face at rest, 0 to 1 (`Beliefs.resting_face_known`). No
            message carries it; a program that runs the pipeline itself can pass it on.
        person: id of the person under /humans/persons; empty if there is none.
    """

    distance: float = NAN
    bearing: float = NAN
    facing: float = NAN
    speaking: float = NAN
    resting_face_known: float = NAN
    person: str = ""


NO_CUES: Final = Cues()


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """One face at one moment.

    Attributes:
        id: as in `FaceAttributes`.
        x: of the face's centre from the middle of the image, in image heights, to the right.
        y: likewise, down.
        size: side of the square with the area of the face's box, in image heights.
        age: distribution over the age groups; its label is None while it is unknown.
        gender: distribution over male and female, likewise.
        emotion: distribution over the emotions, likewise.
        observations: number of estimates that the distributions rest on.
        cues: what else is known.
    """

    id: str
    x: float
    y: float
    size: float
    age: Distribution = field(default_factory=lambda: Distribution.unknown(AGE))
    gender: Distribution = field(default_factory=lambda: Distribution.unknown(GENDER))
    emotion: Distribution = field(default_factory=lambda: Distribution.unknown(EMOTION))
    observations: int = 0
    cues: Cues = NO_CUES


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The faces of one image.

    Attributes:
        stamp: of the image in seconds.
        faces: by their ids.
    """

    stamp: float
    faces: Mapping[str, SeenFace]


def scene_of_message(message: Any, cues: Mapping[str, Cues] | None = None) -> Scene:
    """Return the scene of a `FaceAttributesArray`; it is read by its fields, so this needs no ROS.

    Args:
        message: the array.
        cues: what else is known, by the ids of faces.
    """
    stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
    place = _placing(message.image_width, message.image_height)
    more = cues or {}
    faces = {}
    for face in message.faces:
        roi = face.roi
        faces[face.id] = SeenFace(
            face.id,
            *place(roi.x_offset, roi.y_offset, roi.width, roi.height),
            age=_distribution(AGE, face.age_group, face.age_group_probabilities),
            gender=_distribution(GENDER, face.gender, face.gender_probabilities),
            emotion=_distribution(EMOTION, face.emotion, face.emotion_probabilities),
            observations=int(face.observations),
            cues=more.get(face.id, NO_CUES),
        )
    return Scene(stamp, faces)


def scene_of_faces(
    faces: list[FaceAttributes], size: tuple[int, int], stamp: float, cues: Mapping[str, Cues] | None = None
) -> Scene:
    """Return the scene of what the pipeline returned.

    Args:
        faces: of one frame.
        size: width, height of the frame in pixels.
        stamp: of the frame in seconds.
        cues: what else is known, by the ids of faces.
    """
    place = _placing(*size)
    more = cues or {}
    seen = {
        face.id: SeenFace(
            face.id,
            *place(*face.detection.box.tolist()),
            age=face.age_group,
            gender=face.gender,
            emotion=face.emotion,
            observations=face.observations,
            cues=more.get(face.id, NO_CUES),
        )
        for face in faces
    }
    return Scene(stamp, seen)


def _placing(width: int, height: int) -> Callable[[float, float, float, float], tuple[float, float, float]]:
    """Return a function from a box in pixels to its centre and size in image heights."""
    unit = max(height, 1)

    def place(x: float, y: float, box_width: float, box_height: float) -> tuple[float, float, float]:
        centre = x + box_width / 2 - width / 2, y + box_height / 2 - height / 2
        return centre[0] / unit, centre[1] / unit, math.sqrt(max(box_width * box_height, 0.0)) / unit

    return place


def _distribution(task: str, index: int, probabilities: Any) -> Distribution:
    """Return a message's distribution, with the label that the message has; UNKNOWN is no class index."""
    values = np.asarray(probabilities, np.float32)
    if not 0 <= index < len(LABELS[task]):
        return Distribution(task, values, threshold=1.0)
    return Distribution(task, values, chosen=int(index))
