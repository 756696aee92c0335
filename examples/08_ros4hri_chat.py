#!/usr/bin/env python3
"""Speak through the skills of ROS4HRI: every new interlocutor starts a chat whose role knows the context.

    ros2 launch facial_attributes_ros dialogue.launch.py
    python3 examples/08_ros4hri_chat.py

It shows: `/skill/chat` with a `chatbot_msgs/DialogueRole`, whose configuration is JSON with the prompt, and
`/skill/say` (`communication_skills`). Both carry the person's id where a person manager runs. For
the voice, `speaking_manner` has pace and volume.
"""

import json
import sys
from typing import Any

ROLE = "__default__"
"""`DialogueRole.DEFAULT_ROLE`."""


def chat_goal(chat: Any, role: Any, person: str, context: str) -> Any:
    """Return a goal of `communication_skills/action/Chat`.

    Args:
        chat: the class `Chat`.
        role: the class `chatbot_msgs/DialogueRole`.
        person: id under /humans/persons; empty for anybody.
        context: what `dialogue/context` says.
    """
    goal = chat.Goal(person_id=person, initiate=True)
    goal.role = role(name=ROLE, configuration=json.dumps({"prompt": context}, ensure_ascii=False))
    return goal


def main() -> None:
    """Start chats until Ctrl-C."""
    import rclpy
    from chatbot_msgs.msg import DialogueRole
    from communication_skills.action import Chat, Say
    from rclpy.action import ActionClient
    from rclpy.executors import ExternalShutdownException
    from rclpy.node import Node

    from facial_attributes_ros.ros.dialogue.client import DialogueClient

    class Skills(Node):
        """Starts one chat an encounter, after the notice was said."""

        def __init__(self) -> None:
            super().__init__("dialogue_skills")
            self._chat, self._say = ActionClient(self, Chat, "/skill/chat"), ActionClient(self, Say, "/skill/say")
            self._client, self._encounter = DialogueClient(self), 0
            self._client.on_context(self._on_context)

        def _on_context(self, context: Any) -> None:
            someone = self._client.interlocutor
            if someone is None or someone.encounter == self._encounter:
                return
            self._encounter = someone.encounter
            if self._client.notice:
                self._say.send_goal_async(Say.Goal(person_id=someone.person_id, input=self._client.notice))
            self._chat.send_goal_async(chat_goal(Chat, DialogueRole, someone.person_id, context.data))

    rclpy.init(args=sys.argv)
    try:
        rclpy.spin(Skills())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
