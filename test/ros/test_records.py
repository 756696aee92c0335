"""Attribute messages as JSON and as lines, whatever is known."""

import json
import math
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.attributes import (
    AGE,
    EMOTION,
    GENDER,
    LABELS,
    UNKNOWN,
    Detection,
    Distribution,
    FaceAttributes,
)
from facial_attributes_ros.ros.records import array_record, face_line, face_record

STAMP = SimpleNamespace(sec=1700000000, nanosec=123456789)


def face(age_group=3, gender=1, emotion=UNKNOWN, age=24.6):
    return SimpleNamespace(
        id="f1",
        roi=SimpleNamespace(x_offset=1, y_offset=2, width=30, height=40),
        detection_confidence=0.9,
        landmarks=np.array([1, 2, 3, 4, 5, 6, 7, 8, math.nan, math.nan], np.float32),
        age=age,
        age_stddev=age / 4,
        age_group=age_group,
        age_group_probabilities=np.full(9, 1 / 9, np.float32),
        gender=gender,
        gender_probabilities=np.array([0.1, 0.9], np.float32),
        emotion=emotion,
        emotion_probabilities=np.full(7, 1 / 7, np.float32),
        observations=4,
        updated=STAMP,
    )


def array(*faces):
    header = SimpleNamespace(stamp=STAMP, frame_id="eye")
    return SimpleNamespace(header=header, image_width=640, image_height=480, model="small", faces=list(faces))


def test_a_record_has_every_field_and_null_for_what_is_unknown():
    record = json.loads(json.dumps(array_record(array(face(), face(age=math.nan))), allow_nan=False))
    assert record["stamp"] == {"sec": 1700000000, "nanosec": 123456789}
    assert (record["frame_id"], record["width"], record["height"], record["model"]) == ("eye", 640, 480, "small")
    first, second = record["faces"]
    assert first["box"] == [1, 2, 30, 40]
    assert (first["age_group"], first["gender"], first["emotion"]) == ("20-29", "female", None)
    assert first["landmarks"][-2:] == [None, None]
    assert first["gender_probabilities"] == {"male": 0.1, "female": 0.9}
    assert math.isclose(sum(first["emotion_probabilities"].values()), 1, abs_tol=1e-4)
    assert (second["age"], second["age_stddev"]) == (None, None)


def test_an_array_without_faces_is_a_record_too():
    assert array_record(array())["faces"] == []


@given(
    st.sampled_from([*range(9), UNKNOWN]),
    st.sampled_from([0, 1, UNKNOWN]),
    st.sampled_from([*range(7), UNKNOWN]),
    st.floats(0, 120) | st.just(math.nan),
)
def test_a_line_names_what_is_known(age_group, gender, emotion, age):
    line = face_line(face(age_group, gender, emotion, age), latency=0.0432)
    assert "\n" not in line
    assert line.startswith("f1 ")
    assert line.endswith("43 ms")
    for task, index in (("age", age_group), ("gender", gender), ("emotion", emotion)):
        assert (f"{task} unknown" if index == UNKNOWN else LABELS[task][index]) in line
    assert ("age ?" in line) == math.isnan(age)


def test_a_message_has_the_form_of_the_result_that_it_was_made_from():
    detection = Detection(np.array([1, 2, 30, 40], np.float32), 0.9, np.arange(10, dtype=np.float32).reshape(5, 2))
    probabilities = {task: np.full(len(labels), 1 / len(labels), np.float32) for task, labels in LABELS.items()}
    known = {task: Distribution(task, values) for task, values in probabilities.items()}
    result = FaceAttributes("f1", detection, 31.25, 6.5, known[AGE], known[GENDER], known[EMOTION], 4, 1.0)
    message = face(0, 0, 0, result.age)
    message.age_stddev, message.landmarks = result.age_stddev, detection.landmarks.ravel()
    message.gender_probabilities = probabilities[GENDER]
    record = face_record(message)
    assert record.pop("updated") == {"sec": STAMP.sec, "nanosec": STAMP.nanosec}
    assert record == result.to_dict()
