"""REP-155: what is published for faces that come and go, with stand-ins for the node and for hri_msgs."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS is not here: run make setup")

from facial_attributes_ros.attributes import EMOTION, LABELS, Detection, Distribution, FaceAttributes
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.perception.rep155.faces import HriPublisher, load_hri_messages

HEADER = "the header of the image"
IMAGE = np.full((100, 200, 3), 60, np.uint8)


class Message(SimpleNamespace):
    """Any message: fields are what was set."""


class SoftBiometrics(Message):
    UNDEFINED, FEMALE, MALE = 0, 1, 2
    age, age_confidence, gender, gender_confidence = 0, 0.0, 0, 0.0


class Expression(Message):
    expression, confidence = "", 0.0


HRI = SimpleNamespace(
    IdsList=Message, NormalizedRegionOfInterest2D=Message, SoftBiometrics=SoftBiometrics, Expression=Expression
)


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
        self.made, self.alive = [], {}

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
    return HriPublisher(node, HRI, ("age", "gender", "emotion"))


def test_a_face_has_its_topics_while_it_is_tracked_and_no_longer(node, publisher):
    publisher.publish(HEADER, IMAGE, [face("fa"), face("fb")], {"fa", "fb"})
    publisher.publish(HEADER, IMAGE, [face("fa"), face("fb")], {"fa", "fb"})
    assert len(node.made) == 1 + 2 * 4
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
    assert len(node.made) == 1 + 2 * 4
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


def test_what_is_unknown_is_left_undefined(node, publisher):
    publisher.publish(HEADER, IMAGE, [face("fa", age=math.nan, gender=None, emotion=None)], {"fa"})
    soft, expression = node.last("fa/softbiometrics"), node.last("fa/expression")
    assert (soft.age, soft.age_confidence, soft.gender) == (0, 0.0, SoftBiometrics.UNDEFINED)
    assert expression.expression == ""


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
    publisher.tasks = ("age",)
    publisher.publish(HEADER, IMAGE, [face("fa")], {"fa"})
    assert len(node.alive["/humans/faces/fa/expression"].sent) == 1
    assert len(node.alive["/humans/faces/fa/softbiometrics"].sent) == 2


def test_hri_msgs_is_needed_only_where_it_is_insisted_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "hri_msgs.msg", None)
    assert load_hri_messages("auto") is None
    assert load_hri_messages("never") is None
    with pytest.raises(UserError, match="hri_msgs is not installed"):
        load_hri_messages("always")
    monkeypatch.setitem(sys.modules, "hri_msgs", SimpleNamespace(msg=HRI))
    monkeypatch.setitem(sys.modules, "hri_msgs.msg", HRI)
    assert load_hri_messages("auto") is HRI
    assert load_hri_messages("never") is None
