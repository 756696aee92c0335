"""The topics of every face under /humans/faces, which live exactly as long as the face is tracked."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, FaceAttributes
from facial_attributes_ros.ros.perception.rep155.lists import FaceList
from facial_attributes_ros.ros.perception.rep155.messages import (
    cropped_message,
    expression_message,
    landmarks_message,
    roi_message,
    softbiometrics_message,
)
from facial_attributes_ros.ros.perception.rep155.publishing import ROOT, quiet_publisher
from facial_attributes_ros.ros.perception.settings import Settings

ESTIMATED: Final = {"softbiometrics": "SoftBiometrics", "expression": "Expression"}
"""Topics of a face with what the model estimates, and their messages in hri_msgs."""
DETECTED: Final = {"roi": "NormalizedRegionOfInterest2D", "landmarks": "FacialLandmarks"}
"""Topics of a face with what the detector finds, and their messages in hri_msgs; and `cropped`."""


class HriPublisher:
    """Publishes every face under its own topics.

    Args:
        node: the node whose publishers they become.
        hri: the module `hri_msgs.msg`.
        settings: of the node; may be set anew at any time.
        faces: the list of faces that is published with them; None for faces that another detector publishes, of which
            only the estimates are added.
    """

    def __init__(self, node: Node, hri: Any, settings: Settings, faces: FaceList | None) -> None:
        self._node = node
        self._hri = hri
        self._list = faces
        self.settings = settings
        self._faces: dict[str, dict[str, Publisher]] = {}

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
        self.keep(ids)
        if self._list is not None:
            self._list.publish(header, ids)
        for face in faces:
            self._publish_detected(header, image, face)
        self.publish_estimates(header, faces)

    def publish_estimates(self, header: Any, faces: Sequence[FaceAttributes]) -> None:
        """Publish what is known of faces; what is not known is not published.

        Args:
            header: of the image.
            faces: the faces.
        """
        tasks = self.settings.pipeline.tasks
        for face in faces:
            publishers = self._of(face.id)
            soft = softbiometrics_message(self._hri, header, face, tasks) if {AGE, GENDER} & set(tasks) else None
            if soft is not None:
                publishers["softbiometrics"].publish(soft)
            expression = expression_message(self._hri, header, face) if EMOTION in tasks else None
            if expression is not None:
                publishers["expression"].publish(expression)

    def wanted_tasks(self) -> set[str]:
        """Return the tasks whose results have a subscriber."""
        tasks: set[str] = set()
        # A future face has no topics yet; a subscriber of `tracked` will want them. Adding needs it for itself.
        ours = 1 if self._list is None else 0
        if self._node.count_subscribers(f"{ROOT}/tracked") > ours:
            tasks |= {AGE, GENDER, EMOTION}
        for publishers in self._faces.values():
            if publishers["softbiometrics"].get_subscription_count():
                tasks |= {AGE, GENDER}
            if publishers["expression"].get_subscription_count():
                tasks.add(EMOTION)
        return tasks

    def keep(self, ids: Collection[str]) -> None:
        """Destroy the publishers of all faces but those with these ids."""
        for gone in set(self._faces) - set(ids):
            for publisher in self._faces.pop(gone).values():
                self._node.destroy_publisher(publisher)

    def forget(self, header: Any) -> None:
        """Publish that no face is tracked any more, and destroy the faces' own publishers.

        Args:
            header: of the list.
        """
        if self._list is not None:
            self._list.publish(header, [])
        self.keep(())

    def close(self) -> None:
        """Destroy all publishers."""
        self.keep(())
        if self._list is not None:
            self._list.close()

    def _publish_detected(self, header: Any, image: NDArray[np.uint8], face: FaceAttributes) -> None:
        publishers, size = self._of(face.id), (image.shape[1], image.shape[0])
        publishers["roi"].publish(roi_message(self._hri, header, face, size))
        if publishers["cropped"].get_subscription_count():
            humans = self.settings.humans
            crop = cropped_message(header, image, face, (humans.crop_width, humans.crop_height))
            publishers["cropped"].publish(crop)
        if publishers["landmarks"].get_subscription_count():
            landmarks = landmarks_message(self._hri, header, face, size)
            if landmarks is not None:
                publishers["landmarks"].publish(landmarks)

    def _of(self, face_id: str) -> dict[str, Publisher]:
        """Return the publishers of a face; they are made when it is new."""
        if face_id not in self._faces:
            kinds: dict[str, Any] = {}
            if self._list is not None:
                kinds |= {name: getattr(self._hri, kind) for name, kind in DETECTED.items()} | {"cropped": Image}
            kinds |= {name: getattr(self._hri, kind) for name, kind in ESTIMATED.items()}
            topics = {name: quiet_publisher(self._node, kind, f"{face_id}/{name}") for name, kind in kinds.items()}
            self._faces[face_id] = topics
        return self._faces[face_id]
