"""Attribute messages as lines for people and as JSON. Messages are taken by their fields, so this needs no ROS."""

import math
from typing import Any

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, UNKNOWN


def label_of(task: str, index: int) -> str | None:
    """Return the label of a class index in a message, or None for unknown."""
    return None if index == UNKNOWN else LABELS[task][index]


def seconds_of(stamp: Any) -> float:
    """Return a `builtin_interfaces/Time` in seconds."""
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9


def number(value: float) -> float | None:
    """Return a number as JSON has it: None for one that is not finite, short for a float32."""
    return round(float(value), 6) if math.isfinite(value) else None


def distribution(task: str, probabilities: Any) -> dict[str, float | None]:
    """Return the probabilities by label."""
    return dict(zip(LABELS[task], map(number, probabilities), strict=True))


def stamp_record(stamp: Any) -> dict[str, int]:
    """Return a stamp exactly, as ROS has it."""
    return {"sec": int(stamp.sec), "nanosec": int(stamp.nanosec)}


def face_record(face: Any) -> dict[str, Any]:
    """Return every field of a `FaceAttributes` message; unknown labels and numbers that are not there are None."""
    roi = face.roi
    return {
        "id": face.id,
        "box": [roi.x_offset, roi.y_offset, roi.width, roi.height],
        "detection_confidence": number(face.detection_confidence),
        "landmarks": [number(value) for value in face.landmarks],
        "age": number(face.age),
        "age_stddev": number(face.age_stddev),
        "age_group": label_of(AGE, face.age_group),
        "age_group_probabilities": distribution(AGE, face.age_group_probabilities),
        "gender": label_of(GENDER, face.gender),
        "gender_probabilities": distribution(GENDER, face.gender_probabilities),
        "emotion": label_of(EMOTION, face.emotion),
        "emotion_probabilities": distribution(EMOTION, face.emotion_probabilities),
        "observations": int(face.observations),
        "updated": stamp_record(face.updated),
    }


def array_record(message: Any) -> dict[str, Any]:
    """Return a `FaceAttributesArray` message as one JSON object."""
    return {
        "stamp": stamp_record(message.header.stamp),
        "frame_id": message.header.frame_id,
        "width": int(message.image_width),
        "height": int(message.image_height),
        "model": message.model,
        "faces": [face_record(face) for face in message.faces],
    }


def face_line(face: Any, latency: float) -> str:
    """Return one face as a line that a person reads.

    Args:
        face: a `FaceAttributes` message.
        latency: seconds since its image was taken.
    """
    age = "age ?" if math.isnan(face.age) else f"{face.age:.0f} ± {face.age_stddev:.0f} years"
    group = _named(AGE, face.age_group, face.age_group_probabilities)
    gender = _named(GENDER, face.gender, face.gender_probabilities)
    emotion = _named(EMOTION, face.emotion, face.emotion_probabilities)
    return f"{face.id:<9} {group:<13} {age:<15} {gender:<14} {emotion:<16} {latency * 1000:5.0f} ms"


def _named(task: str, index: int, probabilities: Any) -> str:
    label = label_of(task, index)
    return f"{task} unknown" if label is None else f"{label} ({max(probabilities):.2f})"
