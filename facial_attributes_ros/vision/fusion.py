"""What is believed of one face, from all estimates that the model has made of it.

Recursive Bayesian filtering over the classes of a task. Between estimates the truth may have changed: the belief moves
towards the uniform distribution, within minutes for age and gender and within seconds for emotion. Each estimate then
multiplies in, tempered (raised to a power below 1) for two reasons: errors on frames close in time resemble each other,
so that ten estimates in half a second are not ten witnesses; and a small, blurred or averted face tells less.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, Detection, Distribution, FaceAttributes
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.vision.age import expected_age
from facial_attributes_ros.vision.options import FusionOptions

_LEAST_PROBABILITY = 0.005
"""No single estimate rules a class out further than this."""

_HOLD = 0.7
"""A label that was named stays named down to this share of the threshold, so that it does not come and go."""


def independent_share(seconds: float, correlation: float) -> float:
    """Return what a further estimate is worth, 0 to 1, of an independent one.

    For errors with the correlation r = exp(-seconds / correlation) a further estimate adds (1 - r) / (1 + r) if they
    drift (first-order autoregressive), and 1 - r if they stay and then jump; this is the geometric mean of the two.

    Args:
        seconds: since the last estimate; infinite for the first.
        correlation: seconds over which errors resemble each other.
    """
    correlated = math.exp(-max(seconds, 0.0) / correlation)
    return (1 - correlated) / math.sqrt(1 + correlated)


class Belief:
    """What is believed of one face in one task.

    Attributes:
        task: a key of `LABELS`.
        probabilities: float64 (classes,), sums to 1.
        updated: time of the last estimate in seconds, None before the first.
    """

    def __init__(self, task: str) -> None:
        """Begin knowing nothing."""
        self.task = task
        self.probabilities: NDArray[np.float64] = np.full(len(LABELS[task]), 1 / len(LABELS[task]))
        self.updated: float | None = None
        self._held: int | None = None

    @property
    def uncertainty(self) -> float:
        """Entropy of the belief as a share of the largest possible: 0 if sure, 1 if nothing is known."""
        positive = self.probabilities[self.probabilities > 0]
        return float(-(positive * np.log(positive)).sum() / math.log(len(self.probabilities)))

    def update(self, probabilities: ArrayLike, stamp: float, weight: float, memory: float, correlation: float) -> None:
        """Take one estimate into account.

        Args:
            probabilities: (classes,) calibrated distribution from one view.
            stamp: time of the view in seconds, not before the last one.
            weight: quality of the view, 0 to 1.
            memory: mean seconds for which the truth stays as it is.
            correlation: seconds over which the model's errors resemble each other.
        """
        estimate = np.maximum(np.asarray(probabilities, np.float64), _LEAST_PROBABILITY)
        elapsed = math.inf if self.updated is None else stamp - self.updated
        if self.updated is not None:
            changed = 1 - math.exp(-elapsed / memory)
            self.probabilities = (1 - changed) * self.probabilities + changed / len(estimate)
        belief = self.probabilities * estimate ** (weight * independent_share(elapsed, correlation))
        self.probabilities = belief / belief.sum()
        self.updated = stamp

    def distribution(self, threshold: float) -> Distribution:
        """Return the belief; its label is unknown below the threshold, and a label named before somewhat longer."""
        if self.updated is None:
            return Distribution.unknown(self.task)
        best = int(np.argmax(self.probabilities))
        effective = threshold * _HOLD if best == self._held else threshold
        self._held = best if self.probabilities[best] >= effective else None
        return Distribution(self.task, self.probabilities.astype(np.float32), effective)


class FaceBelief:
    """What is believed of one face in all tasks.

    Attributes:
        id: of its track.
        tasks: the belief of every task that was ever estimated.
        observations: number of model estimates so far.
        updated: time in seconds of the last, or of the track's birth.
    """

    def __init__(self, track_id: str, born: float) -> None:
        """Begin knowing nothing of a track."""
        self.id = track_id
        self.tasks: dict[str, Belief] = {}
        self.observations = 0
        self.updated = born
        self._born = born

    def last_estimate(self, task: str) -> float:
        """Return the time in seconds of a task's last estimate, or of the track's birth before the first."""
        belief = self.tasks.get(task)
        return self._born if belief is None or belief.updated is None else belief.updated

    def update(
        self, estimates: dict[str, NDArray[np.float32]], stamp: float, weight: float, how: FusionOptions
    ) -> None:
        """Take one view into account: calibrated float32 (classes,) per task, at a time in seconds, of a quality."""
        for task, probabilities in estimates.items():
            belief = self.tasks.setdefault(task, Belief(task))
            belief.update(probabilities, stamp, weight, how.memory[task], how.correlations[task])
        self.observations += 1
        self.updated = stamp

    def attributes(self, detection: Detection, tasks: frozenset[str], spec: ModelSpec) -> FaceAttributes:
        """Return what is believed, in the result type; tasks that are not asked for are unknown."""
        found = {task: self.tasks[task].distribution(spec.thresholds[task]) for task in tasks if task in self.tasks}
        return face_attributes(self.id, detection, found, spec, self.observations, self.updated)


def face_attributes(
    face_id: str,
    detection: Detection,
    distributions: dict[str, Distribution],
    spec: ModelSpec,
    observations: int,
    updated: float,
) -> FaceAttributes:
    """Put the distributions of one face together; a task that is not among them is unknown."""
    age = math.nan, math.nan
    if AGE in distributions:
        age = expected_age(distributions[AGE].probabilities, spec.age_centroids)
    return FaceAttributes(
        id=face_id,
        detection=detection,
        age=age[0],
        age_stddev=age[1],
        age_group=distributions.get(AGE) or Distribution.unknown(AGE),
        gender=distributions.get(GENDER) or Distribution.unknown(GENDER),
        emotion=distributions.get(EMOTION) or Distribution.unknown(EMOTION),
        observations=observations,
        updated=updated,
    )
