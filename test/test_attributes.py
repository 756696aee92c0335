import ast
import json
import math
from pathlib import Path

import numpy as np
import pytest

from facial_attributes_ros.attributes import LABELS, Detection, Distribution, FaceAttributes, image_dict

ROOT = Path(__file__).resolve().parent.parent
ARRAYS = ("NDArray", "Tensor", "Detection", "Distribution", "FaceAttributes")


def dataclasses_with_arrays():
    for path in (file for folder in ("facial_attributes_ros", "training") for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                fields = [ast.unparse(item.annotation) for item in node.body if isinstance(item, ast.AnnAssign)]
                decorators = [ast.unparse(item) for item in node.decorator_list]
                if any(name in field for name in ARRAYS for field in fields) and "dataclass" in str(decorators):
                    yield f"{path.relative_to(ROOT)}: {node.name}", decorators


@pytest.mark.parametrize("make", [
    lambda: Detection(np.ones(4, np.float32), 0.9),
    lambda: Distribution("gender", np.array([0.4, 0.6], np.float32)),
])  # fmt: skip
def test_results_can_be_compared_and_put_into_a_set(make):
    one, other = make(), make()
    assert one == one
    assert one != other
    assert one in [other, one]
    assert len({one, other, one}) == 2


def test_no_dataclass_compares_arrays_which_python_cannot():
    found = dict(dataclasses_with_arrays())
    assert len(found) > 10
    assert not [name for name, decorators in found.items() if "eq=False" not in str(decorators)]


def face(age=34.4321, label_at=0.5):
    return FaceAttributes(
        id="face1",
        detection=Detection(np.array([1, 2.126, 30, 40], np.float32), 0.91234567),
        age=age,
        age_stddev=age / 5,
        age_group=Distribution.unknown("age"),
        gender=Distribution("gender", np.array([0.4, 0.6], np.float32), label_at),
        emotion=Distribution("emotion", np.eye(7, dtype=np.float32)[3]),
        observations=np.int64(4),
        updated=1.5,
    )


def test_the_json_form_of_a_face_has_labels_probabilities_by_label_and_rounded_numbers():
    found = json.loads(json.dumps(face().to_dict(), allow_nan=False))
    assert found == {
        "id": "face1",
        "box": [1.0, 2.13, 30.0, 40.0],
        "detection_confidence": 0.9123,
        "landmarks": [None] * 10,
        "age": 34.4321,
        "age_stddev": 6.8864,
        "age_group": None,
        "age_group_probabilities": dict.fromkeys(LABELS["age"], 0.111111),
        "gender": "female",
        "gender_probabilities": {"male": 0.4, "female": 0.6},
        "emotion": "happy",
        "emotion_probabilities": {label: float(label == "happy") for label in LABELS["emotion"]},
        "observations": 4,
    }


def test_what_is_not_known_is_null_in_json():
    found = json.loads(json.dumps(face(age=math.nan, label_at=0.7).to_dict(), allow_nan=False))
    assert found["age"] is found["age_stddev"] is found["gender"] is None
    assert found["gender_probabilities"]["female"] == 0.6


def test_the_parts_of_a_face_have_the_same_form():
    one = face()
    assert one.detection.to_dict().items() <= one.to_dict().items()
    assert one.gender.to_dict().items() <= one.to_dict().items()


def test_the_json_form_of_an_image_names_its_source_first():
    found = image_dict([face().to_dict()], 640, 480, "small", path="a.jpg")
    assert list(found) == ["path", "width", "height", "faces", "model"]
    assert found["faces"][0]["id"] == "face1"


def test_results_are_written_with_rounded_numbers():
    assert repr(face().detection) == "Detection(box=[1.0, 2.1, 30.0, 40.0], score=0.91)"
    written = "Distribution(task='gender', label='female', probabilities={'male': 0.4, 'female': 0.6})"
    assert repr(face().gender) == written
    assert repr(face()) == (
        "FaceAttributes(id='face1', box=[1.0, 2.1, 30.0, 40.0], age='34 ± 7 years', age_group=None, "
        "gender='female', emotion='happy', observations=4)"
    )
    assert "age='unknown'" in repr(face(age=math.nan))
