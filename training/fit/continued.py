"""The end of a run that continues a model: cross-validation, the new model's folder, and both models side by side."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from facial_attributes_training.data.subsets import data_sets, fold_numbers
from facial_attributes_training.fit.loop import StepReport
from facial_attributes_training.fit.network import build_starting_backbone
from facial_attributes_training.fit.parent import Parent, stored_adaptation
from facial_attributes_training.fit.regression import with_measured_deviation
from facial_attributes_training.fit.results import (
    Outputs,
    description,
    figures,
    predict_samples,
    warn_of_calibration,
)
from facial_attributes_training.fit.run_data import RunData, Subset
from facial_attributes_training.fit.run_folder import PARENT_FILE, PREDICTIONS_FILE
from facial_attributes_training.fit.stages import Run, seed_all, train_stage
from facial_attributes_training.fit.time_limit import TimeLimit
from facial_attributes_training.measure.against_parent import NEW, Change, Kept, compare, kept
from facial_attributes_training.measure.cautious import (
    Part,
    at_temperature,
    calibrate_cautiously,
    calibration_of,
    fitted_without,
)
from facial_attributes_training.measure.evaluation import evaluate, expected_ages
from facial_attributes_training.measure.fitted import Fit
from facial_attributes_training.measure.predictions import Predictions, write_predictions
from facial_attributes_training.measure.recalibration import calibration_records
from facial_attributes_training.recipe.schema import Recipe
from numpy.typing import NDArray
from torch import Tensor

from facial_attributes_ros.attributes import AGE, EMOTION
from facial_attributes_ros.files import atomic_target, disk_errors
from facial_attributes_ros.models.adaptations.difference import adapter_factors, stored_difference
from facial_attributes_ros.models.adaptations.ladder import Adaptation, merge, trained_tensors
from facial_attributes_ros.models.arrays import FACTORS, TASK_BASE
from facial_attributes_ros.models.checkpoint import load_into, save_model
from facial_attributes_ros.models.multitask import MultiTaskModel
from facial_attributes_ros.models.regression import AgeRegression
from facial_attributes_ros.models.spec import ModelSpec

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run made of its parent.

    Attributes:
        changes: per samples and task, both models' figures.
        kept: how far tasks without training follow the parent.
        parent: name, version and hash of the parent.
        lost: sentences on what the model did not take over.
    """

    changes: list[Change]
    kept: list[Kept]
    parent: str
    lost: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write it to a run's folder.

        Raises:
            UserError: no space or no write access.
        """
        path = folder / PARENT_FILE
        with disk_errors(path), atomic_target(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def predictions_before(run: Run) -> dict[str, Outputs]:
    """Return what the parent gives for the samples that both models are measured on, by use."""
    uses = [name for name in ("validation", "test", "reference") if name in run.rows]
    return {name: predict_samples(run.model, run.forward, run.rows[name]) for name in uses}


def cross_validate(run: Run, limit: TimeLimit, resume: bool, say: Callable[[str], None]) -> Outputs:
    """Train a model without every part of the samples, and return what each gives for its part.

    The model is left as it was.

    Args:
        run: with its folds.
        limit: time limit.
        resume: whether finished parts are taken from their checkpoints.
        say: is given a sentence before every part.

    Raises:
        UserError, OutOfTimeError: as `train_stage` raises them.
    """
    start = {name: tensor.clone() for name, tensor in trained_tensors(run.model).items()}
    validation, count = run.rows["validation"], len(run.plan.folds)
    parts = fold_numbers(validation.manifest, count)
    found: dict[str, NDArray[np.float32]] = {}
    usable = np.zeros(len(parts), np.bool_)
    for number, stage in enumerate(run.plan.folds):
        say(f"Cross-validation: training without part {number + 1} of {count}.")
        seed_all(run.recipe.seed)
        train_stage(run, stage, lambda _tasks, _folder: StepReport(), limit, resume)
        rows = np.flatnonzero(parts == number)
        part = RunData(validation.manifest.take(rows), validation.weights[rows], Subset(validation.inputs, rows))
        outputs, readable = predict_samples(run.model, run.forward, part)
        usable[rows] = readable
        for task, values in outputs.items():
            found.setdefault(task, np.full((len(parts), values.shape[1]), np.nan, np.float32))[rows[readable]] = values
        load_into(run.model, start, expected=start.keys())
    seed_all(run.recipe.seed)
    return {task: values[usable] for task, values in found.items()}, usable


def write_continued(
    folder: Path, run: Run, parent: Parent, before: Mapping[str, Outputs], held_out: Outputs | None
) -> None:
    """Write the folder of a model that continues another one, and beside it both models' figures.

    Args:
        folder: to write to.
        run: with the model trained.
        parent: that it continues.
        before: of `predictions_before`.
        held_out: of `cross_validate`, None without.

    Raises:
        UserError: no space or no write access.
    """
    learned = run.recipe.tasks
    outputs = held_out or predict_samples(run.model, run.forward, run.rows["validation"])
    ages = _ages(run, outputs)
    predictions, theirs = _predicted(run, "validation", outputs, ages), _before(run, parent, "validation", before)
    old = calibration_of(parent.spec)
    half = run.plan.half[outputs[1]]
    fit = calibrate_cautiously(predictions, half, old, learned)
    if held_out is not None:
        numbers = fold_numbers(run.rows["validation"].manifest, len(run.plan.folds))[held_out[1]]
        parts = fitted_without(predictions, numbers, old, learned)
    else:
        name = "test" if "test" in run.rows else "validation"
        if name == "test":
            predictions = _predicted(run, name, predict_samples(run.model, run.forward, run.rows[name]), ages)
            theirs = _before(run, parent, name, before)
        else:
            predictions, theirs = predictions.take(~half), theirs.take(~half)
        parts = [(np.ones(len(predictions.manifest), np.bool_), fit)]
    changes = list(compare(NEW, (predictions, parts), (theirs, _whole(theirs, old)), learned))
    followed = kept(predictions, theirs, learned)
    changes += _on_reference(run, parent, before, fit, old, ages)
    spec, lost = _described(folder, run, parent, fit)
    spec = replace(spec, age_regression=ages)
    spec = _measured(spec, fit, parts, predictions, folder.parent / PREDICTIONS_FILE)
    save_model(folder, spec, stored_tensors(run.recipe, run.model, parent))
    warn_of_calibration(fit, spec.uncalibrated, folder)
    Outcome(changes, followed, parent.spec.title, lost).write(folder.parent)


def _ages(run: Run, outputs: Outputs) -> AgeRegression | None:
    """Return the scale of ages in years, with the deviation that was measured if they were learned."""
    ages = run.plan.ages
    if ages is None or AGE not in run.recipe.tasks:
        return ages
    true = run.rows["validation"].manifest.age_years[outputs[1]]
    half = run.plan.half[outputs[1]]
    return with_measured_deviation(ages, outputs[0][AGE][half], true[half])


def _predicted(run: Run, use: str, outputs: Outputs, ages: AgeRegression | None) -> Predictions:
    manifest, untrained = run.rows[use].manifest.take(outputs[1]), run.known.provenance.untrained_labels
    return Predictions.from_outputs(manifest, outputs[0], ages, untrained=untrained)


def _before(run: Run, parent: Parent, use: str, before: Mapping[str, Outputs]) -> Predictions:
    """Return the parent's predictions for some samples."""
    outputs, usable = before[use]
    own = {task: values for task, values in outputs.items() if task in parent.spec.tasks}
    manifest, spec = run.rows[use].manifest.take(usable), parent.spec
    return Predictions.from_outputs(manifest, own, spec.age_regression, untrained=spec.untrained_labels)


def _whole(predictions: Predictions, fit: Fit) -> list[Part]:
    return [(np.ones(len(predictions.manifest), np.bool_), fit)]


def _on_reference(
    run: Run, parent: Parent, before: Mapping[str, Outputs], fit: Fit, old: Fit, ages: AgeRegression | None
) -> list[Change]:
    """Return what became of the samples that are like the parent's, by data set."""
    if "reference" not in run.rows:
        return []
    outputs = predict_samples(run.model, run.forward, run.rows["reference"])
    ours, theirs = _predicted(run, "reference", outputs, ages), _before(run, parent, "reference", before)
    found: list[Change] = []
    for name, rows in data_sets(ours.manifest):
        own, other = ours.take(rows), theirs.take(rows)
        found += compare(name, (own, _whole(own, fit)), (other, _whole(other, old)), run.recipe.tasks)
    return found


def _described(folder: Path, run: Run, parent: Parent, fit: Fit) -> tuple[ModelSpec, list[str]]:
    """Return the description of the model, what stays valid of its parent's included, and sentences on the rest."""
    recipe, spec = run.recipe, parent.spec
    learned, frozen = recipe.tasks, _backbone_is_as(run, parent)
    own = description(folder, recipe, run.model, fit)
    lost = []
    resting = spec.resting_face if frozen and EMOTION not in learned else None
    if spec.resting_face is not None and resting is None:
        lost.append(
            f"The facts about the resting face are not taken over from {spec.title}, since the emotion logits changed; "
            "`facial-attributes evaluate --save-resting-face` measures them anew."
        )
    if (recipe.data.crop, recipe.data.crop_margin) != (spec.crop, spec.crop_margin):
        lost.append(f"The crop of {spec.title} is not taken over: the recipe sets another.")
    unchanged = {name: {t: e for t, e in tasks.items() if t not in learned} for name, tasks in spec.metrics.items()}
    parts = (Adaptation.from_dict(each) for each in (recipe.adaptation, spec.adaptation))
    return replace(
        own,
        mean=spec.mean,
        std=spec.std,
        interpolation=spec.interpolation,
        adaptation=stored_adaptation(*parts).to_dict(),
        readout=spec.readout,
        calibration={task: entry for task, entry in spec.calibration.items() if task not in _fitted(fit)},
        resting_face=resting,
        metrics={name: tasks for name, tasks in unchanged.items() if tasks} if frozen else {},
        **run.known.provenance.fields(),
    ), lost


def _fitted(fit: Fit) -> list[str]:
    """Return the tasks whose calibration is not the parent's."""
    return [task for task in fit.rows if task not in fit.refused]


def _backbone_is_as(run: Run, parent: Parent) -> bool:
    """Return whether the backbone is that of the parent, number by number."""
    if adapter_factors(run.model):
        return False
    state = run.model.state_dict()
    inside = [name for name in parent.state if name.startswith(("backbone.", "streams."))]
    return all(name in state and torch.equal(state[name].cpu(), parent.state[name]) for name in inside)


def _measured(spec: ModelSpec, fit: Fit, parts: Sequence[Part], predictions: Predictions, path: Path) -> ModelSpec:
    """Return a description with the figures of the learned tasks, and write the predictions that they are of."""
    read = at_temperature(predictions, parts, spec.temperatures)
    write_predictions(path, read, spec.temperatures, expected_ages(read, Fit.of(spec)))
    records = calibration_records(fit.only(_fitted(fit)), read, np.ones(len(read.manifest), np.bool_))
    found = figures(evaluate(read, spec))
    for name, tasks in spec.metrics.items():
        found[name] = tasks | found.get(name, {})
    return replace(spec, metrics=found, calibration=spec.calibration | records)


def stored_tensors(recipe: Recipe, model: MultiTaskModel, parent: Parent) -> dict[str, Tensor]:
    """Return what to store of a model that continues its parent; the adapters of the model are merged in place."""
    adapters = adapter_factors(model)
    merge(model)
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    if recipe.backbone.weights is None:
        return state
    start: dict[str, Tensor] = {}
    if recipe.stored_rank is not None:
        trunk = build_starting_backbone(recipe).state_dict()
        start = _by_names({f"backbone.{name}": value for name, value in trunk.items()}, state)
    own, before = _by_names(parent.difference, state), _by_names(parent.state, state)
    return stored_difference(state, own, before, adapters, start, recipe.stored_rank)


def _by_names(tensors: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """Return tensors by the names of a network whose task streams may have put layers of the backbone inside others."""
    found = dict(tensors)
    for name in names:
        plain = name.replace(TASK_BASE, ".")
        if plain != name:
            found |= {name + suffix: tensors[plain + suffix] for suffix in ("", *FACTORS) if plain + suffix in tensors}
    return found
