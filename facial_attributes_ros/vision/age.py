"""An age in years out of a distribution over age groups."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from facial_attributes_ros.attributes import AGE_GROUP_STARTS

OLDEST: Final = 95.0
"""Where the last age group is taken to end, in years."""

_WITHIN = np.diff([*AGE_GROUP_STARTS, OLDEST]) * 0.45 / 1.645
"""Deviation inside a group: of the normal distribution whose 90 % interval holds the middle 90 % of the group."""


def expected_age(probabilities: ArrayLike, centroids: Sequence[float]) -> tuple[float, float]:
    """Return the expected age and its standard deviation in years.

    The deviation has two parts: how far apart the possible groups are, and how wide a group is (ages spread evenly over
    it); so it never falls below what the groups can tell.

    Args:
        probabilities: (9,) of the age groups, sums to 1.
        centroids: (9,) mean age of every group in years.
    """
    weights, means = np.asarray(probabilities, np.float64), np.asarray(centroids, np.float64)
    age = float(weights @ means)
    variance = float(weights @ ((means - age) ** 2 + _WITHIN**2))
    return age, variance**0.5
