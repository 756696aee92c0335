"""Figures of several runs on the same rows, drawn again together, so that differences have honest intervals.

Every draw of the bootstrap gives each row of a data set a weight, the same for all runs (Efron and Tibshirani, 1993).
A difference of two runs, a mean over data sets or over tasks is then taken draw by draw.
"""

import csv
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from facial_attributes_training.archive import is_remote
from facial_attributes_training.manifest import LABEL_COLUMNS
from facial_attributes_training.metrics import BOOTSTRAP_SAMPLES, INTERVAL, Estimate
from numpy.typing import NDArray

from facial_attributes_ros.attributes import LABELS, TASKS
from facial_attributes_ros.errors import UserError

Key = tuple[str, str]
"""Data set and task."""
_UNKNOWN = -1


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
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
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
    except (OSError, KeyError, ValueError) as error:
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
        random = np.random.default_rng([seed, number])
        draws = random.multinomial(len(names), np.full(len(names), 1 / len(names)), BOOTSTRAP_SAMPLES).astype(
            np.float32
        )
        weights = np.concatenate([np.ones((1, len(names)), np.float32), draws])
        for run, figures in zip(runs, found, strict=True):
            mine = [place for place, row in enumerate(run.rows) if row[0] == source]
            places = np.array([names[run.rows[place]] for place in mine], np.int64)
            for task, truth in run.truth.items():
                known = truth[mine] != _UNKNOWN
                if known.any():
                    values = _accuracy(
                        weights[:, places], truth[mine], run.predicted[task][mine], len(LABELS[task]), balanced
                    )
                    rows = hashlib.sha256(np.sort(places[known]).tobytes()).hexdigest()
                    figures[source, task] = Measure(float(values[0]), values[1:], f"{source}/{task}/{rows}")
    return found


def per_task(figures: Mapping[Key, Measure]) -> dict[str, Measure]:
    """Return the mean over the data sets of every task."""
    tasks = [task for task in TASKS if any(key[1] == task for key in figures)]
    return {task: Measure.mean(m for key, m in figures.items() if key[1] == task) for task in tasks}


def _accuracy(
    weights: NDArray[np.float32], truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int, balanced: bool
) -> NDArray[np.float64]:
    """Return float64 (draws,) from weights (draws, rows); draws without a row of any class are NaN."""
    known = truth != _UNKNOWN
    right = known & (truth == predicted)
    groups = [known & (truth == label) for label in range(classes)] if balanced else [known]
    shares = []
    for group in groups:
        if group.any():
            total = weights @ group.astype(np.float32)
            hits = weights @ (group & right).astype(np.float32)
            shares.append(np.divide(hits, total, out=np.full_like(total, np.nan), where=total > 0))
    # A rare class that a draw leaves out does not count in it.
    return np.asarray(np.nanmean(np.stack(shares), axis=0), np.float64)


def _indices(labels: Sequence[str], task: str) -> NDArray[np.int64]:
    order = {label: index for index, label in enumerate(LABELS[task])} | {"": _UNKNOWN}
    return np.array([order[label] for label in labels], np.int64)
