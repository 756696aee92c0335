"""Compare a fresh evaluation with a stored one."""

from collections.abc import Iterator, Mapping
from typing import Any

from facial_attributes_training.reports.tables import distinct

Json = Mapping[str, Any]


def differences(stored: Json, fresh: Json, tolerance: float) -> list[str]:
    """Return what differs between two evaluations of the same samples, one sentence each.

    Args:
        stored: JSON of an evaluation.
        fresh: the same, made again; robustness is compared if it has any.
        tolerance: by how much fractions and calibration errors may differ; errors in years by ten times as much.
            Engines round differently from machine to machine, and int8 also from batch to batch.
    """
    found = []
    there = dict(_figures(fresh))
    for name, (value, scale) in _figures(stored).items():
        if name not in there:
            if not name.startswith("robustness"):
                found.append(f"{name} is {value:g}, and there is none now.")
        elif abs(value - there[name][0]) > tolerance * scale:
            found.append(f"{name} is {value:g}, but {there[name][0]:g} now.")
    return found


def most_lost(float32: Json, int8: Json) -> float:
    """Return by how much, at most, int8 is less accurate than float32 in any task, as a fraction of the faces.

    Args:
        float32: results of an evaluation's JSON.
        int8: the same of the other engine.
    """
    tasks = {task for found in float32.values() for task in found}
    lost: list[float] = []
    for task in tasks:
        pooled = distinct({name: found[task] for name, found in float32.items() if task in found})
        name = max(pooled, key=lambda name: pooled[name]["rows"])
        lost.append(pooled[name]["accuracy"]["value"] - int8[name][task]["accuracy"]["value"])
    return max(lost)


def _figures(document: Json) -> dict[str, tuple[float, float]]:
    """Return value and scale of every figure by its name."""
    found: dict[str, tuple[float, float]] = {}
    for name, tasks in document["results"].items():
        for task, result in tasks.items():
            found |= dict(_task_figures(f"{name} {task}", result))
    for condition in document["robustness"]:
        for name, tasks in condition["results"].items():
            for task, figures in tasks.items():
                label = f"robustness {condition['kind']} {condition['label']} {name} {task}"
                found[f"{label} accuracy"] = (figures["accuracy"]["value"], 1.0)
    return found


def _task_figures(label: str, result: Json) -> Iterator[tuple[str, tuple[float, float]]]:
    yield f"{label} faces", (result["rows"], 0.0)
    yield f"{label} accuracy", (result["accuracy"]["value"], 1.0)
    yield f"{label} balanced accuracy", (result["balanced_accuracy"]["value"], 1.0)
    yield f"{label} calibration error", (result["calibration"]["after"], 1.0)
    yield f"{label} coverage", (result["calibration"]["named"]["coverage"]["value"], 1.0)
    if result["years"]:
        yield f"{label} error in years", (result["years"]["mae"]["value"], 10.0)
    for column, groups in result["groups"].items():
        for value, group in groups.items():
            # A single face counts more in a small group.
            yield (
                f"{label} {column} {value} accuracy",
                (group["accuracy"]["value"], max(1.0, result["rows"] / group["rows"])),
            )
