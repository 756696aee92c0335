"""Converts results to messages."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, PoseArray, Quaternion, Transform, TransformStamped, Vector3
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header
from typing_extensions import Self

from facial_attributes_ros.attributes import FaceAttributes
from facial_attributes_ros.geometry.pose import FacePose, quaternion
from facial_attributes_ros.msg import FaceAttributes as FaceMessage
from facial_attributes_ros.msg import FaceAttributesArray
from facial_attributes_ros.msg import FacePose as PoseMessage

GAZE: Final = (-0.5, 0.5, -0.5, 0.5)
"""Quaternion of an optical frame (x right, y down, z ahead) in a frame with x ahead, y to the left, z up."""


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


def pose_message(pose: FacePose) -> PoseMessage:
    """Return the `FacePose` message of one face."""
    source = PoseMessage.DISTANCE_UNKNOWN
    if np.isfinite(pose.distance):
        source = PoseMessage.DISTANCE_FROM_DEPTH if pose.from_depth else PoseMessage.DISTANCE_FROM_FACE_SIZE
    names = ("yaw", "pitch", "roll")
    angles = {name: float(value) for name, value in zip(names, pose.angles, strict=True)}
    deviations = {f"{name}_stddev": float(value) for name, value in zip(names, pose.angles_stddev, strict=True)}
    return PoseMessage(
        id=pose.id,
        bearing=_xyz(Vector3, pose.bearing),
        distance_source=source,
        distance=float(pose.distance),
        distance_stddev=float(pose.distance_stddev),
        orientation=_orientation(pose),
        **angles,
        **deviations,
        facing=float(pose.facing),
        held=float(pose.held),
    )


def pose_array_message(header: Any, poses: Sequence[FacePose]) -> PoseArray:
    """Return the `PoseArray` of the faces whose distance and orientation are known; RViz draws their x axes.

    Args:
        header: of the image; copied by reference.
        poses: of the faces of one image.
    """
    known = [pose for pose in poses if pose.placed]
    shown = [Pose(position=_xyz(Point, pose.position), orientation=_orientation(pose)) for pose in known]
    return PoseArray(header=header, poses=shown)


def transform_messages(header: Any, pose: FacePose) -> Iterator[TransformStamped]:
    """Yield the frames `face_<id>` and `gaze_<id>` of REP-155; none if distance or orientation is not known.

    Args:
        header: of the image; the parent of `face_<id>` is its frame.
        pose: of the face.
    """
    if not pose.placed:
        return
    face = f"face_{pose.id}"
    place = Transform(translation=_xyz(Vector3, pose.position), rotation=_orientation(pose))
    yield TransformStamped(header=header, child_frame_id=face, transform=place)
    # The eyes are not measured: the gaze is where the head points.
    ahead = Transform(rotation=Quaternion(**dict(zip("xyzw", GAZE, strict=True))))
    parent = Header(stamp=header.stamp, frame_id=face)
    yield TransformStamped(header=parent, child_frame_id=f"gaze_{pose.id}", transform=ahead)


def _orientation(pose: FacePose) -> Quaternion:
    values = (float(value) for value in quaternion(pose.rotation))
    return Quaternion(**dict(zip("xyzw", values, strict=True)))


def _xyz(kind: Any, values: np.typing.ArrayLike) -> Any:
    x, y, z = (float(value) for value in np.asarray(values))
    return kind(x=x, y=y, z=z)


def seconds_of(stamp: Any) -> float:
    """Return a stamp in seconds, to the precision a float has."""
    return float(stamp.sec + stamp.nanosec * 1e-9)


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
