"""The tables of a comparison, as the reference has them, with intervals; as Markdown, HTML and JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from facial_attributes_training.measure.metrics import BOOTSTRAP_SAMPLES, INTERVAL, Estimate
from facial_attributes_training.measure.paired import Key, Measure, measure, per_task
from facial_attributes_training.reports.comparison import Failure, FinishedRun, Rung, rungs
from facial_attributes_training.reports.page import self_contained
from facial_attributes_training.reports.plots import DPI
from facial_attributes_training.reports.tables import table

from facial_attributes_ros.attributes import AGE, TASKS
from facial_attributes_ros.figures import Figure
from facial_attributes_ros.files import atomic_target, disk_errors

REPORT_FILE, PAGE_FILE, FIGURES_FILE, PLOT_FILE = (
    "comparison.md",
    "comparison.html",
    "comparison.json",
    "comparison.png",
)
MEAN = "mean of the tasks"
_SHORT_NAME = 8
"""Longer names stand aslant below a plot."""

Figures = Mapping[Key, Measure]
Summary = Mapping[str, Measure]
"""Mean over the data sets of every task, and of the tasks."""


def write_comparison(folder: Path, runs: Sequence[FinishedRun], failures: Sequence[Failure], command: str) -> Path:
    """Write the tables of all runs, and return the Markdown file.

    Args:
        folder: where to; it is made if need be.
        runs: in the order of the ladder.
        failures: are listed at the end.
        command: that made this.

    Raises:
        UserError: no space or no write access.
    """
    rows = rungs(runs)
    accuracies, balanced = (_figures(rows, kind) for kind in (False, True))
    summaries = [_summary(figures) for figures in accuracies]
    parts = [_head(command)]
    with disk_errors(folder):
        if rows:
            with atomic_target(folder / PLOT_FILE) as partial:
                _plot(rows, summaries).savefig(partial, dpi=DPI, bbox_inches="tight")
            parts += [
                *_single_against_multi(rows, summaries),
                f"![The ladder]({PLOT_FILE})\n",
                *_steps(rows, summaries),
            ]
            parts += ["## Accuracy by data set, %\n", _by_data_set(rows, accuracies)]
            parts += ["## Balanced accuracy by data set, %\n", _by_data_set(rows, balanced)]
            parts += [*_years(runs), _costs(rows), _budget(runs)]
        parts += _failures(failures)
        text = "\n".join(parts)
        content = {
            REPORT_FILE: text,
            PAGE_FILE: self_contained(text, folder),
            FIGURES_FILE: json.dumps(_json(rows, accuracies, balanced), indent=1) + "\n",
        }
        for name, written in content.items():
            with atomic_target(folder / name) as partial:
                partial.write_text(written, encoding="utf-8", errors="backslashreplace")
    return folder / REPORT_FILE


def _figures(rows: Sequence[Rung], balanced: bool) -> list[dict[Key, Measure]]:
    found = iter(measure([run.outcomes for rung in rows for run in rung.runs], balanced))
    return [{key: m for _ in rung.runs for key, m in next(found).items()} for rung in rows]


def _summary(figures: Figures) -> dict[str, Measure]:
    tasks = per_task(figures)
    return tasks | {MEAN: Measure.mean(tasks.values())} if len(tasks) == len(TASKS) else tasks


def _head(command: str) -> str:
    return f"""# Comparison of runs

    {command}

Figures are of the validation rows that nothing was chosen or fitted on. Brackets hold {INTERVAL:.0%} bootstrap
intervals ({BOOTSTRAP_SAMPLES} draws of rows). Differences are paired: both runs are measured on the same draws. A
difference is in bold where its interval does not hold 0; every other order may be chance. Runs that were measured on
different rows have no difference. One training a run is not enough to tell what another seed would change.
"""


def _single_against_multi(rows: Sequence[Rung], summaries: Sequence[Summary]) -> Iterator[str]:
    columns = [*TASKS, MEAN]
    yield "## Single-task against multi-task: accuracy, %, mean over the data sets\n"
    yield table(
        ("adaptation", *columns),
        [
            (rung.title, *(_percent(found.get(name)) for name in columns))
            for rung, found in zip(rows, summaries, strict=True)
        ],
    )
    pairs = [
        (_pair_label(multi, single), summaries[place], summaries[other])
        for place, multi in enumerate(rows)
        for other, single in enumerate(rows)
        if single.single_task and not multi.single_task and single.adaptation == multi.adaptation
    ]
    if pairs:
        yield "Multi-task minus single-task, percentage points:\n"
        yield table(
            ("adaptation", *columns),
            [(label, *_differences(columns, multi, single)) for label, multi, single in pairs],
        )


def _pair_label(multi: Rung, single: Rung) -> str:
    return multi.label if multi.label == single.label else f"{multi.label} minus {single.label}"


def _steps(rows: Sequence[Rung], summaries: Sequence[Summary]) -> Iterator[str]:
    columns = [*TASKS, MEAN]
    multi = [(rung, found) for rung, found in zip(rows, summaries, strict=True) if not rung.single_task]
    if len(multi) > 1:
        yield "## From rung to rung: difference in accuracy, percentage points\n"
        yield table(
            ("multi-task", *columns),
            [
                (f"{after.label} minus {before.label}", *_differences(columns, upper, lower))
                for (before, lower), (after, upper) in pairwise(multi)
            ],
        )


def _differences(columns: Sequence[str], first: Summary, second: Summary) -> list[str]:
    cells = []
    for name in columns:
        if name not in first or name not in second:
            cells.append("")
            continue
        if first[name].rows != second[name].rows:
            cells.append("other rows")
            continue
        estimate = (first[name] - second[name]).estimate
        text = f"{100 * estimate.value:+.1f} [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"
        cells.append(f"**{text}**" if estimate.low > 0 or estimate.high < 0 else text)
    return cells


def _by_data_set(rows: Sequence[Rung], figures: Sequence[Figures]) -> str:
    keys = sorted({key for found in figures for key in found}, key=lambda key: (TASKS.index(key[1]), key[0]))
    return table(
        ("run", *(f"{source} {task}" for source, task in keys)),
        [(rung.title, *(_percent(found.get(key)) for key in keys)) for rung, found in zip(rows, figures, strict=True)],
    )


def _years(runs: Sequence[FinishedRun]) -> Iterator[str]:
    names = ("mae_years", "plcc", "srocc")
    rows = [
        (run.recipe.name, data, *(_with_interval(entry, name) for name in names))
        for run in runs
        for data, tasks in run.metrics.items()
        if "mae_years_95" in (entry := tasks.get(AGE, {}))
    ]
    if rows:
        yield "## Age in years\n"
        yield table(("run", "data set", "mean error, years", "PLCC (Pearson)", "SROCC (Spearman)"), rows)


def _with_interval(entry: Mapping[str, Any], name: str) -> str:
    if f"{name}_95" not in entry:
        return ""  # ages that are all the same correlate with nothing
    low, high = entry[f"{name}_95"]
    return f"{entry[name]:.3f} [{low:.3f}, {high:.3f}]"


def _costs(rows: Sequence[Rung]) -> str:
    cells = []
    for rung in rows:
        parameters, trained, gflops = rung.counts
        share = max(run.counts.share for run in rung.runs)
        cells.append((rung.title, f"{parameters / 1e6:.2f}", f"{trained / 1e6:.2f}", f"{share:.2f}", f"{gflops:.2f}"))
    columns = ("run", "parameters, M", "trained, M", "share trained, %", "GFLOPs a face")
    return f"""## Cost

{table(columns, cells)}
For all tasks of a face together: models of one task each are added up, but heads alone stand on one backbone.
Parameters and GFLOPs are of models as they run, adapters merged; GFLOPs count linear and convolution layers, 2 per
multiply-add. The share is that of one model in training.
"""


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
    columns = ("run", "tasks", "rows", "epochs", "rows seen", "minutes of steps", "learning rate", "seed")
    return "## Budget\n\n" + table(columns, cells)


def _failures(failures: Sequence[Failure]) -> list[str]:
    if not failures:
        return []
    reasons = [(failure.name, " ".join(failure.reason.split())) for failure in failures]
    return ["## Runs that failed\n", table(("run", "reason"), reasons)]


def _percent(found: Measure | None) -> str:
    if found is None:
        return ""
    estimate = found.estimate
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _plot(rows: Sequence[Rung], summaries: Sequence[Summary]) -> Figure:
    """Draw the accuracy of every rung per task, with its interval; hollow where every task has a model of its own."""
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
        estimate: Estimate = entry.estimate
        found.setdefault(source, {})[task] = asdict(estimate)
    return found
