"""Several runs side by side: the ladder's tables, from what the runs measured on validation rows."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facial_attributes_training.recipe import Recipe
from facial_attributes_training.recipe_file import read_recipe
from facial_attributes_training.run import RECIPE_FILE
from pydantic import ValidationError

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors
from facial_attributes_ros.models.adaptation import Adaptation
from facial_attributes_ros.models.counts import Counts, count
from facial_attributes_ros.models.spec import ModelSpec

REPORT_FILE, FIGURES_FILE = "comparison.md", "comparison.json"


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run with its model.

    Attributes:
        recipe: as it was run.
        spec: of its model; holds the figures.
        counts: parameters and operations.
    """

    recipe: Recipe
    spec: ModelSpec
    counts: Counts

    @property
    def title(self) -> str:
        """What the run is called in a table."""
        alone = len(self.recipe.tasks) == 1 or self.recipe.one_after_another
        return f"{self.recipe.name}: {self.recipe.adaptation['name']}, {'single-task' if alone else 'multi-task'}"


def finished_run(path: Path, train: Callable[[Recipe], Path]) -> FinishedRun:
    """Return the run of a recipe or of a run's folder; a recipe without a finished run is trained.

    Args:
        path: YAML recipe, or the folder of a run.
        train: trains a recipe, or goes on with it, and returns the model's folder.

    Raises:
        UserError: the path is neither, or training fails.
    """
    recipe = _recipe_of(path) if path.is_dir() else read_recipe(path)
    folder = recipe.folder / "model" if not path.is_dir() else path / "model"
    if not (folder / "model.json").is_file():
        folder = train(recipe)
    backbone = recipe.backbone
    counts = count(
        backbone.name,
        Adaptation.from_dict(recipe.adaptation),
        recipe.tasks,
        backbone.image_size,
        **backbone.architecture,
    )
    return FinishedRun(recipe, ModelSpec.read(folder), counts)


def write_comparison(folder: Path, runs: Sequence[FinishedRun], command: str) -> Path:
    """Write `comparison.md` and `comparison.json`, and return the path of the first.

    Raises:
        UserError: no space or no write access.
    """
    figures = [{"run": run.title, "counts": run.counts.to_dict(), "metrics": run.spec.metrics} for run in runs]
    texts = {FIGURES_FILE: json.dumps(figures, indent=1) + "\n", REPORT_FILE: _report(runs, command)}
    for name, text in texts.items():
        path = folder / name
        with disk_errors(path), atomic_target(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return folder / REPORT_FILE


def _recipe_of(folder: Path) -> Recipe:
    path = folder / RECIPE_FILE
    try:
        return Recipe.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{folder} is not the folder of a run: it has no {RECIPE_FILE}.") from error
    except (OSError, ValidationError) as error:
        raise UserError(f"{path} can't be read as the recipe of a run: {error}.") from error


def _report(runs: Sequence[FinishedRun], command: str) -> str:
    lines = ["# Comparison of runs", "", f"    {command}", ""]
    lines += ["Figures are of the validation rows that nothing was chosen or fitted on; brackets hold 95 % bootstrap"]
    lines += ["intervals. Where two intervals overlap, the order of two runs is not settled.", ""]
    lines += _accuracy_table(runs, "accuracy", "Accuracy, %") + _accuracy_table(
        runs, "balanced_accuracy", "Balanced accuracy, %"
    )
    lines += [
        "## Cost",
        "",
        "| run | parameters, M | trained, M | share trained, % | GFLOPs a face |",
        "|---|---|---|---|---|",
    ]
    for run in runs:
        c = run.counts
        lines.append(
            f"| {run.title} | {c.merged / 1e6:.2f} | {c.trained / 1e6:.2f} | {c.share:.2f} | {c.gflops_linear:.2f} |"
        )
    lines += ["", "Parameters and GFLOPs are of the model as it runs, adapters merged; GFLOPs count linear and"]
    lines += ["convolution layers, 2 per multiply-add.", ""]
    lines += [
        "## Runs",
        "",
        "| run | rows an epoch | batch | epochs at most | learning rate | seed |",
        "|---|---|---|---|---|---|",
    ]
    for run in runs:
        r = run.recipe
        rows = r.sampler.epoch_rows or "all"
        lines.append(f"| {run.title} | {rows} | {r.batch_size} | {r.epochs} | {r.optimiser.lr:g} | {r.seed} |")
    return "\n".join(lines) + "\n"


def _accuracy_table(runs: Sequence[FinishedRun], figure: str, title: str) -> list[str]:
    columns = sorted({(data, task) for run in runs for data, tasks in run.spec.metrics.items() for task in tasks})
    lines = [f"## {title}", "", "| run | " + " | ".join(f"{data} {task}" for data, task in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for run in runs:
        cells = [_cell(run.spec.metrics.get(data, {}).get(task), figure) for data, task in columns]
        lines.append(f"| {run.title} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cell(entry: dict[str, Any] | None, figure: str) -> str:
    if entry is None:
        return ""
    text = f"{100 * entry[figure]:.1f}"
    interval = entry.get(f"{figure}_95")
    return text if interval is None else f"{text} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"
