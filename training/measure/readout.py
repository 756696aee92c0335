"""Fit the last layer of emotion: a product of two experts, weighted by their accuracy on unseen sources.

On the sources that it was trained on, a network is correct so often that a layer fitted there relies on it, and fails
elsewhere. So each expert is a softmax regression of its own, on samples that the network was not trained on. The result
is their product (Hinton 2002), with exponents that are fitted to both experts' predictions for sources that neither the
network nor they have seen (stacking, Wolpert 1992).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from facial_attributes_ros.attributes import EMOTION, LABELS

CLASSES = len(LABELS[EMOTION])
BALANCE = 0.8
"""Power of the inverse number of samples of a source and class that a sample counts by."""
_LIMITS = {"maxiter": 60, "ftol": 1e-7}
PIXEL_PENALTY, EXPRESSION_PENALTY = 3e-3, 3e-3
"""Weights of the squared distance from doing nothing, for a mean cross-entropy."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ReadoutRows:
    """What a last layer is fitted on.

    Attributes:
        log_probabilities: float64 (samples, classes): of the emotion head, from pixels.
        expressions: float64 (samples, expressions): the second output; no columns for a network without it.
        labels: int64 (samples,): classes.
        sources: str (samples,): where the samples come from.
        unseen: bool (samples,): whether the network was not trained on other samples of that source.
    """

    log_probabilities: Array
    expressions: Array
    labels: NDArray[np.int64]
    sources: NDArray[np.str_]
    unseen: NDArray[np.bool_]

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the samples."""
        return type(self)(
            self.log_probabilities[rows],
            self.expressions[rows],
            self.labels[rows],
            self.sources[rows],
            self.unseen[rows],
        )

    @property
    def weights(self) -> Array:
        """Float64 (samples,), with sum 1: classes of a source nearly alike; unseen sources and the others half each."""
        cells = np.unique(np.char.add(self.sources, self.labels.astype(str)), return_inverse=True)[1]
        weights = np.bincount(cells)[cells] ** -BALANCE
        for part in (self.unseen, ~self.unseen):
            if part.any():
                weights[part] /= weights[part].sum()
        return np.asarray(weights / weights.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Readout:
    """An affine map to emotion logits.

    Attributes:
        pixels: float64 (classes, classes): of the log probabilities.
        expression: float64 (classes, expressions).
        bias: float64 (classes,).
    """

    pixels: Array
    expression: Array
    bias: Array

    def __call__(self, rows: ReadoutRows) -> Array:
        """Return logits (samples, classes)."""
        return rows.log_probabilities @ self.pixels.T + rows.expressions @ self.expression.T + self.bias


def fit_readout(rows: ReadoutRows, together: Sequence[Sequence[str]] = ()) -> Readout:
    """Return the last layer with the lowest loss on held-out sources.

    The experts are fitted on all samples. Their exponents are fitted on the unseen sources, each held out of experts of
    its own; with fewer than two unseen sources, both exponents are 1.

    Args:
        rows: samples of several sources.
        together: groups of unseen sources that are held out together; every other source is held out alone.
    """
    exponents = _fit_exponents(rows, folds(rows, together))
    pixels, expression = _experts(rows)
    bias = exponents[0] * pixels.bias + exponents[1] * expression.bias
    return Readout(exponents[0] * pixels.pixels, exponents[1] * expression.expression, bias)


def folds(rows: ReadoutRows, together: Sequence[Sequence[str]]) -> NDArray[np.str_]:
    """Return str (samples,): the source of every sample, or the group of sources that it is held out with."""
    group = {source: "+".join(names) for names in together for source in names}
    return np.array([group.get(source, source) for source in rows.sources.tolist()], np.str_)


def held_out(rows: ReadoutRows, together: Sequence[Sequence[str]]) -> Array:
    """Return logits (samples, classes) of every sample from a last layer that was fitted without its source.

    Args:
        rows: all samples.
        together: as in `fit_readout`.
    """
    logits, parts = np.empty((len(rows.labels), CLASSES)), folds(rows, together)
    for part in np.unique(parts):
        out = parts == part
        logits[out] = fit_readout(rows.take(~out), together)(rows.take(out))
    return logits


def _experts(rows: ReadoutRows) -> tuple[Readout, Readout]:
    """Return the expert of the pixels and that of the expressions."""
    classes, expressions = CLASSES, rows.expressions.shape[1]
    pixels = _softmax_regression(rows.log_probabilities, rows, np.eye(classes), PIXEL_PENALTY)
    from_pixels = Readout(pixels[0], np.zeros((classes, expressions)), pixels[1])
    if not expressions:
        return from_pixels, Readout(np.zeros((classes, classes)), np.zeros((classes, 0)), np.zeros(classes))
    mean, deviation = rows.expressions.mean(axis=0), rows.expressions.std(axis=0) + 1e-3
    standard = (rows.expressions - mean) / deviation
    weight, bias = _softmax_regression(standard, rows, np.zeros((classes, expressions)), EXPRESSION_PENALTY)
    weight = weight / deviation
    return from_pixels, Readout(np.zeros((classes, classes)), weight, bias - weight @ mean)


def _softmax_regression(inputs: Array, rows: ReadoutRows, start: Array, penalty: float) -> tuple[Array, Array]:
    """Return weight (classes, inputs) and bias (classes,) of a softmax regression that is drawn towards `start`."""
    weights, truth = rows.weights, np.eye(CLASSES)[rows.labels]

    def objective(flat: Array) -> tuple[float, Array]:
        weight, bias = flat[:-CLASSES].reshape(start.shape), flat[-CLASSES:]
        loss, slopes = _cross_entropy(inputs @ weight.T + bias, truth, weights)
        distance = weight - start
        slope = slopes.T @ inputs + 2 * penalty * distance
        return loss + penalty * float((distance**2).sum()), np.concatenate([slope.ravel(), slopes.sum(axis=0)])

    found = minimize(
        objective, np.concatenate([start.ravel(), np.zeros(CLASSES)]), jac=True, method="L-BFGS-B", options=_LIMITS
    )
    return found.x[:-CLASSES].reshape(start.shape), found.x[-CLASSES:]


def _fit_exponents(rows: ReadoutRows, parts: NDArray[np.str_]) -> Array:
    """Return the exponents of the two experts on unseen sources, float64 (2,), none below 0."""
    unseen = np.unique(parts[rows.unseen])
    if len(unseen) < 2:
        return np.ones(2)
    scores = np.empty((2, len(rows.labels), CLASSES))
    for part in unseen:
        out = parts == part
        scores[:, out] = [expert(rows.take(out)) for expert in _experts(rows.take(~out))]
    judged, scores = rows.take(rows.unseen), scores[:, rows.unseen]
    truth, weights = np.eye(CLASSES)[judged.labels], judged.weights

    def objective(exponents: Array) -> tuple[float, Array]:
        loss, slopes = _cross_entropy(np.tensordot(exponents, scores, 1), truth, weights)
        return loss, (slopes * scores).sum(axis=(1, 2))

    found = minimize(objective, np.full(2, 0.5), jac=True, method="L-BFGS-B", bounds=[(0, None)] * 2, options=_LIMITS)
    return np.asarray(found.x)


def _cross_entropy(logits: Array, truth: Array, weights: Array) -> tuple[float, Array]:
    """Return the weighted cross-entropy and its slope in the logits."""
    logs = log_softmax(logits, axis=1)
    loss = -float((weights[:, None] * truth * logs).sum())
    return loss, weights[:, None] * (np.exp(logs) - truth)
