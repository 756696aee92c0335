"""Results to messages."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import RegionOfInterest

from facial_attributes_ros.attributes import FaceAttributes
from facial_attributes_ros.msg import FaceAttributes as FaceMessage
from facial_attributes_ros.msg import FaceAttributesArray


class ArrayBuilder:
    """Builds a `FaceAttributesArray` for each frame.

    The pipeline counts time in seconds, which cannot hold a stamp's nanoseconds; the builder remembers the stamps of
    the frames that results still rest on, so that `updated` is exactly the stamp of an image.

    Args:
        model: name of the model.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._stamps: dict[float, Any] = {}

    def build(
        self, header: Any, seconds: float, size: tuple[int, int], faces: Sequence[FaceAttributes]
    ) -> FaceAttributesArray:
        """Return the message of one frame.

        Args:
            header: of the image; copied by reference.
            seconds: the frame's time as the pipeline was given it.
            size: width, height of the image in pixels.
            faces: what the pipeline returned; may be empty.
        """
        self._stamps[seconds] = header.stamp
        used = {face.updated for face in faces} | {seconds}
        self._stamps = {time: stamp for time, stamp in self._stamps.items() if time in used}
        return FaceAttributesArray(
            header=header,
            image_width=size[0],
            image_height=size[1],
            faces=[self._face(face, size) for face in faces],
            model=self._model,
        )

    def _face(self, face: FaceAttributes, size: tuple[int, int]) -> FaceMessage:
        message = FaceMessage(
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
        )
        message.updated = self._stamps.get(face.updated) or time_message(face.updated)
        return message


def time_message(seconds: float) -> Time:
    """Return seconds as a stamp, to the precision a float has."""
    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


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
