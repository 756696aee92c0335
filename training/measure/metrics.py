"""What is measured on predictions, as plain functions of arrays.

torchmetrics computes what it has; balanced accuracy, off-by-one and the errors in years are ours. Rows are NumPy
arrays throughout: `truth` int64 (rows,) holds class indices without missing labels, `probabilities` is float (rows,
classes).
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

Truth = NDArray[np.int64]
Floats = NDArray[np.floating]

CALIBRATION_BINS = 15
LEAST_PROBABILITY = 1e-12
BOOTSTRAP_SAMPLES = 1000
INTERVAL = 0.95
"""Share of the bootstrap samples that lies inside a confidence interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its confidence interval.

    Attributes:
        value: the figure itself.
        low, high: ends of the interval; equal to the value where there are too few rows for one.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of_share(cls, hits: int, rows: int) -> Self:
        """Return a share of some rows with its Wilson interval; there must be a row."""
        low, high = wilson(hits, rows, INTERVAL)
        return cls(hits / rows, float(low), float(high))


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """A reliability diagram: rows sorted into equal bins of confidence.

    Attributes:
        confidence: float64 (bins,): mean of the highest probability, NaN in empty bins.
        accuracy: float64 (bins,): share of right predictions, NaN in empty bins.
        rows: int64 (bins,).
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    rows: NDArray[np.int64]


def _torchmetrics() -> ModuleType:
    """Return torchmetrics' measures of classes; it takes ten seconds to import, which training does not wait for."""
    # It imports matplotlib, whose files stay in the cache if this comes first.
    importlib.import_module("facial_attributes_ros.figures")
    return importlib.import_module("torchmetrics.functional.classification")


def wilson(hits: ArrayLike, rows: ArrayLike, level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the score interval of a share (E. B. Wilson, 1927).

    Args:
        hits: (...) numbers of successes.
        rows: (...) numbers of trials, from 1 on.
        level: two-sided, 0 to 1.
    """
    count, z = np.asarray(rows, np.float64), float(norm.ppf((1 + level) / 2))
    share = np.asarray(hits, np.float64) / count
    centre = share + z**2 / (2 * count)
    spread = z * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    scale = 1 + z**2 / count
    return np.asarray((centre - spread) / scale), np.asarray((centre + spread) / scale)


def recalls(confusion: NDArray[np.int64]) -> list[Estimate | None]:
    """Return the recall of every class with its Wilson interval, None for classes without rows."""
    rows = confusion.sum(axis=1).tolist()
    return [Estimate.of_share(int(confusion[index, index]), n) if n else None for index, n in enumerate(rows)]


def confusion_matrix(truth: Truth, predicted: Truth, classes: int) -> NDArray[np.int64]:
    """Return int64 (classes, classes): rows by true class (first axis) and predicted class (second)."""
    measure = _torchmetrics().multiclass_confusion_matrix
    counts = measure(torch.from_numpy(predicted), torch.from_numpy(truth), num_classes=classes)
    return np.asarray(counts.numpy(), np.int64)


def accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return float64 (...): the share of right predictions of confusion matrices (..., classes, classes)."""
    return np.asarray(np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1)))


def balanced_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return float64 (...): the mean recall of the classes that have rows, of matrices (..., classes, classes)."""
    rows = confusion.sum(axis=-1)
    recalls = np.diagonal(confusion, axis1=-2, axis2=-1) / np.maximum(rows, 1)
    return np.asarray(recalls.sum(axis=-1) / (rows > 0).sum(axis=-1))


def off_by_one_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return float64 (...): the share of predictions at most one class away from the truth, for classes in order.

    Args:
        confusion: int64 (..., classes, classes).
    """
    near = sum(np.trace(confusion, offset, axis1=-2, axis2=-1) for offset in (-1, 0, 1))
    return np.asarray(near / confusion.sum(axis=(-2, -1)))


def f1_scores(truth: Truth, predicted: Truth, classes: int) -> list[float | None]:
    """Return the F1 score of every class, None for those that have no row."""
    measure = _torchmetrics().multiclass_f1_score
    scores = measure(torch.from_numpy(predicted), torch.from_numpy(truth), num_classes=classes, average="none")
    there = np.bincount(truth, minlength=classes) > 0
    return [float(score) if known else None for score, known in zip(scores, there, strict=True)]


def calibration_error(truth: Truth, probabilities: Floats) -> float:
    """Return the expected calibration error with 15 equal bins (M. P. Naeini and others, 2015)."""
    rows = torch.from_numpy(np.asarray(probabilities, np.float64))
    measure = _torchmetrics().multiclass_calibration_error
    error = measure(rows, torch.from_numpy(truth), num_classes=rows.shape[1], n_bins=CALIBRATION_BINS, norm="l1")
    return float(error)


@dataclass(frozen=True, slots=True)
class Honesty:
    """How well distributions say how sure one can be.

    Attributes:
        error: expected calibration error, 0 to 1; it only looks at the most probable class.
        nll: negative log-likelihood of the truth in nats, a strictly proper score.
        brier: sum of the squared differences from the truth (G. W. Brier, 1950), 0 to 2, another one.
    """

    error: float
    nll: float
    brier: float


def honesty(truth: Truth, probabilities: Floats) -> Honesty:
    """Return the calibration error, the negative log-likelihood and the Brier score of distributions (rows, classes).

    A truth that was given no probability at all counts as one of `LEAST_PROBABILITY`, so that the mean stays finite.
    """
    values, rows = np.asarray(probabilities, np.float64), np.arange(len(truth))
    likelihood = np.maximum(values[rows, truth], LEAST_PROBABILITY)
    squares = (values**2).sum(axis=1) - 2 * values[rows, truth] + 1
    return Honesty(calibration_error(truth, values), float(-np.log(likelihood).mean()), float(squares.mean()))


def reliability(truth: Truth, probabilities: Floats) -> Reliability:
    """Return the reliability diagram that `calibration_error` sums up."""
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

    Drawing rows with replacement is drawing the matrix from a multinomial, which is what is done.
    """
    rows = int(confusion.sum())
    draws = np.random.default_rng(seed).multinomial(rows, confusion.reshape(-1) / rows, BOOTSTRAP_SAMPLES)
    return _estimate(float(measure(confusion)), measure(draws.reshape(-1, *confusion.shape)))


def bootstrap_mean(values: Floats, seed: int = 0) -> Estimate:
    """Return the mean of values (rows,) with its bootstrap interval."""
    random = np.random.default_rng(seed)
    means = [values[random.integers(len(values), size=len(values))].mean() for _ in range(BOOTSTRAP_SAMPLES)]
    return _estimate(float(values.mean()), np.array(means))


def bootstrap_correlation(first: Floats, second: Floats, seed: int = 0) -> Estimate:
    """Return Pearson's correlation of two columns (rows,) with its bootstrap interval; NaN where one does not vary.

    Of ranks it is Spearman's; those of all rows then stand for the ranks within a draw, from which only ties differ.
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
