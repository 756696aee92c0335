"""The report of a run as Markdown with plots and as one HTML file, from what the run left in its folder."""

import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from facial_attributes_training.data.csv_tables import numbers, read_table
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.fit.run import RunRecord
from facial_attributes_training.fit.run_folder import (
    DISTRIBUTION_FILE,
    HISTORY_FILE,
    PAGE_FILE,
    PLOTS,
    PREDICTIONS_FILE,
    REPORT_FILE,
    stage_folder,
)
from facial_attributes_training.fit.step_log import read_steps
from facial_attributes_training.measure.evaluation import measure_years
from facial_attributes_training.recipe.data import DataRecipe
from facial_attributes_training.recipe.schema import Recipe, SamplerRecipe
from facial_attributes_training.reports.mistakes import mistakes, write_mistakes
from facial_attributes_training.reports.page import render, write_page
from facial_attributes_training.reports.parent import side_by_side
from facial_attributes_training.reports.plots import (
    Columns,
    ages_figure,
    ages_histogram,
    distribution_figure,
    losses_figure,
    save_figure,
    speed_figure,
)
from facial_attributes_training.reports.tables import decimal, percent, stored_estimate, table
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE
from facial_attributes_ros.figures import Figure
from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.spec import ModelSpec

_LOGGER = logging.getLogger(__name__)
_LIBRARIES = ("jinja2", "markdown", "matplotlib")
_AGE_PLOTS = {"Ages of the splits": "ages.png", "True against expected age": "years.png"}
_NOT_COMPARED = "The overlap between these samples and the training samples was not measured."


def write_reports(recipe: Recipe, record: RunRecord) -> None:
    """Write the age plots and the report of a finished run, unless the machine lacks what they are made with.

    Raises:
        UserError: no space or no write access.
    """
    # A machine that is rented for training may have no more than training needs.
    if missing := next((name for name in _LIBRARIES if not find_spec(name)), None):
        _LOGGER.warning("No report is written, since %s is missing.", missing)
        return
    write_age_plots(recipe.folder, record.splits)
    if recipe.backbone.parent is not None:
        shown, splits = mistakes(recipe.folder / PREDICTIONS_FILE), list(record.splits.values())
        write_mistakes(recipe.folder, shown, Manifest.concatenate(splits), f"Mistakes of {recipe.name}")
    write_run_report(recipe, record.notes, record.overlap)


def write_age_plots(folder: Path, splits: Mapping[str, Manifest]) -> None:
    """Draw the ages of the splits, and true against expected ages, where there are ages in years.

    Args:
        folder: of a finished run.
        splits: samples by what they were used for.

    Raises:
        UserError: no space or no write access.
    """
    histogram, scatter = (folder / PLOTS / name for name in _AGE_PLOTS.values())
    ages = {name: manifest.age_years for name, manifest in splits.items()}
    if any(np.isfinite(years).any() for years in ages.values()):
        save_figure(ages_histogram(ages, "ages of the splits"), histogram)
    true, expected = _ages(folder / PREDICTIONS_FILE)
    if (years := measure_years(true, expected)) is not None:
        save_figure(ages_figure(years, "age"), scatter)


def write_run_report(recipe: Recipe, notes: Sequence[str] = (), overlap: str | None = None) -> Path:
    """Write `report.md` and `report.html` to the folder of a run, as far as it has come, and return the latter.

    Args:
        recipe: of the run.
        notes: sentences that a reader should see first.
        overlap: how the samples behind the figures overlap with the training samples, a sentence; None if that was
            not measured.

    Raises:
        UserError: no space or no write access.
    """
    folder = recipe.folder
    stages = [found for tasks in recipe.stages if (found := _stage(recipe, tasks))]
    finished = (folder / "model" / "model.json").is_file()
    spec = ModelSpec.read(folder / "model") if finished else None
    text = render(
        "run",
        recipe=recipe,
        notes=notes,
        settings=table(("", ""), _settings(recipe)),
        stages=stages,
        model=spec and table(("", ""), _model(spec)),
        compared=side_by_side(folder),
        figures=spec and _figures(spec),
        overlap=overlap or _NOT_COMPARED,
        age_plots={title: f"{PLOTS}/{name}" for title, name in _AGE_PLOTS.items() if (folder / PLOTS / name).is_file()},
    )
    write_page(folder, REPORT_FILE, PAGE_FILE, text)
    return folder / PAGE_FILE


def _settings(recipe: Recipe) -> list[tuple[str, str]]:
    data = recipe.data
    optimiser, schedule = recipe.optimiser, recipe.schedule
    return [
        ("backbone", f"{recipe.backbone.name}, weights {recipe.backbone.start or recipe.backbone.weights or 'random'}"),
        ("adaptation", Adaptation.from_dict(recipe.adaptation).name),
        ("tasks", ", ".join(recipe.tasks) + (", one after another" if recipe.one_after_another else "")),
        *([("age", f"learned as {recipe.age_as}")] if AGE in recipe.tasks else []),
        ("trained on", ", ".join(str(part.manifest) for part in data.train)),
        ("validated on", ", ".join(str(part.manifest) for part in data.validation) or _folds(data)),
        ("measured on", _measured_on(data)),
        ("samples of each", str(data.rows or "all")),
        ("sampling", _sampling(recipe.sampler)),
        ("optimiser", f"AdamW, learning rate {optimiser.lr:g}, of the backbone {optimiser.backbone_rate:g} times that"),
        ("schedule", f"{schedule.name}, {recipe.epochs} epochs at most, patience {recipe.early_stopping}"),
        ("batch", f"{recipe.batch_size} samples in {recipe.accumulate} part(s), {recipe.precision}"),
        ("seed", str(recipe.seed)),
    ]


def _folds(data: DataRecipe) -> str:
    return f"the training samples, in {data.folds} parts (cross-validation)"


def _measured_on(data: DataRecipe) -> str:
    if data.folds:
        return _folds(data)
    return ", ".join(str(part.manifest) for part in data.test) or "one half of the validation samples"


def _sampling(sampler: SamplerRecipe) -> str:
    if sampler.name == "sessa":
        return "as in Sessa's public code"
    fractions = {"samples": sampler.emotion_rows, "draws": sampler.emotion_share}
    emotions = [f"emotions up to {part:.1%} of the {what}" for what, part in fractions.items() if part is not None]
    return ", ".join([f"balance {sampler.balance}", *emotions])


def _stage(recipe: Recipe, tasks: Sequence[str]) -> dict[str, Any] | None:
    """Draw the plots of a stage, and return what the template names of it; None before its first epoch."""
    folder, name = stage_folder(recipe, tasks), " and ".join(tasks)
    history = _columns(folder / HISTORY_FILE)
    if not history:
        return None

    def plot(kind: str, figure: Figure) -> str:
        return f"{PLOTS}/{save_figure(figure, recipe.folder / PLOTS / f'{folder.name}-{kind}.png').name}"

    losses = history["loss"]
    found: dict[str, Any] = {"name": name, "losses": losses, "best": losses.index(min(losses)) + 1}
    found |= {"losses_plot": plot("losses", losses_figure(history, tasks, name)), "classes": None, "speed": None}
    if (folder / DISTRIBUTION_FILE).is_file():
        classes = read_table(folder / DISTRIBUTION_FILE, ("task", "label", "rows", "share", "drawn", "drawn_share"))
        figure = distribution_figure(classes, "Classes of the training samples, and of the first epoch")
        found |= {"classes_plot": plot("distribution", figure), "classes": _classes(classes)}
    if steps := read_steps(folder):
        figure = speed_figure(steps, "Data time against step time")
        found |= {"speed_plot": plot("speed", figure), "speed": _speed(steps)}
    return found


def _classes(classes: Sequence[Mapping[str, str]]) -> str:
    columns = ("class", "samples", "before, %", "sampled", "after, %")
    return table(
        columns,
        [
            (
                f"{each['task']} {each['label']}",
                each["rows"],
                f"{100 * float(each['share']):.1f}",
                each["drawn"],
                f"{100 * float(each['drawn_share']):.1f}",
            )
            for each in classes
        ],
    )


def _speed(steps: Columns) -> str:
    waited, worked = sum(steps["data_seconds"]), sum(steps["step_seconds"])
    fraction, rate = waited / max(waited + worked, 1e-9), median(steps["rows_per_second"])
    return f"Median throughput {rate:.0f} samples/s; {100 * fraction:.1f} % of the time was spent waiting for data."


def _model(spec: ModelSpec) -> list[tuple[str, str]]:
    parent = spec.parent
    return [
        ("model", spec.title),
        ("date", spec.date or ""),
        ("parent", parent.title if parent else "random weights"),
        ("trained on", ", ".join(f"{count} samples of {name}" for name, count in spec.samples.items())),
        ("licence", spec.licence.sentence),
        ("made by", "; ".join(spec.commands)),
        ("not calibrated", ", ".join(spec.uncalibrated)),
        ("never trained", "; ".join(f"{task}: {', '.join(each)}" for task, each in spec.untrained_labels.items())),
    ]


def _figures(spec: ModelSpec) -> str:
    rows = [
        (
            data_set,
            task,
            str(entry["rows"]),
            *(percent(stored_estimate(entry, name)) for name in ("accuracy", "balanced_accuracy")),
            *(decimal(stored_estimate(entry, name)) for name in ("mae_years", "plcc", "srocc")),
        )
        for data_set, tasks in spec.metrics.items()
        for task, entry in tasks.items()
    ]
    columns = ("data set", "task", "faces", "accuracy, %", "balanced accuracy, %", "MAE, years", "PLCC", "SROCC")
    return table(columns, rows)


def _ages(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return true and expected ages in years, (samples,) each, of the predictions that have both."""
    columns = ("age_years", "expected_age")
    rows = [numbers(path, row, columns) for row in read_table(path, columns) if all(row[name] for name in columns)]
    pairs = np.array(rows, np.float64).reshape(-1, 2)
    return pairs[:, 0].astype(np.float32), pairs[:, 1]


def _columns(path: Path) -> Columns:
    """Return the numbers of a CSV file by column, nothing without the file."""
    if not path.is_file():
        return {}
    lines = read_table(path)
    rows = [numbers(path, line, lines[0]) for line in lines]
    return {name: list(column) for name, column in zip(lines[0], zip(*rows, strict=True), strict=True)} if lines else {}
