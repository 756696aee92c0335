"""Temperatures and thresholds."""

import numpy as np
import pytest
from facial_attributes_training.data.manifest import Manifest, Row
from facial_attributes_training.data.subsets import first_half
from facial_attributes_training.measure.calibration import (
    HIGHEST,
    WANTED_PRECISION,
    NotFittedError,
    both_ways,
    calibrate,
    fit_temperature,
    fit_threshold,
    named,
)
from facial_attributes_training.measure.metrics import calibration_error
from scipy.special import softmax

from facial_attributes_ros.attributes import EMOTION, GENDER, LABELS, MISSING


def honest_rows(rows: int = 20_000, classes: int = 4, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(rows, classes)) * spread
    probabilities = softmax(logits, axis=1).cumsum(axis=1)
    return logits, (random.random((rows, 1)) > probabilities).sum(axis=1).clip(max=classes - 1).astype(np.int64)


def labelled(task: str, truth: np.ndarray, origins: np.ndarray | None = None) -> Manifest:
    """Rows whose labels of one task are these."""
    rows = Manifest.from_rows(
        [
            Row(f"{number}.jpg", source="set", extra={} if origins is None else {"origin": str(origins[number])})
            for number in range(len(truth))
        ]
    )
    rows.labels[task][:] = truth
    return rows


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_factor_that_spoils_honest_logits_is_found(factor: float) -> None:
    logits, truth = honest_rows()
    temperature = fit_temperature(logits * factor, truth)
    assert temperature == pytest.approx(factor, rel=0.05)
    assert calibration_error(truth, softmax(logits * factor / temperature, axis=1)) < 0.015


def test_missing_labels_do_not_count() -> None:
    logits, truth = honest_rows(2000)
    hidden = truth.copy()
    hidden[::2] = MISSING
    assert fit_temperature(logits, hidden) == pytest.approx(fit_temperature(logits[1::2], truth[1::2]), rel=1e-3)


def test_too_few_labels_are_refused_and_say_so() -> None:
    logits = {GENDER: np.array([[5.0, 0.0]] * 30)}
    for there in (0, 19):
        truth = np.where(np.arange(30) < there, 0, MISSING)
        fit = calibrate(logits, labelled(GENDER, truth), np.ones(30, np.bool_))
        assert (fit.temperatures, fit.thresholds) == ({}, {})
        assert fit.warnings() == [
            f"gender was not calibrated: there are {there} labelled samples to fit on, and 20 are needed."
        ]
    # Were all of 31 right, that would not show a precision of 95 %, however sure the model is.
    with pytest.raises(NotFittedError, match="31 labelled samples to fit on, and 32 are needed"):
        fit_threshold(np.full(31, 0.9), np.ones(31, np.bool_), 0.95)
    assert fit_threshold(np.full(32, 0.9), np.ones(32, np.bool_), 0.95) <= 0.9


def test_few_samples_come_with_a_warning() -> None:
    logits, truth = honest_rows(100, 2)
    for rows, told in ((99, 1), (100, 0)):
        fit = calibrate({GENDER: logits}, labelled(GENDER, truth), np.arange(100) < rows)
        assert set(fit.temperatures) == {GENDER}
        assert len(fit.warnings()) == told


@pytest.mark.parametrize("rows", [20, 25, 60])
def test_samples_that_are_all_right_do_not_drive_the_temperature_to_its_bound(rows: int) -> None:
    random = np.random.default_rng(2)
    truth = random.integers(2, size=rows)
    logits = random.normal(size=(rows, 2))
    logits[np.arange(rows), truth] = logits.max(axis=1) + random.uniform(0.1, 4, rows)
    temperature = fit_temperature(logits, truth)
    # Lower, as the samples say, but within what networks need.
    assert 0.15 < temperature < 1
    # The prior is on the logarithm: what is wrong with the samples turned round is wrong by the same factor or less.
    assert 1 < fit_temperature(-logits, truth) < HIGHEST


def test_a_thousand_samples_outweigh_the_prior() -> None:
    logits, truth = honest_rows(1000)
    assert fit_temperature(logits * 3, truth) == pytest.approx(3, rel=0.15)


@pytest.mark.parametrize("scale", [1e-2, 1e4])
def test_a_temperature_at_its_bound_is_refused(scale: float) -> None:
    logits, truth = honest_rows(2000)
    with pytest.raises(NotFittedError, match="at its bound"):
        fit_temperature(logits * scale, truth)
    fit = calibrate({EMOTION: np.pad(logits, ((0, 0), (0, 3))) * scale}, labelled(EMOTION, truth), truth >= 0)
    assert (fit.temperatures, fit.thresholds) == ({}, {})
    assert "bound" in fit.refused[EMOTION]


def test_a_class_that_was_not_trained_does_not_count_for_the_temperature() -> None:
    logits, truth = honest_rows(2000)
    masked = logits.copy()
    masked[:, 3] = -np.inf
    kept = truth != 3
    assert fit_temperature(masked, truth) == pytest.approx(fit_temperature(masked[kept], truth[kept]))


def test_small_groups_count_together() -> None:
    """Twenty origins of a few samples each name as if they were one, not everything."""
    logits, truth = honest_rows(400, 2)
    origins = np.array([f"origin {number % 20}" for number in range(400)])
    rows = labelled(GENDER, truth, origins)
    one = calibrate({GENDER: logits}, labelled(GENDER, truth), np.ones(400, np.bool_))
    fit = calibrate({GENDER: logits}, rows, np.ones(400, np.bool_))
    assert fit.thresholds == one.thresholds
    assert fit.thresholds[GENDER] > 0.5


def test_from_the_threshold_on_labels_are_right_often_enough() -> None:
    random = np.random.default_rng(1)
    confidence = random.uniform(0.5, 1, 5000)
    right = random.random(5000) < confidence
    threshold = fit_threshold(confidence, right, 0.95)
    result = named(confidence, right, threshold)
    assert result.precision is not None
    assert result.precision.value > 0.95
    # The true precision above t is (1 + t) / 2; the margin for luck may not cost much.
    assert 0.9 < threshold < 0.93
    # On samples that it was not chosen on it holds as well.
    other = random.uniform(0.5, 1, 5000)
    again = named(other, random.random(5000) < other, threshold)
    assert again.precision is not None
    assert again.precision.value > 0.945


def test_a_precision_that_is_never_reached_leaves_everything_unknown() -> None:
    confidence = np.linspace(0.5, 0.9, 100)
    assert fit_threshold(confidence, np.arange(100) % 2 == 0, 0.95) == 1
    assert named(confidence, np.ones(100, np.bool_), 1.0).precision is None


def test_if_all_labels_are_correct_all_are_known() -> None:
    confidence = np.linspace(0.6, 0.9, 200)
    threshold = fit_threshold(confidence, np.ones(200, np.bool_), 0.95)
    assert named(confidence, np.ones(200, np.bool_), threshold).coverage.value == 1


def test_a_threshold_holds_for_the_hardest_origin() -> None:
    logits, truth = honest_rows(4000, len(LABELS[EMOTION]))
    origins = np.where(np.arange(4000) % 4 == 0, "hard", "easy")
    easy = origins == "easy"
    truth[easy] = logits[easy].argmax(axis=1)
    rows = labelled(EMOTION, truth, origins)
    fit = calibrate({EMOTION: logits}, rows, first_half(rows))
    way = both_ways({EMOTION: logits}, rows)[0]
    hard = way.tasks[EMOTION].named["set-from-hard"]
    assert way.fit == fit
    assert hard.precision is not None
    assert hard.precision.value > WANTED_PRECISION[EMOTION] - 0.03
    assert way.tasks[EMOTION].named["set-from-easy"].precision is not None
    everything = fit_threshold(
        softmax(logits / fit.temperatures[EMOTION], axis=1).max(axis=1), logits.argmax(axis=1) == truth, 0.7
    )
    assert fit.thresholds[EMOTION] > everything


def test_each_half_is_measured_with_the_fit_of_the_other() -> None:
    logits, truth = honest_rows(3000, 2)
    rows = labelled(GENDER, truth)
    half = first_half(rows)
    # The confidences of the first half are too high, those of the second are honest.
    logits[half] *= 4
    first, second = both_ways({GENDER: logits}, rows)
    assert first.fit.temperatures[GENDER] == pytest.approx(4, rel=0.15)
    assert second.fit.temperatures[GENDER] == pytest.approx(1, rel=0.15)
    assert first.tasks[GENDER].rows == (~half).sum()
    assert second.tasks[GENDER].rows == half.sum()
    # Measured on honest samples, and on the others.
    assert first.tasks[GENDER].before < 0.03 < first.tasks[GENDER].after
    assert second.tasks[GENDER].before > 0.05
