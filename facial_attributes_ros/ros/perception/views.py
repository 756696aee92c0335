"""Faces in the messages that viewers show, where their packages are installed: vision_msgs and foxglove_msgs."""

import importlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
from rclpy.lifecycle import LifecycleNodeMixin

from facial_attributes_ros.attributes import FaceAttributes
from facial_attributes_ros.imaging.labels import full_lines
from facial_attributes_ros.ros.perception.publishing import lifecycle_publisher

DETECTIONS, ANNOTATIONS = "faces/detections", "faces/annotations"
_COLOUR: Final = {"r": 0.1, "g": 0.9, "b": 0.4, "a": 1.0}
_BEHIND: Final = {"r": 0.0, "g": 0.0, "b": 0.0, "a": 0.6}
_LEAST_FONT: Final = 10.0

Faces = Sequence[FaceAttributes]


def detections_message(vision: Any, header: Any, faces: Faces) -> Any:
    """Return a `vision_msgs/Detection2DArray`: box and id of each face, and what is known of it as hypotheses.

    The first hypothesis is `face` with the detector's confidence. The others are the labels that are known, such as
    `gender/female`, with their probabilities.

    Args:
        vision: the module `vision_msgs.msg`.
        header: of the image.
        faces: of the image.
    """
    detections = []
    for face in faces:
        x, y, width, height = (float(value) for value in face.detection.box)
        message = vision.Detection2D(header=header, id=face.id)
        message.bbox.center.position.x, message.bbox.center.position.y = x + width / 2, y + height / 2
        message.bbox.size_x, message.bbox.size_y = width, height
        named = [("face", float(face.detection.score))]
        for name, one in (("age_group", face.age_group), ("gender", face.gender), ("emotion", face.emotion)):
            if one.label is not None:
                named.append((f"{name}/{one.label}", one.confidence))
        for class_id, score in named:
            hypothesis = vision.ObjectHypothesisWithPose()
            hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = class_id, score
            message.results.append(hypothesis)
        detections.append(message)
    return vision.Detection2DArray(header=header, detections=detections)


def annotations_message(foxglove: Any, header: Any, faces: Faces) -> Any:
    """Return a `foxglove_msgs/ImageAnnotations`: box, landmarks and label of each face, in pixels of the image.

    Args:
        foxglove: the module `foxglove_msgs.msg`.
        header: of the image.
        faces: of the image.
    """

    def points(kind: int, places: Any, thickness: float) -> Any:
        return foxglove.PointsAnnotation(
            timestamp=header.stamp,
            type=kind,
            points=[foxglove.Point2(x=float(x), y=float(y)) for x, y in places],
            outline_color=foxglove.Color(**_COLOUR),
            thickness=thickness,
        )

    message = foxglove.ImageAnnotations()
    for face in faces:
        x, y, width, height = (float(value) for value in face.detection.box)
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        message.points.append(points(foxglove.PointsAnnotation.LINE_LOOP, corners, 2.0))
        if np.isfinite(face.detection.landmarks).all():
            message.points.append(points(foxglove.PointsAnnotation.POINTS, face.detection.landmarks, 3.0))
        size = max(height / 8, _LEAST_FONT)
        for row, line in enumerate(reversed(full_lines(face.to_dict()))):
            message.texts.append(
                foxglove.TextAnnotation(
                    timestamp=header.stamp,
                    position=foxglove.Point2(x=x, y=y - 1.3 * size * row),
                    text=line,
                    font_size=size,
                    text_color=foxglove.Color(**_COLOUR),
                    background_color=foxglove.Color(**_BEHIND),
                )
            )
    return message


_VIEWS: Final[tuple[tuple[str, str, str, Callable[[Any, Any, Faces], Any]], ...]] = (
    ("vision_msgs", "Detection2DArray", DETECTIONS, detections_message),
    ("foxglove_msgs", "ImageAnnotations", ANNOTATIONS, annotations_message),
)
"""Package, message, topic, and what makes the message."""


class ViewPublishers:
    """Publishes faces in the messages of viewers, each only while somebody subscribes.

    Args:
        node: whose publishers they are.
        opened: is given what destroys them.
    """

    def __init__(self, node: LifecycleNodeMixin, opened: ExitStack) -> None:
        self._views: list[tuple[Any, Any, Callable[[Any, Any, Faces], Any]]] = []
        for package, kind, topic, make in _VIEWS:
            try:
                module = importlib.import_module(f"{package}.msg")
            except ImportError:  # it is not installed: the topic is not there
                continue
            publisher = lifecycle_publisher(node, getattr(module, kind), topic, 1, opened)
            self._views.append((publisher, module, make))

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes to one of them."""
        return any(publisher.get_subscription_count() for publisher, _, _ in self._views)

    def publish(self, header: Any, faces: Faces) -> None:
        """Publish the faces of an image.

        Args:
            header: of the image.
            faces: of the image; may be empty.
        """
        for publisher, module, make in self._views:
            if publisher.get_subscription_count():
                publisher.publish(make(module, header, faces))
