import numpy as np
import pytest

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.pipeline import FramePipeline

messages = pytest.importorskip("facial_attributes_ros.ros.messages", reason="neither ROS nor the messages are here")
std_msgs = pytest.importorskip("std_msgs.msg")
Time = pytest.importorskip("builtin_interfaces.msg").Time

FRAME = np.zeros((48, 64, 3), np.uint8)


class Engine:
    """Estimates uniform distributions."""

    spec = ModelSpec("fake", BackboneReference("none"), image_size=112, mean=(0.5,) * 3, std=(0.5,) * 3)

    def from_frame(self, image, boxes, tasks, landmarks=None):
        return {task: np.zeros((len(boxes), self.spec.outputs(task)), np.float32) for task in tasks}


class Detector:
    """Sees one face, but not in every frame."""

    options = None

    def __init__(self):
        self.hidden = False

    def detect(self, image):
        return [] if self.hidden else [Detection(np.array([10, 10, 20, 20], np.float32), 0.9)]


def test_updated_is_exactly_the_stamp_of_an_image_however_long_ago():
    detector = Detector()
    pipeline, stamps, updated = FramePipeline(detector, Engine()), set(), []
    for count in range(60):
        stamp = Time(sec=1_700_000_000 + count // 10, nanosec=count % 10 * 100_000_000 + 123_457 + count)
        stamps.add((stamp.sec, stamp.nanosec))
        detector.hidden = count % 12 in (8, 9)
        seconds = messages.FrameTime(stamp.sec + stamp.nanosec * 1e-9, stamp)
        tasks = () if count < 6 or 30 < count < 50 else None  # for a while, nobody listens
        faces = pipeline.process(FRAME, seconds, tasks).faces
        message = messages.faces_message("small", std_msgs.Header(stamp=stamp), (64, 48), faces)
        updated += [(face.updated.sec, face.updated.nanosec) for face in message.faces]
    assert len(updated) > 40
    assert set(updated) <= stamps
    assert len(set(updated)) > 10
