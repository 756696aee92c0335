"""Bands of age that models differ in: how certain a gender must be, and how wide the spread of an age is.

Models predict the gender of children less well, and are more certain of it than they deserve. A threshold that holds on
the average of all ages therefore names the gender of children wrongly too often, so that each band has its own.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

BANDS: Final = ("0-9", "10-19", "20+")
"""Names of the bands, in years, the youngest first."""

_FIRST_GROUPS: Final = (0, 2, 3)
"""The first age group of every band."""

SPREAD_KNOTS: Final = (5.0, 15.0, 30.0, 50.0, 65.0)
"""Ages in years at which the factors of `ModelSpec.age_spread` apply."""

PLAUSIBLE: Final = 0.2
"""A face may be of a band if that has at least this probability."""

CLEAR: Final = 0.4
"""Quality of a view from which on its gender needs no more certainty than a good view's."""

NEVER: Final = 1.0
"""Threshold with which nothing is named."""


def bands_of(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return int64 (N,): the index of the band of every age group (N,)."""
    return np.asarray(np.searchsorted(_FIRST_GROUPS, groups, side="right") - 1, np.int64)


def youngest_plausible(ages: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return int64 (N,): the index of the youngest band that every face may be of.

    Args:
        ages: (N, 9) probabilities of the age groups; where they are not numbers, the face may be of any band.
    """
    bands = np.add.reduceat(np.asarray(ages, np.float64), _FIRST_GROUPS, axis=1)
    return np.asarray((~(bands < PLAUSIBLE)).argmax(axis=1), np.int64)


def gender_thresholds(
    by_band: Mapping[str, float], ages: NDArray[np.floating] | None, quality: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """Return float64 (N,): the probability below which the gender of every face is unknown; (1,) if no age is known.

    It is that of the youngest band that the face may be of. On a poor view the model is wrong more often than it
    expects to be, so that the remaining doubt must be smaller there.

    Args:
        by_band: threshold of every band; one that is missing never names a gender. Empty if the bands do not differ.
        ages: (N, 9) probabilities of the age groups; None where the age is not estimated: the strictest band counts.
        quality: (N,) or for all, of the views, 0 to 1.
    """
    if not by_band:
        return np.zeros(1 if ages is None else len(ages))
    values = np.array([by_band.get(band, NEVER) for band in BANDS])
    # A younger band is at least as strict as an older one, even if the fit was not.
    values = np.maximum.accumulate(values[::-1])[::-1]
    least = values[:1] if ages is None else values[youngest_plausible(ages)]
    return np.asarray(1 - (1 - least) * np.clip(np.asarray(quality, np.float64) / CLEAR, 0.0, 1.0))
