"""What is believed of one face, from all estimates that the model has made of it.

Recursive Bayesian filtering over the classes of a task. Age and gender stay as they are, and old evidence only fades;
an emotion is a hidden state that changes within seconds. The view of the moment counts in full; when it becomes the
past it counts only for what is new in it, as errors on frames close in time resemble each other. A small, blurred or
averted face tells less in either role.

Two more things keep the result honest and steady. Errors of the model that stay with a person do not average out: what
is published is flattened to the number of independent estimates that there can have been (`evidence.persistent_share`).
And a label gives way to another only when that is clearly more probable.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import (
    EMOTION,
    LABELS,
    Detection,
    Distribution,
    FaceAttributes,
    names_label,
)
from facial_attributes_ros.fusion.effective_sample_size import (
    PLACES,
    Array,
    entropy_share,
    independent_share,
    log_softmax,
    persistent_share,
    place_and_variance,
)
from facial_attributes_ros.fusion.publish import face_attributes
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.options import FusionOptions

_WILD = 0.01
"""Share of estimates that mean nothing: no single one rules a class out further than that."""

_HOLD = 0.5
"""A label that reached the threshold stays named down to this part of it, so that it does not come and go."""

_ABOVE_CHANCE = 1.05
"""A label is named only if it is at least so many times as probable as by chance, whatever the threshold."""

_CHANGING = (EMOTION,)
"""Tasks whose truth changes while one watches."""

_NO_LABEL = -1

_UNNAMED = -1.0
"""In place of the threshold that a label has reached: none."""

State = np.void | NDArray[np.void]


def _fields(task: str) -> np.dtype[np.void]:
    classes, dimensions = PLACES[task].shape
    # Shapes are tuples: numpy 1 takes a length of 1 for no shape at all.
    return np.dtype(
        [
            ("past", float, (classes,)),  # log probabilities of the classes from all views but the last
            ("witnesses", float),  # how many independent views those are worth
            ("view", float, (classes,)),  # log likelihoods of the last view, tempered by its weight
            ("weight", float),
            ("updated", float),
            ("believed", float, (classes,)),  # what is published
            ("uncertainty", float),
            ("label", int),
            ("named", float),  # the threshold that the label has reached and is held at
            ("seen", float),  # the running sums of `persistent_share`
            ("places", float, (dimensions,)),
            ("squares", float),
            ("variances", float),
        ]
    )


_FIELDS = {task: _fields(task) for task in LABELS}


class Belief:
    """What is believed of one face in one task.

    Attributes:
        task: a key of `LABELS`.
    """

    def __init__(self, task: str) -> None:
        """Begin knowing nothing."""
        self.task = task
        self.state: State = np.zeros((), _FIELDS[task])
        self.state["updated"] = -math.inf
        self.state["believed"] = 1 / len(LABELS[task])
        self.state["uncertainty"] = 1.0
        self.state["label"] = _NO_LABEL
        self.state["named"] = _UNNAMED

    @property
    def probabilities(self) -> Array:
        """float64 (classes,): sums to 1; the label is the most probable class."""
        return np.asarray(self.state["believed"])

    @property
    def updated(self) -> float | None:
        """Time of the last estimate in seconds, None before the first."""
        updated = float(self.state["updated"])
        return updated if math.isfinite(updated) else None

    @property
    def uncertainty(self) -> float:
        """Entropy of the belief as a share of the largest possible: 0 if sure, 1 if nothing is known."""
        return float(self.state["uncertainty"])

    def distribution(self, threshold: float) -> Distribution:
        """Return the belief; its label is unknown below the threshold.

        A label that has reached this threshold, or a higher one, is named somewhat below it, too. Asking changes
        nothing, so that a threshold that is raised counts at once for everybody.
        """
        if self.updated is None:
            return Distribution.unknown(self.task)
        least = _least(self.task, np.asarray(self.state["named"]), threshold)
        return Distribution(self.task, self.probabilities.astype(np.float32), float(least))


def update(
    beliefs: Sequence[Belief],
    probabilities: NDArray[np.floating],
    stamp: float,
    weights: Array,
    how: FusionOptions,
    threshold: float = 0.0,
) -> None:
    """Take one estimate of each of several faces into account; all faces at once, as that is many times faster.

    Args:
        beliefs: of different faces in one task, N of them.
        probabilities: (N, classes) calibrated distributions from one view of each; one that is not finite, as half
            precision may bring about, is passed over.
        stamp: time of the views in seconds, not before the last ones.
        weights: (N,) quality of the views, 0 to 1.
        how: the settings.
        threshold: from which probability on a label is named, which is then held somewhat below it.
    """
    finite = np.isfinite(probabilities).all(axis=1) & np.isfinite(weights)
    if not finite.all():
        beliefs = [belief for belief, usable in zip(beliefs, finite, strict=True) if usable]
        probabilities, weights = probabilities[finite], weights[finite]
    if not beliefs:
        return
    task = beliefs[0].task
    state = np.stack([belief.state for belief in beliefs])
    elapsed = stamp - state["updated"]
    share = independent_share(elapsed, how.correlations[task])
    kept = np.exp(-elapsed / how.memory[task])
    _remember(state, task, share, kept)
    estimates = (1 - _WILD) * np.asarray(probabilities, np.float64) + _WILD / probabilities.shape[1]
    state["view"] = weights[:, None] * np.log(estimates)
    state["weight"] = weights
    state["updated"] = stamp
    _count(state, task, estimates, weights * share, kept)
    _conclude(state, task, math.log(how.switch_odds), threshold)
    for belief, row in zip(beliefs, state, strict=True):
        belief.state = row


def _remember(state: NDArray[np.void], task: str, share: Array, kept: Array) -> None:
    """Make the last view part of the past, and let the past fade."""
    past = state["past"] + share[:, None] * state["view"]
    witnesses = state["witnesses"] + share * state["weight"]
    if task in _CHANGING:
        state["past"], left = _doubt(log_softmax(past), kept)
    else:
        state["past"], left = kept[:, None] * past, kept
    state["witnesses"] = left * witnesses


def _doubt(past: Array, kept: Array) -> tuple[Array, Array]:
    """Return log probabilities after the truth may have changed to any other, and what share of the evidence is left.

    So nothing is ever surer than that changes are rare, and one that comes is followed soon.
    """
    faded = np.log(kept[:, None] * np.exp(past) + (1 - kept[:, None]) / past.shape[1])
    before, after = np.ptp(past, axis=1), np.ptp(faded, axis=1)
    return faded, np.divide(after, before, out=np.ones_like(after), where=before > 0)


def _count(state: NDArray[np.void], task: str, estimates: Array, weights: Array, kept: Array) -> None:
    """Take note of how the estimates vary and how sure they are of themselves."""
    places, variances = place_and_variance(task, estimates)
    squares = (places**2).sum(axis=1)
    state["seen"] = kept * state["seen"] + weights
    state["places"] = kept[:, None] * state["places"] + weights[:, None] * places
    state["squares"] = kept * state["squares"] + weights * squares
    state["variances"] = kept * state["variances"] + weights * variances


def _conclude(state: NDArray[np.void], task: str, margin: float, threshold: float) -> None:
    """Choose what is published and the label, and note whether it is named."""
    rows = np.arange(len(state))
    shared = persistent_share(task, state["seen"], state["places"], state["squares"], state["variances"])
    witnesses = state["witnesses"] + state["weight"]
    total = (state["past"] + state["view"]) / (1 + np.maximum(witnesses - 1, 0.0) * shared)[:, None]
    best, label = total.argmax(axis=1), state["label"]
    switches = (label == _NO_LABEL) | (total[rows, best] - total[rows, label] > margin)
    state["label"] = label = np.where(switches, best, label)
    state["named"] = np.where(switches, _UNNAMED, state["named"])
    believed = np.exp(log_softmax(total))
    state["uncertainty"] = entropy_share(believed)
    state["believed"] = believed = _level(believed, label)
    least = _least(task, state["named"], threshold)
    names = [names_label(*pair) for pair in zip(believed[rows, label], least, strict=True)]
    state["named"] = np.where(names, threshold, _UNNAMED)


def _least(task: str, named: Array, threshold: float) -> Array:
    """Return the least probabilities with which labels are named, given the thresholds that they have reached."""
    held = np.where((named >= threshold) & (threshold < 1), _HOLD, 1.0)
    return np.maximum(held * threshold, _ABOVE_CHANCE / len(LABELS[task]))


def _level(believed: Array, label: NDArray[np.int64]) -> Array:
    """Return the probabilities with the label's and all higher ones levelled: one that does not suffice to switch.

    So the label is always the most probable class of what is published, by a hair if need be.
    """
    rows = np.arange(len(believed))
    higher = believed > believed[rows, label][:, None]
    level = higher.copy()
    level[rows, label] = True
    mean = (believed * level).sum(axis=1, keepdims=True) / level.sum(axis=1, keepdims=True)
    levelled = np.where(level & higher.any(axis=1, keepdims=True), mean, believed)
    levelled[rows, label] += 1e-6
    return np.asarray(levelled / levelled.sum(axis=1, keepdims=True))


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

    def uncertainty(self, tasks: Collection[str]) -> float:
        """Return the mean uncertainty of these tasks' beliefs, 1 before the first estimate of any."""
        known = [self.tasks[task].uncertainty for task in tasks if task in self.tasks]
        return float(np.mean(known)) if known else 1.0

    def attributes(
        self,
        detection: Detection,
        tasks: frozenset[str],
        spec: ModelSpec,
        thresholds: Mapping[str, float],
    ) -> FaceAttributes:
        """Return what is believed, in the result type.

        Args:
            detection: where the face is.
            tasks: those that are asked for; the others are unknown.
            spec: of the model.
            thresholds: of every task, below which its label is unknown.
        """
        found = {task: self.tasks[task].distribution(thresholds[task]) for task in tasks if task in self.tasks}
        return face_attributes(self.id, detection, found, spec, self.observations, self.updated)


def update_faces(
    faces: Sequence[FaceBelief],
    estimates: dict[str, NDArray[np.float32]],
    stamp: float,
    weights: Sequence[float],
    how: FusionOptions,
    thresholds: Mapping[str, float],
) -> None:
    """Take one view of each of several faces into account; one that is not finite in any task is no observation.

    Args:
        faces: N different faces.
        estimates: per task, calibrated float32 (N, classes).
        stamp: time of the views in seconds.
        weights: quality of each view, 0 to 1.
        how: the settings.
        thresholds: per task, from which probability on a label is named.
    """
    quality = np.asarray(weights, np.float64)
    finite = [np.isfinite(probabilities).all(axis=1) for probabilities in estimates.values()]
    usable = np.logical_and.reduce([np.isfinite(quality), *finite])
    seen = [face for face, counts in zip(faces, usable, strict=True) if counts]
    for task, probabilities in estimates.items():
        beliefs = [face.tasks.setdefault(task, Belief(task)) for face in seen]
        update(beliefs, probabilities[usable], stamp, quality[usable], how, thresholds[task])
    for face in seen:
        face.observations += 1
        face.updated = stamp
