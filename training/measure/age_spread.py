"""Whether the stated deviation of an age holds, and the factors that make it hold.

Within one deviation there should be 68 % of the ages, among children as among the old. Errors of ages have heavy tails,
so that deviations which hold nine cases of ten are too wide for the typical one; and people whose age is taken for
another differ from those who are taken for theirs. So the factors, by expected age, are chosen by how often the
deviation holds in every true band, with a pull towards 1.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from facial_attributes_ros.models.age_bands import SPREAD_KNOTS

BANDS: Final = ("0-9", "10-19", "20-39", "40-59", "60+")
"""Bands of age in years that the spread is measured in."""
WITHIN: Final = 0.683
"""Proportion of a normal distribution within one deviation of its mean."""
MIN_ROWS: Final = 20
"""Bands with fewer ages in years do not count; with fewer than five times as many in all, nothing is fitted."""

_STARTS: Final = (10, 20, 40, 60)
_SMOOTH: Final = 0.08
"""How soft the edge of an interval is while factors are fitted, as a part of its width."""
_PULL: Final = 0.02
"""Weight of the squared logarithms of the factors, beside squared differences of proportions."""


def spread_bands(ages: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return int64 (samples,): the index of the band of ages in years."""
    return np.asarray(np.digitize(ages, _STARTS), np.int64)


def fit_spread(
    expected: NDArray[np.float64], deviations: NDArray[np.float64], true: NDArray[np.floating]
) -> tuple[float, ...]:
    """Return the factors on the deviations at `SPREAD_KNOTS`, empty if there are too few ages.

    Args:
        expected: (samples,) expected ages in years.
        deviations: (samples,) their deviations, not corrected.
        true: (samples,) ages in years, all known.
    """
    if len(true) < MIN_ROWS * len(BANDS):
        return ()
    errors = np.log(np.maximum(np.abs(expected - true) / deviations, 1e-3))
    groups = [mask for by in (true, expected) for mask in _large_bands(by)]

    def loss(logarithms: NDArray[np.float64]) -> float:
        inside = expit((np.interp(expected, SPREAD_KNOTS, logarithms) - errors) / _SMOOTH)
        misses = [inside[mask].mean() - WITHIN for mask in groups]
        return float(np.square(misses).sum() + _PULL * np.square(logarithms).sum())

    found = minimize(loss, np.zeros(len(SPREAD_KNOTS)), method="L-BFGS-B", bounds=[(-1.5, 1.5)] * len(SPREAD_KNOTS))
    return tuple(round(float(factor), 3) for factor in np.exp(found.x))


def _large_bands(ages: NDArray[np.floating]) -> list[NDArray[np.bool_]]:
    bands = spread_bands(ages)
    return [mask for band in range(len(BANDS)) if (mask := bands == band).sum() >= MIN_ROWS]
