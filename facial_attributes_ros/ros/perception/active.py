"""What an active node has: a subscription and a worker."""

import threading
import time
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

from facial_attributes_ros.pipeline import EstimateError, FrameResult
from facial_attributes_ros.ros.conversion import ConversionError
from facial_attributes_ros.ros.managed import ManagedNode
from facial_attributes_ros.ros.messages import FrameTime
from facial_attributes_ros.ros.perception.configured import Configured
from facial_attributes_ros.ros.perception.diagnostics import Statistics
from facial_attributes_ros.ros.perception.order import ArrivalOrder
from facial_attributes_ros.ros.perception.presence import Presence
from facial_attributes_ros.ros.perception.worker import NewestWorker
from facial_attributes_ros.ros.throttle import Throttle
from facial_attributes_ros.ros.topics import compressed_twin

WATCH = 0.25
"""Seconds between two looks at whether faces are gone."""


class Active:
    """Listens to images and has a worker that takes the newest through the pipeline.

    Args:
        node: listens.
        configured: the pipeline and the publishers.
        statistics: counts what happens.
    """

    def __init__(self, node: ManagedNode, configured: Configured, statistics: Statistics) -> None:
        self._node = node
        self._configured = configured
        self._statistics = statistics
        self._order, self._throttle = ArrivalOrder(), Throttle()
        # A worker that was stopped in vain finds this set when it comes to its end.
        self._closed = False
        self._publishing = threading.Lock()
        self._worker: NewestWorker[Any] = NewestWorker(
            self._work,
            dropped=lambda: statistics.count("skipped"),
            ended=self._worker_ended,
            after=configured.late,
            name="perception",
        )
        self._presence = Presence()
        statistics.restart()
        with ExitStack() as opened:  # what was opened is closed if the rest cannot be
            self._subscription = self._subscribe()
            opened.callback(node.destroy_subscription, self._subscription)
            self._timer = node.create_timer(WATCH, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))
            opened.callback(node.destroy_timer, self._timer)
            self._worker.start()
            opened.callback(self._worker.stop, 0.0)
            configured.info.activated(self.topic)
            opened.pop_all()

    @property
    def topic(self) -> str:
        """Name of the topic that is listened to."""
        return str(self._subscription.topic_name)

    def close(self, timeout: float) -> None:
        """Stop listening and working, and publish that no face is in view any more.

        Args:
            timeout: seconds that the image in work may take to finish.
        """
        with ExitStack() as steps:  # each is taken, the last one here first, whatever becomes of the others
            steps.callback(self._configured.info.deactivated)
            steps.callback(self._configured.outputs.close_lists)
            steps.callback(self._stop, timeout)
            steps.callback(self._node.destroy_timer, self._timer)
            steps.callback(self._node.destroy_subscription, self._subscription)

    def _subscribe(self) -> Any:
        compressed = self._configured.settings.node.image_transport == "compressed"
        return self._node.create_subscription(
            CompressedImage if compressed else Image,
            compressed_twin(self._node, "image") if compressed else "image",
            self._on_image,
            _newest(),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def _stop(self, timeout: float) -> None:
        if not self._worker.stop(timeout):
            self._configured.late = self._worker
            self._node.get_logger().warning("The image in work does not come to an end; going on without it.")
        with self._publishing:
            self._closed = True

    def _on_image(self, message: Any) -> None:
        if self._closed:  # a subscription that could not be destroyed
            return
        stamp = message.header.stamp
        nanoseconds = stamp.sec * 10**9 + stamp.nanosec
        arrived = self._statistics.arrived(nanoseconds, self._node.get_clock().now().nanoseconds)
        self._worker.offer((arrived, message))

    def _watch(self) -> None:
        """Publish that no face is in view any more, when no frame says so because none comes."""
        death_after = self._configured.settings.pipeline.tracking.death_after
        with self._publishing:
            if self._presence.over(time.monotonic(), death_after):
                self._configured.outputs.close_lists()

    def _worker_ended(self, reason: str) -> None:
        self._statistics.count("ended", reason)
        self._complain(f"The worker ended ({reason}) and is started again.")

    def _work(self, item: tuple[float, Any]) -> None:
        """Do all the work on one image, in the worker's thread; whatever is wrong with it, the next one counts."""
        arrived, message = item
        try:
            self._process(message.header, self._configured.convert(message))
        except ConversionError as error:
            self._statistics.count("bad", str(error))
            self._complain(f"An image is passed over: {error}")
        except Exception as error:  # a frame must not end the node
            self._statistics.count("failed", f"{type(error).__name__}: {error}")
            self._complain(f"The work on an image failed ({type(error).__name__}: {error}).")
        finally:
            self._statistics.dealt_with(arrived)

    def _complain(self, sentence: str) -> None:
        text = self._throttle.pass_on(sentence)
        if text is not None:
            self._node.get_logger().warning(text)

    def _process(self, header: Any, image: NDArray[np.uint8]) -> None:
        configured, outputs = self._configured, self._configured.outputs
        configured.apply_settings()
        seconds = self._seconds(header.stamp)
        if offset := self._order.offset(seconds, time.monotonic()):
            self._statistics.count("skipped")
            self._complain(f"An image is dropped: its stamp is {offset:+.3f} s from that of the one before it.")
            return
        if change := configured.follow_camera(header.frame_id, image.shape):
            self._complain(change)
        result = self._estimate(image, seconds)
        with self._publishing:
            if self._closed:
                return
            outputs.publish_attributes(header, image, result)
            self._presence.frame(time.monotonic())
            latency = self._node.get_clock().now().nanoseconds * 1e-9 - seconds
            self._statistics.published(len(result.faces), latency, result.timings)
            outputs.publish_picture(header, image, result.faces)

    def _estimate(self, image: NDArray[np.uint8], seconds: FrameTime) -> FrameResult:
        """Take an image through the pipeline; where the model fails, faces are published all the same."""
        with self._publishing:  # publishers of single faces are not to go meanwhile
            wanted = self._configured.outputs.wanted_tasks()
        try:
            return self._configured.pipeline.process(image, seconds, wanted)
        except EstimateError as error:
            self._statistics.count("model", str(error))
            self._complain(str(error))
            return error.result

    def _seconds(self, stamp: Any) -> FrameTime:
        """Return the frame's time in seconds; a camera that sets no stamps is given the time of arrival."""
        if stamp.sec == 0 and stamp.nanosec == 0:
            return FrameTime(self._node.get_clock().now().nanoseconds * 1e-9, stamp)
        return FrameTime(stamp.sec + stamp.nanosec * 1e-9, stamp)


def _newest() -> QoSProfile:
    """Return the quality of service of images: best effort, and only the newest is kept."""
    return QoSProfile(
        depth=1,
        reliability=qos_profile_sensor_data.reliability,
        durability=qos_profile_sensor_data.durability,
    )
