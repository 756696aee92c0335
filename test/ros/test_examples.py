"""The example nodes run, and the dialogue adapts to what is known of the person and to nothing else."""

import importlib.util
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, UNKNOWN

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DIALOGUE = EXAMPLES / "04_dialogue_node.py"
_spec = importlib.util.spec_from_file_location("dialogue", DIALOGUE)
dialogue = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(dialogue)


def face(age_group=None, gender=None, emotion=None, age=math.nan, size=10):
    def index(task, label):
        return UNKNOWN if label is None else LABELS[task].index(label)

    return SimpleNamespace(
        age=age,
        age_group=index(AGE, age_group),
        gender=index(GENDER, gender),
        emotion=index(EMOTION, emotion),
        roi=SimpleNamespace(width=size, height=size),
    )


@pytest.mark.parametrize(
    ("known", "manner"),
    [
        ({}, {"simple": False, "soft": False, "pronoun": "they", "rate": 1.0}),
        ({"age_group": "3-9", "age": 6.0}, {"simple": True, "soft": False}),
        ({"age_group": "3-9", "age": 20.0}, {"simple": False}),
        ({"age_group": "30-39", "gender": "female"}, {"simple": False, "pronoun": "she"}),
        ({"gender": "male", "emotion": "sad"}, {"pronoun": "he", "soft": True, "rate": 0.85}),
        ({"emotion": "angry"}, {"soft": True}),
        ({"emotion": "fear"}, {"soft": True}),
        ({"emotion": "happy"}, {"soft": False}),
    ],
)
def test_manner_follows_what_is_known(known, manner):
    chosen = dialogue.manner_for(face(**known))
    assert {name: getattr(chosen, name) for name in manner} == manner


def test_a_child_hears_shorter_sentences_than_an_adult():
    child, adult = dialogue.Manner(simple=True), dialogue.Manner()

    def longest(manner):
        return max(len(part) for part in dialogue.sentence_for(manner).replace("!", ".").replace("?", ".").split("."))

    assert longest(child) < longest(adult)


def test_the_largest_face_is_the_person_in_front():
    faces = [face(size=10), face(size=30), face(size=20)]
    assert dialogue.person_in_front(faces) is faces[1]
    assert dialogue.person_in_front([]) is None


MESSAGE = {
    "id": "fabc",
    "roi": {"width": 90, "height": 100},
    "age": 7.0,
    "age_group": LABELS[AGE].index("3-9"),
    "gender": UNKNOWN,
    "emotion": LABELS[EMOTION].index("sad"),
    "observations": 5,
}


def send_faces(peer, *faces):
    header = {"frame_id": "eye", "stamp": {"sec": 1700000000, "nanosec": 5}}
    message = {"header": header, "image_width": 640, "image_height": 480, "model": "small", "faces": list(faces)}
    peer.publish(message, topic="faces", kind="facial_attributes_ros/FaceAttributesArray")


def test_the_listener_logs_who_comes_changes_and_goes(shared_graph):
    listener, peer = shared_graph.script(EXAMPLES / "03_listener_node.py"), shared_graph.peer()
    send_faces(peer, MESSAGE)
    listener.wait_for_text("fabc: age 3-9, gender unknown, emotion sad")
    send_faces(peer, MESSAGE)
    send_faces(peer, MESSAGE | {"gender": LABELS[GENDER].index("female")})
    listener.wait_for_text("fabc: age 3-9, gender female, emotion sad")
    send_faces(peer)
    listener.wait_for_text("fabc: gone")
    assert listener.interrupt() == 0
    assert len([line for line in listener.lines if "fabc" in line]) == 3


def test_the_dialogue_node_publishes_what_it_would_say(shared_graph):
    node, peer = shared_graph.script(DIALOGUE), shared_graph.peer()
    peer.listen("speech", "std_msgs/String")
    send_faces(peer, MESSAGE)
    peer.hear("speech", what="a sentence")
    assert node.wait_for_text("To fabc (they), softly: Oh, is something wrong? I am here.")
    assert node.interrupt() == 0
