"""One stage of a run: what is trained in it, what is kept of a parent, and its training."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from facial_attributes_training.data.sampling import class_counts, distribution_table
from facial_attributes_training.data.stream_inputs import StreamedCrops
from facial_attributes_training.fit.checkpointing import Progress
from facial_attributes_training.fit.head_start import solve_expression_head
from facial_attributes_training.fit.keeping import Keeper, TwoSteps, home_of
from facial_attributes_training.fit.loop import Inputs, StepReport, Trainer
from facial_attributes_training.fit.losses import CombinedLoss, Objective
from facial_attributes_training.fit.network import Forward, frozen_depth
from facial_attributes_training.fit.parent import learned_classes, train_heads
from facial_attributes_training.fit.plan import Plan, Stage
from facial_attributes_training.fit.preflight import Preflight
from facial_attributes_training.fit.run_data import RunData, Subset
from facial_attributes_training.fit.run_folder import DISTRIBUTION_FILE, LAST
from facial_attributes_training.fit.time_limit import TimeLimit
from facial_attributes_training.recipe.schema import Recipe
from torch import Tensor

from facial_attributes_ros.attributes import AGE
from facial_attributes_ros.files import atomic_target, disk_errors
from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.adaptations.loraplus import parameter_groups
from facial_attributes_ros.models.multitask import MultiTaskModel

ReportFactory = Callable[[tuple[str, ...], Path], StepReport]
"""Makes the report of a stage from its tasks and its folder."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The parts of a run that passed all checks.

    Attributes:
        recipe: the run.
        accelerator: its processes and devices.
        known: what its manifests show.
        plan: its stages.
        model: on the device.
        rows: its samples with their inputs, by use.
        forward: from inputs to logits.
        parent: a copy of the model before it is trained; None if the run continues no model.
    """

    recipe: Recipe
    accelerator: Accelerator
    known: Preflight
    plan: Plan
    model: MultiTaskModel
    rows: Mapping[str, RunData]
    forward: Forward
    parent: MultiTaskModel | None = None


def train_stage(run: Run, stage: Stage, make_report: ReportFactory, limit: TimeLimit, resume: bool) -> Progress:
    """Train one stage; the model is left with its best weights, or those of its last epoch.

    Raises:
        UserError, OutOfTimeError: as `Trainer.fit` raises them.
    """
    recipe, accelerator, report = run.recipe, run.accelerator, StepReport()
    if accelerator.is_main_process:
        _write_distribution(stage, recipe.seed)
        report = make_report(stage.tasks, stage.folder)
    train_only(run, stage.tasks)
    if _starts_expressions(run, stage, resume) and stage.train_expressions is not None:
        # The other processes get its weights when they are joined for training.
        solve_expression_head(run.model, run.forward, run.rows["training"], stage.train_expressions)
    among = _masked(run, stage)
    counts = {task: torch.from_numpy(n) for task, n in class_counts(stage.train_manifest.labels).items()}
    targets = stage.train_expressions
    deviations = None if targets is None else torch.from_numpy(np.nanstd(targets, axis=0))
    loss = CombinedLoss(stage.outputs, recipe.losses, counts, run.plan.ages, deviations, among)
    forward = _of(run.forward, stage.outputs)
    objective = Objective(forward, run.model, loss.to(accelerator.device), _keeper(run, stage, among))
    inputs, groups = _inputs(stage, run.rows), _groups(recipe, run.model)
    return Trainer(recipe, stage, inputs, objective, groups, accelerator, report, limit).fit(resume)


def train_only(run: Run, tasks: Sequence[str]) -> None:
    """Train the heads of some tasks only, if the recipe trains them one after another."""
    if run.recipe.one_after_another:
        train_heads(run.model, tasks, run.known.parent_outputs)


def seed_all(seed: int) -> None:
    """Seed the global random generators."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries use the global generator
    torch.manual_seed(seed)


def _starts_expressions(run: Run, stage: Stage, resume: bool) -> bool:
    """Return whether the head of expressions has to be solved for in this process."""
    fresh = not (resume and (stage.folder / LAST).exists())
    return stage.train_expressions is not None and run.accelerator.is_main_process and fresh


def _masked(run: Run, stage: Stage) -> dict[str, Tensor]:
    """Return bool (classes,) of the classes with samples, for every task whose other classes are masked."""
    if run.parent is None or run.recipe.keep.missing_classes == "keep":
        return {}
    drawn = stage.sampling_weights > 0
    in_classes = [task for task in stage.tasks if not (task == AGE and run.plan.ages is not None)]
    found = {task: learned_classes(stage.train_manifest.labels[task][drawn], task) for task in in_classes}
    return {task: torch.from_numpy(classes) for task, classes in found.items() if not classes.all()}


def _keeper(run: Run, stage: Stage, among: Mapping[str, Tensor]) -> Keeper | None:
    """Return what keeps the parent's predictions; None where there is no parent."""
    if run.parent is None or not run.recipe.keep.weight:
        return None
    moving = any(parameter.requires_grad for parameter in run.model.backbone.parameters())
    names = [name for name in run.known.parent_outputs if moving or name in stage.outputs]
    if not names:
        return None
    depth, recipe = frozen_depth(run.model), run.recipe
    outputs = (*names, *(name for name in stage.outputs if name not in names))
    steps = TwoSteps.of(run.model, recipe, depth, outputs), TwoSteps.of(run.parent, recipe, depth, names)
    return Keeper(*steps, names, home_of(run.parent, names), among, recipe.keep.weight, run.plan.ages is not None)


def _of(forward: Forward, outputs: Sequence[str]) -> Callable[[Tensor], dict[str, Tensor]]:
    return lambda inputs: forward(inputs, outputs)


def _inputs(stage: Stage, rows: Mapping[str, RunData]) -> Inputs:
    train = rows["training"].inputs
    if isinstance(train, StreamedCrops) and stage.accepted is not None:
        train = train.accepting(stage.accepted)
    return Inputs(train, Subset(rows["validation"].inputs, np.flatnonzero(stage.chosen)))


def _groups(recipe: Recipe, model: MultiTaskModel) -> list[dict[str, Any]]:
    """Return the optimiser's parameter groups of the parameters that are trained now."""
    optimiser = recipe.optimiser
    return parameter_groups(
        model,
        Adaptation.from_dict(recipe.adaptation),
        optimiser.lr,
        optimiser.weight_decay,
        optimiser.backbone_rate,
        optimiser.layer_decay,
        pooling_as_head=optimiser.pooling_adapters == "head",
    )


def _write_distribution(stage: Stage, seed: int) -> None:
    labels = stage.train_manifest.labels
    table = distribution_table(labels, stage.draw(seed, 0))
    path = stage.folder / DISTRIBUTION_FILE
    with disk_errors(path), atomic_target(path) as temporary:
        lines = [",".join(table[0])] + [",".join(f"{value}" for value in row.values()) for row in table]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
