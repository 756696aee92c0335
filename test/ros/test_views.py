"""Faces in the messages of viewers, with stand-ins for their packages, and for real where these are installed."""

import importlib
import json
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS is not here: run make setup")

from std_msgs.msg import Header

from facial_attributes_ros.attributes import Detection, Distribution, FaceAttributes
from facial_attributes_ros.ros.perception import views


class Message(SimpleNamespace):
    """Any message; what is read before it is set is another message, and lists begin empty."""

    LINE_LOOP, POINTS = 2, 1

    def __getattr__(self, name):
        value = [] if name in ("results", "points", "texts") else Message()
        setattr(self, name, value)
        return value


class Package:
    def __getattr__(self, name):
        return Message


def module(name):
    """The messages of a package if it is installed, else stand-ins."""
    try:
        return importlib.import_module(f"{name}.msg")
    except ImportError:
        return Package()


def face(landmarks=True):
    points = np.array([[30, 20], [50, 20], [40, 30], [32, 40], [48, 40]], np.float32)
    detection = Detection(np.array([20, 10, 40, 50], np.float32), 0.9, *([points] if landmarks else []))
    gender = Distribution("gender", np.array([0.2, 0.8], np.float32), 0.5)
    unknown = [Distribution.unknown(task) for task in ("age", "emotion")]
    return FaceAttributes("fa", detection, np.nan, np.nan, unknown[0], gender, unknown[1], 1, 0.0)


def test_detections_have_the_box_the_id_and_what_is_known():
    message = views.detections_message(module("vision_msgs"), Header(frame_id="camera"), [face()])
    (found,) = message.detections
    assert (found.id, found.header.frame_id, message.header.frame_id) == ("fa", "camera", "camera")
    box = found.bbox
    assert (box.center.position.x, box.center.position.y, box.size_x, box.size_y) == (40, 35, 40, 50)
    hypotheses = [(one.hypothesis.class_id, round(one.hypothesis.score, 3)) for one in found.results]
    assert hypotheses == [("face", 0.9), ("gender/female", 0.8)]


def test_annotations_have_box_landmarks_and_label():
    header = Header()
    header.stamp.sec = 7
    message = views.annotations_message(module("foxglove_msgs"), header, [face(), face(landmarks=False)])
    box, landmarks, other = message.points
    assert [(point.x, point.y) for point in box.points] == [(20, 10), (60, 10), (60, 60), (20, 60)]
    assert (box.type, landmarks.type, other.type) == (2, 1, 2)
    assert (len(landmarks.points), box.timestamp.sec) == (5, 7)
    assert any("female" in text.text for text in message.texts)


def test_they_are_published_where_the_packages_are_and_somebody_looks(monkeypatch):
    made, sent = {}, []

    def create(_kind, topic, _qos, **_options):
        made[topic] = SimpleNamespace(subscribers=0, publish=sent.append)
        made[topic].get_subscription_count = lambda: made[topic].subscribers
        return made[topic]

    node = SimpleNamespace(create_lifecycle_publisher=create, destroy_lifecycle_publisher=lambda one: made.clear())
    monkeypatch.setitem(sys.modules, "vision_msgs.msg", Package())
    monkeypatch.setitem(sys.modules, "foxglove_msgs.msg", None)  # as if it were not installed
    with ExitStack() as opened:
        published = views.ViewPublishers(node, opened)
        assert list(made) == ["faces/detections"]
        published.publish(Header(), [face()])
        assert (sent, published.wanted) == ([], False)
        made["faces/detections"].subscribers = 1
        published.publish(Header(), [face()])
        assert (len(sent), published.wanted) == (1, True)
    assert not made


def test_the_configurations_of_viewers_show_topics_of_the_node():
    root = Path(__file__).resolve().parents[2] / "config"
    page = (root.parent / "docs" / "api.md").read_text(encoding="utf-8")
    rviz = yaml.safe_load((root / "faces.rviz").read_text(encoding="utf-8"))["Visualization Manager"]["Displays"]
    layout = json.loads((root / "foxglove.json").read_text(encoding="utf-8"))
    topics = [display["Topic"]["Value"] for display in rviz if "Topic" in display]
    text = json.dumps(layout["configById"])
    topics += [topic for topic in re.findall(r'"(/[a-z_/]+)', text) if topic != "/image"]
    assert {"/faces/image", "/faces/annotations", "/faces/pose_array", "/diagnostics"} <= set(topics)
    for topic in topics:
        assert f"`{topic}`" in page or f"`{topic[1:]}`" in page, topic
    assert set(re.findall(r"\w+!\w+", json.dumps(layout["layout"]))) == set(layout["configById"])
