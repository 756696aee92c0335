#!/usr/bin/env python3
"""A ROS node that subscribes to `faces` and logs who is in view, whenever that changes.

    ros2 launch facial_attributes_ros perception.launch.py
    python3 examples/03_listener_node.py

It shows: subscribing, reading a label from a message (`UNKNOWN` means that the model is not confident enough), and
joining a face with its earlier messages by its id. In a checkout without ROS, start it with `scripts/ros_env.py`.
"""

import sys
from typing import Any

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, UNKNOWN


def label(task: str, index: int) -> str:
    """Return the label of a class index in a message."""
    return "unknown" if index == UNKNOWN else LABELS[task][index]


def description(face: Any) -> str:
    """Return what a `FaceAttributes` message says, in a line."""
    labels = (label(AGE, face.age_group), label(GENDER, face.gender), label(EMOTION, face.emotion))
    return f"{face.id}: age {labels[0]}, gender {labels[1]}, emotion {labels[2]}"


def main() -> None:
    """Listen until Ctrl-C."""
    import rclpy
    from facial_attributes_ros.msg import FaceAttributesArray
    from rclpy.executors import ExternalShutdownException
    from rclpy.node import Node

    class ExampleListener(Node):
        """Logs faces that are new or have changed, and those that are gone."""

        def __init__(self) -> None:
            super().__init__("example_listener")
            self._known: dict[str, str] = {}
            self.create_subscription(FaceAttributesArray, "faces", self._on_faces, 10)

        def _on_faces(self, message: Any) -> None:
            faces = {face.id: description(face) for face in message.faces}
            for face_id, text in faces.items():
                if self._known.get(face_id) != text:
                    self.get_logger().info(text)
            for face_id in self._known.keys() - faces.keys():
                self.get_logger().info(f"{face_id}: gone")
            self._known = faces

    rclpy.init(args=sys.argv)
    try:
        rclpy.spin(ExampleListener())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
