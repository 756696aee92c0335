"""The calibrations of cameras, from `camera_info`, matched to images by frame and size."""

import time
from typing import Any, Final

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.geometry.camera import Camera, camera_of
from facial_attributes_ros.ros.topics import NEWEST_IMAGE, camera_info_topic, overridable

PATIENCE: Final = 3.0
"""Seconds for which a calibration may take to come before its absence is logged."""
_MOST: Final = 16
"""Number of cameras whose calibrations are kept."""
_Key = tuple[str, int, int]


class Cameras:
    """Subscribes to `camera_info` while poses are wanted.

    Args:
        node: subscribes.
        image_topic: of the images, whose neighbour `camera_info` is unless it is remapped.
        rectified: whether the images are rectified: auto, always or never.

    Attributes:
        problem: why there are no poses, a sentence; empty if there are, or if nobody wants them.
    """

    def __init__(self, node: Node, image_topic: str, rectified: str) -> None:
        self._node = node
        self._topic = camera_info_topic(node, image_topic)
        named = image_topic.removesuffix("/compressed").rpartition("/")[2]
        self._rectified = rectified == "always" or (rectified == "auto" and named.startswith("image_rect"))
        self._subscription: Any = None
        self._since = 0.0
        self._known: dict[_Key, Camera] = {}
        self._newest: tuple[Any, ...] = ()
        self._refused = ""
        self._logged: set[str] = set()
        self.problem = ""

    def follow(self, wanted: bool) -> None:
        """Subscribe if poses are wanted, and unsubscribe if they are not; called by the node's executor."""
        if wanted and self._subscription is None:
            self._since = time.monotonic()
            self._subscription = self._node.create_subscription(
                CameraInfo,
                self._topic,
                self._received,
                NEWEST_IMAGE,
                qos_overriding_options=overridable(),
            )
        elif not wanted:
            self.close()

    def camera(self, frame_id: str, width: int, height: int) -> Camera | None:
        """Return the camera of an image, or None if its calibration is not known; then `problem` says why.

        Args:
            frame_id: of the image's header.
            width: of the image in pixels.
            height: of the image in pixels.
        """
        found = self._known.get((frame_id, width, height))
        if found is not None:
            problem = ""
        elif time.monotonic() - self._since < PATIENCE or self._subscription is None:
            problem = self.problem
        else:
            problem = f"{self._reason(frame_id, width, height)} So no poses of faces are published."
        if problem and problem not in self._logged:
            self._logged.add(problem)
            self._node.get_logger().warning(problem)
        self.problem = problem
        return found

    def close(self) -> None:
        """Unsubscribe and forget all calibrations."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._node.destroy_subscription(subscription)
        self._known, self._newest, self._refused, self.problem = {}, (), "", ""

    def _reason(self, frame_id: str, width: int, height: int) -> str:
        if self._refused:
            return self._refused
        if not self._known:
            return (
                f"No camera_info received on {self._topic}: let the camera's driver publish it, or remap camera_info."
            )
        others = ", ".join(f"{wide}x{high} of frame '{name}'" for name, wide, high in self._known)
        return (
            f"The camera_info on {self._topic} is for images of {others}, but the images are {width}x{height} of frame "
            f"'{frame_id}': let both come from the same driver."
        )

    def _received(self, info: Any) -> None:
        content = (info.header.frame_id, info.width, info.height, info.distortion_model, *info.k, *info.p, *info.d)
        content += (info.binning_x, info.binning_y, info.roi)
        if content == self._newest:
            return
        self._newest = content
        try:
            camera = camera_of(info, self._rectified)
        except UserError as error:
            self._refused = str(error)
            return
        kept = dict(self._known) if len(self._known) < _MOST else {}
        self._known, self._refused = {**kept, (info.header.frame_id, camera.width, camera.height): camera}, ""
