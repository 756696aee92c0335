"""From validation logits to what `model.json` says besides the weights: centroids, threshold, figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from facial_attributes_training.evaluation import evaluate
from facial_attributes_training.manifest import Manifest
from facial_attributes_training.predictions import Predictions
from numpy.typing import NDArray
from scipy.special import softmax

from facial_attributes_ros.attributes import AGE, LABELS, MISSING
from facial_attributes_ros.models.spec import ModelSpec

WANTED_PRECISION = 0.95
MIN_GROUP_ROWS = 10
"""Groups with fewer known ages keep their default centroid."""
_DEFAULT_CENTROIDS = (1.0, 6.0, 14.5, 24.5, 34.5, 44.5, 54.5, 64.5, 75.0)


def age_centroids(manifest: Manifest) -> tuple[float, ...]:
    """Return the mean age in years of every age group, from the rows that have an age in years.

    A group with too few of them gets the middle of its range.
    """
    known = ~np.isnan(manifest.age_years)
    found = []
    for group in range(len(LABELS[AGE])):
        years = manifest.age_years[known & (manifest.labels[AGE] == group)]
        found.append(float(years.mean()) if len(years) >= MIN_GROUP_ROWS else _DEFAULT_CENTROIDS[group])
    return tuple(round(years, 2) for years in found)


def gender_threshold(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    """Return the lowest confidence from which on `WANTED_PRECISION` of the labels are right; 0.5 if all are.

    Args:
        logits: float (rows, 2), calibrated.
        truth: int64 (rows,): class indices; rows with `MISSING` do not count.
    """
    known = truth != MISSING
    if not known.any():
        return 0.0
    probabilities = softmax(np.asarray(logits[known], np.float64), axis=1)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth[known]
    order = np.argsort(-confidence, kind="stable")
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= WANTED_PRECISION)
    if not len(enough):
        return 1.0
    return round(float(confidence[order][enough[-1]]), 3)


def figures(
    logits: Mapping[str, NDArray[np.float32]], manifest: Manifest, spec: ModelSpec, rows: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return the main figures per data set and task, with confidence intervals, on some validation rows.

    Args:
        logits: float32 (rows, classes) per task.
        manifest: the rows.
        spec: gives centroids and temperatures.
        rows: bool (rows,): those that nothing was chosen or fitted on.
    """
    predictions = Predictions(manifest.take(rows), {task: values[rows] for task, values in logits.items()}, [])
    found: dict[str, Any] = {}
    for name, tasks in evaluate(predictions, spec).results.items():
        for task, result in tasks.items():
            entry: dict[str, Any] = {
                "rows": result.rows,
                "accuracy": round(result.accuracy.value, 4),
                "accuracy_95": [round(result.accuracy.low, 4), round(result.accuracy.high, 4)],
                "balanced_accuracy": round(result.balanced_accuracy.value, 4),
                "f1": {
                    label: None if score is None else round(score, 3)
                    for label, score in zip(LABELS[task], result.f1, strict=True)
                },
                "calibration_error": round(result.calibration.after, 4),
            }
            if result.off_by_one is not None:
                entry["off_by_one"] = round(result.off_by_one.value, 4)
            if result.years is not None:
                entry["mae_years"] = round(result.years.mae.value, 2)
            found.setdefault(name, {})[task] = entry
    return found
