"""A recalibrated copy of a model, and the effect of its new temperatures and thresholds."""

import math
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from facial_attributes_training.data.subsets import first_half
from facial_attributes_training.measure.evaluation import Evaluation
from facial_attributes_training.measure.fitted import Fit, named
from facial_attributes_training.measure.metrics import probability_scores
from facial_attributes_training.measure.predictions import Predictions
from facial_attributes_training.measure.published import published_labels
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, MISSING
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import disk_errors
from facial_attributes_ros.models.backbones.published import moved_weights
from facial_attributes_ros.models.provenance import Parent, today
from facial_attributes_ros.models.registry import is_shipped
from facial_attributes_ros.models.spec import SPEC_FILE, ModelSpec

_MARK = "+calibrated"
"""Suffix of the version of a recalibrated model; its weights are those of the version before."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Metrics of a task's temperature and threshold on some samples.

    Attributes:
        rows: number of samples with a label of the task.
        temperature, threshold: what is measured; the threshold is infinite if every label is unknown.
        calibration_error, nll, brier: as in `metrics.ProbabilityScores`.
        coverage: fraction of the labels that are known.
        precision: fraction of the known labels that are correct, None if none is known.
    """

    rows: int
    temperature: float
    threshold: float
    calibration_error: float
    nll: float
    brier: float
    coverage: float
    precision: float | None

    def record(self) -> dict[str, Any]:
        """Return the metrics for `model.json`, rounded."""
        values = {name: value for name, value in asdict(self).items() if value is not None and math.isfinite(value)}
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Change:
    """A recalibrated task: the metrics of both calibrations on held-out samples."""

    task: str
    before: Measured
    after: Measured


def measure(predictions: Predictions, task: str, rows: NDArray[np.bool_], fit: Fit) -> Measured | None:
    """Return the metrics of a task's calibration on samples, None if none of them has a label.

    Args:
        predictions: of the samples.
        task: which.
        rows: bool (samples,): to measure on.
        fit: of this task, and of the age if the model has it.
    """
    truth = predictions.manifest.labels[task]
    rows = rows & (truth != MISSING)
    if not rows.any():
        return None
    found = probability_scores(truth[rows], predictions.probabilities(task, fit.temperatures[task])[rows])
    there = {name: predictions.logits[name] for name in (AGE, task) if name in fit.temperatures}
    labels = published_labels({name: values[rows] for name, values in there.items()}, task, fit)
    chosen = named(labels.confidence, labels.index == truth[rows], labels.least)
    return Measured(
        rows=int(rows.sum()),
        temperature=fit.temperatures[task],
        threshold=fit.thresholds[task],
        calibration_error=found.error,
        nll=found.nll,
        brier=found.brier,
        coverage=chosen.coverage.value,
        precision=chosen.precision.value if chosen.precision else None,
    )


def calibration_records(fit: Fit, predictions: Predictions, rows: NDArray[np.bool_]) -> dict[str, dict[str, Any]]:
    """Return the field `calibration` of `model.json`: what every task was fitted on, and its metrics on other samples.

    Args:
        fit: of the tasks.
        predictions: to measure on.
        rows: bool (samples,): which of them.
    """
    records: dict[str, dict[str, Any]] = {}
    for task in fit.temperatures:
        measured = measure(predictions, task, rows, fit)
        records[task] = {"rows": fit.rows[task], "date": today()}
        records[task]["measured"] = None if measured is None else measured.record()
    return records


def check_target(source: Path, target: Path) -> None:
    """Check that a copy of a model can be written to a folder.

    Raises:
        UserError: the folder is the model's own, belongs to the package, or is not empty.
    """
    resolved = target.resolve()
    if resolved == source.resolve():
        raise UserError(f"a copy is written, which does not change {target}: give another folder.")
    if is_shipped(resolved):
        raise UserError(f"{target} is a folder of the package's own models: give another one.")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{target} exists already: give a new folder.")


def save_calibration(
    source: Path, target: Path, evaluation: Evaluation, predictions: Predictions, command: str = ""
) -> list[Change]:
    """Write a copy of a model with the temperatures and thresholds that could be fitted; other tasks stay as they are.

    The rest of the model's description stays too, metrics included; its provenance names the model as the parent.

    Args:
        source: folder of the model.
        target: folder to write, which must not exist yet.
        evaluation: with what was fitted.
        predictions: that it is of.
        command: the command line, for the model's provenance.

    Returns:
        What changed, measured on the held-out half of the samples.

    Raises:
        UserError: nothing could be fitted, or the folder can't be written.
    """
    if not evaluation.fitted:
        raise UserError("only a calibration that is fitted in this evaluation can be saved: add --calibrate.")
    check_target(source, target)
    spec, fit = ModelSpec.identified(source), evaluation.ways[0].fit
    changes = list(_changes(spec, fit, predictions))
    if not changes:
        reasons = "; ".join(f"{task}: {reason}" for task, reason in fit.refused.items())
        raise UserError(f"no task could be calibrated, so nothing is written ({reasons}).")
    write_copy(source, target, _calibrated(spec, fit, changes, command))
    return changes


def _changes(spec: ModelSpec, fit: Fit, predictions: Predictions) -> Iterator[Change]:
    other_half = ~first_half(predictions.manifest)
    for task in fit.temperatures:
        before = measure(predictions, task, other_half, Fit.of(spec))
        after = measure(predictions, task, other_half, fit.over(spec))
        if before and after:
            yield Change(task, before, after)


def _calibrated(spec: ModelSpec, fit: Fit, changes: list[Change], command: str) -> ModelSpec:
    tasks = [change.task for change in changes]
    records = {
        change.task: {
            "rows": fit.rows[change.task],
            "date": today(),
            "measured": change.after.record(),
            "before": change.before.record(),
        }
        for change in changes
    }
    return replace(
        spec,
        **fit.only(tasks).over(spec).fields(),
        uncalibrated=tuple(task for task in spec.uncalibrated if task not in tasks),
        calibration=spec.calibration | records,
        version=spec.version.removesuffix(_MARK) + _MARK,
        parent=Parent(spec.name, spec.version, spec.sha256),
        date=today(),
        commands=(*spec.commands, *([command] if command else [])),
    )


def write_copy(source: Path, target: Path, spec: ModelSpec) -> None:
    """Write all files of a model's folder with another description, whole or not at all.

    Raises:
        UserError: the folder cannot be written.
    """
    weights = moved_weights(spec.backbone, source.resolve(), target.resolve())
    spec = replace(spec, backbone=replace(spec.backbone, weights=weights))
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
            copy = Path(folder) / "model"
            copy.mkdir()
            for file in source.iterdir():
                if file.is_file() and file.name != SPEC_FILE:
                    shutil.copyfile(file, copy / file.name)
            spec.write(copy)
            copy.replace(target)
