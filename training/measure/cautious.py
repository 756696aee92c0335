"""The calibration of a model that continues another one: its parent's, as far as the new samples do not show better.

A few new images, often of a few classes, say how often the model is right on such images, and nothing about others. So
the parent's temperature is the centre of the prior; with fewer than `FEW_ROWS` samples, or without samples of some
classes, confidences may become lower and thresholds stricter than the parent's, but not the reverse; and what can't be
fitted stays as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from facial_attributes_training.measure.calibration import calibrate
from facial_attributes_training.measure.fitted import FEW_ROWS, Fit
from facial_attributes_training.measure.predictions import Predictions
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, GENDER, LABELS, MISSING
from facial_attributes_ros.models.spec import ModelSpec

Part = tuple[NDArray[np.bool_], Fit]
"""Bool (samples,), and the calibration for these samples."""


def calibrate_cautiously(predictions: Predictions, rows: NDArray[np.bool_], parent: Fit, learned: Sequence[str]) -> Fit:
    """Return the calibration of all tasks of a parent, fitted anew for those that were learned.

    Args:
        predictions: of the model for labelled samples.
        rows: bool (samples,): which to fit on.
        parent: the calibration of the model that was continued.
        learned: the tasks that were trained.

    Returns:
        A fit with `rows` and `refused` of the learned tasks only.
    """
    manifest = predictions.manifest
    logits = {task: predictions.logits[task] for task in predictions.logits if task in learned}
    fit = calibrate(logits, manifest, rows, parent.age_centroids, parent.temperatures)
    for task in set(fit.temperatures) & set(parent.temperatures):
        truth = manifest.labels[task][rows]
        known = truth[truth != MISSING]
        if len(known) < FEW_ROWS or len(np.unique(known)) < len(LABELS[task]):
            fit = _stricter(fit, parent, task)
    return replace(
        fit,
        temperatures=dict(parent.temperatures) | fit.temperatures,
        thresholds=dict(parent.thresholds) | fit.thresholds,
        gender_thresholds=dict(parent.gender_thresholds) | fit.gender_thresholds,
        age_spread=fit.age_spread or parent.age_spread,
        age_certainty=fit.age_certainty if AGE in fit.temperatures else parent.age_certainty,
        age_centroids=fit.age_centroids if AGE in fit.temperatures else parent.age_centroids,
    )


def _stricter(fit: Fit, parent: Fit, task: str) -> Fit:
    """Return a fit that is nowhere less strict than the parent's in a task."""
    changed = replace(
        fit,
        temperatures=fit.temperatures | {task: max(fit.temperatures[task], parent.temperatures[task])},
        thresholds=fit.thresholds | {task: max(fit.thresholds[task], parent.thresholds[task])},
    )
    if task == AGE:
        certainty = max(fit.age_certainty, parent.age_certainty)
        changed = replace(changed, age_certainty=certainty, age_centroids=parent.age_centroids)
    if task == GENDER:
        before = parent.gender_thresholds
        bands = {band: max(value, before.get(band, 0.0)) for band, value in fit.gender_thresholds.items()}
        changed = replace(changed, gender_thresholds=bands)
    return changed


def calibration_of(spec: ModelSpec) -> Fit:
    """Return the calibration of a model, without the tasks that have none."""
    fit = Fit.of(spec)
    return fit.only([task for task in spec.tasks if task not in spec.uncalibrated])


def fitted_without(
    predictions: Predictions, parts: NDArray[np.int64], parent: Fit, learned: Sequence[str]
) -> list[Part]:
    """Return the samples of every part with a calibration that was fitted on the other parts.

    Args:
        predictions: of models that were not trained on the samples that they predict.
        parts: int64 (samples,): number of the part of every sample.
        parent: as in `calibrate_cautiously`.
        learned: as in `calibrate_cautiously`.
    """
    return [
        (parts == part, calibrate_cautiously(predictions, parts != part, parent, learned)) for part in np.unique(parts)
    ]


def at_temperature(predictions: Predictions, parts: Sequence[Part], temperatures: Mapping[str, float]) -> Predictions:
    """Return predictions that at some temperatures have the probabilities that each part has at its own."""
    logits = {}
    for task, values in predictions.logits.items():
        scaled = values.copy()
        for rows, fit in parts:
            scaled[rows] *= np.float32(temperatures.get(task, 1.0) / fit.temperatures.get(task, 1.0))
        logits[task] = scaled
    return replace(predictions, logits=logits)
