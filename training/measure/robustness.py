"""Robustness: the accuracy of a model on corrupted images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.data.subsets import data_sets
from facial_attributes_training.measure.corruptions import Corruption, corruptions
from facial_attributes_training.measure.evaluation import expected_ages
from facial_attributes_training.measure.fitted import Fit, Named, named
from facial_attributes_training.measure.metrics import (
    Estimate,
    accuracy,
    balanced_accuracy,
    bootstrap_confusion,
    bootstrap_mean,
    confusion_matrix,
)
from facial_attributes_training.measure.predictions import CropMode, Predictions, Progress, predict_manifest
from facial_attributes_training.measure.published import Labels, published_labels
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, LABELS, MISSING
from facial_attributes_ros.detection.base import FaceDetector
from facial_attributes_ros.engines.base import Engine

CLEAN = "as it is"
"""Kind of the condition without a corruption."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One task's figures on one data set.

    Attributes:
        rows: samples with a label.
        accuracy, balanced_accuracy: with bootstrap intervals.
        mae: mean absolute error in years; ages only, None without true ages.
        named: coverage and precision of the labels that are published.
    """

    rows: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    mae: Estimate | None = None
    named: Named | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """Figures under one corruption.

    Attributes:
        kind, label: of the corruption; `CLEAN` without one.
        results: per data set, per task.
    """

    kind: str
    label: str
    results: dict[str, dict[str, Figures]]


def measure_robustness(
    engine: Engine,
    manifest: Manifest,
    fit: Fit,
    crop: CropMode = "box",
    detector: FaceDetector | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Condition]:
    """Measure a model on the same samples as they are and under every corruption.

    Args:
        engine: the model.
        manifest: the samples.
        fit: the calibration with which labels are named.
        crop: as in `predict_manifest`.
        detector: as in `predict_manifest`.
        progress: called with the number of faces that are done, over all conditions.

    Raises:
        UserError: no sample can be predicted, or an archive can't be read.
    """
    kinds: tuple[Corruption | None, ...] = (None, *corruptions())
    total, conditions = len(manifest) * len(kinds), []
    for number, kind in enumerate(kinds):
        report = _shifted(progress, number * len(manifest), total)
        predictions = predict_manifest(engine, manifest, crop, detector, report, kind)
        name, label = (kind.kind, kind.label) if kind else (CLEAN, "")
        ages = expected_ages(predictions, fit)
        conditions.append(Condition(name, label, _figures(predictions, ages, fit)))
    return conditions


def _shifted(progress: Callable[[int, int], None] | None, before: int, total: int) -> Progress | None:
    return None if progress is None else lambda done, _rows: progress(before + done, total)


def _figures(predictions: Predictions, ages: NDArray[np.float64] | None, fit: Fit) -> dict[str, dict[str, Figures]]:
    manifest = predictions.manifest
    labels = {task: published_labels(predictions.logits, task, fit) for task in predictions.logits}
    found: dict[str, dict[str, Figures]] = {}
    for name, chosen in data_sets(manifest):
        for task, logits in predictions.logits.items():
            rows = chosen & (manifest.labels[task] != MISSING)
            if not rows.any():
                continue
            predicted = logits[rows].argmax(axis=1).astype(np.int64)
            confusion = confusion_matrix(manifest.labels[task][rows], predicted, len(LABELS[task]))
            found.setdefault(name, {})[task] = Figures(
                int(rows.sum()),
                bootstrap_confusion(confusion, accuracy),
                bootstrap_confusion(confusion, balanced_accuracy),
                _years(manifest, rows, ages) if task == AGE and ages is not None else None,
                _named(labels[task], manifest.labels[task], rows),
            )
    return found


def _named(labels: Labels, truth: NDArray[np.int64], rows: NDArray[np.bool_]) -> Named:
    return named(labels.confidence[rows], labels.index[rows] == truth[rows], labels.least[rows])


def _years(manifest: Manifest, rows: NDArray[np.bool_], ages: NDArray[np.float64]) -> Estimate | None:
    known = rows & ~np.isnan(manifest.age_years)
    return bootstrap_mean(np.abs(ages[known] - manifest.age_years[known])) if known.any() else None
