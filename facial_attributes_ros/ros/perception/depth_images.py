"""The newest depth images, to be found by their stamps."""

from collections import deque
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from facial_attributes_ros.ros.topics import overridable

TOPIC: Final = "depth"
KEPT: Final = 5
"""Number of depth images that are kept: they come before or after the image of the same moment."""
FARTHEST: Final = 0.1
"""Seconds by which the stamps of a depth image and of an image may differ."""
_FORMATS: Final = {"16UC1": (np.uint16, 0.001), "mono16": (np.uint16, 0.001), "32FC1": (np.float32, 1.0)}
"""Type and unit in metres of the depth encodings of REP-118."""


class DepthImages:
    """Subscribes to depth images while poses are wanted.

    Args:
        node: subscribes.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._subscription: Any = None
        self._kept: deque[Any] = deque(maxlen=KEPT)
        self._problem = ""

    def follow(self, wanted: bool) -> None:
        """Subscribe if poses are wanted, and unsubscribe if they are not; called by the node's executor."""
        if wanted and self._subscription is None:
            self._subscription = self._node.create_subscription(
                Image,
                TOPIC,
                self._kept.append,
                QoSProfile(depth=KEPT, reliability=ReliabilityPolicy.BEST_EFFORT),
                qos_overriding_options=overridable(),
            )
        elif not wanted:
            self.close()

    def at(self, header: Any) -> NDArray[np.float32] | None:
        """Return the depth image of the moment of an image, float32 (H, W) in metres; None if there is none.

        Args:
            header: of the image; the depth image must be of the same frame.
        """
        problem, found = "", None
        near = [one for one in tuple(self._kept) if _apart(one.header.stamp, header.stamp) <= FARTHEST]
        if not near:
            problem = f"No depth image received within {FARTHEST} s of an image: distances are from the size of faces."
        else:
            nearest = min(near, key=lambda one: _apart(one.header.stamp, header.stamp))
            problem = _unfit(nearest, header.frame_id)
            found = None if problem else depth_metres(nearest)
        if problem and problem != self._problem:
            self._node.get_logger().warning(problem)
        self._problem = problem or self._problem
        return found

    def close(self) -> None:
        """Unsubscribe and forget the images."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._node.destroy_subscription(subscription)
        self._kept.clear()


def depth_metres(message: Any) -> NDArray[np.float32]:
    """Return a depth image in metres, float32 (H, W).

    Args:
        message: a `sensor_msgs/Image` that is fit, see `DepthImages`.
    """
    kind, metre = _FORMATS[message.encoding]
    data = np.frombuffer(message.data, np.uint8)[: message.height * message.step]
    rows = data.reshape(message.height, message.step)[:, : message.width * np.dtype(kind).itemsize]
    values = np.ascontiguousarray(rows).view(np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<"))
    return np.asarray(values * np.float32(metre), np.float32)


def _unfit(message: Any, frame_id: str) -> str:
    """Return why a depth image can't be used, a sentence; empty if it can."""
    if message.encoding not in _FORMATS:
        return f"The depth images have the encoding {message.encoding}: have the driver publish 16UC1 or 32FC1."
    size = np.dtype(_FORMATS[message.encoding][0]).itemsize
    if message.step < message.width * size or len(message.data) < message.height * message.step or not message.width:
        return "A depth image has fewer bytes than its size and encoding need: check the driver."
    if message.header.frame_id != frame_id:
        return (
            f"The depth images are of frame '{message.header.frame_id}', the images of '{frame_id}': have the driver "
            "register the depth to the colour camera."
        )
    return ""


def _apart(one: Any, other: Any) -> float:
    return float(abs(one.sec - other.sec + (one.nanosec - other.nanosec) * 1e-9))
