"""Markdown tables, and the one way in which reports write an estimate with its interval.

An estimate is an object with `value`, `low` and `high`, as `metrics.Estimate` becomes in JSON.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from facial_attributes_training.data.subsets import ALL

from facial_attributes_ros.text import with_interval

Json = Mapping[str, Any]

_NAMED = ("coverage", "precision")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table that ends with a line break."""
    lines = [f"| {' | '.join(escaped(column) for column in columns)} |", "|---" * len(columns) + "|"]
    # Names come from users' files and may hold what separates cells.
    lines += [f"| {' | '.join(escaped(cell) for cell in cells)} |" for cells in rows]
    return "\n".join(lines) + "\n"


def percent(estimate: Json | None) -> str:
    """Return an estimate of a fraction as a percentage with its interval, nothing for None."""
    return _interval(estimate, 1, percent=True)


def years(estimate: Json | None) -> str:
    """Return an estimate in years with its interval, nothing for None."""
    return _interval(estimate, 2)


def decimal(estimate: Json | None) -> str:
    """Return an estimate such as a correlation with its interval, nothing for None."""
    return _interval(estimate, 3)


def _interval(estimate: Json | None, digits: int, *, percent: bool = False) -> str:
    """Return an estimate with its interval, without it if there is none, and nothing for None."""
    if estimate is None or estimate["value"] is None:
        return ""
    if estimate.get("low") is None:
        return f"{100 * estimate['value'] if percent else estimate['value']:.{digits}f}"
    return with_interval(estimate["value"], estimate["low"], estimate["high"], digits, percent=percent)


def stored_estimate(figures: Json, name: str) -> Json | None:
    """Return one of the figures of `model.json`, which keeps its interval beside it under `NAME_95`; None without."""
    if not isinstance(figures.get(name), float):
        return None
    low, high = figures.get(f"{name}_95") or (None, None)
    return {"value": figures[name], "low": low, "high": high}


def calibration_table(ways: Sequence[Json]) -> str:
    """Return the calibration in both directions: fitted on one half, measured on the other.

    Stored evaluations without the two proper scores get a table without their columns.
    """
    columns = ["task", "fitted on", "temperature", "measured on", "faces", "error before, %", "error after, %"]
    scored = all("nll" in result for way in ways for result in way["tasks"].values())
    columns += ["NLL before", "after", "Brier before", "after"] if scored else []
    rows = [
        (
            task,
            way["fitted_on"],
            f"{way['fit']['temperatures'][task]:.3f}",
            way["measured_on"],
            str(result["rows"]),
            f"{100 * result['before']:.1f}",
            f"{100 * result['after']:.1f}",
            *(f"{value:.3f}" for name in ("nll", "brier") if scored for value in result[name]),
        )
        for task in _tasks(ways)
        for way in ways
        if (result := way["tasks"].get(task))
    ]
    return table(columns, rows)


def threshold_table(ways: Sequence[Json]) -> str:
    """Return coverage and precision at the thresholds, per direction and data set, for the tasks that have one."""
    columns = ("task", "fitted on", "threshold", "measured on", "faces", "coverage, %", "precision, %")
    rows = [
        (
            task,
            way["fitted_on"],
            f"{way['fit']['thresholds'][task]:.3f}",
            f"{way['measured_on']}, {name}",
            str(named["rows"]),
            percent(named["coverage"]),
            percent(named["precision"]),
        )
        for task in _tasks(ways)
        for way in ways
        if task in way["tasks"] and way["fit"]["thresholds"][task] > 0
        for name, named in distinct(way["tasks"][task]["named"]).items()
    ]
    return table(columns, rows)


def robustness_table(conditions: Sequence[Json], columns: Sequence[tuple[str, str, str]] | None = None) -> str:
    """Return the figures under every corruption.

    Args:
        conditions: as `robustness.Condition` becomes in JSON.
        columns: data set, task and figure (`accuracy`, `balanced_accuracy` or `mae`) of every column; all by default.
    """
    columns = _robustness_columns(conditions) if columns is None else columns
    titles = {"accuracy": "accuracy, %", "balanced_accuracy": "balanced accuracy, %", "mae": "MAE, years"}
    head = ["corruption", "strength", *(f"{name} {task} {titles[figure]}" for name, task, figure in columns)]
    rows = [
        [condition["kind"], condition["label"]]
        + [_cell(condition["results"].get(name, {}).get(task), figure) for name, task, figure in columns]
        for condition in conditions
    ]
    return table(head, rows)


def _robustness_columns(conditions: Sequence[Json]) -> list[tuple[str, str, str]]:
    """Return every data set and task that was measured; emotions, which are far from balanced, by balanced accuracy."""
    found = []
    for name, tasks in conditions[0]["results"].items():
        for task, figures in tasks.items():
            if name == ALL:
                continue
            found.append((name, task, "balanced_accuracy" if task == "emotion" else "accuracy"))
            if figures["mae"] is not None:
                found.append((name, task, "mae"))
    return found


def corrupted_labels_table(conditions: Sequence[Json], task: str = "gender") -> str:
    """Return coverage and precision of a task's published labels under every corruption; empty if not measured."""
    names = [name for name, tasks in conditions[0]["results"].items() if tasks.get(task, {}).get("named")]
    if not names:
        return ""
    head = ["corruption", "strength", *(f"{name} {task} {figure}, %" for name in names for figure in _NAMED)]
    rows = [
        [condition["kind"], condition["label"]]
        + [percent(condition["results"][name][task]["named"][figure]) for name in names for figure in _NAMED]
        for condition in conditions
    ]
    return table(head, rows)


def published_tables(published: Json) -> str:
    """Return what is published of a task: the age groups by both rules, the spread of ages, and labels by group."""
    parts = []
    if published["rules"]:
        rows = [(name, percent(rule["exact"]), percent(rule["near"])) for name, rule in published["rules"].items()]
        parts.append(table(("age group", "exact, %", "exact or next to it, %"), rows))
    if published["bands"]:
        head = ("true age", "faces", "bias, years", "MAE, years", "mean deviation, years", "within one deviation, %")
        rows = [
            (
                name,
                str(band["rows"]),
                *(f"{band[figure]:.1f}" for figure in ("bias", "mae", "deviation")),
                percent(band["within"]),
            )
            for name, band in published["bands"].items()
        ]
        parts.append(table(head, rows))
    for column, groups in published["named"].items():
        rows = [
            (name, str(named["rows"]), *(percent(named[figure]) for figure in _NAMED)) for name, named in groups.items()
        ]
        parts.append(table((column, "faces", *(f"{figure}, %" for figure in _NAMED)), rows))
    return "\n".join(parts)


def distinct(found: Mapping[str, Json]) -> dict[str, Json]:
    """Return the figures per data set, without those of `all` where only one data set has any; each has `rows`."""
    largest = max((figures["rows"] for name, figures in found.items() if name != ALL), default=0)
    return {name: figures for name, figures in found.items() if name != ALL or figures["rows"] > largest}


def _cell(figures: Json | None, figure: str) -> str:
    if figures is None:
        return ""
    return years(figures[figure]) if figure == "mae" else percent(figures[figure])


def _tasks(ways: Sequence[Json]) -> list[str]:
    return list(dict.fromkeys(task for way in ways for task in way["tasks"]))


def escaped(cell: str) -> str:
    """Return text that can't end a cell of a table."""
    return cell.replace("|", "\\|")
