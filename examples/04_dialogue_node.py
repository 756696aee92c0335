#!/usr/bin/env python3
"""A ROS node that adapts how it speaks to the person in front of the robot.

    ros2 launch facial_attributes_ros perception.launch.py
    python3 examples/04_dialogue_node.py

It shows: choosing the person to speak with from `faces`, and a manner of speaking that follows from what is known of
that person, and only from that:

- to a child: short, simple sentences, spoken slowly;
- to somebody who looks sad, angry or afraid: a softer tone;
- of the person: he, she, or they while the gender is unknown.

The node publishes what it would say on `speech` (std_msgs/String) and logs it. In a checkout without ROS, start it with
`scripts/ros_env.py`.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CHILD_GROUPS = (0, 1)
"""Indices of the age groups 0-2 and 3-9."""
MALE, FEMALE = 0, 1
SOFT_EMOTIONS = {1: "afraid", 4: "sad", 5: "angry"}
ADULT_YEARS = 16.0
PAUSE = 5.0
"""Seconds of silence after each sentence."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How to speak with somebody.

    Attributes:
        simple: short words and sentences.
        soft: a quiet, warm voice.
        pronoun: to speak of the person: he, she or they.
        rate: of speech, 1 being normal.
    """

    simple: bool = False
    soft: bool = False
    pronoun: str = "they"
    rate: float = 1.0


def manner_for(face: Any) -> Manner:
    """Return how to speak with the person a `FaceAttributes` message describes; unknown attributes change nothing."""
    # Near the border of two groups the expected age decides; a face that may well be an adult's is spoken to as one.
    child = face.age_group in CHILD_GROUPS and (math.isnan(face.age) or face.age < ADULT_YEARS)
    soft = face.emotion in SOFT_EMOTIONS
    pronoun = {MALE: "he", FEMALE: "she"}.get(face.gender, "they")
    return Manner(simple=child, soft=soft, pronoun=pronoun, rate=0.85 if child or soft else 1.0)


def sentence_for(manner: Manner) -> str:
    """Return a greeting in that manner."""
    if manner.simple:
        return "Oh, is something wrong? I am here." if manner.soft else "Hi! I am a robot. Shall we play?"
    if manner.soft:
        return "Take your time. Is there anything I can do for you?"
    return "Good day! How may I help you?"


def person_in_front(faces: Sequence[Any]) -> Any | None:
    """Return the face with the largest box, or None if there is no face."""
    return max(faces, key=lambda face: face.roi.width * face.roi.height, default=None)


def main() -> None:
    """Listen and speak until Ctrl-C."""
    import rclpy
    from facial_attributes_ros.msg import FaceAttributesArray
    from rclpy.executors import ExternalShutdownException
    from rclpy.node import Node
    from std_msgs.msg import String

    class Dialogue(Node):
        """Says something to the person in front whenever the person or the manner changes."""

        def __init__(self) -> None:
            super().__init__("dialogue")
            self._speech = self.create_publisher(String, "speech", 10)
            self._said: tuple[str, Manner] | None = None
            self._at = -PAUSE
            self.create_subscription(FaceAttributesArray, "faces", self._on_faces, 10)

        def _on_faces(self, message: Any) -> None:
            face = person_in_front(message.faces)
            # Before the first observation, nothing is known of a face.
            if face is None or face.observations == 0:
                return
            manner = manner_for(face)
            if (face.id, manner) == self._said or time.monotonic() - self._at < PAUSE:
                return
            self._said, self._at = (face.id, manner), time.monotonic()
            tone = "softly" if manner.soft else "simply" if manner.simple else "normally"
            text = sentence_for(manner)
            self.get_logger().info(f"To {face.id} ({manner.pronoun}), {tone}: {text}")
            self._speech.publish(String(data=text))

    rclpy.init()
    try:
        rclpy.spin(Dialogue())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
