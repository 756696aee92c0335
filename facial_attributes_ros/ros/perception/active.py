"""What exists while the node is active: subscriptions to images and calibrations, and a worker for the newest image."""

from contextlib import ExitStack
from typing import Any, Final

from typing_extensions import Self

from facial_attributes_ros.ros.managed import ManagedNode
from facial_attributes_ros.ros.perception.configured import Configured
from facial_attributes_ros.ros.perception.frames import Frames, image_topic
from facial_attributes_ros.ros.perception.places import Places
from facial_attributes_ros.ros.perception.rep155.frames import FollowedFrames
from facial_attributes_ros.ros.perception.statistics import Statistics
from facial_attributes_ros.ros.perception.worker import NewestWorker
from facial_attributes_ros.ros.steady import STEADY

WATCH: Final = 0.25
"""Seconds between two checks whether the faces of the last frame are gone, and whether poses are wanted."""


class Active:
    """A subscription to images and the worker that processes them; made by `open`.

    Attributes:
        topic: name of the topic of the images.
    """

    def __init__(
        self,
        node: ManagedNode,
        topic: str,
        frames: Frames,
        worker: NewestWorker[Any],
        places: Places,
        opened: ExitStack,
    ) -> None:
        self.topic = topic
        self._places = places
        self._node, self._frames, self._worker, self._opened = node, frames, worker, opened

    @classmethod
    def open(cls, node: ManagedNode, configured: Configured, statistics: Statistics) -> Self:
        """Subscribe to images and start the worker; if a part fails, the others are closed.

        Args:
            node: subscribes.
            configured: the pipeline and the publishers.
            statistics: counts what happens.
        """
        places = Places(node, configured, image_topic(node, configured.settings.node.image_transport))
        adding = configured.settings.node.rep155 == "add"
        frames = (FollowedFrames if adding else Frames)(node, configured, statistics, places)
        worker = NewestWorker(
            frames.process,
            dropped=frames.replaced,
            restarted=frames.worker_ended,
            working=configured.working,
            name="perception",
        )

        def offer(message: Any) -> None:
            if not frames.closed:  # else of a subscription that could not be destroyed
                worker.offer(frames.received(message))

        def watch() -> None:
            frames.close_lists_without_frames()
            places.follow()

        statistics.restart()
        with ExitStack() as opened:  # closed in the opposite order, every part even if another fails
            opened.callback(configured.info.deactivated)
            opened.callback(frames.close)
            worker.start()
            opened.callback(worker.stop, 0.0)
            opened.callback(places.close)
            timer = node.create_timer(WATCH, watch, clock=STEADY)
            opened.callback(node.destroy_timer, timer)
            topic = frames.subscribe(offer, opened)
            configured.info.activated(topic)
            return cls(node, topic, frames, worker, places, opened.pop_all())

    @property
    def poses_problem(self) -> str:
        """Why no poses are published although somebody subscribes to them, a sentence; else empty."""
        return self._places.problem

    def forget(self) -> None:
        """Publish that no face is in view: the pipeline has forgotten all of them."""
        self._frames.forget()

    def close(self, timeout: float) -> None:
        """Unsubscribe, stop the worker, and publish that no face is in view any more.

        Args:
            timeout: seconds that the image in work may take to finish.
        """
        with self._opened:
            if not self._worker.stop(timeout):
                self._node.get_logger().warning("The image in work does not come to an end: going on without it.")
