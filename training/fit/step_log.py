"""Durations and losses of a stage's steps, averaged over some steps at a time, in a CSV."""

import csv
from pathlib import Path

from facial_attributes_training.data.csv_tables import numbers, read_table
from facial_attributes_training.fit.checkpointing import Progress
from facial_attributes_training.fit.run_folder import STEPS_FILE

from facial_attributes_ros.files import disk_errors


class StepLog:
    """Averages steps and writes a line of means at intervals.

    Args:
        folder: of the stage; lines are appended to the file there.
        every: steps per line; the last line of an epoch may be of fewer.
    """

    def __init__(self, folder: Path, every: int = 20) -> None:
        self._path, self._every = folder / STEPS_FILE, every
        self._clear()

    def add(self, progress: Progress, losses: dict[str, float], rows: int, waited: float, worked: float) -> None:
        """Add one step: its losses, its samples, and the seconds that it waited for data and computed."""
        self._steps += 1
        self._rows += rows
        self._waited += waited
        self._worked += worked
        for task, loss in losses.items():
            self._losses[task] = self._losses.get(task, 0.0) + loss
        if self._steps == self._every:
            self.flush(progress)

    def flush(self, progress: Progress) -> None:
        """Write what has been added since the last line.

        Raises:
            UserError: no space or no write access.
        """
        if not self._steps:
            return
        line = {
            "step": progress.steps,
            "epoch": progress.epoch,
            "data_seconds": f"{self._waited / self._steps:.5f}",
            "step_seconds": f"{self._worked / self._steps:.5f}",
            "rows_per_second": f"{self._rows / max(self._waited + self._worked, 1e-9):.1f}",
            **{f"loss_{task}": f"{loss / self._steps:.5f}" for task, loss in self._losses.items()},
        }
        with disk_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, line, lineterminator="\n")
                if not file.tell():
                    writer.writeheader()
                writer.writerow(line)
        self._clear()

    def _clear(self) -> None:
        self._steps = self._rows = 0
        self._waited = self._worked = 0.0
        self._losses: dict[str, float] = {}


def read_steps(folder: Path) -> dict[str, list[float]]:
    """Return the columns of a stage's log, empty without one.

    Of steps that a resumed run repeated, the later ones count.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / STEPS_FILE
    if not path.is_file():
        return {}
    lines = {}
    for line in read_table(path, ("step",), unfinished=True):
        values = dict(zip(line, numbers(path, line, line), strict=True))
        lines[values["step"]] = values
    ordered = [lines[step] for step in sorted(lines)]
    return {name: [line[name] for line in ordered] for name in ordered[0]} if ordered else {}
