"""Calibration: temperatures for the confidences, and thresholds below which a label is unknown.

A temperature per task (C. Guo and others, 2017) is fitted on one half of the validation samples, and so is the
threshold below which a label is unknown. Both are measured on the other half, and in the other direction, so that
neither a lucky half nor overfitting makes the metrics too high.

The temperature is the most probable one under a normal prior on its logarithm. Without a prior, samples that are all
predicted correctly (or all wrongly in the same way) drive it to zero or to infinity, as separable data do the
coefficients of a logistic regression; a weakly informative prior is the remedy there (A. Gelman and others, 2008, A
weakly informative default prior distribution for logistic and other regression models) and here. It is centred on 1, no
change, and its standard deviation of a factor of 2 covers what networks need (Guo and others report 1.1 to 3). A
thousand samples outweigh it; twenty do not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.data.subsets import data_sets, first_half, strata
from facial_attributes_training.measure.age_centroids import fit_age_centroids
from facial_attributes_training.measure.age_spread import fit_spread
from facial_attributes_training.measure.fitted import LEAST_CERTAINTY, Fit, Named, named
from facial_attributes_training.measure.gender_bands import certainty_of, fit_gender_bands
from facial_attributes_training.measure.metrics import probability_scores, wilson
from facial_attributes_training.measure.published import probabilities, published_ages, published_labels
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import norm

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, MISSING
from facial_attributes_ros.models.age_bands import BANDS, bands_of, youngest_plausible
from facial_attributes_ros.models.spec import GROUP_MIDDLES

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of the search for the temperature; a result at a bound is refused."""
PRIOR_DEVIATION: Final = math.log(2)
"""Standard deviation of the prior on the logarithm of the temperature; its mean is 0."""
MIN_ROWS = 20
"""With fewer labelled samples nothing is fitted."""
WANTED_PRECISION: Final[dict[str, float]] = {GENDER: 0.95, EMOTION: 0.70}
"""Share of the named labels that are to be right. About 70 % of the emotion labels that people gave are clearly right
themselves, so that more can't be shown on such data. Age groups have a certainty instead, see `WANTED_NEAR`."""
WANTED_NEAR: Final = 0.75
"""An age group is named if it or one beside it is the true one in at least this fraction of cases of its certainty."""
MOST_CERTAINTY: Final = 0.9
"""Largest certainty that an age needs, however poor the model: a certainty that holds is its own proof."""
LUCK = 0.8
"""Two-sided level of the interval whose lower end must reach the wanted precision, so that other samples reach it too,
in nine of ten cases."""

Logits = Mapping[str, NDArray[np.floating]]
Labels = Mapping[str, NDArray[np.int64]]


class NotFittedError(Exception):
    """A task can't be calibrated on these samples; the text is the reason, without a full stop."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A task's fit, measured on held-out samples.

    Attributes:
        rows: number of these samples.
        before, after: expected calibration error at temperature 1 and at the fitted one.
        nll, brier: negative log-likelihood and Brier score at both.
        named: per data set, coverage and precision at the fitted threshold.
    """

    rows: int
    before: float
    after: float
    nll: tuple[float, float]
    brier: tuple[float, float]
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


def fit_temperature(logits: NDArray[np.floating], truth: NDArray[np.int64], centre: float = 1.0) -> float:
    """Return the most probable temperature given the labels and the prior.

    Args:
        logits: float (samples, classes), not divided by any temperature; minus infinity for classes that the model was
            not trained on. Samples of such a class do not count.
        truth: int64 (samples,): class indices; samples with `MISSING` do not count.
        centre: temperature on which the prior is centred.

    Raises:
        NotFittedError: there are too few samples, or the temperature is at a bound.
    """
    labelled = np.flatnonzero(truth != MISSING)
    labelled = labelled[np.isfinite(logits[labelled, truth[labelled]])]
    values, classes = np.asarray(logits[labelled], np.float64), truth[labelled]
    _check_rows(len(classes))
    rows = np.arange(len(classes))

    def loss(log_temperature: float) -> float:
        likelihood = log_softmax(values / np.exp(log_temperature), axis=1)[rows, classes].sum()
        return float((log_temperature - math.log(centre)) ** 2 / (2 * PRIOR_DEVIATION**2) - likelihood)

    low, high = np.log(LOWEST), np.log(HIGHEST)
    best = float(minimize_scalar(loss, bounds=(low, high), method="bounded").x)
    # The search never ends exactly at a bound.
    if not low + 0.01 < best < high - 0.01:
        raise NotFittedError(
            f"the temperature that fits {len(classes)} samples is at its bound of {LOWEST if best < 0 else HIGHEST:g}, "
            "so the confidences hardly depend on whether the label is correct"
        )
    return float(np.exp(best))


def fit_threshold(confidence: NDArray[np.floating], right: NDArray[np.bool_], wanted: float) -> float:
    """Return the lowest confidence above which labels have the wanted precision.

    That is where the lower end of an interval of level `LUCK` reaches the wanted precision; if it never does, where the
    precision itself does; and 1 if that never does.

    Args:
        confidence: float (samples,): highest probability, calibrated.
        right: bool (samples,): whether the most probable label is correct.
        wanted: precision, 0 to 1.

    Raises:
        NotFittedError: there are too few samples to show that precision, even if all labels were correct.
    """
    _check_rows(len(right), rows_to_show(wanted))
    order = np.argsort(-confidence, kind="stable")
    hits, named = np.cumsum(right[order]), np.arange(1, len(order) + 1)
    for precision in (wilson(hits, named, LUCK)[0], hits / named):
        if len(enough := np.flatnonzero(precision >= wanted)):
            # Rounded down, so that the sample at the threshold is known itself.
            return float(np.floor(confidence[order][enough[-1]] * 1000) / 1000)
    return 1.0


def rows_to_show(wanted: float) -> int:
    """Return the number of samples, all correct, for which an interval of level `LUCK` is above a precision."""
    z = float(norm.ppf((1 + LUCK) / 2))
    return max(MIN_ROWS, math.ceil(z**2 * wanted / (1 - wanted)))


def rows_needed(task: str) -> int:
    """Return the number of labelled samples that a task needs to be calibrated."""
    return rows_to_show(WANTED_PRECISION[task]) if task in WANTED_PRECISION else MIN_ROWS


def _check_rows(there: int, needed: int = MIN_ROWS) -> None:
    if there < needed:
        raise NotFittedError(f"there are {there} labelled samples to fit on, and {needed} are needed")


def calibrate(
    logits: Logits,
    manifest: Manifest,
    rows: NDArray[np.bool_],
    centroids: Sequence[float] = GROUP_MIDDLES,
    centres: Mapping[str, float] = MappingProxyType({}),
) -> Fit:
    """Fit temperatures and thresholds on some samples.

    Args:
        logits: float (samples, classes) per task.
        manifest: labels, sources and origins of the samples.
        rows: bool (samples,): which to fit on.
        centroids: (9,) years of every age group, for the case that too few ages are known to fit them.
        centres: per task, the temperature on which the prior is centred, 1 by default.
    """
    fit = Fit({}, {}, age_centroids=tuple(centroids))
    groups = strata(manifest)
    for task, values in logits.items():
        truth = np.where(rows, manifest.labels[task], MISSING)
        fit.rows[task] = int((truth != MISSING).sum())
        try:
            temperature = fit_temperature(values, truth, centres.get(task, 1.0))
            threshold = _threshold(task, *_confidence(values, temperature, truth), groups, truth != MISSING)
        except NotFittedError as error:
            fit.refused[task] = str(error)
        else:
            fit.temperatures[task], fit.thresholds[task] = temperature, threshold
    if AGE in fit.temperatures:
        fit = _with_ages(fit, logits, manifest, rows)
    if GENDER in fit.temperatures and AGE in logits:
        fit = _with_gender_bands(fit, logits, manifest, rows)
    return fit


def _with_ages(fit: Fit, logits: Logits, manifest: Manifest, rows: NDArray[np.bool_]) -> Fit:
    """Return the fit with the years of the groups, their spread, and the certainty from which on a group is named."""
    distributions = probabilities(logits, AGE, fit)
    fit = replace(fit, age_centroids=fit_age_centroids(distributions[rows], manifest.take(rows), fit.age_centroids))
    ages = published_ages(distributions, fit)
    known = rows & ~np.isnan(manifest.age_years) & np.isfinite(ages.years)
    fit = replace(fit, age_spread=fit_spread(ages.years[known], ages.deviations[known], manifest.age_years[known]))
    ages, truth = published_ages(distributions, fit), manifest.labels[AGE]
    near = np.abs(ages.groups - truth) <= 1
    known = rows & (truth != MISSING)
    least = certainty_of(WANTED_NEAR, ages.certainty[known], near[known])
    return replace(fit, age_certainty=round(min(max(least, LEAST_CERTAINTY), MOST_CERTAINTY), 3))


def _with_gender_bands(fit: Fit, logits: Logits, manifest: Manifest, rows: NDArray[np.bool_]) -> Fit:
    """Return the fit with thresholds of the gender per band of age; none if no true age is known."""
    truth, groups = manifest.labels[GENDER], manifest.labels[AGE]
    known = rows & (truth != MISSING)
    if AGE not in fit.temperatures or not (known & (groups != MISSING)).any():
        return fit
    confidence, right = _confidence(logits[GENDER], fit.temperatures[GENDER], truth)
    true = np.where(groups == MISSING, -1, bands_of(groups))
    estimated = youngest_plausible(probabilities(logits, AGE, fit))
    by_band = fit_gender_bands(confidence[known], right[known], true[known], estimated[known], WANTED_PRECISION[GENDER])
    adults = known & (true == len(BANDS) - 1)
    if adults.sum() < rows_needed(GENDER):
        return replace(fit, gender_thresholds=by_band)
    # What holds for all ages together would be too strict for adults now that children have thresholds of their own.
    least = _strictest(confidence, right, strata(manifest), adults, WANTED_PRECISION[GENDER])
    least = max(least, by_band[BANDS[-1]])
    return replace(fit, gender_thresholds=by_band | {BANDS[-1]: least}, thresholds=fit.thresholds | {GENDER: least})


def _threshold(
    task: str,
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    groups: NDArray[np.int64],
    known: NDArray[np.bool_],
) -> float:
    """Return the threshold of a task's probabilities, 0 for ages, which have one of their certainty."""
    return 0.0 if task not in WANTED_PRECISION else _strictest(confidence, right, groups, known, WANTED_PRECISION[task])


def _strictest(
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    groups: NDArray[np.int64],
    known: NDArray[np.bool_],
    wanted: float,
) -> float:
    """Return the highest threshold that any source and origin of images needs by itself for a precision.

    It would otherwise hold on the average of an accidental mix. Those with too few samples count together.
    """
    needed, counts = rows_to_show(wanted), np.bincount(groups[known])
    large = [known & (groups == group) for group in np.flatnonzero(counts >= needed)]
    small = known & (counts[groups * known] < needed)
    parts = large if large and small.sum() < needed else [*large, small]
    return max(fit_threshold(confidence[part], right[part], wanted) for part in parts if part.any())


def both_ways(logits: Logits, manifest: Manifest, centroids: Sequence[float] = GROUP_MIDDLES) -> tuple[Way, Way]:
    """Fit on each half of the samples and measure on the other; the first fit is the one that is used.

    Args:
        logits: float (samples, classes) per task.
        manifest: labels, sources and origins of the samples.
        centroids: (9,) years of every age group, for the case that too few ages are known to fit them.
    """
    half = first_half(manifest)
    return (
        _way(logits, manifest, half, ("first half", "second half"), centroids),
        _way(logits, manifest, ~half, ("second half", "first half"), centroids),
    )


def _way(
    logits: Logits,
    manifest: Manifest,
    half: NDArray[np.bool_],
    names: tuple[str, str],
    centroids: Sequence[float],
) -> Way:
    fit = calibrate(logits, manifest, half, centroids)
    tasks = {
        task: _held_out(logits, manifest, task, ~half, fit)
        for task in fit.temperatures
        if (~half & (manifest.labels[task] != MISSING)).any()
    }
    return Way(*names, fit, tasks)


def _held_out(logits: Logits, manifest: Manifest, task: str, rows: NDArray[np.bool_], fit: Fit) -> HeldOut:
    truth = manifest.labels[task]
    rows = rows & (truth != MISSING)
    values = np.asarray(logits[task][rows], np.float64)
    temperatures = (1.0, fit.temperatures[task])
    before, after = (probability_scores(truth[rows], softmax(values / each, axis=1)) for each in temperatures)
    # Other tasks may lack what they are calibrated with; only the age decides on another task's labels.
    there = {name: logits[name] for name in (AGE, task) if name in logits and name in fit.temperatures}
    labels = published_labels(there, task, fit)
    return HeldOut(
        rows=int(rows.sum()),
        before=before.error,
        after=after.error,
        nll=(before.nll, after.nll),
        brier=(before.brier, after.brier),
        named={
            name: named(labels.confidence[part], labels.index[part] == truth[part], labels.least[part])
            for name, chosen in data_sets(manifest)
            if (part := rows & chosen).any()
        },
    )


def _confidence(
    logits: NDArray[np.floating], temperature: float, truth: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the highest probability, float64 (samples,), and whether it is the true class's, bool (samples,)."""
    probabilities = softmax(np.asarray(logits, np.float64) / temperature, axis=1)
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
