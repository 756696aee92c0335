"""Figures of several runs on the same rows, drawn again together, so that differences have honest intervals.

Every draw of the bootstrap gives each row of a data set a weight, the same for all runs (Efron and Tibshirani, 1993).
A difference of two runs, a mean over data sets or over tasks is then taken draw by draw.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from facial_attributes_training.data.archive import is_remote
from facial_attributes_training.data.manifest import LABEL_COLUMNS
from facial_attributes_training.data.table_files import read_table
from facial_attributes_training.measure.metrics import BOOTSTRAP_SAMPLES, INTERVAL, Estimate
from numpy.typing import NDArray

from facial_attributes_ros.attributes import LABELS, TASKS
from facial_attributes_ros.errors import UserError

Key = tuple[str, str]
"""Data set and task."""
_UNKNOWN = -1
_DRAWS_AT_ONCE = 8
"""64 bytes a row; more would not be faster."""


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """A figure and what the bootstrap's draws make of it.

    Attributes:
        value: on all rows.
        draws: float64 (draws,).
        rows: tells the rows that it is of from others; differences mean something between figures of the same rows.
    """

    value: float
    draws: NDArray[np.float64]
    rows: str

    @classmethod
    def mean(cls, measures: Iterable[Self]) -> Self:
        """Return the mean of several figures of the same draws."""
        kept = list(measures)
        value, draws = float(np.mean([m.value for m in kept])), np.mean([m.draws for m in kept], axis=0)
        return cls(value, draws, " ".join(sorted(m.rows for m in kept)))

    def __sub__(self, other: "Measure") -> "Measure":
        """Return the difference of two figures.

        Raises:
            ValueError: they are of different rows.
        """
        if self.rows != other.rows:
            raise ValueError("the figures are of different rows")
        return Measure(self.value - other.value, self.draws - other.draws, self.rows)

    @property
    def estimate(self) -> Estimate:
        """The figure with its percentile interval."""
        tail = (1 - INTERVAL) / 2
        low, high = np.nanquantile(self.draws, [tail, 1 - tail])
        return Estimate(self.value, float(low), float(high))


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What a run said of its rows, as `predictions.csv` has it.

    Attributes:
        rows: data set and whole path of every row; the second row of the same path ends in `#1`, and so on.
        truth, predicted: int64 (rows,) per task: class indices; -1 in `truth` where the class is not known.
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
            # Paths are relative to the file they stand in, and runs lie in different folders.
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
        runs: rows that several have are drawn together.
        balanced: take the mean recall of the classes instead.
        seed: of the draws.
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
    """Yield float64 (draws, rows), few at a time: how often a draw has each row; the first draw has each once.

    A thousand draws of all rows at once would take kilobytes a row.
    """
    yield np.ones((1, rows))
    shares = np.full(rows, 1 / rows)
    for start in range(0, BOOTSTRAP_SAMPLES, _DRAWS_AT_ONCE):
        count = min(_DRAWS_AT_ONCE, BOOTSTRAP_SAMPLES - start)
        yield random.multinomial(rows, shares, count).astype(np.float64)


@dataclass(slots=True, eq=False)
class _ClassCounts:
    """How often a run's rows of every class come in each draw, and how often they are predicted right.

    Attributes:
        places: int64 (rows,): where the weights of the run's rows are.
        groups: int64 (rows,) per task: twice the true class, one more where it is predicted; the last for unknown ones.
        rows: per task, tells the rows with a known class from others.
        drawn: float64 (draws, 2 * classes + 1) per task, in parts.
    """

    places: NDArray[np.int64]
    groups: dict[str, NDArray[np.int64]]
    rows: dict[str, str]
    drawn: dict[str, list[NDArray[np.float64]]]

    @classmethod
    def of(cls, run: Outcomes, source: str, names: Mapping[tuple[str, str], int]) -> Self:
        """Return the empty counts of a run's rows of a data set, whose rows have these places."""
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
        """Count the rows of some more draws, float64 (draws, all rows)."""
        for task, groups in self.groups.items():
            size = 2 * len(LABELS[task]) + 1
            counted = [np.bincount(groups, draw[self.places], size) for draw in weights]
            self.drawn[task].append(np.stack(counted))

    def accuracy(self, task: str, balanced: bool) -> NDArray[np.float64]:
        """Return float64 (draws,): the accuracy, or mean recall of the classes; NaN without a row of any class."""
        drawn = np.concatenate(self.drawn[task])[:, :-1]
        wrong, right = drawn[:, ::2], drawn[:, 1::2]
        if not balanced:
            wrong, right = wrong.sum(axis=1, keepdims=True), right.sum(axis=1, keepdims=True)
        total = wrong + right
        shares = np.divide(right, total, out=np.full_like(total, np.nan), where=total > 0)
        there = ~np.isnan(shares)
        # A rare class that a draw leaves out does not count in it.
        sums = np.nansum(shares, axis=1)
        means = np.divide(sums, there.sum(axis=1), out=np.full_like(sums, np.nan), where=there.any(axis=1))
        return np.asarray(means, np.float64)


def per_task(figures: Mapping[Key, Measure]) -> dict[str, Measure]:
    """Return the mean over the data sets of every task."""
    tasks = [task for task in TASKS if any(key[1] == task for key in figures)]
    return {task: Measure.mean(m for key, m in figures.items() if key[1] == task) for task in tasks}


def _indices(labels: Sequence[str], task: str) -> NDArray[np.int64]:
    order = {label: index for index, label in enumerate(LABELS[task])} | {"": _UNKNOWN}
    return np.array([order[label] for label in labels], np.int64)
