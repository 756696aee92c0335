"""Compressed twins are where their topics are."""

import pytest

TWIN = "image/compressed"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], "/robot/image/compressed"),
        (["image:=/camera/raw"], "/camera/raw/compressed"),
        (["image:=front/image"], "/robot/front/image/compressed"),
        ([f"{TWIN}:=/camera/jpeg"], "/camera/jpeg"),
        (["image:=/camera/raw", f"{TWIN}:=/camera/jpeg"], "/camera/jpeg"),
        (["image:=/camera/raw", f"/robot/{TWIN}:=jpeg"], "/robot/jpeg"),
    ],
)
def test_a_compressed_topic_follows_its_topic_unless_it_is_remapped_itself(ros_context, rules, expected):
    from rclpy.node import Node

    from facial_attributes_ros.ros.topics import compressed_twin

    context = ros_context(*(part for rule in rules for part in ("-r", rule)))
    node = Node("eyes", namespace="robot", context=context)
    assert node.resolve_topic_name(compressed_twin(node, "image")) == expected
    node.destroy_node()
