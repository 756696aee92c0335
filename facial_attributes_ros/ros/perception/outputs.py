"""Everything that the perception node publishes for a frame: attributes, poses, annotated images, REP-155 topics."""

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNodeMixin
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from typing_extensions import Self

from facial_attributes_ros.attributes import AGE, FaceAttributes
from facial_attributes_ros.imaging.drawing import Annotator
from facial_attributes_ros.msg import FaceAttributesArray
from facial_attributes_ros.pipeline import FrameResult
from facial_attributes_ros.ros.conversion import bgr_fields, jpeg_bytes
from facial_attributes_ros.ros.messages import faces_message, shifted
from facial_attributes_ros.ros.optional_messages import optional_messages
from facial_attributes_ros.ros.perception.poses import PosePublishers
from facial_attributes_ros.ros.perception.publishing import lifecycle_publisher
from facial_attributes_ros.ros.perception.rep155.faces import HriPublisher
from facial_attributes_ros.ros.perception.rep155.lists import FaceList, MergedList, OwnList
from facial_attributes_ros.ros.perception.rep155.others import OtherPublishers
from facial_attributes_ros.ros.perception.settings import Settings
from facial_attributes_ros.ros.perception.views import ViewPublishers
from facial_attributes_ros.ros.topics import ACKNOWLEDGED, compressed_twin

FACES_DEPTH, DEBUG_DEPTH = 10, 1


@dataclass(frozen=True, slots=True)
class _Frame:
    """The last published frame: the image's header and size, and when it was published."""

    header: Any
    size: tuple[int, int]
    published: Time


@dataclass(frozen=True, slots=True)
class _Humans:
    """What belongs to REP-155: nothing where hri_msgs is not used, else one of each."""

    publishers: tuple[HriPublisher, ...] = ()
    looks: tuple[OtherPublishers, ...] = ()

    @classmethod
    def open(cls, node: LifecycleNodeMixin, hri: Any, settings: Settings, opened: ExitStack) -> Self:
        """Create the publishers, and look for other nodes that publish the same list."""
        mode = settings.node.rep155
        faces: FaceList | None = None
        if mode == "merge":
            faces = MergedList(node, hri, settings.humans.topics)
        elif mode != "add":
            faces = OwnList(node, hri)
        if settings.humans.lists and mode != "merge":
            node.get_logger().warning(f"humans.lists is for rep155: merge, but rep155 is {mode}: it has no effect.")
        publisher = HriPublisher(node, hri, settings, faces)
        opened.callback(publisher.close)
        look = OtherPublishers(node, mode, faces)
        opened.callback(look.close)
        return cls((publisher,), (look,))


class Outputs:
    """The publishers of a configured node; made by `open`.

    Attributes:
        model: name of the model; may be set anew between two frames.
        poses: the publishers of poses.
    """

    def __init__(
        self,
        node: LifecycleNodeMixin,
        settings: Settings,
        model: str,
        publishers: Sequence[Any],
        humans: "_Humans",
        poses: PosePublishers,
        views: ViewPublishers,
        opened: ExitStack,
    ) -> None:
        self._settings = settings
        self._node, self.model = node, model
        self._faces, self._image, self._compressed = publishers
        self._humans, self.poses, self._views = humans, poses, views
        self._opened = opened
        self._annotator = Annotator()
        self._last: _Frame | None = None  # None: no frame since the lists were closed

    @classmethod
    def open(cls, node: LifecycleNodeMixin, settings: Settings, model: str) -> Self:
        """Create the publishers; if one fails, the others are destroyed.

        Args:
            node: whose publishers they are.
            settings: tasks and the quality of images.
            model: name of the model.

        Raises:
            UserError: the parameter rep155 is always, but hri_msgs is not installed; or pose.tf, but tf2_msgs is not.
        """
        topics = (
            (FaceAttributesArray, "faces", FACES_DEPTH),
            (Image, "faces/image", DEBUG_DEPTH),
            (CompressedImage, compressed_twin(node, "faces/image"), DEBUG_DEPTH),
        )
        hri = optional_messages("hri_msgs", "rep155", settings.node.rep155)
        with ExitStack() as opened:
            publishers = [lifecycle_publisher(node, kind, topic, depth, opened) for kind, topic, depth in topics]
            humans = _Humans() if hri is None else _Humans.open(node, hri, settings, opened)
            poses = PosePublishers(node, settings.pose.tf)
            opened.callback(poses.close)
            views = ViewPublishers(node, opened)
            return cls(node, settings, model, publishers, humans, poses, views, opened.pop_all())

    @property
    def settings(self) -> Settings:
        """Tasks and the quality of images; may be set anew at any time."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._settings = settings
        for publisher in self._humans.publishers:
            publisher.settings = settings

    @property
    def conflict(self) -> str:
        """A sentence about other publishers of the list of REP-155; empty if all is well."""
        return " ".join(look.sentence for look in self._humans.looks)

    def close(self) -> None:
        """Destroy all publishers, once the last lists are acknowledged."""
        with self._opened:
            self._faces.wait_for_all_acked(ACKNOWLEDGED)

    def wanted_tasks(self) -> tuple[str, ...]:
        """Return the tasks that are switched on and whose results have a subscriber."""
        on = self.settings.pipeline.tasks
        arrays = (self._faces, self._image, self._compressed)
        if self._views.wanted or any(publisher.get_subscription_count() for publisher in arrays):
            return on
        wanted = {task for humans in self._humans.publishers for task in humans.wanted_tasks()}
        if self.poses.wanted():  # the size of a head follows from the age
            wanted.add(AGE)
        return tuple(task for task in on if task in wanted)

    def publish_attributes(self, header: Any, image: NDArray[np.uint8], result: FrameResult) -> None:
        """Publish the attributes of one frame.

        Args:
            header: of the image.
            image: uint8 (H, W, 3), BGR.
            result: what the pipeline returned.
        """
        size = (image.shape[1], image.shape[0])
        self._faces.publish(faces_message(self.model, header, size, result.faces))
        for humans in self._humans.publishers:
            humans.publish(header, image, result.faces, result.tracked)
        self._views.publish(header, result.faces)
        self._last = _Frame(header, size, self._node.get_clock().now())

    def add_estimates(self, header: Any, faces: Sequence[FaceAttributes], tracked: Collection[str]) -> None:
        """Publish the estimates for faces of another detector.

        Args:
            header: of the faces' images.
            faces: those that are in view.
            tracked: ids of all faces in the other detector's list.
        """
        for humans in self._humans.publishers:
            humans.keep(tracked)
            humans.publish_estimates(header, faces)

    def publish_image(self, header: Any, image: NDArray[np.uint8], faces: Sequence[FaceAttributes]) -> None:
        """Publish the annotated image, raw and compressed, each only if it has a subscriber.

        Raises:
            ConversionError: the image cannot be encoded.
        """
        raw, compressed = (each.get_subscription_count() for each in (self._image, self._compressed))
        if not (raw or compressed):
            return
        drawn = self._annotator.draw(image, faces, self.settings.pipeline.tasks)
        if raw:
            self._image.publish(Image(header=header, **bgr_fields(drawn)))
        if compressed:
            data = jpeg_bytes(drawn, self.settings.debug.jpeg_quality)
            self._compressed.publish(CompressedImage(header=header, format="bgr8; jpeg compressed bgr8", data=data))

    def close_lists(self) -> None:
        """Publish empty lists of faces after the last frame's, once: no face is in view any more.

        They have the last frame's `frame_id` and its time plus the time that has passed since, on the node's clock.
        """
        last, self._last = self._last, None
        if last is None:
            return
        passed = max((self._node.get_clock().now() - last.published).nanoseconds, 1)
        header = Header(frame_id=last.header.frame_id, stamp=shifted(last.header.stamp, passed))
        self._faces.publish(faces_message(self.model, header, last.size, []))
        self.poses.close_lists(header)
        for humans in self._humans.publishers:
            humans.forget(header)
        self._views.publish(header, [])
