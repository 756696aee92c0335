"""Which rows an epoch consists of: balanced over classes, emotions repeated, the same for the same seed and epoch."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import EMOTION, LABELS, MISSING

Labels = Mapping[str, NDArray[np.int64]]
"""int64 (rows,) per task: class index, or `MISSING`."""

REFERENCE_EMOTION_SHARE: Final = 0.334
"""Share of the rows that the reference repeats rows with an emotion up to."""
_UNLABELLED_WEIGHT = 1e-4
"""Sampling weight of the reference for rows without any label."""
_COPIES_STREAM = 2**32
"""Parts the generator of the copies from those of the epochs, whose numbers are smaller."""


def class_counts(labels: Labels) -> dict[str, NDArray[np.int64]]:
    """Return int64 (classes,) per task: how many rows have each class."""
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
    """Return float64 (rows,), with sum 1: how likely each row is to be drawn.

    With a balance of 1 the weight of a row is the mean, over its labels, of one over the number of rows of its class:
    every class of every task weighs the same. (`reference_sampling` weighs tasks by their rows.)

    Args:
        labels: of the rows; a row without any label is never drawn.
        balance: 1 for inverse class frequencies; 0 for the rows of a task alike, and every task as often; in between
            the frequencies are raised to that power. One number, or one per task, of which those left out have 1.
        emotion_rows: rows with an emotion are repeated until they are this share of all rows, before classes are
            counted; how much of the draws they make out then follows from the weights. None leaves them.
        weights: float64 (rows,): further factors, such as those of data sets.
        within: str (rows,): classes are counted among the rows of the same value, all by default.
        emotion_share: share of all draws that are rows with an emotion; None leaves it as it comes out.

    Raises:
        ValueError: no row has a label.
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
        # The inverse frequency where the power is 1, and an equal share of all rows where it is 0.
        frequencies = np.bincount(cells, copies[labelled])[cells] / task_rows
        total[labelled] += frequencies**-power / task_rows
        known += labelled
    if not known.any():
        raise ValueError("no row has a label of any of the tasks")
    probabilities = copies * np.divide(total, known, out=np.zeros(rows), where=known > 0)
    if weights is not None:
        probabilities *= weights
    if emotion_share is not None and EMOTION in labels:
        emotions = labels[EMOTION] != MISSING
        for part, share in ((emotions, emotion_share), (~emotions, 1 - emotion_share)):
            if probabilities[part].sum() > 0:
                probabilities[part] *= share / probabilities[part].sum()
    return np.asarray(probabilities / probabilities.sum())


def capped(
    probabilities: NDArray[np.float64], most: float, emotions: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return float64 (rows,), with sum 1, in which no row is likelier than `most`; the others get what is cut off.

    Args:
        probabilities: float64 (rows,), with sum 1.
        most: the limit; where it can't be kept, all rows that may be drawn are as likely.
        emotions: int64 (rows,): what is cut off goes to rows that have an emotion as well, or have none as well, so
            that the share of both stays.
    """
    limited = np.zeros(len(probabilities))
    parts = np.zeros(len(probabilities), np.bool_) if emotions is None else emotions != MISSING
    for part in (parts, ~parts):
        rows = np.flatnonzero(part & (probabilities > 0))
        if len(rows):
            limited[rows] = _water_filled(probabilities[rows], most)
    return np.asarray(limited / limited.sum())


def _water_filled(chances: NDArray[np.float64], most: float) -> NDArray[np.float64]:
    """Return chances of the same sum of which none is above `most`, as far as that can be."""
    total = float(chances.sum())
    if most * len(chances) <= total:
        return np.full(len(chances), total / len(chances))
    free = np.ones(len(chances), np.bool_)
    while True:
        factor = (total - most * (~free).sum()) / chances[free].sum()
        above = free & (chances * factor > most)
        if not above.any():
            return np.where(free, chances * factor, most)
        free &= ~above


def reference_sampling(
    labels: Labels, seed: int, emotion_rows: float = REFERENCE_EMOTION_SHARE
) -> tuple[NDArray[np.float64], int]:
    """Return the reference's sampling weights, float64 (rows,) with sum 1, and the number of rows of its epoch.

    As A. Sessa's public code has it: if fewer than `emotion_rows` of N rows, E, have an emotion, (share N - E) / (1 -
    share) copies of such rows are drawn at random with replacement, once. Of what there is then, class c of task t
    weighs w = N_t / (K_t n_tc) with N_t labelled rows, K_t classes that occur and n_tc rows of the class; a row weighs
    the mean of w over its labels, or 1e-4 without any. An epoch has as many independent draws as there are rows, copies
    included.

    Args:
        labels: of the rows.
        seed: of the copies.
        emotion_rows: share of the rows that emotions are repeated up to.

    Raises:
        ValueError: no row has a label.
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
        raise ValueError("no row has a label of any of the tasks")
    weights = copies * np.divide(total, known, out=np.full(len(copies), _UNLABELLED_WEIGHT), where=known > 0)
    return np.asarray(weights / weights.sum()), int(copies.sum())


def _fractional_copies(labels: Labels, emotion_rows: float | None) -> NDArray[np.float64]:
    """Return float64 (rows,): how often each row counts, so that emotions are at least a share of the labelled rows."""
    copies = np.ones(len(next(iter(labels.values()))))
    if emotion_rows is None or EMOTION not in labels:
        return copies
    emotions = labels[EMOTION] != MISSING
    others = np.any([column != MISSING for column in labels.values()], axis=0) & ~emotions
    if emotions.any() and emotion_rows < 1:
        copies[emotions] = max(1.0, emotion_rows / (1 - emotion_rows) * others.sum() / emotions.sum())
    return copies


def _drawn_copies(labels: Labels, seed: int, emotion_rows: float) -> NDArray[np.int64]:
    """Return int64 (rows,): how often each row is there after copies of rows with an emotion were drawn."""
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
    """Return int64 (count,): the rows of an epoch in their order, a function of seed and epoch alone.

    Rows are drawn by stratified systematic sampling (one uniform offset, then equal steps through the summed
    probabilities; W. G. Madow and L. H. Madow, 1944): a row comes as often as its probability says, rounded up or down.
    Rows of the same labels stand together in that sum, and so does every group of them: it comes as often as it
    should, give or take one, where chance alone would vary by the square root of the number.

    Args:
        probabilities: float64 (rows,), with sum 1.
        count: rows to draw.
        seed: of the run.
        epoch: number of the epoch.
        labels: to stratify by; rows of the same probability are taken together without them.
    """
    random = np.random.default_rng((seed, epoch))
    # Within a group the order is another one every epoch, or the same rows would fall between the steps.
    shuffled = random.permutation(len(probabilities))
    keys = [probabilities] if labels is None else [probabilities, *labels.values()]
    order = np.lexsort([shuffled, *keys])
    steps = (np.arange(count) + random.random()) / count
    ends = np.cumsum(probabilities[order])
    drawn = order[np.searchsorted(ends / ends[-1], steps, side="right").clip(max=len(order) - 1)]
    return np.asarray(random.permutation(drawn), np.int64)


def draw_independently(probabilities: NDArray[np.float64], count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return int64 (count,): independent draws with replacement, as the reference makes them."""
    random = np.random.default_rng((seed, epoch))
    return np.asarray(random.choice(len(probabilities), count, p=probabilities), np.int64)


def distribution_table(labels: Labels, drawn: NDArray[np.int64]) -> list[dict[str, object]]:
    """Return one row a class: how many rows have it, and its share among the labelled before and after sampling.

    Args:
        labels: of all rows.
        drawn: rows of one epoch.
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
    """Return int64 (min(count, rows),): rows spread evenly; all for None."""
    return np.unique(np.linspace(0, rows - 1, min(count or rows, rows)).round().astype(np.int64))
