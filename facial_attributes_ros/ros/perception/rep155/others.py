"""Other nodes that publish /humans/faces/tracked: seen at the start and later, and named in one sentence."""

from collections.abc import Collection
from typing import Final

from rclpy.node import Node

from facial_attributes_ros.ros.perception.rep155.lists import FaceList
from facial_attributes_ros.ros.perception.rep155.publishing import TRACKED
from facial_attributes_ros.ros.steady import STEADY

PERIOD: Final = 1.0
"""Seconds between two looks at the graph."""


def publishing_nodes(node: Node) -> list[str]:
    """Return the names of the other nodes that publish the list, sorted; a node of the same name counts as another."""
    endpoints = node.get_publishers_info_by_topic(TRACKED)
    names = [f"{one.node_namespace.rstrip('/')}/{one.node_name}" for one in endpoints]
    own = node.get_fully_qualified_name()
    if own in names and any(publisher.topic_name == TRACKED for publisher in node.publishers):
        names.remove(own)
    return sorted(set(names))


def conflict(mode: str, others: Collection[str], allowed: Collection[str]) -> str:
    """Return a sentence about who publishes the list, empty if all is well.

    Args:
        mode: the parameter rep155.
        others: names of the other nodes that publish it.
        allowed: those of them that take part in the merged list.
    """
    if mode == "add":
        if not others:
            return f"rep155 is add, but no other node publishes {TRACKED}: start the detector whose faces are meant."
        if len(others) > 1:
            return f"{_names(others)} all publish {TRACKED}, so clients find and lose faces all the time."
        return ""
    strangers = sorted(set(others) - set(allowed))
    if not strangers:
        return ""
    verb = "publishes" if len(strangers) == 1 else "publish"
    fight = f"{_names(strangers)} {verb} {TRACKED} too, so clients find and lose faces all the time"
    if mode == "merge":
        return f"{fight}: remap its list and name the new topic in humans.lists, or set its rep155 to merge."
    return f"{fight}: set rep155 to merge on all of them, to add to estimate the faces of the other, or to never."


class OtherPublishers:
    """Looks for other nodes that publish the list, and logs who they are whenever that changes.

    Args:
        node: looks, and logs.
        mode: the parameter rep155.
        faces: the list that this node publishes, None if it publishes none.

    Attributes:
        sentence: about them; empty if all is well.
    """

    def __init__(self, node: Node, mode: str, faces: FaceList | None) -> None:
        self._node, self._mode, self._faces = node, mode, faces
        self.sentence = ""
        self._timer = node.create_timer(PERIOD, self.look, clock=STEADY)

    def look(self) -> None:
        """Look now."""
        allowed, problem = ((), "") if self._faces is None else (self._faces.allowed(), self._faces.problem())
        sentence = conflict(self._mode, publishing_nodes(self._node), allowed) or problem
        if sentence and sentence != self.sentence:
            self._node.get_logger().warning(sentence)
        elif self.sentence and not sentence:
            self._node.get_logger().info(f"{TRACKED} is published by one node now.")
        self.sentence = sentence

    def close(self) -> None:
        """Look no more."""
        self._node.destroy_timer(self._timer)


def _names(names: Collection[str]) -> str:
    *rest, last = sorted(names)
    return f"{', '.join(rest)} and {last}" if rest else last
