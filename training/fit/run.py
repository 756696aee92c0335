"""A training run from top to bottom: data, network, stages, model folder.

`train` shows the whole: `checked_run` reads the labels, plans the stages and builds the network, `stages.train_stage`
trains each stage, and `results.write_model` calibrates, measures and writes the model; `continued` does so for a model
that continues another one.
"""

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accelerate import Accelerator
from facial_attributes_training.data.features import Progress as FeatureProgress
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.fit.continued import cross_validate, predictions_before, write_continued
from facial_attributes_training.fit.loop import StepReport
from facial_attributes_training.fit.network import build_network, forward_from_inputs, frozen_depth
from facial_attributes_training.fit.parent import Parent
from facial_attributes_training.fit.plan import make_plan
from facial_attributes_training.fit.preflight import inspect_recipe
from facial_attributes_training.fit.processes import join_processes
from facial_attributes_training.fit.results import write_model
from facial_attributes_training.fit.run_data import RunData, with_inputs
from facial_attributes_training.fit.run_folder import COMPARED_FILE, check_folder, run_folder
from facial_attributes_training.fit.stages import ReportFactory, Run, seed_all, train_only, train_stage
from facial_attributes_training.fit.time_limit import TimeLimit
from facial_attributes_training.prepare.split_overlap import Comparison, compare_splits, warn_of_overlap
from facial_attributes_training.recipe.schema import Recipe

_LOGGER = logging.getLogger(__name__)
_NOTABLE = 0.1
"""Fraction of skipped samples from which on the end of a run warns."""
_CROSS_VALIDATED = "Every sample was predicted by a model that was not trained on it (cross-validation)."


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
    recipe, main = run.recipe, run.accelerator.is_main_process
    # Nothing is written to the run's folder before this line, so a recipe that can't be trained leaves none.
    with run_folder(recipe, resume, run.accelerator):
        compared = None
        if main:
            run.known.provenance.write(recipe.folder)
            compared = _compare(run, feature_progress)
        run.accelerator.wait_for_everyone()
        parent = None if recipe.backbone.parent is None else Parent.read(recipe.backbone.parent)
        before = predictions_before(run) if parent else {}
        held_out = cross_validate(run, limit, resume, _LOGGER.info) if run.plan.folds else None
        unreadable: set[int] = set()
        for stage in run.plan.stages:
            unreadable.update(train_stage(run, stage, make_report, limit, resume).skipped)
        train_only(run, recipe.tasks)
        folder = recipe.folder / "model"
        if main:
            if parent is None:
                write_model(folder, run)
            else:
                write_continued(folder, run, parent, before, held_out)
            write_report(recipe, _record(run, compared, len(unreadable)))
        run.accelerator.wait_for_everyone()
    return folder


def _prepare(recipe: Recipe, resume: bool, accelerator: Accelerator, progress: FeatureProgress | None) -> Run:
    """Read the data, check the run, build the network, and compute the features of the frozen part if they are cached.

    Raises:
        UserError: the run can't be trained, or not into its folder.
    """
    run = checked_run(recipe, resume, accelerator)
    for sentence in run.known.gaps if accelerator.is_main_process else ():
        _LOGGER.warning(sentence)
    depth = frozen_depth(run.model)
    rows: dict[str, RunData] = {}
    # One process computes the features, the others read them from disk.
    with accelerator.main_process_first():
        for name, samples in run.plan.rows.items():
            rows[name] = with_inputs(run.recipe, samples, run.model.backbone, depth, name == "training", progress)
    return replace(run, rows=rows)


def checked_run(recipe: Recipe, resume: bool, accelerator: Accelerator) -> Run:
    """Return a run that passed all checks, without the inputs of its samples; nothing is written.

    Raises:
        UserError: the run can't be trained, or not into its folder.
    """
    check_folder(recipe, resume)
    known = inspect_recipe(recipe)
    recipe = known.recipe
    # Every check that needs no network comes before it is built.
    ages = None if known.parent is None else known.parent.age_regression
    plan = make_plan(recipe, known.rows, accelerator.num_processes, ages)
    seed_all(recipe.seed)
    model = build_network(recipe)
    plan = plan.for_model(model)
    stages = {stage.folder: stage.fingerprint for stage in (*plan.folds, *plan.stages)}
    check_folder(recipe, resume, stages, model)
    model.to(accelerator.device)
    # A copy, with adapters that do nothing yet.
    parent = None if known.parent is None else copy.deepcopy(model).requires_grad_(False)
    forward = forward_from_inputs(model, recipe, frozen_depth(model))
    return Run(recipe, accelerator, known, plan, model, {}, forward, parent)


def _compare(run: Run, progress: FeatureProgress | None) -> Comparison | None:
    """Compare the splits of a run with one another, and warn of overlaps; None for a single split."""
    recipe, data = run.recipe, run.recipe.data
    if run.plan.folds and "reference" not in run.rows:
        return None
    files = [wanted.manifest for wanted in (*data.train, *data.validation, *data.test, *data.reference)]
    splits, measured = _splits(run)
    compared = compare_splits(splits, measured, files, recipe.folder / COMPARED_FILE, recipe.workers, progress)
    warn_of_overlap(compared.notes)
    return compared


def _splits(run: Run) -> tuple[dict[str, Manifest], str]:
    """Return the samples by use, and the name of those that the figures are of."""
    found = _manifests(run)
    if "test" in found:
        return found, "test"
    if run.plan.folds:
        del found["validation"]
        return found, "reference"
    validation = found["validation"]
    found["validation"] = validation.take(run.plan.half)
    return found | {"held-out": validation.take(~run.plan.half)}, "held-out"


def _manifests(run: Run) -> dict[str, Manifest]:
    return {name: rows.manifest for name, rows in run.rows.items()}


def _record(run: Run, compared: Comparison | None, unreadable: int) -> RunRecord:
    notes = [*run.known.gaps, *(compared.notes if compared else ())]
    if unreadable:
        total = len(run.rows["training"].manifest)
        notes.append(
            f"{unreadable} of {total} training samples ({100 * unreadable / total:.0f} %) were skipped, since their "
            "images could not be read (see the log)."
        )
        if unreadable > _NOTABLE * total:
            _LOGGER.warning(notes[-1])
    overlap = _CROSS_VALIDATED if run.plan.folds else None if compared is None else compared.summary
    return RunRecord(notes, overlap, _manifests(run))
