"""Records when messages arrive on `faces`, for measurements."""

import time
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.time import Time
from typing_extensions import Self

from facial_attributes_ros.msg import FaceAttributesArray


class Arrivals:
    """Subscribes to `faces` inside a `with` block.

    Attributes:
        latencies: seconds from the stamp of each message to its arrival.
        faces: number of faces in each message.
    """

    def __init__(self) -> None:
        """Begin without messages."""
        self.latencies: list[float] = []
        self.faces: list[int] = []
        self._context = Context()

    def __enter__(self) -> Self:
        rclpy.init(context=self._context)
        self._node = Node("arrivals", context=self._context)
        self._node.create_subscription(FaceAttributesArray, "faces", self._on_faces, QoSProfile(depth=10))
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def collect(self, seconds: float) -> None:
        """Record the messages of the next `seconds`."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def wait_for_first(self, seconds: float) -> bool:
        """Wait for a message, for `seconds` at most; return True if one has arrived."""
        end = time.monotonic() + seconds
        while not self.faces and time.monotonic() < end:
            self.collect(0.2)
        return bool(self.faces)

    def clear(self) -> None:
        """Forget all messages."""
        self.latencies.clear()
        self.faces.clear()

    def _on_faces(self, message: Any) -> None:
        now = self._node.get_clock().now()
        self.latencies.append((now - Time.from_msg(message.header.stamp)).nanoseconds * 1e-9)
        self.faces.append(len(message.faces))
