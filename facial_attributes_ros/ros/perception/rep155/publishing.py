"""How everything under /humans/faces is published."""

from typing import Any, Final

from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher

ROOT: Final = "/humans/faces"
TRACKED: Final = f"{ROOT}/tracked"
DEPTH: Final = 10


def quiet_publisher(node: Node, kind: Any, name: str) -> Publisher:
    """Return a publisher under `ROOT` that may be created and destroyed in any thread.

    Without event handlers the executor never waits for it, so it cannot use one that is being destroyed.
    """
    events = PublisherEventCallbacks(use_default_callbacks=False)
    return node.create_publisher(kind, f"{ROOT}/{name}", DEPTH, event_callbacks=events)
