"""The progress of a run: a bar, a line per epoch, TensorBoard logs, and CSVs of losses and durations."""

import csv
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from facial_attributes_training.fit.checkpointing import Progress
from facial_attributes_training.fit.loop import StepReport
from facial_attributes_training.fit.run_folder import HISTORY_FILE
from facial_attributes_training.fit.step_log import StepLog
from torch.utils.tensorboard import SummaryWriter

from facial_attributes_ros.files import atomic_target, disk_errors
from facial_attributes_ros.progress import ProgressBar

_LOG_EVERY = 20


def _summary(task: str, figures: dict[str, float]) -> str:
    if f"loss_{task}" not in figures:
        return f"{task} not validated"
    if f"error_{task}" in figures:
        return f"{task} MAE {figures[f'error_{task}']:.2f} years"
    return f"{task} {figures[f'accuracy_{task}']:.1%} ({figures[f'balanced_accuracy_{task}']:.1%} balanced accuracy)"


class RunReport(StepReport):
    """Reports a stage to the terminal, to TensorBoard, `history.csv` and `steps.csv`; only the first process does.

    Args:
        tasks: of the stage.
        folder: of the stage.
    """

    def __init__(self, tasks: tuple[str, ...], folder: Path) -> None:
        self._tasks, self._folder = tasks, folder
        self._active = int(os.environ.get("RANK", "0")) == 0
        self._writer = SummaryWriter(str(folder / "tensorboard")) if self._active else None
        self._log = StepLog(folder, _LOG_EVERY)
        self._bar = ProgressBar("steps")
        self._waited = self._worked = 0.0

    def start_epoch(self, progress: Progress, steps: int) -> None:
        """Show a bar for the epoch's steps."""
        if self._active:
            self._bar = ProgressBar("steps", title=f"{'+'.join(self._tasks)}, epoch {progress.epoch + 1}")
            self._bar(progress.step, steps)
            self._waited = self._worked = 0.0

    def step(self, progress: Progress, losses: dict[str, float], rows: int, waited: float, worked: float) -> None:
        """Move the bar, and log losses, rate and the time spent on data."""
        if self._writer is None:
            return
        self._waited += waited
        self._worked += worked
        self._log.add(progress, losses, rows, waited, worked)
        self._bar.advance()
        if progress.steps % _LOG_EVERY:
            return
        rate = rows / max(waited + worked, 1e-9)
        shown = {task: f"{loss:.3f}" for task, loss in losses.items()}
        self._bar.note({**shown, "images/s": f"{rate:.0f}", "data": f"{self._share():.0%}"})
        times = {"seconds/data": waited, "seconds/step": worked, "images per second": rate}
        self._show({f"loss/{task}": loss for task, loss in losses.items()} | times, progress.steps)

    def epoch(self, progress: Progress, lr: float) -> None:
        """Write the epoch's figures to the terminal, TensorBoard and the CSV."""
        if self._writer is None:
            return
        self._bar.close()
        self._log.flush(progress)
        figures = progress.history[-1]
        self._show({f"epoch/{name}": value for name, value in (figures | {"lr": lr}).items()}, progress.epoch, True)
        metrics = [_summary(task, figures) for task in self._tasks]
        best = ", the best so far" if progress.best_epoch == progress.epoch else ""
        sys.stderr.write(
            f"epoch {progress.epoch + 1}: validation loss {figures['loss']:.4f}{best}; {', '.join(metrics)}; "
            f"data {self._waited:.1f} s, steps {self._worked:.1f} s\n"
        )
        self._write_history(progress)

    def _show(self, scalars: Mapping[str, float], place: int, flush: bool = False) -> None:
        """Hand numbers to TensorBoard, whose thread raises here what it met on the disk."""
        if self._writer is None:
            return
        with disk_errors(self._folder):
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, place)
            if flush:
                self._writer.flush()

    def _share(self) -> float:
        return self._waited / max(self._waited + self._worked, 1e-9)

    def _write_history(self, progress: Progress) -> None:
        path = self._folder / HISTORY_FILE
        names = list(dict.fromkeys(name for row in progress.history for name in row))
        with disk_errors(path), atomic_target(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(progress.history)
