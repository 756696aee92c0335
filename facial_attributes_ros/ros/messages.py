"""Converts results to messages."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import RegionOfInterest
from typing_extensions import Self

from facial_attributes_ros.attributes import FaceAttributes
from facial_attributes_ros.msg import FaceAttributes as FaceMessage
from facial_attributes_ros.msg import FaceAttributesArray


class FrameTime(float):
    """The time of a frame in seconds that carries the stamp it was made from.

    A float can't hold a stamp's nanoseconds. The pipeline keeps the time of the frame that last changed a face and
    hands it back, so that `updated` is exactly the stamp of an image, however long ago that was.

    Attributes:
        stamp: the `builtin_interfaces/Time` of the image.
    """

    stamp: Any

    def __new__(cls, seconds: float, stamp: Any) -> Self:
        """Return a time in seconds with its stamp."""
        time = super().__new__(cls, seconds)
        time.stamp = stamp
        return time


def faces_message(
    model: str, header: Any, size: tuple[int, int], faces: Sequence[FaceAttributes]
) -> FaceAttributesArray:
    """Return the `FaceAttributesArray` of one frame.

    Args:
        model: name of the model.
        header: of the image; copied by reference.
        size: width, height of the image in pixels.
        faces: what the pipeline returned; may be empty.
    """
    return FaceAttributesArray(
        header=header,
        image_width=size[0],
        image_height=size[1],
        faces=[_face_message(face, size) for face in faces],
        model=model,
    )


def _face_message(face: FaceAttributes, size: tuple[int, int]) -> FaceMessage:
    return FaceMessage(
        id=face.id,
        roi=region(face.detection.box, size),
        detection_confidence=float(face.detection.score),
        landmarks=np.asarray(face.detection.landmarks, np.float32).reshape(10),
        age=float(face.age),
        age_stddev=float(face.age_stddev),
        age_group=face.age_group.index,
        age_group_probabilities=np.asarray(face.age_group.probabilities, np.float32),
        gender=face.gender.index,
        gender_probabilities=np.asarray(face.gender.probabilities, np.float32),
        emotion=face.emotion.index,
        emotion_probabilities=np.asarray(face.emotion.probabilities, np.float32),
        observations=face.observations,
        updated=face.updated.stamp if isinstance(face.updated, FrameTime) else time_message(face.updated),
    )


def time_message(seconds: float) -> Time:
    """Return seconds as a stamp, to the precision a float has."""
    return shifted(Time(), round(seconds * 1e9))


def shifted(stamp: Time, nanoseconds: int) -> Time:
    """Return a stamp that is later by a number of nanoseconds."""
    seconds, rest = divmod(stamp.nanosec + nanoseconds, 10**9)
    return Time(sec=stamp.sec + seconds, nanosec=rest)


def region(box: np.typing.ArrayLike, size: tuple[int, int]) -> RegionOfInterest:
    """Return the whole pixels that a box touches, cut to the image's borders.

    Args:
        box: (4,) x, y, width, height in pixels; may reach past the border.
        size: width, height of the image in pixels.
    """
    x, y, width, height = (float(value) for value in np.asarray(box))
    left, right = np.clip([np.floor(x), np.ceil(x + width)], 0, size[0])
    top, bottom = np.clip([np.floor(y), np.ceil(y + height)], 0, size[1])
    return RegionOfInterest(x_offset=int(left), y_offset=int(top), width=int(right - left), height=int(bottom - top))
