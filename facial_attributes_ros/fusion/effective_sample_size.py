"""How much the estimates of one face are worth: they resemble each other, in time and as those of one person."""

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

_PRIOR_SHARE = 0.3
"""Share of the error that is taken to stay with a person before the estimates of that person say anything."""

_PRIOR_WITNESSES = 2.0
"""How many independent estimates that assumption weighs."""

_TOLD = (0.5, 0.95)
"""Least and largest share of what there is to know that a single view is taken to tell."""


def independent_share(seconds: Array, correlation: float) -> Array:
    """Return what a further estimate is worth, 0 to 1, of an independent one.

    For errors with the correlation r = exp(-seconds / correlation) a further estimate adds (1 - r) / (1 + r) if they
    drift (first-order autoregressive), and 1 - r if they stay and then jump; this is the geometric mean of the two.

    Args:
        seconds: since the last estimate; infinite for the first.
        correlation: seconds over which errors resemble each other.
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


def persistent_share(task: str, seen: Array, places: Array, squares: Array, variances: Array) -> Array:
    """Return the share of the model's error that stays with a face, 0 to 1, from how its estimates vary.

    A calibrated distribution says how wrong it expects to be in all: its variance V. By the law of total variance,
    calibrated estimates whose errors are all independent scatter around their mean by V (1 - V / V0), V0 being the
    variance before any estimate. Estimates of one face that scatter less than that share the rest of their error,
    and no number of them averages it out. Until there are enough estimates to tell, some of it is taken to be shared.

    Args:
        task: a key of `LABELS`.
        seen: (N,) sum of the weights of a face's estimates, in independent ones.
        places: (N, dimensions) weighted sum of the mean places.
        squares: (N,) weighted sum of the squared lengths of the mean places.
        variances: (N,) weighted sum of the variances.
    """
    whole = float(((PLACES[task] - PLACES[task].mean(axis=0)) ** 2).sum(axis=1).mean())
    weights = np.maximum(seen, 1e-9)
    told = np.clip(1 - variances / weights / whole, *_TOLD)
    expected = whole * told * (1 - told)
    scatter = np.maximum(squares - (places**2).sum(axis=1) / weights, 0.0)
    free = np.maximum(seen - 1, 0.0)
    independent = (scatter + _PRIOR_WITNESSES * (1 - _PRIOR_SHARE) * expected) / ((free + _PRIOR_WITNESSES) * expected)
    return np.asarray(np.clip(1 - independent, 0.0, 1.0))


def log_softmax(values: Array) -> Array:
    """Return (N, classes) logarithms of probabilities out of logarithms that lack a constant."""
    shifted = values - values.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def entropy_share(probabilities: Array) -> Array:
    """Return (N,) entropies of (N, classes) as a share of the largest possible: 0 if sure, 1 if nothing is known."""
    logarithms = np.log(np.maximum(probabilities, 1e-300))
    return np.asarray(-(probabilities * logarithms).sum(axis=1) / math.log(probabilities.shape[1]))
