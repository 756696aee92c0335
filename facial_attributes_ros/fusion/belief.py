"""The belief about one task for all tracked faces: a Bayesian filter over the classes, with a row a track.

Age and gender do not change while a face is tracked; old evidence loses its weight. An emotion is the hidden state of a
Markov model and changes within seconds. The newest observation counts in full. When the next one comes it is folded
into the prior with the effective sample size that it adds, as errors in frames close in time resemble each other. The
quality of a view, 0 to 1, is the power to which its likelihood is raised.

Two more steps keep what is published honest and steady. Errors that stay with a person do not average out, so the
evidence is divided by a design effect (`effective_sample_size.intraclass_correlation`); that is not needed for emotions
if the offset of the face at rest is filtered (`resting_face`). And hysteresis: a label changes only to one that is
clearly more probable.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from facial_attributes_ros.attributes import EMOTION, LABELS, Distribution, names_label
from facial_attributes_ros.fusion.effective_sample_size import (
    PLACES,
    Array,
    effective_samples_added,
    intraclass_correlation,
    log_softmax,
    normalised_entropy,
    place_and_variance,
)
from facial_attributes_ros.fusion.rows import Rows
from facial_attributes_ros.options import FusionOptions

_OUTLIERS: Final = 0.01
"""Outlier rate: fraction of predictions that say nothing. No single one rules a class out further than that."""

_HOLD: Final = 0.5
"""A label that has reached the threshold stays known down to this fraction of it, so that it does not come and go."""

_ABOVE_CHANCE: Final = 1.05
"""A label is known only if it is at least this many times as probable as before any observation."""

_CHANGING: Final = (EMOTION,)
"""Tasks whose truth changes while a face is tracked."""

_NO_LABEL: Final = -1

_NOT_REACHED: Final = -1.0
"""In place of the threshold that a label has reached: none."""


@dataclass(frozen=True, slots=True, eq=False)
class Dynamics:
    """How a task's truth and the model's errors behave.

    Attributes:
        stationary: float64 (classes,): probabilities of the classes before any observation, and to which the filter
            forgets.
        changes: whether the truth is a Markov chain, or constant.
        memory: mean duration of a state in seconds, or the time constant with which evidence loses its weight.
        correlation: correlation time of the model's errors in seconds.
        switch_odds: of the hysteresis.
    """

    stationary: Array
    changes: bool
    memory: float
    correlation: float
    switch_odds: float

    @classmethod
    def of(cls, task: str, options: FusionOptions) -> Self:
        """Return the dynamics of a task under the user's settings."""
        memory, correlation = options.memory[task], options.correlations[task]
        return cls(stationary(task, options), task in _CHANGING, memory, correlation, options.switch_odds)


def stationary(task: str, options: FusionOptions) -> Array:
    """Return (classes,) probabilities before any observation: those of the place of use for emotions, else uniform."""
    labels = LABELS[task]
    if task != EMOTION:
        return np.full(len(labels), 1 / len(labels))
    others = (1 - options.emotion_prior) / (len(labels) - 1)
    return np.array([options.emotion_prior if label == "neutral" else others for label in labels])


def view_log_likelihood(probabilities: NDArray[np.floating]) -> Array:
    """Return (N, classes) log likelihoods of the classes from calibrated probabilities, up to a constant.

    Every class was equally frequent in what the model was calibrated for, so that its probabilities are likelihoods; a
    few of them are taken to be outliers.
    """
    classes = probabilities.shape[1]
    return np.asarray(np.log((1 - _OUTLIERS) * np.asarray(probabilities, np.float64) + _OUTLIERS / classes))


@dataclass(slots=True, eq=False)
class TaskBelief(Rows):
    """What is known of all tracked faces in one task. Asking for a distribution changes nothing.

    Attributes:
        task: a key of `LABELS`.
        updated: (N,) time of the last observation in seconds, minus infinity before the first.
        log_prior: (N, classes) log probabilities given all observations but the last, relative to the stationary
            distribution and up to a constant.
        effective_samples: (N,) how many independent observations those are worth.
        log_likelihood: (N, classes) log likelihoods of the last observation, raised to the power of its weight.
        weight: (N,) of the last observation: its quality.
        published: (N, classes) probabilities; the label is the most probable class.
        uncertainty: (N,) entropy of the posterior divided by the largest possible: 0 if certain, 1 if unknown.
        label: (N,) class indices, -1 before the first observation.
        chance: (N,) probability of the label before any observation.
        reached: (N,) the threshold that the label has reached and is held at, -1 for none.
        weights: (N,) running sum for `intraclass_correlation`: weights of the predictions, in effective samples.
        places: (N, dimensions) likewise: weighted mean places of the predictions.
        squares: (N,) likewise: weighted squared lengths of the mean places.
        variances: (N,) likewise: weighted variances of the predictions.
    """

    task: str
    updated: Array
    log_prior: Array
    effective_samples: Array
    log_likelihood: Array
    weight: Array
    published: Array
    uncertainty: Array
    label: NDArray[np.int64]
    chance: Array
    reached: Array
    weights: Array
    places: Array
    squares: Array
    variances: Array

    @classmethod
    def blank(cls, task: str, count: int) -> Self:
        """Return a belief about a number of faces of which nothing is known."""
        classes, dimensions = PLACES[task].shape
        return cls(
            task=task,
            updated=np.full(count, -math.inf),
            log_prior=np.zeros((count, classes)),
            effective_samples=np.zeros(count),
            log_likelihood=np.zeros((count, classes)),
            weight=np.zeros(count),
            published=np.full((count, classes), 1 / classes),
            uncertainty=np.ones(count),
            label=np.full(count, _NO_LABEL),
            chance=np.full(count, 1 / classes),
            reached=np.full(count, _NOT_REACHED),
            weights=np.zeros(count),
            places=np.zeros((count, dimensions)),
            squares=np.zeros(count),
            variances=np.zeros(count),
        )

    def distribution(self, row: int, threshold: float) -> Distribution:
        """Return the belief about one face; its label is unknown below the threshold.

        A label that has reached this threshold, or a higher one, stays known somewhat below it, too. A threshold that
        is raised applies at once to everybody.
        """
        if not math.isfinite(self.updated[row]):
            return Distribution.unknown(self.task)
        least = _least(self.reached[row], threshold, self.chance[row])
        return Distribution(self.task, self.published[row].astype(np.float32), float(least))

    def observe(
        self,
        probabilities: NDArray[np.floating],
        stamp: float,
        weights: Array,
        dynamics: Dynamics,
        threshold: float = 0.0,
    ) -> None:
        """Predict and update with one view of every face.

        Args:
            probabilities: (N, classes) calibrated predictions.
            stamp: as in `update`, like all others.
            weights: likewise.
            dynamics: likewise.
            threshold: likewise.
        """
        self.predict(stamp, dynamics)
        self.update(view_log_likelihood(probabilities), weights, stamp, dynamics, threshold, probabilities)

    def predict(self, stamp: float, dynamics: Dynamics) -> None:
        """Fold the last observation into the prior, and apply the transition or the forgetting up to a time.

        Args:
            stamp: time in seconds of the next observation of all faces, not before their last ones.
            dynamics: of the task.
        """
        elapsed = stamp - self.updated
        fresh, kept = effective_samples_added(elapsed, dynamics.correlation), np.exp(-elapsed / dynamics.memory)
        evidence = self.log_prior + fresh[:, None] * self.log_likelihood
        samples = self.effective_samples + fresh * self.weight
        if dynamics.changes:
            self.log_prior, left = _transition(evidence, kept, dynamics.stationary)
        else:
            self.log_prior, left = kept[:, None] * evidence, kept
        self.effective_samples = left * samples
        for sums in (self.weights, self.squares, self.variances, self.places.T):
            sums *= kept

    def update(
        self,
        log_likelihood: Array,
        weights: Array,
        stamp: float,
        dynamics: Dynamics,
        threshold: float = 0.0,
        predictions: NDArray[np.floating] | None = None,
    ) -> Array:
        """Multiply by the likelihood of a new observation of every face, and choose what is published.

        Args:
            log_likelihood: (N, classes) of one observation of each, up to a constant.
            weights: (N,) quality of the views, 0 to 1.
            stamp: time of the views in seconds.
            dynamics: of the task.
            threshold: probability from which on a label is known; it is then held somewhat below it.
            predictions: (N, classes) calibrated probabilities of the observation, from which the errors that stay with
                a person are estimated; None if the likelihood takes account of them.

        Returns:
            (N, classes) the posterior, before hysteresis.
        """
        evidence = self.log_prior + weights[:, None] * log_likelihood
        if predictions is not None:
            self._count(predictions, weights * effective_samples_added(stamp - self.updated, dynamics.correlation))
            evidence /= self._design_effect(self.effective_samples + weights)[:, None]
        self.log_likelihood = weights[:, None] * log_likelihood
        self.weight = weights
        self.updated = np.full(len(weights), stamp)
        log_posterior = log_softmax(np.log(dynamics.stationary) + evidence)
        self._publish(log_posterior, dynamics, threshold)
        return np.exp(log_posterior)

    def _count(self, predictions: NDArray[np.floating], weights: Array) -> None:
        """Add predictions, weighted in effective samples, to the sums for `intraclass_correlation`."""
        places, variances = place_and_variance(self.task, np.exp(view_log_likelihood(predictions)))
        self.weights += weights
        self.places += weights[:, None] * places
        self.squares += weights * (places**2).sum(axis=1)
        self.variances += weights * variances

    def _design_effect(self, samples: Array) -> Array:
        """Return (N,) by how much errors that stay with a person reduce the evidence of (N,) effective samples."""
        common = intraclass_correlation(self.task, self.weights, self.places, self.squares, self.variances)
        return 1 + np.maximum(samples - 1, 0.0) * common

    def _publish(self, log_posterior: Array, dynamics: Dynamics, threshold: float) -> None:
        """Choose the labels with hysteresis, and note which have reached the threshold."""
        rows, best = np.arange(len(log_posterior)), log_posterior.argmax(axis=1)
        ahead = log_posterior[rows, best] - log_posterior[rows, self.label]
        switches = (self.label == _NO_LABEL) | (ahead > math.log(dynamics.switch_odds))
        self.label = np.where(switches, best, self.label)
        reached = np.where(switches, _NOT_REACHED, self.reached)
        posterior = np.exp(log_posterior)
        self.uncertainty = normalised_entropy(posterior)
        self.published = _level(posterior, self.label)
        self.chance = dynamics.stationary[self.label]
        least = _least(reached, threshold, self.chance)
        known = [names_label(*pair) for pair in zip(self.published[rows, self.label], least, strict=True)]
        self.reached = np.where(known, threshold, _NOT_REACHED)


def _transition(evidence: Array, kept: Array, stationary: Array) -> tuple[Array, Array]:
    """Return the evidence after the state may have changed, and the fraction of it that is left.

    So the belief is never more certain than that changes are rare, and a change is followed soon.

    Args:
        evidence: (N, classes) log probabilities relative to the stationary distribution, up to a constant.
        kept: (N,) probabilities that the state has not changed.
        stationary: (classes,) distribution of the state after a change.
    """
    probabilities = np.exp(log_softmax(np.log(stationary) + evidence))
    after = np.log(kept[:, None] * probabilities + (1 - kept[:, None]) * stationary) - np.log(stationary)
    before, spread = np.ptp(evidence, axis=1), np.ptp(after, axis=1)
    return after, np.divide(spread, before, out=np.ones_like(spread), where=before > 0)


def _least(reached: Array, threshold: float, chance: Array) -> Array:
    """Return the least probabilities from which labels are known.

    Args:
        reached: (N,) thresholds that the labels have reached.
        threshold: the present one.
        chance: (N,) probabilities of the labels before any observation.
    """
    held = np.where((reached >= threshold) & (threshold < 1), _HOLD, 1.0)
    return np.maximum(held * threshold, _ABOVE_CHANCE * chance)


def _level(posterior: Array, label: NDArray[np.int64]) -> Array:
    """Return the probabilities with the label's and all higher ones levelled: one that does not suffice to switch.

    So the label is always the most probable class of what is published, by a hair if need be.
    """
    rows = np.arange(len(posterior))
    higher = posterior > posterior[rows, label][:, None]
    level = higher.copy()
    level[rows, label] = True
    mean = (posterior * level).sum(axis=1, keepdims=True) / level.sum(axis=1, keepdims=True)
    levelled = np.where(level & higher.any(axis=1, keepdims=True), mean, posterior)
    levelled[rows, label] += 1e-6
    return np.asarray(levelled / levelled.sum(axis=1, keepdims=True))
