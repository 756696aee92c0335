"""An evaluation as files: JSON, a CSV of the main figures, and a report with plots as Markdown and as one HTML file."""

import csv
import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from facial_attributes_training.data.subsets import ALL
from facial_attributes_training.measure.evaluation import MIN_GROUP_ROWS, Evaluation, Group, TaskResult
from facial_attributes_training.measure.metrics import BOOTSTRAP_SAMPLES, INTERVAL, Estimate
from facial_attributes_training.measure.robustness import Condition
from facial_attributes_training.reports.page import self_contained
from facial_attributes_training.reports.plots import (
    ages_figure,
    confusion_figure,
    groups_figure,
    reliability_figure,
    save_figure,
)
from facial_attributes_training.reports.tables import (
    calibration_table,
    escaped,
    robustness_columns,
    robustness_table,
    threshold_table,
)

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.figures import Figure
from facial_attributes_ros.files import atomic_target, disk_errors

JSON_FILE, CSV_FILE, REPORT_FILE, PAGE_FILE = "evaluation.json", "evaluation.csv", "report.md", "report.html"
PLOTS = "plots"

_SUMMARY = (
    "data_set", "task", "rows", "accuracy", "accuracy_low", "accuracy_high", "balanced_accuracy", "macro_f1",
    "off_by_one", "mae_years", "plcc", "srocc", "ece", "ece_calibrated", "nll", "nll_calibrated", "brier",
    "brier_calibrated", "temperature", "threshold", "named", "precision_named",
)  # fmt: skip


_COLUMNS = (
    "data set", "task", "faces", "accuracy, %", "balanced, %", "macro F1", "off by one, %", "error, years",
    "calibration error, %", "NLL", "Brier", "named, %", "of these right, %",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """What was evaluated, for the head of the report.

    Attributes:
        model: the model's name.
        engine: what ran it.
        manifests: the files, as they were given.
        split: the splits that were taken, empty for all.
        crop: how faces were cut out.
        command: the command line that makes this report.
        version: of the model, empty where it has none.
        hash: the first digits of the model's hash, empty where it is not known.
        trained_on: what the rows share with those that the model was trained on, a sentence; empty if nobody looked.
    """

    model: str
    engine: str
    manifests: tuple[str, ...]
    split: str
    crop: str
    command: str
    version: str = ""
    hash: str = ""
    trained_on: str = ""


def to_json(evaluation: Evaluation, run: Run, robustness: Sequence[Condition] = ()) -> dict[str, Any]:
    """Return everything measured as plain data for JSON; figures that do not exist are null."""
    return {
        "run": asdict(run),
        "labels": {task: list(labels) for task, labels in LABELS.items()},
        "temperatures": evaluation.temperatures,
        "thresholds": _plain(evaluation.thresholds),
        "fitted_here": evaluation.fitted,
        "ways": _plain([asdict(way) for way in evaluation.ways]),
        "skipped": evaluation.skipped,
        "results": {
            name: {task: _task_json(result) for task, result in tasks.items()}
            for name, tasks in evaluation.results.items()
        },
        "robustness": _plain([asdict(condition) for condition in robustness]),
    }


def write_report(folder: Path, evaluation: Evaluation, run: Run, robustness: Sequence[Condition] = ()) -> list[Path]:
    """Write JSON, CSV, and the report as Markdown with its plots and as HTML.

    Args:
        folder: where to; it is made if need be.
        evaluation: what to write.
        run: what was evaluated.
        robustness: the same with spoilt faces, if that was measured.

    Returns:
        The files.

    Raises:
        UserError: the folder can't be written to.
    """
    files = [folder / name for name in (JSON_FILE, CSV_FILE, REPORT_FILE, PAGE_FILE)]
    with disk_errors(folder):
        plots = {place: save_figure(figure, folder / PLOTS / place) for place, figure in _plots(evaluation)}
        _write(files[0], json.dumps(to_json(evaluation, run, robustness), indent=1, allow_nan=False) + "\n")
        with atomic_target(files[1]) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _SUMMARY, lineterminator="\n")
            writer.writeheader()
            writer.writerows(summary_rows(evaluation))
        text = markdown(evaluation, run, robustness)
        _write(files[2], text)
        _write(files[3], self_contained(text, folder))
    return [*files, *plots.values()]


def summary_rows(evaluation: Evaluation) -> list[dict[str, object]]:
    """Return the main figures, one row per data set and task; cells without a figure are empty."""
    return [_summary(name, task, result) for name, task, result in _each(evaluation)]


def markdown(evaluation: Evaluation, run: Run, robustness: Sequence[Condition] = ()) -> str:
    """Return the report as Markdown; plots are named as `write_report` writes them."""
    parts = [_head(evaluation, run), _main_table(evaluation)]
    if evaluation.ways:
        ways = _plain([asdict(way) for way in evaluation.ways])
        parts += ["## Calibration, both ways round\n", calibration_table(ways), threshold_table(ways)]
    if robustness:
        conditions = _plain([asdict(condition) for condition in robustness])
        parts += ["## Spoilt views\n", robustness_table(conditions, robustness_columns(conditions))]
    parts += [_section(name, task, result) for name, task, result in _each(evaluation)]
    return "\n".join(parts)


def _each(evaluation: Evaluation) -> Iterator[tuple[str, str, TaskResult]]:
    """Yield data set, task and result; all together only where it is more than one data set."""
    rows = {name: {task: result.rows for task, result in tasks.items()} for name, tasks in evaluation.results.items()}
    for name, tasks in evaluation.results.items():
        for task, result in tasks.items():
            largest = max((found.get(task, 0) for other, found in rows.items() if other != ALL), default=0)
            if name != ALL or result.rows > largest:
                yield name, task, result


def _summary(name: str, task: str, result: TaskResult) -> dict[str, object]:
    years, calibration = result.years, result.calibration
    figures = {
        "accuracy": result.accuracy.value,
        "accuracy_low": result.accuracy.low,
        "accuracy_high": result.accuracy.high,
        "balanced_accuracy": result.balanced_accuracy.value,
        "macro_f1": result.macro_f1,
        "off_by_one": result.off_by_one.value if result.off_by_one else None,
        "mae_years": years.mae.value if years else None,
        "plcc": years.plcc.value if years else None,
        "srocc": years.srocc.value if years else None,
        "ece": calibration.before,
        "ece_calibrated": calibration.after,
        **{name: calibration.nll[place] for place, name in enumerate(("nll", "nll_calibrated"))},
        **{name: calibration.brier[place] for place, name in enumerate(("brier", "brier_calibrated"))},
        "temperature": calibration.temperature,
        "threshold": calibration.threshold,
        "named": calibration.named.coverage.value,
        "precision_named": calibration.named.precision.value if calibration.named.precision else None,
    }
    there = {column: value is not None and math.isfinite(value) for column, value in figures.items()}
    texts = {column: f"{value:.4f}" if there[column] else "" for column, value in figures.items()}
    return {"data_set": name, "task": task, "rows": result.rows, **texts}


def _task_json(result: TaskResult) -> dict[str, Any]:
    data: dict[str, Any] = _plain(asdict(result))
    if data["years"]:
        # The ages themselves are in the predictions.
        del data["years"]["expected"], data["years"]["true"]
    return data


def _plain(value: Any) -> Any:
    """Return nested data with arrays as lists, and NaN and infinity as None."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(entry) for entry in (value.tolist() if isinstance(value, np.ndarray) else value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plots(evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
    for name, task, result in _each(evaluation):
        title = f"{task}, {name}"
        stem = _stem(name, task)
        yield f"{stem}-confusion.png", confusion_figure(result, task, title)
        yield f"{stem}-reliability.png", reliability_figure(result.calibration, title)
        if result.groups:
            yield f"{stem}-groups.png", groups_figure(result.groups, title)
        if result.years:
            yield f"{stem}-years.png", ages_figure(result.years, title)


def _stem(name: str, task: str) -> str:
    """Return the beginning of plots' file names; data sets may be called anything."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
    # Names that differ only in other characters have plots of their own.
    mark = "" if safe == name else f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{safe}{mark}-{task}"


def _write(path: Path, text: str) -> None:
    with atomic_target(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def _head(evaluation: Evaluation, run: Run) -> str:
    skipped = ", ".join(f"{count} {reason}" for reason, count in evaluation.skipped.items()) or "none"
    origin = (
        "fitted on half of these rows; calibration is measured on the other half"
        if evaluation.fitted
        else "the model's own"
    )
    temperatures = ", ".join(f"{task} {value:.3f}" for task, value in evaluation.temperatures.items())
    notes = "".join(f"**{warning[0].upper()}{warning[1:]}**\n\n" for warning in evaluation.warnings)
    return f"""# Evaluation of {run.model}

| | |
|---|---|
| model | {run.model} {run.version} ({run.hash}) |
| engine | {run.engine} |
| manifests | {", ".join(run.manifests)} |
| split | {run.split or "all"} |
| crop | {run.crop} |
| rows skipped | {skipped} |
| temperatures | {temperatures} ({origin}) |

    {run.command}
{run.trained_on and f"{chr(10)}{run.trained_on}{chr(10)}"}
Brackets hold {INTERVAL:.0%} bootstrap confidence intervals ({BOOTSTRAP_SAMPLES} draws of rows). Balanced accuracy is
the mean recall of the classes; off by one counts the neighbouring age group as right; the error in years is that of the
expected age; the calibration error is over 15 equal bins of confidence. It, the negative log-likelihood (NLL, in nats)
and the Brier score are given before and after the temperature.

{notes}"""


def _main_table(evaluation: Evaluation) -> str:
    lines = [
        "## Summary",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        "|---" * len(_COLUMNS) + "|",
    ]
    for name, task, result in _each(evaluation):
        mae = result.years.mae if result.years else None
        years = _interval(mae, 2) if mae else ""
        off_by_one = _percent(result.off_by_one) if result.off_by_one else ""
        calibration = f"{100 * result.calibration.before:.1f} → {100 * result.calibration.after:.1f}"
        cells = (
            name, task, str(result.rows), _percent(result.accuracy), _percent(result.balanced_accuracy),
            f"{result.macro_f1:.3f}", off_by_one, years, calibration, _two(result.calibration.nll),
            _two(result.calibration.brier), _percent(result.calibration.named.coverage),
            _percent(result.calibration.named.precision) if result.calibration.named.precision else "",
        )  # fmt: skip
        lines.append(f"| {' | '.join(escaped(cell) for cell in cells)} |")
    return "\n".join([*lines, ""])


def _section(name: str, task: str, result: TaskResult) -> str:
    stem = f"{PLOTS}/{_stem(name, task)}"
    lines = [f"## {task}, {name}", "", "| class | faces | recall, % | F1 |", "|---|---|---|---|"]
    for index, label in enumerate(LABELS[task]):
        rows = int(result.confusion[index].sum())
        recall = _percent(estimate) if (estimate := result.recall[index]) else ""
        score = result.f1[index]
        lines.append(f"| {label} | {rows} | {recall} | {'' if score is None else f'{score:.3f}'} |")
    lines += ["", f"![Confusion matrix]({stem}-confusion.png)", "", f"![Reliability]({stem}-reliability.png)", ""]
    if result.years:
        years = result.years
        lines += ["| faces | mean error, years | PLCC (Pearson) | SROCC (Spearman) |", "|---|---|---|---|"]
        cells = (_interval(years.mae, 2), _interval(years.plcc, 3), _interval(years.srocc, 3))
        lines += [f"| {years.rows} | {' | '.join(cells)} |", "", f"![Ages]({stem}-years.png)", ""]
    for column, groups in result.groups.items():
        lines += _group_table(column, groups, result.gaps.get(column))
    if result.groups:
        lines += [f"![Groups]({stem}-groups.png)", ""]
    return "\n".join(lines)


def _group_table(column: str, groups: dict[str, Group], gap: float | None) -> list[str]:
    with_years = any(group.mae is not None for group in groups.values())
    lines = [f"| {escaped(column)} | faces | accuracy, % | balanced, % |" + (" error, years |" if with_years else "")]
    lines.append("|---|---|---|---|" + ("---|" if with_years else ""))
    for value, group in groups.items():
        row = f"| {escaped(value)} | {group.rows} | {_percent(group.accuracy)} | {_percent(group.balanced_accuracy)} |"
        lines.append(row + (f" {'' if group.mae is None else f'{group.mae:.2f}'} |" if with_years else ""))
    if gap is not None:
        note = (
            f"Gap between the best and the worst {column} (of at least {MIN_GROUP_ROWS} faces): {100 * gap:.1f} points."
        )
        lines += ["", note]
    return [*lines, ""]


def _two(figures: tuple[float, float]) -> str:
    return f"{figures[0]:.3f} → {figures[1]:.3f}"


def _interval(estimate: Estimate, digits: int) -> str:
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
