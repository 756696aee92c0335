"""The text of a model card: a Jinja template in which every figure is a name, and the figures by those names."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from facial_attributes_training.data.subsets import ALL
from facial_attributes_training.measure.calibration import LUCK, WANTED_PRECISION
from facial_attributes_training.measure.evaluation import MIN_GROUP_ROWS
from facial_attributes_training.reports.card.check import most_lost
from facial_attributes_training.reports.card.sources import Sources
from facial_attributes_training.reports.page import render_text
from facial_attributes_training.reports.tables import (
    calibration_table,
    distinct,
    percent,
    robustness_table,
    table,
    threshold_table,
    years,
)

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, TASKS
from facial_attributes_ros.errors import UserError

Json = Mapping[str, Any]

ROBUSTNESS: Final = (
    ("fairface", AGE, "accuracy"),
    ("appareal", AGE, "mae"),
    ("fairface", GENDER, "accuracy"),
    ("affectnet-from-affectnet", EMOTION, "balanced_accuracy"),
)
"""Data set, task and figure that are shown under every corruption, where they were measured."""
NOT_MEASURED: Final = "Not measured yet.\n"
_CONFUSIONS: Final = 3


def card_text(template: str, sources: Sources) -> str:
    """Return the card.

    Args:
        template: Markdown with names such as `{{ main_table }}`.
        sources: the measurements.

    Raises:
        UserError: the template is not valid, or names a figure that there is not.
    """
    values = {name: value.rstrip("\n") for name, value in card_values(sources).items()}
    return render_text(template, values, "the card's template")


def card_values(sources: Sources) -> dict[str, str]:
    """Return everything that a template can name, as Markdown."""
    evaluation, spec = sources.evaluation, sources.spec
    results, ways = evaluation["results"], evaluation["ways"]
    return {
        "engine": evaluation["run"]["engine"],
        "command": "    " + evaluation["run"]["command"],
        "image_size": str(spec.image_size),
        "margin": f"{spec.crop_margin:g}",
        "adaptation": spec.adaptation["name"],
        "licence": spec.licence.text,
        "rows": str(sum(found["rows"] for found in _per_source(results))),
        "temperatures": ", ".join(f"{task} {spec.temperatures[task]:.3f}" for task in spec.tasks),
        "thresholds": ", ".join(f"{task} {spec.thresholds[task]:.3f}" for task in spec.tasks if spec.thresholds[task]),
        "centroids": ", ".join(
            f"{label} {years:g}" for label, years in zip(LABELS[AGE], spec.age_centroids, strict=True)
        ),
        "wanted_gender": f"{WANTED_PRECISION[GENDER]:.0%}",
        "wanted_emotion": f"{WANTED_PRECISION[EMOTION]:.0%}",
        "luck": f"{LUCK:.0%}",
        "main_table": _main_table(results),
        "class_table": _class_table(results),
        "group_tables": "\n".join(_group_tables(results)),
        "weakest": "".join(_weakest(results)) or NOT_MEASURED,
        "confusions": "".join(_confusions(results)) or NOT_MEASURED,
        "calibration_table": calibration_table(ways),
        "threshold_table": threshold_table(ways),
        "robustness_rows": str(_robustness_rows(evaluation["robustness"])),
        "robustness_table": _robustness(evaluation["robustness"]),
        "engines": _engines(sources),
        "int8": _int8(sources),
        "cost": _cost(sources.bench),
        "peers": sources.peers or NOT_MEASURED,
    }


def write_card(template: Path, sources: Sources) -> str:
    """Return the card of a template file.

    Raises:
        UserError: the template can't be read, is not valid, or names a figure that there is not.
    """
    try:
        return card_text(template.read_text(encoding="utf-8"), sources)
    except OSError as error:
        raise UserError(f"the card's template {template} can't be read: {error.strerror}.") from error


def _per_source(results: Json) -> Iterator[Json]:
    """Yield the result with the most faces of every source that is neither a part nor a union of others."""
    for name, tasks in results.items():
        if name != ALL and "-from-" not in name:
            yield max(tasks.values(), key=lambda result: result["rows"])


def _each(results: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield task, data set and result by task; those of all together only where that is more than one data set."""
    for task in TASKS:
        with_task = {name: tasks[task] for name, tasks in results.items() if task in tasks}
        yield from ((task, name, result) for name, result in distinct(with_task).items())


def _main_table(results: Json) -> str:
    columns = ("task", "data", "faces", "accuracy, %", "balanced accuracy, %", "accuracy ±1, %", "MAE, years")
    scored = all("nll" in result["calibration"] for _, _, result in _each(results))
    rows = [
        (
            task,
            name,
            str(result["rows"]),
            percent(result["accuracy"]),
            percent(result["balanced_accuracy"]),
            percent(result["off_by_one"]),
            years(result["years"]["mae"]) if result["years"] else "",
            f"{100 * result['calibration']['after']:.1f}",
            *(f"{result['calibration'][name][1]:.3f}" for name in ("nll", "brier") if scored),
        )
        for task, name, result in _each(results)
    ]
    return table((*columns, "ECE, %", *(("NLL", "Brier") if scored else ())), rows)


def _class_table(results: Json) -> str:
    pooled = {task for task, name, _ in _each(results) if name == ALL}
    rows = [
        (task, name, label, str(sum(result["confusion"][index])), percent(result["recall"][index]), f"{score:.3f}")
        for task, name, result in _each(results)
        for index, label in enumerate(LABELS[task])
        if (score := result["f1"][index]) is not None and (name == ALL or task not in pooled)
    ]
    return table(("task", "data", "class", "faces", "recall, %", "F1"), rows)


def _group_tables(results: Json) -> Iterator[str]:
    for task, name, result in _each(results):
        if name == ALL:
            continue
        rows = [
            (column, value, str(group["rows"]), percent(group["accuracy"]), percent(group["balanced_accuracy"]))
            for column, groups in result["groups"].items()
            for value, group in groups.items()
        ]
        if rows:
            yield f"{task.capitalize()}, {name}:\n\n" + table(
                ("group", "", "faces", "accuracy, %", "balanced accuracy, %"), rows
            )


def _weakest(results: Json) -> Iterator[str]:
    """Yield a list item per column of groups: the groups with the lowest and the highest accuracy."""
    for task, name, result in _each(results):
        if name == ALL:
            continue
        for column, groups in result["groups"].items():
            large = {value: group for value, group in groups.items() if group["rows"] >= MIN_GROUP_ROWS}
            if len(large) < 2:
                continue
            worst, best = (pick(large, key=lambda value: large[value]["accuracy"]["value"]) for pick in (min, max))
            yield (
                f"- **{task.capitalize()} by {column.replace('_', ' ')}** ({name}): lowest for {worst}, "
                f"{percent(large[worst]['accuracy'])} % of {large[worst]['rows']}; highest for {best}, "
                f"{percent(large[best]['accuracy'])} % of {large[best]['rows']}.\n"
            )


def _confusions(results: Json) -> Iterator[str]:
    """Yield a list item per task: its most frequent confusions."""
    for task, name, result in _each(results):
        rates = sorted(
            (
                (count / sum(row), LABELS[task][index], LABELS[task][other])
                for index, row in enumerate(result["confusion"])
                for other, count in enumerate(row)
                if index != other and sum(row) >= MIN_GROUP_ROWS
            ),
            reverse=True,
        )
        listed = [f"{true} as {label} {100 * rate:.0f} %" for rate, true, label in rates[:_CONFUSIONS]]
        if listed:
            yield f"- **{task.capitalize()}** ({name}): {', '.join(listed)}.\n"


def _robustness_rows(conditions: list[Json]) -> int:
    return sum(found["rows"] for found in _per_source(conditions[0]["results"])) if conditions else 0


def _robustness(conditions: list[Json]) -> str:
    if not conditions:
        return NOT_MEASURED
    there = conditions[0]["results"]
    return robustness_table(conditions, [column for column in ROBUSTNESS if column[1] in there.get(column[0], {})])


def _engines(sources: Sources) -> str:
    if sources.other is None:
        return NOT_MEASURED
    first, second = sources.evaluation, sources.other
    columns = ("task", "data", "faces", first["run"]["engine"], second["run"]["engine"], "difference, points")
    rows = []
    for task, name, result in _each(first["results"]):
        other = second["results"][name][task]
        lost = 100 * (other["accuracy"]["value"] - result["accuracy"]["value"])
        rows.append(
            (
                task,
                name,
                str(result["rows"]),
                percent(result["accuracy"]),
                percent(other["accuracy"]),
                f"{lost:+.2f}",
            )
        )
    return table(columns, rows)


def _int8(sources: Sources) -> str:
    """Return a sentence on the accuracy that int8 loses."""
    if sources.other is None:
        return NOT_MEASURED
    pair = (sources.evaluation, sources.other)
    first, second = pair if "int8" in sources.other["run"]["engine"] else pair[::-1]
    lost = 100 * most_lost(first["results"], second["results"])
    default = (
        "it is the default where the processor has instructions for it"
        if sources.spec.int8
        else "it is not the default"
    )
    return f"int8 loses at most {lost:.2f} points of accuracy in a task, so {default}."


def _cost(bench: Mapping[str, Json]) -> str:
    if not bench:
        return NOT_MEASURED
    counts = sorted({int(count) for report in bench.values() for count in report["estimate_per_backbone"]})
    rows = [
        (engine, *(f"{report['estimate_per_backbone'][str(count)]:.2f}" for count in counts), report["machine"])
        for engine, report in bench.items()
    ]
    return table(("engine", *(f"{count} face{'s' * (count > 1)}" for count in counts), "machine"), rows)
