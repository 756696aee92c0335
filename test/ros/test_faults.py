"""A perception node to which something happens, among other processes: it says so, and goes on where it can."""

import math
import time

import pytest

ACTIVATE, DEACTIVATE, UNCONFIGURED_SHUTDOWN = 3, 4, 5
CONFIGURING = 10
BUG, PANIC, MODEL_FAILS = 1, 2, 3
OK, ERROR = 0, 2
UNKNOWN = 255


def statuses(peer, since=0):
    return [status for message in peer.messages("/diagnostics")[since:] for status in message["status"]]


def values(status):
    return {value["key"]: value["value"] for value in status["values"]}


def seconds(message):
    stamp = message["header"]["stamp"]
    return stamp["sec"] + stamp["nanosec"] * 1e-9


class Robot:
    """A stub node that is active, a camera, and a listener to its faces and diagnostics."""

    def __init__(self, graph, fields, *arguments, **env):
        self.fields = fields
        self.node = graph.stub(*arguments, **env)
        self.camera, self.listener = graph.peer(), graph.peer()
        self.listener.listen("faces", "facial_attributes_ros/FaceAttributesArray")
        self.listener.listen("/diagnostics", "diagnostic_msgs/DiagnosticArray")
        self.node.wait_for_text("Waiting for images")
        self.second = 1000

    def image(self, **details):
        """The next image; each is a hundredth of a second after the one before it."""
        self.second += 1
        return self.fields(stamp=(self.second // 100, self.second % 100 * 10_000_000), **details)

    def send(self, **details):
        return self.camera.send(self.listener, self.image(**details))

    def told(self, level, words, since=0):
        """Wait until diagnostics say something, and return the status."""

        def found():
            return [s for s in statuses(self.listener, since) if s["level"] == level and words in s["message"]]

        self.listener.wait_for(lambda _: found(), what=f"diagnostics with '{words}'")
        return found()[-1]

    def provoke(self, level, words, image):
        """Publish an image until diagnostics say something of it."""
        since = len(self.listener.messages("/diagnostics"))

        def found():
            return [s for s in statuses(self.listener, since) if s["level"] == level and words in s["message"]]

        self.camera.publish_until(self.listener, found, image, f"diagnostics with '{words}'")
        return found()[-1]


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    return tmp_path_factory.mktemp("gate") / "open"


@pytest.fixture(scope="module")
def robot(shared_graph, image, gate):
    """One node that lives through all tests of this module that do not need another."""
    return Robot(shared_graph, image, STUB_GATE=str(gate))


def test_faces_are_published_without_attributes_while_the_model_fails(robot):
    assert robot.send(faces=2)["faces"][0]["gender"] != UNKNOWN
    faces = robot.send(faces=2, fail=MODEL_FAILS)["faces"]
    assert [face["gender"] for face in faces] == [UNKNOWN] * 2
    assert all(math.isnan(face["age"]) for face in faces)
    assert int(values(robot.told(ERROR, "The model fails, as the picture says."))["frames failed"]) >= 1
    assert robot.send(faces=2)["faces"][0]["gender"] != UNKNOWN


def test_a_worker_that_ended_is_started_again_and_told(robot):
    robot.send(faces=1)
    status = robot.provoke(ERROR, "SystemExit: the picture panics", robot.image(fail=PANIC))
    assert "restarted" in status["message"]
    assert int(values(status)["worker restarts"]) >= 1
    assert len(robot.send(faces=3)["faces"]) == 3


def test_when_no_image_comes_the_lists_close_once_with_a_later_stamp_and_the_frame(robot):
    last = robot.send(faces=2, frame_id="left_eye")
    robot.listener.hear("faces", lambda arrays: not arrays[-1]["faces"], "an empty array")
    closing = robot.listener.messages("faces")[-1]
    assert closing["header"]["frame_id"] == "left_eye"
    assert 0.25 < seconds(closing) - seconds(last) < 60, "the time that has passed"
    assert (closing["image_width"], closing["model"]) == (64, "small")
    time.sleep(1.0)
    assert robot.listener.messages("faces")[-1] == closing
    assert len(robot.send(faces=1)["faces"]) == 1


def test_deactivate_closes_the_lists_as_well(robot):
    last = robot.send(faces=2, frame_id="left_eye")
    assert robot.listener.transition(DEACTIVATE)
    robot.listener.hear("faces", lambda arrays: not arrays[-1]["faces"], "an empty array")
    closing = robot.listener.messages("faces")[-1]
    assert closing["header"]["frame_id"] == "left_eye"
    assert seconds(closing) > seconds(last)
    assert robot.listener.transition(ACTIVATE)


def test_lost_images_are_told_with_two_cures(robot):
    since = len(robot.listener.messages("/diagnostics"))

    def told():
        # The stamps are not of this clock either, which is worse.
        return [status for status in statuses(robot.listener, since) if "images are lost" in status["message"]]

    for count in range(2000):
        robot.second += 6
        if count * 7919 % 101 % 3:  # a third gets lost
            robot.camera.publish(robot.image())
        time.sleep(0.03)
        if told():
            break
    status = told()[-1]
    assert "config/fastdds_shm.xml" in status["message"]
    assert "-p qos_overrides./image.subscription.reliability:=reliable" in status["message"]
    assert int(values(status)["images received"]) > int(values(status)["images lost (estimate)"]) > 0


def test_stamps_that_stand_still_are_an_error(robot):
    robot.provoke(ERROR, "stamps of the images have not moved", robot.image(faces=1))


def test_images_and_nothing_out_is_an_error_and_a_late_worker_stays_alone_in_its_pipeline(robot, gate):
    robot.send()
    held = robot.image(hold=1, faces=5)
    robot.camera.send_until(robot.node, "at work", held)
    robot.provoke(ERROR, "the work on it is stuck", robot.image(faces=1))
    assert robot.listener.transition(DEACTIVATE)
    robot.node.wait_for_text("does not come to an end")
    assert robot.listener.transition(ACTIVATE)
    held_again = robot.image(hold=1)
    for _ in range(5):
        robot.camera.publish(held_again)
    assert len([line for line in robot.node.lines if "at work" in line]) == 1
    gate.touch()
    assert len(robot.send(faces=3)["faces"]) == 3
    assert seconds(held) not in map(seconds, robot.listener.messages("faces")), "it was deactivated meanwhile"


def test_a_node_answers_while_it_configures_and_tells_the_stage(graph, image, tmp_path):
    node, listener = graph.stub(STUB_LOAD_GATE=str(tmp_path / "open")), graph.peer()
    listener.listen("/diagnostics", "diagnostic_msgs/DiagnosticArray")
    assert listener.state() == "configuring"
    assert not listener.transition(UNCONFIGURED_SHUTDOWN)
    assert not listener.transition(CONFIGURING)
    assert not listener.set_parameter("model", "other")["successful"]
    assert listener.set_parameter("tasks.age", False)["successful"]
    assert listener.state() == "configuring"

    def stage(messages):
        return [
            s for m in messages for s in m["status"] if "configuring: loading the model small (step 2" in s["message"]
        ]

    (status, *_) = stage(listener.hear("/diagnostics", stage, "the stage"))
    assert (status["level"], values(status)["state"]) == (OK, "configuring")
    (tmp_path / "open").touch()
    node.wait_for_text("Waiting for images")
    assert listener.state() == "active"
    listener.listen("faces", "facial_attributes_ros/FaceAttributesArray")
    listener.send(listener, image(stamp=(1, 0)))
    (face,) = listener.send(listener, image(faces=1, stamp=(2, 0)))["faces"]
    assert (face["age_group"], face["gender"]) == (UNKNOWN, 1), "what was set meanwhile counts"
    assert not [line for line in node.lines if "Traceback" in line]


def test_a_node_that_must_start_ends_when_its_quality_of_service_cannot_be(graph):
    override = "qos_overrides./image.subscription.reliability"
    node = graph.stub("--must-start", "--ros-args", "-p", f"{override}:=sometimes")
    node.wait_for_text("sometimes")
    assert node.child.wait(100) == 2


def test_a_clock_that_stands_still_is_an_error(graph, image):
    robot = Robot(graph, image, "--ros-args", "-p", "use_sim_time:=true")
    status = robot.provoke(ERROR, "/clock", image(faces=1, stamp=(0, 0)))
    assert "use_sim_time" in status["message"]


def test_the_cure_by_quality_of_service_works_as_it_is_spelt(graph):
    override = "qos_overrides./image.subscription.reliability"
    node, peer = graph.stub("--ros-args", "-p", f"{override}:=reliable"), graph.peer()
    node.wait_for_text("Waiting for images")
    peer.wait_for_answer("reliability", lambda found: found == ["RELIABLE"], topic="/image")
