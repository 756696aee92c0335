"""The camera node as a process: what it shows, how it ends, and what it says when it cannot."""

from functools import partialmethod

import cv2
import numpy as np
import pytest

from facial_attributes_ros.errors import UserError

DEADLINE = 100.0


def frames(heard, count):
    return len(heard) >= count


def test_the_sample_comes_stamped_in_order_and_ends_with_ctrl_c(graph):
    camera = graph.node(
        "camera", "--ros-args", "-p", "rate:=10.0", "-p", "frame_id:=eye", "-p", "width:=320", "-p", "height:=240"
    )
    listener = graph.peer()
    listener.listen("image", "sensor_msgs/Image", best_effort=True)
    heard = listener.hear("image", lambda heard: frames(heard, 5))
    assert {(m["width"], m["height"], m["step"], m["encoding"]) for m in heard} == {(320, 240, 960, "bgr8")}
    assert {m["header"]["frame_id"] for m in heard} == {"eye"}
    times = [m["header"]["stamp"]["sec"] + m["header"]["stamp"]["nanosec"] * 1e-9 for m in heard]
    assert times == sorted(set(times))
    assert len({m["data"]["hash"] for m in heard}) > 1
    assert camera.interrupt() == 0


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "short.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for value in range(0, 250, 50):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    return path


def test_a_video_ends_with_a_sentence_or_begins_again(graph, video):
    reliable = ["-p", "qos_overrides./once.publisher.reliability:=reliable"]
    once = graph.node("camera", "--ros-args", "-p", f"source:={video}", "-r", "image:=once", *reliable)
    again = graph.node("camera", "--ros-args", "-p", f"source:={video}", "-p", "loop:=true", "-r", "image:=looped")
    listener = graph.peer()
    listener.listen("once", "sensor_msgs/Image")
    listener.listen("looped", "sensor_msgs/Image", best_effort=True)
    once.wait_for_text("has ended")
    assert once.child.wait(DEADLINE) == 0
    # The last one may be under way still when its sender ends.
    assert len(listener.hear("once", lambda heard: frames(heard, 3))) <= 5
    listener.hear("looped", lambda heard: frames(heard, 12))
    assert again.interrupt() == 0


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ("source:=/no/such/file.mp4", "no file /no/such/file.mp4"),
        ("source:=webcam:97", "no webcam 97"),
        ("width:=wide", "parameter width takes a whole number from 16 to 16384"),
        ("use_sim_time:=maybe", "use_sim_time"),
        ("camrea:loop:=true", "given to the node camrea, but this node is /camera"),
    ],
)
def test_a_source_that_cannot_be_shown_is_a_sentence(graph, parameter, reason):
    camera = graph.node("camera", "--ros-args", "-p", parameter)
    camera.wait_for_text(reason)
    assert camera.child.wait(DEADLINE) == 2
    camera.wait_for(lambda _: camera.silent)
    assert len([line for line in camera.lines if line.strip()]) == 1


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [("rate:=-1.0", "parameter rate"), ("sorce:=webcam", r"no parameter sorce \(did you mean source\?\)")],
)
def test_the_node_refuses_what_its_parameters_do_not_take(ros_context, monkeypatch, parameter, reason):
    from facial_attributes_ros.ros.camera import node

    context = ros_context("-p", parameter)
    monkeypatch.setattr(node.Node, "__init__", partialmethod(node.Node.__init__, context=context))
    with pytest.raises(UserError, match=reason):
        node.Camera(lambda _: None)


def test_a_params_file_that_gives_the_node_nothing_is_a_sentence(graph, tmp_path):
    file = tmp_path / "camera.yaml"
    file.write_text("/**: {camera: {ros__parameters: {loop: true}}}")
    camera = graph.node("camera", "--ros-args", "-r", "__node:=eye", "--params-file", str(file))
    camera.wait_for_text("holds nothing for the node /eye, only for /**/camera")
    assert camera.child.wait(DEADLINE) == 2
