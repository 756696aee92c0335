"""Publishes where the faces of an image are: `faces/pose`, `faces/pose_array` for RViz, and frames on `/tf`."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

from geometry_msgs.msg import PoseArray
from rclpy.lifecycle import LifecycleNodeMixin

from facial_attributes_ros.geometry.pose import FacePose
from facial_attributes_ros.msg import FacePoseArray
from facial_attributes_ros.ros.messages import pose_array_message, pose_message, transform_messages
from facial_attributes_ros.ros.optional_messages import optional_messages
from facial_attributes_ros.ros.perception.publishing import lifecycle_publisher

POSE: Final = "faces/pose"
POSE_ARRAY: Final = "faces/pose_array"
TF: Final = "/tf"
DEPTH: Final = 10
TF_DEPTH: Final = 100
"""As tf2's own broadcaster has it."""


class PosePublishers:
    """The publishers of poses.

    Args:
        node: whose publishers they become.
        tf: whether frames are broadcast: the parameter `pose.tf`, see `optional_messages`.

    Raises:
        UserError: frames are to be broadcast always, but tf2_msgs is not installed.
    """

    def __init__(self, node: LifecycleNodeMixin, tf: str) -> None:
        self._node = node
        tf2 = optional_messages("tf2_msgs", "pose.tf", tf)
        self._tf_message: Any = None if tf2 is None else tf2.TFMessage
        self._always = tf == "always"
        self._frameless = False
        self._published = False
        with ExitStack() as opened:
            self._pose = lifecycle_publisher(node, FacePoseArray, POSE, DEPTH, opened)
            self._array = lifecycle_publisher(node, PoseArray, POSE_ARRAY, DEPTH, opened)
            self._tf: Any = None
            if self._tf_message is not None:
                self._tf = lifecycle_publisher(node, self._tf_message, TF, TF_DEPTH, opened)
            self._opened = opened.pop_all()
        if self._tf is None and tf == "auto":
            node.get_logger().info("tf2_msgs is not installed: no frames of faces are broadcast on /tf.")

    def wanted(self) -> bool:
        """Return whether anything that is published here has a subscriber."""
        return self.asked() or (self._tf is not None and self._tf.get_subscription_count() > 0)

    def asked(self) -> bool:
        """Return whether somebody asks for poses in particular: on `/tf` many listen for other frames."""
        return self._always or any(each.get_subscription_count() for each in (self._pose, self._array))

    def publish(self, header: Any, poses: Sequence[FacePose]) -> None:
        """Publish the poses of the faces of one image.

        Args:
            header: of the image.
            poses: of all its faces, in the order of `faces`.
        """
        self._published = True
        if self._pose.get_subscription_count():
            self._pose.publish(FacePoseArray(header=header, faces=[pose_message(pose) for pose in poses]))
        if self._array.get_subscription_count():
            self._array.publish(pose_array_message(header, poses))
        if self._tf_message is not None:
            self._broadcast(self._tf_message, header, poses)

    def _broadcast(self, message: Any, header: Any, poses: Sequence[FacePose]) -> None:
        if not header.frame_id:
            if not self._frameless:
                text = (
                    "The images have no frame_id, so no frames of faces are broadcast on /tf: set that of the camera."
                )
                self._node.get_logger().warning(text)
            self._frameless = True
            return
        transforms = [each for pose in poses for each in transform_messages(header, pose)]
        if transforms:
            self._tf.publish(message(transforms=transforms))

    def close_lists(self, header: Any) -> None:
        """Publish empty arrays, unless the last ones were empty already: no face is in view any more.

        Args:
            header: of the empty arrays.
        """
        if self._published:
            self._published = False
            self._pose.publish(FacePoseArray(header=header, faces=[]))
            self._array.publish(PoseArray(header=header))

    def close(self) -> None:
        """Destroy the publishers."""
        self._opened.close()
