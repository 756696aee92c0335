"""The faces of another detector: its list, and the newest image of each face."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from facial_attributes_ros.ros.perception.rep155.publishing import ROOT, TRACKED

ANY_PUBLISHER: Final = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Of a subscription that also hears who publishes with best effort."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest image of a face.

    Attributes:
        id: of the face.
        message: `sensor_msgs/Image`, the face with little around it.
        score: confidence of the detector, 0 to 1.
        arrived: as the receiver recorded it.
    """

    id: str
    message: Any
    score: float
    arrived: float


class FollowedFaces:
    """Subscribes to `cropped` and `roi` of every face in another detector's list; from any thread.

    Args:
        node: subscribes.
        hri: the module `hri_msgs.msg`.
        received: called with the message of each face's image; returns its time of arrival.
        dropped: called for each image that is replaced by a newer one before it was taken.
        offer: called with the time of arrival when there is an image to take.

    Attributes:
        ids: of the faces in the list.
    """

    def __init__(
        self,
        node: Node,
        hri: Any,
        received: Callable[[Any], float],
        dropped: Callable[[], None],
        offer: Callable[[float], None],
    ) -> None:
        self._node, self._hri = node, hri
        self._received, self._dropped, self._offer = received, dropped, offer
        self._lock = threading.Lock()
        self.ids: frozenset[str] = frozenset()
        self._faces: dict[str, ExitStack] = {}
        self._scores: dict[str, float] = {}
        self._fresh: dict[str, Seen] = {}
        self._list = node.create_subscription(hri.IdsList, TRACKED, self._on_list, ANY_PUBLISHER)

    def take(self) -> list[Seen]:
        """Return the images that have come since the last call, the newest of each face."""
        with self._lock:
            seen = list(self._fresh.values())
            self._fresh.clear()
        return seen

    def forget(self) -> None:
        """Forget all faces."""
        self._keep(())

    def close(self) -> None:
        """Unsubscribe from everything."""
        with ExitStack() as steps:
            steps.callback(self.forget)
            steps.callback(self._node.destroy_subscription, self._list)

    def _on_list(self, message: Any) -> None:
        self._keep(message.ids)
        for face_id in message.ids:
            if face_id not in self._faces:
                self._faces[face_id] = self._subscribe(face_id)

    def _keep(self, ids: Sequence[str]) -> None:
        self.ids = frozenset(ids)
        for gone in set(self._faces) - set(ids):
            self._faces.pop(gone).close()
            with self._lock:
                self._fresh.pop(gone, None)
            self._scores.pop(gone, None)

    def _subscribe(self, face_id: str) -> ExitStack:
        def on_roi(message: Any) -> None:
            self._scores[face_id] = float(message.c)

        def on_image(message: Any) -> None:
            self._on_image(face_id, message)

        with ExitStack() as opened:
            for kind, name, callback in (
                (self._hri.NormalizedRegionOfInterest2D, "roi", on_roi),
                (Image, "cropped", on_image),
            ):
                topic = f"{ROOT}/{face_id}/{name}"
                subscription = self._node.create_subscription(kind, topic, callback, ANY_PUBLISHER)
                opened.callback(self._node.destroy_subscription, subscription)
            return opened.pop_all()

    def _on_image(self, face_id: str, message: Any) -> None:
        arrived = self._received(message)
        # Some detectors leave the confidence of a region at 0.
        seen = Seen(face_id, message, self._scores.get(face_id, 0.0) or 1.0, arrived)
        with self._lock:
            replaced = face_id in self._fresh
            self._fresh[face_id] = seen
        if replaced:
            self._dropped()
        self._offer(arrived)
