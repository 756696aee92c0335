"""Models with visible expressions: the second output, the last layer of emotion, and crops by landmarks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facial_attributes_ros.attributes import EMOTION, LABELS
from facial_attributes_ros.engines.base import Engine
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.engines.onnx_export import example_crops
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.crop import crop_faces
from facial_attributes_ros.models.expression import EXPRESSION, EXPRESSIONS
from facial_attributes_ros.models.registry import load_model
from facial_attributes_ros.models.spec import ModelSpec

SIZE = 32
FRAME = example_crops(1, 160)[0]
LANDMARKS = np.array([[62, 60], [95, 72], [75, 83], [55, 93], [81, 103]], np.float32)
BOX = np.array([30, 40, 84, 84], np.float32)


@pytest.fixture(scope="module", params=["torch", "onnx", "onnx-int8"])
def engine(request: pytest.FixtureRequest, expressive_model: Path) -> Engine:
    return load_engine(expressive_model, device="cpu", engine=request.param, threads=1)


def test_expressions_are_given_to_those_who_ask(engine: Engine) -> None:
    crops = example_crops(3, SIZE)
    assert set(engine.logits(crops)) == set(LABELS)
    found = engine.logits(crops, [EXPRESSION, EMOTION])
    assert list(found) == [EMOTION, EXPRESSION]
    assert found[EXPRESSION].shape == (3, len(EXPRESSIONS))
    np.testing.assert_allclose(found[EMOTION], engine.logits(crops, [EMOTION])[EMOTION], atol=1e-4)
    assert engine.logits(crops[:0], [EXPRESSION])[EXPRESSION].shape == (0, len(EXPRESSIONS))


def test_a_model_without_them_says_so(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="has no task expression"):
        load_engine(tiny_model, device="cpu", engine="torch").logits(example_crops(1, SIZE), [EXPRESSION])


def test_emotion_is_read_from_pixels_and_expressions(engine: Engine, expressive_model: Path) -> None:
    crops = example_crops(4, SIZE)
    network, spec = load_model(expressive_model)
    readout, network.readout = network.readout, None
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (spec.mean, spec.std))
    images = (torch.from_numpy(crops[..., ::-1].copy()).permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.inference_mode():
        outputs = network(images, (EMOTION, EXPRESSION))
        pixels, expressions = readout.pixels, readout.expression
        expected = outputs[EMOTION].log_softmax(1) @ pixels.weight.T + pixels.bias
        expected += outputs[EXPRESSION] @ expressions.weight.T
    found = torch.from_numpy(engine.logits(crops)[EMOTION])
    if engine.name == "onnx-int8":
        found, expected = found.softmax(1), expected.softmax(1)
    torch.testing.assert_close(found, expected, atol=0.15 if engine.name == "onnx-int8" else 2e-3, rtol=0)


def test_a_last_layer_may_do_without_expressions(expressive_model: Path) -> None:
    network, _ = load_model(expressive_model, [EMOTION])
    features = torch.randn(2, network.feature_dim)
    whole = network.forward_features(features)[EMOTION]
    del network.heads[EXPRESSION]
    assert not torch.equal(network.forward_features(features)[EMOTION], whole)


def test_crops_follow_the_landmarks_if_the_model_says_so(engine: Engine) -> None:
    margin = engine.spec.crop_margin
    crops = crop_faces(FRAME, [BOX], SIZE, margin, [LANDMARKS])
    assert (crops != crop_faces(FRAME, [BOX], SIZE, margin)).mean() > 0.5
    given = engine.from_frame(FRAME, [BOX], landmarks=[LANDMARKS])
    for task, values in engine.logits(crops).items():
        np.testing.assert_allclose(given[task], values, atol=1e-4)
    box = engine.from_frame(FRAME, [BOX])
    for task, values in engine.logits(crop_faces(FRAME, [BOX], SIZE, margin)).items():
        np.testing.assert_allclose(box[task], values, atol=1e-4)


def test_a_model_of_boxes_does_not_look_at_landmarks(tiny_model: Path) -> None:
    engine = load_engine(tiny_model, device="cpu", engine="torch")
    for task, values in engine.from_frame(FRAME, [BOX]).items():
        np.testing.assert_array_equal(engine.from_frame(FRAME, [BOX], landmarks=[LANDMARKS])[task], values)


def test_descriptions_keep_what_they_say_of_crop_and_expressions(expressive_model: Path, tmp_path: Path) -> None:
    spec = ModelSpec.read(expressive_model)
    assert (spec.crop, spec.expressions, spec.readout) == ("landmarks", EXPRESSIONS, True)
    for changes, message in (
        ({"crop": "eyes"}, "crop must be one of"),
        ({"expressions": ("smile",)}, "expressions must be none"),
        ({"readout": 1}, "readout must be true or false"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(spec, **changes)
