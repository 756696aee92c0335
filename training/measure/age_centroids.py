"""Years per age group, fitted so that the young and the old are not predicted too near to the middle.

The probability-weighted mean of the groups' mean ages is the best guess of a population like the training data, and so
it is pulled towards their middle: the old are predicted as too young and teenagers as too old. The fit asks for a small
mean error in every band of true ages alike, and keeps the years near the groups' own (ridge regression).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from facial_attributes_training.data.manifest import Manifest
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE
from facial_attributes_ros.models.spec import GROUP_MIDDLES

EDGES: Final = (5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0)
"""Between the bands of true ages in years; an edge belongs to the band above it."""
FEWEST: Final = 10
"""Samples of a group or band from which on it counts."""
_BANDS_NEEDED: Final = 7
"""With fewer bands the fit would bend ages of which it knows nothing."""
_PULL: Final = 1.0
"""Weight of the squared distance from the start, in years², beside the squared mean errors of the bands."""


def mean_ages(manifest: Manifest, otherwise: Sequence[float] = GROUP_MIDDLES) -> tuple[float, ...]:
    """Return the mean age in years of every age group, from the samples with an age in years.

    Args:
        manifest: the samples.
        otherwise: (groups,) years of the groups with too few samples.
    """
    known = ~np.isnan(manifest.age_years)
    found = []
    for group, years in enumerate(otherwise):
        ages = manifest.age_years[known & (manifest.labels[AGE] == group)]
        found.append(float(ages.mean()) if len(ages) >= FEWEST else years)
    return tuple(round(years, 2) for years in found)


def fit_age_centroids(
    probabilities: NDArray[np.floating], manifest: Manifest, otherwise: Sequence[float]
) -> tuple[float, ...]:
    """Return the years of every group, in rising order, such that no band of ages is far off on the average.

    Args:
        probabilities: float (samples, groups): of the age groups, calibrated.
        manifest: the samples.
        otherwise: (groups,) what is returned if too few bands of ages have enough samples.
    """
    years = manifest.age_years
    bands = np.where(np.isfinite(years), np.digitize(years, EDGES), -1)
    parts = [part for band in range(len(EDGES) + 1) if (part := bands == band).sum() >= FEWEST]
    if len(parts) < _BANDS_NEEDED:
        return tuple(otherwise)
    start = np.array(mean_ages(manifest, otherwise))
    means = np.array([probabilities[part].mean(axis=0) for part in parts], np.float64)
    true = np.array([years[part].mean() for part in parts], np.float64)
    pull = _PULL / len(start) * np.eye(len(start))
    centroids = np.linalg.solve(means.T @ means / len(parts) + pull, means.T @ true / len(parts) + pull @ start)
    rising = np.maximum.accumulate(np.clip(centroids, 0, 120))
    return tuple(round(float(value), 2) for value in rising)
