"""Names of topics that belong together."""

from rclpy.node import Node


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
