"""The parameters of the camera node, all read-only. Needs no ROS."""

from dataclasses import dataclass
from typing import Final

from facial_attributes_ros.setting import Setting, setting, settings_of


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """What the camera node publishes."""

    source: str = setting(
        "sample",
        "What is published: sample, webcam, webcam:N, or the path of an image, a folder or a video.",
        when="start",
    )
    width: int = setting(
        640,
        "Width of the sample, and width that a webcam is asked for.",
        low=16,
        high=16384,
        unit="pixels",
        when="start",
    )
    height: int = setting(
        480,
        "Height of the sample, and height that a webcam is asked for.",
        low=16,
        high=16384,
        unit="pixels",
        when="start",
    )
    rate: float = setting(
        15.0, "Frame rate of the sample, an image, a folder and a webcam.", low=0.1, high=1000, unit="Hz", when="start"
    )
    frame_id: str = setting("camera", "Coordinate frame in the header of every image.", when="start")
    loop: bool = setting(False, "A folder or a video starts again at its end.", when="start")


CAMERA_SETTINGS: Final[tuple[Setting, ...]] = tuple(settings_of(CameraOptions).values())
"""Every parameter of the camera node."""
