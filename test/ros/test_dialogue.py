"""The dialogue node: what it publishes, when, and what it refuses."""

import argparse
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="ROS is not here: run make setup")

import rclpy.node
from facial_attributes_ros.msg import (
    FaceAttributes,
    FaceAttributesArray,
    FacePose,
    FacePoseArray,
    MannerReason,
    PerceptionInfo,
    SpeakingManner,
    TaskInfo,
)
from facial_attributes_ros.msg import Interlocutor as InterlocutorMessage
from rclpy.parameter import Parameter
from std_msgs.msg import String

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.dialogue import cues as cues_module
from facial_attributes_ros.ros.dialogue.cues import Persons, Poses
from facial_attributes_ros.ros.messages import time_message
from facial_attributes_ros.ros.talk.node import create as create_talk
from facial_attributes_ros.ros.talk.node import manner_text

HRI = SimpleNamespace(IdsList=object, EngagementLevel=SimpleNamespace)


def faces_message(now, *keys, x=300, size=160, age=None):
    message = FaceAttributesArray(image_width=640, image_height=480)
    message.header.stamp = time_message(now)
    message.header.frame_id = "eye"
    for number, key in enumerate(keys):
        face = FaceAttributes(id=key, age_group=255, gender=255, emotion=255, observations=9)
        face.roi.x_offset, face.roi.y_offset, face.roi.width, face.roi.height = x + 200 * number, 160, size, size
        if age is not None:
            face.age_group = LABELS["age"].index(age)
            probabilities = [0.0] * 9
            probabilities[face.age_group] = 1.0
            face.age_group_probabilities = probabilities
        message.faces.append(face)
    return message


class Recorder:
    def __init__(self):
        self.sent = []

    def publish(self, message):
        self.sent.append(message)


@pytest.fixture
def start(ros_context, monkeypatch):
    """Make a node with some parameters; nobody spins it."""
    nodes = []

    def started(create, options, *parameters):
        context = ros_context(*(part for one in parameters for part in ("-p", one)))
        original = rclpy.node.Node.__init__
        with monkeypatch.context() as patch:
            patch.setattr(
                rclpy.node.Node, "__init__", lambda self, name, **more: original(self, name, context=context, **more)
            )
            nodes.append(create(lambda code: ended.append(code), options))
        return nodes[-1]

    ended = started.ended = []
    yield started
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def make(start):
    """Make the dialogue node."""
    from facial_attributes_ros.ros.dialogue.node import create

    return lambda *parameters: start(create, argparse.Namespace(), *parameters)


@pytest.fixture
def node(make):
    node = make()
    for name in ("_interlocutor", "_manner", "_contexts", "_notice"):
        setattr(node, name, Recorder())
    return node


def show(node, seconds, *keys, start=100.0, **details):
    for step in range(round(seconds * 10)):
        node._on_faces(faces_message(start + 0.1 * step, *keys, **details))


def test_whom_and_how_are_published_on_change_only(node):
    show(node, 5, "fa", age="3-9")
    (interlocutor,) = node._interlocutor.sent
    assert (interlocutor.face_id, interlocutor.encounter, interlocutor.reason) == ("fa", 1, interlocutor.ARRIVED)
    assert (interlocutor.header.frame_id, interlocutor.engagement) == ("eye", interlocutor.ENGAGED)
    assert interlocutor.since.sec == 101
    first, child = node._manner.sent
    assert (first.face_id, first.speech_register, list(first.reasons)) == ("fa", first.NEUTRAL, [])
    assert (child.speech_register, child.tone) == (child.REGISTER_SIMPLE, child.TONE_PLAYFUL)
    (reason,) = child.reasons
    assert (reason.rule, reason.changes[0], round(reason.probability, 2)) == ("child", "register=simple", 1.0)
    assert reason.since.sec == 103


def test_the_constants_are_those_of_the_library():

    from facial_attributes_ros.dialogue.interlocutor import REASONS, Engagement
    from facial_attributes_ros.dialogue.policy import ADDRESSES, REGISTERS, TONES

    names = [name for name in vars(type(InterlocutorMessage)) if name.isupper()]
    strings = {getattr(InterlocutorMessage, name) for name in names}
    assert set(REASONS) <= strings
    levels = {name: getattr(InterlocutorMessage, name) for name in vars(Engagement) if name.isupper()}
    assert levels == {name: value for name, value in vars(Engagement).items() if name.isupper()}
    for kind, values in (("REGISTER", REGISTERS), ("TONE", TONES), ("ADDRESS", ADDRESSES)):
        assert {getattr(SpeakingManner, f"{kind}_{one.upper()}") for one in values[1:]} == set(values[1:])
    assert SpeakingManner.NEUTRAL == REGISTERS[0] == TONES[0] == ADDRESSES[0]


def test_silence_ends_with_nobody_and_a_neutral_manner(node):
    show(node, 5, "fa", age="3-9")
    node._heard -= 10
    node._on_timer()
    node._on_timer()
    gone = node._interlocutor.sent[-1]
    assert (gone.face_id, gone.reason, gone.header.frame_id) == ("", gone.SILENT, "eye")
    assert gone.header.stamp.sec >= 114
    assert (node._manner.sent[-1].speech_register, len(node._manner.sent)) == ("neutral", 3)


def test_the_context_is_limited_in_rate_and_comes_in_the_end(node, monkeypatch):
    show(node, 5, "fa", age="3-9")
    assert len(node._contexts.sent) <= 1
    node._limit._at -= 10
    node._on_timer()
    assert "may be a child" in node._contexts.sent[-1].data
    count = len(node._contexts.sent)
    node._limit._at -= 10
    node._on_timer()
    assert len(node._contexts.sent) == count


def test_the_notice_says_what_runs(node):
    node._on_info(PerceptionInfo(tasks=[TaskInfo(name="age", running=True), TaskInfo(name="emotion", running=False)]))
    assert "I also estimate age, to adapt" in node._notice.sent[0].data


def test_emotions_are_switched_off_while_the_node_runs(node):
    assert node._dialogue.selector.policy.emotion
    assert node.set_parameters([Parameter("emotion", value=False)])[0].successful
    assert not node._dialogue.selector.policy.emotion
    assert node.set_parameters([Parameter("interlocutor.takeover", value=4.0)])[0].successful
    assert node._dialogue.tracker.options.takeover == 4.0
    answer = node.set_parameters([Parameter("interlocutor.margin", value=0.1)])[0]
    assert not answer.successful


@pytest.mark.parametrize(
    ("parameter", "sentence"),
    [
        ("policy:=/no/such.yaml", "/no/such.yaml cannot be read"),
        ("language:=xx", "There is no language 'xx'"),
        ("templates:=/no/such", "/no/such is no folder"),
        ("timeout:=0.0", "timeout"),
        ("rep155:=always", "hri_msgs is not installed"),
        ("polcy:=x.yaml", r"no parameter polcy \(did you mean policy\?\)"),
    ],
)
def test_what_is_wrong_is_one_sentence(make, monkeypatch, parameter, sentence):
    monkeypatch.setitem(sys.modules, "hri_msgs.msg", None)
    with pytest.raises(UserError, match=sentence):
        make(parameter)


def test_poses_are_joined_by_id_and_forgotten():
    face = FacePose(id="fa", distance=1.5, facing=0.75)
    face.bearing.x = face.bearing.z = 0.5
    poses = Poses()
    poses.take(FacePoseArray(header=faces_message(100.0).header, faces=[face]))
    cues = poses.at(100.2)["fa"]
    assert (cues.distance, cues.facing, round(cues.bearing, 3)) == (1.5, 0.75, 0.785)
    assert poses.at(102.0) == {}


class PersonNode:
    """Remembers who subscribes to what."""

    def __init__(self):
        self.heard, self.sent = {}, {}

    def create_subscription(self, _kind, topic, callback, _qos):
        self.heard[topic] = callback
        return topic

    def create_publisher(self, _kind, topic, _qos):
        self.sent[topic] = Recorder()
        return topic and self.sent[topic]

    def destroy_subscription(self, topic):
        self.heard.pop(topic)

    def destroy_publisher(self, _publisher):
        self.sent.clear()


def test_a_person_has_the_id_of_the_one_it_was_merged_into():
    node = PersonNode()
    persons = Persons(node, HRI, engagement=True)

    def hear(topic, message):
        node.heard[f"{cues_module.PERSONS}/{topic}"](message)

    hear("tracked", SimpleNamespace(ids=["anonymous", "anna"]))
    hear("anonymous/face_id", String(data="fa"))
    assert persons.add_to({})["fa"].person == "anonymous"
    hear("anonymous/alias", String(data="anna"))
    assert persons.add_to({})["fa"].person == "anna"
    hear("anna/alias", String(data="anonymous"))  # a circle must not hang
    assert persons.add_to({})["fa"].person in ("anna", "anonymous")
    for now in (0.0, 0.1, 0.2):
        persons.publish({"fa": 3}, None, now)
    status = node.sent[f"{cues_module.PERSONS}/anonymous/engagement_status"].sent
    assert [one.level for one in status] == [3]
    hear("tracked", SimpleNamespace(ids=[]))
    assert list(node.heard) == [f"{cues_module.PERSONS}/tracked"]
    assert persons.add_to({}) == {}


NEUTRAL = {"speech_register": "neutral", "tone": "neutral", "address": "neutral", "pace": 1.0, "volume": 1.0}


def test_a_manner_is_a_line_with_its_reasons():
    assert manner_text(SpeakingManner(**NEUTRAL)) == "neutral"
    reason = MannerReason(rule="child", condition="age group 3-9 >= 0.80, for 2 s", probability=0.9)
    child = SpeakingManner(**NEUTRAL | {"speech_register": "simple", "pace": 0.9}, ask=True, reasons=[reason])
    expected = "simple words, pace 0.9, asks (child: age group 3-9 >= 0.80, for 2 s, was 0.90)"
    assert manner_text(child) == expected


def test_a_talk_prints_whom_how_and_what_and_ends_after_its_duration(start, capsys):
    talk = start(create_talk, argparse.Namespace(language="fr", duration=60.0))
    talk._speech = Recorder()
    talk._client._take("interlocutor", InterlocutorMessage(face_id="fa", encounter=1, reason="arrived", in_view=True))
    talk._speak()
    assert talk._speech.sent == []  # the manner is that of nobody still
    talk._client._take("speaking_manner", SpeakingManner(**NEUTRAL | {"speech_register": "simple"}, face_id="fa"))
    talk._speak()
    talk._speak()
    (said,) = talk._speech.sent
    assert said.data.startswith("Coucou")
    lines = [line.split(" s  ", 1)[1].strip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["speaks with  fa, number 1 (arrived)", "manner       simple words", f"robot        “{said.data}”"]
    assert start.ended == []
    talk._first -= 61
    talk._speak()
    assert start.ended == [0]


def test_a_client_knows_what_was_published_last(start):
    client = start(create_talk, argparse.Namespace(language="en", duration=None))._client
    assert (client.interlocutor, client.speaking_manner, client.context, client.notice) == (None, None, "", "")
    heard = []
    client.on_context(heard.append)
    client._take("context", String(data="One person."))
    client.on_context(heard.append)
    client._take("interlocutor", InterlocutorMessage(face_id=""))
    assert (client.context, client.interlocutor, len(heard)) == ("One person.", None, 2)
