"""The perception node on a live graph of processes: what comes out for what goes in."""

import math
import time
from base64 import b64encode
from functools import partial

import cv2
import numpy as np
import pytest

ARRAY = "facial_attributes_ros/FaceAttributesArray"
CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4
UNCONFIGURED_SHUTDOWN = 5
LOG_PERIOD = 5.0


@pytest.fixture(scope="module")
def live(shared_graph):
    """A node, a camera and a listener for all tests that do not need others; each has stamps of its own."""
    return shared_graph.running()


def test_messages_copy_the_header_and_carry_every_field_in_order(live, image):
    _, camera, listener = live
    camera.send(listener, image(stamp=(1, 0)))
    for count in (2, 0, 1):
        array = camera.send(listener, image(faces=count, stamp=(1700000000 + count, 123456789), frame_id="left_eye"))
        assert array["header"]["frame_id"] == "left_eye"
        assert (array["image_width"], array["image_height"], array["model"]) == (64, 48, "small")
        assert [face["id"] for face in array["faces"]] == [f"f{index}" for index in range(count)]
    face = array["faces"][0]
    assert face["updated"] == array["header"]["stamp"]
    assert face["roi"] == {"x_offset": 10, "y_offset": 5, "height": 16, "width": 16, "do_rectify": False}
    assert face["landmarks"] == list(range(10))
    assert (face["age"], face["age_group"], face["gender"], face["emotion"], face["observations"]) == (30, 1, 1, 1, 3)
    for task in ("age_group", "gender", "emotion"):
        assert math.isclose(sum(face[f"{task}_probabilities"]), 1, abs_tol=1e-5)
    order = list(dict.fromkeys(listener.stamps("faces")))
    assert order[-3:] == [(1700000000 + n, 123456789) for n in (2, 0, 1)]


def test_invalid_images_are_named_in_the_log_and_the_next_valid_one_counts(live, image):
    node, camera, listener = live
    camera.send(listener, image(stamp=(2, 0)))
    bad = [
        ({"encoding": "smell8"}, "smell8"),
        ({"step": 7}, "step is only 7"),
        ({"height": 47}, "bytes of data"),
        ({"height": 0, "width": 0, "step": 0, "data_base64": ""}, "no pixels"),
    ]
    for change, reason in bad:
        camera.send_until(node, reason, image(faces=1, stamp=(50, 0)) | change)
    camera.send_until(node, "the picture says so", image(faces=1, fail=1, stamp=(50, 0)))
    one_pixel = image(stamp=(60, 0), size=(1, 1))
    assert camera.send(listener, one_pixel)["image_width"] == 1
    assert len(camera.send(listener, image(faces=3, stamp=(61, 0)))["faces"]) == 3
    assert (50, 0) not in listener.stamps("faces")


def test_an_odd_stamp_is_no_jump_in_time(live, image):
    node, camera, listener = live
    camera.send(listener, image(stamp=(100, 0)))
    camera.send_until(node, "its stamp is -0.080 s", image(stamp=(99, 920_000_000)))
    camera.send(listener, image(stamp=(100, 50_000_000)))
    camera.send_until(node, "its stamp is +3600.", image(stamp=(3700, 50_000_000)))
    camera.send(listener, image(stamp=(100, 60_000_000)))
    camera.send(listener, image(stamp=(3, 0)))


def test_another_camera_on_the_topic_resets_the_tracks(live, image):
    node, camera, listener = live
    camera.send(listener, image(stamp=(150, 0)))
    before = node.lines.count("reset")
    camera.send_until(node, "changed from 64x48 of frame 'camera' to 64x48 of frame 'left'", image(frame_id="left"))
    camera.send_until(node, "to 32x48 of frame 'left'", image(frame_id="left", size=(32, 48)))
    assert node.lines.count("reset") == before + 2


def test_poses_follow_faces_once_the_camera_is_known(live, image):
    """The eyes of the stand-in's faces are at (0, 1) and (2, 3) pixels."""
    _, camera, listener = live
    assert camera.ask("count", topic="/camera_info")[1] == 0
    listener.listen("faces/pose", "facial_attributes_ros/FacePoseArray")
    info = {
        "width": 64,
        "height": 48,
        "distortion_model": "plumb_bob",
        "k": [50.0, 0.0, 32.0, 0.0, 50.0, 24.0, 0.0, 0.0, 1.0],
    }
    camera.publish({"header": {"frame_id": "eye"}, **info}, topic="camera_info", kind="sensor_msgs/CameraInfo")
    frame = image(faces=2, stamp=(170, 7), frame_id="eye")
    camera.publish_until(listener, lambda: (170, 7) in listener.stamps("faces/pose"), frame, "an array of poses")
    array = listener.messages("faces/pose")[-1]
    assert array["header"]["frame_id"] == "eye"
    assert [face["id"] for face in array["faces"]] == ["f0", "f1"]
    bearing = np.array([array["faces"][0]["bearing"][axis] for axis in "xyz"])
    expected = np.array([(1 - 32) / 50, (2 - 24) / 50, 1])
    np.testing.assert_allclose(bearing, expected / np.linalg.norm(expected), atol=2e-3)


def test_the_same_warning_is_not_repeated_for_every_image(graph, image):
    node, camera, listener = graph.running(STUB_LOG_PERIOD=str(LOG_PERIOD))
    camera.send(listener, image(stamp=(1, 0)))
    begun = time.monotonic()
    camera.send_until(node, "step is only", image(stamp=(50, 0)) | {"step": 7})
    for count in range(20):
        camera.publish(image(stamp=(51 + count, 0)) | {"step": 7})
    camera.send(listener, image(stamp=(99, 0)))
    periods = (time.monotonic() - begun) / LOG_PERIOD
    assert len([line for line in node.lines if "step is only" in line]) <= 1 + periods


def statuses(heard):
    return [status for message in heard for status in message["status"]]


def values(status):
    return {value["key"]: value["value"] for value in status["values"]}


def test_only_the_newest_image_is_worked_on(graph, image, tmp_path):
    node, camera, listener = graph.running(STUB_GATE=str(tmp_path / "gate"))
    listener.listen("/diagnostics", "diagnostic_msgs/DiagnosticArray")
    camera.send_until(node, "at work", image(hold=1, stamp=(100, 0)))
    for second in range(200, 220):
        camera.publish(image(faces=1, stamp=(second, 0)))

    def dropped():
        return [s for s in statuses(listener.messages("/diagnostics")) if int(values(s)["images dropped"]) >= 5]

    camera.publish_until(listener, dropped, image(faces=1, stamp=(220, 0)), "the number of dropped images")
    (tmp_path / "gate").touch()
    camera.send(listener, image(faces=1, stamp=(300, 0)))
    worked_on = list(dict.fromkeys(listener.stamps("faces")))
    assert worked_on == sorted(worked_on)
    # One waited in the slot; one or two more may have been on their way there.
    assert len([stamp for stamp in worked_on if 200 <= stamp[0] < 300]) <= 4


def test_the_lifecycle_goes_round_and_nothing_is_published_while_inactive(graph, image):
    node = graph.stub("--ros-args", "-p", "autostart:=false")
    camera, listener = graph.peer(), graph.peer()
    listener.listen("faces", ARRAY)
    assert listener.state() == "unconfigured"
    assert not listener.transition(ACTIVATE)
    for round_ in range(2):
        assert listener.transition(CONFIGURE)
        assert listener.state() == "inactive"
        assert listener.transition(ACTIVATE)
        assert listener.state() == "active"
        assert camera.send(listener, image(faces=1, stamp=(10 + round_, 0)))["faces"]
        assert listener.transition(DEACTIVATE)
        listener.wait_for_answer("count", lambda counts: counts[1] == 0, topic="/image")
        assert listener.transition(CLEANUP)
        assert listener.state() == "unconfigured"
        listener.wait_for_answer("count", lambda counts: counts[0] == 0, topic="/faces")
    assert listener.transition(UNCONFIGURED_SHUTDOWN)
    assert listener.state() == "finalized"
    assert node.interrupt() == 0


def says(reason, heard):
    """Whether an error with a reason is among the diagnostics."""
    return any(status["level"] == 2 and reason in status["message"] for status in statuses(heard))


def test_what_configure_refuses_can_be_mended_one_by_one(graph):
    bad = {"detection.size": 5, "tracking.death_after": "long", "engine": "warp", "model": "broken"}
    node = graph.stub("--ros-args", *(part for name in bad for part in ("-p", f"{name}:={bad[name]}")))
    listener = graph.peer()
    listener.listen("/diagnostics", "diagnostic_msgs/DiagnosticArray")
    for name, good, reason in [
        ("detection.size", 640, "from 32 to 8192"),
        ("tracking.death_after", 1.0, "from 0.01 to 60"),
        ("engine", "auto", "takes one of"),
        ("model", "bug", "wrong hash"),
        ("model", "small", "another shape"),
    ]:
        node.wait_for_text(reason)
        listener.hear("/diagnostics", partial(says, reason), f"a diagnosis with '{reason}'")
        assert listener.state() == "unconfigured"
        assert listener.set_parameter(name, good)["successful"]
        assert listener.transition(CONFIGURE) == (name == "model" and good == "small")
    assert listener.transition(ACTIVATE)
    assert not [line for line in node.lines if "Traceback" in line]


def test_a_node_that_must_start_ends_when_it_cannot(graph):
    node = graph.stub("--must-start", "--ros-args", "-p", "model:=broken")
    node.wait_for_text("wrong hash")
    assert node.child.wait(100) == 2


def test_parameters_change_while_the_node_works(live, image):
    _, camera, listener = live
    face = camera.send(listener, image(faces=1, stamp=(10, 0)))["faces"][0]
    assert (face["age_group"], face["gender"], face["emotion"]) == (1, 1, 1)
    assert listener.set_parameter("tasks.age", False)["successful"]
    assert listener.set_parameter("thresholds.emotion", 0.9)["successful"]
    face = camera.send(listener, image(faces=1, stamp=(11, 0)))["faces"][0]
    assert (face["age_group"], face["gender"], face["emotion"]) == (255, 1, 255)
    assert math.isnan(face["age"])
    assert len(set(face["age_group_probabilities"])) == 1
    assert listener.set_parameter("thresholds.age", 0.0)["successful"]
    face = camera.send(listener, image(faces=1, stamp=(12, 0)))["faces"][0]
    assert face["age_group"] == 255
    for name, value in (("tasks.age", True), ("thresholds.age", -1.0), ("thresholds.emotion", -1.0)):
        assert listener.set_parameter(name, value)["successful"]


def test_invalid_parameters_are_refused_with_a_reason(live):
    _, _, listener = live
    for name, value, reason in [
        ("model", "other", "clean the node up first"),
        ("thresholds.gender", 1.5, "range"),
        ("autostart", False, "read"),
        ("fusion.age_memory", 0.0, "range"),
    ]:
        result = listener.set_parameter(name, value)
        assert not result["successful"]
        assert reason in result["reason"], result


def test_compressed_images_come_in_and_a_truncated_one_does_no_harm(graph, image):
    node, camera, listener = graph.running("--ros-args", "-p", "image_transport:=compressed", "-r", "image:=/eye/image")
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :16] = (2, 0, 0)
    data = cv2.imencode(".png", picture)[1].tobytes()

    def fields(content, second):
        header = {"frame_id": "camera", "stamp": {"sec": second, "nanosec": 0}}
        return {"header": header, "format": "png", "data_base64": b64encode(content).decode()}

    kind = {"topic": "/eye/image/compressed", "kind": "sensor_msgs/CompressedImage"}
    assert len(camera.send(listener, fields(data, 5), **kind)["faces"]) == 2
    camera.send_until(node, "cut short", fields(data[:-20], 6), **kind)
    assert len(camera.send(listener, fields(data, 7), **kind)["faces"]) == 2


def test_debug_pictures_are_made_only_while_somebody_looks(graph, image):
    _, camera, listener = graph.running("--ros-args", "-r", "faces/image:=/annotated")
    camera.send(listener, image(faces=1, stamp=(10, 0)))
    listener.listen("/annotated", "sensor_msgs/Image")
    listener.listen("/annotated/compressed", "sensor_msgs/CompressedImage")

    def both():
        last = [listener.messages(topic)[-1:] for topic in ("/annotated", "/annotated/compressed")]
        return [message for messages in last for message in messages if message["header"]["stamp"]["sec"] == 11]

    eleventh = image(faces=1, stamp=(11, 5), frame_id="eye")
    camera.publish_until(listener, lambda: len(both()) == 2, eleventh, "a debug picture")
    picture, compressed = both()
    assert picture["header"] == compressed["header"] == {"stamp": {"sec": 11, "nanosec": 5}, "frame_id": "eye"}
    assert (picture["width"], picture["height"], picture["encoding"]) == (64, 48, "bgr8")
    assert "jpeg" in compressed["format"]


def test_quality_of_service_is_overridden_by_parameters(graph):
    override = "qos_overrides./faces.publisher.reliability"
    node = graph.stub("--ros-args", "-p", f"{override}:=best_effort")
    other = graph.stub("--ros-args", "-p", f"{override}:=perhaps", "-r", "__node:=other")
    listener = graph.peer()
    listener.listen("faces", ARRAY)
    node.wait_for_text("incompatible QoS")
    other.wait_for_text("Not configured")
    assert not [line for line in other.lines if "Traceback" in line]


def test_diagnostics_count_the_faces_and_warn_when_images_stop(live, image):
    _, camera, listener = live
    listener.listen("/diagnostics", "diagnostic_msgs/DiagnosticArray")
    first = image(faces=1, stamp=(20, 0))
    camera.send(listener, first)

    def working():
        heard = [s for s in statuses(listener.messages("/diagnostics")) if "not of this clock" in s["message"]]
        return [values(status) for status in heard if values(status)["faces"] == "1"]

    camera.publish_until(listener, working, first, "a diagnosis with one face")
    assert {working()[0][key] for key in ("state", "model", "device")} == {"active", "small", "cpu"}
    # There may be older warnings, from before the first image.
    before = len(listener.messages("/diagnostics"))

    def warned(heard):
        return [status for status in statuses(heard[before:]) if "No image" in status["message"]]

    (status, *_) = warned(listener.hear("/diagnostics", warned, "a warning"))
    assert (status["level"], status["name"], status["hardware_id"]) == (1, "/perception: attributes", "cpu")
    assert (values(status)["faces"], values(status)["model"]) == ("", "small")


@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.0, 3.0])
def test_ctrl_c_ends_the_node_while_it_imports_and_loads(graph, seconds):
    node = graph.stub(STUB_LOAD_SECONDS="600")
    node.wait_for_handlers()
    time.sleep(seconds)
    assert node.interrupt() == 0


def test_ctrl_c_closes_the_list_of_faces(graph, image):
    node, camera, listener = graph.running()
    last = camera.send(listener, image(faces=2, stamp=(5, 0), frame_id="eye"))
    assert len(last["faces"]) == 2
    assert node.interrupt() == 0
    listener.hear("faces", lambda arrays: not arrays[-1]["faces"], "an empty array")
    assert listener.messages("faces")[-1]["header"]["frame_id"] == "eye"
    assert listener.stamps("faces")[-1] > (5, 0)


def test_ctrl_c_ends_a_node_that_works(graph, image, tmp_path):
    node, camera, listener = graph.running(STUB_GATE=str(tmp_path / "never"))
    camera.send(listener, image(stamp=(1, 0)))
    camera.send_until(node, "at work", image(hold=1, stamp=(20, 0)))
    assert node.interrupt() == 0
