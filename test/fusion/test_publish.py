"""What is published of a face: age and group agree, and a gender is named where it is certain enough for the age."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facial_attributes_ros.attributes import AGE, GENDER, LABELS, TASKS, Detection, Distribution, age_group_of
from facial_attributes_ros.fusion.beliefs import Beliefs
from facial_attributes_ros.fusion.publish import face_attributes
from facial_attributes_ros.models.age_bands import BANDS, CLEAR, bands_of, gender_thresholds, youngest_plausible
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.spec import ModelSpec

BY_BAND = {"0-9": 0.95, "10-19": 0.9, "20+": 0.8}
SPEC = ModelSpec("a", BackboneReference("none"), 16, (0.5,) * 3, (0.5,) * 3, gender_thresholds=BY_BAND)
FACE = Detection(np.array([0, 0, 9, 9], np.float32), 0.9)
CHILD, TEENAGER, ADULT = (np.eye(9, dtype=np.float32)[group] for group in (1, 2, 4))

ages = (
    hnp.arrays(np.float64, 9, elements=st.floats(0, 1))
    .filter(lambda p: p.sum() > 0)
    .map(lambda p: (p / p.sum()).astype(np.float32))
)


def face(certainty, age=None, spec=SPEC, threshold=0.8, quality=1.0):
    found = {GENDER: Distribution(GENDER, np.array([certainty, 1 - certainty], np.float32), threshold)}
    found |= {} if age is None else {AGE: Distribution(AGE, age)}
    return face_attributes("f1", FACE, found, spec, 1, 0.0, quality)


@pytest.mark.parametrize(
    ("age", "named"), [(CHILD, 0.95), (TEENAGER, 0.9), (ADULT, 0.8), (None, 0.95)], ids=[*BANDS, "not estimated"]
)
def test_a_gender_is_named_from_the_threshold_of_the_band_on(age, named):
    assert face(named + 0.01, age).gender.label == "male"
    assert face(named - 0.01, age).gender.label is None


def test_a_face_that_may_be_a_childs_needs_the_certainty_of_a_childs():
    doubtful = 0.75 * ADULT + 0.25 * CHILD
    assert face(0.9, doubtful).gender.label is None
    assert face(0.9, 0.9 * ADULT + 0.1 * CHILD).gender.label == "male"


def test_models_with_one_threshold_go_on_as_they_were():
    plain = replace(SPEC, gender_thresholds={})
    for age in (CHILD, ADULT, None):
        assert face(0.81, age, plain, 0.8).gender.label == "male"
        assert face(0.79, age, plain, 0.8).gender.label is None


def test_a_band_that_was_never_measured_is_never_named():
    adults = replace(SPEC, gender_thresholds={"20+": 0.8})
    assert face(0.81, ADULT, adults).gender.label == "male"
    assert face(1.0, CHILD, adults).gender.label is None
    assert face(1.0, None, adults).gender.label is None


def test_a_users_threshold_counts_where_it_is_the_higher_one():
    assert face(0.9, ADULT, threshold=0.99).gender.label is None
    assert face(0.9, CHILD, threshold=0.0).gender.label is None


def test_a_poor_view_needs_more_certainty():
    assert face(0.85, ADULT, quality=CLEAR).gender.label == "male"
    assert face(0.85, ADULT, quality=CLEAR / 4).gender.label is None


@given(ages, st.floats(0.5, 1), st.floats(0.05, 1), st.floats(0.05, 1))
def test_certainty_and_quality_never_take_a_name_away(age, certainty, quality, other):
    worse, better = sorted((quality, other))
    assert gender_thresholds(BY_BAND, age[None], worse)[0] >= gender_thresholds(BY_BAND, age[None], better)[0]
    if face(certainty, age, quality=worse).gender.label is not None:
        assert face(min(certainty + 0.01, 1), age, quality=better).gender.label is not None


@given(ages, st.dictionaries(st.sampled_from(BANDS), st.floats(0, 1)))
def test_the_younger_band_is_never_the_less_strict(age, by_band):
    of_bands = [gender_thresholds(by_band, one[None])[0] for one in (CHILD, TEENAGER, ADULT)]
    assert of_bands == sorted(of_bands, reverse=True)
    assert of_bands[-1] <= gender_thresholds(by_band, age[None])[0] <= of_bands[0]
    assert gender_thresholds(by_band, None)[0] == of_bands[0]


def test_ages_that_are_not_numbers_count_as_those_of_children():
    assert youngest_plausible(np.full((1, 9), np.nan)).tolist() == [0]
    assert bands_of(np.arange(9)).tolist() == [0, 0, 1, 2, 2, 2, 2, 2, 2]


@given(ages)
def test_age_and_group_of_a_face_agree(age):
    found = face(0.9, age)
    assert found.age_group.chosen == age_group_of(found.age)
    assert found.age_group.label in (None, LABELS[AGE][age_group_of(found.age)])


def test_what_is_not_known_is_unknown_and_has_no_number():
    nothing = face_attributes("f1", FACE, {}, SPEC, 0, 0.0)
    assert math.isnan(nothing.age)
    assert math.isnan(nothing.age_stddev)
    assert [one.label for one in (nothing.age_group, nothing.gender, nothing.emotion)] == [None] * len(TASKS)


@given(st.lists(st.tuples(ages, st.floats(0, 1), st.floats(0.05, 1)), min_size=1, max_size=8))
def test_fusion_over_time_keeps_age_and_group_together_and_children_strict(views):
    beliefs, thresholds = Beliefs(SPEC), {AGE: 0.0, GENDER: 0.8}
    for second, (age, male, quality) in enumerate(views):
        gender = np.array([[male, 1 - male]], np.float32)
        beliefs.update(["f1"], {AGE: age[None], GENDER: gender}, float(second), [quality], thresholds)
        found = beliefs.attributes("f1", 0.0, FACE, frozenset({AGE, GENDER}), thresholds)
        assert found.age_group.chosen == age_group_of(found.age)
        assert found.age_group.label in (None, LABELS[AGE][age_group_of(found.age)])
        band = youngest_plausible(found.age_group.probabilities[None])[0]
        if band < len(BANDS) - 1 and found.gender.label is not None:
            assert found.gender.confidence >= np.float32(BY_BAND[BANDS[band]])
        without_age = beliefs.attributes("f1", 0.0, FACE, frozenset({GENDER}), thresholds)
        assert without_age.gender.label is None or without_age.gender.confidence >= np.float32(BY_BAND["0-9"])
        assert math.isnan(without_age.age)


def test_the_label_of_an_adult_is_held_below_the_threshold_that_it_has_reached():
    beliefs, thresholds = Beliefs(SPEC), {AGE: 0.0, GENDER: 0.8}
    labels = []
    for second, male in enumerate([0.9, 0.3]):
        gender = np.array([[male, 1 - male]], np.float32)
        beliefs.update(["f1"], {AGE: ADULT[None], GENDER: gender}, float(second), [1.0], thresholds)
        face = beliefs.attributes("f1", 0.0, FACE, frozenset({AGE, GENDER}), thresholds)
        labels.append((face.gender.label, face.gender.confidence))
    assert labels[-1][1] < 0.8
    assert [label for label, _ in labels] == ["male"] * 2
