"""What a model's emotion logits do on people whose face at rest differs from the average: facts measured once a model.

They describe the logits of one image, centred so that they sum to 0, as a mixed-effects model:

    logits = mean of the true emotion + offset of the person + noise

with the same variance in every direction. `fusion.resting_face` filters the offset of each tracked person with them,
and `training/measure/resting_face.py` measures them on labelled images of known people.
"""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import EMOTION, LABELS
from facial_attributes_ros.models.checks import check_known, is_count, is_number

_CLASSES: Final = len(LABELS[EMOTION])
_LARGEST: Final = 1e6
_ROUNDED: Final = 0.05
"""How far from 0 a row of centred numbers may sum for having been rounded."""


@dataclass(frozen=True, slots=True)
class RestingFaceFacts:
    """The mixed-effects model of a model's centred emotion logits, before they are divided by the temperature.

    Attributes:
        means: (emotions, emotions): the mean centred logits of images of each true emotion, which are the rows.
        variance: of one direction of the centred logits around the mean of the true emotion, people and noise together.
        intraclass_correlation: fraction of that variance that two images of one person at rest have in common, 0 to 1.
        coupling: how much of a person's offset at rest is found in the person's other expressions, 0 to 1.
        people: number of people with several images that the correlation was measured on.
        samples: number of images that the means were measured on.
    """

    means: tuple[tuple[float, ...], ...]
    variance: float
    intraclass_correlation: float
    coupling: float
    people: int = 0
    samples: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a value is of the wrong kind or out of range; the message says which.
        """
        if not (len(self.means) == _CLASSES and all(_is_row(row) for row in self.means)):
            raise ValueError(f"resting_face.means must be {_CLASSES} rows of {_CLASSES} numbers that sum to 0")
        for name, low, high in (("variance", 1e-6, 1e6), ("intraclass_correlation", 0.0, 0.95), ("coupling", 0.0, 1.0)):
            value = getattr(self, name)
            if not is_number(value, low, high):
                raise ValueError(f"resting_face.{name} must be a number from {low:g} to {high:g}, not {value!r}")
        for name in ("people", "samples"):
            value = getattr(self, name)
            if not is_count(value):
                raise ValueError(f"resting_face.{name} must be a whole number from 0 on, not {value!r}")

    @classmethod
    def from_json(cls, value: object) -> "RestingFaceFacts":
        """Read the facts from parsed JSON.

        Raises:
            ValueError: they are not what `__post_init__` allows.
        """
        if not isinstance(value, Mapping):
            raise ValueError("resting_face must be an object, or null")
        check_known(value, cls, "field of resting_face")
        values: dict[str, Any] = dict(value)
        rows = values.get("means")
        means = [tuple(row) for row in rows if _is_list(row)] if _is_list(rows) else []
        if not _is_list(rows) or len(means) != len(rows):
            raise ValueError("resting_face.means must be a list of lists of numbers")
        values["means"] = tuple(means)
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError("resting_face needs means, variance, intraclass_correlation and coupling") from error

    def mean_array(self) -> NDArray[np.float64]:
        """Return `means` as float64 (emotions, emotions)."""
        return np.array(self.means, np.float64)


def check_resting_face(facts: object, tasks: Container[str], untrained_labels: Container[str]) -> None:
    """Check that a model may have facts about the resting face.

    Args:
        facts: of the model, or None.
        tasks: of the model.
        untrained_labels: tasks with labels that it was not trained on.

    Raises:
        ValueError: they are something else, or the model does not know every emotion.
    """
    if facts is None:
        return
    if not isinstance(facts, RestingFaceFacts):
        raise ValueError(f"resting_face must be RestingFaceFacts or None, not {facts!r}")
    if EMOTION not in tasks or EMOTION in untrained_labels:
        raise ValueError("resting_face needs a model that was trained on every emotion")


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _is_row(row: Sequence[object]) -> bool:
    numbers = [float(value) for value in row if is_number(value, -_LARGEST, _LARGEST)]
    return len(numbers) == len(row) == _CLASSES and abs(math.fsum(numbers)) < _ROUNDED
