"""Losses and accuracies on validation samples, summed over all processes."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from facial_attributes_training.data.datasets import Batch
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.fit.losses import Objective, known_rows
from facial_attributes_training.measure.metrics import accuracy, balanced_accuracy
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, LABELS, MISSING
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.expression import EXPRESSION

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """Metrics of one epoch.

    Attributes:
        rows: per task, the number of samples with a label that could be read.
        losses: mean loss per task; NaN for a task without samples.
        confusions: int64 (classes, classes) per task of classes: samples by true and predicted class.
        errors: mean absolute error per output of numbers: in years of an age learned in years, and of the visible
            expressions in the units of `models.expression`.
    """

    rows: dict[str, int]
    losses: dict[str, float]
    confusions: dict[str, NDArray[np.int64]]
    errors: dict[str, float]

    @property
    def loss(self) -> float:
        """Mean of the losses of all tasks that have samples."""
        return float(np.mean([loss for task, loss in self.losses.items() if self.rows[task]]))

    def figures(self) -> dict[str, float]:
        """Return the metrics of all tasks that have samples by name."""
        measured = [task for task, rows in self.rows.items() if rows]
        found = {"loss": self.loss} | {f"loss_{task}": self.losses[task] for task in measured}
        for task in measured:
            if task in self.errors:
                found[f"error_{task}"] = self.errors[task]
            else:
                found[f"accuracy_{task}"] = float(accuracy(self.confusions[task]))
                found[f"balanced_accuracy_{task}"] = float(balanced_accuracy(self.confusions[task]))
        return found


@torch.inference_mode()
def validate(
    objective: Objective,
    loader: Iterable[Batch],
    manifest: Manifest,
    tasks: tuple[str, ...],
    accelerator: Accelerator,
    expressions: NDArray[np.float32] | None = None,
) -> Validation:
    """Measure a model in evaluation mode on the samples that the processes' loaders give.

    With `expressions`, their targets for the samples of the manifest, the model's second output is measured as well.

    Raises:
        UserError: a task has labels, but none of their images can be read.
    """
    device, ages = accelerator.device, objective.loss.ages
    in_years = [task for task in tasks if task == AGE and ages is not None]
    in_numbers = [*in_years, *([] if expressions is None else [EXPRESSION])]
    outputs = tasks if expressions is None else (*tasks, EXPRESSION)
    sums = torch.zeros(len(outputs), device=device, dtype=torch.float64)
    rows, errors = torch.zeros_like(sums), torch.zeros_like(sums)
    sizes = {task: len(LABELS[task]) for task in tasks if task not in in_years}
    cells = {task: torch.zeros(size**2, device=device, dtype=torch.int64) for task, size in sizes.items()}
    for batch in loader:
        for error in batch.errors:
            _LOGGER.warning("A validation image is skipped: %s", error)
        found = batch.labels(manifest, tasks, ages is not None, expressions)
        labels = {name: column.to(device) for name, column in found.items()}
        with accelerator.autocast():
            logits = objective.forward_logits(batch.inputs.to(device))
            sums += objective.loss.sums(logits, labels)
        for place, task in enumerate(outputs):
            known = known_rows(labels[task])
            rows[place] += known.sum()
            if task == EXPRESSION:
                errors[place] += (logits[task].float() - labels[task])[known].abs().mean(1).sum()
            elif ages is not None and task in in_years:
                errors[place] += (ages.years(logits[task][:, 0].float()) - labels[task])[known].abs().sum()
            else:
                places = labels[task][known] * sizes[task] + logits[task][known].argmax(1)
                cells[task] += torch.bincount(places, minlength=sizes[task] ** 2)
    sums, rows, errors = (accelerator.reduce(total, "sum").cpu() for total in (sums, rows, errors))
    counts = {task: int(count) for task, count in zip(outputs, rows.tolist(), strict=True)}
    _check_readable(counts, manifest, in_years)
    means, years = (dict(zip(outputs, (total / rows).tolist(), strict=True)) for total in (sums, errors))
    confusions = {
        task: accelerator.reduce(found, "sum").cpu().numpy().reshape(sizes[task], -1) for task, found in cells.items()
    }
    return Validation(counts, means, confusions, {name: years[name] for name in in_numbers})


def _check_readable(counts: dict[str, int], manifest: Manifest, in_years: list[str]) -> None:
    for task, count in counts.items():
        if task == EXPRESSION:
            continue
        labelled = ~np.isnan(manifest.age_years) if task in in_years else manifest.labels[task] != MISSING
        if not count and labelled.any():
            raise UserError(
                f"none of the {int(labelled.sum())} validation images with a label of {task} can be read, so nothing "
                "can be measured; see the log above."
            )
