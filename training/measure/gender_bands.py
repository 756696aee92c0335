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


def certainty_of(probability: float, certainty: NDArray[np.floating], right: Mask) -> float:
    """Return the stated certainty of which that proportion is right.

    Args:
        probability: of being right, 0 to 1.
        certainty: (samples,) as it is stated, 0 to 1.
        right: (samples,) whether it was.
    """
    slope, offset = _logistic(_logits(certainty), right)
    return float(expit((logit(probability) - offset) / slope))


def _threshold(confidence: NDArray[np.floating], right: Mask, wanted: float) -> float:
    """Return the lowest confidence from which on the estimated precision is reached, `NEVER` if it never is."""
    logits = _logits(np.maximum(confidence, 0.5))
    slope, offset = _logistic(logits, right)
    falling = -np.sort(-logits)
    precision = np.cumsum(expit(slope * falling + offset)) / np.arange(1, len(falling) + 1)
    enough = np.flatnonzero(precision >= wanted)
    if not len(enough):
        return NEVER
    # Rounded down, so that the sample that the threshold was read from is named itself.
    return float(np.floor(expit(falling[enough[-1]]) * 1000) / 1000)


def _logits(confidence: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(logit(np.clip(np.asarray(confidence, np.float64), 1 - _HIGHEST, _HIGHEST)))


def _logistic(logits: NDArray[np.float64], right: Mask) -> tuple[float, float]:
    """Return slope and offset of the logit of being right, by the logit of the confidence; it rises."""

    def loss(parameters: NDArray[np.float64]) -> float:
        slope, offset = parameters
        values = slope * logits + offset
        likelihood = -np.logaddexp(0, np.where(right, -values, values)).sum()
        prior = ((slope - 1) / _SLOPE_DEVIATION) ** 2 + (offset / _OFFSET_DEVIATION) ** 2
        return float(prior / 2 - likelihood)

    found = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(1e-3, 10.0), (-10.0, 10.0)])
    return float(found.x[0]), float(found.x[1])
