"""Attribute messages as lines for people and as JSON. Messages are read by their fields, so this needs no ROS."""

import math
from typing import Any

import numpy as np

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, UNKNOWN, Detection, face_dict, image_dict
from facial_attributes_ros.text import age_text


def array_record(message: Any) -> dict[str, Any]:
    """Return the JSON form of a `FaceAttributesArray` message: `attributes.image_dict` with a stamp of ROS."""
    stamp, frame_id = _stamp(message.header.stamp), message.header.frame_id
    faces = [face_record(face) for face in message.faces]
    size = int(message.image_width), int(message.image_height)
    return image_dict(faces, *size, message.model, stamp=stamp, frame_id=frame_id)


def face_record(face: Any) -> dict[str, Any]:
    """Return the JSON form of a `FaceAttributes` message: `attributes.face_dict`, and `updated`."""
    roi = face.roi
    box = np.array([roi.x_offset, roi.y_offset, roi.width, roi.height], np.float32)
    record = face_dict(
        face_id=face.id,
        detection=Detection(box, float(face.detection_confidence), np.asarray(face.landmarks, np.float32)),
        age=face.age,
        age_stddev=face.age_stddev,
        labels={
            AGE: _label(AGE, face.age_group),
            GENDER: _label(GENDER, face.gender),
            EMOTION: _label(EMOTION, face.emotion),
        },
        probabilities={
            AGE: face.age_group_probabilities,
            GENDER: face.gender_probabilities,
            EMOTION: face.emotion_probabilities,
        },
        observations=face.observations,
    )
    return record | {"updated": _stamp(face.updated)}


def _stamp(stamp: Any) -> dict[str, int]:
    """Return a stamp to the nanosecond, which a float cannot hold."""
    return {"sec": int(stamp.sec), "nanosec": int(stamp.nanosec)}


def _label(task: str, index: int) -> str | None:
    return None if index == UNKNOWN else LABELS[task][index]


def face_line(face: Any, latency: float) -> str:
    """Return one face as a line for people.

    Args:
        face: a `FaceAttributes` message.
        latency: seconds since its image was taken.
    """
    age = "age ?" if math.isnan(face.age) else age_text(face.age, face.age_stddev)
    group = _estimate(AGE, face.age_group, face.age_group_probabilities)
    gender = _estimate(GENDER, face.gender, face.gender_probabilities)
    emotion = _estimate(EMOTION, face.emotion, face.emotion_probabilities)
    return f"{face.id:<9} {group:<13} {age:<15} {gender:<14} {emotion:<16} {latency * 1000:5.0f} ms"


def _estimate(task: str, index: int, probabilities: Any) -> str:
    label = _label(task, index)
    return f"{task} unknown" if label is None else f"{label} ({max(probabilities):.2f})"
