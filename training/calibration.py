"""Confidences that are honest, and from which confidence on a label is named.

A temperature a task (C. Guo and others, 2017) is fitted on one half of the validation rows, and so is the threshold
below which a label is left unknown. What they are worth is measured on the other half, and the other way round, so
that neither a lucky half nor the fitting itself flatters them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from facial_attributes_training.manifest import Manifest
from facial_attributes_training.metrics import Estimate, calibration_error, wilson
from facial_attributes_training.subsets import data_sets, first_half, strata
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from facial_attributes_ros.attributes import EMOTION, GENDER, MISSING

LOWEST, HIGHEST = 0.05, 20.0
"""Between which temperatures the best is looked for."""
MIN_ROWS = 20
"""With fewer labelled rows nothing is fitted: the temperature stays at 1 and the threshold at 0."""
WANTED_PRECISION: Final[dict[str, float]] = {GENDER: 0.95, EMOTION: 0.70}
"""Share of the named labels that are to be right. About 70 % of the emotion labels that people gave are clearly right
themselves, so that more can't be shown on such data. Age groups are always named: years come with their deviation."""
LUCK = 0.8
"""Two-sided level of the interval whose lower end must reach the wanted precision, so that it holds on other rows too;
in one of ten halves it would not."""

Logits = Mapping[str, NDArray[np.floating]]
Labels = Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Fit:
    """What is fitted: per task, what logits are divided by, and below which confidence the label is unknown."""

    temperatures: dict[str, float]
    thresholds: dict[str, float]


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


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A task's fit, measured on rows that nothing was fitted on.

    Attributes:
        rows: of the measurement.
        before, after: expected calibration error at temperature 1 and at the fitted one.
        named: per data set, what is named at the fitted threshold.
    """

    rows: int
    before: float
    after: float
    named: dict[str, Named]


@dataclass(frozen=True, slots=True)
class Way:
    """Fitted on one half and measured on the other.

    Attributes:
        fitted_on, measured_on: names of the halves.
        fit: what was fitted.
        tasks: the figures.
    """

    fitted_on: str
    measured_on: str
    fit: Fit
    tasks: dict[str, HeldOut]


def fit_temperature(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    """Return the temperature at which the labels are likeliest; 1 if there are too few of them.

    Args:
        logits: float (rows, classes), not divided by any temperature.
        truth: int64 (rows,): class indices; rows with `MISSING` do not count.
    """
    labelled = truth != MISSING
    values, classes = np.asarray(logits[labelled], np.float64), truth[labelled]
    if len(classes) < MIN_ROWS:
        return 1.0
    rows = np.arange(len(classes))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(values / np.exp(log_temperature), axis=1)[rows, classes].mean())

    best = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    return float(np.exp(best.x))


def fit_temperatures(logits: Logits, labels: Labels) -> dict[str, float]:
    """Return the best temperature of every task that there are logits of, each from the rows that have its label.

    Args:
        logits: float (rows, classes) per task.
        labels: int64 (rows,) per task, `MISSING` where a row has none.
    """
    return {task: fit_temperature(values, labels[task]) for task, values in logits.items()}


def fit_threshold(confidence: NDArray[np.floating], right: NDArray[np.bool_], wanted: float) -> float:
    """Return the lowest confidence from which on labels are right often enough; 0 if there are too few rows.

    Often enough is where the lower end of an interval of level `LUCK` reaches the wanted precision; if it never does,
    where the precision itself does; and 1 if that never does.

    Args:
        confidence: float (rows,): highest probability, calibrated.
        right: bool (rows,): whether the most probable label is right.
        wanted: precision, 0 to 1.
    """
    if len(right) < MIN_ROWS:
        return 0.0
    order = np.argsort(-confidence, kind="stable")
    hits, named = np.cumsum(right[order]), np.arange(1, len(order) + 1)
    for precision in (wilson(hits, named, LUCK)[0], hits / named):
        if len(enough := np.flatnonzero(precision >= wanted)):
            # Rounded down, so that the row that the threshold was read from is named itself.
            return float(np.floor(confidence[order][enough[-1]] * 1000) / 1000)
    return 1.0


def calibrate(logits: Logits, manifest: Manifest, rows: NDArray[np.bool_]) -> Fit:
    """Fit temperatures and thresholds on some rows.

    A threshold holds for every source and origin of pictures by itself, not on the average of an accidental mix: it is
    the highest that any of them needs.

    Args:
        logits: float (rows, classes) per task.
        manifest: labels, sources and origins of the rows.
        rows: bool (rows,): which to fit on.
    """
    labels = {task: np.where(rows, manifest.labels[task], MISSING) for task in logits}
    temperatures = fit_temperatures(logits, labels)
    groups = strata(manifest)
    thresholds = dict.fromkeys(logits, 0.0)
    for task in logits.keys() & WANTED_PRECISION.keys():
        confidence, right = _confidence(logits[task], temperatures[task], labels[task])
        known = labels[task] != MISSING
        thresholds[task] = max(
            (
                fit_threshold(confidence[part], right[part], WANTED_PRECISION[task])
                for group in np.unique(groups[known])
                if (part := known & (groups == group)).any()
            ),
            default=0.0,
        )
    return Fit(temperatures, thresholds)


def both_ways(logits: Logits, manifest: Manifest) -> tuple[Way, Way]:
    """Fit on each half of the rows and measure on the other; the fit of the first way is the one that is shipped.

    Args:
        logits: float (rows, classes) per task.
        manifest: labels, sources and origins of the rows.
    """
    half = first_half(manifest)
    return (
        _way(logits, manifest, half, ("first half", "second half")),
        _way(logits, manifest, ~half, ("second half", "first half")),
    )


def named(confidence: NDArray[np.floating], right: NDArray[np.bool_], threshold: float) -> Named:
    """Return which share of some rows is named at a threshold, and how often rightly.

    Args:
        confidence: float (rows,): highest probability, calibrated.
        right: bool (rows,): whether the most probable label is right.
        threshold: the lowest confidence that is named.
    """
    chosen = confidence >= threshold
    count, hits = int(chosen.sum()), int((chosen & right).sum())
    return Named(len(right), Estimate.of_share(count, len(right)), Estimate.of_share(hits, count) if count else None)


def _way(logits: Logits, manifest: Manifest, half: NDArray[np.bool_], names: tuple[str, str]) -> Way:
    fit = calibrate(logits, manifest, half)
    tasks = {
        task: _held_out(values, manifest, task, ~half & (manifest.labels[task] != MISSING), fit)
        for task, values in logits.items()
        if (~half & (manifest.labels[task] != MISSING)).any()
    }
    return Way(*names, fit, tasks)


def _held_out(
    logits: NDArray[np.floating], manifest: Manifest, task: str, rows: NDArray[np.bool_], fit: Fit
) -> HeldOut:
    temperature, threshold, truth = fit.temperatures[task], fit.thresholds[task], manifest.labels[task]
    confidence, right = _confidence(logits, temperature, truth)
    values = np.asarray(logits[rows], np.float64)
    return HeldOut(
        rows=int(rows.sum()),
        before=calibration_error(truth[rows], softmax(values, axis=1)),
        after=calibration_error(truth[rows], softmax(values / temperature, axis=1)),
        named={
            name: named(confidence[part], right[part], threshold)
            for name, chosen in data_sets(manifest)
            if (part := rows & chosen).any()
        },
    )


def _confidence(
    logits: NDArray[np.floating], temperature: float, truth: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the highest probability, float64 (rows,), and whether it is the truth's, bool (rows,)."""
    probabilities = softmax(np.asarray(logits, np.float64) / temperature, axis=1)
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
