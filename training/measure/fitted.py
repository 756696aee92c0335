"""What a calibration is: temperatures, thresholds and the spread of ages, and what is named with it."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np
from facial_attributes_training.measure.metrics import Estimate
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, GENDER
from facial_attributes_ros.models.spec import ModelSpec

FEW_ROWS: Final = 100
"""With fewer labelled rows a fit comes with a warning."""
LEAST_CERTAINTY: Final = 0.5
"""Smallest certainty of an age with which its group is named, however precise the more doubtful ones are."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What is fitted; a task that can't be is in neither table, and keeps whatever it had.

    Attributes:
        temperatures: per task, what logits are divided by.
        thresholds: per task, below which confidence the label is unknown.
        rows: per task, how many labelled rows there were to fit on.
        refused: per task, why it was not fitted.
        gender_thresholds, age_spread, age_certainty, age_centroids: as in `ModelSpec`; the first two are empty where
            nothing was fitted.
    """

    temperatures: dict[str, float]
    thresholds: dict[str, float]
    rows: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    gender_thresholds: dict[str, float] = field(default_factory=dict)
    age_spread: tuple[float, ...] = ()
    age_certainty: float = LEAST_CERTAINTY
    age_centroids: tuple[float, ...] = ()

    @classmethod
    def of(cls, spec: ModelSpec) -> Self:
        """Return the calibration that a model has."""
        return cls(
            spec.temperatures,
            spec.thresholds,
            gender_thresholds=spec.gender_thresholds,
            age_spread=spec.age_spread,
            age_certainty=spec.age_certainty,
            age_centroids=spec.age_centroids,
        )

    def over(self, spec: ModelSpec) -> Self:
        """Return this fit, with what a model has wherever nothing was fitted."""
        age = AGE in self.temperatures
        return replace(
            self,
            temperatures=spec.temperatures | self.temperatures,
            thresholds=spec.thresholds | self.thresholds,
            gender_thresholds=spec.gender_thresholds | self.gender_thresholds,
            age_spread=self.age_spread if age and self.age_spread else spec.age_spread,
            age_certainty=self.age_certainty if age else spec.age_certainty,
            age_centroids=self.age_centroids if age and self.age_centroids else spec.age_centroids,
        )

    def only(self, tasks: Collection[str]) -> Self:
        """Return what was fitted for some tasks."""
        return replace(
            self,
            temperatures={task: value for task, value in self.temperatures.items() if task in tasks},
            thresholds={task: value for task, value in self.thresholds.items() if task in tasks},
            gender_thresholds=self.gender_thresholds if GENDER in tasks else {},
        )

    def fields(self) -> dict[str, Any]:
        """Return the fields of `ModelSpec` that hold a calibration."""
        names = ("temperatures", "thresholds", "gender_thresholds", "age_spread", "age_certainty", "age_centroids")
        return {name: getattr(self, name) for name in names}

    def warnings(self) -> list[str]:
        """Return a sentence on every task that was not fitted, or on few rows."""
        sentences = [f"{task} was not calibrated: {reason}." for task, reason in self.refused.items()]
        return sentences + [
            f"{task} was calibrated on {self.rows[task]} samples only; with fewer than {FEW_ROWS} it is uncertain."
            for task in self.temperatures
            if self.rows.get(task, FEW_ROWS) < FEW_ROWS
        ]


@dataclass(frozen=True, slots=True)
class Named:
    """The labels that are named at a threshold.

    Attributes:
        rows: with a label, named or not.
        coverage: share of them that is named.
        precision: share of the named ones that is right; None if none is named.
    """

    rows: int
    coverage: Estimate
    precision: Estimate | None


def named(confidence: NDArray[np.floating], right: NDArray[np.bool_], threshold: float | NDArray[np.floating]) -> Named:
    """Return which share of some rows is named at a threshold, and how often rightly.

    Args:
        confidence: float (rows,): highest probability, calibrated.
        right: bool (rows,): whether the most probable label is right.
        threshold: the lowest confidence that is named, of all or (rows,); 1 names nothing.
    """
    chosen = (confidence >= threshold) & (np.asarray(threshold) < 1)
    count, hits = int(chosen.sum()), int((chosen & right).sum())
    precision = Estimate.of_proportion(hits, count) if count else None
    return Named(len(right), Estimate.of_proportion(count, len(right)), precision)
