"""From which probability on a gender is named, for children, teenagers and adults by themselves.

A band has few samples above a high threshold, too few to count the wrong ones among them. So the precision there is
estimated by a logistic model of being right (J. Platt, 1999), with a prior around a calibrated confidence.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from facial_attributes_ros.models.age_bands import BANDS, NEVER

MARGIN: Final = 0.02
"""How far the estimated precision must lie above the wanted one, so that it holds on other people and poorer views."""
MIN_ROWS: Final = 20
"""A band with fewer samples gets no threshold, and with it no names."""

_SLOPE_DEVIATION: Final = 0.3
_OFFSET_DEVIATION: Final = 0.5
_HIGHEST: Final = 1 - 1e-6

Mask = NDArray[np.bool_]


def fit_gender_bands(
    confidence: NDArray[np.floating],
    right: Mask,
    true: NDArray[np.int64],
    estimated: NDArray[np.int64],
    wanted: float,
) -> dict[str, float]:
    """Return the threshold of every band that has enough samples.

    The samples of a band are those that are of it and those that are taken to be: both get its threshold, or should.

    Args:
        confidence: (samples,) highest probability of a gender, calibrated.
        right: (samples,) whether it is that of the true gender.
        true: (samples,) index of the true band, -1 where it is not known.
        estimated: (samples,) index of the youngest band that the face may be of.
        wanted: precision, 0 to 1.
    """
    members = {band: (true == index) | (estimated == index) for index, band in enumerate(BANDS)}
    target = min(wanted + MARGIN, _HIGHEST)
    return {
        band: _threshold(confidence[mask], right[mask], target)
        for band, mask in members.items()
        if mask.sum() >= MIN_ROWS
    }


def _threshold(confidence: NDArray[np.floating], right: Mask, wanted: float) -> float:
    """Return the lowest confidence from which on the estimated precision is reached, `NEVER` if it never is."""
    logits = logit(np.clip(np.asarray(confidence, np.float64), 0.5, _HIGHEST))
    expected = -np.sort(-_probability_right(logits, right))
    enough = np.flatnonzero(np.cumsum(expected) / np.arange(1, len(expected) + 1) >= wanted)
    if not len(enough):
        return NEVER
    # Rounded down, so that the sample that the threshold was read from is named itself.
    return float(np.floor(expit(-np.sort(-logits)[enough[-1]]) * 1000) / 1000)


def _probability_right(logits: NDArray[np.float64], right: Mask) -> NDArray[np.float64]:
    """Return (samples,) the probability of being right, rising with the logit of the confidence."""

    def loss(parameters: NDArray[np.float64]) -> float:
        slope, offset = parameters
        values = slope * logits + offset
        likelihood = -np.logaddexp(0, np.where(right, -values, values)).sum()
        prior = ((slope - 1) / _SLOPE_DEVIATION) ** 2 + (offset / _OFFSET_DEVIATION) ** 2
        return float(prior / 2 - likelihood)

    found = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(1e-3, 10.0), (-10.0, 10.0)])
    slope, offset = found.x
    return np.asarray(expit(slope * logits + offset))
