"""How everything is published that stops while the node is inactive."""

from contextlib import ExitStack
from typing import Any

from rclpy.lifecycle import LifecycleNodeMixin
from rclpy.qos import QoSProfile

from facial_attributes_ros.ros.topics import overridable


def lifecycle_publisher(node: LifecycleNodeMixin, kind: Any, topic: str, depth: int, opened: ExitStack) -> Any:
    """Return a publisher that publishes while the node is active, and whose quality of service can be overridden.

    Args:
        node: whose publisher it becomes.
        kind: class of its messages.
        topic: name before any remapping.
        depth: number of messages that are kept.
        opened: is given what destroys it.
    """
    publisher = node.create_lifecycle_publisher(
        kind, topic, QoSProfile(depth=depth), qos_overriding_options=overridable()
    )
    opened.callback(node.destroy_lifecycle_publisher, publisher)
    return publisher
