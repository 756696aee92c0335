"""The figures of an evaluation, against scikit-learn and by hand."""

import numpy as np
import pytest
from facial_attributes_training.measure.metrics import (
    CALIBRATION_BINS,
    accuracy,
    balanced_accuracy,
    bootstrap_confusion,
    bootstrap_mean,
    calibration_error,
    confusion_matrix,
    f1_scores,
    off_by_one_accuracy,
    probability_scores,
    reliability,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

CLASSES = 5


@st.composite
def predictions(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """True classes and distributions of 2 to 60 samples; not every class has samples."""
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    rows = draw(st.integers(2, 60))
    truth = random.integers(0, draw(st.integers(1, CLASSES)), rows)
    powers = np.exp(random.normal(size=(rows, CLASSES)) * draw(st.floats(0.1, 4)))
    return truth, powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
@settings(deadline=None, max_examples=25)
@given(predictions())
def test_figures_equal_scikit_learns(data: tuple[NDArray[np.int64], NDArray[np.float64]]) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    truth, probabilities = data
    predicted = probabilities.argmax(axis=1)
    labels = list(range(CLASSES))
    confusion = confusion_matrix(truth, predicted, CLASSES)
    np.testing.assert_array_equal(confusion, sklearn_metrics.confusion_matrix(truth, predicted, labels=labels))
    assert accuracy(confusion) == pytest.approx(sklearn_metrics.accuracy_score(truth, predicted))
    assert balanced_accuracy(confusion) == pytest.approx(sklearn_metrics.balanced_accuracy_score(truth, predicted))
    theirs = sklearn_metrics.f1_score(truth, predicted, labels=labels, average=None, zero_division=0)
    for index, score in enumerate(f1_scores(confusion)):
        assert score == (pytest.approx(theirs[index]) if (truth == index).any() else None)


@settings(deadline=None, max_examples=25)
@given(predictions())
def test_the_calibration_error_is_that_of_its_definition(
    data: tuple[NDArray[np.int64], NDArray[np.float64]],
) -> None:
    truth, probabilities = data
    assert reliability(truth, probabilities).rows.sum() == len(truth)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    expected = 0.0
    for index in range(CALIBRATION_BINS):
        inside = (index <= confidence * CALIBRATION_BINS) & (confidence * CALIBRATION_BINS < index + 1)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(truth, probabilities) == pytest.approx(expected, abs=1e-9)


def test_a_certain_prediction_is_in_the_last_bin() -> None:
    diagram = reliability(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert diagram.rows.tolist() == [0] * (CALIBRATION_BINS - 1) + [2]
    assert diagram.accuracy[-1] == 0.5


def test_figures_of_a_matrix_worked_out_by_hand() -> None:
    # Class 0: 3 of 4 right, class 1: 1 of 2 right, class 2: no samples but one wrong answer.
    truth, predicted = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 2])
    confusion = confusion_matrix(truth, predicted, 3)
    assert confusion.tolist() == [[3, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert accuracy(confusion) == pytest.approx(4 / 6)
    assert balanced_accuracy(confusion) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert f1_scores(confusion) == [pytest.approx(6 / 7), pytest.approx(1 / 2), None]


def test_off_by_one_counts_the_neighbouring_groups() -> None:
    truth, predicted = np.array([0, 4, 4, 4]), np.array([1, 3, 4, 2])
    assert off_by_one_accuracy(confusion_matrix(truth, predicted, CLASSES)) == 0.75


def test_bootstrap_intervals_hold_the_value_and_shrink_with_samples() -> None:
    few, many = (bootstrap_confusion(np.array([[8, 2], [2, 8]]) * factor, accuracy) for factor in (1, 100))
    for estimate in (few, many):
        assert estimate.value == 0.8
        assert estimate.low < 0.8 < estimate.high
    # A fraction of 0.8 over 2000 samples has a standard error of 0.0089.
    assert many.high - many.low == pytest.approx(2 * 1.96 * 0.0089, rel=0.15)
    assert few.high - few.low > 5 * (many.high - many.low)


def test_the_bootstrapped_mean_has_the_standard_errors_width() -> None:
    values = np.random.default_rng(0).normal(5, 2, 1000)
    estimate = bootstrap_mean(values)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * 2 / np.sqrt(1000), rel=0.15)


def test_the_proper_scores_are_those_of_their_definitions() -> None:
    truth = np.array([0, 1, 1])
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [1.0, 0.0]])
    found = probability_scores(truth, probabilities)
    # A truth that was ruled out costs a lot, but not everything.
    assert found.nll == pytest.approx(-(np.log(0.8) + np.log(0.6) + np.log(1e-12)) / 3)
    assert found.brier == pytest.approx((0.04 + 0.04 + 0.16 + 0.16 + 1 + 1) / 3)
    assert found.error == calibration_error(truth, probabilities)
