"""Evaluate predictions: metrics per data set and task, with intervals, calibration and groups."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from facial_attributes_training.data.manifest import LABEL_COLUMNS, Manifest
from facial_attributes_training.data.subsets import data_sets, first_half
from facial_attributes_training.measure.calibration import Way, both_ways
from facial_attributes_training.measure.fitted import Fit, Named, named
from facial_attributes_training.measure.metrics import (
    Estimate,
    Reliability,
    accuracy,
    balanced_accuracy,
    bootstrap_confusion,
    bootstrap_correlation,
    bootstrap_mean,
    confusion_matrix,
    f1_scores,
    off_by_one_accuracy,
    probability_scores,
    recalls,
    reliability,
)
from facial_attributes_training.measure.predictions import Predictions
from facial_attributes_training.measure.published import Labels, probabilities, published_ages, published_labels
from facial_attributes_training.measure.published_figures import Published, age_bands, age_rules, measure_published
from numpy.typing import NDArray
from scipy.stats import rankdata

from facial_attributes_ros.attributes import AGE, GENDER, LABELS, MISSING
from facial_attributes_ros.models.spec import ModelSpec

MAX_GROUPS = 20
"""Columns with more values than this, such as identities, are not grouped by."""
MIN_GROUP_ROWS = 30
"""Groups with fewer samples are shown, but do not count for the gap, since their metrics are mostly chance."""


@dataclass(frozen=True, slots=True, eq=False)
class Years:
    """Errors of ages in years, over the samples that have them.

    Attributes:
        rows: number of these samples.
        mae: mean absolute error in years.
        plcc: Pearson's correlation of expected and true age, NaN if one of them is the same in all samples.
        srocc: Spearman's correlation.
        expected, true: float64 (samples,): the ages themselves, for plots.
    """

    rows: int
    mae: Estimate
    plcc: Estimate
    srocc: Estimate
    expected: NDArray[np.float64]
    true: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Group:
    """The metrics of the samples with one value of a column."""

    rows: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    mae: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well the confidences are calibrated.

    Attributes:
        rows: number of samples behind the errors and diagrams.
        temperature: divisor of the logits for the second.
        before, after: expected calibration error at temperature 1 and at that temperature.
        nll, brier: negative log-likelihood and Brier score at both.
        diagram_before, diagram_after: the reliability diagrams.
        threshold: confidence below which a label is unknown.
        named: coverage and precision at the threshold.
    """

    rows: int
    temperature: float
    before: float
    after: float
    nll: tuple[float, float]
    brier: tuple[float, float]
    diagram_before: Reliability
    diagram_after: Reliability
    threshold: float
    named: Named


@dataclass(frozen=True, slots=True, eq=False)
class TaskResult:
    """Every metric of one task on one data set.

    Attributes:
        rows: number of samples with a label.
        accuracy, balanced_accuracy: with bootstrap intervals.
        macro_f1: mean of the F1 scores of the classes that have samples.
        f1: per class, None for classes without samples.
        recall: per class, with intervals, None for classes without samples.
        confusion: int64 (classes, classes): samples by true and predicted class.
        calibration: of the confidences.
        published: what is published by the package's rules, on the samples that nothing was fitted on.
        off_by_one: fraction of predictions at most one group away; ages only.
        years: errors in years; ages only, None without true ages.
        groups: metrics per value, per column.
        gaps: best minus worst accuracy of the groups that are large enough, per column.
    """

    rows: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_f1: float
    f1: list[float | None]
    recall: list[Estimate | None]
    confusion: NDArray[np.int64]
    calibration: Calibration
    published: Published
    off_by_one: Estimate | None = None
    years: Years | None = None
    groups: dict[str, dict[str, Group]] = field(default_factory=dict)
    gaps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The metrics of a model.

    Attributes:
        results: per data set, per task.
        temperatures, thresholds: per task, those of the calibrated metrics.
        fitted: whether these were fitted here on half of the samples, or are the model's own.
        skipped: number of samples that could not be predicted, per reason.
        calibration: everything that the published labels depend on.
        ways: the fits on either half, measured on the other; the first is that of `temperatures`. Empty unless fitted.
    """

    results: dict[str, dict[str, TaskResult]]
    temperatures: dict[str, float]
    thresholds: dict[str, float]
    fitted: bool
    skipped: dict[str, int]
    calibration: Fit
    ways: tuple[Way, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """Sentences on tasks that could not be calibrated, or only on few samples."""
        return self.ways[0].fit.warnings() if self.ways else []


def evaluate(predictions: Predictions, spec: ModelSpec, fit: bool = False) -> Evaluation:
    """Measure predictions per data set and task.

    Args:
        predictions: of the samples to measure on.
        spec: of the model, with age centroids, temperatures and thresholds.
        fit: fit temperatures and thresholds on one half of the samples and measure calibration on the other; for
            validation data.
    """
    manifest = predictions.manifest
    measured = np.ones(len(manifest), np.bool_)
    calibration, ways = Fit.of(spec), tuple[Way, ...]()
    if fit:
        ways = both_ways(predictions.logits, manifest, spec.age_centroids)
        # What can't be fitted on these samples stays as it is in the model.
        calibration, measured = ways[0].fit.over(spec), ~first_half(manifest)
    labels = {task: published_labels(predictions.logits, task, calibration) for task in predictions.logits}
    ages = expected_ages(predictions, calibration)
    results = {
        name: {
            task: _measure(predictions, task, rows, calibration, measured, ages, labels[task])
            for task in predictions.logits
            if (rows := chosen & (manifest.labels[task] != MISSING)).any()
        }
        for name, chosen in data_sets(manifest)
    }
    reasons = [entry.reason for entry in predictions.skipped]
    return Evaluation(
        results={name: tasks for name, tasks in results.items() if tasks},
        temperatures={task: calibration.temperatures[task] for task in predictions.logits},
        thresholds={task: calibration.thresholds[task] for task in predictions.logits},
        fitted=fit,
        skipped={reason: reasons.count(reason) for reason in sorted(set(reasons))},
        ways=ways,
        calibration=calibration,
    )


def expected_ages(predictions: Predictions, fit: Fit) -> NDArray[np.float64] | None:
    """Return float64 (samples,): ages in years; None without the task.

    They are the model's own if it predicts years, else the probability-weighted mean of the groups' centroids.
    """
    if AGE not in predictions.logits or predictions.years is not None:
        return predictions.years
    probabilities = predictions.probabilities(AGE, fit.temperatures.get(AGE, 1.0))
    return probabilities @ np.asarray(fit.age_centroids, np.float64)


def _measure(
    predictions: Predictions,
    task: str,
    rows: NDArray[np.bool_],
    calibration: Fit,
    measured: NDArray[np.bool_],
    ages: NDArray[np.float64] | None,
    labels: Labels,
) -> TaskResult:
    manifest, classes = predictions.manifest, len(LABELS[task])
    truth = manifest.labels[task][rows]
    predicted = predictions.logits[task][rows].argmax(axis=1).astype(np.int64)
    confusion = confusion_matrix(truth, predicted, classes)
    f1, held_out = f1_scores(confusion), _measurable(rows, measured)
    years = measure_years(manifest.age_years[rows], ages[rows]) if task == AGE and ages is not None else None
    groups = _groups(manifest.take(rows), task, predicted, None if ages is None else ages[rows])
    return TaskResult(
        rows=int(rows.sum()),
        accuracy=bootstrap_confusion(confusion, accuracy),
        balanced_accuracy=bootstrap_confusion(confusion, balanced_accuracy),
        macro_f1=float(np.mean([score for score in f1 if score is not None])),
        f1=f1,
        recall=recalls(confusion),
        confusion=confusion,
        calibration=_calibration(predictions, task, held_out, calibration, labels),
        published=_published(predictions, task, held_out, calibration, labels),
        off_by_one=bootstrap_confusion(confusion, off_by_one_accuracy) if task == AGE else None,
        years=years,
        groups=groups,
        gaps={column: gap for column, values in groups.items() if (gap := worst_group_gap(values)) is not None},
    )


def _measurable(rows: NDArray[np.bool_], measured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the held-out samples; all of them, if a tiny data set has no held-out ones."""
    return rows & measured if (rows & measured).any() else rows


def _published(
    predictions: Predictions, task: str, rows: NDArray[np.bool_], calibration: Fit, labels: Labels
) -> Published:
    manifest = predictions.manifest
    found = measure_published(manifest, task, rows, labels, group_columns(manifest, task))
    if task != AGE:
        return found
    distributions = probabilities(predictions.logits, AGE, calibration)[rows]
    ages = published_ages(distributions, calibration)
    rules = age_rules(manifest.labels[AGE][rows], ages, distributions.argmax(axis=1))
    return replace(found, rules=rules, bands=age_bands(manifest.age_years[rows], ages))


def _calibration(predictions: Predictions, task: str, rows: NDArray[np.bool_], fit: Fit, labels: Labels) -> Calibration:
    truth = predictions.manifest.labels[task][rows]
    before = predictions.probabilities(task)[rows]
    after = predictions.probabilities(task, fit.temperatures[task])[rows]
    first, second = probability_scores(truth, before), probability_scores(truth, after)
    return Calibration(
        rows=int(rows.sum()),
        temperature=fit.temperatures[task],
        before=first.error,
        after=second.error,
        nll=(first.nll, second.nll),
        brier=(first.brier, second.brier),
        diagram_before=reliability(truth, before),
        diagram_after=reliability(truth, after),
        threshold=fit.thresholds[task],
        named=named(labels.confidence[rows], labels.index[rows] == truth, labels.least[rows]),
    )


def measure_years(true: NDArray[np.float32], expected: NDArray[np.float64]) -> Years | None:
    """Return the errors of ages in years; None with fewer than two of them.

    Args:
        true: float32 (samples,), NaN where not known.
        expected: float64 (samples,).
    """
    known = ~np.isnan(true)
    if known.sum() < 2:
        return None
    ages, estimates = true[known].astype(np.float64), expected[known]
    return Years(
        rows=int(known.sum()),
        mae=bootstrap_mean(np.abs(ages - estimates)),
        plcc=bootstrap_correlation(ages, estimates),
        srocc=bootstrap_correlation(rankdata(ages), rankdata(estimates)),
        expected=estimates,
        true=ages,
    )


def group_columns(manifest: Manifest, task: str) -> dict[str, NDArray[np.str_]]:
    """Return the columns, str (samples,), to report a task by: gender, age group, and any further one with few values.

    The task's own labels are omitted, since recall per class gives the same.
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
            result[column][value] = Group(
                int(rows.sum()),
                bootstrap_confusion(confusion, accuracy),
                bootstrap_confusion(confusion, balanced_accuracy),
                mae,
            )
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
