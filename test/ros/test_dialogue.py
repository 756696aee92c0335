"""The example speaks as the person needs it, and changes nothing for what is unknown."""

import importlib.util
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, UNKNOWN

PATH = Path(__file__).resolve().parents[2] / "examples" / "dialogue.py"
_spec = importlib.util.spec_from_file_location("dialogue", PATH)
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
