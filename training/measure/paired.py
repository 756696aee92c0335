"""Paired bootstrap: metrics of several runs on the same resamples, so that differences have correct intervals.

Every resample gives each sample of a data set a weight, the same for all runs (Efron and Tibshirani, 1993). A
difference of two runs, or a mean over data sets or tasks, is then computed resample by resample.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from facial_attributes_training.data.archive import is_remote
from facial_attributes_training.data.csv_tables import read_table
from facial_attributes_training.data.manifest import LABEL_COLUMNS
from facial_attributes_training.measure.metrics import BOOTSTRAP_SAMPLES, INTERVAL, Estimate
from numpy.typing import NDArray

from facial_attributes_ros.attributes import LABELS, TASKS
from facial_attributes_ros.errors import UserError

Key = tuple[str, str]
"""Data set and task."""
_UNKNOWN = -1
_DRAWS_AT_ONCE = 8
"""64 bytes a sample; more would not be faster."""


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """A metric with its values on the bootstrap's resamples.

    Attributes:
        value: on all samples.
        draws: float64 (draws,).
        rows: identifies the samples; only metrics of the same samples have a difference.
    """

    value: float
    draws: NDArray[np.float64]
    rows: str

    @classmethod
    def mean(cls, measures: Iterable[Self]) -> Self:
        """Return the mean of several metrics of the same resamples."""
        kept = list(measures)
        value, draws = float(np.mean([m.value for m in kept])), np.mean([m.draws for m in kept], axis=0)
        return cls(value, draws, " ".join(sorted(m.rows for m in kept)))

    def __sub__(self, other: "Measure") -> "Measure":
        """Return the difference of two metrics.

        Raises:
            ValueError: they are of different samples.
        """
        if self.rows != other.rows:
            raise ValueError("the metrics are of different samples")
        return Measure(self.value - other.value, self.draws - other.draws, self.rows)

    @property
    def estimate(self) -> Estimate:
        """The metric with its percentile interval."""
        tail = (1 - INTERVAL) / 2
        low, high = np.nanquantile(self.draws, [tail, 1 - tail])
        return Estimate(self.value, float(low), float(high))


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """The predictions of a run, as `predictions.csv` has them.

    Attributes:
        rows: data set and absolute path of every sample; the second sample of the same path ends in `#1`, and so on.
        truth, predicted: int64 (samples,) per task: class indices; -1 in `truth` where the class is not known.
    """

    rows: list[tuple[str, str]]
    truth: dict[str, NDArray[np.int64]]
    predicted: dict[str, NDArray[np.int64]]


def read_outcomes(path: Path) -> Outcomes:
    """Read a run's predictions.

    Raises:
        UserError: the file can't be read.
    """
    try:
        lines = read_table(path, ("path", "source"))
        tasks = [task for task in TASKS if lines and f"predicted_{LABEL_COLUMNS[task]}" in lines[0]]
        seen: dict[str, int] = {}
        rows = []
        for line in lines:
            # Paths are relative to their file, and runs are in different folders.
            where = line["path"] if is_remote(line["path"]) else os.path.normpath(path.parent.resolve() / line["path"])
            count = seen[where] = seen.get(where, -1) + 1
            rows.append((line["source"] or "unnamed", f"{where}#{count}"))
        truth = {task: _indices([line[LABEL_COLUMNS[task]] for line in lines], task) for task in tasks}
        columns = {task: f"predicted_{LABEL_COLUMNS[task]}" for task in tasks}
        predicted = {task: _indices([line[column] for line in lines], task) for task, column in columns.items()}
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} can't be read as the predictions of a run ({error}); train it again.") from error
    return Outcomes(rows, truth, predicted)


def measure(runs: Sequence[Outcomes], balanced: bool = False, seed: int = 0) -> list[dict[Key, Measure]]:
    """Return the accuracy of every run, per data set and task.

    Args:
        runs: common samples are resampled together.
        balanced: compute the mean recall of the classes instead.
        seed: of the resamples.
    """
    found: list[dict[Key, Measure]] = [{} for _ in runs]
    for number, source in enumerate(sorted({source for run in runs for source, _ in run.rows})):
        names = {
            row: place for place, row in enumerate(sorted({r for run in runs for r in run.rows if r[0] == source}))
        }
        counts = [_ClassCounts.of(run, source, names) for run in runs]
        for weights in _draws(len(names), np.random.default_rng([seed, number])):
            for each in counts:
                each.add(weights)
        for figures, each in zip(found, counts, strict=True):
            for task in each.groups:
                values = each.accuracy(task, balanced)
                figures[source, task] = Measure(float(values[0]), values[1:], f"{source}/{task}/{each.rows[task]}")
    return found


def _draws(rows: int, random: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Yield float64 (draws, samples), few at a time: how often a resample has each sample; the first has each once.

    A thousand resamples at once would take kilobytes per sample.
    """
    yield np.ones((1, rows))
    uniform = np.full(rows, 1 / rows)
    for start in range(0, BOOTSTRAP_SAMPLES, _DRAWS_AT_ONCE):
        count = min(_DRAWS_AT_ONCE, BOOTSTRAP_SAMPLES - start)
        yield random.multinomial(rows, uniform, count).astype(np.float64)


@dataclass(slots=True, eq=False)
class _ClassCounts:
    """Per resample and class, how many of a run's samples there are, and how many are predicted correctly.

    Attributes:
        places: int64 (samples,): where the weights of the run's samples are.
        groups: int64 (samples,) per task: twice the true class, plus one if it is predicted; the last number for
            unknown ones.
        rows: per task, identifies the samples with a known class.
        drawn: float64 (draws, 2 * classes + 1) per task, in parts.
    """

    places: NDArray[np.int64]
    groups: dict[str, NDArray[np.int64]]
    rows: dict[str, str]
    drawn: dict[str, list[NDArray[np.float64]]]

    @classmethod
    def of(cls, run: Outcomes, source: str, names: Mapping[tuple[str, str], int]) -> Self:
        """Return the empty counts of a run's samples of a data set, whose samples have these places."""
        mine = [place for place, row in enumerate(run.rows) if row[0] == source]
        places = np.array([names[run.rows[place]] for place in mine], np.int64)
        groups, rows = {}, {}
        for task, column in run.truth.items():
            truth, known = column[mine], column[mine] != _UNKNOWN
            if known.any():
                right = truth == run.predicted[task][mine]
                groups[task] = np.where(known, 2 * truth + right, 2 * len(LABELS[task]))
                rows[task] = hashlib.sha256(np.sort(places[known]).tobytes()).hexdigest()
        return cls(places, groups, rows, {task: [] for task in groups})

    def add(self, weights: NDArray[np.float64]) -> None:
        """Count the samples of some more resamples, float64 (draws, all samples)."""
        for task, groups in self.groups.items():
            size = 2 * len(LABELS[task]) + 1
            counted = [np.bincount(groups, draw[self.places], size) for draw in weights]
            self.drawn[task].append(np.stack(counted))

    def accuracy(self, task: str, balanced: bool) -> NDArray[np.float64]:
        """Return float64 (draws,): the accuracy, or mean recall of the classes; NaN without a sample of any class."""
        drawn = np.concatenate(self.drawn[task])[:, :-1]
        wrong, right = drawn[:, ::2], drawn[:, 1::2]
        if not balanced:
            wrong, right = wrong.sum(axis=1, keepdims=True), right.sum(axis=1, keepdims=True)
        total = wrong + right
        rates = np.divide(right, total, out=np.full_like(total, np.nan), where=total > 0)
        there = ~np.isnan(rates)
        # A rare class that is missing in a resample does not count in it.
        sums = np.nansum(rates, axis=1)
        means = np.divide(sums, there.sum(axis=1), out=np.full_like(sums, np.nan), where=there.any(axis=1))
        return np.asarray(means, np.float64)


def per_task(figures: Mapping[Key, Measure]) -> dict[str, Measure]:
    """Return the mean over the data sets of every task."""
    tasks = [task for task in TASKS if any(key[1] == task for key in figures)]
    return {task: Measure.mean(m for key, m in figures.items() if key[1] == task) for task in tasks}


def _indices(labels: Sequence[str], task: str) -> NDArray[np.int64]:
    order = {label: index for index, label in enumerate(LABELS[task])} | {"": _UNKNOWN}
    return np.array([order[label] for label in labels], np.int64)
