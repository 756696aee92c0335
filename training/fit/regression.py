"""Age regression: the scale on which ages in years are learned, and the error that is measured."""

from dataclasses import replace

import numpy as np
from facial_attributes_training.data.manifest import Manifest
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, MISSING
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.regression import AgeRegression

_LEAST_DEVIATION = 0.1


def without_age_groups(manifest: Manifest) -> Manifest:
    """Return a manifest in which only samples with an age in years have an age; an age group alone is no target."""
    groups = np.where(np.isnan(manifest.age_years), MISSING, manifest.labels[AGE])
    return replace(manifest, labels=manifest.labels | {AGE: groups})


def training_ages(manifest: Manifest) -> AgeRegression:
    """Return the scale of the training ages; its deviation is the error of a model that always predicts their mean.

    Raises:
        UserError: there are no ages in years, or all are the same.
    """
    years = manifest.age_years[~np.isnan(manifest.age_years)].astype(np.float64)
    if not len(years) or np.ptp(years) == 0:
        raise UserError("the training samples have no different ages in years to learn from: set age_as=groups.")
    std = round(float(years.std()), 3)
    return AgeRegression(round(float(years.mean()), 3), std, std)


def with_measured_deviation(
    ages: AgeRegression, outputs: NDArray[np.float32], true: NDArray[np.float32]
) -> AgeRegression:
    """Return a scale with the root of the mean squared error in years as its deviation.

    Args:
        ages: the scale trained on.
        outputs: (samples, 1): the model's outputs for validation samples.
        true: (samples,): their ages in years, NaN where not known.
    """
    errors = (ages.years(outputs[:, 0].astype(np.float64)) - true)[~np.isnan(true)]
    if not len(errors):
        return ages
    return replace(ages, deviation=round(max(float(np.sqrt(np.mean(errors**2))), _LEAST_DEVIATION), 3))
