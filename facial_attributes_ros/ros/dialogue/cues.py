"""What other topics say of faces: where they are and whose they are."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from rclpy.node import Node
from std_msgs.msg import String

from facial_attributes_ros.dialogue.interlocutor import Engagement
from facial_attributes_ros.dialogue.scene import Cues
from facial_attributes_ros.ros.messages import seconds_of
from facial_attributes_ros.ros.topics import LATCHED

PERSONS: Final = "/humans/persons"
FRESH: Final = 0.5
"""Seconds that what `faces/pose` says of a face stays true."""
AGAIN: Final = 1.0
"""Seconds after which an engagement that has not changed is published again."""


class Poses:
    """What the newest message on `faces/pose` says, by the ids of faces."""

    def __init__(self) -> None:
        self._stamp = -math.inf
        self._cues: dict[str, Cues] = {}

    def take(self, message: Any) -> None:
        """Take a `FacePoseArray`."""
        self._stamp = seconds_of(message.header.stamp)
        self._cues = {
            face.id: Cues(
                distance=float(face.distance),
                bearing=math.atan2(face.bearing.x, face.bearing.z),
                facing=float(face.facing),
            )
            for face in message.faces
        }

    def at(self, stamp: float) -> dict[str, Cues]:
        """Return what is known at a time: nothing, if the newest message is not of about that time."""
        return dict(self._cues) if abs(stamp - self._stamp) <= FRESH else {}


@dataclass(slots=True)
class _Person:
    """One person under /humans/persons, with what the node holds for it."""

    subscriptions: tuple[Any, ...]
    engagement: Any | None
    face: str = ""
    alias: str = ""
    level: int = -1
    published: float = -math.inf


class Persons:
    """Whose face is whose, by a REP-155 person manager.

    Args:
        node: whose subscriptions and publishers they become.
        hri: the module `hri_msgs.msg`.
        engagement: whether to publish the engagement of persons.
    """

    def __init__(self, node: Node, hri: Any, engagement: bool) -> None:
        self._node, self._hri, self._engagement = node, hri, engagement
        self._persons: dict[str, _Person] = {}
        node.create_subscription(hri.IdsList, f"{PERSONS}/tracked", self._on_tracked, 10)

    def add_to(self, cues: dict[str, Cues]) -> dict[str, Cues]:
        """Return cues with the ids of persons; a person that was merged into another one has that one's."""
        result = dict(cues)
        for key, person in self._persons.items():
            if person.face:
                result[person.face] = replace(result.get(person.face, Cues()), person=self._merged(key))
        return result

    def publish(self, levels: dict[str, int], header: Any, now: float) -> None:
        """Publish the engagement of every person, on changes and once a second.

        Args:
            levels: by the ids of faces.
            header: of the faces that they follow from.
            now: in seconds.
        """
        for person in self._persons.values():
            level = levels.get(person.face, Engagement.UNKNOWN)
            if person.engagement is None or (level == person.level and now - person.published < AGAIN):
                continue
            person.level, person.published = level, now
            person.engagement.publish(self._hri.EngagementLevel(header=header, level=level))

    def _merged(self, key: str) -> str:
        seen = set()
        while key not in seen and key in self._persons and self._persons[key].alias:
            seen.add(key)
            key = self._persons[key].alias
        return key

    def _on_tracked(self, message: Any) -> None:
        for key in set(self._persons) - set(message.ids):
            gone = self._persons.pop(key)
            for subscription in gone.subscriptions:
                self._node.destroy_subscription(subscription)
            if gone.engagement is not None:
                self._node.destroy_publisher(gone.engagement)
        for key in message.ids:
            if key not in self._persons:
                self._persons[key] = self._follow(key)

    def _follow(self, key: str) -> _Person:
        person = _Person((), None)
        person.subscriptions = (
            self._subscribed(f"{key}/face_id", lambda text: setattr(person, "face", text)),
            self._subscribed(f"{key}/alias", lambda text: setattr(person, "alias", text)),
        )
        if self._engagement:
            topic = f"{PERSONS}/{key}/engagement_status"
            person.engagement = self._node.create_publisher(self._hri.EngagementLevel, topic, 10)
        return person

    def _subscribed(self, topic: str, take: Callable[[str], None]) -> Any:
        return self._node.create_subscription(String, f"{PERSONS}/{topic}", lambda message: take(message.data), LATCHED)
