"""Preflight checks: what a recipe and its manifests show before anything is computed or written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.data.subsets import parted_by_people, selection_half
from facial_attributes_training.fit.parent import parent_spec, with_parent
from facial_attributes_training.fit.provenance import Provenance, grouped_tasks, run_provenance, untrained_labels
from facial_attributes_training.fit.run_data import Samples, read_samples
from facial_attributes_training.measure.calibration import rows_needed
from facial_attributes_training.recipe.schema import Recipe

from facial_attributes_ros.attributes import LABELS, MISSING
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.spec import ModelSpec

_REMEDY: Final = "Add validation samples with that label, or remove it from tasks."


@dataclass(frozen=True, slots=True)
class Preflight:
    """What is known of a run at its start.

    Attributes:
        recipe: the run, with what it takes over from the model that it continues.
        rows: training, validation and perhaps test and reference samples, by these names; with folds the validation
            samples are the training samples.
        gaps: a sentence on every gap in the labels.
        provenance: of the model to come.
        parent: the description of the model that the run continues, None if it continues none.
    """

    recipe: Recipe
    rows: Mapping[str, Samples]
    gaps: list[str]
    provenance: Provenance
    parent: ModelSpec | None = None

    @property
    def parent_outputs(self) -> tuple[str, ...]:
        """The outputs of the model that the run continues, none if it continues none."""
        return () if self.parent is None else self.parent.all_outputs


def inspect_recipe(recipe: Recipe) -> Preflight:
    """Read a run's manifests and return what is known of it.

    Raises:
        UserError: a manifest can't be read, a task has too few labels to be trained or to choose an epoch, or the
            starting weights are missing.
    """
    parent = parent_spec(recipe)
    if parent is not None:
        recipe = with_parent(recipe, read_samples(recipe, recipe.data.train).manifest)
    data = recipe.data
    sets = {"training": data.train, "validation": data.validation, "test": data.test, "reference": data.reference}
    rows = {name: read_samples(recipe, wanted) for name, wanted in sets.items() if wanted}
    rows.setdefault("validation", rows["training"])
    test = rows["test"].manifest if data.test else None
    gaps = label_gaps(recipe, rows["training"].manifest, rows["validation"].manifest, test, parent)
    return Preflight(recipe, rows, gaps, run_provenance(recipe, rows["training"].sets), parent)


def label_gaps(
    recipe: Recipe,
    training: Manifest,
    validation: Manifest,
    test: Manifest | None = None,
    parent: ModelSpec | None = None,
) -> list[str]:
    """Return a sentence on every gap in the labels that training can do without.

    Args:
        recipe: the run.
        training: its training samples.
        validation: its validation samples; with folds its training samples.
        test: its test samples, if it has any.
        parent: the model that it continues, if it does.

    Raises:
        UserError: a task can't be learned, or no epoch of a stage can be chosen.
    """
    for task in recipe.tasks:
        _check_task(task, training, in_classes=task in grouped_tasks(recipe))
    fitted = validation.take(selection_half(validation, test is not None or recipe.data.folds is not None))
    for tasks in recipe.stages:
        if not any(_labelled(fitted, task) for task in tasks):
            raise UserError(
                f"no validation sample that may choose the epoch has a label of {' or '.join(tasks)}: add validation "
                "samples with that label, remove it from tasks, or train all tasks together."
            )
    return [
        *_uncalibrated(recipe, validation, fitted, parent),
        *_unmeasured(recipe, test),
        *_untrained(recipe, training, parent),
        *_alike(recipe, training),
    ]


def _labelled(manifest: Manifest, task: str) -> int:
    return int((manifest.labels[task] != MISSING).sum())


def _check_task(task: str, training: Manifest, in_classes: bool) -> None:
    if not _labelled(training, task):
        raise UserError(f"no training sample has a label of {task}: remove it from tasks.")
    there = set(training.labels[task].tolist()) - {MISSING}
    if in_classes and len(there) == 1:
        raise UserError(
            f"all training samples with a label of {task} are {LABELS[task][there.pop()]}, so the model would predict "
            "that label for every face: add samples with other labels, or remove it from tasks."
        )


def _uncalibrated(recipe: Recipe, validation: Manifest, fitted: Manifest, parent: ModelSpec | None) -> Iterator[str]:
    for task in recipe.tasks:
        count = _labelled(fitted, task)
        kept = parent is not None and task in parent.tasks and task not in parent.uncalibrated
        then = f"the calibration of {parent.title} is kept" if kept and parent else "its label is published as unknown"
        if not _labelled(validation, task):
            yield (
                f"No validation sample has a label of {task}: it is trained, but its accuracy is not measured, and "
                f"{then}. {_REMEDY}"
            )
        elif count < rows_needed(task):
            yield (
                f"Only {count} validation samples for the calibration have a label of {task}, and {rows_needed(task)} "
                f"are needed: {then}. {_REMEDY}"
            )


def _unmeasured(recipe: Recipe, test: Manifest | None) -> Iterator[str]:
    for task in recipe.tasks if test is not None else ():
        if test is not None and not _labelled(test, task):
            yield f"No test sample has a label of {task}, so it will have no metrics."


def _untrained(recipe: Recipe, training: Manifest, parent: ModelSpec | None) -> Iterator[str]:
    for task, labels in untrained_labels(training, grouped_tasks(recipe)).items():
        them = "it" if len(labels) == 1 else "them"
        if parent is not None and task in parent.tasks:
            masked = f"the model never predicts {them}, as keep.missing_classes=mask says"
            kept = f"{parent.title}'s predictions of {them} are kept"
            then = masked if recipe.keep.missing_classes == "mask" else kept
            yield f"No training sample of {task} is {' or '.join(labels)}: {then}."
            continue
        yield (
            f"No training sample of {task} is {' or '.join(labels)}: unless the starting weights were trained on "
            f"{them}, the model never predicts {them} and gives such faces another label. Add samples if that matters."
        )


def _alike(recipe: Recipe, training: Manifest) -> Iterator[str]:
    """Yield a sentence if the parts of a cross-validation can't be of different people."""
    if recipe.data.folds and not parted_by_people(training, recipe.data.folds):
        yield (
            f"The images are of fewer than {recipe.data.folds} people, so images of one person are in several parts of "
            "the cross-validation, and its figures are for these people only."
        )
