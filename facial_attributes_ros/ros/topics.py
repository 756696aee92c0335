"""Topics: their quality of service, the parameters that override it, and the names of compressed topics."""

from collections.abc import Iterable
from typing import Final

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

NEWEST_IMAGE: Final = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Of a subscription to images: as sensor data, but only the newest is kept."""
LATCHED: Final = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Of a topic whose last message every late subscriber gets."""
ACKNOWLEDGED: Final = Duration(seconds=0.2)
"""Longest wait for subscribers to acknowledge the last message before its publisher is destroyed."""
_POLICIES: Final = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)


def overridable() -> QoSOverridingOptions:
    """Return what makes the quality of service of a topic a set of parameters, its durability among them."""
    return QoSOverridingOptions(_POLICIES)


def compressed_twin(node: Node, topic: str) -> str:
    """Return the name of an image topic's compressed twin, as image_transport names it.

    The twin follows the remapping of the topic; its own remapping takes precedence.

    Args:
        node: whose remappings apply.
        topic: name of the image topic before any remapping.
    """
    own = f"{topic}/compressed"
    if node.resolve_topic_name(own) != node.resolve_topic_name(own, only_expand=True):
        return own
    return f"{node.resolve_topic_name(topic)}/compressed"


def camera_info_topic(node: Node, image_topic: str) -> str:
    """Return the name of the topic with the calibration of a camera, as image_transport finds it.

    It is the neighbour of the image topic; a remapping of `camera_info` takes precedence.

    Args:
        node: whose remappings apply.
        image_topic: of the images, resolved, raw or compressed.
    """
    own = "camera_info"
    if node.resolve_topic_name(own) != node.resolve_topic_name(own, only_expand=True):
        return own
    return f"{image_topic.removesuffix('/compressed').rpartition('/')[0]}/{own}"


def qos_parameters(node: Node, kind: str, topics: Iterable[str]) -> list[str]:
    """Return the names of the `qos_overrides` parameters of topics, declared or not yet.

    Args:
        node: whose remappings apply.
        kind: publisher or subscription.
        topics: names before any remapping.
    """
    policies = [policy.name.lower() for policy in _POLICIES]
    resolved = [node.resolve_topic_name(topic) for topic in topics]
    return [f"qos_overrides.{topic}.{kind}.{policy}" for topic in resolved for policy in policies]
