"""An age in years out of a distribution over age groups."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from facial_attributes_ros.attributes import AGE_GROUP_STARTS

OLDEST: Final = 95.0
"""Where the last age group is taken to end, in years."""

NINETY: Final = 1.645
"""Deviations of a normal distribution on either side of its mean that hold 90 % of it."""

_ENDS = np.array([*AGE_GROUP_STARTS, OLDEST])


def expected_age(probabilities: ArrayLike, centroids: Sequence[float]) -> tuple[float, float]:
    """Return the expected age and its standard deviation in years.

    The deviation is that of the normal distribution whose 90 % interval is as wide as the middle 90 % of the given one,
    ages being spread evenly over a group; so it never falls below what the groups can tell, and the interval holds
    what it says although ages within a group are not normally distributed.

    Args:
        probabilities: (9,) of the age groups, sums to 1.
        centroids: (9,) mean age of every group in years.
    """
    weights = np.asarray(probabilities, np.float64)
    below = np.concatenate([[0.0], np.cumsum(weights)])
    low, high = np.interp((0.05 * below[-1], 0.95 * below[-1]), below, _ENDS)
    return float(weights @ np.asarray(centroids, np.float64)), float(high - low) / (2 * NINETY)
