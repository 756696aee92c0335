"""Compare two engines of one model: the difference in accuracy, paired by sample."""

from dataclasses import dataclass

import numpy as np
from facial_attributes_training.data.subsets import data_sets
from facial_attributes_training.measure.metrics import Estimate, bootstrap_mean
from facial_attributes_training.measure.predictions import Predictions
from numpy.typing import NDArray

from facial_attributes_ros.attributes import MISSING
from facial_attributes_ros.text import with_interval


@dataclass(frozen=True, slots=True)
class Agreement:
    """How one engine's labels compare with another's on the samples of a data set that have a label of a task.

    Attributes:
        data_set, task: which.
        rows: number of samples.
        accuracy, other: accuracy of the engine under test and of the other one.
        gained: accuracy minus other with its 95 % interval over the samples, paired; negative if the engine under test
            loses.
        same: fraction of samples with the same label.
    """

    data_set: str
    task: str
    rows: int
    accuracy: float
    other: float
    gained: Estimate
    same: float


def compare_engines(tested: Predictions, other: Predictions) -> list[Agreement]:
    """Compare the labels of two engines on the same samples, by data set and task.

    Raises:
        ValueError: they are of different samples.
    """
    if tested.manifest.paths.tolist() != other.manifest.paths.tolist():
        raise ValueError("the predictions are of different samples")
    return [
        _agreement(name, task, chosen, tested, other)
        for name, mask in data_sets(tested.manifest)
        for task in tested.logits
        if (chosen := mask & (tested.manifest.labels[task] != MISSING)).any()
    ]


def _agreement(name: str, task: str, rows: NDArray[np.bool_], tested: Predictions, other: Predictions) -> Agreement:
    truth = tested.manifest.labels[task][rows]
    ours, theirs = (each.logits[task][rows].argmax(axis=1) for each in (tested, other))
    right, before = (ours == truth).astype(np.float64), (theirs == truth).astype(np.float64)
    same = float((ours == theirs).mean())
    return Agreement(
        name, task, len(truth), float(right.mean()), float(before.mean()), bootstrap_mean(right - before), same
    )


def agreement_rows(agreements: list[Agreement]) -> list[dict[str, object]]:
    """Return the lines of a table, in per cent and percentage points."""
    return [
        {
            "data_set": each.data_set,
            "task": each.task,
            "rows": each.rows,
            "accuracy": f"{100 * each.accuracy:.2f}",
            "against": f"{100 * each.other:.2f}",
            "points_gained": with_interval(
                each.gained.value, each.gained.low, each.gained.high, 2, percent=True, sign=True
            ),
            "same_label": f"{100 * each.same:.1f}",
        }
        for each in agreements
    ]
