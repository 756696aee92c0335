"""What the labels of a run's rows lack, found before anything is computed or written."""

from collections.abc import Iterator
from typing import Final

from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.data.subsets import first_half
from facial_attributes_training.fit.papers import grouped_tasks, untrained_labels
from facial_attributes_training.measure.calibration import rows_needed
from facial_attributes_training.recipe.schema import Recipe

from facial_attributes_ros.attributes import LABELS, MISSING
from facial_attributes_ros.errors import UserError

_REMEDY: Final = "Give more validation rows with that label, or leave it out of tasks."


def label_gaps(recipe: Recipe, training: Manifest, validation: Manifest, test: Manifest | None = None) -> list[str]:
    """Return a sentence on everything that the labels lack and training can do without.

    Args:
        recipe: the run.
        training: its training rows.
        validation: its validation rows.
        test: its test rows, if it has any.

    Raises:
        UserError: a task can't be learned, or no epoch of a stage can be chosen.
    """
    for task in recipe.tasks:
        _check_task(task, training, in_classes=task in grouped_tasks(recipe))
    for tasks in recipe.stages:
        if not any(_labelled(validation, task) for task in tasks):
            raise UserError(
                f"no validation row has a label of {' or '.join(tasks)}, so no epoch can be chosen for it: give "
                "validation rows with that label, leave it out of tasks, or train all tasks together."
            )
    fitted = validation if test is not None else validation.take(first_half(validation))
    return [*_uncalibrated(recipe, validation, fitted), *_unmeasured(recipe, test), *_untrained(recipe, training)]


def _labelled(manifest: Manifest, task: str) -> int:
    return int((manifest.labels[task] != MISSING).sum())


def _check_task(task: str, training: Manifest, in_classes: bool) -> None:
    if not _labelled(training, task):
        raise UserError(f"no training row has a label of {task}; leave it out of tasks.")
    there = set(training.labels[task].tolist()) - {MISSING}
    if in_classes and len(there) == 1:
        raise UserError(
            f"all training rows with a label of {task} are {LABELS[task][there.pop()]}, so that nothing can be learned "
            "of it, and every face would be named so: give rows of other labels, or leave it out of tasks."
        )


def _uncalibrated(recipe: Recipe, validation: Manifest, fitted: Manifest) -> Iterator[str]:
    for task in recipe.tasks:
        count = _labelled(fitted, task)
        if not _labelled(validation, task):
            yield (
                f"No validation row has a label of {task}: it is trained, but nothing tells how well, and its label is "
                f"published as unknown. {_REMEDY}"
            )
        elif count < rows_needed(task):
            yield (
                f"Only {count} validation rows to calibrate on have a label of {task}, and {rows_needed(task)} are "
                f"needed: its label is published as unknown. {_REMEDY}"
            )


def _unmeasured(recipe: Recipe, test: Manifest | None) -> Iterator[str]:
    for task in recipe.tasks if test is not None else ():
        if test is not None and not _labelled(test, task):
            yield f"No test row has a label of {task}, so there will be no figures of it."


def _untrained(recipe: Recipe, training: Manifest) -> Iterator[str]:
    for task, labels in untrained_labels(training, grouped_tasks(recipe)).items():
        them = "it" if len(labels) == 1 else "them"
        yield (
            f"No training row of {task} is {' or '.join(labels)}: unless what training starts from knows {them}, the "
            f"model never names {them} and takes such faces for something else. Give such rows if they matter."
        )
