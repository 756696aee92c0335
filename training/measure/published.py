"""The labels that the package publishes for predictions, and which of them it names: the rules of `fusion.publish`."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from facial_attributes_training.measure.fitted import Fit
from numpy.typing import NDArray
from scipy.special import softmax

from facial_attributes_ros.attributes import AGE, GENDER, MISSING, age_group_of
from facial_attributes_ros.fusion.age import expected_age, group_certainty, spread_factors
from facial_attributes_ros.models.age_bands import gender_thresholds

Logits = Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True, slots=True, eq=False)
class Ages:
    """Published ages.

    Attributes:
        years: float64 (samples,): expected ages in years.
        deviations: float64 (samples,): their standard deviations in years.
        groups: int64 (samples,): the age groups that they lie in, `MISSING` where an age is not a number.
        certainty: float64 (samples,): probabilities of lying in that group or in a neighbouring one.
    """

    years: NDArray[np.float64]
    deviations: NDArray[np.float64]
    groups: NDArray[np.int64]
    certainty: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Published labels of one task.

    Attributes:
        index: int64 (samples,): class indices, of unknown labels as well.
        confidence: float64 (samples,): what decides whether a label is named.
        least: float64 (samples,): the confidence from which on it is.
    """

    index: NDArray[np.int64]
    confidence: NDArray[np.float64]
    least: NDArray[np.float64]


def probabilities(logits: Logits, task: str, fit: Fit) -> NDArray[np.float64]:
    """Return float64 (samples, classes): the calibrated distributions of a task."""
    return np.asarray(softmax(np.asarray(logits[task], np.float64) / fit.temperatures[task], axis=1))


def published_ages(distributions: NDArray[np.float64], fit: Fit) -> Ages:
    """Return the ages of distributions (samples, 9) over the age groups."""
    found = [expected_age(row, fit.age_centroids) for row in distributions]
    years, deviations = np.array(found, np.float64).reshape(-1, 2).T
    years = np.round(years, 2)
    deviations = deviations * spread_factors(years, fit.age_spread)
    groups, certainty = np.full(len(years), MISSING), np.zeros(len(years))
    for row in np.flatnonzero(np.isfinite(years)):
        groups[row] = age_group_of(years[row])
        certainty[row] = group_certainty(years[row], deviations[row])
    return Ages(years, deviations, groups, certainty)


def published_labels(logits: Logits, task: str, fit: Fit) -> Labels:
    """Return the labels of one task as they are published from a single good view of each face.

    Args:
        logits: (samples, classes) of every task that the model has, not divided by the temperature.
        task: which.
        fit: of these tasks.
    """
    values = probabilities(logits, task, fit)
    threshold, rows = fit.thresholds[task], np.arange(len(values))
    if task == AGE:
        ages = published_ages(values, fit)
        named = (values[rows, np.maximum(ages.groups, 0)] >= threshold) & (threshold < 1)
        return Labels(ages.groups, ages.certainty, np.where(named, fit.age_certainty, np.inf))
    least = np.full(len(values), threshold)
    if task == GENDER:
        known = probabilities(logits, AGE, fit) if AGE in logits else None
        least = np.maximum(least, gender_thresholds(fit.gender_thresholds, known))
    return Labels(values.argmax(axis=1).astype(np.int64), values.max(axis=1), least)
