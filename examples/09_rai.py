#!/usr/bin/env python3
"""Give RAI's conversational agents a context: what a person says goes to the agent with how to speak with them.

    ros2 launch facial_attributes_ros dialogue.launch.py
    python3 examples/09_rai.py

It shows: `rai_interfaces/HRIMessage`, which has text, images and audio but says nothing about who is speaking. What
comes on `heard` (HRIMessage, remap your speech recogniser to it) goes out on `/from_human`, where RAI's agents listen,
with the context before it whenever that has changed in the conversation. The id of a conversation is kept for as long
as the interlocutor stays.
"""

import sys
from typing import Any


def with_context(message: Any, context: str, conversation: str) -> Any:
    """Return an `HRIMessage` with the context before its text, and the id of the conversation.

    Args:
        message: the message, which is changed.
        context: what `dialogue/context` says; empty to leave the text as it is.
        conversation: id, where the message has none.
    """
    if context:
        message.text = f"[Situation, not said by the person: {context}]\n{message.text}"
    message.communication_id = message.communication_id or conversation
    return message


def main() -> None:
    """Pass messages on until Ctrl-C."""
    import rclpy
    from rai_interfaces.msg import HRIMessage
    from rclpy.executors import ExternalShutdownException
    from rclpy.node import Node

    from facial_attributes_ros.ros.dialogue.client import DialogueClient

    class Bridge(Node):
        """From `heard` to `/from_human`."""

        def __init__(self) -> None:
            super().__init__("rai_dialogue_context")
            self._client, self._told = DialogueClient(self), ("", "")
            self._agent = self.create_publisher(HRIMessage, "/from_human", 10)
            self.create_subscription(HRIMessage, "heard", self._on_heard, 10)

        def _on_heard(self, message: Any) -> None:
            someone = self._client.interlocutor
            conversation = "" if someone is None else f"encounter-{someone.encounter}"
            now = conversation, self._client.context
            self._agent.publish(with_context(message, "" if now == self._told else now[1], conversation))
            self._told = now

    rclpy.init(args=sys.argv)
    try:
        rclpy.spin(Bridge())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
