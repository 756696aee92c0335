"""Everything the perception node publishes for a frame: attributes, debug pictures, REP-155 topics."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, Distribution, FaceAttributes
from facial_attributes_ros.msg import FaceAttributesArray
from facial_attributes_ros.ros.conversion import bgr_fields, jpeg_bytes
from facial_attributes_ros.ros.hri import HriPublisher, load_hri_messages
from facial_attributes_ros.ros.messages import ArrayBuilder
from facial_attributes_ros.ros.settings import Settings
from facial_attributes_ros.vision.drawing import annotate

FACES_DEPTH, DEBUG_DEPTH = 10, 1

_FIELDS: Final = {AGE: "age_group", GENDER: "gender", EMOTION: "emotion"}


class Outputs:
    """The publishers of a configured node.

    Args:
        node: whose publishers they are.
        settings: thresholds, tasks and the quality of pictures; may be set anew at any time.
        model: name of the model.

    Raises:
        UserError: REP-155 topics are insisted on, but hri_msgs is not installed.
    """

    def __init__(self, node: LifecycleNode, settings: Settings, model: str) -> None:
        hri = load_hri_messages(settings.rep155)
        self.settings = settings
        self._node = node
        self._builder = ArrayBuilder(model)
        overriding = QoSOverridingOptions.with_default_policies
        self._faces = node.create_lifecycle_publisher(
            FaceAttributesArray, "faces", QoSProfile(depth=FACES_DEPTH), qos_overriding_options=overriding()
        )
        self._picture = node.create_lifecycle_publisher(
            Image, "faces/image", QoSProfile(depth=DEBUG_DEPTH), qos_overriding_options=overriding()
        )
        self._compressed = node.create_lifecycle_publisher(
            CompressedImage,
            "faces/image/compressed",
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

    def publish_attributes(
        self, header: Any, seconds: float, image: NDArray[np.uint8], faces: Sequence[FaceAttributes]
    ) -> list[FaceAttributes]:
        """Publish the attributes of one frame, and return the faces as they were published.

        Args:
            header: of the image.
            seconds: the frame's time as the pipeline was given it.
            image: uint8 (H, W, 3), BGR.
            faces: what the pipeline returned.
        """
        settings = self.settings
        shown = [with_thresholds(face, settings.thresholds) for face in faces]
        size = (image.shape[1], image.shape[0])
        self._faces.publish(self._builder.build(header, seconds, size, shown))
        if self._hri is not None:
            self._hri.tasks = settings.pipeline.tasks
            self._hri.publish(header, image, shown)
        return shown

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

    def close(self) -> None:
        """Destroy all publishers."""
        for publisher in (self._faces, self._picture, self._compressed):
            self._node.destroy_lifecycle_publisher(publisher)
        if self._hri is not None:
            self._hri.close()


def with_thresholds(face: FaceAttributes, thresholds: Mapping[str, float]) -> FaceAttributes:
    """Return the face with other thresholds below which a label is unknown, for the tasks that are named.

    A uniform distribution, as of a task that is switched off or has no estimate yet, stays unknown.
    """
    changes: dict[str, Any] = {}
    for task, threshold in thresholds.items():
        distribution: Distribution = getattr(face, _FIELDS[task])
        if np.ptp(distribution.probabilities) > 0:
            changes[_FIELDS[task]] = replace(distribution, threshold=threshold)
    return replace(face, **changes) if changes else face
