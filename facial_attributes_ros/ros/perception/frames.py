"""A frame's way through the active node: convert it, take it through the pipeline, publish; failures are counted."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from facial_attributes_ros.pipeline import EstimateError, FrameResult
from facial_attributes_ros.ros.conversion import ConversionError
from facial_attributes_ros.ros.managed import ManagedNode
from facial_attributes_ros.ros.messages import FrameTime, seconds_of
from facial_attributes_ros.ros.perception.configured import Configured
from facial_attributes_ros.ros.perception.places import Places
from facial_attributes_ros.ros.perception.statistics import Statistics
from facial_attributes_ros.ros.perception.stream import ArrivalOrder, Presence
from facial_attributes_ros.ros.steady import STEADY
from facial_attributes_ros.ros.topics import NEWEST_IMAGE, compressed_twin, overridable

LOG_PERIOD: Final = 5.0
"""Seconds for which a warning of the same kind is not logged again."""
THROTTLED: Final = {"throttle_duration_sec": LOG_PERIOD, "throttle_time_source_type": STEADY}
"""Of a warning that every image may cause."""


def image_topic(node: ManagedNode, transport: str) -> str:
    """Return the name of the topic of the images, after remapping."""
    name = compressed_twin(node, "image") if transport == "compressed" else "image"
    return str(node.resolve_topic_name(name))


class Frames:
    """Takes each image through the pipeline and publishes the result; works in the worker's thread."""

    def __init__(self, node: ManagedNode, configured: Configured, statistics: Statistics, places: Places) -> None:
        self._node, self._log, self._clock = node, node.get_logger(), node.get_clock()
        self._configured = configured
        self._statistics = statistics
        self._places = places
        self._order, self._presence = ArrivalOrder(), Presence()
        # Held to publish. A worker that did not stop in time finds `closed` set when it comes to its end.
        self._publishing = threading.Lock()
        self.closed = False

    def subscribe(self, offer: Callable[[Any], None], opened: ExitStack) -> str:
        """Subscribe to the images and return the name of their topic.

        Args:
            offer: called with each message.
            opened: is given what ends the subscription.
        """
        transport = self._configured.settings.node.image_transport
        subscription = self._node.create_subscription(
            CompressedImage if transport == "compressed" else Image,
            image_topic(self._node, transport),
            offer,
            NEWEST_IMAGE,
            qos_overriding_options=overridable(),
        )
        opened.callback(self._node.destroy_subscription, subscription)
        return str(subscription.topic_name)

    def received(self, message: Any) -> tuple[float, Any]:
        """Return a message with its time of arrival, for `process`; called by the node's executor."""
        stamp = message.header.stamp
        arrived = self._statistics.arrived(stamp.sec * 10**9 + stamp.nanosec, self._clock.now().nanoseconds)
        return arrived, message

    def replaced(self) -> None:
        """Count an image that a newer one replaced before it was processed."""
        self._statistics.count("dropped")

    def process(self, item: tuple[float, Any]) -> None:
        """Process one image; whatever fails, the next image is processed."""
        arrived, message = item
        try:
            self.take(message)
        except ConversionError as error:
            self._statistics.count("invalid", str(error))
            self._log.warning(f"An image is invalid: {error}", **THROTTLED)
        except Exception as error:  # a frame must not end the node
            reason = f"{type(error).__name__}: {error}"
            self._statistics.count("failed", reason)
            self._log.warning(f"The processing of an image failed ({reason}).", **THROTTLED)
        finally:
            self._statistics.processed(arrived)

    def take(self, message: Any) -> None:
        """Take one image through the pipeline and publish the result; may raise anything."""
        self._process(message.header, self._configured.convert(message))

    def _process(self, header: Any, image: NDArray[np.uint8]) -> None:
        configured, outputs = self._configured, self._configured.outputs
        configured.apply_settings()
        stamp = self.frame_time(header.stamp)
        if offset := self._order.offset(stamp, time.monotonic()):
            self._statistics.count("dropped")
            sentence = f"An image is dropped: its stamp is {offset:+.3f} s from that of the one before it."
            self._log.warning(sentence, **THROTTLED)
            return
        if change := configured.follow_camera(header.frame_id, image.shape):
            self._log.warning(change, **THROTTLED)
        result = self.estimated(lambda wanted: configured.pipeline.process(image, stamp, wanted))
        with self._publishing:
            if self.closed:
                return
            configured.info.image_received(header.frame_id)
            outputs.publish_attributes(header, image, result)
            self._places.publish(header, (image.shape[1], image.shape[0]), result.faces)
            self._presence.frame(time.monotonic())
            latency = self._clock.now().nanoseconds * 1e-9 - stamp
            self._statistics.published(len(result.faces), latency, result.timings)
            outputs.publish_image(header, image, result.faces)

    def estimated(self, estimate: Callable[[tuple[str, ...]], FrameResult]) -> FrameResult:
        """Return what the pipeline gives; if the model fails, the faces without new estimates.

        Args:
            estimate: has the pipeline estimate the wanted tasks.
        """
        with self._publishing:  # the publishers of single faces must not be destroyed meanwhile
            wanted = self._configured.outputs.wanted_tasks()
        try:
            return estimate(wanted)
        except EstimateError as error:
            self._statistics.count("model", str(error))
            self._log.warning(str(error), **THROTTLED)
            return error.result

    def frame_time(self, stamp: Any) -> FrameTime:
        """Return the time of a frame in seconds; without a stamp it is the time of arrival."""
        if stamp.sec == 0 and stamp.nanosec == 0:
            return FrameTime(self._clock.now().nanoseconds * 1e-9, stamp)
        return FrameTime(seconds_of(stamp), stamp)

    def close_lists_without_frames(self) -> None:
        """Publish empty lists when the faces of the last frame are gone and no other frame has come to show it."""
        death_after = self._configured.settings.pipeline.tracking.death_after
        with self._publishing:
            if not self.closed and self._presence.over(time.monotonic(), death_after):
                self._configured.outputs.close_lists()

    def forget(self) -> None:
        """Publish empty lists: the pipeline has forgotten all faces."""
        with self._publishing:
            self._configured.outputs.close_lists()

    def worker_ended(self, reason: str) -> None:
        """Count and log that the worker's thread had ended."""
        self._statistics.count("restarts", reason)
        self._log.warning(f"The worker ended ({reason}) and is restarted.", **THROTTLED)

    def close(self) -> None:
        """Publish empty lists, and nothing after them."""
        with self._publishing:
            self.closed = True
            self._configured.outputs.close_lists()
