"""Losses and accuracies on validation rows, summed over all processes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import Accelerator
from facial_attributes_training.datasets import Batch
from facial_attributes_training.manifest import Manifest
from facial_attributes_training.metrics import accuracy, balanced_accuracy
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, LABELS

if TYPE_CHECKING:
    from facial_attributes_training.loop import Objective


@dataclass(frozen=True, slots=True)
class Validation:
    """Figures of one epoch.

    Attributes:
        losses: mean loss per task.
        confusions: int64 (classes, classes) per task of classes: rows by true and predicted class.
        errors: mean absolute error in years per task that is learned in years.
    """

    losses: dict[str, float]
    confusions: dict[str, NDArray[np.int64]]
    errors: dict[str, float]

    @property
    def loss(self) -> float:
        """Mean of the tasks' losses."""
        return float(np.mean(list(self.losses.values())))

    def figures(self) -> dict[str, float]:
        """Return everything as numbers by name."""
        found = {"loss": self.loss} | {f"loss_{task}": loss for task, loss in self.losses.items()}
        for task, confusion in self.confusions.items():
            found[f"accuracy_{task}"] = float(accuracy(confusion))
            found[f"balanced_accuracy_{task}"] = float(balanced_accuracy(confusion))
        return found | {f"error_{task}": error for task, error in self.errors.items()}


@torch.inference_mode()
def validate(
    objective: "Objective",
    loader: Iterable[Batch],
    manifest: Manifest,
    tasks: tuple[str, ...],
    accelerator: Accelerator,
) -> Validation:
    """Measure a model in evaluation mode on the rows that the processes' loaders give."""
    device, ages = accelerator.device, objective.loss.ages
    in_years = [task for task in tasks if task == AGE and ages is not None]
    sums = torch.zeros(len(tasks), device=device, dtype=torch.float64)
    rows, errors = torch.zeros_like(sums), torch.zeros_like(sums)
    sizes = {task: len(LABELS[task]) for task in tasks if task not in in_years}
    cells = {task: torch.zeros(size**2, device=device, dtype=torch.int64) for task, size in sizes.items()}
    for batch in loader:
        labels = {task: column.to(device) for task, column in batch.labels(manifest, tasks, ages is not None).items()}
        with accelerator.autocast():
            logits = objective.forward_logits(batch.inputs.to(device))
            sums += objective.loss.sums(logits, labels)
        for place, task in enumerate(tasks):
            known = labels[task] >= 0
            rows[place] += known.sum()
            if ages is not None and task in in_years:
                errors[place] += (ages.years(logits[task][:, 0].float()) - labels[task])[known].abs().sum()
            else:
                found = labels[task][known] * sizes[task] + logits[task][known].argmax(1)
                cells[task] += torch.bincount(found, minlength=sizes[task] ** 2)
    sums, rows, errors = (accelerator.reduce(total, "sum").cpu() for total in (sums, rows, errors))
    means, years = (dict(zip(tasks, (total / rows.clamp(min=1)).tolist(), strict=True)) for total in (sums, errors))
    confusions = {
        task: accelerator.reduce(found, "sum").cpu().numpy().reshape(sizes[task], -1) for task, found in cells.items()
    }
    return Validation(means, confusions, {task: years[task] for task in in_years})
