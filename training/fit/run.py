"""A training run from top to bottom: data, network, stages, model folder.

`train` shows the whole: `_prepare` reads the data, plans the stages and builds the network, `_train_stage` trains each
stage, and `results.write_model` calibrates, measures and writes the model.
"""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from facial_attributes_training.data.features import Progress as FeatureProgress
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.data.sampling import class_counts, distribution_table
from facial_attributes_training.data.stream_inputs import StreamedCrops
from facial_attributes_training.fit.checkpointing import Progress
from facial_attributes_training.fit.head_start import solve_expression_head
from facial_attributes_training.fit.loop import Inputs, StepReport, Trainer
from facial_attributes_training.fit.losses import CombinedLoss, Objective
from facial_attributes_training.fit.network import Forward, build_network, forward_from_inputs, frozen_depth
from facial_attributes_training.fit.plan import Plan, Stage, make_plan
from facial_attributes_training.fit.preflight import Preflight, inspect_recipe
from facial_attributes_training.fit.processes import join_processes
from facial_attributes_training.fit.results import RunSplits, write_model
from facial_attributes_training.fit.run_data import RunData, Subset, with_inputs
from facial_attributes_training.fit.run_folder import COMPARED_FILE, DISTRIBUTION_FILE, LAST, check_folder, run_folder
from facial_attributes_training.fit.time_limit import TimeLimit
from facial_attributes_training.prepare.split_overlap import Comparison, compare_splits, warn_of_overlap
from facial_attributes_training.recipe.schema import Recipe
from torch import Tensor

from facial_attributes_ros.files import atomic_target, disk_errors
from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.adaptations.loraplus import parameter_groups
from facial_attributes_ros.models.multitask import MultiTaskModel

_LOGGER = logging.getLogger(__name__)

ReportFactory = Callable[[tuple[str, ...], Path], StepReport]
"""Makes the report of a stage from its tasks and its folder."""


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """What the report of a finished run needs beside the run's files.

    Attributes:
        notes: sentences that a reader should see first.
        overlap: how the measured samples overlap with the training samples, in words; None if it was not measured.
        splits: the samples of each split.
    """

    notes: Sequence[str]
    overlap: str | None
    splits: Mapping[str, Manifest]


ReportWriter = Callable[[Recipe, RunRecord], object]
"""Writes the report of a finished run."""


def train(
    recipe: Recipe,
    resume: bool = False,
    make_report: ReportFactory = lambda _tasks, _folder: StepReport(),
    feature_progress: FeatureProgress | None = None,
    minutes: float | None = None,
    write_report: ReportWriter = lambda _recipe, _record: None,
) -> Path:
    """Train a recipe and return the folder of the finished model.

    Args:
        recipe: the run.
        resume: resume from the last checkpoint, if there is one.
        make_report: makes the progress report of each stage.
        feature_progress: called with the number of images whose features are computed, and of all.
        minutes: after which the run stops, between two steps; calibration and measurement are not interrupted.
        write_report: writes the report of the finished run.

    Raises:
        UserError: the data, the recipe, the disk or the loss are at fault; the message says what to do.
        OutOfTimeError: the time is up; a checkpoint is written, from which the run can be resumed.
    """
    limit = TimeLimit(minutes)
    run = _prepare(recipe, resume, join_processes(recipe.precision), feature_progress)
    # Nothing is written to the run's folder before this line, so a recipe that can't be trained leaves none.
    with run_folder(recipe, resume, run.accelerator):
        compared = None
        if run.accelerator.is_main_process:
            run.known.provenance.write(recipe.folder)
            compared = _compare(recipe, run.rows, feature_progress)
        run.accelerator.wait_for_everyone()
        unreadable: set[int] = set()
        for stage in run.plan.stages:
            unreadable.update(_train_stage(run, stage, make_report, limit, resume).skipped)
        _train_only(run.model, recipe.tasks, recipe)
        folder = recipe.folder / "model"
        if run.accelerator.is_main_process:
            write_model(folder, recipe, run.model, run.forward, run.rows, run.known.provenance, run.plan.ages)
            write_report(recipe, _record(run, compared, len(unreadable)))
        run.accelerator.wait_for_everyone()
    return folder


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """The parts of a run that passed all checks.

    Attributes:
        recipe: the run.
        accelerator: its processes and devices.
        known: what its manifests show.
        plan: its stages.
        model: on the device.
        rows: its samples with their inputs.
        forward: from inputs to logits.
    """

    recipe: Recipe
    accelerator: Accelerator
    known: Preflight
    plan: Plan
    model: MultiTaskModel
    rows: RunSplits
    forward: Forward


def _prepare(recipe: Recipe, resume: bool, accelerator: Accelerator, progress: FeatureProgress | None) -> _Run:
    """Read the data, check the run, build the network, and compute the features of the frozen part if they are cached.

    Raises:
        UserError: the run can't be trained, or not into its folder.
    """
    check_folder(recipe, resume)
    known = inspect_recipe(recipe)
    for sentence in known.gaps if accelerator.is_main_process else ():
        _LOGGER.warning(sentence)
    # Every check that needs no network comes before it is built.
    plan = make_plan(recipe, known.rows, accelerator.num_processes)
    _seed(recipe.seed)
    model = build_network(recipe)
    plan = plan.for_model(model)
    check_folder(recipe, resume, {stage.folder: stage.fingerprint for stage in plan.stages}, model)
    model.to(accelerator.device)
    depth = frozen_depth(model)
    rows = _rows(recipe, plan, model, depth, accelerator, progress)
    return _Run(recipe, accelerator, known, plan, model, rows, forward_from_inputs(model, recipe, depth))


def _rows(
    recipe: Recipe,
    plan: Plan,
    model: MultiTaskModel,
    depth: int | None,
    accelerator: Accelerator,
    progress: FeatureProgress | None,
) -> RunSplits:
    """Return the samples of a run with their inputs."""
    found: dict[str, RunData] = {}
    # One process computes the features, the others read them from disk.
    with accelerator.main_process_first():
        for name, samples in plan.rows.items():
            found[name] = with_inputs(recipe, samples, model.backbone, depth, name == "training", progress)
    return RunSplits(found["training"], found["validation"], plan.half, found.get("test"))


def _inputs(stage: Stage, rows: RunSplits) -> Inputs:
    train = rows.training.inputs
    if isinstance(train, StreamedCrops) and stage.accepted is not None:
        train = train.accepting(stage.accepted)
    return Inputs(train, Subset(rows.validation.inputs, np.flatnonzero(stage.chosen)))


def _compare(recipe: Recipe, rows: RunSplits, progress: FeatureProgress | None) -> Comparison:
    """Compare the splits of a run with one another, and warn of overlaps."""
    data = recipe.data
    files = [wanted.manifest for wanted in (*data.train, *data.validation, *data.test)]
    splits, measured = rows.splits()
    compared = compare_splits(splits, measured, files, recipe.folder / COMPARED_FILE, recipe.workers, progress)
    warn_of_overlap(compared.notes)
    return compared


def _record(run: _Run, compared: Comparison | None, unreadable: int) -> RunRecord:
    notes = [*run.known.gaps, *(compared.notes if compared else ())]
    if unreadable:
        notes.append(f"{unreadable} training samples were skipped, since their images could not be read (see the log).")
    return RunRecord(notes, None if compared is None else compared.summary, run.rows.manifests())


def _train_stage(run: _Run, stage: Stage, make_report: ReportFactory, limit: TimeLimit, resume: bool) -> Progress:
    recipe, accelerator, report = run.recipe, run.accelerator, StepReport()
    if accelerator.is_main_process:
        _write_distribution(stage, recipe.seed)
        report = make_report(stage.tasks, stage.folder)
    _train_only(run.model, stage.tasks, recipe)
    targets = stage.train_expressions
    if targets is not None and accelerator.is_main_process and not (resume and (stage.folder / LAST).exists()):
        # The other processes get its weights when they are joined for training.
        solve_expression_head(run.model, run.forward, run.rows.training, targets)
    counts = {task: torch.from_numpy(n) for task, n in class_counts(stage.train_manifest.labels).items()}
    deviations = None
    if targets is not None:
        deviations = torch.from_numpy(np.nanstd(targets, axis=0))
    loss = CombinedLoss(stage.outputs, recipe.losses, counts, run.plan.ages, deviations).to(accelerator.device)
    objective = Objective(_for_tasks(run.forward, stage.outputs), run.model, loss)
    inputs, groups = _inputs(stage, run.rows), _groups(recipe, run.model)
    return Trainer(recipe, stage, inputs, objective, groups, accelerator, report, limit).fit(resume)


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


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries use the global generator
    torch.manual_seed(seed)


def _for_tasks(forward: Forward, tasks: Sequence[str]) -> Callable[[Tensor], dict[str, Tensor]]:
    return lambda inputs: forward(inputs, tasks)


def _train_only(model: MultiTaskModel, tasks: Sequence[str], recipe: Recipe) -> None:
    if recipe.one_after_another:
        for task, head in model.heads.items():
            head.requires_grad_(task in tasks)


def _write_distribution(stage: Stage, seed: int) -> None:
    labels = stage.train_manifest.labels
    table = distribution_table(labels, stage.draw(seed, 0))
    path = stage.folder / DISTRIBUTION_FILE
    with disk_errors(path), atomic_target(path) as temporary:
        lines = [",".join(table[0])] + [",".join(f"{value}" for value in row.values()) for row in table]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
