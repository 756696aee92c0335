"""The list of all faces, /humans/faces/tracked: clients take a message for the whole list, so one node publishes it."""

import secrets
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from facial_attributes_ros.msg import TrackedFaces
from facial_attributes_ros.ros.perception.rep155.publishing import TRACKED, quiet_publisher
from facial_attributes_ros.ros.steady import STEADY
from facial_attributes_ros.ros.topics import ACKNOWLEDGED

JOIN: Final = "/humans/faces/tracked/joined"
"""Where every node that joins publishes its own faces."""
BEAT: Final = 0.5
"""Seconds between two messages of a node that has no images, and between two lists without an image."""
GONE: Final = 2.5
"""Seconds without a message after which a node no longer takes part."""


class FaceList(Protocol):
    """Where a node publishes the ids of its faces."""

    def publish(self, header: Any, ids: Sequence[str]) -> None:
        """Publish the ids of all faces of a node, with the header of the image."""

    def allowed(self) -> Collection[str]:
        """Return the names of other nodes that may publish on /humans/faces/tracked besides this one."""

    def problem(self) -> str:
        """Return a sentence about nodes that do not fit together, empty if all is well."""

    def close(self) -> None:
        """Stop publishing."""


class OwnList:
    """The list of one node, which is the only one to publish it.

    Args:
        node: whose faces they are.
        hri: the module `hri_msgs.msg`.
    """

    def __init__(self, node: Node, hri: Any) -> None:
        self._node, self._hri = node, hri
        self._publisher = quiet_publisher(node, hri.IdsList, "tracked")

    def publish(self, header: Any, ids: Sequence[str]) -> None:
        """Publish the ids."""
        self._publisher.publish(self._hri.IdsList(header=header, ids=list(ids)))

    def allowed(self) -> Collection[str]:
        """Return nothing: this node is alone."""
        return ()

    def problem(self) -> str:
        """Return nothing: this node is alone."""
        return ""

    def close(self) -> None:
        """Destroy the publisher."""
        self._node.destroy_publisher(self._publisher)


@dataclass(frozen=True, slots=True)
class Member:
    """What one node of several has published last.

    Attributes:
        name: of this member, no other has it.
        node: fully qualified name of the node.
        keeper: whether it publishes the list of all.
        header: of its last image.
        ids: of its faces.
        heard: seconds on a clock that never goes back.
    """

    name: str
    node: str
    keeper: bool
    header: Any
    ids: tuple[str, ...]
    heard: float


class Members:
    """Who takes part, who of them keeps the list, and what is in it. Needs no graph.

    The keeper is whoever keeps it already; without one, the member whose name is the smallest takes it.

    Args:
        own: this member.
    """

    def __init__(self, own: Member) -> None:
        self.own = own
        self._others: dict[str, Member] = {}
        self._begun = own.heard

    def hear(self, member: Member) -> bool:
        """Take the message of a member; return whether the list of all changes by it, in ids or in time."""
        before = self._others.get(member.name)
        self._others[member.name] = member
        return before is None or (before.ids, before.header) != (member.ids, member.header)

    def elect(self, now: float) -> bool:
        """Forget members that are gone; return whether this one keeps the list."""
        self._others = {name: one for name, one in self._others.items() if now - one.heard <= GONE}
        keepers = [one.name for one in self._others.values() if one.keeper]
        if self.own.keeper:
            return all(self.own.name < name for name in keepers)
        waited = now - self._begun > GONE  # until then a keeper may not have been heard
        return waited and not keepers and all(self.own.name < name for name in self._others)

    @property
    def nodes(self) -> set[str]:
        """Names of the other members' nodes."""
        return {one.node for one in self._others.values()}

    @property
    def of_same_frame(self) -> list[str]:
        """Names of the nodes whose images have the frame of this member's."""
        frame = self.own.header.frame_id
        return sorted(one.node for one in self._others.values() if frame and one.header.frame_id == frame)

    def all(self) -> tuple[Any, list[str]]:
        """Return the newest header and the ids of all members, this one's first."""
        members = (self.own, *self._others.values())
        newest = max(members, key=lambda one: (one.header.stamp.sec, one.header.stamp.nanosec))
        return newest.header, list(dict.fromkeys(face for one in members for face in one.ids))


class MergedList:
    """The list of all nodes that join: each publishes its own faces to the others, and one of them publishes them all.

    Args:
        node: whose faces they are.
        hri: the module `hri_msgs.msg`.
        besides: topics with lists of other detectors, which join through this node.
    """

    def __init__(self, node: Node, hri: Any, besides: Iterable[str] = ()) -> None:
        self._node, self._hri = node, hri
        self._lock = threading.RLock()
        self._keeping: Publisher | None = None
        name, full_name = secrets.token_hex(8), node.get_fully_qualified_name()
        self._members = Members(Member(name, full_name, False, Header(), (), time.monotonic()))
        self._own_ids: dict[str, tuple[float, tuple[str, ...]]] = {}
        with ExitStack() as opened:  # if a later part fails, the earlier ones are closed
            self._publisher = node.create_publisher(TrackedFaces, JOIN, QoSProfile(depth=10))
            opened.callback(node.destroy_publisher, self._publisher)
            listening = [(TrackedFaces, JOIN, self._hear)]
            listening += [(hri.IdsList, topic, self._joiner(topic)) for topic in besides]
            for kind, topic, callback in listening:
                subscription = node.create_subscription(kind, topic, callback, QoSProfile(depth=10))
                opened.callback(node.destroy_subscription, subscription)
            timer = node.create_timer(BEAT, self._beat, clock=STEADY)
            opened.callback(node.destroy_timer, timer)
            self._closing = opened.pop_all()

    def publish(self, header: Any, ids: Sequence[str]) -> None:
        """Publish the ids to the others, and those of all if this node keeps the list."""
        self._join("", header, ids)

    def allowed(self) -> Collection[str]:
        """Return the names of the other nodes that take part."""
        with self._lock:
            return self._members.nodes

    def problem(self) -> str:
        """Return a sentence if another node's images have the same frame, empty if not."""
        with self._lock:
            same, frame = self._members.of_same_frame, self._members.own.header.frame_id
        if not same:
            return ""
        return f"The images of {', '.join(same)} have the frame '{frame}' too: give each camera a frame id of its own."

    def close(self) -> None:
        """Leave: the list is published without this node's faces once more, and another member keeps it."""
        with self._lock, self._closing:
            self._own_ids.clear()
            self._announce(self._members.own.header, keeper=False)
            self._publish_all()
            self._keep(False)

    def _join(self, source: str, header: Any, ids: Sequence[str]) -> None:
        with self._lock:
            now = time.monotonic()
            self._own_ids[source] = (now, tuple(ids))
            self._elect(now)
            self._announce(header)
            self._publish_all()

    def _joiner(self, topic: str) -> Any:
        return lambda message: self._join(topic, message.header, message.ids)

    def _hear(self, message: Any) -> None:
        with self._lock:
            if message.member == self._members.own.name:
                return
            now = time.monotonic()
            ids = tuple(message.ids)
            member = Member(message.member, message.node, message.keeper, message.header, ids, now)
            changed = self._members.hear(member)
            self._elect(now)
            if changed:
                self._publish_all()

    def _beat(self) -> None:
        with self._lock:
            now = time.monotonic()
            self._own_ids = {source: one for source, one in self._own_ids.items() if not source or now - one[0] <= GONE}
            self._elect(now)
            self._announce(self._members.own.header)
            # Who has become the keeper, or comes late, or has lost a member, needs no image for the list to be right.
            self._publish_all()

    def _elect(self, now: float) -> None:
        self._keep(self._members.elect(now))

    def _keep(self, keeper: bool) -> None:
        if keeper and self._keeping is None:
            self._keeping = quiet_publisher(self._node, self._hri.IdsList, "tracked")
            self._node.get_logger().info(f"This node publishes {TRACKED} for all nodes that join.")
        elif not keeper and self._keeping is not None:
            self._keeping.wait_for_all_acked(ACKNOWLEDGED)
            self._node.destroy_publisher(self._keeping)
            self._keeping = None

    def _announce(self, header: Any, keeper: bool | None = None) -> None:
        """Publish this node's faces to the others."""
        own = self._members.own
        ids = tuple(dict.fromkeys(face for _, some in self._own_ids.values() for face in some))
        keeps = self._keeping is not None if keeper is None else keeper
        self._members.own = replace(own, keeper=keeps, header=header, ids=ids)
        self._publisher.publish(
            TrackedFaces(header=header, member=own.name, node=own.node, keeper=keeps, ids=list(ids))
        )

    def _publish_all(self) -> None:
        if self._keeping is not None:
            header, ids = self._members.all()
            self._keeping.publish(self._hri.IdsList(header=header, ids=ids))
