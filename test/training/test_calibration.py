"""Temperatures and thresholds."""

import numpy as np
import pytest
from facial_attributes_training.calibration import (
    WANTED_PRECISION,
    both_ways,
    calibrate,
    fit_temperature,
    fit_temperatures,
    fit_threshold,
    named,
)
from facial_attributes_training.manifest import Manifest, Row
from facial_attributes_training.metrics import calibration_error
from facial_attributes_training.subsets import first_half
from scipy.special import softmax

from facial_attributes_ros.attributes import EMOTION, GENDER, LABELS, MISSING


def honest_rows(rows: int = 20_000, classes: int = 4, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(rows, classes)) * spread
    chances = softmax(logits, axis=1).cumsum(axis=1)
    return logits, (random.random((rows, 1)) > chances).sum(axis=1).clip(max=classes - 1).astype(np.int64)


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


def test_too_few_labels_leave_everything_as_it_is() -> None:
    logits = {GENDER: np.array([[5.0, 0.0]] * 30)}
    assert fit_temperatures(logits, {GENDER: np.full(30, MISSING)}) == {GENDER: 1.0}
    fit = calibrate(logits, labelled(GENDER, np.full(30, MISSING)), np.ones(30, np.bool_))
    assert (fit.temperatures, fit.thresholds) == ({GENDER: 1.0}, {GENDER: 0.0})
    assert fit_threshold(np.full(5, 0.9), np.zeros(5, np.bool_), 0.95) == 0


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
    # On rows that it was not chosen on it holds as well.
    other = random.uniform(0.5, 1, 5000)
    again = named(other, random.random(5000) < other, threshold)
    assert again.precision is not None
    assert again.precision.value > 0.945


def test_a_precision_that_is_never_reached_leaves_everything_unknown() -> None:
    confidence = np.linspace(0.5, 0.9, 100)
    assert fit_threshold(confidence, np.arange(100) % 2 == 0, 0.95) == 1
    assert named(confidence, np.ones(100, np.bool_), 1.0).precision is None


def test_if_all_is_right_all_is_named() -> None:
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
    # Measured on honest rows, and on the others.
    assert first.tasks[GENDER].before < 0.03 < first.tasks[GENDER].after
    assert second.tasks[GENDER].before > 0.05
