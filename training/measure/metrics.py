"""What is measured on predictions, as plain functions of arrays.

Samples are NumPy arrays throughout: `truth` int64 (samples,) holds class indices without missing labels,
`probabilities` is float (samples, classes). Whatever follows from a confusion matrix takes one, or a stack of them, so
that it is bootstrapped in one call. NumPy is enough for this: torchmetrics takes eleven seconds of CPU to import.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

Truth = NDArray[np.int64]
Floats = NDArray[np.floating]

CALIBRATION_BINS = 15
LEAST_PROBABILITY = 1e-12
BOOTSTRAP_SAMPLES = 1000
INTERVAL = 0.95
"""Level of the confidence intervals."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its confidence interval.

    Attributes:
        value: the figure itself.
        low, high: ends of the interval; equal to the value where there are too few samples for one.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of_proportion(cls, hits: int, rows: int) -> Self:
        """Return a proportion with its Wilson interval; there must be at least one sample."""
        low, high = wilson(hits, rows, INTERVAL)
        return cls(hits / rows, float(low), float(high))


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """A reliability diagram: samples sorted into equal bins of confidence.

    Attributes:
        confidence: float64 (bins,): mean of the highest probability, NaN in empty bins.
        accuracy: float64 (bins,): fraction of correct predictions, NaN in empty bins.
        rows: int64 (bins,).
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    rows: NDArray[np.int64]


def wilson(hits: ArrayLike, rows: ArrayLike, level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the score interval of a proportion (E. B. Wilson, 1927).

    Args:
        hits: (...) numbers of successes.
        rows: (...) numbers of trials, from 1 on.
        level: two-sided, 0 to 1.
    """
    count, z = np.asarray(rows, np.float64), float(norm.ppf((1 + level) / 2))
    proportion = np.asarray(hits, np.float64) / count
    centre = proportion + z**2 / (2 * count)
    spread = z * np.sqrt(proportion * (1 - proportion) / count + (z / (2 * count)) ** 2)
    scale = 1 + z**2 / count
    return np.asarray((centre - spread) / scale), np.asarray((centre + spread) / scale)


def recalls(confusion: NDArray[np.int64]) -> list[Estimate | None]:
    """Return the recall of every class with its Wilson interval, None for classes without samples."""
    rows = confusion.sum(axis=1).tolist()
    return [Estimate.of_proportion(int(confusion[index, index]), n) if n else None for index, n in enumerate(rows)]


def confusion_matrix(truth: Truth, predicted: Truth, classes: int) -> NDArray[np.int64]:
    """Return int64 (classes, classes): samples by true class (first axis) and predicted class (second)."""
    counts = np.bincount(truth * classes + predicted, minlength=classes**2)
    return np.asarray(counts.reshape(classes, classes), np.int64)


def accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return float64 (...): the fraction of correct predictions of confusion matrices (..., classes, classes)."""
    return np.asarray(np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1)))


def balanced_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return float64 (...): the mean recall of the classes that have samples, of matrices (..., classes, classes)."""
    rows = confusion.sum(axis=-1)
    recalls = np.diagonal(confusion, axis1=-2, axis2=-1) / np.maximum(rows, 1)
    return np.asarray(recalls.sum(axis=-1) / (rows > 0).sum(axis=-1))


def off_by_one_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return float64 (...): the fraction of predictions at most one class away from the truth, for classes in order.

    Args:
        confusion: int64 (..., classes, classes).
    """
    near = sum(np.trace(confusion, offset, axis1=-2, axis2=-1) for offset in (-1, 0, 1))
    return np.asarray(near / confusion.sum(axis=(-2, -1)))


def f1_scores(confusion: NDArray[np.int64]) -> list[float | None]:
    """Return the F1 score of every class, the harmonic mean of precision and recall; None for classes without samples.

    Args:
        confusion: int64 (classes, classes).
    """
    rows, columns, hits = confusion.sum(axis=1), confusion.sum(axis=0), np.diagonal(confusion)
    return [
        float(2 * hit / (true + predicted)) if true else None
        for hit, true, predicted in zip(hits.tolist(), rows.tolist(), columns.tolist(), strict=True)
    ]


def calibration_error(truth: Truth, probabilities: Floats) -> float:
    """Return the expected calibration error with 15 equal bins (M. P. Naeini and others, 2015).

    It is the mean distance between confidence and accuracy in a bin of the reliability diagram, weighted by samples.
    """
    diagram = reliability(truth, probabilities)
    distances = np.nan_to_num(np.abs(diagram.accuracy - diagram.confidence))
    return float((diagram.rows * distances).sum() / diagram.rows.sum())


@dataclass(frozen=True, slots=True)
class ProbabilityScores:
    """Scores of class probabilities; lower is better.

    Attributes:
        error: expected calibration error, 0 to 1; it is of the most probable class only.
        nll: negative log-likelihood of the truth in nats, a strictly proper score.
        brier: sum of the squared differences from the truth (G. W. Brier, 1950), 0 to 2, also strictly proper.
    """

    error: float
    nll: float
    brier: float


def probability_scores(truth: Truth, probabilities: Floats) -> ProbabilityScores:
    """Return calibration error, negative log-likelihood and Brier score of class probabilities (samples, classes).

    A true class with probability 0 counts as one of `LEAST_PROBABILITY`, so that the mean stays finite.
    """
    values, rows = np.asarray(probabilities, np.float64), np.arange(len(truth))
    likelihood = np.maximum(values[rows, truth], LEAST_PROBABILITY)
    squares = (values**2).sum(axis=1) - 2 * values[rows, truth] + 1
    return ProbabilityScores(calibration_error(truth, values), float(-np.log(likelihood).mean()), float(squares.mean()))


def reliability(truth: Truth, probabilities: Floats) -> Reliability:
    """Return the reliability diagram of class probabilities; a confidence of 1 is in the last bin."""
    confidence = np.asarray(probabilities, np.float64).max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    rows = np.bincount(bins, minlength=CALIBRATION_BINS)
    with np.errstate(invalid="ignore"):
        return Reliability(
            np.bincount(bins, confidence, CALIBRATION_BINS) / rows,
            np.bincount(bins, right, CALIBRATION_BINS) / rows,
            rows,
        )


def bootstrap_confusion(
    confusion: NDArray[np.int64], measure: Callable[[NDArray[np.int64]], NDArray[np.float64]], seed: int = 0
) -> Estimate:
    """Return a measure of a confusion matrix with its bootstrap interval.

    Resampling with replacement is drawing the matrix from a multinomial, which is what this does.
    """
    rows = int(confusion.sum())
    draws = np.random.default_rng(seed).multinomial(rows, confusion.reshape(-1) / rows, BOOTSTRAP_SAMPLES)
    return _estimate(float(measure(confusion)), measure(draws.reshape(-1, *confusion.shape)))


def bootstrap_mean(values: Floats, seed: int = 0) -> Estimate:
    """Return the mean of values (samples,) with its bootstrap interval."""
    random = np.random.default_rng(seed)
    means = [values[random.integers(len(values), size=len(values))].mean() for _ in range(BOOTSTRAP_SAMPLES)]
    return _estimate(float(values.mean()), np.array(means))


def bootstrap_correlation(first: Floats, second: Floats, seed: int = 0) -> Estimate:
    """Return Pearson's correlation of two columns (samples,) with its bootstrap interval; NaN where one does not vary.

    Of ranks it is Spearman's; the ranks of all samples stand for those within a resample, which differ in ties only.
    """
    columns = np.stack([first, second]).astype(np.float64)
    random, rows = np.random.default_rng(seed), columns.shape[1]
    draws = [_correlation(columns[:, random.integers(rows, size=rows)]) for _ in range(BOOTSTRAP_SAMPLES)]
    return _estimate(_correlation(columns), np.array(draws))


def _correlation(columns: NDArray[np.float64]) -> float:
    centred = columns - columns.mean(axis=1, keepdims=True)
    spread = float(np.sqrt((centred[0] @ centred[0]) * (centred[1] @ centred[1])))
    return float(centred[0] @ centred[1]) / spread if spread > 0 else float("nan")


def _estimate(value: float, draws: NDArray[np.float64]) -> Estimate:
    draws = draws[~np.isnan(draws)]
    if np.isnan(value) or not len(draws):
        return Estimate(value, value, value)
    tail = (1 - INTERVAL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))
