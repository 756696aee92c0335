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
from facial_attributes_training.measure.evaluation import MIN_GROUP_ROWS, Evaluation, TaskResult
from facial_attributes_training.measure.metrics import BOOTSTRAP_SAMPLES, INTERVAL
from facial_attributes_training.measure.robustness import Condition
from facial_attributes_training.reports.page import render, write_page
from facial_attributes_training.reports.plots import (
    ages_figure,
    confusion_figure,
    groups_figure,
    reliability_figure,
    save_figure,
)
from facial_attributes_training.reports.tables import Json, percent, table, years

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.figures import Figure
from facial_attributes_ros.files import atomic_target, disk_errors

JSON_FILE, CSV_FILE, REPORT_FILE, PAGE_FILE = "evaluation.json", "evaluation.csv", "report.md", "report.html"
PLOTS = "plots"

_SUMMARY = (
    "data_set", "task", "rows", "accuracy", "accuracy_low", "accuracy_high", "balanced_accuracy", "macro_f1",
    "off_by_one", "mae_years", "plcc", "srocc", "ece", "ece_calibrated", "nll", "nll_calibrated", "brier",
    "brier_calibrated", "temperature", "threshold", "coverage", "precision",
)  # fmt: skip
_COLUMNS = (
    "data set", "task", "faces", "accuracy, %", "balanced accuracy, %", "macro F1", "accuracy ±1, %", "MAE, years",
    "ECE, %", "NLL", "Brier", "coverage, %", "precision, %",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """What was evaluated, for the head of the report.

    Attributes:
        model: the model's name.
        engine: what ran it.
        manifests: the files, as they were given.
        split: the splits that were selected, empty for all.
        crop: how faces were cropped.
        command: the command line that makes this report.
        version: of the model, empty where it has none.
        hash: the first digits of the model's hash, empty where it is not known.
        trained_on: how the samples overlap with those that the model was trained on, a sentence; empty if they were not
            compared.
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
        "gender_thresholds": evaluation.calibration.gender_thresholds,
        "age_spread": list(evaluation.calibration.age_spread),
        "age_certainty": evaluation.calibration.age_certainty,
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
        robustness: the same on corrupted images, if that was measured.

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
        write_page(folder, REPORT_FILE, PAGE_FILE, markdown(evaluation, run, robustness))
    return [*files, *plots.values()]


def summary_rows(evaluation: Evaluation) -> list[dict[str, object]]:
    """Return the main metrics, a line per data set and task; cells without a metric are empty."""
    return [_summary(name, task, result) for name, task, result in _each(evaluation)]


def markdown(evaluation: Evaluation, run: Run, robustness: Sequence[Condition] = ()) -> str:
    """Return the report as Markdown; plots are named as `write_report` writes them."""
    document = to_json(evaluation, run, robustness)
    found = [(name, task, document["results"][name][task]) for name, task, _ in _each(evaluation)]
    return render(
        "evaluation",
        **document,
        warnings=evaluation.warnings,
        interval=INTERVAL,
        draws=BOOTSTRAP_SAMPLES,
        min_group=MIN_GROUP_ROWS,
        plots=PLOTS,
        summary=table(_COLUMNS, [_cells(*entry) for entry in found]),
        sections=[_section(*entry) for entry in found],
    )


def _each(evaluation: Evaluation) -> Iterator[tuple[str, str, TaskResult]]:
    """Yield data set, task and result; those of all together only where that is more than one data set."""
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
        "coverage": calibration.named.coverage.value,
        "precision": calibration.named.precision.value if calibration.named.precision else None,
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


def _cells(name: str, task: str, result: Json) -> tuple[str, ...]:
    """Return the line of the summary of a task on a data set."""
    calibration = result["calibration"]
    return (
        name,
        task,
        str(result["rows"]),
        percent(result["accuracy"]),
        percent(result["balanced_accuracy"]),
        f"{result['macro_f1']:.3f}",
        percent(result["off_by_one"]),
        years(result["years"]["mae"]) if result["years"] else "",
        f"{100 * calibration['before']:.1f} → {100 * calibration['after']:.1f}",
        *(f"{calibration[score][0]:.3f} → {calibration[score][1]:.3f}" for score in ("nll", "brier")),
        percent(calibration["named"]["coverage"]),
        percent(calibration["named"]["precision"]),
    )


def _section(name: str, task: str, result: Json) -> dict[str, Any]:
    """Return what the template needs for the section of a task on a data set."""
    classes = [
        (label, str(sum(counts)), percent(recall), "" if f1 is None else f"{f1:.3f}")
        for label, counts, recall, f1 in zip(
            LABELS[task], result["confusion"], result["recall"], result["f1"], strict=True
        )
    ]
    return {
        "data_set": name,
        "task": task,
        "result": result,
        "stem": _stem(name, task),
        "classes": table(("class", "faces", "recall, %", "F1"), classes),
        "groups": {column: _group_table(column, groups) for column, groups in result["groups"].items()},
    }


def _group_table(column: str, groups: Json) -> str:
    with_years = any(group["mae"] is not None for group in groups.values())
    rows = [
        (
            value,
            str(group["rows"]),
            percent(group["accuracy"]),
            percent(group["balanced_accuracy"]),
            *(("" if group["mae"] is None else f"{group['mae']:.2f}",) if with_years else ()),
        )
        for value, group in groups.items()
    ]
    columns = (column, "faces", "accuracy, %", "balanced accuracy, %", *(("MAE, years",) if with_years else ()))
    return table(columns, rows)
