"""Which rows an epoch consists of: balanced over classes, emotions repeated, the same for the same seed and epoch."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import EMOTION, LABELS, MISSING

Labels = Mapping[str, NDArray[np.int64]]
"""int64 (rows,) per task: class index, or `MISSING`."""


def class_counts(labels: Labels) -> dict[str, NDArray[np.int64]]:
    """Return int64 (classes,) per task: how many rows have each class."""
    return {
        task: np.bincount(column[column != MISSING], minlength=len(LABELS[task])) for task, column in labels.items()
    }


def row_probabilities(
    labels: Labels,
    balance: float | Mapping[str, float] = 1.0,
    emotion_share: float | None = None,
    weights: NDArray[np.float64] | None = None,
    within: NDArray[np.str_] | None = None,
) -> NDArray[np.float64]:
    """Return float64 (rows,), with sum 1: how likely each row is to be drawn.

    Args:
        labels: of the rows; a row without any label is never drawn.
        balance: 1 for the mean, over the labels of a row, of the inverse frequency of its class (the reference's
            sampler); 0 for the rows of a task alike, and every task as often; in between the frequencies are raised to
            that power. One number, or one per task, of which those left out have 1.
        emotion_share: share of all draws that are rows with an emotion; None leaves it as it comes out.
        weights: float64 (rows,): further factors, such as those of data sets.
        within: str (rows,): classes are counted among the rows of the same value, all by default.

    Raises:
        ValueError: no row has a label.
    """
    rows = len(next(iter(labels.values())))
    total, known = np.zeros(rows), np.zeros(rows)
    groups = np.zeros(rows, np.int64) if within is None else np.unique(within, return_inverse=True)[1]
    for task, column in labels.items():
        labelled = column != MISSING
        cells = groups[labelled] * len(LABELS[task]) + column[labelled]
        power = float(balance.get(task, 1.0) if isinstance(balance, Mapping) else balance)
        # The inverse frequency where the power is 1, and an equal share of all rows where it is 0.
        frequencies = np.bincount(cells)[cells] / max(len(cells), 1)
        total[labelled] += frequencies**-power / max(len(cells), 1)
        known += labelled
    if not known.any():
        raise ValueError("no row has a label of any of the tasks")
    chances = np.divide(total, known, out=np.zeros(rows), where=known > 0)
    if weights is not None:
        chances *= weights
    if emotion_share is not None and EMOTION in labels:
        emotions = labels[EMOTION] != MISSING
        for part, share in ((emotions, emotion_share), (~emotions, 1 - emotion_share)):
            if chances[part].sum() > 0:
                chances[part] *= share / chances[part].sum()
    return np.asarray(chances / chances.sum())


def draw_rows(chances: NDArray[np.float64], count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return int64 (count,): the rows of an epoch in their order, a function of seed and epoch alone.

    Rows are drawn by systematic sampling (one uniform offset, then equal steps through the summed chances), so that a
    row comes as often as its chance says, rounded up or down, and not by luck twice or never.
    """
    random = np.random.default_rng((seed, epoch))
    # In another order every epoch, or rows with small chances would fall between the steps together.
    order = random.permutation(len(chances))
    steps = (np.arange(count) + random.random()) / count
    ends = np.cumsum(chances[order])
    drawn = order[np.searchsorted(ends / ends[-1], steps, side="right").clip(max=len(chances) - 1)]
    return np.asarray(random.permutation(drawn), np.int64)


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
