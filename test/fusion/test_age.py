"""The age in years, its deviation, and the age group that goes with them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from estimate_streams import CENTROIDS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facial_attributes_ros.attributes import AGE, AGE_GROUP_STARTS, LABELS, UNKNOWN, Distribution, age_group_of
from facial_attributes_ros.fusion.age import group_certainty, published_age, spread_factors
from facial_attributes_ros.models.age_bands import SPREAD_KNOTS
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.spec import ModelSpec

groups = (
    hnp.arrays(np.float64, 9, elements=st.floats(0, 1))
    .filter(lambda p: p.sum() > 0)
    .map(lambda p: (p / p.sum()).astype(np.float32))
)
ages = st.floats(0, 100)
deviations = st.floats(0.1, 40)


def spec(least=0.5, spread=()):
    base = ModelSpec("a", BackboneReference("none"), 16, (0.5,) * 3, (0.5,) * 3)
    return replace(base, age_centroids=CENTROIDS, age_certainty=least, age_spread=spread)


@given(groups, st.floats(0, 1))
def test_the_published_group_holds_the_published_age_in_every_precision(probabilities, least):
    age, deviation, group = published_age(Distribution(AGE, probabilities), spec(least))
    assert (
        group.chosen == age_group_of(age) == age_group_of(float(np.float32(age))) == age_group_of(float(f"{age:.2f}"))
    )
    assert group.index in (group.chosen, UNKNOWN)
    assert (group.index == UNKNOWN) == (group_certainty(age, deviation) < least)
    assert group.confidence == probabilities[group.chosen]


def test_the_most_probable_group_stays_reachable_where_it_is_another_one():
    probabilities = np.array([0, 0, 0, 0.4, 0.3, 0.3, 0, 0, 0], np.float32)
    age, _, group = published_age(Distribution(AGE, probabilities), spec())
    assert LABELS[AGE][group.most_probable] == "20-29"
    assert (group.label, age_group_of(age)) == ("30-39", 4)
    assert group.confidence == pytest.approx(0.3)


def test_a_group_is_unknown_when_the_spread_says_so():
    """Two peaks far apart: 31 years or so, give or take a generation."""
    probabilities = np.array([0.5, 0.05, 0, 0, 0, 0, 0.05, 0.2, 0.2], np.float32)
    age, deviation, group = published_age(Distribution(AGE, probabilities), spec())
    assert deviation > 20
    assert not math.isnan(age)
    assert group.label is None
    np.testing.assert_array_equal(group.probabilities, probabilities)


@given(ages, deviations, deviations)
def test_a_wider_spread_never_makes_a_group_more_certain(age, deviation, other):
    narrow, wide = sorted((deviation, other))
    assert 0 <= group_certainty(age, wide) <= group_certainty(age, narrow) + 1e-12 <= 1 + 2e-12


@given(st.sampled_from(AGE_GROUP_STARTS), st.integers(0, 2))
def test_an_age_that_is_sure_is_certain_to_lie_near_its_group(start, years):
    assert group_certainty(start + years, 0.3) > 0.999


@given(hnp.arrays(np.float64, 9, elements=st.floats(0.01, 1)), st.integers(0, 7), st.floats(0, 1))
def test_the_published_age_rises_when_probability_moves_to_older_groups(weights, group, share):
    before = weights / weights.sum()
    after = before.copy()
    after[group] -= share * before[group]
    after[group + 1] += share * before[group]
    found = [published_age(Distribution(AGE, p.astype(np.float32)), spec()) for p in (before, after)]
    assert found[0][0] <= found[1][0] + 0.01
    assert found[0][2].chosen <= found[1][2].chosen or found[0][0] - found[1][0] > 0


@pytest.mark.parametrize("threshold", [1.0, math.inf])
def test_a_model_that_never_names_ages_does_not_name_a_sure_one(threshold):
    sure = Distribution(AGE, np.eye(9, dtype=np.float32)[4], threshold)
    assert published_age(sure, spec(0.0))[2].label is None


@given(st.floats(0, 100), st.lists(st.floats(0.5, 2), min_size=5, max_size=5))
def test_the_spread_is_corrected_between_the_smallest_and_the_largest_factor(age, spread):
    assert min(spread) - 1e-9 <= float(spread_factors(age, spread)) <= max(spread) + 1e-9
    assert float(spread_factors(age, ())) == 1
    for knot, factor in zip(SPREAD_KNOTS, spread, strict=True):
        assert float(spread_factors(knot, spread)) == pytest.approx(factor)


def test_a_corrected_spread_is_published_and_decides_on_the_group():
    groups = Distribution(AGE, np.array([0, 0, 0, 0.1, 0.25, 0.3, 0.25, 0.1, 0], np.float32))
    plain, wide = published_age(groups, spec(0.7)), published_age(groups, spec(0.7, (2.0,) * 5))
    assert wide[0] == plain[0]
    assert wide[1] == pytest.approx(2 * plain[1])
    assert (plain[2].label, wide[2].label) == ("40-49", None)
