"""Accuracy and speed of models side by side, by the measures of our own evaluation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.measure.evaluation import expected_ages
from facial_attributes_training.measure.fitted import Fit
from facial_attributes_training.measure.metrics import (
    Estimate,
    accuracy,
    balanced_accuracy,
    bootstrap_confusion,
    bootstrap_mean,
    confusion_matrix,
    off_by_one_accuracy,
)
from facial_attributes_training.measure.predictions import Predictions
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, LABELS, MISSING, age_group_of
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.text import with_interval

ORIGIN = "origin"
"""Column that tells, within a data set, where a picture comes from."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What somebody says of the rows of a manifest.

    Attributes:
        name: whose answers they are.
        manifest: the rows, with the truth.
        labels: int64 (rows,) per task: class indices; tasks it does not know are left out.
        ages: float64 (rows,): years.
    """

    name: str
    manifest: Manifest
    labels: dict[str, NDArray[np.int64]]
    ages: NDArray[np.float64] | None

    @classmethod
    def of_predictions(cls, name: str, predictions: Predictions, spec: ModelSpec) -> Self:
        """Return the answers of a model of ours."""
        labels = {task: values.argmax(axis=1).astype(np.int64) for task, values in predictions.logits.items()}
        ages = expected_ages(predictions, Fit.of(spec))
        return cls(name, predictions.manifest, labels, ages)


@dataclass(frozen=True, slots=True)
class Figures:
    """How good somebody's answers of one task are on one data set, or one origin of it.

    Attributes:
        name: whose they are.
        data_set: and its origin, if it has several.
        task: of `attributes.TASKS`.
        rows: with a label.
        accuracy, balanced_accuracy, off_by_one, mae: with 95 % intervals; None where they make no sense.
    """

    name: str
    data_set: str
    task: str
    rows: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    off_by_one: Estimate | None
    mae: Estimate | None

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Return what `dataclasses.asdict` made a document of."""
        estimates = {key: Estimate(**value) for key, value in document.items() if isinstance(value, dict)}
        return cls(**(document | estimates))


def years_to_groups(ages: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return int64 (rows,): the age groups of ages in years, float64 (rows,); ages below 0 count as 0."""
    return np.array([age_group_of(max(float(age), 0.0)) for age in ages], np.int64)


def parts(manifest: Manifest) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield name and mask, bool (rows,), of every data set, by origin where the manifest tells one."""
    empty = np.full(len(manifest), "", np.str_)
    origins = manifest.extra.get(ORIGIN, empty)
    for source, origin in sorted(set(zip(manifest.sources.tolist(), origins.tolist(), strict=True))):
        name = f"{source}, origin {origin}" if origin else source
        yield name, np.asarray((manifest.sources == source) & (origins == origin), np.bool_)


def accuracy_figures(answers: Answers) -> list[Figures]:
    """Return the figures of somebody's answers, by data set and task."""
    return [
        _figures(answers, name, task, rows)
        for name, mask in parts(answers.manifest)
        for task in answers.labels
        if (rows := mask & (answers.manifest.labels[task] != MISSING)).any()
    ]


def _figures(answers: Answers, data_set: str, task: str, rows: NDArray[np.bool_]) -> Figures:
    truth, said = answers.manifest.labels[task][rows], answers.labels[task][rows]
    confusion = confusion_matrix(truth, said, len(LABELS[task]))
    off_by_one = bootstrap_confusion(confusion, off_by_one_accuracy) if task == AGE else None
    years = answers.manifest.age_years[rows].astype(np.float64)
    mae = None
    if task == AGE and answers.ages is not None and not np.isnan(years).all():
        mae = bootstrap_mean(np.abs(years - answers.ages[rows])[~np.isnan(years)])
    return Figures(
        answers.name,
        data_set,
        task,
        int(rows.sum()),
        bootstrap_confusion(confusion, accuracy),
        bootstrap_confusion(confusion, balanced_accuracy),
        off_by_one,
        mae,
    )


def accuracy_table(figures: Sequence[Figures]) -> str:
    """Return the figures as Markdown, those of one data set and task below each other."""
    lines = ["| data set | task | rows | whose | accuracy % | balanced % | ±1 group % | MAE years |"]
    lines.append("|---" * 8 + "|")
    order = list(dict.fromkeys((row.data_set, row.task) for row in figures))
    for row in sorted(figures, key=lambda row: order.index((row.data_set, row.task))):
        near = "" if row.off_by_one is None else _percent(row.off_by_one)
        years = "" if row.mae is None else with_interval(row.mae.value, row.mae.low, row.mae.high)
        shares = f"{_percent(row.accuracy)} | {_percent(row.balanced_accuracy)} | {near}"
        lines.append(f"| {row.data_set} | {row.task} | {row.rows} | {row.name} | {shares} | {years} |")
    return "\n".join(lines) + "\n"


def _percent(estimate: Estimate) -> str:
    return with_interval(estimate.value, estimate.low, estimate.high, percent=True)


def speed_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the milliseconds of whole frames as Markdown.

    Args:
        rows: name, number of faces, and the median milliseconds of every round.
    """
    lines = ["| whose | faces | median of rounds, ms | least | most |", "|---" * 5 + "|"]
    for row in rows:
        values = row["milliseconds"]
        spread = f"{np.median(values):.1f} | {min(values):.1f} | {max(values):.1f}"
        lines.append(f"| {row['name']} | {row['faces']} | {spread} |")
    return "\n".join(lines) + "\n"
