#!/usr/bin/env python3
"""Access in the manner of pyhri: attributes that are up to date, beside those of an HRIListener.

    ros2 launch facial_attributes_ros dialogue.launch.py
    python3 examples/10_pyhri_access.py

It shows: `DialogueClient`, whose `interlocutor` and `speaking_manner` are read like the `faces` and `tracked_persons`
of pyhri's `HRIListener`. Where pyhri is installed, the interlocutor's person is looked up there.
"""

import sys
from collections.abc import Mapping
from typing import Any


def description(client: Any, persons: Mapping[str, Any]) -> str:
    """Return in a line whom the robot speaks with, and how.

    Args:
        client: a `DialogueClient`.
        persons: `HRIListener.tracked_persons`; empty without pyhri.
    """
    someone, spoken = client.interlocutor, client.speaking_manner
    if someone is None or spoken is None:
        return "nobody"
    person = persons.get(someone.person_id)
    name = f"person {someone.person_id}" if person is not None else f"face {someone.face_id}"
    why = ", ".join(reason.rule for reason in spoken.reasons) or "nothing else known"
    return f"{name}, {someone.reason}: {spoken.speech_register} words, {spoken.tone} tone ({why})"


def main() -> None:
    """Log a line on every change until Ctrl-C."""
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.node import Node

    from facial_attributes_ros.ros.dialogue.client import DialogueClient

    try:
        from hri import HRIListener

        persons = HRIListener("example_hri_listener")
    except ImportError:
        persons = None

    class Watcher(Node):
        """Logs whom to speak with."""

        def __init__(self) -> None:
            super().__init__("dialogue_watcher")
            self._client, self._last = DialogueClient(self), ""
            self._client.on_interlocutor(self._log)
            self._client.on_speaking_manner(self._log)

        def _log(self, _message: Any) -> None:
            text = description(self._client, {} if persons is None else persons.tracked_persons)
            if text != self._last:
                self._last = text
                self.get_logger().info(text)

    rclpy.init(args=sys.argv)
    try:
        rclpy.spin(Watcher())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
