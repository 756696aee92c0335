"""The topics of REP-155 (ROS4HRI) under /humans/faces, where hri_msgs is installed."""

import importlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, FaceAttributes
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.crop import crop_face
from facial_attributes_ros.ros.conversion import bgr_fields

ROOT: Final = "/humans/faces"
CROP_SIZE: Final = 128
DEPTH: Final = 10

EXPRESSIONS: Final = {"surprise": "surprised", "fear": "scared", "disgust": "disgusted"}
"""Our emotions whose REP-155 expression has another name."""


def load_hri_messages(rep155: str) -> Any | None:
    """Return the module `hri_msgs.msg`, or None if it is not wanted, or not installed and not required.

    Args:
        rep155: `always` requires it, `auto` uses it if it is installed, `never` does not.

    Raises:
        UserError: it is required, but hri_msgs is not installed.
    """
    if rep155 == "never":
        return None
    try:
        return importlib.import_module("hri_msgs.msg")
    except ImportError as error:
        if rep155 == "always":
            text = "The parameter rep155 is always, but hri_msgs is not installed: install it, or set rep155 to auto."
            raise UserError(text) from error
        return None


@dataclass(frozen=True, slots=True)
class _FacePublishers:
    roi: Publisher
    cropped: Publisher
    softbiometrics: Publisher
    expression: Publisher


class HriPublisher:
    """Publishes every face under its own topics, which live exactly as long as the face is tracked.

    Args:
        node: the node whose publishers they become.
        hri: the module `hri_msgs.msg`.
        tasks: the tasks that are switched on; may be set anew at any time.
    """

    def __init__(self, node: Node, hri: Any, tasks: Sequence[str]) -> None:
        self._node = node
        self._hri = hri
        self.tasks = tuple(tasks)
        self._tracked = self._publisher(hri.IdsList, "tracked")
        self._faces: dict[str, _FacePublishers] = {}

    def publish(
        self, header: Any, image: NDArray[np.uint8], faces: Sequence[FaceAttributes], tracked: Collection[str]
    ) -> None:
        """Publish the faces of one frame, and destroy the publishers of faces that are gone.

        Args:
            header: of the image; every message gets it.
            image: uint8 (H, W, 3), BGR.
            faces: all faces of the frame; may be empty.
            tracked: ids of all faces that are tracked; those that are hidden for a moment keep their topics.
        """
        ids = [face.id for face in faces]
        ids += [known for known in self._faces if known in tracked and known not in ids]
        for gone in set(self._faces) - set(ids):
            self._destroy(self._faces.pop(gone))
        self._tracked.publish(self._hri.IdsList(header=header, ids=ids))
        for face in faces:
            publishers = self._faces.get(face.id) or self._add(face.id)
            publishers.roi.publish(self._roi(header, face, image.shape[1], image.shape[0]))
            if publishers.cropped.get_subscription_count():
                crop = crop_face(image, face.detection.box, CROP_SIZE, 0.0)
                publishers.cropped.publish(Image(header=header, **bgr_fields(crop)))
            if AGE in self.tasks or GENDER in self.tasks:
                publishers.softbiometrics.publish(self._softbiometrics(header, face))
            if EMOTION in self.tasks:
                publishers.expression.publish(self._expression(header, face))

    def wanted_tasks(self) -> set[str]:
        """Return the tasks whose results have a subscriber."""
        tasks: set[str] = set()
        # A future face has no topics yet; a subscriber of `tracked` will want them.
        if self._tracked.get_subscription_count():
            tasks |= {AGE, GENDER, EMOTION}
        for publishers in self._faces.values():
            if publishers.softbiometrics.get_subscription_count():
                tasks |= {AGE, GENDER}
            if publishers.expression.get_subscription_count():
                tasks.add(EMOTION)
        return tasks

    def forget(self, header: Any) -> None:
        """Publish that no face is tracked any more, and destroy the faces' own publishers.

        Args:
            header: of the list.
        """
        self._tracked.publish(self._hri.IdsList(header=header, ids=[]))
        self._destroy_all()

    def close(self) -> None:
        """Destroy all publishers."""
        self._destroy_all()
        self._node.destroy_publisher(self._tracked)

    def _destroy_all(self) -> None:
        for publishers in self._faces.values():
            self._destroy(publishers)
        self._faces.clear()

    def _publisher(self, kind: Any, name: str) -> Publisher:
        # These are created and destroyed in the worker's thread. Without event handlers the executor never waits for
        # them, so it cannot use one that is being destroyed.
        events = PublisherEventCallbacks(use_default_callbacks=False)
        return self._node.create_publisher(kind, f"{ROOT}/{name}", DEPTH, event_callbacks=events)

    def _add(self, face_id: str) -> _FacePublishers:
        hri = self._hri
        self._faces[face_id] = _FacePublishers(
            roi=self._publisher(hri.NormalizedRegionOfInterest2D, f"{face_id}/roi"),
            cropped=self._publisher(Image, f"{face_id}/cropped"),
            softbiometrics=self._publisher(hri.SoftBiometrics, f"{face_id}/softbiometrics"),
            expression=self._publisher(hri.Expression, f"{face_id}/expression"),
        )
        return self._faces[face_id]

    def _destroy(self, publishers: _FacePublishers) -> None:
        for name in _FacePublishers.__slots__:
            self._node.destroy_publisher(getattr(publishers, name))

    def _roi(self, header: Any, face: FaceAttributes, width: int, height: int) -> Any:
        x, y, box_width, box_height = (float(value) for value in face.detection.box)
        xmin, xmax = np.clip([x / width, (x + box_width) / width], 0, 1)
        ymin, ymax = np.clip([y / height, (y + box_height) / height], 0, 1)
        return self._hri.NormalizedRegionOfInterest2D(
            header=header,
            xmin=float(xmin),
            ymin=float(ymin),
            xmax=float(xmax),
            ymax=float(ymax),
            c=float(face.detection.score),
        )

    def _softbiometrics(self, header: Any, face: FaceAttributes) -> Any:
        message = self._hri.SoftBiometrics(header=header)
        if not np.isnan(face.age) and face.age_group.label is not None:
            # Completed years, as people count them, so that they lie in the age group of `faces`.
            message.age = int(np.clip(face.age, 0, 255))
            message.age_confidence = face.age_group.confidence
        if face.gender.label is not None:
            female = face.gender.label == "female"
            message.gender = self._hri.SoftBiometrics.FEMALE if female else self._hri.SoftBiometrics.MALE
            message.gender_confidence = face.gender.confidence
        return message

    def _expression(self, header: Any, face: FaceAttributes) -> Any:
        message = self._hri.Expression(header=header)
        label = face.emotion.label
        if label is not None:
            message.expression = EXPRESSIONS.get(label, label)
            message.confidence = face.emotion.confidence
        return message
