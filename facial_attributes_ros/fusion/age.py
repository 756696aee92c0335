"""An age in years out of a distribution over age groups, and the age group that goes with it.

The published age group is the group of the published age. The most probable group may be another one, as the mean of a
skewed distribution is not its mode; it is closer to the truth less often (docs/evaluation.md), and an age of 31 years
beside the group 20-29 would be no answer at all.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facial_attributes_ros.attributes import AGE_GROUP_STARTS, Distribution, age_group_of
from facial_attributes_ros.models.age_bands import SPREAD_KNOTS
from facial_attributes_ros.models.spec import ModelSpec

OLDEST: Final = 95.0
"""Where the last age group is taken to end, in years."""

NINETY: Final = 1.645
"""Deviations of a normal distribution on either side of its mean that hold 90 % of it."""

_ENDS = np.array([*AGE_GROUP_STARTS, OLDEST])


def expected_age(probabilities: ArrayLike, centroids: Sequence[float]) -> tuple[float, float]:
    """Return the expected age and its standard deviation in years.

    The deviation is that of the normal distribution whose 90 % interval is as wide as the middle 90 % of the given one,
    ages being spread evenly over a group; so it never falls below what the groups resolve, and the interval holds
    what it says although ages within a group are not normally distributed. `spread_factors` corrects it by measurement.

    Args:
        probabilities: (9,) of the age groups, sums to 1.
        centroids: (9,) mean age of every group in years.
    """
    weights = np.asarray(probabilities, np.float64)
    below = np.concatenate([[0.0], np.cumsum(weights)])
    low, high = np.interp((0.05 * below[-1], 0.95 * below[-1]), below, _ENDS)
    return float(weights @ np.asarray(centroids, np.float64)), float(high - low) / (2 * NINETY)


def spread_factors(ages: ArrayLike, spread: Sequence[float]) -> NDArray[np.float64]:
    """Return float64 (...): what the deviations of expected ages in years (...) are multiplied by.

    Args:
        ages: expected ages in years.
        spread: (5,) factors at the ages `SPREAD_KNOTS`, linear between them; empty for 1 everywhere.
    """
    values = np.asarray(ages, np.float64)
    return np.interp(values, SPREAD_KNOTS, spread) if len(spread) else np.ones_like(values)


def group_certainty(age: float, deviation: float) -> float:
    """Return the probability that an age lies in its age group or in a neighbouring one, 0 to 1.

    Args:
        age: expected age in years, from 0 on.
        deviation: its standard deviation in years; the age is taken to be normally distributed.
    """
    group, last = age_group_of(age), len(AGE_GROUP_STARTS) - 1
    low = -math.inf if group <= 1 else AGE_GROUP_STARTS[group - 1]
    high = math.inf if group >= last - 1 else AGE_GROUP_STARTS[group + 2]
    scale = math.sqrt(2) * max(deviation, 1e-9)
    return (math.erf((high - age) / scale) - math.erf((low - age) / scale)) / 2


def published_age(groups: Distribution, spec: ModelSpec) -> tuple[float, float, Distribution]:
    """Return the age in years, its standard deviation, and the distribution whose label is the group of that age.

    The label is unknown where the deviation leaves too much doubt about the group. The age is rounded to hundredths,
    so that it lies in the same group whether it is kept in 64 bits, 32 bits or as text.

    Args:
        groups: distribution over the age groups.
        spec: of the model; gives the mean ages of the groups, how its deviations are corrected, and the smallest
            `group_certainty` of an age whose group is named.
    """
    mean, deviation = expected_age(groups.probabilities, spec.age_centroids)
    age, deviation = round(mean, 2), deviation * float(spread_factors(mean, spec.age_spread))
    doubtful = group_certainty(age, deviation) < spec.age_certainty
    threshold = 1.0 if doubtful else groups.threshold
    return age, deviation, replace(groups, chosen=age_group_of(age), threshold=threshold)
