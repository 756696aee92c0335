"""Synthetic streams of estimates whose truth is known: faces as a model with a given confusion matrix would see them.

Every class is a point in a plain space; a view of a face is the point of its class plus noise of one deviation, and an
estimate is the exact posterior of one view, hence calibrated. The points lie so that single views are confused as the
model's were. The noise is made of a part that stays with the face and one that varies: drifting (first-order
autoregressive) or jumping (constant for half a second, then drawn anew).
"""

import math
from typing import Literal

import numpy as np

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER
from facial_attributes_ros.vision.fusion import Belief, update
from facial_attributes_ros.vision.options import FusionOptions

STEP = 0.1
CORRELATION = 0.5
Noise = Literal["drifting", "jumping"]

CONFUSION = {
    EMOTION: [
        [338, 102, 34, 29, 34, 42, 69],
        [135, 256, 36, 12, 41, 51, 41],
        [44, 30, 200, 52, 42, 118, 39],
        [11, 10, 20, 672, 11, 21, 46],
        [35, 41, 57, 25, 169, 75, 57],
        [30, 34, 79, 24, 54, 317, 63],
        [44, 22, 21, 38, 29, 70, 290],
    ],
    GENDER: [[896, 164], [243, 696]],
    AGE: [
        [66, 13, 0, 0, 0, 0, 0, 1, 1],
        [35, 208, 42, 27, 6, 5, 7, 2, 4],
        [2, 63, 167, 163, 53, 18, 7, 4, 2],
        [0, 62, 158, 500, 199, 47, 24, 17, 7],
        [3, 30, 58, 237, 218, 83, 53, 20, 7],
        [0, 4, 23, 85, 88, 98, 82, 21, 19],
        [1, 11, 9, 27, 29, 46, 85, 24, 29],
        [1, 0, 1, 3, 2, 16, 29, 38, 22],
        [0, 0, 1, 1, 1, 2, 10, 10, 28],
    ],
}
"""Of the weights of `small` that learned heads only, measured on its validation faces: rows are the truth."""


def points(task: str, accuracy: float | None = None) -> np.ndarray:
    """Return (classes, classes) points of the classes, for the confusion's mean recall or another accuracy."""
    confusion = np.array(CONFUSION[task], float)
    confusion /= confusion.sum(axis=1, keepdims=True)
    wanted = accuracy or float(np.diag(confusion).mean())
    shape = np.log(np.maximum(confusion, 0.005))
    shape -= shape.mean(axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    truth = rng.integers(len(shape), size=20_000)
    noise = rng.normal(size=(len(truth), len(shape)))
    low, high = 0.01, 5.0
    for _ in range(20):
        scale = (low + high) / 2
        right = (posterior(scale * shape[truth] + noise, scale * shape).argmax(axis=1) == truth).mean()
        low, high = (scale, high) if right < wanted else (low, scale)
    return (low + high) / 2 * shape


def posterior(views: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return (..., classes) probabilities of the classes of (..., dimensions) views."""
    scores = views @ places.T - (places**2).sum(axis=1) / 2
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def stream(
    rng: np.random.Generator, places: np.ndarray, truth: np.ndarray, noise: Noise, stays: float = 0.0
) -> np.ndarray:
    """Return (faces, frames, classes) estimates, ten a second.

    Args:
        rng: source of chance.
        places: as `points` gives.
        truth: (faces, frames) classes.
        noise: how the errors vary.
        stays: share of the error that stays with the face, 0 to 1.
    """
    make = {"drifting": _drifting, "jumping": _jumping}[noise]
    varies = make(rng, *truth.shape, places.shape[1])
    same = rng.normal(size=(len(truth), 1, places.shape[1]))
    return posterior(places[truth] + math.sqrt(1 - stays) * varies + math.sqrt(stays) * same, places)


def _drifting(rng: np.random.Generator, faces: int, frames: int, dimensions: int) -> np.ndarray:
    keep = math.exp(-STEP / CORRELATION)
    noise = rng.normal(size=(frames, faces, dimensions))
    for frame in range(1, frames):
        noise[frame] = keep * noise[frame - 1] + math.sqrt(1 - keep**2) * noise[frame]
    return noise.swapaxes(0, 1)


def _jumping(rng: np.random.Generator, faces: int, frames: int, dimensions: int) -> np.ndarray:
    length = round(CORRELATION / STEP)
    block = (np.arange(frames) + rng.integers(length, size=(faces, 1))) // length
    noise = rng.normal(size=(faces, block.max() + 1, dimensions))
    return np.take_along_axis(noise, block[..., None], axis=1)


def fuse(task: str, estimates: np.ndarray, how: FusionOptions, weight: float = 1.0) -> np.ndarray:
    """Return (faces, frames, classes) fused probabilities."""
    beliefs = [Belief(task) for _ in estimates]
    weights = np.full(len(beliefs), weight)
    fused = []
    for frame in range(estimates.shape[1]):
        update(beliefs, estimates[:, frame], frame * STEP, weights, how)
        fused.append(np.stack([belief.probabilities for belief in beliefs]))
    return np.stack(fused, axis=1)


def changes_a_minute(labels: np.ndarray) -> float:
    """Return how often (faces, frames) labels change in a minute."""
    return float((np.diff(labels, axis=1) != 0).sum() / (labels.size * STEP / 60))
