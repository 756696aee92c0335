#!/usr/bin/env python3
"""Conditions for behaviour trees (py_trees): is somebody there, and is a manner asked for?

    ros2 launch facial_attributes_ros dialogue.launch.py
    python3 examples/11_behaviour_tree.py

It shows: two leaves that read a `DialogueClient`, and a tree that waits for somebody, offers help where the manner asks
for it, and greets otherwise. `pip install py_trees`, or ROS's package of that name.
"""

import sys
from typing import Any

import py_trees
from py_trees.common import Status


class SomebodyThere(py_trees.behaviour.Behaviour):
    """SUCCESS while there is an interlocutor, RUNNING while there is not."""

    def __init__(self, client: Any) -> None:
        super().__init__("somebody there")
        self._client = client

    def update(self) -> Status:
        """Return the status now."""
        return Status.RUNNING if self._client.interlocutor is None else Status.SUCCESS


class MannerIs(py_trees.behaviour.Behaviour):
    """SUCCESS if a field of `SpeakingManner` has a value, such as `speech_register` simple, else FAILURE."""

    def __init__(self, client: Any, field: str, value: Any) -> None:
        super().__init__(f"{field} is {value}")
        self._client, self._field, self._value = client, field, value

    def update(self) -> Status:
        """Return the status now."""
        met = getattr(self._client.speaking_manner, self._field, None) == self._value
        return Status.SUCCESS if met else Status.FAILURE


def make_tree(client: Any, offer: Any, greet: Any) -> Any:
    """Return a tree that offers help or greets, once there is somebody; both are behaviours of yours."""
    asked = py_trees.composites.Sequence("asked", memory=True, children=[MannerIs(client, "ask", True), offer])
    choice = py_trees.composites.Selector("how", memory=False, children=[asked, greet])
    return py_trees.composites.Sequence("speak", memory=False, children=[SomebodyThere(client), choice])


def main() -> None:
    """Tick the tree twice a second until Ctrl-C."""
    import rclpy
    from rclpy.executors import ExternalShutdownException

    from facial_attributes_ros.ros.dialogue.client import DialogueClient

    rclpy.init(args=sys.argv)
    node = rclpy.create_node("dialogue_tree")
    leaves = (py_trees.behaviours.Success(name) for name in ("offer", "greet"))
    tree = py_trees.trees.BehaviourTree(make_tree(DialogueClient(node), *leaves))
    node.create_timer(0.5, lambda: (tree.tick(), node.get_logger().info(f"{tree.tip().name}: {tree.root.status.name}")))
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
