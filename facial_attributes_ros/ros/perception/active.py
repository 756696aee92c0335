"""What exists while the node is active: a subscription to images, and a worker that processes the newest one."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image
from typing_extensions import Self

from facial_attributes_ros.ros.managed import ManagedNode
from facial_attributes_ros.ros.perception.configured import Configured
from facial_attributes_ros.ros.perception.frames import STEADY, Frames
from facial_attributes_ros.ros.perception.statistics import Statistics
from facial_attributes_ros.ros.perception.worker import NewestWorker
from facial_attributes_ros.ros.topics import NEWEST_IMAGE, compressed_twin

WATCH: Final = 0.25
"""Seconds between two checks whether the faces of the last frame are gone."""


class Active:
    """A subscription to images and the worker that processes them; made by `open`.

    Attributes:
        topic: name of the topic of the images.
    """

    def __init__(self, node: ManagedNode, topic: str, worker: NewestWorker[Any], opened: ExitStack) -> None:
        self.topic = topic
        self._node, self._worker, self._opened = node, worker, opened

    @classmethod
    def open(cls, node: ManagedNode, configured: Configured, statistics: Statistics) -> Self:
        """Subscribe to images and start the worker; if a part fails, the others are closed.

        Args:
            node: subscribes.
            configured: the pipeline and the publishers.
            statistics: counts what happens.
        """
        frames = Frames(node, configured, statistics)
        worker = NewestWorker(
            frames.process,
            dropped=lambda: statistics.count("dropped"),
            restarted=frames.worker_ended,
            working=configured.working,
            name="perception",
        )

        def offer(message: Any) -> None:
            if not frames.closed:  # else of a subscription that could not be destroyed
                worker.offer(frames.received(message))

        statistics.restart()
        with ExitStack() as opened:  # closed in the opposite order, every part even if another fails
            opened.callback(configured.info.deactivated)
            opened.callback(frames.close)
            worker.start()
            opened.callback(worker.stop, 0.0)
            timer = node.create_timer(WATCH, frames.close_lists_without_frames, clock=STEADY)
            opened.callback(node.destroy_timer, timer)
            subscription = _subscribe(node, configured.settings.node.image_transport, offer)
            opened.callback(node.destroy_subscription, subscription)
            configured.info.activated(subscription.topic_name)
            return cls(node, str(subscription.topic_name), worker, opened.pop_all())

    def close(self, timeout: float) -> None:
        """Unsubscribe, stop the worker, and publish that no face is in view any more.

        Args:
            timeout: seconds that the image in work may take to finish.
        """
        with self._opened:
            if not self._worker.stop(timeout):
                self._node.get_logger().warning("The image in work does not come to an end: going on without it.")


def _subscribe(node: ManagedNode, transport: str, callback: Callable[[Any], None]) -> Any:
    compressed = transport == "compressed"
    return node.create_subscription(
        CompressedImage if compressed else Image,
        compressed_twin(node, "image") if compressed else "image",
        callback,
        NEWEST_IMAGE,
        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
    )
