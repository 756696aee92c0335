"""The training loop: one stage of a recipe, on any number of processes, resumable at any step."""

import logging
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from facial_attributes_training.data.datasets import Batch, EpochBatches, Sample
from facial_attributes_training.data.loading import drawn_batches, worker_errors
from facial_attributes_training.data.stream_inputs import StreamedCrops, StreamPlan
from facial_attributes_training.fit.checkpointing import (
    Progress,
    load_checkpoint,
    random_states,
    restore_random_states,
    save_checkpoint,
)
from facial_attributes_training.fit.losses import CombinedLoss, Objective, known_rows
from facial_attributes_training.fit.plan import Stage
from facial_attributes_training.fit.processes import anywhere
from facial_attributes_training.fit.run_folder import BEST, LAST
from facial_attributes_training.fit.schedule import Schedule
from facial_attributes_training.fit.time_limit import OutOfTimeError, TimeLimit
from facial_attributes_training.fit.validation import Validation, validate
from facial_attributes_training.recipe.schema import Recipe
from torch import Tensor
from torch.utils.data import Dataset

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import disk_errors
from facial_attributes_ros.models.adaptations.ladder import trained_tensors

BROKEN_BATCH = "broken-batch.csv"
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of a stage.

    Attributes:
        train: inputs of training samples, or a stream that they are accepted from.
        validation: inputs of the stage's validation samples.
    """

    train: Dataset[Sample]
    validation: Dataset[Sample]


class Trainer:
    """Trains one stage.

    Args:
        recipe: the run.
        stage: its data and tasks.
        inputs: of the stage's samples.
        objective: model and loss.
        groups: parameter groups of the optimiser.
        accelerator: the processes and devices.
        report: called after every step and every epoch.
        limit: time limit, after which the run stops between two steps.
    """

    def __init__(
        self,
        recipe: Recipe,
        stage: Stage,
        inputs: Inputs,
        objective: Objective,
        groups: list[dict[str, Any]],
        accelerator: Accelerator,
        report: "StepReport",
        limit: TimeLimit,
    ) -> None:
        self.limit, self.inputs = limit, inputs
        self.recipe, self.stage, self.accelerator, self.report = recipe, stage, accelerator, report
        if recipe.losses.combine == "uncertainty":
            groups = [*groups, _variance_group(objective.loss, recipe)]
        self.objective = objective
        self.optimizer = torch.optim.AdamW(groups)
        self.schedule = Schedule(self.optimizer, recipe.schedule, recipe.epochs)
        self.progress = Progress()
        self.scaler = accelerator.scaler  # only in float16
        self._saved_at = time.monotonic()
        # The loader and the schedule are not prepared: batches are divided and resumed by step, see `EpochBatches`.
        self.wrapped, self.prepared = accelerator.prepare(objective, self.optimizer)

    def fit(self, resume: bool) -> Progress:
        """Train to the end and leave the weights of the best epoch in the model.

        Raises:
            UserError: the disk is full, the loss is not finite, the checkpoint is of another run, or a worker was
                killed.
            OutOfTimeError: the time is up, and a checkpoint is written.
        """
        with worker_errors():
            return self._fit(resume)

    def _fit(self, resume: bool) -> Progress:
        last = self.stage.folder / LAST
        if resume and last.exists():
            self._load(load_checkpoint(last, self.stage.fingerprint))
        while not self.progress.finished:
            self._train_epoch()
            self._end_epoch(self._validate())
            if not self.progress.finished and any(anywhere(self.accelerator, self.limit.is_up)):
                raise OutOfTimeError
        if not self.stage.keeps_last:
            best = load_checkpoint(self.stage.folder / BEST, self.stage.fingerprint)
            _load_trained(self.objective, best["model"])
        return self.progress

    def _train_epoch(self) -> None:
        progress, recipe = self.progress, self.recipe
        loader, steps = self._loader()
        self.wrapped.train()
        self.report.start_epoch(progress, steps)
        waited = time.perf_counter()
        for parts in _grouped(iter(loader), recipe.accumulate):
            started = time.perf_counter()
            self.schedule.before_step(progress.epoch + progress.step / steps)
            means = self._step(parts)
            progress.step += 1
            progress.steps += 1
            now = time.perf_counter()
            self.report.step(progress, means, recipe.batch_size, started - waited, now - started)
            due = time.monotonic() - self._saved_at >= recipe.checkpoint_minutes * 60
            # Every process has its own clock, but all save together.
            up, due = anywhere(self.accelerator, self.limit.is_up, due)
            if up or due:
                self._save()
            if up:
                raise OutOfTimeError
            waited = time.perf_counter()

    def _loader(self) -> tuple[Iterable[Batch], int]:
        """Return this process's remaining batches of the epoch, and the steps of the whole epoch."""
        stage, recipe, accelerator, epoch = self.stage, self.recipe, self.accelerator, self.progress.epoch
        place = (accelerator.process_index, accelerator.num_processes, self.progress.step)
        pinned = accelerator.device.type == "cuda"
        if isinstance(self.inputs.train, StreamedCrops):
            plan = StreamPlan(epoch, stage.epoch_rows, recipe.batch_size, recipe.accumulate, *place)
            return self.inputs.train.batches(plan, recipe.workers, pinned), plan.steps
        rows = stage.draw(recipe.seed, epoch)
        batches = EpochBatches(rows, epoch, recipe.batch_size, recipe.accumulate, *place)
        return drawn_batches(self.inputs.train, batches, recipe.workers, pinned), batches.steps

    def _step(self, parts: list[Batch]) -> dict[str, float]:
        """Make one optimiser step and return its mean loss per task."""
        stage, device = self.stage, self.accelerator.device
        tasks, years, expressions = stage.outputs, self.recipe.age_in_years, stage.train_expressions
        labels = [part.labels(stage.train_manifest, stage.tasks, years, expressions) for part in parts]
        known = torch.tensor([[float(known_rows(part[task]).sum()) for task in tasks] for part in labels]).sum(0)
        counts = self.accelerator.reduce(known.to(device), "sum")
        total = torch.zeros(len(tasks), device=device)
        for number, (part, truth) in enumerate(zip(parts, labels, strict=True)):
            self._note_unreadable(part)
            with self._synchronised(number == len(parts) - 1), self.accelerator.autocast():
                inputs = part.inputs.to(device, non_blocking=True)
                truth = {task: column.to(device, non_blocking=True) for task, column in truth.items()}
                loss, sums = self.wrapped(inputs, truth, counts, 1 / (len(parts) * self.accelerator.num_processes))
                # Gradients are averaged over the processes; the sums were divided by the number of all samples.
                self.accelerator.backward(loss * self.accelerator.num_processes)
            total += sums
        total = self.accelerator.reduce(total, "sum")
        means = total / counts.clamp(min=1)
        if not bool(torch.isfinite(means).all()):
            self._stop_for(parts, means)
        clip = self.recipe.optimiser.clip
        norm = self.accelerator.clip_grad_norm_(self.wrapped.parameters(), math.inf if clip is None else clip)
        # In half precision the scaler skips steps whose gradients are too large.
        if self.scaler is None and norm is not None and not bool(torch.isfinite(norm)):
            self._stop_for(parts, means)
        self.prepared.step()
        self.prepared.zero_grad()
        self.objective.loss.note(means, counts)
        self._add_up(total, counts)
        return dict(zip(tasks, means.tolist(), strict=True))

    def _synchronised(self, last: bool) -> Any:
        """Return a context in which gradients are synchronised only with the last part of a step."""
        return nullcontext() if last else self.accelerator.no_sync(self.wrapped)

    def _add_up(self, total: Tensor, counts: Tensor) -> None:
        for task, loss, count in zip(self.stage.outputs, total.tolist(), counts.tolist(), strict=True):
            sums = self.progress.totals.setdefault(task, [0.0, 0.0])
            sums[0] += loss
            sums[1] += count

    def _note_unreadable(self, part: Batch) -> None:
        for error in part.errors:
            _LOGGER.warning("An image is skipped: %s", error)
        self.progress.skipped += part.rows[~part.usable].tolist()

    def _stop_for(self, parts: list[Batch], means: Tensor) -> None:
        path = self.stage.folder / f"{self.accelerator.process_index}-{BROKEN_BATCH}"
        paths = self.stage.train_manifest.paths
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"{row},{paths[row]}" for part in parts for row in part.rows.tolist()]
            text = "\n".join(["row,path", *lines])
            path.write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")
        losses = ", ".join(f"{task} {mean:g}" for task, mean in zip(self.stage.outputs, means.tolist(), strict=True))
        raise UserError(
            f"the loss or its gradient is no longer finite ({losses}) in epoch {self.progress.epoch + 1}, "
            f"step {self.progress.step + 1}; the samples of the batch are in {path}. Repair these images and "
            "continue with --resume from the last checkpoint, or start again with a lower optimiser.lr or an "
            "optimiser.clip and another output."
        )

    def _validate(self) -> Validation:
        self.wrapped.eval()
        stage, rows = self.stage, np.arange(len(self.stage.validation_manifest))
        accelerator = self.accelerator
        batches = EpochBatches(
            rows, 0, 256, rank=accelerator.process_index, processes=accelerator.num_processes, keep_rest=True
        )
        loader = drawn_batches(self.inputs.validation, batches, self.recipe.workers, accelerator.device.type == "cuda")
        targets = stage.validation_expressions
        return validate(self.objective, loader, stage.validation_manifest, stage.tasks, accelerator, targets)

    def _end_epoch(self, validation: Validation) -> None:
        progress, recipe = self.progress, self.recipe
        if not math.isfinite(validation.loss):
            raise UserError(
                f"the validation loss of epoch {progress.epoch + 1} is not finite, so the epoch is not saved: "
                "start again with a lower optimiser.lr or an optimiser.clip and another output."
            )
        if not any(rows for _, rows in progress.totals.values()):
            raise UserError("none of the training images of an epoch could be read; see the log above.")
        losses = {f"train_loss_{task}": loss / max(rows, 1) for task, (loss, rows) in progress.totals.items()}
        progress.history.append({"epoch": progress.epoch, **losses, **validation.figures()})
        if validation.loss < progress.best:
            progress.best, progress.best_epoch = validation.loss, progress.epoch
            self._write(BEST, {"fingerprint": self.stage.fingerprint, "model": _trained(self.objective)})
        self.schedule.after_epoch(validation.loss)
        self.report.epoch(progress, self.optimizer.param_groups[0]["lr"])
        waited = progress.epoch - progress.best_epoch
        progress.epoch, progress.step, progress.totals = progress.epoch + 1, 0, {}
        early = recipe.early_stopping is not None and not self.stage.keeps_last and waited >= recipe.early_stopping
        progress.finished = early or progress.epoch >= recipe.epochs
        self._save()

    def _save(self) -> None:
        """Write the last checkpoint, from which `_load` resumes exactly."""
        content = {
            "fingerprint": self.stage.fingerprint,
            "model": _trained(self.objective),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler else {},
            "progress": self.progress.state(),
            "random": self._gathered_random_states(),
        }
        self._write(LAST, content)
        self._saved_at = time.monotonic()

    def _gathered_random_states(self) -> list[Any]:
        return list(gather_object([random_states()]))

    def _write(self, name: str, content: dict[str, Any]) -> None:
        if self.accelerator.is_main_process:
            save_checkpoint(self.stage.folder / name, content)
        self.accelerator.wait_for_everyone()

    def _load(self, content: dict[str, Any]) -> None:
        _load_trained(self.objective, content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.schedule.load_state_dict(content["schedule"])
        if self.scaler and content["scaler"]:
            self.scaler.load_state_dict(content["scaler"])
        self.progress = Progress(**content["progress"])
        states = content["random"]
        if len(states) == self.accelerator.num_processes:
            restore_random_states(states[self.accelerator.process_index])
        else:
            _LOGGER.warning("The run was stopped with %d processes; dropout differs from now on.", len(states))


class StepReport:
    """Reports the progress of a stage; the base class does nothing."""

    def start_epoch(self, progress: Progress, steps: int) -> None:
        """An epoch with this number of steps starts or is resumed."""

    def step(self, progress: Progress, losses: dict[str, float], rows: int, waited: float, worked: float) -> None:
        """A step is finished: its losses, its samples, and the seconds that it waited for data and computed."""

    def epoch(self, progress: Progress, lr: float) -> None:
        """An epoch is finished; its metrics are the last of the history."""


def _variance_group(loss: CombinedLoss, recipe: Recipe) -> dict[str, Any]:
    # These are few, start at 0 and must reach the losses' scale within the run, so their rate is ten times as high.
    return {"name": "loss", "params": [loss.log_variances], "lr": recipe.optimiser.lr * 10, "weight_decay": 0.0}


def _grouped(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    while group := [batch for _, batch in zip(range(size), batches, strict=False)]:
        yield group


def _trained(objective: Objective) -> dict[str, Tensor]:
    """Return copies of all that training changes, on the CPU: trained parameters, and buffers beside them."""
    state = {f"model.{name}": value for name, value in trained_tensors(objective.model).items()}
    state |= {f"loss.{name}": value for name, value in objective.loss.state_dict().items()}
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def _load_trained(objective: Objective, tensors: dict[str, Tensor]) -> None:
    missing = objective.load_state_dict(tensors, strict=False).unexpected_keys
    if missing or not math.isfinite(sum(float(value.float().sum()) for value in tensors.values())):
        raise UserError(f"the checkpoint does not fit the model: {', '.join(missing) or 'its numbers are not finite'}.")
