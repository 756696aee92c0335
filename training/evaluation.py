"""From predictions to the figures of a report: per data set and task, with intervals, calibration and groups."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from facial_attributes_training.calibration import fit_temperatures
from facial_attributes_training.manifest import LABEL_COLUMNS, Manifest
from facial_attributes_training.metrics import (
    Estimate,
    Reliability,
    accuracy,
    balanced_accuracy,
    bootstrap_confusion,
    bootstrap_mean,
    calibration_error,
    confusion_matrix,
    f1_scores,
    off_by_one_accuracy,
    reliability,
)
from facial_attributes_training.predictions import Predictions
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr

from facial_attributes_ros.attributes import AGE, GENDER, LABELS, MISSING
from facial_attributes_ros.models.spec import ModelSpec

ALL = "all"
"""Name of all data sets together, where several have labels of the same task."""
MAX_GROUPS = 20
"""Columns with more values than this, such as identities, are not grouped by."""
MIN_GROUP_ROWS = 30
"""Groups with fewer rows are shown, but do not count for the gap: their figures are chance."""


@dataclass(frozen=True, slots=True)
class Years:
    """How well ages in years are told, over the rows that have them.

    Attributes:
        rows: how many there are.
        mae: mean absolute error in years.
        plcc: Pearson's correlation of expected and true age.
        srocc: Spearman's.
        expected, true: float64 (rows,): the ages themselves, for plots.
    """

    rows: int
    mae: Estimate
    plcc: float
    srocc: float
    expected: NDArray[np.float64]
    true: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Group:
    """The figures of the rows that share a value of a column."""

    rows: int
    accuracy: Estimate
    balanced_accuracy: float
    mae: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """How honest the confidences are.

    Attributes:
        rows: that the two errors and diagrams are of.
        temperature: what the logits are divided by for the second.
        before, after: expected calibration error at temperature 1 and at that temperature.
        diagram_before, diagram_after: the reliability diagrams.
    """

    rows: int
    temperature: float
    before: float
    after: float
    diagram_before: Reliability
    diagram_after: Reliability


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Everything measured of one task on one data set.

    Attributes:
        rows: with a label.
        accuracy, balanced_accuracy: with bootstrap intervals.
        macro_f1: mean of the F1 scores of the classes that have rows.
        f1: per class, None for classes without rows.
        confusion: int64 (classes, classes): rows by true and predicted class.
        calibration: of the confidences.
        off_by_one: share of predictions at most one group away; ages only.
        years: errors in years; ages only, None without true ages.
        groups: figures per value, per column.
        gaps: best minus worst accuracy of the groups that are large enough, per column.
    """

    rows: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_f1: float
    f1: list[float | None]
    confusion: NDArray[np.int64]
    calibration: Calibration
    off_by_one: Estimate | None = None
    years: Years | None = None
    groups: dict[str, dict[str, Group]] = field(default_factory=dict)
    gaps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model's figures.

    Attributes:
        results: per data set, per task.
        temperatures: per task, what the calibrated figures rest on.
        fitted: whether the temperatures were fitted here on half of the rows, or are the model's own.
        skipped: number of rows that could not be predicted, per reason.
    """

    results: dict[str, dict[str, TaskResult]]
    temperatures: dict[str, float]
    fitted: bool
    skipped: dict[str, int]


def evaluate(predictions: Predictions, spec: ModelSpec, fit: bool = False) -> Evaluation:
    """Measure predictions per data set and task.

    Args:
        predictions: of the rows to measure on.
        spec: of the model; gives age centroids and its own temperatures.
        fit: fit temperatures on every second row, and measure calibration on the others; for validation data.
    """
    measured = np.ones(len(predictions.manifest), np.bool_)
    temperatures = {task: spec.temperatures[task] for task in predictions.logits}
    if fit:
        half = calibration_half(len(predictions.manifest))
        labels = {task: np.where(half, predictions.manifest.labels[task], MISSING) for task in predictions.logits}
        temperatures = fit_temperatures(predictions.logits, labels)
        measured = ~half
    ages = expected_ages(predictions, spec, temperatures.get(AGE, 1.0))
    results = {
        name: {
            task: _measure(predictions, task, rows, temperatures[task], measured, ages)
            for task in predictions.logits
            if (rows := chosen & (predictions.manifest.labels[task] != MISSING)).any()
        }
        for name, chosen in data_sets(predictions.manifest)
    }
    reasons = [entry.reason for entry in predictions.skipped]
    skipped = {reason: reasons.count(reason) for reason in sorted(set(reasons))}
    return Evaluation({name: tasks for name, tasks in results.items() if tasks}, temperatures, fit, skipped)


def calibration_half(rows: int) -> NDArray[np.bool_]:
    """Return bool (rows,): the half, drawn by chance but the same each time, that temperatures are fitted on."""
    half = np.zeros(rows, np.bool_)
    half[np.random.default_rng(0).permutation(rows)[: rows // 2]] = True
    return half


def expected_ages(predictions: Predictions, spec: ModelSpec, temperature: float) -> NDArray[np.float64] | None:
    """Return float64 (rows,): probability-weighted mean of the groups' centroids in years; None without the task."""
    if AGE not in predictions.logits:
        return None
    return predictions.probabilities(AGE, temperature) @ np.asarray(spec.age_centroids, np.float64)


def data_sets(manifest: Manifest) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield name and mask bool (rows,) of every data set, and of all together where that says something new."""
    names = sorted(set(manifest.sources.tolist()))
    for name in names:
        yield name or "unnamed", manifest.sources == name
    if len(names) > 1:
        yield ALL, np.ones(len(manifest), np.bool_)


def _measure(
    predictions: Predictions,
    task: str,
    rows: NDArray[np.bool_],
    temperature: float,
    measured: NDArray[np.bool_],
    ages: NDArray[np.float64] | None,
) -> TaskResult:
    manifest, classes = predictions.manifest, len(LABELS[task])
    truth = manifest.labels[task][rows]
    predicted = predictions.logits[task][rows].argmax(axis=1).astype(np.int64)
    confusion = confusion_matrix(truth, predicted, classes)
    f1 = f1_scores(truth, predicted, classes)
    years = _years(manifest.age_years[rows], ages[rows]) if task == AGE and ages is not None else None
    groups = _groups(manifest.take(rows), task, predicted, None if ages is None else ages[rows])
    return TaskResult(
        rows=int(rows.sum()),
        accuracy=bootstrap_confusion(confusion, accuracy),
        balanced_accuracy=bootstrap_confusion(confusion, balanced_accuracy),
        macro_f1=float(np.mean([score for score in f1 if score is not None])),
        f1=f1,
        confusion=confusion,
        calibration=_calibration(predictions, task, _measurable(rows, measured), temperature),
        off_by_one=bootstrap_confusion(confusion, off_by_one_accuracy) if task == AGE else None,
        years=years,
        groups=groups,
        gaps={column: gap for column, values in groups.items() if (gap := worst_group_gap(values)) is not None},
    )


def _measurable(rows: NDArray[np.bool_], measured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the rows that the temperatures were not fitted on; all, if a tiny data set has no others."""
    return rows & measured if (rows & measured).any() else rows


def _calibration(predictions: Predictions, task: str, rows: NDArray[np.bool_], temperature: float) -> Calibration:
    truth = predictions.manifest.labels[task][rows]
    before = predictions.probabilities(task)[rows]
    after = predictions.probabilities(task, temperature)[rows]
    return Calibration(
        rows=int(rows.sum()),
        temperature=temperature,
        before=calibration_error(truth, before),
        after=calibration_error(truth, after),
        diagram_before=reliability(truth, before),
        diagram_after=reliability(truth, after),
    )


def _years(true: NDArray[np.float32], expected: NDArray[np.float64]) -> Years | None:
    known = ~np.isnan(true)
    if known.sum() < 2:
        return None
    ages, guesses = true[known].astype(np.float64), expected[known]
    varied = np.ptp(ages) > 0 and np.ptp(guesses) > 0
    return Years(
        rows=int(known.sum()),
        mae=bootstrap_mean(np.abs(ages - guesses)),
        plcc=float(pearsonr(ages, guesses).statistic) if varied else float("nan"),
        srocc=float(spearmanr(ages, guesses).statistic) if varied else float("nan"),
        expected=guesses,
        true=ages,
    )


def group_columns(manifest: Manifest, task: str) -> dict[str, NDArray[np.str_]]:
    """Return the columns, str (rows,), to report a task by: gender, age group, and any further one with few values.

    The task's own labels are left out, since recall per class says the same.
    """
    columns: dict[str, NDArray[np.str_]] = {}
    for other in (GENDER, AGE):
        if other != task:
            names = np.array([*LABELS[other], ""])
            columns[LABEL_COLUMNS[other]] = names[
                np.where(manifest.labels[other] == MISSING, -1, manifest.labels[other])
            ]
    columns |= manifest.extra
    return {
        name: values
        for name, values in columns.items()
        if 1 < len(found := set(values.tolist()) - {""}) <= MAX_GROUPS and found
    }


def _groups(
    manifest: Manifest, task: str, predicted: NDArray[np.int64], ages: NDArray[np.float64] | None
) -> dict[str, dict[str, Group]]:
    truth = manifest.labels[task]
    result: dict[str, dict[str, Group]] = {}
    for column, values in group_columns(manifest, task).items():
        order = _group_order(set(values.tolist()) - {""})
        result[column] = {}
        for value in order:
            rows = values == value
            confusion = confusion_matrix(truth[rows], predicted[rows], len(LABELS[task]))
            known = rows & ~np.isnan(manifest.age_years)
            mae = None
            if task == AGE and ages is not None and known.any():
                mae = float(np.abs(ages[known] - manifest.age_years[known]).mean())
            estimate = bootstrap_confusion(confusion, accuracy)
            result[column][value] = Group(int(rows.sum()), estimate, float(balanced_accuracy(confusion)), mae)
    return result


def _group_order(values: set[str]) -> list[str]:
    """Return group names sorted, but labels of a task in their own order."""
    for labels in LABELS.values():
        if values <= set(labels):
            return [label for label in labels if label in values]
    return sorted(values)


def worst_group_gap(groups: Mapping[str, Group]) -> float | None:
    """Return best minus worst accuracy of the groups that are large enough, None if there are not two of them."""
    figures = [group.accuracy.value for group in groups.values() if group.rows >= MIN_GROUP_ROWS]
    return max(figures) - min(figures) if len(figures) > 1 else None
