import numpy as np
from facial_attributes_training.data.manifest import Manifest, Row
from facial_attributes_training.measure.age_centroids import fit_age_centroids, mean_ages
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from facial_attributes_ros.attributes import AGE_GROUP_STARTS
from facial_attributes_ros.models.spec import GROUP_MIDDLES


def people(ages: np.ndarray) -> Manifest:
    return Manifest.from_rows([Row(f"{number}.png", age_years=float(age)) for number, age in enumerate(ages)])


def drawn_to_the_middle(ages: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return distributions of a model that predicts everybody too near to 35 years."""
    seen = 35 + 0.7 * (ages - 35) + generator.normal(0, 4, len(ages))
    return softmax(-((seen[:, None] - np.array(GROUP_MIDDLES)) ** 2) / 120, axis=1)


def test_the_young_and_the_old_are_no_longer_drawn_to_the_middle() -> None:
    generator = np.random.default_rng(0)
    ages = generator.uniform(0, 85, 3000)
    probabilities, manifest = drawn_to_the_middle(ages, generator), people(ages)
    held_out = np.arange(3000) % 2 == 1
    fitted = fit_age_centroids(probabilities[~held_out], manifest.take(~held_out), GROUP_MIDDLES)
    for band in ((10, 20), (60, 85)):
        part = held_out & (ages >= band[0]) & (ages < band[1])
        before, after = (abs(np.mean(probabilities[part] @ c - ages[part])) for c in (np.array(GROUP_MIDDLES), fitted))
        assert after < 0.75 * before, band


def test_what_was_fitted_before_does_not_change_the_fit() -> None:
    generator = np.random.default_rng(1)
    ages = generator.uniform(0, 85, 1000)
    probabilities, manifest = drawn_to_the_middle(ages, generator), people(ages)
    once = fit_age_centroids(probabilities, manifest, GROUP_MIDDLES)
    assert fit_age_centroids(probabilities, manifest, once) == once


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.integers(0, 2**32 - 1))
def test_the_years_rise_whatever_the_samples(ages: list[float], seed: int) -> None:
    repeated = np.repeat(ages, 12)
    probabilities = np.random.default_rng(seed).dirichlet(np.full(len(GROUP_MIDDLES), 0.3), len(repeated))
    found = fit_age_centroids(probabilities, people(repeated), GROUP_MIDDLES)
    assert list(found) == sorted(found)
    assert 0 <= found[0] <= found[-1] <= 120


def test_few_bands_of_ages_change_nothing() -> None:
    adults = people(np.linspace(20, 60, 400))
    probabilities = np.random.default_rng(2).dirichlet(np.ones(len(GROUP_MIDDLES)), 400)
    assert fit_age_centroids(probabilities, adults, GROUP_MIDDLES) == GROUP_MIDDLES


def test_a_group_with_few_samples_keeps_its_years() -> None:
    ages = np.concatenate([np.full(20, AGE_GROUP_STARTS[3] + 2.0), np.full(3, AGE_GROUP_STARTS[5] + 1.0)])
    found = mean_ages(people(ages))
    assert found[3] == AGE_GROUP_STARTS[3] + 2
    assert found[5] == GROUP_MIDDLES[5]
