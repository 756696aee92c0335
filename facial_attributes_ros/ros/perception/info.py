"""What runs, on the latched topic `faces/info`: model, licence, tasks and camera."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.node import Node

from facial_attributes_ros import __version__
from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.msg import PerceptionInfo, TaskInfo
from facial_attributes_ros.ros.perception.settings import Settings
from facial_attributes_ros.ros.topics import LATCHED, overridable

TOPIC = "faces/info"


@dataclass(frozen=True, slots=True)
class Running:
    """What the message holds.

    Attributes:
        spec: of the model.
        tasks: the tasks that are switched on.
        thresholds: the thresholds that the user set, per task.
        image_topic: topic of the images; empty while the node is not active.
        camera_frame: frame id of the newest image, empty before the first one.
    """

    spec: ModelSpec
    tasks: frozenset[str]
    thresholds: Mapping[str, float]
    image_topic: str = ""
    camera_frame: str = ""


def info_message(running: Running, stamp: Time) -> PerceptionInfo:
    """Return the message about a model and its tasks that run."""
    spec = running.spec
    return PerceptionInfo(
        stamp=stamp,
        model=spec.name,
        version=spec.version,
        hash=spec.short_hash,
        licence_spdx=spec.licence.spdx,
        commercial_use=spec.licence.commercial_use,
        licence_sources=list(spec.licence.sources),
        licence=spec.licence.text,
        tasks=[
            TaskInfo(
                name=task,
                labels=list(LABELS[task]),
                running=bool(running.image_topic) and task in running.tasks,
                threshold=float(running.thresholds.get(task, spec.thresholds[task])),
                untrained_labels=list(spec.untrained_labels.get(task, ())),
            )
            for task in spec.tasks
        ],
        image_topic=running.image_topic,
        camera_frame=running.camera_frame,
        node_version=__version__,
    )


class InfoPublisher:
    """Publishes what runs, when the node is activated or deactivated and at every change; from any thread.

    A late subscriber gets the last message, since the topic is transient local with a depth of 1.

    Args:
        node: whose publisher it is.
        spec: of the model.
        settings: of the node, see `settings_changed`.
    """

    def __init__(self, node: Node, spec: ModelSpec, settings: Settings) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._running = _running(spec, settings)
        self._published: Running | None = None
        self._publisher: Any = node.create_publisher(
            PerceptionInfo,
            TOPIC,
            LATCHED,
            qos_overriding_options=overridable(),
        )

    def activated(self, image_topic: str) -> None:
        """Publish that the node processes the images of a topic."""
        self._change(image_topic=image_topic, camera_frame="")

    def deactivated(self) -> None:
        """Publish that no task runs any more."""
        self._change(image_topic="", camera_frame="")

    def settings_changed(self, settings: Settings) -> None:
        """Publish the tasks and thresholds if they have changed."""
        new = _running(self._running.spec, settings)
        self._change(tasks=new.tasks, thresholds=new.thresholds)

    def model_changed(self, spec: ModelSpec) -> None:
        """Publish another model."""
        self._change(spec=spec)

    def image_received(self, frame_id: str) -> None:
        """Publish the frame id of the camera if it is another one than before; only while the node is active."""
        if frame_id != self._running.camera_frame:
            self._change(camera_frame=frame_id)

    def close(self) -> None:
        """Destroy the publisher."""
        self._node.destroy_publisher(self._publisher)

    def _change(self, **changes: Any) -> None:
        with self._lock:
            self._running = replace(self._running, **changes)
            # Before the first activation there is nothing to report.
            begun = self._published is not None or self._running.image_topic
            if begun and self._running != self._published:
                stamp = self._node.get_clock().now().to_msg()
                self._publisher.publish(info_message(self._running, stamp))
                self._published = self._running


def _running(spec: ModelSpec, settings: Settings) -> Running:
    return Running(spec, frozenset(settings.pipeline.tasks), dict(settings.pipeline.thresholds))
