"""Names of topics that belong together, and of the parameters that change their quality of service."""

from collections.abc import Iterable

from rclpy.node import Node
from rclpy.qos_overriding_options import QoSOverridingOptions


def compressed_twin(node: Node, topic: str) -> str:
    """Return the name of an image topic's compressed twin, as image_transport names it.

    The twin follows the remapping of the topic; a remapping of its own goes before.

    Args:
        node: whose remappings count.
        topic: name of the image topic before any remapping.
    """
    own = f"{topic}/compressed"
    if node.resolve_topic_name(own) != node.resolve_topic_name(own, only_expand=True):
        return own
    return f"{node.resolve_topic_name(topic)}/compressed"


def qos_parameters(node: Node, kind: str, topics: Iterable[str]) -> list[str]:
    """Return the names of the `qos_overrides` parameters of topics, whether they are declared yet or not.

    Args:
        node: whose remappings count.
        kind: publisher or subscription.
        topics: names before any remapping.
    """
    policies = [policy.name.lower() for policy in QoSOverridingOptions.with_default_policies().policy_kinds]
    resolved = [node.resolve_topic_name(topic) for topic in topics]
    return [f"qos_overrides.{topic}.{kind}.{policy}" for topic in resolved for policy in policies]
