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

from facial_attributes_ros.attributes import LABELS

if TYPE_CHECKING:
    from facial_attributes_training.loop import Objective


@dataclass(frozen=True, slots=True)
class Validation:
    """Figures of one epoch.

    Attributes:
        losses: mean cross-entropy per task.
        confusions: int64 (classes, classes) per task: rows by true and predicted class.
    """

    losses: dict[str, float]
    confusions: dict[str, NDArray[np.int64]]

    @property
    def loss(self) -> float:
        """Mean of the tasks' losses."""
        return float(np.mean(list(self.losses.values())))

    def figures(self) -> dict[str, float]:
        """Return everything as numbers by name."""
        found = {"loss": self.loss}
        for task, confusion in self.confusions.items():
            found |= {
                f"loss_{task}": self.losses[task],
                f"accuracy_{task}": float(accuracy(confusion)),
                f"balanced_accuracy_{task}": float(balanced_accuracy(confusion)),
            }
        return found


@torch.inference_mode()
def validate(
    objective: "Objective",
    loader: Iterable[Batch],
    manifest: Manifest,
    tasks: tuple[str, ...],
    accelerator: Accelerator,
) -> Validation:
    """Measure a model in evaluation mode on the rows that the processes' loaders give."""
    device = accelerator.device
    sums = torch.zeros(len(tasks), device=device, dtype=torch.float64)
    counts = {task: torch.zeros(len(LABELS[task]) ** 2, device=device, dtype=torch.int64) for task in tasks}
    for batch in loader:
        labels = {task: column.to(device) for task, column in batch.labels(manifest, tasks).items()}
        with accelerator.autocast():
            logits = objective.forward_logits(batch.inputs.to(device))
            sums += objective.loss.sums(logits, labels)
        for task in tasks:
            known, classes = labels[task] >= 0, len(LABELS[task])
            cells = labels[task][known] * classes + logits[task][known].argmax(1)
            counts[task] += torch.bincount(cells, minlength=classes**2)
    sums = accelerator.reduce(sums, "sum").cpu()
    confusions = {
        task: accelerator.reduce(counts[task], "sum").cpu().numpy().reshape(len(LABELS[task]), -1) for task in tasks
    }
    losses = {task: float(total) / max(int(confusions[task].sum()), 1) for task, total in zip(tasks, sums, strict=True)}
    return Validation(losses, confusions)
