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


def stamps(messages):
    return [(m["header"]["stamp"]["sec"], m["header"]["stamp"]["nanosec"]) for m in messages]


def running(graph, *arguments, **env):
    """A stub node that is active, a camera and a listener that hears its arrays."""
    node = graph.stub(*arguments, **env)
    camera, listener = graph.peer(), graph.peer()
    listener.listen("faces", ARRAY)
    node.wait_for_text("Waiting for images")
    return node, camera, listener


def send(camera, listener, fields, **details):
    """Publish one image until its array comes: the first may be lost to discovery."""
    stamp = (fields["header"]["stamp"]["sec"], fields["header"]["stamp"]["nanosec"])
    deadline = time.monotonic() + 60
    while stamp not in stamps(listener.messages("faces")):
        assert time.monotonic() < deadline, f"the array of {stamp} never comes"
        camera.publish(fields, **details)
        listener.pause_until(lambda: stamp in stamps(listener.messages("faces")), 1.0)
    return next(m for m in listener.messages("faces") if stamps([m]) == [stamp])


def test_arrays_copy_the_header_and_carry_every_field_in_order(graph, image):
    node, camera, listener = running(graph)
    send(camera, listener, image(stamp=(1, 0)))
    for count in (2, 0, 1):
        array = send(camera, listener, image(faces=count, stamp=(1700000000 + count, 123456789), frame_id="left_eye"))
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
    order = list(dict.fromkeys(stamps(listener.messages("faces"))))
    assert order[-3:] == [(1700000000 + n, 123456789) for n in (2, 0, 1)]
    code, seconds = node.interrupt()
    assert code == 0
    assert seconds < 3
    assert not [line for line in node.lines if "Traceback" in line]


def test_bad_images_are_named_in_the_log_and_the_next_good_one_counts(graph, image):
    node, camera, listener = running(graph)
    send(camera, listener, image(stamp=(1, 0)))
    bad = [
        ({"encoding": "smell8"}, "smell8"),
        ({"step": 7}, "step is only 7"),
        ({"height": 47}, "bytes of data"),
        ({"height": 0, "width": 0, "step": 0, "data_base64": ""}, "no pixels"),
    ]
    for change, reason in bad:
        camera.publish(image(faces=1, stamp=(50, 0)) | change)
        node.wait_for_text(reason)
    camera.publish(image(faces=1, fail=255, stamp=(50, 0)))
    node.wait_for_text("the picture says so")
    one_pixel = image(stamp=(60, 0), size=(1, 1))
    assert send(camera, listener, one_pixel)["image_width"] == 1
    assert len(send(camera, listener, image(faces=3, stamp=(61, 0)))["faces"]) == 3
    assert (50, 0) not in stamps(listener.messages("faces"))


def test_the_same_complaint_is_not_repeated_for_every_image(graph, image):
    node, camera, listener = running(graph)
    send(camera, listener, image(stamp=(1, 0)))
    for count in range(20):
        camera.publish(image(stamp=(50 + count, 0)) | {"step": 7})
    send(camera, listener, image(stamp=(99, 0)))
    complaints = [line for line in node.lines if "step is only" in line]
    assert 1 <= len(complaints) <= 3


def test_only_the_newest_image_is_worked_on(graph, image):
    _, camera, listener = running(graph)
    send(camera, listener, image(stamp=(1, 0)))
    listener.listen("/diagnostics", "diagnostic_msgs/DiagnosticArray")
    # A frame takes 0.2 s, one comes every 20 ms: of 60 frames some six are begun, and the last one always is.
    camera.publish(image(faces=1, hundredths=20, stamp=(200, 0)), times=60, period=0.02)
    last = (201, 180000000)
    messages = listener.hear("faces", lambda heard: last in stamps(heard), "the last of sixty images")
    worked_on = [stamp for stamp in stamps(messages) if stamp[0] >= 200]
    assert 2 <= len(worked_on) <= 40
    assert worked_on == sorted(worked_on)

    def skipped(heard):
        values = [{v["key"]: v["value"] for v in m["status"][0]["values"]} for m in heard]
        return [v for v in values if int(v["images passed over"]) >= 5]

    listener.hear("/diagnostics", skipped, "the number of images passed over")


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
        assert send(camera, listener, image(faces=1, stamp=(10 + round_, 0)))["faces"]
        assert listener.transition(DEACTIVATE)
        assert listener.ask("count", topic="/image")[1] == 0
        assert listener.transition(CLEANUP)
        assert listener.state() == "unconfigured"
        assert listener.ask("count", topic="/faces")[0] == 0
    assert listener.transition(UNCONFIGURED_SHUTDOWN)
    assert listener.state() == "finalized"
    assert node.interrupt()[0] == 0


def says(reason, heard):
    """Whether an error with a reason is among the diagnostics."""
    return any(m["status"][0]["level"] == 2 and reason in m["status"][0]["message"] for m in heard)


def test_what_configure_refuses_can_be_mended_one_by_one(graph):
    bad = {"detection.size": 5, "tracking.death_after": "long", "engine": "warp", "model": "broken"}
    node = graph.stub("--ros-args", *(part for name in bad for part in ("-p", f"{name}:={bad[name]}")))
    listener = graph.peer()
    listener.listen("/diagnostics", "diagnostic_msgs/DiagnosticArray")
    for name, good, reason in [
        ("detection.size", 640, "from 32 to 8192"),
        ("tracking.death_after", 1.0, "from 0.01 to 60"),
        ("engine", "auto", "must be one of"),
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


def test_parameters_change_while_the_node_works(graph, image):
    _, camera, listener = running(graph)
    face = send(camera, listener, image(faces=1, stamp=(10, 0)))["faces"][0]
    assert (face["age_group"], face["gender"], face["emotion"]) == (1, 1, 1)
    assert listener.set_parameter("tasks.age", False)["successful"]
    assert listener.set_parameter("thresholds.emotion", 0.9)["successful"]
    face = send(camera, listener, image(faces=1, stamp=(11, 0)))["faces"][0]
    assert (face["age_group"], face["gender"], face["emotion"]) == (255, 1, 255)
    assert math.isnan(face["age"])
    assert len(set(face["age_group_probabilities"])) == 1
    assert listener.set_parameter("thresholds.age", 0.0)["successful"]
    face = send(camera, listener, image(faces=1, stamp=(12, 0)))["faces"][0]
    assert face["age_group"] == 255


def test_parameters_that_cannot_be_are_refused_with_a_reason(graph):
    node = graph.stub()
    node.wait_for_text("Waiting for images")
    listener = graph.peer()
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
    node, camera, listener = running(graph, "--ros-args", "-p", "image_transport:=compressed")
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :16] = (2, 0, 0)
    data = cv2.imencode(".png", picture)[1].tobytes()

    def fields(content, second):
        header = {"frame_id": "camera", "stamp": {"sec": second, "nanosec": 0}}
        return {"header": header, "format": "png", "data_base64": b64encode(content).decode()}

    kind = {"topic": "image/compressed", "kind": "sensor_msgs/CompressedImage"}
    assert len(send(camera, listener, fields(data, 5), **kind)["faces"]) == 2
    camera.publish(fields(data[:-20], 6), **kind)
    node.wait_for_text("cut short")
    assert len(send(camera, listener, fields(data, 7), **kind)["faces"]) == 2


def test_debug_pictures_are_made_only_while_somebody_looks(graph, image):
    _, camera, listener = running(graph)
    send(camera, listener, image(faces=1, stamp=(10, 0)))
    listener.listen("faces/image", "sensor_msgs/Image")
    listener.listen("faces/image/compressed", "sensor_msgs/CompressedImage")
    deadline = time.monotonic() + 60
    while not (listener.messages("faces/image") and listener.messages("faces/image/compressed")):
        assert time.monotonic() < deadline, "no debug picture ever comes"
        camera.publish(image(faces=1, stamp=(11, 5), frame_id="eye"))
        listener.pause_until(lambda: listener.messages("faces/image/compressed"), 0.5)
    picture = listener.messages("faces/image")[0]
    assert picture["header"] == {"stamp": {"sec": 11, "nanosec": 5}, "frame_id": "eye"}
    assert (picture["width"], picture["height"], picture["encoding"]) == (64, 48, "bgr8")
    assert "jpeg" in listener.messages("faces/image/compressed")[0]["format"]


def test_quality_of_service_is_overridden_by_parameters(graph):
    override = "qos_overrides./faces.publisher.reliability"
    node = graph.stub("--ros-args", "-p", f"{override}:=best_effort")
    other = graph.stub("--ros-args", "-p", f"{override}:=perhaps", "-r", "__node:=other")
    listener = graph.peer()
    listener.listen("faces", ARRAY)
    node.wait_for_text("incompatible QoS")
    other.wait_for_text("Not configured")
    assert not [line for line in other.lines if "Traceback" in line]


def test_diagnostics_warn_when_images_stop(graph, image):
    _, camera, listener = running(graph)
    listener.listen("/diagnostics", "diagnostic_msgs/DiagnosticArray")
    send(camera, listener, image(faces=1, stamp=(10, 0)))
    listener.hear("/diagnostics", lambda heard: [m for m in heard if "not of this clock" in m["status"][0]["message"]])
    warned = listener.hear("/diagnostics", lambda heard: [m for m in heard if "No image" in m["status"][0]["message"]])
    status = next(m["status"][0] for m in warned if "No image" in m["status"][0]["message"])
    values = {value["key"]: value["value"] for value in status["values"]}
    assert status["level"] == 1
    assert status["name"] == "/perception: attributes"
    assert (values["model"], values["device"], values["faces"]) == ("small", "cpu", "1")


@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.0, 3.0])
def test_ctrl_c_ends_the_node_while_it_imports_and_loads(graph, seconds):
    node = graph.stub(STUB_LOAD_SECONDS="30")
    node.wait_for_handlers()
    time.sleep(seconds)
    code, took = node.interrupt()
    assert code == 0
    assert took < 3
    assert not [line for line in node.lines if "Traceback" in line]


def test_ctrl_c_ends_a_node_that_works(graph, image):
    node, camera, listener = running(graph)
    send(camera, listener, image(stamp=(1, 0)))
    camera.publish(image(faces=1, hundredths=250, stamp=(20, 0)))
    code, took = node.interrupt()
    assert code == 0
    assert took < 3
    assert not [line for line in node.lines if "Traceback" in line]
