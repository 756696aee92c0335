#!/usr/bin/env python3
"""A ROS node that turns a robot's head to the person in front of it: it logs the pan and tilt that the head needs.

    ros2 launch facial_attributes_ros perception.launch.py image_topic:=/camera/color/image_raw
    python3 examples/06_turn_to_person_node.py

It shows: reading a bearing from `faces/pose`, choosing the person who is near and faces the robot, staying with that
person by the id, and turning in small steps, since the camera moves with the head. The camera has to publish its
`camera_info`. In a checkout without ROS, start it with `scripts/ros_env.py`.
"""

import math
import sys
from collections.abc import Sequence
from typing import Any

GAIN = 0.3
"""Fraction of the angle that is turned at each message: the next image shows what is left of it."""
STILL = math.radians(3)
"""A smaller angle is left as it is, so that the head does not tremble."""
FAR = 4.0
"""Distance in metres that counts as much as looking away."""


def pan_and_tilt(bearing: Any) -> tuple[float, float]:
    """Return the angles in radians by which a camera has to pan to its left and tilt up to look along a bearing.

    Args:
        bearing: a vector of the optical frame, whose x points to the right, y down and z ahead.
    """
    pan = math.atan2(-bearing.x, bearing.z)
    tilt = math.atan2(-bearing.y, math.hypot(bearing.x, bearing.z))
    return pan, tilt


def step(angle: float) -> float:
    """Return how far to turn now."""
    return 0.0 if abs(angle) < STILL else GAIN * angle


def chosen(faces: Sequence[Any], before: str) -> Any | None:
    """Return the face to turn to, or None if there is none: the one chosen before, else who is near and faces us."""
    for face in faces:
        if face.id == before:
            return face
    return max(faces, key=interest, default=None)


def interest(face: Any) -> float:
    """Return how interesting a face is; what is not known counts as little."""
    facing = 0.0 if math.isnan(face.facing) else face.facing
    return facing - (1.0 if math.isnan(face.distance) else face.distance / FAR)


def main() -> None:
    """Turn until Ctrl-C."""
    import rclpy
    from facial_attributes_ros.msg import FacePoseArray
    from rclpy.executors import ExternalShutdownException
    from rclpy.node import Node

    class TurnToPerson(Node):
        """Logs a command for the head whenever it has to turn, and who it looks at whenever that changes."""

        def __init__(self) -> None:
            super().__init__("turn_to_person")
            self._person = ""
            self.create_subscription(FacePoseArray, "faces/pose", self._on_poses, 10)

        def _on_poses(self, message: Any) -> None:
            face = chosen(message.faces, self._person)
            if face is None:
                self._person = ""
                return
            pan, tilt = pan_and_tilt(face.bearing)
            if face.id != self._person:
                self._person = face.id
                place = f"{math.degrees(pan):+.0f}° to the left, {math.degrees(tilt):+.0f}° up, {face.distance:.1f} m"
                self.get_logger().info(f"Looking at {face.id}: {place}")
            if step(pan) or step(tilt):
                # Here a robot would send the command to its head.
                self.get_logger().info(f"pan {math.degrees(step(pan)):+.1f}°, tilt {math.degrees(step(tilt)):+.1f}°")

    rclpy.init(args=sys.argv)
    try:
        rclpy.spin(TurnToPerson())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
