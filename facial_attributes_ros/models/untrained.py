"""Classes without training samples: a model never predicts them."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import LABELS


def without_untrained(
    logits: dict[str, NDArray[np.float32]], untrained: Mapping[str, Sequence[str]]
) -> dict[str, NDArray[np.float32]]:
    """Return logits with minus infinity, a probability of 0, for the classes without training samples.

    Args:
        logits: float32 (N, classes) per task.
        untrained: the labels of these classes per task, see `models.spec.ModelSpec.untrained_labels`.
    """
    return logits | {
        task: np.where(untrained_classes(task, untrained), np.float32(-np.inf), logits[task])
        for task in untrained.keys() & logits.keys()
    }


def untrained_classes(task: str, untrained: Mapping[str, Sequence[str]]) -> NDArray[np.bool_]:
    """Return bool (classes,): True for the classes of a task without training samples; arguments as above."""
    return np.isin(LABELS[task], untrained.get(task, ()))
