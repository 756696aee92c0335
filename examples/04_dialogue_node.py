#!/usr/bin/env python3
"""A ROS node that speaks with the person in front of the robot, in the manner that the policy gives.

    ros2 launch facial_attributes_ros perception.launch.py
    ros2 launch facial_attributes_ros dialogue.launch.py
    python3 examples/04_dialogue_node.py

It shows: reading `interlocutor` and `speaking_manner` from the dialogue node, greeting everybody once, and a scripted
conversation whose sentences follow the manner. The node publishes what it would say on `speech` (std_msgs/String) and
logs it with the voice that the manner asks for. In a checkout without ROS, start it with `scripts/ros_env.py`.
"""

import sys
import time
from typing import Any

from facial_attributes_ros.dialogue.conversation import Conversation
from facial_attributes_ros.dialogue.policy import Manner
from facial_attributes_ros.dialogue.templates import Templates


def voice(manner: Manner) -> str:
    """Return how to say something, in a few words for a log."""
    return f"{manner.tone} tone, {manner.register} words, pace {manner.pace:.2f}, volume {manner.volume:.2f}"


def main() -> None:
    """Speak until Ctrl-C."""
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.node import Node
    from std_msgs.msg import String

    from facial_attributes_ros.ros.dialogue.client import DialogueClient
    from facial_attributes_ros.ros.dialogue.messages import manner_of

    class Talker(Node):
        """Says the sentences of a scripted conversation."""

        def __init__(self) -> None:
            super().__init__("talker")
            language = self.declare_parameter("language", "en").value
            self._conversation = Conversation(Templates(language).sentences())
            self._client = DialogueClient(self)
            self._speech = self.create_publisher(String, "speech", 10)
            self._last: Any = None
            self._client.on_interlocutor(self._on_interlocutor)
            self.create_timer(0.2, self._speak)

        def _on_interlocutor(self, message: Any) -> None:
            self._last = message

        def _speak(self) -> None:
            someone, spoken = self._last, self._client.speaking_manner
            # Each comes on its own topic; for a moment one of them may still be about somebody else.
            if someone is None or spoken is None or spoken.face_id != someone.face_id:
                return
            manner = manner_of(spoken)
            text = self._conversation.step(someone.encounter, someone.face_id, someone.reason, manner, time.monotonic())
            if text:
                self.get_logger().info(f"To number {someone.encounter} ({voice(manner)}): {text}")
                self._speech.publish(String(data=text))

    rclpy.init(args=sys.argv)
    try:
        rclpy.spin(Talker())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
