"""Everything the perception node publishes for a frame: attributes, debug pictures, REP-155 topics."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

from facial_attributes_ros.attributes import FaceAttributes
from facial_attributes_ros.msg import FaceAttributesArray
from facial_attributes_ros.ros.conversion import bgr_fields, jpeg_bytes
from facial_attributes_ros.ros.hri import HriPublisher, load_hri_messages
from facial_attributes_ros.ros.messages import faces_message
from facial_attributes_ros.ros.settings import Settings
from facial_attributes_ros.ros.topics import compressed_twin
from facial_attributes_ros.vision.drawing import annotate

FACES_DEPTH, DEBUG_DEPTH = 10, 1


class Outputs:
    """The publishers of a configured node.

    Args:
        node: whose publishers they are.
        settings: tasks and the quality of pictures; may be set anew at any time.
        model: name of the model.

    Raises:
        UserError: REP-155 topics are insisted on, but hri_msgs is not installed.
    """

    def __init__(self, node: LifecycleNode, settings: Settings, model: str) -> None:
        hri = load_hri_messages(settings.rep155)
        self.settings = settings
        self._node = node
        self._model = model
        overriding = QoSOverridingOptions.with_default_policies
        self._faces = node.create_lifecycle_publisher(
            FaceAttributesArray, "faces", QoSProfile(depth=FACES_DEPTH), qos_overriding_options=overriding()
        )
        self._picture = node.create_lifecycle_publisher(
            Image, "faces/image", QoSProfile(depth=DEBUG_DEPTH), qos_overriding_options=overriding()
        )
        self._compressed = node.create_lifecycle_publisher(
            CompressedImage,
            compressed_twin(node, "faces/image"),
            QoSProfile(depth=DEBUG_DEPTH),
            qos_overriding_options=overriding(),
        )
        self._hri = None if hri is None else HriPublisher(node, hri, settings.pipeline.tasks)

    def wanted_tasks(self) -> tuple[str, ...]:
        """Return the tasks that are switched on and whose results somebody listens to."""
        on = self.settings.pipeline.tasks
        listened = (self._faces, self._picture, self._compressed)
        if any(publisher.get_subscription_count() for publisher in listened):
            return on
        wanted = set() if self._hri is None else self._hri.wanted_tasks()
        return tuple(task for task in on if task in wanted)

    def publish_attributes(self, header: Any, image: NDArray[np.uint8], faces: Sequence[FaceAttributes]) -> None:
        """Publish the attributes of one frame.

        Args:
            header: of the image.
            image: uint8 (H, W, 3), BGR.
            faces: what the pipeline returned.
        """
        size = (image.shape[1], image.shape[0])
        self._faces.publish(faces_message(self._model, header, size, faces))
        if self._hri is not None:
            self._hri.tasks = self.settings.pipeline.tasks
            self._hri.publish(header, image, faces)

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
            data = jpeg_bytes(drawn, self.settings.jpeg_quality)
            self._compressed.publish(CompressedImage(header=header, format="bgr8; jpeg compressed bgr8", data=data))

    def forget_faces(self) -> None:
        """Say where each face has topics of its own that none is in view any more."""
        if self._hri is not None:
            self._hri.forget()

    def close(self) -> None:
        """Destroy all publishers."""
        for publisher in (self._faces, self._picture, self._compressed):
            self._node.destroy_lifecycle_publisher(publisher)
        if self._hri is not None:
            self._hri.close()
