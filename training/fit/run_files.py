"""Where things are in the folder of a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facial_attributes_training.recipe.schema import Recipe

RECIPE_FILE = "recipe.json"
LAST, BEST = "last.pt", "best.pt"
"""Checkpoints in a stage's folder: to resume from, and the weights of the best epoch."""
PREDICTIONS_FILE = "predictions.csv"
"""The model's predictions for the held-out samples."""
COMPARED_FILE = "scan-compared.jsonl"
"""Hashes of images that `prepare` has not scanned, to compare the splits."""
REPORT_FILE, PAGE_FILE, PLOTS = "report.md", "report.html", "plots"
HISTORY_FILE, DISTRIBUTION_FILE, STEPS_FILE = "history.csv", "distribution.csv", "steps.csv"
"""In a stage's folder: metrics of every epoch, classes before and after sampling, duration of the steps."""


def stage_folder(recipe: "Recipe", tasks: Sequence[str]) -> Path:
    """Return the folder of the stage that trains some tasks."""
    return recipe.folder / ("-".join(tasks) if recipe.one_after_another else "stage")
