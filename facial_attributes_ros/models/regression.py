"""Age told in years by one number, instead of as a distribution over age groups.

The number is the age in units of the training ages' standard deviation, counted from their mean. How far such ages are
off on validation rows is the deviation that goes with each of them. From both follows a distribution over age groups, a
normal one cut at their borders, so that everything that works on groups (fusion over time, thresholds, messages) works
on these models too.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facial_attributes_ros.attributes import AGE, AGE_GROUP_STARTS

if TYPE_CHECKING:
    from torch import Tensor

Numbers = TypeVar("Numbers", "Tensor", NDArray[np.float64])

_LEAST: Final = 1e-12
"""Probability that a group has at least, so that its logarithm is finite."""


@dataclass(frozen=True, slots=True)
class AgeRegression:
    """How the one output of an age head is read.

    Attributes:
        mean, std: of the ages trained on, in years.
        deviation: root of the mean squared error on validation rows, in years.
    """

    mean: float
    std: float
    deviation: float

    def years(self, outputs: Numbers) -> Numbers:
        """Return the ages in years that outputs (...) stand for."""
        return self.mean + self.std * outputs

    def outputs(self, years: Numbers) -> Numbers:
        """Return what the head has to give for ages in years (...)."""
        return (years - self.mean) / self.std

    def group_logits(self, outputs: ArrayLike) -> NDArray[np.float32]:
        """Return float32 (N, 9): logarithms of the age groups' probabilities for outputs (N,).

        Ages count whole years, so a group begins half a year before its first one; what lies below 0 years belongs to
        the first group, and the last one has no end. An age that is not finite gives NaN for every group.
        """
        from scipy.special import ndtr

        years = self.years(np.asarray(outputs, np.float64))
        years = np.where(np.isfinite(years), years, np.nan)
        below = ndtr((np.array(AGE_GROUP_STARTS[1:]) - 0.5 - years[:, None]) / self.deviation)
        shares = np.diff(below, axis=1, prepend=0, append=1)
        return np.asarray(np.log(np.maximum(shares, _LEAST)), np.float32)


def class_logits(outputs: dict[str, NDArray[np.float32]], ages: AgeRegression | None) -> dict[str, NDArray[np.float32]]:
    """Return logits float32 (N, classes) per task from what a network gives.

    Args:
        outputs: float32 (N, classes) per task; (N, 1) for an age in years.
        ages: how that is read; None if the network tells age groups itself.
    """
    if ages is None or AGE not in outputs:
        return outputs
    return outputs | {AGE: ages.group_logits(outputs[AGE][:, 0])}
