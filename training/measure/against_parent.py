"""A model against the one that it continues, on the same samples, and whether to use it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.measure.cautious import Part
from facial_attributes_training.measure.metrics import (
    BOOTSTRAP_SAMPLES,
    INTERVAL,
    LEAST_PROBABILITY,
    Estimate,
    calibration_error,
)
from facial_attributes_training.measure.predictions import Predictions
from facial_attributes_training.measure.published import probabilities, published_labels
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, LABELS, MISSING

NEW: Final = "new images"
"""Name of the samples like those that the model was trained on."""
ALLOWED_LOSS: Final = 0.03
"""Accuracy that a task may lose on samples like the parent's."""
FEWEST: Final = 30
"""Labelled samples from which on a task is compared in words."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A model's predictions of one task for labelled samples, as it publishes them; all (samples,).

    Attributes:
        truth: int64: true classes.
        probabilities: float64 (samples, classes).
        right: bool: whether the most probable class is the true one.
        nll, brier: float64: negative log-likelihood, and squared error of the probabilities.
        named: bool: whether the label is published.
        hit: bool: whether the label that would be published is the true one.
    """

    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    right: NDArray[np.bool_]
    nll: NDArray[np.float64]
    brier: NDArray[np.float64]
    named: NDArray[np.bool_]
    hit: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures of one model; coverage and precision of the labels that are published (None if none is)."""

    accuracy: float
    nll: float
    brier: float
    calibration_error: float
    coverage: float
    precision: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a task on some samples.

    Attributes:
        samples: which, `NEW` or a data set.
        task: which.
        learned: whether it was trained.
        rows: labelled samples.
        parent, model: figures of both.
        accuracy, nll, brier: model minus parent, with intervals, paired by sample, or by person where known.
    """

    samples: str
    task: str
    learned: bool
    rows: int
    parent: Scores
    model: Scores
    accuracy: Estimate
    nll: Estimate
    brier: Estimate

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Kept:
    """How far a task that was not trained follows the parent on samples, with or without labels.

    Attributes:
        task: which.
        rows: number of samples.
        same: fraction of them with the same most probable class.
        largest: largest difference of a probability.
    """

    task: str
    rows: int
    same: float
    largest: float


def judge(predictions: Predictions, task: str, parts: Sequence[Part]) -> Judged:
    """Return what a model says of the labelled samples.

    Args:
        predictions: of the model.
        task: which.
        parts: which samples are read by which calibration; together all.
    """
    truth = predictions.manifest.labels[task]
    rows, classes = len(truth), len(LABELS[task])
    values, named, index = np.zeros((rows, classes)), np.zeros(rows, np.bool_), np.zeros(rows, np.int64)
    for mask, fit in parts:
        own = {name: logits[mask] for name, logits in predictions.logits.items() if name in (task, AGE)}
        read = replace(
            fit,
            temperatures=dict.fromkeys(own, 1.0) | fit.temperatures,
            thresholds=dict.fromkeys(own, math.inf) | fit.thresholds,
        )
        labels = published_labels(own, task, read)
        values[mask] = probabilities(own, task, read)
        named[mask] = (labels.confidence >= labels.least) & (labels.least < 1)
        index[mask] = labels.index
    known = truth != MISSING
    truth, values = truth[known], values[known]
    of_truth = np.maximum(values[np.arange(len(truth)), truth], LEAST_PROBABILITY)
    brier = (values**2).sum(axis=1) - 2 * of_truth + 1
    right = values.argmax(axis=1) == truth
    return Judged(truth, values, right, -np.log(of_truth), brier, named[known], index[known] == truth)


def compare(
    samples: str,
    model: tuple[Predictions, Sequence[Part]],
    parent: tuple[Predictions, Sequence[Part]],
    learned: Sequence[str],
) -> Iterator[Change]:
    """Yield what became of every task that both models have and that has labels.

    Args:
        samples: name of the samples.
        model: its predictions, and the calibrations that they are read by.
        parent: likewise, of the same samples.
        learned: the tasks that were trained.

    Raises:
        ValueError: the predictions are of different samples.
    """
    if model[0].manifest.paths.tolist() != parent[0].manifest.paths.tolist():
        raise ValueError("the predictions are of different samples")
    manifest = model[0].manifest
    for task in model[0].logits:
        known = manifest.labels[task] != MISSING
        if task not in parent[0].logits or not known.any():
            continue
        ours, theirs = judge(model[0], task, model[1]), judge(parent[0], task, parent[1])
        people = _people(manifest.take(known))
        gained = (
            paired_mean(getattr(ours, name).astype(np.float64) - getattr(theirs, name), people)
            for name in ("right", "nll", "brier")
        )
        yield Change(samples, task, task in learned, int(known.sum()), _scores(theirs), _scores(ours), *gained)


def kept(model: Predictions, parent: Predictions, learned: Sequence[str]) -> list[Kept]:
    """Return how far the tasks that were not trained follow the parent, on samples with or without labels."""
    found = []
    for task in model.logits:
        if task not in learned and task in parent.logits:
            ours, theirs = model.probabilities(task), parent.probabilities(task)
            same = float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
            found.append(Kept(task, len(ours), same, float(np.abs(ours - theirs).max(initial=0.0))))
    return found


def paired_mean(values: NDArray[np.float64], groups: NDArray[np.int64], seed: int = 0) -> Estimate:
    """Return a mean with its bootstrap interval, in which all values of a group are drawn together.

    Args:
        values: float64 (samples,).
        groups: int64 (samples,): numbers from 0 on.
        seed: of the resamples.
    """
    sums, counts = np.bincount(groups, values), np.bincount(groups)
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), BOOTSTRAP_SAMPLES)
    means = (drawn @ sums) / np.maximum(drawn @ counts, 1)
    low, high = np.quantile(means, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return Estimate(float(values.mean()), float(low), float(high))


def _people(manifest: Manifest) -> NDArray[np.int64]:
    """Return int64 (samples,): a number for every person, or for every sample of an unknown one."""
    names = [name or f"#{index}" for index, name in enumerate(manifest.people.tolist())]
    return np.asarray(np.unique(names, return_inverse=True)[1], np.int64)


def _scores(judged: Judged) -> Scores:
    return Scores(
        accuracy=float(judged.right.mean()),
        nll=float(judged.nll.mean()),
        brier=float(judged.brier.mean()),
        calibration_error=calibration_error(judged.truth, judged.probabilities),
        coverage=float(judged.named.mean()),
        precision=float(judged.hit[judged.named].mean()) if judged.named.any() else None,
    )
