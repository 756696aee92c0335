"""What is published of predictions: fitted on halves, and counted by band of age."""

from dataclasses import replace

import numpy as np
import pytest
from facial_attributes_training.measure.age_spread import BANDS as SPREAD_BANDS
from facial_attributes_training.measure.age_spread import fit_spread, spread_bands
from facial_attributes_training.measure.calibration import LEAST_CERTAINTY, MOST_CERTAINTY, calibrate
from facial_attributes_training.measure.evaluation import evaluate
from facial_attributes_training.measure.fitted import Fit
from facial_attributes_training.measure.gender_bands import MIN_ROWS, fit_gender_bands
from facial_attributes_training.measure.predictions import Predictions
from facial_attributes_training.measure.published import published_labels
from facial_attributes_training.measure.published_figures import AGE_BAND
from scipy.special import expit

from facial_attributes_ros.attributes import AGE, GENDER, MISSING, Detection, Distribution, age_group_of
from facial_attributes_ros.fusion.publish import face_attributes
from facial_attributes_ros.models.age_bands import BANDS, SPREAD_KNOTS, bands_of
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.spec import GROUP_MIDDLES, ModelSpec

SPEC = ModelSpec("a", BackboneReference("none"), 16, (0.5,) * 3, (0.5,) * 3, tasks=(AGE, GENDER))


def people(count=3000, seed=0):
    """Return confidences that are deserved among adults, too high among children, and whether they are right."""
    random = np.random.default_rng(seed)
    bands = random.integers(3, size=count)
    confidence = random.uniform(0.5, 1, count)
    deserved = 0.5 + (confidence - 0.5) * np.array([0.7, 0.85, 1.0])[bands]
    return confidence, random.uniform(size=count) < deserved, bands


def test_children_need_more_certainty_and_then_their_genders_are_right():
    fit = fit_gender_bands(*[values[:1500] for values in (*people(), people()[2])], 0.9)
    assert fit["0-9"] >= fit["10-19"] > fit["20+"]
    confidence, right, bands = (values[1500:] for values in people())
    for index in (1, 2):
        named = (bands == index) & (confidence >= fit[BANDS[index]])
        assert named.sum() > 50
        assert right[named].mean() > 0.88


def test_a_band_with_too_few_samples_has_no_threshold():
    confidence, right, bands = people()
    few = np.where((bands == 0) & (np.cumsum(bands == 0) >= MIN_ROWS), 2, bands)
    assert set(fit_gender_bands(confidence, right, few, few, 0.95)) == {"10-19", "20+"}


def test_a_spread_that_is_too_wide_for_children_and_too_narrow_for_the_old_is_corrected():
    random = np.random.default_rng(0)
    true = random.uniform(1, 80, 4000)
    stated = np.full(len(true), 6.0)
    expected = np.clip(true + random.normal(0, np.interp(true, (5, 65), (4, 9))), 0, None)
    factors = fit_spread(expected[:2000], stated[:2000], true[:2000])
    assert factors[0] < 0.95 < 1.05 < factors[-1]
    corrected = stated * np.interp(expected, SPREAD_KNOTS, factors)
    held_out = np.arange(len(true)) >= 2000
    worst = {}
    for name, deviations in (("before", stated), ("after", corrected)):
        inside = np.abs(expected - true) <= deviations
        found = [inside[held_out & (spread_bands(true) == band)].mean() for band in range(len(SPREAD_BANDS))]
        worst[name] = max(abs(proportion - 0.68) for proportion in found)
    assert worst["after"] < 0.75 * worst["before"]


def test_a_spread_that_holds_or_is_hardly_known_is_left_alone():
    random = np.random.default_rng(0)
    true = random.uniform(1, 80, 2000)
    expected = true + random.normal(0, 6, len(true))
    stated = np.full(len(true), 6.0)
    assert fit_spread(expected, stated, true) == ()
    assert fit_spread(expected[:50], 3 * stated[:50], true[:50]) == ()


@pytest.fixture(scope="module")
def predictions(make_manifest):
    """Return predictions whose ages are a few years off and whose genders are right as often as they say."""
    random = np.random.default_rng(1)
    years = random.uniform(0, 80, 600).astype(np.float32)
    groups = np.array([age_group_of(age) for age in years])
    seen = np.clip(years + random.normal(0, 6, len(years)), 0, 90)
    genders = random.integers(2, size=len(years))
    signs = np.where(genders == 0, 1.0, -1.0) * random.normal(2.0, 1.5, len(years))
    logits = {
        AGE: (-((seen[:, None] - np.array(GROUP_MIDDLES)) ** 2) / 120).astype(np.float32),
        GENDER: np.stack([signs, np.zeros(len(years))], axis=1).astype(np.float32),
    }
    return Predictions(make_manifest(years, groups, genders), logits, [])


@pytest.fixture(scope="module")
def make_manifest(tmp_path_factory):
    from facial_attributes_training.data.manifest import Manifest

    def make(years, groups, genders):
        count = len(years)
        text = np.full(count, "val")
        return Manifest(
            paths=np.array([f"/pictures/{row}.jpg" for row in range(count)]),
            splits=text,
            sources=np.full(count, "made"),
            labels={AGE: groups, GENDER: genders, "emotion": np.full(count, MISSING)},
            age_years=years,
            boxes=np.full((count, 4), np.nan, np.float32),
            landmarks=np.full((count, 5, 2), np.nan, np.float32),
            extra={},
        )

    return make


def test_the_labels_that_are_counted_are_those_that_the_package_publishes(predictions):
    fit = calibrate(predictions.logits, predictions.manifest, np.ones(600, np.bool_)).over(SPEC)
    spec = replace(SPEC, **fit.fields())
    assert set(fit.gender_thresholds) == set(BANDS)
    assert len(fit.age_spread) == len(SPREAD_KNOTS)
    counted = {task: published_labels(predictions.logits, task, fit) for task in (AGE, GENDER)}
    for row in range(0, 600, 7):
        found = {}
        for task, threshold in spec.thresholds.items():
            if task in predictions.logits:
                values = predictions.probabilities(task, spec.temperatures[task])[row].astype(np.float32)
                found[task] = Distribution(task, values, threshold)
        face = face_attributes("f1", Detection(np.ones(4, np.float32), 1.0), found, spec, 1, 0.0)
        for task, published in ((AGE, face.age_group), (GENDER, face.gender)):
            labels = counted[task]
            known = labels.confidence[row] >= labels.least[row]
            if abs(labels.confidence[row] - labels.least[row]) > 1e-5:
                assert (published.label is not None) == known
            if known:
                assert published.index == labels.index[row]


def test_the_certainty_of_a_group_is_fitted_between_its_bounds(predictions):
    fit = calibrate(predictions.logits, predictions.manifest, np.ones(600, np.bool_))
    assert LEAST_CERTAINTY <= fit.age_certainty <= MOST_CERTAINTY


def test_an_evaluation_counts_labels_by_band_and_both_rules_for_the_group(predictions):
    results = evaluate(predictions, SPEC, fit=True).results["made"]
    ages, genders = results[AGE].published, results[GENDER].published
    assert list(ages.rules) == ["group of the expected age", "most probable group"]
    assert set(ages.bands) == set(SPREAD_BANDS)
    assert sum(band.rows for band in ages.bands.values()) == results[AGE].calibration.rows
    assert all(0.5 < band.within.value < 0.9 for band in ages.bands.values())
    by_band = genders.named[AGE_BAND]
    assert set(by_band) == set(BANDS)
    bands = bands_of(predictions.manifest.labels[AGE])
    assert by_band["0-9"].rows < int((bands == 0).sum())


def test_a_fit_takes_what_it_lacks_from_the_model():
    own = ModelSpec(
        "a", BackboneReference("none"), 16, (0.5,) * 3, (0.5,) * 3,
        age_spread=(0.9,) * 5, age_certainty=0.7, gender_thresholds={"0-9": 0.99, "20+": 0.8},
    )  # fmt: skip
    fit = Fit({GENDER: 1.5}, {GENDER: 0.7}, gender_thresholds={"20+": 0.85}).over(own)
    assert fit.gender_thresholds == {"0-9": 0.99, "20+": 0.85}
    assert (fit.age_spread, fit.age_certainty) == (own.age_spread, own.age_certainty)
    assert (fit.temperatures[GENDER], fit.temperatures[AGE]) == (1.5, 1.0)
    assert Fit({GENDER: 1.5}, {GENDER: 0.7}, gender_thresholds={"20+": 0.85}).only([AGE]).over(own) == Fit.of(own)


def test_right_as_often_as_said_names_from_the_wanted_precision_on():
    random = np.random.default_rng(0)
    confidence = expit(random.normal(1.5, 1.5, 8000).clip(0.01))
    right = random.uniform(size=len(confidence)) < confidence
    everybody = np.zeros(len(confidence), np.int64)
    least = fit_gender_bands(confidence, right, everybody, everybody, 0.95)["0-9"]
    assert 0.95 < right[confidence >= least].mean() < 0.99
