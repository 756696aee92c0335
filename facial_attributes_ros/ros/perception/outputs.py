"""Everything the perception node publishes for a frame: attributes, debug pictures, REP-155 topics."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNodeMixin
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from facial_attributes_ros.attributes import FaceAttributes
from facial_attributes_ros.imaging.drawing import annotate
from facial_attributes_ros.msg import FaceAttributesArray
from facial_attributes_ros.pipeline import FrameResult
from facial_attributes_ros.ros.conversion import bgr_fields, jpeg_bytes
from facial_attributes_ros.ros.messages import faces_message, shifted
from facial_attributes_ros.ros.perception.hri import HriPublisher, load_hri_messages
from facial_attributes_ros.ros.perception.settings import Settings
from facial_attributes_ros.ros.topics import compressed_twin

FACES_DEPTH, DEBUG_DEPTH = 10, 1
ACKNOWLEDGED = Duration(seconds=0.2)
"""How long to wait for subscribers to acknowledge the last list, before its publisher is destroyed."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """The last frame that was published: the image's header and size, and when that was."""

    header: Any
    size: tuple[int, int]
    published: Time


class Outputs:
    """The publishers of a configured node.

    Args:
        node: whose publishers they are.
        settings: tasks and the quality of pictures; may be set anew at any time.
        model: name of the model.

    Raises:
        UserError: REP-155 topics are insisted on, but hri_msgs is not installed.
    """

    def __init__(self, node: LifecycleNodeMixin, settings: Settings, model: str) -> None:
        hri = load_hri_messages(settings.node.rep155)
        self.settings = settings
        self._node = node
        self._model = model
        self._last: _Frame | None = None
        with ExitStack() as created:  # one that cannot be created takes the others with it
            self._faces = self._publisher(created, FaceAttributesArray, "faces", FACES_DEPTH)
            self._picture = self._publisher(created, Image, "faces/image", DEBUG_DEPTH)
            twin = compressed_twin(node, "faces/image")
            self._compressed = self._publisher(created, CompressedImage, twin, DEBUG_DEPTH)
            self._hri = None if hri is None else HriPublisher(node, hri, settings.pipeline.tasks)
            if self._hri is not None:
                created.callback(self._hri.close)
            self._created = created.pop_all()

    def _publisher(self, created: ExitStack, kind: Any, topic: str, depth: int) -> Any:
        overriding = QoSOverridingOptions.with_default_policies()
        publisher = self._node.create_lifecycle_publisher(
            kind, topic, QoSProfile(depth=depth), qos_overriding_options=overriding
        )
        created.callback(self._node.destroy_lifecycle_publisher, publisher)
        return publisher

    def wanted_tasks(self) -> tuple[str, ...]:
        """Return the tasks that are switched on and whose results somebody listens to."""
        on = self.settings.pipeline.tasks
        listened = (self._faces, self._picture, self._compressed)
        if any(publisher.get_subscription_count() for publisher in listened):
            return on
        wanted = set() if self._hri is None else self._hri.wanted_tasks()
        return tuple(task for task in on if task in wanted)

    def publish_attributes(self, header: Any, image: NDArray[np.uint8], result: FrameResult) -> None:
        """Publish the attributes of one frame.

        Args:
            header: of the image.
            image: uint8 (H, W, 3), BGR.
            result: what the pipeline returned.
        """
        size = (image.shape[1], image.shape[0])
        self._faces.publish(faces_message(self._model, header, size, result.faces))
        if self._hri is not None:
            self._hri.tasks = self.settings.pipeline.tasks
            self._hri.publish(header, image, result.faces, result.tracked)
        self._last = _Frame(header, size, self._node.get_clock().now())

    def publish_picture(self, header: Any, image: NDArray[np.uint8], faces: Sequence[FaceAttributes]) -> None:
        """Publish the annotated picture, raw and compressed, each only if somebody listens.

        Raises:
            ConversionError: the picture cannot be encoded.
        """
        raw, compressed = (each.get_subscription_count() for each in (self._picture, self._compressed))
        if not (raw or compressed):
            return
        drawn = annotate(image, faces)
        if raw:
            self._picture.publish(Image(header=header, **bgr_fields(drawn)))
        if compressed:
            data = jpeg_bytes(drawn, self.settings.debug.jpeg_quality)
            self._compressed.publish(CompressedImage(header=header, format="bgr8; jpeg compressed bgr8", data=data))

    def close_lists(self) -> None:
        """Publish empty lists of faces after the last frame's, once: nobody is in view any more.

        They have the last frame's `frame_id` and its time plus what has passed since, on the node's clock.
        """
        last, self._last = self._last, None
        if last is None:
            return
        passed = max((self._node.get_clock().now() - last.published).nanoseconds, 1)
        header = Header(frame_id=last.header.frame_id, stamp=shifted(last.header.stamp, passed))
        self._faces.publish(faces_message(self._model, header, last.size, []))
        if self._hri is not None:
            self._hri.forget(header)

    def close(self) -> None:
        """Destroy all publishers, once the last lists have arrived."""
        self._faces.wait_for_all_acked(ACKNOWLEDGED)
        self._created.close()
