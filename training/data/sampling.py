"""Sampling of epochs: balanced over classes, emotions oversampled, deterministic by seed and epoch."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import EMOTION, LABELS, MISSING

Labels = Mapping[str, NDArray[np.int64]]
"""int64 (samples,) per task: class index, or `MISSING`."""

SESSA_EMOTION_FRACTION: Final = 0.334
"""Fraction of the samples up to which Sessa's code repeats samples with an emotion."""
_UNLABELLED_WEIGHT = 1e-4
"""Sampling weight of Sessa's code for samples without any label."""
_COPIES_STREAM = 2**32
"""Separates the generator of the copies from those of the epochs, whose numbers are smaller."""


def class_counts(labels: Labels) -> dict[str, NDArray[np.int64]]:
    """Return int64 (classes,) per task: the number of samples of each class."""
    return {
        task: np.bincount(column[column != MISSING], minlength=len(LABELS[task])) for task, column in labels.items()
    }


def row_probabilities(
    labels: Labels,
    balance: float | Mapping[str, float] = 1.0,
    emotion_rows: float | None = None,
    weights: NDArray[np.float64] | None = None,
    within: NDArray[np.str_] | None = None,
    emotion_share: float | None = None,
) -> NDArray[np.float64]:
    """Return the sampling weight of every sample, float64 (samples,) with sum 1.

    With a balance of 1 the weight of a sample is the mean, over its labels, of one over the number of samples of its
    class: every class of every task weighs the same. (`sessa_sampling` weighs tasks by their numbers of samples.)

    Args:
        labels: of the samples; a sample without any label has weight 0.
        balance: 1 for inverse class frequencies; 0 for equal weights within a task, and tasks in equal parts; in
            between the frequencies are raised to that power. One number, or one per task, by default 1.
        emotion_rows: samples with an emotion are repeated up to this fraction of all samples, before classes are
            counted; their fraction of the draws then follows from the weights. None does not repeat them.
        weights: float64 (samples,): further factors, such as those of data sets.
        within: str (samples,): classes are counted among the samples of the same value, all by default.
        emotion_share: fraction of all draws that are samples with an emotion; None does not set it.

    Raises:
        ValueError: no sample has a label.
    """
    rows = len(next(iter(labels.values())))
    copies = _fractional_copies(labels, emotion_rows)
    total, known = np.zeros(rows), np.zeros(rows)
    groups = np.zeros(rows, np.int64) if within is None else np.unique(within, return_inverse=True)[1]
    for task, column in labels.items():
        labelled = column != MISSING
        cells = groups[labelled] * len(LABELS[task]) + column[labelled]
        power = float(balance.get(task, 1.0) if isinstance(balance, Mapping) else balance)
        task_rows = max(float(copies[labelled].sum()), 1.0)
        # The inverse frequency where the power is 1, and equal weights where it is 0.
        frequencies = np.bincount(cells, copies[labelled])[cells] / task_rows
        total[labelled] += frequencies**-power / task_rows
        known += labelled
    if not known.any():
        raise ValueError("no sample has a label of any of the tasks")
    probabilities = copies * np.divide(total, known, out=np.zeros(rows), where=known > 0)
    if weights is not None:
        probabilities *= weights
    if emotion_share is not None and EMOTION in labels:
        emotions = labels[EMOTION] != MISSING
        for part, fraction in ((emotions, emotion_share), (~emotions, 1 - emotion_share)):
            if probabilities[part].sum() > 0:
                probabilities[part] *= fraction / probabilities[part].sum()
    return np.asarray(probabilities / probabilities.sum())


def capped(
    probabilities: NDArray[np.float64], most: float, emotions: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return sampling weights with sum 1, (samples,), of which none is above a limit.

    The excess goes to the other samples.

    Args:
        probabilities: float64 (samples,), with sum 1.
        most: the limit; if it can't be kept, all weights above 0 become equal.
        emotions: int64 (samples,): the excess of samples with an emotion goes to others with one, and likewise without,
            so that both fractions stay.
    """
    limited = np.zeros(len(probabilities))
    parts = np.zeros(len(probabilities), np.bool_) if emotions is None else emotions != MISSING
    for part in (parts, ~parts):
        rows = np.flatnonzero(part & (probabilities > 0))
        if len(rows):
            limited[rows] = _water_filled(probabilities[rows], most)
    return np.asarray(limited / limited.sum())


def _water_filled(weights: NDArray[np.float64], most: float) -> NDArray[np.float64]:
    """Return weights of the same sum of which none is above `most`, as far as that is possible."""
    total = float(weights.sum())
    if most * len(weights) <= total:
        return np.full(len(weights), total / len(weights))
    free = np.ones(len(weights), np.bool_)
    while True:
        factor = (total - most * (~free).sum()) / weights[free].sum()
        above = free & (weights * factor > most)
        if not above.any():
            return np.where(free, weights * factor, most)
        free &= ~above


def sessa_sampling(
    labels: Labels, seed: int, emotion_rows: float = SESSA_EMOTION_FRACTION
) -> tuple[NDArray[np.float64], int]:
    """Return the sampling weights of A. Sessa's public code, float64 (samples,) with sum 1, and the draws of its epoch.

    If E of N samples have an emotion, and that is less than the fraction f, (f N - E) / (1 - f) copies of such samples
    are drawn with replacement, once. Then class c of task t weighs w = N_t / (K_t n_tc) with N_t labelled samples, K_t
    classes that occur and n_tc samples of the class; a sample weighs the mean of w over its labels, or 1e-4 without
    any. An epoch has as many independent draws as there are samples, copies included.

    Args:
        labels: of the samples.
        seed: of the copies.
        emotion_rows: the fraction f.

    Raises:
        ValueError: no sample has a label.
    """
    copies = _drawn_copies(labels, seed, emotion_rows)
    total, known = np.zeros(len(copies)), np.zeros(len(copies))
    for column in labels.values():
        labelled = column != MISSING
        counts = np.bincount(column[labelled], copies[labelled])
        class_weights = counts.sum() / np.maximum((counts > 0).sum() * counts, 1)
        total[labelled] += class_weights[column[labelled]]
        known += labelled
    if not known.any():
        raise ValueError("no sample has a label of any of the tasks")
    weights = copies * np.divide(total, known, out=np.full(len(copies), _UNLABELLED_WEIGHT), where=known > 0)
    return np.asarray(weights / weights.sum()), int(copies.sum())


def _fractional_copies(labels: Labels, emotion_rows: float | None) -> NDArray[np.float64]:
    """Return float64 (samples,): the copies of each sample, so that emotions are a fraction of all labelled ones."""
    copies = np.ones(len(next(iter(labels.values()))))
    if emotion_rows is None or EMOTION not in labels:
        return copies
    emotions = labels[EMOTION] != MISSING
    others = np.any([column != MISSING for column in labels.values()], axis=0) & ~emotions
    if emotions.any() and emotion_rows < 1:
        copies[emotions] = max(1.0, emotion_rows / (1 - emotion_rows) * others.sum() / emotions.sum())
    return copies


def _drawn_copies(labels: Labels, seed: int, emotion_rows: float) -> NDArray[np.int64]:
    """Return int64 (samples,): the copies of each sample after samples with an emotion were repeated."""
    rows = len(next(iter(labels.values())))
    emotions = np.flatnonzero(labels[EMOTION] != MISSING) if EMOTION in labels else np.empty(0, np.int64)
    copies = np.ones(rows, np.int64)
    if len(emotions) and len(emotions) < emotion_rows * rows:
        further = int((emotion_rows * rows - len(emotions)) / (1 - emotion_rows))
        drawn = np.random.default_rng((seed, _COPIES_STREAM)).choice(emotions, further)
        copies += np.bincount(drawn, minlength=rows)
    return copies


def draw_rows(
    probabilities: NDArray[np.float64], count: int, seed: int, epoch: int, labels: Labels | None = None
) -> NDArray[np.int64]:
    """Return int64 (count,): the samples of an epoch in their order, a function of seed and epoch alone.

    Stratified systematic sampling (one uniform offset, then equal steps through the cumulated weights; W. G. Madow and
    L. H. Madow, 1944): every sample is drawn in proportion to its weight, rounded up or down. Samples of the same
    labels are adjacent in that sum, so each group of them is drawn in proportion too, within one draw; independent
    draws would vary by the square root of the number.

    Args:
        probabilities: float64 (samples,), with sum 1.
        count: number of draws.
        seed: of the run.
        epoch: number of the epoch.
        labels: to stratify by; without them samples of the same weight are a stratum.
    """
    random = np.random.default_rng((seed, epoch))
    # Within a group the order changes every epoch, or the same samples would always fall between the steps.
    shuffled = random.permutation(len(probabilities))
    keys = [probabilities] if labels is None else [probabilities, *labels.values()]
    order = np.lexsort([shuffled, *keys])
    steps = (np.arange(count) + random.random()) / count
    ends = np.cumsum(probabilities[order])
    drawn = order[np.searchsorted(ends / ends[-1], steps, side="right").clip(max=len(order) - 1)]
    return np.asarray(random.permutation(drawn), np.int64)


def draw_independently(probabilities: NDArray[np.float64], count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return int64 (count,): independent draws with replacement, as in Sessa's code."""
    random = np.random.default_rng((seed, epoch))
    return np.asarray(random.choice(len(probabilities), count, p=probabilities), np.int64)


def distribution_table(labels: Labels, drawn: NDArray[np.int64]) -> list[dict[str, object]]:
    """Return a line per class: its number of samples, and its fraction of the labelled ones before and after sampling.

    Args:
        labels: of all samples.
        drawn: samples of one epoch.
    """
    after = class_counts({task: column[drawn] for task, column in labels.items()})
    table: list[dict[str, object]] = []
    for task, counts in class_counts(labels).items():
        for index, label in enumerate(LABELS[task]):
            table.append(
                {
                    "task": task,
                    "label": label,
                    "rows": int(counts[index]),
                    "share": float(counts[index] / max(counts.sum(), 1)),
                    "drawn": int(after[task][index]),
                    "drawn_share": float(after[task][index] / max(after[task].sum(), 1)),
                }
            )
    return table


def spread_subset(rows: int, count: int | None) -> NDArray[np.int64]:
    """Return int64 (min(count, samples),): evenly spaced samples; all for None."""
    return np.unique(np.linspace(0, rows - 1, min(count or rows, rows)).round().astype(np.int64))
