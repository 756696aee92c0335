"""Ages told in years: what the head's number means, and the age groups that follow from it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.attributes import AGE, LABELS, age_group_of
from facial_attributes_ros.engines.base import probabilities
from facial_attributes_ros.fusion.age import expected_age
from facial_attributes_ros.models.adaptations.ladder import Adaptation, build_model
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.regression import AgeRegression, class_logits
from facial_attributes_ros.models.spec import ModelSpec

AGES = AgeRegression(mean=35.0, std=15.0, deviation=6.0)
SPEC = ModelSpec(
    name="years",
    backbone=BackboneReference("resnet18"),
    image_size=64,
    mean=(0.5,) * 3,
    std=(0.5,) * 3,
    tasks=(AGE,),
    age_regression=AGES,
)


def output_of(years: float) -> dict[str, np.ndarray]:
    return {AGE: np.array([[AGES.outputs(np.float64(years))]], np.float32)}


@given(years=st.floats(-20, 130), deviation=st.floats(0.5, 30))
def test_groups_are_a_distribution_whose_best_holds_the_age(years, deviation):
    spec = replace(SPEC, age_regression=replace(AGES, deviation=deviation))
    shares = probabilities(output_of(years), spec)[AGE][0]
    assert shares.shape == (len(LABELS[AGE]),)
    assert np.isfinite(shares).all()
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    whole = round(years)
    # Only far from the last group, which has no end and so may weigh more than the one that holds the age.
    if 25 < years < 65 and deviation < 10 and abs(years + 0.5 - round((years + 0.5) / 10) * 10) > 0.1:
        assert shares.argmax() == age_group_of(whole)


@given(years=st.floats(15, 65), deviation=st.floats(3, 9))
def test_running_systems_tell_nearly_the_age_and_the_deviation_that_was_measured(years, deviation):
    spec = replace(SPEC, age_regression=replace(AGES, deviation=deviation))
    age, spread = expected_age(probabilities(output_of(years), spec)[AGE][0], spec.age_centroids)
    assert age == pytest.approx(years, abs=1.2)
    # Groups are ten years wide, the last one more, which adds to the deviation.
    assert deviation - 0.7 < spread < deviation + 6


def test_a_model_of_age_groups_is_left_as_it_is():
    logits = {AGE: np.zeros((2, 9), np.float32), "gender": np.zeros((2, 2), np.float32)}
    assert class_logits(logits, None) is logits
    mixed = class_logits({AGE: np.zeros((2, 1), np.float32), "gender": logits["gender"]}, AGES)
    assert list(mixed) == [AGE, "gender"]
    assert mixed[AGE].shape == (2, 9)
    assert mixed["gender"] is logits["gender"]


def test_no_faces_give_no_distributions():
    assert probabilities({AGE: np.empty((0, 1), np.float32)}, SPEC)[AGE].shape == (0, 9)


def test_the_description_comes_back_and_mistakes_are_named():
    document = json.loads(json.dumps(SPEC.to_json()))
    assert ModelSpec.from_json(document) == SPEC
    assert SPEC.outputs(AGE) == 1
    for wrong, told in (
        ({"mean": 35.0, "std": 15.0, "deviation": 0.0}, r"age_regression\.deviation"),
        ({"mean": 35.0, "std": 15.0, "deviation": 6.0, "unit": 1}, "unknown field of age_regression unit"),
        ([1, 2], "age_regression must be an object"),
    ):
        with pytest.raises(ValueError, match=told):
            ModelSpec.from_json(document | {"age_regression": wrong})
    with pytest.raises(ValueError, match="age is not among the tasks"):
        replace(SPEC, tasks=("gender",))


@pytest.mark.parametrize("hidden", [True, False])
def test_only_the_head_of_age_tells_one_number(hidden):
    backbone = build_backbone("resnet18", image_size=64)
    adaptation = Adaptation.named("lp", hidden=hidden)
    heads = build_model(backbone, adaptation, ("age", "gender"), age_in_years=True).heads
    assert heads["age"].classifier.out_features == 1
    assert heads["gender"].classifier.out_features == 2
    assert sum(p.numel() for p in heads["age"].parameters()) == 513 + (512 * 513 if hidden else 0)
