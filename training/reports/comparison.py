"""The comparison of runs, with the tables of Sessa's thesis and with intervals; as Markdown, HTML and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

from facial_attributes_training.measure.metrics import BOOTSTRAP_SAMPLES, INTERVAL
from facial_attributes_training.measure.paired import Key, Measure, measure, per_task
from facial_attributes_training.reports.finished_runs import Failure, FinishedRun, Rung, rungs
from facial_attributes_training.reports.page import render, write_page
from facial_attributes_training.reports.plots import save_figure
from facial_attributes_training.reports.tables import decimal, percent, stored_estimate, table

from facial_attributes_ros.attributes import AGE, TASKS
from facial_attributes_ros.figures import Figure
from facial_attributes_ros.files import atomic_target, disk_errors
from facial_attributes_ros.text import with_interval

REPORT_FILE, PAGE_FILE, FIGURES_FILE, PLOT_FILE = (
    "comparison.md",
    "comparison.html",
    "comparison.json",
    "comparison.png",
)
MEAN = "mean of the tasks"
_SUMMARY_COLUMNS = (*TASKS, MEAN)
_SHORT_NAME = 8
"""Longer names are slanted below a plot."""

Figures = Mapping[Key, Measure]
Summary = Mapping[str, Measure]
"""Mean over the data sets of every task, and of the tasks."""


def write_comparison(folder: Path, runs: Sequence[FinishedRun], failures: Sequence[Failure], command: str) -> Path:
    """Write the tables of all runs, and return the Markdown file.

    Args:
        folder: where to; it is made if need be.
        runs: in the order of the adaptations.
        failures: are listed at the end.
        command: that made this.

    Raises:
        UserError: no space or no write access.
    """
    rows = rungs(runs)
    accuracies, balanced = (_figures(rows, kind) for kind in (False, True))
    summaries = [_summary(figures) for figures in accuracies]
    with disk_errors(folder):
        if rows:
            save_figure(_plot(rows, summaries), folder / PLOT_FILE)
        with atomic_target(folder / FIGURES_FILE) as partial:
            document = json.dumps(_json(rows, accuracies, balanced), indent=1) + "\n"
            partial.write_text(document, encoding="utf-8", errors="backslashreplace")
    text = render(
        "comparison",
        command=command,
        interval=INTERVAL,
        draws=BOOTSTRAP_SAMPLES,
        plot=PLOT_FILE,
        runs=runs,
        summary=_overview(rows, summaries),
        single_multi=_single_against_multi(rows, summaries),
        steps=_steps(rows, summaries),
        accuracy=_by_data_set(rows, accuracies),
        balanced=_by_data_set(rows, balanced),
        years=_years(runs),
        costs=_costs(rows),
        budget=_budget(runs),
        failures=_failures(failures),
    )
    write_page(folder, REPORT_FILE, PAGE_FILE, text)
    return folder / REPORT_FILE


def _figures(rows: Sequence[Rung], balanced: bool) -> list[dict[Key, Measure]]:
    found = iter(measure([run.outcomes for rung in rows for run in rung.runs], balanced))
    return [{key: m for _ in rung.runs for key, m in next(found).items()} for rung in rows]


def _summary(figures: Figures) -> dict[str, Measure]:
    tasks = per_task(figures)
    return tasks | {MEAN: Measure.mean(tasks.values())} if len(tasks) == len(TASKS) else tasks


def _overview(rows: Sequence[Rung], summaries: Sequence[Summary]) -> str:
    return table(
        ("adaptation", *_SUMMARY_COLUMNS),
        [
            (rung.title, *(_percent(found.get(name)) for name in _SUMMARY_COLUMNS))
            for rung, found in zip(rows, summaries, strict=True)
        ],
    )


def _single_against_multi(rows: Sequence[Rung], summaries: Sequence[Summary]) -> str:
    """Return the differences of multi-task and single-task models of one adaptation; empty without such a pair."""
    lines = [
        (_pair_label(multi, single), *_differences(summaries[place], summaries[other]))
        for place, multi in enumerate(rows)
        for other, single in enumerate(rows)
        if single.single_task and not multi.single_task and single.adaptation == multi.adaptation
    ]
    return table(("adaptation", *_SUMMARY_COLUMNS), lines) if lines else ""


def _pair_label(multi: Rung, single: Rung) -> str:
    return multi.label if multi.label == single.label else f"{multi.label} minus {single.label}"


def _steps(rows: Sequence[Rung], summaries: Sequence[Summary]) -> str:
    """Return the differences of every multi-task model and the one before it; empty without two of them."""
    multi = [(rung, found) for rung, found in zip(rows, summaries, strict=True) if not rung.single_task]
    lines = [
        (f"{after.label} minus {before.label}", *_differences(upper, lower))
        for (before, lower), (after, upper) in pairwise(multi)
    ]
    return table(("multi-task", *_SUMMARY_COLUMNS), lines) if lines else ""


def _differences(first: Summary, second: Summary) -> list[str]:
    cells = []
    for name in _SUMMARY_COLUMNS:
        if name not in first or name not in second:
            cells.append("")
            continue
        if first[name].rows != second[name].rows:
            cells.append("other samples")
            continue
        estimate = (first[name] - second[name]).estimate
        text = with_interval(estimate.value, estimate.low, estimate.high, percent=True, sign=True)
        cells.append(f"**{text}**" if estimate.low > 0 or estimate.high < 0 else text)
    return cells


def _by_data_set(rows: Sequence[Rung], figures: Sequence[Figures]) -> str:
    keys = sorted({key for found in figures for key in found}, key=lambda key: (TASKS.index(key[1]), key[0]))
    return table(
        ("run", *(f"{source} {task}" for source, task in keys)),
        [(rung.title, *(_percent(found.get(key)) for key in keys)) for rung, found in zip(rows, figures, strict=True)],
    )


def _years(runs: Sequence[FinishedRun]) -> str:
    """Return the errors and correlations of ages in years; empty where no run has any with an interval."""
    lines = [
        (run.recipe.name, data, *(decimal(stored_estimate(entry, name)) for name in ("mae_years", "plcc", "srocc")))
        for run in runs
        for data, tasks in run.metrics.items()
        if "mae_years_95" in (entry := tasks.get(AGE, {}))
    ]
    return table(("run", "data set", "MAE, years", "PLCC (Pearson)", "SROCC (Spearman)"), lines) if lines else ""


def _costs(rows: Sequence[Rung]) -> str:
    cells = []
    for rung in rows:
        parameters, trained, gflops = rung.counts
        part = max(run.counts.trained_percent for run in rung.runs)
        cells.append((rung.title, f"{parameters / 1e6:.2f}", f"{trained / 1e6:.2f}", f"{part:.2f}", f"{gflops:.2f}"))
    return table(("run", "parameters, M", "trained, M", "trained, %", "GFLOPs per face"), cells)


def _budget(runs: Sequence[FinishedRun]) -> str:
    cells = [
        (
            run.recipe.name,
            ", ".join(run.recipe.tasks),
            str(run.recipe.data.rows or "all"),
            str(run.epochs),
            f"{run.steps * run.recipe.batch_size:,}",
            f"{run.minutes:.1f}",
            f"{run.recipe.optimiser.lr:g}",
            str(run.recipe.seed),
        )
        for run in runs
    ]
    columns = ("run", "tasks", "samples", "epochs", "samples seen", "minutes of steps", "learning rate", "seed")
    return table(columns, cells)


def _failures(failures: Sequence[Failure]) -> str:
    reasons = [(failure.name, " ".join(failure.reason.split())) for failure in failures]
    return table(("run", "reason"), reasons) if reasons else ""


def _percent(found: Measure | None) -> str:
    return percent(None if found is None else asdict(found.estimate))


def _plot(rows: Sequence[Rung], summaries: Sequence[Summary]) -> Figure:
    """Draw the accuracy of every adaptation per task, with its interval; single-task models are hollow."""
    columns = [name for name in (*TASKS, MEAN) if any(name in found for found in summaries)]
    names = list(dict.fromkeys(rung.label for rung in rows))
    slant = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > _SHORT_NAME else {}
    figure = Figure(figsize=(3.2 * len(columns) + 0.5, 3.6), layout="constrained")
    for axes, column in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
        for rung, found in zip(rows, summaries, strict=True):
            if column in found:
                estimate = found[column].estimate
                place = names.index(rung.label) + (-0.12 if rung.single_task else 0.12)
                errors = [[100 * (estimate.value - estimate.low)], [100 * (estimate.high - estimate.value)]]
                colour = "C1" if rung.single_task else "C0"
                face = "white" if rung.single_task else colour
                axes.errorbar(
                    place, 100 * estimate.value, errors, fmt="o", color=colour, markerfacecolor=face, capsize=3
                )
        axes.set_xticks(range(len(names)), names, **slant)
        axes.margins(x=0.15)
        axes.set_title(column, fontsize=10)
    figure.axes[0].set_ylabel("accuracy, %")
    handles = [
        figure.axes[0].plot([], [], "o", color="C1", markerfacecolor="white")[0],
        figure.axes[0].plot([], [], "o", color="C0")[0],
    ]
    figure.legend(handles, ["single-task", "multi-task"], loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _json(rows: Sequence[Rung], accuracies: Sequence[Figures], balanced: Sequence[Figures]) -> list[dict[str, object]]:
    return [
        {
            "run": rung.title,
            "parameters": rung.counts[0],
            "trained": rung.counts[1],
            "gflops": rung.counts[2],
            "accuracy": _plain(accuracy),
            "balanced_accuracy": _plain(recall),
        }
        for rung, accuracy, recall in zip(rows, accuracies, balanced, strict=True)
    ]


def _plain(figures: Figures) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for (source, task), entry in figures.items():
        found.setdefault(source, {})[task] = asdict(entry.estimate)
    return found
