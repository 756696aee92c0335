"""Temperature scaling (C. Guo and others, 2017): one number a task that makes confidences honest."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from facial_attributes_ros.attributes import MISSING

LOWEST, HIGHEST = 0.05, 20.0
"""Between which temperatures the best is looked for."""
MIN_ROWS = 20
"""With fewer labelled rows a temperature is not fitted but left at 1."""


def fit_temperature(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    """Return the temperature at which the labels are likeliest; 1 if there are too few of them.

    Args:
        logits: float (rows, classes), not divided by any temperature.
        truth: int64 (rows,): class indices; rows with `MISSING` do not count.
    """
    labelled = truth != MISSING
    values, classes = np.asarray(logits[labelled], np.float64), truth[labelled]
    if len(classes) < MIN_ROWS:
        return 1.0
    rows = np.arange(len(classes))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(values / np.exp(log_temperature), axis=1)[rows, classes].mean())

    best = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    return float(np.exp(best.x))


def fit_temperatures(
    logits: Mapping[str, NDArray[np.floating]], labels: Mapping[str, NDArray[np.int64]]
) -> dict[str, float]:
    """Return the best temperature of every task that there are logits of, each from the rows that have its label.

    Args:
        logits: float (rows, classes) per task.
        labels: int64 (rows,) per task, `MISSING` where a row has none.
    """
    return {task: fit_temperature(values, labels[task]) for task, values in logits.items()}
