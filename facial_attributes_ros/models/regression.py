"""Age in years predicted as one number, in place of a distribution over age groups.

The number is the standardised age: minus the mean of the training ages, over their standard deviation. The root mean
squared error on validation samples is the standard deviation of every prediction. Both give a distribution over age
groups, a normal distribution cut at their borders, so that everything that works on groups (fusion over time,
thresholds, messages) works on these models too.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facial_attributes_ros.attributes import AGE, AGE_GROUP_STARTS
from facial_attributes_ros.models.checks import check_known, check_numbers

if TYPE_CHECKING:
    from torch import Tensor

Numbers = TypeVar("Numbers", "Tensor", NDArray[np.float64])

_LEAST: Final = 1e-12
"""Smallest probability of a group, so that its logarithm is finite."""


@dataclass(frozen=True, slots=True)
class AgeRegression:
    """The meaning of the single output of an age head.

    Attributes:
        mean, std: of the training ages, in years.
        deviation: root mean squared error on validation samples, in years.
    """

    mean: float
    std: float
    deviation: float

    @classmethod
    def from_json(cls, value: object) -> "AgeRegression":
        """Return the reading of ages in a model's description.

        Raises:
            ValueError: it is no object, or has an unknown field.
        """
        if not isinstance(value, dict):
            raise ValueError("age_regression must be an object with mean, std and deviation, or null")
        check_known(value, cls, "field of age_regression")
        return cls(**value)

    def years(self, outputs: Numbers) -> Numbers:
        """Return the ages in years for outputs (...)."""
        return self.mean + self.std * outputs

    def outputs(self, years: Numbers) -> Numbers:
        """Return the outputs for ages in years (...)."""
        return (years - self.mean) / self.std

    def group_logits(self, outputs: ArrayLike) -> NDArray[np.float32]:
        """Return float32 (N, 9): logarithms of the age groups' probabilities for outputs (N,).

        Ages are whole years, so a group begins half a year before its first year. Ages below 0 belong to the first
        group, and the last group has no end. An age that is not finite gives NaN for every group.
        """
        from scipy.special import ndtr

        years = self.years(np.asarray(outputs, np.float64))
        years = np.where(np.isfinite(years), years, np.nan)
        below = ndtr((np.array(AGE_GROUP_STARTS[1:]) - 0.5 - years[:, None]) / self.deviation)
        probabilities = np.diff(below, axis=1, prepend=0, append=1)
        return np.asarray(np.log(np.maximum(probabilities, _LEAST)), np.float32)


def check_age_regression(ages: AgeRegression | None, tasks: Container[str]) -> None:
    """Check that a model may read its ages so.

    Args:
        ages: of the model, or None.
        tasks: of the model.

    Raises:
        ValueError: it has no ages, or a number is out of range.
    """
    if ages is None:
        return
    if AGE not in tasks:
        raise ValueError("age_regression is given, but age is not among the tasks")
    check_numbers("age_regression.mean", (ages.mean,), 1, 0.0, 120.0)
    for name in ("std", "deviation"):
        check_numbers(f"age_regression.{name}", (getattr(ages, name),), 1, 1e-3, 120.0)


def class_logits(outputs: dict[str, NDArray[np.float32]], ages: AgeRegression | None) -> dict[str, NDArray[np.float32]]:
    """Return logits float32 (N, classes) per task from the outputs of a network.

    Args:
        outputs: float32 (N, classes) per task; (N, 1) for an age in years.
        ages: the meaning of an age in years; None if the network predicts age groups.
    """
    if ages is None or AGE not in outputs:
        return outputs
    return outputs | {AGE: ages.group_logits(outputs[AGE][:, 0])}
