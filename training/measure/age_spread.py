"""Whether the stated deviation of an age holds, and the factors that make it hold.

Within one deviation there should be about 68 % of the ages, among children as among the old. Errors of ages have heavy
tails, so that deviations which hold nine cases of ten are too wide for the typical one; and people whose age is taken
for another differ from those who are taken for theirs. So the factors, by expected age, are chosen by how often the
deviation holds in every band of true age, with a pull towards 1.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from facial_attributes_ros.models.age_bands import SPREAD_KNOTS

BANDS: Final = ("0-9", "10-19", "20-39", "40-59", "60+")
"""Bands of age in years that the spread is measured in."""
WITHIN: Final = (0.62, 0.73)
"""Proportion of the true ages that should be within one deviation: about the 68 % of a normal distribution. Between
these two it is left alone."""
MIN_ROWS: Final = 20
"""Bands with fewer ages in years do not count; with fewer than five times as many in all, nothing is fitted."""

_STARTS: Final = (10, 20, 40, 60)
_SMOOTH: Final = 0.08
"""How soft the edge of an interval is while factors are fitted, as a part of its width."""
_PULLS: Final = (0.02, 0.1, 0.5)
"""Weights of the squared logarithms of the factors, beside squared differences of proportions, that are tried."""
_FOLDS: Final = 4

Ages = NDArray[np.float64]


def spread_bands(ages: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return int64 (samples,): the index of the band of ages in years."""
    return np.asarray(np.digitize(ages, _STARTS), np.int64)


def fit_spread(expected: Ages, deviations: Ages, true: NDArray[np.floating]) -> tuple[float, ...]:
    """Return the factors on the deviations at `SPREAD_KNOTS`; empty if there are too few ages, or if none help.

    How strongly factors are pulled towards 1, and whether they are any use, is decided by cross-validation.

    Args:
        expected: (samples,) expected ages in years.
        deviations: (samples,) their deviations, not corrected.
        true: (samples,) ages in years, all known.
    """
    if len(true) < MIN_ROWS * len(BANDS):
        return ()
    errors = np.log(np.maximum(np.abs(expected - true) / deviations, 1e-3))
    folds = np.random.default_rng(0).permutation(len(true)) % _FOLDS
    misses = {0.0: _miss(errors, np.zeros(len(true)), true)}
    for pull in _PULLS:
        logarithms = np.zeros(len(true))
        for fold in range(_FOLDS):
            rest, held = folds != fold, folds == fold
            found = _factors(expected[rest], errors[rest], true[rest], pull)
            logarithms[held] = np.interp(expected[held], SPREAD_KNOTS, found)
        misses[pull] = _miss(errors, logarithms, true)
    best = min(misses, key=lambda pull: misses[pull])
    if not best:
        return ()
    return tuple(round(float(factor), 3) for factor in np.exp(_factors(expected, errors, true, best)))


def _factors(expected: Ages, errors: Ages, true: NDArray[np.floating], pull: float) -> Ages:
    """Return (knots,) logarithms of the factors.

    Args:
        expected: as in `fit_spread`.
        errors: (samples,) logarithms of the errors in deviations.
        true: as in `fit_spread`.
        pull: towards no change.
    """
    groups = _large_bands(true)

    def loss(logarithms: Ages) -> float:
        inside = expit((np.interp(expected, SPREAD_KNOTS, logarithms) - errors) / _SMOOTH)
        misses = [_outside(float(inside[mask].mean())) for mask in groups]
        return float(np.square(misses).sum() + pull * np.square(logarithms).sum())

    found = minimize(loss, np.zeros(len(SPREAD_KNOTS)), method="L-BFGS-B", bounds=[(-1.5, 1.5)] * len(SPREAD_KNOTS))
    return np.asarray(found.x, np.float64)


def _miss(errors: Ages, logarithms: Ages, true: NDArray[np.floating]) -> float:
    """Return the mean over the true bands of the squared distance from `WITHIN`."""
    inside = errors <= logarithms
    return float(np.mean([_outside(float(inside[mask].mean())) ** 2 for mask in _large_bands(true)]))


def _outside(proportion: float) -> float:
    return proportion - min(max(proportion, WITHIN[0]), WITHIN[1])


def _large_bands(ages: NDArray[np.floating]) -> list[NDArray[np.bool_]]:
    bands = spread_bands(ages)
    return [mask for band in range(len(BANDS)) if (mask := bands == band).sum() >= MIN_ROWS]
