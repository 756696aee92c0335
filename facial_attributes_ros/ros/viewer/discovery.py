"""What there is to see in a graph: perception nodes with their cameras, and cameras without one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible

FACES: Final = "facial_attributes_ros/msg/FaceAttributesArray"
INFO: Final = "facial_attributes_ros/msg/PerceptionInfo"
IMAGE: Final = "sensor_msgs/msg/Image"
COMPRESSED: Final = "sensor_msgs/msg/CompressedImage"


@dataclass(frozen=True, slots=True)
class View:
    """What a page can show.

    Attributes:
        id: topic of the faces, or of the images where nobody publishes faces.
        node: name of the perception node; empty if there is none.
        faces: topic of the faces; empty if there is none.
        info: topic of what runs; empty if there is none.
        image: topic of the images; empty while it is not known.
        compressed: whether they are compressed.
    """

    id: str
    node: str = ""
    faces: str = ""
    info: str = ""
    image: str = ""
    compressed: bool = False

    @property
    def title(self) -> str:
        """What the choice of views calls it."""
        return f"{self.node} on {self.image}" if self.node and self.image else self.node or self.id

    def to_dict(self) -> dict[str, str]:
        """Return what the page shows of the view itself."""
        return {"id": self.id, "title": self.title, "node": self.node, "image": self.image}


def find_views(node: Node) -> list[View]:
    """Return the views of a graph: perception nodes, those of the own namespace first, then cameras that none uses."""
    topics = {name: set(kinds) for name, kinds in node.get_topic_names_and_types()}
    own = node.get_namespace().rstrip("/") + "/"

    def foreign(topic: str) -> tuple[bool, str]:
        return not topic.startswith(own), topic

    perceptions = [
        _perception(node, topic, end, topics)
        for topic in sorted((name for name, kinds in topics.items() if FACES in kinds), key=foreign)
        for end in node.get_publishers_info_by_topic(topic)[:1]
    ]
    used = {view.image for view in perceptions} | {view.image.removesuffix("/compressed") for view in perceptions}
    nodes = {view.node for view in perceptions}
    cameras = []
    for topic, kinds in sorted(topics.items()):
        if not kinds & {IMAGE, COMPRESSED} or topic in used or topic.removesuffix("/compressed") in used:
            continue
        makers = {_name(end) for end in node.get_publishers_info_by_topic(topic)}
        twin = topic.endswith("/compressed") and IMAGE in topics.get(topic.removesuffix("/compressed"), set())
        if makers and not makers & nodes and not twin:
            cameras.append(View(topic, image=topic, compressed=COMPRESSED in kinds))
    return [*perceptions, *cameras]


def _perception(node: Node, faces: str, end: Any, topics: dict[str, set[str]]) -> View:
    """Return the view of the node that publishes faces on a topic."""
    name = _name(end)
    published = _named(node.get_publisher_names_and_types_by_node, end)
    info = next((topic for topic, kinds in published if INFO in kinds), "")
    subscribed = _named(node.get_subscriber_names_and_types_by_node, end)
    image = next((topic for topic, kinds in subscribed if set(kinds) & {IMAGE, COMPRESSED}), "")
    return View(faces, name, faces, info, image, COMPRESSED in topics.get(image, set()))


def _named(query: Any, end: Any) -> list[tuple[str, list[str]]]:
    try:
        return list(query(end.node_name, end.node_namespace))
    except RuntimeError:  # rclpy's NodeNameNonExistentError, which it does not export: the node has just ended
        return []


def _name(end: Any) -> str:
    return f"{end.node_namespace.rstrip('/')}/{end.node_name}"


def misfits(node: Node, topic: str, own: Iterable[str] = ()) -> list[str]:
    """Return a sentence for each subscription to a topic of images that some publisher's quality of service excludes.

    Args:
        node: that sees the graph.
        topic: of the images.
        own: names of the nodes whose subscriptions are checked; all by default.
    """
    names = set(own)
    found = []
    for subscription in node.get_subscriptions_info_by_topic(topic):
        if names and _name(subscription) not in names:
            continue
        for publisher in node.get_publishers_info_by_topic(topic):
            fit, reason = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
            if fit == QoSCompatibility.ERROR:
                found.append(
                    f"{_name(subscription)} gets no images from {_name(publisher)} on {topic}, since their quality of "
                    f"service does not fit ({reason.strip().rstrip(';').removeprefix('ERROR: ')}): change it with "
                    f"qos_overrides."
                )
    return list(dict.fromkeys(found))
