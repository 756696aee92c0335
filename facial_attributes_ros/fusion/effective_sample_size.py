"""How many independent predictions the predictions for one face are worth: their errors are correlated.

They are correlated in time, and as predictions for one person.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, LABELS

Array = NDArray[np.float64]

PLACES: Final[dict[str, Array]] = {
    task: np.arange(len(labels), dtype=np.float64)[:, None] if task == AGE else np.eye(len(labels))
    for task, labels in LABELS.items()
}
"""Per task, float64 (classes, dimensions): where the classes lie, so that near ones differ less; ages on a line."""

_PRIOR_CORRELATION: Final = 0.3
"""Intraclass correlation of the errors that is assumed before the predictions for a face show anything."""

_PRIOR_SAMPLES: Final = 2.0
"""Effective sample size of that assumption."""

_EXPLAINED_VARIANCE: Final = (0.5, 0.95)
"""Bounds for the fraction of the prior variance that one prediction is assumed to explain."""


def effective_samples_added(seconds: Array, correlation: float) -> Array:
    """Return the effective sample size that one more correlated prediction adds, 0 to 1.

    For errors with the correlation r = exp(-seconds / correlation) one more prediction adds (1 - r) / (1 + r) if they
    drift (first-order autoregressive), and 1 - r if they stay and then jump; this is the geometric mean of the two.

    Args:
        seconds: since the last prediction; infinite for the first.
        correlation: correlation time of the errors in seconds.
    """
    correlated = np.exp(-np.maximum(seconds, 0.0) / correlation)
    return np.asarray((1 - correlated) / np.sqrt(1 + correlated))


def place_and_variance(task: str, probabilities: Array) -> tuple[Array, Array]:
    """Return the mean place of distributions and the variance around it.

    Args:
        task: a key of `LABELS`.
        probabilities: (N, classes).

    Returns:
        (N, dimensions) and (N,).
    """
    places = PLACES[task]
    mean = probabilities @ places
    return mean, probabilities @ (places**2).sum(axis=1) - (mean**2).sum(axis=1)


def intraclass_correlation(task: str, weights: Array, places: Array, squares: Array, variances: Array) -> Array:
    """Return the intraclass correlation of the model's errors on each face, 0 to 1, from how its predictions vary.

    A calibrated distribution states its expected squared error: its variance V. By the law of total variance,
    calibrated predictions with independent errors scatter around their mean by V (1 - V / V0), V0 being the variance
    before any prediction. If the predictions for one face scatter less, they have the rest of their error in common,
    and no number of them averages it out. Before there are enough predictions, some correlation is assumed.

    Args:
        task: a key of `LABELS`.
        weights: (N,) sum of the weights of a face's predictions, in effective samples.
        places: (N, dimensions) weighted sum of the mean places.
        squares: (N,) weighted sum of the squared lengths of the mean places.
        variances: (N,) weighted sum of the variances.
    """
    prior_variance = float(((PLACES[task] - PLACES[task].mean(axis=0)) ** 2).sum(axis=1).mean())
    total = np.maximum(weights, 1e-9)
    explained = np.clip(1 - variances / total / prior_variance, *_EXPLAINED_VARIANCE)
    expected = prior_variance * explained * (1 - explained)
    scatter = np.maximum(squares - (places**2).sum(axis=1) / total, 0.0)
    degrees = np.maximum(weights - 1, 0.0)
    prior = _PRIOR_SAMPLES * (1 - _PRIOR_CORRELATION) * expected
    independent = (scatter + prior) / ((degrees + _PRIOR_SAMPLES) * expected)
    return np.asarray(np.clip(1 - independent, 0.0, 1.0))


def log_softmax(values: Array) -> Array:
    """Return (N, classes) logarithms of probabilities from logarithms that lack a constant."""
    shifted = values - values.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def normalised_entropy(probabilities: Array) -> Array:
    """Return (N,) entropies of (N, classes), divided by the largest possible: 0 if certain, 1 if unknown."""
    logarithms = np.log(np.maximum(probabilities, 1e-300))
    return np.asarray(-(probabilities * logarithms).sum(axis=1) / math.log(probabilities.shape[1]))
