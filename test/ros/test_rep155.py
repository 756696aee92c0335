"""REP-155: what is published for faces that come and go, with stand-ins for the node and for hri_msgs."""

import math
import re
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS is not here: run make setup")

from facial_attributes_ros.attributes import EMOTION, LABELS, Detection, Distribution, FaceAttributes
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.optional_messages import optional_messages
from facial_attributes_ros.ros.perception.rep155 import lists
from facial_attributes_ros.ros.perception.rep155.faces import HriPublisher
from facial_attributes_ros.ros.perception.rep155.lists import GONE, Member, Members, OwnList
from facial_attributes_ros.ros.perception.rep155.others import conflict, publishing_nodes
from facial_attributes_ros.ros.perception.settings import SETTINGS, settings_from

HEADER = "the header of the image"
IMAGE = np.full((100, 200, 3), 60, np.uint8)


class Message(SimpleNamespace):
    """Any message: fields are what was set."""


class SoftBiometrics(Message):
    UNDEFINED, FEMALE, MALE = 0, 1, 2
    age, age_confidence, gender, gender_confidence = 0, 0.0, 0, 0.0


class Point(Message):
    x, y, c = 0.0, 0.0, 0.0


class FacialLandmarks(Message):
    NOSE, MOUTH_OUTER_RIGHT, MOUTH_OUTER_LEFT, RIGHT_PUPIL, LEFT_PUPIL = 30, 48, 54, 68, 69


HRI = SimpleNamespace(
    IdsList=Message,
    NormalizedRegionOfInterest2D=Message,
    SoftBiometrics=SoftBiometrics,
    Expression=Message,
    FacialLandmarks=FacialLandmarks,
    NormalizedPointOfInterest2D=Point,
)


def settings(**changed):
    return settings_from({one.name: one.default for one in SETTINGS} | changed)


class Publisher:
    def __init__(self, topic):
        self.topic, self.sent, self.subscribers = topic, [], 0

    def publish(self, message):
        self.sent.append(message)

    def get_subscription_count(self):
        return self.subscribers


class Node:
    """Remembers every publisher it ever made, and which are alive."""

    def __init__(self):
        self.made, self.alive, self.listeners = [], {}, 0

    def count_subscribers(self, topic):
        assert topic == "/humans/faces/tracked"
        return self.listeners

    def create_publisher(self, _kind, topic, _depth, **_events):
        publisher = Publisher(topic)
        self.made.append(publisher)
        self.alive[topic] = publisher
        return publisher

    def destroy_publisher(self, publisher):
        assert self.alive.pop(publisher.topic) is publisher

    def last(self, name):
        return self.alive[f"/humans/faces/{name}"].sent[-1]


def peaked(task, index, threshold=0.5):
    probabilities = np.full(len(LABELS[task]), 0.3 / (len(LABELS[task]) - 1), np.float32)
    probabilities[index] = 0.7
    return Distribution(task, probabilities, threshold)


def face(name, box=(20, 10, 40, 50), age=31.4, gender=1, emotion=3):
    return FaceAttributes(
        id=name,
        detection=Detection(np.array(box, np.float32), 0.9),
        age=age,
        age_stddev=age / 5,
        age_group=peaked("age", 4),
        gender=Distribution.unknown("gender") if gender is None else peaked("gender", gender),
        emotion=Distribution.unknown("emotion") if emotion is None else peaked("emotion", emotion),
        observations=1,
        updated=0.0,
    )


@pytest.fixture
def node():
    return Node()


@pytest.fixture
def publisher(node):
    return HriPublisher(node, HRI, settings(), OwnList(node, HRI))


def test_a_face_has_its_topics_while_it_is_tracked_and_no_longer(node, publisher):
    publisher.publish(HEADER, IMAGE, [face("fa"), face("fb")], {"fa", "fb"})
    publisher.publish(HEADER, IMAGE, [face("fa"), face("fb")], {"fa", "fb"})
    assert len(node.made) == 1 + 2 * 5
    assert node.last("tracked").ids == ["fa", "fb"]
    publisher.publish(HEADER, IMAGE, [face("fb")], {"fb"})
    assert node.last("tracked").ids == ["fb"]
    assert not [topic for topic in node.alive if "/fa/" in topic]
    publisher.publish(HEADER, IMAGE, [], set())
    assert node.last("tracked").ids == []
    assert list(node.alive) == ["/humans/faces/tracked"]
    publisher.close()
    assert not node.alive
    assert [message.header for message in node.made[0].sent] == [HEADER] * 4


def test_topics_and_tracked_list_outlast_a_moment_in_which_a_face_is_hidden(node, publisher):
    publisher.publish(HEADER, IMAGE, [face("fa"), face("fb")], {"fa", "fb"})
    publisher.publish(HEADER, IMAGE, [face("fb")], {"fa", "fb", "never seen"})
    assert node.last("tracked").ids == ["fb", "fa"]
    assert len(node.alive["/humans/faces/fa/roi"].sent) == 1
    publisher.publish(HEADER, IMAGE, [face("fa"), face("fb")], {"fa", "fb"})
    assert len(node.made) == 1 + 2 * 5
    assert len(node.alive["/humans/faces/fa/roi"].sent) == 2


def test_the_last_list_is_empty_and_has_the_header_it_is_given(node, publisher):
    publisher.publish(HEADER, IMAGE, [face("fa")], {"fa"})
    publisher.forget("a later header")
    assert (node.last("tracked").ids, node.last("tracked").header) == ([], "a later header")
    assert list(node.alive) == ["/humans/faces/tracked"]


def test_every_message_has_the_header_and_says_what_is_known(node, publisher):
    publisher.publish(HEADER, IMAGE, [face("fa", box=(-20, 10, 40, 120))], {"fa"})
    roi, soft, expression = (node.last(f"fa/{name}") for name in ("roi", "softbiometrics", "expression"))
    assert [message.header for message in (roi, soft, expression)] == [HEADER] * 3
    assert (roi.xmin, roi.ymin, roi.xmax, roi.ymax) == pytest.approx((0.0, 0.1, 0.1, 1.0))
    assert (soft.age, soft.gender) == (31, SoftBiometrics.FEMALE)
    assert soft.gender_confidence == pytest.approx(0.7)
    assert (expression.expression, expression.confidence) == ("happy", pytest.approx(0.7))


def test_what_is_unknown_is_not_published(node, publisher):
    publisher.publish(HEADER, IMAGE, [face("fa", age=math.nan, gender=None, emotion=None)], {"fa"})
    publisher.publish(HEADER, IMAGE, [face("fa", age=math.nan, gender=1, emotion=None)], {"fa"})
    for name in ("softbiometrics", "expression"):
        assert not node.alive[f"/humans/faces/fa/{name}"].sent, "an age of 0 is a newborn, an empty text no expression"
    publisher.publish(HEADER, IMAGE, [face("fa", gender=None)], {"fa"})
    soft = node.last("fa/softbiometrics")
    assert (soft.age, soft.gender, soft.gender_confidence) == (31, SoftBiometrics.UNDEFINED, 0.0)


def test_an_age_whose_group_is_in_doubt_is_published_with_its_confidence(node, publisher):
    doubtful = replace(face("fa"), age_group=peaked("age", 4, threshold=1.0))
    publisher.publish(HEADER, IMAGE, [doubtful], {"fa"})
    soft = node.last("fa/softbiometrics")
    assert (soft.age, soft.age_confidence) == (31, pytest.approx(0.7))


def test_where_the_age_is_off_the_gender_comes_without_it(node, publisher):
    publisher.settings = settings(**{"tasks.age": False})
    publisher.publish(HEADER, IMAGE, [face("fa", age=math.nan)], {"fa"})
    soft = node.last("fa/softbiometrics")
    assert (soft.age, soft.age_confidence, soft.gender) == (0, 0.0, SoftBiometrics.FEMALE)


def test_valence_and_arousal_are_not_claimed(node, publisher):
    publisher.publish(HEADER, IMAGE, [face("fa")], {"fa"})
    expression = node.last("fa/expression")
    assert math.isnan(expression.valence)
    assert math.isnan(expression.arousal)


def test_five_of_the_landmarks_have_places_and_the_others_no_confidence(node, publisher):
    points = np.array([[40, 20], [60, 20], [50, 30], [42, 40], [58, 250]], np.float32)
    seen = replace(face("fa"), detection=Detection(np.array([20, 10, 40, 50], np.float32), 0.9, points))
    publisher.publish(HEADER, IMAGE, [seen], {"fa"})
    assert not node.alive["/humans/faces/fa/landmarks"].sent, "nobody listens"
    node.alive["/humans/faces/fa/landmarks"].subscribers = 1
    publisher.publish(HEADER, IMAGE, [seen], {"fa"})
    publisher.publish(HEADER, IMAGE, [face("fa")], {"fa"})  # without landmarks
    (message,) = node.alive["/humans/faces/fa/landmarks"].sent
    assert (message.width, message.height, len(message.landmarks)) == (200, 100, 70)
    right_eye, left_mouth = message.landmarks[68], message.landmarks[54]
    assert (right_eye.x, right_eye.y, right_eye.c) == pytest.approx((0.2, 0.2, 0.9))
    assert (left_mouth.x, left_mouth.y) == pytest.approx((0.29, 1.0)), "cut to the image"
    assert sum(point.c > 0 for point in message.landmarks) == 5


def test_crops_have_the_size_that_is_set(node, publisher):
    publisher.settings = settings(**{"humans.crop_width": 64, "humans.crop_height": 48})
    publisher.publish(HEADER, IMAGE, [face("fa")], {"fa"})
    node.alive["/humans/faces/fa/cropped"].subscribers = 1
    publisher.publish(HEADER, IMAGE, [face("fa")], {"fa"})
    crop = node.last("fa/cropped")
    pixels = np.frombuffer(crop.data, np.uint8).reshape(48, 64, 3)
    assert (crop.width, crop.height) == (64, 48)
    assert not pixels[:, :8].any()
    assert not pixels[:, 56:].any()
    assert pixels[:, 8:56].all()


def test_for_the_faces_of_another_detector_only_estimates_are_published(node):
    added = HriPublisher(node, HRI, settings(), None)
    added.publish_estimates(HEADER, [face("gaze7"), face("other")])
    added.keep(["gaze7"])
    assert sorted(node.alive) == ["/humans/faces/gaze7/expression", "/humans/faces/gaze7/softbiometrics"]
    assert node.last("gaze7/softbiometrics").age == 31
    node.listeners = 1
    assert added.wanted_tasks() == set(), "it listens to the list itself"
    node.listeners = 2
    assert added.wanted_tasks() == {"age", "gender", "emotion"}


def header(second, frame=""):
    return SimpleNamespace(stamp=SimpleNamespace(sec=second, nanosec=0), frame_id=frame)


def member(name, *ids, keeper=False, heard=0.0, second=0, frame=""):
    return Member(name, f"/{name}", keeper, header(second, frame), ids, heard)


def test_one_of_several_nodes_keeps_the_list_and_another_takes_it_when_it_is_gone():
    members = Members(member("b", "f2"))
    assert not members.elect(0.0), "a keeper may not have been heard yet"
    members.hear(member("a", "f1", keeper=True, heard=GONE + 1))
    assert not members.elect(GONE + 1)
    assert members.elect(2 * GONE + 2), "nothing was heard of a"
    members.own = replace(members.own, keeper=True)
    members.hear(member("c", "f3", heard=20.0))
    assert members.elect(20.0), "who keeps it goes on"
    members.hear(member("a", keeper=True, heard=20.0))
    assert not members.elect(20.0), "of two keepers the first by name goes on"


def test_the_list_holds_the_faces_of_all_and_the_newest_header():
    members = Members(member("b", "f2", second=5))
    assert members.hear(member("a", "f1", "f2", second=7))
    assert not members.hear(member("a", "f1", "f2", second=7)), "nothing new"
    found, ids = members.all()
    assert (found.stamp.sec, ids) == (7, ["f2", "f1"])
    assert members.nodes == {"/a"}


def test_cameras_with_the_same_frame_id_are_named():
    members = Members(member("a", frame="camera"))
    members.hear(member("b", frame="rear"))
    assert members.of_same_frame == []
    members.hear(member("c", frame="camera"))
    assert members.of_same_frame == ["/c"]


@pytest.mark.parametrize(
    ("mode", "others", "allowed", "said"),
    [
        ("auto", [], [], ""),
        ("auto", ["/hri_face_detect"], [], "/hri_face_detect publishes /humans/faces/tracked too.*set rep155 to merge"),
        ("always", ["/b", "/a"], [], "^/a and /b publish "),
        ("merge", ["/rear/perception"], ["/rear/perception"], ""),
        ("merge", ["/rear/perception", "/x"], ["/rear/perception"], "^/x publishes .*humans.lists"),
        ("add", ["/hri_face_detect"], [], ""),
        ("add", [], [], "no other node publishes"),
        ("add", ["/a", "/b", "/c"], [], "^/a, /b and /c all publish"),
    ],
)
def test_who_else_publishes_the_list_is_said_in_one_sentence(mode, others, allowed, said):
    sentence = conflict(mode, others, allowed)
    assert re.search(said, sentence) if said else sentence == ""


def test_another_node_of_the_same_name_counts_as_another():
    def endpoint(name, namespace="/"):
        return SimpleNamespace(node_name=name, node_namespace=namespace)

    found = [endpoint("perception"), endpoint("perception"), endpoint("detect", "/head")]
    node = SimpleNamespace(
        get_publishers_info_by_topic=lambda _: found,
        get_fully_qualified_name=lambda: "/perception",
        publishers=[SimpleNamespace(topic_name="/humans/faces/tracked")],
    )
    assert publishing_nodes(node) == ["/head/detect", "/perception"]
    del found[0]
    assert publishing_nodes(node) == ["/head/detect"]


@pytest.mark.parametrize(
    ("emotion", "expression"),
    zip(LABELS[EMOTION], ("surprised", "scared", "disgusted", "happy", "sad", "angry", "neutral"), strict=True),
)
def test_emotions_have_the_names_of_the_standard(node, publisher, emotion, expression):
    publisher.publish(HEADER, IMAGE, [face("fa", emotion=LABELS[EMOTION].index(emotion))], {"fa"})
    assert node.last("fa/expression").expression == expression


def test_the_age_is_in_completed_years_so_that_it_lies_in_its_group(node, publisher):
    publisher.publish(HEADER, IMAGE, [face("fa", age=39.7)], {"fa"})
    soft = node.last("fa/softbiometrics")
    assert soft.age == 39
    assert soft.age_confidence == pytest.approx(0.7)


def test_crops_are_made_only_for_who_looks_and_are_black_outside_the_image(node, publisher):
    faces = [face("fa", box=(-25, 0, 50, 50))]
    publisher.publish(HEADER, IMAGE, faces, {"fa"})
    assert not node.alive["/humans/faces/fa/cropped"].sent
    node.alive["/humans/faces/fa/cropped"].subscribers = 1
    publisher.publish(HEADER, IMAGE, faces, {"fa"})
    crop = node.last("fa/cropped")
    assert (crop.width, crop.height, crop.encoding) == (128, 128, "bgr8")
    pixels = np.frombuffer(crop.data, np.uint8).reshape(128, 128, 3)
    assert not pixels[:, :60].any()
    assert (pixels[4:-4, 70:-4] == 60).all()


def test_tasks_that_are_off_or_not_listened_to_are_not_wanted(node, publisher):
    assert publisher.wanted_tasks() == set()
    publisher.publish(HEADER, IMAGE, [face("fa")], {"fa"})
    node.alive["/humans/faces/fa/expression"].subscribers = 1
    assert publisher.wanted_tasks() == {"emotion"}
    node.listeners = 1
    assert publisher.wanted_tasks() == {"age", "gender", "emotion"}
    publisher.settings = settings(**{"tasks.gender": False, "tasks.emotion": False})
    publisher.publish(HEADER, IMAGE, [face("fa")], {"fa"})
    assert len(node.alive["/humans/faces/fa/expression"].sent) == 1
    assert len(node.alive["/humans/faces/fa/softbiometrics"].sent) == 2


def test_hri_msgs_is_needed_only_where_it_is_insisted_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "hri_msgs.msg", None)
    assert optional_messages("hri_msgs", "rep155", "auto") is None
    assert optional_messages("hri_msgs", "rep155", "never") is None
    with pytest.raises(UserError, match="hri_msgs is not installed"):
        optional_messages("hri_msgs", "rep155", "always")
    monkeypatch.setitem(sys.modules, "hri_msgs", SimpleNamespace(msg=HRI))
    monkeypatch.setitem(sys.modules, "hri_msgs.msg", HRI)
    assert optional_messages("hri_msgs", "rep155", "auto") is HRI
    assert optional_messages("hri_msgs", "rep155", "never") is None


def test_nodes_that_join_publish_one_list_and_the_last_one_keeps_it(context, monkeypatch):
    """On a real graph; our own message stands in for the list of hri_msgs, as it has its fields."""
    import rclpy
    from facial_attributes_ros.msg import TrackedFaces
    from rclpy.executors import SingleThreadedExecutor
    from std_msgs.msg import Header

    monkeypatch.setattr(lists, "GONE", 0.5)
    monkeypatch.setattr(lists, "BEAT", 0.1)
    hri, heard = SimpleNamespace(IdsList=TrackedFaces), []
    nodes = [rclpy.create_node(name, context=context) for name in ("front", "rear", "client")]
    executor = SingleThreadedExecutor(context=context)
    for node in nodes:
        executor.add_node(node)
    front, rear = (lists.MergedList(node, hri) for node in nodes[:2])
    nodes[2].create_subscription(TrackedFaces, lists.TRACKED, lambda message: heard.append(message.ids), 10)

    def until(condition, what, *published):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, what
            for each, ids in published:
                each.publish(Header(), ids)
            executor.spin_once(timeout_sec=0.05)

    until(lambda: heard and sorted(heard[-1]) == ["f1", "f2"], "the faces of both", (front, ["f1"]), (rear, ["f2"]))
    until(lambda: len(nodes[2].get_publishers_info_by_topic(lists.TRACKED)) == 1, "one publisher")
    assert set(front.allowed()) == {"/rear"}
    front.close()
    until(lambda: heard[-1] == ["f2"], "the faces of the one that is left", (rear, ["f2"]))
    rear.publish(Header(), [])
    until(lambda: heard[-1] == [], "no faces")
    rear.close()
    for node in nodes:
        node.destroy_node()
