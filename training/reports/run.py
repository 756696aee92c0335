"""The report of a run as Markdown with plots and as one HTML file, from what the run left in its folder."""

import logging
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from facial_attributes_training.data.table_files import numbers, read_table
from facial_attributes_training.fit.run import RunRecord
from facial_attributes_training.fit.run_files import (
    DISTRIBUTION_FILE,
    HISTORY_FILE,
    PAGE_FILE,
    PLOTS,
    REPORT_FILE,
    stage_folder,
)
from facial_attributes_training.fit.step_log import read_steps
from facial_attributes_training.recipe.schema import Recipe, SamplerRecipe
from facial_attributes_training.reports.age_plots import HISTOGRAM_FILE, SCATTER_FILE, write_age_plots
from facial_attributes_training.reports.page import self_contained
from facial_attributes_training.reports.plots import save_figure
from facial_attributes_training.reports.run_plots import Columns, distribution_figure, losses_figure, speed_figure
from facial_attributes_training.reports.tables import table

from facial_attributes_ros.attributes import AGE
from facial_attributes_ros.figures import Figure
from facial_attributes_ros.files import atomic_target, disk_errors
from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.spec import ModelSpec

_LOGGER = logging.getLogger(__name__)
_NOT_COMPARED = "The rows that they are of were not compared with those that were trained on."


def write_reports(recipe: Recipe, record: RunRecord) -> None:
    """Write the age plots and the report of a finished run, unless the machine lacks what they are drawn with.

    Raises:
        UserError: no space or no write access.
    """
    # A machine that is lent to train on may have no more than training needs.
    if missing := next((name for name in ("matplotlib", "markdown") if not find_spec(name)), None):
        _LOGGER.warning("No report is written, since %s is missing.", missing)
        return
    write_age_plots(recipe.folder, record.splits)
    write_run_report(recipe, record.notes, record.promise)


def write_run_report(recipe: Recipe, notes: Sequence[str] = (), promise: str | None = None) -> Path:
    """Write `report.md` and `report.html` to the folder of a run, as far as it has come, and return the latter.

    Args:
        recipe: of the run.
        notes: sentences that a reader should see first.
        promise: what is known of the rows that figures are of, a sentence; None if they were not compared with others.

    Raises:
        UserError: no space or no write access.
    """
    folder = recipe.folder
    parts = [f"# Training of {recipe.name}\n", *(f"**{note}**\n" for note in notes), _recipe_table(recipe)]
    parts += [text for tasks in recipe.stages for text in _stage(recipe, tasks)]
    if (folder / "model" / "model.json").is_file():
        spec = ModelSpec.read(folder / "model")
        parts += [_model(spec), _figures(spec, promise or _NOT_COMPARED), *_ages(folder)]
    text = "\n".join(parts)
    for path, content in ((folder / REPORT_FILE, text), (folder / PAGE_FILE, self_contained(text, folder))):
        with disk_errors(path), atomic_target(path) as partial:
            partial.write_text(content, encoding="utf-8", errors="backslashreplace")
    return folder / PAGE_FILE


def _recipe_table(recipe: Recipe) -> str:
    data = recipe.data
    optimiser, schedule, sampler = recipe.optimiser, recipe.schedule, recipe.sampler
    rows = [
        ("backbone", f"{recipe.backbone.name}, weights {recipe.backbone.start or recipe.backbone.weights or 'random'}"),
        ("adaptation", Adaptation.from_dict(recipe.adaptation).name),
        ("tasks", ", ".join(recipe.tasks) + (", one after another" if recipe.one_after_another else "")),
        *([("age", f"learned as {recipe.age_as}")] if AGE in recipe.tasks else []),
        ("trained on", ", ".join(str(part.manifest) for part in data.train)),
        ("validated on", ", ".join(str(part.manifest) for part in data.validation)),
        ("measured on", ", ".join(str(part.manifest) for part in data.test) or "one half of the validation rows"),
        ("rows of each", str(data.rows or "all")),
        ("sampling", _sampling(sampler)),
        ("optimiser", f"AdamW, rate {optimiser.lr:g}, the backbone's share of it {optimiser.backbone_rate:g}"),
        ("schedule", f"{schedule.name}, {recipe.epochs} epochs at most, patience {recipe.early_stopping}"),
        ("batch", f"{recipe.batch_size} rows in {recipe.accumulate} part(s), {recipe.precision}"),
        ("seed", str(recipe.seed)),
    ]
    return table(("", ""), rows)


def _sampling(sampler: SamplerRecipe) -> str:
    if sampler.name == "reference":
        return "as the reference's code does"
    shares = {"rows": sampler.emotion_rows, "draws": sampler.emotion_share}
    told = [f"emotions repeated up to {share:.1%} of the {what}" for what, share in shares.items() if share is not None]
    return ", ".join([f"balance {sampler.balance}", *told])


def _stage(recipe: Recipe, tasks: Sequence[str]) -> Iterator[str]:
    folder, name = stage_folder(recipe, tasks), " and ".join(tasks)
    history = _columns(folder / HISTORY_FILE)
    if not history:
        return
    plots = recipe.folder / PLOTS
    stem = folder.name
    yield f"## {name.capitalize()}\n"
    losses = history["loss"]
    lowest = min(losses)
    yield f"{len(losses)} epochs; the lowest validation loss, {lowest:.4f}, is of epoch {losses.index(lowest) + 1}.\n"
    yield _plot(plots / f"{stem}-losses.png", losses_figure(history, tasks, name), "Losses and accuracies")
    if (folder / DISTRIBUTION_FILE).is_file():
        yield from _distribution(folder / DISTRIBUTION_FILE, plots / f"{stem}-distribution.png")
    if steps := read_steps(folder):
        yield from _speed(steps, plots / f"{stem}-speed.png")


def _distribution(path: Path, plot: Path) -> Iterator[str]:
    classes = read_table(path, ("task", "label", "rows", "share", "drawn", "drawn_share"))
    yield "### Classes before and after sampling\n"
    figure = distribution_figure(classes, "Classes of the training rows, and of the rows of the first epoch")
    yield _plot(plot, figure, "Classes before and after sampling")
    yield table(
        ("class", "rows", "share, %", "drawn", "share drawn, %"),
        [
            (f"{c['task']} {c['label']}", c["rows"], _percent(c["share"]), c["drawn"], _percent(c["drawn_share"]))
            for c in classes
        ],
    )


def _speed(steps: Columns, plot: Path) -> Iterator[str]:
    waited, worked = sum(steps["data_seconds"]), sum(steps["step_seconds"])
    share = waited / max(waited + worked, 1e-9)
    yield "### Speed\n"
    yield _plot(plot, speed_figure(steps, "Data time against step time"), "Speed")
    rate = median(steps["rows_per_second"])
    yield f"{rate:.0f} rows a second at the median; {100 * share:.1f} % of the time was spent waiting for data.\n"


def _model(spec: ModelSpec) -> str:
    parent = spec.parent
    rows = [
        ("model", spec.title),
        ("date", spec.date or ""),
        ("made from", f"{parent.name} {parent.version}" if parent else "random numbers"),
        ("trained on", ", ".join(f"{count} rows of {name}" for name, count in spec.samples.items())),
        ("licence", spec.licence.sentence),
        ("not calibrated", ", ".join(spec.uncalibrated)),
        ("never trained", "; ".join(f"{task}: {', '.join(each)}" for task, each in spec.untrained_labels.items())),
    ]
    return "## Model\n\n" + table(("", ""), rows)


def _figures(spec: ModelSpec, promise: str) -> str:
    rows = [
        (
            data_set,
            task,
            str(entry["rows"]),
            _with_interval(entry, "accuracy"),
            _with_interval(entry, "balanced_accuracy"),
            *(_years(entry, name) for name in ("mae_years", "plcc", "srocc")),
        )
        for data_set, tasks in spec.metrics.items()
        for task, entry in tasks.items()
    ]
    text = f"## Figures\n\n{promise} Intervals are 95 % bootstrap intervals.\n\n"
    header = ("data set", "task", "faces", "accuracy, %", "balanced, %", "error, years", "PLCC", "SROCC")
    return text + table(header, rows)


def _ages(folder: Path) -> Iterator[str]:
    titles = {HISTOGRAM_FILE: "Ages of the splits", SCATTER_FILE: "True against expected age"}
    for name, title in titles.items():
        if (folder / PLOTS / name).is_file():
            yield f"![{title}]({PLOTS}/{name})\n"


def _years(entry: dict[str, Any], name: str) -> str:
    if name not in entry:
        return ""
    interval = entry.get(f"{name}_95")
    return f"{entry[name]:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def _with_interval(entry: dict[str, object], name: str) -> str:
    value, interval = entry[name], entry.get(f"{name}_95")
    if not isinstance(value, float) or not isinstance(interval, list):
        return ""
    return f"{100 * value:.1f} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _percent(text: str) -> str:
    return f"{100 * float(text):.1f}"


def _plot(path: Path, figure: Figure, title: str) -> str:
    return f"![{title}]({PLOTS}/{save_figure(figure, path).name})\n"


def _columns(path: Path) -> Columns:
    """Return the numbers of a CSV file by column, nothing without the file."""
    if not path.is_file():
        return {}
    lines = read_table(path)
    rows = [numbers(path, line, lines[0]) for line in lines]
    return {name: list(column) for name, column in zip(lines[0], zip(*rows, strict=True), strict=True)} if lines else {}
