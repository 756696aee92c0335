"""What the viewer finds in a graph: perception nodes with their cameras, other cameras, and what does not fit."""

import time

import pytest

rclpy = pytest.importorskip("rclpy")
from rclpy.node import Node  # noqa: E402
from rclpy.qos import QoSProfile, qos_profile_sensor_data  # noqa: E402

DEADLINE = 60.0


@pytest.fixture
def nodes(ros_env, context):
    from facial_attributes_ros.msg import FaceAttributesArray, PerceptionInfo
    from sensor_msgs.msg import CompressedImage, Image

    def node(name, namespace="", publishes=(), subscribes=()):
        made = Node(name, namespace=namespace, context=context)
        kinds = {"faces": FaceAttributesArray, "faces/info": PerceptionInfo}
        for topic in publishes:
            kind = kinds.get(topic, CompressedImage if topic.endswith("compressed") else Image)
            made.create_publisher(kind, topic, qos_profile_sensor_data)
        for topic, qos in subscribes:
            made.create_subscription(Image, topic, lambda _: None, qos)
        opened.append(made)
        return made

    opened = []
    yield node
    for made in opened:
        made.destroy_node()


def eventually(answer, condition):
    deadline = time.monotonic() + DEADLINE
    while not condition(found := answer()):
        assert time.monotonic() < deadline, f"it stays {found}"
        time.sleep(0.02)
    return found


def test_it_finds_perception_nodes_and_cameras_and_what_does_not_fit(nodes):
    from facial_attributes_ros.ros.viewer.discovery import find_views, misfits

    viewer = nodes("viewer", "right")
    nodes("camera", publishes=["image", "image/compressed"])
    nodes("other", publishes=["door/image"])
    outputs = ["faces", "faces/info", "faces/image"]
    nodes("perception", "left", outputs, [("/image", qos_profile_sensor_data)])
    nodes("perception", "right", outputs, [("/image", QoSProfile(depth=5))])
    wanted = ["/right/faces", "/left/faces", "/door/image"]
    views = eventually(lambda: find_views(viewer), lambda found: [view.id for view in found] == wanted)
    right, left, door = views
    assert (right.node, right.image, right.info) == ("/right/perception", "/image", "/right/faces/info")
    assert left.title == "/left/perception on /image"
    assert (door.node, door.image, door.title) == ("", "/door/image", "/door/image")
    (sentence,) = eventually(lambda: misfits(viewer, "/image"), bool)
    assert sentence.startswith("/right/perception gets no images from /camera on /image")
    assert misfits(viewer, "/image", ["/left/perception"]) == []
