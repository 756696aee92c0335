"""A whole training run: data, model, stages, and the model folder at the end."""

import hashlib
import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs
from facial_attributes_training.checkpointing import Progress
from facial_attributes_training.features import Progress as FeatureProgress
from facial_attributes_training.loop import LAST, Objective, Stage, StepReport, Trainer
from facial_attributes_training.losses import CombinedLoss
from facial_attributes_training.manifest import Manifest
from facial_attributes_training.network import Forward, build_network, forward_from_inputs, frozen_depth
from facial_attributes_training.outlook import look_ahead
from facial_attributes_training.recipe import Recipe
from facial_attributes_training.regression import training_ages
from facial_attributes_training.results import RunRows, write_model
from facial_attributes_training.run_data import Rows, Subset, read_rows, warn_of_shared_pictures
from facial_attributes_training.run_files import DISTRIBUTION_FILE, RECIPE_FILE, stage_folder
from facial_attributes_training.sampling import class_counts, distribution_table, reference_sampling, row_probabilities
from facial_attributes_training.stream_inputs import StreamedCrops
from facial_attributes_training.streaming import acceptance
from facial_attributes_training.subsets import first_half
from facial_attributes_training.time_limit import TimeLimit
from numpy.typing import NDArray
from torch import Tensor

from facial_attributes_ros.attributes import MISSING
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors
from facial_attributes_ros.models.adaptation import Adaptation
from facial_attributes_ros.models.loraplus import parameter_groups
from facial_attributes_ros.models.multitask import MultiTaskModel
from facial_attributes_ros.models.regression import AgeRegression

_LOGGER = logging.getLogger(__name__)
_PATIENCE = timedelta(days=1)
"""How long processes wait for one that computes features or writes the model."""
_PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}

ReportFactory = Callable[[tuple[str, ...], Path], StepReport]
"""Makes the report of a stage from its tasks and its folder."""


def train(
    recipe: Recipe,
    resume: bool = False,
    make_report: ReportFactory = lambda _tasks, _folder: StepReport(),
    feature_progress: FeatureProgress | None = None,
    minutes: float | None = None,
) -> Path:
    """Train as a recipe says and return the folder of the finished model.

    Args:
        recipe: the run.
        resume: go on from the last checkpoint, if there is one.
        make_report: makes what is told of each stage.
        feature_progress: told how far the features are.
        minutes: after which the run stops, between two steps; what comes behind the last epoch is not cut short.

    Raises:
        UserError: the data, the recipe, the disk or the loss are in the way; the message says what to do.
        OutOfTimeError: the minutes are over; a checkpoint is written, and the run goes on when it is resumed.
    """
    limit = TimeLimit(minutes)
    accelerator = _accelerator(recipe)
    # First, so that what the labels lack is told before anything is computed or written.
    outlook = look_ahead(recipe)
    if accelerator.is_main_process:
        for sentence in outlook.gaps:
            _LOGGER.warning(sentence)
    _start_folder(recipe, resume, accelerator)
    if accelerator.is_main_process:
        outlook.papers.write(recipe.folder)
    _seed(recipe.seed)
    model = build_network(recipe).to(accelerator.device)
    depth = frozen_depth(model)
    # One process computes the features, the others find them on disk.
    with accelerator.main_process_first():
        training = read_rows(recipe, recipe.data.train, model.backbone, depth, True, feature_progress)
        validation = read_rows(recipe, recipe.data.validation, model.backbone, depth, False, feature_progress)
        tested = recipe.data.test
        test = read_rows(recipe, tested, model.backbone, depth, False, feature_progress) if tested else None
    shared = warn_of_shared_pictures(recipe, training.manifest, validation.manifest)
    forward = forward_from_inputs(model, recipe, depth)
    half = first_half(validation.manifest) if test is None else np.ones(len(validation.manifest), np.bool_)
    if test is None and half.all():
        _LOGGER.warning(
            "Every data set of the validation rows has a single picture, or pictures of a single person, so none can "
            "be kept for figures: all of them choose the epoch and fit. Give data.test to have figures."
        )
    ages = training_ages(training.manifest) if recipe.age_in_years else None
    unreadable: set[int] = set()
    for tasks in recipe.stages:
        stage = _stage(recipe, tasks, training, validation, half)
        if accelerator.is_main_process:
            _write_distribution(stage, recipe.seed)
        report = make_report(tasks, stage.folder)
        progress = _train_stage(recipe, stage, model, forward, accelerator, report, limit, ages, resume)
        unreadable.update(progress.skipped)
    _train_only(model, recipe.tasks, recipe)
    folder = recipe.folder / "model"
    if accelerator.is_main_process:
        rows = RunRows(training, validation, half, test)
        write_model(folder, recipe, model, forward, rows, outlook.papers, ages)
        _write_report(recipe, [*outlook.gaps, *_notes(shared, len(unreadable))], rows.manifests())
    accelerator.wait_for_everyone()
    return folder


def _notes(shared: int, unreadable: int) -> list[str]:
    notes = [f"{shared} validation rows show pictures that were trained on."] if shared else []
    if unreadable:
        notes.append(f"{unreadable} training rows were passed over, as their pictures could not be read (see the log).")
    return notes


def _write_report(recipe: Recipe, notes: Sequence[str], splits: Mapping[str, Manifest]) -> None:
    try:
        from facial_attributes_training.age_plots import write_age_plots
        from facial_attributes_training.run_summary import write_run_report
    except ModuleNotFoundError as error:
        # A machine that is lent to train on may have no more than training needs.
        _LOGGER.warning("No report is written, since %s is missing.", error.name)
        return
    write_age_plots(recipe.folder, splits)
    write_run_report(recipe, notes)


def _train_stage(
    recipe: Recipe,
    stage: Stage,
    model: MultiTaskModel,
    forward: Forward,
    accelerator: Accelerator,
    report: StepReport,
    limit: TimeLimit,
    ages: AgeRegression | None,
    resume: bool,
) -> Progress:
    _train_only(model, stage.tasks, recipe)
    counts = {task: torch.from_numpy(n) for task, n in class_counts(stage.train_manifest.labels).items()}
    loss = CombinedLoss(stage.tasks, recipe.losses, counts, ages).to(accelerator.device)
    optimiser = recipe.optimiser
    adaptation = Adaptation.from_dict(recipe.adaptation)
    groups = parameter_groups(
        model,
        adaptation,
        optimiser.lr,
        optimiser.weight_decay,
        optimiser.backbone_rate,
        optimiser.layer_decay,
        pooling_as_head=optimiser.pooling_adapters == "head",
    )
    objective = Objective(_for_tasks(forward, stage.tasks), model, loss)
    return Trainer(recipe, stage, objective, groups, accelerator, report, limit).fit(resume)


def _accelerator(recipe: Recipe) -> Accelerator:
    # What an earlier run in this process set up is for its own precision only; the process group stays.
    AcceleratorState._reset_state()
    return Accelerator(
        mixed_precision=_PRECISIONS[recipe.precision],
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
    )


def _start_folder(recipe: Recipe, resume: bool, accelerator: Accelerator) -> None:
    path = recipe.folder / RECIPE_FILE
    if path.exists() and not resume:
        raise UserError(
            f"{recipe.folder} holds a run already: give --resume to go on with it, or --set output=FOLDER for another."
        )
    folders = {stage_folder(recipe, tasks) for tasks in recipe.stages}
    stages = {last.parent for last in recipe.folder.glob(f"*/{LAST}")}
    if stages - folders:
        names = ", ".join(sorted(folder.name for folder in stages - folders))
        raise UserError(
            f"{recipe.folder} holds a run of another recipe, with the stages {names}: give the same one, or --set "
            "output=FOLDER for another."
        )
    accelerator.wait_for_everyone()
    begun = bool(stages)
    if accelerator.is_main_process and not (begun and path.exists()):
        with disk_errors(path), atomic_target(path) as temporary:
            temporary.write_text(recipe.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for what libraries draw from the global generator
    torch.manual_seed(seed)


def _for_tasks(forward: Forward, tasks: Sequence[str]) -> Callable[[Tensor], dict[str, Tensor]]:
    return lambda inputs: forward(inputs, tasks)


def _stage(recipe: Recipe, tasks: tuple[str, ...], train: Rows, validation: Rows, half: NDArray[np.bool_]) -> Stage:
    labels = {task: train.manifest.labels[task] for task in tasks}
    chosen = half & np.any([validation.manifest.labels[task] != MISSING for task in tasks], axis=0)
    if not chosen.any():
        raise UserError(f"no validation row has a label of {', '.join(tasks)}, so no epoch can be chosen.")
    sampler = recipe.sampler
    manifest = replace(train.manifest, labels=labels)
    chances, epoch_rows = _sampling(recipe, manifest, train.weights)
    inputs = train.inputs
    if isinstance(inputs, StreamedCrops):
        accepted = acceptance(chances, sampler.stream_share)
        inputs, epoch_rows, chances = inputs.accepting(accepted), max(int(accepted.sum()), 1), accepted / accepted.sum()
    return Stage(
        tasks=tasks,
        train=inputs,
        validation=Subset(validation.inputs, np.flatnonzero(chosen)),
        train_manifest=manifest,
        validation_manifest=validation.manifest.take(chosen),
        chances=chances,
        epoch_rows=sampler.epoch_rows or epoch_rows,
        folder=stage_folder(recipe, tasks),
        purpose=_purpose(recipe, tasks, train, validation),
        independent_draws=sampler.name == "reference",
    )


def _sampling(recipe: Recipe, manifest: Manifest, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Return the sampling weight of every row of a stage, float64 (rows,) with sum 1, and the rows of an epoch."""
    sampler, labels = recipe.sampler, manifest.labels
    several = len(labels) > 1
    if sampler.name == "reference":
        chances, epoch_rows = reference_sampling(labels, recipe.seed)
        if not several:  # a task of its own is learned from its rows alone
            labelled = next(iter(labels.values())) != MISSING
            chances, epoch_rows = np.where(labelled, chances, 0), int(labelled.sum())
        chances = chances * weights
        return chances / chances.sum(), epoch_rows
    # A mapping by task names, which a type checker would not take for one by texts.
    balance = sampler.balance if isinstance(sampler.balance, float) else {str(k): v for k, v in sampler.balance.items()}
    chances = row_probabilities(
        labels,
        balance,
        sampler.emotion_share if several else None,
        weights,
        _column(manifest, sampler.within),
        sampler.emotion_draws if several else None,
    )
    return chances, int((chances > 0).sum())


def _purpose(recipe: Recipe, tasks: tuple[str, ...], train: Rows, validation: Rows) -> str:
    """Return a hash of everything that a stage's course depends on."""
    set_fields = {"__all__": {"address", "licence"}}
    unimportant: dict[str, Any] = dict.fromkeys(("output", "checkpoint_minutes", "licence", "version"), True)
    unimportant["data"] = {"train": set_fields, "validation": set_fields}
    if not isinstance(train.inputs, StreamedCrops):
        # The readers of a stream share its shards, so the order of its rows hangs on their number.
        unimportant |= {"workers": True, "sampler": {"stream_share"}}
    digest = hashlib.sha256(json.dumps([recipe.model_dump(mode="json", exclude=unimportant), tasks]).encode())
    labels = [train.manifest.labels[task] for task in tasks]
    for column in (train.manifest.paths, validation.manifest.paths, *labels):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def _column(manifest: Manifest, name: str | None) -> NDArray[np.str_] | None:
    if name is not None and name not in manifest.extra:
        raise UserError(
            f"the training manifests have no column {name!r} for sampler.within; they have "
            f"{', '.join(manifest.extra) or 'no further columns'}."
        )
    return None if name is None else manifest.extra[name]


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
