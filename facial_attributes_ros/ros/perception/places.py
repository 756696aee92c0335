"""Where the faces of each image are, computed and published while somebody wants to know."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from facial_attributes_ros.attributes import FaceAttributes
from facial_attributes_ros.geometry.depth import measured
from facial_attributes_ros.geometry.pose import face_poses
from facial_attributes_ros.ros.managed import ManagedNode
from facial_attributes_ros.ros.perception.cameras import Cameras
from facial_attributes_ros.ros.perception.configured import Configured
from facial_attributes_ros.ros.perception.depth_images import DepthImages


class Places:
    """Brings calibrations, depth images and faces together.

    Args:
        node: subscribes.
        configured: settings and publishers.
        image_topic: of the images.
    """

    def __init__(self, node: ManagedNode, configured: Configured, image_topic: str) -> None:
        self._configured = configured
        pose = configured.settings.pose
        self._cameras = Cameras(node, image_topic, pose.rectified)
        self._depth = DepthImages(node) if pose.depth else None

    @property
    def problem(self) -> str:
        """Why there are no poses although somebody asks for them, a sentence; else empty."""
        return self._cameras.problem if self._configured.outputs.poses.asked() else ""

    def follow(self) -> None:
        """Subscribe to what poses need if they are wanted, and to nothing if not; called by the node's executor."""
        wanted = self._configured.outputs.poses.wanted()
        self._cameras.follow(wanted)
        if self._depth is not None:
            self._depth.follow(wanted)

    def publish(self, header: Any, size: tuple[int, int], faces: Sequence[FaceAttributes]) -> None:
        """Publish the poses of the faces of an image, if they are wanted and the camera is known.

        Args:
            header: of the image.
            size: width, height of the image in pixels.
            faces: in the order of `faces`.
        """
        poses, settings = self._configured.outputs.poses, self._configured.settings
        if not poses.wanted():
            return
        camera = self._cameras.camera(header.frame_id, *size)
        if camera is None:
            return
        angle = math.radians(settings.pose.facing_angle)
        found = face_poses(camera, faces, angle, settings.pipeline.camera_mounting)
        depth = self._depth.at(header) if self._depth is not None and faces else None
        poses.publish(header, found if depth is None else measured(camera, found, faces, depth))

    def close(self) -> None:
        """Unsubscribe."""
        with ExitStack() as steps:
            steps.callback(self._cameras.close)
            if self._depth is not None:
                steps.callback(self._depth.close)
