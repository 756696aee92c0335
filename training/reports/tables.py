"""Markdown tables of an evaluation's figures, from the plain data that its JSON holds.

An estimate is an object with `value`, `low` and `high`, as `metrics.Estimate` becomes in JSON.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from facial_attributes_training.data.subsets import ALL

Json = Mapping[str, Any]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table that ends with a line break."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    # Names out of people's files may hold what parts cells.
    lines += [f"| {' | '.join(escaped(cell) for cell in cells)} |" for cells in rows]
    return "\n".join(lines) + "\n"


def percent(estimate: Json | None) -> str:
    """Return an estimate of a share as a percentage with its interval, nothing for None."""
    if estimate is None:
        return ""
    return f"{100 * estimate['value']:.1f} [{100 * estimate['low']:.1f}, {100 * estimate['high']:.1f}]"


def years(estimate: Json | None) -> str:
    """Return an estimate in years with its interval, nothing for None."""
    return "" if estimate is None else f"{estimate['value']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"


def calibration_table(ways: Sequence[Json]) -> str:
    """Return how well calibrated both ways round are: fitted on one half, measured on the other.

    Evaluations that were kept from before the two proper scores were measured have no columns of them.
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
    """Return what is named at the thresholds of both ways round, per data set; tasks that are always named left out."""
    columns = ("task", "fitted on", "threshold", "measured on", "faces", "named, %", "of these right, %")
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


def robustness_table(conditions: Sequence[Json], columns: Sequence[tuple[str, str, str]]) -> str:
    """Return figures under every degradation.

    Args:
        conditions: as `robustness.Condition` becomes in JSON.
        columns: data set, task and figure (`accuracy`, `balanced_accuracy` or `mae`) of every column.
    """
    titles = {"accuracy": "accuracy, %", "balanced_accuracy": "balanced, %", "mae": "error, years"}
    head = ["what is spoilt", "how far", *(f"{name} {task} {titles[figure]}" for name, task, figure in columns)]
    rows = [
        [condition["kind"], condition["label"]]
        + [_cell(condition["results"].get(name, {}).get(task), figure) for name, task, figure in columns]
        for condition in conditions
    ]
    return table(head, rows)


def robustness_columns(conditions: Sequence[Json]) -> list[tuple[str, str, str]]:
    """Return every data set and task that was measured, with balanced accuracy where classes are far from even."""
    found = []
    for name, tasks in conditions[0]["results"].items():
        for task, figures in tasks.items():
            if name == ALL:
                continue
            found.append((name, task, "balanced_accuracy" if task == "emotion" else "accuracy"))
            if figures["mae"] is not None:
                found.append((name, task, "mae"))
    return found


def distinct(found: Mapping[str, Json]) -> dict[str, Json]:
    """Return figures per data set without those of `all` where they are of one data set again; each has `rows`."""
    largest = max((figures["rows"] for name, figures in found.items() if name != ALL), default=0)
    return {name: figures for name, figures in found.items() if name != ALL or figures["rows"] > largest}


def _cell(figures: Json | None, figure: str) -> str:
    if figures is None:
        return ""
    return years(figures[figure]) if figure == "mae" else percent(figures[figure])


def _tasks(ways: Sequence[Json]) -> list[str]:
    return list(dict.fromkeys(task for way in ways for task in way["tasks"]))


def escaped(cell: str) -> str:
    """Return text without what would part the cells of a table."""
    return cell.replace("|", "\\|")
