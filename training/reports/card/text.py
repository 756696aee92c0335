"""The text of a model card: a template in which every figure is a name, and the figures by those names."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from facial_attributes_training.data.subsets import ALL
from facial_attributes_training.measure.calibration import LUCK, WANTED_PRECISION
from facial_attributes_training.measure.evaluation import MIN_GROUP_ROWS
from facial_attributes_training.reports.card.check import most_lost
from facial_attributes_training.reports.card.sources import Sources
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
"""Data set, task and figure that are shown under every degradation, where they were measured."""
NOT_MEASURED: Final = "Not measured yet.\n"
_NAME: Final = re.compile(r"\{\{([\w-]+)\}\}")
_CONFUSIONS: Final = 3


def card_text(template: str, sources: Sources) -> str:
    """Return the card.

    Args:
        template: Markdown with names such as `{{main-table}}`.
        sources: the measurements.

    Raises:
        UserError: the template has a name that there is no figure of.
    """
    values = card_values(sources)
    if unknown := sorted(set(_NAME.findall(template)) - values.keys()):
        raise UserError(f"the card's template names {unknown[0]!r}; known are {', '.join(sorted(values))}.")
    return _NAME.sub(lambda found: values[found.group(1)].rstrip("\n"), template)


def card_values(sources: Sources) -> dict[str, str]:
    """Return everything that a template can name, as Markdown."""
    evaluation, spec = sources.evaluation, sources.spec
    results, ways = evaluation["results"], evaluation["ways"]
    return {
        "engine": evaluation["run"]["engine"],
        "command": "    " + evaluation["run"]["command"],
        "image-size": str(spec.image_size),
        "margin": f"{spec.crop_margin:g}",
        "adaptation": spec.adaptation["name"],
        "licence": spec.licence.text,
        "rows": str(sum(found["rows"] for found in _per_source(results))),
        "temperatures": ", ".join(f"{task} {spec.temperatures[task]:.3f}" for task in spec.tasks),
        "thresholds": ", ".join(f"{task} {spec.thresholds[task]:.3f}" for task in spec.tasks if spec.thresholds[task]),
        "centroids": ", ".join(
            f"{label} {years:g}" for label, years in zip(LABELS[AGE], spec.age_centroids, strict=True)
        ),
        "wanted-gender": f"{WANTED_PRECISION[GENDER]:.0%}",
        "wanted-emotion": f"{WANTED_PRECISION[EMOTION]:.0%}",
        "luck": f"{LUCK:.0%}",
        "main-table": _main_table(results),
        "class-table": _class_table(results),
        "group-tables": "\n".join(_group_tables(results)),
        "weakest": "".join(_weakest(results)) or NOT_MEASURED,
        "confusions": "".join(_confusions(results)) or NOT_MEASURED,
        "calibration-table": calibration_table(ways),
        "threshold-table": threshold_table(ways),
        "robustness-rows": str(_robustness_rows(evaluation["robustness"])),
        "robustness-table": _robustness(evaluation["robustness"]),
        "engines": _engines(sources),
        "int8": _int8(sources),
        "cost": _cost(sources.bench),
        "peers": sources.peers or NOT_MEASURED,
    }


def write_card(template: Path, sources: Sources) -> str:
    """Return the card of a template file.

    Raises:
        UserError: the template can't be read or names what there is not.
    """
    try:
        return card_text(template.read_text(encoding="utf-8"), sources)
    except OSError as error:
        raise UserError(f"the card's template {template} can't be read: {error.strerror}.") from error


def _per_source(results: Json) -> Iterator[Json]:
    """Yield a task's result of every source that is no part or union of others; its rows are the source's faces."""
    for name, tasks in results.items():
        if name != ALL and "-from-" not in name:
            yield max(tasks.values(), key=lambda result: result["rows"])


def _each(results: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield task, data set and result in the order of the tasks; all together where that is more than one data set."""
    for task in TASKS:
        with_task = {name: tasks[task] for name, tasks in results.items() if task in tasks}
        yield from ((task, name, result) for name, result in distinct(with_task).items())


def _main_table(results: Json) -> str:
    columns = ("task", "data", "faces", "accuracy, %", "balanced, %", "within one group, %", "error, years")
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
    return table((*columns, "calibration error, %", *(("NLL", "Brier") if scored else ())), rows)


def _class_table(results: Json) -> str:
    pooled = {task for task, name, _ in _each(results) if name == ALL}
    rows = [
        (task, name, label, str(sum(result["confusion"][index])), percent(result["recall"][index]), f"{score:.3f}")
        for task, name, result in _each(results)
        for index, label in enumerate(LABELS[task])
        if (score := result["f1"][index]) is not None and (name == ALL or task not in pooled)
    ]
    return table(("task", "data", "class", "faces", "found, %", "F1"), rows)


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
                ("group", "", "faces", "accuracy, %", "balanced, %"), rows
            )


def _weakest(results: Json) -> Iterator[str]:
    """Yield one point of a list per column of groups: where a task is told worst, and where best."""
    for task, name, result in _each(results):
        if name == ALL:
            continue
        for column, groups in result["groups"].items():
            large = {value: group for value, group in groups.items() if group["rows"] >= MIN_GROUP_ROWS}
            if len(large) < 2:
                continue
            worst, best = (pick(large, key=lambda value: large[value]["accuracy"]["value"]) for pick in (min, max))
            yield (
                f"- **{task.capitalize()} by {column.replace('_', ' ')}** ({name}): worst for {worst}, "
                f"{percent(large[worst]['accuracy'])} % of {large[worst]['rows']}; best for {best}, "
                f"{percent(large[best]['accuracy'])} % of {large[best]['rows']}.\n"
            )


def _confusions(results: Json) -> Iterator[str]:
    """Yield one point of a list per task: what is most often taken for what."""
    for task, name, result in _each(results):
        shares = sorted(
            (
                (count / sum(row), LABELS[task][index], LABELS[task][other])
                for index, row in enumerate(result["confusion"])
                for other, count in enumerate(row)
                if index != other and sum(row) >= MIN_GROUP_ROWS
            ),
            reverse=True,
        )
        told = ", ".join(f"{true} taken for {said} {100 * share:.0f} %" for share, true, said in shares[:_CONFUSIONS])
        if told:
            yield f"- **{task.capitalize()}** ({name}): {told}.\n"


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
    """Return a sentence on what int8 loses."""
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
