"""Synthetic streams of predictions whose truth is known, of a model with a given confusion matrix.

Every class is a point in a space; an observation of a face is the point of its class plus noise of unit variance, and a
prediction is the exact posterior of one observation, hence calibrated. The points lie so that single predictions are
confused as the model's were. The noise has a part that stays with the face and one that varies: drifting (first-order
autoregressive) or jumping (constant for the correlation time, then sampled anew).
"""

import functools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE_GROUP_STARTS, EMOTION
from facial_attributes_ros.fusion.age import OLDEST
from facial_attributes_ros.fusion.belief import Dynamics, TaskBelief
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.options import FusionOptions

STEP = 0.1
CORRELATION = 0.5
CHANGE = 300
"""Frame in which every face of `changing_emotions` takes on another emotion."""
ENDS = np.array([*AGE_GROUP_STARTS, OLDEST])
CENTROIDS = tuple((ENDS[:-1] + ENDS[1:]) / 2)
Noise = Literal["drifting", "jumping"]
NOISES: tuple[Noise, ...] = get_args(Noise)

MEASURED = Path(__file__).resolve().parents[2] / "docs/models/small/evaluation/evaluation.json"


@functools.cache
def confusion(task: str) -> NDArray[np.float64]:
    """Return the (classes, classes) fractions of the validation faces that `small` confused; rows are the truth."""
    counts = np.array(json.loads(MEASURED.read_text(encoding="utf-8"))["results"]["all"][task]["confusion"], float)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def points(task: str, accuracy: float | None = None) -> NDArray[np.float64]:
    """Return (classes, classes) points of the classes, for the confusion matrix' mean recall or another accuracy."""
    measured = confusion(task)
    wanted = accuracy or float(np.diag(measured).mean())
    shape = np.log(np.maximum(measured, 0.005))
    shape -= shape.mean(axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    truth = rng.integers(len(shape), size=20_000)
    noise = rng.normal(size=(len(truth), len(shape)))
    low, high = 0.01, 5.0
    for _ in range(20):
        scale = (low + high) / 2
        right = (posterior(scale * shape[truth] + noise, scale * shape).argmax(axis=1) == truth).mean()
        low, high = (scale, high) if right < wanted else (low, scale)
    return np.asarray((low + high) / 2 * shape)


def posterior(views: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (..., classes) probabilities of the classes of (..., dimensions) observations."""
    scores = views @ places.T - (places**2).sum(axis=1) / 2
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def stream(
    rng: np.random.Generator,
    places: NDArray[np.float64],
    truth: NDArray[np.int64],
    noise: Noise,
    stays: float = 0.0,
    correlation: float = CORRELATION,
) -> NDArray[np.float64]:
    """Return (faces, frames, classes) predictions, ten per second.

    Args:
        rng: source of randomness.
        places: as `points` gives.
        truth: (faces, frames) classes.
        noise: how the errors vary.
        stays: fraction of the error's variance that stays with the face, 0 to 1.
        correlation: correlation time of the rest in seconds.
    """
    make = {"drifting": _drifting, "jumping": _jumping}[noise]
    varies = make(rng, len(truth), truth.shape[1], places.shape[1], correlation)
    same = rng.normal(size=(len(truth), 1, places.shape[1]))
    return posterior(places[truth] + math.sqrt(1 - stays) * varies + math.sqrt(stays) * same, places)


def _drifting(
    rng: np.random.Generator, faces: int, frames: int, dimensions: int, correlation: float
) -> NDArray[np.float64]:
    keep = math.exp(-STEP / correlation)
    noise = rng.normal(size=(frames, faces, dimensions))
    for frame in range(1, frames):
        noise[frame] = keep * noise[frame - 1] + math.sqrt(1 - keep**2) * noise[frame]
    return noise.swapaxes(0, 1)


def _jumping(
    rng: np.random.Generator, faces: int, frames: int, dimensions: int, correlation: float
) -> NDArray[np.float64]:
    length = max(round(correlation / STEP), 1)
    block = (np.arange(frames) + rng.integers(length, size=(faces, 1))) // length
    noise = rng.normal(size=(faces, block.max() + 1, dimensions))
    return np.take_along_axis(noise, block[..., None], axis=1)


def fuse(task: str, estimates: NDArray[np.float64], how: FusionOptions, weight: float = 1.0) -> NDArray[np.float64]:
    """Return (faces, frames, classes) fused probabilities."""
    fused = [belief.published for belief in _beliefs(task, estimates, how, weight)]
    return np.swapaxes(np.array(fused), 0, 1)


def published_labels(task: str, estimates: NDArray[np.float64], how: FusionOptions) -> NDArray[np.int64]:
    """Return (faces, frames) labels as they are published, at the thresholds of `small`, unknown ones too."""
    threshold = ModelSpec.read(model_folder("small")).thresholds[task]
    labels = [
        [belief.distribution(row, threshold).index for row in range(len(estimates))]
        for belief in _beliefs(task, estimates, how, threshold=threshold)
    ]
    return np.swapaxes(np.array(labels), 0, 1)


def _beliefs(
    task: str, estimates: NDArray[np.float64], how: FusionOptions, weight: float = 1.0, threshold: float = 0.0
) -> Iterator[TaskBelief]:
    belief, dynamics = TaskBelief.blank(task, len(estimates)), Dynamics.of(task, how)
    weights = np.full(len(estimates), weight)
    for frame in range(estimates.shape[1]):
        belief.observe(estimates[:, frame], frame * STEP, weights, dynamics, threshold)
        yield belief


def changes_a_minute(labels: NDArray[np.int64]) -> float:
    """Return how often (faces, frames) labels change per minute."""
    return float((np.diff(labels, axis=1) != 0).sum() / (labels.size * STEP / 60))


@dataclass(frozen=True, slots=True, eq=False)
class EmotionStreams:
    """Faces of one emotion for half a minute and then of another for 5 s, ten predictions per second.

    Attributes:
        estimates: (faces, frames, classes) predictions.
        truth: (faces, frames) classes; they change in frame `CHANGE`.
        single: (faces, frames) most probable classes of the single predictions.
        fused: (faces, frames) labels that are published.
    """

    estimates: NDArray[np.float64]
    truth: NDArray[np.int64]
    single: NDArray[np.int64]
    fused: NDArray[np.int64]

    def right(self, labels: NDArray[np.int64]) -> float:
        """Return the fraction of labels that are correct from 2 s on, before the change."""
        return float((labels[:, 20:CHANGE] == self.truth[:, 20:CHANGE]).mean())

    def delays(self, labels: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return the seconds after which faces whose label was correct get the new one; by default, as published."""
        shown = self.fused if labels is None else labels
        known = shown[:, CHANGE - 1] == self.truth[:, CHANGE - 1]
        right = shown[known, CHANGE:] == self.truth[known, CHANGE:]
        return np.where(right.any(axis=1), (right.argmax(axis=1) + 1) * STEP, math.inf)


def changing_emotions(
    rng: np.random.Generator,
    faces: int,
    accuracy: float | None,
    noise: Noise,
    how: FusionOptions,
    correlation: float = CORRELATION,
) -> EmotionStreams:
    """Return faces whose emotion changes once, for a model of some accuracy (the measured one if None)."""
    first = rng.integers(7, size=(faces, 1))
    second = (first + rng.integers(1, 7, size=(faces, 1))) % 7
    truth = np.where(np.arange(CHANGE + 50) < CHANGE, first, second)
    estimates = stream(rng, points(EMOTION, accuracy), truth, noise, correlation=correlation)
    return EmotionStreams(estimates, truth, estimates.argmax(axis=2), published_labels(EMOTION, estimates, how))
