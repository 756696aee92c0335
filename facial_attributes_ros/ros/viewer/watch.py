"""One view while a page shows it: its subscriptions, and what is known of it."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from facial_attributes_ros.attributes import TASKS
from facial_attributes_ros.msg import FaceAttributesArray, PerceptionInfo
from facial_attributes_ros.ros.conversion import ConversionError, compressed_to_bgr, image_to_bgr
from facial_attributes_ros.ros.records import array_record
from facial_attributes_ros.ros.topics import LATCHED, NEWEST_IMAGE
from facial_attributes_ros.ros.viewer.discovery import View, misfits
from facial_attributes_ros.ros.viewer.reasons import Situation, Task, why_unknown
from facial_attributes_ros.web.live.stream import ViewStream


class Watch:
    """Subscribes to the topics of a view, and brings images and faces together.

    Attributes:
        view: what is shown; the node sets it anew if the graph has changed.

    Args:
        node: whose subscriptions they are.
        view: at first.
        stream: takes what comes.
    """

    def __init__(self, node: Node, view: View, stream: ViewStream) -> None:
        self._node, self._stream = node, stream
        self._began = self._image_at = self._faces_at = time.monotonic()
        self._error = ""
        self._about: Any = None
        self._subscriptions: list[Any] = []
        self.view = view
        self._subscribe()

    def follow(self, view: View) -> None:
        """Continue with a view whose topics may have changed."""
        if view != self.view:
            self.close()
            self.view = view
            self._subscribe()

    def close(self) -> None:
        """End the subscriptions."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())

    def situation(self) -> Situation:
        """Return what is known of the view, without the diagnostics."""
        now, view = time.monotonic(), self.view
        cameras = self._node.count_publishers(view.image) if view.image else 0
        own = [self._node.get_fully_qualified_name(), *filter(None, [view.node])]
        return Situation(
            view.node,
            view.image,
            cameras,
            misfits(self._node, view.image, own) if cameras else [],
            now - self._image_at,
            now - self._faces_at if view.faces else None,
            diagnostics_silence=now - self._began,
            error=self._error,
        )

    def status(self) -> dict[str, Any]:
        """Return what the page shows beside the images: model, tasks and the last minute."""
        about = self._about
        return {
            "model": "" if about is None else f"{about.model} {about.version}".strip(),
            "licence": "" if about is None else about.licence,
            "tasks": list(self._running()),
            "history": self._stream.history(time.monotonic()),
        }

    def _subscribe(self) -> None:
        view, add = self.view, self._node.create_subscription
        if view.faces:
            self._subscriptions.append(add(FaceAttributesArray, view.faces, self._on_faces, QoSProfile(depth=10)))
        if view.info:
            self._subscriptions.append(add(PerceptionInfo, view.info, self._on_info, LATCHED))
        if view.image:
            kind, convert = (CompressedImage, compressed_to_bgr) if view.compressed else (Image, image_to_bgr)
            callback = partial(self._on_image, convert)
            self._subscriptions.append(add(kind, view.image, callback, NEWEST_IMAGE))

    def _on_info(self, message: Any) -> None:
        self._about = message

    def _on_faces(self, message: Any) -> None:
        self._faces_at = time.monotonic()
        record = array_record(message)
        tasks = self._tasks()
        for face in record["faces"]:
            face["why"] = why_unknown(face, tasks)
        self._give(lambda: self._stream.faces(record, self._faces_at, self._running()))

    def _on_image(self, convert: Callable[[Any], Any], message: Any) -> None:
        self._image_at = time.monotonic()
        stamp = message.header.stamp.sec, message.header.stamp.nanosec
        decode = partial(self._decoded, convert, message)
        self._give(lambda: self._stream.image(stamp, decode, len(message.data), self._image_at))

    def _decoded(self, convert: Callable[[Any], Any], message: Any) -> Any:
        image = convert(message)
        self._error = ""
        return image

    def _give(self, give: Callable[[], None]) -> None:
        """Give the stream something; an image that cannot be shown is a sentence on the page."""
        try:
            give()
        except ConversionError as error:
            self._error = str(error)

    def _tasks(self) -> dict[str, Task]:
        about = self._about
        return {} if about is None else {task.name: Task(task.running, task.threshold) for task in about.tasks}

    def _running(self) -> tuple[str, ...]:
        tasks = self._tasks()
        return tuple(task for task in TASKS if not tasks or (task in tasks and tasks[task].running))
