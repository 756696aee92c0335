"""Ages in years as what is learned: the scale they are learned on, and how far off they are."""

from dataclasses import replace

import numpy as np
from facial_attributes_training.data.manifest import Manifest
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, MISSING
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.regression import AgeRegression

_LEAST_DEVIATION = 0.1


def without_age_groups(manifest: Manifest) -> Manifest:
    """Return a manifest in which only rows with an age in years have an age; a group alone can't be learned from."""
    groups = np.where(np.isnan(manifest.age_years), MISSING, manifest.labels[AGE])
    return replace(manifest, labels=manifest.labels | {AGE: groups})


def training_ages(manifest: Manifest) -> AgeRegression:
    """Return the scale of the ages trained on; its deviation is that of a model that tells their mean of everybody.

    Raises:
        UserError: there are no ages in years, or all are the same.
    """
    years = manifest.age_years[~np.isnan(manifest.age_years)].astype(np.float64)
    if not len(years) or np.ptp(years) == 0:
        raise UserError("the training rows have no different ages in years to learn from: set age_as=groups.")
    std = round(float(years.std()), 3)
    return AgeRegression(round(float(years.mean()), 3), std, std)


def with_measured_deviation(
    ages: AgeRegression, outputs: NDArray[np.float32], true: NDArray[np.float32]
) -> AgeRegression:
    """Return a scale with the root of the mean squared error in years as its deviation.

    Args:
        ages: the scale trained on.
        outputs: (rows, 1): what the model gives for validation rows.
        true: (rows,): their ages in years, NaN where not known.
    """
    errors = (ages.years(outputs[:, 0].astype(np.float64)) - true)[~np.isnan(true)]
    if not len(errors):
        return ages
    return replace(ages, deviation=round(max(float(np.sqrt(np.mean(errors**2))), _LEAST_DEVIATION), 3))
