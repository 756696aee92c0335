"""The parameters of the camera node. Needs no ROS."""

from typing import Final

from facial_attributes_ros.ros.setting import Setting

CAMERA_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("source", "sample", "What to show: sample, webcam, webcam:N, an image, a folder or a video.", when="start"),
    Setting("width", 640, "Width in pixels of the sample, and what a webcam is asked for.", 16, 16384, when="start"),
    Setting("height", 480, "Height in pixels of the sample, and what a webcam is asked for.", 16, 16384, when="start"),
    Setting("rate", 15.0, "Frames a second of the sample, an image, a folder and a webcam.", 0.1, 1000, when="start"),
    Setting("frame_id", "camera", "Frame of reference in every header.", when="start"),
    Setting("loop", False, "Begin again where a folder or a video ends.", when="start"),
)
