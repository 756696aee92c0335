"""The folder of a run: its files, its check before anything is written, and its lock."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

from accelerate import Accelerator
from facial_attributes_training.fit.checkpointing import load_checkpoint
from facial_attributes_training.fit.processes import on_main
from facial_attributes_training.recipe.schema import Recipe
from torch import nn

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors, locked, remove_leftovers
from facial_attributes_ros.models.adaptations.ladder import trained_tensors

RECIPE_FILE = "recipe.json"
LAST, BEST = "last.pt", "best.pt"
"""Checkpoints in a stage's folder: to resume from, and the weights of the best epoch."""
PREDICTIONS_FILE = "predictions.csv"
"""The model's predictions for the held-out samples."""
PARENT_FILE = "parent.json"
"""Figures of a model and of the one that it continues, side by side."""
COMPARED_FILE = "scan-compared.jsonl"
"""Hashes of images that `prepare` has not scanned, to compare the splits."""
REPORT_FILE, PAGE_FILE, PLOTS = "report.md", "report.html", "plots"
HISTORY_FILE, DISTRIBUTION_FILE, STEPS_FILE = "history.csv", "distribution.csv", "steps.csv"
"""In a stage's folder: metrics of every epoch, classes before and after sampling, duration of the steps."""

_COPIES = 8
"""Size of a run in multiples of its trained weights: weights and two moments in the last checkpoint, the same again
while it is replaced, the best weights, and the model."""
_KEPT = 4
"""What stays of every part of a cross-validation, likewise."""
_LOCK_FILE = ".run.lock"
"""Name that `locked` gives the lock of `run`."""


def stage_folder(recipe: Recipe, tasks: Sequence[str]) -> Path:
    """Return the folder of the stage that trains some tasks."""
    return recipe.folder / ("-".join(tasks) if recipe.one_after_another else "stage")


def fold_folder(recipe: Recipe, number: int) -> Path:
    """Return the folder of a part of the cross-validation, from 0 on."""
    return recipe.folder / f"fold-{number + 1}"


def check_folder(
    recipe: Recipe,
    resume: bool,
    fingerprints: Mapping[Path, str] = MappingProxyType({}),
    model: nn.Module | None = None,
) -> None:
    """Check that a run can be written to its folder; nothing is written.

    Args:
        recipe: the run.
        resume: whether it resumes the run that is there.
        fingerprints: of the stages by folder, to check their checkpoints; none before they are known.
        model: to have space for; None before it is known.

    Raises:
        UserError: the folder holds another run, can't be written, or its disk has too little space.
    """
    folder = recipe.folder
    if (folder / RECIPE_FILE).exists() and not resume:
        raise UserError(
            f"{folder} holds a run already: give --resume to continue it, or --set output=FOLDER for another."
        )
    _check_stages(recipe)
    above = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise UserError(f"{folder} can't be written, since {above} is no writable folder: --set output=FOLDER.")
    for stage, fingerprint in fingerprints.items():
        if (stage / LAST).exists():
            load_checkpoint(stage / LAST, fingerprint)
    if model is not None:
        _check_space(folder, above, model, recipe.data.folds or 0)


def _check_stages(recipe: Recipe) -> None:
    folders = {stage_folder(recipe, tasks) for tasks in recipe.stages}
    folders |= {fold_folder(recipe, number) for number in range(recipe.data.folds or 0)}
    others = {last.parent for last in recipe.folder.glob(f"*/{LAST}")} - folders
    if others:
        names = ", ".join(sorted(folder.name for folder in others))
        raise UserError(
            f"{recipe.folder} holds a run of another recipe, with the stages {names}: give the same one, or --set "
            "output=FOLDER for another."
        )


def _check_space(folder: Path, above: Path, model: nn.Module, folds: int) -> None:
    trained = sum(value.nbytes for value in trained_tensors(model).values())
    there = sum(path.stat().st_size for name in (LAST, BEST) for path in folder.glob(f"*/{name}"))
    needed, free = (_COPIES + _KEPT * folds) * trained - there, shutil.disk_usage(above).free
    if needed > free:
        raise UserError(
            f"{folder} needs {needed / 1e6:.0f} MB for checkpoints and the model, but its disk has {free / 1e6:.0f} MB "
            "left: free some, or --set output=FOLDER."
        )


@contextmanager
def run_folder(recipe: Recipe, resume: bool, accelerator: Accelerator) -> Iterator[None]:
    """Lock a run's folder, with the recipe in it, while the block runs.

    The lock ends with its process, so a killed run can be resumed at once.

    Raises:
        UserError: another process trains in the folder, or it can't be written.
    """
    folder, path = recipe.folder, recipe.folder / RECIPE_FILE
    busy = f"another process trains in {folder}: wait for its end, or --set output=FOLDER for another run."
    with ExitStack() as held:

        def begin() -> None:
            with disk_errors(folder):
                held.enter_context(locked(folder / "run", busy))
            try:
                check_folder(recipe, resume)
                for place in (folder, *folder.glob("*/")):
                    remove_leftovers(place / "*")
                with disk_errors(path), atomic_target(path) as temporary:
                    temporary.write_text(recipe.model_dump_json(indent=1) + "\n", encoding="utf-8")
            except UserError:
                _remove_empty(folder)
                raise

        on_main(accelerator, begin)
        yield


def _remove_empty(folder: Path) -> None:
    """Remove a folder that contains only a lock."""
    if folder.is_dir() and [path.name for path in folder.iterdir()] == [_LOCK_FILE]:
        (folder / _LOCK_FILE).unlink()
        folder.rmdir()
